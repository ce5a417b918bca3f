//! Hashes on request, off the session's task: a few at a time for the whole server, each in its turn,
//! in large pieces on the pool for work that waits for disks, and not for longer than the policy says.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::buffers::{BUFFER_BYTES, Buffer, Buffers};
use super::driver::Driver;
use super::mover::digest::Hasher;
use super::mover::{blocking, store_fault};
use crate::audit::record::Digest;
use crate::identity::Username;
use crate::proto::hash::Algorithm;
use crate::proto::path::VirtualPath;
use crate::session::effect::{HashCandidate, HashOrder, Hashed, HashedPart, Input, MoveFault, StoreFault};
use crate::store::{Fault, Lookup, ReadFile, Root};

/// A file that may be meant, and the root in which it lies.
type Placed = (Arc<Root>, HashCandidate);

/// A hash that was asked for.
struct Job {
    algorithm: Algorithm,
    candidates: Vec<Placed>,
    user: Username,
    buffers: Arc<Buffers>,
    /// The places for hashes of the whole server.
    places: Arc<Semaphore>,
    /// For a place.
    wait_time: Duration,
    /// For computing, once there is one.
    time: Duration,
    /// Bytes read so far, for `STAT`.
    progress: Arc<AtomicU64>,
}

impl Driver {
    /// Starts a hash; or says at once why there is none.
    pub(super) async fn start_hashing(&mut self, order: HashOrder) -> Option<Input> {
        let path = order.candidates.first().map_or_else(VirtualPath::root, |first| first.grant.path().clone());
        let (candidates, user) = match self.placed(order.candidates).await {
            Ok(placed) => placed,
            Err(fault) => {
                let end = Err(MoveFault::Store(fault));
                return Some(Input::Hashed(Box::new(Hashed { end, path, duration: Duration::ZERO })));
            }
        };
        let limits = &self.shared.config().limits;
        self.progress = Arc::default();
        let job = Job {
            algorithm: order.algorithm,
            candidates,
            user,
            buffers: Arc::clone(&self.shared.buffers),
            places: self.shared.hashes(),
            wait_time: limits.hash_wait_time,
            time: limits.hash_time,
            progress: Arc::clone(&self.progress),
        };
        self.start(|stop| async move { Input::Hashed(Box::new(run(job, path, stop).await)) });
        None
    }

    /// The candidates with the roots in which they lie, and who asks.
    async fn placed(&mut self, candidates: Vec<HashCandidate>) -> Result<(Vec<Placed>, Username), StoreFault> {
        let user = self.logged_in()?.name().clone();
        let mut placed = Vec::new();
        for candidate in candidates {
            placed.push((self.root_of(&candidate.grant).await?, candidate));
        }
        Ok((placed, user))
    }
}

/// Computes the hash of what `path` names, or the client meant by it. `stop` ends it early with the
/// reason given.
async fn run(job: Job, mut path: VirtualPath, stop: oneshot::Receiver<MoveFault>) -> Hashed {
    let began = Instant::now();
    let end = tokio::select! {
        biased;
        reason = stop => Err(reason.unwrap_or(MoveFault::ControlGone)),
        end = hash(job, &mut path) => end,
    };
    Hashed { end, path, duration: began.elapsed() }
}

async fn hash(job: Job, path: &mut VirtualPath) -> Result<HashedPart, MoveFault> {
    let Job { algorithm, candidates, user, buffers, places, wait_time, time, progress } = job;
    // What cannot be hashed at all needs no turn to say so.
    let (opened, meant) = blocking(move || open(&user, candidates)).await.map_err(MoveFault::Store)?;
    *path = meant.unwrap_or_else(|| path.clone());
    let (file, octets) = opened.map_err(MoveFault::Store)?;
    let Ok(Ok(place)) = timeout(wait_time, places.acquire_owned()).await else {
        return Err(MoveFault::NoTurn);
    };
    let size = file.size();
    let given_up = GivenUp::default();
    let told = Arc::clone(&given_up.0);
    let (part, hasher, buffer) = (octets.clone(), Hasher::of(algorithm), buffers.lend());
    let computing = blocking(move || {
        let digest = compute(&file, part, hasher, buffer, &progress, &told);
        // Only now: nobody takes the place of one that has been given up, but still waits for a disk.
        drop(place);
        digest
    });
    match timeout(time, computing).await {
        Err(_) => Err(MoveFault::TooLong),
        Ok(computed) => {
            let Some(digest) = computed.and_then(|digest| digest).map_err(MoveFault::Store)? else {
                warn!(%path, "a file became shorter while it was hashed");
                return Err(MoveFault::Store(StoreFault::Local));
            };
            Ok(HashedPart { digest, octets, size })
        }
    }
}

/// Tells the pool, once dropped, that nobody waits for the hash any more.
#[derive(Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Opened = Result<(ReadFile, Range<u64>), StoreFault>;

/// Opens the first candidate whose name is there; and says which it was, or which was tried last.
fn open(user: &Username, candidates: Vec<Placed>) -> (Opened, Option<VirtualPath>) {
    let mut tried = (Err(StoreFault::NotFound), None);
    for (root, HashCandidate { grant, octets }) in candidates {
        let path = Some(grant.path().clone());
        match root.open_to_hash(&grant, user, Lookup::Full) {
            Err(fault @ (Fault::NotFound | Fault::NotADirectory | Fault::NameRefused)) => {
                tried = (Err(store_fault(fault)), path);
            }
            Err(fault) => return (Err(store_fault(fault)), path),
            Ok(file) => {
                let opened = octets.of(file.size()).map(|range| (file, range)).ok_or(StoreFault::OffsetBeyondEnd);
                return (opened, path);
            }
        }
    }
    tried
}

/// Reads the part and hashes it, piece by piece; no hash comes of it where it is given up, or the file
/// ends before the part does.
fn compute(
    file: &ReadFile,
    octets: Range<u64>,
    mut hasher: Hasher,
    mut buffer: Buffer,
    progress: &AtomicU64,
    given_up: &AtomicBool,
) -> Result<Option<Digest>, StoreFault> {
    let mut at = octets.start;
    while at < octets.end {
        if given_up.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let wanted = usize::try_from(octets.end.saturating_sub(at)).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        let read = file.read(buffer.as_mut().get_mut(..wanted).unwrap_or_default(), at).map_err(store_fault)?;
        if read == 0 {
            return Ok(None);
        }
        hasher.update(buffer.filled(read));
        let read = u64::try_from(read).unwrap_or(0);
        progress.fetch_add(read, Ordering::Relaxed);
        at = at.saturating_add(read);
    }
    Ok(Some(hasher.finish()))
}
