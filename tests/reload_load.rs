//! The policy read again under load, and by a server that gave root up.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use toml_edit::value;

use crate::support::server::done;
use crate::support::{Dial, Server, Wire};

const SESSIONS: u8 = 100;
const RELOADS: i64 = 20;
const BYTES: usize = 4 << 20;
const PIECE: usize = 64 << 10;

/// Bytes that differ from place to place, and from session to session.
fn content(session: u8) -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    blake3::Hasher::new().update(&[session]).finalize_xof().fill(&mut bytes);
    bytes
}

/// Moves a file in pieces that go on until everything was read again as often as wanted.
fn transfer(server: &Server, session: u8, begun: &Barrier, over: &AtomicBool) {
    let expected = content(session);
    // Of addresses of their own, so that the few passive ports suffice.
    let mut wire = Dial::to(server).from(10 + session).login("alice");
    let uploads = session.is_multiple_of(2);
    let name = format!("f{session}");
    let mut data = wire.begin(&format!("{} {name}", if uploads { "STOR" } else { "RETR" }));
    let mut received = Vec::new();
    begun.wait();
    for piece in expected.chunks(PIECE) {
        if uploads {
            data.send(piece);
        } else {
            received.extend(data.read(piece.len()));
        }
        if !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(40));
        }
    }
    if uploads {
        data.finish();
        wire.expect(226);
        assert!(server.content(&name).unwrap() == expected, "{name} is another");
    } else {
        data.end_of_tls().unwrap();
        drop(data);
        wire.expect(226);
        assert!(received == expected, "{name} came as another");
    }
    wire.ask("QUIT", 221);
}

#[test]
fn twenty_reloads_drop_none_of_a_hundred_transfers_and_not_a_byte() {
    let server = Server::running();
    for session in (1..SESSIONS).step_by(2) {
        server.put(&format!("f{session}"), &content(session));
    }
    let (begun, over) = (Barrier::new(usize::from(SESSIONS) + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        for session in 0..SESSIONS {
            let (server, begun, over) = (&server, &begun, &over);
            scope.spawn(move || transfer(server, session, begun, over));
        }
        begun.wait();
        for reload in 0..RELOADS {
            server.change("server.toml", |toml| {
                toml["limits"]["sessions"] = value(200 + reload);
                toml["limits"]["handshakes"] = value(8 + reload);
                toml["login"]["failures-per-address"] = value(10 + reload);
                toml["storage"]["free-space-floor-bytes"] = value(reload);
            });
            if reload % 4 == 3 {
                // A bad file in between changes nothing.
                let users = server.policy().join("users.toml");
                let good = fs::read(&users).unwrap();
                fs::write(&users, "[user.").unwrap();
                let refused = server.command().arg("reload").output().unwrap();
                assert_eq!(refused.status.code(), Some(78));
                fs::write(&users, good).unwrap();
            }
            done(server.command().arg("reload"), "");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(server.records_of("policy.loaded").len(), usize::try_from(RELOADS).unwrap() + 1);
    assert_eq!(server.records_of("policy.rejected").len(), usize::try_from(RELOADS / 4).unwrap());
    let whole = |code: &str| server.records_of(code).len();
    assert_eq!((whole("file.upload"), whole("file.download")), (50, 50));
    assert_eq!(whole("file.upload_incomplete") + whole("file.download_incomplete"), 0);
    // What a transfer did was decided when it began.
    let first = server.records_of("policy.loaded").remove(0);
    for record in server.records_of("file.upload") {
        assert_eq!(record.text("/unmapped/policy"), first.text("/unmapped/policy"));
    }
}

/// Gives what a server keeps to an account, as `init --user` does.
fn give_to_daemon(server: &Server) {
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts.lines().find(|line| line.starts_with("daemon:")).unwrap();
    let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    let root = server.policy().parent().unwrap().to_owned();
    for directory in ["audit", "state", "run"] {
        chown(root.join(directory), Some(ids[0]), Some(ids[1])).unwrap();
    }
    chown(server.home("alice"), Some(ids[0]), Some(ids[1])).unwrap();
    for path in ["policy/users.toml", "certs/server.key"] {
        share(&root.join(path), ids[1], 0o640);
    }
    for path in [root.parent().unwrap(), &root] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    server.change("server.toml", |toml| toml["process"]["user"] = value("daemon"));
}

fn share(path: &Path, group: u32, mode: u32) {
    chown(path, None, Some(group)).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_server_that_gave_root_up_reads_its_policy_again() {
    let mut server = Server::builder().prepare();
    let root = rustix::process::geteuid().is_root();
    if root {
        give_to_daemon(&server);
    }
    server.start();
    let mut wire = Wire::login(&server, "alice");
    server.change_user("user.alice.permissions", "[\"list\", \"read\"]");
    done(server.command().arg("reload"), "");
    wire.ask("MKD d", 550);
    let record = server.records_of("policy.loaded").pop().unwrap();
    assert_eq!(record.number("/unmapped/asked_by_uid"), Some(rustix::process::geteuid().as_raw().into()));
    let socket = server.policy().join("../run/control.sock");
    assert!(server.stop().success());
    assert!(!socket.exists(), "it is removed at the end");
}

#[test]
fn where_only_root_reads_the_key_the_certificate_stays_and_the_rest_changes() {
    if !rustix::process::geteuid().is_root() {
        // Whoever is not root runs the server as itself, and reads the key or does not start.
        return;
    }
    let mut server = Server::builder().prepare();
    give_to_daemon(&server);
    let key = server.policy().join("../certs/server.key");
    share(&key, 0, 0o600);
    let check = server.command().args(["policy", "check"]).output().unwrap();
    let said = String::from_utf8(check.stderr).unwrap();
    assert!(said.contains("server.key cannot be read by daemon") && said.contains("chgrp daemon"), "{said}");
    server.start();
    server.change_user("user.alice.permissions", "[\"list\"]");
    let reload = server.command().arg("reload").output().unwrap();
    let said = String::from_utf8(reload.stderr).unwrap();
    assert!(reload.status.success() && said.contains("goes on with the certificates that it has"), "{said}");
    Wire::login(&server, "alice").ask("MKD d", 550);
    server.change("server.toml", |toml| toml["tls"]["minimum"] = value("1.3"));
    let reload = server.command().arg("reload").output().unwrap();
    let said = String::from_utf8(reload.stderr).unwrap();
    assert!(reload.status.code() == Some(78) && said.contains("server.key cannot be read"), "{said}");
}
