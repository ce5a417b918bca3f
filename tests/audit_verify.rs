//! `audit verify`: the log of the real server proves itself, after crashes and full disks too, and shows
//! where somebody changed it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::namespaces::Namespace;
use crate::support::{Record, Server, Wire, eventually};

/// What `audit verify` says, and its exit code.
struct Said {
    code: i32,
    text: String,
}

fn verify(server: &Server, arguments: &[&str]) -> Said {
    let mut command: Command = server.command();
    let output = command.args(["audit", "verify"]).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!error.contains("panicked"), "{error}");
    Said { code: output.status.code().unwrap(), text: String::from_utf8(output.stdout).unwrap() + &error }
}

/// The public half of its key, which an auditor has.
pub fn public_key(server: &Server) -> String {
    server.policy().join("../certs/audit.pub").to_str().unwrap().to_owned()
}

/// What it says in JSON.
pub fn verdict(server: &Server, arguments: &[&str]) -> (i32, Value) {
    let said = verify(server, &[&["--json"], arguments].concat());
    let json = serde_json::from_str(&said.text).unwrap_or_else(|error| panic!("{error}: {}", said.text));
    (said.code, json)
}

pub fn kinds(verdict: &Value) -> Vec<String> {
    let findings = verdict["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect()
}

/// The log is as the server wrote it, which its key proves, and the server runs or stopped in order.
#[track_caller]
pub fn assert_as_written(server: &Server, place: &Path, runs: bool) -> Value {
    let (code, said) = verdict(server, &["--log", place.to_str().unwrap(), "--public-key", &public_key(server)]);
    assert_eq!((code, kinds(&said)), (0, Vec::new()), "{said:#}");
    assert_eq!((&said["in_use"], &said["closed"] == true), (&Value::Bool(runs), !runs), "{said:#}");
    assert!(said["checkpoints"].as_u64() > Some(0), "{said:#}");
    said
}

pub fn directory(server: &Server) -> PathBuf {
    server.audit_file().parent().unwrap().to_owned()
}

/// Whether it is a closed file of the log.
pub fn is_closed(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().starts_with("audit-0")
}

fn busy() -> Server {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    for number in 0..10 {
        wire.ask(&format!("MKD f{number}"), 257);
    }
    wire.ask("QUIT", 221);
    wire.ended();
    server
}

#[test]
fn a_log_verifies_while_it_is_written_and_after_the_stop() {
    let mut server = busy();
    let said = assert_as_written(&server, &directory(&server), true);
    assert_eq!((&said["in_use"], &said["first"]["seq"]), (&Value::Bool(true), &Value::from(1)));
    assert!(server.stop().success());
    let said = assert_as_written(&server, &directory(&server), false);
    assert_eq!(said["records"], Value::from(server.audit().len()));
    assert_eq!(said["in_use"], Value::Bool(false));
    server.start();
    let said = assert_as_written(&server, &directory(&server), true);
    assert_eq!(said["last"]["seq"], Value::from(server.audit().last().unwrap().seq()));
}

#[test]
fn a_change_is_shown_by_file_line_and_record() {
    let mut server = busy();
    assert!(server.stop().success());
    let text = fs::read_to_string(server.audit_file()).unwrap();
    let at = text.lines().position(|line| line.contains("\"/f5\"")).unwrap();
    let seq = server.audit()[at].seq();
    let place = format!("audit.jsonl:{}: record {seq}", at + 1);
    let changed = text.replacen("\"/f5\"", "\"/f6\"", 1);
    let line = text.lines().nth(at).unwrap();
    let removed = text.replacen(&format!("{line}\n"), "", 1);
    for (content, word) in [(changed, "was changed"), (removed, "is missing")] {
        fs::write(server.audit_file(), content).unwrap();
        let said = verify(&server, &[]);
        assert_eq!(said.code, 4, "{}", said.text);
        assert!(
            said.text.starts_with("TAMPERED") && said.text.contains(&place) && said.text.contains(word),
            "{}",
            said.text
        );
        let quiet = verify(&server, &["--quiet"]);
        assert!(quiet.code == 4 && quiet.text.lines().count() == 1 && quiet.text.contains(&place), "{}", quiet.text);
    }
    fs::write(server.audit_file(), text).unwrap();
    assert_as_written(&server, &directory(&server), false);
}

#[test]
fn what_cannot_be_read_is_said_and_proves_nothing() {
    let server = busy();
    assert_eq!(verify(&server, &["--log", "/nowhere"]).code, 1);
    let no_key = server.scratch().join("key.pub");
    fs::write(&no_key, "no key").unwrap();
    let said = verify(&server, &["--public-key", no_key.to_str().unwrap()]);
    assert!(said.code == 1 && said.text.contains("key.pub"), "{}", said.text);
    let said = verify(&server, &["--witness", no_key.to_str().unwrap()]);
    assert!(said.code == 1 && said.text.contains("line 1 is no signed head"), "{}", said.text);
    assert_eq!(verify(&server, &["--public-key"]).code, 2);
}

/// A server whose log has a disk of its own and files of so many bytes, and the directory of that as it is
/// seen from here.
fn on_a_small_disk(rotate_bytes: &str) -> (Server, Namespace, PathBuf) {
    let mut server = Server::builder().policy("audit.rotate-bytes", rotate_bytes).prepare();
    let namespace = Namespace::new();
    let disk = server.scratch().join("disk");
    fs::create_dir(&disk).unwrap();
    namespace.sh(&format!("mount -t tmpfs -o size=1m,mode=0755 tmpfs {}", disk.display()));
    let outside = namespace.outside(&disk);
    server.change("server.toml", |toml| toml["audit"]["directory"] = toml_edit::value(disk.to_str().unwrap()));
    // So that the tests find it where it always is.
    let usual = directory(&server);
    fs::remove_dir(&usual).unwrap();
    std::os::unix::fs::symlink(&outside, &usual).unwrap();
    server.run_inside(namespace.words_for_its_disks());
    server.start();
    (server, namespace, outside)
}

/// Makes directories until the server does not any more; gives the names of those that it acknowledged.
fn work_until_refused(server: &Server, prefix: &str) -> Vec<String> {
    let mut wire = Wire::login(server, "alice");
    let mut acknowledged = Vec::new();
    fill(&directory(server));
    for number in 0..200 {
        let name = format!("{prefix}{number}");
        let asked = wire.try_send_raw(format!("MKD {name}\r\n").as_bytes());
        match asked.and_then(|()| wire.try_reply()) {
            Ok(reply) if reply.code == 257 => acknowledged.push(name),
            _ => return acknowledged,
        }
    }
    panic!("{} records more were written to a disk that is full", acknowledged.len());
}

/// Takes all the room that there is.
fn fill(disk: &Path) {
    let mut filler = fs::File::create(disk.join("filler")).unwrap();
    for size in [65_536, 4096, 1] {
        while filler.write_all(&vec![0; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_under_the_log_refuses_work_and_no_acknowledgement_is_without_its_record() {
    let (server, _namespace, disk) = on_a_small_disk("0");
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        acknowledged.extend(work_until_refused(&server, &format!("round{round}-")));
        let refused = || {
            let mut clear = crate::support::Dial::to(&server).connect();
            clear.try_reply().map_or(true, |reply| reply.code == 421)
        };
        eventually("new work is refused", || refused().then_some(()));
        fs::remove_file(disk.join("filler")).unwrap();
        eventually("the server goes on by itself", || (!refused()).then_some(()));
    }
    acknowledged.push("after".to_owned());
    Wire::login(&server, "alice").ask("MKD after", 257);
    let outages = server.records_of("audit.degraded").len();
    assert!(outages >= 3, "{outages} outages");
    let made = server.records_of("file.mkdir");
    for name in &acknowledged {
        let path = format!("/{name}");
        assert!(made.iter().any(|record| record.path() == path), "no record of {name}");
    }
    let said = assert_as_written(&server, &disk, true);
    assert_eq!(said["outages"]["total"], Value::from(outages));
}

/// The numbers of the records that a search finds.
fn numbers_of(server: &Server, log: &Path, event: &str) -> Vec<u64> {
    let mut search = server.command();
    let output = search.args(["audit", "search", "--event", event, "--json", "--log"]).arg(log).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| Record::parse(line).seq()).collect()
}

#[test]
fn a_full_disk_under_a_file_that_the_sandbox_lets_only_grow_leaves_each_record_once() {
    let (mut server, _namespace, disk) = on_a_small_disk("30000");
    let closed = || fs::read_dir(&disk).unwrap().filter(|entry| is_closed(&entry.as_ref().unwrap().path())).count();
    let mut wire = Wire::login(&server, "alice");
    let mut made = 0;
    eventually("a file that the sandboxed server made", || {
        made += 1;
        wire.ask(&format!("MKD first{made}"), 257);
        (closed() > 0).then_some(())
    });
    drop(wire);
    for round in 0..3 {
        work_until_refused(&server, &format!("round{round}-"));
        fs::remove_file(disk.join("filler")).unwrap();
        eventually("the server goes on by itself", || {
            let mut clear = crate::support::Dial::to(&server).connect();
            clear.try_reply().is_ok_and(|reply| reply.code == 220).then_some(())
        });
    }
    let said = assert_as_written(&server, &disk, true);
    assert!(said["outages"]["total"].as_u64() >= Some(3), "{said:#}");
    assert!(server.stop().success());
    let said = assert_as_written(&server, &disk, false);
    let found = numbers_of(&server, &disk, "file.mkdir");
    let mut once = found.clone();
    once.dedup();
    assert!(found.len() > made && found == once && found.is_sorted(), "{found:?}");
    assert_eq!(numbers_of(&server, &disk, "*").len() as u64, said["records"].as_u64().unwrap());
}
