//! Programs that do not resume TLS sessions on data connections, so that no transfer ever works.

use jiff::tz::TimeZone;

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, day_and_hour, kept, shown};
use super::Detector;
use super::data::is_clumsy;
use crate::settings::Thresholds;

/// Pairs of user and program that are remembered; only users who logged in make one.
const PAIRS_MAX: usize = 10_000;

pub(super) struct CannotResume {
    thresholds: Thresholds,
    zone: TimeZone,
    pairs: Bounded<(Name, Name), Failures>,
}

#[derive(Default)]
struct Failures {
    day: Option<i32>,
    of_day: u64,
    most: u64,
    trace: Trace,
}

impl CannotResume {
    pub(super) fn new(thresholds: Thresholds, zone: TimeZone) -> Self {
        Self { thresholds, zone, pairs: Bounded::new(PAIRS_MAX) }
    }
}

impl Detector for CannotResume {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        if seen.entry.event() != "data.binding_failed" || !is_clumsy(seen.reason()) {
            return;
        }
        let Some(user) = seen.user() else { return };
        let program = kept(&seen.entry.detail_text("client").unwrap_or_default());
        let (day, _) = day_and_hour(seen.time, &self.zone);
        let most = self.thresholds.resume_failures;
        let forget = |(user, program): &(Name, Name), failures| judge(most, user, program, failures, found);
        let failures = self.pairs.entry(&(user, program), Failures::default, forget);
        if failures.day != Some(day) {
            (failures.day, failures.of_day) = (Some(day), 0);
            if failures.most < most {
                // What was once or twice a day is nothing to tell.
                failures.trace = Trace::default();
            }
        }
        failures.of_day = failures.of_day.saturating_add(1);
        failures.most = failures.most.max(failures.of_day);
        failures.trace.add(seen);
    }

    fn finish(self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        let forgotten = self.pairs.forgotten();
        for ((user, program), failures) in self.pairs.into_iter() {
            judge(self.thresholds.resume_failures, &user, &program, failures, found);
        }
        forgotten
    }
}

fn judge(most: u64, user: &Name, program: &Name, failures: Failures, found: &mut Collected) {
    if failures.most < most {
        return;
    }
    let trace = failures.trace;
    let name = shown(user);
    let program = if program.is_empty() { "a program that gives no name".to_owned() } else { shown(program) };
    found.push(Finding {
        title: format!("The program of {name} does not resume TLS sessions on data connections."),
        seen: format!("{program}; {} data connections refused so, {}.", trace.count, trace.when()),
        user: Some(name),
        command: Search::new().user(user).evidence(&trace).into(),
        advice: "Give the user a program that resumes (docs/clients.md), or grant an exception with its reason and \
                 its end ([[exception]] data-binding in docs/policy.md)."
            .to_owned(),
        ..finding(Kind::CannotResume, Severity::Low, trace)
    });
}
