//! What is said before anybody has logged in and gets exactly the refusal it deserves, byte by
//! byte, with its record.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::support::tls::Version;
use crate::support::wire::connect;
use crate::support::{Dial, Ending, PASSWORD, Server, Wire, eventually};

/// Everything the server says up to the end of the connection, as text.
fn last_words(wire: &mut Wire) -> String {
    String::from_utf8(wire.rest().0).unwrap()
}

#[test]
fn the_greeting_names_no_version() {
    let server = Server::running();
    let mut wire = Dial::to(&server).connect();
    let greeting = wire.expect(220);
    assert_eq!(greeting.lines.len(), 1);
    assert!(!greeting.text().contains(|c: char| c.is_ascii_digit()), "{greeting:?}");
    assert!(!greeting.text().to_ascii_lowercase().contains("portcullis"), "{greeting:?}");
}

#[test]
fn user_and_pass_in_clear_are_refused_unread_and_the_third_ends_it() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.ask("USER alice", 530);
    wire.ask(&format!("PASS {PASSWORD}"), 530);
    wire.ask("USER alice", 530);
    wire.expect(421);
    assert_eq!(wire.ended(), Ending::Fin);
    let records = server.records_of("auth.plaintext_refused");
    assert_eq!(records.len(), 3);
    for record in records {
        assert_eq!(record.detail(), "tls_required");
        assert_eq!(record.user(), "", "nothing that was said in clear is kept: {record:?}");
    }
}

#[test]
fn transfers_and_protection_wait_for_tls() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    for line in ["PASV", "EPSV", "LIST", "STOR x", "RETR x", "PORT 127,0,0,1,200,0", "CWD /", "DELE x", "STAT"] {
        wire.ask(line, 530);
    }
    wire.ask("PBSZ 0", 503);
    wire.ask("PROT P", 503);
    assert!(server.names().is_empty());
}

#[test]
fn bytes_behind_auth_tls_are_an_attack_and_are_never_executed() {
    let server = Server::running();
    for injected in ["USER alice\r\nPASS x\r\n", "NOOP\r\n", "x", "\u{16}\u{3}\u{1}\0\u{1}"] {
        let mut wire = Wire::greeted(&server);
        wire.send_raw(format!("AUTH TLS\r\n{injected}").as_bytes());
        let said = last_words(&mut wire);
        assert!(said.starts_with("421 ") && said.lines().count() == 1, "{injected:?}: {said:?}");
    }
    assert_eq!(server.records_of("tls.plaintext_injection").len(), 4);
    assert!(server.records_of("tls.handshake_ok").is_empty());
    assert!(server.records_of("auth.failure").is_empty());
}

#[test]
fn bytes_in_clear_in_place_of_the_handshake_end_the_connection() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.ask("AUTH TLS", 234);
    wire.send("USER alice");
    let (said, _) = wire.rest();
    assert!(!said.starts_with(b"331"), "{said:?}");
    server.wait_for_record("tls.plaintext_injection", |_| true);
}

#[test]
fn bytes_behind_auth_tls_in_a_segment_of_their_own_are_an_attack_too() {
    let server = Server::running();
    for _ in 0..10 {
        let mut wire = Wire::greeted(&server);
        wire.send_raw(b"AUTH TLS\r\n");
        // The server may have answered and gone by now.
        let _ = wire.try_send_raw(b"USER alice\r\n");
        let _ = wire.rest();
    }
    eventually("ten records", || (server.records_of("tls.plaintext_injection").len() == 10).then_some(()));
    assert!(server.records_of("tls.handshake_failed").is_empty());
}

#[test]
fn other_mechanisms_than_tls_are_refused() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.ask("AUTH", 501);
    wire.ask("AUTH GSSAPI", 504);
    wire.ask("AUTH TLS extra", 504);
    wire.ask("auth tls", 234);
}

#[test]
fn a_line_that_is_too_long_ends_the_connection() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.send_raw(&[b'x'; 4096]);
    wire.expect(500);
    wire.expect(421);
    assert_ne!(wire.ended(), Ending::Reset);
    server.wait_for_failure("proto.violation", "line_too_long");
}

