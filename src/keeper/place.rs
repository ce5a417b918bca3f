//! Renaming, compressing and removing files of the log. Each step is on the disk before the next one,
//! and nothing is written over, so that a crash at any point leaves every record in place.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, open, renameat_with};

use super::closed::Numbered;
use crate::audit::file::FILE_NAME;
use crate::audit::rotation::{COMPRESSED, Kind, closed_name};
use crate::trail::files::LogFile;
use crate::trail::lines::{End, Lines};

/// What a compressed file is called until it is whole.
const UNFINISHED: &str = ".gz.new";
const BUFFER_BYTES: usize = 1 << 17;

/// Gives the open file the name of a closed one, which must be that of its first record.
///
/// # Errors
/// Where the name is not its own, is taken, or the file system refuses.
pub fn rename_open(directory: &Path, name: &str) -> io::Result<()> {
    let refused = |text: &str| io::Error::new(ErrorKind::InvalidInput, text.to_owned());
    let Some(Kind::Closed { first_seq, compressed: false }) = Kind::of(name) else {
        return Err(refused("this is no name of a closed file"));
    };
    let (from, to) = (directory.join(FILE_NAME), directory.join(name));
    if with_suffix(&to, COMPRESSED).try_exists()? {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let open = [LogFile { path: from.clone(), kind: Kind::Open }];
    let mut lines = Lines::of(&open);
    // An order that comes late must not close the file that was begun meanwhile.
    match lines.read_next() {
        Ok(Some(line)) if line.end == End::Whole => {
            let first = serde_json::from_slice::<Numbered>(line.bytes).map(|record| record.seq);
            if !first.is_ok_and(|seq| seq == first_seq) {
                return Err(refused("the open file does not begin with the record of that number"));
            }
        }
        Ok(_) => return Err(refused("the open file holds no record")),
        Err((_, error)) => return Err(error),
    }
    renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE)?;
    sync(directory)
}

/// Compresses a closed file: the plain one goes only when the other is on the disk and was read back.
///
/// # Errors
/// What failed; the plain file is there then.
pub fn compress(directory: &Path, first_seq: u64) -> io::Result<(u64, u64)> {
    let plain = directory.join(closed_name(first_seq));
    let (unfinished, whole) = (with_suffix(&plain, UNFINISHED), with_suffix(&plain, COMPRESSED));
    let bytes_before = plain.metadata()?.len();
    // One that a crash left behind.
    remove_if_there(&unfinished)?;
    let written = write_compressed(&plain, &unfinished)
        .and_then(|()| if same_content(&plain, &unfinished)? { Ok(()) } else { Err(read_back_wrong()) })
        .and_then(|()| Ok(renameat_with(CWD, &unfinished, CWD, &whole, RenameFlags::NOREPLACE)?));
    if let Err(error) = written {
        remove_if_there(&unfinished)?;
        return Err(error);
    }
    sync(directory)?;
    std::fs::remove_file(&plain)?;
    sync(directory)?;
    Ok((bytes_before, whole.metadata()?.len()))
}

fn read_back_wrong() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "what was written is not what is read back")
}

fn write_compressed(plain: &Path, to: &Path) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = File::from(open(to, flags, Mode::from_raw_mode(0o640))?);
    let mut encoder = GzEncoder::new(BufWriter::with_capacity(BUFFER_BYTES, file), flate2::Compression::default());
    let mut reader = File::open(plain)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            count => encoder.write_all(buffer.get(..count).unwrap_or_default())?,
        }
    }
    let file = encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

/// Whether a compressed file holds what the plain one does.
fn same_content(plain: &Path, compressed: &Path) -> io::Result<bool> {
    let reader = BufReader::with_capacity(BUFFER_BYTES, File::open(compressed)?);
    let (mut left, mut right) = (File::open(plain)?, MultiGzDecoder::new(reader));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let most = u64::try_from(BUFFER_BYTES).unwrap_or(u64::MAX);
    loop {
        a.clear();
        b.clear();
        (&mut left).take(most).read_to_end(&mut a)?;
        (&mut right).take(most).read_to_end(&mut b)?;
        if a != b {
            return Ok(false);
        }
        if a.is_empty() {
            return Ok(true);
        }
    }
}

/// Removes a file of the log.
///
/// # Errors
/// What the system says.
pub fn remove(file: &Path) -> io::Result<()> {
    std::fs::remove_file(file)?;
    file.parent().map_or(Ok(()), sync)
}

