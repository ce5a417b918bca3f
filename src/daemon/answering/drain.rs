//! The answer to `drain`.

use std::time::Duration;

use super::{Connection, Done, second};
use crate::daemon::calls::{Answer, DrainStatus, Draining};
use crate::daemon::server::Shared;
use crate::daemon::stopping::Stop;

/// The longest time that may be given.
const WITHIN_MAX: Duration = Duration::from_hours(7 * 24);

impl Connection {
    pub(super) fn drain(&self, draining: &Draining) -> Done {
        let shared = self.shared();
        if *self.stop.borrow() > Stop::No {
            return Done::refused("stopping", "the server is stopping already");
        }
        if draining.cancel {
            if draining.within_seconds.is_some() {
                return Done::refused("malformed", "what is taken back has no time");
            }
            if !shared.drain.cancel() {
                return Done::refused("not_found", "the server is not draining");
            }
            return Done::well(Answer::Drain(status(shared)), "taken back");
        }
        let within = draining.within_seconds.map(Duration::from_secs);
        if within.is_some_and(|within| within > WITHIN_MAX) {
            return Done::refused("malformed", format!("{} seconds at most", WITHIN_MAX.as_secs()));
        }
        shared.drain.begin(within);
        let status = status(shared);
        let result = format!("nobody new is let in, {} sessions are left", status.sessions);
        Done::well(Answer::Drain(status), result)
    }
}

/// How it stands.
pub(super) fn status(shared: &Shared) -> DrainStatus {
    let now = shared.drain.now();
    DrainStatus {
        draining: now.is_some(),
        since: now.map(|draining| second(draining.since)),
        until: now.and_then(|draining| draining.until).map(second),
        sessions: shared.sessions.summary().sessions,
    }
}
