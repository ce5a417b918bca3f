//! The one place that reads PEM (RFC 7468).

use std::fmt;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a file's content is not the PEM that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PemError {
    /// A section is broken.
    Malformed,
    /// No section of the wanted kind.
    Missing,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not valid PEM",
            Self::Missing => "no such section in the file",
        })
    }
}

/// Reads the certificates in their order.
///
/// # Errors
/// [`PemError`] where a section is broken or none is a certificate.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut &*pem).collect();
    let found = found.map_err(|_| PemError::Malformed)?;
    if found.is_empty() { Err(PemError::Missing) } else { Ok(found) }
}

/// Reads the first private key.
///
/// # Errors
/// [`PemError`] where a section is broken or none is a private key.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    rustls_pemfile::private_key(&mut &*pem).map_err(|_| PemError::Malformed)?.ok_or(PemError::Missing)
}
