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

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use jiff::Timestamp;

    use super::*;
    use crate::audit::event::Event;
    use crate::audit::json::{Stamp, append_line};
    use crate::audit::record::{Detail, Record};
    use crate::audit::rotation::closed_name;

    /// The lines of records with these numbers, and the hash of the last.
    pub(crate) fn lines(seqs: std::ops::RangeInclusive<u64>, mut head: ChainHash) -> (Vec<u8>, ChainHash) {
        let mut text = Vec::new();
        for seq in seqs {
            let stamp = Stamp { seq, time: Timestamp::UNIX_EPOCH, uid: "01RECORD", late: false };
            let record = Record::new(Event::LoginSuccess).with("note", Detail::Text(format!("number {seq}")));
            head = append_line(&mut text, &stamp, &record, head).unwrap();
        }
        (text, head)
    }

    /// A closed file in a directory.
    pub(crate) fn file(directory: &Path, first_seq: u64, content: &[u8]) -> LogFile {
        let path = directory.join(closed_name(first_seq));
        std::fs::write(&path, content).unwrap();
        LogFile { path, kind: Kind::Closed { first_seq, compressed: false } }
    }

    #[test]
    fn a_file_that_verifies_says_what_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let (content, head) = lines(5..=9, ChainHash::NONE);
        let summary = verify(&file(directory.path(), 5, &content)).unwrap();
        assert_eq!(summary, Summary { first_seq: 5, last_seq: 9, last_hash: head, last_time: 0 });
    }

    #[test]
    fn whatever_was_done_to_a_file_is_found_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let (content, _) = lines(5..=9, ChainHash::NONE);
        let whole: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
        let changed = String::from_utf8(content.clone()).unwrap().replacen("number 7", "number 8", 1).into_bytes();
        let swapped = [whole[0], whole[2], whole[1], whole[3], whole[4]].concat();
        let removed = [whole[0], whole[2], whole[3], whole[4]].concat();
        for (content, first_seq, line) in [
            (changed, 5, 3),
            (swapped, 5, 2),
            (removed, 5, 2),
            (content[..content.len() - 1].to_vec(), 5, 5),
            (content[..content.len() - 40].to_vec(), 5, 5),
            (content.clone(), 4, 1),
            (b"\n".to_vec(), 5, 1),
            (Vec::new(), 5, 0),
        ] {
            let fault = verify(&file(directory.path(), first_seq, &content)).unwrap_err();
            assert!(matches!(fault, Fault::Line(found, _) if found == line), "{fault}, and not in line {line}");
        }
    }
}
