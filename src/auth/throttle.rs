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
//! An attempt counts as a failure from its beginning until it turns out to be none, and one that
//! would not be free then waits for those before it. So passwords tried at the same time are no more
//! than those tried one after the other.
//!
//! A user who logged in from an address lately is known there. A ban of the address, which others
//! behind the same address may have brought, does not concern that user; failures in that name from
//! there have a count of their own.
//!
//! All memory is bounded by construction: each map has a most, and what is nearest to being
//! forgiven makes room.

mod counts;
mod pending;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use ipnet::IpNet;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::policy::network::source_network;
use crate::settings::Login;
use counts::{Bounded, By, Charges, Counts, Glance, fits};
pub use pending::Pending;
use pending::UnderWay;

/// Entries of each kind remembered; some 100 bytes each.
const ENTRIES_MAX: usize = 65_536;
/// How long an address stays known as one that a user logs in from.
const PROVEN: Duration = Duration::from_hours(30 * 24);
/// Most free failures and longest forgiveness counted with, which keeps the arithmetic of
/// governor, in nanoseconds, within its integers.
const FREE_MAX: u32 = 10_000;
const FORGIVEN_MAX: Duration = Duration::from_hours(24);
/// How long an attempt waits for others that are under way.
const WAIT_MAX: Duration = Duration::from_secs(20);

type UserKey = [u8; 16];
type UserNetwork = (UserKey, IpNet);
type UserSource = (UserKey, IpNet);
type Instant<C> = <C as Clock>::Instant;
type ByAddress<C> = RateLimiter<IpNet, Counts<IpNet>, C, StateInformationMiddleware>;

/// Counts failed logins and says what they cost.
pub struct Throttle<C: Clock = MonotonicClock> {
    settings: Login,
    clock: C,
    began: C::Instant,
    by_address: ByAddress<C>,
    /// The same counts, looked at only.
    by_address_glance: By<IpNet, Glance<IpNet>, C>,
    /// The counts themselves.
    by_address_counts: Counts<IpNet>,
    by_user: Charges<UserNetwork, C>,
    /// Of users where they are known.
    by_pair: Charges<UserSource, C>,
    overall: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<Instant<C>>>,
    standing: Mutex<Bounded<IpNet, Standing>>,
    /// Until when a user is known to log in from an address.
    proven: Mutex<Bounded<UserSource, Duration>>,
    /// Until when anybody is known to log in from an address.
    regulars: Mutex<Bounded<IpNet, Duration>>,
    /// Locked before anything else here.
    under_way: Mutex<UnderWay>,
    settled: Notify,
    wait_max: Duration,
}

