//! The running server: start-up in its one right order, the sessions, and the end.
//!
//! Files and ports are opened first, then every privilege is given up, and only then do threads
//! start and connections come in.

mod answering;
mod answers;
mod arrivals;
mod bandwidth;
mod bans;
mod buffers;
pub(crate) mod calls;
mod certificates;
mod codes;
mod confinement;
mod control;
mod current;
pub(crate) mod descriptors;
mod drain;
mod driver;
mod file_change;
mod freezes;
mod hashing;
mod keeper;
mod link;
mod listeners;
pub mod logging;
mod metrics;
mod minutes;
mod mover;
mod passwords;
mod places;
mod plan;
mod prepare;
mod proofs;
mod reload;
mod roots;
pub mod sandbox;
mod server;
mod sessions;
mod signing;
mod socket;
mod socket_file;
mod space;
mod stopping;
mod supervisor;
mod unchangeable;

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::audit::sink::{AuditLog, AuditWriter, OpenedLog};
use crate::auth::changes::Changes;
use crate::auth::hash;
use crate::auth::legacy::Dearest;
use crate::auth::verifier::Verifier;
use crate::net::listener;
use crate::net::names::Names;
use crate::settings::{Argon2Cost, Config};
use crate::store::{self, Homes};
use crate::tls::ServerTls;
use confinement::Confinement;
use current::InForce;
pub(crate) use keeper::confine as confine_keeper;
use listeners::{Bound, Listeners};
use logging::{Logging, Severity};
use metrics::Figures;
use metrics::endpoint::Endpoint;
use reload::Reloader;
use sandbox::Report;
use server::Shared;
use socket::ControlSocket;
use socket_file::SocketFile;
use stopping::{Signals, Stop};
use supervisor::activation::Passed;
use supervisor::notify;

/// What the operator is told while the server starts.
#[derive(Clone, Debug, Default)]
pub struct Notice {
    /// Text for standard output once the server accepts connections.
    pub ready_text: Option<String>,
}

/// Why the server did not start: what failed, and what to do about it.
#[derive(Debug)]
pub struct StartError {
    doing: &'static str,
    reason: String,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.reason)
    }
}

impl std::error::Error for StartError {}

/// Names the step that failed.
fn step<T, E: fmt::Display>(doing: &'static str, result: Result<T, E>) -> Result<T, StartError> {
    result.map_err(|reason| StartError { doing, reason: reason.to_string() })
}

/// Serves until told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`] where the server could not be started; once it serves, it only ends on request.
pub fn run(config: Config, notice: Notice) -> Result<(), StartError> {
    let passed = Passed::from_env();
    let logging = step("setting up the log", Logging::install(&config.log, config.process.run_as.as_ref()))?;
    descriptors::raise_limit(config.limits.sessions);
    let tls = step("loading the certificate", ServerTls::load(&config.tls))?;
    let opened = step("opening the audit log", AuditLog::open(&config.audit))?;
    let keys = step("loading the key of the audit log", signing::load(&config))?;
    if let Some(account) = config.process.run_as.as_ref().filter(|_| rustix::process::geteuid().is_root()) {
        step("giving the audit log to the server's account", opened.give_to(account))?;
    }
    let trusted = signing::trusted(&config, &keys);
    let opened = step("opening the audit log", opened.sign_with(keys))?;
    let keeper = step("starting the keeper of the audit log", keeper::Started::start(&config, &trusted))?;
    let changes = step("opening the changed passwords", passwords::open(&config))?;
    let mut passed = step("taking the sockets of the service manager over", passed)?;
    let bound = bind(&config, &mut passed)?;
    let endpoint = endpoint(&config, &mut passed)?;
    step("taking the sockets of the service manager over", passed.finish())?;
    let supervisor = notify::Opened::from_env();
    let figures = Figures::open();
    let socket = config.control.as_ref().map(|control| ControlSocket::bind(control, config.process.run_as.as_ref()));
    let socket = step("opening the control socket", socket.transpose())?;
    // Inside the sandbox, neither the files that name the name servers can be read, nor can the
    // system be asked how many processors there are.
    let names = Names::read(&config.passive.resolvers);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let plan = plan::plan(&config);
    let report = step("entering the sandbox", sandbox::enter(&plan))?;
    for line in report.to_string().lines() {
        info!("{line}");
    }
    step("looking whether homes can be opened", store::probe())?;
    certificates::tell_of_unreadable(&config.tls);
    let guard = step("opening the log file", logging.start_file())?;
    let confinement = Confinement::new(&plan, report);
    let severity = logging.severity();
    let opened = Opened {
        tls,
        log: opened,
        keeper,
        changes,
        bound,
        socket,
        endpoint,
        supervisor,
        figures,
        names,
        confinement,
        severity,
    };
    let served = confined(config, opened, workers, notice);
    drop(guard);
    served
}

