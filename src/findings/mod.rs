//! What in the audit log somebody should look at: guessed passwords, unusual logins, ransomware,
//! clients that cannot work, things that end, and what the log says about itself.
//!
//! One reading of the log is enough, and its memory is bounded whatever the log says: detectors keep
//! what they know of sources and users in maps of a fixed size ([`bounded`]), which forget who was
//! not seen for longest, texts are cut before they are kept, and findings are counted where they
//! become too many.
//!
//! | module | subject |
//! |---|---|
//! | [`finding`] | a finding, its kind, its evidence |
//! | [`context`] | what is known besides the log: users, certificates, exceptions |
//! | `command` | the command that shows the evidence |
//! | `seen` | a record as detectors look at it: when, from which source, by whom |
//! | `bounded` | maps that forget |
//! | `collect` | findings that were made, bounded in number |
//! | `detect` | the detectors, one a file |

mod bounded;
mod collect;
mod command;
pub mod context;
mod detect;
pub mod finding;
mod seen;

use std::io;
use std::path::PathBuf;

use crate::settings::Thresholds;
use crate::trail::entry::Entry;
use crate::trail::files::LogFile;
use crate::trail::filter::TimeSpan;
use crate::trail::lines::Lines;
use collect::Collected;
use context::Context;
use detect::Detectors;
use finding::Finding;
use seen::Seen;

/// What a reading came to.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The findings, the most severe first, then the latest.
    pub findings: Vec<Finding>,
    /// How many more there were than are kept of one kind.
    pub left_out: u64,
    /// How many records were read.
    pub records: u64,
    /// How many lines were no records.
    pub unreadable: u64,
    /// How many sources and users were forgotten, because more came than are remembered.
    pub forgotten: u64,
    /// Files that could not be read to their end, and why.
    pub failed: Vec<(PathBuf, String)>,
}

/// Looks for findings while records pass by, in the order of the log.
pub struct Finder {
    detectors: Detectors,
    collected: Collected,
    context: Context,
    span: TimeSpan,
    records: u64,
    unreadable: u64,
    last_seq: u64,
}

impl std::fmt::Debug for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finder").field("records", &self.records).finish_non_exhaustive()
    }
}

impl Finder {
    /// One that has seen nothing, for the findings of this time. What lies before it is read all the same:
    /// it tells what is usual.
    pub fn new(thresholds: &Thresholds, context: Context, span: TimeSpan) -> Self {
        Self {
            detectors: Detectors::new(thresholds, &context.zone),
            collected: Collected::new(span.from),
            context,
            span,
            records: 0,
            unreadable: 0,
            last_seq: 0,
        }
    }

    /// Looks at the next record.
    pub fn observe(&mut self, entry: &Entry<'_>) {
        let seen = Seen::of(entry);
        if self.span.to.is_some_and(|to| seen.time >= to.as_millisecond()) {
            return;
        }
        self.records = self.records.saturating_add(1);
        self.last_seq = entry.seq;
        self.detectors.observe(&seen, &mut self.collected);
    }

    /// Notes a line that is no record.
    pub fn note_unreadable(&mut self) {
        self.unreadable = self.unreadable.saturating_add(1);
    }

    /// What was found.
    pub fn finish(self) -> Found {
        let Self { detectors, mut collected, context, records, unreadable, last_seq, .. } = self;
        if unreadable > 0 {
            collected.unreadable(unreadable, last_seq, &context);
        }
        let forgotten = detectors.finish(&context, &mut collected);
        let (findings, left_out) = collected.into_findings();
        Found { findings, left_out, records, unreadable, forgotten, failed: Vec::new() }
    }
}

/// Reads these files and looks for findings.
pub fn find(files: &[LogFile], thresholds: &Thresholds, context: Context, span: TimeSpan) -> Found {
    let mut finder = Finder::new(thresholds, context, span);
    let mut lines = Lines::of(files);
    let mut failed: Vec<(PathBuf, String)> = Vec::new();
    let mut fail = |index: usize, error: &io::Error| {
        if let Some(file) = files.get(index) {
            failed.push((file.path.clone(), error.to_string()));
        }
    };
    loop {
        match lines.read_next() {
            Ok(None) => break,
            Ok(Some(line)) => match Entry::parse(line.bytes) {
                Ok(entry) => finder.observe(&entry),
                Err(_) => finder.note_unreadable(),
            },
            Err((index, error)) => fail(index, &error),
        }
    }
    Found { failed, ..finder.finish() }
}