#[test]
fn the_tail_of_a_line_that_is_too_long_is_no_command() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.send_raw(format!("{}\r\nNOOP\r\nFEAT\r\n", "x".repeat(5000)).as_bytes());
    let said = last_words(&mut wire);
    assert!(!said.contains("\r\n200") && !said.contains("\r\n211"), "{said}");
}

#[test]
fn nul_and_stray_carriage_returns_spoil_a_command() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    for line in [&b"US\0ER alice\r\n"[..], b"USER alice\0evil\r\n", b"NOOP\rNOOP\r\n"] {
        wire.send_raw(line);
        wire.expect(501);
    }
    wire.send_raw(b"NOOP\n");
    wire.expect(200);
}

#[test]
fn telnet_commands_are_removed_and_never_answered() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.send_raw(b"\xff\xf4\xff\xf2NOOP\r\n");
    wire.expect(200);
    let mut flood = b"\xff\xfb\x01".repeat(1000);
    flood.extend_from_slice(b"NOOP\r\n");
    wire.send_raw(&flood);
    wire.expect(200);
    assert!(wire.is_silent(Duration::from_millis(50)));
    wire.send_raw(b"\xf2NOOP\r\n");
    wire.expect(200);
}

#[test]
fn too_many_commands_before_the_login_end_the_connection() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    for _ in 0..50 {
        wire.send("NOOP");
    }
    for _ in 0..50 {
        wire.expect(200);
    }
    wire.ask("NOOP", 421);
    assert_eq!(wire.ended(), Ending::Fin);
    server.wait_for_failure("proto.violation", "too_many_commands_before_login");
}

#[test]
fn commands_before_the_login_are_slowed_down() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    let began = Instant::now();
    wire.send_raw("NOOP\r\n".repeat(45).as_bytes());
    for _ in 0..45 {
        wire.expect(200);
    }
    // Twenty at once, then twenty a second.
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
}

#[test]
fn a_row_of_failed_commands_ends_the_session() {
    let server = Server::builder().set("limits.failed-commands", "5").start();
    let mut wire = Wire::login(&server, "alice");
    for _ in 0..4 {
        wire.ask("XYZZY", 500);
    }
    wire.ask("NOOP", 200);
    for _ in 0..4 {
        wire.ask("SITE EXEC id", 504);
    }
    wire.ask("TYPE Q", 501);
    wire.expect(421);
    assert_eq!(wire.ended(), Ending::CloseNotify);
    server.wait_for_failure("proto.violation", "too_many_failed_commands");
}

#[test]
fn other_protocols_are_turned_away_at_their_first_line_without_an_echo() {
    let server = Server::running();
    for line in [
        "GET / HTTP/1.1",
        "POST /x HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "EHLO mail.example",
        "HELO mail.example",
        "SSH-2.0-OpenSSH_9.2",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1234 21",
    ] {
        let mut wire = Wire::greeted(&server);
        wire.send(line);
        let said = last_words(&mut wire);
        assert!(said.starts_with("421 ") && said.lines().count() == 1, "{line}: {said:?}");
        let word = line.split(' ').next().unwrap();
        assert!(!said.contains(word), "{line} came back: {said:?}");
    }
    let records = server.records_of("proto.violation");
    assert_eq!(records.iter().filter(|record| record.detail() == "foreign_protocol").count(), 7, "{records:?}");
}

#[test]
fn a_proxy_header_of_the_second_version_is_no_command_either() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.send_raw(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x04\xd2\0\x15");
    let said = last_words(&mut wire);
    assert!(said.lines().all(|line| !line.starts_with("23")), "{said}");
    assert!(
        server.records_of("conn.accepted").iter().all(|record| record.text("/src_endpoint/ip") == Some("127.0.0.1"))
    );
}

#[test]
fn three_unknown_commands_before_the_login_end_the_connection() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.ask("Host: example", 500);
    wire.ask("Accept: */*", 500);
    wire.ask("X-Header: QUIT", 500);
    wire.expect(421);
    assert_eq!(wire.ended(), Ending::Fin);
    server.wait_for_failure("proto.violation", "unknown_commands");
}

