//! The certificates and keys: in date, for the right names, whole, strong enough, and belonging
//! together.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::Examined;
use super::checks::Check;
use super::report::{Report, Severity};
use crate::config::files::{self, Links};
use crate::proto::host;
use crate::settings::{Config, Identity};
use crate::tls::{self, Problem, chain, facts, pem};

const RSA_BITS_MIN: u32 = 2048;
/// Largest collection of authorities that is read, in bytes.
const BUNDLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Where systems keep the authorities that they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// What `init` calls the certificate of its own authority, beside the server's.
const LOCAL_AUTHORITY: &str = "ca.pem";
/// Signature algorithms that clients refuse: MD5 and SHA-1 with RSA, SHA-1 with ECDSA.
const BROKEN: [&str; 3] = ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"];

/// The certificates that the server is to show: the first of each file.
pub(super) fn leaves(config: &Config) -> Vec<CertificateDer<'static>> {
    config
        .tls
        .identities
        .iter()
        .filter_map(|identity| pem::certificates(&read(&identity.certificate).ok()?).ok()?.into_iter().next())
        .collect()
}

/// Reads as the server does, which never waits for a FIFO.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    files::read(path, files::PEM_BYTES_MAX, Links::Follow).map(|content| content.bytes)
}

/// Days before its end at which a certificate is worth a warning, and an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Days {
    pub(in crate::cli) warning: i64,
    pub(in crate::cli) error: i64,
}

impl Days {
    /// Time enough to get a new one, and hardly any.
    pub(in crate::cli) const USUAL: Self = Self { warning: 30, error: 7 };
}

/// By what certificates are judged.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Measure<'a> {
    pub(in crate::cli) config: &'a Config,
    pub(in crate::cli) now: Timestamp,
    /// Names that the certificates are to carry besides those of the policy.
    pub(in crate::cli) names: &'a [String],
    pub(in crate::cli) days: Days,
    /// The directory in which the authority of one's own is looked for.
    pub(in crate::cli) authority: Option<&'a Path>,
}

/// Makes all checks of this family.
pub(super) fn check(examined: &Examined<'_>, report: &mut Report) {
    let Examined { config, now, names, .. } = *examined;
    for identity in &config.tls.identities {
        let measure = Measure { config, now, names, days: Days::USUAL, authority: identity.certificate.parent() };
        examine(identity, &measure, report);
    }
}

/// Reads and judges the files of an identity.
pub(in crate::cli) fn examine(identity: &Identity, measure: &Measure<'_>, report: &mut Report) {
    match read(&identity.certificate) {
        Ok(bytes) => judge(identity, &bytes, read(&identity.key), measure, report),
        Err(error) => unusable(format!("{} cannot be read: {error}", identity.certificate.display()), report),
    }
}

fn unusable(why: String, report: &mut Report) {
    let help =
        "[tls] identities has to name PEM files: the server's certificate with those that vouch for it, and its key";
    report.add(Check::CertificateFile, Severity::Error, why, help);
}

/// Judges what was read of both files of an identity, or is to become of them.
pub(in crate::cli) fn judge(
    identity: &Identity,
    certificate: &[u8],
    key: io::Result<Zeroizing<Vec<u8>>>,
    measure: &Measure<'_>,
    report: &mut Report,
) {
    let shown = identity.certificate.display();
    let chain = match pem::certificates(certificate) {
        Ok(chain) => chain,
        Err(error) => return unusable(format!("{shown}: {error}"), report),
    };
    let parsed: Result<Vec<_>, _> = chain.iter().map(|der| X509Certificate::from_der(der)).collect();
    let Ok(parsed) = parsed else { return unusable(format!("{shown}: a certificate in it is damaged"), report) };
    let parsed: Vec<X509Certificate<'_>> = parsed.into_iter().map(|(_, certificate)| certificate).collect();
    let Some((leaf, above)) = parsed.split_first() else { return };
    report.ok(Check::CertificateFile, format!("{shown} holds {} certificate(s)", chain.len()));
    for certificate in &parsed {
        dates(certificate, &shown.to_string(), measure, report);
    }
    names(&chain, identity, measure, report);
    strength(leaf, above, &shown.to_string(), report);
    order(&parsed, &shown.to_string(), report);
    pair(identity, &chain, key, &parsed, measure, report);
    trust(&chain, leaf, identity, measure, report);
}

