//! A control connection as no client program has it: every byte is the test's own.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Protocol, Socket, Type};

use super::tls::{self, Version};
use super::{Data, PASSWORD, PATIENCE, Server};

/// The stream of either connection, which a test can also read with a time limit of its own.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// How to connect.
#[derive(Clone, Debug)]
pub struct Dial {
    server: SocketAddr,
    source: IpAddr,
    header: Vec<u8>,
    authority: PathBuf,
    version: Version,
    alpn: Vec<&'static [u8]>,
    name: &'static str,
    sni: bool,
    certificate: Option<PathBuf>,
}

impl Dial {
    /// To the server's port for explicit TLS, from the same address, with TLS 1.3.
    pub fn to(server: &Server) -> Self {
        Self::to_port(server, server.port())
    }

    /// To another of its ports.
    pub fn to_port(server: &Server, port: u16) -> Self {
        Self {
            server: SocketAddr::new(server.address(), port),
            source: server.address(),
            header: Vec::new(),
            authority: server.authority(),
            version: Version::Tls13,
            alpn: Vec::new(),
            name: tls::NAME,
            sni: true,
            certificate: None,
        }
    }

    /// From 127.0.0.`last`.
    #[must_use]
    pub fn from(mut self, last: u8) -> Self {
        self.source = Ipv4Addr::new(127, 0, 0, last).into();
        self
    }

    /// To something else that leads to the server.
    #[must_use]
    pub fn through(mut self, address: SocketAddr) -> Self {
        self.server = address;
        self
    }

    /// With these bytes ahead of everything, as a proxy sends them.
    #[must_use]
    pub fn header(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.header = bytes.into();
        self
    }

    /// With another version of TLS.
    #[must_use]
    pub fn tls(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Offering application protocols.
    #[must_use]
    pub fn alpn(mut self, names: &[&'static [u8]]) -> Self {
        self.alpn = names.to_vec();
        self
    }

    /// To the server under another name, for which this authority vouches.
    #[must_use]
    pub fn named(mut self, name: &'static str, authority: &Path) -> Self {
        (self.name, self.authority) = (name, authority.to_owned());
        self
    }

    /// Without a name in the TLS handshake.
    #[must_use]
    pub fn without_sni(mut self) -> Self {
        self.sni = false;
        self
    }

    /// With a client certificate: `FILE.pem` and `FILE.key`.
    #[must_use]
    pub fn certificate(mut self, file: &Path) -> Self {
        self.certificate = Some(file.to_owned());
        self
    }

    fn config(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&tls::client(&self.authority, self.version, alpn));
        config.enable_sni = self.sni;
        if let Some(file) = &self.certificate {
            tls::show_certificate(&mut config, file);
        }
        Arc::new(config)
    }

    /// The client's side of TLS, for a connection without memory of any other.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.config(&self.alpn)
    }

    /// Connects, and reads nothing yet.
    pub fn connect(&self) -> Wire {
        let mut stream = connect(self.source, self.server);
        stream.write_all(&self.header).unwrap();
        Wire { stream: Stream::Clear(stream), received: Vec::new(), tls: self.config(&self.alpn), dial: self.clone() }
    }

    /// Connects and reads the greeting.
    pub fn greeted(&self) -> Wire {
        let mut wire = self.connect();
        wire.expect(220);
        wire
    }

    /// Connects and brings TLS up.
    pub fn secure(&self) -> Wire {
        let mut wire = self.greeted();
        wire.start_tls();
        wire
    }

    /// Connects and logs in, ready for transfers of TYPE I.
    pub fn login(&self, user: &str) -> Wire {
        let mut wire = self.secure();
        wire.log_in(user);
        wire.protect();
        wire
    }
}

/// Connects from an address of this machine.
pub fn connect(source: impl Into<IpAddr>, to: SocketAddr) -> TcpStream {
    try_connect(source, to).unwrap_or_else(|error| panic!("connecting to {to}: {error}"))
}

