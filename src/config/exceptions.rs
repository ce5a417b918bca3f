//! Dated exceptions from the binding of data connections: of a user, a group or a network.

use jiff::civil::Date;

use super::findings::{Findings, shown};
use super::networks::Networks;
use super::section::{Section, Text};
use crate::policy::binding::{DataBinding, Exception};

/// Days ahead beyond which an end date is as good as none.
const DAYS_AHEAD_MAX: i32 = 366;
/// Longest reason, in characters: it is part of every record that uses the exception.
const REASON_CHARACTERS_MAX: usize = 200;

/// For whom an exception may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A user or group; `clients` narrows it.
    Account,
    /// Whoever comes from a network; `clients` has to name it.
    Network,
}

/// Reads the `exception` tables of a section.
pub(super) fn read(
    section: &Section<'_>,
    holder: Holder,
    networks: &Networks,
    today: Date,
    findings: &mut Findings,
) -> Vec<Exception> {
    let tables = section.tables("exception", "exception", findings).unwrap_or_default();
    tables.iter().flat_map(|table| one(table, holder, networks, today, findings)).collect()
}

fn one(
    table: &Section<'_>,
    holder: Holder,
    networks: &Networks,
    today: Date,
    findings: &mut Findings,
) -> Vec<Exception> {
    let clients = clients(table, holder, networks, findings);
    let binding = match table.text("data-binding", findings) {
        Some(text) => binding(text, findings),
        None => missing(table, "data-binding", "data-binding = \"address\"", findings),
    };
    let reason = match table.text("reason", findings) {
        Some(text) => reason(text, findings),
        None => missing(table, "reason", "reason = \"the supplier's client cannot resume\"", findings),
    };
    let until = match table.date("until", findings) {
        Some(date) => {
            check_end(table, date, today, findings);
            Some(date)
        }
        None => missing(table, "until", "until = 2027-03-31", findings),
    };
    let (Some(binding), Some(reason), Some(until)) = (binding, reason, until) else { return Vec::new() };
    let source = findings.rule_source(table.place());
    let exception = |clients| Exception { binding, clients, reason: reason.clone(), until, source: source.clone() };
    match clients {
        None => vec![exception(None)],
        Some(networks) => networks.into_iter().map(|network| exception(Some(network))).collect(),
    }
}

fn missing<T>(table: &Section<'_>, key: &str, example: &str, findings: &mut Findings) -> Option<T> {
    if table.get(key).is_none() {
        let message = format!("an exception needs `{key}`");
        findings.error(table.place(), message, format!("for example: {example}"));
    }
    None
}

fn clients(
    table: &Section<'_>,
    holder: Holder,
    networks: &Networks,
    findings: &mut Findings,
) -> Option<Vec<ipnet::IpNet>> {
    let Some(text) = table.text("clients", findings) else {
        if holder == Holder::Network {
            let _: Option<()> = missing(table, "clients", "clients = \"192.0.2.0/24\"", findings);
        }
        return None;
    };
    let found = networks.resolve(text, findings);
    if holder == Holder::Network && found.iter().any(|network| network.prefix_len() == 0) {
        let help = "grant it to the networks, users or groups that need it";
        findings.error(text.place, "an exception for every address is none", help);
    }
    Some(found)
}

fn binding(text: Text<'_>, findings: &mut Findings) -> Option<DataBinding> {
    match (text.text, DataBinding::from_word(text.text)) {
        (_, Some(DataBinding::Session)) => {
            findings.error(text.place, "`session` is the rule, not an exception", "remove the exception");
        }
        (_, Some(level)) => return Some(level),
        ("client-certificate", None) => findings.error(
            text.place,
            "`client-certificate` cannot be granted, because client certificates are not offered",
            "grant \"principal\" or \"address\"",
        ),
        (other, None) => findings.error(
            text.place,
            format!("`data-binding` cannot be \"{}\"", shown(other)),
            "it is one of \"principal\", \"address\"",
        ),
    }
    None
}

fn reason(text: Text<'_>, findings: &mut Findings) -> Option<String> {
    let reason = text.text.trim();
    let fits = reason.chars().count() <= REASON_CHARACTERS_MAX && !reason.chars().any(char::is_control);
    if reason.is_empty() {
        findings.error(text.place, "the reason is empty", "say why, for whoever reads the audit log");
    } else if !fits {
        let help = format!("one line of at most {REASON_CHARACTERS_MAX} characters");
        findings.error(text.place, "the reason is too long or has control characters", help);
    } else {
        return Some(reason.to_owned());
    }
    None
}

/// A past end is no error: the day after an exception ends, the server still has to start.
fn check_end(table: &Section<'_>, until: Date, today: Date, findings: &mut Findings) {
    let place = table.place_of("until");
    let ahead = today.until(until).map_or(i32::MAX, |span| span.get_days());
    if until < today {
        let help = "remove it, or set a new end with its own reason";
        findings.warning(place, format!("this exception ended on {until} and counts no longer"), help);
    } else if ahead > DAYS_AHEAD_MAX {
        let message = format!("this exception ends more than {DAYS_AHEAD_MAX} days from now");
        findings.warning(place, message, "set an earlier end, and review it then");
    }
}
