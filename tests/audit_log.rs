//! The audit log: complete, in order, one valid line a record, and without a secret.

use std::collections::BTreeMap;
use std::fs;

use crate::support::tls::Version;
use crate::support::{Dial, PASSWORD, Server, Wire};

/// A password that nobody has; a client that guesses it sends it all the same.
const WRONG: &str = "Orange-Bicycle-Kettle-17-moor";

/// Something of everything, in two sessions; the server has stopped behind it.
fn busy() -> Server {
    let mut server = Server::running();
    {
        let mut clear = Wire::greeted(&server);
        clear.ask("USER alice", 530);
        clear.ask(&format!("PASS {PASSWORD}"), 530);
        clear.ask("QUIT", 221);
        let mut wire = Wire::secure(&server);
        wire.refused("alice", WRONG);
        wire.log_in("alice");
        wire.protect();
        wire.store("STOR f", b"content");
        wire.fetch("RETR f");
        wire.list("LIST");
        wire.ask("MKD d", 257);
        wire.ask("RNFR f", 350);
        wire.ask("RNTO d/g", 250);
        wire.ask("MFMT 20200101000000 d/g", 213);
        wire.ask("RMD d", 550);
        wire.ask("DELE d/g", 250);
        wire.ask("RMD d", 250);
        wire.ask("QUIT", 221);
        wire.ended();
        let mut other = Dial::to(&server).tls(Version::Tls12).login("alice");
        other.store("STOR h", b"x");
        let mut data = other.begin("STOR h");
        data.send(b"cut");
        data.cut();
        other.expect(426);
        other.ask("QUIT", 221);
        other.ended();
    }
    assert!(server.stop().success());
    server
}

#[test]
fn every_event_is_there_in_order_without_a_gap() {
    let server = busy();
    let records = server.audit();
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.seq(), records[0].seq() + u64::try_from(index).unwrap(), "{record:?}");
    }
    let codes: Vec<&str> = records.iter().map(crate::support::Record::code).collect();
    assert_eq!(codes[..3], ["audit.begun", "audit.checkpoint", "service.start"]);
    assert_eq!(codes[codes.len() - 2..], ["service.stop", "audit.checkpoint"]);
    for code in [
        "policy.loaded",
        "conn.accepted",
        "auth.plaintext_refused",
        "tls.handshake_ok",
        "auth.failure",
        "auth.success",
        "file.upload",
        "file.download",
        "file.list",
        "file.mkdir",
        "file.rename",
        "file.mtime",
        "file.change_failed",
        "file.delete",
        "file.rmdir",
        "file.upload_incomplete",
        "session.closed",
    ] {
        assert!(codes.contains(&code), "no {code} in {codes:?}");
    }
}

#[test]
fn every_record_of_a_session_names_it_and_its_client() {
    let server = busy();
    let mut sessions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in server.audit() {
        if ["service.", "audit.", "policy."].iter().any(|own| record.code().starts_with(own)) {
            continue;
        }
        let session = record.session().unwrap_or_else(|| panic!("no session: {record:?}"));
        assert_eq!(record.text("/metadata/correlation_uid"), Some(session));
        assert_eq!(session.len(), 26, "no ULID: {record:?}");
        assert_eq!(record.text("/src_endpoint/ip"), Some("127.0.0.1"));
        assert_eq!(record.number("/dst_endpoint/port"), Some(u64::from(server.port())));
        assert!(record.text("/unmapped/policy").is_some_and(|hash| hash.len() >= 32), "{record:?}");
        sessions.entry(session.to_owned()).or_default().push(record.code().to_owned());
    }
    assert_eq!(sessions.len(), 3);
    for codes in sessions.values() {
        assert_eq!(
            (codes.first().unwrap().as_str(), codes.last().unwrap().as_str()),
            ("conn.accepted", "session.closed")
        );
    }
}

#[test]
fn records_have_the_fields_of_their_schema() {
    let server = busy();
    for record in server.audit() {
        for pointer in
            ["/class_uid", "/activity_id", "/type_uid", "/category_uid", "/severity_id", "/status_id", "/time"]
        {
            assert!(record.number(pointer).is_some(), "no {pointer}: {record:?}");
        }
        let [class, activity, kind] =
            ["/class_uid", "/activity_id", "/type_uid"].map(|pointer| record.number(pointer).unwrap());
        assert_eq!(kind, class * 100 + activity);
        assert_eq!(record.text("/metadata/version"), Some("1.4.0"));
        let time = record.text("/time_dt").unwrap();
        assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{record:?}");
    }
    let upload = &server.records_of("file.upload")[0];
    assert_eq!(upload.text("/command"), Some("STOR"));
    assert_eq!(upload.codes(), [150, 226]);
    assert_eq!(upload.number("/traffic/bytes_in"), Some(7));
    assert_eq!(upload.text("/tls/version"), Some("1.3"));
    assert!(upload.number("/duration").is_some());
    let (first, last) = server.ports().passive();
    assert!((u64::from(first)..=u64::from(last)).contains(&upload.number("/port").unwrap()));
}

