//! The lines of a log, one after the other over all of its files. Memory stays the same however long
//! the log is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::files::LogFile;
use crate::audit::rotation::{COMPRESSED, Kind};

/// Longest line that is read, in bytes; records are far shorter.
pub const LINE_BYTES_MAX: usize = 1 << 20;
const BUFFER_BYTES: usize = 1 << 17;
/// How much of a line that is too long is passed over, in bytes: a small compressed file can hold one
/// that takes hours.
const SKIPPED_BYTES_MAX: u64 = 1 << 26;

/// One line.
#[derive(Debug)]
pub struct Line<'a> {
    /// Which of the files it stands in.
    pub file: usize,
    /// Its number in that file, from 1.
    pub number: u64,
    /// Its bytes, without the line end; no more than [`LINE_BYTES_MAX`].
    pub bytes: &'a [u8],
    /// How it ends.
    pub end: End,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a newline, as it should.
    Whole,
    /// With the file: it is being written, or was cut short.
    OfFile,
    /// It is longer than any record; the rest of it was passed over.
    TooLong,
}

/// Reads the lines of files.
pub struct Lines<'a> {
    files: &'a [LogFile],
    /// The file that comes next.
    next: usize,
    /// The one that grows, opened when the files were listed: what takes its name meanwhile is another.
    growing: Option<io::Result<File>>,
    open: Option<Box<dyn BufRead + Send>>,
    number: u64,
    line: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl<'a> Lines<'a> {
    /// The lines of these files in this order.
    pub fn of(files: &'a [LogFile]) -> Self {
        let growing = files.iter().find(|file| file.kind == Kind::Open).map(|file| File::open(&file.path));
        Self { files, next: 0, growing, open: None, number: 0, line: Vec::new(), read: Arc::default() }
    }

    /// How many bytes of the files were read so far, as they are on the disk: for a progress bar,
    /// against the sum of their sizes.
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }

    /// Leaves the rest of the file that is being read.
    pub fn skip_file(&mut self) {
        self.open = None;
    }

    /// The next line; none behind the last.
    ///
    /// # Errors
    /// With the file that cannot be read. Reading goes on with the next one.
    pub fn read_next(&mut self) -> Result<Option<Line<'_>>, (usize, io::Error)> {
        loop {
            if self.open.is_none() {
                let Some(file) = self.files.get(self.next) else { return Ok(None) };
                let index = self.next;
                self.next = self.next.saturating_add(1);
                self.number = 0;
                let growing = if file.kind == Kind::Open { self.growing.take() } else { None };
                let opened = growing.unwrap_or_else(|| File::open(&file.path));
                self.open = Some(open(file, opened, &self.read).map_err(|error| (index, error))?);
            }
            let file = self.next.saturating_sub(1);
            let Some(reader) = &mut self.open else { continue };
            match read_line(reader, &mut self.line) {
                Ok(None) => self.open = None,
                Ok(Some(end)) => {
                    self.number = self.number.saturating_add(1);
                    return Ok(Some(Line { file, number: self.number, bytes: &self.line, end }));
                }
                Err(error) => {
                    self.open = None;
                    return Err((file, error));
                }
            }
        }
    }
}

/// Reads a file, compressed or not; one that was compressed since the files were listed, too.
fn open(file: &LogFile, opened: io::Result<File>, read: &Arc<AtomicU64>) -> io::Result<Box<dyn BufRead + Send>> {
    let (opened, compressed) = match (opened, file.kind) {
        (Err(error), Kind::Closed { compressed: false, .. }) if error.kind() == io::ErrorKind::NotFound => {
            let mut name = file.path.clone().into_os_string();
            name.push(COMPRESSED);
            (File::open(name).map_err(|_| error)?, true)
        }
        (opened, kind) => (opened?, matches!(kind, Kind::Closed { compressed: true, .. })),
    };
    let reader = BufReader::with_capacity(BUFFER_BYTES, Counted { file: opened, read: Arc::clone(read) });
    Ok(if compressed {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    })
}

/// Reads a line, of one that is too long its beginning; none at the end.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<End>> {
    line.clear();
    let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    if reader.by_ref().take(most).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(End::Whole));
    }
    if line.len() <= LINE_BYTES_MAX {
        return Ok(Some(End::OfFile));
    }
    line.truncate(LINE_BYTES_MAX);
    let mut skipped = reader.by_ref().take(SKIPPED_BYTES_MAX);
    skipped.skip_until(b'\n')?;
    if skipped.limit() == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line that is longer than any log has"));
    }
    Ok(Some(End::TooLong))
}

/// A file that counts what is read of it.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::audit::rotation::closed_name;
    use crate::trail::files::find;

    #[test]
    fn lines_come_from_all_files_and_say_where_they_stand() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        zip.write_all(b"one\ntwo\n").unwrap();
        std::fs::write(path(&format!("{}.gz", closed_name(1))), zip.finish().unwrap()).unwrap();
        let long = [vec![b'x'; LINE_BYTES_MAX + 5], b"\nfour\n".to_vec()].concat();
        std::fs::write(path(&closed_name(3)), long).unwrap();
        std::fs::write(path("audit.jsonl"), "five\nsi").unwrap();
        let files = find(directory.path()).unwrap();
        let mut lines = Lines::of(&files);
        let mut found = Vec::new();
        while let Some(line) = lines.read_next().unwrap() {
            let start = String::from_utf8_lossy(&line.bytes[..line.bytes.len().min(4)]).into_owned();
            found.push((line.file, line.number, start, line.end));
        }
        let expected = [
            (0, 1, "one", End::Whole),
            (0, 2, "two", End::Whole),
            (1, 1, "xxxx", End::TooLong),
            (1, 2, "four", End::Whole),
            (2, 1, "five", End::Whole),
            (2, 2, "si", End::OfFile),
        ];
        assert_eq!(found, expected.map(|(file, number, text, end)| (file, number, text.to_owned(), end)));
        let sizes: u64 = files.iter().map(|file| file.path.metadata().unwrap().len()).sum();
        assert_eq!(lines.bytes_read().load(Ordering::Relaxed), sizes);
    }

    #[test]
    fn nothing_is_lost_where_files_are_renamed_and_compressed_while_they_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (first, second) = (closed_name(1), closed_name(2));
        std::fs::write(path(&first), "one\n").unwrap();
        std::fs::write(path("audit.jsonl"), "two\n").unwrap();
        let files = find(directory.path()).unwrap();
        let mut lines = Lines::of(&files);
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        zip.write_all(&std::fs::read(path(&first)).unwrap()).unwrap();
        std::fs::write(path(&format!("{first}.gz")), zip.finish().unwrap()).unwrap();
        std::fs::remove_file(path(&first)).unwrap();
        std::fs::rename(path("audit.jsonl"), path(&second)).unwrap();
        std::fs::write(path("audit.jsonl"), "three\n").unwrap();
        for expected in [&b"one"[..], b"two"] {
            assert_eq!(lines.read_next().unwrap().unwrap().bytes, expected);
        }
        assert!(lines.read_next().unwrap().is_none());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_the_others_are_read() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(format!("{}.gz", closed_name(1))), "no gzip").unwrap();
        std::fs::write(directory.path().join("audit.jsonl"), "five\n").unwrap();
        let files = find(directory.path()).unwrap();
        let mut lines = Lines::of(&files);
        assert_eq!(lines.read_next().unwrap_err().0, 0);
        assert_eq!(lines.read_next().unwrap().unwrap().bytes, b"five");
        assert!(lines.read_next().unwrap().is_none());
    }
}
