//! The detectors, one a file. Each sees every record once, in order, and says at the end what it
//! holds back until then.

use jiff::tz::TimeZone;

use super::collect::Collected;
use super::context::Context;
use super::seen::Seen;
use crate::settings::Thresholds;

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
    pub(super) fn new(_thresholds: &Thresholds, _zone: &TimeZone) -> Self {
        Self(Vec::new())
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
