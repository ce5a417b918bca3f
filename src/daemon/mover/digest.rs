//! The digest of a file's content, taken while it moves.

use aws_lc_rs::digest::{Context, SHA256};

use crate::audit::record::Digest;
use crate::settings::DigestKind;

/// A digest that grows with the content.
pub(super) enum Hasher {
    Blake3(Box<blake3::Hasher>),
    Sha256(Context),
}

impl Hasher {
    /// The hasher that the policy asks for; none where it asks for none.
    pub(super) fn new(kind: DigestKind) -> Option<Self> {
        match kind {
            DigestKind::Blake3 => Some(Self::Blake3(Box::default())),
            DigestKind::Sha256 => Some(Self::Sha256(Context::new(&SHA256))),
            DigestKind::Off => None,
        }
    }

    /// Takes the next piece in.
    pub(super) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(piece);
            }
            Self::Sha256(context) => context.update(piece),
        }
    }

    /// The digest over everything taken in.
    pub(super) fn finish(self) -> Digest {
        match self {
            Self::Blake3(hasher) => Digest { algorithm: "blake3", hex: hasher.finalize().to_hex().to_string() },
            Self::Sha256(context) => Digest { algorithm: "sha256", hex: hex(context.finish().as_ref()) },
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(kind: DigestKind) -> String {
        let mut hasher = Hasher::new(kind).unwrap();
        hasher.update(b"a");
        hasher.update(b"bc");
        hasher.finish().hex
    }

    #[test]
    fn digests_of_abc() {
        assert_eq!(digest(DigestKind::Sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest(DigestKind::Blake3), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert!(Hasher::new(DigestKind::Off).is_none());
    }
}
