//! The log file as a start finds it: opened by one server at a time, and continued behind its last
//! whole record.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{error, fmt};

use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Uid, fchown, flock, open};
use serde::Deserialize;

use super::chain::{ChainHash, Sealed};
use super::growing::{DiskFile, LogFile};
use crate::settings::RunAs;

/// The log's name in its directory.
pub const FILE_NAME: &str = "audit.jsonl";
/// Where the remains of a torn line go, in the same directory.
pub const TORN_NAME: &str = "audit.jsonl.torn";
/// How far from the end the last whole record is looked for, in bytes; more than a record can have.
const TAIL_BYTES_MAX: u64 = 1 << 20;

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
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::InUse(_) | Self::NotAFile(_) | Self::Damaged(_) => None,
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

/// The file as it was found.
#[derive(Debug)]
pub(super) struct Found {
    /// The file, locked, at its end.
    pub(super) file: LogFile<DiskFile>,
    /// The number of its last record; 0 where it has none.
    pub(super) last_seq: u64,
    /// The hash of that record.
    pub(super) last_hash: ChainHash,
    /// What stood behind the last record and was moved to [`TORN_NAME`].
    pub(super) torn: Option<Torn>,
    /// The directory, if it was made just now.
    directory_made: Option<File>,
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
        // The length again: another server may have written until the lock was ours.
        let length = file.metadata().map_err(at(&path))?.len();
        let tail = Tail::read(&file, length).map_err(at(&path))?.ok_or_else(|| OpenError::Damaged(path.clone()))?;
        let torn = if tail.torn.is_empty() {
            None
        } else {
            let torn_path = directory.join(TORN_NAME);
            let mut torn_file = open_append(&torn_path).map_err(at(&torn_path))?;
            torn_file.write_all(&tail.torn).and_then(|()| torn_file.sync_all()).map_err(at(&torn_path))?;
            file.set_len(tail.whole_bytes).and_then(|()| file.sync_all()).map_err(at(&path))?;
            let bytes = length.saturating_sub(tail.whole_bytes);
            Some(Torn { bytes, blake3: blake3::hash(&tail.torn).to_hex().to_string() })
        };
        // So that the file's name survives a power cut as its content does.
        opened.sync_all().map_err(at(directory))?;
        let directory_made = if missing { Some(opened.try_clone().map_err(at(directory))?) } else { None };
        Ok(Self {
            file: LogFile::new(DiskFile::new(file, path, opened), tail.whole_bytes),
            last_seq: tail.last_seq,
            last_hash: tail.last_hash,
            torn,
            directory_made,
        })
    }

    /// Hands the file, and the directory if it was made here, to the account the server runs as.
    pub(super) fn give_to(&self, account: &RunAs) -> io::Result<()> {
        let owner = || (Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)));
        let (uid, gid) = owner();
        fchown(self.file.raw(), uid, gid)?;
        if let Some(directory) = &self.directory_made {
            let (uid, gid) = owner();
            fchown(directory, uid, gid)?;
        }
        Ok(())
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
    let flags = OFlags::RDWR
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::CLOEXEC
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY;
    Ok(File::from(open(path, flags, Mode::from_raw_mode(0o640))?))
}

/// What stands at the end of the file.
struct Tail {
    last_seq: u64,
    last_hash: ChainHash,
    /// The length up to the end of the last whole record.
    whole_bytes: u64,
    torn: Vec<u8>,
}

/// As much of a record as is needed to go on behind it.
#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

impl Tail {
    /// None where the end of a long file holds no record.
    fn read(file: &File, length: u64) -> io::Result<Option<Self>> {
        let start = length.saturating_sub(TAIL_BYTES_MAX);
        let mut window = vec![0; usize::try_from(length.saturating_sub(start)).map_err(io::Error::other)?];
        file.read_exact_at(&mut window, start)?;
        let mut rest = window.as_slice();
        while let Some(newline) = rest.iter().rposition(|&byte| byte == b'\n') {
            let (before, _) = rest.split_at(newline);
            let line = match before.iter().rposition(|&byte| byte == b'\n') {
                Some(previous) => before.get(previous.saturating_add(1)..).unwrap_or_default(),
                None if start == 0 => before,
                None => return Ok(None),
            };
            if let Ok(Numbered { seq }) = serde_json::from_slice(line) {
                let whole = newline.saturating_add(1);
                return Ok(Some(Self {
                    last_seq: seq,
                    last_hash: Sealed::parse(line).map_or(ChainHash::NONE, |sealed| sealed.hash),
                    whole_bytes: start.saturating_add(u64::try_from(whole).unwrap_or(u64::MAX)),
                    torn: window.get(whole..).unwrap_or_default().to_vec(),
                }));
            }
            rest = before;
        }
        Ok((start == 0).then_some(Self { last_seq: 0, last_hash: ChainHash::NONE, whole_bytes: 0, torn: window }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
        assert_eq!((found.last_seq, found.torn), (0, None));
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

    #[test]
    fn a_torn_end_is_moved_aside_and_the_numbers_go_on() {
        let whole = b"{\"seq\":7,\"x\":1}\n{\"seq\":8}\n";
        for torn in [&b"{\"seq\":9,\"a"[..], b"\0\0\0\0", b"{\"seq\":9,\"a\n", b"\0\0\n\0\n"] {
            let (directory, found) = found(&[whole, torn].concat());
            let found = found.unwrap();
            assert_eq!(found.last_seq, 8, "{torn:?}");
            let hash = blake3::hash(torn).to_hex().to_string();
            assert_eq!(found.torn, Some(Torn { bytes: torn.len() as u64, blake3: hash }));
            assert_eq!(fs::read(directory.path().join(FILE_NAME)).unwrap(), whole);
            assert_eq!(fs::read(directory.path().join(TORN_NAME)).unwrap(), torn);
        }
    }

    #[test]
    fn a_log_torn_in_its_first_line_begins_anew() {
        let (_directory, found) = found(b"{\"seq\":1,");
        let found = found.unwrap();
        assert_eq!((found.last_seq, found.torn.map(|torn| torn.bytes)), (0, Some(9)));
    }

    #[test]
    fn a_long_file_that_ends_in_no_record_is_left_alone() {
        let mut content = b"{\"seq\":1}\n".to_vec();
        content.resize(usize::try_from(TAIL_BYTES_MAX).unwrap() + 100, b'x');
        let (directory, found) = found(&content);
        assert!(matches!(found, Err(OpenError::Damaged(_))));
        assert_eq!(fs::read(directory.path().join(FILE_NAME)).unwrap().len(), content.len());
    }

    #[test]
    fn a_long_file_is_continued_from_its_end() {
        let mut content = b"{\"seq\":1}\n".repeat(200_000);
        content.extend_from_slice(b"{\"seq\":200001}\n");
        let (_directory, found) = found(&content);
        assert_eq!(found.unwrap().last_seq, 200_001);
    }
}
