//! Who is connected and what moves, as the running server tells it; and that sessions can be ended.

use std::process::Stdio;
use std::thread;

use serde_json::Value;

use crate::clients::{curl, run, spawn, url, wait};
use crate::support::{Dial, PATIENCE, Server, Wire, eventually};

/// The only session of a user.
fn session_of(server: &Server, user: &str) -> Option<Value> {
    let list = server.told(&["sessions", "--user", user]);
    let sessions = list["sessions"].as_array().unwrap();
    assert!(sessions.len() < 2, "{list}");
    sessions.first().cloned()
}

#[test]
fn sessions_tells_who_moves_what_how_far_and_how_fast() {
    let server = Server::running();
    server.put_large("large file", 8 << 20);
    let mut download = curl(&server, "alice");
    download.args(["--limit-rate", "1M", &url(&server, "large%20file")]);
    let mut child = spawn(download.stdout(Stdio::null()).stderr(Stdio::null()));
    let session = eventually("it moves", || {
        session_of(&server, "alice").filter(|session| session["transfer"]["percent"].as_u64() > Some(0))
    });
    let transfer = &session["transfer"];
    assert_eq!((transfer["verb"].as_str(), transfer["path"].as_str()), (Some("RETR"), Some("/large file")));
    assert_eq!((transfer["size"].as_u64(), session["stage"].as_str()), (Some(8 << 20), Some("files")));
    assert!(transfer["bytes"].as_u64() > Some(0) && transfer["bytes_per_second"].as_u64() > Some(0), "{session}");
    assert_eq!((session["address"].as_str(), session["tls"].as_str()), (Some("127.0.0.1"), Some("1.3")));
    let output = server.command().arg("sessions").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("RETR") && text.contains("/large file") && text.contains("transfers: 1"), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn filters_and_limits_say_what_they_leave_out() {
    let server = Server::builder().user("bob", &[]).start();
    let _alice = Wire::login(&server, "alice");
    let _bob = Dial::to(&server).from(2).login("bob");
    let _nobody = Dial::to(&server).from(3).greeted();
    let users = |arguments: &[&str]| {
        let list = server.told(&[&["sessions"], arguments].concat());
        let users: Vec<String> =
            list["sessions"].as_array().unwrap().iter().map(|one| one["user"].to_string()).collect();
        (users, list["more"].as_u64().unwrap())
    };
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(users(&[]), (texts(&["\"alice\"", "\"bob\"", "null"]), 0));
    assert_eq!(users(&["--address", "127.0.0.2"]), (texts(&["\"bob\""]), 0));
    assert_eq!(users(&["--address", "127.0.0.2/31"]), (texts(&["\"bob\"", "null"]), 0));
    assert_eq!(users(&["--limit", "1"]), (texts(&["\"alice\""]), 2));
    let waiting = server.told(&["sessions", "--address", "127.0.0.3"]);
    assert_eq!(waiting["sessions"][0]["waiting_for"], "TLS");
    let (code, words) = server.refused(&["sessions", "--address", "office"]);
    assert!(code == 1 && words.contains("is no network"), "{words}");
}

#[test]
fn hundreds_of_sessions_are_listed_and_ended_at_once() {
    let server =
        Server::builder().policy("limits.sessions", "400").policy("limits.sessions-per-address", "400").start();
    let mut wires: Vec<Wire> = (0..300).map(|_| Wire::greeted(&server)).collect();
    let mut alice = Wire::login(&server, "alice");
    assert_eq!(server.told(&["sessions"])["sessions"].as_array().unwrap().len(), 301);
    let kicked = server.told(&["kick", "--address", "127.0.0.0/8", "--reason", "an exercise"]);
    assert_eq!((kicked["sessions"].as_u64(), kicked["ending"].as_u64()), (Some(301), Some(0)));
    for wire in &mut wires {
        wire.expect(421);
        wire.ended();
    }
    alice.expect(421);
    let records = server.records_of("session.kicked");
    assert_eq!(records.len(), 301);
    for record in &records {
        assert_eq!(record.text("/unmapped/reason"), Some("an exercise"));
        assert_eq!(record.number("/unmapped/peer_uid"), Some(rustix::process::geteuid().as_raw().into()));
    }
    let call = server.wait_for_record("control.call", |record| record.text("/unmapped/verb") == Some("kick"));
    assert_eq!(call.text("/unmapped/result"), Some("301 sessions ended"));
    let arguments: Value = serde_json::from_str(call.text("/unmapped/arguments").unwrap()).unwrap();
    assert_eq!(arguments["address"], "127.0.0.0/8");
}

#[test]
fn a_kick_ends_an_upload_with_its_record_and_keeps_what_came() {
    let server = Server::running();
    let source = server.scratch().join("source");
    std::fs::write(&source, vec![b'x'; 8 << 20]).unwrap();
    let mut upload = curl(&server, "alice");
    upload.args(["--limit-rate", "1M", "--upload-file", source.to_str().unwrap(), &url(&server, "f")]);
    thread::scope(|scope| {
        let client = scope.spawn(|| run(&mut upload));
        let session = eventually("it moves", || {
            session_of(&server, "alice").filter(|session| session["transfer"]["bytes"].as_u64() > Some(100_000))
        });
        let id = session["session"].as_str().unwrap();
        assert_eq!(server.told(&["kick", &id[..20]])["sessions"], 1);
        assert_ne!(client.join().unwrap().code, Some(0), "curl hears of it");
        let record = server.wait_for_failure("file.upload_incomplete", "kicked");
        assert_eq!(record.session(), Some(id));
        assert!(record.number("/unmapped/kept_bytes") > Some(0), "{}", record.line());
        let closed = server.wait_for_record("session.closed", |record| record.session() == Some(id));
        assert_eq!(closed.text("/unmapped/end"), Some("kicked"));
    });
    assert_eq!(server.content("f"), None);
}

#[test]
fn in_a_transfer_the_client_hears_how_that_ended_and_then_421() {
    let server = Server::running();
    server.put_large("large", 64 << 20);
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("RETR large");
    data.read(1000);
    server.told(&["kick", "--user", "alice"]);
    wire.expect(426);
    wire.expect(421);
    wire.ended();
    server.wait_for_failure("file.download_incomplete", "kicked");
}

#[test]
fn a_client_that_reads_nothing_is_ended_all_the_same() {
    let server = Server::running();
    server.put_large("large", 64 << 20);
    let mut deaf = Wire::login(&server, "alice");
    let _data = deaf.begin("RETR large");
    // Also one in the middle of its handshake.
    let mut silent = Wire::greeted(&server);
    silent.ask("AUTH TLS", 234);
    assert_eq!(server.told(&["kick", "--address", "127.0.0.1"])["sessions"], 2);
    eventually("both are gone", || (server.told(&["status"])["sessions"] == 0).then_some(()));
    assert_eq!(server.records_of("session.kicked").len(), 2);
}

#[test]
fn a_beginning_that_means_several_or_none_ends_none() {
    let server = Server::running();
    let mut wires = [Wire::greeted(&server), Wire::greeted(&server)];
    let (code, words) = server.refused(&["kick", "0"]);
    assert!(code == 1 && words.contains("2 sessions begin so"), "{words}");
    for none in [["kick", "zzz"], ["kick", "--user=bob"], ["kick", "--address=192.0.2.1"]] {
        let (code, words) = server.refused(&none);
        assert!(code == 1 && words.contains("no session"), "{words}");
    }
    for wire in &mut wires {
        wire.ask("NOOP", 200);
    }
    let reasons: Vec<String> =
        server.records_of("control.call").iter().map(|record| record.detail().to_owned()).collect();
    assert_eq!(reasons, ["ambiguous", "not_found", "not_found", "not_found"]);
}

#[test]
fn sessions_that_end_by_themselves_are_listed_no_more() {
    let server = Server::running();
    let mut child = spawn(curl(&server, "alice").arg(url(&server, "")).stdout(Stdio::null()));
    assert!(wait(&mut child, PATIENCE).unwrap().success());
    eventually("it is gone", || session_of(&server, "alice").is_none().then_some(()));
}
