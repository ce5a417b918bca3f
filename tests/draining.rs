//! A server that lets nobody new in and ends with its last session.

use crate::metrics::{http, metrics, telling};
use crate::support::{Dial, Server, Wire, eventually};

fn turned_away(server: &Server) {
    Dial::to(server).connect().expect(421);
}

#[test]
fn who_is_connected_goes_on_and_the_server_ends_with_the_last() {
    let mut server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"first half, ");
    let drain = server.told(&["drain"]);
    assert_eq!((&drain["draining"], &drain["sessions"]), (&true.into(), &1.into()));
    turned_away(&server);
    server.wait_for_failure("conn.denied", "draining");
    let status = server.command().arg("status").output().unwrap();
    assert!(String::from_utf8(status.stdout).unwrap().contains("draining, version"));
    data.send(b"second half");
    data.finish();
    wire.expect(226);
    wire.store("STOR g", b"another");
    wire.ask("QUIT", 221);
    assert!(server.wait().success());
    assert_eq!(server.content("f").unwrap(), b"first half, second half");
    let codes: Vec<String> = server.audit().iter().map(|record| record.code().to_owned()).collect();
    assert!(codes.ends_with(&["service.stop".to_owned(), "audit.checkpoint".to_owned()]), "{codes:?}");
}

#[test]
fn it_can_be_taken_back() {
    let server = Server::running();
    assert_eq!(server.refused(&["drain", "--cancel"]).0, 1);
    let wire = Wire::login(&server, "alice");
    server.told(&["drain"]);
    turned_away(&server);
    assert_eq!(server.told(&["drain", "--cancel"])["draining"], false);
    drop(wire);
    eventually("the last has left", || (server.told(&["status"])["sessions"] == 0).then_some(()));
    Wire::login(&server, "alice").ask("NOOP", 200);
}

#[test]
fn it_is_not_ready_meanwhile_and_says_why() {
    let server = telling().start();
    let _wire = Wire::login(&server, "alice");
    server.told(&["drain"]);
    let (status, _, text) = http(&server, "GET", "/ready");
    assert!(status == 503 && text.contains("the server is draining"), "{text}");
    assert_eq!(http(&server, "GET", "/health").0, 200);
    let text = metrics(&server);
    assert!(text.contains("\nportcullis_draining 1\n") && text.contains("\nportcullis_ready 0\n"), "{text}");
    server.told(&["drain", "--cancel"]);
    assert_eq!(http(&server, "GET", "/ready").0, 200);
    assert!(metrics(&server).contains("\nportcullis_draining 0\n"));
}

#[test]
fn when_the_time_is_over_it_ends_all_the_same() {
    let mut server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    server.told(&["drain", "--within", "1"]);
    wire.expect(421);
    assert!(server.wait().success());
}

#[test]
fn sigterm_does_not_wait_for_it() {
    let mut server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    server.told(&["drain"]);
    assert!(server.stop().success());
    wire.expect(421);
}
