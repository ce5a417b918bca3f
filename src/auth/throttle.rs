//! The price of guessing passwords: growing delays, unchecked attempts, bans.
//!
//! Failures are counted with governor in three ways:
//!
//! * for the address (IPv6: its /64), whoever it claims to be: each failure doubles the wait before
//!   the next answer and the next attempt, and when the free ones are used up, the address is
//!   banned for a time. All this belongs to the address, so neither a new connection nor hanging up
//!   before the reply escapes it;
//! * for a user name from a network (IPv4 /24, IPv6 /48): when its free failures are used up,
//!   further attempts go unchecked, so that many addresses of one network cannot share the guessing.
//!   Other networks are not affected, nor is an address from which that user logged in lately: the
//!   user is never locked out from where they normally come;
//! * over the whole server: above the limit, every refusal waits longest.
//!
//! All memory is bounded by construction: each map has a most, and what is nearest to being
//! forgiven makes room.

mod counts;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use ipnet::IpNet;

use crate::policy::network::source_network;
use crate::settings::Login;
use counts::{Bounded, Counts, Glance};

/// Entries of each kind remembered; some 100 bytes each.
const ENTRIES_MAX: usize = 65_536;
/// How long an address stays known as one that a user logs in from.
const PROVEN: Duration = Duration::from_hours(30 * 24);
/// Most free failures and longest forgiveness counted with, which keeps the arithmetic of
/// governor, in nanoseconds, within its integers.
const FREE_MAX: u32 = 10_000;
const FORGIVEN_MAX: Duration = Duration::from_hours(24);

type UserKey = [u8; 16];
type UserNetwork = (UserKey, IpNet);
type UserSource = (UserKey, IpNet);
type Instant<C> = <C as Clock>::Instant;
type ByAddress<C> = RateLimiter<IpNet, Counts<IpNet>, C, StateInformationMiddleware>;
type ByUser<S, C> = RateLimiter<UserNetwork, S, C, NoOpMiddleware<Instant<C>>>;

/// Counts failed logins and says what they cost.
pub struct Throttle<C: Clock = MonotonicClock> {
    settings: Login,
    clock: C,
    began: C::Instant,
    by_address: ByAddress<C>,
    /// The counts of `by_user_store`, charged.
    by_user: ByUser<Counts<UserNetwork>, C>,
    /// The same counts, looked at only.
    by_user_glance: ByUser<Glance<UserNetwork>, C>,
    by_user_store: Counts<UserNetwork>,
    overall: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<Instant<C>>>,
    standing: Mutex<Bounded<IpNet, Standing>>,
    /// Until when a user is known to log in from an address.
    proven: Mutex<Bounded<UserSource, Duration>>,
}

/// What an address has coming, in time since the throttle began. Bans weigh more than waits where
/// room is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    /// Until when it is banned; zero where it never was.
    banned_until: Duration,
    /// Before when no attempt is looked at.
    not_before: Duration,
}

impl Standing {
    fn over(&self, now: Duration) -> bool {
        self.banned_until <= now && self.not_before <= now
    }
}

/// The address is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banned {
    /// How much longer.
    pub remaining: Duration,
}

/// Whose attempts are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The address's: it is banned.
    Address,
    /// The user's, from this network.
    User,
}

impl Scope {
    /// The word for the audit log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::User => "user_network",
        }
    }
}

/// What is to be done with an attempt to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Check the password, but wait so long first.
    Check {
        /// The rest of the wait that earlier failures of the address brought.
        not_before: Duration,
    },
    /// Do not check the password; refuse with the same words as a wrong one, and count it as
    /// [`Throttle::failed`].
    Limited {
        /// Whose attempts are used up.
        scope: Scope,
        /// After what time an attempt is checked again.
        remaining: Duration,
    },
}

/// What a failed login costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// How long to wait before the refusal is sent.
    pub delay: Duration,
    /// How long the address is banned from now on, where it is; its sessions are to be closed.
    pub banned: Option<Duration>,
    /// Whether it was this failure that brought the ban.
    pub newly_banned: bool,
    /// Whether this failure used up what the user has free from this network.
    pub newly_limited: bool,
    /// Whether the whole server sees more failures than it should.
    pub flood: bool,
}

impl Throttle {
    /// Nothing counted yet.
    pub fn new(settings: &Login) -> Self {
        Self::with_clock(settings, MonotonicClock)
    }
}

impl<C: Clock + Clone> Throttle<C> {
    /// As [`Throttle::new`], with another clock.
    pub fn with_clock(settings: &Login, clock: C) -> Self {
        let forgiven = settings.failure_forgiven.clamp(Duration::from_secs(1), FORGIVEN_MAX);
        let quota = |free: NonZeroU32| {
            let free = NonZeroU32::new(free.get().min(FREE_MAX)).unwrap_or(NonZeroU32::MIN);
            Quota::with_period(forgiven).unwrap_or(Quota::per_minute(NonZeroU32::MIN)).allow_burst(free)
        };
        let by_user = quota(settings.failures_per_user_network);
        let by_user_store = Counts::new(ENTRIES_MAX);
        Self {
            settings: settings.clone(),
            began: clock.now(),
            by_address: RateLimiter::new(quota(settings.failures_per_address), Counts::new(ENTRIES_MAX), clock.clone()),
            // Both count from the moment they are made; the little between is nothing beside a quota.
            by_user: RateLimiter::new(by_user, by_user_store.clone(), clock.clone()),
            by_user_glance: RateLimiter::new(by_user, Glance(by_user_store.clone()), clock.clone()),
            by_user_store,
            overall: RateLimiter::direct_with_clock(Quota::per_minute(settings.failures_per_minute), clock.clone()),
            standing: Mutex::new(Bounded::new(ENTRIES_MAX)),
            proven: Mutex::new(Bounded::new(ENTRIES_MAX)),
            clock,
        }
    }

