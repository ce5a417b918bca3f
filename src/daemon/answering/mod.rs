//! What is answered through the control socket, verb by verb. Who asks is asked of the kernel; every
//! call is recorded with its arguments and what came of it before its answer.

mod bans;
mod drain;
mod freezes;
mod reload;
mod sessions;
pub(super) mod status;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::timeout;
use tracing::warn;

use super::calls::{Answer, Call, REQUEST_BYTES_MAX, Wanted};
use super::metrics;
use super::reload::Reloader;
use super::server::Shared;
use super::stopping::Stop;
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};

/// How long a request may take to come, and an answer to be taken.
const TIME: Duration = Duration::from_secs(5);
/// How long who watches may take between two looks.
const WATCH_TIME: Duration = Duration::from_secs(90);
/// How long the request of a stranger is waited for.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest text that tells why, in bytes.
const REASON_BYTES_MAX: usize = 512;
/// Who may watch at the same time, so that others find a place at the socket.
static WATCHERS: Semaphore = Semaphore::const_new(4);

/// What serves one connection.
pub(super) struct Connection {
    reloader: Arc<Reloader>,
    stop: watch::Receiver<Stop>,
    peer: Peer,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    uid: u32,
    pid: Option<i32>,
}

/// What came of a call.
struct Done {
    answer: Answer,
    /// Why not, in one word for the audit log.
    failure: Option<&'static str>,
    /// What, for the audit log.
    result: Option<String>,
}

/// Why nothing is done.
struct Refusal {
    /// In one word, for the audit log.
    failure: &'static str,
    /// For who asked.
    reason: String,
}

/// Sessions that are looked at again and again: recorded when that begins, and with a count when it
/// ends.
struct Watch {
    wanted: Wanted,
    looks: u64,
    _place: SemaphorePermit<'static>,
}

impl Done {
    /// It was done.
    fn well(answer: Answer, result: impl Into<String>) -> Self {
        Self { answer, failure: None, result: Some(result.into()) }
    }

    /// Nothing was done.
    fn refused(failure: &'static str, reason: impl Into<String>) -> Self {
        Refusal::new(failure, reason).into()
    }
}

impl Refusal {
    fn new(failure: &'static str, reason: impl Into<String>) -> Self {
        Self { failure, reason: reason.into() }
    }
}

impl From<Refusal> for Done {
    fn from(Refusal { failure, reason }: Refusal) -> Self {
        Self { answer: Answer::Refused { reason: reason.clone() }, failure: Some(failure), result: Some(reason) }
    }
}

impl Connection {
    pub(super) fn new(reloader: Arc<Reloader>, stop: watch::Receiver<Stop>) -> Self {
        Self { reloader, stop, peer: Peer::default() }
    }

    /// Answers one request after the other until the peer ends, is silent, or errs.
    pub(super) async fn serve(mut self, stream: UnixStream) {
        let Ok(credentials) = stream.peer_cred() else { return };
        self.peer = Peer { uid: credentials.uid(), pid: credentials.pid() };
        let mut stream = BufReader::new(stream);
        if self.peer.uid != 0 && self.peer.uid != geteuid().as_raw() {
            self.record("none", Vec::new(), Some("forbidden")).await;
            let reason = "only root and the account that serves may ask".to_owned();
            let _ = say(&mut stream, &Answer::Refused { reason }).await;
            // What is left unread would destroy the answer on its way.
            let _ = timeout(PAUSE, request(&mut stream)).await;
            return;
        }
        let mut watch = None;
        self.converse(&mut stream, &mut watch).await;
        self.end_watch(watch).await;
    }

    async fn converse(&self, stream: &mut BufReader<UnixStream>, watch: &mut Option<Watch>) {
        while let Some(line) = self.next(stream, watch.is_some()).await {
            let Ok(call) = serde_json::from_slice::<Call>(&line) else {
                self.record("none", Vec::new(), Some("malformed")).await;
                let reason = "this is no request that the server understands; one JSON object a line, such as \
                              {\"verb\":\"status\"}";
                let _ = say(stream, &Answer::Refused { reason: reason.to_owned() }).await;
                return;
            };
            let answer = match &call {
                Call::Watch(wanted) => self.watched(wanted, &call, watch).await,
                call => self.answer(call).await,
            };
            if say(stream, &answer).await.is_err() {
                return;
            }
        }
    }

    /// The next request; none where there is none in time. A watch ends where the server stops.
    async fn next(&self, stream: &mut BufReader<UnixStream>, watching: bool) -> Option<Vec<u8>> {
        let mut stop = self.stop.clone();
        let time = if watching { WATCH_TIME } else { TIME };
        tokio::select! {
            line = timeout(time, request(stream)) => line.ok()?.ok()?,
            _ = stop.wait_for(|stop| *stop > Stop::No), if watching => None,
        }
    }

    /// Another look is not recorded where it is for the same sessions as the one before.
    async fn watched(&self, wanted: &Wanted, call: &Call, watch: &mut Option<Watch>) -> Answer {
        if let Some(watch) = watch.as_mut().filter(|watch| watch.wanted == *wanted) {
            watch.looks = watch.looks.saturating_add(1);
            return self.sessions(wanted).await.answer;
        }
        self.end_watch(watch.take()).await;
        let Ok(place) = WATCHERS.try_acquire() else {
            let reason = "others watch already, as many as may; end one of those, or ask with `sessions`";
            return self.recorded(call, Done::refused("too_many", reason)).await;
        };
        let done = self.sessions(wanted).await;
        if done.failure.is_none() {
            *watch = Some(Watch { wanted: wanted.clone(), looks: 1, _place: place });
        }
        self.recorded(call, done).await
    }

