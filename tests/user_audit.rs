//! `user audit` names the accounts that somebody should look at.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::server::{Builder, done};
use crate::support::{Server, Wire, day};

fn lenient() -> Builder {
    Server::builder().set("login.failures-per-address", "1000")
}

fn audit(server: &Server, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = server.command().args(["user", "audit", "--json"]).args(arguments).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

/// What was found, as `user kind`.
fn found(server: &Server, arguments: &[&str]) -> BTreeSet<String> {
    let findings = audit(server, arguments).1["findings"].as_array().unwrap().clone();
    findings.iter().map(|one| format!("{} {}", one["user"].as_str().unwrap(), one["kind"].as_str().unwrap())).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn accounts_that_are_used_and_sound_are_not_mentioned() {
    let mut server = lenient().user("alice", &[]).user("bob", &[]).start();
    Wire::login(&server, "alice");
    Wire::login(&server, "bob");
    // The last logins are written when the server stops, and each minute.
    server.stop();
    assert_eq!(audit(&server, &[]).0, Some(0), "{:?}", found(&server, &[]));
    let text = server.command().args(["user", "audit"]).output().unwrap().stdout;
    assert!(String::from_utf8(text).unwrap().contains("2 users, and nothing to look at."));
}

#[test]
fn accounts_that_nobody_uses_are_named() {
    let mut server = lenient().user("alice", &[]).user("bob", &[]).user("carol", &[]).start();
    Wire::login(&server, "alice");
    Wire::login(&server, "carol");
    server.stop();
    let path = server.policy().parent().unwrap().join("state/logins.toml");
    let text = fs::read_to_string(&path).unwrap();
    let old = day(-40) + "T12:00:00Z";
    let (before, carols) = text.split_once("[login.carol]\nat = ").unwrap();
    fs::write(&path, format!("{before}[login.carol]\nat = {old}{}", carols.trim_start_matches(|c| c != '\n'))).unwrap();
    assert_eq!(found(&server, &[]), set(&["bob never-used"]));
    assert_eq!(found(&server, &["--days", "30"]), set(&["bob never-used", "carol unused"]));
    let (code, json) = audit(&server, &["--days", "30"]);
    assert_eq!((code, json["users"].as_u64(), json["logins_known"].as_bool()), (Some(3), Some(3), Some(true)));
    // What the server goes on with is what it knew.
    server.start();
    Wire::login(&server, "bob");
    server.stop();
    assert_eq!(found(&server, &["--days", "30"]), set(&["carol unused"]));
}

#[test]
fn weak_shared_old_and_temporary_passwords_are_named() {
    let names = ["aged", "bare", "closed", "ending", "late", "once", "over", "twin", "weak"];
    let mut builder = lenient().policy("passwords.banned", "[\"portcullis-town\"]").user("alice", &[]);
    for name in names {
        builder = builder.user(name, &[]);
    }
    let mut server = builder.prepare();
    let hash = |password: &str| {
        let cost = portcullis::settings::Argon2Cost { memory_kib: 64, iterations: 1, parallelism: 1 };
        portcullis::auth::hash::make(&portcullis::identity::Secret::new(password.into()), cost).unwrap()
    };
    server.change_user("user.aged.password-set", &day(-181));
    server.change_user("user.bare.second-factor", "\"totp\"");
    server.change_user("user.closed.enabled", "false");
    server.change_user("user.ending.password-set", &day(-175));
    server.change_user("user.late.password", &format!("\"{}\"", hash("portcullis-town")));
    server.change_user("user.once.password-temporary", "true");
    server.change_user("user.over.expires", &day(-1));
    let shared = hash("Violet-Tractor-Umbrella-94-quay");
    for twin in ["twin", "alice"] {
        server.change_user(&format!("user.{twin}.password"), &format!("\"{shared}\""));
    }
    server.change_user("user.weak.password", &format!("\"{}\"", hash("Weak123")));
    server.start();
    server.stop();
    let expected = [
        "aged password-expired",
        "alice shared-hash",
        "bare no-second-factor",
        "closed disabled",
        "ending password-expiring",
        "late weak",
        "once password-temporary",
        "over expired",
        "twin shared-hash",
        "weak weak",
    ];
    let never: BTreeSet<String> = found(&server, &[]).into_iter().filter(|one| !one.ends_with("never-used")).collect();
    assert_eq!(never, set(&expected));
    // Without time for guessing, it is said that nobody guessed.
    let (_, json) = audit(&server, &["--seconds", "0"]);
    assert_eq!(json["untested"].as_u64(), Some(10));
    assert!(json["findings"].as_array().unwrap().iter().all(|one| one["kind"] != "weak"), "{json}");
    let text = server.command().args(["user", "audit"]).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("weak: weak: ") && !text.contains("Weak123") && text.contains("help: portcullis user"),
        "{text}"
    );
}

#[test]
fn hashes_below_the_policy_and_unknown_logins_are_said() {
    let server = lenient().prepare();
    server.change("server.toml", |toml| {
        let passwords = toml["passwords"].as_table_mut().unwrap();
        passwords.remove("changes");
        passwords["argon2-memory-kib"] = toml_edit::value(8192);
    });
    assert_eq!(found(&server, &[]), set(&["alice hash-below-policy"]));
    let text = server.command().args(["user", "audit"]).output().unwrap().stdout;
    assert!(String::from_utf8(text).unwrap().contains("does not keep who logged in when"));
    done(server.command().args(["user", "passwd", "alice", "--generate"]), "");
    assert_eq!(audit(&server, &[]).0, Some(0));
}
