//! The records that are written from now on, over every change of the file: none is left out, none comes
//! twice. It never waits; whoever calls knows when there may be more.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::files::{LogFile, find};
use super::lines::{End, LINE_BYTES_MAX, Lines};
use crate::audit::event::Event;
use crate::audit::rotation::Kind;

const BLOCK_BYTES: usize = 1 << 16;

/// Reads what is added to a log.
#[derive(Debug)]
pub struct Follower {
    /// The file that grows.
    path: PathBuf,
    open: Option<Growing>,
    /// The number of the last record that was read; what is not above it was read before.
    last_seq: u64,
}

/// An open file, read up to a place.
#[derive(Debug)]
struct Growing {
    file: File,
    position: u64,
    /// The beginning of a line that is not whole yet.
    begun: Vec<u8>,
    /// Whether a line is passed over that is longer than any record.
    too_long: bool,
    /// Whether nothing of it was read yet: a file may begin another log, whose numbers begin anew.
    fresh: bool,
}

impl Follower {
    /// Follows the log whose growing file has this path, from about its end on: whoever calls looks up what the
    /// last record is, and says so.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut open = Growing::open(path)?;
        if let Some(open) = &mut open {
            // The line that is being written now, and the last one before it, are no longer than this.
            let back = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX).saturating_mul(2);
            let start = open.file.metadata()?.len().saturating_sub(back);
            open.position = open.file.seek(SeekFrom::Start(start))?;
            open.too_long = start > 0;
            open.fresh = false;
        }
        Ok(Self { path: path.to_owned(), open, last_seq: 0 })
    }

    /// Goes on behind the record of this number.
    pub fn go_on_behind(&mut self, seq: u64) {
        self.last_seq = seq;
    }

    /// Hands over each record that is new, and returns when there are no more.
    ///
    /// # Errors
    /// Where a file cannot be read, or that of `found`.
    pub fn read(&mut self, found: &mut impl FnMut(&[u8], &Entry<'_>) -> io::Result<()>) -> io::Result<()> {
        loop {
            self.read_open(found)?;
            if self.is_in_place()? {
                return Ok(());
            }
            // Whoever gives the name to another file has written the last line into the one before.
            self.read_open(found)?;
            let Some(next) = Growing::open(&self.path)? else { return Ok(()) };
            self.read_closed(found)?;
            self.open = Some(next);
        }
    }

    fn is_in_place(&self) -> io::Result<bool> {
        match (self.path.symlink_metadata(), &self.open) {
            (Ok(named), Some(open)) => {
                let own = open.file.metadata()?;
                Ok((named.dev(), named.ino()) == (own.dev(), own.ino()))
            }
            (Ok(_), None) => Ok(false),
            // Renamed, and nothing has taken its name yet.
            (Err(error), _) if error.kind() == ErrorKind::NotFound => Ok(true),
            (Err(error), _) => Err(error),
        }
    }

    fn read_open(&mut self, found: &mut impl FnMut(&[u8], &Entry<'_>) -> io::Result<()>) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let last_seq = &mut self.last_seq;
        let fresh = &mut open.fresh;
        let mut each = |line: &[u8]| {
            let Ok(entry) = Entry::parse(line) else { return Ok(()) };
            if std::mem::take(fresh) && entry.event() == Event::AuditBegun.description().code {
                *last_seq = 0;
            }
            if entry.seq <= *last_seq {
                return Ok(());
            }
            *last_seq = entry.seq;
            found(line, &entry)
        };
        let mut block = vec![0; BLOCK_BYTES];
        // A file that was cut goes on at its new end.
        let length = open.file.metadata()?.len();
        if length < open.position {
            open.position = open.file.seek(SeekFrom::Start(length))?;
            open.begun.clear();
        }
        loop {
            let count = open.file.read(&mut block)?;
            if count == 0 {
                return Ok(());
            }
            open.position = open.position.saturating_add(u64::try_from(count).unwrap_or(0));
            let mut rest = block.get(..count).unwrap_or_default();
            while let Some(newline) = memchr::memchr(b'\n', rest) {
                let (line, behind) = rest.split_at(newline);
                rest = behind.get(1..).unwrap_or_default();
                if open.begun.is_empty() && !open.too_long {
                    each(line)?;
                } else {
                    open.begun.extend_from_slice(line);
                    if !std::mem::take(&mut open.too_long) {
                        each(&open.begun)?;
                    }
                    open.begun.clear();
                }
            }
            open.begun.extend_from_slice(rest);
            if open.begun.len() > LINE_BYTES_MAX {
                open.begun.clear();
                open.too_long = true;
            }
        }
    }

    /// Reads the files that were closed since the last record that was read.
    fn read_closed(&mut self, found: &mut impl FnMut(&[u8], &Entry<'_>) -> io::Result<()>) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let files = find(directory).map_err(io::Error::other)?;
        let last_seq = self.last_seq;
        let newer = |file: &LogFile| matches!(file.kind, Kind::Closed { first_seq, .. } if first_seq > last_seq);
        let files: Vec<LogFile> = files.into_iter().filter(newer).collect();
        let mut lines = Lines::of(&files);
        while let Some(line) = lines.read_next().map_err(|(_, error)| error)? {
            let Ok(entry) = Entry::parse(line.bytes) else { continue };
            if line.end == End::Whole && entry.seq > self.last_seq {
                self.last_seq = entry.seq;
                found(line.bytes, &entry)?;
            }
        }
        Ok(())
    }
}

impl Growing {
    /// Opens the file; none where there is none yet.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self { file, position: 0, begun: Vec::new(), too_long: false, fresh: true })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::audit::rotation::closed_name;

    fn record(seq: u64, event: &str) -> String {
        format!(
            "{{\"seq\":{seq},\"time\":0,\"time_dt\":\"t\",\"severity_id\":1,\"status_id\":1,\
             \"metadata\":{{\"event_code\":\"{event}\",\"uid\":\"x\"}}}}\n"
        )
    }

    fn read(follower: &mut Follower) -> Vec<u64> {
        let mut seqs = Vec::new();
        let mut each = |_: &[u8], entry: &Entry<'_>| {
            seqs.push(entry.seq);
            Ok(())
        };
        follower.read(&mut each).unwrap();
        seqs
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn every_record_comes_once_however_the_file_changes_between_looks(
            steps in prop::collection::vec(0..5, 1..40), behind in 0_u64..3,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("audit.jsonl");
            fs::write(&path, record(1, "audit.begun") + &record(2, "service.start")).unwrap();
            let mut follower = Follower::open(&path).unwrap();
            follower.go_on_behind(behind);
            let (mut next, mut first, mut seen, mut half) = (3, 1, Vec::new(), String::new());
            for step in steps {
                let mut log = File::options().append(true).open(&path).unwrap();
                match step {
                    0 | 1 => {
                        let line = std::mem::take(&mut half);
                        let line = if line.is_empty() { next += 1; record(next - 1, "file.list") } else { line };
                        log.write_all(line.as_bytes()).unwrap();
                    }
                    2 if half.is_empty() => {
                        let line = record(next, "file.list");
                        next += 1;
                        log.write_all(&line.as_bytes()[..20]).unwrap();
                        line[20..].clone_into(&mut half);
                    }
                    3 if half.is_empty() => {
                        let closed = directory.path().join(closed_name(first));
                        fs::rename(&path, closed).unwrap();
                        if next % 2 == 0 {
                            seen.extend(read(&mut follower));
                        }
                        log.write_all(record(next, "audit.checkpoint").as_bytes()).unwrap();
                        first = next + 1;
                        next += 2;
                        fs::write(&path, record(first, "audit.rotated")).unwrap();
                    }
                    _ => seen.extend(read(&mut follower)),
                }
            }
            let mut log = File::options().append(true).open(&path).unwrap();
            log.write_all(half.as_bytes()).unwrap();
            seen.extend(read(&mut follower));
            prop_assert_eq!(seen, (behind + 1..next).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_log_that_begins_anew_is_followed_from_its_first_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        fs::write(&path, record(7, "file.list")).unwrap();
        let mut follower = Follower::open(&path).unwrap();
        follower.go_on_behind(7);
        assert!(read(&mut follower).is_empty());
        fs::remove_file(&path).unwrap();
        assert!(read(&mut follower).is_empty());
        fs::write(&path, record(1, "audit.begun") + &record(2, "service.start")).unwrap();
        assert_eq!(read(&mut follower), [1, 2]);
        fs::write(&path, "").unwrap();
        assert!(read(&mut follower).is_empty());
        File::options().append(true).open(&path).unwrap().write_all(record(3, "file.list").as_bytes()).unwrap();
        assert_eq!(read(&mut follower), [3]);
    }
}
