//! The Ed25519 keys (RFC 8032) that sign what the log says about itself.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};

/// What stands before the 32 bytes of a key in its `SubjectPublicKeyInfo` (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PUBLIC_TAG: &str = "PUBLIC KEY";
const PRIVATE_TAG: &str = "PRIVATE KEY";

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey(&'static str);

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadKey {}

/// A key that checks signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads `-----BEGIN PUBLIC KEY-----`, as `openssl pkey -pubout` writes it too.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_pem(text: &[u8]) -> Result<Self, BadKey> {
        let pem = pem::parse(text).map_err(|_| BadKey("no PEM text"))?;
        if pem.tag() != PUBLIC_TAG {
            return Err(BadKey("no public key: `-----BEGIN PUBLIC KEY-----` is expected"));
        }
        let key = pem.contents().strip_prefix(&SPKI_PREFIX).and_then(|key| key.try_into().ok());
        key.map(Self).ok_or(BadKey("no Ed25519 key"))
    }

    /// The text that [`Self::from_pem`] reads.
    pub fn to_pem(self) -> String {
        let contents = [SPKI_PREFIX.as_slice(), &self.0].concat();
        pem::encode_config(
            &pem::Pem::new(PUBLIC_TAG, contents),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        )
    }

    /// The 32 bytes in base64, as records have them.
    pub fn to_base64(self) -> String {
        BASE64.encode(&self.0)
    }

    /// Reads what [`Self::to_base64`] writes.
    pub fn from_base64(text: &str) -> Option<Self> {
        Some(Self(BASE64.decode(text.as_bytes()).ok()?.try_into().ok()?))
    }

    /// What tells it from others in records: the first 16 hexadecimal digits of SHA-256 over its bytes.
    pub fn id(self) -> String {
        let hash = digest(&SHA256, &self.0);
        HEXLOWER.encode(hash.as_ref().get(..8).unwrap_or_default())
    }

    /// Whether this signature (in base64) is one of that text.
    pub fn verifies(self, text: &str, signature: &str) -> bool {
        let Ok(signature) = BASE64.decode(signature.as_bytes()) else { return false };
        UnparsedPublicKey::new(&ED25519, self.0).verify(text.as_bytes(), &signature).is_ok()
    }
}

/// A key that signs.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn generate() -> Result<Self, BadKey> {
        Ed25519KeyPair::generate().map(Self).map_err(|_| BadKey("no random numbers for a new key"))
    }

    /// Reads `-----BEGIN PRIVATE KEY-----` (PKCS#8), as `openssl genpkey -algorithm ed25519` writes it too.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_pem(text: &[u8]) -> Result<Self, BadKey> {
        let pem = pem::parse(text).map_err(|_| BadKey("no PEM text"))?;
        if pem.tag() != PRIVATE_TAG {
            return Err(BadKey("no private key: `-----BEGIN PRIVATE KEY-----` is expected"));
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pem.contents());
        pair.map(Self).map_err(|_| BadKey("no Ed25519 key"))
    }

    /// The text that [`Self::from_pem`] reads.
    ///
    /// # Errors
    /// Where the key cannot be written down, which is not expected.
    pub fn to_pem(&self) -> Result<zeroize::Zeroizing<String>, BadKey> {
        let der = self.0.to_pkcs8v1().map_err(|_| BadKey("the key cannot be written down"))?;
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(zeroize::Zeroizing::new(pem::encode_config(&pem::Pem::new(PRIVATE_TAG, der.as_ref()), config)))
    }

    /// The key that checks what this one signs.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        if self.0.public_key().as_ref().len() == bytes.len() {
            bytes.copy_from_slice(self.0.public_key().as_ref());
        }
        PublicKey(bytes)
    }

    /// The signature of a text, in base64.
    pub fn sign(&self, text: &str) -> String {
        BASE64.encode(self.0.sign(text.as_bytes()).as_ref())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_verifies_with_the_public_key_and_nothing_else_does() {
        let key = SigningKey::from_pem(SigningKey::generate().unwrap().to_pem().unwrap().as_bytes()).unwrap();
        let public = PublicKey::from_pem(key.public().to_pem().as_bytes()).unwrap();
        assert_eq!(PublicKey::from_base64(&public.to_base64()), Some(public));
        let signature = key.sign("a text");
        assert!(public.verifies("a text", &signature));
        assert!(!public.verifies("another", &signature));
        assert!(!public.verifies("a text", "no signature"));
        assert!(!SigningKey::generate().unwrap().public().verifies("a text", &signature));
        assert_eq!(public.id().len(), 16);
    }

    #[test]
    fn what_is_no_key_is_told() {
        let key = SigningKey::generate().unwrap();
        assert!(PublicKey::from_pem(b"x").unwrap_err().to_string().contains("PEM"));
        assert!(PublicKey::from_pem(key.to_pem().unwrap().as_bytes()).is_err());
        assert!(SigningKey::from_pem(key.public().to_pem().as_bytes()).is_err());
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}
