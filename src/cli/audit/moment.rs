//! Moments as people write them: a day, a time, or how long ago.

use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// A moment as it was given.
#[derive(Clone, Debug)]
pub(super) enum Moment {
    /// A day.
    Day(Date),
    /// A time by the clocks of the policy.
    Clock(DateTime),
    /// A time anywhere.
    Exact(Timestamp),
    /// So long ago.
    Ago(Span),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(exact) = text.parse() {
            return Ok(Self::Exact(exact));
        }
        let day = text.parse().ok().filter(|_| !text.contains([':', 'T', 't', ' ']));
        let day_or_clock = day.map(Self::Day).or_else(|| text.parse().ok().map(Self::Clock));
        day_or_clock.or_else(|| text.parse::<Span>().ok().map(|span| Self::Ago(span.abs()))).ok_or_else(|| {
            "write 2026-11-22, 2026-11-22T06:00, 2026-11-22T06:00:00Z, or 24h or 7d for so long ago".to_owned()
        })
    }
}

impl Moment {
    /// When it is; of a day its beginning, or its end where it is the last one. None where it lies
    /// outside of the calendar.
    pub(super) fn timestamp(&self, zone: &TimeZone, now: Timestamp, is_end: bool) -> Option<Timestamp> {
        let clock = match self {
            Self::Exact(exact) => return Some(*exact),
            Self::Ago(span) => return Some(now.to_zoned(zone.clone()).checked_sub(*span).ok()?.timestamp()),
            Self::Clock(clock) => *clock,
            Self::Day(day) if is_end => day.checked_add(1.day()).ok()?.at(0, 0, 0, 0),
            Self::Day(day) => day.at(0, 0, 0, 0),
        };
        zone.to_ambiguous_timestamp(clock).compatible().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let at = |text: &str, is_end| {
            let moment: Moment = text.parse().unwrap();
            moment.timestamp(&TimeZone::UTC, now, is_end).unwrap().to_string()
        };
        assert_eq!(at("2026-11-20", false), "2026-11-20T00:00:00Z");
        assert_eq!(at("2026-11-20", true), "2026-11-21T00:00:00Z");
        assert_eq!(at("2026-11-20T06:00", true), "2026-11-20T06:00:00Z");
        assert_eq!(at("2026-11-20T06:00:00+01:00", false), "2026-11-20T05:00:00Z");
        assert_eq!((at("24h", false), at("7d", false)), ("2026-11-21T12:00:00Z".into(), "2026-11-15T12:00:00Z".into()));
        assert!("yesterday".parse::<Moment>().is_err());
    }
}
