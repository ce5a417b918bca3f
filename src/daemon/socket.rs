//! The control socket: where commands reach the running server. Its mode keeps strangers out; who
//! connects is asked of the kernel all the same.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

use super::answering::Connection;
use super::reload::Reloader;
use super::socket_file::{self, SocketFile};
use super::stopping::Stop;
use crate::settings::{Control, RunAs};

/// Connections at the same time; any more are closed.
const CONNECTIONS_MAX: usize = 8;
/// How long to wait where connections cannot be accepted, and for the request of a stranger.
const PAUSE: Duration = Duration::from_secs(1);
/// The mode of the socket: whoever may write to it may connect.
const MODE: u32 = 0o600;

/// The socket, bound and not yet served.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl ControlSocket {
    /// Binds the socket. To be called before the sandbox, from the only thread.
    ///
    /// # Errors
    /// What is in the way, and what to do about it.
    pub(super) fn bind(control: &Control, run_as: Option<&RunAs>) -> io::Result<Self> {
        let (listener, file) = socket_file::bind(&control.socket, "[control] socket", MODE, run_as)?;
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
            let accepted = listener.accept().await;
            // Those that have ended since the last one came count no more.
            while connections.try_join_next().is_some() {}
            match accepted {
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
