//! Which records are asked for, as people say it on the command line.

use std::path::Path;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Failure;
use crate::audit::event::Severity;
use crate::cli::complain;
use crate::config::running;
use crate::policy::path_pattern::PathPattern;
use crate::trail::filter::{EventPattern, Filter, Moment, TimeSpan, network, numbers, path_pattern, severity};

/// What a record has to be. Each of these may be given several times: one has to fit.
#[derive(Debug, Args)]
pub(super) struct Filters {
    #[command(flatten)]
    span: SpanArguments,
    /// The user, as known or as claimed.
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    /// The client's address, or the network that it lies in.
    #[arg(long, value_name = "ADDRESS|NETWORK", value_parser = network)]
    address: Vec<IpNet>,
    /// The path of a file as its user sees it, before or after a rename; *, ? and ** as in rules.
    #[arg(long, value_name = "PATTERN", value_parser = path_pattern)]
    path: Vec<PathPattern>,
    /// What happened; auth.* means all that begin so.
    #[arg(long, value_name = "EVENT")]
    event: Vec<EventPattern>,
    /// Whether it went as asked.
    #[arg(long, value_enum)]
    outcome: Option<Outcome>,
    /// Why not, such as `bad_password` (`status_detail`).
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// The session, or how its id begins.
    #[arg(long, value_name = "ID", value_parser = session_id)]
    session: Vec<String>,
    /// The verb, such as STOR.
    #[arg(long, value_name = "VERB", value_parser = verb)]
    command: Vec<String>,
    /// How much it matters at least.
    #[arg(long, value_name = "LEVEL", value_parser = severity)]
    severity: Option<Severity>,
    /// The numbers of records: N, N..M, N.. or ..M.
    #[arg(long, value_name = "N..M", value_parser = numbers)]
    record: Vec<std::ops::RangeInclusive<u64>>,
}

/// The time that is meant.
#[derive(Debug, Args)]
pub(super) struct SpanArguments {
    /// From this time on: a day, a time, or how long ago (2026-11-22, 2026-11-22T06:00, 2h). Days and times are
    /// by the clocks of [time] zone.
    #[arg(long, value_name = "TIME")]
    from: Option<Moment>,
    /// Before this time, or up to the end of this day.
    #[arg(long, value_name = "TIME")]
    to: Option<Moment>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Outcome {
    Success,
    Failure,
}

impl SpanArguments {
    /// The span that they mean, seen from now, by the clocks of the policy in this directory.
    pub(super) fn span(&self, policy: &Path) -> Result<TimeSpan, Failure> {
        let by_clocks = [&self.from, &self.to].into_iter().flatten().any(Moment::is_by_clocks);
        self.span_at(&now(policy, by_clocks))
    }

    /// The span that they mean, seen from `now`, by the clocks of its zone.
    pub(super) fn span_at(&self, now: &Zoned) -> Result<TimeSpan, Failure> {
        TimeSpan::between(self.from.as_ref(), self.to.as_ref(), now).map_err(Failure::Failed)
    }
}

/// The present by the clocks of `[time] zone`. A log that is looked at elsewhere has no policy beside it: by
/// UTC then, which is said where it matters.
fn now(policy: &Path, matters: bool) -> Zoned {
    let zone = running::time_zone(policy).unwrap_or_else(|_| {
        if matters {
            complain(&"portcullis: times are UTC, as no policy could be read");
        }
        TimeZone::UTC
    });
    Timestamp::now().to_zoned(zone)
}

impl Filters {
    /// The filter that they mean, where days are those of the policy in this directory.
    pub(super) fn filter(&self, policy: &Path) -> Result<Filter, Failure> {
        Ok(Filter {
            span: self.span.span(policy)?,
            records: self.record.clone(),
            users: self.user.clone(),
            networks: self.address.clone(),
            paths: self.path.clone(),
            events: self.event.clone(),
            succeeded: self.outcome.map(|outcome| matches!(outcome, Outcome::Success)),
            reasons: self.reason.clone(),
            sessions: self.session.clone(),
            commands: self.command.clone(),
            severity_least: self.severity,
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a result")]
fn verb(text: &str) -> Result<String, String> {
    Ok(text.to_ascii_uppercase())
}

/// Reads a ULID, or how one begins.
pub(super) fn session_id(text: &str) -> Result<String, String> {
    let is_id = (1..=26).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| text.to_ascii_uppercase()).ok_or_else(|| {
        "write the id of a session, such as 01M825SEFCZE8NP3WEXQ3ZTCWV, or its first characters".to_owned()
    })
}
