//! Dated exceptions of a user, a group or a network: from the binding of data connections, from the
//! newest version of TLS, and from the rules about paths.

use jiff::civil::Date;

use super::findings::{Findings, shown};
use super::networks::Networks;
use super::rules::path_pattern;
use super::section::{Section, Text};
use super::terms::permission_set;
use crate::policy::account::PathGrant;
use crate::policy::binding::DataBinding;
use crate::policy::exception::Exception;
use crate::policy::tls::TlsVersion;

/// Days ahead beyond which an end date is as good as none.
const DAYS_AHEAD_MAX: i32 = 366;
/// Days ahead within which an end is told of, so that nobody is surprised by it.
const DAYS_AHEAD_SOON: i32 = 14;
/// Longest reason, in characters: it is part of every record that uses the exception.
const REASON_CHARACTERS_MAX: usize = 200;

/// For whom an exception may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A user or group; `clients` narrows it.
    Account,
    /// Whoever comes from a network; `clients` has to name it.
    Network {
        /// `tls.minimum`, which no exception may contradict.
        tls_minimum: TlsVersion,
    },
}

/// What the `exception` tables of a section grant.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// By `data-binding`.
    pub(super) bindings: Vec<Exception<DataBinding>>,
    /// By `path` and `allow`; to users and groups alone.
    pub(super) paths: Vec<Exception<PathGrant>>,
    /// By `tls-maximum`; none to users and groups.
    pub(super) tls: Vec<Exception<TlsVersion>>,
}

/// Reads the `exception` tables of a section.
pub(super) fn read(
    section: &Section<'_>,
    holder: Holder,
    networks: &Networks,
    today: Date,
    findings: &mut Findings,
) -> Granted {
    let mut granted = Granted::default();
    for table in section.tables("exception", "exception", findings).unwrap_or_default() {
        one(&table, holder, networks, today, &mut granted, findings);
    }
    granted
}

fn one(
    table: &Section<'_>,
    holder: Holder,
    networks: &Networks,
    today: Date,
    granted: &mut Granted,
    findings: &mut Findings,
) {
    let clients = clients(table, holder, networks, findings);
    let binding = table.text("data-binding", findings).and_then(|text| binding(text, findings));
    let maximum = table.text("tls-maximum", findings).and_then(|text| maximum(text, holder, findings));
    let paths = paths(table, holder, findings);
    if ["data-binding", "tls-maximum", "path", "allow"].iter().all(|key| table.get(key).is_none()) {
        nothing_granted(table, holder, findings);
    }
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
    let (Some(reason), Some(until)) = (reason, until) else { return };
    let source = findings.rule_source(table.place());
    let networks = clients.map_or_else(|| vec![None], |networks| networks.into_iter().map(Some).collect());
    for clients in networks {
        let common = Exception { granted: (), clients, reason: reason.clone(), until, source: source.clone() };
        granted.bindings.extend(binding.map(|level| common.granting(level)));
        granted.paths.extend(paths.clone().map(|paths| common.granting(paths)));
        granted.tls.extend(maximum.map(|version| common.granting(version)));
    }
}

/// What is allowed on some paths, whatever the rules say.
fn paths(table: &Section<'_>, holder: Holder, findings: &mut Findings) -> Option<PathGrant> {
    let given = |key| table.get(key).map(|entry| entry.place);
    match (given("path"), given("allow")) {
        (None, None) => return None,
        (Some(place), _) | (None, Some(place)) if matches!(holder, Holder::Network { .. }) => {
            let help = "write it into users.toml, as an exception of the user or group it is for";
            findings.error(place, "what is allowed on paths is granted to users and groups only", help);
            return None;
        }
        (Some(place), None) => findings.error(place, "an exception for a `path` needs `allow`", "allow = [\"read\"]"),
        (None, Some(place)) => findings.error(place, "an exception with `allow` needs `path`", "path = \"/in/**\""),
        (Some(_), Some(_)) => {}
    }
    let pattern = table.text("path", findings).and_then(|text| path_pattern(text, findings))?;
    Some(PathGrant { pattern, allow: permission_set(table, "allow", findings)? })
}

fn nothing_granted(table: &Section<'_>, holder: Holder, findings: &mut Findings) {
    let (message, example) = match holder {
        Holder::Account => (
            "an exception needs `data-binding`, or `path` and `allow`",
            "data-binding = \"address\", or path = \"/out/**\" with allow = [\"read\"]",
        ),
        Holder::Network { .. } => (
            "an exception needs `data-binding` or `tls-maximum`",
            "data-binding = \"address\", or tls-maximum = \"1.2\"",
        ),
    };
    findings.error(table.place(), message, format!("for example: {example}"));
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
        if matches!(holder, Holder::Network { .. }) {
            let _: Option<()> = missing(table, "clients", "clients = \"192.0.2.0/24\"", findings);
        }
        return None;
    };
    let found = networks.resolve(text, findings);
    if matches!(holder, Holder::Network { .. }) && found.iter().any(|network| network.prefix_len() == 0) {
        let help = "grant it to the networks, users or groups that need it";
        findings.error(text.place, "an exception for every address is none", help);
    }
    Some(found)
}

fn binding(text: Text<'_>, findings: &mut Findings) -> Option<DataBinding> {
    match DataBinding::from_word(text.text) {
        Some(DataBinding::Session) => {
            findings.error(text.place, "`session` is the rule, not an exception", "remove the exception");
        }
        Some(level) => return Some(level),
        None => findings.error(
            text.place,
            format!("`data-binding` cannot be \"{}\"", shown(text.text)),
            "it is one of \"principal\", \"client-certificate\", \"address\"",
        ),
    }
    None
}

