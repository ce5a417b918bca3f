//! Behind a proxy that tells for whom it connects: the client is who the header says, where the
//! policy names the proxy, and nowhere else.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::clients::{content, curl, run, url};
use crate::support::haproxy::HaProxy;
use crate::support::server::Builder;
use crate::support::{Data, Dial, Ending, Record, Server, Wire, eventually, wire};

/// The client of the tests with a real proxy.
const CLIENT: &str = "127.0.0.3";
/// What that proxy tells, where the tests speak for it.
const HEADER: &str = "PROXY TCP4 127.0.0.3 127.0.0.9 40000 21\r\n";

/// A server behind a proxy that connects from 127.0.0.8.
fn behind(data: &str) -> Builder {
    Server::builder().policy("listen.proxies", &format!("[{{ from = \"127.0.0.8\", data = \"{data}\" }}]"))
}

/// A connection as from the proxy, with this ahead.
fn told(server: &Server, header: impl Into<Vec<u8>>) -> Dial {
    Dial::to(server).from(8).header(header)
}

/// A header of version 2 that tells of an IPv4 connection.
fn binary(command: u8, client: [u8; 4], more: &[u8]) -> Vec<u8> {
    let addresses = [&client[..], &[127, 0, 0, 9, 0x9c, 0x40, 0, 21], more].concat();
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, 0x11], &length, &addresses].concat()
}

fn proxy_of(record: &Record) -> &str {
    record.text("/unmapped/proxy").unwrap_or("")
}

/// curl as the client, connecting to the proxy.
fn through(server: &Server, proxy: &HaProxy) -> Command {
    let mut curl = curl(server, "alice");
    curl.args(["--interface", CLIENT, "--no-ftp-skip-pasv-ip"]);
    curl.args(["--connect-to", &format!("localhost:{}:{}", server.port(), proxy.address())]);
    curl
}

/// Moves a file both ways in each way of asking for a port.
fn moves_files(server: &Server, proxy: &HaProxy, ways: &[&str]) {
    let sent = content("proxy", 400_000);
    let source = server.scratch().join("source");
    std::fs::write(&source, &sent).unwrap();
    for way in ways {
        let address = url(server, "file");
        run(through(server, proxy).arg(way).arg("--upload-file").arg(&source).arg(&address)).done();
        assert!(server.content("file").as_ref() == Some(&sent), "{way} up");
        assert!(run(through(server, proxy).arg(way).arg(&address)).done().out == sent, "{way} down");
        let names = run(through(server, proxy).args([way, "--list-only", &url(server, "")])).done().text();
        assert_eq!(names, "file\n", "{way}");
    }
    for record in server.records_of("file.upload") {
        assert_eq!(record.text("/src_endpoint/ip"), Some(CLIENT));
        assert_eq!(record.text("/unmapped/data_binding"), Some("session"));
    }
    let accepted = server.records_of("conn.accepted");
    let of_client = accepted.iter().filter(|record| record.text("/src_endpoint/ip") == Some(CLIENT));
    assert_eq!(of_client.count(), ways.len() * 3);
    for record in accepted {
        assert!(proxy_of(&record).starts_with(&HaProxy::source().to_string()), "{record:?}");
    }
    assert!(server.records_of("data.peer_mismatch").is_empty());
}

#[test]
fn curl_works_through_haproxy_with_a_header_on_every_connection() {
    for version in ["send-proxy", "send-proxy-v2"] {
        let server = behind("header").start();
        let proxy = HaProxy::start(&server, version, Some(version));
        moves_files(&server, &proxy, &["--ftp-pasv", "--disable-epsv"]);
    }
}

#[test]
fn haproxy_works_as_the_document_sets_it_up() {
    let server = behind("header").start();
    let proxy = HaProxy::as_documented(&server);
    moves_files(&server, &proxy, &["--ftp-pasv"]);
}

#[test]
fn curl_works_through_haproxy_with_headers_on_control_connections_alone() {
    let server = behind("same-address").start();
    let proxy = HaProxy::start(&server, "send-proxy-v2", Some(""));
    moves_files(&server, &proxy, &["--ftp-pasv", "--disable-epsv"]);
}

#[test]
fn curl_works_with_data_connections_past_haproxy() {
    let advertise = "[{ clients = \"any\", address = \"127.0.0.1\" }]";
    let server = behind("direct").policy("passive.advertise", advertise).start();
    let proxy = HaProxy::start(&server, "send-proxy", None);
    moves_files(&server, &proxy, &["--disable-epsv"]);
}

#[test]
fn checks_of_health_by_haproxy_leave_no_trace() {
    let server = behind("header").start();
    for check in ["send-proxy check inter 20", "send-proxy-v2 check check-send-proxy inter 20"] {
        let proxy = HaProxy::start(&server, check, Some("send-proxy-v2"));
        std::thread::sleep(Duration::from_millis(300));
        let mut wire = Dial::to(&server).from(3).through(proxy.address()).login("alice");
        wire.ask("NOOP", 200);
    }
    assert!(server.records_of("conn.denied").is_empty());
    assert_eq!(server.records_of("auth.success").len(), 2);
}

