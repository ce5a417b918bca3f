//! The policy read again while the server runs, in two phases: first everything is read, judged and
//! made ready, and what is in force stays; then it is recorded and replaced as a whole. Whatever goes
//! wrong before that changes nothing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::confinement::Confinement;
use super::current::InForce;
use super::file_change::Signature;
use super::listeners::{Bound, Listeners};
use super::logging::Severity;
use super::prepare::{self, Prepared};
use super::roots;
use super::server::Shared;
use super::supervisor::notify::SERVING;
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::config::{self, Problem, Problems, Rejected};
use crate::net::advertised::Advertised;
use crate::net::names::Names;

/// How often everything is read anew because somebody wrote the files, or users changed their
/// passwords, meanwhile.
const ATTEMPTS_MAX: u32 = 5;
/// How long names may be looked up the first time before `PASV` does without.
const LOOKUP_TIME: Duration = Duration::from_secs(2);

/// Who asked for the policy to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// Nobody: the server started.
    Start,
    /// Whoever sent SIGHUP.
    Signal,
    /// A process at the control socket.
    Control {
        /// Its user.
        uid: u32,
        /// Its id.
        pid: Option<i32>,
    },
    /// The files changed, and `[reload] on-change` is set.
    FileChange,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It is in force.
    Loaded {
        /// The fingerprints before and now.
        before: Arc<str>,
        now: Arc<str>,
        /// What is odd about it, and what could not be changed with it.
        warnings: Vec<Problem>,
        /// How many tests passed.
        tests: usize,
    },
    /// The files have errors, or say what a running server cannot change.
    Rejected(Vec<Problem>),
    /// The tests that failed.
    TestsFailed(Vec<String>),
    /// It could not be done; why.
    Failed(String),
}

/// When the policy in force was loaded, and for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loading {
    pub(super) at: Timestamp,
    pub(super) by: Asker,
}

/// Reads the policy again, one request at a time.
pub(super) struct Reloader {
    pub(super) shared: Arc<Shared>,
    pub(super) confinement: Confinement,
    severity: Severity,
    names: Names,
    /// None once the server stops.
    listeners: Arc<AsyncMutex<Option<Listeners>>>,
    /// When the server started.
    pub(super) since: Timestamp,
    loading: Mutex<Loading>,
    /// What the files looked like when they were read last.
    pub(super) seen: Mutex<Signature>,
    lookups: Mutex<Option<AbortHandle>>,
}

impl Reloader {
    pub(super) fn new(
        shared: &Arc<Shared>,
        confinement: Confinement,
        severity: Severity,
        names: Names,
        listeners: Listeners,
    ) -> Arc<Self> {
        let since = Timestamp::now();
        Arc::new(Self {
            shared: Arc::clone(shared),
            confinement,
            severity,
            names,
            listeners: Arc::new(AsyncMutex::new(Some(listeners))),
            since,
            loading: Mutex::new(Loading { at: since, by: Asker::Start }),
            seen: Mutex::new(Signature::of(&shared.config().directory)),
            lookups: Mutex::default(),
        })
    }

