//! A certificate and key that `[tls]` names: there, readable by the right people, in date, and
//! for the right names. Whether they belong together, [`crate::tls`] says as when it loads them.

use std::path::Path;

use jiff::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::{self, Kind, Links};
use super::findings::{Findings, Place, shown};
use super::problem::Subject;
use super::{Identity, RunAs};
use crate::proto::host::ServerName;
use crate::tls::{self, facts, pem};

/// Days before its end at which a certificate is worth a warning.
const DAYS_LEFT_LOW: i64 = 30;

/// Where an identity names the files and the names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) certificate: Place,
    pub(super) key: Place,
    pub(super) ocsp: Place,
    pub(super) names: Place,
}

/// Judges both files.
pub(super) fn judge(
    identity: &Identity,
    places: Places,
    run_as: Option<&RunAs>,
    now: Timestamp,
    findings: &mut Findings,
) {
    let before = findings.errors();
    findings.about(Subject::Certificate);
    let files = judge_alone(identity, places, run_as, now, findings);
    let Some((certificate, key)) = files.filter(|_| findings.errors() == before) else { return };
    judge_staple(identity, &certificate.bytes, places.ocsp, now, findings);
    if let Err(error) = tls::check(identity, &certificate.bytes, &key.bytes, now) {
        let place = if error.file == identity.key { places.key } else { places.certificate };
        findings.error(place, error.to_string(), "the server would not start with these files");
    }
}

/// Judges the OCSP response. Without a good one the server serves all the same.
fn judge_staple(identity: &Identity, certificate: &[u8], place: Place, now: Timestamp, findings: &mut Findings) {
    let (Some(file), Ok(chain)) = (&identity.ocsp, pem::certificates(certificate)) else { return };
    let problem = match files::read(file, files::PEM_BYTES_MAX, Links::Follow) {
        Ok(content) => tls::staple::ends(&content.bytes, &chain, now).err().map(|problem| problem.to_string()),
        Err(error) => Some(format!("cannot be read: {error}")),
    };
    if let Some(problem) = problem {
        let help = "the certificate is shown without it; fetch it as DER: openssl ocsp -respout FILE …";
        findings.warning(place, format!("{}: {problem}", file.display()), help);
    }
}

/// Judges each file by itself; both are returned where they can be read.
fn judge_alone(
    identity: &Identity,
    places: Places,
    run_as: Option<&RunAs>,
    now: Timestamp,
    findings: &mut Findings,
) -> Option<(files::Content, files::Content)> {
    let certificate = read(&identity.certificate, Kind::Public, run_as, places.certificate, findings);
    if let Some(content) = &certificate {
        match pem::certificates(&content.bytes) {
            Ok(chain) => judge_leaf(identity, chain.first().map(AsRef::as_ref), places, now, findings),
            Err(error) => findings.error(
                places.certificate,
                format!("{}: {error}", identity.certificate.display()),
                "give the PEM file with the server's certificate first, then those between it and the CA",
            ),
        }
    }
    let key = read(&identity.key, Kind::Key, run_as, places.key, findings);
    if let Some(Err(error)) = key.as_ref().map(|content| pem::private_key(&content.bytes)) {
        let message = format!("{}: {error}", identity.key.display());
        findings.error(places.key, message, "give the PEM file with the private key, without a passphrase");
    }
    certificate.zip(key)
}

fn read(
    path: &Path,
    kind: Kind,
    run_as: Option<&RunAs>,
    place: Place,
    findings: &mut Findings,
) -> Option<files::Content> {
    match files::read(path, files::PEM_BYTES_MAX, Links::Follow) {
        Ok(content) => {
            findings.about(Subject::Owners);
            files::judge(path, &content.metadata, kind, run_as, place, findings);
            findings.about(Subject::Certificate);
            Some(content)
        }
        Err(error) => {
            let help = match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "check its owner and mode; a running server reads the directories of its start alone, so restart it for \
                     another one"
                }
                _ => "paths are relative to the policy directory; `portcullis init` makes a first certificate",
            };
            findings.error(place, format!("{} cannot be read: {error}", path.display()), help);
            None
        }
    }
}

fn judge_leaf(identity: &Identity, leaf: Option<&[u8]>, places: Places, now: Timestamp, findings: &mut Findings) {
    let path = identity.certificate.display();
    let Some((_, leaf)) = leaf.and_then(|der| X509Certificate::from_der(der).ok()) else {
        let message = format!("{path}: the first certificate is not valid X.509");
        findings.error(places.certificate, message, "make or fetch the certificate again");
        return;
    };
    let (begin, end) = facts::validity(&leaf);
    let renew = "renew it: clients refuse a certificate out of date";
    if now > end {
        findings.error(places.certificate, format!("{path} expired on {}", facts::day(end)), renew);
    } else if facts::days_left(end, now) < DAYS_LEFT_LOW {
        findings.warning(places.certificate, format!("{path} expires on {}", facts::day(end)), renew);
    }
    if now < begin {
        let message = format!("{path} is valid only from {} on", facts::day(begin));
        findings.error(places.certificate, message, "check this machine's clock, and the certificate");
    }
    let covered = facts::names(&leaf);
    let covers = |name: &ServerName| covered.iter().any(|known| covers(known, name));
    for name in identity.names.iter().filter(|name| !covers(name)) {
        let message = format!("{path} is not for `{name}`");
        let help = if covered.is_empty() {
            "it has no names at all (subjectAltName): make one that has".to_owned()
        } else {
            format!("it is for: {}", shown(&covered.join(", ")))
        };
        findings.error(places.names, message, help);
    }
}

/// Whether a name of a certificate covers a name of the server: the same, or `*` for its first
/// label (RFC 6125 §6.4.3).
fn covers(known: &str, name: &ServerName) -> bool {
    ServerName::parse(known).is_ok_and(|known| known.covers(&name.example()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_covers_one_label() {
        let covers = |known: &str, name: &str| covers(known, &ServerName::parse(name).unwrap());
        assert!(covers("files.example.org", "files.example.org"));
        assert!(covers("*.example.org", "files.example.org"));
        assert!(covers("*.example.org", "*.example.org"));
        assert!(covers("2001:db8::1", "2001:DB8:0::1"));
        assert!(!covers("*.example.org", "a.files.example.org"));
        assert!(!covers("*.example.org", "example.org"));
        assert!(!covers("files.example.org", "*.example.org"));
    }
}