#[test]
fn many_clients_of_one_proxy_keep_their_data_connections_apart() {
    for data in ["header", "same-address"] {
        let server = behind(data).start();
        let on_data = if data == "header" { "send-proxy" } else { "" };
        let proxy = HaProxy::start(&server, "send-proxy", Some(on_data));
        let mut wires: Vec<Wire> =
            (0..8).map(|n| Dial::to(&server).from(3 + n % 4).through(proxy.address()).login("alice")).collect();
        let ports: Vec<SocketAddr> = wires.iter_mut().map(Wire::passive).collect();
        // The last comes first, over ports that all were reserved by then.
        for (n, (wire, port)) in wires.iter_mut().zip(ports).enumerate().rev() {
            let mut data = wire.data_at(port);
            wire.ask(&format!("STOR f{n}"), 150);
            data.send(format!("content {n}").as_bytes());
            data.finish();
            wire.expect(226);
        }
        for n in 0..8 {
            assert_eq!(server.content(&format!("f{n}")).unwrap(), format!("content {n}").as_bytes(), "{data}");
        }
    }
}

#[test]
fn without_a_header_nobody_is_served_from_the_proxys_address() {
    let server = behind("header").start();
    for (ahead, reason) in [
        (&b"USER alice\r\n"[..], "proxy_header_missing"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 ", "proxy_header_missing"),
        (b"PROXY TCP4 127.0.0.3 127.0.0.9 x 21\r\n", "proxy_header_malformed"),
        (&[b"PROXY TCP4 ", &[b'1'; 200][..]].concat(), "proxy_header_too_long"),
        (&binary(0x21, [127, 0, 0, 3], &[0; 1100]), "proxy_header_too_long"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c012345678901", "proxy_header_unsupported"),
    ] {
        let mut wire = told(&server, ahead).connect();
        let ending = wire.ended();
        assert!(matches!(ending, Ending::Fin | Ending::Reset), "{ending:?}");
        server.wait_for_failure("conn.denied", reason);
    }
    assert!(server.records_of("conn.accepted").is_empty());
}

#[test]
fn a_header_from_anybody_else_changes_nothing() {
    let server = behind("header").start();
    let mut wire = Dial::to(&server).from(2).header(HEADER).connect();
    wire.expect(220);
    wire.expect(421);
    wire.rest();
    let violation = server.wait_for_record("proto.violation", |_| true);
    assert_eq!(violation.text("/src_endpoint/ip"), Some("127.0.0.2"));
    let accepted = server.records_of("conn.accepted");
    assert_eq!((accepted.len(), proxy_of(&accepted[0])), (1, ""));
    // And without one they are served as ever.
    Dial::to(&server).from(2).login("alice").store("STOR f", b"content");
}

#[test]
fn a_slow_header_ends_in_time_and_keeps_nobody_waiting() {
    let server = behind("header").start();
    let began = Instant::now();
    let mut slow = told(&server, "PROXY TCP4 127.0.0.3 12").connect();
    let mut silent = told(&server, "").connect();
    told(&server, HEADER).login("alice");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for wire in [&mut slow, &mut silent] {
        wire.ended();
    }
    assert!((4..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    eventually("both are recorded", || (server.records_of("conn.denied").len() == 2).then_some(()));
    assert!(server.records_of("conn.denied").iter().all(|record| record.detail() == "proxy_header_late"));
}

#[test]
fn connections_that_are_still_to_tell_are_bounded_and_others_go_on() {
    let server = behind("header").start();
    let silent: Vec<Wire> = (0..256).map(|_| told(&server, "").connect()).collect();
    told(&server, HEADER).connect().ended();
    server.wait_for_failure("conn.denied", "proxy_headers_pending");
    Wire::login(&server, "alice");
    drop(silent);
    eventually("there is room again", || told(&server, HEADER).connect().try_reply().ok());
}

#[test]
fn what_the_proxy_asks_for_itself_is_closed_without_a_record() {
    let server = behind("header").start();
    for itself in [&b""[..], b"PROXY UNKNOWN\r\n", &binary(0x20, [127, 0, 0, 3], &[])] {
        let mut wire = told(&server, itself).connect();
        if itself.is_empty() {
            wire.tcp().shutdown(std::net::Shutdown::Write).unwrap();
        }
        wire.ended();
    }
    told(&server, HEADER).greeted();
    server.wait_for_record("conn.accepted", |_| true);
    assert!(server.records_of("conn.denied").is_empty());
}

#[test]
fn not_a_byte_behind_the_header_is_lost() {
    let server = behind("header").start();
    for header in [HEADER.as_bytes().to_vec(), binary(0x21, [127, 0, 0, 3], &[4, 0, 3, 1, 2, 3])] {
        let mut wire = told(&server, [&header[..], b"NOOP\r\nSYST\r\n"].concat()).connect();
        wire.expect(220);
        wire.expect(200);
        wire.expect(215);
    }
}

#[test]
fn implicit_tls_begins_behind_the_header() {
    let server = behind("header").implicit().start();
    let mut wire = Dial::to_port(&server, server.ports().implicit()).from(8).header(HEADER).connect();
    wire.handshake().unwrap();
    wire.expect(220);
    wire.log_in("alice");
}

#[test]
fn lists_and_bounds_are_for_the_client_and_not_for_the_proxy() {
    let server = behind("header")
        .allow_from("127.0.0.0/29")
        .set("login.failures-per-address", "1")
        .set("login.attempts-per-session", "1")
        .set("login.delay-longest-seconds", "1")
        .start();
    told(&server, "PROXY TCP4 192.0.2.1 127.0.0.9 40000 21\r\n").connect().expect(421);
    let denied = server.wait_for_failure("conn.denied", "ip_not_allowed");
    assert_eq!(denied.text("/unmapped/source_ip"), Some("192.0.2.1"));
    assert!(proxy_of(&denied).starts_with("127.0.0.8:"), "{denied:?}");

    for _ in 0..2 {
        let mut guessing = told(&server, HEADER).secure();
        guessing.refused("alice", "wrong");
        guessing.rest();
    }
    let banned = server.wait_for_record("auth.banned", |_| true);
    assert_eq!(banned.text("/src_endpoint/ip"), Some(CLIENT));
    told(&server, HEADER).connect().expect(421);
    told(&server, HEADER.replace(CLIENT, "127.0.0.4")).login("alice");
}

#[test]
fn sessions_are_counted_by_client() {
    let server = behind("header").set("limits.sessions-per-address", "1").start();
    let _one = told(&server, HEADER).greeted();
    let _other = told(&server, HEADER.replace(CLIENT, "127.0.0.4")).greeted();
    told(&server, HEADER).connect().expect(421);
    server.wait_for_failure("conn.denied", "sessions_per_address");
}

/// A data connection as from the proxy, with this ahead.
fn data_told(wire: &mut Wire, header: &str) -> Data {
    let address = wire.passive();
    let mut stream = wire::connect(Ipv4Addr::new(127, 0, 0, 8), address);
    std::io::Write::write_all(&mut stream, header.as_bytes()).unwrap();
    Data::new(stream, &wire.data_config())
}

#[test]
fn a_data_connection_tells_for_the_same_client_or_is_nobodys() {
    let server = behind("header").set("limits.data-connect-seconds", "1").start();
    server.put("f", b"content");
    let mut wire = told(&server, HEADER).login("alice");
    for (ahead, reason) in [
        ("", ""),
        ("PROXY TCP4 127.0.0.4 127.0.0.9 40000 21\r\n", "no_reservation"),
        ("PROXY WHAT\r\n", "proxy_header_malformed"),
    ] {
        let data = data_told(&mut wire, ahead);
        wire.ask("RETR f", 150);
        wire.expect(425);
        drop(data);
        if !reason.is_empty() {
            server.wait_for_failure("data.peer_mismatch", reason);
        }
    }
    let data = data_told(&mut wire, "PROXY TCP4 127.0.0.3 127.0.0.9 40001 50000\r\n");
    wire.ask("RETR f", 150);
    assert_eq!(data.receive(), b"content");
    wire.expect(226);
}

#[test]
fn a_client_of_ipv6_is_one_behind_a_proxy_of_ipv4_too() {
    let server = behind("header").allow_from("2001:db8::/32").start();
    server.put("f", b"content");
    let mut wire = told(&server, "PROXY TCP6 2001:db8::7 2001:db8::5 40000 21\r\n").login("alice");
    wire.ask("PASV", 425);
    wire.ask("EPSV 1", 522);
    let data = data_told(&mut wire, "PROXY TCP6 2001:db8::7 2001:db8::5 40001 50000\r\n");
    wire.ask("RETR f", 150);
    assert_eq!(data.receive(), b"content");
    wire.expect(226);
}

#[test]
fn where_clients_share_the_proxys_address_it_proves_nothing() {
    let exception = "[[user.alice.exception]]\ndata-binding = \"address\"\nreason = \"cannot resume\"\nuntil = ";
    let exception = format!("{exception}{}\n", crate::support::day(30));
    let server = behind("same-address").users_toml(&exception).start();
    server.put("f", b"content");
    let mut behind_it = told(&server, HEADER).login("alice");
    let address = behind_it.passive();
    let stream = wire::connect(Ipv4Addr::new(127, 0, 0, 8), address);
    let data = Data::new(stream, &behind_it.fresh_config());
    behind_it.ask("RETR f", 150);
    data.drain();
    behind_it.expect(522);
    // Straight from the client, the exception holds.
    let mut straight = Wire::login(&server, "alice");
    let address = straight.passive();
    let data = Data::new(wire::connect(Ipv4Addr::LOCALHOST, address), &straight.fresh_config());
    straight.ask("RETR f", 150);
    assert_eq!(data.receive(), b"content");
    straight.expect(226);
}
