//! The records behind a place in the log, in order, over closed, compressed and renamed files, and
//! those still to come.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use super::closed::Numbered;
use crate::audit::chain::{ChainHash, Sealed};
use crate::audit::file::FILE_NAME;
use crate::audit::rotation::Kind;
use crate::trail::files::{FilesError, LogFile, find};
use crate::trail::lines::LINE_BYTES_MAX;

/// Read at once.
const CHUNK_BYTES: usize = 1 << 16;
/// How far from the end of the open file its last record is looked for; more than a record can have.
const TAIL_BYTES: u64 = 1 << 20;

/// A place in the log: behind a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The number of the record; 0 is the beginning.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// The hash of the first record of its file, by which that is known again.
    pub file: String,
}

/// Reads the log from a place on.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    /// Behind the record that was read last.
    last: Cursor,
    /// Whether that record is still looked for.
    seeking: bool,
    /// The number of the record that was passed over last while seeking; 0 is none.
    passed: u64,
    source: Option<Source>,
    line: Vec<u8>,
}

/// A file that is being read.
struct Source {
    reader: Reader,
    /// Whether it is the open file, as far as is known.
    open: Option<(u64, u64)>,
    /// The number that a closed one is named by.
    begins: u64,
    /// The hash of its first record, once read.
    first: Option<String>,
}

/// The open file of the log.
struct OpenFile {
    file: File,
    /// The number of its first record, where it has one.
    begins: Option<u64>,
}

/// A closed file, behind the number that it is named by.
type Closed = (u64, LogFile);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("open", &self.open).field("first", &self.first).finish_non_exhaustive()
    }
}

enum Reader {
    Plain(Growing),
    Compressed(Box<dyn BufRead + Send>),
}

/// A file of lines that may grow, and may be cut where a write failed.
struct Growing {
    file: File,
    /// Where `buffer` begins in the file: always at the beginning of a line.
    offset: u64,
    buffer: Vec<u8>,
    /// What of the buffer was taken.
    taken: usize,
}

impl Follower {
    /// Reads what stands behind a place.
    pub fn behind(directory: &Path, cursor: Cursor) -> Self {
        let seeking = cursor.seq > 0;
        Self { directory: directory.to_owned(), last: cursor, seeking, passed: 0, source: None, line: Vec::new() }
    }

    /// Behind the record that was read last.
    pub fn place(&self) -> &Cursor {
        &self.last
    }

