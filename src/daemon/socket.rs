//! The control socket, through which commands reach the running server. It is bound before the
//! sandbox, for root and the account that serves alone; who connects is asked of the kernel all the
//! same, and every call is recorded before its answer.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::calls::{Answer, Call, REQUEST_BYTES_MAX, ReloadOutcome, Reloaded, ShownProblem};
use super::metrics;
use super::reload::{Asker, Outcome, Reloader};
use super::socket_file::{self, SocketFile};
use super::status::status;
use super::stopping::Stop;
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::settings::{Control, RunAs};

/// Connections at the same time; any more are closed.
const CONNECTIONS_MAX: usize = 8;
/// How long a request may take to come, and an answer to be taken.
const TIME: Duration = Duration::from_secs(5);
/// How long to wait where connections cannot be accepted, and for the request of a stranger.
const PAUSE: Duration = Duration::from_secs(1);
/// The mode of the socket: whoever may write to it may connect.
const MODE: u32 = 0o600;

/// The socket, bound and not yet served.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl ControlSocket {
    /// Binds the socket. To be called before the sandbox, from the only thread.
    ///
    /// # Errors
    /// What is in the way, and what to do about it.
    pub(super) fn bind(control: &Control, run_as: Option<&RunAs>) -> io::Result<Self> {
        let (listener, file) = socket_file::bind(&control.socket, "[control] socket", MODE, run_as)?;
        Ok(Self { listener, file })
    }

    /// The file, which is to be removed when nobody is served any more.
    pub(super) fn file(&self) -> SocketFile {
        self.file.clone()
    }

    /// Serves whoever comes, for as long as this is polled.
    pub(super) async fn serve(self, reloader: Arc<Reloader>, stop: watch::Receiver<Stop>) {
        let listener = match tokio::net::UnixListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(failure) => {
                warn!(%failure, "the control socket is not served");
                return;
            }
        };
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    let (reloader, stop) = (Arc::clone(&reloader), stop.clone());
                    connections.spawn(async move { Connection { reloader, stop }.serve(stream).await });
                }
                Ok(_) => warn!("too many connections to the control socket; one was closed"),
                Err(failure) => {
                    warn!(%failure, "cannot accept connections to the control socket; trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// What serves one connection.
struct Connection {
    reloader: Arc<Reloader>,
    stop: watch::Receiver<Stop>,
}

/// Who is at the other end.
#[derive(Clone, Copy)]
struct Peer {
    uid: u32,
    pid: Option<i32>,
}

impl Connection {
    /// Answers one request after the other until the peer ends, is silent, or errs.
    async fn serve(self, stream: tokio::net::UnixStream) {
        let Ok(credentials) = stream.peer_cred() else { return };
        let peer = Peer { uid: credentials.uid(), pid: credentials.pid() };
        let mut stream = BufReader::new(stream);
        if peer.uid != 0 && peer.uid != geteuid().as_raw() {
            self.record(peer, "none", Some("forbidden")).await;
            let reason = "only root and the account that serves may ask".to_owned();
            let _ = say(&mut stream, &Answer::Refused { reason }).await;
            // What is left unread would destroy the answer on its way.
            let _ = timeout(PAUSE, request(&mut stream)).await;
            return;
        }
        while let Ok(Some(line)) = timeout(TIME, request(&mut stream)).await.unwrap_or(Ok(None)) {
            let Ok(call) = serde_json::from_slice::<Call>(&line) else {
                self.record(peer, "none", Some("malformed")).await;
                let reason = "this is no request that the server understands; one JSON object a line, such as \
                              {\"verb\":\"status\"}";
                let _ = say(&mut stream, &Answer::Refused { reason: reason.to_owned() }).await;
                return;
            };
            let answer = self.answer(&call, peer).await;
            if say(&mut stream, &answer).await.is_err() {
                return;
            }
        }
    }

    /// Does what is asked, and records it.
    async fn answer(&self, call: &Call, peer: Peer) -> Answer {
        let (answer, failure) = match call {
            Call::Status {} => {
                let stopping = *self.stop.borrow() > Stop::No;
                let reloader = Arc::clone(&self.reloader);
                match tokio::task::spawn_blocking(move || status(&reloader, stopping)).await {
                    Ok(status) => (Answer::Status(Box::new(status)), None),
                    Err(_) => {
                        (Answer::Refused { reason: "the figures could not be gathered".to_owned() }, Some("failed"))
                    }
                }
            }
            Call::Metrics {} => {
                let stopping = *self.stop.borrow() > Stop::No;
                let reloader = Arc::clone(&self.reloader);
                match tokio::task::spawn_blocking(move || metrics::text(&reloader, stopping, true)).await {
                    Ok(text) => (Answer::Metrics { text }, None),
                    Err(_) => {
                        (Answer::Refused { reason: "the figures could not be gathered".to_owned() }, Some("failed"))
                    }
                }
            }
            Call::Reload {} => {
                let told = self.reload(peer).await;
                let failure = match told.outcome {
                    ReloadOutcome::Loaded | ReloadOutcome::Unchanged => None,
                    ReloadOutcome::Rejected => Some("rejected"),
                    ReloadOutcome::TestsFailed => Some("tests_failed"),
                    ReloadOutcome::Failed => Some("failed"),
                };
                (Answer::Reload(told), failure)
            }
        };
        if self.record(peer, call.verb(), failure).await {
            return answer;
        }
        Answer::Refused {
            reason: "the audit log cannot be written, so nothing is told; what was asked may be done".into(),
        }
    }

    async fn reload(&self, peer: Peer) -> Reloaded {
        let by = Asker::Control { uid: peer.uid, pid: peer.pid };
        // It comes to its end also where nobody waits for it any more.
        let asked = Arc::clone(&self.reloader);
        let outcome = tokio::spawn(async move { asked.reload(by).await }).await;
        let in_force = self.reloader.shared.config().fingerprint.to_string();
        let mut told = Reloaded {
            outcome: ReloadOutcome::Failed,
            before: in_force.clone(),
            policy: in_force,
            problems: Vec::new(),
            problems_more: 0,
            tests_passed: 0,
            tests_failed: Vec::new(),
            reason: None,
        };
        match outcome {
            Ok(Outcome::Loaded { before, now, warnings, tests }) => {
                told.outcome = if before == now { ReloadOutcome::Unchanged } else { ReloadOutcome::Loaded };
                (told.before, told.policy) = (before.to_string(), now.to_string());
                (told.problems, told.problems_more) = ShownProblem::list(&warnings);
                told.tests_passed = tests;
            }
            Ok(Outcome::Rejected(problems)) => {
                told.outcome = ReloadOutcome::Rejected;
                (told.problems, told.problems_more) = ShownProblem::list(&problems);
            }
            Ok(Outcome::TestsFailed(failed)) => {
                told.outcome = ReloadOutcome::TestsFailed;
                told.tests_failed = failed;
            }
            Ok(Outcome::Failed(reason)) => told.reason = Some(reason),
            Err(_) => told.reason = Some("a fault of the server's own; please report it".to_owned()),
        }
        told
    }

    /// Records a call; false where that fails.
    async fn record(&self, peer: Peer, verb: &'static str, failure: Option<&'static str>) -> bool {
        let mut record = Record::new(Event::ControlCall);
        if let Some(reason) = failure {
            record = record.failed(reason);
        }
        record = record.with("verb", Detail::Text(verb.to_owned()));
        record = record.with("peer_uid", Detail::Number(peer.uid.into()));
        if let Some(pid) = peer.pid.and_then(|pid| u64::try_from(pid).ok()) {
            record = record.with("peer_pid", Detail::Number(pid));
        }
        let recorded = self.reloader.shared.audit.record(record).await;
        if let Err(fault) = &recorded {
            warn!(%fault, verb, "a call through the control socket is not recorded");
        }
        recorded.is_ok()
    }
}

/// Reads a line; none at the end, or where it is too long.
async fn request(stream: &mut BufReader<tokio::net::UnixStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(REQUEST_BYTES_MAX).unwrap_or(u64::MAX);
    stream.take(most).read_until(b'\n', &mut line).await?;
    // Without its end it is cut, or too long, and understood by nobody.
    Ok((!line.is_empty()).then_some(line))
}

async fn say(stream: &mut BufReader<tokio::net::UnixStream>, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let sent = timeout(TIME, stream.get_mut().write_all(&line));
    sent.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
