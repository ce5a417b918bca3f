//! The report as one page that needs nothing else: no network, no script, no font.
//!
//! Every text goes through the template, which escapes it; the policy of the page lets nothing run and
//! nothing load, and takes no style but the one whose hash it names.

mod glance;
mod table;

use std::io::{self, Write};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{Bars, bars};
use super::table::Table;
use super::{Report, headline, tables, words};
use crate::findings::finding::Finding;

const STYLE: &str = include_str!("html/style.css");
/// Rows of a table.
const ROWS_MAX: usize = 15;
/// Rows of a table that is folded.
const FOLDED_ROWS_MAX: usize = 400;
/// Findings that are told on the page.
const FINDINGS_MAX: usize = 100;

/// Writes it.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report<'_>, mut out: impl Write) -> io::Result<()> {
    out.write_all(page(report).into_string().as_bytes())
}

fn page(report: &Report<'_>) -> Markup {
    let style = BASE64.encode(digest(&SHA256, STYLE.as_bytes()).as_ref());
    let policy = format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'");
    let title = words::harmless(&report.title);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#glance" { "To the report" }
                header.page {
                    h1 { bdi { (title) } }
                    (period(report))
                }
                nav aria-label="Parts of the report" {
                    ul {
                        @for (id, name) in PARTS { li { a href={ "#" (id) } { (name) } } }
                    }
                }
                main {
                    (glance::section(report))
                    (findings(report))
                    (logins(report))
                    (transfers(report))
                    (origins(report))
                    (refusals(report))
                    (protection(report))
                    (changes(report))
                    (log(report))
                }
                footer {
                    p {
                        "Made by portcullis " (env!("CARGO_PKG_VERSION")) " at "
                        (table::moment(report, report.made_at.as_millisecond())) ". "
                        "Days and hours are those of the time zone " (report.summary.calendar().name())
                        "; each time tells UTC when pointed at. More rows of each table are in "
                        code { "--format csv" } " and " code { "--format json" } "."
                    }
                }
            }
        }
    }
}

const PARTS: [(&str, &str); 9] = [
    ("glance", "At a glance"),
    ("findings", "Findings"),
    ("logins", "Logins"),
    ("transfers", "Transfers"),
    ("origins", "Networks"),
    ("refused", "Refusals"),
    ("protection", "TLS and clients"),
    ("changes", "Changes"),
    ("log", "The log"),
];

fn period(report: &Report<'_>) -> Markup {
    let (from, until) = report.summary.span();
    html! {
        p.period {
            (table::moment(report, from)) " until " (table::moment(report, until))
            span.zone { " " (report.summary.calendar().name()) }
        }
        @if !report.summary.calendar().is_utc() {
            p.utc { "In UTC: " (words::utc(from)) " until " (words::utc(until)) }
        }
        p.utc { "Log: " bdi { (words::harmless(&report.log)) } }
    }
}

fn part(id: &str, lead: &str, content: &Markup) -> Markup {
    let title = PARTS.iter().find(|(known, _)| *known == id).map_or("", |(_, title)| title);
    html! {
        section id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            @if !lead.is_empty() { p.lead { (lead) } }
            (content)
        }
    }
}

fn findings(report: &Report<'_>) -> Markup {
    let content = html! {
        @match &report.findings {
            None => p { "Not looked for here. " code { "portcullis audit findings" } " does." }
            Some(findings) if findings.is_empty() => p { (headline::NO_FINDINGS) }
            Some(findings) => {
                @for (index, finding) in findings.iter().take(FINDINGS_MAX).enumerate() {
                    (one_finding(report, index, finding))
                }
                @let kept = u64::try_from(findings.len().saturating_sub(FINDINGS_MAX)).unwrap_or(u64::MAX);
                @let more = kept.saturating_add(report.findings_left_out);
                @if more > 0 { p.note { (words::count(more)) " more: " code { "portcullis audit findings" } } }
            }
        }
    };
    part("findings", "", &content)
}

fn one_finding(report: &Report<'_>, index: usize, finding: &Finding) -> Markup {
    let word = headline::severity_word(finding.severity);
    let evidence = finding.evidence.as_ref().map(headline::evidence);
    html! {
        article id={ "finding-" (index.saturating_add(1)) } class={ "finding " (word.to_ascii_lowercase()) } {
            h3 { span.badge { (word) } " " bdi { (words::harmless(&finding.title)) } }
            p { bdi { (words::harmless(&finding.seen)) } }
            dl {
                @if let Some(when) = headline::when(report, finding) { div { dt { "When" } dd { (when) } } }
                @if let Some(evidence) = evidence { div { dt { "Evidence" } dd { (evidence) } } }
                @if !finding.command.is_empty() {
                    div { dt { "Shown by" } dd { code { (words::harmless(&finding.command)) } } }
                }
                @if !finding.advice.is_empty() {
                    div { dt { "To do" } dd { bdi { (words::harmless(&finding.advice)) } } }
                }
            }
        }
    }
}

fn logins(report: &Report<'_>) -> Markup {
    let summary = report.summary;
    let unit = summary.unit();
    let intervals = summary.logins.over(summary.calendar(), unit, summary.drawn());
    let good = bars(&intervals, |[logins, ..]| *logins);
    let bad = bars(&intervals, |[_, failed, throttled]| failed.saturating_add(*throttled));
    let content = html! {
        div.pair {
            (figure(report, "chart-failed", "Failed logins", "bad", false, &bad))
            (figure(report, "chart-logins", "Logins that succeeded", "good", false, &good))
        }
        (folded("The same figures as a table", &tables::logins_over_time(summary), report, FOLDED_ROWS_MAX))
        (table::of(&tables::guessing(summary, ROWS_MAX), report))
        (table::of(&tables::names(summary, ROWS_MAX), report))
    };
    part("logins", "", &content)
}

