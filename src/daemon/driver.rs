//! One task per control connection: reads lines, hands them to the [`Session`], performs the
//! effects it asks for in their order, and answers its questions. What takes long, a transfer or a
//! hash, runs beside that as the one [`Work`] that a session has at a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, error, warn};

use super::control::Control;
use super::link::Link;
use super::mover::Job;
use super::places::Seat;
use super::server::Shared;
use super::sessions::{Entered, Expected};
use super::stopping::Stop;
use crate::audit::record::Record;
use crate::auth::logins::LastLogin;
use crate::net::route::Route;
use crate::policy::Principal;
use crate::proto::line::{Line, LineBuffer, LineError};
use crate::proto::reply::{Code, Reply};
use crate::rules::Stage;
use crate::session::effect::{Effect, Input, Kick, MoveFault, Step};
use crate::session::{Session, World};
use crate::store::Root;
use crate::tls::SessionTls;

/// Commands a second before somebody has logged in: no honest client needs more.
const COMMANDS_PER_SECOND_BEFORE_LOGIN: std::num::NonZeroU32 = std::num::NonZeroU32::new(20).unwrap();
/// How long who is kicked may take to hear it.
const FAREWELL_TIME: Duration = Duration::from_secs(2);
/// Bytes read at a time from the control connection.
const READ_BYTES: usize = 1024;
/// Bytes of replies that gather before they are sent although more will follow.
const REPLIES_BYTES: usize = 64 * 1024;
/// The first byte of a TLS handshake record: on a connection in clear, somebody took it for an
/// implicit one.
const TLS_HANDSHAKE: u8 = 0x16;

type CommandRate = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

/// A transfer or a hash. It ends with the input that tells the session how.
type Work = Pin<Box<dyn Future<Output = Input> + Send>>;

/// What serves one control connection.
pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) control: Control,
    pub(super) session: Session,
    pub(super) entered: Entered,
    /// Its place among the user's sessions, once somebody has logged in.
    pub(super) seat: Option<Seat>,
    pub(super) client: SocketAddr,
    pub(super) route: Route,
    pub(super) tls: Option<Arc<SessionTls>>,
    pub(super) principal: Option<Principal>,
    pub(super) root: Option<Arc<Root>>,
    /// The roots of the folders that were needed so far, by their directories.
    pub(super) folders: BTreeMap<PathBuf, Arc<Root>>,
    pub(super) link: Link,
    pub(super) job: Option<Job>,
    pub(super) progress: Arc<AtomicU64>,
    /// How much the transfer that was made ready will move.
    pub(super) expected: Expected,
    lines: LineBuffer,
    pub(super) replies: Vec<u8>,
    rate: CommandRate,
    work: Option<Work>,
    /// The fingerprint of the policy that decided about it.
    work_policy: Arc<str>,
    stop_work: Option<oneshot::Sender<MoveFault>>,
    pub(super) stop: watch::Receiver<Stop>,
    policy_changed: watch::Receiver<u64>,
    pub(super) patience: Instant,
    /// Whether the session knows that an administrator ends it.
    told_kick: bool,
    ended: bool,
}

/// What came first.
enum Happened {
    Stop,
    Kicked(Arc<Kick>),
    Worked(Box<Input>),
    Read(usize),
    Broken,
    Late,
    LinkCame,
    PolicyChanged,
}

impl Driver {
    /// A driver of a connection that was just accepted.
    pub(super) fn new(
        shared: Arc<Shared>,
        stream: tokio::net::TcpStream,
        route: Route,
        session: Session,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        let limits = &shared.config().limits;
        let lines = LineBuffer::new(limits.line_bytes);
        let patience = after(limits.login_time);
        Self {
            control: Control::Clear(stream),
            entered: shared.sessions.enter(Arc::clone(session.facts())),
            work_policy: Arc::clone(&session.facts().policy),
            session,
            seat: None,
            client: route.client,
            route,
            tls: None,
            principal: None,
            root: None,
            folders: BTreeMap::new(),
            link: Link::None,
            job: None,
            progress: Arc::default(),
            expected: Expected::default(),
            lines,
            replies: Vec::new(),
            rate: RateLimiter::direct(Quota::per_second(COMMANDS_PER_SECOND_BEFORE_LOGIN)),
            work: None,
            stop_work: None,
            stop,
            policy_changed: shared.policy_changed.subscribe(),
            patience,
            told_kick: false,
            ended: false,
            shared,
        }
    }

