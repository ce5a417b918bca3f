//! A copy kept up: records are handed over in order, from where the copy is for certain, again and
//! again after outages. A record may arrive twice, and none is left out.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::follow::{Cursor, Follower};
use super::message::Item;
use super::process::{Common, PAUSE};
use super::protocol::{Report, SinkState, bounded};
use super::receivers::{Connect, STALL_TIME};
use crate::settings::keeping::Records;

/// Records handed over at once.
const BATCH_RECORDS_MAX: usize = 256;
/// Their bytes at most, but for the last of them.
const BATCH_BYTES_MAX: usize = 1 << 18;
/// How long to wait behind the first failure; twice as long behind each further one.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_LONGEST: Duration = Duration::from_secs(30);
/// After so long without an error, what was handed over has arrived: longer than a peer that confirms
/// nothing is waited for.
const CERTAIN_TIME: Duration = STALL_TIME.saturating_add(Duration::from_secs(5));
/// The events by which the others are proved.
const PROOFS: [&str; 4] = ["audit.begun", "audit.checkpoint", "audit.rotated", "audit.key_changed"];

/// A copy of the log.
pub(super) struct Copying {
    pub(super) common: Arc<Common>,
    pub(super) name: String,
    pub(super) records: Records,
    pub(super) connect: Box<dyn Connect>,
    pub(super) state: Arc<Mutex<SinkState>>,
}

/// What has been handed over and when, until it is certain that it arrived.
#[derive(Default)]
struct Handed(VecDeque<(Instant, Cursor)>);

impl Copying {
    /// Copies until the keeper ends, and then what is left, unless it cannot be handed over.
    pub(super) fn run(mut self) {
        let mut failing: Option<Instant> = None;
        let mut backoff = BACKOFF_FIRST;
        loop {
            let attempt = Instant::now();
            let failed = self.attempt(&mut failing);
            self.change(|state, confirmed| state.copied_seq = confirmed.seq);
            let Err(error) = failed else { return };
            let text = bounded(&error.to_string());
            if failing.is_none() {
                failing = Some(Instant::now());
                self.common.tell(&Report::SinkFailed { sink: self.name.clone(), error: text.clone() });
            }
            self.change(|state, _| {
                state.failing_since.get_or_insert_with(|| format!("{:.0}", Timestamp::now()));
                state.last_error = Some(text);
            });
            // One that stood for a while begins anew.
            backoff = if attempt.elapsed() > BACKOFF_LONGEST { BACKOFF_FIRST } else { backoff };
            if self.common.is_stopping() || self.common.pause(backoff) {
                return;
            }
            backoff = backoff.saturating_mul(2).min(BACKOFF_LONGEST);
        }
    }

    /// Hands over until something fails, or the keeper ends and all is copied.
    fn attempt(&mut self, failing: &mut Option<Instant>) -> io::Result<()> {
        let mut receiver = self.connect.connect()?;
        let confirmed = self.common.memory.of(&self.name);
        let mut follower = Follower::behind(&self.common.directory, confirmed);
        let mut handed = Handed::default();
        let mut items = Vec::new();
        loop {
            // Asked first: what was written before the end began is copied before it is over.
            let stopping = self.common.is_stopping();
            let more = self.gather(&mut follower, &mut items)?;
            receiver.look()?;
            if !items.is_empty() {
                receiver.hand_over(&items)?;
                items.clear();
            }
            let place = follower.place().clone();
            self.change(|state, _| state.copied_seq = place.seq);
            if let Some(certain) = handed.up_to(place, receiver.is_certain()) {
                self.common.memory.set(&self.name, &certain);
            }
            if let Some(since) = failing.take() {
                let seconds = since.elapsed().as_secs();
                self.common.tell(&Report::SinkRecovered { sink: self.name.clone(), seconds });
                self.change(|state, _| state.failing_since = None);
            }
            if more {
                continue;
            }
            if stopping {
                receiver.leave()?;
                self.common.memory.set(&self.name, follower.place());
                return Ok(());
            }
            self.common.pause(PAUSE);
        }
    }

    /// Takes records of the log; true where there are more of them.
    fn gather(&self, follower: &mut Follower, items: &mut Vec<Item>) -> io::Result<bool> {
        let mut bytes: usize = 0;
        for _ in 0..BATCH_RECORDS_MAX {
            let Some(line) = follower.read_next()? else { return Ok(false) };
            let Some(item) = Item::of(line) else { continue };
            if self.records == Records::Checkpoints && !PROOFS.contains(&item.facts.event.as_str()) {
                continue;
            }
            bytes = bytes.saturating_add(item.line.len());
            items.push(item);
            if bytes > BATCH_BYTES_MAX {
                break;
            }
        }
        Ok(true)
    }

    /// Changes what is told of this copy; told is also what it has for certain.
    fn change(&self, change: impl FnOnce(&mut SinkState, &Cursor)) {
        let confirmed = self.common.memory.of(&self.name);
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), &confirmed);
    }
}

impl Handed {
    /// Notes that everything up to a place was handed over; gives the place up to which it has arrived
    /// for certain, where that is further than before.
    fn up_to(&mut self, place: Cursor, certain: bool) -> Option<Cursor> {
        if certain {
            return Some(place);
        }
        let now = Instant::now();
        // A note a second is enough.
        let recent = self
            .0
            .back()
            .is_some_and(|(at, last)| *last == place || now.saturating_duration_since(*at) < Duration::from_secs(1));
        if !recent {
            self.0.push_back((now, place));
        }
        let mut arrived = None;
        while self.0.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= CERTAIN_TIME) {
            arrived = self.0.pop_front().map(|(_, place)| place);
        }
        arrived
    }
}
