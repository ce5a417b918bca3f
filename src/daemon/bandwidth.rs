//! How fast content may move: by user and over the whole server, each way. What is limited moves in
//! small pieces, and all transfers under one limit take turns, so that each gets its share.
//!
//! Where there is no limit, a piece costs two looks at a number.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::metrics::Counter;
use crate::policy::account::AccountLimits;
use crate::settings::Limits;

/// The parts of a second that may move at once where nothing has moved for a while.
const BURSTS_PER_SECOND: u32 = 4;
/// The parts of a second that one piece takes at most.
const PIECES_PER_SECOND: u64 = 8;
/// Units in which the limiter counts, a second at most: it knows whole nanoseconds for each, and
/// with these it is right to a thousandth.
const UNITS_PER_SECOND_MAX: u64 = 1 << 20;
/// How long a transfer waits before it looks whether the limit is still the same.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// The limits of one user, or of the server.
#[derive(Debug)]
pub(super) struct Bandwidth {
    up: Rate,
    down: Rate,
}

/// Bytes a second each way; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    /// From clients.
    pub(super) up: Option<u64>,
    /// To clients.
    pub(super) down: Option<u64>,
}

impl From<&AccountLimits> for Rates {
    fn from(limits: &AccountLimits) -> Self {
        Self { up: limits.upload_bytes_per_second, down: limits.download_bytes_per_second }
    }
}

impl From<&Limits> for Rates {
    fn from(limits: &Limits) -> Self {
        Self { up: limits.upload_bytes_per_second, down: limits.download_bytes_per_second }
    }
}

impl Bandwidth {
    /// With these limits until they are set anew.
    pub(super) fn new(rates: Rates) -> Self {
        let bandwidth = Self { up: Rate::unlimited(), down: Rate::unlimited() };
        bandwidth.set(rates);
        bandwidth
    }

    /// Sets the limits; transfers that run keep to them from their next piece on.
    pub(super) fn set(&self, rates: Rates) {
        self.up.set(rates.up);
        self.down.set(rates.down);
    }

    /// Bytes of content that moved so far: from clients, and to them.
    pub(super) fn moved(&self) -> [u64; 2] {
        [self.up.moved.get(), self.down.moved.get()]
    }
}

/// The limit of one way.
#[derive(Debug)]
struct Rate {
    /// Bytes a second; 0 is no limit.
    bytes_per_second: AtomicU64,
    limiter: RwLock<Option<Arc<Limiter>>>,
    /// Whose turn it is: first come, first served.
    turn: Semaphore,
    /// Bytes that moved so far.
    moved: Counter,
}

#[derive(Debug)]
struct Limiter {
    rate: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
    unit_bytes: u64,
    /// Units that may be had at once.
    burst: NonZeroU32,
}

impl Limiter {
    fn new(bytes_per_second: u64) -> Self {
        let unit_bytes = bytes_per_second.div_ceil(UNITS_PER_SECOND_MAX).max(1);
        let units = bytes_per_second.checked_div(unit_bytes).and_then(|units| u32::try_from(units).ok());
        let units = units.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(units.get().div_ceil(BURSTS_PER_SECOND)).unwrap_or(NonZeroU32::MIN);
        Self { rate: RateLimiter::direct(Quota::per_second(units).allow_burst(burst)), unit_bytes, burst }
    }

    /// The units of so many bytes, as many of them as can be had at once.
    fn units(&self, bytes: u64) -> NonZeroU32 {
        let units = u32::try_from(bytes.div_ceil(self.unit_bytes)).unwrap_or(u32::MAX);
        NonZeroU32::new(units).map_or(NonZeroU32::MIN, |units| units.min(self.burst))
    }
}

impl Rate {
    fn unlimited() -> Self {
        Self {
            bytes_per_second: AtomicU64::new(0),
            limiter: RwLock::default(),
            turn: Semaphore::new(1),
            moved: Counter::default(),
        }
    }

    fn set(&self, bytes_per_second: Option<u64>) {
        let wanted = bytes_per_second.unwrap_or(0);
        if self.bytes_per_second.load(Ordering::Relaxed) == wanted {
            return;
        }
        let mut limiter = self.limiter.write().unwrap_or_else(PoisonError::into_inner);
        *limiter = (wanted > 0).then(|| Arc::new(Limiter::new(wanted)));
        self.bytes_per_second.store(wanted, Ordering::Relaxed);
    }

    fn is_limited(&self) -> bool {
        self.bytes_per_second.load(Ordering::Relaxed) > 0
    }

    /// The most bytes of one piece.
    fn piece_bytes(&self) -> Option<u64> {
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        (rate > 0).then(|| rate.div_ceil(PIECES_PER_SECOND))
    }

    fn limiter(&self) -> Option<Arc<Limiter>> {
        self.limiter.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many bytes may move. Whoever stops waiting has taken little too much.
    async fn take(&self, bytes: u64) {
        if !self.is_limited() {
            return;
        }
        // It is never closed.
        let Ok(_turn) = self.turn.acquire().await else { return };
        let mut left = bytes;
        while left > 0 {
            let Some(limiter) = self.limiter() else { return };
            let units = limiter.units(left);
            match limiter.rate.check_n(units) {
                Ok(Ok(())) => left = left.saturating_sub(limiter.unit_bytes.saturating_mul(units.get().into())),
                Ok(Err(early)) => sleep(early.wait_time_from(DefaultClock::default().now()).min(LOOK_PERIOD)).await,
                // Never more than the burst is asked for.
                Err(_) => return,
            }
        }
    }
}

/// What holds one transfer back: its user's limit and the server's.
#[derive(Debug)]
pub(super) struct Pace {
    limits: [Arc<Bandwidth>; 2],
    way: Way,
    began: Instant,
    waited_micros: AtomicU64,
    /// Since when it waits, in microseconds from the beginning on; 0 where it does not.
    waits_since: AtomicU64,
}

/// Which way content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the client.
    Up,
    /// To the client.
    Down,
}

