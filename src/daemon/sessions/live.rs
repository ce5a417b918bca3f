//! What others see of a session while it is connected, and how they end it. The session only writes a
//! few words here, and is woken by nothing but a kick.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::audit::record::SessionFacts;
use crate::identity::Username;
use crate::proto::path::VirtualPath;
use crate::proto::verb::Verb;
use crate::rules::Stage;
use crate::session::effect::{Kick, LiveSession, LiveTransfer};

/// Seconds over which the rate of a transfer is taken.
const RATE_SAMPLES: usize = 5;

/// A session that is connected.
#[derive(Debug)]
pub(in crate::daemon) struct Live {
    pub(in crate::daemon) facts: Arc<SessionFacts>,
    began: Instant,
    user: OnceLock<Username>,
    tls: OnceLock<&'static str>,
    stage: AtomicU8,
    /// When the client did something last, in milliseconds since the session began.
    active_millis: AtomicU64,
    transfer: Mutex<Option<Transfer>>,
    kick: OnceLock<Arc<Kick>>,
    told: Notify,
    ended: AtomicBool,
}

#[derive(Debug)]
struct Transfer {
    verb: Verb,
    path: VirtualPath,
    progress: Arc<AtomicU64>,
    expected: Expected,
    began: Instant,
    /// When how much had moved, the earliest first.
    samples: VecDeque<(Instant, u64)>,
}

/// How much a transfer will move, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Expected {
    /// Bytes of the file before those that move.
    pub(in crate::daemon) offset: u64,
    /// Bytes of the whole file.
    pub(in crate::daemon) size: Option<u64>,
}

/// A transfer as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct Moving {
    pub(in crate::daemon) verb: Verb,
    pub(in crate::daemon) path: VirtualPath,
    pub(in crate::daemon) bytes: u64,
    pub(in crate::daemon) expected: Expected,
    pub(in crate::daemon) time: Duration,
    /// Over the last seconds.
    pub(in crate::daemon) bytes_per_second: u64,
}

impl Live {
    pub(super) fn new(facts: Arc<SessionFacts>) -> Self {
        Self {
            facts,
            began: Instant::now(),
            user: OnceLock::new(),
            tls: OnceLock::new(),
            stage: AtomicU8::new(0),
            active_millis: AtomicU64::new(0),
            transfer: Mutex::default(),
            kick: OnceLock::new(),
            told: Notify::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// Who has logged in.
    pub(in crate::daemon) fn user(&self) -> Option<&Username> {
        self.user.get()
    }

    /// The version of TLS on the control connection, once it is up.
    pub(in crate::daemon) fn tls(&self) -> Option<&'static str> {
        self.tls.get().copied()
    }

    /// How far the session has come; none before its greeting and behind its end.
    pub(in crate::daemon) fn stage(&self) -> Option<Stage> {
        let stage = self.stage.load(Ordering::Relaxed);
        Stage::ALL.into_iter().find(|known| *known as u8 == stage)
    }

    /// How long the client has done nothing.
    pub(in crate::daemon) fn idle(&self, now: Instant) -> Duration {
        if self.is_transferring() {
            return Duration::ZERO;
        }
        let active = Duration::from_millis(self.active_millis.load(Ordering::Relaxed));
        now.saturating_duration_since(self.began).saturating_sub(active)
    }

    /// Whether a transfer or a hash is under way.
    pub(in crate::daemon) fn is_transferring(&self) -> bool {
        self.transfer().is_some()
    }

    /// What moves at the moment.
    pub(in crate::daemon) fn moving(&self, now: Instant) -> Option<Moving> {
        let held = self.transfer();
        let transfer = held.as_ref()?;
        let bytes = transfer.progress.load(Ordering::Relaxed);
        let (since, before) = transfer.samples.front().copied().unwrap_or((transfer.began, 0));
        let millis = now.saturating_duration_since(since).as_millis().max(1);
        let rate = u128::from(bytes.saturating_sub(before)).saturating_mul(1000).checked_div(millis).unwrap_or(0);
        Some(Moving {
            verb: transfer.verb,
            path: transfer.path.clone(),
            bytes,
            expected: transfer.expected,
            time: now.saturating_duration_since(transfer.began),
            bytes_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
        })
    }

    /// Notes how far the transfer is.
    pub(super) fn sample(&self, now: Instant) {
        if let Some(transfer) = self.transfer().as_mut() {
            let bytes = transfer.progress.load(Ordering::Relaxed);
            if transfer.samples.len() >= RATE_SAMPLES {
                transfer.samples.pop_front();
            }
            transfer.samples.push_back((now, bytes));
        }
    }

    /// Ends the session; the first who asks is the one who is recorded. False where it was asked for
    /// already.
    pub(in crate::daemon) fn kick(&self, kick: &Arc<Kick>) -> bool {
        let first = self.kick.set(Arc::clone(kick)).is_ok();
        self.told.notify_waiters();
        first
    }

    /// Waits until an administrator ends the session.
    pub(in crate::daemon) fn kicked(self: &Arc<Self>) -> impl Future<Output = Arc<Kick>> + use<> {
        let live = Arc::clone(self);
        async move {
            loop {
                let mut told = std::pin::pin!(live.told.notified());
                // Whoever kicks from here on wakes this.
                told.as_mut().enable();
                if let Some(kick) = live.kick.get() {
                    return Arc::clone(kick);
                }
                told.await;
            }
        }
    }

    pub(super) fn is_kicked(&self) -> bool {
        self.kick.get().is_some()
    }

    /// Whether it is connected no more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn set_user(&self, user: &Username) {
        // A session has one user until it ends.
        let _ = self.user.set(user.clone());
    }

