//! `tests.toml`: what the policy is expected to decide.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::files::{self, Kind, Links};
use super::findings::{Findings, Place, shown};
use super::load::Reach;
use super::section::{Section, Text};
use super::tree::{self, Entry, Node, Value};
use super::{Config, Problems};
use crate::policy::Policy;
use crate::policy::grant::RuleSource;
use crate::proto::path::VirtualPath;
use crate::rules::action::Action;

/// The file of expectations, beside the policy files.
pub const TESTS_FILE: &str = "tests.toml";

/// Most single decisions that the file may ask for: it is put to the test before each reload.
const CASES_MAX: usize = 100_000;
/// The hour that is meant by a date alone.
const HOUR_OF_DATE: i8 = 12;

/// One `[[test]]`: every combination of what it lists is expected to be decided alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// What it is about, for people.
    pub name: String,
    /// Users, as they were written; whether there are such users is part of the test.
    pub users: Vec<Arc<str>>,
    /// Addresses from which they come; none where the checks of networks are left out.
    pub from: Vec<IpAddr>,
    /// The moment; none is that of the test.
    pub at: Option<Timestamp>,
    /// What they do.
    pub actions: Vec<Action>,
    /// The paths on which they do it; none where it is the login.
    pub paths: Vec<VirtualPath>,
    /// Whether it is to be allowed.
    pub allowed: bool,
    /// What is to decide, in the words in which `policy explain` says it; none where that does not
    /// matter.
    pub by: Option<String>,
    /// Where it stands.
    pub source: RuleSource,
}

/// The assertions of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertions {
    /// The file, as the operator named it.
    pub file: Arc<str>,
    /// In the order of the file.
    pub all: Vec<Assertion>,
}

impl Assertions {
    /// Reads the file in the directory of a configuration; none where there is no such file. Its
    /// owner counts where those of the policy files do.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub(crate) fn load(config: &Config, reach: Reach) -> Result<Option<Self>, Problems> {
        let mut findings = Findings::default();
        let path = config.directory.join(TESTS_FILE);
        let name = path.display().to_string();
        let content = match files::read(&path, files::POLICY_BYTES_MAX, Links::Refuse) {
            Ok(content) => content,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let place = findings.source(&name, "");
                let help = "without the file nothing is tested; with it, the server must be able to read it";
                findings.error(place, format!("cannot be read: {error}"), help);
                return Err(Problems::new(findings.into_problems()));
            }
        };
        let Ok(text) = std::str::from_utf8(&content.bytes) else {
            let place = findings.source(&name, "");
            findings.error(place, "this is no UTF-8 text", "save the file as UTF-8");
            return Err(Problems::new(findings.into_problems()));
        };
        let place = findings.source(&name, text);
        if reach == Reach::Disk {
            let run_as = config.process.run_as.as_ref();
            files::judge(&path, &content.metadata, Kind::Public, run_as, place, &mut findings);
        }
        Self::read(text, place, &config.policy, findings).map(Some)
    }

    /// Reads a text that stands for the file.
    ///
    /// # Errors
    /// Every problem of the text at once.
    pub fn parse(text: &str, policy: &Policy) -> Result<Self, Problems> {
        let mut findings = Findings::default();
        let place = findings.source(TESTS_FILE, text);
        Self::read(text, place, policy, findings)
    }

    fn read(text: &str, place: Place, policy: &Policy, mut findings: Findings) -> Result<Self, Problems> {
        let table = tree::parse(text, place, &mut findings).unwrap_or_default();
        let root = Section::root(&table, place, "tests", &mut findings);
        let tables = root.tables("test", "test", &mut findings).unwrap_or_default();
        let all: Vec<Assertion> =
            tables.iter().filter_map(|table| assertion(table, &policy.zone, &mut findings)).collect();
        let cases = all.iter().map(Assertion::cases).fold(0, usize::saturating_add);
        if cases > CASES_MAX {
            let message = format!("these tests ask for {cases} decisions, and {CASES_MAX} is the most");
            findings.error(place, message, "name fewer users, addresses, verbs and paths in one test");
        }
        if findings.has_errors() {
            return Err(Problems::new(findings.into_problems()));
        }
        Ok(Self { file: findings.rule_source(place).file, all })
    }
}

impl Assertion {
    /// How many decisions it asks for.
    pub fn cases(&self) -> usize {
        let lists = [self.users.len(), self.from.len(), self.actions.len(), self.paths.len()];
        lists.into_iter().map(|length| length.max(1)).fold(1, usize::saturating_mul)
    }
}

