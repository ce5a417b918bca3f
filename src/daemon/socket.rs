//! The control socket, through which commands reach the running server. It is bound before the
//! sandbox, for root and the account that serves alone; who connects is asked of the kernel all the
//! same, and every call is recorded before its answer.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{geteuid, umask};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

use super::answering::Connection;
use super::reload::Reloader;
use super::stopping::Stop;
use crate::config::directory::{self, Found};
use crate::settings::{Control, RunAs};

/// Connections at the same time; any more are closed.
const CONNECTIONS_MAX: usize = 8;
/// How long to wait where connections cannot be accepted.
const PAUSE: Duration = Duration::from_secs(1);
/// The mode of the socket: whoever may write to it may connect.
const MODE: u32 = 0o600;
/// What keeps the mode from being wider for a moment.
const UMASK: Mode = Mode::from_raw_mode(0o177);
const WRITE_BY_MORE: u32 = 0o022;

/// The socket, bound and not yet served.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// The socket's file, to be removed at the end.
#[derive(Clone, Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// What tells it from another one, which is not to be removed.
    unique: [i128; 4],
}

impl ControlSocket {
    /// Binds the socket, in a directory that is made where it is missing. One that an earlier run left
    /// behind is replaced. To be called before the sandbox, from the only thread.
    ///
    /// # Errors
    /// What is in the way, and what to do about it.
    pub(super) fn bind(control: &Control, run_as: Option<&RunAs>) -> io::Result<Self> {
        let path = &control.socket;
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let parent = path.parent().unwrap_or(Path::new("/"));
        if directory::look(parent).map_err(named)? == Found::Nothing {
            directory::make(parent, run_as).map_err(named)?;
        }
        trust(parent, run_as)?;
        clear(path).map_err(named)?;
        let before = umask(UMASK);
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener.map_err(named)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(MODE)).map_err(named)?;
        if let Some(account) = run_as.filter(|_| geteuid().is_root()) {
            chown(path, Some(account.uid), Some(account.gid)).map_err(named)?;
        }
        listener.set_nonblocking(true).map_err(named)?;
        let metadata = path.symlink_metadata().map_err(named)?;
        let file = SocketFile { path: path.clone(), unique: unique(&metadata) };
        Ok(Self { listener, file })
    }

    /// The file, which is to be removed when nobody is served any more.
    pub(super) fn file(&self) -> SocketFile {
        self.file.clone()
    }

    /// Serves whoever comes, for as long as this is polled.
    pub(super) async fn serve(self, reloader: Arc<Reloader>, stop: watch::Receiver<Stop>) {
        let listener = match tokio::net::UnixListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(failure) => {
                warn!(%failure, "the control socket is not served");
                return;
            }
        };
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    let (reloader, stop) = (Arc::clone(&reloader), stop.clone());
                    connections.spawn(Connection::new(reloader, stop).serve(stream));
                }
                Ok(_) => warn!("too many connections to the control socket; one was closed"),
                Err(failure) => {
                    warn!(%failure, "cannot accept connections to the control socket; trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

impl SocketFile {
    /// Removes it, unless another one stands there.
    pub(super) fn remove(&self) {
        if self.path.symlink_metadata().is_ok_and(|metadata| unique(&metadata) == self.unique)
            && let Err(failure) = std::fs::remove_file(&self.path)
        {
            warn!(%failure, path = %self.path.display(), "the control socket is not removed; the next start replaces it");
        }
    }
}

/// Device, inode, and when it was made; an inode alone is given out again.
fn unique(metadata: &std::fs::Metadata) -> [i128; 4] {
    [metadata.dev().into(), metadata.ino().into(), metadata.ctime().into(), metadata.ctime_nsec().into()]
}

/// Only who serves and root may put something in the socket's place.
fn trust(directory: &Path, run_as: Option<&RunAs>) -> io::Result<()> {
    let metadata = directory.metadata()?;
    let own = geteuid().as_raw();
    let ours = metadata.uid() == 0 || metadata.uid() == own || run_as.is_some_and(|who| who.uid == metadata.uid());
    if ours && metadata.mode() & WRITE_BY_MORE == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{} must belong to root or to the account that serves and be written by nobody else (it has owner {} and mode \
         {:04o}): name a directory of its own in [control] socket",
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

    fn control(directory: &Path) -> Control {
        Control { socket: directory.join("run/control.sock") }
    }

    #[test]
    fn the_socket_is_for_its_owner_alone_and_replaces_a_dead_one() {
        let base = tempfile::tempdir().unwrap();
        let control = control(base.path());
        let socket = ControlSocket::bind(&control, None).unwrap();
        let metadata = control.socket.symlink_metadata().unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o600);
        let error = ControlSocket::bind(&control, None).unwrap_err().to_string();
        assert!(error.contains("another server answers"), "{error}");
        let first = socket.file();
        drop(socket);
        let second = ControlSocket::bind(&control, None).unwrap();
        first.remove();
        assert!(control.socket.exists(), "that of another server stays");
        second.file().remove();
        assert!(!control.socket.exists());
    }

    #[test]
    fn what_is_no_socket_and_a_directory_of_all_are_left_alone() {
        let base = tempfile::tempdir().unwrap();
        let control = control(base.path());
        std::fs::create_dir(base.path().join("run")).unwrap();
        std::fs::write(&control.socket, "x").unwrap();
        let error = ControlSocket::bind(&control, None).unwrap_err().to_string();
        assert!(error.contains("something else stands there"), "{error}");
        std::fs::remove_file(&control.socket).unwrap();
        std::fs::set_permissions(base.path().join("run"), PermissionsExt::from_mode(0o777)).unwrap();
        let error = ControlSocket::bind(&control, None).unwrap_err().to_string();
        assert!(error.contains("written by nobody else"), "{error}");
    }
}