/// The same, where it may fail.
pub fn try_connect(source: impl Into<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::new(source.into(), 0).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A control connection.
pub struct Wire {
    stream: Stream,
    received: Vec<u8>,
    tls: Arc<ClientConfig>,
    dial: Dial,
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<Tls>),
    Gone,
}

/// A reply of one or more lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The code.
    pub code: u16,
    /// The lines without their ends, the first and last with their code.
    pub lines: Vec<String>,
}

impl Reply {
    /// What stands behind the code in the last line.
    pub fn text(&self) -> &str {
        &self.lines.last().unwrap()[4..]
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// TLS said so first.
    CloseNotify,
    /// TCP alone.
    Fin,
    /// The connection was reset.
    Reset,
    /// A TLS alert.
    Alert,
}

impl Wire {
    /// A control connection in clear, greeted.
    pub fn greeted(server: &Server) -> Self {
        Dial::to(server).greeted()
    }

    /// A control connection behind TLS.
    pub fn secure(server: &Server) -> Self {
        Dial::to(server).secure()
    }

    /// A control connection that is logged in and ready for transfers of TYPE I.
    pub fn login(server: &Server, user: &str) -> Self {
        Dial::to(server).login(user)
    }

    /// Sends bytes as they are, in one segment.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).unwrap();
    }

    /// The same, where the server may have gone.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Clear(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends a command line.
    pub fn send(&mut self, line: &str) {
        self.send_raw(format!("{line}\r\n").as_bytes());
    }

    /// Sends a command and wants this code.
    pub fn ask(&mut self, line: &str, code: u16) -> Reply {
        self.send(line);
        let reply = self.reply();
        assert_eq!(reply.code, code, "{line}: {reply:?}");
        reply
    }

    /// Reads the next reply and wants this code.
    pub fn expect(&mut self, code: u16) -> Reply {
        let reply = self.reply();
        assert_eq!(reply.code, code, "{reply:?}");
        reply
    }

    /// Reads the next reply.
    pub fn reply(&mut self) -> Reply {
        self.try_reply().unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// The next reply, or how the connection ended.
    pub fn try_reply(&mut self) -> io::Result<Reply> {
        let mut lines = vec![self.line()?];
        let first = lines[0].clone();
        let code =
            first.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no code: {first:?}"));
        if first.as_bytes().get(3) == Some(&b'-') {
            let end = format!("{code} ");
            while !lines.last().is_some_and(|line| line.starts_with(&end)) {
                lines.push(self.line()?);
            }
        } else {
            assert_eq!(first.as_bytes().get(3), Some(&b' '), "no reply: {first:?}");
        }
        Ok(Reply { code, lines })
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end + 2).collect();
                let line = String::from_utf8(line[..end].to_vec()).unwrap();
                assert!(!line.contains(char::is_control), "a control character in {line:?}");
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let read = match &mut self.stream {
            Stream::Clear(stream) => stream.read(&mut buffer)?,
            Stream::Tls(stream) => stream.read(&mut buffer)?,
            Stream::Gone => 0,
        };
        self.received.extend_from_slice(&buffer[..read]);
        Ok(read)
    }

    /// Whether the server stays silent for a moment.
    pub fn is_silent(&mut self, moment: Duration) -> bool {
        self.tcp().set_read_timeout(Some(moment)).unwrap();
        let silent = self.received.is_empty()
            && self
                .fill()
                .is_err_and(|error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
        self.tcp().set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }

    /// Reads to the end, which has to come, and says how it came. Nothing may be said before it.
    pub fn ended(&mut self) -> Ending {
        let (rest, ending) = self.rest();
        assert_eq!(String::from_utf8_lossy(&rest), "", "the connection should have ended without another word");
        ending
    }

    /// Everything up to the end, and how it came.
    pub fn rest(&mut self) -> (Vec<u8>, Ending) {
        let behind_tls = matches!(self.stream, Stream::Tls(_));
        let ending = loop {
            match self.fill() {
                Ok(0) if behind_tls => break Ending::CloseNotify,
                Ok(0) => break Ending::Fin,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::UnexpectedEof => break Ending::Fin,
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => break Ending::Reset,
                    io::ErrorKind::InvalidData => break Ending::Alert,
                    _ => panic!("the connection did not end: {error}"),
                },
            }
        };
        (std::mem::take(&mut self.received), ending)
    }

