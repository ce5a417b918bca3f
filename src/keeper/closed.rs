//! A closed file before it is compressed or removed: it must verify by itself, chain and signature.

use jiff::Timestamp;
use serde::Deserialize;

use crate::audit::rotation::Kind;
use crate::audit::signing::PublicKey;
use crate::trail::files::LogFile;
use crate::trail::verify::{ClosedFile, closed_file};

/// Why a file does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, in words. Nothing in it can drive a terminal.
    pub reason: String,
    /// In which line, from 1, where it is one.
    pub line: Option<u64>,
}

/// The number of a record.
#[derive(Deserialize)]
pub(super) struct Numbered {
    pub(super) seq: u64,
}

/// Verifies a closed file by itself: the chain, that its last record is a checkpoint by one of the keys, and that its
/// name is its own.
///
/// # Errors
/// What is wrong with it.
pub fn verify(file: &LogFile, keys: &[PublicKey]) -> Result<ClosedFile, Fault> {
    let fault = |reason: &str, line| Fault { reason: reason.to_owned(), line };
    let Kind::Closed { first_seq, .. } = file.kind else { return Err(fault("it is not closed", None)) };
    let closed = closed_file(file, keys, Timestamp::now()).map_err(|verdict| match verdict.first_finding() {
        Some(finding) => fault(&finding.message, finding.line.filter(|line| *line > 0)),
        None => fault("its last record is no checkpoint by a key of this server", None),
    })?;
    if closed.first_seq == first_seq {
        Ok(closed)
    } else {
        Err(fault("its first record is not the one that it is named by", Some(1)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::audit::chain::ChainHash;
    use crate::audit::event::Event;
    use crate::audit::json::{Stamp, append_line};
    use crate::audit::record::{Detail, Record};
    use crate::audit::rotation::closed_name;
    use crate::audit::signing::SigningKey;
    use crate::trail::verify::made::Made;

    /// The lines of records with these numbers, which nobody signs, and the hash of the last.
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

    /// A log whose first file is closed behind so many records and a few, with its key.
    pub(crate) fn closed(records: u64) -> (Vec<u8>, [PublicKey; 1]) {
        let key = SigningKey::generate().unwrap();
        let keys = [key.public()];
        let mut made = Made::begun(key);
        made.work(records);
        made.rotate();
        (made.closed.remove(0).1, keys)
    }

    #[test]
    fn a_file_that_verifies_says_what_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let (content, keys) = closed(5);
        let found = verify(&file(directory.path(), 1, &content), &keys).unwrap();
        assert_eq!((found.first_seq, found.last_seq, found.key), (1, 8, keys[0].id()));
    }

    #[test]
    fn a_file_with_a_key_changed_in_it_verifies_by_both() {
        let directory = tempfile::tempdir().unwrap();
        let [old, new] = [(); 2].map(|()| SigningKey::generate().unwrap());
        let keys = [new.public(), old.public()];
        let mut made = Made::begun(old);
        made.work(3);
        made.change_key(new, true);
        made.work(3);
        made.rotate();
        let both = file(directory.path(), 1, &made.closed[0].1);
        assert_eq!(verify(&both, &keys).unwrap().key, keys[0].id());
        assert!(verify(&both, &[SigningKey::generate().unwrap().public()]).is_err());
    }

    #[test]
    fn whatever_was_done_to_a_file_is_found_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let (content, keys) = closed(5);
        let whole: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
        let changed = String::from_utf8(content.clone()).unwrap().replacen("/in/1.csv", "/in/7.csv", 1).into_bytes();
        let swapped = [&whole[..2], &[whole[3], whole[2]], &whole[4..]].concat().concat();
        let removed = [&whole[..3], &whole[4..]].concat().concat();
        for (content, first_seq, line) in [
            (changed, 1, Some(4)),
            (swapped, 1, Some(3)),
            (removed, 1, Some(4)),
            (whole[..7].concat(), 1, Some(7)),
            (content.clone(), 4, Some(1)),
            (b"\n".to_vec(), 1, None),
            (Vec::new(), 1, None),
            // Chained, and by nobody.
            (lines(1..=5, ChainHash::NONE).0, 1, Some(5)),
        ] {
            let fault = verify(&file(directory.path(), first_seq, &content), &keys).unwrap_err();
            assert_eq!(fault.line, line, "{}", fault.reason);
        }
    }
}
