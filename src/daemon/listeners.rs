//! The sockets on which control connections arrive. They come and go with the settings; the sessions
//! that began on one go on when it is gone.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::arrivals::admit;
use super::server::Shared;
use super::stopping::Stop;
use super::supervisor::pulse::Beat;
use crate::net::listener::{self, Listener, Resting, UNPRIVILEGED};
use crate::settings::Listen;

/// The sockets of the running server.
pub(super) struct Listeners {
    shared: Arc<Shared>,
    stop: watch::Receiver<Stop>,
    /// Every loop and session holds a copy, so that the end of the last one is known.
    alive: mpsc::Sender<()>,
    open: Vec<Open>,
    /// Sockets of ports that need a privilege, in case they are named again.
    resting: Vec<(SocketAddr, Resting)>,
}

/// One that is listened on.
#[derive(Debug)]
struct Open {
    /// As the settings name it.
    address: SocketAddr,
    /// Whether a session begins with the TLS handshake.
    implicit: Arc<AtomicBool>,
    close: oneshot::Sender<()>,
    closed: oneshot::Receiver<Listener>,
}

/// A socket that is bound and not yet accepted from.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    pub(super) implicit: bool,
    pub(super) socket: std::net::TcpListener,
}

/// Every socket that the settings name, and whether it is implicit.
pub(super) fn named(listen: &Listen) -> Vec<(SocketAddr, bool)> {
    let explicit = listen.explicit.iter().map(|address| (*address, false));
    explicit.chain(listen.implicit.iter().map(|address| (*address, true))).collect()
}

impl Listeners {
    /// None yet.
    pub(super) fn new(shared: &Arc<Shared>, stop: watch::Receiver<Stop>, alive: mpsc::Sender<()>) -> Self {
        Self { shared: Arc::clone(shared), stop, alive, open: Vec::new(), resting: Vec::new() }
    }

    /// Accepts from a socket from here on. Must be called within the runtime.
    ///
    /// # Errors
    /// Where the runtime cannot watch it.
    pub(super) fn accept_from(&mut self, bound: Bound) -> std::io::Result<()> {
        let Bound { address, implicit, socket } = bound;
        let listener = Listener::new(socket)?;
        let implicit = Arc::new(AtomicBool::new(implicit));
        let (close, told) = oneshot::channel();
        let (give_back, closed) = oneshot::channel();
        let (shared, stop, alive) = (Arc::clone(&self.shared), self.stop.clone(), self.alive.clone());
        let how = Arc::clone(&implicit);
        let beat = self.shared.pulse.enter(format!("the socket {address}"), true);
        tokio::spawn(async move {
            let mut sessions = accept(&shared, listener, (&how, beat), stop, told, give_back).await;
            while let Some(ended) = sessions.join_next().await {
                log_panic(ended);
            }
            drop(alive);
        });
        self.open.push(Open { address, implicit, close, closed });
        Ok(())
    }

    /// Binds what the settings name and is not listened on; nothing else changes yet.
    ///
    /// # Errors
    /// Why one cannot be listened on, in words, for each of them.
    pub(super) fn bind_missing(
        &self,
        listen: &Listen,
        forbidden: impl Fn(SocketAddr) -> Option<String>,
    ) -> Result<Vec<Bound>, Vec<String>> {
        let (mut bound, mut faults) = (Vec::new(), Vec::new());
        for (address, implicit) in self.missing(listen) {
            if self.resting.iter().any(|(resting, _)| *resting == address) {
                continue;
            }
            if let Some(reason) = forbidden(address) {
                faults.push(reason);
                continue;
            }
            match listener::bind(address) {
                Ok(socket) => bound.push(Bound { address, implicit, socket }),
                Err(fault) => {
                    let own = self.open.iter().find(|open| open.address.port() == address.port());
                    faults.push(match own {
                        Some(open) => format!(
                            "cannot listen on {address} while the server still listens on {}: take that out and reload \
                             first, or restart",
                            open.address
                        ),
                        None if fault.error.kind() == ErrorKind::PermissionDenied => {
                            format!("{fault}; the running server has given its privileges up: restart it")
                        }
                        None => fault.to_string(),
                    });
                }
            }
        }
        if faults.is_empty() { Ok(bound) } else { Err(faults) }
    }

