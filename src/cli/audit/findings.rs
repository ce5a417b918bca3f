//! `portcullis audit findings`.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use super::filters::SpanArguments;
use super::{Failure, Source, knowledge};
use crate::audit::text::push_escaped;
use crate::cli::{POLICY_DIRECTORY, complain, say};
use crate::config::shell::word;
use crate::findings::finding::{Finding, Kind, Severity};
use crate::findings::{Found, find};

/// Exit code where something was found.
const EXIT_FOUND: u8 = 3;

/// List what in the log somebody should look at: guessed passwords, unusual logins, ransomware, clients in
/// trouble, things that end.
///
/// Each finding says what was seen, which records show it, and what to do. Thresholds stand in [findings]
/// of server.toml. What lies before --from is read all the same: it tells what is usual. Exits with 0 where
/// nothing is found, 1 where not all of the log could be read, and 3 where something is found.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis audit findings
  portcullis audit findings --from 24h --severity high
  portcullis audit findings --kind guess-success --kind mass-change --json
  portcullis audit findings --log /backup --from 2026-11-01 --to 2026-11-30

Exit codes: 0 nothing found, 1 not all could be read, 3 something found.")]
pub(super) struct Arguments {
    #[command(flatten)]
    span: SpanArguments,
    /// Only findings of this kind; may be given several times.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Vec<Kind>,
    /// Only findings at least this severe: low, medium, high or critical.
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    severity: Option<Severity>,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::ALL.into_iter().find(|kind| kind.word() == text).ok_or_else(|| one_of(&Kind::ALL.map(Kind::word)))
}

fn severity(text: &str) -> Result<Severity, String> {
    let found = Severity::ALL.into_iter().find(|severity| severity.word() == text);
    found.ok_or_else(|| one_of(&Severity::ALL.map(Severity::word)))
}

fn one_of(words: &[&str]) -> String {
    format!("it is one of {}", words.join(", "))
}

/// Reads the log and lists what was found.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let files = arguments.source.files(policy)?;
    let now = Timestamp::now();
    let (thresholds, context, note) = knowledge::of_policy(policy, now);
    if let Some(note) = note {
        complain(&format!("note: {note}"));
    }
    let span = arguments.span.span_at(&now.to_zoned(context.zone.clone()))?;
    let mut found = find(&files, &thresholds, context, span);
    found.findings.retain(|finding| {
        arguments.severity.is_none_or(|least| finding.severity >= least)
            && (arguments.kind.is_empty() || arguments.kind.contains(&finding.kind))
    });
    name_log(&mut found.findings, &arguments.source, policy);
    for (file, error) in &found.failed {
        complain(&format!("portcullis: {}: {error}", file.display()));
    }
    say(if arguments.json { as_json(&found) } else { text(&found) })?;
    match (found.failed.is_empty(), found.findings.is_empty()) {
        (false, _) => Err(Failure::Failed("not all of the log could be read".to_owned())),
        (true, false) => Err(Failure::Found(EXIT_FOUND)),
        (true, true) => Ok(()),
    }
}

/// Has the commands look where this one looked.
pub(super) fn name_log(findings: &mut [Finding], source: &Source, policy: &Path) {
    let place = match &source.log {
        Some(log) => format!(" --log {}", word(&log.display().to_string())),
        None if policy == Path::new(POLICY_DIRECTORY) => return,
        None => format!(" --policy {}", word(&policy.display().to_string())),
    };
    let searches = findings.iter_mut().filter(|finding| finding.command.starts_with("portcullis audit "));
    searches.for_each(|finding| finding.command.push_str(&place));
}

fn as_json(found: &Found) -> String {
    json!({
        "records": found.records,
        "unreadable": found.unreadable,
        "left_out": found.left_out,
        "forgotten": found.forgotten,
        "findings": found.findings,
    })
    .to_string()
}

fn text(found: &Found) -> String {
    let mut text = String::new();
    for finding in &found.findings {
        one(&mut text, finding);
    }
    if found.left_out > 0 {
        // Writing into a `String` cannot fail.
        let _ = writeln!(text, "note: {} more findings of the same kinds are left out.", found.left_out);
    }
    if found.forgotten > 0 {
        let _ = writeln!(
            text,
            "note: more sources and users came than are remembered; {} that were quiet for longest were judged early.",
            found.forgotten
        );
    }
    let count = match found.findings.len() {
        0 => "nothing to look at".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let _ = write!(text, "{} records, {count}.", found.records);
    text
}

fn one(text: &mut String, finding: &Finding) {
    let Finding { kind, severity, title, seen, command, advice, .. } = finding;
    let mut line = |label: &str, words: &str| {
        text.push_str(label);
        push_escaped(text, words);
        text.push('\n');
    };
    line("", &format!("{severity} {kind}: {title}"));
    line("   seen: ", seen);
    if let Some(evidence) = &finding.evidence {
        let numbers: Vec<String> = evidence.records.iter().map(u64::to_string).collect();
        let shown = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        let more = if evidence.count > shown { format!(", … {}", evidence.last) } else { String::new() };
        line("   records: ", &format!("{} ({}{more})", evidence.count, numbers.join(", ")));
    }
    line("   look: ", command);
    line("   do: ", advice);
}
