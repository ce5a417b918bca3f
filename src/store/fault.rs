//! Why an operation on files failed.

use std::fmt;

use rustix::io::Errno;

/// Why an operation on files failed. The client hears a general word for it; the text here is for
/// the operational log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No such file or directory, or one that does not exist for clients (a symbolic link).
    NotFound,
    /// A directory was needed.
    NotADirectory,
    /// A file was needed, and a directory stands there.
    IsADirectory,
    /// Neither a regular file nor a directory: a FIFO, socket, device or symbolic link in the way.
    NotAFile,
    /// The directory to be removed holds something.
    NotEmpty,
    /// The name is taken, and the grant does not cover replacing it.
    Exists,
    /// The grant does not cover the operation, or the system refuses it to the server.
    Denied,
    /// Another operation has the name, or the file changed meanwhile; a later attempt may succeed.
    Busy,
    /// No file may be given that name.
    NameRefused,
    /// A directory cannot be moved below itself.
    IntoItself,
    /// The restart offset lies beyond what is there.
    OffsetBeyondEnd,
    /// The home's quota has no room for it.
    QuotaExceeded,
    /// The file system is full, or would fall below the floor.
    NoSpace,
    /// A cached look-up would have had to wait: ask again with [`Lookup::Full`](super::Lookup::Full).
    WouldBlock,
    /// Source and target lie on different file systems.
    CrossDevice,
    /// A directory whose new name would take what is below it out of the reach of its rules.
    OtherRules,
    /// The upload is larger than so many bytes, which is the most that is taken there.
    TooLarge(u64),
    /// The system failed otherwise.
    Io(Errno),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no such file or directory",
            Self::NotADirectory => "not a directory",
            Self::IsADirectory => "is a directory",
            Self::NotAFile => "neither a regular file nor a directory",
            Self::NotEmpty => "the directory is not empty",
            Self::Exists => "the name is taken",
            Self::Denied => "not permitted",
            Self::Busy => "the file is in use",
            Self::NameRefused => "the name is not acceptable",
            Self::IntoItself => "a directory cannot be moved below itself",
            Self::OffsetBeyondEnd => "the restart offset lies beyond the end of the file",
            Self::QuotaExceeded => "the quota is used up",
            Self::NoSpace => "the file system has no room left for uploads",
            Self::WouldBlock => "not in memory",
            Self::CrossDevice => "source and target lie on different file systems",
            Self::OtherRules => "other rules hold for something below the old or the new name",
            Self::TooLarge(bytes_max) => return write!(f, "files of more than {bytes_max} bytes are not taken"),
            Self::Io(errno) => return write!(f, "input/output: {errno}"),
        })
    }
}

impl std::error::Error for Fault {}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        match errno {
            // A symbolic link and an escape answer like nothing at all, so that neither can be found out.
            Errno::NOENT | Errno::LOOP | Errno::XDEV | Errno::STALE => Self::NotFound,
            Errno::NOTDIR => Self::NotADirectory,
            Errno::ISDIR => Self::IsADirectory,
            Errno::NXIO | Errno::NODEV => Self::NotAFile,
            Errno::NOTEMPTY => Self::NotEmpty,
            Errno::EXIST => Self::Exists,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Self::Denied,
            Errno::BUSY | Errno::TXTBSY | Errno::AGAIN => Self::Busy,
            Errno::NAMETOOLONG => Self::NameRefused,
            Errno::NOSPC | Errno::FBIG => Self::NoSpace,
            Errno::DQUOT => Self::QuotaExceeded,
            other => Self::Io(other),
        }
    }
}

/// Runs a system call again while a signal interrupts it.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}
