//! How many sessions and transfers a user, an address and the server may have.

use std::process::{Child, Stdio};
use std::sync::Barrier;
use std::time::Duration;

use crate::clients::{curl, lftp, spawn, url, wait};
use crate::support::{Dial, Ending, PASSWORD, Server, Wire, eventually};

/// A server on which alice has these keys, and bob has none.
fn server(keys: &[(&str, &str)]) -> Server {
    let mut server = Server::builder().user("alice", &[]).user("bob", &[]).prepare();
    for (key, value) in keys {
        server.change_user(&format!("user.alice.{key}"), value);
    }
    server.start();
    server
}

/// The code of a login with the right password.
fn log_in(wire: &mut Wire, user: &str) -> u16 {
    wire.ask(&format!("USER {user}"), 331);
    wire.send(&format!("PASS {PASSWORD}"));
    wire.reply().code
}

#[test]
fn a_login_beyond_the_users_sessions_is_told_so_and_counts_as_no_failed_one() {
    let server = server(&[("sessions", "2")]);
    let (mut first, second) = (Wire::login(&server, "alice"), Wire::login(&server, "alice"));
    // More often than a source may fail before it is banned.
    for _ in 0..12 {
        let mut third = Wire::secure(&server);
        assert_eq!(log_in(&mut third, "alice"), 421);
        assert_eq!(third.ended(), Ending::CloseNotify);
    }
    let failure = server.wait_for_failure("auth.failure", "user_sessions");
    assert_eq!((failure.user(), failure.codes()), ("alice", vec![421]));
    assert!(server.records_of("auth.banned").is_empty());
    Wire::login(&server, "bob");
    // The place is free by the time the reply is heard.
    first.ask("QUIT", 221);
    let again = Wire::login(&server, "alice");
    // A session that just dies frees its place as well.
    drop((second, again));
    eventually("a place is free", || (log_in(&mut Wire::secure(&server), "alice") == 230).then_some(()));
}

#[test]
fn sessions_of_one_address_are_counted_by_themselves() {
    let server = server(&[("sessions-per-address", "1")]);
    let _first = Dial::to(&server).from(1).login("alice");
    assert_eq!(log_in(&mut Dial::to(&server).from(1).secure(), "alice"), 421);
    server.wait_for_failure("auth.failure", "user_sessions_per_address");
    Dial::to(&server).from(2).login("alice");
}

#[test]
fn of_logins_at_the_same_moment_no_more_get_in_than_may() {
    let server = server(&[("sessions", "3")]);
    let start = Barrier::new(8);
    let sessions: Vec<(Wire, u16)> = std::thread::scope(|scope| {
        let log_in = || {
            let mut wire = Wire::secure(&server);
            start.wait();
            let code = log_in(&mut wire, "alice");
            (wire, code)
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(log_in)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let codes = |wanted| sessions.iter().filter(|(_, code)| *code == wanted).count();
    assert_eq!((codes(230), codes(421)), (3, 5));
}

#[test]
fn a_transfer_beyond_the_users_is_refused_before_anything_moves() {
    let server = server(&[("transfers", "1")]);
    server.put_large("large", 64 << 20);
    server.put("small", b"small");
    let (mut one, mut two) = (Wire::login(&server, "alice"), Wire::login(&server, "alice"));
    let mut data = one.begin("RETR large");
    data.read(1);
    two.refuse("RETR small", 425);
    server.wait_for_failure("file.download_incomplete", "user_transfers");
    two.refuse("STOR new", 425);
    server.wait_for_failure("file.upload_incomplete", "user_transfers");
    assert_eq!(server.content("new"), None);
    // One can look around meanwhile.
    assert!(two.list("NLST").contains("small"));
    drop(data);
    one.expect(426);
    assert_eq!(two.fetch("RETR small"), b"small");
    assert_eq!(one.fetch("RETR small"), b"small");
}

#[test]
fn transfers_of_an_address_and_of_the_server_are_bounded_too() {
    for (key, reason) in
        [("limits.transfers-per-address", "transfers_per_address"), ("limits.transfers", "transfers_total")]
    {
        let server = Server::builder().user("alice", &[]).user("bob", &[]).set(key, "1").start();
        server.put_large("large", 64 << 20);
        std::fs::write(server.home("bob").join("f"), b"f").unwrap();
        let mut alice = Dial::to(&server).from(1).login("alice");
        let mut data = alice.begin("RETR large");
        data.read(1);
        let mut near = Dial::to(&server).from(1).login("bob");
        near.refuse("RETR f", 425);
        assert_eq!(server.wait_for_failure("file.download_incomplete", reason).user(), "bob");
        let mut far = Dial::to(&server).from(2).login("bob");
        if reason == "transfers_per_address" {
            assert_eq!(far.fetch("RETR f"), b"f");
        } else {
            far.refuse("RETR f", 425);
        }
        drop(data);
        alice.expect(426);
        assert_eq!(near.fetch("RETR f"), b"f");
    }
}

/// Waits for the end of a client, which has to succeed, and returns what it wrote.
fn output(mut child: Child) -> String {
    assert!(wait(&mut child, Duration::from_mins(1)).is_some(), "the client does not end");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn clients_that_found_no_place_for_a_transfer_try_again() {
    let server = server(&[("transfers", "1")]);
    server.put_large("large", 64 << 20);
    server.put("f", b"content");
    let address = url(&server, "f");
    let mut curl = curl(&server, "alice");
    // curl 7.88 now and then drops the first transfer behind a refused one, by itself.
    curl.args(["--retry", "5", "--retry-all-errors", "--retry-delay", "1", &address]);
    let lftp = lftp(&server, "alice", "set net:max-retries 5; cat f");
    for mut client in [curl, lftp] {
        let mut wire = Wire::login(&server, "alice");
        let mut data = wire.begin("RETR large");
        data.read(1);
        let before = server.records_of("file.download_incomplete").len();
        let waiting = spawn(client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        eventually("it is refused", || (server.records_of("file.download_incomplete").len() > before).then_some(()));
        drop(data);
        wire.expect(426);
        assert_eq!(output(waiting), "content", "{client:?}");
    }
}

#[test]
fn clients_that_found_no_place_for_a_session_try_again() {
    let server = server(&[("sessions", "1")]);
    server.put("f", b"content");
    let address = url(&server, "f");
    let mut curl = curl(&server, "alice");
    curl.args(["--retry", "5", "--retry-delay", "1", &address]);
    let lftp = lftp(&server, "alice", "set net:max-retries 5; cat f");
    for mut client in [curl, lftp] {
        let mut wire = eventually("a place is free", || {
            let mut wire = Wire::secure(&server);
            (log_in(&mut wire, "alice") == 230).then_some(wire)
        });
        let before = server.records_of("auth.failure").len();
        let waiting = spawn(client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        eventually("it is refused", || (server.records_of("auth.failure").len() > before).then_some(()));
        wire.ask("QUIT", 221);
        assert_eq!(output(waiting), "content", "{client:?}");
    }
}