#[test]
fn tls_on_the_port_for_explicit_tls_is_turned_away_at_its_first_byte() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    assert!(wire.handshake().is_err());
    server.wait_for_failure("proto.violation", "tls_on_plain_port");
}

/// A `ClientHello` of an old version, as bytes: random, no session, four suites of that time.
fn old_client_hello(version: [u8; 2]) -> Vec<u8> {
    let mut hello = version.to_vec();
    hello.extend_from_slice(&[7; 32]);
    hello.push(0);
    hello.extend_from_slice(&[0, 8, 0xc0, 0x14, 0xc0, 0x13, 0, 0x35, 0, 0x2f]);
    hello.extend_from_slice(&[1, 0]);
    let mut handshake = vec![1, 0, 0, u8::try_from(hello.len()).unwrap()];
    handshake.extend_from_slice(&hello);
    let mut record = vec![0x16, 3, 1, 0, u8::try_from(handshake.len()).unwrap()];
    record.extend_from_slice(&handshake);
    record
}

#[test]
fn old_versions_of_tls_get_an_alert() {
    let server = Server::running();
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut wire = Wire::greeted(&server);
        wire.ask("AUTH TLS", 234);
        wire.send_raw(&old_client_hello(version));
        let (answer, _) = wire.rest();
        // A fatal alert: protocol_version (70), or handshake_failure (40) where no suite is common.
        assert!(answer.starts_with(&[0x15]) && answer[5] == 2 && [70, 40].contains(&answer[6]), "{answer:?}");
    }
    eventually("three records", || (server.records_of("tls.handshake_failed").len() == 3).then_some(()));
}

#[test]
fn both_versions_of_tls_are_served_with_forward_secrecy_and_recorded() {
    let server = Server::running();
    for (version, name) in [(Version::Tls13, "1.3"), (Version::Tls12, "1.2")] {
        let _wire = Dial::to(&server).tls(version).secure();
        let record = server.wait_for_record("tls.handshake_ok", |r| r.text("/tls/version") == Some(name));
        let cipher = record.text("/tls/cipher").unwrap();
        assert!(cipher.contains("GCM") || cipher.contains("CHACHA20"), "{record:?}");
        assert!(version == Version::Tls13 || cipher.contains("ECDHE"), "{record:?}");
        assert!(record.text("/unmapped/kx").is_some(), "{record:?}");
    }
}

#[test]
fn the_key_exchange_prefers_to_withstand_quantum_computers() {
    let server = Server::running();
    let _wire = Wire::secure(&server);
    let record = server.wait_for_record("tls.handshake_ok", |_| true);
    assert_eq!(record.text("/unmapped/kx"), Some("X25519MLKEM768"), "{record:?}");
}

#[test]
fn the_application_protocol_is_ftp_or_none() {
    let server = Server::running();
    let wire = Dial::to(&server).alpn(&[b"x-filezilla-ftp", b"ftp"]).secure();
    assert_eq!(wire.agreed().alpn_protocol(), Some(&b"ftp"[..]));
    assert_eq!(Wire::secure(&server).agreed().alpn_protocol(), None);

    let mut wire = Dial::to(&server).alpn(&[b"http/1.1"]).greeted();
    wire.ask("AUTH TLS", 234);
    let refused = wire.handshake().unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    server.wait_for_record("tls.handshake_failed", |_| true);
}

#[test]
fn nothing_learned_in_clear_survives_tls() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    wire.ask("USER alice", 530);
    wire.start_tls();
    wire.ask(&format!("PASS {PASSWORD}"), 503);
}

#[test]
fn tls_stays_once_it_is_there() {
    let server = Server::running();
    let mut wire = Wire::secure(&server);
    wire.ask("AUTH TLS", 503);
    wire.ask("CCC", 534);
    wire.ask("REIN", 502);
    wire.log_in("alice");
    wire.ask("AUTH TLS", 503);
    wire.ask("CCC", 534);
    wire.ask("REIN", 502);
    wire.ask("PWD", 257);
}

