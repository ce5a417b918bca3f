//! Figures over time: by the hour while that is little, by the day, month or year where it is much.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// How many intervals a series holds before it takes longer ones.
const INTERVALS_MAX: usize = 400;
/// Hours that are drawn one by one: a week and the change to summer time.
const HOURS_DRAWN_MAX: i64 = 8 * 24 + 1;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// How long an interval is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// An hour of the clock.
    #[default]
    Hour,
    /// A day of the calendar.
    Day,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Unit {
    /// The unit for a picture of this many seconds.
    pub fn for_span(seconds: i64) -> Self {
        if seconds <= HOURS_DRAWN_MAX.saturating_mul(HOUR) {
            return Self::Hour;
        }
        match seconds.div_euclid(DAY) {
            ..=390 => Self::Day,
            391..=11_000 => Self::Month,
            _ => Self::Year,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    fn longer(self) -> Self {
        match self {
            Self::Hour => Self::Day,
            Self::Day => Self::Month,
            Self::Month | Self::Year => Self::Year,
        }
    }
}

/// The clocks and the calendar of a time zone.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    name: String,
}

impl Calendar {
    /// Those of a zone.
    pub fn of(zone: TimeZone) -> Self {
        let name = zone.iana_name().map_or_else(|| "local time".to_owned(), str::to_owned);
        Self { zone, name }
    }

    /// The name of the zone.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is that of the records themselves.
    pub fn is_utc(&self) -> bool {
        self.zone == TimeZone::UTC || self.name == "UTC" || self.name == "Etc/UTC"
    }

    /// What the clocks show at these seconds since 1970.
    pub fn clock(&self, seconds: i64) -> DateTime {
        self.zone.to_datetime(Timestamp::from_second(seconds).unwrap_or_default())
    }

    /// When the interval began that the moment lies in, in seconds since 1970.
    pub fn start(&self, unit: Unit, seconds: i64) -> i64 {
        let moment = Timestamp::from_second(seconds).unwrap_or_default();
        let clock = self.zone.to_datetime(moment);
        let date = match unit {
            // By the offset of this moment, so that an hour that comes twice stays two.
            Unit::Hour => {
                let offset = i64::from(self.zone.to_offset(moment).seconds());
                return seconds.saturating_sub(seconds.saturating_add(offset).rem_euclid(HOUR));
            }
            Unit::Day => clock.date(),
            Unit::Month => clock.date().first_of_month(),
            Unit::Year => clock.date().first_of_year(),
        };
        // A change of the clocks at midnight may put the start of a day behind the moment.
        self.midnight(date, seconds).min(seconds)
    }

    /// When the interval after the one that began then begins.
    pub fn next(&self, unit: Unit, start: i64) -> i64 {
        let date = self.clock(start).date();
        let next = match unit {
            Unit::Hour => self.start(unit, start.saturating_add(HOUR)),
            Unit::Day => self.midnight(date.saturating_add(1.day()), start),
            Unit::Month => self.midnight(date.first_of_month().saturating_add(1.month()), start),
            Unit::Year => self.midnight(date.first_of_year().saturating_add(1.year()), start),
        };
        if next > start { next } else { start.saturating_add(HOUR) }
    }

    fn midnight(&self, date: Date, otherwise: i64) -> i64 {
        let clock = date.to_datetime(Time::midnight());
        self.zone.to_ambiguous_timestamp(clock).compatible().map_or(otherwise, Timestamp::as_second)
    }
}

/// Figures over time. Memory is bounded, as intervals grow where there are many.
#[derive(Clone, Debug)]
pub struct Series<const N: usize> {
    unit: Unit,
    intervals: BTreeMap<i64, [u64; N]>,
}

/// One interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval<const N: usize> {
    /// When it begins, in seconds since 1970.
    pub start: i64,
    /// When it ends.
    pub end: i64,
    /// Its figures.
    pub figures: [u64; N],
}

impl<const N: usize> Default for Series<N> {
    fn default() -> Self {
        Self { unit: Unit::Hour, intervals: BTreeMap::new() }
    }
}

