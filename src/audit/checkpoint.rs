//! The records by which the log speaks of itself: how it begins, what it signs, how it goes on.

use jiff::Timestamp;

use super::chain::ChainHash;
use super::event::Event;
use super::head::{Head, SignedHead};
use super::keys::Succession;
use super::record::{Detail, Record};
use super::signing::SigningKey;

/// Why the log is signed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The server started.
    Start,
    /// So many records came, or so much time passed.
    Interval,
    /// The file ends here.
    Rotation,
    /// The server stops.
    Stop,
    /// Another key signs from here on.
    KeyChange,
}

impl Reason {
    /// Its word, `unmapped.reason` of the record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Interval => "interval",
            Self::Rotation => "rotation",
            Self::Stop => "stop",
            Self::KeyChange => "key_change",
        }
    }
}

/// What the log writes of itself, before the records of others.
#[expect(clippy::large_enum_variant, reason = "there is a handful of them at a start, and one at a time later")]
#[derive(Clone, Debug)]
pub(super) enum Own {
    /// A record.
    Record(Record),
    /// A checkpoint, signed when it is written.
    Checkpoint(Reason),
}

/// The key, and the log that it signs.
#[derive(Debug)]
pub(super) struct Signer {
    log: String,
    key: SigningKey,
}

fn text(text: impl Into<String>) -> Detail {
    Detail::Text(text.into())
}

/// The record of a signed head, which is that of the record before it.
pub(super) fn checkpoint(head: &SignedHead, reason: Reason) -> Record {
    Record::new(Event::AuditCheckpoint)
        .with("log", text(&head.log))
        .with("head_seq", Detail::Number(head.seq))
        .with("head_hash", text(&head.hash))
        .with("head_time", text(&head.time))
        .with("reason", text(reason.word()))
        .with("key", text(&head.key))
        .with("signature", text(&head.signature))
}

impl Signer {
    pub(super) fn new(log: String, key: SigningKey) -> Self {
        Self { log, key }
    }

    /// The id of the log.
    pub(super) fn log(&self) -> &str {
        &self.log
    }

    /// The log up to a record, signed.
    pub(super) fn head(&self, seq: u64, hash: ChainHash, time: Timestamp) -> SignedHead {
        Head { log: self.log.clone(), seq, hash, time }.signed(&self.key)
    }

    /// The first record of the log.
    pub(super) fn begun(&self) -> Record {
        let key = self.key.public();
        Record::new(Event::AuditBegun)
            .with("log", text(&self.log))
            .with("key", text(key.id()))
            .with("public_key", text(key.to_base64()))
    }

    /// The first record of a later file: what the file before it ended with.
    pub(super) fn rotated(&self, file_before: &str, last_seq: u64, last_hash: ChainHash) -> Record {
        Record::new(Event::AuditRotated)
            .with("log", text(&self.log))
            .with("file_before", text(file_before))
            .with("last_seq", Detail::Number(last_seq))
            .with("last_hash", text(last_hash.to_string()))
            .with("key", text(self.key.public().id()))
    }

    /// Something is missing from the log, or may be, behind the record that came last.
    pub(super) fn gap(&self, why: &'static str, last_seq: u64, last_hash: ChainHash) -> Record {
        Record::new(Event::AuditGap)
            .failed(why)
            .with("log", text(&self.log))
            .with("last_seq", Detail::Number(last_seq))
            .with("last_hash", text(last_hash.to_string()))
    }

    /// The records of the way from the key with this id to ours; none where it is ours.
    pub(super) fn key_changes(&self, before: &str, successions: &[Succession]) -> Vec<Record> {
        let ours = self.key.public();
        let changed = |before: &str, succession: Option<&Succession>| {
            let next = succession.map_or(ours, |succession| succession.next);
            let record = Record::new(Event::AuditKeyChanged)
                .with("log", text(&self.log))
                .with("key_before", text(before))
                .with("key", text(next.id()))
                .with("public_key", text(next.to_base64()));
            match succession {
                Some(succession) => record.with("succession", text(&succession.signature)),
                None => record.failed("unproven"),
            }
        };
        let mut way = Vec::new();
        let mut at = before.to_owned();
        while at != ours.id() {
            let step = successions.iter().rev().find(|step| step.leads_from(&at, &self.log));
            let Some(step) = step.filter(|_| way.len() < successions.len()) else {
                return vec![changed(before, None)];
            };
            way.push(changed(&at, Some(step)));
            at = step.next.id();
        }
        way
    }
}
