//! How many sessions and TLS handshakes may be under way, overall and by source, and how fast
//! connections may come from one source.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::policy::network::source_network;
use crate::settings::Limits;

/// Connections a second that one source may open on average. No honest client comes near.
const ARRIVALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// Connections that one source may open at once; more where it may have more sessions.
const ARRIVALS_AT_ONCE: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// Sessions that a banned address may have for those who are known there.
const SPARED_MAX: usize = 8;

/// The bounds on sessions and handshakes, and what is in use of them.
#[derive(Debug)]
pub struct Admission {
    sessions: Mutex<Sessions>,
    bounds: RwLock<Bounds>,
}

/// What the settings say.
#[derive(Debug)]
struct Bounds {
    sessions_max: usize,
    sessions_per_address_max: usize,
    handshakes_max: usize,
    handshakes: Arc<Semaphore>,
    arrivals: Arc<DefaultKeyedRateLimiter<IpNet>>,
}

#[derive(Debug, Default)]
struct Sessions {
    total: usize,
    by_source: HashMap<IpNet, usize>,
    /// Those of them that came while their address was banned.
    spared: HashMap<IpNet, usize>,
}

/// Why a connection gets no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The server has as many sessions as it may (`limits.sessions`).
    Total,
    /// The address (IPv6: its /64) has as many as it may (`limits.sessions-per-address`).
    PerAddress,
    /// The address (IPv6: its /64) connects faster than anybody needs to.
    Rate,
}

impl Refused {
    /// The word for the audit log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Total => "sessions_total",
            Self::PerAddress => "sessions_per_address",
            Self::Rate => "connection_rate",
        }
    }
}

/// The right to one session; dropping it gives the place back.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    admission: Arc<Admission>,
    source: IpNet,
    spared: bool,
}

impl Admission {
    /// Takes the bounds from the settings.
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self { sessions: Mutex::default(), bounds: RwLock::new(Bounds::new(limits)) })
    }

    /// Takes other bounds. Who has a place keeps it, so for a while there may be more than the new
    /// ones permit.
    pub fn change(&self, limits: &Limits) {
        let mut bounds = self.bounds.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Bounds::new(limits);
        if next.handshakes_max == bounds.handshakes_max {
            next.handshakes = Arc::clone(&bounds.handshakes);
        }
        if next.arrivals_at_once() == bounds.arrivals_at_once() {
            next.arrivals = Arc::clone(&bounds.arrivals);
        }
        *bounds = next;
    }

    /// Takes a place for a session from the address; where it is banned, one of the few that are for
    /// those who are known there.
    ///
    /// # Errors
    /// [`Refused`] where the server or the address has no place left, or the address comes too fast.
    pub fn admit(self: &Arc<Self>, address: IpAddr, banned: bool) -> Result<Permit, Refused> {
        let source = source_network(address);
        let bounds = self.bounds();
        bounds.arrivals.check_key(&source).map_err(|_| Refused::Rate)?;
        let mut sessions = self.lock();
        if sessions.total >= bounds.sessions_max {
            return Err(Refused::Total);
        }
        let of_source = sessions.by_source.get(&source).copied().unwrap_or(0);
        if of_source >= bounds.sessions_per_address_max {
            return Err(Refused::PerAddress);
        }
        if banned {
            let spared = sessions.spared.entry(source).or_default();
            if *spared >= SPARED_MAX {
                return Err(Refused::PerAddress);
            }
            *spared = spared.saturating_add(1);
        }
        sessions.by_source.insert(source, of_source.saturating_add(1));
        sessions.total = sessions.total.saturating_add(1);
        Ok(Permit { admission: Arc::clone(self), source, spared: banned })
    }

    /// Forgets sources that have not come lately. To be called every second or so, which bounds the
    /// memory by the connections that come in that time.
    pub fn sweep(&self) {
        let arrivals = Arc::clone(&self.bounds().arrivals);
        arrivals.retain_recent();
        arrivals.shrink_to_fit();
    }

    /// Waits for the right to do the costly part of one TLS handshake of a control connection, the
    /// answer to the `ClientHello`. The caller bounds the wait; none comes only while the server ends.
    pub async fn handshake(&self) -> Option<OwnedSemaphorePermit> {
        let handshakes = Arc::clone(&self.bounds().handshakes);
        handshakes.acquire_owned().await.ok()
    }

    /// Sessions at this moment.
    pub fn sessions(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bounds(&self) -> RwLockReadGuard<'_, Bounds> {
        self.bounds.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounds {
    fn new(limits: &Limits) -> Self {
        let handshakes_max = limits.handshakes.clamp(1, Semaphore::MAX_PERMITS);
        let quota = Quota::per_second(ARRIVALS_PER_SECOND).allow_burst(at_once(limits.sessions_per_address));
        Self {
            sessions_max: limits.sessions,
            sessions_per_address_max: limits.sessions_per_address,
            handshakes_max,
            handshakes: Arc::new(Semaphore::new(handshakes_max)),
            arrivals: Arc::new(RateLimiter::keyed(quota)),
        }
    }

    fn arrivals_at_once(&self) -> NonZeroU32 {
        at_once(self.sessions_per_address_max)
    }
}

/// Connections that one source may open at once.
fn at_once(sessions_per_address: usize) -> NonZeroU32 {
    let sessions = u32::try_from(sessions_per_address).ok().and_then(NonZeroU32::new);
    sessions.map_or(ARRIVALS_AT_ONCE, |sessions| sessions.max(ARRIVALS_AT_ONCE))
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut sessions = self.admission.lock();
        sessions.total = sessions.total.saturating_sub(1);
        take_one(&mut sessions.by_source, &self.source);
        if self.spared {
            take_one(&mut sessions.spared, &self.source);
        }
    }
}

