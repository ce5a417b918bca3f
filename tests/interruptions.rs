//! What may happen while a transfer runs: it is asked about, stopped, left, outlasted.

use std::time::{Duration, Instant};

use crate::support::tls::Version;
use crate::support::wire::try_connect;
use crate::support::{Dial, Server, Wire, eventually};

#[test]
fn abor_without_a_transfer_finds_nothing_to_do() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    wire.ask("ABOR", 225);
    wire.ask("EPSV", 229);
    wire.ask("ABOR", 225);
    wire.ask("LIST", 425);
}

#[test]
fn abor_stops_an_upload_and_the_file_is_unchanged() {
    let server = Server::running();
    server.put("f", b"old");
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"new");
    wire.ask("ABOR", 426);
    wire.expect(226);
    assert_eq!(server.content("f").unwrap(), b"old");
    assert_eq!(server.wait_for_record("file.upload_incomplete", |_| true).detail(), "aborted");
    drop(data);
    wire.store("STOR g", b"next");
}

#[test]
fn abor_stops_a_download_and_waiting_for_the_data_connection() {
    let server = Server::running();
    server.put_large("large", 64 << 20);
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("RETR large");
    data.read(1000);
    // As a Telnet interrupt sends it (RFC 959 §4.1.3).
    wire.send_raw(b"\xff\xf4\xff\xf2ABOR\r\n");
    wire.expect(426);
    wire.expect(226);
    let (_, whole) = data.drain();
    assert!(!whole);
    assert_eq!(server.wait_for_record("file.download_incomplete", |_| true).detail(), "aborted");

    wire.passive();
    wire.ask("RETR large", 150);
    wire.ask("ABOR", 426);
    wire.expect(226);
    wire.ask("NOOP", 200);
}

#[test]
fn abor_is_found_behind_more_lines_than_may_wait() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"new");
    // With a Telnet interrupt, and in two pieces.
    wire.send_raw(&[b"PWD\r\n".repeat(1000).as_slice(), b"\xff\xf4\xff\xf2AB"].concat());
    assert!(wire.is_silent(Duration::from_millis(50)));
    wire.send_raw(b"OR\r\n");
    wire.expect(426);
    wire.expect(226);
    for _ in 0..1000 {
        wire.expect(257);
    }
    wire.ask("NOOP", 200);
}

#[test]
fn who_leaves_behind_many_lines_is_missed_at_once() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"new");
    wire.send_raw(&b"PWD\r\n".repeat(1000));
    drop(wire);
    server.wait_for_failure("file.upload_incomplete", "control_gone");
}

#[test]
fn stat_tells_of_a_running_transfer() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(&[b'x'; 5000]);
    let told = eventually("it says how far it is", || {
        let reply = wire.ask("STAT", 213);
        reply.text().contains("5000 bytes").then_some(reply)
    });
    assert!(told.text().contains("/f"), "{told:?}");
    data.finish();
    wire.expect(226);
}

#[test]
fn quit_during_a_transfer_comes_after_it() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"first half, ");
    wire.send("QUIT");
    assert!(wire.is_silent(Duration::from_millis(50)));
    data.send(b"second half");
    data.finish();
    wire.expect(226);
    wire.expect(221);
    wire.ended();
    assert_eq!(server.content("f").unwrap(), b"first half, second half");
}

#[test]
fn a_transfer_that_stalls_is_ended() {
    let server = Server::builder().set("limits.stall-seconds", "1").start();
    server.put("f", b"old");
    server.put_large("large", 64 << 20);
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"new");
    wire.expect(426);
    assert_eq!(server.content("f").unwrap(), b"old");
    assert_eq!(server.wait_for_record("file.upload_incomplete", |_| true).detail(), "stalled");
    drop(data);
    let mut data = wire.begin("RETR large");
    data.read(1);
    wire.expect(426);
    assert!(!data.drain().1);
}

#[test]
fn a_server_that_is_asked_to_stop_finishes_its_transfers_first() {
    let mut server = Server::running();
    let mut idle = Wire::login(&server, "alice");
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"first half, ");
    server.terminate();
    idle.expect(421);
    idle.ended();
    eventually("nobody is let in any more", || {
        try_connect(std::net::Ipv4Addr::LOCALHOST, wire.server_address()).is_err().then_some(())
    });
    data.send(b"second half");
    data.finish();
    wire.expect(226);
    wire.expect(421);
    wire.ended();
    assert!(server.wait().success());
    assert_eq!(server.content("f").unwrap(), b"first half, second half");
    let records = server.audit();
    assert_eq!(records[records.len() - 2].code(), "service.stop");
}

