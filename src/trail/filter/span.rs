//! When records were written: moments as people write them, and the time between two of them.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::{Span, Timestamp, ToSpan, Zoned};

/// A moment as somebody wrote it. Days and times without a zone are those of whoever asks.
#[derive(Clone, Debug)]
pub enum Moment {
    /// An instant: RFC 3339.
    At(Timestamp),
    /// A date and a time by the clocks of a zone.
    Clock(DateTime),
    /// A day by the clocks of a zone.
    Day(Date),
    /// So long ago: `2h`, `90 minutes ago`, `1w 2d`, `P1D`.
    Ago(Span),
}

/// A text that is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMoment;

impl fmt::Display for NoMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write a day (2026-11-22), a time (2026-11-22T06:00, or 2026-11-22T06:00:00Z), or how long ago (2h, 3 days)")
    }
}

impl std::error::Error for NoMoment {}

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        if let Ok(instant) = text.parse() {
            return Ok(Self::At(instant));
        }
        // A date alone would be read as a date with the time 0:00, too.
        if text.len() <= "2026-11-22".len()
            && let Ok(day) = text.parse()
        {
            return Ok(Self::Day(day));
        }
        if let Ok(clock) = text.parse() {
            return Ok(Self::Clock(clock));
        }
        text.parse().map(Self::Ago).map_err(|_| NoMoment)
    }
}

impl Moment {
    /// Whether it depends on the zone by whose clocks it is meant.
    pub fn is_by_clocks(&self) -> bool {
        matches!(self, Self::Clock(_) | Self::Day(_))
    }

    /// Where a span that begins with it begins, seen from `now` and by the clocks of its zone; none where no
    /// calendar goes there.
    pub fn beginning(&self, now: &Zoned) -> Option<Timestamp> {
        let clock = match self {
            Self::At(instant) => return Some(*instant),
            Self::Ago(span) => return Some(now.checked_sub(span.abs()).ok()?.timestamp()),
            Self::Clock(clock) => *clock,
            Self::Day(day) => day.at(0, 0, 0, 0),
        };
        Some(clock.to_zoned(now.time_zone().clone()).ok()?.timestamp())
    }

    /// Where a span that ends with it ends: behind a day, and with a moment.
    pub fn end(&self, now: &Zoned) -> Option<Timestamp> {
        match self {
            Self::Day(day) => Self::Day(day.checked_add(1.day()).ok()?).beginning(now),
            Self::At(_) | Self::Clock(_) | Self::Ago(_) => self.beginning(now),
        }
    }
}

/// The time between two moments; the first belongs to it, the second does not. To the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSpan {
    /// The first moment; none where it has always been.
    pub from: Option<Timestamp>,
    /// The first moment that is too late; none where it goes on.
    pub to: Option<Timestamp>,
}

impl TimeSpan {
    /// The time between two moments as somebody wrote them, seen from `now` and by the clocks of its zone.
    ///
    /// # Errors
    /// Where nothing lies between them, or no calendar goes there.
    pub fn between(from: Option<&Moment>, to: Option<&Moment>, now: &Zoned) -> Result<Self, String> {
        let beyond = || "no calendar goes that far".to_owned();
        let from = from.map(|moment| moment.beginning(now).ok_or_else(beyond)).transpose()?;
        let to = to.map(|moment| moment.end(now).ok_or_else(beyond)).transpose()?;
        match (from, to) {
            (Some(from), Some(to)) if from >= to => Err(format!(
                "nothing lies between {from:.0} and {to:.0}: the first moment has to come before the second"
            )),
            _ => Ok(Self { from, to }),
        }
    }

    /// Whether it holds the moment so many milliseconds after the Unix epoch.
    pub fn holds(&self, milliseconds: i64) -> bool {
        self.from.is_none_or(|from| from.as_millisecond() <= milliseconds)
            && self.to.is_none_or(|to| milliseconds < to.as_millisecond())
    }

    /// Whether it is all of time.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}
