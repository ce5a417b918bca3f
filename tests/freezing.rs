//! What is frozen is read-only, for whoever and wherever that was said, whatever was permitted before.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::clients::{curl, lftp, run, url};
use crate::support::{Server, Wire, eventually};

/// Every command that changes something, at `f`, `d` and new names.
const CHANGES: [&str; 6] =
    ["DELE f", "MKD new", "RMD d", "MFMT 20200101000000 f", "SITE CHMOD 600 f", "SITE UTIME 20200101000000 f"];
const UPLOADS: [&str; 3] = ["STOR f", "APPE f", "STOU"];

fn prepared() -> Server {
    let server = Server::builder().user("bob", &[]).start();
    server.put("f", b"content");
    fs::create_dir(server.home("alice").join("d")).unwrap();
    fs::write(server.home("bob").join("f"), b"content").unwrap();
    server
}

/// Nothing may be changed.
#[track_caller]
fn is_frozen(wire: &mut Wire) {
    for command in CHANGES {
        assert!(wire.ask(command, 550).text().contains("read-only"), "{command}");
    }
    for command in UPLOADS {
        wire.refuse(command, 550);
    }
    wire.ask("RNFR f", 550);
}

#[test]
fn whoever_is_frozen_looks_and_fetches_and_changes_nothing() {
    let server = prepared();
    let mut alice = Wire::login(&server, "alice");
    let mut bob = Wire::login(&server, "bob");
    alice.ask("RNFR f", 350);
    let freeze = server.told(&["freeze", "--user", "alice", "--reason", "she is on leave"]);
    assert_eq!((&freeze["number"], &freeze["kept"]), (&1.into(), &true.into()));
    alice.ask("RNTO g", 550);
    is_frozen(&mut alice);
    assert_eq!(alice.fetch("RETR f"), b"content");
    assert!(alice.list("LIST").contains('f') && alice.list("MLSD").contains("perm=r;"), "{}", alice.list("MLSD"));
    alice.ask("SIZE f", 213);
    alice.ask("CWD d", 250);
    alice.ask("PWD", 257);
    bob.store("STOR f", b"other");
    let denied = server.wait_for_failure("authz.denied", "frozen");
    assert_eq!(denied.text("/unmapped/rule"), Some("freeze:1"));
    let frozen = server.records_of("authz.denied").iter().filter(|record| record.detail() == "frozen").count();
    assert_eq!(frozen, 2 + CHANGES.len() + UPLOADS.len());

    let status = server.command().arg("status").output().unwrap();
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("READ-ONLY") && status.contains("she is on leave"), "{status}");
    server.told(&["thaw", "1"]);
    alice.ask("CDUP", 250);
    alice.store("STOR f", b"again");
    assert_eq!(server.refused(&["thaw", "1"]).0, 1);
}

#[test]
fn a_freeze_survives_reload_and_restart_and_ends_when_it_was_said() {
    let mut server = prepared();
    server.told(&["freeze"]);
    let short = server.told(&["freeze", "--user", "bob", "--for", "1s"]);
    server.told(&["reload"]);
    is_frozen(&mut Wire::login(&server, "alice"));
    server.kill();
    server.start();
    is_frozen(&mut Wire::login(&server, "alice"));
    is_frozen(&mut Wire::login(&server, "bob"));
    let list = eventually("the short one is over", || {
        let list = server.told(&["freeze", "--list"]);
        (list["freezes"].as_array().unwrap().len() == 1).then_some(list)
    });
    assert_eq!(list["freezes"][0]["number"], 1);
    server.told(&["thaw", "--all"]);
    Wire::login(&server, "alice").store("STOR f", b"thawed");
    let next = server.told(&["freeze", "--path", "/d"]);
    assert!(next["number"].as_u64() > short["number"].as_u64(), "a number is given once: {next}");
}

