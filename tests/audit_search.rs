//! What auditors find in the log: by search, in the story of a session, about a file, and as it is written.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::clients::{Ran, curl, lftp, run, spawn, url, wait};
use crate::support::{PATIENCE, Server, Wire, eventually};

/// Runs `portcullis audit` on the log of a server.
fn audit(server: &Server, arguments: &[&str]) -> Ran {
    run(server.command().arg("audit").args(arguments))
}

/// The records that a search finds.
fn found(server: &Server, arguments: &[&str]) -> Vec<Value> {
    let ran = audit(server, &[&["search", "--json"], arguments].concat());
    assert!(matches!(ran.code, Some(0 | 1)), "{}", ran.err);
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["metadata"]["event_code"].as_str().unwrap()).collect()
}

/// alice has put and renamed a file, bob has fetched his own, and somebody has guessed; done by curl and lftp.
fn told() -> Server {
    let server = Server::builder().user("bob", &[]).start();
    fs::write(server.home("bob").join("b.csv"), "bob's").unwrap();
    let local = server.scratch().join("draft.csv");
    fs::write(&local, "content").unwrap();
    run(lftp(
        &server,
        "alice",
        &format!("mkdir in; put {} -o in/draft.csv; mv in/draft.csv in/a.csv", local.display()),
    )
    .stdin(Stdio::null()))
    .done();
    run(curl(&server, "alice").arg(url(&server, "in/a.csv"))).done();
    run(curl(&server, "bob").arg(url(&server, "b.csv"))).done();
    let mut wire = Wire::secure(&server);
    wire.refused("bob", "Orange-Bicycle-Kettle-17-moor");
    wire.ask("QUIT", 221);
    wire.ended();
    eventually("all sessions ended", || (server.records_of("session.closed").len() == 4).then_some(()));
    server
}

#[test]
fn a_search_finds_by_each_of_its_filters() {
    let server = told();
    let refused = found(&server, &["--event", "auth.*", "--outcome", "failure"]);
    assert_eq!(events(&refused), ["auth.failure"]);
    assert_eq!(events(&found(&server, &["--user", "bob", "--event", "file.*"])), ["file.download"]);
    assert_eq!(events(&found(&server, &["--reason", "bad_password", "--severity", "low"])), ["auth.failure"]);
    assert_eq!(events(&found(&server, &["--path", "/in/draft.csv", "--command", "stor"])), ["file.upload"]);
    // A rename is found by both names.
    for path in ["/in/draft.csv", "/in/a.csv"] {
        assert!(events(&found(&server, &["--path", path])).contains(&"file.rename"), "{path}");
    }
    let all = found(&server, &["--address", "127.0.0.0/8"]).len();
    assert_eq!(found(&server, &["--address", "127.0.0.1", "--from", "1h"]).len(), all);
    assert!(found(&server, &["--address", "192.0.2.0/24"]).is_empty());
    assert!(found(&server, &["--to", "1h"]).is_empty());
    let seq = refused[0]["seq"].as_u64().unwrap();
    assert_eq!(found(&server, &["--record", &format!("{seq}")]), refused);
    assert_eq!(found(&server, &["--record", &format!("{seq}.."), "--limit", "1"]), refused);
    let session = refused[0]["actor"]["session"]["uid"].as_str().unwrap();
    assert_eq!(events(&found(&server, &["--session", session])).last(), Some(&"session.closed"));
    // The records are the lines of the log.
    let ran = audit(&server, &["search", "--json"]);
    assert_eq!(ran.text(), fs::read_to_string(server.audit_file()).unwrap());
}

#[test]
fn the_exit_code_says_whether_something_was_found_and_all_could_be_read() {
    let server = Server::running();
    assert_eq!(audit(&server, &["search", "--event", "policy.loaded"]).code, Some(0));
    assert_eq!(audit(&server, &["search", "--user", "nobody"]).code, Some(1));
    let directory = server.scratch().join("copy");
    fs::create_dir_all(&directory).unwrap();
    let log = fs::read_to_string(server.audit_file()).unwrap();
    let broken = directory.join("audit.jsonl");
    fs::write(&broken, format!("no record\n{log}")).unwrap();
    let ran = audit(&server, &["search", "--event", "policy.loaded", "--log", directory.to_str().unwrap()]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.err.contains(&format!("{}:1: no record", broken.display())), "{}", ran.err);
    assert!(ran.text().contains("policy.loaded"));
}

