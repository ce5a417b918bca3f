//! Whoever talks to the server without TLS: programs of users, scanners, and attacks on the step to TLS.

use jiff::tz::TimeZone;

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Seen, Source, day_and_hour};
use super::Detector;
use super::known::Known;
use crate::settings::Thresholds;

/// Sources that are watched at the same time.
const SOURCES_MAX: usize = 20_000;

pub(super) struct ClearText {
    thresholds: Thresholds,
    zone: TimeZone,
    known: Known,
    sources: Bounded<Source, Attempts>,
}

/// What came in clear on a day.
#[derive(Default)]
struct Attempts {
    day: Option<i32>,
    trace: Trace,
    logins: u64,
    injections: u64,
    /// Users log in from there.
    of_users: bool,
}

impl ClearText {
    pub(super) fn new(thresholds: Thresholds, zone: TimeZone) -> Self {
        Self { thresholds, zone, known: Known::new(), sources: Bounded::new(SOURCES_MAX) }
    }
}

impl Detector for ClearText {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        let Some(source) = seen.source else { return };
        let (login, injection) = match seen.entry.event() {
            "auth.plaintext_refused" => (1, 0),
            "proto.refused" if seen.reason() == "tls_required" => (0, 0),
            "tls.plaintext_injection" => (0, 1),
            "auth.success" => {
                if let Some(user) = seen.user() {
                    self.known.note(source, &user, seen.time);
                }
                return;
            }
            _ => return,
        };
        let (day, _) = day_and_hour(seen.time, &self.zone);
        let most = self.thresholds.clear_text_attempts;
        let forget = |source: &Source, attempts| judge(most, *source, attempts, found);
        let attempts = self.sources.entry(&source, Attempts::default, forget);
        if attempts.day != Some(day) {
            judge(most, source, std::mem::take(attempts), found);
            attempts.day = Some(day);
        }
        attempts.trace.add(seen);
        attempts.logins = attempts.logins.saturating_add(login);
        attempts.injections = attempts.injections.saturating_add(injection);
        attempts.of_users |= self.known.source_before(source, seen.time);
    }

    fn finish(self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        let forgotten = self.sources.forgotten().saturating_add(self.known.forgotten());
        for (source, attempts) in self.sources.into_iter() {
            judge(self.thresholds.clear_text_attempts, source, attempts, found);
        }
        forgotten
    }
}

fn judge(most: u64, source: Source, attempts: Attempts, found: &mut Collected) {
    let Attempts { trace, logins, injections, of_users, .. } = attempts;
    let (severity, title, advice) = if injections > 0 {
        (
            Severity::High,
            format!("{source} sent commands in clear behind AUTH TLS."),
            "Nothing of it was acted upon. It is an attack on the step to TLS, or a broken program: find out which \
             stands between the client and the server.",
        )
    } else if of_users && logins > 0 {
        (
            Severity::Medium,
            format!("Somebody at {source}, from where users log in, tried to log in without TLS."),
            "Find the program that is set to plain FTP and set it to FTPS. Whoever could read along may know the \
             password: change it.",
        )
    } else if trace.count >= most {
        (
            Severity::Low,
            format!("{source} talked to the server without TLS again and again."),
            "Nothing was answered. A scanner does so: deny the address, or allow only networks from which users come.",
        )
    } else {
        return;
    };
    found.push(Finding {
        title,
        seen: format!(
            "{} commands in clear, {logins} of them USER or PASS, within {}, {}.",
            trace.count,
            trace.lasted(),
            trace.when()
        ),
        address: Some(source.address()),
        command: Search::new().source(source).evidence(&trace).into(),
        advice: advice.to_owned(),
        ..finding(Kind::ClearText, severity, trace)
    });
}
