//! The client's side of TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::client::{ClientSessionMemoryCache, Resumption, Tls12Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// The version that a client offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.3: a ticket is used once, four come with the control connection.
    #[default]
    Tls13,
    /// TLS 1.2 with tickets, each of them good for ever.
    Tls12,
    /// TLS 1.2 with session ids.
    Tls12Ids,
    /// Both, the server chooses.
    Any,
}

/// A client with a memory of sessions of its own, that trusts the authority in the file.
pub fn client(authority: &Path, version: Version, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let versions: &[_] = match version {
        Version::Tls13 => &[&rustls::version::TLS13],
        Version::Tls12 | Version::Tls12Ids => &[&rustls::version::TLS12],
        Version::Any => &[&rustls::version::TLS13, &rustls::version::TLS12],
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let memory = Resumption::store(Arc::new(ClientSessionMemoryCache::new(64)));
    config.resumption = match version {
        Version::Tls12Ids => memory.tls12_resumption(Tls12Resumption::SessionIdOnly),
        _ => memory,
    };
    Arc::new(config)
}

/// Lets a client show the certificate `FILE.pem` with the key `FILE.key`.
pub fn show_certificate(config: &mut ClientConfig, file: &Path) {
    let chain = CertificateDer::pem_file_iter(file.with_extension("pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(file.with_extension("key")).unwrap();
    let key = CertifiedKey::from_der(chain, key, config.crypto_provider()).unwrap();
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(key));
}

/// The name of the server that every test makes.
pub const NAME: &str = "localhost";

/// A handshake with a server of this name, about to begin.
pub fn begin(config: &Arc<ClientConfig>, name: &'static str) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), ServerName::try_from(name).unwrap()).unwrap()
}
