//! How full homes, folders and file systems are: the figures, the warnings when little is left, and
//! the scans that keep the figures right.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, error, info, warn};

use super::calls::SpaceLine;
use super::server::Shared;
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::policy::Policy;
use crate::store::{Fault, Free, Homes, Repaired, Root};

/// How often it is looked whether little is left.
const WATCH_PERIOD: Duration = Duration::from_secs(5);
/// How often it is looked whether a home is due for a scan.
const SCAN_CHECK_PERIOD: Duration = Duration::from_mins(1);
/// Percent by which it has to get better before the same warning can come again.
const RELIEF_PERCENT: u64 = 5;

/// What was warned of, so that each warning comes once.
#[derive(Debug, Default)]
pub(super) struct Warned(Mutex<BTreeSet<(String, PathBuf)>>);

/// The roots that are open, by the directory they were opened by.
struct Roots<'a> {
    homes: &'a Homes,
    open: HashMap<PathBuf, Arc<Root>>,
}

impl Roots<'_> {
    /// The root for a directory; none where it cannot be opened, of which its users hear.
    fn at(&self, directory: &Path) -> Option<Arc<Root>> {
        self.open.get(directory).cloned().or_else(|| self.homes.root(directory).ok())
    }
}

impl Warned {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<(String, PathBuf)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether so much is a warning: from the threshold on, and until it is clearly below it.
    fn judge(&self, line: &mut SpaceLine, threshold: u64) {
        let warned = self.lock().contains(&(line.what.clone(), line.directory.clone()));
        let threshold = if warned { threshold.saturating_sub(RELIEF_PERCENT) } else { threshold };
        line.warning = line.percent >= threshold;
    }

    /// Remembers the warnings; returns those that are new, and those that are over.
    fn take_in(&self, lines: &[SpaceLine]) -> (Vec<SpaceLine>, Vec<SpaceLine>) {
        let mut warned = self.lock();
        let key = |line: &SpaceLine| (line.what.clone(), line.directory.clone());
        let new = lines.iter().filter(|line| line.warning && !warned.contains(&key(line))).cloned().collect();
        let over = lines.iter().filter(|line| !line.warning && warned.contains(&key(line))).cloned().collect();
        *warned = lines.iter().filter(|line| line.warning).map(key).collect();
        (new, over)
    }
}

/// How full each quota and each file system is, quotas first; for a thread that may block. Users and
/// folders without a quota have no line.
pub(super) fn report(shared: &Shared) -> Vec<SpaceLine> {
    let (policy, config) = (shared.policy(), shared.config());
    let open = shared.homes.open().into_iter().map(|root| (root.path().to_owned(), root)).collect();
    let roots = Roots { homes: &shared.homes, open };
    let mut lines = Vec::new();
    for (what, directory, limits) in quotas(&policy) {
        let Some(root) = roots.at(directory) else { continue };
        let mut line = quota_line(what, directory, limits, &root);
        shared.space.judge(&mut line, config.storage.quota_warn_percent);
        lines.push(line);
    }
    let mut devices = BTreeSet::new();
    let by_path: BTreeMap<&PathBuf, &Arc<Root>> = roots.open.iter().collect();
    for (directory, root) in by_path {
        if let Ok((device, free)) = root.free()
            && devices.insert(device)
        {
            let mut line = file_system_line(directory, free);
            let least_free = config.storage.free_space_warn_percent;
            // One that need not have anything free is never too full.
            if least_free > 0 {
                shared.space.judge(&mut line, 100_u64.saturating_sub(least_free));
            }
            lines.push(line);
        }
    }
    lines
}

/// Whose each quota is, the directory, and the limits in bytes and in files.
fn quotas(policy: &Policy) -> impl Iterator<Item = (String, &Path, (Option<u64>, Option<u64>))> {
    let users = policy.users.values().map(|account| {
        let limits = (account.terms.quota_bytes, account.terms.quota_files);
        (format!("user {}", account.name), account.home.as_path(), limits)
    });
    let folders = policy.folders.values().map(|folder| {
        let limits = (folder.quota_bytes, folder.quota_files);
        (format!("folder {}", folder.name), folder.directory.as_path(), limits)
    });
    users.chain(folders).filter(|(_, _, limits)| *limits != (None, None))
}

fn quota_line(
    what: String,
    directory: &Path,
    (limit_bytes, limit_files): (Option<u64>, Option<u64>),
    root: &Root,
) -> SpaceLine {
    let used = root.used();
    let free = root.free().ok().map(|(_, free)| free);
    let (used_bytes, used_files) = (used.map(|used| used.bytes), used.map(|used| used.files));
    SpaceLine {
        what,
        directory: directory.to_owned(),
        used_bytes,
        limit_bytes,
        used_files,
        limit_files,
        free_bytes: free.map(|free| free.bytes),
        free_inodes: free.and_then(|free| free.inodes),
        percent: percent(used_bytes, limit_bytes).max(percent(used_files, limit_files)),
        warning: false,
    }
}

fn file_system_line(directory: &Path, free: Free) -> SpaceLine {
    let used_bytes = Some(free.bytes_in_all.saturating_sub(free.bytes));
    let used_files = free.inodes_in_all.zip(free.inodes).map(|(all, free)| all.saturating_sub(free));
    SpaceLine {
        what: "file system".to_owned(),
        directory: directory.to_owned(),
        used_bytes,
        limit_bytes: Some(free.bytes_in_all),
        used_files,
        limit_files: free.inodes_in_all,
        free_bytes: Some(free.bytes),
        free_inodes: free.inodes,
        percent: percent(used_bytes, Some(free.bytes_in_all)).max(percent(used_files, free.inodes_in_all)),
        warning: false,
    }
}

