//! Accounts that nobody used for long.

use std::collections::BTreeMap;

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::{Context, KnownUser};
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, shown};
use super::Detector;
use crate::audit::event::Event;
use crate::settings::Thresholds;

/// Users that are remembered; only logins that succeed make one.
const USERS_MAX: usize = 50_000;
const DAY_MS: i64 = 86_400_000;

pub(super) struct Unused {
    thresholds: Thresholds,
    first: Option<i64>,
    /// The last login of each.
    users: Bounded<Name, Trace>,
}

impl Unused {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, first: None, users: Bounded::new(USERS_MAX) }
    }
}

impl Detector for Unused {
    fn observe(&mut self, seen: &Seen<'_>, _: &mut Collected) {
        self.first = Some(self.first.map_or(seen.time, |first| first.min(seen.time)));
        if seen.entry.event() == "auth.success"
            && let Some(user) = seen.user()
        {
            *self.users.entry(&user, Trace::default, |_, _| ()) = Trace::of(seen);
        }
    }

    fn finish(self: Box<Self>, context: &Context, found: &mut Collected) -> u64 {
        let forgotten = self.users.forgotten();
        let span = i64::try_from(self.thresholds.unused_days).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
        let limit = context.now.as_millisecond().saturating_sub(span);
        let mut seen: BTreeMap<Name, Trace> = self.users.into_iter().collect();
        let log_is_long = self.first.is_some_and(|first| first <= limit);
        match &context.users {
            Some(users) => {
                for (name, known) in users {
                    let trace = seen.remove(name.as_str());
                    if is_unused(known, trace.as_ref(), limit, log_is_long) {
                        found.push(told(name, known, trace, context, self.thresholds.unused_days));
                    }
                }
            }
            None => {
                for (name, trace) in seen {
                    if trace.last_time <= limit {
                        let known = KnownUser::default();
                        found.push(told(&name, &known, Some(trace), context, self.thresholds.unused_days));
                    }
                }
            }
        }
        forgotten
    }
}

/// Whether nobody can have used an account since `limit`.
fn is_unused(known: &KnownUser, trace: Option<&Trace>, limit: i64, log_is_long: bool) -> bool {
    let after = |time: Option<jiff::Timestamp>| time.is_some_and(|time| time.as_millisecond() > limit);
    if after(known.since) || after(known.last_login) || trace.is_some_and(|trace| trace.last_time > limit) {
        return false;
    }
    // Without any login that is known, a short log proves nothing.
    trace.is_some() || known.last_login.is_some() || log_is_long
}

fn told(name: &str, known: &KnownUser, trace: Option<Trace>, context: &Context, days: u64) -> Finding {
    let user = shown(name);
    let last =
        known.last_login.into_iter().chain(trace.as_ref().map(|trace| super::super::seen::timestamp(trace.last_time)));
    let seen = match last.max() {
        Some(last) => format!("The last login was at {last:.0}."),
        None => "No login is known at all.".to_owned(),
    };
    let search = Search::new().user(name);
    let search = match &trace {
        Some(trace) => search.evidence(trace),
        None => search.event(Event::LoginSuccess.description().code),
    };
    let told = match trace {
        Some(trace) => finding(Kind::Unused, Severity::Low, trace),
        None => Finding { evidence: None, from: None, ..finding(Kind::Unused, Severity::Low, Trace::default()) },
    };
    Finding {
        title: format!("Nobody logged in as {user} for {days} days or more."),
        seen,
        user: Some(user),
        // It is so now, whenever the last login was.
        to: Some(context.now),
        command: search.into(),
        advice: "Ask whether the account is still needed; disable it (enabled = false) or give it an end (expires)."
            .to_owned(),
        ..told
    }
}
