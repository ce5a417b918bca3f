//! A user who takes away far more in a day than on any day before.

use std::collections::VecDeque;

use jiff::tz::TimeZone;

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, day_and_hour, shown};
use super::Detector;
use crate::settings::Thresholds;

/// Users that are remembered; only transfers of users who logged in make one.
const USERS_MAX: usize = 10_000;
/// Days with downloads that are remembered of each user.
const DAYS_MAX: usize = 62;
/// How many times the threshold makes it severe.
const SEVERE: u64 = 5;

pub(super) struct Volume {
    thresholds: Thresholds,
    zone: TimeZone,
    users: Bounded<Name, Habit>,
}

#[derive(Default)]
struct Habit {
    before: VecDeque<u64>,
    day: Option<i32>,
    bytes: u64,
    trace: Trace,
}

impl Volume {
    pub(super) fn new(thresholds: Thresholds, zone: TimeZone) -> Self {
        Self { thresholds, zone, users: Bounded::new(USERS_MAX) }
    }
}

impl Detector for Volume {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        if !matches!(seen.entry.event(), "file.download" | "file.download_incomplete") {
            return;
        }
        let bytes = seen.entry.traffic.map_or(0, |traffic| traffic.bytes_out);
        let Some(user) = seen.user() else { return };
        let (day, _) = day_and_hour(seen.time, &self.zone);
        let thresholds = &self.thresholds;
        let habit =
            self.users.entry(&user, Habit::default, |user, mut habit| judge(thresholds, user, &mut habit, found));
        if habit.day != Some(day) {
            // A day with empty files alone is none with downloads.
            if bytes == 0 {
                return;
            }
            judge(thresholds, &user, habit, found);
            habit.day = Some(day);
        }
        habit.bytes = habit.bytes.saturating_add(bytes);
        habit.trace.add(seen);
    }

    fn finish(self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        let forgotten = self.users.forgotten();
        for (user, mut habit) in self.users.into_iter() {
            judge(&self.thresholds, &user, &mut habit, found);
        }
        forgotten
    }
}

/// Whether the day that is over was unusual; it is one of those before from now on.
fn judge(thresholds: &Thresholds, user: &Name, habit: &mut Habit, found: &mut Collected) {
    let (bytes, trace) = (std::mem::take(&mut habit.bytes), std::mem::take(&mut habit.trace));
    if trace.count == 0 {
        return;
    }
    let most = habit.before.iter().copied().max().unwrap_or(0);
    let days = habit.before.len();
    let limit = most.saturating_mul(thresholds.volume_factor).max(thresholds.volume_bytes_min);
    if u64::try_from(days).unwrap_or(u64::MAX) >= thresholds.learning_days && bytes > limit {
        let severity = if bytes.div_euclid(SEVERE) > limit { Severity::High } else { Severity::Medium };
        let name = shown(user);
        found.push(Finding {
            title: format!("{name} took away {} in a day, far more than ever before.", amount(bytes)),
            seen: format!(
                "{} downloads {}; at most {} on each of {days} days with downloads before.",
                trace.count,
                trace.when(),
                amount(most)
            ),
            user: Some(name),
            command: Search::new().user(user).evidence(&trace).into(),
            advice: "Ask the user what it was for. Where it was somebody else, disable the account; \
                     download-bytes-per-second bounds what a session can take away."
                .to_owned(),
            ..finding(Kind::Volume, severity, trace)
        });
    }
    if habit.before.len() >= DAYS_MAX {
        habit.before.pop_front();
    }
    habit.before.push_back(bytes);
}

/// A number of bytes in words.
fn amount(bytes: u64) -> String {
    let (divisor, unit) = match bytes {
        0..10_000 => return format!("{bytes} bytes"),
        10_000..10_000_000 => (1_000, "kB"),
        10_000_000..10_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{} {unit}", bytes.div_euclid(divisor))
}
