//! An upload before its first byte: everything that can refuse it is asked while nothing is on
//! disk yet.

use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};

use super::entry::{Identity, Status};
use super::fault::Fault;
use super::floor::Promise;
use super::held::Held;
use super::ledger::{Charge, Quota};
use super::partial::{Owner, Partial};
use super::places::is_writable;
use super::read::ReadFile;
use super::resolve;
use super::root::{Root, discard};
use super::upload::{Upload, open_original};
use crate::identity::Username;
use crate::policy::grant::Grant;
use crate::policy::permission::Permission;
use crate::proto::path::VirtualPath;

/// Who uploads, and how much the home may hold for that.
#[derive(Clone, Debug)]
pub struct Uploader {
    /// The account.
    pub name: Username,
    /// Bytes that the home may hold; none is no limit.
    pub quota_bytes: Option<u64>,
    /// Files and directories that the home may hold; none is no limit.
    pub quota_files: Option<u64>,
}

/// Where an upload begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadMode {
    /// At the start of a new content (`STOR`).
    Replace,
    /// At this offset of what is there: the uploader's interrupted upload, or else the file
    /// (`REST` and `STOR`). Offset 0 is [`UploadMode::Replace`].
    ResumeAt(u64),
    /// Behind so many octets of the file as it is sent in TYPE A. An interrupted upload, of which no
    /// such octets are known, is not continued so.
    ResumeInText(u64),
    /// At the end of what is there (`APPE`).
    Append,
    /// In a new file under a name that the server chose and nothing has (`STOU`).
    Unique,
}

/// A name claimed for an upload; dropping it lets the name go.
#[derive(Debug)]
#[must_use]
pub struct UploadClaim {
    pub(super) root: Arc<Root>,
    pub(super) plan: Plan,
    pub(super) grant: Grant,
    /// Whether the name is to be nobody's yet, until the end.
    pub(super) unique: bool,
    pub(super) user: Username,
    pub(super) charge: Charge,
    /// Room in the file system.
    pub(super) promise: Promise,
    pub(super) held: Held,
}

/// The most that may come of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimit {
    /// Bytes that may come.
    pub bytes_left: u64,
    /// Bytes that the whole file may have then.
    pub bytes_max: u64,
}

/// What an upload starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing.
    Fresh,
    /// The first bytes of the uploader's interrupted upload.
    Continue {
        /// How many.
        keep: u64,
        /// The content it continues, if that still stands under the final name.
        base: Option<Identity>,
    },
    /// A copy of the first bytes of the file under the final name.
    Extend {
        /// How many.
        keep: u64,
        /// That file's content.
        base: Identity,
    },
}

impl Uploader {
    pub(super) fn quota(&self) -> Quota {
        Quota { bytes: self.quota_bytes, files: self.quota_files }
    }
}

