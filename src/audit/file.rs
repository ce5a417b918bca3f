//! The log file as a start finds it: opened by one server at a time, and continued behind its last
//! whole record.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{error, fmt};

use super::growing::{DiskFile, LogFile};
use super::head_file::HeadFile;
use super::record::{Detail, Record};
use super::rotation::{COMPRESSED, Kind, closed_name};
use super::tail::{Ends, Mark, TailError};
use crate::settings::RunAs;
use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Uid, fchown, flock, open};

/// The log's name in its directory.
pub const FILE_NAME: &str = "audit.jsonl";
/// Where the remains of a torn line go, in the same directory.
pub const TORN_NAME: &str = "audit.jsonl.torn";

/// Why the log cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Its directory or a file in it cannot be made, opened, read or changed.
    Io(PathBuf, io::Error),
    /// Another server writes it.
    InUse(PathBuf),
    /// It is something else than a file.
    NotAFile(PathBuf),
    /// Its end holds no record far and wide.
    Damaged(PathBuf),
    /// It was begun without a chain, by an older version, or does not say which log it is.
    Unchained(PathBuf),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(
                f,
                "cannot open the audit log: {}: {error}; the server's account must be able to write there \
                 ([audit] directory)",
                path.display()
            ),
            Self::InUse(path) => write!(
                f,
                "{} is in use by another server; stop it, or give this one an [audit] directory of its own",
                path.display()
            ),
            Self::NotAFile(path) => write!(f, "{} is not a regular file; move it away", path.display()),
            Self::Damaged(path) => write!(
                f,
                "the end of {} holds no audit record; move the file away to keep it for examination, and start again",
                path.display()
            ),
            Self::Unchained(path) => write!(
                f,
                "{} is no log that can be gone on with: it was begun by a version that did not tie records together, or \
                 does not say which log it is; move it away to keep it, and start again: a new log is begun",
                path.display()
            ),
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::InUse(_) | Self::NotAFile(_) | Self::Damaged(_) | Self::Unchained(_) => None,
        }
    }
}

/// The remains of a line that was being written when the server or the machine died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Torn {
    /// Its length in bytes.
    pub(super) bytes: u64,
    /// BLAKE3 over it, hexadecimal.
    pub(super) blake3: String,
}

/// The log as it was found.
#[derive(Debug)]
pub(super) struct Found {
    /// The file that the next record goes to, locked, at its end.
    pub(super) file: LogFile<DiskFile>,
    /// The newest signed head, as it lies beside the log.
    pub(super) head_file: HeadFile,
    /// What the log has.
    pub(super) past: Past,
    /// The file under the log's name, where `file` is a closed one that is not signed to its end.
    spare: Option<File>,
    /// The directory, if it was made just now.
    directory_made: Option<File>,
}

/// What the files of the log tell of it.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The first record of the file that ends with the last one.
    pub(super) first: Option<Mark>,
    /// The last record of the log.
    pub(super) last: Option<Mark>,
    /// The newest checkpoint, if it is near the end.
    pub(super) checkpoint: Option<Mark>,
    /// The id of the newest key that is named near the end.
    pub(super) key: Option<String>,
    /// What stood behind the last record and was moved to [`TORN_NAME`].
    pub(super) torn: Option<Torn>,
    /// The closed file that ends with the last record, where the open one has none.
    pub(super) closed: Option<Closed>,
}

/// A closed file that is the end of the log: somebody died between two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// Its name, without that of a compression.
    pub(super) name: String,
    /// Whether it can and must still be signed to its end.
    pub(super) unsigned: bool,
}

impl Past {
    fn of(ends: Ends, torn: Option<Torn>) -> Self {
        let Ends { first, last, checkpoint, key, .. } = ends;
        Self { first, last, checkpoint, key, torn, closed: None }
    }
}

impl Torn {
    /// The record that tells of it.
    pub(super) fn on(&self, record: Record) -> Record {
        record.with("torn_bytes", Detail::Number(self.bytes)).with("torn_blake3", Detail::Text(self.blake3.clone()))
    }
}

