//! Certificates, exceptions and accounts that are about to end: by the policy where it is known, and
//! certificates by the log where it is not.

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::{Context, Ending};
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, kept, shown};
use super::Detector;
use crate::settings::Thresholds;

/// Certificates that are remembered.
const CERTIFICATES_MAX: usize = 256;
const DAY_SECONDS: i64 = 86_400;
/// Days before the end from which it is urgent.
const URGENT_DAYS: i64 = 7;

pub(super) struct Endings {
    thresholds: Thresholds,
    /// What the log says of each certificate last: when it ends, and where that stands.
    certificates: Bounded<Name, (jiff::Timestamp, Trace)>,
}

impl Endings {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, certificates: Bounded::new(CERTIFICATES_MAX) }
    }
}

impl Detector for Endings {
    fn observe(&mut self, seen: &Seen<'_>, _: &mut Collected) {
        if seen.entry.event() != "certificate.loaded" {
            return;
        }
        let detail = |name| seen.entry.detail_text(name);
        let Some(ends) = detail("not_after").and_then(|text| text.parse().ok()) else { return };
        let file = kept(&detail("file").unwrap_or_default());
        *self.certificates.entry(&file, || (ends, Trace::default()), |_, _| ()) = (ends, Trace::of(seen));
    }

    fn finish(self: Box<Self>, context: &Context, found: &mut Collected) -> u64 {
        let most = i64::try_from(self.thresholds.ending_days).unwrap_or(i64::MAX).saturating_mul(DAY_SECONDS);
        let left = |ends: jiff::Timestamp| ends.as_second().saturating_sub(context.now.as_second());
        for ending in context.endings.iter().filter(|ending| left(ending.ends) <= most) {
            let blank = finding(Kind::Ending, severity(left(ending.ends)), Trace::default());
            found.push(told(ending, left(ending.ends), Finding { from: None, evidence: None, ..blank }, context));
        }
        let forgotten = self.certificates.forgotten();
        // Where the policy is known, it knows the certificates as they are now.
        let of_log = self.certificates.into_iter().filter(|_| context.users.is_none());
        for (file, (ends, trace)) in of_log.filter(|(_, (ends, _))| left(*ends) <= most) {
            let ending = Ending {
                what: format!("the certificate in {}", shown(&file)),
                ends,
                place: format!("record {}", trace.first),
                advice: "Renew it; the server takes new files by itself.".to_owned(),
                command: Search::new().evidence(&trace).into(),
            };
            let severity = severity(left(ends));
            found.push(told(&ending, left(ends), finding(Kind::Ending, severity, trace), context));
        }
        forgotten
    }
}

fn severity(seconds_left: i64) -> Severity {
    match seconds_left.div_euclid(DAY_SECONDS) {
        ..0 => Severity::High,
        0..URGENT_DAYS => Severity::Medium,
        _ => Severity::Low,
    }
}

fn told(ending: &Ending, seconds_left: i64, finding: Finding, context: &Context) -> Finding {
    let what = shown(&ending.what);
    let title = match seconds_left.div_euclid(DAY_SECONDS) {
        ..0 => format!("It has ended: {what}."),
        0 => format!("It ends today: {what}."),
        1 => format!("It ends tomorrow: {what}."),
        days => format!("It ends in {days} days: {what}."),
    };
    Finding {
        title,
        seen: format!("It ends at {:.0}; {}.", ending.ends, shown(&ending.place)),
        to: Some(context.now),
        command: ending.command.clone(),
        advice: ending.advice.clone(),
        ..finding
    }
}
