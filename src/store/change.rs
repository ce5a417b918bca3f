//! Directories made, things removed and renamed. Every change is made on the descriptor of
//! the parent directory with a single name.

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, Mode, RenameFlags, mkdirat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::claim::Uploader;
use super::entry::{EntryKind, Status};
use super::fault::Fault;
use super::ledger::{Amount, Charge};
use super::resolve;
use super::root::{Root, discard, require};
use crate::identity::Username;
use crate::policy::grant::Grant;
use crate::policy::permission::Permission;

/// Mode of directories, less the process's umask.
const DIRECTORY_MODE: Mode = Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP);

/// One file or directory of no size.
const ONE: Amount = Amount { bytes: 0, files: 1 };
const NOTHING: Amount = Amount { bytes: 0, files: 0 };

impl Root {
    /// Makes a directory. It counts as a file against the uploader's quota, so that directories
    /// without end use up no file system.
    ///
    /// # Errors
    /// [`Fault::Exists`], [`Fault::NameRefused`], [`Fault::QuotaExceeded`]; [`Fault::NoSpace`] where
    /// the file system is at its floor; [`Fault::Busy`] while a file is uploaded to the name;
    /// [`Fault::Denied`] without [`Permission::MakeDirectory`].
    pub fn make_directory(&self, grant: &Grant, uploader: &Uploader) -> Result<(), Fault> {
        require(grant, Permission::MakeDirectory)?;
        let (parent, name) = resolve::parent(self, grant.stored()).map_err(|fault| match fault {
            Fault::Denied if grant.stored().is_root() => Fault::Exists,
            other => other,
        })?;
        resolve::acceptable_new_name(name)?;
        let _held = self.held.hold(grant.stored())?;
        self.count_for(uploader)?;
        if self.partials.find(&uploader.name, grant.stored()).is_some() {
            return Err(Fault::Exists);
        }
        let mut reservation = Charge::new(&self.ledger, uploader.quota());
        reservation.reserve_file()?;
        let _room = self.promise(&parent, 0, 1)?;
        let change = self.ledger.change();
        mkdirat(&parent, name, DIRECTORY_MODE).map_err(new_name_fault)?;
        reservation.settle(&change, ONE, NOTHING);
        change.note(&parent, name, NOTHING, ONE);
        change.note_made(&parent, name);
        Ok(())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`Fault::NotEmpty`], [`Fault::NotADirectory`]; [`Fault::Busy`] while something is uploaded
    /// into it; [`Fault::Denied`] for the root and for mount points, or without
    /// [`Permission::RemoveDirectory`].
    pub fn remove_directory(&self, grant: &Grant) -> Result<(), Fault> {
        require(grant, Permission::RemoveDirectory)?;
        let (parent, name) = resolve::parent(self, grant.stored())?;
        let _held = self.held.hold(grant.stored())?;
        let status = Status::at(&parent, name)?;
        match status.kind()? {
            EntryKind::Directory => {}
            EntryKind::File => return Err(Fault::NotADirectory),
        }
        let change = self.ledger.change();
        match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            // POSIX lets a system answer either way.
            Err(Errno::EXIST) => return Err(Fault::NotEmpty),
            // A file system is mounted there: that does not pass, as an upload under way does.
            Err(Errno::BUSY) => return Err(Fault::Denied),
            Err(errno) => return Err(errno.into()),
        }
        change.record(NOTHING, ONE);
        change.note(&parent, name, ONE, NOTHING);
        change.note_removed(status.unique);
        // Whatever was being uploaded into it has no place to go to any more.
        discard(&self.partials.take_within(grant.stored()), &change);
        Ok(())
    }

    /// Removes a file, and the user's own interrupted upload under that name.
    ///
    /// # Errors
    /// [`Fault::NotFound`], [`Fault::IsADirectory`]; [`Fault::Busy`] while it is being uploaded;
    /// [`Fault::Denied`] without [`Permission::Delete`].
    pub fn remove_file(&self, grant: &Grant, user: &Username) -> Result<(), Fault> {
        require(grant, Permission::Delete)?;
        let (parent, name) = resolve::parent(self, grant.stored()).map_err(|fault| match fault {
            Fault::Denied if grant.stored().is_root() => Fault::IsADirectory,
            other => other,
        })?;
        let _held = self.held.hold(grant.stored())?;
        let found = Status::find(&parent, name)?;
        if let Some(status) = &found {
            match status.kind()? {
                EntryKind::File => {}
                EntryKind::Directory => return Err(Fault::IsADirectory),
            }
        }
        let change = self.ledger.change();
        let partial = self.partials.take(user, grant.stored());
        discard(&partial, &change);
        match found {
            Some(status) => {
                unlinkat(&parent, name, AtFlags::empty())?;
                change.record(NOTHING, status.amount());
                change.note(&parent, name, status.amount(), NOTHING);
                Ok(())
            }
            None if partial.is_some() => Ok(()),
            None => Err(Fault::NotFound),
        }
    }

    /// Gives a file or directory another name in the same home. A directory needs grants for the
    /// whole tree below either name, of which the new one asks nothing else of files.
    ///
    /// # Errors
    /// [`Fault::OtherRules`] where they are not; [`Fault::TooLarge`] where a file has more bytes than
    /// the grant `to` lets it and `from` asked something else;
    /// [`Fault::Exists`] where a directory has the new name, or a file that the grant `to` does not
    /// let be overwritten; [`Fault::IntoItself`]; [`Fault::Busy`] while either name is uploaded to,
    /// or an interrupted upload of the user's stands under the old one; [`Fault::Denied`] for the
    /// root, without [`Permission::Rename`] in `from`, and with neither that nor
    /// [`Permission::Create`] in `to`.
    pub fn rename(&self, from: &Grant, to: &Grant, user: &Username) -> Result<(), Fault> {
        require(from, Permission::Rename)?;
        require(to, Permission::Rename).or_else(|_| require(to, Permission::Create))?;
        let (from_parent, from_name) = resolve::parent(self, from.stored())?;
        let (to_parent, to_name) = resolve::parent(self, to.stored()).map_err(|fault| match fault {
            Fault::Denied if to.stored().is_root() => Fault::Exists,
            other => other,
        })?;
        let source = Status::at(&from_parent, from_name)?;
        let kind = source.kind()?;
        if from.stored() == to.stored() {
            return Ok(());
        }
        let whole_trees = from.is_for_whole_tree() && to.is_for_whole_tree();
        if kind == EntryKind::Directory && !(whole_trees && from.fits_below(to)) {
            return Err(Fault::OtherRules);
        }
        if to.stored().is_within(from.stored()) {
            return Err(if kind == EntryKind::Directory { Fault::IntoItself } else { Fault::NotADirectory });
        }
        resolve::acceptable_new_name(to_name)?;
        // The target first: it may be an ancestor of the source, and then a name held below it is ours.
        let _to_held = self.held.hold(to.stored())?;
        let _from_held = self.held.hold(from.stored())?;
        // Until now, something else could take the old name, for which other rules hold.
        let source = Status::at(&from_parent, from_name)?;
        if source.kind()? != kind {
            return Err(Fault::Busy);
        }
        too_large(from, to, &source)?;
        if self.partials.find(user, from.stored()).is_some() {
            return Err(Fault::Busy);
        }
        let overwrite = to.allows(Permission::Overwrite) && kind == EntryKind::File;
        if !overwrite && self.partials.find(user, to.stored()).is_some() {
            return Err(Fault::Exists);
        }
        let change = self.ledger.change();
        let replaced = Status::find(&to_parent, to_name)?;
        if let Some(status) = &replaced {
            let regular = status.replaceable();
            // A rename between two names of one file does nothing.
            if !overwrite || regular == Err(Fault::IsADirectory) || status.unique == source.unique {
                return Err(Fault::Exists);
            }
            regular?;
            renameat(&from_parent, from_name, &to_parent, to_name).map_err(new_name_fault)?;
        } else {
            rename_to_free_name(&from_parent, from_name, &to_parent, to_name)?;
        }
        let replaced = replaced.map_or(NOTHING, |status| status.amount());
        change.record(NOTHING, replaced);
        change.note(&from_parent, from_name, source.amount(), NOTHING);
        change.note(&to_parent, to_name, replaced, source.amount());
        if kind == EntryKind::Directory {
            change.note_moved(&to_parent, to_name);
        }
        discard(&self.partials.take(user, to.stored()), &change);
        if kind == EntryKind::Directory {
            discard(&self.partials.follow(from.stored(), to.stored()), &change);
            self.places.follow(self.as_fd(), from.stored(), to.stored())?;
        }
        Ok(())
    }

    /// Sees to it that the home is counted if the uploader has a quota.
    pub(super) fn count_for(&self, uploader: &Uploader) -> Result<(), Fault> {
        if uploader.quota_bytes.is_none() && uploader.quota_files.is_none() {
            return Ok(());
        }
        self.ensure_counted()
    }
}

