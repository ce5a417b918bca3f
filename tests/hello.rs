//! What client and server tell each other about themselves: `CLNT`, `CSID`, `LANG`, `OPTS UTF8`.

use std::net::Ipv4Addr;

use crate::support::wire::connect;
use crate::support::{Data, Server, Wire};

#[test]
fn the_client_program_is_recorded_where_one_looks_for_it() {
    let server = Server::running();
    let mut wire = Wire::secure(&server);
    wire.ask("CSID Name=Old Scanner; Version=1.0;", 200);
    wire.log_in("alice");
    wire.protect();
    let record = server.wait_for_record("auth.success", |_| true);
    assert_eq!(record.text("/unmapped/client"), Some("Old Scanner"));
    let address = wire.passive();
    let mut unbound = Data::new(connect(Ipv4Addr::LOCALHOST, address), &wire.fresh_config());
    wire.ask("STOR f", 150);
    let _ = unbound.handshake();
    wire.expect(522);
    let record = server.wait_for_record("data.binding_failed", |_| true);
    assert_eq!(record.text("/unmapped/client"), Some("Old Scanner"));
    // FileZilla says it behind the login only.
    wire.ask("CLNT FileZilla", 200);
    wire.ask("QUIT", 221);
    let record = server.wait_for_record("session.closed", |_| true);
    assert_eq!(record.text("/unmapped/client"), Some("FileZilla"));
}

#[test]
fn hostile_program_names_stay_short_and_on_one_line() {
    let server = Server::running();
    let mut wire = Wire::secure(&server);
    wire.send_raw("CLNT ${jndi:ldap://x}\u{1b}]0;x\u{7} \u{202e} %n%s\r\n".as_bytes());
    wire.expect(200);
    wire.log_in("alice");
    wire.ask(&format!("CLNT {}", "a".repeat(2_000)), 200);
    wire.ask("QUIT", 221);
    let record = server.wait_for_record("session.closed", |_| true);
    assert_eq!(record.text("/unmapped/client"), Some(&*"a".repeat(64)));
    let login = server.wait_for_record("auth.success", |_| true);
    assert!(login.line().chars().all(|c| c.is_ascii_graphic() || c == ' '), "{login:?}");
    assert!(login.text("/unmapped/client").unwrap().starts_with("${jndi:ldap://x}\u{1b}]0;x\u{7}"), "{login:?}");
}

#[test]
fn what_is_said_in_clear_is_not_recorded_as_the_clients() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.ask("CLNT forged", 200);
    wire.ask("HOST localhost", 220);
    wire.start_tls();
    wire.log_in("alice");
    let login = server.wait_for_record("auth.success", |_| true);
    assert_eq!((login.text("/unmapped/client"), login.text("/unmapped/host")), (None, None));
}

#[test]
fn the_server_tells_its_name_and_no_version() {
    let server = Server::running();
    let mut wire = Wire::secure(&server);
    let text = wire.ask("CSID Name=test;", 200).text().to_owned();
    assert_eq!(text, "Name=Portcullis; CaseSensitive=1; DirSep=/;");
    wire.ask("CSID test", 501);
    wire.ask("CSID", 501);
}

#[test]
fn names_are_utf8_whenever_the_client_asks_for_it() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.ask("OPTS UTF8 ON", 200);
    wire.start_tls();
    wire.ask("OPTS UTF8 ON", 200);
    wire.ask("OPTS utf8 on", 200);
    wire.ask("OPTS UTF8 OFF", 504);
    wire.log_in("alice");
    wire.ask("OPTS UTF8 ON", 200);
    wire.ask("MKD k\u{e4}se", 257);
    assert_eq!(server.names(), ["k\u{e4}se"]);
}

#[test]
fn replies_are_in_english() {
    let server = Server::running();
    let mut wire = Wire::secure(&server);
    wire.ask("LANG", 200);
    wire.ask("LANG EN-GB", 200);
    assert!(wire.ask("LANG DE", 504).text().contains("English"));
    wire.log_in("alice");
    wire.ask("LANG EN", 200);
    wire.ask("LANG *", 501);
}

#[test]
fn modes_are_refused_with_their_reason() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    assert!(wire.ask("MODE Z", 504).text().contains("compress"));
    wire.ask("MODE S", 200);
    assert!(wire.ask("REIN", 502).text().len() > 10);
    assert!(wire.ask("CCC", 534).text().contains("protected"));
}
