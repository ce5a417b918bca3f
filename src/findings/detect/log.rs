//! What the log says about itself: gaps, times without a log, files that do not verify, keys that
//! nobody vouches for, copies that do not arrive.

use std::collections::BTreeMap;

use super::super::collect::{Collected, Trace, finding};
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, kept, shown};
use super::Detector;

/// Reasons and sinks that are told apart; more are taken together.
const KINDS_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Log {
    told: BTreeMap<(Said, Name), Trace>,
    /// Failures of each sink, and whether it is reached again.
    sinks: BTreeMap<Name, (Trace, bool)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Gap,
    Degraded,
    Unverified,
    Key,
    Keeper,
}

impl Detector for Log {
    fn observe(&mut self, seen: &Seen<'_>, _: &mut Collected) {
        let said = match seen.entry.event() {
            "audit.gap" => Said::Gap,
            "audit.degraded" => Said::Degraded,
            "audit.unverified" => Said::Unverified,
            "audit.key_changed" if !seen.entry.succeeded() => Said::Key,
            // It serves all sinks, and more.
            "audit.sink_failed" if seen.reason() == "keeper_ended" => Said::Keeper,
            "audit.sink_failed" => {
                let sink = sink_of(seen);
                if self.sinks.len() < KINDS_MAX || self.sinks.contains_key(&sink) {
                    let (trace, recovered) = self.sinks.entry(sink).or_default();
                    trace.add(seen);
                    *recovered = false;
                }
                return;
            }
            "audit.sink_recovered" => {
                if let Some((_, recovered)) = self.sinks.get_mut(&sink_of(seen)) {
                    *recovered = true;
                }
                return;
            }
            _ => return,
        };
        let mut key = (said, kept(seen.reason()));
        if self.told.len() >= KINDS_MAX && !self.told.contains_key(&key) {
            key.1 = "various".into();
        }
        self.told.entry(key).or_default().add(seen);
    }

    fn finish(self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        for ((said, reason), trace) in self.told {
            found.push(told(said, &reason, trace));
        }
        for (sink, (trace, recovered)) in self.sinks {
            found.push(failed(&sink, trace, recovered));
        }
        0
    }
}

fn sink_of(seen: &Seen<'_>) -> Name {
    kept(&seen.entry.detail_text("sink").unwrap_or_default())
}

fn told(said: Said, reason: &Name, trace: Trace) -> Finding {
    let cut = matches!(&**reason, "log_truncated" | "log_replaced");
    let (severity, title, advice) = match said {
        Said::Gap if cut => (
            Severity::Critical,
            "Somebody cut or replaced the file of the log.",
            "Records are missing. Compare with the copies elsewhere (audit head, the sinks); find out who may write in \
             the directory of the log.",
        ),
        Said::Gap => (
            Severity::Medium,
            "The server ended without closing the log.",
            "A crash or a power cut does so: see the system's journal for that time. `audit verify` tells it from \
             tampering.",
        ),
        Said::Degraded => (
            Severity::High,
            "The log could not be written for a time.",
            "New work was refused meanwhile. Give the log more room, or a file system of its own.",
        ),
        Said::Unverified => (
            Severity::Critical,
            "A closed file of the log does not verify.",
            "Somebody changed it, or the disk is bad: `audit verify` says where. Keep the file as it is.",
        ),
        Said::Keeper => (
            Severity::Medium,
            "The keeper of the log ended before the server did.",
            "From then on the log was neither rotated, compressed, removed nor copied. Restart the server where that was \
             not done since; nothing is lost.",
        ),
        Said::Key => (
            Severity::Critical,
            "The log is signed with another key, for which the old one does not vouch.",
            "Where nobody changed it on purpose (audit key rotate), somebody may have written the log anew.",
        ),
    };
    let reason = if reason.is_empty() { String::new() } else { format!(" ({})", shown(reason)) };
    Finding {
        title: title.to_owned(),
        seen: format!("{} records{reason}, {}.", trace.count, trace.when()),
        advice: advice.to_owned(),
        ..finding(Kind::Log, severity, trace)
    }
}

fn failed(sink: &Name, trace: Trace, recovered: bool) -> Finding {
    let (severity, now) =
        if recovered { (Severity::Low, "It is reached again") } else { (Severity::Medium, "It is not reached yet") };
    let name =
        if sink.is_empty() { "A sink of the log".to_owned() } else { format!("The sink {} of the log", shown(sink)) };
    Finding {
        title: format!("{name} could not be reached."),
        seen: format!("{} times, {}. {now}.", trace.count, trace.when()),
        advice:
            "Nothing is lost: what is missing there is sent once it is reached. See that it runs, and the way to it."
                .to_owned(),
        ..finding(Kind::Log, severity, trace)
    }
}
