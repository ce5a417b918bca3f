use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls12Resumption, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::server::{GROUPS, SUITES, provider};
use super::*;
use crate::policy::binding::DataBinding;
use crate::policy::tls::TlsVersion;
use crate::settings::{self, UnknownNames};

mod binding;
mod files;
mod identities;

const LIMIT: Duration = Duration::from_secs(10);
const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A client's memory of sessions that counts the tickets it is given.
#[derive(Debug, Default)]
struct Memory {
    tickets13: Mutex<VecDeque<Tls13ClientSessionValue>>,
    session12: Mutex<Option<Tls12ClientSessionValue>>,
    given13: AtomicUsize,
    given12: AtomicUsize,
    /// Keeps the first TLS 1.2 session, as a client does that copies the control connection's.
    first_only: bool,
}

impl ClientSessionStore for Memory {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.given12.fetch_add(1, Ordering::SeqCst);
        let mut held = self.session12.lock().unwrap();
        if !self.first_only || held.is_none() {
            *held = Some(value);
        }
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.session12.lock().unwrap().clone()
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.given13.fetch_add(1, Ordering::SeqCst);
        self.tickets13.lock().unwrap().push_back(value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tickets13.lock().unwrap().pop_front()
    }
}

/// A server and the root that its clients trust.
struct World {
    server: Arc<ServerTls>,
    roots: RootCertStore,
}

struct Client {
    config: ClientConfig,
    memory: Arc<Memory>,
}

/// A control connection that is up, with both its ends.
struct Control {
    session: Arc<SessionTls>,
    _server: tokio_rustls::server::TlsStream<TcpStream>,
    _client: tokio_rustls::client::TlsStream<TcpStream>,
}

/// A place for the costly part of a handshake, where there is one.
fn free() -> std::future::Ready<Option<()>> {
    std::future::ready(Some(()))
}

fn settings(directory: &std::path::Path, minimum: TlsVersion, names: &[&str]) -> settings::Tls {
    settings::Tls {
        identities: vec![identity(directory, "server", names)],
        unknown_names: UnknownNames::Default,
        minimum,
        require_extended_master_secret: true,
        clients: None,
    }
}

/// The files `stem.pem` and `stem.key` with these names.
fn identity(directory: &std::path::Path, stem: &str, names: &[&str]) -> settings::Identity {
    settings::Identity {
        names: names.iter().map(|name| crate::proto::host::ServerName::parse(name).unwrap()).collect(),
        certificate: directory.join(stem).with_extension("pem"),
        key: directory.join(stem).with_extension("key"),
        ocsp: None,
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority("test root");
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "other.test".to_owned()];
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    std::fs::write(directory.path().join("server.pem"), leaf.pem() + &authority.pem()).unwrap();
    std::fs::write(directory.path().join("server.key"), key.serialize_pem()).unwrap();
    let server = ServerTls::load(&settings(directory.path(), TlsVersion::Tls12, &["localhost"])).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    World { server: Arc::new(server), roots }
}

impl World {
    fn client(&self, version: &'static SupportedProtocolVersion) -> Client {
        self.client_with(version, Tls12Resumption::SessionIdOrTickets, Memory::default())
    }

    fn client_with(
        &self,
        version: &'static SupportedProtocolVersion,
        tls12: Tls12Resumption,
        memory: Memory,
    ) -> Client {
        let memory = Arc::new(memory);
        let store: Arc<dyn ClientSessionStore> = Arc::<Memory>::clone(&memory);
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.resumption = Resumption::store(store).tls12_resumption(tls12);
        Client { config, memory }
    }

    async fn control(&self, client: &Client) -> Control {
        self.control_named(client, "localhost").await
    }

    async fn control_named(&self, client: &Client, name: &'static str) -> Control {
        let session = self.server.session(TlsVersion::Tls13).unwrap();
        let (near, far) = pair().await;
        let (server, client) = tokio::join!(session.accept_control(near, LIMIT, free()), client.connect(far, name));
        let ((mut server, facts), mut client) = (server.unwrap(), client.unwrap());
        assert!(!facts.resumed);
        server.write_all(b"220\r\n").await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        Control { session, _server: server, _client: client }
    }
}

impl Client {
    async fn connect(
        &self,
        tcp: TcpStream,
        name: &'static str,
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        connector.connect(ServerName::try_from(name).unwrap(), tcp).await
    }