fn maximum(text: Text<'_>, holder: Holder, findings: &mut Findings) -> Option<TlsVersion> {
    let Holder::Network { tls_minimum } = holder else {
        findings.error(
            text.place,
            "`tls-maximum` cannot be granted to a user or group, because who logs in is known only after the handshake",
            "write it into server.toml, as an [[exception]] with the `clients` it is for",
        );
        return None;
    };
    match text.text {
        "1.2" if tls_minimum > TlsVersion::Tls12 => findings.error(
            text.place,
            "an exception that holds clients to TLS 1.2 contradicts `minimum = \"1.3\"` in [tls]",
            "remove one of them",
        ),
        "1.2" => return Some(TlsVersion::Tls12),
        "1.3" => findings.error(text.place, "`1.3` is the rule, not an exception", "remove `tls-maximum`"),
        other => {
            findings.error(text.place, format!("`tls-maximum` cannot be \"{}\"", shown(other)), "it is \"1.2\"");
        }
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
    } else if ahead <= DAYS_AHEAD_SOON {
        let message = match ahead {
            0 => "this exception ends today".to_owned(),
            1 => format!("this exception ends tomorrow, on {until}"),
            _ => format!("this exception ends in {ahead} days, on {until}"),
        };
        let help = "mend what it is for until then, or review it and set a new end";
        findings.warning(place, message, help);
    } else if ahead > DAYS_AHEAD_MAX {
        let message = format!("this exception ends more than {DAYS_AHEAD_MAX} days from now");
        findings.warning(place, message, "set an earlier end, and review it then");
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Problem, check_texts};

    const SERVER: &str = "[listen]\nexplicit = [\"127.0.0.1:2121\"]\n[passive]\nports = \"50000-50099\"\n\
                          [networks]\nallow = [\"127.0.0.0/8\"]\n[audit]\ndirectory = \"../audit\"\n\
                          [tls]\nidentities = [{ names = [\"localhost\"], certificate = \"c\", key = \"k\" }]\n";
    const ACCOUNT: &str = "[group.g]\n[[group.g.exception]]\n";

    fn said(server: &str, users: &str) -> Vec<String> {
        let problems = check_texts(server, users);
        let line = |problem: &Problem| problem.to_string().lines().next().unwrap().to_owned();
        problems.iter().map(line).collect()
    }

    fn end() -> String {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        format!("reason = \"r\"\nuntil = {}\n", today.checked_add(jiff::Span::new().days(30)).unwrap())
    }

    /// What is said of an exception with these lines in `server.toml`, the first of them line 12.
    fn of_network(tls: &str, lines: &str) -> Vec<String> {
        said(&format!("{SERVER}{tls}[[exception]]\n{lines}{}", end()), "")
    }

    /// The same in `users.toml`, the first of them line 3.
    fn of_group(lines: &str) -> Vec<String> {
        said(SERVER, &format!("{ACCOUNT}{lines}{}", end()))
    }

    #[test]
    fn an_exception_grants_one_or_the_other_or_both() {
        let (binding, maximum) = ("data-binding = \"address\"\n", "tls-maximum = \"1.2\"\n");
        for lines in [binding.to_owned(), maximum.to_owned(), format!("{binding}{maximum}")] {
            assert_eq!(of_network("", &format!("clients = \"192.0.2.0/24\"\n{lines}")), [""; 0]);
        }
        assert_eq!(of_group(binding), ["users.toml:1:1: warning: no user is in group g"]);
    }

    #[test]
    fn an_exception_that_grants_nothing_is_an_error() {
        let expected = "server.toml:11:1: error: an exception needs `data-binding` or `tls-maximum`";
        assert_eq!(of_network("", "clients = \"192.0.2.0/24\"\n"), [expected]);
        assert_eq!(of_group(""), ["users.toml:2:1: error: an exception needs `data-binding`, or `path` and `allow`"]);
    }

    #[test]
    fn who_logs_in_is_known_too_late_for_the_version_of_tls() {
        let expected = "users.toml:3:15: error: `tls-maximum` cannot be granted to a user or group, because who logs \
                        in is known only after the handshake";
        assert_eq!(of_group("tls-maximum = \"1.2\"\n"), [expected]);
    }

    #[test]
    fn an_exception_cannot_contradict_the_minimum() {
        let lines = "clients = \"192.0.2.0/24\"\ntls-maximum = \"1.2\"\n";
        let expected = "server.toml:14:15: error: an exception that holds clients to TLS 1.2 contradicts `minimum = \
                        \"1.3\"` in [tls]";
        assert_eq!(of_network("minimum = \"1.3\"\n", lines), [expected]);
    }

    #[test]
    fn only_the_older_version_is_an_exception() {
        for (version, expected) in [
            ("1.3", "server.toml:13:15: error: `1.3` is the rule, not an exception"),
            ("1.1", "server.toml:13:15: error: `tls-maximum` cannot be \"1.1\""),
        ] {
            let lines = format!("clients = \"192.0.2.0/24\"\ntls-maximum = \"{version}\"\n");
            assert_eq!(of_network("", &lines), [expected]);
        }
    }

    #[test]
    fn an_exception_for_everybody_or_nobody_in_particular_is_an_error() {
        for clients in ["0.0.0.0/0", "any"] {
            let said = of_network("", &format!("clients = \"{clients}\"\ntls-maximum = \"1.2\"\n"));
            assert_eq!(said.len(), 1, "{said:?}");
        }
        let expected = "server.toml:11:1: error: an exception needs `clients`";
        assert_eq!(of_network("", "tls-maximum = \"1.2\"\n"), [expected]);
    }
}
