//! The detectors, one a file. Each sees every record once, in order, and says at the end what it
//! holds back until then.

mod bans;
mod clear_text;
mod data;
mod distributed;
mod endings;
mod guessing;
mod hours;
mod known;
mod log;
mod mass;
mod network;
mod policy;
mod resume;
mod unused;
mod volume;

use jiff::tz::TimeZone;

use super::collect::Collected;
use super::context::Context;
use super::seen::Seen;
use crate::settings::Thresholds;

/// Milliseconds of a duration, for times of records.
fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A list of names, the first few of them.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const NAMED_MAX: usize = 5;
    let mut names = names.into_iter();
    let mut text: Vec<String> = names.by_ref().take(NAMED_MAX).map(super::seen::shown).collect();
    let more = names.count();
    if more > 0 {
        text.push(format!("{more} more"));
    }
    text.join(", ")
}

/// All of them.
pub(super) struct Detectors(Vec<Box<dyn Detector + Send>>);

/// What looks for one kind of thing.
trait Detector {
    /// Looks at a record; what is over and done goes to `found`.
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected);

    /// The log is at its end: what is still open goes to `found`. Gives how many sources and users
    /// were forgotten.
    fn finish(self: Box<Self>, context: &Context, found: &mut Collected) -> u64;
}

impl Detectors {
    /// All of them, with these thresholds.
    pub(super) fn new(thresholds: &Thresholds, zone: &TimeZone) -> Self {
        let thresholds = *thresholds;
        let zone = || zone.clone();
        Self(vec![
            Box::new(guessing::Guessing::new(thresholds)),
            Box::new(distributed::Distributed::new(thresholds)),
            Box::new(network::NewNetwork::new(thresholds, zone())),
            Box::new(hours::UnusualHour::new(thresholds, zone())),
            Box::new(volume::Volume::new(thresholds, zone())),
            Box::new(mass::MassChange::new(thresholds, zone())),
            Box::new(data::DataRefused::new(thresholds, zone())),
            Box::new(clear_text::ClearText::new(thresholds, zone())),
            Box::new(resume::CannotResume::new(thresholds, zone())),
            Box::new(unused::Unused::new(thresholds)),
            Box::new(endings::Endings::new(thresholds)),
            Box::new(bans::Bans::new()),
            Box::new(policy::PolicyChange::new(thresholds, zone())),
            Box::new(log::Log::default()),
        ])
    }

    /// Shows a record to each.
    pub(super) fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        for detector in &mut self.0 {
            detector.observe(seen, found);
        }
    }

    /// Ends all of them; gives how many sources and users were forgotten.
    pub(super) fn finish(self, context: &Context, found: &mut Collected) -> u64 {
        self.0.into_iter().fold(0, |sum, detector| sum.saturating_add(detector.finish(context, found)))
    }
}