    /// Serves the connection until it ends.
    pub(super) async fn run(mut self) {
        self.input(Input::Connected).await;
        while !self.ended {
            if self.serve_waiting_line().await {
                continue;
            }
            let mut chunk = [0; READ_BYTES];
            match self.next(&mut chunk).await {
                Happened::Stop => self.stop_changed().await,
                Happened::Kicked(kick) => {
                    let input = self.kick(kick);
                    self.input(input).await;
                }
                Happened::Worked(end) => {
                    self.work = None;
                    self.stop_work = None;
                    self.entered.transfer_ended();
                    self.entered.active();
                    self.still_patient();
                    self.input(*end).await;
                    self.stop_changed().await;
                    // A user whose time ended meanwhile could finish the transfer, and no more.
                    self.input(Input::PolicyChanged).await;
                }
                Happened::Read(0) | Happened::Broken => {
                    self.control = Control::Gone;
                    self.input(Input::PeerGone).await;
                    self.finish_work().await;
                }
                Happened::Read(read) => {
                    let bytes = chunk.get(..read).unwrap_or_default();
                    self.lines.push(bytes);
                    zeroize::Zeroize::zeroize(&mut chunk);
                }
                Happened::Late => self.input(Input::TimedOut).await,
                Happened::LinkCame => {}
                Happened::PolicyChanged => self.input(Input::PolicyChanged).await,
            }
        }
        // However the session ended, its transfer or hash comes to its end and to its record.
        while self.work.is_some() {
            self.stop_work(MoveFault::ControlGone);
            self.finish_work().await;
        }
        self.control.close().await;
    }

    /// Serves a line that is here already. False where there is none that may be served now.
    async fn serve_waiting_line(&mut self) -> bool {
        if !self.session.wants_line() {
            return self.serve_abort().await;
        }
        if self.session.stage() == Some(Stage::Cleartext) && self.lines.first() == Some(TLS_HANDSHAKE) {
            self.input(Input::TlsInClear).await;
            return true;
        }
        let Some(line) = self.lines.next_line() else { return false };
        self.serve_line(line).await;
        true
    }

    /// Serves an `ABOR` that stands behind lines that may not be served now.
    async fn serve_abort(&mut self) -> bool {
        if !self.session.wants_abort() {
            return false;
        }
        let Some(line) = self.lines.pick_line(Session::is_abort) else { return false };
        self.serve_line(Ok(line)).await;
        true
    }

    async fn serve_line(&mut self, line: Result<Line, LineError>) {
        self.entered.active();
        self.keep_rate().await;
        self.shared.figures.command(&line);
        self.still_patient();
        let moved_bytes = self.progress.load(Ordering::Relaxed);
        self.input(Input::Line(line, moved_bytes)).await;
    }

    /// Makes a client wait that sends commands faster than it may.
    async fn keep_rate(&mut self) {
        while let Err(early) = self.rate.check() {
            let wait = early.wait_time_from(DefaultClock::default().now());
            self.pause(wait).await;
            if self.is_stopping() || self.entered.is_kicked() {
                return;
            }
        }
    }

