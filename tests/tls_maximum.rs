//! Clients of a network that an exception holds to TLS 1.2, whatever else they offer.

use rustls::{HandshakeKind, ProtocolVersion};

use crate::support::server::Builder;
use crate::support::tls::Version;
use crate::support::{Dial, Server, Wire, day};

/// A server that holds 127.0.0.5 to TLS 1.2 for so many days from now.
fn holding(days: i64) -> Builder {
    let until = day(days);
    let exception =
        format!("[{{ clients = \"127.0.0.5\", tls-maximum = \"1.2\", reason = \"out of tickets\", until = {until} }}]");
    Server::builder().policy("exception", &exception)
}

fn version(wire: &Wire) -> ProtocolVersion {
    wire.agreed().protocol_version().unwrap()
}

#[test]
fn only_the_clients_of_the_exception_are_held_to_tls_12_and_their_records_say_why() {
    let server = holding(30).start();
    let mut held = Dial::to(&server).from(5).tls(Version::Any).login("alice");
    assert_eq!(version(&held), ProtocolVersion::TLSv1_2);
    for round in 0..10 {
        held.store(&format!("STOR f{round}"), b"content");
        let mut data = held.begin(&format!("RETR f{round}"));
        assert_eq!(data.handshake().unwrap(), HandshakeKind::Resumed);
        assert_eq!(data.receive(), b"content");
        held.expect(226);
    }
    let other = Dial::to(&server).tls(Version::Any).login("alice");
    assert_eq!(version(&other), ProtocolVersion::TLSv1_3);

    for record in server.records_of("tls.handshake_ok") {
        let exception = record.text("/unmapped/exception");
        match record.text("/src_endpoint/ip") {
            Some("127.0.0.5") => {
                let exception = exception.unwrap();
                assert!(exception.starts_with("out of tickets (") && exception.contains("server.toml:"), "{exception}");
                assert_eq!(record.text("/tls/version"), Some("1.2"));
            }
            _ => assert_eq!((exception, record.text("/tls/version")), (None, Some("1.3"))),
        }
    }
    assert_eq!(server.records_of("tls.handshake_ok").len(), 2);
}

#[test]
fn a_client_of_the_exception_that_insists_on_tls_13_is_refused_in_the_handshake() {
    let server = holding(30).start();
    let mut wire = Dial::to(&server).from(5).tls(Version::Tls13).greeted();
    wire.ask("AUTH TLS", 234);
    let error = wire.handshake().unwrap_err().to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    let record = server.wait_for_failure("tls.handshake_failed", "tls12_not_offered");
    assert_eq!(record.text("/src_endpoint/ip"), Some("127.0.0.5"));
}

#[test]
fn an_exception_from_the_newest_version_ends_with_its_day() {
    let server = holding(-1).start();
    let wire = Dial::to(&server).from(5).tls(Version::Any).login("alice");
    assert_eq!(version(&wire), ProtocolVersion::TLSv1_3);
}

#[test]
fn clients_that_begin_with_tls_are_held_as_well() {
    let server = holding(30).implicit().start();
    let port = server.ports().implicit();
    for (last, expected) in [(5, ProtocolVersion::TLSv1_2), (1, ProtocolVersion::TLSv1_3)] {
        let mut wire = Dial::to_port(&server, port).from(last).tls(Version::Any).connect();
        wire.handshake().unwrap();
        wire.expect(220);
        assert_eq!(version(&wire), expected);
    }
}

#[test]
fn behind_a_proxy_it_is_the_client_that_is_held() {
    let server = holding(30).policy("listen.proxies", "[{ from = \"127.0.0.8\", data = \"direct\" }]").start();
    for (client, expected) in [("127.0.0.5", ProtocolVersion::TLSv1_2), ("127.0.0.3", ProtocolVersion::TLSv1_3)] {
        let header = format!("PROXY TCP4 {client} 127.0.0.9 40000 21\r\n");
        let wire = Dial::to(&server).from(8).header(header).tls(Version::Any).secure();
        assert_eq!(version(&wire), expected, "{client}");
    }
}
