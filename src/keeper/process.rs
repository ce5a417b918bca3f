//! The process: it takes orders until the server is gone, and then has a bounded time to copy what is
//! left. Whatever still waits then is ended with it.

use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::copying::Copying;
use super::follow;
use super::memory::Memory;
use super::place;
use super::protocol::{self, Begin, Order, Report, SinkState, State};
use super::receivers::{Connect, Journal, Local, Stdout};
use super::tls::Secure;
use super::upkeep::Upkeep;
use crate::audit::signing::PublicKey;
use crate::net::names::Names;
use crate::settings::keeping::{Copies, Retention, Target};

/// How long records of the end may take to be copied once the server is gone.
pub const FINISH_TIME: Duration = Duration::from_secs(5);
/// How often there is a look whether something is new.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// How often it is written down and told how far copies are.
const STATE_TIME: Duration = Duration::from_secs(1);
/// The name of this machine, for messages of syslog.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// What the threads share.
#[derive(Debug)]
pub(super) struct Common {
    /// The directory of the log.
    pub(super) directory: PathBuf,
    pub(super) memory: Memory,
    server: Mutex<UnixStream>,
    flags: Mutex<Flags>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Flags {
    stopping: bool,
    /// Counts what makes upkeep worth a look.
    renamed: u64,
}

impl Common {
    /// Tells the server; it may be gone.
    pub(super) fn tell(&self, report: &Report) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = protocol::write(&*server, report);
    }

    /// Whether the server is gone.
    pub(super) fn is_stopping(&self) -> bool {
        self.flags().stopping
    }

    /// Waits for so long, or until the server is gone; true then.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.flags(), time, |flags| !flags.stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }

    /// The same, or until a file was renamed since `seen`, which is brought up to date.
    pub(super) fn wait(&self, time: Duration, seen: &mut u64) -> bool {
        let waiting = |flags: &mut Flags| !flags.stopping && flags.renamed == *seen;
        let waited = self.changed.wait_timeout_while(self.flags(), time, waiting);
        let flags = waited.unwrap_or_else(PoisonError::into_inner).0;
        *seen = flags.renamed;
        flags.stopping
    }

    fn change(&self, change: impl FnOnce(&mut Flags)) {
        change(&mut self.flags());
        self.changed.notify_all();
    }

