//! Both ends of a file of the log, as far as a start has to know them: what it begins and ends with,
//! and what is torn behind that.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::chain::{ChainHash, Sealed};
use super::checkpoint::Reason;

/// How far from the end the last whole record is looked for, in bytes; more than a record can have.
pub(super) const TAIL_BYTES_MAX: u64 = 1 << 20;
const CHECKPOINT: &str = "audit.checkpoint";
/// What the line of a record of the log itself has.
const OWN: &[u8] = b"\"event_code\":\"audit.";

/// Why a file cannot be gone on with.
#[derive(Debug)]
pub(super) enum TailError {
    Io(io::Error),
    /// Its end holds no record far and wide.
    Damaged,
    /// Its last record has no place in a chain.
    Unchained,
}

impl From<io::Error> for TailError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What one line says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    /// Its place in the chain; none where it has none.
    pub(super) hash: Option<ChainHash>,
    /// The log that it names.
    pub(super) log: Option<String>,
    /// The key that it names.
    pub(super) key: Option<String>,
    /// Why it signs, where it is a checkpoint.
    checkpoint: Option<String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    seq: u64,
    #[serde(default)]
    time: i64,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
    unmapped: Option<Facts>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    event_code: std::borrow::Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct Facts {
    log: Option<Value>,
    key: Option<Value>,
    reason: Option<Value>,
}

impl Mark {
    /// None where the line is no record.
    fn of(line: &[u8]) -> Option<Self> {
        let Line { seq, time, metadata, unmapped } = serde_json::from_slice(line).ok()?;
        let facts = unmapped.unwrap_or_default();
        let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        let event = metadata.map(|metadata| metadata.event_code).unwrap_or_default();
        let (is_own, is_checkpoint) = (event.starts_with("audit."), event == CHECKPOINT);
        Some(Self {
            seq,
            time: Timestamp::from_millisecond(time).unwrap_or(Timestamp::UNIX_EPOCH),
            hash: Sealed::parse(line).map(|sealed| sealed.hash),
            log: text(facts.log).filter(|log| is_own && log.parse::<ulid::Ulid>().is_ok()),
            key: text(facts.key).filter(|key| is_own && key.len() == 16),
            checkpoint: is_checkpoint.then(|| text(facts.reason).unwrap_or_default()),
        })
    }

    /// Whether the log is signed up to it.
    pub(super) fn is_checkpoint(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// Whether a file may end with it.
    pub(super) fn closes_file(&self) -> bool {
        self.is_stop() || self.checkpoint.as_deref() == Some(Reason::Rotation.word())
    }

    /// Whether the server stopped in order behind it.
    pub(super) fn is_stop(&self) -> bool {
        self.checkpoint.as_deref() == Some(Reason::Stop.word())
    }
}

/// Both ends of a file.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) first: Option<Mark>,
    pub(super) last: Option<Mark>,
    /// The newest checkpoint that is near the end.
    pub(super) checkpoint: Option<Mark>,
    /// The id of the newest key that is named near the end.
    pub(super) key: Option<String>,
    /// The length up to the end of the last whole record.
    pub(super) whole_bytes: u64,
    /// What stands behind that.
    pub(super) torn: Vec<u8>,
}

impl Ends {
    /// The ends of a file of this length.
    pub(super) fn read(file: &File, length: u64) -> Result<Self, TailError> {
        let start = length.saturating_sub(TAIL_BYTES_MAX);
        let mut window = vec![0; usize::try_from(length.saturating_sub(start)).map_err(io::Error::other)?];
        file.read_exact_at(&mut window, start)?;
        let mut found = Self::default();
        let mut rest = window.as_slice();
        while let Some(newline) = rest.iter().rposition(|&byte| byte == b'\n') {
            let (before, _) = rest.split_at(newline);
            let line = match before.iter().rposition(|&byte| byte == b'\n') {
                Some(previous) => before.get(previous.saturating_add(1)..).unwrap_or_default(),
                None if start == 0 => before,
                None => break,
            };
            rest = before;
            // Once the end is found, only what the log says of itself is of interest.
            if found.last.is_some() && memchr::memmem::find(line, OWN).is_none() {
                continue;
            }
            let Some(mark) = Mark::of(line) else { continue };
            found.key = found.key.or_else(|| mark.key.clone());
            if mark.is_checkpoint() {
                found.checkpoint = Some(mark.clone());
            }
            if found.last.is_none() {
                if mark.hash.is_none() {
                    return Err(TailError::Unchained);
                }
                let whole = newline.saturating_add(1);
                found.whole_bytes = start.saturating_add(u64::try_from(whole).unwrap_or(u64::MAX));
                found.torn = window.get(whole..).unwrap_or_default().to_vec();
                found.last = Some(mark);
            }
            if found.checkpoint.is_some() {
                break;
            }
        }
        if found.last.is_none() {
            if start > 0 {
                return Err(TailError::Damaged);
            }
            found.torn = window;
            return Ok(found);
        }
        let mut beginning = vec![0; usize::try_from(found.whole_bytes.min(TAIL_BYTES_MAX)).map_err(io::Error::other)?];
        file.read_exact_at(&mut beginning, 0)?;
        found.first = beginning.split(|byte| *byte == b'\n').next().and_then(Mark::of);
        Ok(found)
    }

    /// The ends of a compressed file, which has no torn one.
    pub(super) fn read_compressed(file: &File) -> Result<Self, TailError> {
        let mut lines = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
        let mut found = Self::default();
        let (mut line, mut last) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            let read = lines.by_ref().take(TAIL_BYTES_MAX).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            if line.pop_if(|byte| *byte == b'\n').is_some() {
                if found.first.is_none() {
                    found.first = Mark::of(&line);
                }
                std::mem::swap(&mut line, &mut last);
            }
        }
        found.last = Mark::of(&last);
        match &found.last {
            None => Err(TailError::Damaged),
            Some(mark) if mark.hash.is_none() => Err(TailError::Unchained),
            Some(mark) => {
                found.key.clone_from(&mark.key);
                found.checkpoint = mark.is_checkpoint().then(|| mark.clone());
                Ok(found)
            }
        }
    }
}