/// What was opened while every privilege was there.
struct Opened {
    tls: ServerTls,
    log: OpenedLog,
    keeper: keeper::Started,
    changes: Option<Changes>,
    bound: Vec<Bound>,
    socket: Option<ControlSocket>,
    endpoint: Endpoint,
    supervisor: notify::Opened,
    figures: Figures,
    /// What knows the addresses of names that are advertised.
    names: Names,
    confinement: Confinement,
    severity: Severity,
}

/// Everything that happens inside the sandbox.
fn confined(config: Config, opened: Opened, workers: usize, notice: Notice) -> Result<(), StartError> {
    let Opened {
        tls,
        log,
        keeper,
        changes,
        bound,
        socket,
        endpoint,
        supervisor,
        figures,
        names,
        confinement,
        severity,
    } = opened;
    let (audit, writer) = step("starting the audit log", log.start(Some(keeper.renamer())))?;
    let (keeper, end_of_keeper) = step("listening to the keeper", keeper.attend(audit.clone()))?;
    let runtime = step(
        "starting the runtime",
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build(),
    )?;
    let homes = Homes::new(roots::settings(&config));
    roots::open(&homes, &config, None);
    let socket_files: Vec<SocketFile> = socket.iter().map(ControlSocket::file).chain(endpoint.file.clone()).collect();
    let pulse = Arc::default();
    let (notifier, telling) = step("starting to tell the service manager", supervisor.start(&audit, &pulse))?;
    let told = (figures, pulse, notifier.clone());
    let result = runtime.block_on(async {
        let verifier = step("preparing password checks", verifier(&config))?;
        let in_force = InForce::new(config, tls, verifier);
        let shared = Shared::new(in_force, homes, audit.clone(), changes, keeper, told);
        let shared = Arc::new(step("reading who is banned and what is frozen", shared)?);
        let (stop, stop_told) = watch::channel(Stop::No);
        let (alive, ended) = mpsc::channel(1);
        let listeners = Listeners::new(&shared, stop_told.clone(), alive);
        let (signals, hangups) = step("catching signals", Signals::catch())?;
        step("writing the audit log", record_start(&audit, &shared.config(), confinement.report()).await)?;
        tokio::spawn(signals.conduct(stop, Arc::clone(&shared)));
        let reloader = Reloader::new(&shared, confinement, severity, names, listeners);
        reloader.look_names_up().await;
        step("listening", reloader.accept_from(bound).await)?;
        ready(&shared.config(), notice);
        shared.notifier.ready(notify::SERVING);
        server::serve(&reloader, hangups, (socket, endpoint), ended, stop_told).await;
        Ok(shared.config().limits.drain_time)
    });
    // Blocking work that still runs is an upload's last write; it may finish.
    runtime.shutdown_timeout(*result.as_ref().unwrap_or(&std::time::Duration::ZERO));
    socket_files.iter().for_each(SocketFile::remove);
    if result.is_ok() {
        stopped(&audit, writer);
    }
    end_of_keeper.finish();
    notifier.end();
    // It failed only where it ended before.
    let _ = telling.map(std::thread::JoinHandle::join);
    result.map(drop)
}

