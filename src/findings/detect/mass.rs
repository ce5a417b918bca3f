//! Many deletes, renames and overwrites of one user in a short time, as ransomware makes them. What
//! comes again and again at the same hour, in the same way, is a job and no attack; so it is told at
//! the end of the log.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::tz::TimeZone;

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, day_and_hour, kept, shown};
use super::{Detector, milliseconds};
use crate::settings::Thresholds;

/// Users that are watched; only those who logged in can change anything.
const USERS_MAX: usize = 4_000;
/// Parts into which the time of a burst is cut.
const PARTS: usize = 4;
/// New suffixes that are told apart in a burst.
const SUFFIXES_MAX: usize = 8;
/// Paths that are remembered to see that an upload stands for a delete.
const PATHS_MAX: usize = 64;
/// Ways of bursts that are told apart for one user.
const SHAPES_MAX: usize = 16;
/// Days with bursts of the same shape from which on they are a job.
const JOB_DAYS: usize = 4;
/// Hours by which the bursts of a job may be apart.
const JOB_HOURS: u8 = 2;
/// How many times larger than the others a burst of a job may be.
const JOB_GROWTH: u64 = 3;

pub(super) struct MassChange {
    thresholds: Thresholds,
    zone: TimeZone,
    users: Bounded<Name, Habit>,
}

#[derive(Default)]
struct Habit {
    burst: Option<Burst>,
    shapes: Vec<Shape>,
}

/// Changes, none long after the other.
#[derive(Default)]
struct Burst {
    trace: Trace,
    deletes: u64,
    renames: u64,
    overwrites: u64,
    /// Files that got a suffix: which one, and how many.
    suffixes: Vec<(Name, u64)>,
    /// Hashes of paths that were deleted, and of uploaded ones without their suffix.
    deleted: VecDeque<u64>,
    uploaded: VecDeque<(u64, Name)>,
    /// Changes in the last parts of the time: the number of the part, and how many.
    parts: [(i64, u64); PARTS],
    /// The most changes within the time.
    most: u64,
}

/// What a burst mostly was.
#[derive(Clone, PartialEq, Eq)]
enum What {
    Deletes,
    Renames,
    Overwrites,
    Suffix(Name),
}

/// Bursts of one user that are alike.
struct Shape {
    what: What,
    hour: u8,
    largest: u64,
    /// What would be told of each; full once they are a job.
    bursts: Vec<Finding>,
    last_day: i32,
    days: usize,
}

impl Burst {
    fn changed(&mut self, seen: &Seen<'_>, part_length: i64) {
        self.trace.add(seen);
        let now = seen.time.div_euclid(part_length.max(1));
        match self.parts.iter_mut().find(|(part, _)| *part == now) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => {
                if let Some(oldest) = self.parts.iter_mut().min_by_key(|(part, _)| *part) {
                    *oldest = (now, 1);
                }
            }
        }
        let length = i64::try_from(PARTS).unwrap_or(4);
        let recent = self.parts.iter().filter(|(part, _)| now.saturating_sub(*part) < length);
        self.most = self.most.max(recent.fold(0, |sum, (_, count)| sum.saturating_add(*count)));
    }

    fn suffixed(&mut self, suffix: Name) {
        if let Some((_, count)) = self.suffixes.iter_mut().find(|(known, _)| *known == suffix) {
            *count = count.saturating_add(1);
        } else if self.suffixes.len() < SUFFIXES_MAX {
            self.suffixes.push((suffix, 1));
        }
    }

    /// A file was deleted; an upload of the same name with a suffix may have come before it.
    fn deleted(&mut self, path: &str) {
        self.deletes = self.deletes.saturating_add(1);
        let hash = hash(path);
        if let Some(at) = self.uploaded.iter().position(|(stem, _)| *stem == hash) {
            if let Some((_, suffix)) = self.uploaded.remove(at) {
                self.suffixed(suffix);
            }
            return;
        }
        keep(&mut self.deleted, hash);
    }

    /// A file was uploaded; the file of the same name without the suffix may be gone already.
    fn uploaded(&mut self, path: &str) {
        let Some((stem, suffix)) = suffix_of(path) else { return };
        let hash = hash(stem);
        if self.deleted.contains(&hash) {
            self.suffixed(suffix);
        } else {
            keep(&mut self.uploaded, (hash, suffix));
        }
    }

    fn changes(&self) -> u64 {
        self.deletes.saturating_add(self.renames).saturating_add(self.overwrites)
    }
}