    /// Sends `AUTH TLS` and does the handshake.
    pub fn start_tls(&mut self) {
        self.ask("AUTH TLS", 234);
        self.handshake().unwrap_or_else(|error| panic!("the handshake failed: {error}"));
    }

    /// Does the handshake on what is a connection in clear so far.
    pub fn handshake(&mut self) -> io::Result<()> {
        assert!(self.received.is_empty(), "{:?} came before the handshake", self.received);
        let Stream::Clear(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else { panic!("not in clear") };
        let mut stream = StreamOwned::new(tls::begin(&self.tls, self.dial.name), stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    /// Sends `USER` and `PASS` and wants to be let in.
    pub fn log_in(&mut self, user: &str) -> Reply {
        self.ask(&format!("USER {user}"), 331);
        self.ask(&format!("PASS {PASSWORD}"), 230)
    }

    /// Sends `USER` and `PASS` and wants to be refused.
    pub fn refused(&mut self, user: &str, password: &str) -> Reply {
        self.ask(&format!("USER {user}"), 331);
        self.ask(&format!("PASS {password}"), 530)
    }

    /// Asks for protected data connections and TYPE I.
    pub fn protect(&mut self) {
        self.ask("PBSZ 0", 200);
        self.ask("PROT P", 200);
        self.ask("TYPE I", 200);
    }

    /// Asks for a passive port with `EPSV`.
    pub fn passive(&mut self) -> SocketAddr {
        let reply = self.ask("EPSV", 229);
        let port = reply.text().split_once("(|||").unwrap().1.split_once("|)").unwrap().0;
        SocketAddr::new(self.dial.server.ip(), port.parse().unwrap())
    }

    /// Opens a data connection as it should be: from here, resuming this session.
    pub fn data(&mut self) -> Data {
        let address = self.passive();
        self.data_at(address)
    }

    /// The same, to a port that was told.
    pub fn data_at(&self, address: SocketAddr) -> Data {
        Data::named(connect(self.dial.source, address), &self.data_config(), self.dial.name)
    }

    /// The TLS sessions of this control connection, for data connections.
    pub fn data_config(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.tls);
        config.alpn_protocols.clear();
        Arc::new(config)
    }

    /// TLS that knows of no session yet.
    pub fn fresh_config(&self) -> Arc<ClientConfig> {
        self.dial.config(&[])
    }

    /// What TLS agreed upon.
    pub fn agreed(&self) -> &ClientConnection {
        let Stream::Tls(stream) = &self.stream else { panic!("not behind TLS") };
        &stream.conn
    }

    /// The address of the server's control connections.
    pub fn server_address(&self) -> SocketAddr {
        self.dial.server
    }

    /// The address this connection comes from.
    pub fn local(&self) -> SocketAddr {
        self.tcp().local_addr().unwrap()
    }

    /// The TCP connection, for what TLS knows nothing of.
    pub fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Clear(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
            Stream::Gone => panic!("the connection is gone"),
        }
    }

    /// Sends a transfer command over a new data connection and wants `150`.
    pub fn begin(&mut self, command: &str) -> Data {
        let data = self.data();
        self.ask(command, 150);
        data
    }

    /// Fetches whatever the command fetches.
    pub fn fetch(&mut self, command: &str) -> Vec<u8> {
        let data = self.begin(command);
        let content = data.receive();
        self.expect(226);
        content
    }

    /// Fetches a listing.
    pub fn list(&mut self, command: &str) -> String {
        String::from_utf8(self.fetch(command)).unwrap()
    }

    /// Sends whatever the command stores, and wants `226`.
    pub fn store(&mut self, command: &str, content: &[u8]) -> Reply {
        let mut data = self.begin(command);
        data.send(content);
        data.finish();
        self.expect(226)
    }

    /// A transfer command that is refused although its data connection is there.
    pub fn refuse(&mut self, command: &str, code: u16) -> Reply {
        let _data = self.data();
        self.ask(command, code)
    }
}