/// Refuses to take a file where files of its size are not taken, from where they are.
fn too_large(from: &Grant, to: &Grant, source: &Status) -> Result<(), Fault> {
    match to.file_bytes_max() {
        Some(bytes_max) if to.file_bytes_max() != from.file_bytes_max() && source.amount().bytes > bytes_max => {
            Err(Fault::TooLarge(bytes_max))
        }
        _ => Ok(()),
    }
}

/// Renames to a name that nothing may have, whatever happens at the same time.
pub(super) fn rename_to_free_name(
    from_parent: impl AsFd,
    from: &str,
    to_parent: impl AsFd,
    to: &str,
) -> Result<(), Fault> {
    let (from_parent, to_parent) = (from_parent.as_fd(), to_parent.as_fd());
    match renameat_with(from_parent, from, to_parent, to, RenameFlags::NOREPLACE) {
        // Some file systems know no such rename; a hard link refuses a taken name as well.
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::linkat(from_parent, from, to_parent, to, AtFlags::empty()).map_err(new_name_fault)?;
            Ok(unlinkat(from_parent, from, AtFlags::empty())?)
        }
        renamed => renamed.map_err(new_name_fault),
    }
}

/// The fault behind an error in giving a name.
pub(super) fn new_name_fault(errno: Errno) -> Fault {
    match errno {
        Errno::XDEV => Fault::CrossDevice,
        Errno::INVAL | Errno::ILSEQ => Fault::NameRefused,
        // A file over a directory, or the reverse: the name is taken all the same.
        Errno::NOTEMPTY | Errno::ISDIR => Fault::Exists,
        other => other.into(),
    }
}
