//! The acceptor of data connections: the handshake, and the proof of belonging (RFC 4217 §10.2
//! leaves its kind to the server).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::server::Acceptor;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::client_certificate;
use super::deferred::DataStream;
use super::fault::{DataFault, HandshakeFault};
use super::parting;
use super::session::SessionTls;
use super::tickets::{DataResumption, Offer};
use crate::policy::binding::DataBinding;

/// Tickets for a client that resumed: one for the next data connection.
const DATA_TICKETS: usize = 1;

/// Whether a data connection's payload goes to the client, once the transfer command says so.
///
/// A client that resumed gets a new ticket, for the next connection. Where the payload goes to the
/// client, it comes with the handshake. Otherwise it goes ahead of what the server says next, which
/// on an upload is the end of the connection ([`DataStream`] tells why), and after a handshake that
/// was finished before the transfer command, as some clients do, the first of the payload.
#[derive(Debug, Default)]
pub struct Flow(AtomicBool);

impl Flow {
    /// A flow of which nothing is known yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The payload goes to the client (`RETR`, listings).
    pub fn set_to_client(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_to_client(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// How a data connection was bound in fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The strongest level that the connection satisfies; never weaker than the one asked for.
    pub binding: DataBinding,
    /// Whether its handshake resumed a session.
    pub resumed: bool,
}

/// A data connection that belongs to its control connection.
pub struct DataConnection {
    /// The connection; TLS is established.
    pub stream: TlsStream<DataStream>,
    /// How it was bound.
    pub bound: Bound,
}

impl fmt::Debug for DataConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataConnection").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl SessionTls {
    /// Does the handshake of a data connection within `limit` as a whole, and checks that it
    /// belongs to this control connection as `level` demands. The caller has checked the peer's
    /// address. The flow's direction counts at the moment the `ClientHello` is here.
    ///
    /// # Errors
    /// [`DataFault`]; the connection is closed without a reset, in the background where it takes
    /// longer.
    pub async fn accept_data(
        self: &Arc<Self>,
        tcp: TcpStream,
        flow: &Flow,
        level: DataBinding,
        limit: Duration,
    ) -> Result<DataConnection, DataFault> {
        let began = Instant::now();
        let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), DataStream::new(tcp));
        let mut hello = match timeout(limit, &mut acceptor).await {
            Ok(Ok(hello)) => hello,
            failed => {
                let fault = failed.map_or(HandshakeFault::Timeout, |result| fault_of(result.err()));
                if let Some(stream) = acceptor.take_io() {
                    parting::linger(&self.server.lingering, stream.into_tcp());
                }
                return Err(fault.into());
            }
        };

        let (siblings, renewable) =
            (level >= DataBinding::Principal, self.version.get() != Some(&ProtocolVersion::TLSv1_2));
        let resumption = Arc::new(DataResumption::new(Arc::clone(&self.keys), siblings, renewable));
        // Who resumes has shown its certificate; a whole handshake has to where that is the proof.
        let mut config = self.base(level == DataBinding::ClientCertificate && self.client().is_some());
        config.ticketer = Arc::<DataResumption>::clone(&resumption);
        config.session_storage = Arc::<DataResumption>::clone(&resumption);
        config.send_tls13_tickets = DATA_TICKETS;
        if !flow.is_to_client() {
            hello.io.hold_tickets();
        }
        let handshake = hello
            .into_stream_with(Arc::new(config), |connection| resumption.settle(connection.handshake_kind()))
            .into_fallible();

        let stream = match timeout(limit.saturating_sub(began.elapsed()), handshake).await {
            Ok(Ok(mut stream)) => {
                stream.get_mut().0.greeted();
                stream
            }
            Ok(Err((error, stream))) => {
                parting::linger(&self.server.lingering, stream.into_tcp());
                return Err(HandshakeFault::from_io(&error).into());
            }
            Err(_) => return Err(DataFault::Timeout),
        };
        if matches!(level, DataBinding::Principal | DataBinding::ClientCertificate) {
            // In vain, it is judged as what it is so far: another's session.
            let _ = timeout(limit.saturating_sub(began.elapsed()), resumption.decided()).await;
        }
        match self.judge(&stream, &resumption, level) {
            Ok(bound) => Ok(DataConnection { stream, bound }),
            Err(fault) => {
                parting::refuse(&self.server.lingering, stream).await;
                Err(fault)
            }
        }
    }

    fn judge(
        &self,
        stream: &TlsStream<DataStream>,
        resumption: &DataResumption,
        level: DataBinding,
    ) -> Result<Bound, DataFault> {
        let connection = stream.get_ref().1;
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let same_version = connection.protocol_version().is_some_and(|version| self.version.get() == Some(&version));
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        let same_certificate = || {
            let shown = certificate.map(|leaf| client_certificate::fingerprint(leaf));
            shown.is_some() && shown.as_deref() == self.client().map(|client| client.fingerprint.as_str())
        };
        let shown = match resumption.offer() {
            Offer::Own if resumed && same_version => DataBinding::Session,
            Offer::Sibling if resumed && same_version => DataBinding::Principal,
            _ if !resumed && same_version && same_certificate() => DataBinding::ClientCertificate,
            _ => DataBinding::Address,
        };
        // The levels are ordered from the strictest to the most relaxed.
        if shown <= level {
            return Ok(Bound { binding: shown, resumed });
        }
        Err(match resumption.offer() {
            _ if !same_version => DataFault::Version,
            _ if level == DataBinding::ClientCertificate && !resumed => DataFault::OtherCertificate,
            Offer::Nothing => DataFault::NotResumed { tls13: self.version.get() == Some(&ProtocolVersion::TLSv1_3) },
            Offer::Foreign | Offer::Sibling | Offer::Undecided => DataFault::ForeignSession,
            Offer::Own => DataFault::SessionChanged,
        })
    }
}

fn fault_of(error: Option<std::io::Error>) -> HandshakeFault {
    error.map_or(HandshakeFault::ClientGaveUp, |error| HandshakeFault::from_io(&error))
}
