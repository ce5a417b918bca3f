//! The first screen: whether the log can be trusted, who guessed, what is worth a look, the key figures.

use std::net::IpAddr;

use maud::{Markup, html};

use super::{code_words, table};
use crate::findings::finding::{Finding, Kind, Severity};
use crate::report::summary::Source;
use crate::report::{Report, VerdictState, headline, words};

/// Addresses that are named.
const ADDRESSES_MAX: usize = 3;
/// Findings that are named.
const FINDINGS_MAX: usize = 5;

pub(super) fn section(report: &Report<'_>) -> Markup {
    html! {
        section #glance aria-labelledby="glance-title" {
            h2 #glance-title { "At a glance" }
            @for warning in headline::warnings(report) {
                p.warning { strong { "Note: " } bdi { (words::harmless(&warning)) } }
            }
            div.cards {
                (guessing(report))
                (findings(report))
                (chain(report))
            }
            dl.figures {
                @for (name, figure, about) in headline::figures(report.summary) {
                    div { dt { (name) } dd { strong { (figure) } span { (about) } } }
                }
            }
        }
    }
}

/// The address that guessed, and those behind it: first those that findings call guessing, the most severe
/// first, then those that most failed logins came from.
fn guessing(report: &Report<'_>) -> Markup {
    let guessed = guessed(report);
    let ranking = report.summary.sources.ranked(usize::MAX, Source::attempts);
    let place = |address: &IpAddr| guessed.iter().position(|guess| same_source(*guess, *address));
    let mut sources: Vec<_> =
        ranking.named.iter().map(|(address, source)| (place(address), *address, *source)).collect();
    // Stable: those that nothing is found about stay in their order, behind the others.
    sources.sort_by_key(|(place, ..)| place.unwrap_or(usize::MAX));
    let more = sources.len().saturating_sub(ADDRESSES_MAX);
    sources.truncate(ADDRESSES_MAX);
    let Some(((found, first, source), further)) = sources.split_first() else {
        return html! {
            div.card.wide-card.fine { h3 { "Failed logins" } p.big { "None" } p { "No login failed in this span." } }
        };
    };
    let (class, title) = match (found, &report.findings) {
        (Some(_), _) => ("alert", "Passwords were guessed from"),
        (None, None) => ("alert", "Most failed logins came from"),
        (None, Some(_)) => ("plain", "No guessing was found. Most failed logins came from"),
    };
    html! {
        div class={ "card wide-card " (class) } {
            h3 { (title) }
            p.big { (first) }
            p { (story(report, source)) }
            (strip(report, source))
            @if !further.is_empty() {
                ol.further {
                    @for (found, address, source) in further { (behind(address, source, found.is_some())) }
                    @if more > 0 {
                        li { a href="#table-failing_sources" { (words::many(u64::try_from(more).unwrap_or(u64::MAX), "more address", "more addresses")) } }
                    }
                }
            }
        }
    }
}

/// The addresses that findings call guessing, the most severe first.
fn guessed(report: &Report<'_>) -> Vec<IpAddr> {
    let guesses = |finding: &&Finding| {
        finding.severity > Severity::Low && matches!(finding.kind, Kind::GuessSuccess | Kind::Guessing | Kind::Spraying)
    };
    report.findings.iter().flatten().filter(guesses).filter_map(|finding| finding.address).collect()
}

/// Whether findings take them for one source: an address, of IPv6 the network of 64 bits.
fn same_source(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            one.segments().iter().zip(other.segments()).take(4).all(|(a, b)| *a == b)
        }
        _ => one == other,
    }
}

fn story(report: &Report<'_>, source: &Source) -> Markup {
    let names = words::many(source.names.count(), "name", "names");
    let span = source.failing.span().unwrap_or_default();
    html! {
        strong { (words::many(source.attempts(), "failure", "failures")) }
        " over " (names) @if source.names.is_full() { " or more" } ", "
        (words::span(report.summary.calendar(), span)) ". "
        @if source.logins == 0 {
            "No login from there succeeded."
        } @else {
            strong { (words::many(source.logins, "login", "logins")) " from there succeeded." }
        }
        @if source.bans > 0 { " It was banned " (words::many(source.bans, "time", "times")) "." }
    }
}

