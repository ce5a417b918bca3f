//! The server-DTP (RFC 959 §2.3): moves one transfer from its data connection to its end. It owns
//! the data connection and the file, and comes back with one outcome.

pub(super) mod digest;
mod list;
mod receive;
mod send;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::{debug, error};

pub(super) use list::{Sight, lines};

use super::bandwidth::Pace;
use super::buffers::Buffers;
use super::freezes::Leave;
use super::link::{self, Link, LinkFault};
use super::places::TransferPlace;
use crate::audit::record::{DataFacts, Digest};
use crate::identity::Username;
use crate::policy::BindingJudgement;
use crate::policy::binding::DataBinding;
use crate::policy::grant::Grant;
use crate::proto::argument::Representation;
use crate::proto::ascii::ToWire;
use crate::proto::pattern::Pattern;
use crate::session::effect::{Listing, MoveFault, Moved, StoreFault};
use crate::settings::DigestKind;
use crate::store::{self, Root, UploadClaim};
use crate::tls::{self, DataConnection, DataFault};

/// How long the client's end of a data connection is waited for once everything was sent.
const PARTING_TIME: Duration = Duration::from_secs(1);
/// How long a transfer goes on whose control connection has ended, and before that a data connection
/// that is coming up: its last bytes are on their way, or in a buffer of the kernel. Some clients
/// leave as soon as they have sent them, and never read the last reply.
const LAST_BYTES_TIME: Duration = Duration::from_secs(1);
/// Bytes that must move within the stall time: a trickle below it is a stall.
const STALL_BYTES: u64 = 1024;
/// Bytes sent before progress is noted.
const STEP_BYTES: usize = 64 * 1024;
/// How often in a stall time it is looked whether something moved.
const STALL_CHECKS: u32 = 4;

/// A transfer that was made ready.
pub(super) struct Job {
    pub(super) what: What,
    /// To be asked again before an upload is put in place; none for what changes nothing.
    pub(super) leave: Option<Leave>,
    pub(super) root: Arc<Root>,
    pub(super) user: Username,
    pub(super) representation: Representation,
    pub(super) binding: BindingJudgement,
    pub(super) digest: DigestKind,
    pub(super) buffers: Arc<Buffers>,
    /// For the data connection to come up, handshake included.
    pub(super) connect_time: Duration,
    /// Without progress.
    pub(super) stall_time: Duration,
    /// How fast.
    pub(super) pace: Arc<Pace>,
    /// Its place among the transfers that run; none for listings.
    pub(super) place: Option<Box<TransferPlace>>,
    /// Content bytes moved so far, for `STAT`.
    pub(super) progress: Arc<AtomicU64>,
}

/// What moves.
pub(super) enum What {
    /// A file to the client, from this place on.
    Retrieve(Grant, Start),
    /// A file from the client; whether it begins at its beginning, and whether what came of it is
    /// kept if it breaks off.
    Store { claim: Box<UploadClaim>, whole: bool, resumable: bool },
    /// A listing to the client; where there is a pattern, of the entries it means.
    List(Box<Sight>, Listing, Option<Pattern>),
}

/// Where a file to the client begins.
#[derive(Clone, Copy)]
pub(super) struct Start {
    /// Whether it is the file's beginning.
    pub(super) whole: bool,
    /// Bytes of the file before it.
    pub(super) offset: u64,
    /// How lines end from there on, in TYPE A.
    pub(super) text: Option<ToWire>,
}

impl What {
    /// Which way the payload goes.
    pub(super) fn is_to_client(&self) -> bool {
        !matches!(self, Self::Store { .. })
    }
}

/// What came of the payload.
#[derive(Default)]
struct Yield {
    size: Option<u64>,
    digest: Option<Digest>,
    replaced: bool,
    kept_bytes: Option<u64>,
}

