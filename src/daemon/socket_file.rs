//! A Unix socket in the file system, for commands or for metrics: bound before the sandbox, with the
//! mode that it is to have from its first moment on, and removed at the end.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::{geteuid, umask};
use tracing::warn;

use crate::config::directory::{self, Found};
use crate::settings::RunAs;

/// What keeps the mode from being wider for a moment.
const UMASK: Mode = Mode::from_raw_mode(0o177);
const WRITE_BY_MORE: u32 = 0o022;

/// The socket's file, to be removed at the end.
#[derive(Clone, Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// What tells it from another one, which is not to be removed.
    unique: [i128; 4],
}

/// Binds a socket, in a directory that is made where it is missing. One that an earlier run left
/// behind is replaced. `key` is what names it in server.toml. To be called before the sandbox, from
/// the only thread.
///
/// # Errors
/// What is in the way, and what to do about it.
pub(super) fn bind(
    path: &Path,
    key: &str,
    mode: u32,
    run_as: Option<&RunAs>,
) -> io::Result<(UnixListener, SocketFile)> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let parent = path.parent().unwrap_or(Path::new("/"));
    if directory::look(parent).map_err(named)? == Found::Nothing {
        directory::make(parent, run_as).map_err(named)?;
    }
    trust(parent, key, run_as)?;
    clear(path).map_err(named)?;
    let before = umask(UMASK);
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener.map_err(named)?;
    if let Some(account) = run_as.filter(|_| geteuid().is_root()) {
        chown(path, Some(account.uid), Some(account.gid)).map_err(named)?;
    }
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(named)?;
    listener.set_nonblocking(true).map_err(named)?;
    let metadata = path.symlink_metadata().map_err(named)?;
    Ok((listener, SocketFile { path: path.to_owned(), unique: unique(&metadata) }))
}

impl SocketFile {
    /// Removes it, unless another one stands there.
    pub(super) fn remove(&self) {
        if self.path.symlink_metadata().is_ok_and(|metadata| unique(&metadata) == self.unique)
            && let Err(failure) = std::fs::remove_file(&self.path)
        {
            warn!(%failure, path = %self.path.display(), "the socket is not removed; the next start replaces it");
        }
    }
}

/// Device, inode, and when it was made; an inode alone is given out again.
fn unique(metadata: &std::fs::Metadata) -> [i128; 4] {
    [metadata.dev().into(), metadata.ino().into(), metadata.ctime().into(), metadata.ctime_nsec().into()]
}

/// Only who serves and root may put something in the socket's place.
fn trust(directory: &Path, key: &str, run_as: Option<&RunAs>) -> io::Result<()> {
    let metadata = directory.metadata()?;
    let own = geteuid().as_raw();
    let ours = metadata.uid() == 0 || metadata.uid() == own || run_as.is_some_and(|who| who.uid == metadata.uid());
    if ours && metadata.mode() & WRITE_BY_MORE == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{} must belong to root or to the account that serves and be written by nobody else (it has owner {} and mode \
         {:04o}): name a directory of its own in {key}",
        directory.display(),
        metadata.uid(),
        metadata.mode() & 0o7777,
    )))
}

/// Removes a socket on which nobody answers.
fn clear(path: &Path) -> io::Result<()> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::other("something else stands there: remove it, or name another path"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::other("another server answers there: stop it, or name another path")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind_in(base: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
        bind(&base.join("run/a.sock"), "[control] socket", mode, None)
    }

    #[test]
    fn the_socket_has_its_mode_and_replaces_a_dead_one() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("run/a.sock");
        let (listener, first) = bind_in(base.path(), 0o600).unwrap();
        assert_eq!(path.symlink_metadata().unwrap().mode() & 0o7777, 0o600);
        let error = bind_in(base.path(), 0o600).unwrap_err().to_string();
        assert!(error.contains("another server answers"), "{error}");
        drop(listener);
        let (_listener, second) = bind_in(base.path(), 0o660).unwrap();
        assert_eq!(path.symlink_metadata().unwrap().mode() & 0o7777, 0o660);
        first.remove();
        assert!(path.exists(), "that of another server stays");
        second.remove();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_and_a_directory_of_all_are_left_alone() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("run/a.sock");
        std::fs::create_dir(base.path().join("run")).unwrap();
        std::fs::write(&path, "x").unwrap();
        let error = bind_in(base.path(), 0o600).unwrap_err().to_string();
        assert!(error.contains("something else stands there"), "{error}");
        std::fs::remove_file(&path).unwrap();
        std::fs::set_permissions(base.path().join("run"), PermissionsExt::from_mode(0o777)).unwrap();
        let error = bind_in(base.path(), 0o600).unwrap_err().to_string();
        assert!(error.contains("written by nobody else"), "{error}");
    }
}
