//! Passive ports, shared: a port is reserved for a client address, so that many clients get by
//! with the few ports that a firewall lets through.
//!
//! The listener of a port is opened by its first reservation, and one task hands each connection
//! to the reservation of the address it comes from, as long as that is held: several programs can
//! share an address, and which connection is the right one shows only later. A connection from
//! elsewhere is closed at once and takes nothing from anybody. The listener stays a while after its
//! last reservation, so that a busy port is not bound for each transfer, and a client that connects
//! late hears an end and no reset.
//!
//! A connection from a proxy that tells for whom it connects is the one of whom it tells; it is
//! handed on once its header was read, and meanwhile holds up nobody.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use rand::RngExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};

use super::listener;
use super::proxy::{self, Header, HeaderFault};
use super::route::{Comer, Proxies, Via};
use crate::settings::{PortRange, ProxyData};

mod queue;

/// How long a listener stays after its last reservation.
const STAY: Duration = Duration::from_secs(5);
/// Connections handed to a reservation that have not been taken yet; any more are closed.
const UNTAKEN_MAX: usize = 4;
/// Connections that the kernel keeps for a port until they are handed on.
const BACKLOG: i32 = 64;
/// Ports tried in one call that turn out to be taken by other programs.
const TAKEN_MAX: usize = 256;
/// Random picks before the free ports are listed; few are held by one client.
const PICKS_MAX: usize = 16;
/// Clients whose late connections are no strangers', for each port.
const FORMER_MAX: usize = 16;
/// Strangers reported that nobody has read yet.
const REPORTS_MAX: usize = 64;
/// Strangers reported a second; any more are counted in the next report.
const REPORTS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);

/// The passive ports of the server and who holds them.
pub struct PassivePorts {
    settings: RwLock<Settings>,
    stay: Duration,
    state: Mutex<State>,
    headers: Arc<Semaphore>,
    reports: mpsc::Sender<Stranger>,
    unread: Mutex<Option<mpsc::Receiver<Stranger>>>,
    report_rate: DefaultDirectRateLimiter,
}

/// What the policy says of them.
#[derive(Clone, Debug)]
struct Settings {
    range: PortRange,
    proxies: Proxies,
}

/// A connection to a passive port from an address that holds no reservation of it, or from a proxy
/// that does not tell from which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// What is wrong, in one word.
    pub reason: &'static str,
    /// Where it came from; behind a header, what that tells.
    pub peer: SocketAddr,
    /// The proxy that told it.
    pub proxy: Option<SocketAddr>,
    /// The port it came to, on this machine's address.
    pub local: SocketAddr,
    /// Reservations that waited on the port at the time.
    pub waiting: usize,
    /// Strangers since the last report that were too many to report one by one.
    pub unreported: u64,
}

/// Passive ports at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub ports: usize,
    /// Those that are listened on, counted for each address of this machine.
    pub open: usize,
    /// Data connections that are awaited; clients of different addresses share ports.
    pub reserved: usize,
}

/// Why no port could be reserved.
#[derive(Debug)]
pub enum ReserveFault {
    /// The client holds every port of the range, or other programs do.
    Exhausted,
    /// The system opens no port on the address.
    Bind(io::Error),
}

impl fmt::Display for ReserveFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted => f.write_str("No passive port is free for your address, try again later"),
            Self::Bind(error) => write!(f, "No passive port can be opened: {error}"),
        }
    }
}

/// A port that awaits connections from one client. Dropping it releases the port.
pub struct Reservation {
    ports: Arc<PassivePorts>,
    local: SocketAddr,
    comer: Comer,
    arrivals: mpsc::Receiver<TcpStream>,
}

#[derive(Default)]
struct State {
    doors: HashMap<SocketAddr, Door>,
    /// By this machine's address, with no port, and the client.
    held: HashMap<(SocketAddr, Comer), HashSet<u16>>,
    queues: queue::Queues,
    unreported: u64,
}

/// A connection's other end.
#[derive(Clone, Copy)]
struct Arrived {
    peer: SocketAddr,
    /// The proxy that told it.
    via: Option<Via>,
}

/// An open port.
struct Door {
    waiting: HashMap<Comer, mpsc::Sender<TcpStream>>,
    former: VecDeque<Comer>,
    used: Instant,
}

impl PassivePorts {
    /// Ports of the range, none open yet, to which these proxies connect too.
    pub fn new(range: PortRange, proxies: Proxies) -> Arc<Self> {
        Self::with_stay(range, proxies, STAY)
    }

    fn with_stay(range: PortRange, proxies: Proxies, stay: Duration) -> Arc<Self> {
        let (reports, unread) = mpsc::channel(REPORTS_MAX);
        Arc::new(Self {
            settings: RwLock::new(Settings { range, proxies }),
            stay,
            state: Mutex::default(),
            headers: Arc::new(Semaphore::new(proxy::HEADERS_MAX)),
            reports,
            unread: Mutex::new(Some(unread)),
            report_rate: RateLimiter::direct(Quota::per_second(REPORTS_PER_SECOND)),
        })
    }

