//! What the records tell that are in the chain: who signed them, which keys followed each other, what
//! retention removed, and where the server or its disk failed.

use std::collections::BTreeMap;

use super::findings::{Draft, Drafts};
use super::keys::{Change, Keyring, Worth, head_of};
use super::mark::{About, Event, Facts, Link, Place};
use super::verdict::{Kind, Note, Notes, Range, Signed};
use super::{Options, Witness, rfc3339, safe};
use crate::audit::chain::ChainHash;

/// Ranges of missing records that are remembered at most.
const ABSENT_MAX: usize = 1000;

/// Records that are missing, until it is known why.
#[derive(Debug)]
pub(super) struct Absent {
    pub(super) first: u64,
    pub(super) last: u64,
    /// The hash of the record before them, as far as it is there.
    pub(super) before: ChainHash,
    /// The hash of the last of them, by the word of the record behind.
    pub(super) hash: ChainHash,
    /// Where the record behind stands.
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) message: String,
    /// The number of the record that tells of their removal.
    pub(super) pruned_by: Option<u64>,
}

/// A record in the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) seq: u64,
    pub(super) prev: ChainHash,
    pub(super) hash: ChainHash,
    pub(super) time: i64,
    pub(super) place: Place,
    /// Whether it is a good checkpoint.
    pub(super) signed: bool,
    pub(super) role: Role,
}

/// What its place in the files asks of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The first of a log or of a further file.
    Opens,
    /// The last of a file.
    ClosesFile,
    /// The last of a server that stopped in order.
    Stops,
    Other,
}

/// A head from elsewhere, and what the chain says to it.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) witness: Witness,
    /// Whether the record of that number has its hash, where there is one, and where that is.
    pub(super) found: Option<(bool, Place)>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) keys: Keyring,
    pub(super) log: Option<String>,
    pub(super) records: u64,
    pub(super) first: Option<Standing>,
    pub(super) last: Option<Standing>,
    pub(super) spans: Vec<Option<Range>>,
    pub(super) checkpoints: u64,
    pub(super) signed: Option<Signed>,
    /// Records behind the last good checkpoint, and the time of the first.
    pub(super) tail: (u64, Option<i64>),
    /// The first checkpoint behind the last good one that an untrusted key signed.
    pub(super) untrusted: Option<(Place, u64, String)>,
    pub(super) absent: Vec<Absent>,
    pub(super) gaps: Notes,
    pub(super) outages: Notes,
    pub(super) clock_back: Notes,
    /// The latest time that a record was written at.
    time: Option<i64>,
    pub(super) witnesses: BTreeMap<u64, Vec<Compared>>,
    /// Bytes of a line at the very end that is not whole.
    pub(super) torn_bytes: u64,
}

impl Story {
    pub(super) fn new(files: usize, keys: Keyring, options: &Options) -> Self {
        let mut witnesses: BTreeMap<u64, Vec<Compared>> = BTreeMap::new();
        for witness in &options.witnesses {
            let compared = Compared { witness: witness.clone(), found: None };
            witnesses.entry(witness.head.seq).or_default().push(compared);
        }
        Self {
            keys,
            log: None,
            records: 0,
            first: None,
            last: None,
            spans: vec![None; files],
            checkpoints: 0,
            signed: None,
            tail: (0, None),
            untrusted: None,
            absent: Vec::new(),
            gaps: Notes::default(),
            outages: Notes::default(),
            clock_back: Notes::default(),
            time: None,
            witnesses,
            torn_bytes: 0,
        }
    }

    /// Another log begins.
    pub(super) fn restart(&mut self) {
        self.log = None;
    }

