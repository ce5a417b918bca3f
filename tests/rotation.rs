//! The log over many files: clients upload all the time while files are closed, compressed and removed,
//! and the whole still proves itself and tells of each upload once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Server, Wire, eventually};

/// Two clients upload over and over until something is so; gives the names that were confirmed to them.
fn uploading_until(server: &Server, what: &str, is_so: impl Fn() -> bool) -> Vec<String> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = ["a", "b"].map(|client| {
            let over = &over;
            scope.spawn(move || {
                let mut names = Vec::new();
                while !over.load(Ordering::Acquire) {
                    let mut wire = Wire::login(server, "alice");
                    wire.protect();
                    // A session has tickets for so many data connections.
                    for _ in 0..3 {
                        let name = format!("{client}{}.csv", names.len());
                        wire.store(&format!("STOR {name}"), b"content");
                        names.push(format!("/{name}"));
                    }
                    wire.ask("QUIT", 221);
                }
                names
            })
        });
        let since = Instant::now();
        while !is_so() && clients.iter().all(|client| !client.is_finished()) && since.elapsed() < Duration::from_mins(2)
        {
            thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Release);
        let names = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert!(is_so(), "{what}");
        names
    })
}

/// The closed files of the log, with this end of their names.
fn closed(server: &Server, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(server.audit_file().parent().unwrap()).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.file_name().unwrap().to_str().is_some_and(|name| name.starts_with("audit-") && name.ends_with(suffix))
    });
    paths.sort();
    paths
}

/// How many there are; one that is being compressed is there twice for a moment.
fn closed_count(server: &Server) -> usize {
    let name = |path: PathBuf| path.to_str().unwrap().trim_end_matches(".gz").to_owned();
    closed(server, "").into_iter().map(name).collect::<BTreeSet<String>>().len()
}

/// What `audit verify` says.
fn verdict(server: &Server) -> serde_json::Value {
    let output = server.command().args(["audit", "verify", "--json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// How often each upload stands in the log, by its path.
fn uploads(server: &Server) -> BTreeMap<String, u32> {
    let mut uploads = BTreeMap::new();
    for record in searched(server, "file.upload") {
        *uploads.entry(record["file"]["path"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    uploads
}

fn searched(server: &Server, event: &str) -> Vec<serde_json::Value> {
    let output = server.command().args(["audit", "search", "--json", "--event", event]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_log_of_many_files_is_proven_and_has_each_upload_once() {
    let mut server = Server::builder().policy("audit.rotate-bytes", "30_000").start();
    let names = uploading_until(&server, "three files are compressed", || closed(&server, ".gz").len() >= 3);
    assert!(server.stop().success());
    let verdict = verdict(&server);
    assert_eq!(verdict["state"], "proven", "{verdict}");
    assert_eq!(uploads(&server), names.into_iter().map(|name| (name, 1)).collect());
}

#[test]
fn a_server_killed_among_rotations_loses_no_upload() {
    let mut server = Server::builder().policy("audit.rotate-bytes", "30_000").start();
    let mut names = Vec::new();
    for round in 1..=2 {
        names.extend(uploading_until(&server, "a file is closed", || closed_count(&server) >= 2 * round));
        server.kill();
        server.start();
    }
    assert!(server.stop().success());
    let verdict = verdict(&server);
    assert_eq!(verdict["state"], "proven", "{verdict}");
    let uploads = uploads(&server);
    assert_eq!(uploads.values().sum::<u32>(), u32::try_from(names.len()).unwrap());
    assert!(names.iter().all(|name| uploads.contains_key(name)));
}

#[test]
fn what_the_policy_removed_is_named_and_the_rest_proven() {
    let mut server = Server::builder()
        .policy("audit.rotate-bytes", "200_000")
        .policy("audit.keep-bytes", "1_048_576")
        .policy("audit.compress", "false")
        .start();
    uploading_until(&server, "a file is removed", || {
        closed(&server, "00001.jsonl").is_empty() && !closed(&server, "").is_empty()
    });
    eventually("that is recorded", || (!searched(&server, "audit.pruned").is_empty()).then_some(()));
    assert!(server.stop().success());
    let verdict = verdict(&server);
    assert_eq!(verdict["state"], "proven", "{verdict}");
    assert_eq!(verdict["pruned"][0]["first_seq"], 1, "{verdict}");
}

#[test]
fn a_file_that_somebody_changed_is_neither_compressed_nor_removed_and_told_of_once() {
    let mut server = Server::builder().policy("audit.rotate-bytes", "30_000").policy("audit.compress", "false").start();
    uploading_until(&server, "two files are closed", || closed_count(&server) >= 2);
    assert!(server.stop().success());
    let changed = closed(&server, ".jsonl").remove(0);
    let text = fs::read_to_string(&changed).unwrap().replacen("/a1.csv", "/z1.csv", 1);
    fs::write(&changed, &text).unwrap();
    server.change("server.toml", |toml| toml["audit"]["compress"] = toml_edit::value(true));
    for _ in 0..2 {
        server.start();
        uploading_until(&server, "the others are compressed", || !closed(&server, ".gz").is_empty());
        assert!(server.stop().success());
    }
    assert_eq!(fs::read_to_string(&changed).unwrap(), text);
    assert_eq!(searched(&server, "audit.unverified").len(), 1);
}

#[test]
fn files_by_a_former_key_are_compressed_too() {
    let mut server = Server::builder().policy("audit.rotate-bytes", "30_000").policy("audit.compress", "false").start();
    uploading_until(&server, "two files are closed", || closed_count(&server) >= 2);
    assert!(server.stop().success());
    let rotated = server.command().args(["audit", "key", "rotate"]).output().unwrap();
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    server.change("server.toml", |toml| toml["audit"]["compress"] = toml_edit::value(true));
    server.start();
    eventually("both are compressed", || (closed(&server, ".gz").len() >= 2).then_some(()));
    assert!(server.stop().success());
    assert!(searched(&server, "audit.unverified").is_empty());
}
