//! Going through the records that a filter means, over all files of a log, in their order. Memory stays
//! the same however many there are.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;

use super::entry::Entry;
use super::files::LogFile;
use super::filter::{Filter, Needles, TimeSpan};
use super::lines::{End, Lines};
use crate::audit::rotation::Kind;

/// By how much the clock may go back between two files, in milliseconds, before the first records of
/// files no longer tell where a time is to be found.
const CLOCK_MILLISECONDS_BACK: i64 = 3_600_000;

/// What could not be read.
#[derive(Debug)]
pub enum Unread<'a> {
    /// A line that is no record: in which file, and its number there.
    Line(&'a Path, u64),
    /// A file, or the rest of it.
    File(&'a Path, io::Error),
}

/// A record that was found.
#[derive(Debug)]
pub struct Found<'a> {
    /// Its line as it stands in the file, without the line end.
    pub line: &'a [u8],
    /// What it says.
    pub entry: Entry<'a>,
}

/// Hands the records of these files that are meant to `found`, until that has enough, and what cannot be
/// read to `unread`. Of lines that cannot be meant by their bytes, it is not looked at whether they are records.
///
/// # Errors
/// That of `found`.
pub fn scan<E>(
    files: &[LogFile],
    needles: &Needles,
    admits: impl Fn(&Entry<'_>) -> bool,
    mut unread: impl FnMut(Unread<'_>),
    mut found: impl FnMut(Found<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let mut lines = Lines::of(files);
    let path = |index: usize| files.get(index).map_or(Path::new(""), |file| &file.path);
    loop {
        let line = match lines.read_next() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err((file, error)) => {
                unread(Unread::File(path(file), error));
                continue;
            }
        };
        if line.bytes.starts_with(b"{\"seq\":") && line.bytes.ends_with(b"}") && !needles.may_admit(line.bytes) {
            continue;
        }
        match Entry::parse(line.bytes) {
            Ok(entry) if line.end != End::TooLong => {
                if admits(&entry) && found(Found { line: line.bytes, entry })?.is_break() {
                    return Ok(());
                }
            }
            // It is being written.
            Err(_) if line.end == End::OfFile && files.get(line.file).is_some_and(|file| file.kind == Kind::Open) => {}
            _ => unread(Unread::Line(path(line.file), line.number)),
        }
    }
}

/// The files in which records may lie that the filter means, by the first records of all.
#[must_use]
pub fn narrowed(files: Vec<LogFile>, filter: &Filter) -> Vec<LogFile> {
    if files.len() < 2 || (filter.span.is_everything() && filter.records.is_empty()) {
        return files;
    }
    let firsts: Vec<Option<(u64, i64)>> = files.iter().map(first).collect();
    let times: Vec<i64> = firsts.iter().flatten().map(|(_, time)| *time).collect();
    // Where the clock went back, the files do not tell where a time is to be found.
    let span = if times.is_sorted() { filter.span } else { TimeSpan::default() };
    let next = firsts.iter().skip(1).copied().chain([None]);
    let mut kept = firsts.iter().copied().zip(next).map(|(first, next)| {
        let lowest = first.map_or(0, |(seq, _)| seq);
        let highest = next.map_or(u64::MAX, |(seq, _)| seq.saturating_sub(1));
        let numbers = filter.records.iter().any(|range| *range.start() <= highest && *range.end() >= lowest);
        let early = |from: Timestamp| next.is_some_and(|(_, time)| slack(time, 1) < from.as_millisecond());
        let late = |to: Timestamp| first.is_some_and(|(_, time)| slack(time, -1) >= to.as_millisecond());
        (filter.records.is_empty() || numbers) && !span.from.is_some_and(early) && !span.to.is_some_and(late)
    });
    files.into_iter().filter(|_| kept.next().unwrap_or(true)).collect()
}

fn slack(time: i64, times: i64) -> i64 {
    time.saturating_add(CLOCK_MILLISECONDS_BACK.saturating_mul(times))
}

/// Number and time of the first record of a file; none where it cannot be told.
fn first(file: &LogFile) -> Option<(u64, i64)> {
    let files = [file.clone()];
    let mut lines = Lines::of(&files);
    let line = lines.read_next().ok()??;
    Entry::parse(line.bytes).ok().map(|entry| (entry.seq, entry.time))
}

#[cfg(test)]
mod tests;