impl Pace {
    /// That of a transfer which begins now.
    pub(super) fn new(user: &Arc<Bandwidth>, server: &Arc<Bandwidth>, way: Way) -> Self {
        Self {
            limits: [Arc::clone(user), Arc::clone(server)],
            way,
            began: Instant::now(),
            waited_micros: AtomicU64::new(0),
            waits_since: AtomicU64::new(0),
        }
    }

    fn rates(&self) -> impl Iterator<Item = &Rate> {
        self.limits.iter().map(|limits| match self.way {
            Way::Up => &limits.up,
            Way::Down => &limits.down,
        })
    }

    /// Bytes to move at a time, of `most` at most: so few that none of them has to wait for long.
    pub(super) fn piece_bytes(&self, most: usize) -> usize {
        let least = self.rates().filter_map(Rate::piece_bytes).min();
        least.and_then(|bytes| usize::try_from(bytes).ok()).map_or(most, |bytes| bytes.clamp(1, most.max(1)))
    }

    /// Waits until so many bytes may move.
    pub(super) async fn take(&self, bytes: usize) {
        for rate in self.rates() {
            rate.moved.add(u64::try_from(bytes).unwrap_or(0));
        }
        if self.rates().any(Rate::is_limited) {
            // On the heap, so that transfers without a limit stay as small as they are.
            Box::pin(self.wait(bytes)).await;
        }
    }

    async fn wait(&self, bytes: usize) {
        self.waits_since.store(self.micros().max(1), Ordering::Relaxed);
        for rate in self.rates() {
            rate.take(u64::try_from(bytes).unwrap_or(u64::MAX)).await;
        }
        let since = self.waits_since.swap(0, Ordering::Relaxed);
        self.waited_micros.fetch_add(self.micros().saturating_sub(since), Ordering::Relaxed);
    }

    /// How long it has been held back so far: in that time the client could do nothing.
    pub(super) fn waited(&self) -> Duration {
        let since = self.waits_since.load(Ordering::Relaxed);
        let waits = if since == 0 { 0 } else { self.micros().saturating_sub(since) };
        Duration::from_micros(self.waited_micros.load(Ordering::Relaxed).saturating_add(waits))
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(bytes_per_second: u64) -> Arc<Bandwidth> {
        Arc::new(Bandwidth::new(Rates { up: Some(bytes_per_second), down: None }))
    }

    /// More than any limit here lets pass at once, so that few pieces do.
    const PIECE_BYTES: usize = 1 << 34;

    /// Moves so many bytes in pieces, as a transfer does.
    async fn moved(pace: &Pace, bytes: usize) -> Duration {
        let began = Instant::now();
        let mut left = bytes;
        while left > 0 {
            let piece = pace.piece_bytes(PIECE_BYTES).min(left);
            pace.take(piece).await;
            left -= piece;
        }
        began.elapsed()
    }

    fn up(user: &Arc<Bandwidth>, server: &Arc<Bandwidth>) -> Pace {
        Pace::new(user, server, Way::Up)
    }

    #[tokio::test]
    async fn a_second_takes_a_second_but_for_the_first_quarter() {
        for rate in [20_000, 300_000_000, 50_000_000_000] {
            let pace = up(&limited(rate), &limited(1 << 40));
            let took = moved(&pace, usize::try_from(rate).unwrap()).await;
            assert!(took > Duration::from_millis(700) && took < Duration::from_secs(10), "{rate}: {took:?}");
            assert!(pace.waited() > Duration::from_millis(600), "{rate}: {:?}", pace.waited());
        }
    }

    #[tokio::test]
    async fn the_narrower_of_both_limits_counts_and_only_its_own_way() {
        let (user, server) = (limited(1 << 40), limited(20_000));
        assert!(moved(&up(&user, &server), 12_000).await > Duration::from_millis(300));
        let down = Pace::new(&user, &server, Way::Down);
        assert_eq!(down.piece_bytes(64 * 1024), 64 * 1024);
        moved(&down, 1 << 40).await;
        assert_eq!(down.waited(), Duration::ZERO);
    }

    #[tokio::test]
    async fn transfers_under_one_limit_take_turns() {
        let (user, server) = (limited(80_000), Arc::new(Bandwidth::new(Rates::default())));
        let shared = |bytes| {
            let pace = up(&user, &server);
            async move { moved(&pace, bytes).await }
        };
        // Alone, either would take half a second, and both one after the other have 1.25 seconds.
        let (one, two) = tokio::join!(shared(60_000), shared(60_000));
        assert!(one > Duration::from_millis(700) && two > Duration::from_millis(1200), "{one:?} {two:?}");
    }

    #[tokio::test]
    async fn a_limit_that_changes_holds_for_whoever_waits() {
        let (user, server) = (limited(1024), Arc::new(Bandwidth::new(Rates::default())));
        let pace = up(&user, &server);
        let began = Instant::now();
        let lifting = async {
            sleep(Duration::from_millis(50)).await;
            user.set(Rates::default());
        };
        tokio::join!(pace.take(1 << 20), lifting);
        assert!(began.elapsed() < Duration::from_secs(5), "a mebibyte at 1024 a second takes 17 minutes");
        user.set(Rates { up: Some(4096), down: None });
        assert_eq!(pace.piece_bytes(64 * 1024), 512);
    }
}
