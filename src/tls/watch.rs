//! Files that are looked at again and again, to see when their content has become another.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of the file at the end of all links; none where there is none.
    fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Files that belong together: a change of one is a change of all.
#[derive(Debug)]
pub(super) struct Watched {
    files: Vec<PathBuf>,
    /// As they were when they were last read.
    tried: Vec<Option<Stamp>>,
    /// As they were at the last look.
    seen: Vec<Option<Stamp>>,
}

impl Watched {
    /// Watches from now on: to be called before the files are read.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let stamps: Vec<_> = files.iter().map(|file| Stamp::of(file)).collect();
        Self { files, tried: stamps.clone(), seen: stamps }
    }

    /// Looks at them. True once for each change, when it has come to rest: they differ from what was
    /// read, and not from the look before. Then they count as read.
    pub(super) fn has_settled(&mut self) -> bool {
        let now: Vec<_> = self.files.iter().map(|file| Stamp::of(file)).collect();
        let at_rest = now == self.seen;
        self.seen = now;
        let settled = at_rest && self.seen != self.tried;
        if settled {
            self.tried.clone_from(&self.seen);
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_when_it_has_come_to_rest() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        std::fs::write(&one, "a").unwrap();
        let mut watched = Watched::new(vec![one.clone(), other.clone()]);
        assert!(!watched.has_settled());
        std::fs::write(&one, "ab").unwrap();
        assert!(!watched.has_settled());
        std::fs::write(&other, "c").unwrap();
        assert!(!watched.has_settled());
        assert!(watched.has_settled());
        assert!(!watched.has_settled());
        std::fs::remove_file(&one).unwrap();
        assert_eq!([watched.has_settled(), watched.has_settled()], [false, true]);
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["1", "2"] {
            std::fs::write(path(name), "same").unwrap();
        }
        std::os::unix::fs::symlink("1", path("live")).unwrap();
        let mut watched = Watched::new(vec![path("live")]);
        std::os::unix::fs::symlink("2", path("new")).unwrap();
        std::fs::rename(path("new"), path("live")).unwrap();
        assert_eq!([watched.has_settled(), watched.has_settled()], [false, true]);
    }
}