/// Everything that an attempt is counted by.
#[derive(Clone, Copy, Debug)]
struct Who {
    source: IpNet,
    user: UserNetwork,
    pair: UserSource,
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
pub enum Attempt<'a, C: Clock + Clone> {
    /// Check the password, and tell what came of it.
    Check(Pending<'a, C>),
    /// Do not check the password; refuse with the same words as a wrong one, and count it as
    /// [`Throttle::failed`].
    Limited {
        /// Whose attempts are used up.
        scope: Scope,
        /// After what time an attempt is checked again.
        remaining: Duration,
    },
    /// Do not check the password; too many others are being checked. It is no failed login.
    Busy,
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
    /// One with other settings that knows of this one's bans and waits, and of who is known where.
    /// Failures are counted anew, since a count means nothing beside another bound.
    #[must_use]
    pub fn with_settings(&self, settings: &Login) -> Self {
        let copy = Self::with_clock(settings, self.clock.clone());
        Self {
            began: self.began,
            standing: Mutex::new(lock(&self.standing).clone()),
            proven: Mutex::new(lock(&self.proven).clone()),
            regulars: Mutex::new(lock(&self.regulars).clone()),
            ..copy
        }
    }

    /// Whether it was made with these settings.
    pub fn has_settings(&self, settings: &Login) -> bool {
        self.settings == *settings
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
        let of_address = quota(settings.failures_per_address);
        let by_address = Counts::new(ENTRIES_MAX);
        Self {
            settings: settings.clone(),
            began: clock.now(),
            // Both count from the moment they are made; the little between is nothing beside a quota.
            by_address: RateLimiter::new(of_address, by_address.clone(), clock.clone()),
            by_address_glance: RateLimiter::new(of_address, Glance(by_address.clone()), clock.clone()),
            by_address_counts: by_address,
            by_user: Charges::new(quota(settings.failures_per_user_network), ENTRIES_MAX, &clock),
            by_pair: Charges::new(of_address, ENTRIES_MAX, &clock),
            overall: RateLimiter::direct_with_clock(Quota::per_minute(settings.failures_per_minute), clock.clone()),
            standing: Mutex::new(Bounded::new(ENTRIES_MAX)),
            proven: Mutex::new(Bounded::new(ENTRIES_MAX)),
            regulars: Mutex::new(Bounded::new(ENTRIES_MAX)),
            under_way: Mutex::default(),
            settled: Notify::new(),
            wait_max: WAIT_MAX,
            clock,
        }
    }

    /// Whether the address may connect.
    ///
    /// # Errors
    /// [`Banned`] says how much longer not.
    pub fn connection(&self, address: IpAddr) -> Result<(), Banned> {
        self.standing_of(&source_network(address))
    }

    /// Whether a user is known to log in from the address: while it is banned, some connections are
    /// to be let in for them.
    pub fn has_regulars(&self, address: IpAddr) -> bool {
        let now = self.now();
        lock(&self.regulars).get(&source_network(address)).is_some_and(|until| until > now)
    }

    /// The rest of the wait that earlier failures of the address brought: to be waited out before
    /// [`Throttle::attempt`]. A user who is known there does not pay for what others did.
    pub fn not_before(&self, address: IpAddr, user: &str) -> Duration {
        let who = Who::new(address, user);
        if self.is_proven(&who) {
            return Duration::ZERO;
        }
        let standing = lock(&self.standing).get(&who.source).unwrap_or_default();
        standing.not_before.saturating_sub(self.now())
    }

    /// What to do with an attempt to log in as `user`, whether there is such a user or not. Where
    /// the attempts under way would use up what is free if they failed, it waits for their outcome,
    /// within bounds.
    pub async fn attempt(&self, address: IpAddr, user: &str) -> Attempt<'_, C> {
        let who = Who::new(address, user);
        let decided = async {
            loop {
                let mut settled = pin!(self.settled.notified());
                settled.as_mut().enable();
                if let Some(attempt) = self.attempt_now(who) {
                    return attempt;
                }
                settled.await;
            }
        };
        timeout(self.wait_max, decided).await.unwrap_or(Attempt::Busy)
    }

