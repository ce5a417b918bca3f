//! What is replaced as a whole where files of certificates change: the identities, the authorities
//! of clients, and what connections are configured with by them.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::clients::Clients;
use super::identities::Identities;
use super::load::{LoadError, Problem};
use super::server::ALPN;
use crate::policy::tls::TlsVersion;
use crate::settings;

/// One reading of the files.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) identities: Identities,
    pub(super) clients: Option<Arc<Clients>>,
    /// Of control connections, and of data connections that have to show a client certificate.
    asking: Bases,
    /// Of all other data connections: what was shown once is not asked for again.
    silent: Bases,
}

/// What connections are configured with.
#[derive(Debug)]
struct Bases {
    /// For clients that are offered every version from the minimum on.
    full: ServerConfig,
    /// For clients that are held to TLS 1.2.
    held: ServerConfig,
}

impl Material {
    /// Puts it together.
    pub(super) fn new(
        settings: &settings::Tls,
        provider: &Arc<CryptoProvider>,
        identities: Identities,
        clients: Option<Arc<Clients>>,
    ) -> Result<Self, LoadError> {
        let base = |maximum, clients| base(settings, maximum, provider, &identities, clients);
        let bases = |clients| -> Result<Bases, LoadError> {
            Ok(Bases { full: base(TlsVersion::Tls13, clients)?, held: base(TlsVersion::Tls12, clients)? })
        };
        let (asking, silent) = (bases(clients.as_deref())?, bases(None)?);
        Ok(Self { identities, clients, asking, silent })
    }

    /// What connections are configured with that are offered no version above `maximum`; `asking`
    /// those that may or must show a client certificate, where the settings have such.
    pub(super) fn base(&self, maximum: TlsVersion, asking: bool) -> &ServerConfig {
        let bases = if asking { &self.asking } else { &self.silent };
        match maximum {
            TlsVersion::Tls12 => &bases.held,
            TlsVersion::Tls13 => &bases.full,
        }
    }
}

fn base(
    settings: &settings::Tls,
    maximum: TlsVersion,
    provider: &Arc<CryptoProvider>,
    identities: &Identities,
    clients: Option<&Clients>,
) -> Result<ServerConfig, LoadError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions(settings.minimum, maximum))
        .map_err(|error| LoadError { file: "tls".into(), problem: Problem::Rejected(error.to_string()) })?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(&clients.verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut base = builder.with_cert_resolver(Arc::clone(&identities.first().certificate));
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
