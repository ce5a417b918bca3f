//! The report as JSON.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::table::{Cell, Table};
use super::{Report, tables, words};

/// The name of this form; another number stands for one that other programs would misread.
pub const SCHEMA: &str = "portcullis-report-1";
/// Rows of a table.
const ROWS_MAX: usize = 1000;

/// Writes it.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report<'_>, mut out: impl Write) -> io::Result<()> {
    let summary = report.summary;
    let (from, until) = summary.span();
    let moved = super::headline::totals(summary);
    let tables: Map<String, Value> =
        tables::all(summary, ROWS_MAX).iter().map(|table| (table.id.to_owned(), rows(table))).collect();
    let value = json!({
        "schema": SCHEMA,
        "title": report.title,
        "made_at": words::utc(report.made_at.as_millisecond()),
        "log": report.log,
        "from": words::utc(from),
        "until": words::utc(until),
        "time_zone": summary.calendar().name(),
        "interval": summary.unit().word(),
        "first_record": summary.sequence.map(|(first, _)| first),
        "last_record": summary.sequence.map(|(_, last)| last),
        "lines_not_read": summary.unreadable,
        "not_read": report.unread,
        "chain": report.verdict,
        "findings": report.findings,
        "findings_left_out": report.findings_left_out,
        "figures": {
            "records": summary.records,
            "sessions": summary.sessions,
            "logins": moved.logins,
            "failed_logins": moved.failed,
            "logins_not_checked": moved.throttled,
            "uploads": moved.uploads,
            "uploads_incomplete": summary.incomplete.0,
            "bytes_in": moved.bytes_in,
            "downloads": moved.downloads,
            "downloads_incomplete": summary.incomplete.1,
            "bytes_out": moved.bytes_out,
            "removed": summary.removed,
            "checkpoints": summary.journals.checkpoints.0,
        },
        "tables": tables,
    });
    serde_json::to_writer_pretty(&mut out, &value)?;
    writeln!(out)
}

fn rows(table: &Table) -> Value {
    let object = |row: &Vec<Cell>, first: usize| -> Value {
        let cells = table.columns.iter().zip(row).skip(first);
        Value::Object(cells.map(|(column, cell)| (column.id.to_owned(), value(cell))).collect())
    };
    json!({
        "rows": table.rows.iter().map(|row| object(row, 0)).collect::<Vec<_>>(),
        "others": table.others.as_ref().map(|row| object(row, table.keys)),
    })
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Word(text) | Cell::Text(text) | Cell::Interval(text, _) => json!(text),
        Cell::Count(figure) | Cell::AtLeast(figure) | Cell::Bytes(figure) => json!(figure),
        Cell::Time(time) => json!(words::utc(*time)),
        Cell::Facts(facts) => Value::Object(facts.iter().map(|(name, value)| (name.clone(), json!(value))).collect()),
    }
}
