//! The key of the audit log: who may have it, how it is replaced, and what it signs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::Value;

use crate::support::{Record, Server, Wire};

/// What a command says, and its exit code.
fn said(server: &Server, arguments: &[&str]) -> (String, i32) {
    let Output { status, stdout, stderr } = server.command().args(arguments).output().unwrap();
    (String::from_utf8([stdout, stderr].concat()).unwrap(), status.code().unwrap())
}

#[track_caller]
fn json(server: &Server, arguments: &[&str]) -> Value {
    let (text, code) = said(server, arguments);
    assert_eq!(code, 0, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn key(server: &Server) -> std::path::PathBuf {
    server.policy().join("../certs/audit.key")
}

fn last(server: &Server) -> Record {
    server.audit().pop().unwrap()
}

#[test]
fn an_orderly_stop_is_signed_and_openssl_agrees() {
    let mut server = Server::running();
    assert!(server.stop().success());
    let stop = last(&server);
    assert_eq!((stop.code(), stop.text("/unmapped/reason")), ("audit.checkpoint", Some("stop")));
    let head = json(&server, &["audit", "head", "--json"]);
    assert_eq!(head["seq"].as_u64(), Some(stop.seq() - 1));
    let text = format!(
        "portcullis audit head v1\nlog {}\nseq {}\nhash {}\ntime {}\n",
        head["log"].as_str().unwrap(),
        head["seq"],
        head["hash"].as_str().unwrap(),
        head["time"].as_str().unwrap()
    );
    let (message, signature) = (server.scratch().join("head"), server.scratch().join("signature"));
    fs::write(&message, text).unwrap();
    let bytes = data_encoding::BASE64.decode(head["signature"].as_str().unwrap().as_bytes()).unwrap();
    fs::write(&signature, bytes).unwrap();
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]).arg(key(&server).with_extension("pub"));
    let verified = openssl.arg("-in").arg(message).arg("-sigfile").arg(signature).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn a_head_that_somebody_changed_is_called_that() {
    let server = Server::running();
    let path = server.audit_file().with_file_name("audit.head");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"seq\":1,", "\"seq\":9,", 1)).unwrap();
    let (said, code) = said(&server, &["audit", "head"]);
    assert!(code == 1 && said.contains("signature"), "{said}");
}

#[test]
fn a_new_key_is_named_by_the_old_one_and_signs_from_the_next_start_on() {
    let mut server = Server::running();
    let old = json(&server, &["audit", "key", "show", "--json"]);
    let (text, code) = said(&server, &["audit", "key", "rotate"]);
    assert!(code == 0 && text.contains("next start"), "{text}");
    let new = json(&server, &["audit", "key", "show", "--json"]);
    assert_ne!(old["key"], new["key"]);
    let (text, code) = said(&server, &["audit", "head"]);
    assert!(code == 0 && text.contains("right, by this key"), "the running server's own: {text}");
    assert!(server.stop().success());
    assert_eq!(last(&server).text("/unmapped/key"), old["key"].as_str());

    server.start();
    let changed = server.records_of("audit.key_changed").pop().unwrap();
    assert_eq!(changed.detail(), "");
    assert_eq!(changed.text("/unmapped/key_before"), old["key"].as_str());
    assert_eq!(changed.text("/unmapped/public_key"), new["public_key"].as_str());
    assert!(server.stop().success());
    assert_eq!(last(&server).text("/unmapped/key"), new["key"].as_str());
}

#[test]
fn a_key_that_others_can_read_or_that_is_none_is_refused_with_its_place() {
    let server = Server::builder().prepare();
    for (mode, text, told) in [(0o644, None, "private key"), (0o400, Some("no key"), "audit.key: no PEM text")] {
        let path = key(&server);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        for command in [&["policy", "check"][..], &["serve"]] {
            let (said, code) = said(&server, command);
            assert!(code == 78 && said.contains(told) && said.contains("server.toml:"), "{said}");
        }
    }
}

#[test]
fn without_a_key_of_its_own_the_log_gets_one_beside_it_and_the_doctor_tells() {
    let mut server = Server::builder().prepare();
    server.change("server.toml", |toml| {
        toml["audit"].as_table_mut().unwrap().remove("signing-key");
    });
    server.start();
    let made = server.audit_file().with_file_name("signing.key");
    assert_eq!(made.metadata().unwrap().permissions().mode() & 0o777, 0o400);
    let found = said(&server, &["doctor"]).0;
    assert!(found.contains("signing.key lies beside the log"), "{found}");
    assert!(server.stop().success());
    server.start();
    assert!(server.records_of("audit.key_changed").is_empty(), "it stays the key");
}

#[test]
fn another_key_needs_a_restart_and_the_rest_of_the_table_does_not() {
    let server = Server::running();
    let change = |key: &str, value: toml_edit::Value| {
        server.change("server.toml", |toml| toml["audit"][key] = toml_edit::Item::Value(value));
        said(&server, &["reload"])
    };
    let before = fs::read_to_string(server.policy().join("server.toml")).unwrap();
    let (text, code) = change("signing-key", "../certs/other.key".into());
    assert!(code != 0 && text.contains("signing-key"), "{text}");
    fs::write(server.policy().join("server.toml"), before).unwrap();
    let (text, code) = change("checkpoint-records", 1.into());
    assert_eq!(code, 0, "{text}");
    Wire::login(&server, "alice");
    server.wait_for_record("audit.checkpoint", |record| record.text("/unmapped/reason") == Some("interval"));
}

#[test]
fn a_server_that_was_killed_says_so_and_goes_on_with_the_chain() {
    let mut server = Server::running();
    Wire::login(&server, "alice");
    server.kill();
    let before = last(&server);
    server.start();
    let gap = server.audit().into_iter().find(|record| record.seq() == before.seq() + 1).unwrap();
    assert_eq!((gap.code(), gap.detail()), ("audit.gap", "unclean_stop"));
    assert_eq!(gap.text("/chain/prev"), before.text("/chain/hash"));
}

#[test]
fn a_log_of_an_older_version_is_not_touched_and_the_start_says_what_to_do() {
    let server = Server::builder().prepare();
    fs::write(server.audit_file(), "{\"seq\":1,\"time\":0}\n").unwrap();
    let (text, code) = said(&server, &["serve"]);
    assert!(code == 1 && text.contains("move it away"), "{text}");
    assert_eq!(fs::read_to_string(server.audit_file()).unwrap(), "{\"seq\":1,\"time\":0}\n");
}
