//! What the service manager hears (`sd_notify(3)`): that the server serves, reads its policy again,
//! stops, and that it goes on. The socket is connected before the sandbox, in which there are no
//! others, and one small thread writes to it, so that nothing waits for the service manager.

use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{env, thread};

use rustix::time::{ClockId, clock_gettime};
use tracing::{error, info, warn};

use super::pulse::Pulse;
use crate::audit::sink::AuditLog;

/// How long a message may wait for room in the socket of the service manager.
const SEND_TIME: Duration = Duration::from_secs(1);
/// What the end may take beyond the time in which transfers may finish.
const END_TIME: Duration = Duration::from_secs(30);
/// How often the audit log is looked at where there is no watchdog.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// What is said of a server to which nothing is odd.
pub(in crate::daemon) const SERVING: &str = "Serving.";
/// The watchdog is fed so many times in its time.
const FEEDS: u32 = 2;

/// The way to the service manager, opened and not yet used.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Opened {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

/// Tells the service manager how the server is; without one, nothing.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Notifier {
    thread: Option<mpsc::Sender<Message>>,
    stopping: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Message {
    /// To be sent.
    Tell(String),
    /// Nothing comes behind this.
    End,
}

impl Opened {
    /// As the environment says. To be called before the sandbox.
    pub(in crate::daemon) fn from_env() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Self::default() };
        let socket = match connect(name.as_encoded_bytes()) {
            Ok(socket) => Some(socket),
            Err(failure) => {
                warn!(%failure, socket = ?name, "the service manager cannot be told how the server is");
                None
            }
        };
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| meant && *micros > 0).map(Duration::from_micros);
        Self { watchdog: watchdog.filter(|_| socket.is_some()), socket }
    }

    /// Starts the thread that writes to it, and has it feed the watchdog where there is one. To be
    /// called in the sandbox.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(in crate::daemon) fn start(
        self,
        audit: &AuditLog,
        pulse: &Arc<Pulse>,
    ) -> io::Result<(Notifier, Option<JoinHandle<()>>)> {
        let Some(socket) = self.socket else { return Ok((Notifier::default(), None)) };
        let (sender, messages) = mpsc::channel();
        let stopping = Arc::<AtomicBool>::default();
        let teller = Teller {
            socket,
            watchdog: self.watchdog,
            audit: audit.clone(),
            pulse: Arc::clone(pulse),
            stopping: Arc::clone(&stopping),
            alive: true,
            healthy: true,
        };
        let thread = thread::Builder::new().name("notify".to_owned()).spawn(move || teller.run(&messages))?;
        Ok((Notifier { thread: Some(sender), stopping }, Some(thread)))
    }
}

/// A name that begins with `@` is in the abstract namespace.
fn connect(name: &[u8]) -> io::Result<UnixDatagram> {
    let address = match name.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        Some((b'/', _)) => {
            use std::os::unix::ffi::OsStrExt as _;
            SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?
        }
        _ => return Err(io::Error::new(ErrorKind::Unsupported, "only paths and abstract names (@) are understood")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(SEND_TIME))?;
    Ok(socket)
}

/// The thread that writes.
struct Teller {
    socket: UnixDatagram,
    watchdog: Option<Duration>,
    audit: AuditLog,
    pulse: Arc<Pulse>,
    stopping: Arc<AtomicBool>,
    /// Whether everything answered when it was asked last.
    alive: bool,
    /// Whether the audit log could be written when it was looked last.
    healthy: bool,
}