    /// Waits for whatever comes first.
    async fn next(&mut self, chunk: &mut [u8]) -> Happened {
        if matches!(self.control, Control::Gone) {
            return Happened::Broken;
        }
        let working = self.work.is_some();
        let reading = (self.session.wants_line() || self.session.wants_abort()) && self.lines.has_room();
        let told_kick = self.told_kick;
        let Self { control, link, work, stop, policy_changed, entered, .. } = self;
        tokio::select! {
            biased;
            _ = stop.changed() => Happened::Stop,
            kick = entered.kicked(), if !told_kick => Happened::Kicked(kick),
            // The sender is among what is shared, so it is never closed.
            _ = policy_changed.changed() => Happened::PolicyChanged,
            read = control.read(chunk), if reading => read.map_or(Happened::Broken, Happened::Read),
            end = run_work(work), if working => Happened::Worked(Box::new(end)),
            () = link.progress(), if link.is_coming() => Happened::LinkCame,
            () = sleep_until(self.patience), if !working => Happened::Late,
        }
    }

    /// Waits for the end of the transfer or hash, if one runs, so that it is recorded; not longer than
    /// the server runs.
    async fn finish_work(&mut self) {
        let Some(mut work) = self.work.take() else { return };
        let mut stop = self.stop.clone();
        let mut policy_changed = self.policy_changed.clone();
        let in_time = loop {
            let told_kick = self.told_kick;
            let next = tokio::select! {
                biased;
                end = &mut work => break Some(end),
                _ = stop.wait_for(|stop| *stop == Stop::Now) => break None,
                kick = self.entered.kicked(), if !told_kick => Some(kick),
                _ = policy_changed.changed() => None,
            };
            let input = next.map_or(Input::PolicyChanged, |kick| self.kick(kick));
            self.input(input).await;
        };
        let end = if let Some(end) = in_time {
            end
        } else {
            self.stop_work(MoveFault::Stopping);
            work.await
        };
        self.entered.transfer_ended();
        self.input(end).await;
    }

    /// Starts what runs beside the dialogue until it is done or told to stop.
    pub(super) fn start<W>(&mut self, work: impl FnOnce(oneshot::Receiver<MoveFault>) -> W)
    where
        W: Future<Output = Input> + Send + 'static,
    {
        if let Some((verb, path)) = self.session.transfer() {
            self.entered.transfer_begins(verb, path, &self.progress, self.expected);
        }
        self.work_policy = Arc::clone(&self.session.facts().policy);
        let (sender, receiver) = oneshot::channel();
        self.stop_work = Some(sender);
        self.work = Some(Box::pin(work(receiver)));
    }

    /// Tells the transfer or hash to stop, if one runs; [`Self::work`] still ends with its input.
    fn stop_work(&mut self, reason: MoveFault) {
        if let Some(stop) = self.stop_work.take() {
            let _ = stop.send(reason);
        }
    }

    /// The server is being stopped: at once where no transfer or hash runs, or the time is over.
    async fn stop_changed(&mut self) {
        let stop = *self.stop.borrow();
        if self.session.is_transferring() {
            if stop == Stop::Now {
                self.stop_work(MoveFault::Stopping);
            }
        } else if stop > Stop::No && !self.ended {
            self.input(Input::Drain).await;
        }
    }

    /// The client did something, so its time starts anew; before the login it does not.
    fn still_patient(&mut self) {
        if self.session.is_logged_in() {
            self.patience = after(self.shared.config().limits.idle_time);
        }
    }