    fn flags(&self) -> MutexGuard<'_, Flags> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works for the server that is at standard input, until that is gone. `confine` enters the sandbox
/// for what the keeper is to do, and says what is in force.
///
/// # Errors
/// Where standard input is no such server, or the keeper cannot begin.
pub fn run(confine: impl FnOnce(&Begin) -> Result<Vec<String>, String>) -> io::Result<()> {
    let server = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut orders = BufReader::new(server.try_clone()?);
    let Some(Order::Begin(begin)) = protocol::read(&mut orders)? else {
        return Err(io::Error::other("the first order is not how to begin"));
    };
    // Whoever ends the server tells the whole group of its processes. The keeper ends behind it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let _outlived = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    drop(entered);
    let names = Names::read(&begin.resolvers);
    let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default().trim().to_owned();
    let called: Vec<String> = begin.copies.iter().map(|copy| copy.target.to_string()).collect();
    let confined = confine(&begin).and_then(|sandbox| {
        let memory = Memory::read(&begin.directory, &called);
        // Where copies begin that are new is written down before the server goes on.
        match place::sweep(&begin.directory).and_then(|()| memory.save()) {
            Ok(()) => Ok((sandbox, memory)),
            Err(error) => Err(format!(
                "{}: {error}; the server's account must be able to write there ([audit] directory)",
                begin.directory.display()
            )),
        }
    });
    let (sandbox, memory) = match confined {
        Ok(both) => both,
        Err(reason) => {
            protocol::write(&server, &Report::Unable { reason: reason.clone() })?;
            return Err(io::Error::other(reason));
        }
    };
    let common = Arc::new(Common {
        directory: begin.directory.clone(),
        memory,
        server: Mutex::new(server),
        flags: Mutex::default(),
        changed: Condvar::new(),
    });
    // Before anything else can be told.
    common.tell(&Report::Ready { sandbox });
    let retention = Arc::new(Mutex::new(begin.retention));
    let (noted, heard) = channel();
    let upkeep = Upkeep {
        common: Arc::clone(&common),
        retention: Arc::clone(&retention),
        noted: heard,
        keys: begin.keys.iter().filter_map(|key| PublicKey::from_base64(key)).collect(),
        known: std::collections::HashMap::new(),
    };
    spawn("upkeep", move || upkeep.run())?;
    let mut states = Vec::new();
    let mut copying = Vec::new();
    for (copy, name) in begin.copies.into_iter().zip(called) {
        let state = Arc::new(Mutex::new(SinkState {
            sink: name.clone(),
            copied_seq: common.memory.of(&name).seq,
            ..SinkState::default()
        }));
        states.push(Arc::clone(&state));
        let records = copy.records;
        let connect = connect(copy, &names, &host);
        let copy = Copying { common: Arc::clone(&common), name, records, connect, state };
        copying.push(spawn("copy", move || copy.run())?);
    }
    let telling = Arc::clone(&common);
    spawn("state", move || tell_state(&telling, &states))?;
    obey(&common, &mut orders, &retention, &noted);
    common.change(|flags| flags.stopping = true);
    let end = Instant::now().checked_add(FINISH_TIME);
    while copying.iter().any(|thread| !thread.is_finished()) && end.is_none_or(|end| Instant::now() < end) {
        std::thread::sleep(Duration::from_millis(10));
    }
    common.memory.save()
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// What reaches the receiver of a copy.
fn connect(copy: Copies, names: &Names, host: &str) -> Box<dyn Connect> {
    let (facility, host) = (copy.facility, host.to_owned());
    match copy.target {
        Target::Stdout {} => Box::new(Stdout),
        Target::Journal { socket } => Box::new(Journal { socket }),
        Target::Local { socket } => Box::new(Local { socket, facility, host }),
        Target::Tls(server) => Box::new(Secure { server, names: names.clone(), facility, host }),
    }
}

/// Does what the server says, until it is gone.
fn obey(
    common: &Common,
    orders: &mut BufReader<UnixStream>,
    retention: &Mutex<Retention>,
    noted: &Sender<(String, bool)>,
) {
    // A line that cannot be read is the end, too: there is no telling what would follow it.
    while let Ok(Some(order)) = protocol::read(orders) {
        match order {
            Order::Rename { name } => {
                let report = match place::rename_open(&common.directory, &name) {
                    Ok(()) => Report::Renamed { name },
                    Err(error) => Report::NotRenamed { name, reason: error.to_string() },
                };
                common.tell(&report);
                common.change(|flags| flags.renamed = flags.renamed.wrapping_add(1));
            }
            Order::Keep { retention: new } => {
                *retention.lock().unwrap_or_else(PoisonError::into_inner) = new;
                common.change(|flags| flags.renamed = flags.renamed.wrapping_add(1));
            }
            Order::Noted { file, recorded } => drop(noted.send((file, recorded))),
            Order::Begin(_) => return,
        }
    }
}

/// Writes down how far copies are, and tells the server where that changed.
fn tell_state(common: &Common, sinks: &[Arc<Mutex<SinkState>>]) {
    let mut told = None;
    let mut trouble = false;
    loop {
        match common.memory.save() {
            Ok(()) => trouble = false,
            Err(_) if trouble => {}
            Err(error) => {
                trouble = true;
                let text = format!("how far copies of the log are cannot be written down: {error}");
                common.tell(&Report::Trouble { text });
            }
        }
        let newest = follow::end(&common.directory).seq;
        let sinks = sinks.iter().map(|sink| {
            let sink = sink.lock().unwrap_or_else(PoisonError::into_inner).clone();
            SinkState { behind_records: newest.saturating_sub(sink.copied_seq), ..sink }
        });
        let state = State { sinks: sinks.collect(), unverified: common.memory.all_unverified() };
        if told.as_ref() != Some(&state) {
            common.tell(&Report::State(state.clone()));
            told = Some(state);
        }
        if common.pause(STATE_TIME) {
            return;
        }
    }
}
