//! The last records that are meant: files are read from the end, as far as is needed.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::entry::Entry;
use super::files::LogFile;
use super::lines::{LINE_BYTES_MAX, Lines};
use crate::audit::rotation::Kind;

const BLOCK_BYTES: u64 = 1 << 16;

/// The last lines, no more than `most`, in their order, whose records are meant. Lines that are no records are
/// passed over.
///
/// # Errors
/// With the file that cannot be read.
pub fn latest(
    files: &[LogFile],
    most: usize,
    mut admits: impl FnMut(&Entry<'_>) -> bool,
) -> Result<VecDeque<Vec<u8>>, (usize, io::Error)> {
    let mut found: VecDeque<Vec<u8>> = VecDeque::new();
    let mut meant = |line: &[u8]| Entry::parse(line).is_ok_and(|entry| admits(&entry));
    for (index, file) in files.iter().enumerate().rev() {
        let room = most.saturating_sub(found.len());
        if room == 0 {
            break;
        }
        if matches!(file.kind, Kind::Closed { compressed: true, .. }) {
            let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
            let one = [file.clone()];
            let mut lines = Lines::of(&one);
            while let Some(line) = lines.read_next().map_err(|(_, error)| (index, error))? {
                if meant(line.bytes) {
                    if kept.len() >= room {
                        kept.pop_front();
                    }
                    kept.push_back(line.bytes.to_vec());
                }
            }
            kept.into_iter().rev().for_each(|line| found.push_front(line));
        } else {
            let mut backwards = Backwards::open(file).map_err(|error| (index, error))?;
            while found.len() < most
                && let Some(line) = backwards.read_previous().map_err(|error| (index, error))?
            {
                if meant(&line) {
                    found.push_front(line);
                }
            }
        }
    }
    Ok(found)
}

/// Reads the lines of a file from the last to the first.
struct Backwards {
    file: File,
    /// Up to here nothing was read yet.
    position: u64,
    /// What was read, up to the beginning of the line that was handed out last.
    read: Vec<u8>,
}

impl Backwards {
    fn open(file: &LogFile) -> io::Result<Self> {
        let file = File::open(&file.path)?;
        let position = file.metadata()?.len();
        Ok(Self { file, position, read: Vec::new() })
    }

    fn read_previous(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            let unsearched = self.read.len().saturating_sub(searched);
            let newline = memchr::memrchr(b'\n', self.read.get(..unsearched).unwrap_or_default());
            if let Some(newline) = newline {
                let line = self.read.split_off(newline.saturating_add(1));
                self.read.pop();
                if line.is_empty() {
                    searched = 0;
                    continue;
                }
                return Ok(Some(line));
            }
            if self.position == 0 {
                return Ok((!self.read.is_empty()).then(|| std::mem::take(&mut self.read)));
            }
            searched = self.read.len();
            if searched > LINE_BYTES_MAX {
                // No record is so long: what is there is left out up to the line before it.
                self.read.clear();
                searched = 0;
            }
            let start = self.position.saturating_sub(BLOCK_BYTES);
            let mut block = vec![0; usize::try_from(self.position.saturating_sub(start)).map_err(io::Error::other)?];
            self.file.read_exact_at(&mut block, start)?;
            self.position = start;
            block.append(&mut self.read);
            self.read = block;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::audit::rotation::closed_name;
    use crate::trail::files::find;

    fn record(seq: u64, padding: usize) -> String {
        format!(
            "{{\"seq\":{seq},\"time\":0,\"time_dt\":\"t\",\"severity_id\":1,\"status_id\":1,\
             \"metadata\":{{\"event_code\":\"file.list\",\"uid\":\"{}\"}}}}\n",
            "x".repeat(padding)
        )
    }

    #[test]
    fn the_last_records_are_those_that_reading_from_the_start_ends_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let text = |seqs: std::ops::Range<u64>| -> String {
            seqs.map(|seq| record(seq, usize::try_from(seq * 7919 % 90_000).unwrap())).collect()
        };
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(text(1..20).as_bytes()).unwrap();
        std::fs::write(path(&format!("{}.gz", closed_name(1))), zip.finish().unwrap()).unwrap();
        std::fs::write(path(&closed_name(20)), format!("{}\nno record\n{}", text(20..30), text(30..40))).unwrap();
        std::fs::write(path("audit.jsonl"), format!("{}{{\"seq\":50,\"half", text(40..50))).unwrap();
        let files = find(directory.path()).unwrap();
        for most in [0, 1, 9, 10, 11, 25, 35, 49, 60] {
            for odd in [false, true] {
                let lines = latest(&files, most, |entry| !odd || entry.seq % 2 == 1).unwrap();
                let seqs: Vec<u64> = lines.iter().map(|line| Entry::parse(line).unwrap().seq).collect();
                let all: Vec<u64> = (1..50).filter(|seq| !odd || seq % 2 == 1).collect();
                assert_eq!(seqs, all[all.len().saturating_sub(most)..], "{most} {odd}");
            }
        }
    }

    #[test]
    fn a_line_longer_than_any_record_takes_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let long = "x".repeat(3 * LINE_BYTES_MAX);
        std::fs::write(directory.path().join("audit.jsonl"), format!("{}{long}\n{}", record(1, 0), record(2, 0)))
            .unwrap();
        let lines = latest(&find(directory.path()).unwrap(), 9, |_| true).unwrap();
        assert_eq!(lines.len(), 2);
    }
}
