//! Quotas over restarts, what is left free on a disk, and the warnings before it is too late.

use std::path::Path;
use std::thread;

use crate::support::namespaces::on_a_disk_of_its_own;
use crate::support::{Server, Wire, eventually};

const MIB: usize = 1 << 20;

/// What `SITE QUOTA` says of bytes.
fn bytes_used(server: &Server) -> String {
    Wire::login(server, "alice").ask("SITE QUOTA", 200).lines[1].trim().to_owned()
}

/// A server whose home is a file system of 40 MiB, 16 of which uploads leave free.
fn on_a_small_disk() -> Server {
    let mut server = Server::builder()
        .policy("storage.free-space-floor-bytes", &(16 * MIB).to_string())
        .policy("storage.free-inodes-floor", "20")
        .prepare();
    let home = server.home("alice");
    server.run_inside(on_a_disk_of_its_own(&home, "size=40m,nr_inodes=50"));
    server.start();
    server
}

#[test]
fn four_uploads_at_once_end_before_the_disk_is_full_and_lose_nothing() {
    let server = on_a_small_disk();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR old", &vec![b'o'; MIB]);
    let left: u64 = wire.ask("AVBL", 213).text().parse().unwrap();
    assert!(left < 24 << 20, "{left}");
    let store = |name: &str| {
        let mut wire = Wire::login(&server, "alice");
        let mut data = wire.begin(&format!("STOR {name}"));
        let _ = (0..16).try_for_each(|_| data.try_send(&vec![b'n'; MIB]));
        let _ = data.try_finish();
        (name.to_owned(), wire.reply().code)
    };
    let codes: Vec<(String, u16)> = thread::scope(|scope| {
        let uploads: Vec<_> = ["old", "a", "b", "c"].map(|name| scope.spawn(move || store(name))).into();
        uploads.into_iter().map(|upload| upload.join().unwrap()).collect()
    });
    assert!(codes.iter().any(|(_, code)| *code == 452), "64 MiB do not fit: {codes:?}");
    for (name, code) in &codes {
        match (name.as_str(), code) {
            (name, 226) => assert_eq!(wire.ask(&format!("SIZE {name}"), 213).text(), (16 * MIB).to_string()),
            ("old", 452) => assert!(wire.fetch("RETR old") == vec![b'o'; MIB]),
            (name, 452) => drop(wire.ask(&format!("SIZE {name}"), 550)),
            _ => panic!("{codes:?}"),
        }
    }
    server.wait_for_record("quota.exceeded", |record| record.detail() == "no_space");
    // What was not stored gave its room back.
    let room = || wire.ask("AVBL", 213).text().parse::<u64>().unwrap();
    let room = eventually("uploads that failed leave nothing", {
        let mut room = room;
        move || Some(room()).filter(|room| *room > 1 << 20)
    });
    Wire::login(&server, "alice").store("STOR small", &vec![b's'; usize::try_from(room).unwrap().min(MIB)]);
}

#[test]
fn an_announced_size_is_kept_free_for_who_announced_it() {
    let server = on_a_small_disk();
    let (mut first, mut second) = (Wire::login(&server, "alice"), Wire::login(&server, "alice"));
    first.ask(&format!("ALLO {}", 20 * MIB), 200);
    let mut data = first.begin("STOR f");
    data.send(b"begun");
    second.ask(&format!("ALLO {}", 10 * MIB), 200);
    second.refuse("STOR g", 452);
    data.finish();
    first.expect(226);
    second.ask(&format!("ALLO {}", 10 * MIB), 200);
    second.store("STOR g", b"there is room after all");
}

#[test]
fn a_disk_without_inodes_to_spare_takes_neither_files_nor_directories() {
    let server = on_a_small_disk();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR f", b"old");
    let refused = (0..50).find(|number| {
        wire.send(&format!("MKD d{number}"));
        match wire.reply().code {
            257 => false,
            452 => true,
            other => panic!("{other}"),
        }
    });
    assert!((5..30).contains(&refused.unwrap()), "{refused:?}");
    wire.refuse("STOR g", 452);
    assert_eq!(wire.ask("AVBL", 213).text(), "0");
    assert_eq!(wire.fetch("RETR f"), b"old");
    wire.ask("RMD d0", 250);
    wire.store("STOR g", b"in its place");
}