fn dates(certificate: &X509Certificate<'_>, shown: &str, measure: &Measure<'_>, report: &mut Report) {
    let check = Check::CertificateDates;
    let Measure { now, days: limits, .. } = *measure;
    let (begin, end) = facts::validity(certificate);
    let days = facts::days_left(end, now);
    let what = format!("{shown} (of {})", certificate.subject());
    let (renew, day) =
        ("renew it, then portcullis reload: clients refuse a certificate that is out of date", facts::day);
    if now < begin {
        let help = "check this machine's clock (date -u), then the certificate";
        report.add(check, Severity::Error, format!("{what} is valid only from {} on", day(begin)), help);
    } else if now > end {
        report.add(check, Severity::Error, format!("{what} expired on {}", day(end)), renew);
    } else if days < limits.warning.max(limits.error) {
        let severity = if days < limits.error { Severity::Error } else { Severity::Warning };
        report.add(check, severity, format!("{what} expires in {days} days, on {}", day(end)), renew);
    } else {
        report.ok(check, format!("{what} is valid until {}", day(end)));
    }
}

/// The names of the policy, and those that were asked about for which this certificate is shown.
fn names(chain: &[CertificateDer<'static>], identity: &Identity, measure: &Measure<'_>, report: &mut Report) {
    let check = Check::CertificateNames;
    let leaf = chain.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    let covered = |name: &host::ServerName| {
        let name = ServerName::try_from(name.example().to_string()).ok();
        name.zip(leaf.as_ref()).is_some_and(|(name, leaf)| verify_server_name(leaf, &name).is_ok())
    };
    let asked = measure.names.iter().filter_map(|name| host::ServerName::parse(name).ok());
    let asked = asked.filter(|name| shown_for(measure.config, name).is_some_and(|shown| std::ptr::eq(shown, identity)));
    let mut wanted: Vec<host::ServerName> = identity.names.iter().cloned().chain(asked).collect();
    wanted.dedup();
    let (good, bad): (Vec<_>, Vec<_>) = wanted.into_iter().partition(covered);
    let list = |names: &[host::ServerName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if bad.is_empty() {
        report.ok(check, format!("{} is for {}", identity.certificate.display(), list(&good)));
    } else {
        let found = format!("{} is not for {}", identity.certificate.display(), list(&bad));
        let help = "clients that check names refuse it: get a certificate with these names, or correct `names` of its identity";
        report.add(check, Severity::Error, found, help);
    }
}

/// The identity that clients see who name this host.
fn shown_for<'a>(config: &'a Config, name: &host::ServerName) -> Option<&'a Identity> {
    let identities = &config.tls.identities;
    host::belongs_to(identities, |identity| &identity.names, &name.example()).or(identities.first())
}

fn strength(leaf: &X509Certificate<'_>, above: &[X509Certificate<'_>], shown: &str, report: &mut Report) {
    let kind = facts::key_kind(leaf.public_key());
    if let Some(bits) = kind.bits.filter(|bits| kind.name == "RSA" && *bits < RSA_BITS_MIN) {
        let help =
            "clients refuse it: make a new key (ECDSA P-256, or RSA of 2048 bits or more) and get a certificate for it";
        report.add(Check::CertificateKey, Severity::Error, format!("{shown} has an RSA key of {bits} bits"), help);
    }
    let signed = std::iter::once(leaf).chain(above.iter().filter(|one| one.subject() != one.issuer()));
    for certificate in signed {
        if BROKEN.contains(&certificate.signature_algorithm.algorithm.to_id_string().as_str()) {
            let found = format!("{shown}: the certificate of {} is signed with SHA-1 or MD5", certificate.subject());
            let help = "clients refuse it: get one that is signed with SHA-256";
            report.add(Check::CertificateChain, Severity::Error, found, help);
        }
    }
}

