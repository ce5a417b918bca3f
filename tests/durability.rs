//! What an acknowledgement is worth when the server is killed, and how it ends in order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::audit_verify::assert_as_written;
use crate::clients::{content, python, spawn, wait};
use crate::support::{PATIENCE, Server, Wire, eventually};

const ROUNDS: u32 = 15;
const UPLOADERS: u32 = 4;

/// The beginning of a file, not more than lies in buffers.
const SOME: [u8; 10_000] = [1; 10_000];

/// What the uploaders have begun and what was acknowledged, by name, in order.
#[derive(Debug, Default)]
struct Told {
    begun: BTreeMap<String, Vec<String>>,
    stored: BTreeMap<String, Vec<String>>,
    gone: u32,
}

fn uploader(server: &Server, round: u32, number: u32, told: &Arc<Mutex<Told>>) -> (Child, thread::JoinHandle<()>) {
    let mut script = python(server, "alice", "uploads.py");
    script.args([format!("{round}"), format!("uploader{number}")]);
    let mut child = spawn(script.stdin(Stdio::null()).stdout(Stdio::piped()));
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = Arc::clone(told);
    let listener = thread::spawn(move || {
        for line in lines.map(Result::unwrap) {
            let words: Vec<&str> = line.split(' ').collect();
            let mut told = told.lock().unwrap();
            match words[..] {
                ["begun", name, digest] => told.begun.entry(name.to_owned()).or_default().push(digest.to_owned()),
                ["stored", name, digest] => told.stored.entry(name.to_owned()).or_default().push(digest.to_owned()),
                ["gone"] => told.gone += 1,
                _ => panic!("an uploader says {line:?}"),
            }
        }
    });
    (child, listener)
}

fn sha256(path: &Path) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &fs::read(path).unwrap());
    digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Every file that anybody can see is one that was sent, whole; and what was acknowledged is there.
fn assert_whole(server: &Server, told: &Told) {
    let home = server.home("alice");
    let names: BTreeSet<String> = server.names().into_iter().collect();
    for name in &names {
        let digest = sha256(&home.join(name));
        let begun = told.begun.get(name).unwrap_or_else(|| panic!("nobody sent {name}"));
        let place = begun.iter().rposition(|sent| *sent == digest);
        let place = place.unwrap_or_else(|| panic!("{name} has content that nobody sent as a whole"));
        // An upload whose acknowledgement was lost may be there; an older one than was acknowledged may not.
        let acknowledged = told.stored.get(name).and_then(|stored| stored.last());
        let acknowledged = acknowledged.and_then(|last| begun.iter().rposition(|sent| sent == last));
        assert!(acknowledged.is_none_or(|at| at <= place), "{name} has its old content though 226 was said");
    }
    for name in told.stored.keys() {
        assert!(names.contains(name), "{name} is gone though 226 was said");
    }
}

/// Nothing is staged but what has a record, for its uploader to continue.
fn assert_swept(server: &Server) {
    let Ok(entries) = fs::read_dir(server.home("alice").join(".portcullis-staging")) else { return };
    let names: BTreeSet<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for name in &names {
        let (id, kind) = name.rsplit_once('.').unwrap_or((name, ""));
        let other = match kind {
            "part" => format!("{id}.json"),
            "json" => format!("{id}.part"),
            _ => panic!("{name} was left behind: {names:?}"),
        };
        assert!(names.contains(&other), "{name} was left behind: {names:?}");
    }
}

/// The log goes on without a gap, and has every acknowledgement.
fn assert_recorded(server: &Server, told: &Told) {
    let records = server.audit();
    for (before, after) in records.iter().zip(records.iter().skip(1)) {
        assert_eq!(before.seq() + 1, after.seq(), "{before:?}\n{after:?}");
    }
    let uploads: BTreeSet<(String, String)> = records
        .iter()
        .filter(|record| record.code() == "file.upload" && record.codes() == [150, 226])
        .map(|record| (record.path().to_owned(), record.text("/file/hashes/0/value").unwrap().to_owned()))
        .collect();
    for (name, digests) in &told.stored {
        for digest in digests {
            assert!(uploads.contains(&(format!("/{name}"), digest.clone())), "no record of {name} {digest}");
        }
    }
}

