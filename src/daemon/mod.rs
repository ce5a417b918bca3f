//! The running server: start-up in its one right order, the sessions, and the end.
//!
//! Files and ports are opened first, then every privilege is given up, and only then do threads
//! start and connections come in.

mod answers;
mod arrivals;
mod buffers;
mod control;
mod current;
pub(crate) mod descriptors;
mod driver;
mod hashing;
mod link;
pub mod logging;
mod mover;
mod passwords;
pub mod sandbox;
mod server;
mod sessions;
mod stopping;

use std::fmt;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::audit::sink::{AuditLog, AuditWriter, OpenedLog};
use crate::auth::changes::Changes;
use crate::auth::hash;
use crate::auth::verifier::Verifier;
use crate::net::listener::{self, Listener};
use crate::net::names::Names;
use crate::settings::{Argon2Cost, Config};
use crate::store::{Homes, StoreSettings};
use crate::tls::ServerTls;
use current::InForce;
use logging::Logging;
use sandbox::{Plan, Report};
use server::Shared;
use stopping::{Signals, Stop};

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
    let logging = step("setting up the log", Logging::install(&config.log, config.process.run_as.as_ref()))?;
    descriptors::raise_limit(config.limits.sessions);
    let tls = step("loading the certificate", ServerTls::load(&config.tls))?;
    let opened = step("opening the audit log", AuditLog::open(&config.audit))?;
    if let Some(account) = config.process.run_as.as_ref().filter(|_| rustix::process::geteuid().is_root()) {
        step("giving the audit log to the server's account", opened.give_to(account))?;
    }
    let changes = step("opening the changed passwords", passwords::open(&config))?;
    let bound = bind(&config)?;
    // Inside the sandbox, neither the files that name the name servers can be read, nor can the
    // system be asked how many processors there are.
    let names = has_names(&config).then(|| Names::read(&config.passive.resolvers));
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let report = step("entering the sandbox", sandbox::enter(&plan(&config)))?;
    for line in report.to_string().lines() {
        info!("{line}");
    }
    let guard = step("opening the log file", logging.start_file())?;
    let opened = Opened { tls, log: opened, changes, bound, names };
    let served = confined(config, opened, workers, &report, notice);
    drop(guard);
    served
}

/// What was opened while every privilege was there.
struct Opened {
    tls: ServerTls,
    log: OpenedLog,
    changes: Option<Changes>,
    /// Listeners, and whether each is implicit.
    bound: Vec<(TcpListener, bool)>,
    /// The name servers to ask, where an address is advertised by its name.
    names: Option<Names>,
}

/// Everything that happens inside the sandbox.
fn confined(config: Config, opened: Opened, workers: usize, report: &Report, notice: Notice) -> Result<(), StartError> {
    let Opened { tls, log, changes, bound, names } = opened;
    let (audit, writer) = step("starting the audit log", log.start())?;
    let runtime = step(
        "starting the runtime",
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build(),
    )?;
    let homes = open_homes(&config);
    let drain = config.limits.drain_time;
    let result = runtime.block_on(async {
        let verifier =
            step("preparing password checks", Verifier::new(cost(&config), config.passwords.checks_parallel))?;
        let shared = Arc::new(Shared::new(InForce::new(config, tls, verifier), homes, audit.clone(), changes));
        let listeners: Vec<(Listener, bool)> = step(
            "listening",
            bound
                .into_iter()
                .map(|(bound, implicit)| Ok((Listener::new(bound)?, implicit)))
                .collect::<std::io::Result<_>>(),
        )?;
        let signals = step("catching signals", Signals::catch())?;
        step("writing the audit log", record_start(&audit, &shared.config(), report).await)?;
        let (stop, told) = watch::channel(Stop::No);
        tokio::spawn(signals.conduct(stop, drain));
        if let Some(names) = names {
            server::look_names_up(&shared, names).await;
        }
        ready(&shared.config(), notice);
        let strangers = shared.passive.strangers();
        server::serve(shared, listeners, strangers, &told).await;
        Ok(())
    });
    // Blocking work that still runs is an upload's last write; it may finish.
    runtime.shutdown_timeout(drain);
    if result.is_ok() {
        stopped(&audit, writer);
    }
    result
}