impl Root {
    /// Claims a name for an upload: name and permission, directory there, target not a directory,
    /// quota, floor, announced size and offset are checked, and a second upload to the name gets
    /// [`Fault::Busy`] from now on. Creates nothing on disk. `announced_bytes` is what the client
    /// said it would send (`ALLO`, RFC 959 §4.1.3).
    ///
    /// A new name needs [`Permission::Create`], a file that is there [`Permission::Overwrite`], or
    /// [`Permission::Append`] where all of its bytes stay. The uploader's own interrupted upload is
    /// continued with what its final name needs.
    ///
    /// # Errors
    /// [`Fault::Exists`] where a file is there and may not be replaced, [`Fault::TooLarge`] where
    /// the file would have more bytes than the grant lets it, [`Fault::Denied`] where
    /// there is none and none may be made, and where the server itself may not write there or has no
    /// place to stage uploads ([`Self::warnings`]); the others as they are named.
    pub fn claim_upload(
        self: &Arc<Self>,
        grant: Grant,
        uploader: &Uploader,
        mode: UploadMode,
        announced_bytes: Option<u64>,
    ) -> Result<UploadClaim, Fault> {
        let of_interest = [Permission::Create, Permission::Overwrite, Permission::Append];
        if !of_interest.into_iter().any(|permission| grant.allows(permission)) {
            return Err(Fault::Denied);
        }
        self.discard_expired();
        if grant.stored().is_root() {
            return Err(Fault::IsADirectory);
        }
        let held = self.held.hold(grant.stored())?;
        let (parent, name) = resolve::parent(self.as_ref(), held.path())?;
        let existing = find_target(&parent, name)?;
        if mode == UploadMode::Unique && existing.is_some() {
            return Err(Fault::Busy);
        }
        is_writable(&parent)?;
        self.places.are_usable(self.as_fd(), &Status::of(&parent)?)?;
        let partial = self.partials.find(&uploader.name, held.path());
        let mode = match mode {
            UploadMode::ResumeInText(0) => UploadMode::Replace,
            UploadMode::ResumeInText(_) if partial.is_some() => return Err(Fault::Busy),
            UploadMode::ResumeInText(octets) => {
                // Nobody has a file read up to a marker who may not change it.
                permit(&grant, existing.as_ref(), existing.as_ref().map(Status::identity))?;
                UploadMode::ResumeAt(text_offset(&parent, name, existing.as_ref(), octets)?)
            }
            mode => mode,
        };
        let plan = plan(&grant, mode, existing.as_ref(), partial.as_deref())?;
        self.count_for(uploader)?;
        let kept = partial.as_ref().map_or(0, |partial| partial.amount().bytes);
        let continues = matches!(plan, Plan::Continue { .. });
        // Gone once the upload is in place: the file that is there, and what a new upload makes obsolete.
        let obsolete = if continues { 0 } else { kept };
        let replaced = existing.as_ref().map_or(0, |existing| existing.size).saturating_add(obsolete);
        let mut charge = Charge::new(&self.ledger, uploader.quota()).replacing(replaced);
        if existing.is_none() && !continues {
            charge.reserve_file()?;
        }
        // Clients announce the size of the whole file. One byte comes at least, or nothing would be
        // lost by refusing; what was kept needs nothing more to be put in place.
        let (keep, least) = match plan {
            Plan::Fresh => (0, 1),
            Plan::Extend { keep, .. } => (keep, 1),
            Plan::Continue { keep, .. } => (keep, 0),
        };
        let expected = announced_bytes.map_or(least, |announced| announced.saturating_sub(keep));
        if let Some(bytes_max) = grant.file_bytes_max().filter(|max| keep.saturating_add(expected) > *max) {
            return Err(Fault::TooLarge(bytes_max));
        }
        let in_books = if continues { kept } else { 0 };
        if !charge.has_room_for(keep.saturating_add(expected), in_books) {
            return Err(Fault::QuotaExceeded);
        }
        // What is kept of an interrupted upload is a file already; everything else is staged in a new one.
        let promise = self.promise(&parent, expected, u64::from(!continues))?;
        let (root, user) = (Arc::clone(self), uploader.name.clone());
        Ok(UploadClaim { root, plan, grant, unique: mode == UploadMode::Unique, user, charge, promise, held })
    }
}

impl UploadClaim {
    /// The name claimed, as the user sees it.
    pub fn path(&self) -> &VirtualPath {
        self.grant.path()
    }

    /// How much may still come, where the grant lets a file have so many bytes only.
    pub fn size_limit(&self) -> Option<SizeLimit> {
        let keep = match self.plan {
            Plan::Fresh => 0,
            Plan::Continue { keep, .. } | Plan::Extend { keep, .. } => keep,
        };
        let bytes_max = self.grant.file_bytes_max()?;
        Some(SizeLimit { bytes_left: bytes_max.saturating_sub(keep), bytes_max })
    }

