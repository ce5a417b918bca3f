//! Directories of the server, made so that the account that serves gets at them whatever the
//! umask is.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use super::RunAs;

const PARENT_MODE: u32 = 0o755;
const OWN_MODE: u32 = 0o750;

/// Makes a directory that is not there yet: itself with mode 0750 and, where root makes it, in the
/// hands of the account; parents that are missing too with mode 0755, so that the account can pass
/// them.
///
/// # Errors
/// What keeps one of them from being made; those made before stay.
pub(crate) fn make(path: &Path, run_as: Option<&RunAs>) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        make_passable(parent)?;
    }
    one(path, OWN_MODE, run_as.filter(|_| rustix::process::geteuid().is_root()))
}

/// Makes a directory and its parents, as far as they are missing, with mode 0755.
///
/// # Errors
/// What keeps one of them from being made; those made before stay.
pub(crate) fn make_passable(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|parent| is_missing(parent)).collect();
    for parent in missing.into_iter().rev() {
        match one(parent, PARENT_MODE, None) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => done?,
        }
    }
    Ok(())
}

fn is_missing(path: &Path) -> bool {
    path != Path::new("") && path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn one(path: &Path, mode: u32, owner: Option<&RunAs>) -> io::Result<()> {
    // For nobody else until its owner and mode are right.
    DirBuilder::new().mode(0o700).create(path)?;
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let directory = File::options().read(true).custom_flags(flags).open(path)?;
    if let Some(account) = owner {
        fchown(&directory, Some(account.uid), Some(account.gid))?;
    }
    directory.set_permissions(Permissions::from_mode(mode))
}

/// What stands at a path where a directory is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A directory, perhaps through a link.
    Directory,
    /// Nothing.
    Nothing,
    /// A link that leads nowhere, and what it says.
    DanglingLink(OsString),
    /// Something else.
    Other,
}

/// Looks at a path where a directory is wanted.
///
/// # Errors
/// What keeps it from being looked at.
pub(crate) fn look(path: &Path) -> io::Result<Found> {
    let absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(Found::Directory),
        Ok(_) => Ok(Found::Other),
        Err(error) if absent(&error) => match std::fs::read_link(path) {
            Ok(target) => Ok(Found::DanglingLink(target.into_os_string())),
            Err(_) => Ok(Found::Nothing),
        },
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn parents_are_passable_and_the_directory_belongs_to_the_account() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b/own");
        let account = RunAs { name: "daemon".into(), uid: 4711, gid: 4712 };
        make(&path, Some(&account)).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(&base.path().join("a/b")), mode(&base.path().join("a"))), (0o750, 0o755, 0o755));
        let root = rustix::process::geteuid().is_root();
        let metadata = path.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()) == (4711, 4712), root);
        assert_eq!(make(&path, None).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_link_to_nothing_is_told_from_nothing() {
        let base = tempfile::tempdir().unwrap();
        let at = |name: &str| base.path().join(name);
        std::os::unix::fs::symlink("/nonexistent", at("dangling")).unwrap();
        std::os::unix::fs::symlink(base.path(), at("link")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        assert_eq!(look(&at("dangling")).unwrap(), Found::DanglingLink("/nonexistent".into()));
        assert_eq!(look(&at("link")).unwrap(), Found::Directory);
        assert_eq!(look(&at("nothing/at all")).unwrap(), Found::Nothing);
        assert_eq!(look(&at("file")).unwrap(), Found::Other);
    }
}