    /// Whether the address may connect.
    ///
    /// # Errors
    /// [`Banned`] says how much longer not.
    pub fn connection(&self, address: IpAddr) -> Result<(), Banned> {
        let now = self.now();
        let standing = lock(&self.standing).get(&source_network(address)).unwrap_or_default();
        match standing.banned_until.saturating_sub(now) {
            Duration::ZERO => Ok(()),
            remaining => Err(Banned { remaining }),
        }
    }

    /// What to do with an attempt to log in as `user`, whether there is such a user or not.
    pub fn attempt(&self, address: IpAddr, user: &str) -> Attempt {
        if let Err(Banned { remaining }) = self.connection(address) {
            return Attempt::Limited { scope: Scope::Address, remaining };
        }
        let (source, user) = (source_network(address), user_key(user));
        let now = self.now();
        let proven = lock(&self.proven).get(&(user, source)).is_some_and(|until| until > now);
        if !proven && let Err(until) = self.by_user_glance.check_key(&(user, user_network(address))) {
            return Attempt::Limited { scope: Scope::User, remaining: until.wait_time_from(self.clock.now()) };
        }
        let standing = lock(&self.standing).get(&source).unwrap_or_default();
        Attempt::Check { not_before: standing.not_before.saturating_sub(now) }
    }

    /// Counts a refused login, checked or not. To be called before the client hears of it.
    pub fn failed(&self, address: IpAddr, user: &str) -> Penalty {
        let source = source_network(address);
        let user = (user_key(user), user_network(address));
        let limited = self.by_user_glance.check_key(&user).is_err();
        let newly_limited =
            !limited && self.by_user.check_key(&user).is_ok() && self.by_user_glance.check_key(&user).is_err();
        let flood = self.overall.check().is_err();
        let (delay, exhausted) = match self.by_address.check_key(&source) {
            Ok(state) => {
                let free = self.settings.failures_per_address.get().min(FREE_MAX);
                let failures = free.saturating_sub(state.remaining_burst_capacity()).max(1);
                let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
                (self.settings.delay_first.saturating_mul(doubled).min(self.settings.delay_longest), false)
            }
            Err(_) => (self.settings.delay_longest, true),
        };
        let delay = if flood { self.settings.delay_longest } else { delay };

        let now = self.now();
        let mut all = lock(&self.standing);
        let mut standing = all.get(&source).unwrap_or_default();
        let newly_banned = exhausted && standing.banned_until <= now;
        if newly_banned {
            standing.banned_until = now.saturating_add(self.settings.ban);
        }
        standing.not_before = standing.not_before.max(now.saturating_add(delay));
        all.set(source, standing, |standing| standing.over(now));
        let banned = Some(standing.banned_until.saturating_sub(now)).filter(|rest| !rest.is_zero());
        Penalty { delay, banned, newly_banned: newly_banned && banned.is_some(), newly_limited, flood }
    }

    /// Forgets the failures of the user from this network, and nothing else: the address is charged
    /// for those in other names all the same.
    pub fn succeeded(&self, address: IpAddr, user: &str) {
        let user = user_key(user);
        self.by_user_store.forget(&(user, user_network(address)));
        let now = self.now();
        let until = now.saturating_add(PROVEN);
        lock(&self.proven).set((user, source_network(address)), until, |until| *until <= now);
    }

    /// Drops what is forgiven. To be called every minute or so.
    pub fn sweep(&self) {
        self.by_address.retain_recent();
        self.by_address.shrink_to_fit();
        self.by_user.retain_recent();
        self.by_user.shrink_to_fit();
        let now = self.now();
        lock(&self.standing).drop_where(|standing| standing.over(now));
        lock(&self.proven).drop_where(|until| *until <= now);
    }

    /// Addresses (IPv6: /64 networks) banned at this moment.
    pub fn banned(&self) -> usize {
        let now = self.now();
        lock(&self.standing).count(|standing| standing.banned_until > now)
    }

    fn now(&self) -> Duration {
        self.clock.now().duration_since(self.began).into()
    }
}

impl<C: Clock> std::fmt::Debug for Throttle<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name of any length as a key of one; what people type there, passwords included, is not kept.
fn user_key(user: &str) -> UserKey {
    let mut key = UserKey::default();
    for (byte, hashed) in key.iter_mut().zip(blake3::hash(user.as_bytes()).as_bytes()) {
        *byte = *hashed;
    }
    key
}

/// The network whose addresses share the failures of one user.
fn user_network(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, bits).map_or_else(|_| IpNet::from(address), |net| net.trunc())
}

#[cfg(test)]
mod tests;
