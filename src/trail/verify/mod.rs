//! Whether a log is as the server wrote it: told from its files and the public keys alone, in one pass
//! and with bounded memory.
//!
//! | module | subject |
//! |---|---|
//! | [`verdict`] | what was found, in words and for programs |
//! | `mark` | a line: its links, and what it says of the log itself |
//! | `walk` | the chain, and what somebody did where it breaks |
//! | `story` | what the records in the chain tell: signatures, keys, retention, crashes |
//! | `keys` | which keys are trusted |
//! | `findings` | what is wrong, as it is gathered |
//! | `end` | what can be said at the end |

mod end;
mod findings;
mod keys;
mod mark;
mod story;
pub mod verdict;
mod walk;

#[cfg(test)]
pub(crate) mod made;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Read};
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};

use super::files::LogFile;
use super::lines::Lines;
use crate::audit::chain::ChainHash;
use crate::audit::head::{HEAD_NAME, SignedHead};
use crate::audit::signing::PublicKey;
use crate::audit::text::push_escaped;
pub use verdict::{Finding, Kind, State, Verdict};

/// How old records without a signature may be while a server writes, unless said otherwise or it signs
/// less often, in seconds.
pub const UNSIGNED_SECONDS_MAX: u64 = 300;
/// Longest file of heads that is read, in bytes.
const HEADS_BYTES_MAX: u64 = 16 << 20;
/// Longest line of the newest head beside the log that is read, in bytes.
const HEAD_BYTES_MAX: u64 = 4096;

/// What else is known of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// Heads from elsewhere, or from beside the log.
    pub witnesses: Vec<Witness>,
    /// Why what lies beside the log as its newest head is none.
    pub no_head: Option<String>,
    /// Whether a server writes it; [`is_in_use`] tells.
    pub in_use: bool,
    /// Whether only these files are looked at, so that what was before and comes after is not missed.
    pub alone: bool,
    /// The current time.
    pub now: Timestamp,
    /// How old records without a signature may be while a server writes, in seconds.
    pub unsigned_seconds_max: u64,
}

/// A head from elsewhere.
#[derive(Clone, Debug)]
pub struct Witness {
    /// The head.
    pub head: SignedHead,
    /// Where it is from.
    pub source: String,
}

impl Options {
    /// For a log that is complete and written by nobody.
    pub fn at(now: Timestamp) -> Self {
        Self {
            witnesses: Vec::new(),
            no_head: None,
            in_use: false,
            alone: false,
            now,
            unsigned_seconds_max: UNSIGNED_SECONDS_MAX,
        }
    }
}

/// Verifies files, which come in the order of their records.
pub fn verify(files: &[LogFile], keys: &[PublicKey], options: &Options) -> Verdict {
    verify_lines(files, Lines::of(files), keys, options)
}

/// [`verify`] with lines that somebody counts ([`Lines::bytes_read`]).
pub fn verify_lines(files: &[LogFile], lines: Lines<'_>, keys: &[PublicKey], options: &Options) -> Verdict {
    let (story, drafts) = walk::Walk::new(files, lines, keys, options).run();
    end::verdict(files, story, drafts, options)
}

/// What a closed file holds that verifies by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedFile {
    /// Its first record.
    pub first_seq: u64,
    /// What the record before that has for its hash.
    pub first_prev: ChainHash,
    /// Its last record.
    pub last_seq: u64,
    /// The hash of that record.
    pub last_hash: ChainHash,
    /// When that was written.
    pub last_time: Timestamp,
    /// The id of the key that signed its last record, a checkpoint.
    pub key: String,
}

/// Verifies one closed file by itself: its chain, and that its last record is a checkpoint by one of the keys.
///
/// # Errors
/// The verdict, where something is wrong.
pub fn closed_file(file: &LogFile, keys: &[PublicKey], now: Timestamp) -> Result<ClosedFile, Box<Verdict>> {
    let options = Options { alone: true, ..Options::at(now) };
    let verdict = verify(std::slice::from_ref(file), keys, &options);
    let closed = match (&verdict.state, &verdict.first, &verdict.last, &verdict.signed) {
        (State::Proven, Some(first), Some(last), Some(signed)) if signed.seq == last.seq => {
            let links = first.prev.parse().ok().zip(last.hash.parse().ok()).zip(last.time.parse().ok());
            links.map(|((first_prev, last_hash), last_time)| ClosedFile {
                first_seq: first.seq,
                first_prev,
                last_seq: last.seq,
                last_hash,
                last_time,
                key: signed.key.clone(),
            })
        }
        _ => None,
    };
    closed.ok_or_else(|| Box::new(verdict))
}

/// Whether a server has the log in this directory open. A log on another machine, or one that may not be
/// opened, is taken for one that nobody writes.
pub fn is_in_use(directory: &Path) -> bool {
    let Ok(file) = std::fs::File::open(directory.join(crate::audit::file::FILE_NAME)) else { return false };
    // Given back at once where it is given, as the file is closed here.
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// The newest head beside the log in this directory, if there is one.
///
/// # Errors
/// Where it cannot be read, or is none.
pub fn head_beside(directory: &Path) -> io::Result<Option<Witness>> {
    let path = directory.join(HEAD_NAME);
    // The first line is it, as for the server; what stands behind that was put there by somebody else.
    let mut line = Vec::new();
    match std::fs::File::open(&path) {
        Ok(file) => io::BufReader::new(file.take(HEAD_BYTES_MAX)).read_until(b'\n', &mut line)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let head = serde_json::from_slice(&line);
    let head = head.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its first line is no signed head"))?;
    Ok(Some(Witness { head, source: safe(&path.display().to_string()) }))
}

/// The heads in a file, one JSON object a line, as `audit head` prints them.
///
/// # Errors
/// Where it cannot be read, or a line is no head.
pub fn heads(path: &Path) -> io::Result<Vec<Witness>> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(HEADS_BYTES_MAX).read_to_string(&mut text)?;
    let source = safe(&path.display().to_string());
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = lines.map(|(index, line)| {
        let head = serde_json::from_str(line).map_err(|_| {
            let number = index.saturating_add(1);
            io::Error::new(io::ErrorKind::InvalidData, format!("line {number} is no signed head of a log"))
        })?;
        Ok(Witness { head, source: source.clone() })
    });
    read.collect()
}

/// A text with everything in it that could drive a terminal escaped.
fn safe(text: &str) -> String {
    let mut shown = String::new();
    push_escaped(&mut shown, text);
    shown
}

/// A time in milliseconds since the Unix epoch, in RFC 3339.
fn rfc3339(millis: i64) -> String {
    Timestamp::from_millisecond(millis)
        .map_or_else(|_| "a time beyond any calendar".to_owned(), |time| format!("{time:.3}"))
}
