//! What verification found: what is proven, and what is not as the server wrote it.

use serde::Serialize;

/// Findings that are kept; of further ones there is a count.
pub const FINDINGS_MAX: usize = 100;
/// Notes of one kind that are kept; of further ones there is a count.
pub const NOTES_MAX: usize = 100;

/// What can be said about a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The answer in one word.
    pub state: State,
    /// What is wrong, in the order of the log; the first is where to look.
    pub findings: Vec<Finding>,
    /// How many findings there are, those that were not kept included.
    pub findings_total: u64,
    /// The id of the log.
    pub log: Option<String>,
    /// Whether a server writes it.
    pub in_use: bool,
    /// Whether its last record says that the server stopped in order.
    pub closed: bool,
    /// The files that were read.
    pub files: Vec<FileSpan>,
    /// How many records are in the chain.
    pub records: u64,
    /// The first of them.
    pub first: Option<Position>,
    /// The last of them.
    pub last: Option<Position>,
    /// How many checkpoints are good: signed by a trusted key, and true.
    pub checkpoints: u64,
    /// The last good one.
    pub signed: Option<Signed>,
    /// What stands behind it.
    pub tail: Tail,
    /// The keys that signed, and whether they are trusted.
    pub keys: Vec<Key>,
    /// Heads from elsewhere that were compared.
    pub witnesses: Witnesses,
    /// Records that retention removed, by the log's own signed word.
    pub pruned: Vec<Range>,
    /// Gaps that the log itself tells of, such as a crash; no tampering by themselves.
    pub gaps: Notes,
    /// Times in which the log could not be written.
    pub outages: Notes,
    /// Places where the clock went back.
    pub clock_back: Notes,
}

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All records up to the last checkpoint are as they were signed, and those behind it are chained.
    Proven,
    /// Nothing is wrong with the chain, and yet its end proves less than it should.
    Warning,
    /// Records were changed, removed, put in or moved.
    Tampered,
    /// A signature is not one by a trusted key.
    BadSignature,
    /// Records at the end are missing.
    Truncated,
    /// Something could not be read.
    Unreadable,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A record is not what it was: its own hash says so.
    Edited,
    /// A record was changed and its hash made anew: the record behind it follows another one.
    Rehashed,
    /// Records are missing.
    Deleted,
    /// A record is in the way: those around it follow each other.
    Inserted,
    /// A record stands elsewhere than it was written.
    Reordered,
    /// A record stands in the log once more.
    Duplicated,
    /// Two records follow the same one, and nothing tells which was there first.
    Forked,
    /// A line is no record.
    NoRecord,
    /// Whole files are missing, and nothing says that retention removed them.
    MissingFile,
    /// Another log begins in the middle of this one.
    Restarted,
    /// The server found this log, or none, in the place of another one that it had signed.
    Replaced,
    /// The content of a compressed file is not what was compressed.
    Damaged,
    /// A good signature stands for other records than are here.
    NotAsSigned,
    /// The signature of a checkpoint or head is wrong.
    BadSignature,
    /// Signatures are by a key that is not trusted, and no later one is better.
    UnknownKey,
    /// The key was changed, and the one before did not agree.
    UnprovenKey,
    /// A checkpoint or head is one of another log.
    OtherLog,
    /// Records at the end are missing.
    Truncated,
    /// A file cannot be read.
    Unreadable,
    /// No server writes the log, and its end does not say that it was stopped in order.
    NotClosed,
    /// Too many records at the end, or for too long, without a signature.
    UnsignedTail,
    /// Nothing is signed by a trusted key.
    Unsigned,
    /// What lies beside the log as its newest head is none.
    NoHead,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// The file, where it is in one.
    pub file: Option<String>,
    /// The line there, from 1.
    pub line: Option<u64>,
    /// The first record concerned.
    pub first_seq: Option<u64>,
    /// The last record concerned.
    pub last_seq: Option<u64>,
    /// The same in words. Nothing in it can drive a terminal.
    pub message: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSpan {
    /// Where it is.
    pub file: String,
    /// Its first record in the chain.
    pub first_seq: Option<u64>,
    /// Its last record in the chain.
    pub last_seq: Option<u64>,
}