fn keep<T>(kept: &mut VecDeque<T>, item: T) {
    if kept.len() >= PATHS_MAX {
        kept.pop_front();
    }
    kept.push_back(item);
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// What stands before the last dot of the name, and what behind it.
fn suffix_of(path: &str) -> Option<(&str, Name)> {
    let (stem, suffix) = path.rsplit_once('.')?;
    (!suffix.is_empty() && !suffix.contains('/')).then(|| (stem, kept(suffix)))
}

impl MassChange {
    pub(super) fn new(thresholds: Thresholds, zone: TimeZone) -> Self {
        Self { thresholds, zone, users: Bounded::new(USERS_MAX) }
    }
}

impl Detector for MassChange {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        let event = seen.entry.event();
        if !matches!(event, "file.delete" | "file.rename" | "file.rmdir" | "file.upload") || !seen.entry.succeeded() {
            return;
        }
        let (Some(user), Some(path)) = (seen.user(), seen.entry.path()) else { return };
        let time = milliseconds(self.thresholds.mass_time);
        let habit = self.users.entry(&user, Habit::default, |_, habit| habit.tell(found));
        if habit.burst.as_ref().is_some_and(|burst| seen.time.saturating_sub(burst.trace.last_time) > time)
            && let Some(burst) = habit.burst.take()
        {
            habit.judge(&self.thresholds, &self.zone, &user, burst, found);
        }
        let is_change = event != "file.upload" || replaces(seen);
        let burst = match &mut habit.burst {
            Some(burst) => burst,
            None => habit.burst.insert(Burst::default()),
        };
        match event {
            "file.upload" => {
                burst.uploaded(path);
                burst.overwrites = burst.overwrites.saturating_add(u64::from(is_change));
            }
            "file.rename" => {
                burst.renames = burst.renames.saturating_add(1);
                let renamed = seen.entry.file_result.as_ref().and_then(|file| suffix_of(&file.path));
                if let Some((_, suffix)) = renamed
                    && suffix_of(path).is_none_or(|(_, before)| before != suffix)
                {
                    burst.suffixed(suffix);
                }
            }
            _ => burst.deleted(path),
        }
        if is_change {
            burst.changed(seen, time.div_euclid(i64::try_from(PARTS).unwrap_or(4)));
        } else if burst.trace.count == 0 {
            // The time of a burst is that of its changes; uploads before them only wait.
            burst.trace.last_time = seen.time;
        }
    }

    fn finish(mut self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        let forgotten = self.users.forgotten();
        let (thresholds, zone) = (self.thresholds, self.zone);
        self.users.for_each(|user, habit| {
            if let Some(burst) = habit.burst.take() {
                habit.judge(&thresholds, &zone, user, burst, found);
            }
            std::mem::take(habit).tell(found);
        });
        forgotten
    }
}

fn replaces(seen: &Seen<'_>) -> bool {
    seen.entry.detail("replaced") == Some(crate::trail::entry::Fact::Flag(true))
}

impl Habit {
    /// Whether a burst that is over was a mass change, and whether it is one of many alike.
    fn judge(&mut self, thresholds: &Thresholds, zone: &TimeZone, user: &Name, burst: Burst, found: &mut Collected) {
        let suffix = burst.suffixes.iter().max_by_key(|(_, count)| *count);
        let suffix = suffix.filter(|(_, count)| {
            *count >= thresholds.mass_suffix_changes
                && count.saturating_mul(2) >= burst.changes()
                && burst.most >= thresholds.mass_suffix_changes
        });
        let what = match suffix {
            Some((suffix, _)) => What::Suffix(suffix.clone()),
            None if burst.most < thresholds.mass_changes => return,
            None if burst.deletes >= burst.renames.max(burst.overwrites) => What::Deletes,
            None if burst.renames >= burst.overwrites => What::Renames,
            None => What::Overwrites,
        };
        let (day, hour) = day_and_hour(burst.trace.first_time, zone);
        let size = burst.changes();
        let finding = told(user, &what, burst);
        let room = self.shapes.len() < SHAPES_MAX;
        let alike = self.shapes.iter_mut().find(|shape| shape.is_like(&what, hour, size));
        match alike {
            Some(shape) => {
                shape.days = shape.days.saturating_add(usize::from(shape.last_day != day));
                shape.last_day = day;
                shape.largest = shape.largest.max(size);
                if shape.days < JOB_DAYS && shape.bursts.len() < JOB_DAYS {
                    shape.bursts.push(finding);
                }
            }
            None if room => {
                let bursts = vec![finding];
                self.shapes.push(Shape { what, hour, largest: size, bursts, last_day: day, days: 1 });
            }
            None => found.push(finding),
        }
    }

    /// Tells what is no job.
    fn tell(self, found: &mut Collected) {
        let once = self.shapes.into_iter().filter(|shape| shape.days < JOB_DAYS);
        once.flat_map(|shape| shape.bursts).for_each(|finding| found.push(finding));
    }
}

impl Shape {
    fn is_like(&self, what: &What, hour: u8, size: u64) -> bool {
        let apart = self.hour.abs_diff(hour);
        let apart = apart.min(24_u8.saturating_sub(apart));
        self.what == *what && apart <= JOB_HOURS && size <= self.largest.saturating_mul(JOB_GROWTH)
    }
}

fn told(user: &Name, what: &What, burst: Burst) -> Finding {
    let name = shown(user);
    let (severity, title) = match what {
        What::Suffix(suffix) => {
            let title =
                format!("{name} gave many files the suffix .{} in a short time, as ransomware does.", shown(suffix));
            (Severity::Critical, title)
        }
        What::Deletes => (Severity::High, format!("{name} deleted many files in a short time.")),
        What::Renames => (Severity::Medium, format!("{name} renamed many files in a short time.")),
        What::Overwrites => (Severity::High, format!("{name} overwrote many files in a short time.")),
    };
    let trace = burst.trace;
    Finding {
        title,
        seen: format!(
            "{} deletes, {} renames and {} overwrites within {}, {}.",
            burst.deletes,
            burst.renames,
            burst.overwrites,
            trace.lasted(),
            trace.when()
        ),
        user: Some(name),
        command: Search::new().user(user).evidence(&trace).into(),
        advice: "Ask the user at once. Where it was somebody else: disable the account, end its sessions, and restore \
                 the files; take the permissions to delete and overwrite from accounts that do not need them."
            .to_owned(),
        ..finding(Kind::MassChange, severity, trace)
    }
}
