//! What is asked of the store outside of transfers, and what it answers.

use crate::policy::grant::Grant;
use crate::policy::viewer::Viewer;
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
    /// What the home or folder holds and may hold in which this path lies.
    Quota(Grant),
    /// A directory's lines, or a file's one, for the control connection.
    Lines {
        /// Leave to list.
        grant: Grant,
        /// Who decides what is shown.
        viewer: Box<Viewer>,
        /// How to write the lines.
        form: Box<Form>,
        /// Most lines wanted.
        lines_max: usize,
    },
}

impl StoreRequest {
    /// Leave for what it is about; of a new name, for the old one.
    pub fn grant(&self) -> &Grant {
        match self {
            Self::Facts(grant)
            | Self::RemoveFile(grant)
            | Self::MakeDirectory(grant)
            | Self::RemoveDirectory(grant)
            | Self::Rename(grant, _)
            | Self::SetAttributes(grant, _)
            | Self::Room(grant)
            | Self::Quota(grant)
            | Self::Lines { grant, .. } => grant,
        }
    }
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAnswer {
    /// It was done.
    Done,
    /// The facts of a path, as they are now.
    Facts(PathFacts),
    /// How much may still be stored.
    Room {
        /// Bytes.
        bytes: u64,
        /// Whether the path is that of a directory.
        directory: bool,
    },
    /// What the home or folder holds and may hold.
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

/// What a home or folder holds and may hold.
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
    /// It is read-only for a time.
    Frozen,
    /// The offset lies beyond the file's end.
    OffsetBeyondEnd,
    /// The quota does not permit it.
    Quota,
    /// The disk is full, or nearly.
    NoSpace,
    /// Two file systems are concerned, or the home and a folder.
    CrossDevice,
    /// What lies below would leave the reach of its rules.
    OtherRules,
    /// The file is larger than so many bytes, which is the most that is taken there.
    TooLarge(u64),
    /// Something failed that is the server's own affair; the operational log has it.
    Local,
}