    /// The line of the next record, without its end; none where there is none yet.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn read_next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            if self.source.is_none() && !self.open_source()? {
                return Ok(None);
            }
            let Some(source) = &mut self.source else { return Ok(None) };
            if !source.reader.line(&mut self.line)? {
                if self.leave()? {
                    continue;
                }
                return Ok(None);
            }
            // What is no record is nothing to copy; verifying tells of it.
            let Some(sealed) = Sealed::parse(&self.line) else { continue };
            let Ok(Numbered { seq, .. }) = serde_json::from_slice(&self.line) else { continue };
            let hash = sealed.hash.to_string();
            let first = source.first.get_or_insert_with(|| hash.clone()).clone();
            if self.seeking {
                self.passed = seq;
                if seq < self.last.seq {
                    continue;
                }
                self.seeking = false;
                if seq == self.last.seq && hash == self.last.hash {
                    continue;
                }
            }
            self.last = Cursor { seq, hash, file: first };
            return Ok(Some(&self.line));
        }
    }

    /// Opens the file in which the next record stands; false where there is none yet.
    fn open_source(&mut self) -> io::Result<bool> {
        let next = self.last.seq.saturating_add(1);
        let (open, files) = self.look()?;
        if let Some(open) = open.as_ref().filter(|open| open.begins.is_some_and(|first| first <= next)) {
            return self.open_found(open);
        }
        // The last that begins no later, or else the first: what was before it is gone.
        let holding = files.iter().rfind(|(first, _)| *first <= next).or_else(|| files.first());
        match (holding, open) {
            (Some((first, file)), _) => self.open_closed(*first, file),
            (None, Some(open)) => self.open_found(&open),
            (None, None) => Ok(false),
        }
    }

    /// The open file, and the closed ones with the numbers they begin with. The open one is opened before
    /// there is a look at the others, so that none between them is passed over that is closed meanwhile.
    fn look(&self) -> io::Result<(Option<OpenFile>, Vec<Closed>)> {
        let open = match File::open(self.directory.join(FILE_NAME)) {
            Ok(file) => Some(OpenFile { begins: first_seq(&file), file }),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let files = match find(&self.directory) {
            Ok(files) => files,
            Err(FilesError::NoLog(_)) => Vec::new(),
            Err(error) => return Err(io::Error::other(error.to_string())),
        };
        let closed = files.into_iter().filter_map(|file| match file.kind {
            Kind::Closed { first_seq, .. } => Some((first_seq, file)),
            Kind::Open => None,
        });
        Ok((open, closed.collect()))
    }

    fn open_found(&mut self, open: &OpenFile) -> io::Result<bool> {
        let metadata = open.file.metadata()?;
        let reader = Reader::Plain(Growing::new(open.file.try_clone()?));
        self.source = Some(Source { reader, open: Some((metadata.dev(), metadata.ino())), begins: 0, first: None });
        Ok(true)
    }

    fn open_closed(&mut self, begins: u64, file: &LogFile) -> io::Result<bool> {
        let opened = match File::open(&file.path) {
            Ok(opened) => opened,
            // Compressed or removed just now.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let reader = if let Kind::Closed { compressed: true, .. } = file.kind {
            let decoder = MultiGzDecoder::new(BufReader::with_capacity(CHUNK_BYTES, opened));
            Reader::Compressed(Box::new(BufReader::with_capacity(CHUNK_BYTES, decoder)))
        } else {
            Reader::Plain(Growing::new(opened))
        };
        self.source = Some(Source { reader, open: None, begins, first: None });
        Ok(true)
    }

    /// At the end of a file: goes on in the next one; false where there is nothing more for now.
    fn leave(&mut self) -> io::Result<bool> {
        let Some(source) = &mut self.source else { return Ok(false) };
        if let Some(own) = source.open {
            let named = match self.directory.join(FILE_NAME).symlink_metadata() {
                Ok(named) => Some((named.dev(), named.ino())),
                // Renamed, and the writer has not begun the next one: it may write here still.
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            if named.is_none_or(|named| named == own) {
                return Ok(named.is_some() && self.lost_place());
            }
            // What was written last, before the next file was begun.
            source.open = None;
            return Ok(true);
        }
        // Of a file without records, its own number: it is not begun again.
        let begins = source.begins;
        let reached = if self.seeking { self.passed.max(self.last.seq) } else { self.last.seq }.max(begins);
        let (open, files) = self.look()?;
        match (files.iter().find(|(first, _)| *first > reached), open) {
            (Some((first, file)), _) => self.open_closed(*first, file),
            (None, Some(open)) => self.open_found(&open),
            (None, None) => Ok(false),
        }
    }

    /// At the end of the log, and the record that was sought is not there: true where reading begins
    /// again, from the first record of what must be another log.
    fn lost_place(&mut self) -> bool {
        if !self.seeking || self.passed == 0 {
            return false;
        }
        self.seeking = false;
        let same = self.source.as_ref().and_then(|source| source.first.as_ref()) == Some(&self.last.file);
        if same {
            // The end of this file was lost; what follows it now is new.
            self.last.seq = self.passed;
            return false;
        }
        (self.last, self.source) = (Cursor::default(), None);
        true
    }
}

impl Reader {
    /// The next whole line; false at the end.
    fn line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        match self {
            Self::Plain(growing) => growing.line(line),
            Self::Compressed(reader) => {
                let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
                match reader.by_ref().take(most).read_until(b'\n', line) {
                    Ok(0) => return Ok(false),
                    Ok(_) => {}
                    // What is damaged comes back no more, and must not hold up what is behind it; verifying
                    // tells of it.
                    Err(error) if is_damage(&error) => return Ok(false),
                    Err(error) => return Err(error),
                }
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Ok(true)
            }
        }
    }
}

