//! Syslog servers over TLS (RFC 5425): messages with their length in front, to a server that shows a
//! certificate of the right name by a known authority, always.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::message::Item;
use super::receivers::{Connect, Receiver, STALL_TIME, ended};
use crate::net::names::Names;
use crate::settings::keeping::SyslogServer;
use crate::tls::pem;

const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long the server may take to close behind the last message.
const LEAVE_TIME: Duration = Duration::from_secs(3);
/// What may wait in the system for a server to take it; the system doubles it.
const SEND_BUFFER_BYTES: usize = 1 << 15;
/// Largest file of certificates or keys that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reaches a syslog server.
pub(super) struct Secure {
    pub(super) server: SyslogServer,
    pub(super) names: Names,
    pub(super) facility: u8,
    pub(super) host: String,
}

impl Connect for Secure {
    fn connect(&mut self) -> io::Result<Box<dyn Receiver>> {
        // Read each time, so that renewed ones are used.
        let config = Arc::new(config(&self.server)?);
        let name = ServerName::try_from(self.server.name.clone()).map_err(io::Error::other)?;
        let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in self.addresses()? {
            match TcpStream::connect_timeout(&SocketAddr::new(address, self.server.port), CONNECT_TIME) {
                Ok(socket) => return Ok(Box::new(self.secured(socket, &config, name)?)),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Secure {
    fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = self.server.host.parse() {
            return Ok(vec![address]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let found = runtime.block_on(self.names.addresses(&self.server.host));
        let found = found.map_err(|fault| io::Error::other(format!("{}: {fault}", self.server.host)))?;
        Ok(found.into_iter().map(IpAddr::V4).collect())
    }

    fn secured(&self, socket: TcpStream, config: &Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<OverTls> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(STALL_TIME))?;
        socket.set_read_timeout(Some(STALL_TIME))?;
        // A peer that confirms nothing for so long is gone, so what was handed over for longer arrived.
        let options = socket2::SockRef::from(&socket);
        options.set_tcp_user_timeout(Some(STALL_TIME))?;
        // One that takes little at a time is never gone, so little may wait here that counts as arrived.
        options.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(OverTls { stream, facility: self.facility, host: self.host.clone() })
    }
}

/// What the server must show, and what it is shown.
fn config(server: &SyslogServer) -> io::Result<ClientConfig> {
    let bad = |path: &Path, error: &dyn std::fmt::Display| {
        io::Error::new(ErrorKind::InvalidData, format!("{}: {error}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for authority in pem::certificates(&file(&server.authorities)?).map_err(|error| bad(&server.authorities, &error))? {
        roots.add(authority).map_err(|error| bad(&server.authorities, &error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &server.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = pem::certificates(&file(certificate)?).map_err(|error| bad(certificate, &error))?;
    let own = pem::private_key(&zeroize::Zeroizing::new(file(key)?)).map_err(|error| bad(key, &error))?;
    builder.with_client_auth_cert(chain, own).map_err(|error| bad(key, &error))
}

fn file(path: &Path) -> io::Result<Vec<u8>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut content = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut content)).map_err(named)?;
    Ok(content)
}

/// A connection to a syslog server.
struct OverTls {
    stream: StreamOwned<ClientConnection, TcpStream>,
    facility: u8,
    host: String,
}

impl Receiver for OverTls {
    fn hand_over(&mut self, items: &[Item]) -> io::Result<()> {
        let mut messages = Vec::new();
        for item in items {
            let message = item.syslog(self.facility, &self.host);
            messages.extend_from_slice(format!("{} ", message.len()).as_bytes());
            messages.extend_from_slice(&message);
        }
        self.stream.write_all(&messages)?;
        self.stream.flush()
    }

    fn is_certain(&self) -> bool {
        false
    }

    fn look(&mut self) -> io::Result<()> {
        self.stream.sock.set_nonblocking(true)?;
        let found = ended(&mut self.stream);
        self.stream.sock.set_nonblocking(false)?;
        found
    }

    fn leave(&mut self) -> io::Result<()> {
        self.stream.conn.send_close_notify();
        self.stream.flush()?;
        self.stream.sock.shutdown(Shutdown::Write)?;
        self.stream.sock.set_read_timeout(Some(LEAVE_TIME))?;
        let mut rest = [0; 512];
        // It closes behind the last message, whether or not it says so in TLS.
        loop {
            match self.stream.sock.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
