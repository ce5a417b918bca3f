//! What time and a new policy bring about by themselves: every session is judged again, so that idle
//! ones end with the user's hours or last day, and transfers keep to the limits that now hold.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::server::Shared;

/// How often the clock is looked at, which may have been set meanwhile.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Has every session judged again with each minute of the clock, since hours and dates begin and end
/// with one. What a new policy says of bandwidth comes into force here, too.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut looks = interval(LOOK_PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changed = shared.policy_changed.subscribe();
    let mut judged = minute();
    loop {
        tokio::select! {
            // It is never closed: the sender is among what is shared.
            _ = changed.changed() => {
                shared.bandwidth.set((&shared.config().limits).into());
                shared.places.apply(&shared.policy());
            }
            _ = looks.tick() => {
                if minute() != judged {
                    judged = minute();
                    shared.places.sweep();
                    shared.rejudge();
                    let now = shared.sessions.summary();
                    debug!(sessions = now.sessions, logged_in = now.logged_in, transfers = now.transfers, "sessions at this minute");
                }
            }
        }
    }
}

fn minute() -> i64 {
    Timestamp::now().as_second().div_euclid(60)
}