    fn given(&self) -> usize {
        self.memory.given13.load(Ordering::SeqCst)
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (near, far) = tokio::join!(listener.accept(), TcpStream::connect(listener.local_addr().unwrap()));
    (near.unwrap().0, far.unwrap())
}

fn flow_to_client() -> Arc<Flow> {
    let flow = Flow::new();
    flow.set_to_client();
    flow
}

/// One data connection: what the server says of it, and what the client reads until its end.
async fn data(
    control: &Control,
    client: &Client,
    flow: &Flow,
    level: DataBinding,
) -> (Result<Bound, DataFault>, io::Result<Vec<u8>>) {
    data_named(control, client, flow, level, "localhost").await
}

async fn data_named(
    control: &Control,
    client: &Client,
    flow: &Flow,
    level: DataBinding,
    name: &'static str,
) -> (Result<Bound, DataFault>, io::Result<Vec<u8>>) {
    let (near, far) = pair().await;
    let serve = async {
        let mut data = control.session.accept_data(near, flow, level, LIMIT).await?;
        data.stream.write_all(b"payload").await.unwrap();
        assert_eq!(finish_sending(&mut data.stream, LIMIT).await.unwrap(), Parting::Closed);
        Ok(data.bound)
    };
    let receive = async {
        let mut stream = client.connect(far, name).await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await?;
        stream.shutdown().await?;
        Ok(all)
    };
    tokio::join!(serve, receive)
}

const SESSION: Bound = Bound { binding: DataBinding::Session, resumed: true };

#[test]
fn the_lists_are_exactly_these() {
    let suites: Vec<_> = SUITES.iter().map(|suite| suite.suite().as_str().unwrap()).collect();
    assert_eq!(
        suites,
        [
            "TLS13_AES_256_GCM_SHA384",
            "TLS13_AES_128_GCM_SHA256",
            "TLS13_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        ]
    );
    let groups: Vec<_> = GROUPS.iter().map(|group| group.name().as_str().unwrap()).collect();
    assert_eq!(groups, ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1"]);
    let world = world();
    for maximum in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let material = world.server.material();
        let base = material.base(maximum, true);
        assert!(base.require_ems);
        assert_eq!(base.max_early_data_size, 0);
        assert_eq!(base.alpn_protocols, [b"ftp"]);
    }
}

#[tokio::test]
async fn the_control_connection_is_described_and_gets_four_tickets() {
    let world = world();
    let client = world.client(&version::TLS13);
    let session = world.server.session(TlsVersion::Tls13).unwrap();
    let (near, far) = pair().await;
    let mut config = client.config.clone();
    config.alpn_protocols = vec![b"x-filezilla-ftp".to_vec(), b"ftp".to_vec()];
    let client = Client { config, memory: client.memory };
    let (server, stream) = tokio::join!(session.accept_control(near, LIMIT, free()), client.connect(far, "localhost"));
    let ((mut server, facts), mut stream) = (server.unwrap(), stream.unwrap());
    assert_eq!(facts.version, "1.3");
    assert_eq!(facts.cipher, "TLS_AES_256_GCM_SHA384");
    assert_eq!(facts.group.as_deref(), Some("X25519MLKEM768"));
    assert_eq!(facts.server_name.as_deref(), Some("localhost"));
    assert_eq!(facts.alpn.as_deref(), Some("ftp"));
    server.write_all(b"220\r\n").await.unwrap();
    stream.read_exact(&mut [0; 5]).await.unwrap();
    assert_eq!(client.given(), 4);
}

/// Sends bytes to a control handshake; what the server says of it, and what comes back.
async fn speak(world: &World, bytes: &[u8]) -> (HandshakeFault, Vec<u8>) {
    let session = world.server.session(TlsVersion::Tls13).unwrap();
    let (near, mut far) = pair().await;
    let talk = async {
        far.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await.expect("closed gently");
        answer
    };
    let (fault, answer) = tokio::join!(session.accept_control(near, LIMIT, free()), talk);
    (fault.map(drop).unwrap_err(), answer)
}

/// A `ClientHello` that nothing follows.
fn client_hello(world: &World) -> Vec<u8> {
    let config = Arc::new(world.client(&version::TLS13).config);
    let mut client = rustls::ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// A `ClientHello` of a client of the last century.
fn old_hello() -> Vec<u8> {
    let mut body = vec![3, 1];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let signatures = [0, 13, 0, 4, 0, 2, 4, 1];
    body.extend([0, 8]);
    body.extend(signatures);
    let length = u8::try_from(body.len()).unwrap();
    let mut hello = vec![22, 3, 1, 0, length.saturating_add(4), 1, 0, 0, length];
    hello.extend(body);
    hello
}

#[tokio::test]
async fn failed_handshakes_have_each_their_fault() {
    let world = world();
    let (fault, answer) = speak(&world, b"USER alice\r\nPASS secret\r\n").await;
    assert_eq!(fault, HandshakeFault::NotTls);
    assert_eq!(answer.first(), Some(&21), "nothing but an alert");
    assert_eq!(speak(&world, b"GET / HTTP/1.1\r\n\r\n").await.0, HandshakeFault::NotTls);
    assert_eq!(speak(&world, &old_hello()).await.0, HandshakeFault::OldVersion);

    let mut foreign = world.client(&version::TLS13);
    foreign.config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let distrustful = World { server: Arc::clone(&world.server), roots: distrustful() }.client(&version::TLS13);
    for (client, fault) in
        [(foreign, HandshakeFault::ForeignAlpn), (distrustful, HandshakeFault::ClientRefused("unknown_ca"))]
    {
        let session = world.server.session(TlsVersion::Tls13).unwrap();
        let (near, far) = pair().await;
        let (result, client) =
            tokio::join!(session.accept_control(near, LIMIT, free()), client.connect(far, "localhost"));
        assert_eq!(result.map(drop), Err(fault));
        assert!(client.is_err());
    }
}

fn distrustful() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(authority("another root").der().clone()).unwrap();
    roots
}

#[tokio::test]
async fn groups_not_in_common_are_said_so() {
    let world = world();
    let mut provider = provider();
    provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::MLKEM1024];
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_root_certificates(world.roots.clone())
        .with_no_client_auth();
    let client = Client { config, memory: Arc::default() };
    let session = world.server.session(TlsVersion::Tls13).unwrap();
    let (near, far) = pair().await;
    let (result, _) = tokio::join!(session.accept_control(near, LIMIT, free()), client.connect(far, "localhost"));
    assert_eq!(result.map(drop), Err(HandshakeFault::NothingInCommon("key exchange group")));
}

#[tokio::test]
async fn silence_and_giving_up_are_told_apart() {
    let world = world();
    let short = Duration::from_millis(50);
    for begun in [&b""[..], &[22, 3, 1, 2, 0, 1]] {
        let session = world.server.session(TlsVersion::Tls13).unwrap();
        let (near, mut far) = pair().await;
        far.write_all(begun).await.unwrap();
        assert_eq!(session.accept_control(near, short, free()).await.map(drop), Err(HandshakeFault::Timeout));
        let (near, mut far) = pair().await;
        far.write_all(begun).await.unwrap();
        drop(far);
        assert_eq!(session.accept_control(near, LIMIT, free()).await.map(drop), Err(HandshakeFault::ClientGaveUp));

        let accept = |tcp, limit| {
            let session = Arc::clone(&session);
            async move { session.accept_data(tcp, &Flow::new(), DataBinding::Address, limit).await.map(drop) }
        };
        let (near, mut far) = pair().await;
        far.write_all(begun).await.unwrap();
        assert_eq!(accept(near, short).await, Err(DataFault::Timeout));
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0, "an end, no reset");
        let (near, far) = pair().await;
        drop(far);
        assert_eq!(accept(near, LIMIT).await, Err(DataFault::ClientGaveUp));
    }
}

