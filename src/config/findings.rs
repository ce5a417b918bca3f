//! The collector: texts under judgement, places in them, and the problems found so far.

use std::ops::Range;
use std::sync::Arc;

use super::problem::{Position, Problem, Severity, Subject};
use crate::policy::grant::RuleSource;

/// Longest excerpt of a line that is shown, in characters.
const EXCERPT_CHARACTERS_MAX: usize = 160;
/// Most characters of somebody's text that a message repeats.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// The name of a `--set` as a text.
pub(super) const OVERRIDE: &str = "--set";

/// A span of one of the texts, or one of the texts as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    source: usize,
    span: Option<(usize, usize)>,
}

impl Place {
    /// The same text as a whole.
    pub(super) fn whole(self) -> Self {
        Self { span: None, ..self }
    }

    /// The bytes of the span in the same text.
    pub(super) fn at(self, span: Option<Range<usize>>) -> Self {
        Self { span: span.map(|range| (range.start, range.end)), ..self }
    }
}

/// One text: a policy file, or the argument of one `--set`.
#[derive(Debug)]
struct Source {
    name: Arc<str>,
    text: String,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

/// Texts and the problems found in them.
#[derive(Debug, Default)]
pub(super) struct Findings {
    sources: Vec<Source>,
    problems: Vec<(Place, Problem)>,
    subject: Subject,
}

impl Findings {
    /// Takes a text in, under the name that the operator knows.
    pub(super) fn source(&mut self, name: &str, text: &str) -> Place {
        let after = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at.saturating_add(1));
        let lines = std::iter::once(0).chain(after).collect();
        self.sources.push(Source { name: name.into(), text: text.to_owned(), lines });
        Place { source: self.sources.len().saturating_sub(1), span: None }
    }

    /// Says what the problems noted from here on concern.
    pub(super) fn about(&mut self, subject: Subject) {
        self.subject = subject;
    }

    /// Notes an error.
    pub(super) fn error(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.note(Severity::Error, place, message.into(), help.into());
    }

    /// Notes a warning.
    pub(super) fn warning(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.note(Severity::Warning, place, message.into(), help.into());
    }

    /// Notes a warning that several things may come to, once.
    pub(super) fn warning_once(&mut self, place: Place, message: String, help: &str) {
        if !self.problems.iter().any(|(at, problem)| *at == place && problem.message == message) {
            self.warning(place, message, help);
        }
    }

    fn note(&mut self, severity: Severity, place: Place, message: String, help: String) {
        let file = self.sources.get(place.source).map_or_else(|| Arc::from(""), |source| source.name.clone());
        let help = Some(help).filter(|help| !help.is_empty());
        let position = self.position(place);
        let problem = Problem { severity, subject: self.subject, file, position, message, help };
        self.problems.push((place, problem));
    }

    /// Where a rule stands, for the records of decisions.
    pub(super) fn rule_source(&self, place: Place) -> RuleSource {
        let file = self.sources.get(place.source).map_or_else(|| Arc::from(""), |source| source.name.clone());
        RuleSource { file, line: self.line_of(place).map_or(1, |(line, ..)| line) }
    }

    /// The place that a rule has: what stands in its line. Of a file that is not among the texts, the
    /// first of them.
    pub(super) fn place_of_rule(&self, rule: &RuleSource) -> Place {
        let file = Place { source: 0, span: None };
        let Some((index, source)) = self.sources.iter().enumerate().find(|(_, source)| source.name == rule.file) else {
            return file;
        };
        let number = usize::try_from(rule.line).unwrap_or(usize::MAX).saturating_sub(1);
        let line =
            source.lines.get(number).and_then(|begin| Some((*begin, source.text.get(*begin..)?.lines().next()?)));
        let span = line.map(|(begin, line)| {
            let start = begin.saturating_add(line.len().saturating_sub(line.trim_start().len()));
            let text = line.split(" #").next().unwrap_or(line).trim();
            start..start.saturating_add(text.len())
        });
        Place { source: index, span: None }.at(span)
    }

    /// The line's number from 1, its text, and the byte at which it begins.
    fn line_of(&self, place: Place) -> Option<(u32, &str, usize)> {
        let source = self.sources.get(place.source)?;
        let (start, _) = place.span?;
        let number = source.lines.partition_point(|line| *line <= start);
        let begin = *source.lines.get(number.saturating_sub(1))?;
        let line = source.text.get(begin..)?.split('\n').next()?.trim_end_matches('\r');
        Some((u32::try_from(number).unwrap_or(u32::MAX), line, begin))
    }

