//! Rooted files: everything a session may do with them. All functions are synchronous and are
//! meant for a pool of blocking threads, but for those that take [`Lookup::Cached`] and
//! [`ReadFile::read_cached`], which never wait for a disk.
//!
//! | file | subject |
//! |---|---|
//! | `fault` | why an operation failed |
//! | `entry` | the facts of a file or directory |
//! | `resolve` | the only way from a [`VirtualPath`](crate::proto::path::VirtualPath) to a descriptor |
//! | `root` | homes, and the root of one |
//! | `settings` | what holds for every home |
//! | `read`, `listing` | reading a file, reading a directory |
//! | `text` | restart markers in text |
//! | `change` | directories made, things removed, renamed |
//! | `attributes` | times and permission bits |
//! | `claim`, `upload` | an upload before its first byte, and from there to its end |
//! | `held` | names that one operation at a time may have |
//! | `staging` | the directories in which uploads grow, and what lies there |
//! | `places` | where the staging directories of a home are |
//! | `partial` | interrupted uploads, kept for their uploaders |
//! | `sweep` | what an earlier run left behind |
//! | `ledger` | how much a home holds, and reservations against quotas |
//! | `scan`, `progress` | counting a home, and what that makes of changes meanwhile |
//! | `usage` | the count on disk |
//! | `count` | when homes are counted, and when the counts are written |
//! | `floor` | what stays free in a file system |
//! | `room` | how much may still be stored |
//!
//! Invariants, each kept by a test:
//! - Nothing outside the home is reached, whatever links or races stand in it: paths are resolved
//!   by `openat2` beneath the root's descriptor without symbolic or magic links, and changes are
//!   made on a parent's descriptor with a single name.
//! - A name holds its old content until [`Upload::commit`] has renamed a synced file over it.
//! - FIFOs, devices and sockets are never opened.
//! - An operation needs a [`Grant`](crate::policy::grant::Grant) that covers it.

mod attributes;
mod change;
mod claim;
mod count;
mod entry;
mod fault;
mod floor;
mod held;
mod ledger;
mod listing;
mod partial;
mod places;
mod progress;
mod read;
mod resolve;
mod room;
mod root;
mod scan;
mod settings;
mod staging;
mod sweep;
mod text;
mod upload;
mod usage;

pub use claim::{SizeLimit, UploadClaim, UploadMode, Uploader};
pub use count::Repaired;
pub use entry::{Entry, EntryKind, EntryRef};
pub use fault::Fault;
pub use floor::{Floor, Free};
pub use listing::Listing;
pub use read::ReadFile;
pub use resolve::{Lookup, probe};
pub use room::Usage;
pub use root::{Homes, Root};
pub use settings::StoreSettings;
pub use sweep::Swept;
pub use text::TextPlace;
pub use upload::{Kept, Stored, Unstored, Upload};

#[cfg(test)]
mod tests;