#[test]
fn what_a_home_holds_is_known_after_a_restart_and_put_right_by_a_scan() {
    let mut server = Server::builder().user("alice", &["--quota-bytes", "1000"]).start();
    Wire::login(&server, "alice").store("STOR f", &[1; 300]);
    server.stop();
    let count = server.home("alice").join(".portcullis-staging/count.json");
    assert!(count.exists());
    server.put("by/hand", &[2; 200]);
    server.start();
    // Only who has a number can find that it is wrong.
    let repaired = server.wait_for_record("quota.repaired", |_| true);
    let figure = |name: &str| repaired.number(&format!("/unmapped/{name}")).unwrap();
    assert_eq!((figure("bytes_before"), figure("bytes_after")), (300, 500));
    assert_eq!((figure("files_before"), figure("files_after")), (1, 3));
    assert_eq!(repaired.text("/unmapped/directory"), server.home("alice").to_str());
    assert_eq!(bytes_used(&server), "bytes: 500 of 1000 (50 %), 500 left");
    Wire::login(&server, "alice").ask("DELE f", 250);
    assert!(!count.exists(), "it would be wrong");
}

#[test]
fn after_a_crash_the_home_is_counted_before_a_quota_is_trusted() {
    let mut server = Server::builder().user("alice", &["--quota-bytes", "1000"]).start();
    Wire::login(&server, "alice").store("STOR f", &[1; 300]);
    server.kill();
    server.put("by-hand", &[2; 600]);
    server.start();
    let mut wire = Wire::login(&server, "alice");
    wire.ask("ALLO 200", 200);
    wire.refuse("STOR g", 552);
    assert_eq!(bytes_used(&server), "bytes: 900 of 1000 (90 %), 100 left");
    assert!(server.records_of("quota.repaired").is_empty(), "there was nothing to repair");
}

#[test]
fn a_nearly_used_up_quota_is_told_once() {
    let server = Server::builder()
        .user("alice", &["--quota-bytes", "1000"])
        .user("bob", &["--quota-files", "10"])
        .user("carol", &["--quota-bytes", "1000"])
        .start();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR f", &[1; 950]);
    Wire::login(&server, "carol").store("STOR f", &[1; 890]);
    let warning = server.wait_for_record("quota.warning", |_| true);
    assert_eq!(warning.text("/unmapped/what"), Some("user alice"));
    assert_eq!(warning.text("/unmapped/directory"), server.home("alice").to_str());
    let figure = |name: &str| warning.number(&format!("/unmapped/{name}"));
    assert_eq!((figure("percent"), figure("used_bytes"), figure("limit_bytes")), (Some(95), Some(950), Some(1000)));
    assert!(server.log_text().contains("little room is left"));
    // More of the same is nothing new; another's quota is.
    wire.store("STOR f", &[1; 990]);
    let mut bob = Wire::login(&server, "bob");
    for number in 0..9 {
        bob.ask(&format!("MKD {number}"), 257);
    }
    server.wait_for_record("quota.warning", |record| record.text("/unmapped/what") == Some("user bob"));
    assert_eq!(server.records_of("quota.warning").len(), 2);
}

#[test]
fn a_file_system_that_fills_up_is_told() {
    let server = Server::builder().policy("storage.free-space-warn-percent", "99").start();
    let free = rustix::fs::statvfs(server.home("alice")).unwrap();
    assert!(free.f_bavail * 100 <= free.f_blocks * 99, "this disk is as good as empty");
    let warning = server.wait_for_record("quota.warning", |_| true);
    assert_eq!(warning.text("/unmapped/what"), Some("file system"));
    let directory = warning.text("/unmapped/directory").unwrap();
    assert!(Path::new(directory).is_dir(), "{directory}");
}

#[test]
fn a_quota_of_files_leaves_nothing_available() {
    let server = Server::builder().user("alice", &["--quota-bytes", "1000", "--quota-files", "1"]).start();
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(wire.ask("AVBL", 213).text(), "1000");
    wire.store("STOR f", &[1; 100]);
    assert_eq!(wire.ask("AVBL", 213).text(), "0");
    assert_eq!(wire.ask("AVBL f", 213).text(), "900", "a file that is there can be replaced");
    wire.ask("DELE f", 250);
    assert_eq!(wire.ask("AVBL", 213).text(), "1000");
}
