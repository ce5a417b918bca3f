//! How the server asks for something: through a bounded queue, so that nobody waits for the keeper.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::protocol::Order;
use crate::audit::rotation::Renamer;

/// Orders that wait for the keeper to take them.
const QUEUE_MAX: usize = 64;

/// Puts orders into the queue; a clone puts them into the same one.
#[derive(Clone, Debug)]
pub struct Orders(SyncSender<Order>);

/// The two ends of a new queue.
pub fn queue() -> (Orders, Receiver<Order>) {
    let (sender, receiver) = sync_channel(QUEUE_MAX);
    (Orders(sender), receiver)
}

impl Orders {
    /// Gives an order; false where the keeper is gone or has too many of them to do.
    pub fn give(&self, order: Order) -> bool {
        self.0.try_send(order).is_ok()
    }
}

impl Renamer for Orders {
    fn rename_to(&self, name: &str) {
        // Whoever asks sees whether it was done, and asks again.
        self.give(Order::Rename { name: name.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_that_takes_nothing_holds_nobody_up() {
        let (orders, taken) = queue();
        (0..1000).for_each(|_| orders.rename_to("audit-00000000000000000001.jsonl"));
        assert_eq!(taken.try_iter().count(), QUEUE_MAX);
        drop(taken);
        orders.rename_to("audit-00000000000000000001.jsonl");
    }
}