impl Found {
    /// Opens or makes the log in `directory`, takes its lock, and cuts off a torn end.
    pub(super) fn open(directory: &Path) -> Result<Self, OpenError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| OpenError::Io(path, error)
        };
        let missing = !directory.try_exists().map_err(at(directory))?;
        if missing {
            DirBuilder::new().recursive(true).mode(0o750).create(directory).map_err(at(directory))?;
        }
        let opened = File::open(directory).map_err(at(directory))?;
        let path = directory.join(FILE_NAME);
        let file = open_alone(&path)?;
        let (ends, torn) = ends_of(&file, &path, directory)?;
        let (mut file, mut whole_bytes, mut spare) = (file, ends.whole_bytes, None);
        let mut past = Past::of(ends, torn);
        if past.last.is_none()
            && let Some((first_seq, closed, ends, torn)) = newest_closed(directory)?
        {
            let unsigned = closed.is_some() && !ends.last.as_ref().is_some_and(Mark::closes_file);
            if let Some(closed) = closed.filter(|_| unsigned) {
                whole_bytes = ends.whole_bytes;
                spare = Some(std::mem::replace(&mut file, closed));
            }
            past = Past::of(ends, past.torn.or(torn));
            past.closed = Some(Closed { name: closed_name(first_seq), unsigned });
        }
        let head_file = HeadFile::open(directory).map_err(|(path, error)| OpenError::Io(path, error))?;
        // So that the files' names survive a power cut as their content does.
        opened.sync_all().map_err(at(directory))?;
        let directory_made = if missing { Some(opened.try_clone().map_err(at(directory))?) } else { None };
        let file = LogFile::new(DiskFile::new(file, path, opened), whole_bytes);
        Ok(Self { file, head_file, past, spare, directory_made })
    }

    /// Hands the files, and the directory if it was made here, to the account the server runs as.
    pub(super) fn give_to(&self, account: &RunAs) -> io::Result<()> {
        let owner = || (Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)));
        let give = |file: BorrowedFd<'_>| {
            let (uid, gid) = owner();
            fchown(file, uid, gid)
        };
        give(self.file.raw().as_fd())?;
        give(self.head_file.file().as_fd())?;
        for file in self.spare.iter().chain(&self.directory_made) {
            give(file.as_fd())?;
        }
        Ok(())
    }
}

/// A closed file: the number of its first record, the file, locked, unless it is compressed, and both
/// its ends.
type ClosedFile = (u64, Option<File>, Ends, Option<Torn>);

/// The closed file with the newest records.
fn newest_closed(directory: &Path) -> Result<Option<ClosedFile>, OpenError> {
    let failed = |error| OpenError::Io(directory.to_owned(), error);
    let mut newest: Option<(u64, bool)> = None;
    for entry in directory.read_dir().map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(Kind::Closed { first_seq, compressed }) = name.to_str().and_then(Kind::of) {
            // Of a file that is there twice, it is the one that is not compressed.
            newest = newest.max(Some((first_seq, !compressed)));
        }
    }
    let Some((first_seq, plain)) = newest else { return Ok(None) };
    let path = directory.join(closed_name(first_seq) + if plain { "" } else { COMPRESSED });
    if plain {
        let file = open_alone(&path)?;
        let (ends, torn) = ends_of(&file, &path, directory)?;
        return Ok(Some((first_seq, Some(file), ends, torn)));
    }
    let file = open_file(&path, OFlags::RDONLY).map_err(|error| OpenError::Io(path.clone(), error))?;
    let ends = Ends::read_compressed(&file).map_err(|error| told(error, &path))?;
    Ok(Some((first_seq, None, ends, None)))
}

/// Both ends of a file, after what is torn was moved away.
fn ends_of(file: &File, path: &Path, directory: &Path) -> Result<(Ends, Option<Torn>), OpenError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| OpenError::Io(path, error)
    };
    // The length again: another server may have written until the lock was ours.
    let length = file.metadata().map_err(at(path))?.len();
    let ends = Ends::read(file, length).map_err(|error| told(error, path))?;
    if ends.torn.is_empty() {
        return Ok((ends, None));
    }
    let torn_path = directory.join(TORN_NAME);
    let mut torn_file = open_append(&torn_path).map_err(at(&torn_path))?;
    torn_file.write_all(&ends.torn).and_then(|()| torn_file.sync_all()).map_err(at(&torn_path))?;
    file.set_len(ends.whole_bytes).and_then(|()| file.sync_all()).map_err(at(path))?;
    let bytes = length.saturating_sub(ends.whole_bytes);
    let torn = Torn { bytes, blake3: blake3::hash(&ends.torn).to_hex().to_string() };
    Ok((ends, Some(torn)))
}

fn told(error: TailError, path: &Path) -> OpenError {
    match error {
        TailError::Io(error) => OpenError::Io(path.to_owned(), error),
        TailError::Damaged => OpenError::Damaged(path.to_owned()),
        TailError::Unchained => OpenError::Unchained(path.to_owned()),
    }
}

/// Opens or makes the log, for this server alone.
pub(super) fn open_alone(path: &Path) -> Result<File, OpenError> {
    let failed = |error: io::Error| OpenError::Io(path.to_owned(), error);
    let file = open_append(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(OpenError::NotAFile(path.to_owned()));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(OpenError::InUse(path.to_owned())),
        Err(error) => return Err(failed(error.into())),
    }
    let mode = metadata.mode();
    if mode & 0o137 != 0 {
        file.set_permissions(Permissions::from_mode(mode & 0o640)).map_err(failed)?;
    }
    Ok(file)
}

