//! The verdict in words.

use std::fmt::Write as _;

use super::KeySource;
use crate::trail::verify::verdict::{Finding, Key, Kind, Notes, State, Trust, Verdict};

/// Findings and notes that are written out.
const SHOWN_MAX: usize = 20;

/// All of it.
pub(super) fn verdict(verdict: &Verdict, key_source: KeySource) -> String {
    let mut text = String::new();
    // Writing into a `String` cannot fail.
    let _ = write_all(&mut text, verdict, key_source);
    text
}

fn write_all(out: &mut String, verdict: &Verdict, key_source: KeySource) -> std::fmt::Result {
    let (word, sentence) = headline(verdict);
    writeln!(out, "{word}: {sentence}")?;
    if let Some(first) = verdict.first_finding() {
        writeln!(out, "  {}", finding(first))?;
    }
    writeln!(out)?;
    for (name, text) in facts(verdict, key_source) {
        writeln!(out, "{name:<12} {text}")?;
    }
    if verdict.findings_total > 1 {
        writeln!(out, "\nAll findings:")?;
        for found in verdict.findings.iter().take(SHOWN_MAX) {
            writeln!(out, "  {}", finding(found))?;
        }
        let more = verdict.findings_total.saturating_sub(u64::try_from(SHOWN_MAX).unwrap_or(0));
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
    }
    Ok(())
}

/// The answer in a word, and in a sentence.
pub(in crate::cli::audit) fn headline(verdict: &Verdict) -> (&'static str, &'static str) {
    match verdict.state {
        State::Proven if verdict.in_use => {
            ("PROVEN", "the log is as the server wrote it; the server is writing it now.")
        }
        State::Proven => ("PROVEN", "the log is as the server wrote it."),
        State::Warning => ("NOT ALL PROVEN", "the chain holds, and its end proves less than it should."),
        State::Tampered => ("TAMPERED", "the log is not as the server wrote it. It begins here:"),
        State::BadSignature => ("BAD SIGNATURE", "nobody who is trusted signed this. It begins here:"),
        State::Truncated => ("TRUNCATED", "the end of the log is missing."),
        State::Unreadable => ("UNREADABLE", "not all of the log could be read."),
    }
}

/// What was looked at and what is proven: names, the same for several lines of one subject, and texts.
pub(in crate::cli::audit) fn facts(verdict: &Verdict, key_source: KeySource) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let (Some(first), Some(last)) = (&verdict.first, &verdict.last) {
        let (files, s) = (verdict.files.len(), if verdict.files.len() == 1 { "" } else { "s" });
        facts.push(("records", format!("{} ({} to {}) in {files} file{s}", verdict.records, first.seq, last.seq)));
        facts.push(("time", format!("{} to {}", first.time, last.time)));
    }
    if let Some(log) = &verdict.log {
        facts.push(("log", log.clone()));
    }
    let signed = verdict.signed.as_ref().map_or_else(
        || "nothing, by a trusted key".to_owned(),
        |signed| {
            format!("up to record {}, {} ({} good checkpoints)", signed.head_seq, signed.time, verdict.checkpoints)
        },
    );
    facts.push(("signed", signed));
    tail(verdict, &mut facts);
    for key in &verdict.keys {
        let trust = trust(key, key_source, verdict);
        facts.push(("key", format!("{} ({trust}), {} checkpoints", key.id, key.checkpoints)));
    }
    if key_source == KeySource::BesideLog {
        let less = "a key from beside the log proves less: --public-key takes one from elsewhere";
        facts.push(("", less.to_owned()));
    }
    if verdict.witnesses.given > 0 {
        let text = format!("{} heads, {} of this chain", verdict.witnesses.given, verdict.witnesses.agree);
        facts.push(("witnesses", text));
    }
    for range in &verdict.pruned {
        let text = format!("removed the records {} to {}, and recorded it", range.first_seq, range.last_seq);
        facts.push(("retention", text));
    }
    notes("gap", &verdict.gaps, &mut facts);
    notes("outage", &verdict.outages, &mut facts);
    notes("clock", &verdict.clock_back, &mut facts);
    facts
}

/// What stands behind the last signature.
fn tail(verdict: &Verdict, facts: &mut Vec<(&'static str, String)>) {
    let tail = &verdict.tail;
    if tail.records > 0
        && let (Some(since), Some(seconds)) = (&tail.since, tail.seconds)
    {
        facts.push(("unsigned", format!("{} records since {since} ({seconds} s ago), in the chain", tail.records)));
    }
    if tail.torn_bytes > 0 {
        let why = if verdict.in_use { "being written" } else { "cut short by a crash" };
        facts.push(("unfinished", format!("{} bytes of a line at the end, {why}", tail.torn_bytes)));
    }
    if verdict.closed {
        facts.push(("end", "the server stopped in order".to_owned()));
    }
}

fn trust(key: &Key, source: KeySource, verdict: &Verdict) -> &'static str {
    match (key.trust, source) {
        (Trust::Given, KeySource::Configured) => "from beside the key in server.toml",
        (Trust::Given, KeySource::BesideLog) => "from beside the log",
        (Trust::Given, KeySource::Given | KeySource::None) => "given",
        (Trust::Succeeded, _) => "named by a trusted key before it",
        (Trust::None, _) if verdict.findings.iter().any(|finding| finding.kind == Kind::UnknownKey) => "NOT trusted",
        (Trust::None, _) => "not given; a trusted one signed later, for all of this too",
    }
}

fn notes(name: &'static str, notes: &Notes, facts: &mut Vec<(&'static str, String)>) {
    for note in notes.places.iter().take(SHOWN_MAX) {
        facts.push((name, format!("record {}, {}: {}", note.seq, note.time, note.what)));
    }
    let more = notes.total.saturating_sub(u64::try_from(SHOWN_MAX).unwrap_or(0));
    if more > 0 {
        facts.push((name, format!("and {more} more")));
    }
}

/// One finding on one line.
pub(in crate::cli::audit) fn finding(finding: &Finding) -> String {
    match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!("{file}:{line}: {}", finding.message),
        (Some(file), None) => format!("{file}: {}", finding.message),
        _ => finding.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::signing::SigningKey;
    use crate::trail::files::find;
    use crate::trail::verify::made::Made;
    use crate::trail::verify::{Options, verify};

    #[test]
    fn a_reader_hears_first_what_is_proven_and_then_where_to_look() {
        let mut made = Made::begun(SigningKey::generate().unwrap());
        made.work(5);
        made.checkpoint("stop");
        let keys = [made.key.public()];
        let directory = tempfile::tempdir().unwrap();
        let look = |made: &Made| {
            made.write(directory.path(), false);
            verdict(&verify(&find(directory.path()).unwrap(), &keys, &Options::at(made.time)), KeySource::BesideLog)
        };
        let text = look(&made);
        assert!(text.starts_with("PROVEN"), "{text}");
        for words in
            ["8 (1 to 8) in 1 file\n", "up to record 7", "stopped in order", "from beside the log)", "--public-key"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        let whole = String::from_utf8(made.open.clone()).unwrap();
        made.open = whole.replace("alice", "carol").into_bytes();
        let text = look(&made);
        assert!(text.starts_with("TAMPERED"), "{text}");
        assert!(text.lines().nth(1).unwrap().contains("audit.jsonl:3: record 3 was changed"), "{text}");
        assert!(text.contains("All findings:"), "{text}");
    }
}
