//! The chain: every record carries the hash of the one before it and its own, so that nothing can
//! be changed, taken out, put in or put elsewhere without a trace.
//!
//! A record is one line, `{…,"chain":{"prev":"P","hash":"H"}}`. `H` is SHA-256 over a label, the 32
//! bytes of `P`, and the bytes of the line before `,"chain":`. Both are in base64url without padding,
//! so the end of every line has the same length, and the line need not be understood to be checked.
//! The first record of a log has 32 zero bytes for `P`.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::BASE64URL_NOPAD;

/// What keeps these hashes apart from others of the same bytes.
const LABEL: &[u8] = b"portcullis-audit-v1\0";
const PREV: &[u8] = b",\"chain\":{\"prev\":\"";
const HASH: &[u8] = b"\",\"hash\":\"";
const END: &[u8] = b"\"}}";
/// Characters of a hash.
const TEXT_LENGTH: usize = 43;

/// The hash of a record, which stands for all records up to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What the first record of a log has before it.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of a record with this line (up to `,"chain":`) behind the record with this hash.
    #[must_use]
    pub fn after(self, body: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(LABEL);
        context.update(&self.0);
        context.update(body);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    fn to_text(self) -> [u8; TEXT_LENGTH] {
        let mut text = [0; TEXT_LENGTH];
        BASE64URL_NOPAD.encode_mut(&self.0, &mut text);
        text
    }

    fn from_text(text: &[u8]) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BASE64URL_NOPAD.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHash;

impl FromStr for ChainHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        Self::from_text(text.as_bytes()).ok_or(NoHash)
    }
}

/// Completes the JSON object that begins at `start` with its place in the chain, and gives its hash.
/// Where no object ends the buffer, it stays as it is.
pub fn seal(buffer: &mut Vec<u8>, start: usize, prev: ChainHash) -> ChainHash {
    if buffer.last() == Some(&b'}') {
        buffer.pop();
    }
    let hash = prev.after(buffer.get(start..).unwrap_or_default());
    buffer.extend_from_slice(PREV);
    buffer.extend_from_slice(&prev.to_text());
    buffer.extend_from_slice(HASH);
    buffer.extend_from_slice(&hash.to_text());
    buffer.extend_from_slice(END);
    hash
}

/// A line taken apart. Nothing is said about whether its hashes are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// What the hash covers.
    pub body: &'a [u8],
    /// The hash that the record before has, by this record's word.
    pub prev: ChainHash,
    /// The hash that it has, by its own word.
    pub hash: ChainHash,
}

impl<'a> Sealed<'a> {
    /// Takes a line apart, without its line end; none where it has no place in a chain.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_suffix(END)?;
        let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(TEXT_LENGTH)?)?;
        let rest = rest.strip_suffix(HASH)?;
        let (rest, prev) = rest.split_at_checked(rest.len().checked_sub(TEXT_LENGTH)?)?;
        let body = rest.strip_suffix(PREV)?;
        Some(Self { body, prev: ChainHash::from_text(prev)?, hash: ChainHash::from_text(hash)? })
    }

    /// Whether its own hash is that of its content behind `prev`.
    pub fn is_whole(&self) -> bool {
        self.prev.after(self.body) == self.hash
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(object: &str, prev: ChainHash) -> (Vec<u8>, ChainHash) {
        let mut line = b"before\n".to_vec();
        line.extend_from_slice(object.as_bytes());
        let hash = seal(&mut line, 7, prev);
        (line.split_off(7), hash)
    }

    #[test]
    fn the_hash_is_that_of_the_label_the_hash_before_and_the_line() {
        let (line, hash) = sealed("{\"seq\":1}", ChainHash::NONE);
        let text = format!("{{\"seq\":1,\"chain\":{{\"prev\":\"{}\",\"hash\":\"{hash}\"}}}}", "A".repeat(43));
        assert_eq!(String::from_utf8(line).unwrap(), text);
        // printf 'portcullis-audit-v1\0' | cat - <(head -c 32 /dev/zero) <(printf '{"seq":1') | sha256sum
        assert_eq!(
            data_encoding::HEXLOWER.encode(&hash.0),
            "f59c90b2720f61c61e85f4bd5221bb5d7195bfea5580e04003bedf6ac12f4930"
        );
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_whole_and_no_longer_after_any_change(
            key in "[a-z]{1,9}", number in any::<u64>(), before in any::<[u8; 32]>(),
            at in any::<prop::sample::Index>(), with in any::<u8>(),
        ) {
            let prev = ChainHash(before);
            let (mut line, hash) = sealed(&format!("{{\"{key}\":{number}}}"), prev);
            let body = format!("{{\"{key}\":{number}");
            prop_assert_eq!(Sealed::parse(&line), Some(Sealed { body: body.as_bytes(), prev, hash }));
            prop_assert!(Sealed::parse(&line).unwrap().is_whole());
            let at = at.index(line.len());
            prop_assume!(line[at] != with);
            line[at] = with;
            prop_assert!(!Sealed::parse(&line).is_some_and(|sealed| sealed.is_whole()));
        }

        #[test]
        fn no_line_is_too_odd_to_be_taken_apart(line in any::<Vec<u8>>()) {
            let _ = Sealed::parse(&line);
        }
    }
}
