//! Certificates that are made here: local authorities, what they sign, and requests to others.
//! All keys are ECDSA P-256.

use std::net::IpAddr;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::super::Failure;
use crate::tls::{facts, pem};

/// Whole days that a server certificate lasts; clients of Apple refuse more than 825, with those on
/// which it begins and ends.
pub(super) const SERVER_DAYS: u32 = 823;
/// Years that the CA lasts.
const CA_YEARS: i32 = 10;
/// As much of the key's fingerprint as tells two CAs of one day apart.
const MARK_CHARACTERS: usize = 11;
/// Longest common name (RFC 5280, appendix A.1).
const COMMON_NAME_CHARACTERS_MAX: usize = 64;

/// PEM texts of a CA and of what it signed.
#[derive(Debug)]
pub(in crate::cli) struct Made {
    pub(in crate::cli) ca: String,
    pub(in crate::cli) certificate: String,
    pub(in crate::cli) key: Zeroizing<String>,
}

/// The PEM texts of what was made for a key, and of the key.
#[derive(Debug)]
pub(super) struct ForKey {
    /// A certificate, or a request for one.
    pub(super) text: String,
    pub(super) key: Zeroizing<String>,
}

/// Makes a CA and a certificate for the names. The CA's key is dropped here, so whoever trusts the
/// CA trusts this one certificate and no other.
pub(in crate::cli) fn once(names: &[String], today: Date) -> Result<Made, Failure> {
    let authority = Authority::make(today)?;
    let ForKey { text, key } = authority.sign(names, SERVER_DAYS, today)?;
    Ok(Made { ca: authority.certificate, certificate: text, key })
}

/// A local CA that can sign.
pub(super) struct Authority {
    /// Its certificate as PEM.
    pub(super) certificate: String,
    der: CertificateDer<'static>,
    key: Zeroizing<KeyPair>,
    /// Its last day.
    end: Date,
}

impl Authority {
    /// Makes one, with a new key.
    pub(super) fn make(today: Date) -> Result<Self, Failure> {
        let end = today.checked_add(CA_YEARS.years()).unwrap_or(Date::MAX);
        let build = || {
            let key = Zeroizing::new(KeyPair::generate()?);
            let mut ca = CertificateParams::new(Vec::new())?;
            // Its own name even where another is made on the same day: clients look authorities up by it.
            let mark: String = facts::fingerprint(key.public_key_raw()).chars().take(MARK_CHARACTERS).collect();
            ca.distinguished_name = named(&format!("Portcullis local CA of {today}, {mark}"));
            ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            valid(&mut ca, today, end);
            let certificate = ca.self_signed(&*key)?;
            Ok(Self { certificate: certificate.pem(), der: certificate.der().clone(), key, end })
        };
        build().map_err(|error| failed(&error))
    }

    /// Takes one up whose certificate and key are there already.
    ///
    /// # Errors
    /// What keeps it from signing, in words.
    pub(super) fn from_pem(certificate: &[u8], key: &[u8], now: Timestamp) -> Result<Self, String> {
        let der = pem::certificates(certificate).map_err(|error| error.to_string())?;
        let [der] = der.as_slice() else { return Err("more than one certificate is in it".to_owned()) };
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| "its certificate is damaged".to_owned())?;
        if !parsed.is_ca() {
            return Err("its certificate is none of a CA".to_owned());
        }
        let (_, end) = facts::validity(&parsed);
        if now > end {
            return Err(format!("its certificate expired on {}; make a new one in another directory", facts::day(end)));
        }
        let public = facts::public_key_in(key).map_err(|problem| problem.to_string())?;
        if public != parsed.public_key().raw {
            return Err("its key is not the one of its certificate".to_owned());
        }
        let key = Zeroizing::new(pem::private_key(key).map_err(|error| error.to_string())?);
        let key = Zeroizing::new(KeyPair::try_from(&*key).map_err(|error| error.to_string())?);
        let end = end.to_zoned(jiff::tz::TimeZone::UTC).date();
        Ok(Self { certificate: pem::text_of(std::slice::from_ref(der)), der: der.clone(), key, end })
    }

    /// Its last day.
    pub(super) fn end(&self) -> Date {
        self.end
    }

    /// What signs with its key.
    pub(super) fn issuer(&self) -> Result<Issuer<'_, &KeyPair>, rcgen::Error> {
        Issuer::from_ca_cert_der(&self.der, &*self.key)
    }

    /// The key as PEM.
    pub(super) fn key(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// Makes a key and a server certificate for the names.
    pub(super) fn sign(&self, names: &[String], days: u32, today: Date) -> Result<ForKey, Failure> {
        let last = last_day(days, today);
        let build = || {
            let key = Zeroizing::new(KeyPair::generate()?);
            let mut server = for_names(names)?;
            server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            server.use_authority_key_identifier_extension = true;
            valid(&mut server, today, last);
            let text = server.signed_by(&*key, &self.issuer()?)?.pem();
            Ok(ForKey { text, key: Zeroizing::new(key.serialize_pem()) })
        };
        build().map_err(|error| failed(&error))
    }
}

