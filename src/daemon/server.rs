//! What all sessions share, the loops that accept connections, and what goes on beside them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::signal::unix::Signal;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};
use ulid::Ulid;

use super::bandwidth::Bandwidth;
use super::bans::Bans;
use super::buffers::Buffers;
use super::certificates;
use super::current::{Current, InForce};
use super::drain::Drain;
use super::driver::Driver;
use super::freezes::Freezes;
use super::keeper::Keeper;
use super::metrics::Figures;
use super::metrics::endpoint::Endpoint;
use super::minutes;
use super::places::Places;
use super::reload::{Asker, Reloader};
use super::sessions::Sessions;
use super::socket::ControlSocket;
use super::space::{self, Warned};
use super::stopping::Stop;
use super::supervisor::notify::Notifier;
use super::supervisor::pulse::Pulse;
use crate::audit::event::Event;
use crate::audit::flood::{FloodCounter, Refusal};
use crate::audit::record::{Detail, Record, SessionFacts};
use crate::audit::sink::AuditLog;
use crate::auth::changes::Changes;
use crate::auth::codes::UsedCodes;
use crate::auth::logins::Logins;
use crate::auth::throttle::Throttle;
use crate::auth::verifier::Verifier;
use crate::net::admission::Admission;
use crate::net::advertised::Advertised;
use crate::net::passive::{PassivePorts, Stranger};
use crate::net::proxy::HEADERS_MAX;
use crate::net::route::{Proxies, Route};
use crate::policy::Policy;
use crate::session::{Session, Settings};
use crate::settings::Config;
use crate::store::Homes;
use crate::tls::ServerTls;

/// How often expired counts and bans are let go.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);
/// Connections that are being turned away at the same time; more are just closed.
const REFUSALS_MAX: usize = 64;

/// What every session uses.
pub(super) struct Shared {
    pub(super) current: Current,
    /// The passwords that users changed; none where the policy keeps none.
    pub(super) changes: Option<Changes>,
    /// The codes of the moment that were used.
    pub(super) codes: UsedCodes,
    /// Who logged in last when.
    pub(super) logins: Logins,
    /// Who was banned by hand.
    pub(super) bans: Bans,
    /// What is read-only.
    pub(super) freezes: Freezes,
    /// Whether the server ends with its last session.
    pub(super) drain: Drain,
    pub(super) homes: Arc<Homes>,
    /// What was warned of as nearly full.
    pub(super) space: Warned,
    pub(super) passive: Arc<PassivePorts>,
    pub(super) audit: AuditLog,
    /// The process that works on closed files of the log, and copies it.
    pub(super) keeper: Arc<Keeper>,
    pub(super) buffers: Arc<Buffers>,
    pub(super) admission: Arc<Admission>,
    pub(super) sessions: Arc<Sessions>,
    /// What users have of sessions and transfers.
    pub(super) places: Arc<Places>,
    /// What the server has of bandwidth.
    pub(super) bandwidth: Arc<Bandwidth>,
    /// Counts up whenever every session is to be judged again.
    pub(super) policy_changed: watch::Sender<u64>,
    /// Places for connections of proxies whose header is still to come.
    pub(super) headers: Arc<Semaphore>,
    pub(super) refusals: Arc<Semaphore>,
    /// What is counted besides the audit log.
    pub(super) figures: Figures,
    /// Whether the parts of the server go on.
    pub(super) pulse: Arc<Pulse>,
    /// What the service manager hears.
    pub(super) notifier: Notifier,
    flood: Mutex<FloodCounter>,
}

