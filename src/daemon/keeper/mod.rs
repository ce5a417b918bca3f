//! The server's end of the keeper: started before the sandbox, spoken to through a queue, heard by a
//! thread that records what concerns the log. The server does not need it: where it ends, the log goes
//! on, in one file.

mod confine;
mod hearing;

use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use super::sandbox;
use crate::audit::rotation::Renamer;
use crate::audit::signing::PublicKey;
use crate::audit::sink::AuditLog;
use crate::keeper::orders::{Orders, queue};
use crate::keeper::process::FINISH_TIME;
use crate::keeper::protocol::{self, Begin, Order, Report, State};
use crate::settings::Config;
use crate::settings::keeping::Retention;

/// How long the keeper may take to be ready.
const READY_TIME: Duration = Duration::from_secs(20);
/// How much longer than it promises it is waited for at the end.
const END_GRACE: Duration = Duration::from_secs(2);

/// The keeper, started and confined.
#[derive(Debug)]
pub(super) struct Started {
    child: Child,
    stream: UnixStream,
    reports: BufReader<UnixStream>,
    orders: Orders,
    queue: Receiver<Order>,
}

/// The keeper at work, for whoever wants to know of it or to tell it something.
#[derive(Debug)]
pub(super) struct Keeper {
    orders: Orders,
    alive: AtomicBool,
    /// Whether its end was asked for.
    ending: AtomicBool,
    state: Mutex<State>,
}

/// Ends the keeper in order.
#[derive(Debug)]
#[must_use = "the keeper is ended in order by `finish`"]
pub(super) struct End {
    keeper: Arc<Keeper>,
    stream: UnixStream,
    ended: Receiver<()>,
}

impl Started {
    /// Starts the keeper and waits until it is confined. It verifies with these keys. To be called before
    /// the sandbox, which forbids it, and from the only thread.
    ///
    /// # Errors
    /// What keeps it from working.
    pub(super) fn start(config: &Config, keys: &[PublicKey]) -> io::Result<Self> {
        let (stream, its_own) = UnixStream::pair()?;
        // The program as it is on the disk now may be another one already.
        let child = Command::new("/proc/self/exe")
            .arg0("portcullis")
            .args(["audit", "keep"])
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(its_own)))
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit())
            .current_dir("/")
            .spawn()?;
        let (orders, queue) = queue();
        let reports = BufReader::new(stream.try_clone()?);
        let mut started = Self { child, stream, reports, orders, queue };
        started.begin(config, keys).inspect_err(|_| drop(started.stream.shutdown(Shutdown::Both)))?;
        Ok(started)
    }

    fn begin(&mut self, config: &Config, keys: &[PublicKey]) -> io::Result<()> {
        let run_as = config.process.run_as.as_ref().filter(|_| rustix::process::geteuid().is_root());
        let begin = Begin {
            directory: std::path::absolute(&config.audit.directory)?,
            account: run_as.map(Into::into),
            require: config.process.require_sandbox,
            keys: keys.iter().map(|key| key.to_base64()).collect(),
            retention: config.keeping.retention,
            copies: config.keeping.copies.clone(),
            resolvers: config.passive.resolvers.clone(),
        };
        self.stream.set_read_timeout(Some(READY_TIME))?;
        protocol::write(&self.stream, &Order::Begin(Box::new(begin)))?;
        match protocol::read(&mut self.reports)? {
            Some(Report::Ready { sandbox }) => sandbox.iter().for_each(|line| info!("keeper: {line}")),
            Some(Report::Unable { reason }) => return Err(io::Error::other(reason)),
            Some(_) => return Err(io::Error::other("it said something else than that it is ready")),
            None => return Err(io::Error::other("it ended at once")),
        }
        self.stream.set_read_timeout(None)
    }

    /// What asks it to rename the open file of the log.
    pub(super) fn renamer(&self) -> Box<dyn Renamer> {
        Box::new(self.orders.clone())
    }

    /// Listens to the keeper from here on, and records in the log what concerns it.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub(super) fn attend(self, audit: AuditLog) -> io::Result<(Arc<Keeper>, End)> {
        let Self { child, stream, reports, orders, queue } = self;
        let keeper = Arc::new(Keeper {
            orders,
            alive: AtomicBool::new(true),
            ending: AtomicBool::new(false),
            state: Mutex::default(),
        });
        let to = stream.try_clone()?;
        std::thread::Builder::new().name("keeper-out".to_owned()).spawn(move || {
            while let Ok(order) = queue.recv() {
                if protocol::write(&to, &order).is_err() {
                    return;
                }
            }
        })?;
        let (told, ended) = channel();
        let hearing = hearing::Hearing { keeper: Arc::clone(&keeper), audit, child, reports };
        std::thread::Builder::new().name("keeper-in".to_owned()).spawn(move || {
            hearing.run();
            // Nobody may be waiting for it.
            let _ = told.send(());
        })?;
        Ok((Arc::clone(&keeper), End { keeper, stream, ended }))
    }
}

/// Enters the sandbox of the keeper, in its own process.
///
/// # Errors
/// Why it cannot be entered.
pub(crate) fn confine(begin: &Begin) -> Result<Vec<String>, String> {
    let report = sandbox::enter(&confine::plan(begin)).map_err(|error| error.to_string())?;
    Ok(report.to_string().lines().map(str::to_owned).collect())
}

impl Keeper {
    /// Whether it runs.
    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// How things were when it told last.
    pub(super) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From here on, closed files are treated so.
    pub(super) fn keep(&self, retention: Retention) {
        if !self.orders.give(Order::Keep { retention }) && self.is_alive() {
            warn!("the keeper has too much to do to hear how long the audit log is kept; reload again");
        }
    }
}

impl End {
    /// Ends it: to be called when the last record is written. It copies what it can, within a bounded
    /// time.
    pub(super) fn finish(self) {
        self.keeper.ending.store(true, Ordering::Release);
        // An error means that it is gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
        if self.ended.recv_timeout(FINISH_TIME.saturating_add(END_GRACE)) == Err(RecvTimeoutError::Timeout) {
            warn!("the keeper has not ended in time; it ends by itself");
        }
    }
}
