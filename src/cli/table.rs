//! Tables on a terminal: aligned by what characters take there, harmless, and cut to its width. And
//! sizes and times as people read them.

use std::io::IsTerminal;

use ratatui::crossterm::terminal;
use ratatui::text::Span;

use super::control::escaped;

/// What stands where a line was cut.
const CUT: char = '…';

/// How a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Columns a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// How wide the terminal is that standard output goes to; none where it goes elsewhere.
pub(super) fn terminal_width() -> Option<usize> {
    std::io::stdout().is_terminal().then(terminal::size)?.ok().map(|(columns, _)| columns.into())
}

/// Rows below their heads, aligned; each cell made harmless. The last column is left as it is.
pub(super) fn aligned(heads: &[(&str, Align)], rows: &[Vec<String>]) -> Vec<String> {
    let head = heads.iter().map(|(head, _)| (*head).to_owned()).collect::<Vec<_>>();
    let cells: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(|cell| escaped(cell)).collect()).collect();
    let widths: Vec<usize> = (0..heads.len())
        .map(|at| cells.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let lines = cells.iter().map(|row| {
        let mut line = String::new();
        for (at, ((cell, (_, align)), column)) in row.iter().zip(heads).zip(&widths).enumerate() {
            let pad = " ".repeat(column.saturating_sub(width(cell)));
            let last = at.saturating_add(1) == heads.len();
            match align {
                Align::Left if last => line.push_str(cell),
                Align::Left => line.extend([cell.as_str(), &pad]),
                Align::Right => line.extend([&pad, cell.as_str()]),
            }
            if !last {
                line.push_str("  ");
            }
        }
        line.trim_end().to_owned()
    });
    lines.collect()
}

/// The line as far as it fits.
pub(super) fn cut(line: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns.filter(|columns| width(line) > *columns) else { return line.to_owned() };
    let mut left = columns.saturating_sub(1);
    let mut short = String::new();
    for c in line.chars() {
        let Some(rest) = left.checked_sub(width(c.encode_utf8(&mut [0; 4]))) else { break };
        left = rest;
        short.push(c);
    }
    short.push(CUT);
    short
}

/// Bytes as people read them.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0_usize;
    let mut tenths = u128::from(bytes).saturating_mul(10) / 1024;
    while tenths >= 10_240 && unit.saturating_add(1) < units.len() {
        tenths /= 1024;
        unit = unit.saturating_add(1);
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if tenths >= 1000 { format!("{} {name}", tenths / 10) } else { format!("{}.{} {name}", tenths / 10, tenths % 10) }
}

/// Seconds as people read them.
pub(super) fn time(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_nothing_drives_the_terminal() {
        let heads = [("NAME", Align::Left), ("N", Align::Right), ("PATH", Align::Left)];
        let rows = [
            vec!["a\u{1b}[2J".to_owned(), "5".to_owned(), "/x".to_owned()],
            vec!["日本".to_owned(), "1234".to_owned(), "/y\u{202e}".to_owned()],
        ];
        let lines = aligned(&heads, &rows);
        assert_eq!(lines, ["NAME           N  PATH", "a\\u{1b}[2J     5  /x", "日本        1234  /y\\u{202e}"]);
        assert_eq!(cut(&lines[2], Some(4)), "日…");
        assert_eq!((cut("abc", Some(3)), cut("abc", None)), ("abc".to_owned(), "abc".to_owned()));
    }

    #[test]
    fn sizes_and_times_are_short() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (123 << 20, "123 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (seconds, text) in [(59, "59s"), (61, "1m01s"), (3700, "1h01m"), (90_000, "1d01h")] {
            assert_eq!(time(seconds), text);
        }
    }
}
