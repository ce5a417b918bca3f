//! The report as CSV: one line for each figure, so that one file holds every table and every tool that
//! reads CSV can take it apart.

use std::io::{self, Write};

use super::table::Cell;
use super::{Report, tables, words};

/// Rows of a table.
const ROWS_MAX: usize = 1000;

/// Writes it: `table,item,measure,value`.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report<'_>, out: impl Write) -> io::Result<()> {
    let mut csv = ::csv::Writer::from_writer(out);
    csv.write_record(["table", "item", "measure", "value"])?;
    let (from, until) = report.summary.span();
    let unread = report.unread.len().to_string();
    let facts = [
        ("log", harmless(&report.log)),
        ("title", harmless(&report.title)),
        ("made_at", words::utc(report.made_at.as_millisecond())),
        ("from", words::utc(from)),
        ("until", words::utc(until)),
        ("time_zone", report.summary.calendar().name().to_owned()),
        ("records", report.summary.records.to_string()),
        ("lines_not_read", report.summary.unreadable.to_string()),
        ("files_not_read", unread),
        (
            "chain_state",
            report
                .verdict
                .as_ref()
                .map_or("not checked", |verdict| super::headline::verdict_word(verdict.state))
                .to_owned(),
        ),
        (
            "chain",
            report.verdict.as_ref().map_or_else(|| "not checked".to_owned(), |verdict| harmless(&verdict.headline)),
        ),
    ];
    for (measure, value) in facts {
        csv.write_record(["report", "", measure, &value])?;
    }
    for (number, finding) in report.findings.iter().flatten().enumerate() {
        let item = number.saturating_add(1).to_string();
        let severity = super::headline::severity_word(finding.severity).to_owned();
        let evidence = finding.evidence.clone().unwrap_or_default();
        let records: Vec<String> = evidence.records.iter().map(u64::to_string).collect();
        let time = |at: Option<jiff::Timestamp>| at.map(|at| words::utc(at.as_millisecond())).unwrap_or_default();
        for (measure, value) in [
            ("severity", severity),
            ("kind", finding.kind.to_string()),
            ("title", harmless(&finding.title)),
            ("seen", harmless(&finding.seen)),
            ("from", time(finding.from)),
            ("to", time(finding.to)),
            ("records", records.join(" ")),
            ("record_count", evidence.count.to_string()),
            ("last_record", finding.evidence.as_ref().map(|evidence| evidence.last.to_string()).unwrap_or_default()),
            ("command", harmless(&finding.command)),
            ("advice", harmless(&finding.advice)),
        ] {
            csv.write_record(["findings", &item, measure, &value])?;
        }
    }
    for table in tables::all(report.summary, ROWS_MAX) {
        for (row, is_rest) in
            table.rows.iter().map(|row| (row, false)).chain(table.others.iter().map(|row| (row, true)))
        {
            let keys: Vec<String> = row.iter().take(table.keys).map(value).filter(|key| !key.is_empty()).collect();
            let item = if is_rest { format!("({})", keys.join(" ")) } else { harmless(&keys.join(" ")) };
            for (column, cell) in table.columns.iter().zip(row).skip(table.keys) {
                if *cell != Cell::Empty {
                    csv.write_record([table.id, &item, column.id, &harmless(&value(cell))])?;
                }
            }
        }
    }
    csv.flush()
}

fn value(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Word(text) | Cell::Text(text) | Cell::Interval(text, _) => text.clone(),
        Cell::Count(figure) | Cell::AtLeast(figure) | Cell::Bytes(figure) => figure.to_string(),
        Cell::Time(time) => words::utc(*time),
        Cell::Facts(facts) => {
            let facts: Vec<String> = facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
            facts.join("; ")
        }
    }
}

/// A text that no spreadsheet takes for a formula and no terminal for an order.
fn harmless(text: &str) -> String {
    let text = words::harmless(text);
    if text.starts_with(['=', '+', '-', '@', '|', '%', '＝', '＋', '－', '＠']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_begins_as_a_formula_does() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "|calc", "\t=1", "\u{ff1d}1"] {
            let cell = harmless(text);
            assert!(cell.starts_with('\'') || cell.starts_with('\\'), "{cell}");
        }
        assert_eq!(harmless("/in/r.csv"), "/in/r.csv");
    }
}