/// Makes a key and a request that an authority certify it for the names (RFC 2986).
pub(super) fn request(names: &[String]) -> Result<ForKey, Failure> {
    let build = || {
        let key = Zeroizing::new(KeyPair::generate()?);
        let text = for_names(names)?.serialize_request(&*key)?.pem()?;
        Ok(ForKey { text, key: Zeroizing::new(key.serialize_pem()) })
    };
    build().map_err(|error| failed(&error))
}

fn for_names(names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let fits = |name: &&String| name.chars().count() <= COMMON_NAME_CHARACTERS_MAX;
    params.distinguished_name = named(names.first().filter(fits).map_or("Portcullis", String::as_str));
    Ok(params)
}

pub(super) fn failed(error: &rcgen::Error) -> Failure {
    Failure::Failed(format!("making the certificate failed: {error}"))
}

/// The day with whose beginning a certificate ends that is made today and lasts so many whole days.
pub(super) fn last_day(days: u32, today: Date) -> Date {
    today.checked_add(i64::from(days).saturating_add(1).days()).unwrap_or(Date::MAX)
}

/// From the day before `today`, for clocks elsewhere, to the beginning of `end`.
pub(super) fn valid(params: &mut CertificateParams, today: Date, end: Date) {
    let midnight = |date: Date| {
        rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = midnight(today.yesterday().unwrap_or(today));
    params.not_after = midnight(end);
}

pub(super) fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// The names for a certificate: as given, with the loopback addresses beside `localhost`.
pub(in crate::cli) fn with_loopback(names: &[String]) -> Vec<String> {
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
pub(in crate::cli) fn host_name(text: &str) -> Result<String, String> {
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
    use super::*;

    #[test]
    fn the_ca_signs_one_certificate_for_the_names() {
        let names = with_loopback(&["files.example.org".to_owned(), "localhost".to_owned()]);
        assert_eq!(names, ["files.example.org", "localhost", "127.0.0.1", "::1"]);
        let made = once(&names, "2026-11-22".parse().unwrap()).unwrap();
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
    fn an_authority_that_was_kept_signs_on_and_no_other_key_passes_for_its_own() {
        let today = "2026-11-22".parse().unwrap();
        let now = "2026-11-22T00:00:00Z".parse().unwrap();
        let made = Authority::make(today).unwrap();
        let kept = Authority::from_pem(made.certificate.as_bytes(), made.key().as_bytes(), now).unwrap();
        assert_eq!(kept.certificate, made.certificate);
        let signed = kept.sign(&["a.example.org".to_owned()], 30, today).unwrap();
        let der = |text: &str| pem::certificates(text.as_bytes()).unwrap().remove(0);
        let (ca, leaf) = (der(&made.certificate), der(&signed.text));
        let (_, ca) = X509Certificate::from_der(&ca).unwrap();
        let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
        leaf.verify_signature(Some(ca.public_key())).unwrap();
        let refused = |certificate: &str, key: &str, now: &str| {
            Authority::from_pem(certificate.as_bytes(), key.as_bytes(), now.parse().unwrap()).err().unwrap()
        };
        let (now, key) = ("2026-11-22T00:00:00Z", made.key());
        assert!(refused(&made.certificate, &signed.key, now).contains("not the one of its certificate"));
        assert!(refused(&signed.text, &signed.key, now).contains("none of a CA"));
        assert!(refused(&made.certificate, &key, "2046-01-01T00:00:00Z").contains("expired on 2036-11-22"));
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
