//! How fast content moves where the policy limits it: never faster, whatever the machine is busy
//! with, and without getting in anybody's way. How much slower it is, no test here says.

use std::time::{Duration, Instant};

use crate::clients::{content, curl, lftp, run, run_with, url};
use crate::support::{Server, Wire, eventually};

/// Longest time for what takes a few seconds on a machine that has nothing else to do.
const TIME: Duration = Duration::from_mins(1);

/// A server on which alice has these keys, and bob has none.
fn server(keys: &[(&str, &str)], settings: &[(&str, &str)]) -> Server {
    let mut builder = Server::builder().user("alice", &[]).user("bob", &[]);
    for (key, value) in settings {
        builder = builder.set(key, value);
    }
    let mut server = builder.prepare();
    for (key, value) in keys {
        server.change_user(&format!("user.alice.{key}"), value);
    }
    server.start();
    server
}

/// Fails where so many bytes came faster than the limit permits: a quarter second at once, and then
/// never more than a third above it.
#[track_caller]
fn kept(bytes: usize, limit: u32, began: Instant) {
    let took = began.elapsed().as_secs_f64();
    let behind_burst = f64::from(u32::try_from(bytes).unwrap()) - f64::from(limit) / 4.0;
    assert!(took >= behind_burst / f64::from(limit) / 1.3, "{bytes} bytes in {took} seconds, at {limit} a second");
}

#[test]
fn downloads_and_uploads_keep_to_the_users_limits() {
    const DOWN: u32 = 1_000_000;
    const UP: u32 = 500_000;
    let limits = [("download-bytes-per-second", "1_000_000"), ("upload-bytes-per-second", "500_000")];
    let server = server(&limits, &[]);
    let sent = content("bandwidth", 2_000_000);
    let source = server.put("f", &sent);
    let began = Instant::now();
    let got = run_with(curl(&server, "alice").arg(url(&server, "f")), b"", TIME).done().out;
    kept(sent.len(), DOWN, began);
    assert!(got == sent);
    let copy = server.scratch().join("copy");
    std::fs::copy(source, &copy).unwrap();
    let began = Instant::now();
    let path = copy.to_str().unwrap();
    run_with(curl(&server, "alice").args(["--upload-file", path, &url(&server, "g")]), b"", TIME).done();
    kept(sent.len(), UP, began);
    assert!(server.content("g").as_ref() == Some(&sent));
    let began = Instant::now();
    let commands = format!("get f -o {}", server.scratch().join("lftp").display());
    run_with(&mut lftp(&server, "alice", &commands), b"", TIME).done();
    kept(sent.len(), DOWN, began);
}

#[test]
fn all_sessions_of_a_user_share_one_limit_and_others_have_none() {
    const LIMIT: u32 = 400_000;
    let server = server(&[("download-bytes-per-second", "400_000")], &[]);
    let bytes = 300_000;
    server.put_large("f", bytes);
    std::fs::write(server.home("bob").join("f"), vec![0; 8 << 20]).unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| Wire::login(&server, "alice").fetch("RETR f"));
        }
        scope.spawn(|| {
            // As much as alice may have in twenty seconds.
            let began = Instant::now();
            assert_eq!(Wire::login(&server, "bob").fetch("RETR f").len(), 8 << 20);
            assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        });
    });
    kept(3 * usize::try_from(bytes).unwrap(), LIMIT, began);
}

#[test]
fn leaving_and_coming_back_gains_nothing() {
    const LIMIT: u32 = 200_000;
    let server = server(&[("download-bytes-per-second", "200_000")], &[]);
    server.put_large("f", 50_000);
    let began = Instant::now();
    for _ in 0..8 {
        let mut wire = Wire::login(&server, "alice");
        wire.fetch("RETR f");
        wire.ask("QUIT", 221);
    }
    kept(8 * 50_000, LIMIT, began);
}

#[test]
fn the_servers_limits_hold_for_all_users_together() {
    const LIMIT: u32 = 400_000;
    let settings = [("limits.download-bytes-per-second", "400_000"), ("limits.upload-bytes-per-second", "400_000")];
    let server = server(&[], &settings);
    for user in ["alice", "bob"] {
        std::fs::write(server.home(user).join("f"), vec![0; 400_000]).unwrap();
    }
    let both = |work: fn(&mut Wire)| {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for user in ["alice", "bob"] {
                let server = &server;
                scope.spawn(move || work(&mut Wire::login(server, user)));
            }
        });
        kept(800_000, LIMIT, began);
    };
    both(|wire| assert_eq!(wire.fetch("RETR f").len(), 400_000));
    both(|wire| drop(wire.store("STOR g", &vec![0; 400_000])));
}

#[test]
fn what_a_limit_holds_back_does_not_stall() {
    let limits = [("download-bytes-per-second", "1024"), ("upload-bytes-per-second", "1024")];
    let server = server(&limits, &[("limits.stall-seconds", "1")]);
    server.put_large("f", 3000);
    // Together they move less than a stall within a second is.
    std::thread::scope(|scope| {
        for name in ["one", "two"] {
            let server = &server;
            scope.spawn(move || {
                let mut wire = Wire::login(server, "alice");
                let began = Instant::now();
                wire.store(&format!("STOR {name}"), &[b'x'; 2000]);
                assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
                assert_eq!(wire.fetch("RETR f").len(), 3000);
            });
        }
    });
}

#[test]
fn who_does_not_read_stalls_although_there_is_a_limit() {
    let server = server(&[("download-bytes-per-second", "100_000_000")], &[("limits.stall-seconds", "1")]);
    server.put_large("large", 1 << 30);
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("RETR large");
    data.read(1);
    wire.expect(426);
    server.wait_for_failure("file.download_incomplete", "stalled");
}

#[test]
fn a_transfer_that_is_held_back_is_aborted_at_once() {
    let limits = [("download-bytes-per-second", "1024"), ("upload-bytes-per-second", "1024")];
    let server = server(&limits, &[]);
    server.put_large("large", 1 << 20);
    for command in ["RETR large", "STOR new"] {
        let mut wire = Wire::login(&server, "alice");
        let mut data = wire.begin(command);
        if command == "STOR new" {
            data.send(&[0; 16_000]);
        } else {
            data.read(1);
        }
        let began = Instant::now();
        wire.ask("ABOR", 426);
        wire.expect(226);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        wire.ask("PWD", 257);
    }
}

#[test]
fn a_server_that_is_stopped_does_not_wait_for_what_is_held_back() {
    let mut server = server(&[("download-bytes-per-second", "1024")], &[("limits.drain-seconds", "1")]);
    server.put_large("large", 1 << 20);
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("RETR large");
    data.read(1);
    let began = Instant::now();
    assert!(server.stop().success());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    server.wait_for_failure("file.download_incomplete", "stopping");
}

#[test]
fn listings_count_as_downloads() {
    const LIMIT: u32 = 50_000;
    let server = server(&[("download-bytes-per-second", "50_000")], &[]);
    for number in 0..1000 {
        server.put(&format!("a-file-with-a-name-that-is-rather-long-{number}"), b"");
    }
    let began = Instant::now();
    let listing = run(curl(&server, "alice").arg(url(&server, ""))).done().out;
    assert!(listing.len() > 100_000, "{}", listing.len());
    kept(listing.len(), LIMIT, began);
    eventually("it is recorded", || server.records_of("file.list").pop());
}