    /// Hears a record in its place. What one says that is not whole is passed over; `behind_gap` says
    /// that records before it are missing, which is told already.
    pub(super) fn hear(&mut self, place: Place, link: &Link, seq: u64, behind_gap: bool, found: &mut Drafts) {
        let mut standing = Standing {
            seq,
            prev: link.prev,
            hash: link.hash,
            time: link.time,
            place,
            signed: false,
            role: Role::Other,
        };
        self.records = self.records.saturating_add(1);
        if let Some(span) = self.spans.get_mut(place.file) {
            span.get_or_insert(Range { first_seq: seq, last_seq: seq }).last_seq = seq;
        }
        self.tell_time(link, seq);
        self.tail.0 = self.tail.0.saturating_add(1);
        self.tail.1.get_or_insert(link.time);
        for compared in self.witnesses.get_mut(&seq).into_iter().flatten() {
            compared.found = Some((compared.witness.head.hash == link.hash.to_string(), place));
        }
        if let Some(about) = link.about.as_deref().filter(|_| link.is_whole()) {
            standing.role = role(about);
            standing.signed = self.tell(place, link, about, behind_gap, found);
        }
        self.first.get_or_insert(standing);
        self.last = Some(standing);
    }

    fn tell_time(&mut self, link: &Link, seq: u64) {
        if link.late {
            return;
        }
        if let Some(before) = self.time.filter(|before| *before > link.time) {
            let seconds = before.saturating_sub(link.time).div_euclid(1000);
            let what = || format!("the clock went back by {seconds} s");
            self.clock_back.add(|| Note { seq, time: rfc3339(link.time), what: what() });
        }
        self.time = Some(link.time);
    }

    /// What a record says of the log; whether it is a good checkpoint.
    fn tell(&mut self, place: Place, link: &Link, about: &About, behind_gap: bool, found: &mut Drafts) -> bool {
        let facts = &about.facts;
        match about.event {
            Event::Begun | Event::Rotated => {
                self.keys.learn(facts);
                self.belongs(place, link, facts, found);
            }
            Event::Checkpoint => return self.checkpoint(place, link, facts, found),
            Event::KeyChanged => self.key_changed(place, link, about, found),
            Event::Pruned => {
                let hash: Option<ChainHash> = facts.last_hash.0.parse().ok();
                let removed = |absent: &&mut Absent| facts.last_seq == Some(absent.last) && hash == Some(absent.hash);
                if let Some(absent) = self.absent.iter_mut().find(removed) {
                    absent.pruned_by = Some(link.seq);
                }
            }
            Event::Gap => {
                if about.detail == "log_truncated" && !behind_gap {
                    let message = "the server found that somebody had cut the log before this record".to_owned();
                    let (kind, place, seqs) = (Kind::Truncated, Some(place), Some((link.seq, link.seq)));
                    found.add(Draft { kind, place, seqs, message });
                }
                if about.detail == "log_replaced" && !facts.head_log.0.is_empty() {
                    let message = format!(
                        "the server found another log here than {}, which it had signed up to record {}: that one is \
                         gone",
                        safe(&facts.head_log.0),
                        facts.head_seq.unwrap_or(0)
                    );
                    let (kind, place, seqs) = (Kind::Replaced, Some(place), Some((link.seq, link.seq)));
                    found.add(Draft { kind, place, seqs, message });
                }
                self.gaps.add(|| Note { seq: link.seq, time: rfc3339(link.time), what: gap(&about.detail) });
            }
            Event::Degraded => {
                let (late, lost) = (facts.records_late.unwrap_or(0), facts.records_lost.unwrap_or(0));
                let what = format!("the log could not be written: {late} records came late, {lost} were lost");
                self.outages.add(|| Note { seq: link.seq, time: rfc3339(link.time), what });
            }
        }
        false
    }

    /// Whether a record names this log as its own; the first one that names any decides.
    fn belongs(&mut self, place: Place, link: &Link, facts: &Facts, found: &mut Drafts) -> bool {
        let log = self.log.get_or_insert_with(|| facts.log.0.clone());
        if *log == facts.log.0 {
            return true;
        }
        let message =
            format!("record {} is of the log {}, and this is the log {}", link.seq, safe(&facts.log.0), safe(log));
        let seqs = Some((link.seq, link.seq));
        found.add(Draft { kind: Kind::OtherLog, place: Some(place), seqs, message });
        false
    }