    /// Hands an input to the session, performs what it asks for, and goes on with the answers to
    /// its questions until there is none left.
    async fn input(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let (policy, fingerprint) = self.shared.current.deciding();
            // What a transfer or hash did was decided when it began.
            let is_end = matches!(input, Input::Moved(_) | Input::Hashed(_));
            self.session.decided_by(if is_end { &self.work_policy } else { &fingerprint });
            let world = World { policy: &policy, now: Timestamp::now() };
            let Step { effects, question } = self.session.handle(input, world);
            for effect in effects {
                if !self.perform(effect).await {
                    return;
                }
            }
            self.entered.reached(self.session.stage());
            // Lines that waited for the end of a transfer may ask for a long listing each.
            if self.replies.len() >= REPLIES_BYTES {
                self.flush().await;
            }
            next = match question {
                Some(question) => self.answer(question).await,
                None => None,
            };
        }
        self.flush().await;
    }

    /// Performs one effect; false ends the connection.
    async fn perform(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Audit(record) => return self.record(*record).await,
            Effect::Reply(reply) => {
                self.shared.figures.reply(reply.code());
                reply.write(&mut self.replies);
            }
            Effect::Delay(delay) => {
                self.flush().await;
                self.pause(delay).await;
            }
            Effect::LoggedIn(principal) => {
                if let Some(tls) = &self.tls {
                    tls.set_principal(&principal);
                }
                self.entered.logged_in(principal.name());
                let login = LastLogin { at: Timestamp::now(), address: principal.address() };
                self.shared.logins.note(principal.name(), login);
                self.principal = Some(principal);
                let quota = Quota::per_second(self.shared.config().limits.commands_per_second);
                self.rate = RateLimiter::direct(quota);
                self.patience = after(self.shared.config().limits.idle_time);
            }
            Effect::CloseData => {
                // The client hears why before its data connection ends.
                self.flush().await;
                self.link.let_go();
            }
            Effect::UseActive(address) => self.link = Link::Active(address),
            Effect::Abort => {
                let gone = matches!(self.control, Control::Gone);
                self.stop_work(if gone { MoveFault::ControlGone } else { MoveFault::Aborted });
            }
            Effect::Stop(reason) => self.stop_work(reason),
            Effect::Close => {
                // Who hears the farewell may come back at once.
                self.seat = None;
                self.flush().await;
                self.ended = true;
            }
        }
        true
    }

    /// Writes a record. Where it cannot be written, nothing is acknowledged any more: the client
    /// hears that the server cannot go on, and the connection ends.
    async fn record(&mut self, record: Record) -> bool {
        let Err(fault) = self.shared.audit.record(record).await else { return true };
        if !self.ended {
            error!(%fault, client = %self.client, "a session ends because its audit record cannot be written");
            self.replies.clear();
            Reply::new(Code::Unavailable, "The audit log cannot be written; closing.").write(&mut self.replies);
            self.flush().await;
            self.ended = true;
        }
        false
    }

    /// Sends the replies that have gathered.
    pub(super) async fn flush(&mut self) {
        if self.replies.is_empty() {
            return;
        }
        let replies = std::mem::take(&mut self.replies);
        let mut stop = self.stop.clone();
        let written = tokio::select! {
            biased;
            written = self.control.write(&replies) => written,
            _ = stop.wait_for(|stop| *stop == Stop::Now) => Err(std::io::ErrorKind::TimedOut.into()),
            () = self.entered.kicked_since(FAREWELL_TIME) => Err(std::io::ErrorKind::TimedOut.into()),
        };
        if let Err(failure) = written {
            debug!(%failure, client = %self.client, "the client does not take its replies");
            self.control = Control::Gone;
        }
    }

    /// Whether bytes wait that nobody has looked at.
    pub(super) fn has_unread_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Forgets what was collected of lines: nothing crosses the TLS boundary.
    pub(super) fn forget_lines(&mut self) {
        self.lines = LineBuffer::new(self.shared.config().limits.line_bytes);
    }

    /// What the session is told of a kick, once.
    pub(super) fn kick(&mut self, kick: Arc<Kick>) -> Input {
        self.told_kick = true;
        Input::Kicked(kick)
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow() > Stop::No
    }

    /// Waits, but not longer than the server runs.
    pub(super) async fn pause(&mut self, delay: Duration) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = sleep(delay) => {}
            _ = self.entered.kicked() => {}
            _ = stop.wait_for(|stop| *stop > Stop::No) => {}
        }
    }

    /// Starts the transfer that was made ready.
    pub(super) fn start_moving(&mut self) {
        let Some(job) = self.job.take() else {
            warn!(client = %self.client, "a transfer was to start that was not made ready");
            self.ended = true;
            return;
        };
        let needs = self.link_needs();
        let link = self.link.for_transfer(job.what.is_to_client(), needs);
        self.start(|stop| async move { Input::Moved(Box::new(Box::pin(super::mover::run(job, link, stop)).await)) });
    }
}

async fn run_work(work: &mut Option<Work>) -> Input {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}