#[test]
fn protection_levels_are_private_or_refused() {
    let server = Server::running();
    let mut wire = Wire::secure(&server);
    wire.ask("PROT P", 503);
    wire.ask("PBSZ x", 501);
    wire.ask("PBSZ -1", 501);
    assert!(wire.ask("PBSZ 16384", 200).text().contains("PBSZ=0"));
    wire.ask("PROT C", 534);
    wire.ask("PROT S", 536);
    wire.ask("PROT E", 536);
    wire.ask("PROT X", 504);
    wire.ask("PROT P", 200);
    // A refusal changes nothing of what was agreed upon.
    wire.ask("PROT C", 534);
    wire.log_in("alice");
    wire.ask("TYPE I", 200);
    server.put("f", b"content");
    assert_eq!(wire.fetch("RETR f"), b"content");
}

#[test]
fn a_silent_client_is_not_waited_for() {
    let server = Server::builder().set("limits.login-seconds", "1").start();
    let mut silent = Wire::greeted(&server);
    silent.expect(421);
    assert_eq!(silent.ended(), Ending::Fin);

    // The time runs from the connect, whatever is said meanwhile.
    let mut busy = Wire::secure(&server);
    let began = Instant::now();
    let end = loop {
        if busy.try_send_raw(b"NOOP\r\n").is_err() {
            break None;
        }
        match busy.try_reply() {
            Ok(reply) if reply.code == 200 => std::thread::sleep(Duration::from_millis(60)),
            Ok(reply) => break Some(reply.code),
            Err(_) => break None,
        }
    };
    assert_eq!(end, Some(421));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(server.records_of("session.closed").iter().any(|record| record.text("/unmapped/end") == Some("timeout")));
}

#[test]
fn a_handshake_that_stops_is_not_waited_for() {
    let server = Server::builder().set("limits.handshake-seconds", "1").start();
    let mut wire = Wire::greeted(&server);
    wire.ask("AUTH TLS", 234);
    wire.send_raw(&[0x16, 3, 1]);
    let began = Instant::now();
    let (said, _) = wire.rest();
    assert!(!said.starts_with(b"4") && began.elapsed() < Duration::from_secs(8), "{said:?}");
    server.wait_for_record("tls.handshake_failed", |_| true);
}

#[test]
fn on_the_port_for_implicit_tls_nothing_is_said_in_clear() {
    let server = Server::builder().implicit().start();
    let dial = Dial::to_port(&server, server.ports().implicit());
    let mut wire = dial.connect();
    wire.handshake().unwrap();
    wire.expect(220);
    wire.log_in("alice");
    wire.ask("TYPE I", 200);
    server.put("f", b"content");
    // Data connections are protected from the start; asking again is no error.
    assert_eq!(wire.fetch("RETR f"), b"content");
    wire.protect();

    let mut clear = connect(std::net::Ipv4Addr::LOCALHOST, wire.server_address());
    clear.write_all(b"USER alice\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = clear.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"220") && !answer.starts_with(b"3"), "{answer:?}");
}

#[test]
fn a_client_that_says_nothing_keeps_nobody_out_of_tls() {
    let server = Server::builder().policy("limits.handshakes", "1").start();
    let mut silent = Wire::greeted(&server);
    silent.ask("AUTH TLS", 234);
    let began = Instant::now();
    Wire::secure(&server).ask("NOOP", 200);
    assert!(began.elapsed() < Duration::from_secs(5), "the handshake has ten seconds");
}

#[test]
fn every_refused_address_is_in_the_log_however_many_come_at_once() {
    let server = Server::builder().allow_from("127.0.0.1/32").start();
    let refused = 200_u8;
    let address = Dial::to(&server).connect().server_address();
    let held: Vec<_> =
        (2..2 + refused).map(|last| connect(std::net::Ipv4Addr::new(127, 0, 0, last), address)).collect();
    eventually("every refusal told of", || {
        let told = server.records_of("conn.denied");
        let count: u64 = told.iter().map(|record| record.number("/unmapped/count").unwrap_or(1)).sum();
        (count == u64::from(refused)).then_some(())
    });
    drop(held);
}
