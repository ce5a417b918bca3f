//! How much a home holds, and how much may still be stored in it.

use super::claim::Uploader;
use super::entry::EntryKind;
use super::fault::Fault;
use super::ledger::Amount;
use super::resolve::{self, Lookup};
use super::root::Root;
use crate::policy::grant::Grant;

/// What a home holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of content, interrupted uploads included.
    pub bytes: u64,
    /// Files and directories.
    pub files: u64,
}

impl From<Amount> for Usage {
    fn from(Amount { bytes, files }: Amount) -> Self {
        Self { bytes, files }
    }
}

impl Root {
    /// Bytes that the uploader may still store at a path: what the quota leaves, or what the file
    /// system has above the floor, whichever is less. Nothing where a new file cannot even be made,
    /// unless the path is that of a file. Whatever the grant covers is enough.
    ///
    /// # Errors
    /// [`Fault::NotFound`], [`Fault::NotAFile`], as for [`Root::facts`].
    pub fn room(&self, grant: &Grant, uploader: &Uploader) -> Result<u64, Fault> {
        let path = grant.stored();
        let interrupted = self.partials.find(&uploader.name, path).is_some();
        let place = if interrupted { path.parent() } else { path.clone() };
        let (place, status) = resolve::find(self, &place, Lookup::Full)?;
        let new = status.kind()? == EntryKind::Directory && !interrupted;
        // What takes the place of a file is staged beside it first.
        let free = self.file_systems.of(&place)?.room(&place, self.settings.now().floor, u64::from(!interrupted))?;
        let used = self.usage(uploader)?;
        let left =
            |limit: Option<u64>, used: Option<u64>| limit.zip(used).map(|(limit, used)| limit.saturating_sub(used));
        if new && left(uploader.quota_files, used.map(|used| used.files)) == Some(0) {
            return Ok(0);
        }
        Ok(free.min(left(uploader.quota_bytes, used.map(|used| used.bytes)).unwrap_or(u64::MAX)))
    }

    /// What the home holds, counted if the uploader has a quota; none where nobody has counted it.
    ///
    /// # Errors
    /// The [`Fault`] that keeps the home from being counted.
    pub fn usage(&self, uploader: &Uploader) -> Result<Option<Usage>, Fault> {
        self.discard_expired();
        self.count_for(uploader)?;
        Ok(self.used())
    }
}
