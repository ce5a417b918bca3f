//! A user who logs in at an hour that is unusual for that user.

use jiff::tz::TimeZone;

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, day_and_hour, shown};
use super::Detector;
use crate::settings::Thresholds;

/// Users that are remembered; only logins that succeed make one.
const USERS_MAX: usize = 10_000;

pub(super) struct UnusualHour {
    thresholds: Thresholds,
    zone: TimeZone,
    users: Bounded<Name, Habit>,
}

#[derive(Default)]
struct Habit {
    hours: Hours,
    days: u64,
    last_day: Option<i32>,
    /// Logins of one day at an unusual hour: the day, the hour, the nearest usual one.
    unusual: Option<(i32, u8, u8, Trace)>,
}

/// Hours of the day, as bits.
#[derive(Clone, Copy, Default)]
pub(super) struct Hours(u32);

impl Hours {
    pub(super) fn add(&mut self, hour: u8) {
        self.0 |= 1_u32.checked_shl(hour.into()).unwrap_or(0);
    }

    /// The nearest of these hours, and how far away it is on the clock.
    pub(super) fn nearest(self, hour: u8) -> Option<(u8, u8)> {
        let holds = |hour: u8| self.0 & 1_u32.checked_shl(hour.into()).unwrap_or(0) != 0;
        (0..=12_u8).find_map(|away| {
            let later = hour.saturating_add(away).rem_euclid(24);
            let earlier = hour.saturating_add(24).saturating_sub(away).rem_euclid(24);
            [later, earlier].into_iter().find(|hour| holds(*hour)).map(|hour| (hour, away))
        })
    }
}

impl UnusualHour {
    pub(super) fn new(thresholds: Thresholds, zone: TimeZone) -> Self {
        Self { thresholds, zone, users: Bounded::new(USERS_MAX) }
    }
}

impl Detector for UnusualHour {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        if seen.entry.event() != "auth.success" {
            return;
        }
        let Some(user) = seen.user() else { return };
        let (day, hour) = day_and_hour(seen.time, &self.zone);
        let habit = self.users.entry(&user, Habit::default, |user, habit| tell(user, habit.unusual, found));
        if habit.last_day != Some(day) {
            habit.days = habit.days.saturating_add(u64::from(habit.last_day.is_some()));
            habit.last_day = Some(day);
            tell(&user, habit.unusual.take(), found);
        }
        if habit.unusual.as_ref().is_some_and(|(_, unusual, ..)| *unusual != hour) {
            tell(&user, habit.unusual.take(), found);
        }
        if let Some((nearest, away)) = habit.hours.nearest(hour)
            && u64::from(away) >= self.thresholds.unusual_hours
            && habit.days >= self.thresholds.learning_days
        {
            let (.., trace) = habit.unusual.get_or_insert_with(|| (day, hour, nearest, Trace::default()));
            trace.add(seen);
        } else if let Some((.., trace)) = &mut habit.unusual {
            trace.add(seen);
        }
        habit.hours.add(hour);
    }

    fn finish(self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        let forgotten = self.users.forgotten();
        for (user, habit) in self.users.into_iter() {
            tell(&user, habit.unusual, found);
        }
        forgotten
    }
}

fn tell(user: &Name, unusual: Option<(i32, u8, u8, Trace)>, found: &mut Collected) {
    let Some((_, hour, nearest, trace)) = unusual else { return };
    let name = shown(user);
    found.push(Finding {
        title: format!("{name} logged in at an unusual hour, between {hour}:00 and {hour}:59."),
        seen: format!(
            "{} logins {}; the nearest hour at which {name} was ever seen before begins at {nearest}:00.",
            trace.count,
            trace.when()
        ),
        user: Some(name),
        command: Search::new().user(user).evidence(&trace).into(),
        advice: "Ask the user. `hours` in users.toml keeps an account to its hours.".to_owned(),
        ..finding(Kind::UnusualHour, Severity::Low, trace)
    });
}
