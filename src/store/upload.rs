//! An upload from its first byte to its end. The content grows in a staged file; the final name
//! keeps what it has until [`Upload::commit`].

use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, copy_file_range, fchmod, fsync, ftruncate, ioctl_ficlone, openat, renameat};
use rustix::io::{Errno, pread};

use super::change::{new_name_fault, rename_to_free_name};
use super::claim::{Plan, UploadClaim, find_target};
use super::entry::{Identity, Status};
use super::fault::{Fault, uninterrupted};
use super::floor::Promise;
use super::ledger::{Amount, Change, Charge};
use super::partial::{Origin, Partial, Record, now_seconds};
use super::resolve;
use super::root::{Root, discard};
use super::staging::{Staged, write_all};
use crate::proto::path::VirtualPath;

/// Bytes copied at a time where the file system cannot share them.
const COPY_STEP_BYTES: u64 = 8 << 20;
/// Bytes of the buffer where it cannot even copy them itself.
const COPY_BUFFER_BYTES: usize = 256 << 10;
/// The permission bits that a replacing file takes over.
const MODE_BITS: u32 = 0o777;

/// An upload under way. Dropped without [`Self::commit`] or [`Self::interrupt`], it leaves behind
/// what was there before it: nothing, or the first bytes of the interrupted upload that it continued.
#[derive(Debug)]
#[must_use]
pub struct Upload {
    file: OwnedFd,
    staged: Staged,
    /// Where the first byte of this upload goes.
    offset: u64,
    /// Size of the staged file so far.
    size: u64,
    /// The content that must still stand under the final name at the end.
    base: Option<Identity>,
    /// Whether it continues an interrupted upload, which is then worth keeping as it is.
    continues: bool,
    /// Whether the staged file went to its place, or was kept.
    ended: bool,
    /// Last, so that the name is let go after everything else.
    claim: UploadClaim,
}

/// A finished upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The file's size in bytes.
    pub size: u64,
    /// Whether a file with that name was there before.
    pub replaced: bool,
}

/// An upload that could not be put under its final name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unstored {
    /// Why.
    pub fault: Fault,
    /// What of it is kept for the uploader to resume.
    pub kept: Kept,
}

impl From<Unstored> for Fault {
    fn from(unstored: Unstored) -> Self {
        unstored.fault
    }
}

/// An interrupted upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Bytes kept for the uploader to resume; 0 where nothing was.
    pub size: u64,
}

impl Upload {
    pub(super) fn begin(mut claim: UploadClaim) -> Result<Self, Fault> {
        let root = Arc::clone(&claim.root);
        let (parent, name) = resolve::parent(root.as_ref(), claim.held.path())?;
        let (file, staged) = match claim.plan {
            Plan::Continue { keep, .. } => {
                let change = root.ledger.change();
                let partial = root.partials.take(&claim.user, claim.held.path()).ok_or(Fault::Busy)?;
                take_up(&root, &partial, keep, &mut claim.charge, &change)?
            }
            Plan::Fresh | Plan::Extend { .. } => {
                let directory = Status::of(&parent)?;
                let place = claim.held.path().parent();
                let staging = root.places.for_directory(root.as_fd(), &place, &directory)?;
                let staged = staging.stage()?;
                claim.promise.made();
                staged
            }
        };
        let (offset, base) = match claim.plan {
            Plan::Fresh => (0, None),
            Plan::Continue { keep, base } => (keep, base),
            Plan::Extend { keep, base } => {
                claim.charge.reserve_bytes(keep)?;
                copy_beginning(&mut claim.promise, &parent, name, &file, keep, base)?;
                (keep, Some(base))
            }
        };
        let continues = matches!(claim.plan, Plan::Continue { .. });
        Ok(Self { file, staged, offset, size: offset, base, continues, ended: false, claim })
    }

    /// Where the first byte of this upload goes in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The size of the content so far, in bytes, with what it continues.
    pub fn bytes(&self) -> u64 {
        self.size
    }

    /// The final name, as the user sees it.
    pub fn path(&self) -> &VirtualPath {
        self.claim.path()
    }