    pub(super) fn set_tls(&self, version: &'static str) {
        // There is one handshake.
        let _ = self.tls.set(version);
    }

    pub(super) fn set_stage(&self, stage: Option<Stage>) {
        self.stage.store(stage.map_or(0, |stage| stage as u8), Ordering::Relaxed);
    }

    pub(super) fn set_active(&self, now: Instant) {
        let millis = u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        self.active_millis.store(millis, Ordering::Relaxed);
    }

    pub(super) fn begin(&self, verb: Verb, path: &VirtualPath, progress: &Arc<AtomicU64>, expected: Expected) {
        *self.transfer() = Some(Transfer {
            verb,
            path: path.clone(),
            progress: Arc::clone(progress),
            expected,
            began: Instant::now(),
            samples: VecDeque::new(),
        });
    }

    pub(super) fn end(&self) {
        *self.transfer() = None;
    }

    fn transfer(&self) -> MutexGuard<'_, Option<Transfer>> {
        self.transfer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told of it to the session that asks.
    pub(super) fn shown(&self, asks: bool) -> LiveSession {
        let transfer = self.transfer().as_ref().map(|transfer| LiveTransfer {
            verb: transfer.verb,
            path: transfer.path.to_string(),
            bytes: transfer.progress.load(Ordering::Relaxed),
        });
        let since_seconds = self.facts.created_micros.div_euclid(1_000_000);
        let client = SocketAddr::new(self.facts.client.ip().to_canonical(), self.facts.client.port());
        LiveSession { client, since_seconds, asks, transfer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        Live::new(Arc::new(SessionFacts {
            id: "1".into(),
            created_micros: 0,
            client: ([192, 0, 2, 1], 1).into(),
            server: ([192, 0, 2, 2], 21).into(),
            proxy: None,
            policy: "0".into(),
        }))
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (live, progress) = (live(), Arc::new(AtomicU64::new(0)));
        live.begin(Verb::Retr, &VirtualPath::root(), &progress, Expected::default());
        let start = live.transfer().as_ref().unwrap().began;
        let rate = |seconds| live.moving(after(start, seconds)).unwrap().bytes_per_second;
        assert_eq!(rate(0), 0);
        for second in 1..=20 {
            progress.fetch_add(if second <= 10 { 1000 } else { 50 }, Ordering::Relaxed);
            if second == 10 {
                assert_eq!(rate(second), 1000);
            }
            live.sample(after(start, second));
        }
        progress.fetch_add(50, Ordering::Relaxed);
        assert_eq!(rate(21), 50);
        live.end();
        assert_eq!(live.moving(after(start, 22)), None);
    }

    #[test]
    fn who_does_nothing_is_idle_and_who_moves_something_is_not() {
        let live = live();
        assert_eq!(live.idle(after(live.began, 9)).as_secs(), 9);
        live.set_active(after(live.began, 9));
        assert_eq!(live.idle(after(live.began, 13)).as_secs(), 4);
        live.begin(Verb::Stor, &VirtualPath::root(), &Arc::default(), Expected::default());
        assert_eq!(live.idle(after(live.began, 99)), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_kick_is_heard_before_and_behind_the_wait_and_the_first_counts() {
        let live = Arc::new(live());
        let kick = |uid| Arc::new(Kick { banned: false, uid, pid: None, reason: None });
        let waiting = tokio::spawn(live.kicked());
        tokio::task::yield_now().await;
        assert!(live.kick(&kick(1)) && !live.kick(&kick(2)));
        assert_eq!(waiting.await.unwrap().uid, 1);
        assert_eq!(live.kicked().await.uid, 1);
    }
}