    /// When the policy in force was loaded, and for whom.
    pub(super) fn loading(&self) -> Loading {
        *self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is read again from here on, and nothing listened on; waits for what is under way.
    pub(super) async fn end(&self) {
        drop(self.listeners.lock().await.take());
    }

    /// Reads the policy again, tells the operator, and records it.
    pub(super) async fn reload(self: &Arc<Self>, by: Asker) -> Outcome {
        self.shared.notifier.reloading();
        let mut listeners = Arc::clone(&self.listeners).lock_owned().await;
        let mut outcome =
            Outcome::Failed("the files or the passwords of users change all the time; try again".to_owned());
        for _ in 0..ATTEMPTS_MAX {
            let (given_back, attempt) = self.attempt(listeners, by).await;
            match (given_back, attempt) {
                (Some(given_back), None) => listeners = given_back,
                (_, attempt) => {
                    outcome = attempt.unwrap_or(outcome);
                    break;
                }
            }
        }
        tell(&outcome, by);
        self.shared.figures.reload(&outcome);
        self.shared.notifier.ready(&outcome.sentence());
        outcome
    }

    /// Reads and replaces once. No outcome where it has to be done again.
    async fn attempt(self: &Arc<Self>, listeners: Held, by: Asker) -> (Option<Held>, Option<Outcome>) {
        let this = Arc::clone(self);
        let prepared = tokio::task::spawn_blocking(move || {
            let Some(open) = listeners.as_ref() else {
                let stopping = Outcome::Failed("the server is stopping".to_owned());
                return (listeners, Err(Some(stopping)));
            };
            let directory = &this.shared.config().directory;
            let signature = Signature::of(directory);
            *this.seen.lock().unwrap_or_else(PoisonError::into_inner) = signature.clone();
            let prepared = prepare::prepare(&this.shared, &this.confinement, open);
            // A file that somebody is about to write is empty for a moment, which names no user.
            if Signature::of(directory) != signature {
                return (listeners, Err(None));
            }
            let prepared = prepared.map_err(|refused| Some(this.refused(refused, by)));
            (listeners, prepared)
        });
        let Ok((listeners, prepared)) = prepared.await else {
            return (None, Some(Outcome::Failed("a fault of the server's own; please report it".to_owned())));
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(outcome) => return (Some(listeners), outcome),
        };
        if prepared.advertised.lacks_addresses() {
            let names = self.names.asking(&prepared.config.passive.resolvers);
            let _ = timeout(LOOKUP_TIME, prepared.advertised.look_up(&names)).await;
        }
        let this = Arc::clone(self);
        let put = tokio::task::spawn_blocking(move || {
            let mut listeners = listeners;
            let outcome = this.put_in_force(prepared, listeners.as_mut(), by);
            (listeners, outcome)
        });
        match put.await {
            Ok((listeners, outcome)) => (Some(listeners), outcome),
            Err(_) => (None, Some(Outcome::Failed("a fault of the server's own; please report it".to_owned()))),
        }
    }

    /// Records what is not put in force. Blocks.
    fn refused(&self, refused: prepare::Refused, by: Asker) -> Outcome {
        let shared = &self.shared;
        let (reason, fingerprint, count, first, outcome) = match refused {
            prepare::Refused::Files(Rejected { fingerprint, problems }) => {
                let problems = errors_first(problems);
                let first = problems.first().map(summary);
                ("invalid", fingerprint, errors(&problems), first, Outcome::Rejected(problems))
            }
            prepare::Refused::Unchangeable(fingerprint, problems) => {
                let first = problems.first().map(summary);
                ("unchangeable", Some(fingerprint), problems.len(), first, Outcome::Rejected(problems))
            }
            prepare::Refused::Tests(fingerprint, failed) => {
                ("tests_failed", Some(fingerprint), failed.len(), failed.first().cloned(), Outcome::TestsFailed(failed))
            }
        };
        let mut record = Record::new(Event::PolicyRejected).failed(reason);
        if let Some(fingerprint) = fingerprint {
            record = record.with("policy_rejected", Detail::Text(fingerprint.to_string()));
        }
        record = record.with("policy", Detail::Text(shared.config().fingerprint.to_string()));
        record = record.with("problems", Detail::Number(u64::try_from(count).unwrap_or(u64::MAX)));
        if let Some(first) = first {
            record = record.with("first_problem", Detail::Text(first));
        }
        if let Err(fault) = shared.audit.record_blocking(by.on(record)) {
            error!(%fault, "that the policy was rejected is not recorded");
        }
        outcome
    }

    /// Records what was made ready, and replaces what is in force by it. None where users changed
    /// their passwords since it was read. Blocks.
    fn put_in_force(&self, prepared: Prepared, listeners: Option<&mut Listeners>, by: Asker) -> Option<Outcome> {
        let shared = &self.shared;
        let Prepared { config, tls, throttle, verifier, advertised, proxies, hashes, names, bound, warnings, tests } =
            prepared;
        // Nobody changes a password from here until the policy is replaced.
        let mut writing = shared.changes.as_ref().map(crate::auth::changes::Changes::writing);
        if let (Some(writing), Some(read)) = (&mut writing, &config.password_changes) {
            match writing.take_over(read) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(failure) => {
                    return Some(Outcome::Failed(format!("the changed passwords cannot be read: {failure}")));
                }
            }
        }
        let former = shared.config();
        let (before, now) = (Arc::clone(&former.fingerprint), Arc::clone(&config.fingerprint));
        let record = super::policy_loaded(&config)
            .with("policy_before", Detail::Text(before.to_string()))
            .with("changed", Detail::Flag(before != now))
            .with("tests_passed", Detail::Number(u64::try_from(tests).unwrap_or(u64::MAX)));
        if let Err(fault) = shared.audit.record_blocking(by.on(record)) {
            return Some(Outcome::Failed(format!("{fault}, so nothing was changed")));
        }
        let config = Arc::new(config);
        let policy = super::current::policy_read(&config);
        let in_force = InForce {
            policy,
            tls,
            names,
            throttle,
            verifier,
            advertised,
            proxies,
            hashes,
            config: Arc::clone(&config),
        };
        let advertised = Arc::clone(&in_force.advertised);
        shared.current.change(|current| {
            let policy = in_force.policy.with_freezes(current.policy.freezes.to_vec());
            *current = InForce { policy: Arc::new(policy), ..in_force };
        });
        drop(writing);
        *self.loading.lock().unwrap_or_else(PoisonError::into_inner) = Loading { at: Timestamp::now(), by };
        shared.admission.change(&config.limits);
        shared.passive.change(config.passive.ports, crate::net::route::Proxies::new(&config.listen.proxies));
        shared.homes.change(roots::settings(&config));
        shared.audit.change(&config.audit);
        shared.keeper.keep(config.keeping.retention);
        self.severity.set(config.log.level);
        super::descriptors::raise_limit(config.limits.sessions);
        roots::open(&shared.homes, &config, Some(&former));
        if let Some(listeners) = listeners {
            listeners.change(&config.listen, bound);
        }
        self.keep_current(advertised);
        shared.rejudge();
        Some(Outcome::Loaded { before, now, warnings, tests })
    }

