//! PEM texts (RFC 7468) as certificates and keys. The one file that uses `rustls-pemfile`, which
//! is archived upstream: replacing it is a change here and nowhere else.

use std::fmt;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, CertificateSigningRequestDer, PrivateKeyDer};
use zeroize::Zeroizing;

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
    /// It has no list of revoked certificates, or too many.
    NoRevocations,
    /// It has no private key in PKCS #8, PKCS #1 or SEC 1 form.
    NoKey,
    /// Its private key is encrypted.
    EncryptedKey,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) => write!(f, "not valid PEM ({reason})"),
            Self::NoCertificate => f.write_str("no certificate in it (-----BEGIN CERTIFICATE-----)"),
            Self::TooManyCertificates => write!(f, "more than {CERTIFICATES_MAX} certificates in it"),
            Self::NoRevocations => {
                write!(f, "not 1 to {CERTIFICATES_MAX} lists of revoked certificates in it (-----BEGIN X509 CRL-----)")
            }
            Self::NoKey => f.write_str("no unencrypted private key in it (-----BEGIN PRIVATE KEY-----)"),
            Self::EncryptedKey => f.write_str(
                "its private key has a passphrase, which nobody could type when the server starts; take it off: \
                 openssl pkey -in KEY -out NEWKEY",
            ),
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

/// The lists of revoked certificates of a PEM text, or the one that is there as DER.
///
/// # Errors
/// [`PemError`] where there is none, too many, or a broken one.
pub fn revocations(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    // DER begins with a SEQUENCE.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(bytes.to_vec())]);
    }
    let mut reader = bytes;
    let found: Result<Vec<_>, _> = rustls_pemfile::crls(&mut reader).take(CERTIFICATES_MAX.saturating_add(1)).collect();
    let found = found.map_err(|error| PemError::Malformed(error.to_string()))?;
    if (1..=CERTIFICATES_MAX).contains(&found.len()) { Ok(found) } else { Err(PemError::NoRevocations) }
}

/// The first private key of a PEM text.
///
/// # Errors
/// [`PemError`] where there is none, or a broken block before it.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let mut reader = pem;
    match rustls_pemfile::private_key(&mut reader) {
        Ok(Some(key)) => Ok(key),
        _ if has_encrypted_key(pem) => Err(PemError::EncryptedKey),
        Ok(None) => Err(PemError::NoKey),
        Err(error) => Err(PemError::Malformed(error.to_string())),
    }
}

/// What the first lines of an encrypted key say (RFC 7468 §11, RFC 1421 §4.6.1.1).
fn has_encrypted_key(pem: &[u8]) -> bool {
    let marks = [&b"-----BEGIN ENCRYPTED PRIVATE KEY-----"[..], b"Proc-Type: 4,ENCRYPTED"];
    pem.split(|byte| *byte == b'\n').any(|line| marks.iter().any(|mark| line.starts_with(mark)))
}

/// One block of a PEM text.
#[derive(Debug)]
pub enum Block {
    /// A certificate.
    Certificate(CertificateDer<'static>),
    /// A request for one (RFC 2986).
    Request(CertificateSigningRequestDer<'static>),
    /// A private key.
    PrivateKey(Zeroizing<PrivateKeyDer<'static>>),
    /// Something else that has a name here: a public key, or a list of revoked certificates.
    Other(&'static str),
}

/// Every block of a PEM text, in its order. Those of unknown kinds are left out.
///
/// # Errors
/// [`PemError`] where a block is broken, or there are too many.
pub fn blocks(pem: &[u8]) -> Result<Vec<Block>, PemError> {
    use rustls_pemfile::Item;
    let mut reader = pem;
    let mut found = Vec::new();
    for item in rustls_pemfile::read_all(&mut reader) {
        let block = match item {
            Ok(Item::X509Certificate(certificate)) => Block::Certificate(certificate),
            Ok(Item::Csr(request)) => Block::Request(request),
            Ok(Item::Pkcs1Key(key)) => Block::PrivateKey(Zeroizing::new(key.into())),
            Ok(Item::Pkcs8Key(key)) => Block::PrivateKey(Zeroizing::new(key.into())),
            Ok(Item::Sec1Key(key)) => Block::PrivateKey(Zeroizing::new(key.into())),
            Ok(Item::SubjectPublicKeyInfo(_)) => Block::Other("public key"),
            Ok(Item::Crl(_)) => Block::Other("list of revoked certificates"),
            Ok(_) => Block::Other("block of another kind"),
            Err(_) if has_encrypted_key(pem) => return Err(PemError::EncryptedKey),
            Err(error) => return Err(PemError::Malformed(error.to_string())),
        };
        found.push(block);
        if found.len() > CERTIFICATES_MAX {
            return Err(PemError::TooManyCertificates);
        }
    }
    if found.is_empty() && has_encrypted_key(pem) {
        return Err(PemError::EncryptedKey);
    }
    Ok(found)
}

/// The certificates as a PEM text.
pub fn text_of(certificates: &[CertificateDer<'_>]) -> String {
    let config = ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF);
    let one = |der: &CertificateDer<'_>| ::pem::encode_config(&::pem::Pem::new("CERTIFICATE", der.to_vec()), config);
    certificates.iter().map(one).collect()
}

/// The lines of the first private key of a PEM text, without anything else that is in it.
pub fn key_text(pem: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::with_capacity(pem.len()));
    let mut inside = false;
    for line in pem.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        let line = line.trim_ascii_end();
        inside |= line.starts_with(b"-----BEGIN ") && line.ends_with(b"PRIVATE KEY-----");
        if inside {
            text.extend_from_slice(line);
            text.push(b'\n');
            if line.starts_with(b"-----END ") {
                return Some(text);
            }
        }
    }
    None
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
    fn of_a_mixed_text_each_part_is_told_and_the_key_is_taken_alone() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem().replace('\n', "\r\n");
        let mixed = format!("Subject: x\n{}some words\n{key}more words\n", made.cert.pem());
        let found = blocks(mixed.as_bytes()).unwrap();
        assert!(matches!(found.as_slice(), [Block::Certificate(_), Block::PrivateKey(_)]), "{found:?}");
        let alone = key_text(mixed.as_bytes()).unwrap();
        assert_eq!(*alone, made.signing_key.serialize_pem().into_bytes());
        let chain = certificates(mixed.as_bytes()).unwrap();
        assert_eq!(certificates(text_of(&chain).as_bytes()).unwrap(), chain);
        assert_eq!(key_text(b"-----BEGIN PRIVATE KEY-----\nAAAA"), None);
    }

    #[test]
    fn an_encrypted_key_is_called_that() {
        let modern = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
                   -----END RSA PRIVATE KEY-----\n";
        for text in [modern, old] {
            assert_eq!(private_key(text.as_bytes()).unwrap_err(), PemError::EncryptedKey);
            assert!(matches!(blocks(text.as_bytes()), Err(PemError::EncryptedKey)));
        }
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
