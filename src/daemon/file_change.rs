//! Changes of the policy files, noticed by looking at them each second: that works on every file
//! system, and needs no more of the system than the files themselves.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::reload::{Asker, Reloader};
use crate::config::{SERVER_FILE, USERS_FILE};

/// How often the files are looked at; so long they have to stay the same before they are read.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// The tests of the policy.
const TESTS_FILE: &str = "tests.toml";

/// What the files look like from outside: a change of their content changes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Signature(Vec<Option<[i128; 5]>>);

impl Signature {
    /// That of the files in a policy directory at this moment. Blocks.
    pub(super) fn of(directory: &Path) -> Self {
        let one = |name: &str| {
            let metadata = std::fs::symlink_metadata(directory.join(name)).ok()?;
            let nanos = |seconds: i64, nanos: i64| {
                i128::from(seconds).saturating_mul(1_000_000_000).saturating_add(i128::from(nanos))
            };
            Some([
                metadata.dev().into(),
                metadata.ino().into(),
                metadata.size().into(),
                nanos(metadata.mtime(), metadata.mtime_nsec()),
                nanos(metadata.ctime(), metadata.ctime_nsec()),
            ])
        };
        Self([SERVER_FILE, USERS_FILE, TESTS_FILE].into_iter().map(one).collect())
    }
}

/// Has the files read again once they have changed and stayed the same for a while, for as long as
/// the policy in force wants that.
pub(super) async fn watch(reloader: Arc<Reloader>) {
    let mut ticks = interval(LOOK_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Signature::default();
    loop {
        ticks.tick().await;
        let config = reloader.shared.config();
        if !config.reload.on_change {
            continue;
        }
        let Ok(now) = tokio::task::spawn_blocking(move || Signature::of(&config.directory)).await else { continue };
        let known = now == *reloader.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !known && now == last {
            reloader.reload(Asker::FileChange).await;
        }
        last = now;
    }
}