impl Shared {
    /// What there is before the first session.
    ///
    /// # Errors
    /// Where it cannot be read who is banned, or what is frozen.
    pub(super) fn new(
        mut in_force: InForce,
        homes: Homes,
        audit: AuditLog,
        changes: Option<Changes>,
        keeper: Arc<Keeper>,
        told: (Figures, Arc<Pulse>, Notifier),
    ) -> std::io::Result<Self> {
        let (figures, pulse, notifier) = told;
        let state = changes.as_ref().map(|changes| Arc::clone(changes.directory()));
        let bans = Bans::open(state.clone())?;
        let freezes = Freezes::open(state.clone())?;
        in_force.policy = Arc::new(in_force.policy.with_freezes(freezes.all()));
        let config = &in_force.config;
        Ok(Self {
            bans,
            freezes,
            drain: Drain::default(),
            codes: UsedCodes::open(state.clone(), Timestamp::now()),
            logins: Logins::open(state),
            changes,
            homes: Arc::new(homes),
            space: Warned::default(),
            passive: PassivePorts::new(config.passive.ports, Proxies::new(&config.listen.proxies)),
            audit,
            keeper,
            buffers: Arc::default(),
            admission: Admission::new(&config.limits),
            sessions: Arc::default(),
            places: Arc::default(),
            bandwidth: Arc::new(Bandwidth::new((&config.limits).into())),
            policy_changed: watch::Sender::default(),
            headers: Arc::new(Semaphore::new(HEADERS_MAX)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            figures,
            pulse,
            notifier,
            flood: Mutex::default(),
            current: Current::new(in_force),
        })
    }

    /// The settings in force.
    pub(super) fn config(&self) -> Arc<Config> {
        self.current.config()
    }

    /// The policy in force; the one in the settings is that of the last reading.
    pub(super) fn policy(&self) -> Arc<Policy> {
        self.current.policy()
    }

    /// Has every session judged again: another policy is in force, or another minute has begun.
    pub(super) fn rejudge(&self) {
        self.policy_changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// What connections that begin now are protected with.
    pub(super) fn tls(&self) -> Arc<ServerTls> {
        self.current.get(|in_force| Arc::clone(&in_force.tls))
    }

    /// What counts failed logins.
    pub(super) fn throttle(&self) -> Arc<Throttle> {
        self.current.get(|in_force| Arc::clone(&in_force.throttle))
    }

    /// What checks passwords.
    pub(super) fn verifier(&self) -> Arc<Verifier> {
        self.current.get(|in_force| Arc::clone(&in_force.verifier))
    }

    /// What `PASV` announces.
    pub(super) fn advertised(&self) -> Arc<Advertised> {
        self.current.get(|in_force| Arc::clone(&in_force.advertised))
    }

    /// The proxies that control connections may come through.
    pub(super) fn proxies(&self) -> Arc<Proxies> {
        self.current.get(|in_force| Arc::clone(&in_force.proxies))
    }

    /// The places for hashes that clients ask for.
    pub(super) fn hashes(&self) -> Arc<Semaphore> {
        self.current.get(|in_force| Arc::clone(&in_force.hashes))
    }

    /// Records something that clients can cause at will, each on its own while they are few, and
    /// counted where they come in floods.
    /// Counts at once, and gives the records that are to be written.
    pub(super) fn count_refusal(
        &self,
        address: IpAddr,
        reason: &'static str,
        record: impl FnOnce() -> Record,
    ) -> Vec<Record> {
        let (mut records, verdict) = {
            let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            (flood.summaries(now), flood.count(address, reason, now))
        };
        if verdict == Refusal::Record {
            records.push(record());
        }
        records
    }

    /// Writes the last logins that are not written yet.
    async fn write_logins(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let writing = tokio::task::spawn_blocking(move || {
            let policy = shared.policy();
            shared.logins.write(|user| policy.users.contains_key(user));
        });
        if let Err(failure) = writing.await {
            error!(%failure, "the last logins could not be written");
        }
    }

    /// Writes what has only been counted so far.
    async fn record_counted(&self, all: bool) {
        let records = {
            let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
            if all { flood.flush() } else { flood.summaries(Instant::now()) }
        };
        self.record_all(records).await;
    }

    pub(super) async fn record_all(&self, records: Vec<Record>) {
        for record in records {
            if let Err(fault) = self.audit.record(record).await {
                warn!(%fault, "a refused connection is not recorded");
            }
        }
    }
}

/// Serves until told to stop; returns once the last session has ended.
pub(super) async fn serve(
    reloader: &Arc<Reloader>,
    hangups: Signal,
    (socket, endpoint): (Option<ControlSocket>, Endpoint),
    mut ended: mpsc::Receiver<()>,
    mut stop: watch::Receiver<Stop>,
) {
    let shared = &reloader.shared;
    let mut upkeep = JoinSet::new();
    upkeep.spawn(sweep(Arc::clone(shared)));
    upkeep.spawn(minutes::watch(Arc::clone(shared)));
    upkeep.spawn(space::watch(Arc::clone(shared)));
    upkeep.spawn(space::count(Arc::clone(shared)));
    upkeep.spawn(certificates::keep_current(Arc::clone(shared)));
    if let Some(strangers) = shared.passive.strangers() {
        upkeep.spawn(record_strangers(Arc::clone(shared), strangers));
    }
    upkeep.spawn(super::file_change::watch(Arc::clone(reloader)));
    upkeep.spawn(reload_on_hangup(Arc::clone(reloader), hangups));
    if let Some(socket) = socket {
        upkeep.spawn(socket.serve(Arc::clone(reloader), stop.clone()));
    }
    upkeep.spawn(endpoint.serve(Arc::clone(reloader), stop.clone()));
    upkeep.spawn(shared.pulse.enter("the runtime".to_owned(), false).keep_answering());
    // A sender that is gone means the same.
    let _ = stop.wait_for(|stop| *stop > Stop::No).await;
    shared.notifier.stopping(shared.config().limits.drain_time);
    reloader.end().await;
    while ended.recv().await.is_some() {}
    shared.homes.end_scans();
    upkeep.shutdown().await;
    let homes = Arc::clone(&shared.homes);
    if let Err(failure) = tokio::task::spawn_blocking(move || homes.save_counts(true)).await {
        error!(%failure, "what the homes hold could not be written down; they are counted at the next start");
    }
    shared.record_counted(true).await;
    shared.write_logins().await;
}

/// Reads the policy again whenever SIGHUP asks for it.
async fn reload_on_hangup(reloader: Arc<Reloader>, mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        reloader.reload(Asker::Signal).await;
    }
}

/// What serves a connection that may come.
pub(super) fn driver(
    shared: &Arc<Shared>,
    stream: TcpStream,
    route: Route,
    implicit: bool,
    stop: watch::Receiver<Stop>,
) -> Driver {
    let config = &shared.config();
    let facts = Arc::new(SessionFacts {
        id: Ulid::generate().to_string(),
        created_micros: Timestamp::now().as_microsecond(),
        client: route.client,
        server: route.server,
        proxy: route.proxy.map(|via| via.address),
        policy: Arc::clone(&config.fingerprint),
    });
    let settings = Settings {
        implicit,
        active: config.active,
        names: shared.current.get(|in_force| Arc::clone(&in_force.names)),
        failed_commands_max: config.limits.failed_commands,
        attempts_max: config.login.attempts_per_session.get(),
        hashes: config.storage.hashes,
    };
    Driver::new(Arc::clone(shared), stream, route, Session::new(settings, facts), stop)
}

/// Lets expired counts and interrupted uploads go, and writes what was only counted.
async fn sweep(shared: Arc<Shared>) {
    let mut each_second = interval(Duration::from_secs(1));
    each_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = Instant::now();
    loop {
        each_second.tick().await;
        shared.record_counted(false).await;
        shared.admission.sweep();
        shared.sessions.sample();
        if swept.elapsed() >= SWEEP_PERIOD {
            shared.throttle().sweep();
            shared.write_logins().await;
            let homes = Arc::clone(&shared.homes);
            let upkeep = move || {
                homes.expire();
                homes.save_counts(false);
            };
            if let Err(failure) = tokio::task::spawn_blocking(upkeep).await {
                error!(%failure, "interrupted uploads whose time is over could not be removed");
            }
            swept = Instant::now();
        }
    }
}

/// Records connections to passive ports from addresses that have nothing to do there.
async fn record_strangers(shared: Arc<Shared>, mut strangers: mpsc::Receiver<Stranger>) {
    while let Some(stranger) = strangers.recv().await {
        let record = || {
            let mut record = Record::new(Event::DataPeerMismatch).failed(stranger.reason);
            record = record.with("source_ip", Detail::Text(stranger.peer.ip().to_string()));
            record = record.with("passive_port", Detail::Number(stranger.local.port().into()));
            if let Some(proxy) = stranger.proxy {
                record = record.with("proxy", Detail::Text(proxy.to_string()));
            }
            record.with("unreported", Detail::Number(stranger.unreported))
        };
        let records = shared.count_refusal(stranger.peer.ip(), "data_peer_mismatch", record);
        shared.record_all(records).await;
    }
}