fn assertion(table: &Section<'_>, zone: &TimeZone, findings: &mut Findings) -> Option<Assertion> {
    let before = findings.errors();
    let name = table.text("name", findings).map(|text| text.text.to_owned());
    let users = one_or_more(table, "user", findings).into_iter().map(|text| Arc::from(text.text)).collect();
    let from = one_or_more(table, "from", findings);
    let from = from.into_iter().filter_map(|text| address(text, findings)).collect();
    let at = table.get("at").and_then(|entry| moment(entry, zone, findings));
    let actions = one_or_more(table, "verb", findings);
    let actions: Vec<Action> = actions.into_iter().filter_map(|text| action(text, findings)).collect();
    let paths = one_or_more(table, "path", findings);
    let paths: Vec<VirtualPath> = paths.into_iter().filter_map(|text| path(text, findings)).collect();
    for (key, example) in [("user", "user = \"alice\""), ("verb", "verb = \"RETR\""), ("expect", "expect = \"deny\"")] {
        if table.get(key).is_none() {
            findings.error(table.place(), format!("a test needs `{key}`"), example);
        }
    }
    let allowed = table.word("expect", &[("allow", true), ("deny", false)], false, findings);
    let needs_path = |action: &&Action| **action != Action::Login;
    match (actions.iter().find(needs_path), table.get("path")) {
        (Some(action), None) => {
            findings.error(table.place_of("verb"), format!("{action} needs a `path`"), "path = \"/in/a.csv\"");
        }
        (None, Some(entry)) if !actions.is_empty() => {
            findings.error(entry.place, "a login has no path", "leave `path` out, or name a command besides");
        }
        _ => {}
    }
    let by = table.text("by", findings).map(|text| text.text.to_owned());
    let source = findings.rule_source(table.place());
    let name = name.unwrap_or_else(|| format!("the test of line {}", source.line));
    let whole = findings.errors() == before;
    whole.then_some(Assertion { name, users, from, at, actions, paths, allowed, by, source })
}

/// A text, or several in a list; never an empty list.
fn one_or_more<'a>(table: &Section<'a>, key: &str, findings: &mut Findings) -> Vec<Text<'a>> {
    match table.get(key) {
        None => Vec::new(),
        Some(Entry { node: Node { place, value: Value::Text(text) }, .. }) => vec![Text { text, place: *place }],
        Some(entry) => {
            let texts = table.texts(key, findings).unwrap_or_default();
            if matches!(&entry.node.value, Value::List(nodes) if nodes.is_empty()) {
                findings.error(entry.node.place, format!("`{key}` is empty"), "an empty list tests nothing");
            }
            texts
        }
    }
}

fn address(text: Text<'_>, findings: &mut Findings) -> Option<IpAddr> {
    let address = text.text.parse().ok();
    if address.is_none() {
        let message = format!("`{}` is no address", shown(text.text));
        findings.error(text.place, message, "write one address, such as \"192.0.2.7\" or \"2001:db8::7\"");
    }
    address
}

fn action(text: Text<'_>, findings: &mut Findings) -> Option<Action> {
    match Action::parse(text.text) {
        Ok(action) => Some(action),
        Err(error) => {
            findings.error(text.place, format!("`{}` cannot be tested", shown(text.text)), error.to_string());
            None
        }
    }
}

fn path(text: Text<'_>, findings: &mut Findings) -> Option<VirtualPath> {
    if !text.text.starts_with('/') {
        let message = format!("`{}` does not begin with /", shown(text.text));
        findings.error(text.place, message, "write the whole path, as the user sees it");
        return None;
    }
    match VirtualPath::root().join(text.text.as_bytes()) {
        Ok(path) => Some(path),
        Err(error) => {
            findings.error(text.place, format!("no client can name this path: {error}"), "name another path");
            None
        }
    }
}

fn moment(entry: &Entry, zone: &TimeZone, findings: &mut Findings) -> Option<Timestamp> {
    let at = match &entry.node.value {
        Value::Date(date) => noon(*date, zone),
        Value::Moment(when) => read_moment(&when.to_string(), zone),
        _ => None,
    };
    if at.is_none() {
        let help = "such as 2026-11-23T10:00:00 (by the clocks of [time]), 2026-11-23T10:00:00Z, or 2026-11-23 for its \
                    noon; without quotes";
        findings.error(entry.node.place, "`at` takes a date, or a date with a time", help);
    }
    at
}

