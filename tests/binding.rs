//! A data connection belongs to one control connection: shown by TLS, or refused, before any file
//! is touched.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::time::{Duration, Instant};

use rustls::HandshakeKind;

use crate::support::tls::Version;
use crate::support::wire::{connect, try_connect};
use crate::support::{Data, Dial, Server, Wire, day, eventually};

/// An exception for `users.toml` that ends so many days from now.
fn exception(user: &str, level: &str, reason: &str, days: i64) -> String {
    let until = day(days);
    format!("[[user.{user}.exception]]\ndata-binding = \"{level}\"\nreason = \"{reason}\"\nuntil = {until}\n")
}

/// Uploads over a data connection that is not good enough, and wants the refusal.
fn refused_upload(server: &Server, wire: &mut Wire, mut data: Data) {
    wire.send("STOR planted");
    // The client may notice while it sends, or not at all.
    let _ = data.try_send(b"planted content");
    let mut reply = wire.reply();
    if reply.code == 150 {
        reply = wire.reply();
    }
    assert_eq!(reply.code, 522, "{reply:?}");
    drop(data);
    let record = server.wait_for_record("data.binding_failed", |record| record.codes().contains(&522));
    assert_eq!(record.user(), "alice");
    assert_eq!(record.path(), "/planted");
    assert!(server.names().is_empty(), "{:?}", server.names());
    // The session goes on, and a good data connection works.
    assert_eq!(wire.store("STOR good", b"good").code, 226);
    assert_eq!(server.content("good").unwrap(), b"good");
}

#[test]
fn a_transfer_needs_protection_first() {
    let server = Server::running();
    let mut wire = Wire::secure(&server);
    wire.log_in("alice");
    wire.ask("EPSV", 229);
    wire.ask("STOR f", 521);
    wire.ask("PBSZ 0", 200);
    wire.ask("EPSV", 229);
    wire.ask("LIST", 521);
    assert!(server.names().is_empty());
}

#[test]
fn a_transfer_needs_a_data_connection_first() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    for line in ["STOR f", "RETR f", "LIST", "MLSD", "NLST", "APPE f", "STOU"] {
        wire.ask(line, 425);
    }
    assert!(server.names().is_empty());
}

#[test]
fn a_port_serves_one_transfer() {
    let server = Server::running();
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(wire.fetch("RETR f"), b"content");
    wire.ask("RETR f", 425);
}

#[test]
fn resumption_of_this_session_is_good_under_every_version_of_tls() {
    let server = Server::running();
    server.put("f", b"content");
    for version in [Version::Tls13, Version::Tls12, Version::Tls12Ids] {
        let mut wire = Dial::to(&server).tls(version).login("alice");
        for round in 0..3 {
            let mut data = wire.begin("RETR f");
            assert_eq!(data.handshake().unwrap(), HandshakeKind::Resumed, "{version:?}, {round}");
            assert_eq!(data.receive(), b"content");
            wire.expect(226);
        }
    }
    let record = server.wait_for_record("file.download", |_| true);
    assert_eq!(record.text("/unmapped/data_binding"), Some("session"));
    assert_eq!(record.text("/unmapped/data_tls"), Some("Resumed"));
}

#[test]
fn hundreds_of_transfers_resume_on_one_control_connection() {
    let server = Server::running();
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    for _ in 0..200 {
        assert_eq!(wire.fetch("RETR f"), b"content");
    }
}

#[test]
fn the_handshake_may_come_before_the_command() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.data();
    assert_eq!(data.handshake().unwrap(), HandshakeKind::Resumed);
    wire.ask("STOR f", 150);
    data.send(b"early");
    data.finish();
    wire.expect(226);
    assert_eq!(server.content("f").unwrap(), b"early");
}

#[test]
fn a_data_connection_in_clear_is_refused_promptly() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let address = wire.passive();
    let mut stream = connect(Ipv4Addr::LOCALHOST, address);
    wire.ask("STOR planted", 150);
    let began = Instant::now();
    stream.write_all(b"in clear\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    wire.expect(522);
    assert!(began.elapsed() < Duration::from_secs(3));
    server.wait_for_record("data.binding_failed", |record| record.path() == "/planted");
    assert!(server.names().is_empty());
    wire.ask("NOOP", 200);
}