#[test]
fn a_transfer_that_outlasts_the_time_for_stopping_is_ended() {
    let mut server = Server::builder().set("limits.drain-seconds", "1").start();
    server.put("f", b"old");
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"new");
    server.terminate();
    wire.expect(426);
    wire.expect(421);
    assert!(server.wait().success());
    assert_eq!(server.content("f").unwrap(), b"old");
    assert_eq!(server.records_of("file.upload_incomplete")[0].detail(), "stopping");
}

#[test]
fn a_second_request_stops_at_once() {
    let mut server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"new");
    server.terminate();
    // Once the first has been heard, nobody is let in.
    eventually("the first is heard", || {
        try_connect(std::net::Ipv4Addr::LOCALHOST, wire.server_address()).is_err().then_some(())
    });
    server.terminate();
    wire.expect(426);
    wire.expect(421);
    assert!(server.wait().success());
}

#[test]
fn a_download_that_the_client_breaks_off_is_recorded_as_what_it_is() {
    let server = Server::running();
    server.put_large("large", 64 << 20);
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("RETR large");
    data.read(1000);
    drop(data);
    wire.expect(426);
    let record = server.wait_for_record("file.download_incomplete", |_| true);
    assert_eq!((record.detail(), record.codes()), ("connection_lost", vec![150, 426]));
    assert!(record.number("/traffic/bytes_out").unwrap() < 64 << 20);
    assert_eq!(record.text("/file/hashes/0/value"), None);
    wire.ask("NOOP", 200);
}

#[test]
fn commands_wait_their_turn_behind_an_upload() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"content");
    wire.send_raw(b"SIZE f\r\nSTOR g\r\nRNFR f\r\nRNTO h\r\n");
    assert!(wire.is_silent(Duration::from_millis(50)));
    data.finish();
    wire.expect(226);
    assert_eq!(wire.expect(213).text(), "7");
    // Its data connection was the first one's.
    wire.expect(425);
    wire.expect(350);
    wire.expect(250);
    assert_eq!(server.names(), ["h"]);
}

#[test]
fn long_replies_to_commands_that_waited_come_whole() {
    let server = Server::running();
    for i in 0..700 {
        server.put(&format!("many/{i:0200}"), b"");
    }
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    wire.send_raw(&b"PWD\r\nSTAT many\r\n".repeat(8));
    data.send(b"content");
    data.finish();
    wire.expect(226);
    for _ in 0..8 {
        wire.expect(257);
        assert_eq!(wire.expect(213).lines.len(), 702);
    }
}

#[test]
fn a_session_that_ends_in_the_middle_of_a_transfer_leaves_its_record() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(&vec![7; 100_000]);
    wire.send_raw(&[b'x'; 5000]);
    wire.expect(426);
    wire.expect(421);
    let record = server.wait_for_failure("file.upload_incomplete", "aborted");
    assert_eq!(record.path(), "/f");
    server.wait_for_record("session.closed", |closed| closed.session() == record.session());
    assert_eq!(server.content("f"), None);
}

#[test]
fn a_client_slower_than_the_farewell_gets_the_whole_file() {
    let server = Server::running();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    server.put("f", &content);
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("RETR f");
    let mut got = Vec::new();
    while got.len() < content.len() {
        got.extend(data.read(100_000.min(content.len() - got.len())));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(got == content);
    // The server has long gone when this client is through: it said all it had to say.
    assert_eq!(data.drain(), (Vec::new(), true));
    wire.expect(226);
}

#[test]
fn uploads_refused_one_after_the_other_leave_no_pile_of_connections() {
    let server = Server::builder().user("bob", &["--quota-bytes", "10"]).start();
    let mut wire = Dial::to(&server).tls(Version::Tls12).login("bob");
    let mut kept = Vec::new();
    for _ in 0..400 {
        let mut data = wire.begin("STOR f");
        // The client says its end of TLS, but never closes.
        let _ = data.try_send(&[1; 300]);
        let _ = data.end_of_tls();
        wire.expect(552);
        kept.push(data);
    }
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    assert!(open < 350, "{open} descriptors");
}

#[test]
fn who_quits_and_leaves_keeps_no_server_from_stopping() {
    let mut server = Server::builder().set("limits.drain-seconds", "1").start();
    server.put_large("large", 200_000_000);
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("RETR large");
    wire.send("QUIT");
    drop(wire);
    data.read(100_000);
    server.terminate();
    let began = Instant::now();
    assert!(server.wait().success());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    server.wait_for_failure("file.download_incomplete", "stopping");
}
