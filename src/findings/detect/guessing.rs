//! Guesses from one source: at one user's password or at many, and those that were right.

use std::fmt::Write as _;

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, Source, shown};
use super::known::{Known, is_guess};
use super::{Detector, listed, milliseconds};
use crate::settings::Thresholds;

/// Sources with failures that are watched at the same time.
const SOURCES_MAX: usize = 20_000;
/// Names that are told apart in the series of one source.
const NAMES_MAX: usize = 64;

pub(super) struct Guessing {
    thresholds: Thresholds,
    known: Known,
    series: Bounded<Source, Series>,
}

/// Failures of one source, none long after the other.
#[derive(Default)]
struct Series {
    trace: Trace,
    /// Failures that no success explained.
    failures: u64,
    /// Who was tried, how often. A user whose slip was explained is none.
    users: Vec<(Name, u64)>,
    /// Failures for users beyond those.
    elsewhere: u64,
    /// Attempts that were not even checked, and connections that were turned away.
    turned_away: u64,
    banned: bool,
}

impl Series {
    fn fail(&mut self, seen: &Seen<'_>, user: Option<Name>) {
        self.trace.add(seen);
        self.failures = self.failures.saturating_add(1);
        let Some(user) = user else { return };
        if let Some((_, count)) = self.users.iter_mut().find(|(name, _)| *name == user) {
            *count = count.saturating_add(1);
        } else if self.users.len() < NAMES_MAX {
            self.users.push((user, 1));
        } else {
            self.elsewhere = self.elsewhere.saturating_add(1);
        }
    }

    fn failures_of(&self, user: &Name) -> u64 {
        self.users.iter().find(|(name, _)| name == user).map_or(0, |(_, count)| *count)
    }

    /// The next success of this user needs failures of its own to be told.
    fn tell_once(&mut self, user: &Name) {
        for (_, count) in self.users.iter_mut().filter(|(name, _)| name == user) {
            *count = 0;
        }
    }

    /// A success explains the failures of this user before it.
    fn forgive(&mut self, user: &Name) {
        self.failures = self.failures.saturating_sub(self.failures_of(user));
        self.users.retain(|(name, _)| name != user);
    }
}

impl Guessing {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, known: Known::new(), series: Bounded::new(SOURCES_MAX) }
    }

    fn fail(&mut self, seen: &Seen<'_>, source: Source, found: &mut Collected) {
        let quiet = milliseconds(self.thresholds.guess_quiet);
        let (thresholds, known) = (&self.thresholds, &self.known);
        let forget = |source: &Source, series: Series| judge(thresholds, known, *source, series, found);
        let series = self.series.entry(&source, Series::default, forget);
        if series.trace.count > 0 && seen.time.saturating_sub(series.trace.last_time) > quiet {
            judge(thresholds, known, source, std::mem::take(series), found);
        }
        series.fail(seen, seen.user());
    }

    fn succeed(&mut self, seen: &Seen<'_>, source: Source, found: &mut Collected) {
        let Some(user) = seen.user() else { return };
        let quiet = milliseconds(self.thresholds.guess_quiet);
        let own_limit = self.thresholds.success_after_failures;
        if let Some(series) = self.series.get_mut(&source)
            && seen.time.saturating_sub(series.trace.last_time) <= quiet
        {
            let own = series.failures_of(&user);
            let began = series.trace.first_time;
            let many = u64::try_from(series.users.len()).unwrap_or(u64::MAX) >= self.thresholds.spray_users;
            let right = if self.known.neighbour_before(source, &user, began) {
                // The user comes from around there always, and people forget passwords.
                own >= self.thresholds.guess_failures.max(own_limit)
            } else if !self.known.source_before(source, began) {
                // Nobody ever came from there.
                own > 0 && series.failures >= own_limit
            } else {
                own >= own_limit || (own > 0 && many)
            };
            if right {
                found.push(guessed_right(series, source, &user, seen));
                series.tell_once(&user);
            } else if own <= self.thresholds.slips {
                series.forgive(&user);
            }
        }
        self.known.note(source, &user, seen.time);
    }
}