fn transfers(report: &Report<'_>) -> Markup {
    let summary = report.summary;
    let intervals = summary.transfers.over(summary.calendar(), summary.unit(), summary.drawn());
    let received = bars(&intervals, |[_, bytes_in, ..]| *bytes_in);
    let sent = bars(&intervals, |[.., bytes_out]| *bytes_out);
    let content = html! {
        div.pair {
            (figure(report, "chart-in", "Bytes received", "good", true, &received))
            (figure(report, "chart-out", "Bytes sent", "out", true, &sent))
        }
        (folded("The same figures as a table", &tables::transfers_over_time(summary), report, FOLDED_ROWS_MAX))
        (table::of(&tables::users(summary, ROWS_MAX), report))
        (folded("What each user moved, by day", &tables::user_days(summary, FOLDED_ROWS_MAX), report, FOLDED_ROWS_MAX))
    };
    part("transfers", "", &content)
}

fn origins(report: &Report<'_>) -> Markup {
    part("origins", "", &table::of(&tables::networks(report.summary, ROWS_MAX), report))
}

fn refusals(report: &Report<'_>) -> Markup {
    let lead = "Every request that was not done as asked: the event that was recorded, and why.";
    part("refused", lead, &table::of(&tables::refusals(report.summary, ROWS_MAX.saturating_mul(2)), report))
}

fn protection(report: &Report<'_>) -> Markup {
    let content = html! {
        (table::of(&tables::suites(report.summary, ROWS_MAX), report))
        (table::of(&tables::clients(report.summary, ROWS_MAX), report))
    };
    part("protection", "", &content)
}

fn changes(report: &Report<'_>) -> Markup {
    let journals = &report.summary.journals;
    let most = ROWS_MAX;
    let content = html! {
        (table::of(&tables::journal("policy", "Changes of the policy", &journals.policy, most), report))
        (table::of(&tables::journal("control", "What administrators asked of the running server", &journals.control, most), report))
        (table::of(&tables::journal("certificates", "Certificates", &journals.certificates, most), report))
        (table::of(&tables::journal("quotas", "Quotas and room on the disks", &journals.quotas, most), report))
        (table::of(&tables::journal("service", "Starts and stops", &journals.service, most), report))
    };
    part("changes", "", &content)
}

fn log(report: &Report<'_>) -> Markup {
    let journals = &report.summary.journals;
    let (checkpoints, last) = journals.checkpoints;
    let content = html! {
        h3 { "What the chain of the records proves" }
        @match &report.verdict {
            Some(verdict) => {
                p { strong { (headline::verdict_word(verdict.state)) ": " } (words::harmless(&verdict.headline)) }
                @if !verdict.details.is_empty() {
                    ul { @for detail in &verdict.details { li { bdi { (words::harmless(detail)) } } } }
                }
            }
            None => p { (code_words(headline::NOT_VERIFIED)) }
        }
        p {
            (words::many(checkpoints, "signed checkpoint", "signed checkpoints"))
            @if let Some(last) = last { ", the last at " (table::moment(report, last)) }
            "."
        }
        (table::of(&tables::journal("log-records", "What the log tells about itself", &journals.log, ROWS_MAX), report))
        (folded("Records by event", &tables::events(report.summary, FOLDED_ROWS_MAX), report, FOLDED_ROWS_MAX))
    };
    part("log", "", &content)
}

/// A picture with its caption.
fn figure(report: &Report<'_>, id: &str, title: &str, class: &str, bytes: bool, bars: &[(i64, u64)]) -> Markup {
    let summary = report.summary;
    let (calendar, unit) = (summary.calendar(), summary.unit());
    let sum = bars.iter().fold(0_u64, |sum, (_, figure)| sum.saturating_add(*figure));
    let shown = |figure: u64| if bytes { words::bytes(figure) } else { words::count(figure) };
    let most = bars.iter().max_by_key(|(start, figure)| (*figure, std::cmp::Reverse(*start)));
    let mut description = format!("{} in all", shown(sum));
    if let Some((start, figure)) = most.filter(|(_, figure)| *figure > 0) {
        let when = words::interval(calendar, unit, *start);
        description = format!("{description}; most in the {} of {when}: {}", unit.word(), shown(*figure));
    }
    let title_of_axis = format!("{title} per {}", unit.word());
    let chart =
        Bars { id, title: &title_of_axis, description: &description, class, bytes, unit, figures: bars, calendar };
    html! {
        figure {
            figcaption { strong { (title_of_axis) } " " span { (description) } }
            @if sum == 0 {
                p.none { "None." }
            } @else if let Some(pictures) = chart.draw() {
                @for picture in &pictures { (PreEscaped(picture)) }
            }
        }
    }
}

/// A table that is folded until somebody wants it.
fn folded(title: &str, content: &Table, report: &Report<'_>, most: usize) -> Markup {
    let beyond = content.rows.len().saturating_sub(most);
    html! {
        @if !content.rows.is_empty() {
            details {
                summary { (title) }
                (table::of(content, report))
                @if beyond > 0 { p.note { (beyond) " more rows are in the other forms." } }
            }
        }
    }
}

/// A sentence of ours in which commands stand between backquotes.
fn code_words(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at.is_multiple_of(2) { (part) } @else { code { (part) } }
        }
    }
}

#[cfg(test)]
mod tests;