/// The moment that a text means: RFC 3339, or without the distance from UTC what the clocks of the
/// zone show; a date alone means its noon. None where it is no moment.
pub(crate) fn read_moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    match text.parse::<Date>() {
        Ok(date) if !text.contains([':', 'T', 't', ' ']) => noon(date, zone),
        _ => at_clock(text.parse().ok()?, zone),
    }
}

fn noon(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    at_clock(date.at(HOUR_OF_DATE, 0, 0, 0), zone)
}

fn at_clock(clock: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(clock).compatible().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::policy::network::AddressRules;

    fn policy() -> Policy {
        Policy {
            networks: AddressRules::default(),
            users: BTreeMap::new(),
            folders: BTreeMap::new(),
            groups: BTreeMap::new(),
            exceptions: Vec::new(),
            tls_exceptions: Vec::new(),
            password_days_max: None,
            password_warning_days: 14,
            zone: TimeZone::get("Europe/Berlin").unwrap(),
            freezes: Arc::default(),
        }
    }

    fn read(text: &str) -> Vec<Assertion> {
        Assertions::parse(text, &policy()).unwrap_or_else(|problems| panic!("{problems}")).all
    }

    fn said(text: &str) -> Vec<String> {
        let problems = Assertions::parse(text, &policy()).unwrap_err().into_vec();
        problems.iter().map(|problem| problem.to_string().lines().next().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_test_lists_users_addresses_verbs_and_paths() {
        let text = "[[test]]\nname = \"n\"\nuser = [\"a\", \"b\"]\nfrom = \"192.0.2.7\"\nverb = [\"RETR\", \
                    \"overwrite\"]\npath = \"/in/a.csv\"\nexpect = \"deny\"\nby = \"rule /in/** of user a\"\n";
        let [one] = &read(text)[..] else { panic!("one test") };
        assert_eq!((one.users.len(), one.actions.len(), one.cases(), one.allowed), (2, 2, 4, false));
        assert_eq!((one.source.to_string(), one.paths[0].as_str()), ("tests.toml:1".into(), "/in/a.csv"));
    }

    #[test]
    fn the_shipped_example_can_be_read_and_asserts_nothing_until_it_is_made_ones_own() {
        let shipped = include_str!("../../policy/tests.toml");
        assert_eq!(read(shipped), []);
        let code = |line: &&str| line.starts_with("[[") || line.contains(" = ");
        let lines = shipped.lines().filter_map(|line| line.strip_prefix("# ")).filter(code);
        assert_eq!(read(&lines.collect::<Vec<_>>().join("\n")).len(), 4);
    }

    #[test]
    fn a_moment_is_meant_by_the_clocks_of_the_policy() {
        let at = |text: &str| {
            let text = format!("[[test]]\nuser = \"a\"\nverb = \"login\"\nexpect = \"allow\"\nat = {text}\n");
            read(&text)[0].at.unwrap().to_string()
        };
        assert_eq!(at("2026-11-23T10:00:00"), "2026-11-23T09:00:00Z");
        assert_eq!(at("2026-07-01 10:00:00"), "2026-07-01T08:00:00Z");
        assert_eq!(at("2026-11-23T10:00:00Z"), "2026-11-23T10:00:00Z");
        assert_eq!(at("2026-11-23"), "2026-11-23T11:00:00Z");
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let test = |lines: &str| said(&format!("[[test]]\nuser = \"a\"\nexpect = \"deny\"\n{lines}"));
        assert_eq!(test("verb = \"RETR\"\n"), ["tests.toml:4:8: error: RETR needs a `path`"]);
        assert_eq!(test("verb = \"NOOP\"\n"), ["tests.toml:4:8: error: `NOOP` cannot be tested"]);
        assert_eq!(test("verb = \"login\"\npath = \"/\"\n"), ["tests.toml:5:1: error: a login has no path"]);
        assert_eq!(
            test("verb = \"RETR\"\npath = \"in\"\nfrom = \"office\"\nat = \"noon\"\n"),
            [
                "tests.toml:5:8: error: `in` does not begin with /",
                "tests.toml:6:8: error: `office` is no address",
                "tests.toml:7:6: error: `at` takes a date, or a date with a time"
            ]
        );
        assert_eq!(test("verb = []\n"), ["tests.toml:4:8: error: `verb` is empty"]);
        assert_eq!(said("[[tests]]\n"), ["tests.toml:1:3: error: unknown key `tests`"]);
        assert_eq!(said("[[test]]\nverb = \"login\"\nexpects = \"deny\"\nuser = \"a\"\n").len(), 2);
    }
}