    /// As [`Throttle::attempt`]; none where it has to wait.
    fn attempt_now(&self, who: Who) -> Option<Attempt<'_, C>> {
        let mut under_way = lock(&self.under_way);
        let proven = self.is_proven(&who);
        if !proven {
            if let Err(Banned { remaining }) = self.standing_of(&who.source) {
                return Some(Attempt::Limited { scope: Scope::Address, remaining });
            }
            // The failure that brings the ban was checked as well, so those under way alone count.
            let others = NonZeroU32::new(under_way.sources.count(&who.source));
            if others.is_some_and(|others| !fits(&self.by_address_glance.check_key_n(&who.source, others))) {
                return None;
            }
        }
        let room = if proven {
            self.by_pair.room(&who.pair, under_way.pairs.count(&who.pair))
        } else {
            self.by_user.room(&who.user, under_way.users.count(&who.user))
        };
        match room {
            Ok(true) => {}
            Ok(false) => return None,
            Err(until) => {
                let remaining = until.wait_time_from(self.clock.now());
                return Some(Attempt::Limited { scope: Scope::User, remaining });
            }
        }
        under_way.begin(&who);
        Some(Attempt::Check(Pending { throttle: self, who, proven, told: false }))
    }

    /// Counts a refused login, checked or not. To be called before the client hears of it, and once
    /// after each [`Pending::wrong`].
    pub fn failed(&self, address: IpAddr, user: &str) -> Penalty {
        let who = Who::new(address, user);
        let mut under_way = lock(&self.under_way);
        let penalty = self.charge(&who);
        under_way.end(&who);
        drop(under_way);
        self.settled.notify_waiters();
        penalty
    }

    fn charge(&self, who: &Who) -> Penalty {
        let source = who.source;
        let limited = self.by_user.is_used_up(&who.user);
        let newly_limited =
            !limited && self.by_user.charged.check_key(&who.user).is_ok() && self.by_user.is_used_up(&who.user);
        if self.is_proven(who) {
            // Where that is used up already, nothing more is charged.
            let _ = self.by_pair.charged.check_key(&who.pair);
        }
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

    /// A password was right: false where the address was banned meanwhile, and the user is not
    /// known there.
    fn vouch(&self, who: &Who, proven: bool) -> bool {
        let _under_way = lock(&self.under_way);
        if !proven && self.standing_of(&who.source).is_err() {
            return false;
        }
        self.by_user.store.forget(&who.user);
        self.by_pair.store.forget(&who.pair);
        let now = self.now();
        let until = now.saturating_add(PROVEN);
        lock(&self.proven).set(who.pair, until, |until| *until <= now);
        lock(&self.regulars).set(who.source, until, |until| *until <= now);
        true
    }

    /// An attempt under way came to nothing, or was right.
    fn withdraw(&self, who: &Who) {
        lock(&self.under_way).end(who);
        self.settled.notify_waiters();
    }

    fn is_proven(&self, who: &Who) -> bool {
        let now = self.now();
        lock(&self.proven).get(&who.pair).is_some_and(|until| until > now)
    }

    fn standing_of(&self, source: &IpNet) -> Result<(), Banned> {
        let now = self.now();
        let standing = lock(&self.standing).get(source).unwrap_or_default();
        match standing.banned_until.saturating_sub(now) {
            Duration::ZERO => Ok(()),
            remaining => Err(Banned { remaining }),
        }
    }

    /// Drops what is forgiven. To be called every minute or so.
    pub fn sweep(&self) {
        self.by_address.retain_recent();
        self.by_address.shrink_to_fit();
        self.by_user.sweep();
        self.by_pair.sweep();
        let now = self.now();
        lock(&self.standing).drop_where(|standing| standing.over(now));
        lock(&self.proven).drop_where(|until| *until <= now);
        lock(&self.regulars).drop_where(|until| *until <= now);
    }

    /// The addresses (IPv6: /64 networks) that are banned at this moment, and how much longer.
    pub fn bans(&self) -> Vec<(IpNet, Duration)> {
        let now = self.now();
        let rest = |standing: Standing| standing.banned_until.saturating_sub(now);
        let all = lock(&self.standing).entries(|standing| standing.banned_until > now);
        all.into_iter().map(|(source, standing)| (source, rest(standing))).collect()
    }

    /// Forgives every address of a network what it has coming, and gives those that were banned.
    pub fn lift(&self, network: &IpNet) -> Vec<IpNet> {
        let lifted: Vec<IpNet> =
            self.bans().into_iter().map(|(source, _)| source).filter(|source| network.contains(source)).collect();
        for source in &lifted {
            lock(&self.standing).remove(source);
            self.by_address_counts.forget(source);
        }
        lifted
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

impl Who {
    fn new(address: IpAddr, user: &str) -> Self {
        let (source, key) = (source_network(address), user_key(user));
        Self { source, user: (key, user_network(address)), pair: (key, source) }
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