#[test]
fn a_full_handshake_is_no_proof() {
    for version in [Version::Tls13, Version::Tls12] {
        let server = Server::running();
        let mut wire = Dial::to(&server).tls(version).login("alice");
        let address = wire.passive();
        let data = Data::new(connect(Ipv4Addr::LOCALHOST, address), &wire.fresh_config());
        refused_upload(&server, &mut wire, data);
    }
}

#[test]
fn the_ticket_of_another_session_is_no_proof() {
    for version in [Version::Tls13, Version::Tls12, Version::Tls12Ids] {
        let server = Server::running();
        let mut wire = Dial::to(&server).tls(version).login("alice");
        // Another session of the very same user, alive.
        let other = Dial::to(&server).tls(version).login("alice");
        let address = wire.passive();
        let data = Data::new(connect(Ipv4Addr::LOCALHOST, address), &other.data_config());
        refused_upload(&server, &mut wire, data);
    }
}

#[test]
fn the_ticket_of_a_session_that_has_ended_is_no_proof() {
    let server = Server::running();
    let mut ended = Wire::login(&server, "alice");
    let tickets = ended.data_config();
    ended.ask("QUIT", 221);
    drop(ended);
    let mut wire = Wire::login(&server, "alice");
    let address = wire.passive();
    let data = Data::new(connect(Ipv4Addr::LOCALHOST, address), &tickets);
    refused_upload(&server, &mut wire, data);
}

#[test]
fn a_resumed_data_connection_cannot_fetch_from_another_session() {
    let server = Server::running();
    server.put("secret", b"content");
    let mut wire = Wire::login(&server, "alice");
    let thief = Wire::login(&server, "alice");
    let address = wire.passive();
    let mut data = Data::new(connect(Ipv4Addr::LOCALHOST, address), &thief.data_config());
    wire.ask("RETR secret", 150);
    let _ = data.handshake();
    let (content, _) = data.drain();
    assert_eq!(content, b"");
    wire.expect(522);
    server.wait_for_record("file.download_incomplete", |record| record.path() == "/secret");
}

#[test]
fn another_version_of_tls_is_no_proof() {
    let server = Server::running();
    let mut wire = Dial::to(&server).tls(Version::Tls13).login("alice");
    let other = Dial::to(&server).tls(Version::Tls12).login("alice");
    let address = wire.passive();
    let data = Data::new(connect(Ipv4Addr::LOCALHOST, address), &other.data_config());
    refused_upload(&server, &mut wire, data);
}

#[test]
fn a_stranger_at_the_port_is_sent_away_and_recorded_and_the_owner_still_served() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let address = wire.passive();
    let mut stranger = try_connect(Ipv4Addr::new(127, 0, 0, 2), address).unwrap();
    wire.send("STOR f");
    // No word, and the end.
    let mut said = Vec::new();
    let _ = stranger.read_to_end(&mut said);
    assert_eq!(said, b"");
    let record = server.wait_for_record("data.peer_mismatch", |_| true);
    assert!(record.line().contains("127.0.0.2"), "{record:?}");
    let mut data = wire.data_at(address);
    data.send(b"mine");
    data.finish();
    wire.expect(150);
    wire.expect(226);
    assert_eq!(server.content("f").unwrap(), b"mine");
}

#[test]
fn an_exception_lets_a_user_in_who_cannot_resume_and_says_so_in_every_record() {
    let server =
        Server::builder().user("bob", &[]).users_toml(&exception("bob", "address", "an old client", 30)).start();
    let mut wire = Wire::login(&server, "bob");
    let address = wire.passive();
    let mut data = Data::new(connect(Ipv4Addr::LOCALHOST, address), &wire.fresh_config());
    wire.ask("STOR f", 150);
    data.send(b"content");
    data.finish();
    wire.expect(226);
    let record = server.wait_for_record("file.upload", |record| record.user() == "bob");
    assert_eq!(record.text("/unmapped/data_binding"), Some("address"));
    assert!(record.text("/unmapped/data_exception").unwrap().contains("an old client"), "{record:?}");
    // Not in clear, and not for others.
    let mut alice = Wire::login(&server, "alice");
    let address = alice.passive();
    let data = Data::new(connect(Ipv4Addr::LOCALHOST, address), &alice.fresh_config());
    refused_upload(&server, &mut alice, data);
    let address = wire.passive();
    let mut clear = connect(Ipv4Addr::LOCALHOST, address);
    wire.ask("STOR g", 150);
    clear.write_all(b"in clear\r\n").unwrap();
    wire.expect(522);
}

