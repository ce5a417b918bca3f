//! The control socket: who may use it, what it answers, and that nobody can hold it up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{PATIENCE, Server, Wire, eventually};

fn socket(server: &Server) -> PathBuf {
    server.policy().join("../run/control.sock")
}

fn connect(server: &Server) -> UnixStream {
    let stream = UnixStream::connect(socket(server)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The answer to a line.
fn ask(stream: &mut UnixStream, line: &str) -> Value {
    stream.write_all(line.as_bytes()).unwrap();
    stream.write_all(b"\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[test]
fn who_comes_behind_a_crowd_that_has_left_is_served() {
    let server = Server::running();
    let crowd: Vec<UnixStream> = (0..8).map(|_| connect(&server)).collect();
    eventually("all places are taken", || {
        (!server.command().arg("status").output().unwrap().status.success()).then_some(())
    });
    drop(crowd);
    // Nobody comes while they leave.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(ask(&mut connect(&server), "{\"verb\":\"status\"}")["answer"], "status");
}

#[test]
fn status_tells_how_things_are() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let _data = wire.begin("STOR f");
    let output = server.command().args(["status", "--json"]).output().unwrap();
    assert!(output.status.success());
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["pid"], server.pid());
    assert_eq!((&status["sessions"], &status["transfers"]), (&1.into(), &1.into()));
    assert_eq!(status["listeners"][0]["address"], format!("127.0.0.1:{}", server.port()));
    assert_eq!(status["policy"]["loaded_by"], "start");
    assert_eq!(status["audit"]["healthy"], true);
    assert!(status["certificates"][0]["days_left"].as_i64().unwrap() > 300, "{status}");
    let loaded = server.records_of("policy.loaded").remove(0);
    assert_eq!(status["policy"]["fingerprint"].as_str(), loaded.text("/unmapped/policy"));

    let output = server.command().arg("status").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["running, version", "explicit TLS", "1, 1 with a transfer", "days left", "Landlock", "written, in"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn metrics_tell_how_things_are_and_whether_there_is_a_server() {
    let mut server = Server::builder().user("alice", &["--quota-bytes", "1000"]).start();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR f", &[0; 960]);
    let metrics = || server.command().args(["status", "--format", "prometheus"]).output().unwrap();
    let home = format!("what=\"user alice\",directory=\"{}\"", server.home("alice").display());
    let output = metrics();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "portcullis_up 1".to_owned(),
        "portcullis_sessions 1".to_owned(),
        "portcullis_audit_healthy 1".to_owned(),
        format!("portcullis_space_limit_bytes{{{home}}} 1000"),
        format!("portcullis_space_used_bytes{{{home}}} 960"),
        format!("portcullis_space_warning{{{home}}} 1"),
    ] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    let loaded = server.records_of("policy.loaded").remove(0);
    assert!(text.contains(&format!("policy=\"{}\"}} 1", loaded.text("/unmapped/policy").unwrap())), "{text}");
    for name in crate::metrics::names(&text) {
        assert_eq!(text.matches(&format!("# HELP {name} ")).count(), 1, "{name}");
        assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
    }
    server.stop();
    let output = server.command().args(["status", "--format", "prometheus"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("gauge\nportcullis_up 0\n"), "{output:?}");
}

#[test]
fn every_call_is_recorded_with_who_called() {
    let server = Server::running();
    let mut stream = connect(&server);
    assert_eq!(ask(&mut stream, r#"{"verb":"status"}"#)["answer"], "status");
    assert_eq!(ask(&mut stream, r#"{"verb":"reload"}"#)["outcome"], "unchanged");
    let calls = server.records_of("control.call");
    let verbs: Vec<_> = calls.iter().map(|record| record.text("/unmapped/verb").unwrap()).collect();
    assert_eq!(verbs, ["status", "reload"]);
    for record in calls {
        assert_eq!(record.number("/unmapped/peer_pid"), Some(std::process::id().into()));
        assert_eq!(record.number("/unmapped/peer_uid"), Some(rustix::process::geteuid().as_raw().into()));
    }
}

#[test]
fn what_is_no_request_is_refused_and_recorded() {
    let server = Server::running();
    for garbage in ["", "{}", "null", r#"{"verb":"shutdown"}"#, r#"{"verb":"status","all":true}"#, "\u{7f}\0\r"] {
        let mut stream = connect(&server);
        let answer = ask(&mut stream, garbage);
        assert_eq!(answer["answer"], "refused", "{garbage:?}");
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "and it is over");
    }
    let calls = server.records_of("control.call");
    assert!(calls.len() == 6 && calls.iter().all(|record| record.detail() == "malformed"), "{calls:?}");
    let mut stream = connect(&server);
    // More than any request has, and no end of the line.
    let _ = stream.write_all(&b" ".repeat(100_000));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"{\"answer\":\"refused\""), "{answer:?}");
    assert_eq!(ask(&mut connect(&server), r#"{"verb":"status"}"#)["answer"], "status");
}

#[test]
fn silent_and_deaf_callers_hold_nobody_up() {
    let server = Server::running();
    let silent: Vec<UnixStream> = (0..20).map(|_| connect(&server)).collect();
    let half = connect(&server);
    (&half).write_all(b"{\"verb\":").unwrap();
    eventually("places are free again", || {
        let output = server.command().arg("status").output().unwrap();
        output.status.success().then_some(())
    });
    // Each was ended by the server.
    for mut stream in silent {
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
    let mut gone = connect(&server);
    gone.write_all(b"{\"verb\":\"reload\"}\n").unwrap();
    gone.shutdown(Shutdown::Both).unwrap();
    drop(gone);
    eventually("the reload is done all the same", || (server.records_of("policy.loaded").len() == 2).then_some(()));
}

#[test]
fn others_may_not_connect_and_are_refused_where_they_can() {
    let server = Server::running();
    let path = socket(&server);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    if !rustix::process::geteuid().is_root() {
        // Nobody else's ids can be taken on.
        return;
    }
    let root = server.policy().parent().unwrap().to_owned();
    let open = |mode: u32| {
        for path in [root.parent().unwrap(), &root, &root.join("run")] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    };
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg("/usr/bin/python3").args(["-c", STRANGER]).arg(&path);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    open(0o600);
    assert!(as_nobody().contains("PermissionError"));
    // Even where somebody opened it to all.
    open(0o666);
    assert!(as_nobody().contains("only root and the account that serves"), "{}", as_nobody());
    let record = server.wait_for_failure("control.call", "forbidden");
    assert_eq!(record.number("/unmapped/peer_uid"), Some(65534));
}

/// Asks for a reload, and prints the answer or why there is none.
const STRANGER: &str = "
import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
    s.sendall(b'{\"verb\":\"reload\"}\\n')
    print(s.makefile().readline())
except Exception as error:
    print(type(error).__name__)
";

#[test]
fn without_a_server_or_a_socket_the_commands_say_so() {
    let mut server = Server::running();
    assert!(server.stop().success());
    assert!(!socket(&server).exists());
    let said = |server: &Server, verb: &str| {
        let output = server.command().arg(verb).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for verb in ["reload", "status"] {
        let (code, text) = said(&server, verb);
        assert!(code == 1 && text.contains("no server runs"), "{code} {text}");
    }
    server.change("server.toml", |toml| drop(toml.remove("control")));
    let (code, text) = said(&server, "reload");
    assert!(code == 1 && text.contains("names no [control] socket") && text.contains("SIGHUP"), "{code} {text}");
    server.start();
    assert!(!socket(&server).exists());
}

#[test]
fn a_socket_that_a_crash_left_behind_is_replaced_and_a_second_server_is_refused() {
    let mut server = Server::running();
    server.kill();
    assert!(socket(&server).exists());
    server.start();
    assert_eq!(ask(&mut connect(&server), r#"{"verb":"status"}"#)["answer"], "status");
}