    /// Ends an upload that can never become whole before anything of it was written: an
    /// interrupted one that it was to continue goes, too.
    pub fn discard(self) {
        if matches!(self.plan, Plan::Continue { .. }) {
            let change = self.root.ledger.change();
            discard(&self.root.partials.take(&self.user, self.held.path()), &change);
        }
    }

    /// Whether the final name may be taken from a file that has it.
    pub(super) fn may_replace(&self) -> bool {
        !self.unique && self.grant.allows(Permission::Overwrite)
    }

    /// Whose upload it is, and what it is to become.
    pub(super) fn owner(&self) -> Owner {
        Owner { user: self.user.clone(), path: self.held.path().clone() }
    }

    /// Makes the staged file, and copies into it what the upload continues.
    ///
    /// # Errors
    /// [`Fault::Busy`] where the file to be continued changed since the claim; [`Fault::NoSpace`].
    pub fn begin(self) -> Result<Upload, Fault> {
        Upload::begin(self)
    }
}

/// The regular file under the final name, if there is one, or why none can be put there.
pub(super) fn find_target(parent: &OwnedFd, name: &str) -> Result<Option<Status>, Fault> {
    let existing = Status::find(parent.as_fd(), name).map_err(super::change::new_name_fault)?;
    match &existing {
        Some(status) => status.replaceable()?,
        None => resolve::acceptable_new_name(name)?,
    }
    Ok(existing)
}

/// Where in the file under the final name a marker in text stands.
fn text_offset(parent: &OwnedFd, name: &str, existing: Option<&Status>, octets: u64) -> Result<u64, Fault> {
    let Some(existing) = existing else { return Ok(octets) };
    let file = open_original(parent, name, existing.identity())?;
    match ReadFile::new(file, existing).text_place(octets) {
        // Refused with the other offsets that are too large, once it is clear that the file may be
        // changed at all.
        Err(Fault::OffsetBeyondEnd) => Ok(existing.size.saturating_add(1)),
        place => Ok(place?.offset),
    }
}

/// What the upload starts from, if the grant covers that.
fn plan(grant: &Grant, mode: UploadMode, existing: Option<&Status>, partial: Option<&Partial>) -> Result<Plan, Fault> {
    let offset = match mode {
        UploadMode::Replace | UploadMode::Unique | UploadMode::ResumeAt(0) => {
            return permit(grant, existing, None).map(|()| Plan::Fresh);
        }
        UploadMode::ResumeAt(offset) | UploadMode::ResumeInText(offset) => Some(offset),
        UploadMode::Append => None,
    };
    let end = partial.map(|partial| partial.status.size).or(existing.map(|status| status.size));
    let Some(end) = end else {
        permit(grant, existing, None)?;
        return if offset.is_some() { Err(Fault::OffsetBeyondEnd) } else { Ok(Plan::Fresh) };
    };
    let keep = offset.unwrap_or(end);
    let base = match partial {
        // Goes on from the file that is there only if that is still the one it began from.
        Some(partial) => partial.origin.base.filter(|base| existing.is_some_and(|e| e.identity() == *base)),
        None => existing.map(Status::identity),
    };
    let base = base.filter(|base| keep >= base.size || partial.is_none());
    permit(grant, existing, base.filter(|base| keep >= base.size))?;
    if keep > end {
        return Err(Fault::OffsetBeyondEnd);
    }
    match (partial, base) {
        (None, Some(base)) => Ok(Plan::Extend { keep, base }),
        (_, base) => Ok(Plan::Continue { keep, base }),
    }
}

/// Whether the grant lets the final name have a new content, of which `base` is the beginning.
fn permit(grant: &Grant, existing: Option<&Status>, base: Option<Identity>) -> Result<(), Fault> {
    match existing {
        None if grant.allows(Permission::Create) => Ok(()),
        None => Err(Fault::Denied),
        Some(_) if grant.allows(Permission::Overwrite) => Ok(()),
        Some(_) if base.is_some() && grant.allows(Permission::Append) => Ok(()),
        Some(_) => Err(Fault::Exists),
    }
}