#[test]
fn the_end_of_a_session_has_its_totals() {
    let server = busy();
    let closed = server.records_of("session.closed");
    let totals = closed.iter().find(|record| record.number("/unmapped/transfers") == Some(3)).unwrap();
    assert_eq!(totals.number("/traffic/bytes_in"), Some(7));
    assert!(totals.number("/traffic/bytes_out").unwrap() > 7);
    assert_eq!(totals.text("/unmapped/end"), Some("quit"));
}

#[test]
fn no_password_is_kept_anywhere() {
    let server = busy();
    let mut looked_at = 0;
    for path in server.kept_files() {
        let content = fs::read(&path).unwrap();
        let holds = |secret: &str| content.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!holds(PASSWORD) && !holds(WRONG), "{}", path.display());
        looked_at += 1;
    }
    assert!(looked_at >= 6, "{looked_at} files");
}

#[test]
fn a_record_is_there_before_its_reply() {
    let server = Server::running();
    let mut wire = Dial::to(&server).tls(Version::Tls12).login("alice");
    assert_eq!(server.records_of("auth.success").len(), 1);
    for round in 1..=20 {
        wire.ask(&format!("MKD d{round}"), 257);
        assert_eq!(server.records_of("file.mkdir").len(), round);
        wire.store("STOR f", b"content");
        assert_eq!(server.records_of("file.upload").len(), round);
        wire.list("NLST");
        assert_eq!(server.records_of("file.list").len(), round);
    }
    wire.ask("QUIT", 221);
    assert_eq!(server.records_of("session.closed").len(), 1);
}

#[test]
fn hostile_names_of_files_stay_one_line() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let names =
        ["say \"hi\"", "back\\slash", "{\"status_id\":1}", "a', 'b", "\u{feff}bom", "\u{200b}zero", "${jndi:x}"];
    for name in names {
        let made = {
            wire.send(&format!("MKD {name}"));
            wire.reply().code
        };
        assert!([257, 553].contains(&made), "{name:?}");
        if made == 257 {
            server.wait_for_record("file.mkdir", |record| record.path() == format!("/{name}"));
        }
    }
    wire.ask("CLNT \u{1b}]0;x\u{7} %n%n%s", 200);
    for line in fs::read_to_string(server.audit_file()).unwrap().lines() {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn a_restart_goes_on_counting() {
    let mut server = busy();
    let last = server.audit().last().unwrap().seq();
    server.start();
    let records = server.audit();
    let codes = records.iter().filter(|record| record.seq() > last).map(crate::support::Record::code);
    assert_eq!(codes.take(2).collect::<Vec<_>>(), ["audit.checkpoint", "service.start"]);
}

#[test]
fn a_line_that_a_crash_cut_short_is_told_and_survived() {
    let mut server = busy();
    let last = server.audit().last().unwrap().seq();
    let mut text = fs::read_to_string(server.audit_file()).unwrap();
    text.push_str("{\"seq\":9999,\"time\":17");
    fs::write(server.audit_file(), text).unwrap();
    server.start();
    let text = fs::read_to_string(server.audit_file()).unwrap();
    let records: Vec<_> =
        text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).collect();
    let codes: Vec<&str> =
        records.iter().filter_map(|record| record.pointer("/metadata/event_code")?.as_str()).collect();
    assert!(codes.contains(&"audit.gap"), "{codes:?}");
    assert!(records.iter().any(|record| record["seq"].as_u64() == Some(last + 1)));
    Wire::login(&server, "alice");
}

#[test]
fn the_audit_log_is_for_nobody_elses_eyes() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::running();
    let mode = fs::metadata(server.audit_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn floods_of_refusals_are_counted_and_not_lost() {
    let mut server = Server::builder().allow_from("127.0.0.1/32").start();
    for _ in 0..60 {
        Dial::to(&server).from(2).connect().expect(421);
    }
    assert!(server.stop().success());
    let denied = server.records_of("conn.denied");
    assert!(denied.len() < 60, "{}", denied.len());
    let told: u64 = denied.iter().map(|record| record.number("/unmapped/count").unwrap_or(1)).sum();
    assert_eq!(told, 60, "{denied:?}");
}

#[test]
fn what_confines_the_server_is_recorded_when_it_starts() {
    let server = Server::running();
    let start = server.wait_for_record("service.start", |_| true);
    let line = start.line();
    for layer in ["sandbox_ids", "sandbox_bounding_set_empty", "sandbox_landlock_abi", "sandbox_seccomp"] {
        assert!(line.contains(layer), "no {layer}: {line}");
    }
}
