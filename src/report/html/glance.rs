//! The first screen: whether the log can be trusted, who guessed, what is worth a look, the key figures.

use std::net::IpAddr;

use maud::{Markup, html};

use super::{code_words, table};
use crate::report::summary::Source;
use crate::report::{FindingSeverity, Report, VerdictState, headline, words};

/// Addresses that are named.
const ADDRESSES_MAX: usize = 3;

pub(super) fn section(report: &Report<'_>) -> Markup {
    html! {
        section #glance aria-labelledby="glance-title" {
            h2 #glance-title { "At a glance" }
            @for warning in headline::warnings(report) {
                p.warning { strong { "Note: " } bdi { (words::harmless(&warning)) } }
            }
            div.cards {
                (guessing(report))
                (chain(report))
                (findings(report))
            }
            dl.figures {
                @for (name, figure, about) in headline::figures(report.summary) {
                    div { dt { (name) } dd { strong { (figure) } span { (about) } } }
                }
            }
        }
    }
}

/// The address that most failed logins came from, and those behind it.
fn guessing(report: &Report<'_>) -> Markup {
    let ranking = report.summary.sources.ranked(ADDRESSES_MAX, Source::attempts);
    let Some(((first, source), further)) = ranking.named.split_first() else {
        return html! {
            div.card.wide-card { h3 { "Failed logins" } p.big { "None" } p { "No login failed in this span." } }
        };
    };
    html! {
        div.card.wide-card.alert {
            h3 { "Most failed logins came from" }
            p.big { (first) }
            p { (story(report, source)) }
            (strip(report, source))
            @if !further.is_empty() {
                ol.further {
                    @for (address, source) in further { (behind(address, source)) }
                }
            }
        }
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

fn behind(address: &IpAddr, source: &Source) -> Markup {
    html! {
        li { strong { (address) } " " (words::many(source.attempts(), "failure", "failures")) ", "
            @if source.logins == 0 { "no login" } @else { (words::many(source.logins, "login", "logins")) } }
    }
}

fn chain(report: &Report<'_>) -> Markup {
    let (class, sign, word) = match report.verdict.as_ref().map(|verdict| verdict.state) {
        Some(VerdictState::Proved) => ("fine", "✓", headline::verdict_word(VerdictState::Proved)),
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
            p.more { a href="#log" { "More about the log" } }
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
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let high = count(FindingSeverity::High);
    let class = if high > 0 {
        "alert"
    } else if findings.is_empty() {
        "fine"
    } else {
        "unsure"
    };
    html! {
        div class={ "card " (class) } {
            h3 { "Findings" }
            p.big { @if findings.is_empty() { "None" } @else { (findings.len()) } }
            ul.severities {
                @for severity in [FindingSeverity::High, FindingSeverity::Medium, FindingSeverity::Low] {
                    @let word = headline::severity_word(severity);
                    li class=(word.to_ascii_lowercase()) { span.badge { (word) } " " (count(severity)) }
                }
            }
            p.more { a href="#findings" { "To the findings" } }
        }
    }
}
