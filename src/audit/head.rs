//! The head of the chain: what stands for the whole log up to a record. Signed, it is a checkpoint;
//! kept elsewhere, it is a witness that the log went at least this far.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::ChainHash;
use super::signing::{PublicKey, SigningKey};

/// The newest signed head, in the directory of the log.
pub const HEAD_NAME: &str = "audit.head";

/// The log up to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The id of the log (`log` of its `audit.begun` record).
    pub log: String,
    /// The number of the last record it stands for.
    pub seq: u64,
    /// The hash of that record.
    pub hash: ChainHash,
    /// When it was signed.
    pub time: Timestamp,
}

/// A head with its signature: a line of JSON where it stands outside of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// The id of the log.
    pub log: String,
    /// The number of the last record it stands for.
    pub seq: u64,
    /// The hash of that record.
    pub hash: String,
    /// When it was signed, RFC 3339.
    pub time: String,
    /// The id of the key.
    pub key: String,
    /// The Ed25519 signature of [`Head::text`], in base64.
    pub signature: String,
}

impl Head {
    /// The text that is signed.
    pub fn text(&self) -> String {
        text(&self.log, self.seq, &self.hash.to_string(), &format!("{:.6}", self.time))
    }

    /// The head with its signature.
    pub fn signed(&self, key: &SigningKey) -> SignedHead {
        SignedHead {
            log: self.log.clone(),
            seq: self.seq,
            hash: self.hash.to_string(),
            time: format!("{:.6}", self.time),
            key: key.public().id(),
            signature: key.sign(&self.text()),
        }
    }
}

impl SignedHead {
    /// Whether the signature is one of this head by that key.
    pub fn is_by(&self, key: PublicKey) -> bool {
        key.verifies(&text(&self.log, self.seq, &self.hash, &self.time), &self.signature)
    }
}

fn text(log: &str, seq: u64, hash: &str, time: &str) -> String {
    format!("portcullis audit head v1\nlog {log}\nseq {seq}\nhash {hash}\ntime {time}\n")
}

/// The text by which a key names the one that follows it.
pub fn succession(log: &str, next: PublicKey) -> String {
    format!("portcullis audit key v1\nlog {log}\nnext {}\n", next.to_base64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_head_survives_its_line_and_no_change() {
        let key = SigningKey::generate().unwrap();
        let head = Head { log: "01L".into(), seq: 7, hash: ChainHash::NONE, time: Timestamp::UNIX_EPOCH };
        let signed = head.signed(&key);
        let read: SignedHead = serde_json::from_str(&serde_json::to_string(&signed).unwrap()).unwrap();
        assert_eq!(read, signed);
        assert!(read.is_by(key.public()));
        assert!(!SignedHead { seq: 8, ..read.clone() }.is_by(key.public()));
        assert!(!SignedHead { log: "01K".into(), ..read }.is_by(key.public()));
    }
}
