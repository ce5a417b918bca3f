//! Records as they are shown: in a table for people, as the JSON lines they are, and as CSV.

use std::io::{self, Write};

use super::words::{harmless, summary};
use crate::audit::text::is_harmful;
use crate::cli::terminal::{Screen, Tone, padded};
use crate::trail::entry::Entry;

/// In what form records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A line for people.
    Table,
    /// The record itself, one JSON object a line.
    Json,
    /// Comma-separated values, with a header.
    Csv,
}

const COLUMNS: [&str; 19] = [
    "record",
    "time",
    "event",
    "outcome",
    "reason",
    "severity",
    "user",
    "address",
    "port",
    "session",
    "command",
    "code",
    "path",
    "new_path",
    "bytes_in",
    "bytes_out",
    "milliseconds",
    "size",
    "hash",
];

/// Writes records in one of the forms.
pub(super) struct Shown<W: Write> {
    out: Out<W>,
    headed: bool,
    /// Whether a row of the table tells the session and the digest, too.
    detailed: bool,
}

enum Out<W: Write> {
    Table(W, Screen),
    Json(W),
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write> Shown<W> {
    /// Records in this form, with the names of the columns before the first.
    pub(super) fn new(out: W, format: Format) -> Self {
        let out = match format {
            Format::Table => Out::Table(out, Screen::of_output()),
            Format::Json => Out::Json(out),
            Format::Csv => Out::Csv(Box::new(csv::Writer::from_writer(out))),
        };
        Self { out, headed: false, detailed: false }
    }

    /// The same, without names of columns.
    pub(super) fn headless(self) -> Self {
        Self { headed: true, ..self }
    }

    /// The same; a row of the table tells the session and the digest of the content, too.
    pub(super) fn detailed(self, detailed: bool) -> Self {
        Self { detailed, ..self }
    }

    /// Shows a record.
    pub(super) fn record(&mut self, line: &[u8], entry: &Entry<'_>) -> io::Result<()> {
        let headed = std::mem::replace(&mut self.headed, true);
        match &mut self.out {
            Out::Table(out, screen) => {
                if !headed {
                    writeln!(out, "{}", screen.line(&heading()))?;
                }
                let mut row = row(entry);
                if self.detailed {
                    row.push((Tone::Plain, digest(entry).map(|digest| format!("  {digest}")).unwrap_or_default()));
                    let session = entry.session().map(harmless).unwrap_or_default();
                    row.push((Tone::Faint, format!("  session {session}")));
                }
                writeln!(out, "{}", screen.line(&row))
            }
            Out::Json(out) => json(out, line),
            Out::Csv(out) => {
                if !headed {
                    out.write_record(COLUMNS)?;
                }
                Ok(out.write_record(cells(entry).map(|cell| unexecuted(&cell)))?)
            }
        }
    }

    /// Hands over what is still held back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::Table(out, _) | Out::Json(out) => out.flush(),
            Out::Csv(out) => out.flush(),
        }
    }
}

fn heading() -> Vec<(Tone, String)> {
    let texts =
        [("TIME (UTC)", 19), ("RECORD", 9), ("EVENT", 22), ("USER", 12), ("ADDRESS", 15), ("OUTCOME", 12), ("WHAT", 0)];
    texts.into_iter().map(|(text, columns)| (Tone::Strong, padded(text, columns))).collect()
}

fn row(entry: &Entry<'_>) -> Vec<(Tone, String)> {
    let tone = tone(entry);
    let outcome = match entry.status_detail.as_deref() {
        _ if entry.succeeded() => "ok".to_owned(),
        Some(reason) => harmless(reason),
        None => "failed".to_owned(),
    };
    let address = entry.client().map_or_else(String::new, |address| address.to_string());
    vec![
        (Tone::Faint, padded(&time(entry), 19)),
        (Tone::Faint, padded(&entry.seq.to_string(), 9)),
        (tone, padded(&harmless(entry.event()), 22)),
        (Tone::Plain, padded(&entry.user().map(harmless).unwrap_or_default(), 12)),
        (Tone::Plain, padded(&address, 15)),
        (tone, padded(&outcome, 12)),
        (Tone::Plain, summary(entry)),
    ]
}

/// What stands out.
pub(super) fn tone(entry: &Entry<'_>) -> Tone {
    match entry.severity_id {
        4.. => Tone::Alarming,
        _ if !entry.succeeded() => Tone::Refused,
        3 => Tone::Refused,
        _ => Tone::Plain,
    }
}

