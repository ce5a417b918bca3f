//! Active mode: off unless the policy has it on, and then to the client itself alone.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::support::{Data, Dial, Server, Wire};

/// Listens as an active client does, and says how `PORT` names that.
fn listening(wire: &Wire) -> (TcpListener, String) {
    let listener = TcpListener::bind((wire.local().ip(), 0)).unwrap();
    let [high, low] = listener.local_addr().unwrap().port().to_be_bytes();
    let address = wire.local().ip().to_string().replace('.', ",");
    (listener, format!("{address},{high},{low}"))
}

fn accepted(listener: &TcpListener) -> TcpStream {
    let stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    stream
}

#[test]
fn it_is_off() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let (listener, port) = listening(&wire);
    wire.ask(&format!("PORT {port}"), 502);
    wire.ask(&format!("EPRT |1|127.0.0.1|{}|", listener.local_addr().unwrap().port()), 502);
    wire.ask("LIST", 425);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[test]
fn switched_on_it_works_over_tls_to_the_clients_own_address() {
    let server = Server::builder().set("active.enabled", "true").start();
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    let (listener, port) = listening(&wire);
    wire.ask(&format!("PORT {port}"), 200);
    wire.ask("RETR f", 150);
    let data = Data::new(accepted(&listener), &wire.data_config());
    assert_eq!(data.receive(), b"content");
    wire.expect(226);

    let address = listener.local_addr().unwrap();
    wire.ask(&format!("EPRT |1|{}|{}|", address.ip(), address.port()), 200);
    wire.ask("STOR g", 150);
    let mut data = Data::new(accepted(&listener), &wire.data_config());
    data.send(b"sent");
    data.finish();
    wire.expect(226);
    assert_eq!(server.content("g").unwrap(), b"sent");
}

#[test]
fn an_active_data_connection_must_resume_like_any_other() {
    let server = Server::builder().set("active.enabled", "true").start();
    let mut wire = Wire::login(&server, "alice");
    let (listener, port) = listening(&wire);
    wire.ask(&format!("PORT {port}"), 200);
    wire.ask("STOR f", 150);
    let mut data = Data::new(accepted(&listener), &wire.fresh_config());
    let _ = data.try_send(b"content");
    wire.expect(522);
    server.wait_for_record("data.binding_failed", |_| true);
    assert!(server.names().is_empty());
}

#[test]
fn nobody_else_is_connected_to() {
    let server = Server::builder().set("active.enabled", "true").start();
    let elsewhere = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let [high, low] = port.to_be_bytes();
    let mut wire = Wire::login(&server, "alice");
    wire.ask(&format!("PORT 127,0,0,2,{high},{low}"), 504);
    wire.ask(&format!("EPRT |1|127.0.0.2|{port}|"), 504);
    wire.ask("PORT 10,0,0,5,200,0", 504);
    wire.ask("EPRT |2|::1|6000|", 504);
    wire.ask("LIST", 425);
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err());
    let records = server.records_of("data.peer_mismatch");
    assert_eq!(records.len(), 4, "{records:?}");
    assert!(records.iter().all(|record| record.detail() == "active_address_refused"), "{records:?}");
}

#[test]
fn no_port_of_a_system_service_is_connected_to() {
    let server = Server::builder().set("active.enabled", "true").start();
    let mut wire = Wire::login(&server, "alice");
    for line in ["PORT 127,0,0,1,0,25", "PORT 127,0,0,1,3,255", "EPRT |1|127.0.0.1|1023|"] {
        wire.ask(line, 504);
    }
    let records = server.records_of("data.peer_mismatch");
    assert!(records.iter().filter(|record| record.detail() == "active_port_refused").count() == 3, "{records:?}");
}

#[test]
fn addresses_that_cannot_be_read_are_refused() {
    let server = Server::builder().set("active.enabled", "true").start();
    let mut wire = Wire::login(&server, "alice");
    for line in [
        "PORT 1,2,3,4,5",
        "PORT 127,0,0,1,256,0",
        "PORT 127,0,0,1,-1,0",
        "PORT 127,0,0,1,200,0,0",
        "PORT x",
        "EPRT |1|127.0.0.1|",
        "EPRT |1|127.0.0.1|99999|",
        "EPRT 1127.0.0.1|6000|",
    ] {
        wire.ask(line, 501);
    }
    wire.ask(&format!("PORT {}", "9".repeat(300)), 501);
    wire.ask("EPRT |3|x|6000|", 522);
}

#[test]
fn a_client_that_does_not_listen_is_told() {
    let server = Server::builder().set("active.enabled", "true").set("limits.data-connect-seconds", "1").start();
    let mut wire = Dial::to(&server).from(3).login("alice");
    let (listener, port) = listening(&wire);
    drop(listener);
    wire.ask(&format!("PORT {port}"), 200);
    wire.ask("STOR f", 150);
    wire.expect(425);
    assert!(server.names().is_empty());
}
