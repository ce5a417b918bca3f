//! Hours of the week in which an account works.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::grant::RuleSource;

/// The words of the days, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Windows of the week; the account works in each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The windows; never none.
    pub windows: Vec<Window>,
    /// Where they stand.
    pub source: RuleSource,
}

/// From one time of day to another, on some days of the week. Where it ends at or before it begins,
/// it ends on the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Days on which it begins, Monday first.
    days: [bool; 7],
    /// Minutes of the day at which it begins.
    from: u16,
    /// Minutes of the day at which it ends; 1440 is midnight.
    until: u16,
}

/// Why a text is no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowError {
    /// It has not the form `mon-fri 08:00-18:00`.
    Form,
    /// A word that is no day.
    Day,
    /// No time of day.
    Time,
    /// It begins and ends at the same time.
    Empty,
}

impl Window {
    /// Reads `mon-fri 08:00-18:00`, `sat,sun 10:00-12:00` or, for every day, `22:00-06:00`.
    ///
    /// # Errors
    /// [`WindowError`] says which part cannot be read.
    pub fn parse(text: &str) -> Result<Self, WindowError> {
        let mut words = text.split_whitespace();
        let (days, times) = match (words.next(), words.next(), words.next()) {
            (Some(times), None, None) => ([true; 7], times),
            (Some(named), Some(times), None) => (days(named)?, times),
            _ => return Err(WindowError::Form),
        };
        let (from, until) = times.split_once('-').ok_or(WindowError::Form)?;
        let (from, until) = (minutes(from)?, minutes(until)?);
        if from == until || from == 1440 || until == 0 {
            return Err(WindowError::Empty);
        }
        Ok(Self { days, from, until })
    }

    fn begins_on(&self, day: Weekday) -> bool {
        let index = usize::try_from(day.to_monday_zero_offset()).unwrap_or(0);
        self.days.get(index).copied().unwrap_or(false)
    }

    fn holds(&self, day: Weekday, minute: u16) -> bool {
        if self.from < self.until {
            return self.begins_on(day) && (self.from..self.until).contains(&minute);
        }
        (self.begins_on(day) && minute >= self.from) || (self.begins_on(day.previous()) && minute < self.until)
    }
}

impl Hours {
    /// Whether it is one of the windows at this moment, as clocks in the zone show it.
    pub fn hold(&self, now: Timestamp, zone: &TimeZone) -> bool {
        let local = zone.to_datetime(now);
        let minute = minute_of(local.time());
        self.windows.iter().any(|window| window.holds(local.weekday(), minute))
    }
}

impl Hours {
    /// Whether some minute of the week is in both.
    pub fn overlap(&self, other: &Self) -> bool {
        // Two windows have a minute in common where one of them begins in the other.
        let begins_in = |one: &Self, other: &Self| {
            one.windows.iter().any(|window| {
                let days = (0..7).filter_map(|day| Weekday::from_monday_zero_offset(day).ok());
                let mut beginnings = days.filter(|day| window.begins_on(*day));
                beginnings
                    .any(|day| other.windows.iter().any(|window_of_other| window_of_other.holds(day, window.from)))
            })
        };
        begins_in(self, other) || begins_in(other, self)
    }
}

fn minute_of(time: Time) -> u16 {
    let of = |part: i8| u16::try_from(part).unwrap_or(0);
    of(time.hour()).saturating_mul(60).saturating_add(of(time.minute()))
}

fn days(text: &str) -> Result<[bool; 7], WindowError> {
    let day = |word: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(word)).ok_or(WindowError::Day);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        // `sat-mon` goes over the end of the week.
        let mut at = first;
        loop {
            if let Some(flag) = days.get_mut(at) {
                *flag = true;
            }
            if at == last {
                break;
            }
            at = at.saturating_add(1).checked_rem(DAYS.len()).unwrap_or(0);
        }
    }
    Ok(days)
}