#[test]
fn the_level_principal_takes_the_tickets_of_the_same_user_only() {
    let server = Server::builder()
        .user("bob", &[])
        .users_toml(&exception("alice", "principal", "parallel transfers", 30))
        .start();
    let mut wire = Wire::login(&server, "alice");
    let other = Wire::login(&server, "alice");
    let foreign = Wire::login(&server, "bob");
    let address = wire.passive();
    let mut data = Data::new(connect(Ipv4Addr::LOCALHOST, address), &other.data_config());
    wire.ask("STOR f", 150);
    data.send(b"content");
    data.finish();
    wire.expect(226);
    let record = server.wait_for_record("file.upload", |_| true);
    assert_eq!(record.text("/unmapped/data_binding"), Some("principal"));
    let address = wire.passive();
    let mut data = Data::new(connect(Ipv4Addr::LOCALHOST, address), &foreign.data_config());
    wire.ask("STOR g", 150);
    let _ = data.try_send(b"content");
    wire.expect(522);
    assert_eq!(server.names(), ["f"]);
}

#[test]
fn an_exception_ends_with_its_day() {
    let server = Server::builder().users_toml(&exception("alice", "address", "an old client", -1)).start();
    let mut wire = Wire::login(&server, "alice");
    let address = wire.passive();
    let data = Data::new(connect(Ipv4Addr::LOCALHOST, address), &wire.fresh_config());
    refused_upload(&server, &mut wire, data);
}

#[test]
fn passive_ports_are_of_the_range_and_not_in_a_row() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let (first, last) = server.ports().passive();
    let ports: Vec<u16> = (0..40).map(|_| wire.passive().port()).collect();
    assert!(ports.iter().all(|port| (first..=last).contains(port)), "{ports:?}");
    let distinct: std::collections::BTreeSet<u16> = ports.iter().copied().collect();
    assert!(distinct.len() >= 8, "{ports:?}");
    let steps: std::collections::BTreeSet<i32> =
        ports.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect();
    assert!(steps.len() >= 5, "predictable: {ports:?}");
}

#[test]
fn a_new_port_closes_the_one_before() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut open = wire.passive();
    let mut next = wire.passive();
    while next == open {
        (open, next) = (next, wire.passive());
    }
    eventually("the port is closed or mute", || match try_connect(Ipv4Addr::LOCALHOST, open) {
        Err(_) => Some(()),
        Ok(mut stream) => {
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)).then_some(())
        }
    });
    server.put("f", b"content");
    let data = wire.data_at(next);
    wire.ask("RETR f", 150);
    assert_eq!(data.receive(), b"content");
    wire.expect(226);
}

#[test]
fn clients_of_different_addresses_share_one_port() {
    let server = Server::builder().prepare();
    let mut server = server;
    let (first, _) = server.ports().passive();
    server.override_with(&[&format!("passive.ports={first}-{first}")]);
    server.put("f", b"content");
    server.start();
    let mut one = Dial::to(&server).from(1).login("alice");
    let mut two = Dial::to(&server).from(2).login("alice");
    let (at_one, at_two) = (one.passive(), two.passive());
    assert_eq!((at_one.port(), at_two.port()), (first, first));
    let (data_two, data_one) = (two.data_at(at_two), one.data_at(at_one));
    one.ask("RETR f", 150);
    two.ask("RETR f", 150);
    assert_eq!(data_one.receive(), b"content");
    assert_eq!(data_two.receive(), b"content");
    one.expect(226);
    two.expect(226);
}

#[test]
fn clients_of_one_address_wait_their_turn_and_hear_why_it_does_not_come() {
    let mut server = Server::builder().prepare();
    let (first, _) = server.ports().passive();
    server.override_with(&[&format!("passive.ports={first}-{first}"), "limits.data-connect-seconds=1"]);
    server.start();
    // Each keeps the port for a second, since no data connection comes; each waits for three.
    let mut wires: Vec<Wire> = (0..8).map(|_| Wire::login(&server, "alice")).collect();
    for wire in &mut wires {
        wire.send("EPSV");
    }
    let replies: Vec<_> = wires.iter_mut().map(Wire::reply).collect();
    assert!(replies.iter().filter(|reply| reply.code == 229).count() >= 2, "{replies:?}");
    let refused: Vec<_> = replies.iter().filter(|reply| reply.code != 229).collect();
    assert!(!refused.is_empty());
    for reply in refused {
        assert!(reply.code == 425 && reply.text().contains("taken by your address"), "{reply:?}");
    }
}

