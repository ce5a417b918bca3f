//! A first certificate: a local CA that signs one server certificate and is then forgotten.

use std::net::IpAddr;

use jiff::ToSpan;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use zeroize::Zeroizing;

use super::Failure;

/// Days that a server certificate lasts; clients of Apple refuse more than 825.
const SERVER_DAYS: i32 = 824;
/// Years that the CA lasts.
const CA_YEARS: i32 = 10;
/// Longest common name (RFC 5280, appendix A.1).
const COMMON_NAME_CHARACTERS_MAX: usize = 64;

/// PEM texts of a CA and of what it signed.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: Zeroizing<String>,
}

/// Makes a CA and a certificate for the names, with P-256 keys. The CA's key is dropped here, so
/// whoever trusts the CA trusts this one certificate and no other.
pub(super) fn make(names: &[String], today: Date) -> Result<Made, Failure> {
    build(names, today).map_err(|error| Failure::Failed(format!("making the certificate failed: {error}")))
}

fn build(names: &[String], today: Date) -> Result<Made, rcgen::Error> {
    let midnight = |date: Date| {
        rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let begin = midnight(today.yesterday().unwrap_or(today));
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name = named(&format!("Portcullis local CA of {today}"));
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.not_before = begin;
    ca.not_after = midnight(today.checked_add(CA_YEARS.years()).unwrap_or(Date::MAX));
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(names)?;
    let fits = |name: &&String| name.chars().count() <= COMMON_NAME_CHARACTERS_MAX;
    server.distinguished_name = named(names.first().filter(fits).map_or("Portcullis", String::as_str));
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    server.not_before = begin;
    server.not_after = midnight(today.checked_add(SERVER_DAYS.days()).unwrap_or(Date::MAX));
    let certificate = server.signed_by(&key, &issuer)?.pem();
    Ok(Made { ca: ca_pem, certificate, key: Zeroizing::new(key.serialize_pem()) })
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// The names for a certificate: as given, with the loopback addresses beside `localhost`.
pub(super) fn with_loopback(names: &[String]) -> Vec<String> {
    let mut all = names.to_vec();
    if names.iter().any(|name| name == "localhost") {
        all.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    }
    all.sort_unstable();
    all.dedup();
    // The first name is the common name: keep the order that was asked for in front.
    all.sort_by_key(|name| names.iter().position(|given| given == name).unwrap_or(usize::MAX));
    all
}

/// Reads a host name or an address.
///
/// # Errors
/// What is wrong with it.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let label = |label: &str| {
        let permitted = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(permitted)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() > 253 || !text.split('.').all(label) {
        return Err("a host name is letters, digits and - between dots, such as files.example.org".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;
    use crate::tls::pem;

    #[test]
    fn the_ca_signs_one_certificate_for_the_names() {
        let names = with_loopback(&["files.example.org".to_owned(), "localhost".to_owned()]);
        assert_eq!(names, ["files.example.org", "localhost", "127.0.0.1", "::1"]);
        let made = make(&names, "2026-11-22".parse().unwrap()).unwrap();
        let der = |text: &str| pem::certificates(text.as_bytes()).unwrap().remove(0);
        let (ca, leaf) = (der(&made.ca), der(&made.certificate));
        let (_, ca) = X509Certificate::from_der(&ca).unwrap();
        let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
        assert!(ca.is_ca() && !leaf.is_ca());
        assert_eq!(leaf.issuer(), ca.subject());
        assert_eq!(ca.basic_constraints().unwrap().unwrap().value.path_len_constraint, Some(0));
        let days = (leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp()) / 86_400;
        assert_eq!(days, 825);
        assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
        assert_eq!(leaf.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 4);
        assert!(pem::private_key(made.key.as_bytes()).is_ok());
    }

    #[test]
    fn host_names_are_plain() {
        assert_eq!(host_name("Files.Example.ORG").unwrap(), "files.example.org");
        assert_eq!(host_name("2001:db8::1").unwrap(), "2001:db8::1");
        for bad in ["", "a..b", "-a", "a b", "*.example.org", "\u{e9}.org"] {
            assert!(host_name(bad).is_err(), "{bad:?}");
        }
    }
}