/// A record in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Its number.
    pub seq: u64,
    /// When it was written, RFC 3339.
    pub time: String,
    /// The hash of the record before.
    pub prev: String,
    /// Its hash.
    pub hash: String,
}

/// A good checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// The last record that the signature stands for.
    pub head_seq: u64,
    /// The number of the checkpoint.
    pub seq: u64,
    /// When it was signed, RFC 3339.
    pub time: String,
    /// The id of the key.
    pub key: String,
}

/// The records behind the last good checkpoint: chained, not signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tail {
    /// How many.
    pub records: u64,
    /// When the first of them was written, RFC 3339.
    pub since: Option<String>,
    /// How long ago that is.
    pub seconds: Option<u64>,
    /// Bytes of a line at the very end that is not whole.
    pub torn_bytes: u64,
}

/// A key that signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Why it is trusted, or not.
    pub trust: Trust,
    /// How many checkpoints it signed.
    pub checkpoints: u64,
}

/// Why a key is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// It was given.
    Given,
    /// A trusted key named it as the one that follows.
    Succeeded,
    /// It is not.
    None,
}

/// Heads from elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Witnesses {
    /// How many were given or lie beside the log.
    pub given: u64,
    /// How many are heads of this chain.
    pub agree: u64,
}

/// Records by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The first.
    pub first_seq: u64,
    /// The last.
    pub last_seq: u64,
}

/// Places in the log that are worth a look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Notes {
    /// How many there are.
    pub total: u64,
    /// The first [`NOTES_MAX`] of them.
    pub places: Vec<Note>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The number of the record.
    pub seq: u64,
    /// When it was written, RFC 3339.
    pub time: String,
    /// What, in words. Nothing in it can drive a terminal.
    pub what: String,
}

impl Kind {
    /// What a finding of this kind makes of the log.
    pub const fn state(self) -> State {
        match self {
            Self::Edited
            | Self::Rehashed
            | Self::Deleted
            | Self::Inserted
            | Self::Reordered
            | Self::Duplicated
            | Self::Forked
            | Self::NoRecord
            | Self::MissingFile
            | Self::Restarted
            | Self::Replaced
            | Self::Damaged
            | Self::NotAsSigned => State::Tampered,
            Self::BadSignature | Self::UnknownKey | Self::UnprovenKey | Self::OtherLog => State::BadSignature,
            Self::Truncated => State::Truncated,
            Self::Unreadable => State::Unreadable,
            Self::NotClosed | Self::UnsignedTail | Self::Unsigned | Self::NoHead => State::Warning,
        }
    }
}

impl State {
    /// The exit code of the command that verifies.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Proven => 0,
            Self::Unreadable => 1,
            Self::Warning => 3,
            Self::Tampered => 4,
            Self::BadSignature => 5,
            Self::Truncated => 6,
        }
    }
}

impl Verdict {
    /// The finding that the verdict names: the first that is evidence, else the first that could not be
    /// read, else the first warning.
    pub fn first_finding(&self) -> Option<&Finding> {
        leading(&self.findings)
    }
}

/// See [`Verdict::first_finding`].
pub(super) fn leading(findings: &[Finding]) -> Option<&Finding> {
    let evidence = |finding: &&Finding| !matches!(finding.kind.state(), State::Unreadable | State::Warning);
    let unreadable = |finding: &&Finding| finding.kind.state() == State::Unreadable;
    findings.iter().find(evidence).or_else(|| findings.iter().find(unreadable)).or_else(|| findings.first())
}

impl Notes {
    pub(super) fn add(&mut self, note: impl FnOnce() -> Note) {
        self.total = self.total.saturating_add(1);
        if self.places.len() < NOTES_MAX {
            self.places.push(note());
        }
    }
}
