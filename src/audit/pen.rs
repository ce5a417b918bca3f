//! What puts records into lines: it numbers them, ties them to the chain and signs heads. What it
//! wrote counts once it is in the file; until then it can be begun anew.

use std::io;

use jiff::Timestamp;

use super::chain::ChainHash;
use super::checkpoint::{Reason, Signer, checkpoint};
use super::head::SignedHead;
use super::json::{self, Stamp};
use super::record::Record;
use super::tally::{Tally, labels};

/// Memory kept for the lines of the next write.
const LINES_BYTES_KEPT: usize = 1 << 20;

pub(super) struct Pen {
    signer: Signer,
    uids: ulid::Generator,
    /// The end of the file.
    written: Place,
    /// The end of the lines, which may not be in the file yet.
    drafted: Place,
    lines: Vec<u8>,
    signed: Option<SignedHead>,
    /// What the log says of itself in the lines: the event, and the reason where it failed.
    own: Vec<[&'static str; 2]>,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of the last record.
    pub(super) last_seq: u64,
    /// Its hash.
    pub(super) hash: ChainHash,
    /// The number of the last record that is a checkpoint; 0 for none.
    pub(super) signed_seq: u64,
}

impl Pen {
    pub(super) fn new(signer: Signer, place: Place) -> Self {
        let uids = ulid::Generator::new();
        Self { signer, uids, written: place, drafted: place, lines: Vec::new(), signed: None, own: Vec::new() }
    }

    /// The end of the file.
    pub(super) fn place(&self) -> Place {
        self.written
    }

    /// Who signs.
    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Records behind the last checkpoint.
    pub(super) fn unsigned(&self) -> u64 {
        self.written.last_seq.saturating_sub(self.written.signed_seq)
    }

    /// Forgets what did not get into the file.
    pub(super) fn begin(&mut self) {
        self.drafted = self.written;
        self.lines.clear();
        self.lines.shrink_to(LINES_BYTES_KEPT);
        self.signed = None;
        self.own.clear();
    }

    /// Puts a record behind the others.
    pub(super) fn put(&mut self, time: Timestamp, record: &Record, late: bool) -> io::Result<()> {
        let uid = self.uids.generate().unwrap_or_else(ulid::Overflow::commit_overflow_increment);
        let mut text = [0; ulid::ULID_LEN];
        let seq = self.drafted.last_seq.saturating_add(1);
        let stamp = Stamp { seq, time, uid: uid.array_to_str(&mut text), late };
        self.drafted.hash = json::append_line(&mut self.lines, &stamp, record, self.drafted.hash)?;
        self.drafted.last_seq = seq;
        Ok(())
    }

    /// Puts a record of the log about itself behind the others.
    pub(super) fn put_own(&mut self, time: Timestamp, record: &Record) -> io::Result<()> {
        self.own.push(labels(record));
        self.put(time, record, false)
    }

    /// Signs everything up to here.
    pub(super) fn sign(&mut self, time: Timestamp, reason: Reason) -> io::Result<()> {
        let head = self.signer.head(self.drafted.last_seq, self.drafted.hash, time);
        self.put_own(time, &checkpoint(&head, reason))?;
        self.drafted.signed_seq = self.drafted.last_seq;
        self.signed = Some(head);
        Ok(())
    }

    /// The lines so far.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// The lines are in the file. Gives the newest head that they sign, and counts what the log says of
    /// itself, as nobody else knows of it.
    pub(super) fn commit(&mut self, tally: &Tally) -> Option<SignedHead> {
        self.written = self.drafted;
        self.own.drain(..).for_each(|labels| tally.told(labels));
        self.signed.take()
    }
}
