//! A certificate chain and its key: read, checked against each other and against the clock.

use std::fmt;
use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::OFlags;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{self, CertificateDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{chain, facts, pem};
use crate::proto::host::ServerName;
use crate::settings;

/// Largest certificate or key file read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why the server's certificate or key cannot be used.
#[derive(Debug)]
pub struct LoadError {
    /// The file concerned.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a certificate or key file.
#[derive(Debug)]
pub enum Problem {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is larger than any chain or key.
    TooLarge,
    /// It is not PEM, or holds no section of the wanted kind; says which.
    NotPem(String),
    /// The certificate at this place of the chain (from 1) cannot be parsed.
    NotCertificate(usize),
    /// The certificate at this place of the chain (from 1) is not issued by the one behind it.
    ChainOrder(usize),
    /// A certificate of the chain expired at that time.
    Expired(Timestamp),
    /// A certificate of the chain is valid only from that time on.
    NotYetValid(Timestamp),
    /// The certificate does not carry this name of its identity.
    NameMissing(String),
    /// The private key is of a kind that cannot sign here; says why.
    UnusableKey(String),
    /// The private key is not the one of the certificate.
    KeyMismatch,
    /// The TLS library does not take the settings; says why.
    Rejected(String),
    /// Its owner or mode lets others read or change it; says how, and what to do.
    Unsafe(String),
    /// The certificate at this place (from 1) is none of an authority.
    NoAuthority(usize),
    /// It is no list of revoked certificates; says why.
    NoList(String),
    /// The list of revoked certificates is not signed by the authority that it names.
    ForeignList(String),
    /// The OCSP response cannot be shown with the certificate; says why.
    NoStaple(String),
    /// The OCSP response ended at that time.
    StapleExpired(Timestamp),
}

impl Problem {
    /// The word for the audit log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::TooLarge => "too_large",
            Self::NotPem(_) => "not_pem",
            Self::NotCertificate(_) => "damaged",
            Self::ChainOrder(_) => "chain_order",
            Self::Expired(_) | Self::StapleExpired(_) => "expired",
            Self::NotYetValid(_) => "not_yet_valid",
            Self::NameMissing(_) => "name_missing",
            Self::UnusableKey(_) => "unusable_key",
            Self::KeyMismatch => "key_mismatch",
            Self::Rejected(_) => "rejected",
            Self::Unsafe(_) => "unsafe_mode",
            Self::NoAuthority(_) => "no_authority",
            Self::NoList(_) => "no_list",
            Self::ForeignList(_) => "foreign_list",
            Self::NoStaple(_) => "no_staple",
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => {
                write!(f, "cannot be read ({error}): check the path and that the server's account may read it")
            }
            Self::TooLarge => write!(f, "larger than {FILE_BYTES_MAX} bytes: not a certificate chain or key"),
            Self::NotPem(what) => {
                write!(
                    f,
                    "{what}: the file must be PEM, as in -----BEGIN CERTIFICATE----- or -----BEGIN PRIVATE KEY-----"
                )
            }
            Self::NotCertificate(place) => {
                write!(f, "certificate {place} in the file is damaged: get the chain again from its issuer")
            }
            Self::ChainOrder(place) => write!(
                f,
                "certificate {place} is not issued by the one behind it: put the server's certificate first, \
                 then each issuer in turn"
            ),
            Self::Expired(time) => write!(f, "expired at {time}: renew the certificate"),
            Self::NotYetValid(time) => write!(f, "valid only from {time} on: check the clock, or wait"),
            Self::NameMissing(name) => {
                write!(f, "not valid for \"{name}\": get a certificate for it, or correct the names in tls.identities")
            }
            Self::UnusableKey(why) => {
                write!(
                    f,
                    "the private key cannot be used ({why}): use ECDSA P-256, P-384, Ed25519 or RSA of 2048 bits or more"
                )
            }
            Self::KeyMismatch => {
                f.write_str("not the private key of the certificate: install the pair that belongs together")
            }
            Self::Rejected(why) => write!(f, "not accepted by the TLS library: {why}"),
            Self::Unsafe(what) => f.write_str(what),
            Self::NoAuthority(place) => {
                write!(f, "certificate {place} in the file is none of an authority (CA): take it out")
            }
            Self::NoList(why) => write!(f, "no list of revoked certificates: {why}: give one as PEM or DER"),
            Self::ForeignList(issuer) => {
                write!(f, "this list of revoked certificates is not signed by {issuer}: get it from that authority")
            }
            Self::NoStaple(why) => write!(f, "no OCSP response to show: {why}: fetch it again"),
            Self::StapleExpired(time) => write!(f, "the OCSP response ended at {time}: fetch it again"),
        }
    }
}

impl std::error::Error for LoadError {}