    /// Accepts connections from what was bound at the start.
    pub(super) async fn accept_from(&self, bound: Vec<Bound>) -> std::io::Result<()> {
        let mut listeners = self.listeners.lock().await;
        let Some(listeners) = listeners.as_mut() else { return Ok(()) };
        bound.into_iter().try_for_each(|bound| listeners.accept_from(bound))
    }

    /// Looks the advertised names up, in the background from the second time on: the first clients
    /// should not find the server without its address. None is known where the name servers are late.
    pub(super) async fn look_names_up(&self) {
        let advertised = self.shared.advertised();
        let _ = timeout(LOOKUP_TIME, advertised.look_up(&self.names)).await;
        self.keep_current(advertised);
    }

    /// Looks the advertised names up from here on, and those of before no more. Must be called within
    /// the runtime.
    fn keep_current(&self, advertised: Arc<Advertised>) {
        let config = self.shared.config();
        let next = super::has_names(&config).then(|| {
            let names = self.names.asking(&config.passive.resolvers);
            tokio::spawn(async move { advertised.keep_current(&names).await }).abort_handle()
        });
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *lookups, next) {
            before.abort();
        }
    }
}

impl Outcome {
    /// How the server is behind it, for the service manager.
    fn sentence(&self) -> String {
        match self {
            Self::Loaded { .. } => SERVING.to_owned(),
            Self::Rejected(problems) => {
                format!(
                    "Serving; the policy files were refused for {} errors, and what was in force stays.",
                    errors(problems)
                )
            }
            Self::TestsFailed(failed) => {
                format!("Serving; the policy fails {} of its tests, and what was in force stays.", failed.len())
            }
            Self::Failed(reason) => format!("Serving; the policy could not be read again: {reason}."),
        }
    }
}

type Held = OwnedMutexGuard<Option<Listeners>>;

/// Errors come before warnings: they are what it failed for.
fn errors_first(problems: Problems) -> Vec<Problem> {
    let mut problems = problems.into_vec();
    problems.sort_by_key(|problem| problem.severity);
    problems
}

fn errors(problems: &[Problem]) -> usize {
    problems.iter().filter(|problem| problem.severity == config::Severity::Error).count()
}

/// A problem in one line.
fn summary(problem: &Problem) -> String {
    match &problem.position {
        Some(at) => format!("{}:{}:{}: {}", problem.file, at.line, at.column, problem.message),
        None => format!("{}: {}", problem.file, problem.message),
    }
}

/// Writes into the operational log what came of it.
fn tell(outcome: &Outcome, by: Asker) {
    match outcome {
        Outcome::Loaded { before, now, warnings, tests } => {
            for warning in warnings {
                warn!("{}", summary(warning));
            }
            if before == now {
                info!(%by, policy = %now, tests_passed = tests, "the policy was read again; its files have not changed");
            } else {
                info!(%by, policy = %now, %before, tests_passed = tests, "another policy is in force");
            }
        }
        Outcome::Rejected(problems) => {
            error!(%by, errors = errors(problems), "the policy files were read and are refused; what was in force stays");
            for problem in problems {
                match problem.severity {
                    config::Severity::Error => error!("{}", summary(problem)),
                    config::Severity::Warning => warn!("{}", summary(problem)),
                }
            }
        }
        Outcome::TestsFailed(failed) => {
            error!(%by, failed = failed.len(), "the policy fails its tests and is refused; what was in force stays");
            for failure in failed {
                error!("{failure}");
            }
        }
        Outcome::Failed(reason) => error!(%by, %reason, "the policy could not be read again; what was in force stays"),
    }
}

impl Asker {
    /// The record with who asked.
    fn on(self, record: Record) -> Record {
        let record = record.with("asked_by", Detail::Text(self.word().to_owned()));
        let Self::Control { uid, pid } = self else { return record };
        let record = record.with("asked_by_uid", Detail::Number(uid.into()));
        match pid.and_then(|pid| u64::try_from(pid).ok()) {
            Some(pid) => record.with("asked_by_pid", Detail::Number(pid)),
            None => record,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Signal => "SIGHUP",
            Self::Control { .. } => "control socket",
            Self::FileChange => "file change",
        }
    }
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Control { uid, pid: Some(pid) } => write!(f, " (uid {uid}, pid {pid})"),
            Self::Control { uid, pid: None } => write!(f, " (uid {uid})"),
            _ => Ok(()),
        }
    }
}
