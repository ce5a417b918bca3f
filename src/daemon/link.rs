//! The data connection that a session has agreed upon: reserved, then connected, then proven to
//! belong here. It comes up while the session waits for the transfer command, since some clients
//! finish their handshake before they send it.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use crate::net::passive::Reservation;
use crate::policy::binding::DataBinding;
use crate::tls::{self, DataConnection, DataFault, Flow, SessionTls};

/// Connections on one reserved port that may prove themselves at the same time.
const CANDIDATES_MAX: usize = 4;
/// How long another connection is waited for once one was refused.
const SECOND_CHANCE_TIME: Duration = Duration::from_millis(300);
/// How long those that are under way by then have left.
const RIVAL_TIME: Duration = Duration::from_secs(2);
/// Refusals at one port that are told one by one.
const REFUSALS_MAX: usize = 8;
/// Data connections that are ended gently at the same time; any more just end.
static PARTING: Semaphore = Semaphore::const_new(256);
/// How long a data connection that is let go may take to end.
const PARTING_TIME: Duration = Duration::from_secs(2);

/// How long a client may go on sending what will not be stored.
const DISCARD_TIME: Duration = Duration::from_secs(30);
/// Bytes thrown away at a time.
const DISCARD_BYTES: usize = 64 * 1024;

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
    /// Whether TCP is connected.
    connected: Arc<AtomicBool>,
    /// Told once nobody new is waited for: the port is given back.
    let_go: Arc<Notify>,
    refusals: Refusals,
}

/// Why connections to a port were refused, for the record of its transfer.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<Vec<&'static str>>>);