/// When it was written, UTC, to the second.
pub(super) fn time(entry: &Entry<'_>) -> String {
    jiff::Timestamp::from_millisecond(entry.time)
        .map_or_else(|_| harmless(&entry.time_dt), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Writes a record as it is, but for characters that could drive a terminal: the server writes none, and where
/// somebody else did, they are written as JSON escapes.
pub(super) fn json(out: &mut impl Write, line: &[u8]) -> io::Result<()> {
    if line.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
        out.write_all(line)?;
        return out.write_all(b"\n");
    }
    let mut units = [0; 2];
    let mut bytes = [0; 4];
    for c in String::from_utf8_lossy(line).chars() {
        match c {
            // Within texts, JSON has none of these; between its parts they mean what a space does.
            '\t' | '\r' => out.write_all(b" ")?,
            c if is_harmful(c) => {
                for unit in c.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
            c => out.write_all(c.encode_utf8(&mut bytes).as_bytes())?,
        }
    }
    out.write_all(b"\n")
}

fn cells(entry: &Entry<'_>) -> [String; 19] {
    let text = |text: Option<&str>| text.map(harmless).unwrap_or_default();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    [
        entry.seq.to_string(),
        harmless(&entry.time_dt),
        harmless(entry.event()),
        if entry.succeeded() { "success" } else { "failure" }.to_owned(),
        text(entry.status_detail.as_deref()),
        entry.severity_id.to_string(),
        text(entry.user()),
        entry.client().map(|address| address.to_string()).unwrap_or_default(),
        number(entry.src_endpoint.map(|client| client.port.into())),
        text(entry.session()),
        text(entry.command.as_deref()),
        number(entry.codes.last().map(|&code| code.into())),
        text(entry.path()),
        text(entry.file_result.as_ref().map(|file| &*file.path)),
        number(entry.traffic.map(|traffic| traffic.bytes_in)),
        number(entry.traffic.map(|traffic| traffic.bytes_out)),
        number(entry.duration),
        number(entry.file.as_ref().and_then(|file| file.size)),
        digest(entry).unwrap_or_default(),
    ]
}

/// The digest over the content, with its kind.
fn digest(entry: &Entry<'_>) -> Option<String> {
    let hash = entry.file.as_ref()?.hashes.first()?;
    Some(format!("{}:{}", harmless(&hash.algorithm), harmless(&hash.value)))
}

/// A cell that no spreadsheet takes for a formula: one that would begin as such begins with an apostrophe.
fn unexecuted(cell: &str) -> String {
    let looks_so = cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if looks_so { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> String {
        serde_json::json!({
            "seq": 1, "time": 0, "time_dt": "t", "severity_id": 1, "status_id": 2, "status_detail": "x\u{9b}",
            "metadata": {"event_code": "auth.failure", "uid": "u"},
            "actor": {"user": {"name": "=HYPERLINK(\"http://x\",\"y\")\u{202e}\u{1b}[2J\r\n"}},
            "file": {"path": "/a,\"b\"\n\u{7f}"},
        })
        .to_string()
    }

    fn shown(line: &str, format: Format) -> String {
        let mut out = Vec::new();
        let mut shown = Shown::new(&mut out, format);
        shown.record(line.as_bytes(), &Entry::parse(line.as_bytes()).unwrap()).unwrap();
        shown.flush().unwrap();
        drop(shown);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_in_a_record_drives_a_terminal_or_a_spreadsheet() {
        let line = hostile();
        for format in [Format::Table, Format::Json, Format::Csv] {
            let text = shown(&line, format);
            let harmful = text.chars().find(|&c| c != '\n' && is_harmful(c));
            assert_eq!(harmful, None, "{text:?}");
            assert_eq!(text.lines().count(), if format == Format::Json { 1 } else { 2 }, "{text:?}");
        }
        let text = shown(&line, Format::Csv);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let row = reader.records().next().unwrap().unwrap();
        assert!(row[6].starts_with("'=HYPERLINK(\"http://x\""), "{row:?}");
        assert!(row[12].starts_with("/a,\"b\"\\u{a}"), "{row:?}");
    }

    #[test]
    fn what_is_written_as_json_means_the_record() {
        let line = hostile().replacen("{\"", "{\t\r\"", 1);
        let same: serde_json::Value = serde_json::from_str(&shown(&line, Format::Json)).unwrap();
        assert_eq!(same, serde_json::from_str::<serde_json::Value>(&line).unwrap());
    }

    #[test]
    fn no_cell_begins_a_formula() {
        for cell in ["=1", "+1", "-1", "@x", " =1", "\t=1", "＝1"] {
            assert!(unexecuted(cell).starts_with('\''), "{cell}");
        }
        assert_eq!(unexecuted("/in/=x"), "/in/=x");
    }
}