/// `08:00` as minutes; `24:00` is the end of the day.
fn minutes(text: &str) -> Result<u16, WindowError> {
    let (hour, minute) = text.split_once(':').ok_or(WindowError::Time)?;
    let number = |part: &str, most: u16| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u16>().ok().filter(|number| digits && *number <= most).ok_or(WindowError::Time)
    };
    let (hour, minute) = (number(hour, 24)?, number(minute, 59)?);
    let total = hour.saturating_mul(60).saturating_add(minute);
    if total > 1440 { Err(WindowError::Time) } else { Ok(total) }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != [true; 7] {
            let named = DAYS.iter().zip(self.days).filter(|(_, holds)| *holds).map(|(day, _)| *day);
            write!(f, "{} ", named.collect::<Vec<_>>().join(","))?;
        }
        let clock = |minutes: u16| (minutes.wrapping_div(60), minutes.wrapping_rem(60));
        let ((from_hour, from_minute), (until_hour, until_minute)) = (clock(self.from), clock(self.until));
        write!(f, "{from_hour:02}:{from_minute:02}-{until_hour:02}:{until_minute:02}")
    }
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "a window has the form \"mon-fri 08:00-18:00\", or without days \"08:00-18:00\"",
            Self::Day => "days are mon, tue, wed, thu, fri, sat and sun, as mon-fri or sat,sun",
            Self::Time => "times are hours and minutes with two digits each, from 00:00 to 24:00, such as 08:00-18:00",
            Self::Empty => "this window has no minute; leave `hours` out where an account always works",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(window: &str, at: &str) -> bool {
        let source = RuleSource { file: "users.toml".into(), line: 1 };
        let hours = Hours { windows: vec![Window::parse(window).unwrap()], source };
        hours.hold(at.parse().unwrap(), &TimeZone::UTC)
    }

    #[test]
    fn a_window_holds_on_its_days_from_its_first_minute_to_before_its_last() {
        // 2026-11-23 is a Monday.
        assert!(open("mon-fri 08:00-18:00", "2026-11-23T08:00:00Z"));
        assert!(!open("mon-fri 08:00-18:00", "2026-11-23T07:59:59Z"));
        assert!(!open("mon-fri 08:00-18:00", "2026-11-23T18:00:00Z"));
        assert!(!open("mon-fri 08:00-18:00", "2026-11-22T09:00:00Z"));
        assert!(open("08:00-24:00", "2026-11-22T23:59:59Z"));
        assert!(open("sat-mon 00:00-24:00", "2026-11-22T00:00:00Z"));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        assert!(open("mon 22:00-06:00", "2026-11-23T23:00:00Z"));
        assert!(open("mon 22:00-06:00", "2026-11-24T05:59:00Z"));
        assert!(!open("mon 22:00-06:00", "2026-11-23T05:00:00Z"));
    }

    #[test]
    fn hours_overlap_where_a_minute_is_in_both() {
        let hours = |text: &str| Hours {
            windows: vec![Window::parse(text).unwrap()],
            source: RuleSource { file: "users.toml".into(), line: 1 },
        };
        for (one, other, overlap) in [
            ("mon-fri 08:00-18:00", "fri 17:59-20:00", true),
            ("mon-fri 08:00-18:00", "fri 18:00-20:00", false),
            ("mon-fri 08:00-18:00", "sat,sun 00:00-24:00", false),
            ("sun 22:00-06:00", "mon 05:00-06:00", true),
            ("sun 22:00-06:00", "sun 05:00-06:00", false),
            ("00:00-24:00", "wed 12:00-12:01", true),
        ] {
            assert_eq!(hours(one).overlap(&hours(other)), overlap, "{one}, {other}");
            assert_eq!(hours(other).overlap(&hours(one)), overlap, "{other}, {one}");
        }
    }

    #[test]
    fn windows_are_shown_as_they_can_be_written() {
        for (text, shown) in [
            ("mon-fri 08:00-18:00", "mon,tue,wed,thu,fri 08:00-18:00"),
            ("22:00-06:00", "22:00-06:00"),
            ("sat,sun 09:00-24:00", "sat,sun 09:00-24:00"),
        ] {
            let window = Window::parse(text).unwrap();
            assert_eq!(window.to_string(), shown);
            assert_eq!(Window::parse(shown).unwrap(), window);
        }
        for (bad, error) in [
            ("", WindowError::Form),
            ("mon", WindowError::Form),
            ("mo 08:00-09:00", WindowError::Day),
            ("8-9", WindowError::Time),
            ("24:01-25:00", WindowError::Time),
            ("08:00-08:00", WindowError::Empty),
        ] {
            assert_eq!(Window::parse(bad), Err(error), "{bad}");
        }
    }
}