/// Whether there are host names to be looked up while the server runs.
fn has_names(config: &Config) -> bool {
    !config.passive.names().is_empty()
}

/// Takes over or binds every listener, before the privileges for it are gone.
fn bind(config: &Config, passed: &mut Passed) -> Result<Vec<Bound>, StartError> {
    let named = listeners::named(&config.listen).into_iter();
    named
        .map(|(address, implicit)| {
            let socket = match passed.take(address) {
                Some(socket) => socket,
                None => step("listening", listener::bind(address))?,
            };
            Ok(Bound { address, implicit, socket })
        })
        .collect()
}

/// Binds what metrics are asked for on.
fn endpoint(config: &Config, passed: &mut Passed) -> Result<Endpoint, StartError> {
    let metrics = &config.metrics;
    let tcp = metrics.listen.and_then(|address| passed.take(address));
    let unix = metrics.socket.as_ref().and_then(|path| passed.take_unix(path));
    step("listening for metrics", Endpoint::bind(metrics, (tcp, unix), config.process.run_as.as_ref()))
}

/// The hash of every user.
fn hashes(config: &Config) -> impl Iterator<Item = &str> {
    config.policy.users.values().map(|account| account.password.as_str())
}

/// What checks the passwords of these settings.
fn verifier(config: &Config) -> Result<Verifier, hash::HashError> {
    let (cost, others) = expense(config);
    Ok(Verifier::new(cost, config.passwords.checks_parallel)?.with_others(others))
}

/// What checking any password costs, also that of an unknown user: as much as that of the dearest
/// hash of each kind, so that the time tells nothing.
fn expense(config: &Config) -> (Argon2Cost, Dearest) {
    let known = hashes(config).filter_map(|hash| match hash::kind(hash) {
        Ok(hash::Kind::Argon2id(cost) | hash::Kind::Argon2i(cost)) => Some(cost),
        _ => None,
    });
    let dearest = known.fold(config.passwords.argon2, |most, one| {
        let work = |cost: Argon2Cost| u64::from(cost.memory_kib).saturating_mul(u64::from(cost.iterations));
        if work(one) > work(most) { one } else { most }
    });
    (dearest, Dearest::of(hashes(config)))
}

async fn record_start(
    audit: &AuditLog,
    config: &Config,
    report: &Report,
) -> Result<(), crate::audit::sink::AuditFault> {
    let mut start = Record::new(Event::ServiceStart);
    start.details = report.details();
    audit.record(start).await?;
    audit.record(policy_loaded(config)).await
}

/// The record of a policy that comes into force.
fn policy_loaded(config: &Config) -> Record {
    let loaded = Record::new(Event::PolicyLoaded)
        .with("policy", Detail::Text(config.fingerprint.to_string()))
        .with("users", Detail::Number(u64::try_from(config.policy.users.len()).unwrap_or(0)));
    if config.overrides.is_empty() {
        loaded
    } else {
        loaded.with("overrides", Detail::Text(config.overrides.join("; ")))
    }
}

/// Tells the operator that the server accepts connections.
fn ready(config: &Config, notice: Notice) {
    for (address, implicit) in listeners::named(&config.listen) {
        listeners::announce(address, implicit);
    }
    if let Some(text) = notice.ready_text {
        // Nobody may be reading; the server serves all the same.
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}

fn stopped(audit: &AuditLog, writer: AuditWriter) {
    if let Err(fault) = audit.record_blocking(Record::new(Event::ServiceStop)) {
        warn!(%fault, "the stop is not recorded");
    }
    if let Err(fault) = writer.finish() {
        warn!(%fault, "the audit log was not closed in order");
    }
    info!("stopped");
}
