//! The TLS of one control connection and of the data connections that belong to it.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::server::Acceptor;
use rustls::{CipherSuite, HandshakeKind, NamedGroup, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::client_certificate;
use super::fault::HandshakeFault;
use super::identities::{Identity, UnknownName};
use super::material::Material;
use super::parting;
use super::server::{NoRandomness, ServerTls};
use super::tickets::{ControlResumption, SessionKeys};
use crate::audit::record::TlsFacts;
use crate::policy::Principal;
use crate::policy::certificate::ClientCertificate;
use crate::policy::tls::TlsVersion;

/// Tickets handed out on the control connection: enough for a client that uses each only once.
const CONTROL_TICKETS: usize = 4;

/// The record of a fatal alert `unrecognized_name` (RFC 6066 §3), before any key is agreed upon.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// The TLS of one control connection. When it is dropped, every ticket made under it is dead.
pub struct SessionTls {
    pub(super) server: Arc<ServerTls>,
    /// What was in force when it began: it goes on with that.
    material: Arc<Material>,
    pub(super) keys: Arc<SessionKeys>,
    /// The greatest version that its connections are offered.
    maximum: TlsVersion,
    pub(super) version: OnceLock<ProtocolVersion>,
    /// Whose certificate was shown; data connections show the same.
    identity: OnceLock<Arc<Identity>>,
    /// The certificate that the client showed.
    client: OnceLock<Arc<ClientCertificate>>,
}

impl SessionTls {
    pub(super) fn new(server: Arc<ServerTls>, maximum: TlsVersion) -> Result<Self, NoRandomness> {
        let keys = SessionKeys::new(&server.registry)?;
        let material = server.material();
        Ok(Self {
            server,
            material,
            keys,
            maximum,
            version: OnceLock::new(),
            identity: OnceLock::new(),
            client: OnceLock::new(),
        })
    }

    /// Does the handshake of the control connection (RFC 4217 §4), within `limit` as a whole. Once
    /// the `ClientHello` is here, `place` is awaited, and what it gives is held while the answer is
    /// computed: never while the client is waited for, so that silent clients hold nothing.
    ///
    /// # Errors
    /// [`HandshakeFault`]; the alert was sent and the connection closed.
    pub async fn accept_control<IO, P>(
        &self,
        io: IO,
        limit: Duration,
        place: impl Future<Output = Option<P>>,
    ) -> Result<(TlsStream<IO>, TlsFacts), HandshakeFault>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let deadline = Instant::now().checked_add(limit).unwrap_or_else(Instant::now);
        let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), io);
        let hello = match timeout_at(deadline, &mut acceptor).await {
            Err(_) => return Err(HandshakeFault::Timeout),
            Ok(Err(error)) => {
                if let Some(io) = acceptor.take_io() {
                    parting::part(io).await;
                }
                return Err(HandshakeFault::from_io(&error));
            }
            Ok(Ok(hello)) => hello,
        };
        let chosen = self.material.identities.choose(hello.client_hello().server_name()).map(Arc::clone);
        let identity = match chosen {
            Ok(identity) => identity,
            Err(UnknownName(name)) => {
                let mut io = hello.io;
                let _ = timeout_at(deadline, io.write_all(&UNRECOGNIZED_NAME)).await;
                parting::part(io).await;
                return Err(HandshakeFault::UnknownName(name));
            }
        };
        // A session has one control connection, so the first identity and version are the only ones.
        let identity = self.identity.get_or_init(|| identity);
        let Ok(Some(place)) = timeout_at(deadline, place).await else {
            parting::part(hello.io).await;
            return Err(HandshakeFault::Crowded);
        };
        let accept = hello.into_stream(self.control_config()).into_fallible();
        drop(place);
        match timeout_at(deadline, accept).await {
            Err(_) => Err(HandshakeFault::Timeout),
            Ok(Err((error, io))) => {
                parting::part(io).await;
                Err(match HandshakeFault::from_io(&error) {
                    HandshakeFault::OldVersion if self.maximum == TlsVersion::Tls12 => HandshakeFault::NotTls12,
                    fault => fault,
                })
            }
            Ok(Ok(stream)) => {
                let connection = stream.get_ref().1;
                if let Some(version) = connection.protocol_version() {
                    self.version.get_or_init(|| version);
                }
                let shown = connection.peer_certificates().and_then(|chain| chain.first());
                if let Some(client) = shown.and_then(|leaf| client_certificate::read(leaf)) {
                    self.client.get_or_init(|| Arc::new(client));
                }
                let facts = TlsFacts { client: self.client.get().map(Arc::clone), ..facts(connection, identity) };
                Ok((stream, facts))
            }
        }
    }

    /// States who logged in, so that at level `principal` the user's live sessions from the same
    /// address stand in for each other.
    pub fn set_principal(&self, principal: &Principal) {
        self.keys.set_principal(principal, self.client().map(|client| client.fingerprint.as_str()));
    }

    /// The certificate that the client showed on the control connection.
    pub fn client(&self) -> Option<&ClientCertificate> {
        self.client.get().map(AsRef::as_ref)
    }

    /// The configuration of a connection that shows the session's certificate, and asks for the
    /// client's or not.
    pub(super) fn base(&self, asking: bool) -> ServerConfig {
        let mut config = self.material.base(self.maximum, asking).clone();
        if let Some(identity) = self.identity.get() {
            config.cert_resolver = Arc::clone(&identity.certificate);
        }
        config
    }

    fn control_config(&self) -> Arc<ServerConfig> {
        let resumption = Arc::new(ControlResumption(Arc::clone(&self.keys)));
        let mut config = self.base(true);
        config.ticketer = Arc::<ControlResumption>::clone(&resumption);
        config.session_storage = resumption;
        config.send_tls13_tickets = CONTROL_TICKETS;
        Arc::new(config)
    }
}

impl Drop for SessionTls {
    fn drop(&mut self) {
        self.keys.end();
    }
}

impl fmt::Debug for SessionTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTls").field("version", &self.version.get()).finish_non_exhaustive()
    }
}

/// What was negotiated, in registered names.
fn facts(connection: &ServerConnection, identity: &Identity) -> TlsFacts {
    let group = connection.negotiated_key_exchange_group().map(|group| group_name(group.name()));
    TlsFacts {
        version: connection.protocol_version().map_or("unknown", version_name),
        cipher: connection.negotiated_cipher_suite().map_or_else(String::new, |suite| suite_name(suite.suite())),
        group,
        server_name: connection.server_name().map(str::to_owned),
        identity: Arc::clone(&identity.names),
        alpn: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        exception: None,
        client: None,
    }
}

fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "1.2",
        ProtocolVersion::TLSv1_3 => "1.3",
        _ => "unknown",
    }
}

/// The library marks TLS 1.3 suites in their names; the registry does not.
fn suite_name(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or("unknown");
    name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}

fn group_name(group: NamedGroup) -> String {
    match group {
        NamedGroup::X25519 => "x25519".to_owned(),
        other => other.as_str().unwrap_or("unknown").to_owned(),
    }
}