/// How much of a limit is used, rounded down.
fn percent(used: Option<u64>, limit: Option<u64>) -> u64 {
    let share = |(used, limit): (u64, u64)| u128::from(used).saturating_mul(100).checked_div(limit.into());
    used.zip(limit).and_then(share).map_or(0, |share| u64::try_from(share).unwrap_or(u64::MAX))
}

/// Tells the operator and the audit log, once each, where little is left.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut ticks = interval(WATCH_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let at = Arc::clone(&shared);
        let Ok(lines) = tokio::task::spawn_blocking(move || report(&at)).await else { continue };
        let (new, over) = shared.space.take_in(&lines);
        for line in over {
            info!(what = line.what, directory = %line.directory.display(), percent = line.percent, "there is room again");
        }
        for line in new {
            warn!(what = line.what, directory = %line.directory.display(), percent = line.percent, "little room is left");
            shared.record_all(vec![warning(&line)]).await;
        }
    }
}

fn warning(line: &SpaceLine) -> Record {
    let mut record = about(Event::QuotaWarning, &line.what, &line.directory);
    record = record.with("percent", Detail::Number(line.percent));
    let figures = [
        ("used_bytes", line.used_bytes),
        ("limit_bytes", line.limit_bytes),
        ("used_files", line.used_files),
        ("limit_files", line.limit_files),
    ];
    for (name, figure) in figures {
        if let Some(figure) = figure {
            record = record.with(name, Detail::Number(figure));
        }
    }
    record
}

fn about(event: Event, what: &str, directory: &Path) -> Record {
    let directory = directory.to_string_lossy().into_owned();
    Record::new(event).with("what", Detail::Text(what.to_owned())).with("directory", Detail::Text(directory))
}

/// Counts the directories that have quotas, one after the other: each soon after it is known, and
/// then again and again.
pub(super) async fn count(shared: Arc<Shared>) {
    let mut counted: HashMap<PathBuf, Instant> = HashMap::new();
    let mut ticks = interval(SCAN_CHECK_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (policy, config) = (shared.policy(), shared.config());
        let directories: BTreeSet<PathBuf> = quotas(&policy).map(|(_, directory, _)| directory.to_owned()).collect();
        counted.retain(|directory, _| directories.contains(directory));
        for directory in directories {
            if counted.get(&directory).is_some_and(|at| at.elapsed() < config.storage.quota_scan) {
                continue;
            }
            if recount(&shared, &directory).await {
                counted.insert(directory, Instant::now());
            }
        }
    }
}

/// Counts one of them; false where that is to be tried again soon.
async fn recount(shared: &Shared, directory: &Path) -> bool {
    let (homes, path) = (Arc::clone(&shared.homes), directory.to_owned());
    let began = Instant::now();
    let scan = tokio::task::spawn_blocking(move || homes.root(&path).and_then(|root| root.recount()));
    match scan.await {
        Ok(Ok(None)) => debug!(directory = %directory.display(), time = ?began.elapsed(), "counted"),
        Ok(Ok(Some(Repaired { before, after }))) => {
            info!(
                directory = %directory.display(), bytes_before = before.bytes, bytes = after.bytes,
                files_before = before.files, files = after.files, time = ?began.elapsed(),
                "counted, and corrected what was believed: another program changed something here",
            );
            let figures = [
                ("bytes_before", before.bytes),
                ("bytes_after", after.bytes),
                ("files_before", before.files),
                ("files_after", after.files),
            ];
            let record = about(Event::QuotaRepaired, "quota", directory);
            let record = figures.into_iter().fold(record, |record, (name, n)| record.with(name, Detail::Number(n)));
            shared.record_all(vec![record]).await;
        }
        Ok(Err(Fault::Busy)) => {
            debug!(directory = %directory.display(), "not counted to the end");
            return false;
        }
        Ok(Err(fault)) => {
            warn!(directory = %directory.display(), %fault, "a directory with a quota cannot be counted; check that the server may read all of it");
        }
        Err(failure) => error!(%failure, "a scan did not finish"),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(percent: u64) -> SpaceLine {
        let free = Free { bytes: 0, inodes: None, bytes_in_all: 0, inodes_in_all: None };
        SpaceLine { percent, ..file_system_line(Path::new("/srv"), free) }
    }

    /// Whether a warning begins and whether one ends.
    fn step(warned: &Warned, percent: u64) -> (bool, bool) {
        let mut line = line(percent);
        warned.judge(&mut line, 90);
        let (new, over) = warned.take_in(&[line]);
        (!new.is_empty(), !over.is_empty())
    }

    #[test]
    fn a_warning_comes_once_until_it_was_clearly_better() {
        let warned = Warned::default();
        let steps = [(89, (false, false)), (90, (true, false)), (99, (false, false)), (89, (false, false))];
        let relief = [(86, (false, false)), (84, (false, true)), (89, (false, false)), (91, (true, false))];
        for (percent, expected) in steps.into_iter().chain(relief) {
            assert_eq!(step(&warned, percent), expected, "{percent}");
        }
        assert_eq!(warned.take_in(&[]), (Vec::new(), Vec::new()), "who is gone is forgotten");
        assert_eq!(step(&warned, 91), (true, false));
    }

    #[test]
    fn percents_are_rounded_down_and_hold_for_any_number() {
        assert_eq!(percent(Some(899), Some(1000)), 89);
        assert_eq!(percent(Some(u64::MAX), Some(1)), u64::MAX);
        assert_eq!(percent(Some(u64::MAX), Some(u64::MAX)), 100);
        assert_eq!((percent(None, Some(1)), percent(Some(1), None), percent(Some(1), Some(0))), (0, 0, 0));
    }
}