impl Teller {
    /// Sends what comes, feeds the watchdog as long as the server goes on, and tells of outages of the
    /// audit log.
    fn run(mut self, messages: &mpsc::Receiver<Message>) {
        let period = self.watchdog.and_then(|time| time.checked_div(FEEDS)).unwrap_or(LOOK_PERIOD);
        // Half of it is left for the answers.
        let patience = period.checked_div(2).unwrap_or(period);
        let mut next = Instant::now();
        loop {
            match messages.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Message::Tell(text)) => self.send(&text),
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    next = Instant::now().checked_add(period.saturating_sub(patience)).unwrap_or(next);
                    if self.watchdog.is_some() {
                        self.feed(patience);
                    }
                    self.look_at_the_log();
                }
            }
        }
    }

    fn feed(&mut self, patience: Duration) {
        match self.pulse.check(&self.audit, patience) {
            Ok(()) => {
                if !self.alive {
                    info!("everything answers again; the watchdog is fed");
                }
                self.alive = true;
                self.send("WATCHDOG=1\n");
            }
            Err(silent) => {
                if self.alive {
                    error!(%silent, "a part of the server does not answer; the watchdog is not fed");
                }
                self.alive = false;
            }
        }
    }

    fn look_at_the_log(&mut self) {
        let healthy = self.audit.is_healthy();
        if healthy != self.healthy && !self.stopping.load(Ordering::Acquire) {
            self.healthy = healthy;
            let outage = "The audit log cannot be written; new work is refused until it can be.";
            self.send(&line("STATUS", if healthy { SERVING } else { outage }));
        }
    }

    fn send(&self, text: &str) {
        if let Err(failure) = self.socket.send(text.as_bytes()) {
            warn!(%failure, "the service manager was not told how the server is");
        }
    }
}

impl Notifier {
    /// The server serves.
    pub(in crate::daemon) fn ready(&self, status: &str) {
        self.unless_stopping(|| format!("READY=1\n{}", line("STATUS", status)));
    }

    /// It reads its policy again, until it is [`Self::ready`].
    pub(in crate::daemon) fn reloading(&self) {
        self.unless_stopping(|| {
            let now = clock_gettime(ClockId::Monotonic);
            let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec.wrapping_div(1000));
            format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=Reading the policy again.\n")
        });
    }

    /// It stops, and what runs may take so long.
    pub(in crate::daemon) fn stopping(&self, drain: Duration) {
        self.stopping.store(true, Ordering::Release);
        let most = drain.saturating_add(END_TIME).as_micros();
        self.tell(format!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={most}\nSTATUS=Stopping: no new sessions, running transfers may finish.\n"
        ));
    }

    /// Nothing is told behind this.
    pub(in crate::daemon) fn end(&self) {
        if let Some(thread) = &self.thread {
            // An error means that it has ended already.
            let _ = thread.send(Message::End);
        }
    }

    fn unless_stopping(&self, text: impl FnOnce() -> String) {
        if !self.stopping.load(Ordering::Acquire) {
            self.tell(text());
        }
    }

    fn tell(&self, text: String) {
        if let Some(thread) = &self.thread {
            let _ = thread.send(Message::Tell(text));
        }
    }
}

/// One assignment; a text of several lines would be several.
fn line(name: &str, text: &str) -> String {
    format!("{name}={}\n", text.replace(char::is_control, " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_both_namespaces_are_connected_to_and_others_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let named = UnixDatagram::bind(&path).unwrap();
        let name = format!("portcullis-test-{}", std::process::id());
        let hidden = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (end, name) in [(named, path.to_str().unwrap().to_owned()), (hidden, format!("@{name}"))] {
            connect(name.as_bytes()).unwrap().send(b"READY=1\n").unwrap();
            let mut text = [0; 32];
            let read = end.recv(&mut text).unwrap();
            assert_eq!(&text[..read], b"READY=1\n", "{name}");
        }
        for name in ["", "relative", "vsock:2:3"] {
            assert_eq!(connect(name.as_bytes()).unwrap_err().kind(), ErrorKind::Unsupported, "{name}");
        }
    }

    #[test]
    fn a_status_is_one_line_whatever_is_in_it() {
        assert_eq!(line("STATUS", "a\nREADY=1"), "STATUS=a READY=1\n");
    }
}