fn strip(report: &Report<'_>, source: &Source) -> Markup {
    let summary = report.summary;
    let (calendar, unit, drawn) = (summary.calendar(), summary.unit(), summary.drawn());
    let figures = source.over_time.over(calendar, unit, drawn);
    let figures: Vec<u64> = figures.iter().map(|interval| interval.figures.iter().sum()).collect();
    let day = |seconds: i64| words::local_minute(calendar, seconds.saturating_mul(1000));
    html! {
        div.strip {
            (table::over_time(&figures, "Its failures over time", true))
            div.ends aria-hidden="true" { span { (day(drawn.0)) } span { (day(drawn.1)) } }
        }
    }
}

fn behind(address: &IpAddr, source: &Source, guessed: bool) -> Markup {
    html! {
        li class=[guessed.then_some("guessed")] { strong { (address) } " " (words::many(source.attempts(), "failure", "failures")) ", "
            @if source.logins == 0 { "no login" } @else { (words::many(source.logins, "login", "logins")) } }
    }
}

fn chain(report: &Report<'_>) -> Markup {
    let (class, sign, word) = match report.verdict.as_ref().map(|verdict| verdict.state) {
        Some(VerdictState::Proved) => ("fine", "✓", headline::verdict_word(VerdictState::Proved)),
        Some(VerdictState::Unverified) => ("unsure", "?", headline::verdict_word(VerdictState::Unverified)),
        Some(VerdictState::Partial) => ("unsure", "!", headline::verdict_word(VerdictState::Partial)),
        Some(VerdictState::Broken) => ("alert", "✕", headline::verdict_word(VerdictState::Broken)),
        None => ("plain", "?", "Not checked"),
    };
    html! {
        div class={ "card " (class) } {
            h3 { "Chain of the records" }
            p.big { span.sign aria-hidden="true" { (sign) } " " (word) }
            @match &report.verdict {
                Some(verdict) => p { (words::harmless(&verdict.headline)) }
                None => p { (code_words("`portcullis audit verify` checks it.")) }
            }
            p.more { "The whole log is looked at, whatever the span. " a href="#log" { "More about the log" } }
        }
    }
}

fn findings(report: &Report<'_>) -> Markup {
    let Some(findings) = &report.findings else {
        return html! {
            div.card.plain {
                h3 { "Findings" }
                p.big { span.sign aria-hidden="true" { "?" } " Not looked for" }
                p { (code_words("`portcullis audit findings` looks for them.")) }
            }
        };
    };
    let worst = findings.first().map(|finding| finding.severity);
    let class = match worst {
        Some(Severity::Critical | Severity::High) => "alert",
        Some(Severity::Medium | Severity::Low) => "unsure",
        None => "fine",
    };
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    html! {
        div class={ "card found " (class) } {
            h3 { "What to look at" }
            @if findings.is_empty() {
                p.big { span.sign aria-hidden="true" { "✓" } " Nothing" }
                p { (headline::NO_FINDINGS) }
            } @else {
                p.counts {
                    @for severity in Severity::ALL.into_iter().rev().filter(|severity| count(*severity) > 0) {
                        @let word = headline::severity_word(severity);
                        span class=(word.to_ascii_lowercase()) { span.badge { (count(severity)) " " (word.to_ascii_lowercase()) } } " "
                    }
                }
                ol.foremost {
                    @for (index, finding) in findings.iter().take(FINDINGS_MAX).enumerate() {
                        li class=(headline::severity_word(finding.severity).to_ascii_lowercase()) {
                            a href={ "#finding-" (index.saturating_add(1)) } { bdi { (words::harmless(&finding.title)) } }
                            @if let Some(when) = headline::when(report, finding) { span.when { " " (when) } }
                        }
                    }
                }
                p.more { a href="#findings" { "All findings, with evidence and what to do" } }
            }
        }
    }
}