    async fn end_watch(&self, watch: Option<Watch>) {
        let Some(Watch { looks, .. }) = watch else { return };
        let details = vec![("result", Detail::Text("watch ended".to_owned())), ("looks", Detail::Number(looks))];
        self.record("watch", details, None).await;
    }

    /// Does what is asked, and records it.
    async fn answer(&self, call: &Call) -> Answer {
        let done = match call {
            Call::Ban(banning) => self.ban(banning.clone()).await,
            Call::Bans {} => self.bans().await,
            Call::Drain(draining) => self.drain(draining),
            Call::Freeze(freezing) => self.freeze(freezing.clone()).await,
            Call::Freezes {} => self.freezes().await,
            Call::Kick(kicking) => self.kick(kicking).await,
            Call::Metrics {} => self.metrics().await,
            Call::Reload {} => self.reload().await,
            Call::Sessions(wanted) | Call::Watch(wanted) => self.sessions(wanted).await,
            Call::Status {} => self.status().await,
            Call::Thaw(thawing) => self.thaw(thawing.clone()).await,
            Call::Unban(unbanning) => self.unban(unbanning.clone()).await,
        };
        self.recorded(call, done).await
    }

    async fn status(&self) -> Done {
        let stopping = *self.stop.borrow() > Stop::No;
        let reloader = Arc::clone(&self.reloader);
        match tokio::task::spawn_blocking(move || status::status(&reloader, stopping)).await {
            Ok(status) => Done { answer: Answer::Status(Box::new(status)), failure: None, result: None },
            Err(_) => Done::refused("failed", "the figures could not be gathered"),
        }
    }

    async fn metrics(&self) -> Done {
        let stopping = *self.stop.borrow() > Stop::No;
        let reloader = Arc::clone(&self.reloader);
        match tokio::task::spawn_blocking(move || metrics::text(&reloader, stopping, true)).await {
            Ok(text) => Done { answer: Answer::Metrics { text }, failure: None, result: None },
            Err(_) => Done::refused("failed", "the figures could not be gathered"),
        }
    }

    /// The answer, once the call is recorded.
    async fn recorded(&self, call: &Call, done: Done) -> Answer {
        let mut details = Vec::new();
        if let Some(arguments) = arguments(call) {
            details.push(("arguments", Detail::Text(arguments)));
        }
        if let Some(result) = done.result {
            details.push(("result", Detail::Text(result)));
        }
        if self.record(call.verb(), details, done.failure).await {
            return done.answer;
        }
        Answer::Refused {
            reason: "the audit log cannot be written, so nothing is told; what was asked may be done".into(),
        }
    }

    /// Records a call; false where that fails.
    async fn record(
        &self,
        verb: &'static str,
        details: Vec<(&'static str, Detail)>,
        failure: Option<&'static str>,
    ) -> bool {
        let mut record = Record::new(Event::ControlCall);
        if let Some(reason) = failure {
            record = record.failed(reason);
        }
        record = record.with("verb", Detail::Text(verb.to_owned()));
        record = record.with("peer_uid", Detail::Number(self.peer.uid.into()));
        if let Some(pid) = self.peer.pid.and_then(|pid| u64::try_from(pid).ok()) {
            record = record.with("peer_pid", Detail::Number(pid));
        }
        record.details.extend(details);
        let recorded = self.shared().audit.record(record).await;
        if let Err(fault) = &recorded {
            warn!(%fault, verb, "a call through the control socket is not recorded");
        }
        recorded.is_ok()
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.reloader.shared
    }

    /// Does something that waits for the disk; to its end also where nobody waits for it any more.
    async fn blocking(&self, work: impl FnOnce(&Arc<Shared>) -> Done + Send + 'static) -> Done {
        let shared = Arc::clone(self.shared());
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.unwrap_or_else(|_| Done::refused("failed", "a fault of the server's own; please report it"))
    }
}

/// What was asked for with a verb, as it came; none where that is nothing.
fn arguments(call: &Call) -> Option<String> {
    let mut value = serde_json::to_value(call).ok()?;
    let arguments = value.as_object_mut()?;
    arguments.remove("verb");
    (!arguments.is_empty()).then(|| value.to_string())
}

/// A time to the second.
fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// When something is to end.
fn ends(until: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = until else { return Ok(None) };
    match text.parse::<Timestamp>() {
        Ok(time) if time > now => Ok(Some(time)),
        Ok(_) => Err(Refusal::new("malformed", "the end lies in the past")),
        Err(_) => Err(Refusal::new("malformed", "`until` is a time such as 2026-11-23T06:00:00Z")),
    }
}

/// Whether a text that tells why is one that can be kept.
fn fits(reason: Option<&str>) -> Result<(), Refusal> {
    if reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(Refusal::new("malformed", format!("the reason has {REASON_BYTES_MAX} bytes at most")));
    }
    Ok(())
}

/// Reads a line; none at the end, or where it is too long.
async fn request(stream: &mut BufReader<UnixStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(REQUEST_BYTES_MAX).unwrap_or(u64::MAX);
    stream.take(most).read_until(b'\n', &mut line).await?;
    // Without its end it is cut, or too long, and understood by nobody.
    Ok((!line.is_empty()).then_some(line))
}

async fn say(stream: &mut BufReader<UnixStream>, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let sent = timeout(TIME, stream.get_mut().write_all(&line));
    sent.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