/// Whether there are host names to be looked up while the server runs.
fn has_names(config: &Config) -> bool {
    !config.passive.names().is_empty()
}

/// Binds every listener before the privileges for it are gone.
fn bind(config: &Config) -> Result<Vec<(TcpListener, bool)>, StartError> {
    let explicit = config.listen.explicit.iter().map(|address| (*address, false));
    let implicit = config.listen.implicit.iter().map(|address| (*address, true));
    explicit
        .chain(implicit)
        .map(|(address, implicit)| Ok((step("listening", listener::bind(address))?, implicit)))
        .collect()
}

/// Exactly what the server touches from here on. The policy, the certificate and its key were read
/// and are out of reach.
fn plan(config: &Config) -> Plan {
    let homes = config.policy.users.values().map(|account| account.home.clone());
    let mut create_write = vec![config.audit.directory.clone()];
    create_write.extend(config.log.directory.clone());
    let changes = config.password_changes.iter().map(|changes| changes.directory.clone());
    Plan {
        run_as: config.process.run_as.clone(),
        read_only: Vec::new(),
        read_write: homes.chain(config.storage.base_directories.iter().cloned()).chain(changes).collect(),
        create_write,
        bind_ports: vec![config.passive.ports.first..=config.passive.ports.last],
        connect: config.active,
        look_up: has_names(config),
        require: config.process.require_sandbox,
    }
}

/// Opens every home, so that what an earlier run left behind is cleared before anybody comes. One
/// that cannot be opened concerns its users alone.
fn open_homes(config: &Config) -> Homes {
    let homes = Homes::new(StoreSettings {
        free_space_floor_bytes: config.storage.free_space_floor_bytes,
        partial_uploads: config.storage.partial_uploads,
    });
    for account in config.policy.users.values() {
        match homes.root(&account.home) {
            Ok(root) => {
                for warning in root.warnings() {
                    warn!(user = %account.name, "{warning}");
                }
                let swept = root.swept();
                let cleared = swept.expired.saturating_add(swept.abandoned).saturating_add(swept.orphaned);
                if cleared > 0 {
                    info!(home = %account.home.display(), files = cleared, kept = swept.kept, "cleared unfinished uploads of an earlier run");
                }
            }
            Err(fault) => warn!(
                user = %account.name, home = %account.home.display(), %fault,
                "a home cannot be opened, so its users cannot log in; it must be there and belong to the account that the server runs as",
            ),
        }
    }
    homes
}

/// What checking the password of an unknown user costs: as much as that of the most expensive
/// known one, so that the time tells nothing.
fn cost(config: &Config) -> Argon2Cost {
    let known = config.policy.users.values().filter_map(|account| hash::cost(&account.password).ok());
    known.fold(config.passwords.argon2, |most, one| {
        let work = |cost: Argon2Cost| u64::from(cost.memory_kib).saturating_mul(u64::from(cost.iterations));
        if work(one) > work(most) { one } else { most }
    })
}

async fn record_start(
    audit: &AuditLog,
    config: &Config,
    report: &Report,
) -> Result<(), crate::audit::sink::AuditFault> {
    let policy = Detail::Text(config.fingerprint.to_string());
    let mut start = Record::new(Event::ServiceStart);
    start.details = report.details();
    audit.record(start).await?;
    let loaded = Record::new(Event::PolicyLoaded)
        .with("policy", policy)
        .with("users", Detail::Number(u64::try_from(config.policy.users.len()).unwrap_or(0)));
    let loaded = if config.overrides.is_empty() {
        loaded
    } else {
        loaded.with("overrides", Detail::Text(config.overrides.join("; ")))
    };
    audit.record(loaded).await
}

/// Tells the operator that the server accepts connections.
fn ready(config: &Config, notice: Notice) {
    for address in &config.listen.explicit {
        info!(%address, "accepting connections (explicit TLS)");
    }
    for address in &config.listen.implicit {
        info!(%address, "accepting connections (implicit TLS)");
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
