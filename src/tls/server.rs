//! What the TLS of all sessions has in common: certificates, versions, suites, groups.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::Timestamp;
use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite, kx_group as group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use tokio::sync::Semaphore;

use super::clients::Clients;
use super::identities::{Identities, Identity};
use super::load::{LoadError, trusting};
use super::material::Material;
use super::parting::LINGERING_MAX;
use super::refresh::Watch;
use super::session::SessionTls;
use super::tickets::Registry;
use crate::policy::tls::TlsVersion;
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

/// What all sessions have in common. Certificates are replaced in it while it serves.
pub struct ServerTls {
    pub(super) settings: settings::Tls,
    pub(super) provider: Arc<CryptoProvider>,
    /// What sessions begin with at this moment.
    material: RwLock<Arc<Material>>,
    /// Of what was read, which files may become others.
    pub(super) watch: Mutex<Watch>,
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
        let now = Timestamp::now();
        // Before anything is read, so that what changes meanwhile is seen.
        let mut watch = Watch::new(settings);
        let mut all = Vec::new();
        for identity in &settings.identities {
            let (loaded, stapled) = Identity::load(identity, &provider, &trusting, now)?;
            watch.told_at_start(identity, stapled);
            all.push(Arc::new(loaded));
        }
        let identities = Identities::new(all, settings.unknown_names)?;
        let load = |clients| Clients::load(clients, &provider, &trusting, now).map(Arc::new);
        let clients = settings.clients.as_ref().map(load).transpose()?;
        let material = Material::new(settings, &provider, identities, clients)?;
        Ok(Self {
            settings: settings.clone(),
            provider,
            material: RwLock::new(Arc::new(material)),
            watch: Mutex::new(watch),
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

    /// Begins the TLS of one control connection, with a ticket key of its own. It and its data
    /// connections are offered no version above `maximum`.
    ///
    /// # Errors
    /// [`NoRandomness`] where no key can be made.
    pub fn session(self: &Arc<Self>, maximum: TlsVersion) -> Result<Arc<SessionTls>, NoRandomness> {
        SessionTls::new(Arc::clone(self), maximum).map(Arc::new)
    }

    /// What a session begins with that begins now.
    pub(super) fn material(&self) -> Arc<Material> {
        Arc::clone(&self.material.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sessions that begin from here on begin with this.
    pub(super) fn replace(&self, material: Material) {
        *self.material.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(material);
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("material", &self.material()).finish_non_exhaustive()
    }
}

pub(super) fn provider() -> CryptoProvider {
    CryptoProvider { cipher_suites: SUITES.to_vec(), kx_groups: GROUPS.to_vec(), ..aws_lc_rs::default_provider() }
}
