//! Which certificate a client is shown, by the name in its handshake.

use rustls::AlertDescription;

use super::*;

/// A server with three identities, the names of each its own certificate's.
fn several(unknown_names: UnknownNames) -> World {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority("test root");
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let named: [(&str, &[&str]); 3] =
        [("first", &["first.test"]), ("stars", &["*.wild.test", "second.test"]), ("exact", &["exact.wild.test"])];
    let identities = named.map(|(stem, names)| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let leaf = params.signed_by(&key, &authority).unwrap();
        std::fs::write(directory.path().join(stem).with_extension("pem"), leaf.pem()).unwrap();
        std::fs::write(directory.path().join(stem).with_extension("key"), key.serialize_pem()).unwrap();
        identity(directory.path(), stem, names)
    });
    let settings = settings::Tls {
        identities: identities.into(),
        unknown_names,
        minimum: TlsVersion::Tls12,
        require_extended_master_secret: true,
        clients: None,
    };
    World { server: Arc::new(ServerTls::load(&settings).unwrap()), roots }
}

/// Connects under a name: the first name of the identity shown, if the client accepts it.
async fn shown(world: &World, client: &Client, name: &'static str) -> Result<String, (HandshakeFault, io::Error)> {
    let session = world.server.session(TlsVersion::Tls13).unwrap();
    let (near, far) = pair().await;
    let (server, client) = tokio::join!(session.accept_control(near, LIMIT, free()), client.connect(far, name));
    match (server, client) {
        (Ok((_, facts)), Ok(_)) => Ok(facts.identity[0].to_string()),
        (server, client) => Err((server.map(drop).unwrap_err(), client.map(drop).unwrap_err())),
    }
}

#[tokio::test]
async fn the_name_in_the_handshake_chooses_the_certificate() {
    let world = several(UnknownNames::Default);
    for version in BOTH {
        for (name, identity) in [
            ("first.test", "first.test"),
            ("FIRST.test", "first.test"),
            ("second.test", "*.wild.test"),
            ("any.wild.test", "*.wild.test"),
            ("exact.wild.test", "exact.wild.test"),
        ] {
            // A client that verifies the name: it would refuse any other certificate.
            assert_eq!(shown(&world, &world.client(version), name).await.unwrap(), identity, "{name}");
        }
    }
}

#[tokio::test]
async fn a_client_without_a_name_is_shown_the_first() {
    for unknown_names in [UnknownNames::Default, UnknownNames::Refuse] {
        let world = several(unknown_names);
        let mut client = world.client(&version::TLS13);
        client.config.enable_sni = false;
        assert_eq!(shown(&world, &client, "first.test").await.unwrap(), "first.test");
    }
}

#[tokio::test]
async fn an_unknown_name_is_shown_the_first_or_refused() {
    let world = several(UnknownNames::Default);
    for name in ["unknown.test", "a.b.wild.test", "wild.test"] {
        // It is the client that leaves, at the sight of a certificate for another name.
        let (fault, _) = shown(&world, &world.client(&version::TLS13), name).await.unwrap_err();
        assert!(matches!(fault, HandshakeFault::ClientRefused(_)), "{name}: {fault:?}");
    }
    let world = several(UnknownNames::Refuse);
    for version in BOTH {
        let (fault, error) = shown(&world, &world.client(version), "unknown.test").await.unwrap_err();
        assert_eq!(fault, HandshakeFault::UnknownName("unknown.test".to_owned()));
        assert_eq!(fault.reason(), "unknown_name");
        let error = error.into_inner().unwrap().downcast::<rustls::Error>().unwrap();
        assert_eq!(*error, rustls::Error::AlertReceived(AlertDescription::UnrecognisedName));
    }
}

#[tokio::test]
async fn a_data_connection_shows_the_certificate_of_its_control_connection() {
    let world = several(UnknownNames::Refuse);
    for version in BOTH {
        let client = world.client(version);
        let control = world.control_named(&client, "any.wild.test").await;
        // A full handshake without a name, as by an address.
        let mut fresh = world.client(version);
        fresh.config.enable_sni = false;
        let (bound, read) =
            data_named(&control, &fresh, &flow_to_client(), DataBinding::Address, "any.wild.test").await;
        assert_eq!(bound, Ok(Bound { binding: DataBinding::Address, resumed: false }));
        assert_eq!(read.unwrap(), b"payload");
        let (bound, _) = data_named(&control, &client, &flow_to_client(), DataBinding::Session, "any.wild.test").await;
        assert_eq!(bound, Ok(SESSION));
    }
}

#[test]
fn every_certificate_has_its_end() {
    let world = several(UnknownNames::Default);
    let names: Vec<String> = world.server.deadlines().into_iter().map(|deadline| deadline.subject).collect();
    assert_eq!(names, ["first.test", "*.wild.test", "exact.wild.test"]);
}
