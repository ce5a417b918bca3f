//! Who the server is: its certificates, and which of them a client is shown.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::load::{self, Guard, LoadError, Problem, Secrecy};
use super::staple::Staple;
use super::{client_certificate, staple};
use crate::proto::host::{self, ServerName};
use crate::settings::{self, UnknownNames};

/// One certificate with its key and names.
pub(super) struct Identity {
    pub(super) names: Arc<[ServerName]>,
    pub(super) certificate: Arc<dyn ResolvesServerCert>,
    /// Chain and key by themselves, as they were read.
    certified: Arc<CertifiedKey>,
    /// The authority's word that is shown with it.
    pub(super) staple: Option<Staple>,
    /// When the first certificate of the chain expires.
    pub(super) expires: Timestamp,
}

impl Identity {
    fn new(names: Arc<[ServerName]>, certified: Arc<CertifiedKey>, staple: Option<Staple>, expires: Timestamp) -> Self {
        let mut shown = CertifiedKey::clone(&certified);
        shown.ocsp = staple.as_ref().map(|staple| staple.der.clone());
        Self { names, certificate: Arc::new(SingleCertAndKey::from(shown)), certified, staple, expires }
    }

    /// Reads and checks the files of an identity. What is wrong with its OCSP response is no reason to
    /// do without the certificate.
    pub(super) fn load(
        settings: &settings::Identity,
        provider: &CryptoProvider,
        guard: Guard<'_>,
        now: Timestamp,
    ) -> Result<(Self, Result<(), LoadError>), LoadError> {
        let loaded = load::load(settings, provider, guard, now)?;
        let (staple, fault) = match staple_of(settings, &loaded.certified, guard, now) {
            Ok(staple) => (staple, Ok(())),
            Err(fault) => (None, Err(fault)),
        };
        Ok((Self::new(settings.names.as_slice().into(), loaded.certified, staple, loaded.expires), fault))
    }

    /// The same certificate with the OCSP response that is in the file now.
    pub(super) fn with_staple(
        &self,
        settings: &settings::Identity,
        guard: Guard<'_>,
        now: Timestamp,
    ) -> Result<Self, LoadError> {
        let staple = staple_of(settings, &self.certified, guard, now)?;
        Ok(Self::new(Arc::clone(&self.names), Arc::clone(&self.certified), staple, self.expires))
    }

    /// The same certificate by itself.
    pub(super) fn without_staple(&self) -> Self {
        Self::new(Arc::clone(&self.names), Arc::clone(&self.certified), None, self.expires)
    }

    /// SHA-256 over the certificate, in lower-case hexadecimal.
    pub(super) fn fingerprint(&self) -> Option<String> {
        self.certified.cert.first().map(|der| client_certificate::fingerprint(der))
    }
}

fn staple_of(
    settings: &settings::Identity,
    certified: &CertifiedKey,
    guard: Guard<'_>,
    now: Timestamp,
) -> Result<Option<Staple>, LoadError> {
    let Some(file) = &settings.ocsp else { return Ok(None) };
    let failed = |problem| LoadError { file: file.clone(), problem };
    let bytes = load::read(file, Secrecy::Public, guard).map_err(failed)?;
    staple::check(&bytes, &certified.cert, now).map(Some).map_err(failed)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("names", &self.names).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Every identity of the server.
#[derive(Clone, Debug)]
pub(super) struct Identities {
    /// What is shown to clients that name no server.
    first: Arc<Identity>,
    /// All of them, the first included.
    all: Vec<Arc<Identity>>,
    unknown_names: UnknownNames,
}

/// A client named a server that is not known here, and such are refused.
#[derive(Debug)]
pub(super) struct UnknownName(pub(super) String);

impl Identities {
    /// These, in their order; at least one.
    pub(super) fn new(all: Vec<Arc<Identity>>, unknown_names: UnknownNames) -> Result<Self, LoadError> {
        let first = all.first().map(Arc::clone).ok_or_else(|| LoadError {
            file: "server.toml".into(),
            problem: Problem::Rejected("tls.identities is empty".to_owned()),
        })?;
        Ok(Self { first, all, unknown_names })
    }

    /// The same with another in the place of one.
    pub(super) fn with(&self, place: usize, identity: Identity) -> Result<Self, LoadError> {
        let mut all = self.all.clone();
        if let Some(old) = all.get_mut(place) {
            *old = Arc::new(identity);
        }
        Self::new(all, self.unknown_names)
    }

    /// What is shown to clients that name no server.
    pub(super) fn first(&self) -> &Arc<Identity> {
        &self.first
    }

    /// Every identity.
    pub(super) fn all(&self) -> &[Arc<Identity>] {
        &self.all
    }

    /// The identity for a client that named this server in its handshake, or none.
    pub(super) fn choose(&self, named: Option<&str>) -> Result<&Arc<Identity>, UnknownName> {
        let Some(named) = named else { return Ok(&self.first) };
        let host = host::host(named.as_bytes()).ok();
        let known = host.and_then(|host| host::belongs_to(&self.all, |identity| &identity.names, &host));
        match (known, self.unknown_names) {
            (Some(identity), _) => Ok(identity),
            (None, UnknownNames::Default) => Ok(&self.first),
            (None, UnknownNames::Refuse) => Err(UnknownName(named.to_owned())),
        }
    }
}
