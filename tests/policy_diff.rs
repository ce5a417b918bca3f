//! `policy diff`: what changes for whom, as text and as JSON, from directories without certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::Server;

/// The directory of another policy, made of the server's by replacing some text.
fn changed(server: &Server, file: &str, old: &str, new: &str) -> PathBuf {
    let directory = server.scratch().join("changed");
    fs::create_dir_all(&directory).unwrap();
    for name in ["server.toml", "users.toml"] {
        let mut text = fs::read_to_string(server.policy().join(name)).unwrap();
        if name == file {
            assert!(text.contains(old), "{text}");
            text = text.replace(old, new);
        }
        fs::write(directory.join(name), text).unwrap();
    }
    directory
}

fn diff(server: &Server, new: &Path, arguments: &[&str]) -> Output {
    let mut command = server.command();
    command.args(["policy", "diff"]).arg(server.policy()).arg(new).args(arguments);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

const RULE: &str = "[[user.alice.rule]]\npath = \"/in/**\"\nallow = [\"create\"]\n";

#[test]
fn what_is_gained_and_lost_is_told_by_user_and_path() {
    let server = Server::builder().user("alice", &["--read-only"]).user("bob", &[]).users_toml(RULE).prepare();
    let new = changed(&server, "users.toml", RULE, &RULE.replace("allow", "deny = [\"read\"]\nallow"));
    let output = diff(&server, &new, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(&output), "alice:\n  /in/**: loses read\n");
    let report: serde_json::Value = serde_json::from_slice(&diff(&server, &new, &["--json"]).stdout).unwrap();
    assert_eq!((&report["changed"], &report["users"][0]["user"]), (&true.into(), &"alice".into()));
    assert_eq!(report["users"][0]["paths"][0]["loses"], serde_json::json!(["read"]));
}

#[test]
fn comments_and_order_change_nothing() {
    let server = Server::builder().users_toml(RULE).prepare();
    let new = changed(&server, "users.toml", RULE, &format!("# for the scanner\n{RULE}"));
    let output = diff(&server, &new, &[]);
    assert_eq!((output.status.code(), text(&output).as_str()), (Some(0), "nothing changes\n"));
}

#[test]
fn a_setting_of_the_server_and_the_networks_of_its_users_are_told() {
    let server = Server::builder().prepare();
    let new = changed(&server, "server.toml", "deny = []", "deny = [\"127.128.0.0/9\"]");
    let said = text(&diff(&server, &new, &[]));
    assert!(said.contains("networks.deny: [] -> [\"127.128.0.0/9\"]"), "{said}");
    assert!(said.contains("alice:\n  loses login from 127.128.0.0/9"), "{said}");
    let said = text(&diff(&server, &new, &["--from", "127.0.0.1"]));
    assert!(!said.contains("alice"), "{said}");
}

#[test]
fn a_policy_that_cannot_be_used_is_told() {
    let server = Server::builder().users_toml(RULE).prepare();
    let new = changed(&server, "users.toml", "/in/**", "in/**");
    let output = diff(&server, &new, &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("changed/users.toml:"), "{output:?}");
}
