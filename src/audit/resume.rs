//! How a start goes on with what it finds: where the numbers and the chain stand, and what there is to
//! say first.

use jiff::Timestamp;

use super::chain::ChainHash;
use super::checkpoint::{Own, Reason, Signer};
use super::file::Past;
use super::head::SignedHead;
use super::keys::Keys;
use super::pen::Place;
use super::record::{Detail, Record};

/// Where and how the writer begins.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) signer: Signer,
    pub(super) place: Place,
    /// The number of the first record of the file.
    pub(super) first_seq: u64,
    /// When that was written.
    pub(super) first_time: Timestamp,
    /// The name of the file, where it is a closed one that has to be signed to its end.
    pub(super) closed_as: Option<String>,
    /// What is written before anything else.
    pub(super) due: Vec<Own>,
}

/// Nothing that is there says which log it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nameless;

impl Beginning {
    /// Goes on with the log as it was found, at this time.
    pub(super) fn of(past: Past, head: Option<SignedHead>, keys: Keys, now: Timestamp) -> Result<Self, Nameless> {
        let Keys { key: ours, successions } = keys;
        let known = std::iter::once(ours.public()).chain(successions.iter().map(|succession| succession.before));
        let head = head.filter(|head| known.clone().any(|key| head.is_by(key)));
        let Past { first, last, checkpoint, key, torn, closed } = past;
        let Some((last, hash)) = last.and_then(|last| last.hash.map(|hash| (last, hash))) else {
            let signer = Signer::new(ulid::Ulid::generate().to_string(), ours);
            let mut due = vec![Own::Record(signer.begun())];
            if let Some(torn) = torn {
                due.push(Own::Record(torn.on(signer.gap("torn_line", 0, ChainHash::NONE))));
            }
            if let Some(head) = head {
                tracing::error!(
                    log = head.log,
                    seq = head.seq,
                    "the audit log that was here is gone; a new one is begun"
                );
                due.push(Own::Record(known_by(&head, signer.gap("log_replaced", 0, ChainHash::NONE))));
            }
            due.push(Own::Checkpoint(Reason::Start));
            let place = Place { last_seq: 0, hash: ChainHash::NONE, signed_seq: 0 };
            return Ok(Self { signer, place, first_seq: 1, first_time: now, closed_as: None, due });
        };
        let log = [&first, &checkpoint].into_iter().flatten().find_map(|mark| mark.log.clone());
        let log = log.or_else(|| Some(head.as_ref()?.log.clone())).ok_or(Nameless)?;
        let of_log = head.as_ref().filter(|head| head.log == log);
        let key_before = key.or_else(|| Some(of_log?.key.clone())).or_else(|| first.as_ref()?.key.clone());
        let signer = Signer::new(log, ours);
        let signed_seq = checkpoint.as_ref().map_or(0, |mark| mark.seq);
        let mut place = Place { last_seq: last.seq, hash, signed_seq };

        let mut gaps = Vec::new();
        let gap = |why| signer.gap(why, last.seq, hash);
        if let Some(torn) = &torn {
            gaps.push(torn.on(gap("torn_line")));
        }
        if let Some(head) = head {
            // The checkpoint of a head comes behind it, and is on the disk before the head is.
            let ours = head.log == signer.log();
            let why = match (ours, head.seq >= last.seq) {
                (true, false) => None,
                (true, true) => Some("log_truncated"),
                (false, _) => Some("log_replaced"),
            };
            if let Some(why) = why {
                tracing::error!(last_seq = last.seq, head_seq = head.seq, "the audit log lost records: {why}");
                gaps.push(known_by(&head, gap(why)));
            }
            if ours && why.is_some() {
                // The numbers of what is gone are not used again.
                place.last_seq = head.seq.saturating_add(1);
            }
        }
        if gaps.is_empty() && !last.is_stop() {
            gaps.push(gap("unclean_stop"));
        }
        let changes = key_before.map(|before| signer.key_changes(&before, &successions)).unwrap_or_default();
        let reason = if changes.is_empty() { Reason::Start } else { Reason::KeyChange };
        let (mut first_seq, mut first_time) = first.map_or((last.seq, now), |first| (first.seq, first.time));
        let mut due = Vec::new();
        let mut closed_as = None;
        if let Some(closed) = closed {
            if closed.unsigned {
                closed_as = Some(closed.name);
            } else {
                due.push(Own::Record(signer.rotated(&closed.name, last.seq, hash)));
                (first_seq, first_time) = (place.last_seq.saturating_add(1), now);
            }
        }
        due.extend(gaps.into_iter().chain(changes).map(Own::Record));
        due.push(Own::Checkpoint(reason));
        Ok(Self { signer, place, first_seq, first_time, closed_as, due })
    }
}

/// The record with the head that tells of more.
fn known_by(head: &SignedHead, gap: Record) -> Record {
    gap.with("head_log", Detail::Text(head.log.clone()))
        .with("head_seq", Detail::Number(head.seq))
        .with("head_hash", Detail::Text(head.hash.clone()))
}
