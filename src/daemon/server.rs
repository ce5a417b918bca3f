//! What all sessions share, and the loops that accept connections: who may not come is turned away
//! here, before a session exists.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{error, warn};
use ulid::Ulid;

use super::buffers::Buffers;
use super::driver::Driver;
use super::stopping::Stop;
use crate::audit::event::Event;
use crate::audit::flood::{FloodCounter, Refusal};
use crate::audit::record::{Detail, Record, SessionFacts};
use crate::audit::sink::AuditLog;
use crate::auth::throttle::Throttle;
use crate::auth::verifier::Verifier;
use crate::net::admission::{Admission, Permit, Refused};
use crate::net::listener::{Arrival, Listener};
use crate::net::passive::{PassivePorts, Stranger};
use crate::policy::network::AddressVerdict;
use crate::proto::reply::{Code, Reply};
use crate::session::{Session, Settings};
use crate::settings::Config;
use crate::store::Homes;
use crate::tls::ServerTls;

/// How often expired counts and bans are let go.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);
/// How long somebody who is turned away may take to hear it.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// Connections that are being turned away at the same time; more are just closed.
const REFUSALS_MAX: usize = 64;

/// What every session uses.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) tls: Arc<ServerTls>,
    pub(super) homes: Arc<Homes>,
    pub(super) passive: Arc<PassivePorts>,
    pub(super) throttle: Throttle,
    pub(super) verifier: Verifier,
    pub(super) audit: AuditLog,
    pub(super) buffers: Arc<Buffers>,
    pub(super) admission: Arc<Admission>,
    refusals: Arc<Semaphore>,
    flood: Mutex<FloodCounter>,
}

impl Shared {
    pub(super) fn new(config: Config, tls: ServerTls, homes: Homes, verifier: Verifier, audit: AuditLog) -> Self {
        Self {
            tls: Arc::new(tls),
            homes: Arc::new(homes),
            passive: PassivePorts::new(config.passive.ports),
            throttle: Throttle::new(&config.login),
            verifier,
            audit,
            buffers: Arc::default(),
            admission: Admission::new(&config.limits),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            flood: Mutex::default(),
            config,
        }
    }

    /// Records something that clients can cause at will, each on its own while they are few, and
    /// counted where they come in floods.
    async fn record_refusal(&self, address: IpAddr, reason: &'static str, record: impl FnOnce() -> Record) {
        let (mut records, verdict) = {
            let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            (flood.summaries(now), flood.count(address, reason, now))
        };
        if verdict == Refusal::Record {
            records.push(record());
        }
        self.record_all(records).await;
    }

    /// Writes what has only been counted so far.
    async fn record_counted(&self, all: bool) {
        let records = {
            let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
            if all { flood.flush() } else { flood.summaries(Instant::now()) }
        };
        self.record_all(records).await;
    }

    async fn record_all(&self, records: Vec<Record>) {
        for record in records {
            if let Err(fault) = self.audit.record(record).await {
                warn!(%fault, "a refused connection is not recorded");
            }
        }
    }
}

/// Serves until told to stop; returns once the last session has ended.
pub(super) async fn serve(
    shared: Arc<Shared>,
    listeners: Vec<(Listener, bool)>,
    strangers: Option<mpsc::Receiver<Stranger>>,
    stop: &watch::Receiver<Stop>,
) {
    let mut loops = JoinSet::new();
    for (listener, implicit) in listeners {
        loops.spawn(accept(Arc::clone(&shared), listener, implicit, stop.clone()));
    }
    let mut upkeep = JoinSet::new();
    upkeep.spawn(sweep(Arc::clone(&shared)));
    if let Some(strangers) = strangers {
        upkeep.spawn(record_strangers(Arc::clone(&shared), strangers));
    }
    while let Some(ended) = loops.join_next().await {
        if let Err(failure) = ended {
            error!(%failure, "an accept loop ended");
        }
    }
    upkeep.shutdown().await;
    shared.record_counted(true).await;
}

/// Accepts connections on one listener, and waits for its sessions once the server stops.
async fn accept(shared: Arc<Shared>, listener: Listener, implicit: bool, mut stop: watch::Receiver<Stop>) {
    let mut sessions = JoinSet::new();
    let told = stop.clone();
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop > Stop::No) => break,
            Some(ended) = sessions.join_next() => log_panic(ended),
            arrival = listener.accept() => admit(&shared, arrival, implicit, &told, &mut sessions),
        }
    }
    drop(listener);
    while let Some(ended) = sessions.join_next().await {
        log_panic(ended);
    }
}