/// Moves the transfer. `stop` ends it early with the reason given.
pub(super) async fn run(mut job: Job, link: Link, mut stop: oneshot::Receiver<MoveFault>) -> Moved {
    let began = Instant::now();
    // Given back when all is over, before the client hears of it.
    let _place = job.place.take();
    let port = link.port();
    let refusals = link.refusals();
    let last_call = link.last_call();
    let mut connecting = pin!(timeout(job.connect_time, link.connection()));
    let connected = tokio::select! {
        biased;
        reason = &mut stop => match reason.unwrap_or(MoveFault::ControlGone) {
            MoveFault::ControlGone => {
                if let Some(last_call) = last_call {
                    last_call.notify_one();
                }
                stop = stopped(MoveFault::ControlGone);
                match timeout(LAST_BYTES_TIME, connecting).await {
                    Ok(Ok(Ok(connection))) => Ok(connection),
                    _ => Err(MoveFault::ControlGone),
                }
            }
            reason => Err(reason),
        },
        connected = &mut connecting => match connected {
            Err(_) => Err(MoveFault::NoConnection),
            Ok(connected) => connected.map_err(|fault| link_fault(&fault)),
        },
    };
    let mut moved = Moved {
        end: Ok(()),
        bytes: 0,
        size: None,
        digest: None,
        replaced: false,
        kept_bytes: None,
        data: None,
        refused: Vec::new(),
        duration: Duration::ZERO,
    };
    let progress = Arc::clone(&job.progress);
    match connected {
        Ok(connection) => {
            moved.data = Some(facts(&job, &connection, port));
            let (end, yielded) = move_payload(job, connection, stop).await;
            moved.end = end;
            moved.size = yielded.size;
            moved.digest = yielded.digest;
            moved.replaced = yielded.replaced;
            moved.kept_bytes = yielded.kept_bytes;
        }
        Err(fault) => moved.end = Err(fault),
    }
    moved.refused = refusals.map(|refusals| refusals.take()).unwrap_or_default();
    moved.bytes = progress.load(Ordering::Relaxed);
    moved.duration = began.elapsed();
    moved
}

/// Moves the payload, and ends the data connection as becomes the end of the transfer.
async fn move_payload(
    job: Job,
    mut connection: DataConnection,
    stop: oneshot::Receiver<MoveFault>,
) -> (Result<(), MoveFault>, Yield) {
    // The policy may have become stricter since the connection was agreed upon.
    if connection.bound.binding > job.binding.level {
        link::part_in_background(connection);
        let text = "The data connection is bound less strictly than the policy now asks; try again.";
        return (Err(MoveFault::NotBound("binding_relaxed", text.to_owned())), Yield::default());
    }
    let progress = Arc::clone(&job.progress);
    let to_client = job.what.is_to_client();
    let (end, yielded) = match &job.what {
        What::Retrieve(..) => send::run(job, &mut connection, stop).await,
        What::Store { .. } => receive::run(job, &mut connection, stop).await,
        What::List(..) => list::run(job, &mut connection, stop).await,
    };
    match &end {
        // The client may be in the middle of sending and must live to read the reply.
        Err(MoveFault::Store(_)) if !to_client => link::part_from_sender(connection),
        Err(MoveFault::Store(_)) if progress.load(Ordering::Relaxed) == 0 => link::part_in_background(connection),
        // Otherwise the connection just ends: without a close_notify, the client sees that what it
        // has is not everything.
        _ => {}
    }
    (end, yielded)
}

/// Ends the payload's way to the client: everything out, then `close_notify` and FIN, at the pace of
/// the client and under the clock for stalls; then its end is waited for, but not for long.
async fn end_sending(connection: &mut DataConnection) -> Result<(), MoveFault> {
    connection.stream.flush().await.map_err(|failure| broken(&failure))?;
    connection.stream.shutdown().await.map_err(|failure| broken(&failure))?;
    tls::await_end(&mut connection.stream, PARTING_TIME).await.map_err(|failure| broken(&failure))?;
    Ok(())
}

/// Sends a piece of the payload in steps, so that progress shows while a slow client takes it.
async fn send_piece(
    connection: &mut DataConnection,
    pace: &Pace,
    progress: &AtomicU64,
    mut piece: &[u8],
) -> Result<(), MoveFault> {
    while let Some((part, rest)) = piece.split_at_checked(pace.piece_bytes(STEP_BYTES).min(piece.len()))
        && !part.is_empty()
    {
        piece = rest;
        pace.take(part.len()).await;
        connection.stream.write_all(part).await.map_err(|failure| broken(&failure))?;
        progress.fetch_add(u64::try_from(part.len()).unwrap_or(0), Ordering::Relaxed);
    }
    Ok(())
}

/// A request to stop that has been made.
fn stopped(reason: MoveFault) -> oneshot::Receiver<MoveFault> {
    let (sender, receiver) = oneshot::channel();
    // The receiver is here.
    let _ = sender.send(reason);
    receiver
}

