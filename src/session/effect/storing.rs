//! What is asked of the store outside of transfers, and what it answers.

use crate::policy::grant::Grant;
use crate::proto::facts::Form;

/// What is asked of the store outside of transfers.
#[derive(Debug)]
pub enum StoreRequest {
    /// The facts of one path.
    Facts(Grant),
    /// Remove a file.
    RemoveFile(Grant),
    /// Make a directory.
    MakeDirectory(Grant),
    /// Remove an empty directory.
    RemoveDirectory(Grant),
    /// Give another name.
    Rename(Grant, Grant),
    /// Set attributes of a file or directory.
    SetAttributes(Grant, Attributes),
    /// How many bytes may still be stored at a path.
    Room(Grant),
    /// What the user's home holds and may hold.
    Quota,
    /// A directory's lines, or a file's one, for the control connection.
    Lines {
        /// Leave to list.
        grant: Grant,
        /// How to write the lines.
        form: Box<Form>,
        /// Most lines wanted.
        lines_max: usize,
    },
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAnswer {
    /// It was done.
    Done,
    /// The facts of a path, as they are now.
    Facts(PathFacts),
    /// Bytes that may still be stored.
    Room(u64),
    /// What the home holds and may hold.
    Quota(QuotaFacts),
    /// Lines of a listing.
    Lines {
        /// The lines, without ends.
        lines: Vec<String>,
        /// Whether there were more.
        cut: bool,
    },
}

/// Attributes to be set; at least one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Last modification in seconds since the Unix epoch.
    pub modified_seconds: Option<i64>,
    /// Permission bits, without setuid, setgid and sticky.
    pub mode: Option<u32>,
}

/// What a home holds and may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaFacts {
    /// Bytes, and files and directories, that it holds; none where nobody has counted them.
    pub used: Option<(u64, u64)>,
    /// Bytes that it may hold; none is no limit.
    pub bytes_max: Option<u64>,
    /// Files and directories that it may hold; none is no limit.
    pub files_max: Option<u64>,
}

/// Facts of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathFacts {
    /// Whether it is a directory.
    pub directory: bool,
    /// Size in bytes.
    pub size: u64,
    /// Last modification in seconds since the Unix epoch.
    pub modified_seconds: i64,
    /// Permission bits.
    pub mode: u32,
    /// Device and inode.
    pub unique: (u64, u64),
    /// When it was made, in seconds since the Unix epoch, where that is known.
    pub created_seconds: Option<i64>,
    /// The numbers of its owner and its group.
    pub owner: (u32, u32),
}

/// Why the store did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Nothing has that name.
    NotFound,
    /// A directory was needed.
    NotADirectory,
    /// A file was needed.
    IsADirectory,
    /// Neither a file nor a directory.
    NotAFile,
    /// The directory still has entries.
    NotEmpty,
    /// Something has that name already.
    Exists,
    /// Not permitted, by the policy or by the file system.
    Denied,
    /// Another upload to that name is under way, or the file is an unfinished upload.
    Busy,
    /// That name cannot be given.
    NameRefused,
    /// The offset lies beyond the file's end.
    OffsetBeyondEnd,
    /// The quota does not permit it.
    Quota,
    /// The disk is full, or nearly.
    NoSpace,
    /// Two file systems are concerned.
    CrossDevice,
    /// Something failed that is the server's own affair; the operational log has it.
    Local,
}
