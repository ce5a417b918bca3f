//! Who a client says it is, and the secrets it brings: names and passwords as types.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD_NOCASE;
use zeroize::Zeroizing;

/// Longest user name accepted, in bytes.
pub const USERNAME_BYTES_MAX: usize = 64;

/// Names that are anonymous by convention (RFC 1635); no account may carry one.
const ANONYMOUS: [&str; 2] = ["anonymous", "ftp"];

/// The name of an account: 1 to 64 ASCII letters, digits, `.`, `_`, `-`, `@` or `+`, beginning
/// with a letter or digit, and never one of the anonymous names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Username(String);

/// Why a text is no [`Username`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsernameError {
    /// Empty, or longer than [`USERNAME_BYTES_MAX`].
    Length,
    /// Holds a character outside the permitted set, or begins with punctuation.
    Character,
    /// `anonymous` or `ftp`, in any case.
    Anonymous,
}

impl Username {
    /// Reads a user name.
    ///
    /// # Errors
    /// [`UsernameError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        if text.is_empty() || text.len() > USERNAME_BYTES_MAX {
            return Err(UsernameError::Length);
        }
        let permitted = |b: u8| b.is_ascii_alphanumeric() || b"._-@+".contains(&b);
        if !text.bytes().all(permitted) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(UsernameError::Character);
        }
        if is_anonymous(text) {
            return Err(UsernameError::Anonymous);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UsernameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a user name has 1 to 64 characters",
            Self::Character => "a user name holds only letters, digits and . _ - @ + and begins with a letter or digit",
            Self::Anonymous => "anonymous and ftp are never accounts",
        })
    }
}

/// Whether a name offered with `USER` asks for anonymous access.
pub fn is_anonymous(name: &str) -> bool {
    let name = name.trim();
    ANONYMOUS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// A password as it was sent: wiped from memory when dropped, and never printed.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for hashing and for nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The secret from which a user's codes of the moment are made (RFC 6238). It is wiped from memory
/// with its last copy, and never printed.
#[derive(Clone)]
pub struct TotpSecret(Arc<Zeroizing<Vec<u8>>>);

impl TotpSecret {
    /// Least length in bytes (RFC 4226 §4, R6).
    pub const BYTES_MIN: usize = 16;
    /// Greatest length in bytes: what one block of the hash takes as it is.
    pub const BYTES_MAX: usize = 64;

    /// Reads base32 (RFC 4648 §6), in either case, with or without padding; none where it is none,
    /// or of another length.
    pub fn from_base32(text: &str) -> Option<Self> {
        let bytes = BASE32_NOPAD_NOCASE.decode(text.trim_end_matches('=').as_bytes()).ok().map(Zeroizing::new)?;
        let fits = (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&bytes.len());
        fits.then(|| Self(Arc::new(bytes)))
    }

    /// The bytes, for making codes and for nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(..)")
    }
}

/// What somebody showed to log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The account's password.
    pub password: bool,
    /// The code of the moment.
    pub code: bool,
    /// A client certificate that the policy maps to the account.
    pub certificate: bool,
}

impl Shown {
    /// The password and nothing else.
    pub const PASSWORD: Self = Self { password: true, code: false, certificate: false };

    /// What was shown, for records: such as `password+certificate`.
    pub fn words(self) -> String {
        let all = [(self.password, "password"), (self.code, "code"), (self.certificate, "certificate")];
        all.iter().filter(|(shown, _)| *shown).map(|(_, word)| *word).collect::<Vec<_>>().join("+")
    }
}

/// Proof that somebody showed what is an account's own. Only [`crate::auth`] vouches for it.
#[derive(Debug)]
#[must_use]
pub struct Verified {
    name: Username,
    shown: Shown,
}

impl Verified {
    /// States that this of the account was shown; the hits of a search for this name are the places
    /// that vouch.
    pub(crate) fn assertion(name: Username, shown: Shown) -> Self {
        Self { name, shown }
    }

    /// The account's name.
    pub fn name(&self) -> &Username {
        &self.name
    }

    /// The same, with a client certificate of the account beside it, or not.
    pub(crate) fn with_certificate(mut self, certificate: bool) -> Self {
        self.shown.certificate |= certificate;
        self
    }

    /// The same, with a code of the moment behind the password, or not.
    pub(crate) fn with_code(mut self, code: bool) -> Self {
        self.shown.code |= code;
        self
    }

    /// What was shown.
    pub fn shown(&self) -> Shown {
        self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_plain() {
        assert!(Username::parse("alice").is_ok());
        assert!(Username::parse("ACME_EDI-7.prod@site+1").is_ok());
        assert_eq!(Username::parse(""), Err(UsernameError::Length));
        assert_eq!(Username::parse(&"a".repeat(65)), Err(UsernameError::Length));
        for bad in ["../x", "a/b", "-x", ".x", "a b", "a\0b", "b\u{f6}b", "%user%"] {
            assert_eq!(Username::parse(bad), Err(UsernameError::Character), "{bad:?}");
        }
        for bad in ["anonymous", "FTP", "Anonymous"] {
            assert_eq!(Username::parse(bad), Err(UsernameError::Anonymous), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "Secret(..)");
        let code = TotpSecret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert_eq!(format!("{code:?}"), "TotpSecret(..)");
    }

    #[test]
    fn a_secret_of_codes_is_base32_of_a_sound_length() {
        let read = |text: &str| TotpSecret::from_base32(text).map(|secret| secret.expose().to_vec());
        assert_eq!(read("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), Some(b"12345678901234567890".to_vec()));
        assert_eq!(read("gezdgnbvgy3tqojqgezdgnbvgy======"), Some(b"1234567890123456".to_vec()));
        for bad in ["", "GEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1", &"A".repeat(160)] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
