//! The report as Markdown, for a ticket or a mail.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::table::{Cell, Table};
use super::{Report, headline, tables, words};

/// Rows of a table.
const ROWS_MAX: usize = 20;

/// Writes it.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report<'_>, mut out: impl Write) -> io::Result<()> {
    let summary = report.summary;
    let calendar = summary.calendar();
    let (from, until) = summary.span();
    writeln!(out, "# {}\n", escaped(&report.title))?;
    let (first, last) = (words::local_minute(calendar, from), words::local_minute(calendar, until));
    writeln!(out, "{first} until {last} ({}), {}.", escaped(calendar.name()), escaped(&report.log))?;
    writeln!(out, "Made at {}.", words::utc(report.made_at.as_millisecond()))?;
    for problem in headline::warnings(report) {
        writeln!(out, "\n**{}**", escaped(&problem))?;
    }
    writeln!(out, "\n## The chain of the records\n")?;
    match &report.verdict {
        Some(verdict) => {
            writeln!(out, "**{}: {}**\n", headline::verdict_word(verdict.state), escaped(&verdict.headline))?;
            for detail in &verdict.details {
                writeln!(out, "- {}", escaped(detail))?;
            }
        }
        None => writeln!(out, "{}", headline::NOT_VERIFIED)?,
    }
    if let Some(findings) = &report.findings {
        writeln!(out, "\n## Findings\n")?;
        if findings.is_empty() {
            writeln!(out, "{}", headline::NO_FINDINGS)?;
        }
        for finding in findings {
            let severity = headline::severity_word(finding.severity);
            writeln!(out, "- **{severity}: {}** {}", escaped(&finding.title), escaped(&finding.seen))?;
            if let Some(when) = headline::when(report, finding) {
                writeln!(out, "  When: {when}.")?;
            }
            if let Some(evidence) = &finding.evidence {
                writeln!(out, "  Evidence: {}.", headline::evidence(evidence))?;
            }
            writeln!(out, "  To do: {}", escaped(&finding.advice))?;
            writeln!(out, "  See `{}`", words::harmless(&finding.command).replace('`', "'"))?;
        }
        if report.findings_left_out > 0 {
            writeln!(out, "\n{} more were left out.", report.findings_left_out)?;
        }
    }
    writeln!(out, "\n## Key figures\n")?;
    for (name, value, _) in headline::figures(summary) {
        writeln!(out, "- {name}: {value}")?;
    }
    for table in tables::all(summary, ROWS_MAX) {
        if !table.rows.is_empty() {
            write_table(&table, report, &mut out)?;
        }
    }
    Ok(())
}

fn write_table(table: &Table, report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n## {}\n", table.caption)?;
    let titles: Vec<&str> = table.columns.iter().map(|column| column.title).collect();
    writeln!(out, "| {} |", titles.join(" | "))?;
    let first = table.rows.first();
    let lines: Vec<&str> = (0..table.columns.len())
        .map(|at| if first.and_then(|row| row.get(at)).is_some_and(Cell::is_figure) { "---:" } else { "---" })
        .collect();
    writeln!(out, "|{}|", lines.join("|"))?;
    for row in table.rows.iter().chain(&table.others) {
        let cells: Vec<String> = row.iter().map(|cell| text(cell, report)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    if let Some(note) = &table.note {
        writeln!(out, "\n{note}")?;
    }
    Ok(())
}

fn text(cell: &Cell, report: &Report<'_>) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Word(text) | Cell::Interval(text, _) => text.clone(),
        Cell::Text(text) => escaped(text),
        Cell::Count(figure) => words::count(*figure),
        Cell::AtLeast(figure) => format!("{} or more", words::count(*figure)),
        Cell::Bytes(figure) => words::bytes(*figure),
        Cell::Time(time) => words::local_minute(report.summary.calendar(), *time),
        Cell::Facts(facts) => {
            let facts: Vec<String> =
                facts.iter().map(|(name, value)| format!("{} {}", escaped(name), escaped(value))).collect();
            facts.join("; ")
        }
    }
}

/// A text in which nothing is markup: what could be is written by its number, also what programs make
/// links of.
fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in words::harmless(text).chars() {
        let begins_link =
            || line.get(line.len().saturating_sub(3)..).is_some_and(|end| end.eq_ignore_ascii_case("www"));
        let is_plain = !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, ' ' | '/' | ',' | '-' | '(' | ')');
        if is_plain || (c == '.' && !begins_link()) {
            line.push(c);
        } else {
            // Writing into a `String` cannot fail.
            let _ = write!(line, "&#{};", u32::from(c));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup_or_a_link() {
        let text = escaped("<b> [x](http://e.org) `c` |a| www.e.org a@e.org *s* _u_ \\");
        assert!(!text.contains(['<', '>', '[', ']', '`', '|', '@', '*', '_', '\\', ':']), "{text}");
        assert!(!text.contains("www."), "{text}");
        assert_eq!(escaped("/in/r.csv"), "/in/r.csv");
    }
}