    /// Adds bytes at the end. After a failure the upload is as it was before the call; end it by
    /// [`Self::give_up`].
    ///
    /// # Errors
    /// [`Fault::TooLarge`] where the grant lets no file have so many bytes;
    /// [`Fault::QuotaExceeded`]; [`Fault::NoSpace`] where the file system is full or at its floor.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let length = u64::try_from(bytes.len()).map_err(|_| Fault::NoSpace)?;
        let bytes_max = self.claim.grant.file_bytes_max();
        if let Some(bytes_max) = bytes_max.filter(|max| self.size.saturating_add(length) > *max) {
            return Err(Fault::TooLarge(bytes_max));
        }
        self.claim.promise.cover(&self.file, length)?;
        self.claim.charge.reserve_bytes(length)?;
        if let Err(fault) = write_all(&self.file, bytes, self.size) {
            self.claim.charge.return_bytes(length);
            // What was written of a chunk that does not fit as a whole is no part of the upload.
            ftruncate(&self.file, self.size)?;
            return Err(fault);
        }
        self.claim.promise.written(length);
        self.size = self.size.saturating_add(length);
        Ok(())
    }

    /// Puts the content under its final name: when this returns, it is there for good, and no
    /// earlier is anything of it.
    ///
    /// # Errors
    /// [`Fault::Exists`] where a file came to stand there that may not be replaced; [`Fault::Busy`]
    /// where the file that was continued changed meanwhile; others as the system reports them. The
    /// final name then has what it had, and the content is kept as by [`Self::give_up`]; only where
    /// the very last step fails, writing the directory to disk, may the new content be there all
    /// the same.
    pub fn commit(mut self) -> Result<Stored, Unstored> {
        match self.put_in_place() {
            Ok(stored) => Ok(stored),
            Err(fault) => Err(Unstored { fault, kept: self.give_up(fault) }),
        }
    }

    /// Ends an upload that met a fault of the store. One that continued an interrupted upload is
    /// kept with all that came. Another is kept only where nothing but the moment was wrong
    /// ([`Fault::Busy`], [`Fault::NotFound`]) and the uploader could finish it later; a full home
    /// is not filled further with halves. Of a file that is too large nothing is kept, since it can
    /// never become whole.
    pub fn give_up(mut self, fault: Fault) -> Kept {
        if matches!(fault, Fault::TooLarge(_)) {
            self.staged.discard();
            self.ended = true;
            return Kept { size: 0 };
        }
        let passing = matches!(fault, Fault::Busy | Fault::NotFound);
        // What may not be replaced would be hidden from the uploader by what is kept under its name.
        let finishable = self.base.is_none() || self.claim.may_replace();
        let kept = if self.continues || (passing && finishable && !self.claim.unique) {
            self.keep()
        } else {
            Ok(Kept { size: 0 })
        };
        kept.unwrap_or_else(|_| self.give_back())
    }

    fn put_in_place(&mut self) -> Result<Stored, Fault> {
        let root = Arc::clone(&self.claim.root);
        let path = self.claim.held.path().clone();
        let directory = resolve::open_directory(root.as_ref(), &path.parent())?;
        let name = path.name().ok_or(Fault::IsADirectory)?;
        if let Some(former) = self.replaced(&directory, name)? {
            let mode = former.mode & MODE_BITS;
            if Status::of(&self.file)?.mode != mode {
                fchmod(&self.file, Mode::from_raw_mode(mode))?;
            }
        }
        fsync(&self.file)?;
        let replaced = {
            let change = root.ledger.change();
            let former = self.replaced(&directory, name)?;
            let (staging, staged) = (self.staged.staging().directory(), self.staged.name());
            if former.is_some() {
                renameat(staging, staged, &directory, name).map_err(new_name_fault)?;
            } else {
                rename_to_free_name(staging, &staged, &directory, name)?;
            }
            self.staged.left();
            self.ended = true;
            let less = former.map_or(Amount::default(), |former| former.amount());
            let more = Amount { bytes: self.size, files: 1 };
            self.claim.charge.settle(&change, more, less);
            change.note(&directory, name, less, more);
            discard(&root.partials.take(&self.claim.user, &path), &change);
            former.is_some()
        };
        fsync(&directory)?;
        Ok(Stored { size: self.size, replaced })
    }

    /// Keeps what came so far for the uploader to resume, in place of what was kept before.
    /// Nothing is kept of an upload of which nothing came.
    ///
    /// # Errors
    /// What the system reports; then only what was kept before is.
    pub fn interrupt(mut self) -> Result<Kept, Fault> {
        self.keep()
    }

    fn keep(&mut self) -> Result<Kept, Fault> {
        if self.ended {
            return Ok(Kept { size: 0 });
        }
        let root = Arc::clone(&self.claim.root);
        let something_new = self.continues || self.size > self.offset;
        root.discard_expired();
        if self.size == 0 || !something_new || !(self.continues || root.partials.has_room()) {
            return Ok(Kept { size: 0 });
        }
        fsync(&self.file)?;
        self.set_aside(&root)
    }

    /// Keeps what an interrupted upload had that this one continued, and nothing of this one.
    fn give_back(&mut self) -> Kept {
        let nothing = Kept { size: 0 };
        if self.ended || !self.continues {
            return nothing;
        }
        if ftruncate(&self.file, self.offset).is_ok() {
            self.size = self.offset;
        }
        let root = Arc::clone(&self.claim.root);
        self.set_aside(&root).unwrap_or(nothing)
    }

    fn set_aside(&mut self, root: &Root) -> Result<Kept, Fault> {
        let status = Status::of(&self.file)?;
        let owner = self.claim.owner();
        let origin = Origin { kept_at: now_seconds(), base: self.base };
        let change = root.ledger.change();
        let id = self.staged.keep(&Record::new(&owner, origin))?;
        self.ended = true;
        let partial = Partial { staging: Arc::clone(self.staged.staging()), id, status, owner, origin };
        self.claim.charge.settle(&change, partial.amount(), Amount::default());
        discard(&root.partials.put(partial), &change);
        Ok(Kept { size: self.size })
    }

    /// The file that the upload is about to replace, if there is one and it may be.
    fn replaced(&self, directory: &OwnedFd, name: &str) -> Result<Option<Status>, Fault> {
        let existing = find_target(directory, name)?;
        match (&existing, self.base) {
            (Some(status), Some(base)) if status.identity() == base => {}
            (_, Some(_)) => return Err(Fault::Busy),
            (Some(_), None) if !self.claim.may_replace() => return Err(Fault::Exists),
            _ => {}
        }
        Ok(existing)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Takes an interrupted upload up again, cut to its first `keep` bytes.
fn take_up(
    root: &Root,
    partial: &Arc<Partial>,
    keep: u64,
    charge: &mut Charge,
    books: &Change<'_>,
) -> Result<(OwnedFd, Staged), Fault> {
    charge.take_over(partial.amount());
    let (file, mut staged) = partial.staging.restage(&partial.id)?;
    let found = Status::of(&file).map_err(Fault::from).and_then(|found| match found.size {
        size if size < keep => Err(Fault::OffsetBeyondEnd),
        size if size > keep => Ok(ftruncate(&file, keep).map(|()| size)?),
        size => Ok(size),
    });
    let found = match found {
        Ok(found) => found,
        Err(fault) => {
            let id = staged.keep(&Record::new(&partial.owner, partial.origin))?;
            charge.settle(books, partial.amount(), Amount::default());
            discard(&root.partials.put(Partial { id, ..Partial::clone(partial) }), books);
            return Err(fault);
        }
    };
    if found > keep {
        charge.return_bytes(partial.amount().bytes.saturating_sub(keep));
    }
    Ok((file, staged))
}

/// Fills a staged file with the first bytes of the file under the final name: shared where the
/// file system can, copied otherwise.
fn copy_beginning(
    promise: &mut Promise,
    parent: &OwnedFd,
    name: &str,
    staged: &OwnedFd,
    length: u64,
    expected: Identity,
) -> Result<(), Fault> {
    let source = open_original(parent, name, expected)?;
    if length == 0 {
        return Ok(());
    }
    if ioctl_ficlone(staged, &source).is_ok() {
        return Ok(ftruncate(staged, length)?);
    }
    promise.ask(staged, length, 0)?;
    let mut done: u64 = 0;
    while done < length {
        let step = length.saturating_sub(done).min(COPY_STEP_BYTES);
        let copied = match copy_step(&source, staged, done, step)? {
            0 => return Err(Fault::Busy),
            copied => copied,
        };
        done = done.saturating_add(copied);
        promise.written(copied);
        promise.cover(staged, 0)?;
    }
    Ok(())
}

/// Opens the file under the final name, as long as it has the content that is expected.
pub(super) fn open_original(parent: &OwnedFd, name: &str, expected: Identity) -> Result<OwnedFd, Fault> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(parent, name, flags, Mode::empty())?;
    if Status::of(&file)?.identity() == expected { Ok(file) } else { Err(Fault::Busy) }
}

/// Copies up to `step` bytes at an offset; returns how many.
fn copy_step(source: &OwnedFd, staged: &OwnedFd, at: u64, step: u64) -> Result<u64, Fault> {
    let count = usize::try_from(step).unwrap_or(COPY_BUFFER_BYTES);
    let (mut from, mut to) = (at, at);
    match uninterrupted(|| copy_file_range(source, Some(&mut from), staged, Some(&mut to), count)) {
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {}
        copied => return Ok(u64::try_from(copied?).unwrap_or(step)),
    }
    let mut buffer = vec![0; COPY_BUFFER_BYTES.min(count)];
    let read = uninterrupted(|| pread(source, &mut buffer[..], at))?;
    write_all(staged, buffer.get(..read).unwrap_or_default(), at)?;
    Ok(u64::try_from(read).unwrap_or(step))
}
