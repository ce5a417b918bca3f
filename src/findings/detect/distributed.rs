//! Guesses from many sources: at one user's password, or at those of many users.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, Source, shown};
use super::known::{Known, is_guess};
use super::{Detector, milliseconds};
use crate::settings::Thresholds;

/// Users with failures that are watched at the same time.
const USERS_MAX: usize = 10_000;
/// Sources that are told apart in the series of one user.
const SOURCES_MAX: usize = 64;
/// Sources from which guesses come before they are said to come from many.
const SOURCES_MANY: usize = 5;
/// Failures of strangers that are looked at together.
const RECENT_MAX: usize = 1_024;

pub(super) struct Distributed {
    thresholds: Thresholds,
    known: Known,
    users: Bounded<Name, Series>,
    recent: Recent,
}

/// Failures for one user, none long after the other.
#[derive(Default)]
struct Series {
    trace: Trace,
    failures: u64,
    sources: Vec<(Source, u64)>,
}

/// Failures of the last time from sources from which nobody logs in.
#[derive(Default)]
struct Recent {
    failures: VecDeque<(i64, Name, Source)>,
    users: HashMap<Name, u32>,
    sources: HashMap<Source, u32>,
    /// The spraying that goes on: its records, and the most users and sources at a time.
    spraying: Option<(Trace, usize, usize)>,
}

impl Recent {
    fn add(&mut self, seen: &Seen<'_>, user: Name, source: Source) {
        if self.failures.len() >= RECENT_MAX {
            self.drop_first();
        }
        *self.users.entry(user.clone()).or_default() = self.users.get(&user).copied().unwrap_or(0).saturating_add(1);
        *self.sources.entry(source).or_default() = self.sources.get(&source).copied().unwrap_or(0).saturating_add(1);
        self.failures.push_back((seen.time, user, source));
    }

    fn drop_first(&mut self) {
        if let Some((_, user, source)) = self.failures.pop_front() {
            less(&mut self.users, &user);
            less(&mut self.sources, &source);
        }
    }
}

fn less<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Distributed {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, known: Known::new(), users: Bounded::new(USERS_MAX), recent: Recent::default() }
    }

    fn fail(&mut self, seen: &Seen<'_>, source: Source, user: &Name, found: &mut Collected) {
        let quiet = milliseconds(self.thresholds.guess_quiet);
        let thresholds = &self.thresholds;
        let forget = |user: &Name, series: Series| judge(thresholds, user, series, found);
        let series = self.users.entry(user, Series::default, forget);
        if series.trace.count > 0 && seen.time.saturating_sub(series.trace.last_time) > quiet {
            judge(thresholds, user, std::mem::take(series), found);
        }
        series.trace.add(seen);
        series.failures = series.failures.saturating_add(1);
        if let Some((_, count)) = series.sources.iter_mut().find(|(known, _)| *known == source) {
            *count = count.saturating_add(1);
        } else if series.sources.len() < SOURCES_MAX {
            series.sources.push((source, 1));
        }
    }

    /// A failure of a source from which nobody logs in.
    fn fail_of_stranger(&mut self, seen: &Seen<'_>, source: Source, user: Name, found: &mut Collected) {
        let span = milliseconds(self.thresholds.guess_quiet).saturating_mul(2);
        while self.recent.failures.front().is_some_and(|(time, ..)| seen.time.saturating_sub(*time) > span) {
            self.recent.drop_first();
        }
        if self.recent.failures.is_empty() {
            self.end_spraying(found);
        }
        self.recent.add(seen, user, source);
        let recent = &mut self.recent;
        let (users, sources) = (recent.users.len(), recent.sources.len());
        let many = u64::try_from(users).unwrap_or(u64::MAX) >= self.thresholds.spray_users;
        if many && sources >= SOURCES_MANY && sources.saturating_mul(2) >= users {
            let (trace, most_users, most_sources) = recent.spraying.get_or_insert_default();
            trace.add(seen);
            *most_users = users.max(*most_users);
            *most_sources = sources.max(*most_sources);
        }
    }

    fn end_spraying(&mut self, found: &mut Collected) {
        let Some((trace, users, sources)) = self.recent.spraying.take() else { return };
        found.push(Finding {
            title: format!("Passwords of {users} users were tried from {sources} sources."),
            seen: format!(
                "At most {users} users and {sources} sources at a time, {}; nobody ever logged in from these sources.",
                trace.when()
            ),
            advice: "Allow only the networks from which users come ([networks] allow, allow-from); see that no \
                     password is a common one (portcullis user audit)."
                .to_owned(),
            ..finding(Kind::Spraying, Severity::High, trace)
        });
    }
}

impl Detector for Distributed {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        let (Some(source), Some(user)) = (seen.source, seen.user()) else { return };
        match seen.entry.event() {
            // Names that are no users are what every scanner tries.
            "auth.failure" if is_guess(seen.reason()) && !matches!(seen.reason(), "unknown_user" | "anonymous") => {
                self.fail(seen, source, &user, found);
                if !self.known.source_before(source, seen.time) {
                    self.fail_of_stranger(seen, source, user, found);
                }
            }
            "auth.success" => {
                let slips = self.thresholds.slips;
                if let Some(series) = self.users.get_mut(&user) {
                    let own = series.sources.iter().find(|(known, _)| *known == source).map_or(0, |(_, count)| *count);
                    if own > 0 && own <= slips {
                        series.failures = series.failures.saturating_sub(own);
                        series.sources.retain(|(known, _)| *known != source);
                    }
                }
                self.known.note(source, &user, seen.time);
            }
            _ => {}
        }
    }

    fn finish(mut self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        self.end_spraying(found);
        let forgotten = self.users.forgotten().saturating_add(self.known.forgotten());
        for (user, series) in self.users.into_iter() {
            judge(&self.thresholds, &user, series, found);
        }
        forgotten
    }
}

/// Whether a series that is over was guessing from many sources.
fn judge(thresholds: &Thresholds, user: &Name, series: Series, found: &mut Collected) {
    if series.sources.len() < SOURCES_MANY || series.failures < thresholds.guess_failures {
        return;
    }
    let name = shown(user);
    let more = if series.sources.len() >= SOURCES_MAX { "at least " } else { "" };
    found.push(Finding {
        title: format!("The password of {name} was guessed at from {more}{} sources.", series.sources.len()),
        seen: format!("{} failed logins within {}, {}.", series.failures, series.trace.lasted(), series.trace.when()),
        user: Some(name),
        command: Search::new().user(user).evidence(&series.trace).into(),
        advice: "Allow the account only the networks from which the user comes (allow-from), or give it a second \
                 factor."
            .to_owned(),
        ..finding(Kind::Guessing, Severity::Medium, series.trace)
    });
}