    fn position(&self, place: Place) -> Option<Position> {
        let (start, end) = place.span?;
        let (line, text, begin) = self.line_of(place)?;
        let characters_before = |byte: usize| {
            let within = byte.saturating_sub(begin);
            text.char_indices().take_while(|(at, _)| *at < within).count()
        };
        let before = characters_before(start);
        let shown: Vec<char> = without_secret(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let skipped = if shown.len() > EXCERPT_CHARACTERS_MAX { before.saturating_sub(60) } else { 0 };
        let excerpt: String = shown.iter().skip(skipped).take(EXCERPT_CHARACTERS_MAX).collect();
        let indent = before.saturating_sub(skipped).min(excerpt.chars().count());
        let room = excerpt.chars().count().saturating_sub(indent).max(1);
        let width = characters_before(end).saturating_sub(before).clamp(1, room);
        let column = u32::try_from(before.saturating_add(1)).unwrap_or(u32::MAX);
        Some(Position { line, column, excerpt, indent, width })
    }

    /// How many errors were noted.
    pub(super) fn errors(&self) -> usize {
        self.problems.iter().filter(|(_, problem)| problem.severity == Severity::Error).count()
    }

    /// Whether an error was noted.
    pub(super) fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// Whether a place is in a `--set`.
    pub(super) fn is_override(&self, place: Place) -> bool {
        self.sources.get(place.source).is_some_and(|source| &*source.name == OVERRIDE)
    }

    /// The problems in the order of the texts.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|(place, _)| *place);
        self.problems.into_iter().map(|(_, problem)| problem).collect()
    }
}

/// Keys whose values are never shown.
const SECRET_KEYS: [&str; 3] = ["password", "totp-secret", "history"];

/// The line without what is assigned to a `password` key: a hash, or by mistake the password
/// itself, has no place on a screen or in a ticket. Nor has the secret of codes.
fn without_secret(line: &str) -> String {
    for (at, word) in SECRET_KEYS.into_iter().flat_map(|key| line.match_indices(key)) {
        let Some(rest) = line.get(at.saturating_add(word.len())..) else { continue };
        let name_end = rest.trim_start_matches(['"', '\'']).trim_start();
        if name_end.starts_with('=') {
            let kept = line.len().saturating_sub(name_end.len()).saturating_add(1);
            return format!("{} …", line.get(..kept).unwrap_or_default());
        }
    }
    line.to_owned()
}

/// Somebody's text as a message repeats it: bounded, and harmless on a terminal.
pub(super) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN_CHARACTERS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARACTERS_MAX).is_some() {
        out.push('…');
    }
    out
}

/// The candidate nearest to what was written, where one is near.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written: String = written.chars().take(64).collect::<String>().to_lowercase().replace('_', "-");
    let near = |candidate: &str| strsim::jaro_winkler(&written, &candidate.to_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (near(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, span: Range<usize>) -> String {
        let mut findings = Findings::default();
        let file = findings.source("server.toml", text);
        findings.error(file.at(Some(span)), "wrong", "mend it");
        findings.into_problems().first().unwrap().to_string()
    }

    #[test]
    fn a_problem_shows_the_line_and_underlines_the_span() {
        let text = "[networks]\nallow = [\"10.0.0.1/8\"]\n";
        let at = text.find("\"10").unwrap();
        let expected = "server.toml:2:10: error: wrong\n    2 | allow = [\"10.0.0.1/8\"]\n      |          \
                        ^^^^^^^^^^^^\n   help: mend it";
        assert_eq!(render(text, at..at + 12), expected);
    }

    #[test]
    fn a_terminal_is_shown_no_control_characters_and_no_secret() {
        assert!(!render("a = \"\u{1b}[2J\"", 0..1).contains('\u{1b}'));
        let text = render("[user.a]\npassword = \"hunter2\"", 9..17);
        assert!(text.contains("password = …") && !text.contains("hunter2"), "{text}");
        for line in ["a = { password='hunter2' }", "totp-secret = 'hunter2'", "password-history = ['hunter2']"] {
            assert!(!render(line, 0..1).contains("hunter2"), "{line}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("a = \"{}\" # x", "y".repeat(5000));
        let shown = render(&text, 4900..5100);
        assert!(shown.lines().all(|line| line.chars().count() < 200), "{shown}");
    }

    #[test]
    fn near_words_are_offered() {
        assert_eq!(nearest("idle_secs", ["sessions", "idle-seconds"]), Some("idle-seconds"));
        assert_eq!(nearest("colour", ["sessions", "idle-seconds"]), None);
    }
}
