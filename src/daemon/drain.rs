//! An end without haste: nobody new is let in, and the server stops once the last session has ended,
//! or a time is over. Until then it can be taken back.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::server::Shared;

/// How long the server goes on at least, so that whoever asked hears the answer.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// How often it is looked whether the last session has ended.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// Whether the server ends with its last session.
#[derive(Debug, Default)]
pub(super) struct Drain(watch::Sender<Option<Draining>>);

/// Since when it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draining {
    pub(super) since: Timestamp,
    /// When it stops at the latest, for people.
    pub(super) until: Option<Timestamp>,
    deadline: Option<Instant>,
}

impl Drain {
    /// Lets nobody new in from here on. Asked again, the later request counts.
    pub(super) fn begin(&self, within: Option<Duration>) -> Draining {
        let now = Timestamp::now();
        let since = self.now().map_or(now, |draining| draining.since);
        let until = within.and_then(|within| now.checked_add(within).ok());
        let deadline = within.and_then(|within| Instant::now().checked_add(within));
        let draining = Draining { since, until, deadline };
        self.0.send_replace(Some(draining));
        draining
    }

    /// Takes it back; false where there was nothing to take back.
    pub(super) fn cancel(&self) -> bool {
        self.0.send_replace(None).is_some()
    }

    /// Whether anybody new is turned away.
    pub(super) fn is_draining(&self) -> bool {
        self.now().is_some()
    }

    /// How it stands.
    pub(super) fn now(&self) -> Option<Draining> {
        *self.0.borrow()
    }
}

impl Shared {
    /// Returns once the server has drained: nobody is left, or the time is over.
    pub(super) async fn drained(&self) {
        let mut told = self.drain.0.subscribe();
        loop {
            // The sender is among what is shared, so it is never closed.
            let draining = *told.borrow_and_update();
            let Some(draining) = draining else {
                let _ = told.changed().await;
                continue;
            };
            tokio::select! {
                _ = told.changed() => {}
                () = self.empty() => return,
                () = over(draining.deadline) => return,
            }
        }
    }

    async fn empty(&self) {
        sleep(ANSWER_TIME).await;
        while !self.sessions.are_none() {
            sleep(LOOK_PERIOD).await;
        }
    }
}

async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