/// A chain and its key, checked, with the end of the first validity to end.
pub(super) struct Loaded {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) expires: Timestamp,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// Anybody.
    Public,
    /// Nobody but the server.
    Private,
}

/// Judges owner and mode of a file that is being read; says what is wrong and what to do. Where the
/// policy was judged as a whole just before, [`trusting`] is enough.
pub type Guard<'a> = &'a dyn Fn(&Path, &Metadata, Secrecy) -> Result<(), String>;

/// Takes every file as it is.
///
/// # Errors
/// None.
pub fn trusting(_: &Path, _: &Metadata, _: Secrecy) -> Result<(), String> {
    Ok(())
}

/// Reads and checks the files that the settings name.
pub(super) fn load(
    settings: &settings::Identity,
    provider: &CryptoProvider,
    guard: Guard<'_>,
    now: Timestamp,
) -> Result<Loaded, LoadError> {
    let read = |file: &Path, secrecy| {
        read(file, secrecy, guard).map_err(|problem| LoadError { file: file.to_owned(), problem })
    };
    let certificate = read(&settings.certificate, Secrecy::Public)?;
    let key = read(&settings.key, Secrecy::Private)?;
    judge(settings, &certificate, &key, provider, now)
}

/// Checks what was read of both files as loading them does, for those who only want to know.
///
/// # Errors
/// What [`ServerTls::load`](super::ServerTls::load) would say.
pub fn check(settings: &settings::Identity, certificate: &[u8], key: &[u8], now: Timestamp) -> Result<(), LoadError> {
    judge(settings, certificate, key, &super::server::provider(), now).map(drop)
}

fn judge(
    settings: &settings::Identity,
    certificate: &[u8],
    key: &[u8],
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<Loaded, LoadError> {
    let of_chain = |problem| LoadError { file: settings.certificate.clone(), problem };
    let of_key = |problem| LoadError { file: settings.key.clone(), problem };
    let chain = pem::certificates(certificate).map_err(|e| of_chain(Problem::NotPem(e.to_string())))?;
    let expires = check_chain(&chain, now).map_err(of_chain)?;
    check_names(&chain, &settings.names).map_err(of_chain)?;

    let key = pem::private_key(key).map_err(|e| of_key(Problem::NotPem(e.to_string())))?;
    let key =
        provider.key_provider.load_private_key(key).map_err(|error| of_key(Problem::UnusableKey(error.to_string())))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => of_key(Problem::KeyMismatch),
        other => of_key(Problem::UnusableKey(other.to_string())),
    })?;
    Ok(Loaded { certified: Arc::new(certified), expires })
}

/// Reads a regular file. Never waits for a FIFO.
pub(super) fn read(path: &Path, secrecy: Secrecy, guard: Guard<'_>) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(Problem::Unreadable)?;
    let metadata = file.metadata().map_err(Problem::Unreadable)?;
    if !metadata.is_file() {
        return Err(Problem::Unreadable(io::Error::other("not a regular file")));
    }
    guard(path, &metadata, secrecy).map_err(Problem::Unsafe)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(Problem::Unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        Ok(bytes)
    } else {
        Err(Problem::TooLarge)
    }
}

/// Each certificate must be valid now and be issued by the next. A client checks the signatures;
/// what is caught here are the mistakes of installing.
fn check_chain(chain: &[CertificateDer<'static>], now: Timestamp) -> Result<Timestamp, Problem> {
    let mut parsed = Vec::new();
    for (place, der) in (1_usize..).zip(chain) {
        parsed.push(X509Certificate::from_der(der).map_err(|_| Problem::NotCertificate(place))?.1);
    }
    if let Some(place) = chain::first_break(&parsed) {
        return Err(Problem::ChainOrder(place));
    }
    let mut expires = Timestamp::MAX;
    for certificate in &parsed {
        let (first, last) = facts::validity(certificate);
        if now > last {
            return Err(Problem::Expired(last));
        }
        if now < first {
            return Err(Problem::NotYetValid(first));
        }
        expires = expires.min(last);
    }
    Ok(expires)
}

fn check_names(chain: &[CertificateDer<'static>], names: &[ServerName]) -> Result<(), Problem> {
    let leaf = chain.first().ok_or(Problem::NotCertificate(1))?;
    let leaf = ParsedCertificate::try_from(leaf).map_err(|_| Problem::NotCertificate(1))?;
    for name in names {
        let missing = || Problem::NameMissing(name.to_string());
        // A wildcard is there where any name of its kind is accepted.
        let wanted = pki_types::ServerName::try_from(name.example().to_string()).map_err(|_| missing())?;
        verify_server_name(&leaf, &wanted).map_err(|_| missing())?;
    }
    Ok(())
}
