//! What certificates, requests and keys say of themselves, in words that other programs use too.

use std::net::IpAddr;

use aws_lc_rs::digest;
use jiff::Timestamp;
use rustls::pki_types::PrivateKeyDer;
use x509_parser::objects::{oid_registry, oid2sn};
use x509_parser::prelude::{AlgorithmIdentifier, SubjectPublicKeyInfo, X509CertificationRequest};
use x509_parser::prelude::{GeneralName, ParsedExtension, SubjectAlternativeName, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::load::Problem;
use super::server::provider;

const DAY_SECONDS: i64 = 86_400;

/// The curves of keys by their object identifiers, with the bits of their field.
const CURVES: [(&str, &str, u32); 4] = [
    ("1.2.840.10045.3.1.7", "ECDSA P-256", 256),
    ("1.3.132.0.34", "ECDSA P-384", 384),
    ("1.3.132.0.35", "ECDSA P-521", 521),
    ("1.3.132.0.10", "ECDSA secp256k1", 256),
];
const ED25519: &str = "1.3.101.112";

/// What kind of public key something has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyKind {
    /// Such as `ECDSA P-256`; an object identifier where it is of no known kind.
    pub(crate) name: String,
    /// How large it is; none where that is not known.
    pub(crate) bits: Option<u32>,
}

/// The kind of a public key.
pub(crate) fn key_kind(key: &SubjectPublicKeyInfo<'_>) -> KeyKind {
    let known = |name: &str, bits| KeyKind { name: name.to_owned(), bits: Some(bits) };
    if let Ok(PublicKey::RSA(rsa)) = key.parsed() {
        return known("RSA", bits(rsa.modulus));
    }
    let algorithm = key.algorithm.algorithm.to_id_string();
    let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_id_string());
    match CURVES.iter().find(|(oid, ..)| curve.as_deref() == Some(*oid)) {
        Some((_, name, bits)) => known(name, *bits),
        None if algorithm == ED25519 => known("Ed25519", 256),
        None => KeyKind { name: algorithm_name(&key.algorithm), bits: None },
    }
}

/// How many bits a positive number has.
fn bits(number: &[u8]) -> u32 {
    let significant = number.iter().position(|byte| *byte != 0).and_then(|first| number.get(first..));
    let Some([first, rest @ ..]) = significant else { return 0 };
    let below = u32::try_from(rest.len()).unwrap_or(u32::MAX).saturating_mul(8);
    below.saturating_add(u8::BITS.saturating_sub(first.leading_zeros()))
}

/// The name of an algorithm as OpenSSL has it, or else its object identifier.
pub(crate) fn algorithm_name(algorithm: &AlgorithmIdentifier<'_>) -> String {
    let oid = &algorithm.algorithm;
    match oid.to_id_string() {
        id if id == ED25519 => "ED25519".to_owned(),
        id => oid2sn(oid, oid_registry()).map_or(id, ToOwned::to_owned),
    }
}

/// SHA-256 over some DER, as other programs show it: `AB:CD:…`.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, der);
    let hex: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    hex.join(":")
}

/// The public key of the private one in a PEM text, as the DER of a `SubjectPublicKeyInfo` (RFC 5280 §4.1).
///
/// # Errors
/// [`Problem`] where there is no unencrypted key in the PEM text, or the server could not use it.
pub(crate) fn public_key_in(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let key = super::pem::private_key(text).map_err(|error| Problem::NotPem(error.to_string()))?;
    public_key_of(key)
}

/// The same of a key that was read.
///
/// # Errors
/// [`Problem::UnusableKey`] where the server could not use it.
pub(crate) fn public_key_of(key: PrivateKeyDer<'static>) -> Result<Vec<u8>, Problem> {
    let unusable = Problem::UnusableKey;
    let loaded = provider().key_provider.load_private_key(key).map_err(|error| unusable(error.to_string()))?;
    let public = loaded.public_key().ok_or_else(|| unusable("it does not tell its public key".to_owned()))?;
    Ok(public.to_vec())
}

/// The DNS names and addresses of a certificate (RFC 5280 §4.2.1.6), lower case.
pub(crate) fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    of_alternatives(extension.value)
}

/// The same of a request.
pub(crate) fn names_asked(request: &X509CertificationRequest<'_>) -> Vec<String> {
    let asked = request.requested_extensions().into_iter().flatten();
    asked
        .flat_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => of_alternatives(names),
            _ => Vec::new(),
        })
        .collect()
}

fn of_alternatives(names: &SubjectAlternativeName<'_>) -> Vec<String> {
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    names.general_names.iter().filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

/// The first and the last second of a certificate's time. "No expiration" is written as the last
/// second of the year 9999 (RFC 5280 §4.1.2.5).
pub(crate) fn validity(certificate: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    let validity = certificate.validity();
    (
        Timestamp::from_second(validity.not_before.timestamp()).unwrap_or(Timestamp::MIN),
        Timestamp::from_second(validity.not_after.timestamp()).unwrap_or(Timestamp::MAX),
    )
}

/// Whole days until then; negative where it is past.
pub(crate) fn days_left(until: Timestamp, now: Timestamp) -> i64 {
    until.as_second().saturating_sub(now.as_second()).div_euclid(DAY_SECONDS)
}

/// The day of a moment, UTC.
pub(crate) fn day(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::FromDer;

    use super::*;

    #[test]
    fn a_key_and_its_certificate_have_one_public_key() {
        let made =
            rcgen::generate_simple_self_signed(["Files.Example.ORG".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        let (_, certificate) = X509Certificate::from_der(made.cert.der()).unwrap();
        let public = public_key_in(made.signing_key.serialize_pem().as_bytes()).unwrap();
        assert_eq!(public, certificate.public_key().raw);
        assert_eq!(key_kind(certificate.public_key()), KeyKind { name: "ECDSA P-256".into(), bits: Some(256) });
        assert_eq!(algorithm_name(&certificate.signature_algorithm), "ecdsa-with-SHA256");
        assert_eq!(names(&certificate), ["files.example.org", "192.0.2.1"]);
        assert!(super::super::chain::is_self_signed(&certificate));
    }

    #[test]
    fn bits_are_counted_without_leading_zeros() {
        for (number, expected) in [(&[][..], 0), (&[0, 0], 0), (&[0, 0x80], 8), (&[1, 0], 9), (&[0x7f, 0xff], 15)] {
            assert_eq!(bits(number), expected, "{number:?}");
        }
    }

    #[test]
    fn the_last_day_counts_as_none_left() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(days_left(at(86_399), at(0)), 0);
        assert_eq!(days_left(at(86_400), at(0)), 1);
        assert_eq!(days_left(at(0), at(1)), -1);
    }
}