/// Runs the payload's way until it ends, is stopped, or stalls.
async fn attend<T>(
    progress: &AtomicU64,
    pace: &Pace,
    stall_time: Duration,
    stop: oneshot::Receiver<MoveFault>,
    pump: impl Future<Output = Result<T, MoveFault>>,
) -> Result<T, MoveFault> {
    let mut pump = pin!(pump);
    tokio::select! {
        biased;
        reason = stop => match reason.unwrap_or(MoveFault::ControlGone) {
            MoveFault::ControlGone => timeout(LAST_BYTES_TIME, pump).await.unwrap_or(Err(MoveFault::ControlGone)),
            reason => Err(reason),
        },
        result = &mut pump => result,
        () = stalled(progress, pace, stall_time) => Err(MoveFault::Stalled),
    }
}

/// Returns once too little has moved for the stall time. The time in which the transfer was held back
/// by a limit does not count.
async fn stalled(progress: &AtomicU64, pace: &Pace, stall_time: Duration) {
    let period = stall_time.checked_div(STALL_CHECKS).unwrap_or(stall_time);
    let (mut seen, mut waited) = (progress.load(Ordering::Relaxed), pace.waited());
    let mut quiet = Duration::ZERO;
    loop {
        tokio::time::sleep(period).await;
        let (now, waited_now) = (progress.load(Ordering::Relaxed), pace.waited());
        if now.saturating_sub(seen) >= STALL_BYTES {
            (seen, quiet) = (now, Duration::ZERO);
        } else {
            quiet = quiet.saturating_add(period.saturating_sub(waited_now.saturating_sub(waited)));
        }
        waited = waited_now;
        if quiet >= stall_time {
            return;
        }
    }
}

fn facts(job: &Job, connection: &DataConnection, port: u16) -> DataFacts {
    let relaxed = job.binding.exception.as_ref().filter(|_| connection.bound.binding > DataBinding::Session);
    DataFacts {
        port,
        binding: connection.bound.binding.word(),
        exception: relaxed.map(ToString::to_string),
        resumed: connection.bound.resumed,
        representation: job.representation.letter(),
    }
}

/// Why there is no data connection, as the session knows it.
pub(super) fn link_fault(fault: &LinkFault) -> MoveFault {
    let fault = match fault {
        LinkFault::NoConnection | LinkFault::Refused(DataFault::Timeout) => return MoveFault::NoConnection,
        LinkFault::Refused(fault) => fault,
    };
    debug!(%fault, "data connection refused");
    if fault.unbound() {
        MoveFault::NotBound(fault.reason(), fault.to_string())
    } else {
        MoveFault::Handshake(fault.reason(), fault.to_string())
    }
}

/// An error of the data connection while content moved.
fn broken(failure: &io::Error) -> MoveFault {
    debug!(%failure, "data connection broke");
    MoveFault::ConnectionLost
}

/// A fault of the store as the session knows it; what the client must not learn goes to the
/// operational log.
pub(super) fn store_fault(fault: store::Fault) -> StoreFault {
    use store::Fault;
    match fault {
        Fault::NotFound => StoreFault::NotFound,
        Fault::NotADirectory => StoreFault::NotADirectory,
        Fault::IsADirectory => StoreFault::IsADirectory,
        Fault::NotAFile => StoreFault::NotAFile,
        Fault::NotEmpty => StoreFault::NotEmpty,
        Fault::Exists => StoreFault::Exists,
        Fault::Denied => StoreFault::Denied,
        Fault::Busy => StoreFault::Busy,
        Fault::NameRefused | Fault::IntoItself => StoreFault::NameRefused,
        Fault::OffsetBeyondEnd => StoreFault::OffsetBeyondEnd,
        Fault::QuotaExceeded => StoreFault::Quota,
        Fault::NoSpace => StoreFault::NoSpace,
        Fault::CrossDevice => StoreFault::CrossDevice,
        Fault::OtherRules => StoreFault::OtherRules,
        Fault::TooLarge(bytes_max) => StoreFault::TooLarge(bytes_max),
        Fault::WouldBlock | Fault::Io(_) => {
            error!(%fault, "the store failed");
            StoreFault::Local
        }
    }
}

/// Runs work that may wait for a disk on the pool for it.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreFault> {
    tokio::task::spawn_blocking(work).await.map_err(|failure| {
        error!(%failure, "work on the store did not finish");
        StoreFault::Local
    })
}
