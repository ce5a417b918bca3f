//! The address that `PASV` announces: stated, by name, or none at all.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::support::dns::{NameServer, Say};
use crate::support::{Data, Server, Wire, eventually, wire};

const ONE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

/// What `PASV` announces to this session.
fn announced(wire: &mut Wire) -> Option<(Ipv4Addr, u16)> {
    wire.send("PASV");
    let reply = wire.reply();
    if reply.code == 425 {
        assert!(reply.text().contains("EPSV"), "{reply:?}");
        return None;
    }
    assert_eq!(reply.code, 227, "{reply:?}");
    let numbers = reply.text().split_once('(').unwrap().1.split_once(')').unwrap().0;
    let numbers: Vec<u8> = numbers.split(',').map(|number| number.parse().unwrap()).collect();
    let [a, b, c, d, high, low] = numbers[..] else { panic!("{numbers:?}") };
    Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))
}

fn by_name(names: &NameServer) -> Server {
    looked_up_every(names, "1")
}

fn looked_up_every(names: &NameServer, seconds: &str) -> Server {
    Server::builder()
        .policy("passive.advertise", "[{ clients = \"any\", name = \"ftp.example.org\" }]")
        .policy("passive.resolvers", &names.setting())
        .policy("passive.resolve-seconds", seconds)
        .start()
}

/// Asks until `PASV` announces this.
fn comes_to(wire: &mut Wire, address: Ipv4Addr) {
    eventually(&format!("{address} is announced"), || {
        (announced(wire).is_some_and(|(announced, _)| announced == address)).then_some(())
    });
}

/// How often the log says this.
fn said(server: &Server, words: &str) -> usize {
    server.log_text().matches(words).count()
}

#[test]
fn four_zeros_send_the_client_to_where_its_control_connection_goes() {
    let server =
        Server::builder().policy("passive.advertise", "[{ clients = \"any\", address = \"0.0.0.0\" }]").start();
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    let (address, port) = announced(&mut wire).unwrap();
    assert_eq!(address, Ipv4Addr::UNSPECIFIED);
    let stream = wire::connect(Ipv4Addr::LOCALHOST, (Ipv4Addr::LOCALHOST, port).into());
    let data = Data::new(stream, &wire.data_config());
    wire.ask("RETR f", 150);
    assert_eq!(data.receive(), b"content");
    wire.expect(226);
}

#[test]
fn a_name_is_announced_by_its_address_of_the_time() {
    let names = NameServer::start(Say::Addresses(vec![OTHER, ONE]));
    let server = by_name(&names);
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(announced(&mut wire).unwrap().0, ONE, "the lowest of several");
    let asked = names.asked();
    names.say(Say::Addresses(vec![Ipv4Addr::new(203, 0, 113, 1), ONE]));
    eventually("it is asked again", || (names.asked() > asked + 1).then_some(()));
    assert_eq!(announced(&mut wire).unwrap().0, ONE, "the one announced stays while the name has it");
    names.say(Say::Addresses(vec![OTHER]));
    comes_to(&mut wire, OTHER);
    assert_eq!(said(&server, "has another address"), 1);
}

#[test]
fn while_lookups_fail_the_last_answer_stays_and_the_operator_is_told_once() {
    let names = NameServer::start(Say::Addresses(vec![ONE]));
    let server = by_name(&names);
    let mut wire = Wire::login(&server, "alice");
    comes_to(&mut wire, ONE);
    names.say(Say::Failure);
    eventually("the failure is told", || (said(&server, "still announces its last address") == 1).then_some(()));
    let asked = names.asked();
    eventually("it is asked again", || (names.asked() > asked + 3).then_some(()));
    assert_eq!(announced(&mut wire).unwrap().0, ONE);
    assert_eq!(said(&server, "still announces its last address"), 1);
    names.say(Say::Addresses(vec![ONE]));
    eventually("the recovery is told", || (said(&server, "can be looked up again") == 1).then_some(()));
}

#[test]
fn a_lookup_that_failed_at_the_start_is_tried_again_soon() {
    let names = NameServer::start(Say::Failure);
    let server = looked_up_every(&names, "86400");
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(announced(&mut wire), None);
    names.say(Say::Addresses(vec![ONE]));
    comes_to(&mut wire, ONE);
}

#[test]
fn without_any_answer_the_server_serves_and_pasv_says_what_to_use() {
    let names = NameServer::start(Say::Silence);
    let server = by_name(&names);
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    let began = Instant::now();
    assert_eq!(announced(&mut wire), None);
    assert!(began.elapsed() < Duration::from_secs(1), "no client waits for a name server");
    assert_eq!(wire.fetch("RETR f"), b"content", "over EPSV");
    names.say(Say::Addresses(vec![Ipv4Addr::UNSPECIFIED]));
    eventually("nonsense is told", || (said(&server, "cannot be looked up; PASV is refused") == 1).then_some(()));
    assert_eq!(announced(&mut wire), None, "what the network says never means the control connection's address");
    names.say(Say::Addresses(vec![ONE]));
    comes_to(&mut wire, ONE);
}

#[test]
fn a_name_of_the_hosts_file_needs_no_name_server() {
    let names = NameServer::start(Say::Addresses(vec![ONE]));
    let server = Server::builder()
        .listen("127.0.0.2")
        .policy("passive.advertise", "[{ clients = \"any\", name = \"LocalHost.\" }]")
        .policy("passive.resolvers", &names.setting())
        .start();
    assert_eq!(announced(&mut Wire::login(&server, "alice")).unwrap().0, Ipv4Addr::LOCALHOST);
    assert_eq!(names.asked(), 0);
}

#[test]
fn the_sandbox_has_room_for_lookups_only_where_there_are_names() {
    let names = NameServer::start(Say::Addresses(vec![ONE]));
    let permits = |server: &Server| {
        let start = server.wait_for_record("service.start", |_| true);
        assert!(start.line().contains("\"sandbox_seccomp\":true"), "{start:?}");
        start.line().contains("\"sandbox_udp\":true")
    };
    assert!(permits(&by_name(&names)));
    assert!(!permits(&Server::running()));
}
