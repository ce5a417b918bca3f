//! How connections end: TLS says so before TCP does, nothing already sent is lost, and whoever
//! leaves early is recorded as what it did.

use std::net::Shutdown;

use crate::support::{Dial, Ending, Server, Wire, tls::Version};

#[test]
fn tls_ends_the_control_connection_behind_the_last_reply() {
    let server = Server::running();
    for version in [Version::Tls13, Version::Tls12] {
        for mut wire in [Dial::to(&server).tls(version).secure(), Dial::to(&server).tls(version).login("alice")] {
            wire.ask("QUIT", 221);
            assert_eq!(wire.ended(), Ending::CloseNotify, "{version:?}");
        }
    }
    let mut wire = Wire::greeted(&server);
    wire.ask("QUIT", 221);
    assert_eq!(wire.ended(), Ending::Fin);
}

#[test]
fn who_leaves_without_reading_the_last_reply_has_stored_its_file() {
    let server = Server::running();
    for (round, version) in [Version::Tls13, Version::Tls12].into_iter().cycle().take(10).enumerate() {
        let content = vec![b'x'; 300_000 + round];
        let name = format!("file-{round}");
        let mut wire = Dial::to(&server).tls(version).login("alice");
        let mut data = wire.begin(&format!("STOR {name}"));
        data.send(&content);
        data.close_without_reading();
        drop(wire);
        let record = server.wait_for_record("file.upload", |record| record.path() == format!("/{name}"));
        assert_eq!(record.number("/traffic/bytes_in"), Some(300_000 + round as u64));
        assert!(server.content(&name).as_ref() == Some(&content), "{version:?}, {round}");
    }
    assert_eq!(server.records_of("file.upload_incomplete").len(), 0);
}

#[test]
fn who_leaves_without_reading_the_last_reply_has_its_download_recorded_as_whole() {
    let server = Server::running();
    server.put("f", &vec![b'x'; 300_000]);
    for round in 1..=10 {
        let mut wire = Wire::login(&server, "alice");
        let mut data = wire.begin("RETR f");
        assert_eq!(data.read(300_000).len(), 300_000);
        wire.tcp().shutdown(Shutdown::Write).unwrap();
        // Its own end of the data connection comes last, once the server knows that it left.
        wire.ended();
        assert_eq!(data.receive(), b"");
        server.wait_for_record("session.closed", |record| {
            record.number("/unmapped/transfers") == Some(1) && server.records_of("session.closed").len() == round
        });
    }
    assert_eq!(server.records_of("file.download").len(), 10);
    assert_eq!(server.records_of("file.download_incomplete").len(), 0);
}

#[test]
fn who_leaves_in_the_middle_has_stored_nothing() {
    let server = Server::running();
    server.put("f", b"old");
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(&vec![b'x'; 300_000]);
    data.cut();
    drop(wire);
    server.wait_for_failure("file.upload_incomplete", "truncated");
    assert_eq!(server.content("f").unwrap(), b"old");
}