#[test]
fn what_got_its_226_survives_a_kill_at_any_moment() {
    let mut server = Server::builder().policy("storage.digest", "\"sha256\"").start();
    let told = Arc::new(Mutex::new(Told::default()));
    for round in 0..ROUNDS {
        let begun_before = told.lock().unwrap().begun.values().map(Vec::len).sum::<usize>();
        let uploaders: Vec<_> = (0..UPLOADERS).map(|number| uploader(&server, round, number, &told)).collect();
        eventually("every uploader has begun", || {
            let begun = told.lock().unwrap().begun.values().map(Vec::len).sum::<usize>();
            (begun >= begun_before + UPLOADERS as usize).then_some(())
        });
        // From the very first moment on, to some time later; odd, so as to meet no rhythm.
        thread::sleep(Duration::from_micros(u64::from(round * 61_803 + rand::random_range(0..60_000_u32))));
        server.kill();
        for (mut child, listener) in uploaders {
            let status = wait(&mut child, PATIENCE).expect("an uploader does not notice that the server is gone");
            assert!(status.success(), "an uploader failed");
            listener.join().unwrap();
        }
        // At once, on the same port.
        server.start();
        let told = told.lock().unwrap();
        assert_eq!(told.gone, (round + 1) * UPLOADERS);
        assert_whole(&server, &told);
        assert_swept(&server);
        assert_recorded(&server, &told);
        assert_as_written(&server, server.audit_file().parent().unwrap(), true);
    }
    let told = told.lock().unwrap();
    let stored: usize = told.stored.values().map(Vec::len).sum();
    let begun: usize = told.begun.values().map(Vec::len).sum();
    println!("{ROUNDS} kills: {stored} of {begun} uploads were acknowledged");
    assert!(stored > 100 && begun > stored, "too little happened: {stored} of {begun}");
}

#[test]
fn a_kill_leaves_an_interrupted_upload_to_its_uploader() {
    let mut server = Server::running();
    let sent = content("a_kill_leaves_an_interrupted_upload_to_its_uploader", 500_000);
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR file");
    data.send(&sent[..200_000]);
    data.cut();
    wire.expect(426);
    server.kill();
    server.start();
    assert_eq!(server.content("file"), None);
    let mut wire = Wire::login(&server, "alice");
    let size: usize = wire.ask("SIZE file", 213).text().parse().unwrap();
    assert!(size > 0 && size <= 200_000, "{size}");
    wire.ask(&format!("REST {size}"), 350);
    wire.store("STOR file", &sent[size..]);
    assert!(server.content("file").as_ref() == Some(&sent));
}

#[test]
fn sigterm_lets_a_running_upload_finish_and_sends_everybody_else_away() {
    let mut server = Server::running();
    let sent = content("sigterm", 300_000);
    let mut idle = Wire::login(&server, "alice");
    let mut stranger = Wire::secure(&server);
    let mut busy = Wire::login(&server, "alice");
    let mut data = busy.begin("STOR file");
    data.send(&sent[..100_000]);

    server.terminate();
    idle.expect(421);
    stranger.expect(421);
    idle.ended();
    let refused = || TcpStream::connect(("127.0.0.1", server.port())).is_err();
    eventually("new connections are refused", || refused().then_some(()));
    assert_eq!(server.content("file"), None);

    data.send(&sent[100_000..]);
    data.finish();
    busy.expect(226);
    busy.expect(421);
    busy.ended();
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.content("file").as_ref() == Some(&sent));
    let records = server.audit();
    assert_eq!(records[records.len() - 2].code(), "service.stop");
    server.start();
    assert!(Wire::login(&server, "alice").fetch("RETR file") == sent);
}

#[test]
fn sigterm_lets_a_running_download_finish() {
    let mut server = Server::running();
    let bytes = 40_000_000;
    server.put_large("file", bytes);
    let mut busy = Wire::login(&server, "alice");
    let mut data = busy.begin("RETR file");
    assert_eq!(data.read(1_000), [0; 1_000]);
    server.terminate();
    let refused = || TcpStream::connect(("127.0.0.1", server.port())).is_err();
    eventually("new connections are refused", || refused().then_some(()));
    assert_eq!(data.receive().len() as u64, bytes - 1_000);
    busy.expect(226);
    busy.expect(421);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_transfer_longer_than_the_drain_time_is_ended() {
    let mut server = Server::builder().policy("limits.drain-seconds", "1").start();
    let mut up = Wire::login(&server, "alice");
    let mut upload = up.begin("STOR file");
    upload.send(&SOME);
    server.put_large("large", 100_000_000);
    let mut down = Wire::login(&server, "alice");
    let mut download = down.begin("RETR large");
    download.read(1_000);

    let began = Instant::now();
    server.terminate();
    for wire in [&mut up, &mut down] {
        wire.expect(426);
        wire.expect(421);
        wire.ended();
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    let (_, whole) = download.drain();
    assert!(!whole, "a download that was ended must not look whole");
    drop(upload);
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(server.content("file"), None);
    for code in ["file.upload_incomplete", "file.download_incomplete"] {
        assert_eq!(server.records_of(code)[0].detail(), "stopping");
    }
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let mut server = Server::builder().policy("limits.drain-seconds", "600").start();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR file");
    data.send(&SOME);
    server.terminate();
    let refused = || TcpStream::connect(("127.0.0.1", server.port())).is_err();
    eventually("new connections are refused", || refused().then_some(()));
    server.signal(Signal::TERM);
    wire.expect(426);
    wire.expect(421);
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(server.content("file"), None);
}

#[test]
fn it_starts_at_once_on_the_port_that_a_killed_one_had() {
    let mut server = Server::running();
    for _ in 0..3 {
        let mut wire = Wire::login(&server, "alice");
        let mut data = wire.begin("STOR file");
        data.send(&SOME);
        server.kill();
        server.start();
        assert_eq!(Wire::login(&server, "alice").list("NLST"), "");
    }
}
