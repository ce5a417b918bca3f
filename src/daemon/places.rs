//! How many sessions and transfers each user, each address and the server have, and may have; and
//! the user's bandwidth, which all sessions of a user share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

use super::bandwidth::{Bandwidth, Pace, Rates, Way};
use super::driver::Driver;
use crate::identity::Username;
use crate::policy::Policy;
use crate::policy::account::AccountLimits;
use crate::policy::network::source_network;
use crate::session::effect::{Crowd, MoveFault, Payload, SessionsFull, StoreFault};

/// What is taken at the moment.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    users: HashMap<Username, OfUser>,
    transfers: usize,
    transfers_by_source: HashMap<IpNet, usize>,
}

#[derive(Debug)]
struct OfUser {
    sessions: usize,
    sessions_by_source: HashMap<IpNet, usize>,
    transfers: usize,
    bandwidth: Arc<Bandwidth>,
}

/// The place of one session among its user's; dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub(super) struct Seat {
    places: Arc<Places>,
    user: Username,
    source: IpNet,
    bandwidth: Arc<Bandwidth>,
}

/// The place of one transfer; dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub(super) struct TransferPlace {
    places: Arc<Places>,
    user: Username,
    source: IpNet,
}

/// Most transfers at the same time; none is no bound.
#[derive(Clone, Copy, Debug, Default)]
struct TransferBounds {
    user: Option<u64>,
    address: Option<u64>,
    server: Option<u64>,
}

/// Whether one more is too many.
fn full(taken: usize, most: Option<u64>) -> bool {
    most.is_some_and(|most| u64::try_from(taken).unwrap_or(u64::MAX) >= most)
}

fn of(counts: &HashMap<IpNet, usize>, source: IpNet) -> usize {
    counts.get(&source).copied().unwrap_or(0)
}

fn one_more(counts: &mut HashMap<IpNet, usize>, source: IpNet) {
    let count = counts.entry(source).or_default();
    *count = count.saturating_add(1);
}

fn one_less(counts: &mut HashMap<IpNet, usize>, source: IpNet) {
    match counts.get_mut(&source) {
        Some(count) if *count > 1 => *count = count.saturating_sub(1),
        _ => drop(counts.remove(&source)),
    }
}

impl Places {
    /// Takes a place for a session of a user who has just shown who it is.
    ///
    /// # Errors
    /// [`SessionsFull`] where the user has as many as it may.
    pub(super) fn sit(
        self: &Arc<Self>,
        user: &Username,
        address: IpAddr,
        limits: &AccountLimits,
    ) -> Result<Seat, SessionsFull> {
        let source = source_network(address);
        let mut taken = self.lock();
        let own = taken.users.entry(user.clone()).or_insert_with(|| OfUser {
            sessions: 0,
            sessions_by_source: HashMap::new(),
            transfers: 0,
            bandwidth: Arc::new(Bandwidth::new(limits.into())),
        });
        if full(own.sessions, limits.sessions) {
            return Err(SessionsFull::OfUser);
        }
        if full(of(&own.sessions_by_source, source), limits.sessions_per_address) {
            return Err(SessionsFull::OfAddress);
        }
        own.sessions = own.sessions.saturating_add(1);
        one_more(&mut own.sessions_by_source, source);
        own.bandwidth.set(limits.into());
        let bandwidth = Arc::clone(&own.bandwidth);
        Ok(Seat { places: Arc::clone(self), user: user.clone(), source, bandwidth })
    }

    /// Has what the policy says of bandwidth hold for the transfers that run.
    pub(super) fn apply(&self, policy: &Policy) {
        for (user, own) in &self.lock().users {
            let limits = policy.users.get(user).map(|account| account.terms.limits);
            own.bandwidth.set(limits.as_ref().map(Rates::from).unwrap_or_default());
        }
    }

    /// Forgets the users that have no session. To be called every minute or so: by then their
    /// bandwidth is as if nothing had moved, so that who leaves and comes back gains nothing.
    pub(super) fn sweep(&self) {
        self.lock().users.retain(|_, own| own.sessions > 0 || own.transfers > 0);
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Takes a place for a transfer of the session.
    ///
    /// # Errors
    /// [`Crowd`] says who has as many as may be.
    fn transfer(&self, bounds: TransferBounds) -> Result<TransferPlace, Crowd> {
        let mut taken = self.places.lock();
        if full(taken.transfers, bounds.server) {
            return Err(Crowd::Server);
        }
        if full(of(&taken.transfers_by_source, self.source), bounds.address) {
            return Err(Crowd::Address);
        }
        // It is there as long as a session of the user is.
        if let Some(user) = taken.users.get_mut(&self.user) {
            if full(user.transfers, bounds.user) {
                return Err(Crowd::User);
            }
            user.transfers = user.transfers.saturating_add(1);
        }
        taken.transfers = taken.transfers.saturating_add(1);
        one_more(&mut taken.transfers_by_source, self.source);
        Ok(TransferPlace { places: Arc::clone(&self.places), user: self.user.clone(), source: self.source })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(own) = self.places.lock().users.get_mut(&self.user) {
            own.sessions = own.sessions.saturating_sub(1);
            one_less(&mut own.sessions_by_source, self.source);
        }
    }
}

impl Drop for TransferPlace {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.transfers = taken.transfers.saturating_sub(1);
        one_less(&mut taken.transfers_by_source, self.source);
        if let Some(own) = taken.users.get_mut(&self.user) {
            own.transfers = own.transfers.saturating_sub(1);
        }
    }
}

