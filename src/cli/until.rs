//! When something is to end, as people write it.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Reads a time from now on, such as `2h`, `90m` or `7d`.
pub(super) fn duration(text: &str) -> Result<SignedDuration, String> {
    let help = "write a time such as 90m, 2h or 7d";
    // Days are 24 hours here, as long as they are by the clock.
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok());
    let parsed = match days {
        Some(days) => days.checked_mul(24).and_then(SignedDuration::try_from_hours),
        None => text.parse().ok(),
    };
    match parsed {
        Some(time) if time.is_positive() => Ok(time),
        Some(_) => Err(format!("it has to be longer than nothing; {help}")),
        None => Err(help.to_owned()),
    }
}

/// Reads a moment; without an offset it is meant in UTC, as everything is shown.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let clock = || text.parse::<DateTime>().ok().or_else(|| Some(text.parse::<Date>().ok()?.at(0, 0, 0, 0)));
    let in_utc = || TimeZone::UTC.to_timestamp(clock()?).ok();
    let moment = text.parse::<Timestamp>().ok().or_else(in_utc);
    moment.ok_or_else(|| "write a time such as 2026-12-24T18:00 (UTC) or 2026-12-24T18:00:00+01:00".to_owned())
}

/// When that is, for the server.
pub(super) fn end(time: Option<SignedDuration>, until: Option<Timestamp>) -> Option<String> {
    let from_now = time.and_then(|time| Timestamp::now().checked_add(time).ok());
    // Who asks for longer than there are dates asks for no end.
    until.or(from_now).map(|end| end.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_moments_are_read_as_people_write_them() {
        for (text, seconds) in [("90m", 5400), ("2h", 7200), ("7d", 604_800), ("1h30m", 5400), ("45s", 45)] {
            assert_eq!(duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in ["", "2", "-2h", "0s", "0d", "tomorrow", "9999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for (text, expected) in [
            ("2026-12-24T18:00", "2026-12-24T18:00:00Z"),
            ("2026-12-24", "2026-12-24T00:00:00Z"),
            ("2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00Z"),
        ] {
            assert_eq!(moment(text).unwrap().to_string(), expected);
        }
        assert!(moment("soon").is_err());
        assert!(end(Some(SignedDuration::MAX), None).is_none());
    }
}
