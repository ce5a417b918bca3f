//! The newest signed head beside the log. It is overwritten in place, with one write of one sector: the
//! sandbox lets nothing be renamed here. A head that was cut short has no right signature and is none.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use super::head::{HEAD_NAME, SignedHead};

/// Its length in bytes: the line is filled up with spaces.
const HEAD_BYTES: usize = 512;

#[derive(Debug)]
pub(super) struct HeadFile {
    file: File,
    path: PathBuf,
}

fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(open(path, flags, Mode::from_raw_mode(0o640))?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file; move it away")) }
}

impl HeadFile {
    /// Opens or makes it. On failure, the path comes with the error.
    pub(super) fn open(directory: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let path = directory.join(HEAD_NAME);
        match open_file(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => Err((path, error)),
        }
    }

    /// The file itself.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The head in it, where there is one; nothing is said about its signature.
    pub(super) fn read(&self) -> Option<SignedHead> {
        let mut bytes = [0; HEAD_BYTES];
        let length = self.file.read_at(&mut bytes, 0).ok()?;
        let line = bytes.get(..length)?.split(|byte| *byte == b'\n').next()?;
        serde_json::from_slice(line).ok()
    }

    /// Puts another head in its place. Where somebody removed the file, it is made anew.
    pub(super) fn publish(&mut self, head: &SignedHead, sync: bool) -> io::Result<()> {
        let own = self.file.metadata()?;
        let gone = match self.path.symlink_metadata() {
            Ok(named) => (named.dev(), named.ino()) != (own.dev(), own.ino()),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if gone {
            self.file = open_file(&self.path)?;
        }
        let mut line = serde_json::to_vec(head)?;
        line.resize(line.len().max(HEAD_BYTES.saturating_sub(1)), b' ');
        line.push(b'\n');
        self.file.write_all_at(&line, 0)?;
        if sync { self.file.sync_data() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::ChainHash;
    use crate::audit::head::Head;
    use crate::audit::signing::SigningKey;

    #[test]
    fn the_newest_head_is_read_and_one_that_is_torn_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let key = SigningKey::generate().unwrap();
        let head = |seq| {
            let log = ulid::Ulid::nil().to_string();
            Head { log, seq, hash: ChainHash::NONE, time: jiff::Timestamp::UNIX_EPOCH }.signed(&key)
        };
        let mut file = HeadFile::open(directory.path()).unwrap();
        assert_eq!(file.read(), None);
        for seq in [1, u64::MAX, 7] {
            file.publish(&head(seq), true).unwrap();
            assert_eq!(file.read(), Some(head(seq)));
        }
        let path = directory.path().join(HEAD_NAME);
        assert_eq!(path.metadata().unwrap().len(), 512);
        std::fs::remove_file(&path).unwrap();
        file.publish(&head(8), false).unwrap();
        assert_eq!(HeadFile::open(directory.path()).unwrap().read(), Some(head(8)));
        let bytes = std::fs::read(&path).unwrap();
        for cut in [0, 1, 100, 250] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert_eq!(HeadFile::open(directory.path()).unwrap().read(), None, "{cut}");
        }
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        assert_eq!(HeadFile::open(directory.path()).unwrap().read(), None);
    }
}
