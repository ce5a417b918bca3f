//! Clients of one address that hold every port of the range among them, and those of them that
//! wait: each port that is given back goes to the one that has waited longest.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::super::route::Comer;
use super::{PassivePorts, Reservation, ReserveFault, State, UNTAKEN_MAX, with_port};

/// Who waits for a port, by this machine's address, with no port, and who comes. A session waits
/// once at most, so the sessions of an address bound its queue.
#[derive(Default)]
pub(super) struct Queues(HashMap<(SocketAddr, Comer), VecDeque<oneshot::Sender<Reservation>>>);

impl Queues {
    fn join(&mut self, local: SocketAddr, comer: Comer) -> oneshot::Receiver<Reservation> {
        let (sender, receiver) = oneshot::channel();
        let queue = self.0.entry((local, comer)).or_default();
        queue.retain(|waiting| !waiting.is_closed());
        queue.push_back(sender);
        receiver
    }

    fn next(&mut self, local: SocketAddr, comer: Comer) -> Option<oneshot::Sender<Reservation>> {
        let queue = self.0.get_mut(&(local, comer))?;
        let mut next = queue.pop_front();
        while next.as_ref().is_some_and(oneshot::Sender::is_closed) {
            next = queue.pop_front();
        }
        if queue.is_empty() {
            self.0.remove(&(local, comer));
        }
        next
    }
}

impl PassivePorts {
    /// Reserves a port as [`PassivePorts::reserve`] does. Where clients of the same address hold all
    /// of them, waits in turn for one to be given back: a port is held only until its data connection
    /// has come up, so that many clients behind one NAT get by with few ports. Must be called within
    /// the runtime; losing the future loses the turn and no port.
    ///
    /// # Errors
    /// [`ReserveFault`]; [`ReserveFault::Exhausted`] once the time is over.
    pub async fn reserve_within(
        self: &Arc<Self>,
        local: SocketAddr,
        comer: impl Into<Comer>,
        time: Duration,
    ) -> Result<Reservation, ReserveFault> {
        let (local, comer) = (with_port(super::listener::canonical(local), 0), comer.into());
        let turn = {
            let mut state = self.lock();
            match self.reserve_in(&mut state, local, comer) {
                Err(ReserveFault::Exhausted) => state.queues.join(local, comer),
                done => return done,
            }
        };
        timeout(time, turn).await.ok().and_then(Result::ok).ok_or(ReserveFault::Exhausted)
    }

    /// Gives a port back, and to who has waited longest for it.
    pub(super) fn give_back(self: &Arc<Self>, local: SocketAddr, comer: Comer) {
        let mut state = self.lock();
        if !state.remove(local, comer) {
            return;
        }
        // The range may be another one by now.
        if !self.settings().range.contains(local.port()) {
            return;
        }
        let Some(waiting) = state.queues.next(with_port(local, 0), comer) else { return };
        let reservation = self.enter(&mut state, local, comer);
        drop(state);
        // Who stopped waiting just now drops it, and the next one is served.
        let _ = waiting.send(reservation);
    }

    /// Notes a reservation of an open port.
    pub(super) fn enter(self: &Arc<Self>, state: &mut State, local: SocketAddr, comer: Comer) -> Reservation {
        let (deliver, arrivals) = mpsc::channel(UNTAKEN_MAX);
        if let Some(door) = state.doors.get_mut(&local) {
            door.waiting.insert(comer, deliver);
        }
        state.held.entry((with_port(local, 0), comer)).or_default().insert(local.port());
        Reservation { ports: Arc::clone(self), local, comer, arrivals }
    }

    /// Clients that wait at this moment.
    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        let state = self.lock();
        state.queues.0.values().flatten().filter(|waiting| !waiting.is_closed()).count()
    }
}
