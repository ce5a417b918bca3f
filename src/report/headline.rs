//! What is told first, in every form: the key figures, and what keeps the report from being complete.

use super::{Report, Summary, VerdictState, words};
use crate::findings::finding::{Evidence, Finding, Severity};

/// What stands there where the chain was not looked at.
pub(super) const NOT_VERIFIED: &str =
    "Not checked here. `portcullis audit verify` proves whether records were changed, removed or put in.";
/// What stands there where nothing was found.
pub(super) const NO_FINDINGS: &str = "Nothing stood out by the thresholds of the policy.";

/// The sums over time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) logins: u64,
    pub(super) failed: u64,
    pub(super) throttled: u64,
    pub(super) uploads: u64,
    pub(super) bytes_in: u64,
    pub(super) downloads: u64,
    pub(super) bytes_out: u64,
}

/// The sums over time.
pub(super) fn totals(summary: &Summary) -> Totals {
    let mut totals = Totals::default();
    for (_, [logins, failed, throttled]) in summary.logins.intervals() {
        totals.logins = totals.logins.saturating_add(*logins);
        totals.failed = totals.failed.saturating_add(*failed);
        totals.throttled = totals.throttled.saturating_add(*throttled);
    }
    for (_, [uploads, bytes_in, downloads, bytes_out]) in summary.transfers.intervals() {
        totals.uploads = totals.uploads.saturating_add(*uploads);
        totals.bytes_in = totals.bytes_in.saturating_add(*bytes_in);
        totals.downloads = totals.downloads.saturating_add(*downloads);
        totals.bytes_out = totals.bytes_out.saturating_add(*bytes_out);
    }
    totals
}

/// The key figures: name, figure, and what to know about it.
pub(super) fn figures(summary: &Summary) -> Vec<(&'static str, String, String)> {
    let totals = totals(summary);
    let failed = totals.failed.saturating_add(totals.throttled);
    let (known, refused) = (
        summary.users.iter().filter(|(_, user)| user.is_known()).count(),
        summary
            .refusals
            .iter()
            .fold(summary.refusals.others().count, |sum, (_, reason)| sum.saturating_add(reason.count)),
    );
    let known = u64::try_from(known).unwrap_or(u64::MAX);
    let (uploads, downloads) = summary.incomplete;
    let unfinished =
        |number: u64| if number > 0 { format!(", {} cut short", words::count(number)) } else { String::new() };
    vec![
        ("Logins", words::count(totals.logins), format!("of {}", words::many(known, "user", "users"))),
        ("Failed logins", words::count(failed), format!("{} not even checked", words::count(totals.throttled))),
        (
            "Received",
            words::bytes(totals.bytes_in),
            format!("{}{}", words::many(totals.uploads, "upload", "uploads"), unfinished(uploads)),
        ),
        (
            "Sent",
            words::bytes(totals.bytes_out),
            format!("{}{}", words::many(totals.downloads, "download", "downloads"), unfinished(downloads)),
        ),
        ("Removed", words::count(summary.removed), "files and directories".to_owned()),
        ("Refused or failed", words::count(refused), "connections, logins, requests".to_owned()),
        ("Sessions", words::count(summary.sessions), "connections that were taken".to_owned()),
        ("Records", words::count(summary.records), numbers(summary)),
    ]
}

fn numbers(summary: &Summary) -> String {
    summary.sequence.map_or_else(String::new, |(first, last)| format!("numbers {first} to {last}"))
}

/// What keeps the report from being complete, or the log from having been.
pub(super) fn warnings(report: &Report<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if report.summary.unreadable > 0 {
        let lines = words::many(report.summary.unreadable, "line of the log is", "lines of the log are");
        warnings.push(format!("{lines} no record, and not counted."));
    }
    warnings.extend(report.unread.iter().map(|problem| format!("Not read: {problem}")));
    if report.summary.records == 0 {
        warnings.push("There is no record in this span of time.".to_owned());
    }
    warnings
}

/// The word for a verdict.
pub(super) fn verdict_word(state: VerdictState) -> &'static str {
    match state {
        VerdictState::Proved => "Proved",
        VerdictState::Partial => "Proved in part",
        VerdictState::Unverified => "Not verified",
        VerdictState::Broken => "Broken",
    }
}

/// The word for how much a finding matters.
pub(super) fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::High => "High",
        Severity::Medium => "Medium",
        Severity::Low => "Low",
    }
}

/// Which records show it.
pub(super) fn evidence(evidence: &Evidence) -> String {
    let shown: Vec<String> = evidence.records.iter().map(u64::to_string).collect();
    if evidence.count <= u64::try_from(shown.len()).unwrap_or(u64::MAX) {
        let noun = if shown.len() == 1 { "Record" } else { "Records" };
        return format!("{noun} {}", shown.join(", "));
    }
    format!("{} records: {}, … {}", words::count(evidence.count), shown.join(", "), evidence.last)
}

/// When it was, by the clocks of the report.
pub(super) fn when(report: &Report<'_>, finding: &Finding) -> Option<String> {
    let (from, to) = finding.from.zip(finding.to)?;
    Some(words::span(report.summary.calendar(), (from.as_millisecond(), to.as_millisecond())))
}