#[test]
fn a_session_is_told_from_first_contact_to_its_end() {
    let server = told();
    let upload = &found(&server, &["--event", "file.upload"])[0];
    let id = upload["actor"]["session"]["uid"].as_str().unwrap();
    for id in [id, &id.to_lowercase()[..], &id[..25]] {
        let ran = audit(&server, &["session", id]).done();
        let text = ran.text();
        let steps = [
            "connected from 127.0.0.1:",
            "TLS 1.",
            "logged in as alice with password",
            "uploaded /in/draft.csv, 7 bytes",
            "renamed /in/draft.csv to /in/a.csv",
            "ended: quit; ",
        ];
        let mut rest = text.as_str();
        for step in steps {
            rest = rest.split_once(step).unwrap_or_else(|| panic!("no {step} in its place: {text}")).1;
        }
        assert!(text.contains("+0.000 s"), "{text}");
    }
    let lines = audit(&server, &["session", id, "--json"]).done().text();
    assert!(lines.lines().all(|line| line.contains(id)) && lines.lines().count() > 5);
    let several = audit(&server, &["session", &id[..4]]);
    assert_eq!(several.code, Some(1));
    assert!(several.err.contains("several sessions") && several.err.contains(id), "{}", several.err);
    assert_eq!(audit(&server, &["session", "7ZZZZZZZZZ"]).code, Some(1));
}