    /// What the settings name and is not listened on.
    fn missing(&self, listen: &Listen) -> Vec<(SocketAddr, bool)> {
        let mut open: Vec<SocketAddr> = self.open.iter().map(|open| open.address).collect();
        let mut missing = named(listen);
        missing.retain(|(address, _)| match open.iter().position(|known| known == address) {
            Some(at) => {
                open.swap_remove(at);
                false
            }
            None => true,
        });
        missing
    }

    /// Listens where the settings say and nowhere else; `bound` is what [`Self::bind_missing`] gave for
    /// them. Blocks until the sockets that go are closed.
    pub(super) fn change(&mut self, listen: &Listen, bound: Vec<Bound>) {
        let missing = self.missing(listen);
        let mut wanted = named(listen);
        let mut kept = Vec::new();
        for open in std::mem::take(&mut self.open) {
            let Some(at) = wanted.iter().position(|(address, _)| *address == open.address) else {
                self.close(open);
                continue;
            };
            let (_, implicit) = wanted.swap_remove(at);
            open.implicit.store(implicit, Ordering::Release);
            kept.push(open);
        }
        self.open = kept;
        let woken = missing.iter().filter_map(|(address, implicit)| {
            let at = self.resting.iter().position(|(resting, _)| resting == address)?;
            let (address, resting) = self.resting.swap_remove(at);
            match resting.listen() {
                Ok(socket) => Some(Bound { address, implicit: *implicit, socket }),
                Err(failure) => {
                    error!(%address, %failure, "cannot listen there again; restart the server");
                    None
                }
            }
        });
        let woken: Vec<Bound> = woken.collect();
        for bound in bound.into_iter().chain(woken) {
            let (address, implicit) = (bound.address, bound.implicit);
            match self.accept_from(bound) {
                Ok(()) => announce(address, implicit),
                Err(failure) => error!(%address, %failure, "cannot accept connections there; restart the server"),
            }
        }
    }

    fn close(&mut self, open: Open) {
        let Open { address, close, closed, .. } = open;
        drop(close);
        // Where the server stops, it is closed already.
        let Ok(listener) = closed.blocking_recv() else { return };
        info!(%address, "no more connections are accepted there; its sessions go on");
        if address.port() >= UNPRIVILEGED {
            return;
        }
        match listener.rest() {
            Ok(resting) => self.resting.push((address, resting)),
            Err(failure) => warn!(%address, %failure, "the port is given up until the next start"),
        }
    }
}

/// Tells the operator where connections are accepted.
pub(super) fn announce(address: SocketAddr, implicit: bool) {
    let kind = if implicit { "implicit" } else { "explicit" };
    info!(%address, "accepting connections ({kind} TLS)");
}

/// Accepts connections on one listener until the server stops or this is not listened on any more.
/// Gives the sessions that are left.
async fn accept(
    shared: &Arc<Shared>,
    listener: Listener,
    (implicit, mut beat): (&AtomicBool, Beat),
    mut stop: watch::Receiver<Stop>,
    mut close: oneshot::Receiver<()>,
    give_back: oneshot::Sender<Listener>,
) -> JoinSet<()> {
    let mut sessions = JoinSet::new();
    let told = stop.clone();
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop > Stop::No) => break,
            _ = &mut close => {
                // Nobody wants it where the server stops meanwhile.
                let _ = give_back.send(listener);
                break;
            }
            () = beat.answer() => {}
            Some(ended) = sessions.join_next() => log_panic(ended),
            arrival = listener.accept() => {
                admit(shared, arrival, implicit.load(Ordering::Acquire), &told, &mut sessions);
            }
        }
    }
    sessions
}

/// A session that failed in a way nobody foresaw ends alone.
fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(failure) = ended {
        error!(%failure, "a session ended by a fault of the server's own; please report it");
    }
}