/// Puts away what a crash left behind: compressed files that are not whole, and plain ones whose
/// compressed form is.
///
/// # Errors
/// What the system says, with the first file.
pub fn sweep(directory: &Path) -> io::Result<()> {
    for entry in directory.read_dir()? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let closed = |name: &str| matches!(Kind::of(name), Some(Kind::Closed { compressed: false, .. }));
        if name.strip_suffix(UNFINISHED).is_some_and(closed) {
            remove_if_there(&path)?;
        } else if closed(name) {
            let whole = with_suffix(&path, COMPRESSED);
            // Where the two differ, both stay for examination, and the plain one counts.
            if whole.try_exists()? && same_content(&path, &whole).unwrap_or(false) {
                std::fs::remove_file(&path)?;
            }
        }
    }
    sync(directory)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    text.into()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::closed::tests::{closed, file, lines};
    use super::super::closed::verify;
    use super::*;
    use crate::audit::chain::ChainHash;
    use crate::trail::files::find;

    /// Names of files with what is in them.
    type Others<'a> = &'a [(&'a str, &'a [u8])];

    fn names(directory: &Path) -> Vec<String> {
        let entries = directory.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn the_open_file_gets_the_name_of_its_first_record_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(rename_open(path, &closed_name(5)).unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::write(path.join(FILE_NAME), lines(5..=9, ChainHash::NONE).0).unwrap();
        for wrong in ["audit.jsonl", "x", "../x", &closed_name(4), &format!("{}.gz", closed_name(5))] {
            assert!(rename_open(path, wrong).is_err(), "{wrong}");
        }
        rename_open(path, &closed_name(5)).unwrap();
        assert_eq!(names(path), [closed_name(5)]);
    }

    #[test]
    fn no_closed_file_is_ever_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::write(path.join(FILE_NAME), lines(5..=9, ChainHash::NONE).0).unwrap();
        for taken in [closed_name(5), format!("{}.gz", closed_name(5))] {
            std::fs::write(path.join(&taken), "kept").unwrap();
            assert_eq!(rename_open(path, &closed_name(5)).unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(path.join(&taken)).unwrap(), b"kept");
            std::fs::remove_file(path.join(&taken)).unwrap();
        }
    }

    #[test]
    fn a_compressed_file_holds_the_same_records_in_less_room() {
        let directory = tempfile::tempdir().unwrap();
        let (content, keys) = closed(500);
        let before = verify(&file(directory.path(), 1, &content), &keys).unwrap();
        let (bytes_before, bytes) = compress(directory.path(), 1).unwrap();
        assert!(bytes * 3 < bytes_before, "{bytes} of {bytes_before}");
        assert_eq!(names(directory.path()), [format!("{}.gz", closed_name(1))]);
        assert_eq!(verify(&find(directory.path()).unwrap()[0], &keys).unwrap(), before);
    }

    #[test]
    fn what_a_crash_leaves_at_any_point_comes_to_a_complete_log() {
        let (content, keys) = closed(50);
        let made = tempfile::tempdir().unwrap();
        file(made.path(), 1, &content);
        compress(made.path(), 1).unwrap();
        let zipped = std::fs::read(made.path().join(format!("{}.gz", closed_name(1)))).unwrap();
        let plain = closed_name(1);
        let (unfinished, whole) = (format!("{plain}.gz.new"), format!("{plain}.gz"));
        // What there is besides the plain file, and what is there after the next start.
        let cases: [(Others<'_>, &str); 4] = [
            (&[(&unfinished, &zipped[..20])], &plain),
            (&[(&unfinished, &zipped)], &plain),
            (&[(&whole, &zipped)], &whole),
            (&[], &plain),
        ];
        for (others, left) in cases {
            let directory = tempfile::tempdir().unwrap();
            file(directory.path(), 1, &content);
            for (name, bytes) in others {
                std::fs::write(directory.path().join(name), bytes).unwrap();
            }
            sweep(directory.path()).unwrap();
            assert_eq!(names(directory.path()), [left]);
            assert_eq!(verify(&find(directory.path()).unwrap()[0], &keys).unwrap().last_seq, 53);
        }
    }

    #[test]
    fn a_compressed_file_that_differs_takes_nothing_away() {
        let directory = tempfile::tempdir().unwrap();
        file(directory.path(), 1, &lines(1..=50, ChainHash::NONE).0);
        std::fs::write(directory.path().join(format!("{}.gz", closed_name(1))), "no gzip").unwrap();
        sweep(directory.path()).unwrap();
        assert!(compress(directory.path(), 1).is_err());
        assert_eq!(names(directory.path()), [closed_name(1), format!("{}.gz", closed_name(1))]);
    }
}
