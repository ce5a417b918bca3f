//! File descriptors: as many as the system lets the server have, since running out of them would
//! keep everybody out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors of one session at most: control connection, passive port, data connection, file,
/// directory.
const PER_SESSION: u64 = 5;
/// Descriptors of the server itself: listeners, logs, homes, the runtime, and connections that are
/// being ended gently.
const OWN: u64 = 640;

/// Descriptors that a server with this many sessions may come to need.
pub(crate) fn needed(sessions: usize) -> u64 {
    u64::try_from(sessions).unwrap_or(u64::MAX).saturating_mul(PER_SESSION).saturating_add(OWN)
}

/// Raises the limit to what the system permits, and says so where that is too little for the
/// sessions configured.
pub(super) fn raise_limit(sessions: usize) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(failure) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        warn!(%failure, "the limit on open files cannot be raised");
    }
    let current = getrlimit(Resource::Nofile).current;
    let needed = needed(sessions);
    if let Some(permitted) = current.filter(|permitted| *permitted < needed) {
        warn!(
            permitted,
            needed, "the limit on open files is too low for limits.sessions; raise it (ulimit -n, LimitNOFILE=)"
        );
    }
}
