//! The digest of a file's content, taken while it moves or on request.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use md5::{Digest as _, Md5};

use crate::audit::record::Digest;
use crate::proto::hash::Algorithm;
use crate::settings::DigestKind;

/// A digest that grows with the content.
pub(in crate::daemon) enum Hasher {
    Blake3(Box<blake3::Hasher>),
    /// One of the SHA family, with the word for it.
    Sha(Context, &'static str),
    Crc32(crc32fast::Hasher),
    Md5(Box<Md5>),
}

impl Hasher {
    /// The hasher that the policy asks for; none where it asks for none.
    pub(in crate::daemon) fn new(kind: DigestKind) -> Option<Self> {
        match kind {
            DigestKind::Blake3 => Some(Self::Blake3(Box::default())),
            DigestKind::Sha256 => Some(Self::of(Algorithm::Sha256)),
            DigestKind::Off => None,
        }
    }

    /// The hasher for what a client asks for.
    pub(in crate::daemon) fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha(Context::new(&SHA256), "sha256"),
            Algorithm::Sha512 => Self::Sha(Context::new(&SHA512), "sha512"),
            Algorithm::Sha1 => Self::Sha(Context::new(&SHA1_FOR_LEGACY_USE_ONLY), "sha1"),
            Algorithm::Crc32 => Self::Crc32(crc32fast::Hasher::new()),
            Algorithm::Md5 => Self::Md5(Box::default()),
        }
    }

    /// Takes the next piece in.
    pub(in crate::daemon) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(piece);
            }
            Self::Sha(context, _) => context.update(piece),
            Self::Crc32(hasher) => hasher.update(piece),
            Self::Md5(hasher) => hasher.update(piece),
        }
    }

    /// The digest over everything taken in.
    pub(in crate::daemon) fn finish(self) -> Digest {
        match self {
            Self::Blake3(hasher) => Digest { algorithm: "blake3", hex: hasher.finalize().to_hex().to_string() },
            Self::Sha(context, algorithm) => Digest { algorithm, hex: hex(context.finish().as_ref()) },
            Self::Crc32(hasher) => Digest { algorithm: "crc32", hex: hex(&hasher.finalize().to_be_bytes()) },
            Self::Md5(hasher) => Digest { algorithm: "md5", hex: hex(&hasher.finalize()) },
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
        for (algorithm, word, hex) in [
            (Algorithm::Crc32, "crc32", "352441c2"),
            (Algorithm::Md5, "md5", "900150983cd24fb0d6963f7d28e17f72"),
            (Algorithm::Sha1, "sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algorithm::Sha256, "sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            let mut hasher = Hasher::of(algorithm);
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.finish(), Digest { algorithm: word, hex: hex.to_owned() });
        }
    }
}
