//! What was found, for people and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::checks::Check;
use crate::audit::text::is_harmful;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Severity {
    /// It is as it should be.
    Ok,
    /// Worth knowing; it may be meant.
    Note,
    /// Something will fail for somebody, or soon.
    Warning,
    /// Something fails.
    Error,
}

/// One thing found by a check. A check may find several, each about another thing.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Finding {
    pub(in crate::cli) check: Check,
    pub(in crate::cli) severity: Severity,
    pub(in crate::cli) found: String,
    pub(in crate::cli) help: Option<String>,
}

/// Everything found.
#[derive(Debug, Default)]
pub(in crate::cli) struct Report {
    findings: Vec<Finding>,
    not_made: Vec<(Check, &'static str)>,
}

/// Exit code where an error was found.
const EXIT_ERROR: u8 = 1;
/// Exit code where nothing worse than a warning was found.
const EXIT_WARNING: u8 = 3;

impl Severity {
    pub(in crate::cli) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The exit code where nothing is worse: 0 for nothing worse than a note.
    pub(in crate::cli) fn exit_code(self) -> u8 {
        match self {
            Self::Error => EXIT_ERROR,
            Self::Warning => EXIT_WARNING,
            Self::Note | Self::Ok => 0,
        }
    }

    /// The colour as a parameter of ECMA-48's SGR.
    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "32",
            Self::Note => "36",
            Self::Warning => "33",
            Self::Error => "31;1",
        }
    }
}

impl Report {
    /// Notes that something is as it should be.
    pub(in crate::cli) fn ok(&mut self, check: Check, found: impl Into<String>) {
        self.findings.push(Finding { check, severity: Severity::Ok, found: found.into(), help: None });
    }

    /// Notes something else, with what to do about it.
    pub(in crate::cli) fn add(
        &mut self,
        check: Check,
        severity: Severity,
        found: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.findings.push(Finding { check, severity, found: found.into(), help: Some(help.into()) });
    }

    /// Notes that a check could not be made.
    pub(in crate::cli) fn not_made(&mut self, check: Check, why: &'static str) {
        self.not_made.push((check, why));
    }

    /// The worst that a check has found; none where it found nothing yet.
    pub(in crate::cli) fn worst_of(&self, check: Check) -> Option<Severity> {
        self.findings.iter().filter(|finding| finding.check == check).map(|finding| finding.severity).max()
    }

    /// The worst that a family of checks has found.
    pub(in crate::cli) fn worst_of_family(&self, family: &str) -> Option<Severity> {
        self.findings.iter().filter(|found| found.check.family() == family).map(|found| found.severity).max()
    }

    /// Everything found, in the order of finding.
    pub(in crate::cli) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The worst that was found.
    pub(in crate::cli) fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The exit code: 0 for nothing worse than a note.
    pub(in crate::cli) fn exit_code(&self) -> u8 {
        self.worst().exit_code()
    }

    /// In the order of the families, whatever the order of finding.
    fn sorted(&self) -> Vec<&Finding> {
        let mut sorted: Vec<&Finding> = self.findings.iter().collect();
        sorted.sort_by_key(|finding| finding.check);
        sorted
    }

    /// One JSON object.
    pub(in crate::cli) fn as_json(&self, policy: &Path) -> Value {
        let one = |finding: &&Finding| {
            json!({
                "id": finding.check.id(),
                "severity": finding.severity.word(),
                "found": finding.found,
                "help": finding.help,
            })
        };
        let not_made = |(check, why): &(Check, &str)| json!({ "id": check.id(), "why": why });
        json!({
            "policy": policy.display().to_string(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "notes": self.count(Severity::Note),
            "checks": self.sorted().iter().map(one).collect::<Vec<_>>(),
            "not_made": self.not_made.iter().map(not_made).collect::<Vec<_>>(),
        })
    }

    /// Lines for people: by families, the worst of them last, where a terminal shows it.
    pub(in crate::cli) fn text(&self, coloured: bool) -> String {
        let sorted = self.sorted();
        let mut families: Vec<&str> = sorted.iter().map(|finding| finding.check.family()).collect();
        families.dedup();
        families.sort_by_key(|family| self.worst_of_family(family));
        let width = Check::ALL.iter().map(|check| check.id().len()).max().unwrap_or(0);
        let mut out = String::new();
        for family in families {
            let mut members: Vec<_> = sorted.iter().filter(|finding| finding.check.family() == family).collect();
            members.sort_by_key(|finding| finding.severity);
            let _ = writeln!(out, "{family}");
            for finding in members {
                let word = painted(&format!("{:<7}", finding.severity.word()), finding.severity, coloured);
                let _ = writeln!(out, "  {word}  {:<width$}  {}", finding.check.id(), harmless(&finding.found));
                for line in finding.help.iter().flat_map(|help| help.lines()) {
                    let _ = writeln!(out, "           {:width$}  → {}", "", harmless(line));
                }
            }
            out.push('\n');
        }
        for why in self.reasons() {
            let ids: Vec<&str> = self.not_made.iter().filter(|(_, w)| *w == why).map(|(check, _)| check.id()).collect();
            let _ = writeln!(out, "not checked, as {why}: {}", ids.join(", "));
        }
        out.push_str(&self.summary(coloured));
        out
    }

    fn reasons(&self) -> Vec<&'static str> {
        let mut reasons: Vec<&str> = self.not_made.iter().map(|(_, why)| *why).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }

    fn summary(&self, coloured: bool) -> String {
        let counted = |severity: Severity| {
            let count = self.count(severity);
            let plural = if count == 1 { "" } else { "s" };
            let text = format!("{count} {}{plural}", severity.word());
            if count == 0 { text } else { painted(&text, severity, coloured) }
        };
        let (errors, warnings) = (counted(Severity::Error), counted(Severity::Warning));
        format!("{errors}, {warnings}, {}; {} fine", counted(Severity::Note), self.count(Severity::Ok))
    }
}

pub(in crate::cli) fn painted(text: &str, severity: Severity, coloured: bool) -> String {
    if coloured { format!("\u{1b}[{}m{text}\u{1b}[0m", severity.colour()) } else { text.to_owned() }
}

/// Names of files and programs come from elsewhere: a terminal is shown nothing that drives it or
/// disguises what stands around it.
pub(in crate::cli) fn harmless(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.add(Check::PortsListen, Severity::Error, "held\u{1b}[2J\u{202e}", "stop it");
        report.ok(Check::PortsPassive, "free");
        report.add(Check::UsersLogin, Severity::Warning, "nobody", "add one");
        report.not_made(Check::AddressPath, "no server runs");
        report
    }

    #[test]
    fn the_worst_stands_last_and_a_line_sums_up() {
        let text = report().text(false);
        let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word} in {text}"));
        assert!(at("users.login") < at("ports.passive") && at("ports.passive") < at("ports.listen"), "{text}");
        assert!(text.ends_with("not checked, as no server runs: address.path\n1 error, 1 warning, 0 notes; 1 fine"));
        assert!(text.contains("→ stop it") && !text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(report().text(true).contains("\u{1b}[31;1m1 error\u{1b}[0m"));
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let mut found = Report::default();
        found.ok(Check::PortsListen, "");
        found.add(Check::PortsListen, Severity::Note, "", "");
        assert_eq!(found.exit_code(), 0);
        found.add(Check::PortsListen, Severity::Warning, "", "");
        assert_eq!(found.exit_code(), 3);
        found.add(Check::PortsListen, Severity::Error, "", "");
        assert_eq!(found.exit_code(), 1);
    }
}
