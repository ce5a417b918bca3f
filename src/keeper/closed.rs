//! A closed file looked at by itself: whole lines, numbers without a gap, each record tied to the one
//! before. Signatures, and what ties it to other files, are the business of whoever has the key.

use std::fmt;
use std::io;

use serde::Deserialize;

use crate::audit::chain::{ChainHash, Sealed};
use crate::audit::rotation::Kind;
use crate::trail::files::LogFile;
use crate::trail::lines::{End, Lines};

/// What a file that verifies holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The number of its first record.
    pub first_seq: u64,
    /// The number of its last record.
    pub last_seq: u64,
    /// The hash of that record.
    pub last_hash: ChainHash,
    /// When it was written, in milliseconds since the Unix epoch.
    pub last_time: i64,
}

/// Why a file does not verify.
#[derive(Debug)]
pub enum Fault {
    /// It cannot be read.
    Io(io::Error),
    /// A line of it, by its number from 1; 0 is the file as a whole.
    Line(u64, &'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "it cannot be read: {error}"),
            Self::Line(0, reason) => f.write_str(reason),
            Self::Line(line, reason) => write!(f, "line {line}: {reason}"),
        }
    }
}

/// The number and time of a record.
#[derive(Deserialize)]
pub(super) struct Numbered {
    pub(super) seq: u64,
    pub(super) time: i64,
}

/// Verifies a closed file by itself.
///
/// # Errors
/// The first [`Fault`].
pub fn verify(file: &LogFile) -> Result<Summary, Fault> {
    let Kind::Closed { first_seq, .. } = file.kind else {
        return Err(Fault::Line(0, "it is not closed"));
    };
    let files = [file.clone()];
    let mut lines = Lines::of(&files);
    let mut summary: Option<Summary> = None;
    while let Some(line) = lines.read_next().map_err(|(_, error)| Fault::Io(error))? {
        let fault = |reason| Fault::Line(line.number, reason);
        match line.end {
            End::Whole => {}
            End::OfFile => return Err(fault("it was cut short")),
            End::TooLong => return Err(fault("it is longer than any record")),
        }
        let sealed = Sealed::parse(line.bytes).ok_or_else(|| fault("it is no record with its place in the chain"))?;
        if !sealed.is_whole() {
            return Err(fault("it is not what its hash says"));
        }
        let Numbered { seq, time } = serde_json::from_slice(line.bytes).map_err(|_| fault("it is no record"))?;
        let expected = match &summary {
            None => first_seq,
            Some(before) if before.last_hash != sealed.prev => {
                return Err(fault("it does not follow the record before it"));
            }
            Some(before) => before.last_seq.saturating_add(1),
        };
        if seq != expected {
            return Err(fault("its number does not follow the one before it"));
        }
        summary = Some(Summary { first_seq, last_seq: seq, last_hash: sealed.hash, last_time: time });
    }
    summary.ok_or(Fault::Line(0, "it holds no record"))
}
