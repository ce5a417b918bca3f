//! A user who comes from a network that is new for that user.

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, Source, day_and_hour, shown};
use super::Detector;
use crate::settings::Thresholds;

/// Users that are remembered; only logins that succeed make one.
const USERS_MAX: usize = 10_000;
/// Networks that are remembered of each.
const NETWORKS_MAX: usize = 32;
/// Where a user is in a new network on one of this many days, another one says nothing.
const ROAMING_DAYS: u64 = 5;

pub(super) struct NewNetwork {
    thresholds: Thresholds,
    zone: TimeZone,
    users: Bounded<Name, Habit>,
}

#[derive(Default)]
struct Habit {
    networks: Vec<IpNet>,
    /// Days with a login, but for the last one.
    days: u64,
    last_day: Option<i32>,
    new: Option<New>,
}

/// Logins of one day from a network that was new on that day.
struct New {
    network: IpNet,
    day: i32,
    source: Source,
    trace: Trace,
    known: usize,
}

impl NewNetwork {
    pub(super) fn new(thresholds: Thresholds, zone: TimeZone) -> Self {
        Self { thresholds, zone, users: Bounded::new(USERS_MAX) }
    }
}

impl Detector for NewNetwork {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        if seen.entry.event() != "auth.success" {
            return;
        }
        let (Some(source), Some(user)) = (seen.source, seen.user()) else { return };
        let (day, _) = day_and_hour(seen.time, &self.zone);
        let habit = self.users.entry(&user, Habit::default, |user, habit| tell(user, habit.new, found));
        if habit.last_day != Some(day) {
            habit.days = habit.days.saturating_add(u64::from(habit.last_day.is_some()));
            habit.last_day = Some(day);
        }
        let network = source.neighbourhood();
        if let Some(new) = &mut habit.new {
            if new.network == network && new.day == day {
                return new.trace.add(seen);
            }
            if new.day != day {
                tell(&user, habit.new.take(), found);
            }
        }
        if habit.networks.contains(&network) {
            return;
        }
        let known = habit.networks.len();
        let before = u64::try_from(known).unwrap_or(u64::MAX);
        let roams = before >= self.thresholds.roaming_networks
            || before.saturating_sub(1).saturating_mul(ROAMING_DAYS) >= habit.days;
        if habit.days >= self.thresholds.learning_days && !roams {
            tell(&user, habit.new.take(), found);
            habit.new = Some(New { network, day, source, trace: Trace::of(seen), known });
        }
        if habit.networks.len() < NETWORKS_MAX {
            habit.networks.push(network);
        }
    }

    fn finish(self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        let forgotten = self.users.forgotten();
        for (user, habit) in self.users.into_iter() {
            tell(&user, habit.new, found);
        }
        forgotten
    }
}

fn tell(user: &Name, new: Option<New>, found: &mut Collected) {
    let Some(New { network, source, trace, known, .. }) = new else { return };
    let name = shown(user);
    let before = if known == 1 { "one other network".to_owned() } else { format!("{known} other networks") };
    found.push(Finding {
        title: format!("{name} came from {source}, a network that is new for {name}."),
        seen: format!("{} logins {}, from {network}; until then from {before}.", trace.count, trace.when()),
        user: Some(name),
        address: Some(source.address()),
        command: Search::new().user(user).network(network).evidence(&trace).into(),
        advice: "Ask the user. Where it was somebody else, disable the account and end its sessions; allow-from keeps \
                 an account to its networks."
            .to_owned(),
        ..finding(Kind::NewNetwork, Severity::Medium, trace)
    });
}
