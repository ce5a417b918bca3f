//! What a verified client certificate says of itself, in the words of the policy.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{distinguished_name, facts};
use crate::policy::certificate::ClientCertificate;

/// Reads a certificate; none where it is damaged.
pub(crate) fn read(der: &[u8]) -> Option<ClientCertificate> {
    let (rest, parsed) = X509Certificate::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let mut certificate = ClientCertificate {
        fingerprint: fingerprint(der),
        emails: Vec::new(),
        dns: Vec::new(),
        uris: Vec::new(),
        subject: distinguished_name::text(parsed.subject()),
        issuer: distinguished_name::text(parsed.issuer()),
        serial: hex(parsed.raw_serial()),
        ends: facts::validity(&parsed).1,
    };
    for name in parsed.subject_alternative_name().ok()?.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::RFC822Name(email) => certificate.emails.push((*email).to_owned()),
            GeneralName::DNSName(name) => certificate.dns.push(name.to_ascii_lowercase()),
            GeneralName::URI(uri) => certificate.uris.push((*uri).to_owned()),
            _ => {}
        }
    }
    Some(certificate)
}

/// SHA-256 over a certificate, in lower-case hexadecimal.
pub(super) fn fingerprint(der: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, der).as_ref())
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
