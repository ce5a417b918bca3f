//! One GiB, both ways, bit for bit.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clients::{curl, digest, lftp, python, run_with, url};
use crate::support::Server;

const BYTES: u64 = 1 << 30;
const TIME: Duration = Duration::from_mins(5);

/// One at a time: each needs three times the space, and they would only wait for each other.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes content that looks like chance; returns its digest.
fn make(path: &Path) -> blake3::Hash {
    let space = rustix::fs::statvfs(path.parent().unwrap()).unwrap();
    let free = space.f_bavail * space.f_frsize;
    assert!(free > 4 * BYTES, "only {free} bytes are free where {} is to be; 4 GiB are needed", path.display());
    let mut content = blake3::Hasher::new().update(b"one large file").finalize_xof();
    let mut file = File::create(path).unwrap();
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; 1 << 20];
    for _ in 0..BYTES >> 20 {
        content.fill(&mut piece);
        hasher.update(&piece);
        file.write_all(&piece).unwrap();
    }
    hasher.finalize()
}

/// Sends the file by one command and fetches it by another.
fn there_and_back(name: &str, commands: impl Fn(&Server, &Path, &Path) -> [Command; 2]) {
    let _turn = turn();
    let server = Server::running();
    let (source, target) = (server.scratch().join("source"), server.scratch().join("target"));
    let sent = make(&source);
    let [mut up, mut down] = commands(&server, &source, &target);

    let began = Instant::now();
    run_with(&mut up, b"", TIME).done();
    let up_time = began.elapsed();
    assert_eq!(digest(&server.home("alice").join("file")), sent, "{name} up");
    fs::remove_file(&source).unwrap();

    let began = Instant::now();
    run_with(&mut down, b"", TIME).done();
    let down_time = began.elapsed();
    assert_eq!(digest(&target), sent, "{name} down");
    println!("{name}: up in {up_time:.1?}, down in {down_time:.1?}");

    let digests = |code: &str| {
        let record = server.records_of(code).pop().unwrap();
        record.text("/file/hashes/0/value").map(str::to_owned)
    };
    let recorded = Some(sent.to_hex().to_string());
    assert_eq!((digests("file.upload"), digests("file.download")), (recorded.clone(), recorded));
}

#[test]
fn curl_moves_one_gib_both_ways() {
    there_and_back("curl", |server, source, target| {
        let address = url(server, "file");
        let (mut up, mut down) = (curl(server, "alice"), curl(server, "alice"));
        up.arg("--upload-file").arg(source).arg(&address);
        down.arg("--output").arg(target).arg(&address);
        [up, down]
    });
}

#[test]
fn lftp_moves_one_gib_both_ways() {
    there_and_back("lftp", |server, source, target| {
        let up = format!("put {} -o file", source.display());
        let down = format!("get file -o {}", target.display());
        [lftp(server, "alice", &up), lftp(server, "alice", &down)]
    });
}

#[test]
fn ftplib_moves_one_gib_both_ways() {
    there_and_back("ftplib", |server, source, target| {
        let script = |way: &str, path: &Path| {
            let mut python = python(server, "alice", "large.py");
            python.arg(way).arg(path);
            python
        };
        [script("up", source), script("down", target)]
    });
}