#[test]
fn one_port_serves_many_addresses_at_once_and_each_again_and_again() {
    let mut server = Server::builder().prepare();
    let (first, _) = server.ports().passive();
    server.override_with(&[&format!("passive.ports={first}-{first}")]);
    server.start();
    std::thread::scope(|scope| {
        for last in 1..=8 {
            let server = &server;
            scope.spawn(move || {
                let mut wire = Dial::to(server).from(last).tls(Version::Tls12).login("alice");
                for round in 0..10 {
                    let content = format!("{last} {round}");
                    wire.store(&format!("STOR f{last}"), content.as_bytes());
                    assert_eq!(wire.fetch(&format!("RETR f{last}")), content.as_bytes());
                }
            });
        }
    });
    assert_eq!(server.records_of("file.download").len(), 80);
    assert!(server.records_of("data.peer_mismatch").is_empty());
}

#[test]
fn pasv_tells_the_address_of_the_control_connection_or_the_one_advertised() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let text = wire.ask("PASV", 227).text().to_owned();
    assert!(text.contains("(127,0,0,1,"), "{text}");

    let advertise = "[{ clients = \"127.0.0.2/32\", address = \"198.51.100.7\" }]";
    let server = Server::builder().policy("passive.advertise", advertise).start();
    let text = Dial::to(&server).from(2).login("alice").ask("PASV", 227).text().to_owned();
    assert!(text.contains("(198,51,100,7,"), "{text}");
    let text = Dial::to(&server).from(3).login("alice").ask("PASV", 227).text().to_owned();
    assert!(text.contains("(127,0,0,1,"), "{text}");
}

#[test]
fn epsv_takes_its_arguments_as_written() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    wire.ask("EPSV 1", 229);
    wire.ask("EPSV 2", 522);
    wire.ask("EPSV 3", 522);
    wire.ask("EPSV x", 501);
    wire.ask("EPSV ALL", 200);
    for line in ["PASV", "PORT 127,0,0,1,200,0", "EPRT |1|127.0.0.1|51200|"] {
        wire.ask(line, 503);
    }
    wire.ask("EPSV", 229);
}

#[test]
fn a_data_connection_that_never_comes_is_not_waited_for() {
    let server = Server::builder().set("limits.data-connect-seconds", "1").start();
    let mut wire = Wire::login(&server, "alice");
    wire.ask("EPSV", 229);
    wire.ask("STOR f", 150);
    wire.expect(425);
    assert!(server.names().is_empty());
    wire.ask("NOOP", 200);
}

#[test]
fn a_data_connection_that_says_nothing_is_not_waited_for() {
    let server = Server::builder().set("limits.data-connect-seconds", "1").set("limits.handshake-seconds", "1").start();
    let mut wire = Wire::login(&server, "alice");
    let address = wire.passive();
    let _mute = connect(Ipv4Addr::LOCALHOST, address);
    wire.ask("STOR f", 150);
    let reply = wire.reply();
    assert!([425, 522].contains(&reply.code), "{reply:?}");
    assert!(server.names().is_empty());
}

#[test]
fn a_neighbour_who_comes_first_takes_no_data_connection_away() {
    let server = Server::running();
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    // One behind the same address who says nothing, and one who speaks TLS but cannot resume.
    let address = wire.passive();
    let _silent = connect([127, 0, 0, 1], address);
    let mut stranger = Data::new(connect([127, 0, 0, 1], address), &wire.fresh_config());
    stranger.handshake().unwrap();
    let data = wire.data_at(address);
    wire.ask("RETR f", 150);
    assert_eq!(data.receive(), b"content");
    wire.expect(226);
    server.wait_for_failure("data.binding_failed", "not_resumed");
}

#[test]
fn a_silent_neighbour_hides_no_refusal() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let address = wire.passive();
    let _silent = connect([127, 0, 0, 1], address);
    let mut unbound = Data::new(connect([127, 0, 0, 1], address), &wire.fresh_config());
    unbound.handshake().unwrap();
    let began = Instant::now();
    // The refusal may be known before the command comes.
    wire.send("STOR planted");
    let mut reply = wire.reply();
    if reply.code == 150 {
        reply = wire.reply();
    }
    assert_eq!(reply.code, 522, "{reply:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_refused_command_gives_its_port_back_at_once() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    // Many more than the range has ports, as fast as they go.
    for _ in 0..300 {
        let data = wire.data();
        wire.ask("RETR missing", 550);
        drop(data);
    }
}
