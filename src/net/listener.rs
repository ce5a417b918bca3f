//! Listening sockets: bound with the right options, accepting whatever happens.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// The first port that needs no privilege, as Linux has it unless told otherwise.
pub const UNPRIVILEGED: u16 = 1024;
/// Silence after which the kernel asks whether the peer is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_mins(2);
/// How often it asks.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// The first pause after a failure to accept; each further one twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
/// The longest pause.
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// Why a socket cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address and port asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.address)?;
        match self.error.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "the port is in use: stop the program that holds it (ss -ltnp), or choose another port")
            }
            io::ErrorKind::PermissionDenied if self.address.port() < UNPRIVILEGED => f.write_str(
                "ports below 1024 need a privilege: start as root, use systemd socket activation or grant \
                 CAP_NET_BIND_SERVICE, or choose a port from 1024 on",
            ),
            io::ErrorKind::PermissionDenied => f.write_str("the system forbids it: check the sandbox or SELinux rules"),
            io::ErrorKind::AddrNotAvailable => {
                f.write_str("this machine does not have the address: check it, or use 0.0.0.0 or [::]")
            }
            _ => write!(f, "{}", self.error),
        }
    }
}

impl std::error::Error for BindError {}

/// Binds a listening socket that does not block. IPv6 sockets take IPv6 alone, so that `0.0.0.0`
/// and `[::]` can be listened on side by side.
///
/// # Errors
/// [`BindError`] says what to do.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, BindError> {
    open(address, BACKLOG).map_err(|error| BindError { address, error })
}

pub(super) fn open(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run that wait out their time do not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// A socket on which control connections arrive.
#[derive(Debug)]
pub struct Listener(TcpListener);

/// A socket that has its port and does not listen: it can again without the privilege that the port
/// needed.
#[derive(Debug)]
pub struct Resting(std::net::TcpListener);

impl Resting {
    /// Listens again.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(self) -> io::Result<std::net::TcpListener> {
        SockRef::from(&self.0).listen(BACKLOG)?;
        Ok(self.0)
    }
}

/// A control connection that arrived; IPv4 addresses are in their own form.
#[derive(Debug)]
pub struct Arrival {
    /// The connection, its options set.
    pub stream: TcpStream,
    /// The client.
    pub client: SocketAddr,
    /// This machine's end.
    pub server: SocketAddr,
}

impl Listener {
    /// Takes a socket from [`bind`] over into the runtime.
    ///
    /// # Errors
    /// Where the runtime cannot watch it.
    pub fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(socket).map(Self)
    }

    /// The address listened on.
    ///
    /// # Errors
    /// Where the system cannot say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Stops listening without giving the port up: clients are refused until it listens again.
    ///
    /// # Errors
    /// Where the system does not do that; the port is given up then.
    pub fn rest(self) -> io::Result<Resting> {
        let socket = self.0.into_std()?;
        SockRef::from(&socket).shutdown(Shutdown::Both)?;
        Ok(Resting(socket))
    }

    /// The next connection. Failures are waited out: a connection that is gone already is skipped,
    /// and where the system lacks descriptors or memory, sessions that end give them back.
    pub async fn accept(&self) -> Arrival {
        let mut failures = 0_u32;
        loop {
            match self.0.accept().await.and_then(|(stream, client)| arrival(stream, client)) {
                Ok(arrival) => return arrival,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if let Some(pause) = pause(&error, failures) {
                        tracing::warn!(%error, ?pause, "cannot accept connections; trying again");
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    }
}

fn arrival(stream: TcpStream, client: SocketAddr) -> io::Result<Arrival> {
    let server = canonical(stream.local_addr()?);
    prepare(&stream)?;
    // Urgent data (`ABOR` sent as RFC 959 §4.1.3 has it) stays in its place among the commands.
    SockRef::from(&stream).set_out_of_band_inline(true)?;
    Ok(Arrival { stream, client: canonical(client), server })
}

/// Sets what every connection needs: no waiting to fill segments, and peers that vanish noticed.
///
/// # Errors
/// Where the connection is gone already.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

/// How long to wait after a failure to accept; not at all where only that connection failed.
pub(super) fn pause(error: &io::Error, failures: u32) -> Option<Duration> {
    let of_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
    );
    // Even these may not keep the processor busy without end.
    if of_connection && failures < 100 {
        return None;
    }
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    Some(PAUSE_FIRST.saturating_mul(doubled).min(PAUSE_LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_arrive_with_their_options_set() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let socket = bind(address.parse().unwrap()).unwrap();
            let listener = Listener::new(socket).unwrap();
            let address = listener.local_addr().unwrap();
            let (arrival, client) = tokio::join!(listener.accept(), TcpStream::connect(address));
            assert_eq!(arrival.client, client.unwrap().local_addr().unwrap());
            assert_eq!(arrival.server, address);
            assert!(arrival.stream.nodelay().unwrap());
            assert!(SockRef::from(&arrival.stream).keepalive().unwrap());
            assert!(SockRef::from(&arrival.stream).out_of_band_inline().unwrap());
        }
    }

    #[tokio::test]
    async fn a_resting_socket_keeps_its_port_and_listens_again() {
        let free = bind("127.0.0.1:0".parse().unwrap()).unwrap().local_addr().unwrap();
        let resting = Listener::new(bind(free).unwrap()).unwrap().rest().unwrap();
        assert_eq!(TcpStream::connect(free).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let listener = Listener::new(resting.listen().unwrap()).unwrap();
        let (arrival, client) = tokio::join!(listener.accept(), TcpStream::connect(free));
        assert_eq!(arrival.client, client.unwrap().local_addr().unwrap());
    }

    #[test]
    fn both_families_can_have_the_port() {
        let v6 = bind("[::]:0".parse().unwrap()).unwrap();
        let port = v6.local_addr().unwrap().port();
        assert!(bind(SocketAddr::new("0.0.0.0".parse().unwrap(), port)).is_ok());
    }

    #[test]
    fn errors_say_what_to_do() {
        let held = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = bind(held.local_addr().unwrap()).unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
        let error = bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("does not have the address"), "{error}");
        let error = BindError { address: "0.0.0.0:21".parse().unwrap(), error: io::ErrorKind::PermissionDenied.into() };
        assert!(error.to_string().contains("CAP_NET_BIND_SERVICE"));
    }

    #[test]
    fn only_real_shortage_pauses_and_never_for_long() {
        let no_descriptors = io::Error::from_raw_os_error(24);
        assert_eq!(pause(&no_descriptors, 1), Some(Duration::from_millis(10)));
        assert_eq!(pause(&no_descriptors, 3), Some(Duration::from_millis(40)));
        assert_eq!(pause(&no_descriptors, u32::MAX), Some(PAUSE_LONGEST));
        let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert_eq!(pause(&gone, 1), None);
        assert_eq!(pause(&gone, u32::MAX), Some(PAUSE_LONGEST));
    }
}
