//! What the terminal can show: colours, and how much fits into a line.

use std::fmt::Write;
use std::io::IsTerminal;

use clap::builder::styling::{AnsiColor, Style};
use ratatui::crossterm::terminal;
use ratatui::text::Span;

/// Colours are for a terminal, unless its user wants none (<https://no-color.org>).
pub(super) fn is_coloured() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    std::io::stdout().is_terminal() && !unwanted && !dumb
}

/// How standard output shows lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    coloured: bool,
    /// Columns of the terminal; none where there is none, and nothing is cut.
    columns: Option<usize>,
}

/// What a part of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Said as everything is.
    Plain,
    /// Of less weight.
    Faint,
    /// A heading.
    Strong,
    /// Something was refused or did not succeed.
    Refused,
    /// Somebody should look at it.
    Alarming,
}

impl Screen {
    /// That of this process.
    pub(super) fn of_output() -> Self {
        let columns = std::io::stdout().is_terminal().then(terminal::size);
        let columns = columns.and_then(Result::ok).map(|(columns, _)| usize::from(columns));
        Self { coloured: is_coloured(), columns: columns.filter(|&columns| columns > 0) }
    }

    /// A line of these parts, which have no harmful characters; cut to what fits.
    pub(super) fn line(self, parts: &[(Tone, String)]) -> String {
        let mut line = String::new();
        let mut left = self.columns.unwrap_or(usize::MAX);
        for (tone, text) in parts {
            let shown = fitting(text, left);
            left = left.saturating_sub(width(shown));
            if self.coloured && *tone != Tone::Plain {
                let style = style(*tone);
                // Writing into a `String` cannot fail.
                let _ = write!(line, "{style}{shown}{style:#}");
            } else {
                line.push_str(shown);
            }
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

/// The columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// The text, with spaces behind it up to so many columns, and one more.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text)).saturating_add(1);
    format!("{text}{:spaces$}", "")
}

fn fitting(text: &str, columns: usize) -> &str {
    if width(text) <= columns {
        return text;
    }
    let mut end = 0;
    for (index, c) in text.char_indices() {
        let behind = index.saturating_add(c.len_utf8());
        if text.get(..behind).is_none_or(|shown| width(shown) > columns) {
            break;
        }
        end = behind;
    }
    text.get(..end).unwrap_or_default()
}

fn style(tone: Tone) -> Style {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match tone {
        Tone::Plain => Style::new(),
        Tone::Faint => Style::new().dimmed(),
        Tone::Strong => Style::new().bold(),
        Tone::Refused => colour(AnsiColor::Yellow),
        Tone::Alarming => colour(AnsiColor::Red).bold(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_the_edge_and_its_colours_end() {
        let parts = [(Tone::Faint, "one ".to_owned()), (Tone::Alarming, "日本語 text".to_owned())];
        let plain = Screen { coloured: false, columns: Some(9) };
        assert_eq!(plain.line(&parts), "one 日本");
        let coloured = Screen { coloured: true, columns: None };
        let line = coloured.line(&parts);
        assert!(line.contains("日本語 text") && line.ends_with("\u{1b}[0m"), "{line:?}");
        assert_eq!(padded("日本", 5), "日本  ");
    }
}
