//! The commands that people and their tools type: what they write, what they refuse, and with
//! which exit code.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::server::{done, portcullis};
use crate::support::{PASSWORD, Server, Wire};

/// Runs a command to its end, whatever it is.
fn run(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that refuses early does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn exits(command: &mut Command, code: i32) -> String {
    let output = run(command, "");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{command:?}: {text}");
    text
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn init_writes_a_deployment_and_never_overwrites() {
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    let init = || {
        let mut command = portcullis();
        command.arg("init").arg(&site).args(["--listen", "127.0.0.1:2121", "--passive-ports", "50000-50009"]);
        command.args(["--hostname", "localhost"]);
        command
    };
    done(&mut init(), "");
    for file in ["certs/ca.pem", "certs/server.pem", "certs/server.key", "policy/server.toml", "policy/users.toml"] {
        assert!(site.join(file).is_file(), "{file}");
    }
    // The group is that of the account that serves, where there is one.
    assert_eq!(mode(&site.join("certs/server.key")) & 0o137, 0);
    assert_eq!(mode(&site.join("policy/users.toml")) & 0o007, 0);
    let text = fs::read_to_string(site.join("policy/server.toml")).unwrap();
    assert!(text.contains("127.0.0.1:2121") && text.contains("50000-50009") && text.contains("\n#"), "{text}");

    let key = fs::read(site.join("certs/server.key")).unwrap();
    exits(&mut init(), 1);
    assert_eq!(fs::read(site.join("certs/server.key")).unwrap(), key);
    fs::remove_file(site.join("policy/server.toml")).unwrap();
    exits(&mut init(), 1);
    assert!(!site.join("policy/server.toml").exists());
}

#[test]
fn what_is_no_command_exits_with_2() {
    for arguments in [
        &["frobnicate"][..],
        &["serve", "--set", "nonsense"],
        &["init"],
        &["user", "add", "alice"],
        &["user", "add", "../alice", "--home", "/x"],
    ] {
        exits(portcullis().args(arguments), 2);
    }
}

#[test]
fn every_help_has_an_example() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["init", "--help"], &["user", "add", "--help"]] {
        let text = exits(portcullis().args(arguments), 0);
        assert!(text.contains("Example"), "{text}");
    }
}

#[test]
fn users_come_change_and_go() {
    let mut server = Server::running();
    let restart = |server: &mut Server| {
        server.stop();
        server.start();
    };
    let other = "Copper-Lantern-Meadow-58-fig";
    let mut passwd = server.command();
    done(passwd.args(["user", "passwd", "alice", "--password-stdin"]), &format!("{other}\n"));
    restart(&mut server);
    let mut wire = Wire::secure(&server);
    wire.refused("alice", PASSWORD);
    wire.ask("USER alice", 331);
    wire.ask(&format!("PASS {other}"), 230);

    done(server.command().args(["user", "disable", "alice"]), "");
    restart(&mut server);
    Wire::secure(&server).refused("alice", other);
    server.wait_for_failure("auth.failure", "disabled");
    done(server.command().args(["user", "enable", "alice"]), "");
    restart(&mut server);
    let mut wire = Wire::secure(&server);
    wire.ask("USER alice", 331);
    wire.ask(&format!("PASS {other}"), 230);

    done(server.command().args(["user", "remove", "alice"]), "");
    exits(server.command().args(["user", "show", "alice"]), 1);
    assert!(server.home("alice").is_dir(), "the files stay");
}

#[test]
fn lists_are_for_programs_too_and_show_no_hash() {
    let server = Server::builder().user("bob", &["--read-only", "--quota-bytes", "5000"]).prepare();
    for arguments in [&["user", "list"][..], &["user", "show", "bob"]] {
        let plain = exits(server.command().args(arguments), 0);
        assert!(plain.contains("bob") && !plain.contains("argon2"), "{plain}");
        let json = exits(server.command().args(arguments).arg("--json"), 0);
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(parsed.to_string().contains("\"bob\"") && !json.contains("argon2"), "{json}");
    }
}

#[test]
fn comments_and_order_of_the_users_file_are_kept() {
    let server = Server::builder().prepare();
    let path = server.policy().join("users.toml");
    let text = fs::read_to_string(&path).unwrap() + "\n# A word about bob.\n";
    fs::write(&path, &text).unwrap();
    fs::create_dir_all(server.home("bob")).unwrap();
    let mut add = server.command();
    done(add.args(["user", "add", "bob", "--generate", "--home"]).arg(server.home("bob")), "");
    let after = fs::read_to_string(&path).unwrap();
    assert!(after.starts_with(&text), "{after}");
    assert!(after.contains("[user.bob]"));
}

#[test]
fn a_policy_that_cannot_be_used_exits_with_78_and_says_where_and_what() {
    let server = Server::builder().prepare();
    exits(server.command().args(["policy", "check"]), 0);
    server.change("server.toml", |toml| {
        toml["limits"]["idle-secs"] = toml_edit::value(5);
        toml["passive"]["ports"] = toml_edit::value("50009-50000");
    });
    for command in [&["policy", "check"][..], &["serve"]] {
        let text = exits(server.command().args(command), 78);
        assert!(text.contains("server.toml:") && text.contains("idle-seconds"), "no place or no suggestion: {text}");
        assert!(text.contains("50000-50009"), "not every problem is told: {text}");
    }
    let json = exits(server.command().args(["policy", "check", "--json"]), 78);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
}

#[test]
fn anonymous_accounts_are_refused_in_the_file_too() {
    let server = Server::builder().prepare();
    let path = server.policy().join("users.toml");
    let text = fs::read_to_string(&path).unwrap().replace("[user.alice]", "[user.anonymous]");
    fs::write(&path, text).unwrap();
    let text = exits(server.command().arg("serve"), 78);
    assert!(text.contains("anonymous"), "{text}");
}

#[test]
fn files_that_others_can_write_or_a_key_they_can_read_keep_the_server_from_starting() {
    let server = Server::builder().prepare();
    let key = server.policy().join("../certs/server.key");
    for (path, bad) in [
        (server.policy().join("users.toml"), 0o666),
        (server.policy().join("server.toml"), 0o664 | 0o002),
        (key, 0o644),
    ] {
        let good = mode(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(bad)).unwrap();
        let text = exits(server.command().arg("serve"), 78);
        assert!(text.contains(path.file_name().unwrap().to_str().unwrap()), "{text}");
        fs::set_permissions(&path, fs::Permissions::from_mode(good)).unwrap();
    }
    exits(server.command().args(["policy", "check"]), 0);
}

#[test]
fn the_policy_directory_may_come_from_the_environment() {
    let server = Server::builder().prepare();
    let text = exits(portcullis().env("PORTCULLIS_POLICY", server.policy()).args(["user", "list"]), 0);
    assert!(text.contains("alice"), "{text}");
}

#[test]
fn a_port_that_is_taken_is_told() {
    let server = Server::running();
    let text = exits(server.command().arg("serve"), 1);
    assert!(text.contains("in use") || text.contains("taken"), "{text}");
    Wire::login(&server, "alice");
}

#[test]
fn a_hangup_does_not_end_the_server() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    server.signal(rustix::process::Signal::HUP);
    crate::support::eventually("it says so", || server.log_text().contains("SIGHUP").then_some(()));
    wire.ask("NOOP", 200);
    Wire::login(&server, "alice");
}