#[test]
fn a_path_or_a_folder_is_frozen_with_all_below_it_and_stays_where_it_is() {
    let server = Server::running();
    let folder = server.home("the-folder");
    fs::create_dir_all(&folder).unwrap();
    server.add_to_users(&format!(
        "[folder.shared]\ndirectory = \"{}\"\n[[user.alice.mount]]\npath = \"/shared\"\nfolder = \"shared\"\n\
         permissions = \"full\"\n",
        folder.display()
    ));
    server.put("a/b/f", b"content");
    server.put("a/g", b"content");
    // The folder lies outside of the sandbox of this start.
    let mut server = server;
    server.stop();
    server.start();
    let mut wire = Wire::login(&server, "alice");
    server.told(&["freeze", "--path", "/a/b"]);
    for command in ["DELE a/b/f", "MKD a/b/new", "RNFR a/b", "RNFR a", "RMD a/b"] {
        wire.ask(command, 550);
    }
    wire.refuse("STOR a/b/f", 550);
    wire.store("STOR a/g", b"other");
    wire.ask("MKD x", 257);
    wire.ask("RNFR a/g", 350);
    wire.ask("RNTO a/b/g", 550);
    wire.store("STOR shared/f", b"content");
    server.told(&["freeze", "--folder", "shared"]);
    wire.refuse("STOR shared/f", 550);
    wire.ask("DELE shared/f", 550);
    wire.ask("DELE a/g", 250);
    for (arguments, words) in
        [(["freeze", "--user", "nobody"], "no user"), (["freeze", "--folder", "other"], "no folder")]
    {
        let (code, told) = server.refused(&arguments);
        assert!(code == 1 && told.contains(words), "{told}");
    }
}

#[test]
fn an_upload_under_way_is_stopped_and_goes_on_once_it_is_thawed() {
    let server = prepared();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"first half, ");
    eventually("it came", || wire.ask("STAT", 213).text().contains("12 bytes").then_some(()));
    server.told(&["freeze", "--path", "/f"]);
    assert!(wire.expect(550).text().contains("read-only"));
    assert_eq!(server.content("f").unwrap(), b"content");
    let record = server.wait_for_failure("file.upload_incomplete", "frozen");
    assert_eq!(record.number("/unmapped/kept_bytes"), Some(12));
    drop(data);
    wire.refuse("APPE f", 550);
    server.told(&["thaw", "--all"]);
    wire.ask("REST 12", 350);
    wire.store("STOR f", b"second half");
    assert_eq!(server.content("f").unwrap(), b"first half, second half");
}

#[test]
fn programs_in_the_middle_of_an_upload_hear_of_it() {
    let server = Server::running();
    let source = server.scratch().join("source");
    fs::write(&source, vec![b'x'; 8 << 20]).unwrap();
    let path = source.to_str().unwrap();
    let moves = || server.told(&["sessions"])["sessions"][0]["transfer"]["bytes"].as_u64() > Some(0);
    let put = format!("set net:limit-rate 0:500000; put {path} -o f");
    let mut by_lftp = lftp(&server, "alice", &put);
    let mut by_curl = curl(&server, "alice");
    by_curl.args(["--limit-rate", "500k", "--upload-file", path, &url(&server, "f")]);
    for program in [&mut by_curl, &mut by_lftp] {
        let ran = thread::scope(|scope| {
            let client = scope.spawn(|| run(program));
            eventually("it moves", || moves().then_some(()));
            server.told(&["freeze"]);
            client.join().unwrap()
        });
        assert_ne!(ran.code, Some(0), "{}", ran.err);
        server.told(&["thaw", "--all"]);
        assert_eq!(server.content("f"), None);
    }
}

#[test]
fn nothing_changes_once_the_freeze_has_answered() {
    let server = Server::running();
    let ends = AtomicBool::new(false);
    let names = || server.names().into_iter().collect::<BTreeSet<_>>();
    thread::scope(|scope| {
        for client in 0..3 {
            let (server, ends) = (&server, &ends);
            scope.spawn(move || {
                let mut wire = Wire::login(server, "alice");
                for number in 0_u32.. {
                    if ends.load(Ordering::Relaxed) {
                        return;
                    }
                    wire.send(&format!("MKD {client}-{number}"));
                    let _ = wire.reply();
                    wire.send(&format!("RNFR {client}-{}", number.saturating_sub(1)));
                    if wire.reply().code == 350 {
                        wire.send(&format!("RNTO {client}-{number}-moved"));
                        let _ = wire.reply();
                    }
                }
            });
        }
        for _ in 0..8 {
            let before = names().len();
            eventually("something changes", || (names().len() > before + 3).then_some(()));
            server.told(&["freeze"]);
            let frozen = names();
            let refused = || server.records_of("authz.denied").len();
            let so_far = refused();
            eventually("all were refused", || (refused() > so_far + 9).then_some(()));
            assert!(names() == frozen, "something changed behind the freeze");
            server.told(&["thaw", "--all"]);
        }
        ends.store(true, Ordering::Relaxed);
    });
}