#[test]
fn who_touched_a_file_is_told_under_the_names_that_it_had() {
    let server = told();
    let ran = audit(&server, &["who", "/in/a.csv", "--json"]).done().text();
    let records: Vec<Value> = ran.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let touched: Vec<&str> = events(&records).into_iter().filter(|event| *event != "file.mtime").collect();
    assert_eq!(touched, ["file.upload", "file.rename", "file.download"]);
    let table = audit(&server, &["who", "/in/a.csv"]).done().text();
    for words in ["alice", "127.0.0.1", "BLAKE3:", "session 0", "/in/draft.csv -> /in/a.csv", "7 bytes out"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert_eq!(audit(&server, &["who", "/in/a.csv", "--user", "bob"]).code, Some(1));
    let csv = audit(&server, &["who", "/b.csv", "--csv"]).done().text();
    assert_eq!(csv.lines().count(), 2, "{csv}");
}

/// `audit tail --follow`, whose lines are waited for.
struct Tail {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Tail {
    fn of(place: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["audit", "tail", "--follow", "--log"]).arg(place).args(arguments);
        let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let lines = lines(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line comes")
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(out: ChildStdout) -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// A made record.
fn record(seq: u64) -> String {
    format!(
        "{{\"seq\":{seq},\"time\":0,\"time_dt\":\"1970-01-01T00:00:00.000000Z\",\"severity_id\":1,\"status_id\":1,\
         \"metadata\":{{\"event_code\":\"file.list\",\"uid\":\"x\"}}}}\n"
    )
}

fn append(path: &Path, text: &str) {
    fs::File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn seq(line: &str) -> u64 {
    serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()
}

#[test]
fn a_log_is_followed_over_its_rotation_without_loss_or_repeats() {
    let directory = tempfile::tempdir().unwrap();
    let open = directory.path().join("audit.jsonl");
    append(&open, &(1..=5).map(record).collect::<String>());
    let tail = Tail::of(directory.path(), &["-n", "2", "--json"]);
    let mut next = 4;
    let mut expect = |up_to: u64| {
        while next <= up_to {
            assert_eq!(seq(&tail.next()), next);
            next += 1;
        }
    };
    expect(5);
    let mut first = 1;
    for round in 0..5 {
        let at = 6 + round * 4;
        append(&open, &record(at));
        let closed: PathBuf = directory.path().join(format!("audit-{first:020}.jsonl"));
        fs::rename(&open, &closed).unwrap();
        // The server writes the last line of a file when it has its new name.
        append(&closed, &record(at + 1));
        first = at + 2;
        let half = record(at + 3);
        append(&open, &(record(at + 2) + &half[..30]));
        if round % 2 == 0 {
            expect(at + 2);
        }
        append(&open, &half[30..]);
    }
    expect(25);
    assert!(tail.lines.recv_timeout(Duration::from_millis(300)).is_err(), "nothing comes twice");
}

#[test]
fn following_ends_when_it_is_interrupted_and_when_nobody_reads() {
    let directory = tempfile::tempdir().unwrap();
    append(&directory.path().join("audit.jsonl"), &record(1));
    let mut tail = Tail::of(directory.path(), &[]);
    tail.next();
    let pid = rustix::process::Pid::from_child(&tail.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(wait(&mut tail.child, PATIENCE).and_then(|status| status.code()), Some(0));
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["audit", "tail", "--follow", "--log"]).arg(directory.path());
    let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()));
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    // Without another record.
    assert_eq!(wait(&mut child, PATIENCE).and_then(|status| status.code()), Some(0));
}

#[test]
fn the_tail_of_a_running_server_shows_what_happens() {
    let server = Server::running();
    let tail = Tail::of(server.audit_file().parent().unwrap(), &["-n", "0", "--event", "auth.success"]);
    // What it shows last before: that it follows can only be seen by what it shows.
    let mut wire = Wire::secure(&server);
    wire.log_in("alice");
    let shown = tail.lines.recv_timeout(Duration::from_secs(1)).or_else(|_| {
        let mut wire = Wire::secure(&server);
        wire.log_in("alice");
        tail.lines.recv_timeout(PATIENCE)
    });
    let shown = shown.unwrap();
    assert!(shown.contains("auth.success") && shown.contains("alice"), "{shown}");
}

#[test]
fn no_text_of_a_log_drives_a_terminal_or_a_spreadsheet_in_any_form() {
    let directory = tempfile::tempdir().unwrap();
    let evil = "=cmd|' /C calc'!A0\u{1b}[2J\n\u{9b}2J\u{202e}gpj";
    let record = serde_json::json!({
        "seq": 1, "time": 0, "time_dt": "1970-01-01T00:00:00.000000Z", "severity_id": 2, "status_id": 2,
        "status_detail": evil, "metadata": {"event_code": "file.rename", "uid": "x"}, "command": evil,
        "actor": {"user": {"name": evil}, "session": {"uid": "01HOSTILE"}},
        "file": {"path": "/a"}, "file_result": {"path": evil}, "unmapped": {"rule": evil},
    });
    fs::write(directory.path().join("audit.jsonl"), format!("{record}\n")).unwrap();
    for arguments in [
        &["search"][..],
        &["search", "--format", "json"],
        &["search", "--format", "csv"],
        &["tail"],
        &["session", "01HOSTILE"],
        &["who", "/a"],
        &["who", "/a", "--csv"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let text = run(command.arg("audit").args(arguments).arg("--log").arg(directory.path())).done().text();
        let harmful = text.chars().find(|&c| c != '\n' && portcullis::audit::text::is_harmful(c));
        assert_eq!(harmful, None, "{arguments:?}: {text:?}");
        assert!(text.contains("202e"), "{arguments:?}: {text}");
        assert!(!text.contains(",=cmd") && !text.contains(",\"=cmd"), "{arguments:?}: {text}");
    }
}

/// The commands that the document shows.
fn documented() -> Vec<String> {
    let document = include_str!("../docs/audit.md");
    let part = document.split("\n## ").find(|part| part.starts_with("Searching")).unwrap();
    let commands = part.lines().filter_map(|line| line.strip_prefix("    $ portcullis audit "));
    commands.map(str::to_owned).collect()
}

#[test]
fn what_the_document_shows_finds_something() {
    let server = told();
    let upload = &found(&server, &["--event", "file.upload"])[0];
    let (id, record) = (upload["actor"]["session"]["uid"].as_str().unwrap(), upload["seq"].to_string());
    let commands = documented();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        // The names in the document stand for those of this log.
        let line =
            command.replace("01M825SG4TATSMF2RGES3HEH79", id).replace("1840..1850", &format!("{record}..{record}"));
        let line = line.replace("192.0.2.0/24", "127.0.0.0/8");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("\"$0\" --policy \"$1\" audit {line}"), env!("CARGO_BIN_EXE_portcullis")]);
        let ran = run(shell.arg(server.policy())).done();
        assert!(!ran.out.is_empty(), "{command}");
    }
}
