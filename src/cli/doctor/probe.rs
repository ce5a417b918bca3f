//! A short conversation with a server, to learn whether it is ours: its greeting, `AUTH TLS`, and
//! the certificate that it proves to have.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use super::Examined;
use crate::net::route::Proxies;

/// How long the whole conversation may take.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Longest reply that is read.
const REPLY_BYTES_MAX: usize = 4096;

/// What came of the conversation.
#[derive(Debug)]
pub(super) enum Answer {
    /// A server with one of our certificates.
    Ours,
    /// A server with another certificate.
    Stranger(CertificateDer<'static>),
    /// A server that would not talk to this machine, and its words.
    TurnedAway(String),
    /// Something that is no FTPS server; says why.
    NoServer(String),
    /// Nobody.
    Unreachable(io::Error),
}

/// Where a listener is reached from this machine.
pub(super) fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// Asks the server at an address. Ours are the certificates of the policy, and `also`.
pub(super) fn ask(
    examined: &Examined<'_>,
    address: SocketAddr,
    implicit: bool,
    also: &[CertificateDer<'static>],
) -> Answer {
    let mut ours = examined.certificates();
    ours.extend_from_slice(also);
    let wire = match Wire::connect(address) {
        Ok(wire) => wire,
        Err(error) => return Answer::Unreachable(error),
    };
    let header = wire.header(&Proxies::new(&examined.config.listen.proxies));
    let answer = converse(examined, wire, implicit, &ours);
    // This machine may be one of the server's proxies: who says nothing first leaves no record, and
    // a proxy that runs here, and would take the header for the client's, is asked without it.
    let (Answer::NoServer(_) | Answer::TurnedAway(_), Some(header)) = (&answer, header) else { return answer };
    let told = Wire::connect(address).and_then(|mut wire| wire.write_all(header.as_bytes()).map(|()| wire));
    told.map_or(answer, |wire| converse(examined, wire, implicit, &ours))
}

fn converse(examined: &Examined<'_>, mut wire: Wire, implicit: bool, ours: &[CertificateDer<'static>]) -> Answer {
    let first = examined.config.tls.identities.first().and_then(|identity| identity.names.first());
    let name = first.map_or_else(|| "localhost".to_owned(), |name| name.example().to_string());
    if !implicit {
        match wire.secure() {
            Ok(None) => {}
            Ok(Some(answer)) => return answer,
            Err(error) => return Answer::NoServer(error.to_string()),
        }
    }
    let seen =
        Arc::new(Seen { ours: ours.to_vec(), stranger: Mutex::default(), provider: aws_lc_rs::default_provider() });
    match wire.handshake(&name, &seen) {
        Ok(()) => Answer::Ours,
        Err(error) => match seen.stranger.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(certificate) => Answer::Stranger(certificate),
            // An implicit listener turns people away without a word.
            None if implicit && error.kind() == io::ErrorKind::UnexpectedEof => {
                Answer::TurnedAway("it closed the connection".to_owned())
            }
            None => Answer::NoServer(error.to_string()),
        },
    }
}

/// A connection that ends at a set time, however slowly the other side speaks.
struct Wire {
    stream: TcpStream,
    end: Instant,
}

impl Wire {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let end = Instant::now().checked_add(PATIENCE).ok_or(io::ErrorKind::TimedOut)?;
        Ok(Self { stream: TcpStream::connect_timeout(&address, PATIENCE)?, end })
    }

    /// The PROXY header by which this machine tells of itself, where the server awaits one from it.
    fn header(&self, proxies: &Proxies) -> Option<String> {
        let (from, to) = (self.stream.local_addr().ok()?, self.stream.peer_addr().ok()?);
        proxies.find(from)?;
        let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
        Some(format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()))
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")) } else { Ok(left) }
    }

    /// Asks for TLS; an answer means that there is none.
    fn secure(&mut self) -> io::Result<Option<Answer>> {
        let greeting = self.reply()?;
        if greeting.starts_with('4') || greeting.is_empty() {
            let words = if greeting.is_empty() { "it closed the connection".to_owned() } else { greeting };
            return Ok(Some(Answer::TurnedAway(words)));
        }
        if !greeting.starts_with("220") {
            return Ok(Some(Answer::NoServer(format!("it says \"{greeting}\""))));
        }
        self.write_all(b"AUTH TLS\r\n")?;
        let reply = self.reply()?;
        let refused = || Answer::NoServer(format!("it answers AUTH TLS with \"{reply}\""));
        Ok((!reply.starts_with("234")).then(refused))
    }

    /// The last line of a reply; empty where the connection ends. Nothing behind it is read.
    fn reply(&mut self) -> io::Result<String> {
        let mut text = Vec::new();
        let mut byte = [0];
        for _ in 0..REPLY_BYTES_MAX {
            if self.read(&mut byte)? == 0 {
                break;
            }
            text.extend_from_slice(&byte);
            let line = text.split(|b| *b == b'\n').rev().nth(1).unwrap_or_default();
            if byte == *b"\n" && line.get(3) != Some(&b'-') && line.first().is_some_and(u8::is_ascii_digit) {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().last().unwrap_or_default().chars().filter(|c| !c.is_control()).take(120).collect())
    }

    fn handshake(&mut self, name: &str, seen: &Arc<Seen>) -> io::Result<()> {
        let provider = Arc::new(seen.provider.clone());
        let verifier: Arc<dyn ServerCertVerifier> = Arc::<Seen>::clone(seen);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(self)?;
        }
        // In order, so that the server records an end and no fault.
        connection.send_close_notify();
        let _ = connection.complete_io(self);
        Ok(())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Takes our certificates alone, and keeps another that it is shown. That the server has the key
/// is checked as ever.
#[derive(Debug)]
struct Seen {
    ours: Vec<CertificateDer<'static>>,
    stranger: Mutex<Option<CertificateDer<'static>>>,
    provider: CryptoProvider,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.ours.iter().any(|own| own.as_ref() == end_entity.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        *self.stranger.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        Err(Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
