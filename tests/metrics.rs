//! What the running server tells of itself over HTTP: its figures, and whether it takes new work.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::clients::run_with;
use crate::support::server::Builder;
use crate::support::{Dial, PATIENCE, Server, Wire, eventually};

/// A server that tells its figures, and does not know 127.0.0.200.
pub fn telling() -> Builder {
    Server::builder().metrics().allow_from("127.0.0.1/32")
}

/// A stream's answer to some bytes: the status, the headers and the body.
fn ask(mut stream: impl Read + Write, request: &str) -> (u16, String, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.ports().metrics())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The answer to a request without a body.
pub fn http(server: &Server, method: &str, path: &str) -> (u16, String, String) {
    ask(connect(server), &format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// The text of the metrics.
pub fn metrics(server: &Server) -> String {
    let (status, _, text) = http(server, "GET", "/metrics");
    assert_eq!(status, 200, "{text}");
    text
}

/// Every sample, by its name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// The names of the metrics.
pub fn names(text: &str) -> BTreeSet<String> {
    let heads = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
    heads.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// A server that has every metric to tell: also a copy of its log, and something that is frozen.
pub fn with_all_metrics() -> Server {
    let server = telling().policy("audit.stdout", "true").start();
    traffic(&server);
    server.told(&["freeze", "--path", "/frozen"]);
    eventually("the keeper has told of the copy", || metrics(&server).contains("{sink=\"stdout\"}").then_some(()));
    server
}

/// Sessions that succeed and fail in many ways.
pub fn traffic(server: &Server) {
    let mut wire = Wire::login(server, "alice");
    wire.store("STOR f", &[b'x'; 1000]);
    assert_eq!(wire.fetch("RETR f").len(), 1000);
    wire.list("MLSD");
    wire.refuse("RETR none", 550);
    wire.ask("CCC", 534);
    wire.ask("NONSENSE", 500);
    wire.ask("QUIT", 221);
    Wire::secure(server).refused("alice", "wrong");
    Wire::greeted(server).ask("USER alice", 530);
    let mut broken = Wire::greeted(server);
    broken.ask("AUTH TLS", 234);
    broken.send_raw(b"\x16\x03\x01\x00\x02\xff\xff");
    server.wait_for_record("tls.handshake_failed", |_| true);
    let _ = Dial::to(server).from(200).connect().try_reply();
    server.wait_for_record("conn.denied", |_| true);
}

#[test]
fn the_figures_tell_what_happened() {
    let server = telling().start();
    traffic(&server);
    let text = eventually("the sessions have ended", || {
        let text = metrics(&server);
        text.contains("\nportcullis_sessions 0\n").then_some(text)
    });
    let told = samples(&text);
    for (name, value) in [
        ("portcullis_connections_accepted_total", 4.0),
        ("portcullis_connections_refused_total{reason=\"ip_not_allowed\"}", 1.0),
        ("portcullis_tls_handshakes_total{version=\"1.3\",handshake=\"full\"}", 2.0),
        ("portcullis_tls_handshake_duration_seconds_count", 2.0),
        ("portcullis_logins_total{outcome=\"success\"}", 1.0),
        ("portcullis_logins_total{outcome=\"failure\",reason=\"bad_password\"}", 1.0),
        ("portcullis_logins_total{outcome=\"in_clear\",reason=\"tls_required\"}", 1.0),
        ("portcullis_transfers_ended_total{direction=\"upload\",outcome=\"complete\"}", 1.0),
        ("portcullis_transfers_ended_total{direction=\"download\",outcome=\"complete\"}", 1.0),
        ("portcullis_transfers_ended_total{direction=\"listing\",outcome=\"complete\"}", 1.0),
        ("portcullis_transferred_bytes_total{direction=\"in\"}", 1000.0),
        ("portcullis_transfer_duration_seconds_count{direction=\"upload\"}", 1.0),
        ("portcullis_data_connections_total{binding=\"session\",handshake=\"resumed\"}", 3.0),
        ("portcullis_commands_total{verb=\"STOR\"}", 1.0),
        ("portcullis_commands_total{verb=\"other\"}", 1.0),
        ("portcullis_replies_total{code=\"226\"}", 3.0),
        ("portcullis_passive_ports", 20.0),
        ("portcullis_audit_healthy", 1.0),
        ("portcullis_ready", 1.0),
        ("portcullis_bans_total", 0.0),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name}: {text}");
    }
    // Content, and the listing.
    assert!(told["portcullis_transferred_bytes_total{direction=\"out\"}"] > 1000.0, "{text}");
    let failed = told.iter().filter(|(name, _)| name.starts_with("portcullis_tls_handshakes_failed_total"));
    assert!((failed.map(|(_, value)| value).sum::<f64>() - 1.0).abs() < 0.1, "{text}");
    // What the audit log has is what is counted.
    for code in ["auth.success", "session.closed", "file.upload", "conn.accepted"] {
        let line = format!("portcullis_audit_events_total{{event=\"{code}\"}} {}", server.records_of(code).len());
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    assert!(told["portcullis_audit_records_total{outcome=\"written\"}"] > 20.0, "{text}");
    assert!(told["portcullis_process_open_fds"] > 5.0 && told["portcullis_process_threads"] > 1.0, "{text}");
}

#[test]
fn promtool_finds_nothing_wrong_with_the_text() {
    let server = telling().policy("metrics.users", "true").user("alice", &["--quota-bytes", "100000"]).start();
    traffic(&server);
    let mut promtool = Command::new("promtool");
    let checked = run_with(promtool.args(["check", "metrics"]), metrics(&server).as_bytes(), PATIENCE);
    assert!(checked.done().text().is_empty(), "tests/run installs promtool");
    let status = server.command().args(["status", "--format", "prometheus"]).output().unwrap();
    assert_eq!(names(&String::from_utf8(status.stdout).unwrap()), names(&metrics(&server)), "both are one definition");
}

#[test]
fn the_document_has_every_metric_and_no_other() {
    let document = include_str!("../docs/operation.md");
    let words = document.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    let documented: BTreeSet<String> =
        words.filter(|word| word.starts_with("portcullis_")).map(ToOwned::to_owned).collect();
    assert_eq!(names(&metrics(&with_all_metrics())), documented);
}

#[test]
fn counts_go_on_over_a_reload() {
    let server = telling().start();
    traffic(&server);
    let counts = || {
        let text = metrics(&server);
        let all = samples(&text).into_iter();
        all.filter(|(name, _)| ["_total", "_bucket", "_count"].iter().any(|part| name.contains(part)))
            .collect::<BTreeMap<_, _>>()
    };
    let before = counts();
    server.change("server.toml", |toml| toml["limits"]["sessions"] = toml_edit::value(900));
    assert!(server.command().arg("reload").status().unwrap().success());
    traffic(&server);
    server.change("server.toml", |toml| toml["limits"]["sessions"] = toml_edit::value(0));
    assert!(!server.command().arg("reload").status().unwrap().success());
    let after = counts();
    for (name, count) in &before {
        assert!(after.get(name).is_some_and(|now| now >= count), "{name}: {count} before, {:?} now", after.get(name));
    }
    assert!((after["portcullis_logins_total{outcome=\"success\"}"] - 2.0).abs() < 0.1);
    let text = metrics(&server);
    for line in [
        "portcullis_policy_reloads_total{outcome=\"loaded\"} 1",
        "portcullis_policy_reloads_total{outcome=\"rejected\"} 1",
        "portcullis_policy_last_reload_successful 0",
        "portcullis_sessions_limit 900",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
}

#[test]
fn nobodys_name_is_told_unless_that_is_asked_for() {
    let quota = ["--quota-bytes", "1000"];
    let server = telling().user("alice", &quota).start();
    Wire::login(&server, "alice").store("STOR f", &[0; 960]);
    let text = metrics(&server);
    assert!(!text.contains("alice"), "{text}");
    assert!(text.contains("\nportcullis_space_warnings{kind=\"user\"} 1\n"), "{text}");
    let server = telling().user("alice", &quota).policy("metrics.users", "true").start();
    assert!(metrics(&server).contains("what=\"user alice\""));
}

#[test]
fn bans_freezes_and_the_keeping_of_the_log_are_told_without_names() {
    let server = telling().start();
    server.told(&["ban", "192.0.2.0/24", "--reason", "secret reason"]);
    server.told(&["freeze", "--user", "alice", "--for", "1h"]);
    let text = metrics(&server);
    assert!(!text.contains("portcullis_freeze_endless_timestamp_seconds"), "{text}");
    server.told(&["freeze", "--user", "alice", "--path", "/hidden"]);
    let text = metrics(&server);
    let samples = samples(&text);
    let one_of = |name: &str| samples.get(name).copied().unwrap_or_else(|| panic!("{name}: {text}"));
    for (name, value) in [
        ("portcullis_banned_networks{by=\"hand\"}", 1.0),
        ("portcullis_banned_networks{by=\"failed_logins\"}", 0.0),
        ("portcullis_freezes", 2.0),
        ("portcullis_audit_keeper_alive", 1.0),
        ("portcullis_audit_files", 1.0),
        ("portcullis_audit_unverified_files", 0.0),
    ] {
        assert!((one_of(name) - value).abs() < 0.1, "{name}: {text}");
    }
    assert!(one_of("portcullis_audit_bytes") > 1000.0);
    let times = ["freeze_endless", "audit_checkpoint", "audit_oldest_record"];
    for name in times.map(|name| format!("portcullis_{name}_timestamp_seconds")) {
        assert!(one_of(&name) >= one_of("portcullis_start_timestamp_seconds") - 1.0, "{name}: {text}");
    }
    for secret in ["alice", "192.0.2", "secret", "hidden"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn only_what_is_there_is_served_and_only_for_reading() {
    let server = telling().start();
    let (status, head, body) = http(&server, "GET", "/metrics");
    assert!(
        status == 200 && head.contains("content-type: text/plain; version=0.0.4") && body.ends_with('\n'),
        "{head}"
    );
    let (status, head, body) = http(&server, "HEAD", "/metrics");
    assert!((status, body.as_str()) == (200, "") && head.contains("content-length: "), "{head}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let (status, head, _) = http(&server, method, "/metrics");
        assert!(status == 405 && head.contains("allow: get, head"), "{method}: {head}");
    }
    for path in ["/", "/metrics/", "/metricsx", "/../metrics", "/etc/passwd", "/%6detrics"] {
        assert_eq!(http(&server, "GET", path).0, 404, "{path}");
    }
    for garbage in ["\r\n\r\n", "GET\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\r\n\r\n", "GET /metrics FTP/1.1\r\n\r\n"] {
        let mut stream = connect(&server);
        stream.write_all(garbage.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{garbage:?}: {answer:?}");
    }
    let (status, ..) = ask(connect(&server), &format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(6000)));
    assert_eq!(status, 200);
    let mut stream = connect(&server);
    // More than is read ahead; the connection ends.
    let _ = stream.write_all(format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)).as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{answer:?}");
}

#[test]
fn silent_callers_hold_up_neither_the_figures_nor_the_sessions() {
    let server = telling().start();
    let silent: Vec<TcpStream> = (0..30).map(|_| connect(&server)).collect();
    Wire::login(&server, "alice").ask("NOOP", 200);
    eventually("the places are free again", || {
        let mut stream = connect(&server);
        stream.write_all(b"GET /health HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.starts_with("HTTP/1.1 200").then_some(())
    });
    drop(silent);
}

#[test]
fn a_unix_socket_is_for_the_group_and_goes_with_the_server() {
    let mut server = Server::builder().policy("metrics.socket", "../run/metrics.sock").start();
    let path = server.policy().join("../run/metrics.sock");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o660);
    let (status, _, text) = ask(UnixStream::connect(&path).unwrap(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(status == 200 && text.contains("\nportcullis_up 1\n"), "{text}");
    assert!(server.stop().success() && !path.exists());
}

#[test]
fn addresses_that_others_reach_are_refused_and_a_reload_cannot_move_it() {
    let server = telling().start();
    for (address, why) in [
        ("0.0.0.0:9721", "can be reached from other machines"),
        ("192.0.2.1:9721", "can be reached from other machines"),
        ("[::]:9721", "can be reached from other machines"),
        ("127.0.0.1:0", "not free"),
        ("127.0.0.1", "no address with a port"),
    ] {
        server.change("server.toml", |toml| toml["metrics"]["listen"] = toml_edit::value(address));
        let output = server.command().args(["policy", "check"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(78) && text.contains(why), "{address}: {text}");
    }
    server.change("server.toml", |toml| toml["metrics"]["listen"] = toml_edit::value("127.0.0.1:1"));
    let output = server.command().arg("reload").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(78) && text.contains("[metrics] listen and socket cannot change"), "{text}");
    assert_eq!(http(&server, "GET", "/health").0, 200);
}

#[test]
fn a_server_that_stops_is_alive_and_not_ready() {
    let mut server = telling().start();
    assert_eq!(http(&server, "GET", "/ready").2, "{\"status\":\"ready\"}\n");
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"half");
    server.terminate();
    let answer = eventually("it says that it stops", || {
        let (status, _, text) = http(&server, "GET", "/ready");
        (status == 503).then_some(text)
    });
    assert_eq!(answer, "{\"reasons\":[\"the server is stopping\"],\"status\":\"not ready\"}\n");
    assert_eq!(http(&server, "GET", "/health").0, 200);
    assert!(metrics(&server).contains("\nportcullis_ready 0\n"));
    data.finish();
    wire.expect(226);
    assert!(server.wait().success());
}

#[test]
fn a_server_that_cannot_write_its_audit_log_is_not_ready_until_it_can() {
    let server = telling().inside(where_files_may_not_grow_too_large()).start();
    limit_files(server.pid(), "1:");
    eventually("it is not ready", || {
        let _ = TcpStream::connect((server.address(), server.port()));
        let (status, _, text) = http(&server, "GET", "/ready");
        (status == 503 && text.contains("the audit log cannot be written")).then_some(())
    });
    assert!(metrics(&server).contains("\nportcullis_audit_healthy 0\n"));
    limit_files(server.pid(), "unlimited:");
    eventually("it is ready again", || (http(&server, "GET", "/ready").0 == 200).then_some(()));
    let text = metrics(&server);
    assert!(text.contains("\nportcullis_audit_healthy 1\n") && !text.contains("outcome=\"refused\"} 0"), "{text}");
}

/// Words in front of a server whose files can be given a greatest size, beyond which writing fails as
/// on a full disk: Python ignores the signal that would end it, and what it starts does, too.
pub fn where_files_may_not_grow_too_large() -> Vec<String> {
    let script = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])";
    ["/usr/bin/python3", "-c", script].map(str::to_owned).to_vec()
}

/// Sets it.
pub fn limit_files(pid: u32, bytes: &str) {
    let mut prlimit = Command::new("prlimit");
    assert!(prlimit.args(["--pid", &pid.to_string()]).arg(format!("--fsize={bytes}")).status().unwrap().success());
}
