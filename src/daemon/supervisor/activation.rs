//! Sockets that the service manager bound and passes (`sd_listen_fds(3)`), so that the server needs no
//! privilege for its ports. Each has to be one that server.toml names: what is not named there is
//! refused, as nobody would serve it.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::{env, io};

use listenfd::ListenFd;
use socket2::SockRef;

/// The first descriptor that is passed.
const FIRST: usize = 3;

/// What was passed and is not taken yet.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Passed {
    tcp: Vec<(String, SocketAddr, TcpListener)>,
    unix: Vec<(String, UnixListener)>,
}

impl Passed {
    /// As the environment says; the variables are taken out of it. To be called before the first thread.
    ///
    /// # Errors
    /// What was passed that connections cannot be accepted from.
    pub(in crate::daemon) fn from_env() -> io::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut from = ListenFd::from_env();
        let mut passed = Self::default();
        for index in 0..from.len() {
            let name = names.next().unwrap_or("unknown").escape_debug();
            let name = format!("`{name}` (descriptor {})", index.saturating_add(FIRST));
            if let Ok(Some(listener)) = from.take_tcp_listener(index) {
                let address = of_one_family(&name, &listener)?;
                listener.set_nonblocking(true)?;
                passed.tcp.push((name, address, listener));
            } else if let Ok(Some(listener)) = from.take_unix_listener(index) {
                listening(&name, &listener)?;
                listener.set_nonblocking(true)?;
                passed.unix.push((name, listener));
            } else {
                return Err(refused(&name, "is no socket of TCP and no Unix stream socket"));
            }
        }
        Ok(passed)
    }

    /// The socket of an address, where it was passed.
    pub(in crate::daemon) fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let place = self.tcp.iter().position(|(_, passed, _)| *passed == address)?;
        Some(self.tcp.swap_remove(place).2)
    }

    /// The Unix socket of a path, where it was passed.
    pub(in crate::daemon) fn take_unix(&mut self, path: &Path) -> Option<UnixListener> {
        let is_it =
            |listener: &UnixListener| listener.local_addr().is_ok_and(|address| address.as_pathname() == Some(path));
        let place = self.unix.iter().position(|(_, listener)| is_it(listener))?;
        Some(self.unix.swap_remove(place).1)
    }

    /// Nothing is left that nobody wanted.
    ///
    /// # Errors
    /// What is left, and what to do about it.
    pub(in crate::daemon) fn finish(self) -> io::Result<()> {
        if let Some((name, address, _)) = self.tcp.first() {
            let reason = format!(
                "is bound to {address}, which server.toml names neither in [listen] nor in [metrics]: name it there, or \
                 take it out of the socket unit"
            );
            return Err(refused(name, &reason));
        }
        let Some((name, listener)) = self.unix.first() else { return Ok(()) };
        let address = listener.local_addr()?;
        let path = address.as_pathname().map_or_else(|| "no path".to_owned(), |path| path.display().to_string());
        let reason = format!(
            "is bound to {path}, which is not the [metrics] socket of server.toml (the control socket is always the \
             server's own): name it there, or take it out of the socket unit"
        );
        Err(refused(name, &reason))
    }
}

/// The address of a listening socket that takes connections of its own family alone, as ours do.
fn of_one_family(name: &str, listener: &TcpListener) -> io::Result<SocketAddr> {
    listening(name, listener)?;
    let address = listener.local_addr()?;
    if address.is_ipv6() && address.ip().is_unspecified() && !SockRef::from(listener).only_v6()? {
        let reason = format!("is bound to {address} for IPv4, too: write BindIPv6Only=ipv6-only into the socket unit");
        return Err(refused(name, &reason));
    }
    Ok(address)
}

fn listening(name: &str, socket: &impl AsFd) -> io::Result<()> {
    if SockRef::from(socket).is_listener()? {
        return Ok(());
    }
    Err(refused(name, "does not listen: write Accept=no into the socket unit"))
}

fn refused(name: &str, reason: &str) -> io::Error {
    io::Error::other(format!("the socket {name} that the service manager passes {reason}"))
}