/// Whether the content of a compressed file is not what was compressed.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof)
}

impl Growing {
    fn new(file: File) -> Self {
        Self { file, offset: 0, buffer: Vec::new(), taken: 0 }
    }

    fn line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            let rest = self.buffer.get(self.taken..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', rest) {
                line.extend_from_slice(rest.get(..end).unwrap_or_default());
                self.taken = self.taken.saturating_add(end).saturating_add(1);
                return Ok(true);
            }
            // No record is that long: what follows its beginning is no record either.
            let skipped = if rest.len() > LINE_BYTES_MAX { self.buffer.len() } else { self.taken };
            self.forget(skipped);
            let held = self.buffer.len();
            self.buffer.resize(held.saturating_add(CHUNK_BYTES), 0);
            let at = self.offset.saturating_add(length(held));
            let count = self.file.read_at(self.buffer.get_mut(held..).unwrap_or_default(), at);
            self.buffer.truncate(held.saturating_add(*count.as_ref().unwrap_or(&0)));
            if count? == 0 {
                // The beginning of a line may be taken back yet, and so may lines.
                self.buffer.clear();
                self.offset = self.offset.min(self.file.metadata()?.len());
                return Ok(false);
            }
        }
    }

    /// Lets go of so many bytes of the buffer.
    fn forget(&mut self, count: usize) {
        self.buffer.drain(..count.min(self.buffer.len()));
        self.offset = self.offset.saturating_add(length(count));
        self.taken = 0;
    }
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The number of the first record of a file that is not compressed.
fn first_seq(file: &File) -> Option<u64> {
    let mut line = Vec::new();
    let whole = Growing::new(file.try_clone().ok()?).line(&mut line).ok()?;
    whole.then(|| serde_json::from_slice::<Numbered>(&line).ok()).flatten().map(|first| first.seq)
}

/// The last record of the open file, as a place. Where it has none, what was closed last counts as
/// not read.
pub fn end(directory: &Path) -> Cursor {
    let path = directory.join(FILE_NAME);
    let in_open = || {
        let file = File::open(&path).ok()?;
        let length = file.metadata().ok()?.len();
        let start = length.saturating_sub(TAIL_BYTES);
        let mut window = vec![0; usize::try_from(length.saturating_sub(start)).ok()?];
        file.read_exact_at(&mut window, start).ok()?;
        let whole = window.get(..memchr::memrchr(b'\n', &window)?)?;
        let line = memchr::memrchr(b'\n', whole).map_or(whole, |at| whole.get(at.saturating_add(1)..).unwrap_or(whole));
        let Numbered { seq, .. } = serde_json::from_slice(line).ok()?;
        let hash = Sealed::parse(line).map_or(ChainHash::NONE, |sealed| sealed.hash).to_string();
        let mut first = Vec::new();
        let mut reader = Growing::new(file);
        reader.line(&mut first).ok()?;
        let file = Sealed::parse(&first).map(|sealed| sealed.hash.to_string()).unwrap_or_default();
        Some(Cursor { seq, hash, file })
    };
    in_open().unwrap_or_else(|| {
        let files = find(directory).unwrap_or_default();
        let last = files.iter().rev().find_map(|file| match file.kind {
            Kind::Closed { first_seq, .. } => Some(first_seq.saturating_sub(1)),
            Kind::Open => None,
        });
        Cursor { seq: last.unwrap_or(0), ..Cursor::default() }
    })
}

#[cfg(test)]
mod tests;