impl Driver {
    /// Takes the session's place among those of its user.
    pub(super) fn take_seat(&mut self, user: &Username, limits: &AccountLimits) -> Result<(), SessionsFull> {
        self.seat = Some(self.shared.places.sit(user, self.client.ip(), limits)?);
        Ok(())
    }

    /// What a transfer needs before it is made ready: its place, where it counts as one, and its pace.
    /// Listings take no place, so that one can look around while a file moves.
    pub(super) fn take_transfer_place(
        &self,
        what: &Payload,
    ) -> Result<(Option<Box<TransferPlace>>, Arc<Pace>), MoveFault> {
        let (Some(seat), Some(principal)) = (&self.seat, &self.principal) else {
            return Err(MoveFault::Store(StoreFault::Local));
        };
        let (policy, config) = (self.shared.policy(), self.shared.config());
        let limits = policy.users.get(principal.name()).map(|account| account.terms.limits).unwrap_or_default();
        let place = if matches!(what, Payload::List { .. }) {
            None
        } else {
            let (user, server) = (limits.transfers, config.limits.transfers);
            let bounds = TransferBounds { user, address: config.limits.transfers_per_address, server };
            Some(Box::new(seat.transfer(bounds).map_err(MoveFault::Crowded)?))
        };
        let way = if matches!(what, Payload::Store { .. }) { Way::Up } else { Way::Down };
        Ok((place, Arc::new(Pace::new(&seat.bandwidth, &self.shared.bandwidth, way))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Username {
        Username::parse("alice").unwrap()
    }

    fn sit(places: &Arc<Places>, address: &str, limits: AccountLimits) -> Result<Seat, SessionsFull> {
        places.sit(&alice(), address.parse().unwrap(), &limits)
    }

    #[test]
    fn what_is_given_back_is_free_and_then_forgotten() {
        let places = Arc::new(Places::default());
        let limits = AccountLimits { sessions: Some(3), sessions_per_address: Some(2), ..AccountLimits::default() };
        let one = sit(&places, "2001:db8::1", limits).unwrap();
        let two = sit(&places, "2001:db8::ffff:2", limits).unwrap();
        assert_eq!(sit(&places, "2001:db8::3", limits).unwrap_err(), SessionsFull::OfAddress);
        let three = sit(&places, "2001:db8:0:1::1", limits).unwrap();
        assert_eq!(sit(&places, "192.0.2.1", limits).unwrap_err(), SessionsFull::OfUser);
        let moving = three.transfer(TransferBounds::default()).unwrap();
        drop(three);
        let other = sit(&places, "192.0.2.1", limits).unwrap();
        assert!(Arc::ptr_eq(&one.bandwidth, &other.bandwidth), "all sessions of a user share it");
        drop((one, two, other));
        places.sweep();
        assert_eq!(places.lock().users[&alice()].transfers, 1, "a transfer that still ends is not forgotten");
        drop(moving);
        places.sweep();
        let taken = places.lock();
        assert!(taken.users.is_empty() && taken.transfers_by_source.is_empty() && taken.transfers == 0);
    }

    #[test]
    fn a_transfer_needs_a_place_with_user_address_and_server() {
        let places = Arc::new(Places::default());
        let near = sit(&places, "192.0.2.1", AccountLimits::default()).unwrap();
        let far = sit(&places, "192.0.2.2", AccountLimits::default()).unwrap();
        let held = near.transfer(TransferBounds::default()).unwrap();
        let one = TransferBounds { user: Some(2), address: Some(1), server: Some(3) };
        assert_eq!(near.transfer(one).unwrap_err(), Crowd::Address);
        let second = far.transfer(one).unwrap();
        assert_eq!(far.transfer(TransferBounds { address: None, ..one }).unwrap_err(), Crowd::User);
        assert_eq!(far.transfer(TransferBounds { server: Some(2), ..one }).unwrap_err(), Crowd::Server);
        drop((held, second));
        assert!(near.transfer(one).is_ok());
    }
}