#[tokio::test]
async fn clear_data_and_foreign_alpn_are_refused_without_a_reset() {
    let world = world();
    let client = world.client(&version::TLS13);
    let control = world.control(&client).await;
    let (near, mut far) = pair().await;
    let talk = async {
        far.write_all(&vec![b'x'; 40_000]).await.unwrap();
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await.expect("no reset");
    };
    let flow = Flow::new();
    let (result, ()) = tokio::join!(control.session.accept_data(near, &flow, DataBinding::Address, LIMIT), talk);
    assert_eq!(result.map(drop), Err(DataFault::NotTls));

    let mut foreign = world.client(&version::TLS13);
    foreign.config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (bound, read) = data(&control, &foreign, &flow_to_client(), DataBinding::Address).await;
    assert_eq!(bound, Err(DataFault::Handshake(HandshakeFault::ForeignAlpn)));
    assert!(read.is_err());
}

#[tokio::test]
async fn silent_clients_keep_nobody_out() {
    let world = world();
    let places = Arc::new(tokio::sync::Semaphore::new(1));
    let place = || async { Arc::clone(&places).acquire_owned().await.ok() };
    let (mut connections, mut waiting) = (Vec::new(), tokio::task::JoinSet::new());
    for greeting in [&b""[..], b"\x16\x03\x01\x02", &client_hello(&world)] {
        let (near, mut far) = pair().await;
        far.write_all(greeting).await.unwrap();
        let session = world.server.session(TlsVersion::Tls13).unwrap();
        let places = Arc::clone(&places);
        waiting.spawn(async move {
            let place = async { places.acquire_owned().await.ok() };
            session.accept_control(near, LIMIT, place).await.map(drop)
        });
        connections.push(far);
    }
    connections[2].readable().await.unwrap();
    let session = world.server.session(TlsVersion::Tls13).unwrap();
    let (near, far) = pair().await;
    let client = world.client(&version::TLS13);
    let both = async { tokio::join!(session.accept_control(near, LIMIT, place()), client.connect(far, "localhost")) };
    let (served, _) = tokio::time::timeout(LIMIT / 2, both).await.unwrap();
    served.unwrap();
    assert!(waiting.try_join_next().is_none(), "the silent ones are still waited for");
}

#[tokio::test]
async fn where_no_place_comes_free_the_handshake_is_refused_in_time() {
    let world = world();
    let session = world.server.session(TlsVersion::Tls13).unwrap();
    let (near, far) = pair().await;
    let client = world.client(&version::TLS13);
    let short = Duration::from_millis(100);
    let never = std::future::pending::<Option<()>>();
    let (refused, _) = tokio::join!(session.accept_control(near, short, never), client.connect(far, "localhost"));
    assert_eq!(refused.map(drop), Err(HandshakeFault::Crowded));
}