impl Refusals {
    fn add(&self, fault: &LinkFault) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let LinkFault::Refused(fault) = fault
            && known.len() < REFUSALS_MAX
        {
            known.push(fault.reason());
        }
    }

    /// Takes them out.
    pub(super) fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LinkFacts {
    fn new(port: u16) -> Self {
        Self {
            port,
            flow: Flow::new(),
            connected: Arc::default(),
            let_go: Arc::default(),
            refusals: Refusals::default(),
        }
    }
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
    pub(super) fn passive(reservation: Reservation, needs: LinkNeeds) -> Self {
        let facts = LinkFacts::new(reservation.port());
        Self::Coming(Box::pin(first_proven(reservation, facts.clone(), needs)), facts)
    }

    /// Connects to the client.
    fn active(address: SocketAddr, needs: LinkNeeds) -> Self {
        let facts = LinkFacts::new(address.port());
        let known = facts.clone();
        let coming = async move {
            let connected = timeout(needs.connect_time, TcpStream::connect(address)).await;
            let Ok(Ok(stream)) = connected else { return Err(LinkFault::NoConnection) };
            protect(stream, known, needs).await
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

    /// Lets the data connection go that no transfer will use, and its port at once. A connection
    /// that is up, or coming up, hears the end of TLS first: some clients take a reset for a failure
    /// of the whole session.
    pub(super) fn let_go(&mut self) {
        match std::mem::replace(self, Self::None) {
            Self::Came(came, _) => {
                if let Ok(connection) = *came {
                    part_in_background(connection);
                }
            }
            Self::Coming(mut coming, facts) if facts.connected.load(Ordering::Acquire) => {
                facts.let_go.notify_one();
                // This once is for giving the port back; whoever waits for it may ask any moment.
                let given_back = coming.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                match given_back {
                    Poll::Ready(Ok(connection)) => part_in_background(connection),
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => {
                        let Ok(place) = PARTING.try_acquire() else { return };
                        tokio::spawn(timeout(PARTING_TIME, async move {
                            if let Ok(connection) = coming.await {
                                part(connection).await;
                            }
                            drop(place);
                        }));
                    }
                }
            }
            Self::None | Self::Coming(..) | Self::Active(_) => {}
        }
    }

    /// Where refusals at its port are told.
    pub(super) fn refusals(&self) -> Option<Refusals> {
        match self {
            Self::Coming(_, facts) | Self::Came(_, facts) => Some(facts.refusals.clone()),
            Self::None | Self::Active(_) => None,
        }
    }

    /// What to notify once nobody new is to be waited for: the port is given back, and whoever came
    /// to it already may still prove itself.
    pub(super) fn last_call(&self) -> Option<Arc<Notify>> {
        match self {
            Self::Coming(_, facts) | Self::Came(_, facts) => Some(Arc::clone(&facts.let_go)),
            Self::None | Self::Active(_) => None,
        }
    }

    /// Why there will be no connection, where that is known already.
    pub(super) fn failure(&self) -> Option<&LinkFault> {
        match self {
            Self::Came(came, _) => came.as_ref().as_ref().err(),
            Self::None | Self::Coming(..) | Self::Active(_) => None,
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

/// Takes the first connection on the reserved port that proves itself. The port is the client's
/// until then: somebody else behind the same address who comes first, and says nothing or something
/// else, takes nothing away.
async fn first_proven(
    reservation: Reservation,
    known: LinkFacts,
    needs: LinkNeeds,
) -> Result<DataConnection, LinkFault> {
    let mut reservation = Some(reservation);
    let mut candidates: Vec<Coming> = Vec::new();
    let mut fault = LinkFault::NoConnection;
    let mut refused = false;
    let mut patience = after(needs.connect_time);
    loop {
        tokio::select! {
            biased;
            () = known.let_go.notified(), if reservation.is_some() => reservation = None,
            proven = next_of(&mut candidates), if !candidates.is_empty() => match proven {
                Ok(connection) => {
                    known.refusals.add(&fault);
                    return Ok(connection);
                }
                Err(failed) => {
                    // The last one is told as the end of the transfer, those before beside it.
                    known.refusals.add(&std::mem::replace(&mut fault, failed));
                    refused = true;
                    let chance = if candidates.is_empty() { SECOND_CHANCE_TIME } else { RIVAL_TIME };
                    patience = patience.min(after(chance));
                }
            },
            accepted = accept(&mut reservation), if candidates.len() < CANDIDATES_MAX && reservation.is_some() => {
                match accepted {
                    Ok(stream) => candidates.push(Box::pin(protect(stream, known.clone(), needs.clone()))),
                    Err(_) => return Err(fault),
                }
            }
            () = sleep_until(patience), if refused || candidates.is_empty() => return Err(fault),
        }
        if reservation.is_none() && candidates.is_empty() {
            return Err(fault);
        }
    }
}

async fn accept(reservation: &mut Option<Reservation>) -> std::io::Result<TcpStream> {
    match reservation {
        Some(reservation) => reservation.accept().await,
        None => std::future::pending().await,
    }
}

/// The next candidate that has succeeded or failed; it is taken out.
async fn next_of(candidates: &mut Vec<Coming>) -> Result<DataConnection, LinkFault> {
    poll_fn(|cx| {
        let ended = candidates.iter_mut().enumerate().find_map(|(at, candidate)| match candidate.as_mut().poll(cx) {
            Poll::Ready(result) => Some((at, result)),
            Poll::Pending => None,
        });
        match ended {
            Some((at, result)) => {
                drop(candidates.swap_remove(at));
                Poll::Ready(result)
            }
            None => Poll::Pending,
        }
    })
    .await
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

async fn protect(stream: TcpStream, known: LinkFacts, needs: LinkNeeds) -> Result<DataConnection, LinkFault> {
    known.connected.store(true, Ordering::Release);
    // A small file and the end of TLS behind it are not to wait for the client's delayed
    // acknowledgement of the ticket before them. A connection that refuses this works all the same.
    let _ = stream.set_nodelay(true);
    // The client may connect long before it sends the transfer command and only then greet.
    let limit = needs.connect_time.saturating_add(needs.handshake_time);
    needs.tls.accept_data(stream, &known.flow, needs.level, limit).await.map_err(LinkFault::Refused)
}

/// Ends a data connection that nothing more is sent on: `close_notify`, FIN, and what the client
/// still says is discarded for a while.
async fn part(mut connection: DataConnection) {
    // Whatever comes of it, the connection ends.
    let _ = tls::finish_sending(&mut connection.stream, PARTING_TIME).await;
}

/// The same behind the back of the session.
pub(super) fn part_in_background(connection: DataConnection) {
    let Ok(place) = PARTING.try_acquire() else { return };
    tokio::spawn(async move {
        part(connection).await;
        drop(place);
    });
}

/// Ends, in the background, a data connection whose client is still sending what will not be
/// stored. Many clients read the reply only once they have sent everything, so for a time it is
/// taken and thrown away.
pub(super) fn part_from_sender(mut connection: DataConnection) {
    let Ok(place) = PARTING.try_acquire() else { return };
    tokio::spawn(timeout(DISCARD_TIME, async move {
        let _place = place;
        connection.stream.shutdown().await?;
        let mut tcp = connection.stream.into_inner().0.into_tcp();
        let mut scratch = vec![0; DISCARD_BYTES];
        while tcp.read(&mut scratch).await? > 0 {}
        std::io::Result::Ok(())
    }));
}
