//! The sessions that are connected: who, from where, since when, doing what.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::audit::record::SessionFacts;
use crate::identity::Username;
use crate::proto::path::VirtualPath;
use crate::proto::verb::Verb;
use crate::session::effect::{LiveSession, LiveTransfer, OwnSessions};

/// Every session that is connected, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    live: Mutex<BTreeMap<u64, Arc<Live>>>,
    entered: AtomicU64,
}

/// One of them.
#[derive(Debug)]
struct Live {
    facts: Arc<SessionFacts>,
    user: OnceLock<Username>,
    transfer: Mutex<Option<Transfer>>,
}

#[derive(Debug)]
struct Transfer {
    verb: Verb,
    path: VirtualPath,
    progress: Arc<AtomicU64>,
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
        let live = Arc::new(Live { facts, user: OnceLock::new(), transfer: Mutex::default() });
        self.lock().insert(number, Arc::clone(&live));
        Entered { sessions: Arc::clone(self), number, live }
    }

    /// How many there are, and how many of them have a transfer under way.
    pub(super) fn counts(&self) -> (usize, usize) {
        let live = self.lock();
        (live.len(), live.values().filter(|live| live.transfer().is_some()).count())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn transfer(&self) -> MutexGuard<'_, Option<Transfer>> {
        self.transfer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told of it to the session that asks.
    fn shown(&self, asks: bool) -> LiveSession {
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

impl Entered {
    /// Somebody has logged in.
    pub(super) fn logged_in(&self, user: &Username) {
        // A session has one user until it ends.
        let _ = self.live.user.set(user.clone());
    }

    /// A transfer runs from here on.
    pub(super) fn transfer_begins(&self, verb: Verb, path: &VirtualPath, progress: &Arc<AtomicU64>) {
        *self.live.transfer() = Some(Transfer { verb, path: path.clone(), progress: Arc::clone(progress) });
    }

    /// It has ended.
    pub(super) fn transfer_ended(&self) {
        *self.live.transfer() = None;
    }

    /// The sessions of the same user, as many as asked for.
    pub(super) fn own(&self, lines_max: usize) -> OwnSessions {
        let Some(user) = self.live.user.get() else { return OwnSessions::default() };
        let own: Vec<(u64, Arc<Live>)> = {
            let live = self.sessions.lock();
            let same = live.iter().filter(|(_, live)| live.user.get() == Some(user));
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let sessions = Arc::default();
        let stranger = enter(&sessions, 1, None);
        let alice = enter(&sessions, 2, Some("alice"));
        let bob = enter(&sessions, 3, Some("bob"));
        let second = enter(&sessions, 4, Some("alice"));
        second.transfer_begins(Verb::Stor, &VirtualPath::root(), &Arc::new(AtomicU64::new(5)));
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
