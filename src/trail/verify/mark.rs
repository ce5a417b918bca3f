//! A line as verification sees it: its place, its links, and what it says of the log itself. It stays
//! small, so that lines ahead can be looked at without keeping them.

use std::collections::VecDeque;
use std::io;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::audit::chain::{ChainHash, Sealed};
use crate::trail::entry::Text;
use crate::trail::lines::{End, Line, Lines};

/// How many lines ahead are looked at to tell what happened at one.
pub(super) const AHEAD_MAX: usize = 1024;
/// Longest text of a record about the log that is taken over, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Lines of one file that are no records before the rest of it is left alone.
const NO_RECORDS_MAX: u32 = 100_000;

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The index of the file.
    pub(super) file: usize,
    /// The line, from 1; 0 is the file itself.
    pub(super) line: u64,
}

/// A line.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) place: Place,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Link(Link),
    /// No record: its length in bytes, and how it ends.
    NoRecord(usize, End),
    /// The file cannot be read on.
    Broken(io::Error),
    /// So many lines were no records that the rest of the file is left alone.
    GivenUp,
}

/// A record's links.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) seq: u64,
    /// The hash of the record before, by its own word.
    pub(super) prev: ChainHash,
    /// Its hash, by its own word.
    pub(super) hash: ChainHash,
    /// Its hash behind `prev`, as it should be.
    pub(super) computed: ChainHash,
    /// Milliseconds since the Unix epoch.
    pub(super) time: i64,
    /// Whether it was written later than it says, after an outage.
    pub(super) late: bool,
    pub(super) about: Option<Box<About>>,
}

impl Link {
    /// Whether its own hash is right.
    pub(super) fn is_whole(&self) -> bool {
        self.hash == self.computed
    }
}

/// What a record says of the log itself.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) event: Event,
    pub(super) detail: String,
    pub(super) facts: Facts,
}

/// The events that verification knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Begun,
    Rotated,
    Checkpoint,
    KeyChanged,
    Pruned,
    Gap,
    Degraded,
}

impl Event {
    fn of(code: &str) -> Option<Self> {
        Some(match code.strip_prefix("audit.")? {
            "begun" => Self::Begun,
            "rotated" => Self::Rotated,
            "checkpoint" => Self::Checkpoint,
            "key_changed" => Self::KeyChanged,
            "pruned" => Self::Pruned,
            "gap" => Self::Gap,
            "degraded" => Self::Degraded,
            _ => return None,
        })
    }
}

/// The details of such records.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    pub(super) log: Short,
    pub(super) reason: Short,
    pub(super) key: Short,
    pub(super) key_before: Short,
    pub(super) public_key: Short,
    pub(super) succession: Short,
    pub(super) signature: Short,
    pub(super) head_log: Short,
    pub(super) head_seq: Option<u64>,
    pub(super) head_hash: Short,
    pub(super) head_time: Short,
    pub(super) last_seq: Option<u64>,
    pub(super) last_hash: Short,
    pub(super) records_late: Option<u64>,
    pub(super) records_lost: Option<u64>,
}

/// A text of a bounded length; a longer one is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Short(pub(super) String);

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(if text.len() <= TEXT_BYTES_MAX { text } else { String::new() }))
    }
}

/// As much of every record as verification needs.
#[derive(Deserialize)]
struct Stub<'a> {
    seq: u64,
    time: i64,
    #[serde(borrow)]
    status_detail: Option<Text<'a>>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    unmapped: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    event_code: Text<'a>,
}

impl Content {
    fn of(line: &Line<'_>, last_time: i64) -> Self {
        let no_record = Self::NoRecord(line.bytes.len(), line.end);
        if line.end != End::Whole {
            return no_record;
        }
        let Some(sealed) = Sealed::parse(line.bytes) else { return no_record };
        let Ok(stub) = serde_json::from_slice::<Stub<'_>>(line.bytes) else { return no_record };
        let about = Event::of(&stub.metadata.event_code).map(|event| {
            let facts = stub.unmapped.and_then(|facts| serde_json::from_str(facts.get()).ok());
            let detail = stub.status_detail.as_deref().unwrap_or_default();
            let detail = if detail.len() <= TEXT_BYTES_MAX { detail.to_owned() } else { String::new() };
            Box::new(About { event, detail, facts: facts.unwrap_or_default() })
        });
        // Most records come in the order of their times, and need not be asked.
        let late = stub.time < last_time && memchr::memmem::find(line.bytes, b"\"late\":true").is_some();
        Self::Link(Link {
            seq: stub.seq,
            prev: sealed.prev,
            hash: sealed.hash,
            computed: sealed.prev.after(sealed.body),
            time: stub.time,
            late,
            about,
        })
    }
}

/// The lines of a log, with a look at those ahead.
pub(super) struct Marks<'a> {
    lines: Lines<'a>,
    ahead: VecDeque<Mark>,
    ended: bool,
    last_time: i64,
    /// The file that lines without a record are counted in, and how many there were.
    no_records: (usize, u32),
}

impl<'a> Marks<'a> {
    pub(super) fn of(lines: Lines<'a>) -> Self {
        Self { lines, ahead: VecDeque::new(), ended: false, last_time: i64::MIN, no_records: (0, 0) }
    }

    /// The next line.
    pub(super) fn take(&mut self) -> Option<Mark> {
        self.ahead.pop_front().or_else(|| self.read())
    }

    /// The line behind as many others, up to [`AHEAD_MAX`].
    pub(super) fn peek(&mut self, skip: usize) -> Option<&Mark> {
        while self.ahead.len() <= skip && self.ahead.len() < AHEAD_MAX && !self.ended {
            if let Some(mark) = self.read() {
                self.ahead.push_back(mark);
            }
        }
        self.ahead.get(skip)
    }

    /// The next record, whatever stands before it.
    pub(super) fn peek_link(&mut self) -> Option<&Link> {
        let mut skip = 0_usize;
        while let Some(mark) = self.peek(skip) {
            if matches!(mark.content, Content::Link(_)) {
                break;
            }
            skip = skip.saturating_add(1);
        }
        self.ahead.get(skip).and_then(Mark::link)
    }

    /// All records ahead, as far as is looked.
    pub(super) fn look_ahead(&mut self) -> impl Iterator<Item = &Link> {
        self.peek(AHEAD_MAX.saturating_sub(1));
        self.ahead.iter().filter_map(Mark::link)
    }

    fn read(&mut self) -> Option<Mark> {
        if self.ended {
            return None;
        }
        let (place, content) = match self.lines.read_next() {
            Ok(None) => {
                self.ended = true;
                return None;
            }
            Ok(Some(line)) => (Place { file: line.file, line: line.number }, Content::of(&line, self.last_time)),
            Err((file, error)) => (Place { file, line: 0 }, Content::Broken(error)),
        };
        let content = match content {
            Content::NoRecord(..) if self.is_hopeless(place.file) => {
                self.lines.skip_file();
                Content::GivenUp
            }
            content => content,
        };
        if let Content::Link(link) = &content {
            self.last_time = link.time;
        }
        Some(Mark { place, content })
    }

    /// Counts a line without a record; whether there were too many in this file.
    fn is_hopeless(&mut self, file: usize) -> bool {
        let (counted, count) = self.no_records;
        let count = if counted == file { count.saturating_add(1) } else { 1 };
        self.no_records = (file, count);
        count > NO_RECORDS_MAX
    }
}

impl Mark {
    pub(super) fn link(&self) -> Option<&Link> {
        if let Content::Link(link) = &self.content { Some(link) } else { None }
    }
}