fn take_one(counts: &mut HashMap<IpNet, usize>, source: &IpNet) {
    match counts.get_mut(source) {
        Some(count) if *count > 1 => *count = count.saturating_sub(1),
        _ => drop(counts.remove(source)),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    fn admission(sessions: usize, sessions_per_address: usize) -> Arc<Admission> {
        Admission::new(&limits(sessions, sessions_per_address))
    }

    fn limits(sessions: usize, sessions_per_address: usize) -> Limits {
        let time = Duration::from_secs(1);
        Limits {
            sessions,
            sessions_per_address,
            handshakes: 1,
            line_bytes: 4096,
            commands_per_second: NonZeroU32::MIN,
            failed_commands: 10,
            login_time: time,
            handshake_time: time,
            idle_time: time,
            data_connect_time: time,
            stall_time: time,
            drain_time: time,
            hashes_parallel: 2,
            hash_time: time,
            hash_wait_time: time,
            transfers: None,
            transfers_per_address: None,
            upload_bytes_per_second: None,
            download_bytes_per_second: None,
        }
    }

    #[test]
    fn other_bounds_hold_for_whoever_comes_next_and_take_no_place_away() {
        let admission = admission(2, 2);
        let admit = |address: &str| admission.admit(address.parse().unwrap(), false);
        let held = [admit("192.0.2.1").unwrap(), admit("192.0.2.1").unwrap()];
        admission.change(&limits(3, 1));
        assert_eq!(admit("192.0.2.1").unwrap_err(), Refused::PerAddress);
        let third = admit("192.0.2.2").unwrap();
        admission.change(&limits(1, 1));
        assert_eq!(admit("192.0.2.3").unwrap_err(), Refused::Total);
        assert_eq!(admission.sessions(), 3);
        drop((held, third));
        assert!(admit("192.0.2.1").is_ok());
    }

    #[test]
    fn places_are_counted_by_source_and_given_back() {
        let admission = admission(4, 2);
        let admit = |address: &str| admission.admit(address.parse().unwrap(), false);
        let one = admit("192.0.2.1").unwrap();
        let two = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), Refused::PerAddress);
        let three = admit("2001:db8::1").unwrap();
        let four = admit("2001:db8::ffff:2").unwrap();
        assert_eq!(admit("2001:db8:0:1::1").unwrap_err(), Refused::Total);
        drop(one);
        assert_eq!(admit("2001:db8::3").unwrap_err(), Refused::PerAddress);
        let last = admit("192.0.2.1").unwrap();
        assert_eq!(admission.sessions(), 4);
        drop((last, two, three, four));
        assert_eq!(admission.sessions(), 0);
        assert!(admission.lock().by_source.is_empty());
    }

    #[test]
    fn a_banned_address_has_few_places() {
        let admission = admission(100, 100);
        let office = "192.0.2.1".parse().unwrap();
        let mut held: Vec<_> = (0..SPARED_MAX).map(|_| admission.admit(office, true).unwrap()).collect();
        assert_eq!(admission.admit(office, true).unwrap_err(), Refused::PerAddress);
        assert!(admission.admit("192.0.2.2".parse().unwrap(), true).is_ok());
        held.pop();
        held.push(admission.admit(office, true).unwrap());
        drop(held);
        assert_eq!(admission.sessions(), 0);
        assert!(admission.lock().spared.is_empty());
    }

    #[test]
    fn a_source_that_comes_too_fast_is_refused_and_no_other() {
        let admission = admission(10, 10);
        let mut refused = 0;
        for _ in 0..2000 {
            refused += u32::from(admission.admit("2001:db8::1".parse().unwrap(), false).is_err());
        }
        assert!(refused > 1000, "{refused}");
        assert_eq!(admission.admit("2001:db8::2".parse().unwrap(), false).unwrap_err(), Refused::Rate);
        assert!(admission.admit("192.0.2.1".parse().unwrap(), false).is_ok());
        assert_eq!(admission.bounds().arrivals.len(), 2);
    }

    #[tokio::test]
    async fn handshakes_wait_for_each_other() {
        let admission = admission(1, 1);
        let first = admission.handshake().await.unwrap();
        let wait = Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, admission.handshake()).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(wait, admission.handshake()).await.unwrap().is_some());
    }
}