fn open_append(path: &Path) -> io::Result<File> {
    open_file(path, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
}

/// Opens a file, and no link; a FIFO in its place is not waited for.
fn open_file(path: &Path, how: OFlags) -> io::Result<File> {
    let flags = how | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(File::from(open(path, flags, Mode::from_raw_mode(0o640))?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::chain::{ChainHash, seal};
    use crate::audit::tail::TAIL_BYTES_MAX;

    fn last_seq(found: &Found) -> u64 {
        found.past.last.as_ref().map_or(0, |mark| mark.seq)
    }

    fn found(content: &[u8]) -> (tempfile::TempDir, Result<Found, OpenError>) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE_NAME), content).unwrap();
        let found = Found::open(directory.path());
        (directory, found)
    }

    #[test]
    fn a_new_log_is_readable_by_owner_and_group_alone() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("deep/audit");
        let found = Found::open(&directory).unwrap();
        assert_eq!((last_seq(&found), found.past.torn), (0, None));
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777 & !0o750, 0);
        assert_eq!(fs::metadata(directory.join(FILE_NAME)).unwrap().mode() & 0o7777 & !0o640, 0);
    }

    #[test]
    fn a_log_that_anybody_could_change_is_closed_to_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        fs::write(&path, b"").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        Found::open(directory.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    }

    #[test]
    fn two_servers_never_share_a_log() {
        let directory = tempfile::tempdir().unwrap();
        let first = Found::open(directory.path()).unwrap();
        assert!(matches!(Found::open(directory.path()), Err(OpenError::InUse(_))));
        drop(first);
        Found::open(directory.path()).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_the_log_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = directory.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, directory.path().join(FILE_NAME)).unwrap();
        assert!(matches!(Found::open(directory.path()), Err(OpenError::Io(..))));
        assert!(!elsewhere.exists());
    }

    /// So many records.
    fn chained(count: u64) -> Vec<u8> {
        let mut content = Vec::new();
        let mut hash = ChainHash::NONE;
        for seq in 1..=count {
            let start = content.len();
            content.extend_from_slice(format!("{{\"seq\":{seq},\"x\":1}}").as_bytes());
            hash = seal(&mut content, start, hash);
            content.push(b'\n');
        }
        content
    }

    #[test]
    fn a_torn_end_is_moved_aside_and_the_numbers_go_on() {
        let whole = chained(2);
        for torn in [&b"{\"seq\":9,\"a"[..], b"\0\0\0\0", b"{\"seq\":9,\"a\n", b"\0\0\n\0\n"] {
            let (directory, found) = found(&[&whole, torn].concat());
            let found = found.unwrap();
            assert_eq!(last_seq(&found), 2, "{torn:?}");
            let hash = blake3::hash(torn).to_hex().to_string();
            assert_eq!(found.past.torn, Some(Torn { bytes: torn.len() as u64, blake3: hash }));
            assert_eq!(fs::read(directory.path().join(FILE_NAME)).unwrap(), whole);
            assert_eq!(fs::read(directory.path().join(TORN_NAME)).unwrap(), torn);
        }
    }

    #[test]
    fn a_log_torn_in_its_first_line_begins_anew() {
        let (_directory, found) = found(b"{\"seq\":1,");
        let found = found.unwrap();
        assert_eq!((last_seq(&found), found.past.torn.map(|torn| torn.bytes)), (0, Some(9)));
    }

    #[test]
    fn a_long_file_that_ends_in_no_record_is_left_alone() {
        let mut content = chained(1);
        content.resize(usize::try_from(TAIL_BYTES_MAX).unwrap() + 1000, b'x');
        let (directory, found) = found(&content);
        assert!(matches!(found, Err(OpenError::Damaged(_))));
        assert_eq!(fs::read(directory.path().join(FILE_NAME)).unwrap().len(), content.len());
    }

    #[test]
    fn a_long_file_is_continued_from_its_end() {
        let (_directory, found) = found(&chained(20_000));
        let found = found.unwrap();
        assert_eq!((last_seq(&found), found.past.first.unwrap().seq), (20_000, 1));
    }

    #[test]
    fn a_log_without_a_chain_is_left_alone_and_said_to_be_moved_away() {
        let content = b"{\"seq\":1}\n{\"seq\":2}\n{\"se";
        let (directory, found) = found(content);
        let said = found.unwrap_err().to_string();
        assert!(said.contains("move it away"), "{said}");
        assert_eq!(fs::read(directory.path().join(FILE_NAME)).unwrap(), content);
    }

    #[test]
    fn of_several_closed_files_the_newest_is_the_end_of_the_log_compressed_or_not() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (directory.path().join(closed_name(1)), directory.path().join(closed_name(3)));
        fs::write(old, chained(2)).unwrap();
        fs::write(&new, chained(5)).unwrap();
        let closed = |unsigned| Some(Closed { name: closed_name(3), unsigned });
        let found = Found::open(directory.path()).unwrap();
        assert_eq!((last_seq(&found), &found.past.closed), (5, &closed(true)));
        drop(found);

        fs::remove_file(&new).unwrap();
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(&chained(7)).unwrap();
        fs::write(new.with_extension("jsonl.gz"), zipped.finish().unwrap()).unwrap();
        let found = Found::open(directory.path()).unwrap();
        assert_eq!((last_seq(&found), found.past.closed), (7, closed(false)));
    }
}
