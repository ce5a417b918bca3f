//! The sessions that are connected: who, from where, since when, doing what.

mod live;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::audit::record::SessionFacts;
use crate::identity::Username;
use crate::proto::path::VirtualPath;
use crate::proto::verb::Verb;
use crate::rules::Stage;
use crate::session::effect::{Kick, OwnSessions};
pub(super) use live::{Expected, Live, Moving};

/// How often it is looked whether sessions have ended.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// Every session that is connected, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    live: Mutex<BTreeMap<u64, Arc<Live>>>,
    entered: AtomicU64,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Connected.
    pub(super) sessions: usize,
    /// Of these, logged in.
    pub(super) logged_in: usize,
    /// Of these, in the middle of a transfer or a hash.
    pub(super) transfers: usize,
}

/// A session's own place among them; dropping it takes the session out.
#[derive(Debug)]
pub(super) struct Entered {
    sessions: Arc<Sessions>,
    number: u64,
    live: Arc<Live>,
}

impl Sessions {
    /// Takes a session in.
    pub(super) fn enter(self: &Arc<Self>, facts: Arc<SessionFacts>) -> Entered {
        let number = self.entered.fetch_add(1, Ordering::Relaxed);
        let live = Arc::new(Live::new(facts));
        self.lock().insert(number, Arc::clone(&live));
        Entered { sessions: Arc::clone(self), number, live }
    }

    /// How many there are at the moment.
    pub(super) fn summary(&self) -> Summary {
        let live = self.all();
        Summary {
            sessions: live.len(),
            logged_in: live.iter().filter(|live| live.user().is_some()).count(),
            transfers: live.iter().filter(|live| live.is_transferring()).count(),
        }
    }

    /// Whether nobody is connected.
    pub(super) fn are_none(&self) -> bool {
        self.lock().is_empty()
    }

    /// Every one. Looking at them holds up nobody who comes or goes.
    pub(super) fn all(&self) -> Vec<Arc<Live>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// Notes how far each transfer is, for its rate. To be called each second.
    pub(super) fn sample(&self) {
        let now = Instant::now();
        for live in self.all() {
            live.sample(now);
        }
    }

    /// How many of these are still connected, once none is or a time is over.
    pub(super) async fn left_of(&self, sessions: &[Arc<Live>], within: Duration) -> usize {
        let end = Instant::now().checked_add(within);
        loop {
            // Each is held by its own task as long as it is connected.
            let left = sessions.iter().filter(|live| !live.has_ended()).count();
            if left == 0 || end.is_none_or(|end| Instant::now() >= end) {
                return left;
            }
            sleep(LOOK_PERIOD).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entered {
    /// Somebody has logged in.
    pub(super) fn logged_in(&self, user: &Username) {
        // A session has one user until it ends.
        self.live.set_user(user);
    }

    /// TLS of this version protects the control connection.
    pub(super) fn protected(&self, version: &'static str) {
        self.live.set_tls(version);
    }

    /// How far the session has come.
    pub(super) fn reached(&self, stage: Option<Stage>) {
        self.live.set_stage(stage);
    }

    /// The client did something.
    pub(super) fn active(&self) {
        self.live.set_active(Instant::now());
    }

    /// A transfer runs from here on.
    pub(super) fn transfer_begins(
        &self,
        verb: Verb,
        path: &VirtualPath,
        progress: &Arc<AtomicU64>,
        expected: Expected,
    ) {
        self.live.begin(verb, path, progress, expected);
    }

    /// It has ended.
    pub(super) fn transfer_ended(&self) {
        self.live.end();
    }

    /// What others see of the session.
    pub(super) fn watched(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// Waits until an administrator ends the session.
    pub(super) async fn kicked(&self) -> Arc<Kick> {
        self.live.kicked().await
    }

    /// Waits for that, and this long from then on.
    pub(super) async fn kicked_since(&self, time: Duration) {
        self.live.kicked().await;
        sleep(time).await;
    }

    /// Whether an administrator ends the session.
    pub(super) fn is_kicked(&self) -> bool {
        self.live.is_kicked()
    }

    /// The sessions of the same user, as many as asked for.
    pub(super) fn own(&self, lines_max: usize) -> OwnSessions {
        let Some(user) = self.live.user() else { return OwnSessions::default() };
        let own: Vec<(u64, Arc<Live>)> = {
            let live = self.sessions.lock();
            let same = live.iter().filter(|(_, live)| live.user() == Some(user));
            same.map(|(number, live)| (*number, Arc::clone(live))).collect()
        };
        OwnSessions {
            sessions: own.iter().take(lines_max).map(|(number, live)| live.shown(*number == self.number)).collect(),
            more: own.len().saturating_sub(lines_max),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.number);
        self.live.ended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::effect::{LiveSession, LiveTransfer};

    fn enter(sessions: &Arc<Sessions>, port: u16, user: Option<&str>) -> Entered {
        let entered = sessions.enter(Arc::new(SessionFacts {
            id: port.to_string(),
            created_micros: i64::from(port) * 1_000_000,
            client: ([192, 0, 2, 1], port).into(),
            server: ([192, 0, 2, 2], 21).into(),
            proxy: None,
            policy: "0".into(),
        }));
        if let Some(user) = user {
            entered.logged_in(&Username::parse(user).unwrap());
        }
        entered
    }

    fn ports(own: &OwnSessions) -> Vec<u16> {
        own.sessions.iter().map(|session| session.client.port()).collect()
    }

    #[test]
    fn a_user_sees_sessions_of_the_same_user_alone() {
        let sessions: Arc<Sessions> = Arc::default();
        let stranger = enter(&sessions, 1, None);
        let alice = enter(&sessions, 2, Some("alice"));
        let bob = enter(&sessions, 3, Some("bob"));
        let second = enter(&sessions, 4, Some("alice"));
        second.transfer_begins(Verb::Stor, &VirtualPath::root(), &Arc::new(AtomicU64::new(5)), Expected::default());
        assert_eq!(sessions.summary(), Summary { sessions: 4, logged_in: 3, transfers: 1 });
        assert_eq!(stranger.own(9), OwnSessions::default());
        assert_eq!(ports(&bob.own(9)), [3]);
        let own = alice.own(9);
        assert_eq!((ports(&own), own.more), (vec![2, 4], 0));
        assert_eq!(
            own.sessions[0],
            LiveSession { client: ([192, 0, 2, 1], 2).into(), since_seconds: 2, asks: true, transfer: None }
        );
        let transfer = LiveTransfer { verb: Verb::Stor, path: "/".into(), bytes: 5 };
        assert_eq!((own.sessions[1].asks, &own.sessions[1].transfer), (false, &Some(transfer)));
        second.transfer_ended();
        assert_eq!(alice.own(9).sessions[1].transfer, None);
        drop(second);
        assert_eq!(ports(&alice.own(9)), [2]);
    }

    #[test]
    fn the_answer_is_bounded_and_says_so() {
        let sessions = Arc::default();
        let all: Vec<Entered> = (1..=5).map(|port| enter(&sessions, port, Some("alice"))).collect();
        let own = all[4].own(3);
        assert_eq!((ports(&own), own.more), (vec![1, 2, 3], 2));
    }
}
