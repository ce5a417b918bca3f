//! Figures and times as people read them.

use jiff::Timestamp;

use super::series::{Calendar, Unit};
use crate::audit::text::push_escaped;

/// A figure that is drawn.
#[expect(clippy::cast_precision_loss, reason = "what is drawn has fewer digits than that")]
pub(super) fn float(figure: u64) -> f64 {
    figure as f64
}

/// A number with a comma for each thousand.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len().saturating_mul(2));
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in the largest unit that leaves a whole number before the point.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [(u32, &str); 6] = [(60, "EiB"), (50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let Some((shift, unit)) = UNITS.into_iter().find(|(shift, _)| bytes.wrapping_shr(*shift) > 0) else {
        return if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    };
    let tenths = u128::from(bytes).saturating_mul(10).wrapping_shr(shift);
    let (whole, tenth) = (tenths.wrapping_div(10), tenths.wrapping_rem(10));
    if whole >= 100 || tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") }
}

/// So many of something, in words.
pub(super) fn many(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

/// Milliseconds since 1970 as the clocks of the zone show them, to the minute.
pub(super) fn local_minute(calendar: &Calendar, milliseconds: i64) -> String {
    calendar.clock(milliseconds.div_euclid(1000)).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Milliseconds since 1970 in RFC 3339, UTC.
pub(super) fn utc(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// From when to when something went on, without repeating the day.
pub(super) fn span(calendar: &Calendar, (first, last): (i64, i64)) -> String {
    let clock = |time: i64| calendar.clock(time.div_euclid(1000));
    let (from, to) = (clock(first), clock(last));
    let from_text = from.strftime("%Y-%m-%d %H:%M").to_string();
    if from.date() != to.date() {
        return format!("{from_text} to {}", to.strftime("%Y-%m-%d %H:%M"));
    }
    let to_text = to.strftime("%H:%M").to_string();
    if from_text.ends_with(&to_text) { from_text } else { format!("{from_text} to {to_text}") }
}

/// An interval of a series, by its beginning in seconds since 1970.
pub(super) fn interval(calendar: &Calendar, unit: Unit, start: i64) -> String {
    let format = match unit {
        Unit::Hour => "%Y-%m-%d %H:%M",
        Unit::Day => "%Y-%m-%d",
        Unit::Month => "%Y-%m",
        Unit::Year => "%Y",
    };
    calendar.clock(start).strftime(format).to_string()
}

/// A text from the log with nothing in it that could disguise what is around it.
pub fn harmless(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    push_escaped(&mut line, text);
    line
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn figures_are_readable() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (number, text) in [
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (150 << 20, "150 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn a_span_of_time_names_its_day_once() {
        let calendar = Calendar::of(TimeZone::UTC);
        assert_eq!(span(&calendar, (0, 59_000)), "1970-01-01 00:00");
        assert_eq!(span(&calendar, (0, 3_600_000)), "1970-01-01 00:00 to 01:00");
        assert_eq!(span(&calendar, (0, 90_000_000)), "1970-01-01 00:00 to 1970-01-02 01:00");
    }
}
