//! PEM texts (RFC 7468) as certificates and keys. The one file that uses `rustls-pemfile`, which
//! is archived upstream: replacing it is a change here and nowhere else.

use std::fmt;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Most certificates that a chain may have.
const CERTIFICATES_MAX: usize = 32;
/// Most certificates taken of a collection of authorities.
const AUTHORITIES_MAX: usize = 1024;

/// Why a text has not what was sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PemError {
    /// It is no PEM, or a block of it is broken.
    Malformed(String),
    /// It has no certificate.
    NoCertificate,
    /// It has more certificates than any chain needs.
    TooManyCertificates,
    /// It has no private key in PKCS #8, PKCS #1 or SEC 1 form; an encrypted one counts as none.
    NoKey,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) => write!(f, "not valid PEM ({reason})"),
            Self::NoCertificate => f.write_str("no certificate in it (-----BEGIN CERTIFICATE-----)"),
            Self::TooManyCertificates => write!(f, "more than {CERTIFICATES_MAX} certificates in it"),
            Self::NoKey => f.write_str("no unencrypted private key in it (-----BEGIN PRIVATE KEY-----)"),
        }
    }
}

impl std::error::Error for PemError {}

/// The certificates of a PEM text, in its order: leaf first, where it is a chain.
///
/// # Errors
/// [`PemError`] where there is none, too many, or a broken one.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let mut reader = pem;
    let found: Result<Vec<_>, _> =
        rustls_pemfile::certs(&mut reader).take(CERTIFICATES_MAX.saturating_add(1)).collect();
    let found = found.map_err(|error| PemError::Malformed(error.to_string()))?;
    match found.len() {
        0 => Err(PemError::NoCertificate),
        count if count > CERTIFICATES_MAX => Err(PemError::TooManyCertificates),
        _ => Ok(found),
    }
}

/// The certificates of a collection of authorities, such as the system's; broken ones are left out.
pub fn authorities(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    let mut reader = pem;
    rustls_pemfile::certs(&mut reader).take(AUTHORITIES_MAX).filter_map(Result::ok).collect()
}

/// The first private key of a PEM text.
///
/// # Errors
/// [`PemError`] where there is none, or a broken block before it.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let mut reader = pem;
    let found = rustls_pemfile::private_key(&mut reader).map_err(|error| PemError::Malformed(error.to_string()))?;
    found.ok_or(PemError::NoKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_and_a_key_are_read_from_their_texts() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let both = format!("{certificate}{key}{certificate}");
        assert_eq!(certificates(both.as_bytes()).unwrap().len(), 2);
        assert_eq!(private_key(both.as_bytes()).unwrap().secret_der(), made.signing_key.serialized_der());
        assert_eq!(certificates(key.as_bytes()), Err(PemError::NoCertificate));
        assert_eq!(private_key(certificate.as_bytes()), Err(PemError::NoKey));
    }

    #[test]
    fn broken_texts_are_refused() {
        assert_eq!(certificates(b""), Err(PemError::NoCertificate));
        let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(certificates(cut), Err(PemError::Malformed(_))));
        let noise = b"-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n";
        assert!(matches!(private_key(noise), Err(PemError::Malformed(_))));
    }
}
