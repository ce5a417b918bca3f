//! Bounds on what one client may use of the server, and how it goes on under them.

use std::time::{Duration, Instant};

use crate::support::{Dial, Ending, Server, Wire, eventually};

#[test]
fn an_idle_session_is_ended() {
    let server = Server::builder().set("limits.idle-seconds", "1").start();
    let mut wire = Wire::login(&server, "alice");
    let began = Instant::now();
    wire.expect(421);
    assert_eq!(wire.ended(), Ending::CloseNotify);
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    let record = server.wait_for_record("session.closed", |_| true);
    assert_eq!(record.text("/unmapped/end"), Some("timeout"));
}

#[test]
fn commands_and_transfers_are_not_idleness() {
    let server = Server::builder().set("limits.idle-seconds", "2").start();
    let mut wire = Wire::login(&server, "alice");
    let end = Instant::now() + Duration::from_millis(2600);
    while Instant::now() < end {
        wire.ask("NOOP", 200);
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut data = wire.begin("STOR f");
    let end = Instant::now() + Duration::from_millis(2600);
    while Instant::now() < end {
        data.send(&[b'x'; 2000]);
        std::thread::sleep(Duration::from_millis(100));
    }
    data.finish();
    wire.expect(226);
    wire.ask("NOOP", 200);
}

#[test]
fn commands_come_no_faster_than_the_policy_says() {
    let server = Server::builder().set("limits.commands-per-second", "20").start();
    let mut wire = Wire::login(&server, "alice");
    let began = Instant::now();
    wire.send_raw("NOOP\r\n".repeat(50).as_bytes());
    for _ in 0..50 {
        wire.expect(200);
    }
    assert!(began.elapsed() > Duration::from_millis(1100), "{:?}", began.elapsed());
}

#[test]
fn a_flood_of_pipelined_commands_waits_in_the_clients_own_buffers() {
    let server = Server::running();
    server.put_large("large", 24 << 20);
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("RETR large");
    data.read(1);
    // The first of them waits for the transfer, so what is behind it is not read without end.
    wire.tcp().set_nonblocking(true).unwrap();
    let flood = "PWD\r\n".repeat(20_000);
    let mut taken = 0;
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end && taken < 64 << 20 {
        match wire.try_send_raw(flood.as_bytes()) {
            Ok(()) => taken += flood.len(),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    assert!(taken < 32 << 20, "the server took {taken} bytes of commands that wait");
    data.read(1);
}

#[test]
fn the_line_bound_is_the_policys() {
    let server = Server::builder().set("limits.line-bytes", "512").start();
    let mut wire = Wire::login(&server, "alice");
    wire.ask(&format!("CWD {}", "d".repeat(500)), 550);
    wire.send(&format!("CWD {}", "d".repeat(600)));
    wire.expect(500);
    wire.expect(421);
    wire.ended();
}

#[test]
fn connections_that_do_nothing_take_nothing_from_others() {
    let server = Server::running();
    let idle: Vec<Wire> =
        (2..12).flat_map(|last| (0..4).map(move |_| last)).map(|last| Dial::to(&server).from(last).greeted()).collect();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR f", b"content");
    assert_eq!(wire.fetch("RETR f"), b"content");
    drop(idle);
    eventually("they are all closed", || (server.records_of("session.closed").len() >= 40).then_some(()));
}

#[test]
fn a_client_that_leaves_without_a_word_leaves_nothing_behind() {
    let server = Server::running();
    let open = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    drop(Wire::login(&server, "alice"));
    server.wait_for_record("session.closed", |_| true);
    let before = eventually("it is quiet", || {
        let first = open();
        std::thread::sleep(Duration::from_millis(100));
        (open() == first).then_some(first)
    });
    for _ in 0..10 {
        let mut wire = Wire::login(&server, "alice");
        let data = wire.begin("STOR f");
        drop(wire);
        drop(data);
    }
    eventually("every session is closed", || (server.records_of("session.closed").len() == 11).then_some(()));
    eventually("every file is closed", || (open() <= before).then_some(()));
    let left = std::fs::read_dir(server.home("alice")).unwrap().count();
    assert!(left <= 1, "{left} entries are left in the home");
}