/// Whether the key can be used and is the certificate's. Names and dates
/// were judged already, so they are left out.
fn pair(
    identity: &Identity,
    chain: &[CertificateDer<'static>],
    key: io::Result<Zeroizing<Vec<u8>>>,
    parsed: &[X509Certificate<'_>],
    measure: &Measure<'_>,
    report: &mut Report,
) {
    let key = match key {
        Ok(key) => key,
        Err(error) => {
            // Root starts such a server, and reads the key before it changes to the account.
            let of_root = measure.config.process.run_as.is_some() && error.kind() == io::ErrorKind::PermissionDenied;
            let severity = if of_root { Severity::Note } else { Severity::Error };
            let found = format!("{} cannot be read: {error}", identity.key.display());
            let help = "run the doctor as root, or as the account that starts the server";
            report.add(Check::CertificateKey, severity, found, help);
            return;
        }
    };
    let nameless = Identity { names: Vec::new(), ..identity.clone() };
    // By the first certificate alone, on its first day: the dates of those above say nothing of the key.
    let leaf = pem::text_of(chain.get(..1).unwrap_or(chain));
    let within = parsed.first().map_or(Timestamp::UNIX_EPOCH, |leaf| facts::validity(leaf).0);
    match tls::check(&nameless, leaf.as_bytes(), &key, within) {
        Ok(()) => report.ok(Check::CertificateKey, format!("{} is its key", identity.key.display())),
        // It ends before it begins: its dates were judged.
        Err(error) if matches!(error.problem, Problem::Expired(_)) => {}
        Err(error) => {
            let help = "install the key and the certificate that belong together; compare: openssl x509 -pubkey -noout \
                        -in CERTIFICATE, and openssl pkey -pubout -in KEY";
            report.add(Check::CertificateKey, Severity::Error, error.to_string(), help);
        }
    }
}

fn order(parsed: &[X509Certificate<'_>], shown: &str, report: &mut Report) {
    if let Some(place) = chain::first_break(parsed) {
        let help = "put the server's certificate first, then each that vouches for the one before it";
        let found = format!("{shown}: {}", Problem::ChainOrder(place));
        report.add(Check::CertificateChain, Severity::Error, found, help);
    }
}

/// Whether a client that knows the authority at the top can follow the chain to it.
fn trust(
    certificates: &[CertificateDer<'static>],
    leaf: &X509Certificate<'_>,
    identity: &Identity,
    measure: &Measure<'_>,
    report: &mut Report,
) {
    let check = Check::CertificateChain;
    let shown = identity.certificate.display();
    if report.worst_of(check) == Some(Severity::Error) {
        return;
    }
    if chain::is_self_signed(leaf) {
        let help =
            "clients have to trust this very certificate; one of an authority can be renewed without asking them";
        report.add(check, Severity::Note, format!("{shown} is signed by itself"), help);
        return;
    }
    let system: Vec<_> = BUNDLES.iter().find_map(|path| read_bundle(Path::new(path))).unwrap_or_default();
    let beside = measure.authority.map(|directory| directory.join(LOCAL_AUTHORITY));
    let mut own = beside.and_then(|path| read_bundle(&path)).unwrap_or_default();
    own.extend(certificates.iter().skip(1).cloned());
    match verify(certificates, system, measure) {
        Ok(()) => return report.ok(check, format!("{shown} leads to an authority that this system knows")),
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer) | Error::General(_)) => {}
        Err(error) => return refused(&error, &shown.to_string(), report),
    }
    match verify(certificates, own, measure) {
        Ok(()) => {
            let found = format!("{shown} leads to an authority of one's own, which clients have to be given");
            report.ok(check, found);
        }
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer) | Error::General(_)) => {
            let found = format!("{shown} is issued by {}, which is not in the file and not known here", leaf.issuer());
            let help = "append the certificates between it and the authority (often called fullchain.pem); of an authority \
                        of your own, keep its certificate beside it as ca.pem";
            report.add(check, Severity::Warning, found, help);
        }
        Err(error) => refused(&error, &shown.to_string(), report),
    }
}

fn refused(error: &Error, shown: &str, report: &mut Report) {
    let found = format!("clients refuse {shown}: {error}");
    let help = "get the certificate again from its issuer, for a TLS server, with all that vouch for it";
    report.add(Check::CertificateChain, Severity::Error, found, help);
}

fn read_bundle(path: &Path) -> Option<Vec<CertificateDer<'static>>> {
    files::read(path, BUNDLE_BYTES_MAX, Links::Follow).ok().map(|content| pem::authorities(&content.bytes))
}

/// Verifies as a client does, but for dates and names.
fn verify(
    chain: &[CertificateDer<'static>],
    authorities: Vec<CertificateDer<'static>>,
    measure: &Measure<'_>,
) -> Result<(), Error> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(authorities);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let (leaf, between) = chain.split_first().ok_or_else(|| Error::General("no certificate".to_owned()))?;
    let name = ServerName::try_from("localhost").map_err(|error| Error::General(error.to_string()))?;
    let second = u64::try_from(measure.now.as_second()).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(second));
    match verifier.verify_server_cert(leaf, between, &name, &[], now) {
        Ok(_)
        | Err(Error::InvalidCertificate(
            CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }
            | CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => Ok(()),
        Err(error) => Err(error),
    }
}
