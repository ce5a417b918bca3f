//! How much a home holds, and how much may still be stored in it.

use super::claim::Uploader;
use super::fault::Fault;
use super::resolve::{self, Lookup};
use super::root::{Root, free_bytes};
use crate::policy::grant::Grant;

/// What a home holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of content, interrupted uploads included.
    pub bytes: u64,
    /// Files and directories.
    pub files: u64,
}

impl Root {
    /// Bytes that the uploader may still store at a path: what the quota leaves, or what the file
    /// system has above the floor, whichever is less. Whatever the grant covers is enough.
    ///
    /// # Errors
    /// [`Fault::NotFound`], [`Fault::NotAFile`], as for [`Root::facts`].
    pub fn room(&self, grant: &Grant, uploader: &Uploader) -> Result<u64, Fault> {
        let path = grant.stored();
        let interrupted = self.partials.find(&uploader.name, path).is_some();
        let place = if interrupted { path.parent() } else { path.clone() };
        let (place, status) = resolve::find(self, &place, Lookup::Full)?;
        status.kind()?;
        let free = free_bytes(&place)?.saturating_sub(self.settings.now().free_space_floor_bytes);
        let left = match (uploader.quota_bytes, self.usage(uploader)?) {
            (Some(limit), Some(used)) => limit.saturating_sub(used.bytes),
            _ => u64::MAX,
        };
        Ok(free.min(left))
    }

    /// What the home holds, counted if the uploader has a quota; none where nobody has counted it.
    ///
    /// # Errors
    /// The [`Fault`] that keeps the home from being counted.
    pub fn usage(&self, uploader: &Uploader) -> Result<Option<Usage>, Fault> {
        self.discard_expired();
        self.count_for(uploader)?;
        Ok(self.ledger.used().map(|used| Usage { bytes: used.bytes, files: used.files }))
    }
}