    /// Takes another range and other proxies for reservations from here on. A port that is reserved
    /// already is served to its end.
    pub fn change(&self, range: PortRange, proxies: Proxies) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Settings { range, proxies };
    }

    /// The reports of strangers, for the audit log; there is one reader, so only the first call
    /// gets them.
    pub fn strangers(&self) -> Option<mpsc::Receiver<Stranger>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Reserves a port on `local`, the address of this machine that the control connection uses (its
    /// port is of no account, its IPv6 scope is kept), for `comer`: any port that it does not hold
    /// already, each as likely as the other. Must be called within the runtime.
    ///
    /// # Errors
    /// [`ReserveFault`]; never a port outside the range.
    pub fn reserve(self: &Arc<Self>, local: SocketAddr, comer: impl Into<Comer>) -> Result<Reservation, ReserveFault> {
        self.reserve_in(&mut self.lock(), with_port(listener::canonical(local), 0), comer.into())
    }

    /// The same, for an address of this machine in its own form and with no port.
    fn reserve_in(
        self: &Arc<Self>,
        state: &mut State,
        local: SocketAddr,
        comer: Comer,
    ) -> Result<Reservation, ReserveFault> {
        let mut taken = HashSet::new();
        loop {
            let held = state.held.get(&(local, comer));
            let free = |port: u16| !taken.contains(&port) && !held.is_some_and(|held| held.contains(&port));
            let port = self.pick(free).ok_or(ReserveFault::Exhausted)?;
            let address = with_port(local, port);
            if let Entry::Vacant(place) = state.doors.entry(address) {
                match self.open(address) {
                    Ok(door) => {
                        place.insert(door);
                    }
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse && taken.len() < TAKEN_MAX => {
                        taken.insert(port);
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(ReserveFault::Exhausted),
                    Err(error) => return Err(ReserveFault::Bind(error)),
                }
            }
            return Ok(self.enter(state, address, comer));
        }
    }

    /// Reservations at this moment.
    #[cfg(test)]
    fn in_use(&self) -> usize {
        self.usage().reserved
    }

    /// Ports open at this moment.
    #[cfg(test)]
    fn open_ports(&self) -> usize {
        self.usage().open
    }

    /// What is in use at this moment.
    pub fn usage(&self) -> Usage {
        let range = self.settings().range;
        let state = self.lock();
        Usage {
            ports: usize::from(range.last.saturating_sub(range.first)).saturating_add(1),
            open: state.doors.len(),
            reserved: state.doors.values().map(|door| door.waiting.len()).sum(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> RwLockReadGuard<'_, Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, free: impl Fn(u16) -> bool) -> Option<u16> {
        let range = self.settings().range;
        let mut random = rand::rng();
        for _ in 0..PICKS_MAX {
            let port = random.random_range(range.first..=range.last);
            if free(port) {
                return Some(port);
            }
        }
        let rest: Vec<u16> = (range.first..=range.last).filter(|port| free(*port)).collect();
        let last = rest.len().checked_sub(1)?;
        rest.get(random.random_range(0..=last)).copied()
    }

    fn open(self: &Arc<Self>, address: SocketAddr) -> io::Result<Door> {
        let socket = TcpListener::from_std(listener::open(address, BACKLOG)?)?;
        tokio::spawn(attend(Arc::downgrade(self), address, socket, self.stay));
        Ok(Door { waiting: HashMap::new(), former: VecDeque::new(), used: Instant::now() })
    }

    /// Takes a connection that arrived, and reads first who it is from where a proxy has to tell.
    fn arrived(self: &Arc<Self>, local: SocketAddr, peer: SocketAddr, mut stream: TcpStream) {
        let via = self.settings().proxies.find(peer);
        let Some(via) = via.filter(|via| via.data == ProxyData::Header) else {
            return self.hand_over(local, Arrived::straight(peer), stream);
        };
        let Ok(place) = Arc::clone(&self.headers).try_acquire_owned() else {
            self.report(&mut self.lock(), "proxy_headers_pending", local, Arrived::straight(peer));
            return turn_away(&stream);
        };
        let ports = Arc::clone(self);
        tokio::spawn(async move {
            let header = proxy::read_header(&mut stream).await;
            drop(place);
            match header {
                Ok(Header::Client { source, .. }) => {
                    ports.hand_over(local, Arrived { peer: source, via: Some(via) }, stream);
                }
                Ok(Header::Itself) | Err(HeaderFault::Nothing) => turn_away(&stream),
                Err(fault) => {
                    ports.report(&mut ports.lock(), fault.reason(), local, Arrived::straight(peer));
                    turn_away(&stream);
                }
            }
        });
    }

    /// Hands a connection to whom it is for, or ends it.
    fn hand_over(&self, local: SocketAddr, arrived: Arrived, stream: TcpStream) {
        let comer = arrived.comer();
        let mut state = self.lock();
        let door = state.doors.get(&local);
        if let Some(waiting) = door.and_then(|door| door.waiting.get(&comer)) {
            if let Err(untaken) = waiting.try_send(stream) {
                turn_away(&untaken.into_inner());
            }
            return;
        }
        if !door.is_some_and(|door| door.former.contains(&comer)) {
            self.report(&mut state, "no_reservation", local, arrived);
        }
        drop(state);
        turn_away(&stream);
    }

    fn report(&self, state: &mut State, reason: &'static str, local: SocketAddr, arrived: Arrived) {
        let waiting = state.doors.get(&local).map_or(0, |door| door.waiting.len());
        let proxy = arrived.via.map(|via| via.address);
        let stranger = Stranger { reason, peer: arrived.peer, proxy, local, waiting, unreported: state.unreported };
        let reported = self.report_rate.check().is_ok() && self.reports.try_send(stranger).is_ok();
        state.unreported = if reported { 0 } else { state.unreported.saturating_add(1) };
    }

    /// Closes a port that nobody has used for a while, and gives back any other. The socket is
    /// gone before the next reservation can look for the port.
    fn close_unused(&self, local: SocketAddr, socket: TcpListener) -> Option<TcpListener> {
        let mut state = self.lock();
        if state.doors.get(&local).is_some_and(|door| !door.waiting.is_empty() || door.used.elapsed() < self.stay) {
            return Some(socket);
        }
        state.doors.remove(&local);
        drop(socket);
        None
    }
}

impl Arrived {
    fn straight(peer: SocketAddr) -> Self {
        Self { peer, via: None }
    }

    fn comer(&self) -> Comer {
        Comer { told_by: self.via.map(|via| via.entry), ..Comer::from(self.peer.ip()) }
    }
}

impl State {
    /// Takes a reservation of a port away, where it is there.
    fn remove(&mut self, local: SocketAddr, comer: Comer) -> bool {
        let Some(door) = self.doors.get_mut(&local) else { return false };
        if door.waiting.remove(&comer).is_none() {
            return false;
        }
        door.used = Instant::now();
        if !door.former.contains(&comer) {
            door.former.truncate(FORMER_MAX.saturating_sub(1));
            door.former.push_front(comer);
        }
        let holder = (with_port(local, 0), comer);
        if let Some(held) = self.held.get_mut(&holder) {
            held.remove(&local.port());
            if held.is_empty() {
                self.held.remove(&holder);
            }
        }
        true
    }
}

/// Accepts on one open port until nobody needs it.
async fn attend(ports: Weak<PassivePorts>, local: SocketAddr, mut socket: TcpListener, stay: Duration) {
    let mut failures = 0_u32;
    loop {
        let accepted = timeout(stay, socket.accept()).await;
        let Some(ports) = ports.upgrade() else { return };
        match accepted {
            Ok(Ok((stream, peer))) => {
                failures = 0;
                ports.arrived(local, listener::canonical(peer), stream);
            }
            Ok(Err(error)) => {
                drop(ports);
                failures = failures.saturating_add(1);
                if let Some(pause) = listener::pause(&error, failures) {
                    sleep(pause).await;
                }
            }
            Err(_) => match ports.close_unused(local, socket) {
                Some(still_used) => socket = still_used,
                None => return,
            },
        }
    }
}

/// The address with another port; its IPv6 scope stays, without which a link-local one means
/// nothing.
fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// Closes a connection with an end rather than a reset, as far as that needs no waiting: what it
/// has sent already must be read for that.
fn turn_away(stream: &TcpStream) {
    let mut unread = [0; 2048];
    let _ = stream.try_read(&mut unread);
}

impl Reservation {
    /// The port, to be announced to the client.
    pub fn port(&self) -> u16 {
        self.local.port()
    }

    /// The next connection from where the client's come. May be called again for further ones until
    /// the reservation is dropped, so that a connection which proves not to be the client's own takes
    /// nothing from it. Losing the future loses no connection.
    ///
    /// # Errors
    /// The server ends.
    pub async fn accept(&mut self) -> io::Result<TcpStream> {
        loop {
            let arrived = self.arrivals.recv().await;
            let stream = arrived.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
            // One that is gone already is not worth telling of: the next may be the right one.
            if listener::prepare(&stream).is_ok() {
                return Ok(stream);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ports.give_back(self.local, self.comer);
        self.arrivals.close();
        while let Ok(untaken) = self.arrivals.try_recv() {
            turn_away(&untaken);
        }
    }
}

impl fmt::Debug for PassivePorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassivePorts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("local", &self.local).field("comer", &self.comer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
