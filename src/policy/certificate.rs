//! Client certificates: what one says of itself, and for whom it stands.

use std::fmt;

use jiff::Timestamp;

use super::Policy;
use super::account::Account;
use super::factor::CertificateName;
use crate::identity::Username;

/// A client certificate that was verified in the handshake of a control connection: issued by an
/// authority that the settings name, in date, not revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of the whole certificate, in lower-case hexadecimal.
    pub fingerprint: String,
    /// The addresses of electronic mail among its alternative names.
    pub emails: Vec<String>,
    /// The DNS names among them, lower case.
    pub dns: Vec<String>,
    /// The URIs among them.
    pub uris: Vec<String>,
    /// Its subject, in the form of RFC 4514.
    pub subject: String,
    /// Its issuer, in the same form.
    pub issuer: String,
    /// Its serial number, in lower-case hexadecimal.
    pub serial: String,
    /// When it ends.
    pub ends: Timestamp,
}

/// For whom a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Nobody.
    Nobody,
    /// This user.
    User(&'a Username),
    /// Several users by different names of it, and so for none of them.
    Several,
}

impl ClientCertificate {
    /// Whether it is the one meant: every name is compared as a whole, and none is searched for in
    /// another.
    pub fn is(&self, name: &CertificateName) -> bool {
        match name {
            CertificateName::Fingerprint(digits) => self.fingerprint == *digits,
            CertificateName::Email(email) => self.emails.contains(email),
            CertificateName::Dns(name) => self.dns.contains(name),
            CertificateName::Uri(uri) => self.uris.contains(uri),
            CertificateName::Subject(subject) => self.subject == *subject,
        }
    }
}

/// Its subject and fingerprint.
impl fmt::Display for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (sha256:{})", self.subject, self.fingerprint)
    }
}

impl Account {
    /// Whether the certificate is one of the user's.
    pub fn has_certificate(&self, certificate: &ClientCertificate) -> bool {
        self.certificates.iter().any(|name| certificate.is(name))
    }
}

impl Policy {
    /// For whom a client certificate stands.
    pub fn standing(&self, certificate: &ClientCertificate) -> Standing<'_> {
        let mut holders = self.users.values().filter(|account| account.has_certificate(certificate));
        match (holders.next(), holders.next()) {
            (None, _) => Standing::Nobody,
            (Some(account), None) => Standing::User(&account.name),
            (Some(_), Some(_)) => Standing::Several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> ClientCertificate {
        ClientCertificate {
            fingerprint: "ab".repeat(32),
            emails: vec!["alice@example.org".into()],
            dns: vec!["alice.example.org".into()],
            uris: vec!["urn:user:alice".into()],
            subject: "CN=alice,O=Example".into(),
            issuer: "CN=ca".into(),
            serial: "01".into(),
            ends: Timestamp::MAX,
        }
    }

    #[test]
    fn a_name_means_a_certificate_as_a_whole_or_not_at_all() {
        let is = |text: &str| certificate().is(&CertificateName::parse(text).unwrap());
        for right in [
            format!("sha256:{}", "AB:".repeat(32).trim_end_matches(':')),
            "email:alice@example.org".into(),
            "dns:Alice.Example.org".into(),
            "uri:urn:user:alice".into(),
            "subject:CN=alice,O=Example".into(),
        ] {
            assert!(is(&right), "{right}");
        }
        for wrong in
            ["email:ALICE@example.org", "email:alice@example.or", "dns:example.org", "uri:alice", "subject:CN=alice"]
        {
            assert!(!is(wrong), "{wrong}");
        }
    }
}