impl<const N: usize> Series<N> {
    /// Adds figures of a moment. `hour` is when its hour began.
    pub fn add(&mut self, calendar: &Calendar, hour: i64, figures: [u64; N]) {
        let start = if self.unit == Unit::Hour { hour } else { calendar.start(self.unit, hour) };
        add(self.intervals.entry(start).or_insert([0; N]), &figures);
        while self.intervals.len() > INTERVALS_MAX && self.unit != Unit::Year {
            *self = self.by(calendar, self.unit.longer());
        }
    }

    /// The length of its intervals.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The same in intervals of that length, if they are shorter now.
    #[must_use]
    pub fn by(&self, calendar: &Calendar, unit: Unit) -> Self {
        let mut longer = Self { unit: self.unit.max(unit), intervals: BTreeMap::new() };
        for (&start, figures) in &self.intervals {
            let start = calendar.start(longer.unit, start);
            add(longer.intervals.entry(start).or_insert([0; N]), figures);
        }
        longer
    }

    /// The intervals that something happened in.
    pub fn intervals(&self) -> impl Iterator<Item = (i64, &[u64; N])> {
        self.intervals.iter().map(|(start, figures)| (*start, figures))
    }

    /// Every interval of a span of time, also where nothing happened.
    pub fn over(&self, calendar: &Calendar, unit: Unit, (from, to): (i64, i64)) -> Vec<Interval<N>> {
        let series = self.by(calendar, unit);
        let mut intervals = Vec::new();
        let mut start = calendar.start(unit, from);
        // Twice as many as any choice of unit comes to.
        while start < to && intervals.len() < INTERVALS_MAX.saturating_mul(2) {
            let end = calendar.next(unit, start);
            let mut figures = [0; N];
            series.intervals.range(start..end).for_each(|(_, more)| add(&mut figures, more));
            intervals.push(Interval { start, end, figures });
            start = end;
        }
        intervals
    }
}

fn add<const N: usize>(to: &mut [u64; N], more: &[u64; N]) {
    for (to, more) in to.iter_mut().zip(more) {
        *to = to.saturating_add(*more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(name: &str) -> Calendar {
        Calendar::of(TimeZone::get(name).unwrap())
    }

    fn seconds(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn days_are_those_of_the_zone_also_when_the_clocks_change() {
        let calendar = calendar("Europe/Berlin");
        let mut series: Series<1> = Series::default();
        for text in ["2026-10-24T22:30:00Z", "2026-10-25T22:30:00Z", "2026-10-25T23:30:00Z"] {
            let at = seconds(text);
            series.add(&calendar, calendar.start(Unit::Hour, at), [1]);
        }
        let span = (seconds("2026-10-25T00:00:00Z"), seconds("2026-10-26T10:00:00Z"));
        let days = series.over(&calendar, Unit::Day, span);
        let counts: Vec<_> = days.iter().map(|day| (day.end - day.start, day.figures[0])).collect();
        assert_eq!(counts, [(25 * HOUR, 2), (24 * HOUR, 1)]);
        // The hour from two to three comes twice, and is two hours.
        assert_eq!(series.over(&calendar, Unit::Hour, (days[0].start, days[0].end)).len(), 25);
    }

    #[test]
    fn hours_begin_where_the_clocks_of_the_zone_say() {
        let calendar = calendar("Asia/Kolkata");
        let at = calendar.start(Unit::Hour, seconds("2026-11-22T10:45:00Z"));
        assert_eq!(calendar.clock(at).to_string(), "2026-11-22T16:00:00");
    }

    #[test]
    fn a_long_series_takes_longer_intervals_and_loses_nothing() {
        let calendar = calendar("UTC");
        let mut series: Series<1> = Series::default();
        for hour in 0..100_000 {
            series.add(&calendar, hour * HOUR, [1]);
            assert!(series.intervals.len() <= INTERVALS_MAX);
        }
        assert_eq!(series.unit(), Unit::Month);
        assert_eq!(series.intervals().map(|(_, figures)| figures[0]).sum::<u64>(), 100_000);
    }

    #[test]
    fn every_span_is_drawn_in_few_intervals() {
        let calendar = calendar("America/New_York");
        let series: Series<1> = Series::default();
        for days in [0, 1, 8, 9, 60, 389, 391, 5000, 10_999, 12_000, 80_000] {
            let to = days * DAY + 1;
            let drawn = series.over(&calendar, Unit::for_span(to), (0, to)).len();
            assert!((1..=400).contains(&drawn), "{days} days in {drawn}");
        }
    }
}