    fn checkpoint(&mut self, place: Place, link: &Link, facts: &Facts, found: &mut Drafts) -> bool {
        let head = head_of(link, facts);
        self.keys.count(&head.key);
        if !self.belongs(place, link, facts, found) {
            return false;
        }
        let from = self.signed.as_ref().map_or(1, |signed| signed.head_seq.saturating_add(1));
        let seqs = Some((from.min(link.seq), link.seq));
        let mut wrong = |kind, message| {
            found.add(Draft { kind, place: Some(place), seqs, message });
            false
        };
        match self.keys.judge(&head) {
            Worth::Wrong => wrong(
                Kind::BadSignature,
                format!(
                    "the signature of this checkpoint is none by the key {}: whoever wrote it, or changed one of the \
                     records {from} to {}, does not have the key",
                    safe(&head.key),
                    link.seq
                ),
            ),
            Worth::Untrusted => {
                self.untrusted.get_or_insert((place, link.seq, head.key));
                false
            }
            Worth::Good if head.seq.checked_add(1) != Some(link.seq) || head.hash != link.prev.to_string() => wrong(
                Kind::NotAsSigned,
                format!(
                    "what was signed are other records than those here: one or more of the records {from} to {} were \
                     changed and hashed anew by somebody without the key",
                    link.seq.saturating_sub(1)
                ),
            ),
            Worth::Good => {
                self.checkpoints = self.checkpoints.saturating_add(1);
                self.untrusted = None;
                self.tail = (0, None);
                let time = safe(&head.time);
                self.signed = Some(Signed { head_seq: head.seq, seq: link.seq, time, key: safe(&head.key) });
                true
            }
        }
    }

    fn key_changed(&mut self, place: Place, link: &Link, about: &About, found: &mut Drafts) {
        let facts = &about.facts;
        if !self.belongs(place, link, facts, found) {
            return;
        }
        if self.keys.follow(facts, &facts.log.0, about.detail == "unproven") == Change::Unproven {
            let message = format!(
                "the key was changed to {}, and the key before ({}) did not agree to it",
                safe(&facts.key.0),
                safe(&facts.key_before.0)
            );
            let seqs = Some((link.seq, link.seq));
            found.add(Draft { kind: Kind::UnprovenKey, place: Some(place), seqs, message });
        }
    }

    /// Takes note of missing records; the walk goes on behind them.
    pub(super) fn miss(&mut self, absent: Absent, found: &mut Drafts) {
        if self.absent.len() < ABSENT_MAX {
            self.absent.push(absent);
        } else {
            let seqs = Some((absent.first, absent.last));
            found.add(Draft { kind: absent.kind, place: Some(absent.place), seqs, message: absent.message });
        }
    }

    /// Takes back that this one record is missing: it was found, following the same record.
    pub(super) fn find_again(&mut self, link: &Link) -> Option<Absent> {
        let is_it = |absent: &Absent| absent.first == link.seq && absent.last == link.seq && absent.before == link.prev;
        let index = self.absent.iter().position(is_it)?;
        Some(self.absent.remove(index))
    }
}

fn role(about: &About) -> Role {
    match (about.event, about.facts.reason.0.as_str()) {
        (Event::Begun | Event::Rotated, _) => Role::Opens,
        (Event::Checkpoint, "rotation") => Role::ClosesFile,
        (Event::Checkpoint, "stop") => Role::Stops,
        _ => Role::Other,
    }
}

/// A gap by its word.
fn gap(detail: &str) -> String {
    match detail {
        "unclean_stop" => "the server had not been stopped in order: a crash, a kill or a power cut".to_owned(),
        "torn_line" => "a line that a crash had cut short was set aside".to_owned(),
        "log_replaced" => "the log had been renamed, removed or replaced by somebody else".to_owned(),
        "log_truncated" => "the log had been cut by somebody else".to_owned(),
        other => safe(other),
    }
}
