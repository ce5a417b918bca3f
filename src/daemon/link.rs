//! The data connection that a session has agreed upon: reserved, then connected, then proven to
//! belong here. It comes up while the session waits for the transfer command, since some clients
//! finish their handshake before they send it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::net::passive::Reservation;
use crate::policy::binding::DataBinding;
use crate::tls::{self, DataConnection, DataFault, Flow, SessionTls};

/// How long a data connection that is let go may take to end.
const PARTING_TIME: Duration = Duration::from_secs(2);

/// Why there is no data connection.
#[derive(Debug)]
pub(super) enum LinkFault {
    /// None came, or the client could not be reached.
    NoConnection,
    /// It came and was refused.
    Refused(DataFault),
}

type Coming = Pin<Box<dyn Future<Output = Result<DataConnection, LinkFault>> + Send>>;

/// The way to the data connection.
pub(super) enum Link {
    /// Nothing was agreed upon.
    None,
    /// It is coming up.
    Coming(Coming, LinkFacts),
    /// It is up, or will never be.
    Came(Box<Result<DataConnection, LinkFault>>, LinkFacts),
    /// The server will connect to this address once a transfer asks for it.
    Active(SocketAddr),
}

/// What is known of a data connection before it is up.
#[derive(Clone, Debug)]
pub(super) struct LinkFacts {
    /// The server's port, or in active mode the client's.
    pub(super) port: u16,
    /// Tells the TLS side that the payload goes to the client.
    pub(super) flow: Arc<Flow>,
}

/// What a data connection needs to come up.
#[derive(Clone)]
pub(super) struct LinkNeeds {
    /// The control connection's TLS.
    pub(super) tls: Arc<SessionTls>,
    /// What the connection must show.
    pub(super) level: DataBinding,
    /// For connecting.
    pub(super) connect_time: Duration,
    /// For the handshake.
    pub(super) handshake_time: Duration,
}

impl Link {
    /// Waits for the client on a reserved port.
    pub(super) fn passive(mut reservation: Reservation, needs: LinkNeeds) -> Self {
        let facts = LinkFacts { port: reservation.port(), flow: Flow::new() };
        let flow = Arc::clone(&facts.flow);
        let coming = async move {
            let accepted = timeout(needs.connect_time, reservation.accept()).await;
            let Ok(Ok(stream)) = accepted else { return Err(LinkFault::NoConnection) };
            drop(reservation);
            protect(stream, &flow, &needs).await
        };
        Self::Coming(Box::pin(coming), facts)
    }

    /// Connects to the client.
    fn active(address: SocketAddr, needs: LinkNeeds) -> Self {
        let facts = LinkFacts { port: address.port(), flow: Flow::new() };
        let flow = Arc::clone(&facts.flow);
        let coming = async move {
            let connected = timeout(needs.connect_time, TcpStream::connect(address)).await;
            let Ok(Ok(stream)) = connected else { return Err(LinkFault::NoConnection) };
            protect(stream, &flow, &needs).await
        };
        Self::Coming(Box::pin(coming), facts)
    }

    /// Whether waiting on [`Link::progress`] can lead anywhere.
    pub(super) fn is_coming(&self) -> bool {
        matches!(self, Self::Coming(..))
    }

    /// Drives the connection; returns once it is up or never will be.
    pub(super) async fn progress(&mut self) {
        if let Self::Coming(coming, facts) = self {
            let came = coming.await;
            let facts = facts.clone();
            *self = Self::Came(Box::new(came), facts);
        }
    }

    /// Takes the link for a transfer that goes to the client or comes from it.
    pub(super) fn for_transfer(&mut self, to_client: bool, needs: Option<LinkNeeds>) -> Self {
        let link = match (std::mem::replace(self, Self::None), needs) {
            (Self::Active(address), Some(needs)) => Self::active(address, needs),
            (link, _) => link,
        };
        if to_client && let Self::Coming(_, facts) | Self::Came(_, facts) = &link {
            facts.flow.set_to_client();
        }
        link
    }

    /// Lets the data connection go that no transfer will use. One that is up already hears the end
    /// of TLS first: some clients take a reset for a failure of the whole session.
    pub(super) fn let_go(&mut self) {
        if let Self::Came(came, _) = std::mem::replace(self, Self::None)
            && let Ok(connection) = *came
        {
            part(connection);
        }
    }

    /// The port, where one is agreed upon.
    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Coming(_, facts) | Self::Came(_, facts) => facts.port,
            Self::Active(address) => address.port(),
            Self::None => 0,
        }
    }

    /// The connection, once it is up.
    pub(super) async fn connection(mut self) -> Result<DataConnection, LinkFault> {
        self.progress().await;
        match self {
            Self::Came(came, _) => *came,
            Self::None | Self::Coming(..) | Self::Active(_) => Err(LinkFault::NoConnection),
        }
    }
}

async fn protect(stream: TcpStream, flow: &Flow, needs: &LinkNeeds) -> Result<DataConnection, LinkFault> {
    // A small file and the end of TLS behind it are not to wait for the client's delayed
    // acknowledgement of the ticket before them. A connection that refuses this works all the same.
    let _ = stream.set_nodelay(true);
    // The client may connect long before it sends the transfer command and only then greet.
    let limit = needs.connect_time.saturating_add(needs.handshake_time);
    needs.tls.accept_data(stream, flow, needs.level, limit).await.map_err(LinkFault::Refused)
}

/// Ends a data connection in the background: `close_notify`, FIN, and what the client still sends
/// is discarded for a while.
pub(super) fn part(mut connection: DataConnection) {
    tokio::spawn(async move {
        // Whatever comes of it, the connection ends.
        let _ = tls::finish_sending(&mut connection.stream, PARTING_TIME).await;
    });
}
