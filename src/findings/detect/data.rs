//! Data connections of one source that are refused again and again, because they belong elsewhere.

use jiff::tz::TimeZone;

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Name, Seen, Source, day_and_hour, kept, shown};
use super::{Detector, listed};
use crate::settings::Thresholds;

/// Sources that are watched at the same time.
const SOURCES_MAX: usize = 20_000;
/// Reasons that are told apart.
const REASONS_MAX: usize = 8;

pub(super) struct DataRefused {
    thresholds: Thresholds,
    zone: TimeZone,
    sources: Bounded<Source, Refused>,
}

/// What was refused on a day.
#[derive(Default)]
struct Refused {
    day: Option<i32>,
    trace: Trace,
    count: u64,
    /// Some came where somebody else was expected.
    strange: bool,
    /// Some had no session, and no client that a search by address knows.
    without_client: bool,
    user: Option<Name>,
    reasons: Vec<Name>,
}

impl DataRefused {
    pub(super) fn new(thresholds: Thresholds, zone: TimeZone) -> Self {
        Self { thresholds, zone, sources: Bounded::new(SOURCES_MAX) }
    }
}

impl Detector for DataRefused {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        let reason = seen.reason();
        let strange = match seen.entry.event() {
            // What a program cannot do is another finding; what the network did is none.
            "data.binding_failed" if !is_clumsy(reason) && !matches!(reason, "timeout" | "client_gave_up") => {
                reason == "foreign_session"
            }
            "data.peer_mismatch" => true,
            "conn.denied" if reason == "data_peer_mismatch" => true,
            _ => return,
        };
        let Some(source) = seen.turned_away() else { return };
        let (day, _) = day_and_hour(seen.time, &self.zone);
        let most = self.thresholds.data_refusals;
        let refused =
            self.sources.entry(&source, Refused::default, |source, refused| judge(most, *source, refused, found));
        if refused.day != Some(day) {
            judge(most, source, std::mem::take(refused), found);
            refused.day = Some(day);
        }
        refused.trace.add(seen);
        let unreported = seen.entry.detail_number("unreported").unwrap_or(0);
        refused.count = refused.count.saturating_add(seen.count()).saturating_add(unreported);
        refused.strange |= strange;
        refused.without_client |= seen.source.is_none();
        if refused.user.is_none() {
            refused.user = seen.user();
        }
        if refused.reasons.len() < REASONS_MAX && !refused.reasons.iter().any(|known| **known == *reason) {
            refused.reasons.push(kept(reason));
        }
    }

    fn finish(self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        let forgotten = self.sources.forgotten();
        for (source, refused) in self.sources.into_iter() {
            judge(self.thresholds.data_refusals, source, refused, found);
        }
        forgotten
    }
}

/// Whether a program that cannot resume TLS sessions is refused so.
pub(super) fn is_clumsy(reason: &str) -> bool {
    matches!(reason, "not_resumed" | "session_changed" | "version_differs")
}

fn judge(most: u64, source: Source, refused: Refused, found: &mut Collected) {
    if refused.count < most {
        return;
    }
    let trace = refused.trace;
    let search = if refused.without_client { Search::new() } else { Search::new().source(source) };
    let user = refused.user.as_deref().map(shown);
    let (severity, advice) = if refused.strange {
        (
            Severity::High,
            "Somebody tries to take over data connections of others, or several programs share what is \
                          theirs: find out what runs at this address; deny it where it is not yours.",
        )
    } else {
        (Severity::Medium, "Find out which program runs at this address; `audit session` shows one of its sessions.")
    };
    found.push(Finding {
        title: format!("{} data connections from {source} were refused in a day.", refused.count),
        seen: format!(
            "Reasons: {}; within {}, {}{}.",
            listed(refused.reasons.iter().map(|reason| &**reason)),
            trace.lasted(),
            trace.when(),
            user.as_ref().map(|user| format!("; the user was {user}")).unwrap_or_default()
        ),
        user,
        address: Some(source.address()),
        command: search.evidence(&trace).into(),
        advice: advice.to_owned(),
        ..finding(Kind::DataRefused, severity, trace)
    });
}