impl Detector for Guessing {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        match seen.entry.event() {
            "auth.failure" if is_guess(seen.reason()) => {
                if let Some(source) = seen.source {
                    self.fail(seen, source, found);
                }
            }
            "auth.throttled" => {
                let Some(source) = seen.source else { return };
                self.fail(seen, source, found);
                if let Some(series) = self.series.get_mut(&source) {
                    series.turned_away = series.turned_away.saturating_add(1);
                }
            }
            "auth.success" => {
                if let Some(source) = seen.source {
                    self.succeed(seen, source, found);
                }
            }
            "auth.banned" => {
                if let Some(series) = seen.source.and_then(|source| self.series.get_mut(&source)) {
                    series.banned = true;
                }
            }
            "conn.denied" if seen.reason() == "banned" => {
                if let Some(series) = seen.turned_away().and_then(|source| self.series.get_mut(&source)) {
                    series.turned_away = series.turned_away.saturating_add(seen.count());
                }
            }
            _ => {}
        }
    }

    fn finish(self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        let forgotten = self.series.forgotten().saturating_add(self.known.forgotten());
        for (source, series) in self.series.into_iter() {
            judge(&self.thresholds, &self.known, source, series, found);
        }
        forgotten
    }
}

/// Whether a series that is over was guessing.
fn judge(thresholds: &Thresholds, known: &Known, source: Source, series: Series, found: &mut Collected) {
    let users = u64::try_from(series.users.len()).unwrap_or(u64::MAX);
    let spraying = users >= thresholds.spray_users;
    if series.failures < thresholds.guess_failures && !spraying {
        return;
    }
    let began = series.trace.first_time;
    let usual = !spraying && series.users.iter().all(|(user, _)| known.pair_before(source, user, began));
    let who = listed(series.users.iter().map(|(name, _)| &**name));
    let mut seen = format!(
        "{} failed logins within {}, {}; tried: {who}",
        series.failures,
        series.trace.lasted(),
        series.trace.when()
    );
    if series.elsewhere > 0 {
        // Writing into a `String` cannot fail.
        let _ = write!(seen, "; {} more failures for further names", series.elsewhere);
    }
    if series.turned_away > 0 {
        let _ = write!(seen, "; {} attempts were not even checked", series.turned_away);
    }
    if series.banned {
        seen.push_str("; the source was banned");
    }
    let (kind, severity, title, advice) = if spraying {
        let title = format!("{source} tried passwords of {users} users.");
        let advice = "Deny the address ([networks] deny), and see that no password of these users is a common one \
                      (portcullis user audit).";
        (Kind::Spraying, Severity::Medium, title, advice)
    } else if usual {
        let title = format!("Logins from {source} fail again and again, from where the user logged in before.");
        let advice = "Ask the user: often a program still has an old password; it may be somebody behind the same \
                      address.";
        (Kind::Guessing, Severity::Low, title, advice)
    } else {
        let title = format!("{source} guessed passwords.");
        let advice = "Deny the address ([networks] deny), or allow those only from which users come; a second factor \
                      makes guesses vain.";
        (Kind::Guessing, Severity::Medium, title, advice)
    };
    let command = Search::new().source(source).evidence(&series.trace).into();
    found.push(Finding {
        title,
        seen: seen + ".",
        address: Some(source.address()),
        user: (series.users.len() == 1).then(|| who.clone()),
        command,
        advice: advice.to_owned(),
        ..finding(kind, severity, series.trace)
    });
}

fn guessed_right(series: &Series, source: Source, user: &Name, seen: &Seen<'_>) -> Finding {
    let mut trace = series.trace.clone();
    trace.add(seen);
    let name = shown(user);
    Finding {
        title: format!("{name} logged in from {source} behind {} failed logins from there.", series.failures),
        seen: format!(
            "{} failures within {}, {} of them for {name}; the login is record {}.",
            series.failures,
            series.trace.lasted(),
            series.failures_of(user),
            seen.entry.seq
        ),
        user: Some(name),
        address: Some(source.address()),
        command: Search::new().source(source).evidence(&trace).into(),
        advice: "Treat the account as taken over: disable it (enabled = false), end its sessions, look at what it did \
                 from there, and give it a new password and a second factor."
            .to_owned(),
        ..finding(Kind::GuessSuccess, Severity::Critical, trace)
    }
}
