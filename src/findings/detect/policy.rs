//! Changes of the policy at hours at which nobody changed it before, and commands that somebody tried
//! on the control socket who may not.

use jiff::tz::TimeZone;

use super::super::collect::{Collected, Trace, finding};
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Seen, day_and_hour};
use super::Detector;
use super::hours::Hours;
use crate::settings::Thresholds;
use crate::trail::entry::Fact;

/// Changes after which it is known when the policy is changed.
const CHANGES_MIN: u64 = 5;

pub(super) struct PolicyChange {
    thresholds: Thresholds,
    zone: TimeZone,
    hours: Hours,
    changes: u64,
    forbidden: Trace,
}

impl PolicyChange {
    pub(super) fn new(thresholds: Thresholds, zone: TimeZone) -> Self {
        Self { thresholds, zone, hours: Hours::default(), changes: 0, forbidden: Trace::default() }
    }
}

impl Detector for PolicyChange {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        match seen.entry.event() {
            "policy.loaded" if seen.entry.detail("changed") == Some(Fact::Flag(true)) => {}
            "control.call" if seen.reason() == "forbidden" => return self.forbidden.add(seen),
            _ => return,
        }
        let (_, hour) = day_and_hour(seen.time, &self.zone);
        if let Some((nearest, away)) = self.hours.nearest(hour)
            && u64::from(away) >= self.thresholds.unusual_hours
            && self.changes >= CHANGES_MIN
        {
            let trace = Trace::of(seen);
            found.push(Finding {
                title: format!("The policy was changed at an unusual hour, between {hour}:00 and {hour}:59."),
                seen: format!(
                    "It happened {}; of {} changes before, the nearest hour begins at {nearest}:00.",
                    trace.when(),
                    self.changes
                ),
                advice: "Ask who changed it and why; `portcullis policy diff` shows what differs from a copy."
                    .to_owned(),
                ..finding(Kind::Policy, Severity::Medium, trace)
            });
        }
        self.hours.add(hour);
        self.changes = self.changes.saturating_add(1);
    }

    fn finish(self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        let trace = self.forbidden;
        if trace.count > 0 {
            found.push(Finding {
                title: "Somebody who may not tried the control socket of the server.".to_owned(),
                seen: format!("{} calls were refused, {}.", trace.count, trace.when()),
                advice: "The records name the account of this machine (peer_uid): ask its owner.".to_owned(),
                ..finding(Kind::Policy, Severity::High, trace)
            });
        }
        0
    }
}