/// A session that failed in a way nobody foresaw ends alone.
fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(failure) = ended {
        error!(%failure, "a session ended by a fault of the server's own; please report it");
    }
}

/// Begins a session for somebody who may come, and turns everybody else away.
fn admit(
    shared: &Arc<Shared>,
    arrival: Arrival,
    implicit: bool,
    stop: &watch::Receiver<Stop>,
    sessions: &mut JoinSet<()>,
) {
    let Arrival { stream, client, server } = arrival;
    match judge(shared, client.ip()) {
        Ok(permit) => {
            let driver = driver(shared, stream, client, server, implicit, stop.clone());
            sessions.spawn(async move {
                driver.run().await;
                drop(permit);
            });
        }
        Err(reason) => {
            let Ok(place) = Arc::clone(&shared.refusals).try_acquire_owned() else { return };
            let shared = Arc::clone(shared);
            sessions.spawn(async move {
                turn_away(&shared, stream, client, implicit, reason).await;
                drop(place);
            });
        }
    }
}

/// Whether an address may come, by policy, by its past, and by what is free.
fn judge(shared: &Shared, client: IpAddr) -> Result<Permit, &'static str> {
    match shared.config.policy.networks.judge(client) {
        AddressVerdict::Allowed(_) => {}
        AddressVerdict::Denied(_) => return Err("ip_denied"),
        AddressVerdict::Unlisted => return Err("ip_not_allowed"),
    }
    if shared.throttle.connection(client).is_err() {
        return Err("banned");
    }
    if !shared.audit.is_healthy() {
        return Err("audit_unavailable");
    }
    shared.admission.admit(client).map_err(Refused::reason)
}

async fn turn_away(shared: &Shared, mut stream: TcpStream, client: SocketAddr, implicit: bool, reason: &'static str) {
    let record = || {
        let mut record = Record::new(Event::ConnectionRefused).failed(reason);
        record.codes = vec![Code::Unavailable.number()];
        record
            .with("source_ip", Detail::Text(client.ip().to_string()))
            .with("source_port", Detail::Number(client.port().into()))
    };
    shared.record_refusal(client.ip(), reason, record).await;
    let _ = timeout(REFUSAL_TIME, async {
        if !implicit {
            let mut line = Vec::new();
            refusal(Code::Unavailable, "Service not available.").write(&mut line);
            stream.write_all(&line).await?;
        }
        stream.shutdown().await?;
        // What the client has sent meanwhile must not turn the farewell into a reset.
        let mut scratch = [0; 256];
        while stream.read(&mut scratch).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}

/// A reply that the server gives outside of any session.
pub(super) fn refusal(code: Code, text: &'static str) -> Reply {
    Reply::new(code, text)
}

fn driver(
    shared: &Arc<Shared>,
    stream: TcpStream,
    client: SocketAddr,
    server: SocketAddr,
    implicit: bool,
    stop: watch::Receiver<Stop>,
) -> Driver {
    let config = &shared.config;
    let facts = Arc::new(SessionFacts {
        id: Ulid::generate().to_string(),
        created_micros: Timestamp::now().as_microsecond(),
        client,
        server,
        policy: Arc::clone(&config.fingerprint),
    });
    let local = match server.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    let settings = Settings {
        implicit,
        passive_address: local.map(|address| config.passive.advertised(client.ip()).unwrap_or(address)),
        active: config.active,
        failed_commands_max: config.limits.failed_commands,
        attempts_max: config.login.attempts_per_session.get(),
    };
    Driver::new(Arc::clone(shared), stream, client, server, Session::new(settings, facts), stop)
}

/// Lets expired counts and interrupted uploads go, and writes what was only counted.
async fn sweep(shared: Arc<Shared>) {
    let mut each_second = interval(Duration::from_secs(1));
    each_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = Instant::now();
    loop {
        each_second.tick().await;
        shared.record_counted(false).await;
        if swept.elapsed() >= SWEEP_PERIOD {
            shared.throttle.sweep();
            let homes = Arc::clone(&shared.homes);
            if let Err(failure) = tokio::task::spawn_blocking(move || homes.expire()).await {
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
            let mut record = Record::new(Event::DataPeerMismatch).failed("no_reservation");
            record = record.with("source_ip", Detail::Text(stranger.peer.ip().to_string()));
            record = record.with("passive_port", Detail::Number(stranger.local.port().into()));
            record.with("unreported", Detail::Number(stranger.unreported))
        };
        shared.record_refusal(stranger.peer.ip(), "data_peer_mismatch", record).await;
    }
}
