//! Who the server is: its certificates, and which of them a client is shown.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::server::ResolvesServerCert;
use rustls::sign::SingleCertAndKey;

use super::load::{self, LoadError, Problem};
use crate::proto::host::{self, ServerName};
use crate::settings::{self, UnknownNames};

/// One certificate with its key and names.
pub(super) struct Identity {
    pub(super) names: Arc<[ServerName]>,
    pub(super) certificate: Arc<dyn ResolvesServerCert>,
    /// When the first certificate of the chain expires.
    pub(super) expires: Timestamp,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("names", &self.names).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Every identity of the server.
#[derive(Debug)]
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
    /// Reads and checks every certificate and key.
    pub(super) fn load(settings: &settings::Tls, provider: &CryptoProvider) -> Result<Self, LoadError> {
        let now = Timestamp::now();
        let load = |identity: &settings::Identity| {
            let loaded = load::load(identity, provider, now)?;
            let certificate = Arc::new(SingleCertAndKey::from(loaded.certified));
            Ok(Arc::new(Identity { names: identity.names.as_slice().into(), certificate, expires: loaded.expires }))
        };
        let all: Vec<_> = settings.identities.iter().map(load).collect::<Result<_, _>>()?;
        let first = all.first().map(Arc::clone).ok_or_else(|| LoadError {
            file: "server.toml".into(),
            problem: Problem::Rejected("tls.identities is empty".to_owned()),
        })?;
        Ok(Self { first, all, unknown_names: settings.unknown_names })
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
