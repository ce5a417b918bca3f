//! Which keys are trusted: those that were given, and those that a trusted one named as its successor.

use super::mark::{Facts, Link};
use super::verdict::{Key, Trust};
use crate::audit::head::{SignedHead, succession};
use crate::audit::signing::PublicKey;

/// Keys that are remembered at most.
const KEYS_MAX: usize = 1024;

/// What a signature is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is one by a trusted key.
    Good,
    /// It is one by a key that only the log itself tells of, or by one that nothing tells of.
    Untrusted,
    /// It is none.
    Wrong,
}

/// What a change of keys is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The key before agreed.
    Proven,
    /// It did not, and both were given as trusted.
    Vouched,
    /// It did not.
    Unproven,
    /// The key before is not known, so nothing can be said.
    Unknown,
}

#[derive(Debug)]
struct Known {
    id: String,
    key: Option<PublicKey>,
    trust: Trust,
    checkpoints: u64,
}

/// The keys that are known.
#[derive(Debug)]
pub(super) struct Keyring(Vec<Known>);

impl Keyring {
    pub(super) fn new(given: &[PublicKey]) -> Self {
        let known = |key: &PublicKey| Known { id: key.id(), key: Some(*key), trust: Trust::Given, checkpoints: 0 };
        Self(given.iter().map(known).collect())
    }

    /// Whether no key was given.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|known| known.trust == Trust::None)
    }

    fn find(&self, id: &str) -> Option<&Known> {
        self.0.iter().find(|known| known.id == id)
    }

    /// What the signature of a head is worth.
    pub(super) fn judge(&self, head: &SignedHead) -> Worth {
        let Some((known, key)) = self.find(&head.key).and_then(|known| Some((known, known.key?))) else {
            return Worth::Untrusted;
        };
        match known.trust {
            _ if !head.is_by(key) => Worth::Wrong,
            Trust::Given | Trust::Succeeded => Worth::Good,
            Trust::None => Worth::Untrusted,
        }
    }

    /// Counts a checkpoint that this key signed.
    pub(super) fn count(&mut self, id: &str) {
        if self.find(id).is_none() {
            self.add(id.to_owned(), None, Trust::None);
        }
        if let Some(known) = self.0.iter_mut().find(|known| known.id == id) {
            known.checkpoints = known.checkpoints.saturating_add(1);
        }
    }

    /// Takes note of a key that the log names as its own. It is trusted no more for that.
    pub(super) fn learn(&mut self, facts: &Facts) {
        if let Some(key) = PublicKey::from_base64(&facts.public_key.0) {
            self.add(key.id(), Some(key), Trust::None);
        }
    }

    /// Follows a change of keys.
    pub(super) fn follow(&mut self, facts: &Facts, log: &str, failed: bool) -> Change {
        let before = self.find(&facts.key_before.0).and_then(|known| Some((known.key?, known.trust)));
        let Some(next) = PublicKey::from_base64(&facts.public_key.0).filter(|next| next.id() == facts.key.0) else {
            return Change::Unproven;
        };
        let agreed = before.map(|(key, _)| !failed && key.verifies(&succession(log, next), &facts.succession.0));
        let trusted = before.is_some_and(|(_, trust)| trust != Trust::None);
        self.add(next.id(), Some(next), if trusted && agreed == Some(true) { Trust::Succeeded } else { Trust::None });
        let given = |id: &str| self.find(id).is_some_and(|known| known.trust == Trust::Given);
        match agreed {
            Some(true) => Change::Proven,
            _ if given(&facts.key_before.0) && given(&facts.key.0) => Change::Vouched,
            None if !failed => Change::Unknown,
            Some(false) | None => Change::Unproven,
        }
    }

    fn add(&mut self, id: String, key: Option<PublicKey>, trust: Trust) {
        if let Some(known) = self.0.iter_mut().find(|known| known.id == id) {
            known.key = known.key.or(key);
            if known.trust == Trust::None {
                known.trust = trust;
            }
        } else if self.0.len() < KEYS_MAX {
            self.0.push(Known { id, key, trust, checkpoints: 0 });
        }
    }

    /// Those that signed.
    pub(super) fn shown(&self) -> Vec<Key> {
        let signed = self.0.iter().filter(|known| known.checkpoints > 0);
        signed
            .map(|known| Key { id: super::safe(&known.id), trust: known.trust, checkpoints: known.checkpoints })
            .collect()
    }
}

/// The head that a checkpoint signs.
pub(super) fn head_of(link: &Link, facts: &Facts) -> SignedHead {
    SignedHead {
        log: facts.log.0.clone(),
        seq: facts.head_seq.unwrap_or_else(|| link.seq.saturating_sub(1)),
        hash: facts.head_hash.0.clone(),
        time: facts.head_time.0.clone(),
        key: facts.key.0.clone(),
        signature: facts.signature.0.clone(),
    }
}
