//! The files of the log: the open one keeps its name, and each closed one is named by the number of its
//! first record. The server may not rename or remove files here, so somebody else does that for it.

use super::file::FILE_NAME;

/// What names of closed files begin with.
const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
/// What a compressed file has behind that.
pub const COMPRESSED: &str = ".gz";

/// What a file is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Closed, with the number of its first record; gzip (RFC 1952) where it is compressed.
    Closed {
        /// The number of its first record.
        first_seq: u64,
        /// Whether it is compressed.
        compressed: bool,
    },
    /// The one that grows.
    Open,
}

impl Kind {
    /// What a file of this name is; none where it is no file of the log.
    pub fn of(name: &str) -> Option<Self> {
        if name == FILE_NAME {
            return Some(Self::Open);
        }
        let (name, compressed) = name.strip_suffix(COMPRESSED).map_or((name, false), |name| (name, true));
        let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let first_seq = (digits.len() == 20).then(|| digits.parse().ok()).flatten()?;
        (closed_name(first_seq) == name).then_some(Self::Closed { first_seq, compressed })
    }
}

/// The name of a closed file.
pub fn closed_name(first_seq: u64) -> String {
    format!("{PREFIX}{first_seq:020}{SUFFIX}")
}

/// Renames the open file for the writer, which may not.
pub trait Renamer: Send + std::fmt::Debug {
    /// Asks that the open file gets this name, never over another file. It does not wait: the writer
    /// sees when it is done, writes on in the old file until then, and asks again after a time.
    fn rename_to(&self, name: &str);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_the_records_do_and_others_are_none() {
        let names = [closed_name(1), closed_name(99), closed_name(u64::MAX)];
        assert!(names.is_sorted());
        assert_eq!(Kind::of(&names[1]), Some(Kind::Closed { first_seq: 99, compressed: false }));
        assert_eq!(Kind::of(&format!("{}.gz", names[1])), Some(Kind::Closed { first_seq: 99, compressed: true }));
        assert_eq!(Kind::of("audit.jsonl"), Some(Kind::Open));
        for name in ["audit.jsonl.gz", "audit-1.jsonl", "audit-+0000000000000000001.jsonl", "audit.jsonl.torn", "x"] {
            assert_eq!(Kind::of(name), None, "{name}");
        }
    }
}
