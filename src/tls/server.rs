//! What the TLS of all sessions has in common: certificates, versions, suites, groups.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite, kx_group as group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};
use tokio::sync::Semaphore;

use super::identities::Identities;
use super::load::{LoadError, Problem};
use super::parting::LINGERING_MAX;
use super::session::SessionTls;
use super::tickets::Registry;
use crate::policy::tls::TlsVersion;
use crate::proto::host::ServerName;
use crate::settings;

/// The suites accepted, best first: AEAD with forward secrecy. Written out, so that a library
/// update cannot widen the list.
pub(super) const SUITES: [SupportedCipherSuite; 9] = [
    suite::TLS13_AES_256_GCM_SHA384,
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The key exchange groups accepted, best first.
pub(super) const GROUPS: [&dyn SupportedKxGroup; 4] =
    [group::X25519MLKEM768, group::X25519, group::SECP256R1, group::SECP384R1];

/// The protocol name that clients may ask for by ALPN (RFC 7301); a client that asks for others
/// alone is refused (ALPACA, CVE-2021-3618).
pub(super) const ALPN: &[u8] = b"ftp";

/// The system's random number generator failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system's random number generator failed: no TLS session can begin")
    }
}

impl std::error::Error for NoRandomness {}

/// What all sessions begun under one reading of the certificates share.
pub struct ServerTls {
    /// For clients that are offered every version from the minimum on.
    base: ServerConfig,
    /// For clients that are held to TLS 1.2.
    held_base: ServerConfig,
    pub(super) identities: Identities,
    pub(super) registry: Arc<Registry>,
    /// One permit for each refused data connection that is being closed gently.
    pub(super) lingering: Arc<Semaphore>,
}

impl ServerTls {
    /// Reads certificates and keys and checks that a client could accept them.
    ///
    /// # Errors
    /// [`LoadError`] says which file, what is wrong with it, and what to do.
    pub fn load(settings: &settings::Tls) -> Result<Self, LoadError> {
        let provider = Arc::new(provider());
        let identities = Identities::load(settings, &provider)?;
        let base = |maximum| base(settings, maximum, &provider, &identities);
        Ok(Self {
            base: base(TlsVersion::Tls13)?,
            held_base: base(TlsVersion::Tls12)?,
            identities,
            registry: Arc::new(Registry::default()),
            lingering: Arc::new(Semaphore::new(LINGERING_MAX)),
        })
    }

    /// Reads the certificates and settings that follow on these. Sessions of either know of each
    /// other's tickets as far as the policy lets them.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn successor(&self, settings: &settings::Tls) -> Result<Self, LoadError> {
        let next = Self::load(settings)?;
        Ok(Self { registry: Arc::clone(&self.registry), lingering: Arc::clone(&self.lingering), ..next })
    }

    /// When each certificate ends, with the first name that it stands for.
    pub fn expiries(&self) -> impl Iterator<Item = (&ServerName, Timestamp)> {
        self.identities.all().iter().filter_map(|identity| Some((identity.names.first()?, identity.expires)))
    }

    /// Begins the TLS of one control connection, with a ticket key of its own. It and its data
    /// connections are offered no version above `maximum`.
    ///
    /// # Errors
    /// [`NoRandomness`] where no key can be made.
    pub fn session(self: &Arc<Self>, maximum: TlsVersion) -> Result<Arc<SessionTls>, NoRandomness> {
        SessionTls::new(Arc::clone(self), maximum).map(Arc::new)
    }

    /// What connections are configured with that are offered no version above `maximum`.
    pub(super) fn base(&self, maximum: TlsVersion) -> &ServerConfig {
        match maximum {
            TlsVersion::Tls12 => &self.held_base,
            TlsVersion::Tls13 => &self.base,
        }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("identities", &self.identities).finish_non_exhaustive()
    }
}

pub(super) fn provider() -> CryptoProvider {
    CryptoProvider { cipher_suites: SUITES.to_vec(), kx_groups: GROUPS.to_vec(), ..aws_lc_rs::default_provider() }
}

fn base(
    settings: &settings::Tls,
    maximum: TlsVersion,
    provider: &Arc<CryptoProvider>,
    identities: &Identities,
) -> Result<ServerConfig, LoadError> {
    let mut base = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions(settings.minimum, maximum))
        .map_err(|error| LoadError { file: "tls".into(), problem: Problem::Rejected(error.to_string()) })?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&identities.first().certificate));
    base.alpn_protocols = vec![ALPN.to_vec()];
    base.max_early_data_size = 0;
    base.send_half_rtt_data = false;
    base.require_ems = settings.require_extended_master_secret;
    base.session_storage = Arc::new(NoServerSessionStorage {});
    base.send_tls13_tickets = 0;
    base.max_tls13_tickets = 0;
    Ok(base)
}

static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
static TLS12_ONLY: [&SupportedProtocolVersion; 1] = [&version::TLS12];
static TLS13_ONLY: [&SupportedProtocolVersion; 1] = [&version::TLS13];

/// The policy has no exception below the minimum; were there one, the minimum would stand.
fn versions(minimum: TlsVersion, maximum: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match (minimum, maximum) {
        (TlsVersion::Tls12, TlsVersion::Tls13) => &BOTH,
        (TlsVersion::Tls12, TlsVersion::Tls12) => &TLS12_ONLY,
        (TlsVersion::Tls13, _) => &TLS13_ONLY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_below_the_minimum() {
        let offered = |minimum, maximum| versions(minimum, maximum).iter().map(|v| v.version).collect::<Vec<_>>();
        let (tls12, tls13) = (rustls::ProtocolVersion::TLSv1_2, rustls::ProtocolVersion::TLSv1_3);
        assert_eq!(offered(TlsVersion::Tls12, TlsVersion::Tls13), [tls13, tls12]);
        assert_eq!(offered(TlsVersion::Tls12, TlsVersion::Tls12), [tls12]);
        assert_eq!(offered(TlsVersion::Tls13, TlsVersion::Tls13), [tls13]);
        assert_eq!(offered(TlsVersion::Tls13, TlsVersion::Tls12), [tls13]);
    }
}
