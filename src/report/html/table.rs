//! Tables of the page.

use maud::{Markup, html};

use crate::report::table::{Bar, Cell, Column, Pictures, Table};
use crate::report::{Report, words};

/// Size of a small picture, in its own units: as many as there are bars at most.
const PICTURE_HEIGHT: u64 = 24;
/// Longest text that is kept in one line, in characters.
const SHORT_CHARACTERS_MAX: usize = 26;
/// Bars of a small picture; more are taken together.
const PICTURE_BARS_MAX: usize = 100;

/// A table with its caption; a sentence where it has no rows.
pub(super) fn of(table: &Table, report: &Report<'_>) -> Markup {
    if table.rows.is_empty() {
        return html! { p.none { (table.caption) ": none." } };
    }
    let highest = |column: usize| table.rows.iter().filter_map(|row| row.get(column)?.figure()).max().unwrap_or(0);
    let highest: Vec<u64> = (0..table.columns.len()).map(highest).collect();
    html! {
        div.scroll role="region" tabindex="0" aria-label=(table.caption) {
            table id={ "table-" (table.id) } {
                caption { (table.caption) }
                thead {
                    tr {
                        @for (index, column) in table.columns.iter().enumerate() {
                            th scope="col" class=[is_figures(table, index).then_some("figure")] { (column.title) }
                            @if index.saturating_add(1) == table.keys && let Some(pictures) = &table.pictures {
                                th scope="col" { (pictures.title) }
                            }
                        }
                    }
                }
                tbody {
                    @for (number, row) in table.rows.iter().enumerate() {
                        tr { (cells(table, row, Some(number), &highest, report)) }
                    }
                    @if let Some(row) = &table.others {
                        tr.others { (cells(table, row, None, &highest, report)) }
                    }
                }
            }
        }
        @if let Some(note) = &table.note { p.note { (note) } }
    }
}

/// A moment as the clocks of the zone show it; UTC where it is pointed at.
pub(super) fn moment(report: &Report<'_>, time: i64) -> Markup {
    let utc = words::utc(time);
    let local = words::local_minute(report.summary.calendar(), time);
    let (day, clock) = local.split_once(' ').unwrap_or_default();
    html! {
        time datetime=(utc) title=(utc) { span.short { (day) } " " span.short { (clock) } }
    }
}

fn cells(table: &Table, row: &[Cell], number: Option<usize>, highest: &[u64], report: &Report<'_>) -> Markup {
    html! {
        @for (index, (column, cell)) in table.columns.iter().zip(row).enumerate() {
            @if index < table.keys {
                th scope="row" { (content(cell, report)) }
            } @else {
                td class=[is_figures(table, index).then_some("figure")] {
                    (content(cell, report))
                    @if number.is_some() { (bar(column, cell, highest.get(index).copied().unwrap_or(0))) }
                }
            }
            @if index.saturating_add(1) == table.keys && let Some(pictures) = &table.pictures {
                td.picture { @if let Some(number) = number { (picture(pictures, number)) } }
            }
        }
    }
}

fn is_figures(table: &Table, index: usize) -> bool {
    table.rows.iter().any(|row| row.get(index).is_some_and(Cell::is_figure))
}

fn content(cell: &Cell, report: &Report<'_>) -> Markup {
    html! {
        @match cell {
            Cell::Empty => {}
            Cell::Word(text) => span.short { (text) }
            Cell::Text(text) => (name(text)),
            Cell::Count(0) => span.zero { "0" }
            Cell::Count(figure) => (words::count(*figure)),
            Cell::AtLeast(figure) => { (words::count(*figure)) " or more" }
            Cell::Bytes(0) => span.zero { "0" }
            Cell::Bytes(figure) => span title={ (words::count(*figure)) " bytes" } { (words::bytes(*figure)) }
            Cell::Time(time) => (moment(report, *time)),
            Cell::Interval(text, start) => time datetime=(words::utc(start.saturating_mul(1000))) { (text) }
            Cell::Facts(facts) => ul.facts {
                @for (name, value) in facts {
                    li { span.name { bdi { (words::harmless(name)) } } " " bdi { (words::harmless(value)) } }
                }
            }
        }
    }
}

/// A text from the log: in one line, where it is short.
fn name(text: &str) -> Markup {
    let class = if text.chars().count() <= SHORT_CHARACTERS_MAX { "short" } else { "long" };
    html! { bdi class=(class) { (words::harmless(text)) } }
}

/// A bar under a figure. It says nothing that the figure does not.
fn bar(column: &Column, cell: &Cell, highest: u64) -> Markup {
    let (Some(kind), Some(figure)) = (column.bar, cell.figure()) else { return html! {} };
    let thousandths = share(figure, highest, 1000);
    let class = if kind == Bar::Bad { "bar bad" } else { "bar" };
    html! {
        @if thousandths > 0 {
            svg class=(class) viewBox="0 0 1000 4" preserveAspectRatio="none" aria-hidden="true" {
                rect width=(thousandths) height="4" {}
            }
        }
    }
}

/// Figures over time as bars, as high as the highest of this row.
fn picture(pictures: &Pictures, row: usize) -> Markup {
    let figures = pictures.rows.get(row).map(Vec::as_slice).unwrap_or_default();
    html! { (over_time(figures, pictures.title, pictures.bad)) }
}

/// The same by itself.
pub(super) fn over_time(figures: &[u64], title: &str, bad: bool) -> Markup {
    let together = figures.len().div_ceil(PICTURE_BARS_MAX).max(1);
    let sums = figures.chunks(together).map(|chunk| chunk.iter().fold(0_u64, |sum, more| sum.saturating_add(*more)));
    let sums: Vec<u64> = sums.collect();
    let highest = sums.iter().copied().max().unwrap_or(0);
    let busy = sums.iter().filter(|sum| **sum > 0).count();
    let width = sums.len().max(1);
    html! {
        svg class={ "over-time" @if bad { " bad" } } viewBox={ "0 0 " (width) " " (PICTURE_HEIGHT) }
            preserveAspectRatio="none" role="img" aria-label={ (title) ": in " (busy) " of " (width) " intervals" } {
            rect.ground y=(PICTURE_HEIGHT.saturating_sub(1)) width=(width) height="1" {}
            @for (at, sum) in sums.iter().enumerate() {
                @let height = share(*sum, highest, PICTURE_HEIGHT);
                @if height > 0 {
                    rect x=(at) y=(PICTURE_HEIGHT.saturating_sub(height)) width="1" height=(height) {}
                }
            }
        }
    }
}

/// So many parts of `whole` as the figure is of the highest; at least one, where there is something.
fn share(figure: u64, highest: u64, whole: u64) -> u64 {
    let parts = u128::from(figure).saturating_mul(whole.into()).checked_div(highest.into()).unwrap_or(0);
    u64::try_from(parts).unwrap_or(whole).min(whole).max(u64::from(figure > 0))
}
