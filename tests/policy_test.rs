//! `policy test`: assertions that hold, that do not, and that cannot be understood.

use std::fs;
use std::process::Output;

use crate::support::Server;

fn test(server: &Server, tests: &str) -> Output {
    fs::write(server.policy().join("tests.toml"), tests).unwrap();
    server.command().args(["policy", "test"]).output().unwrap()
}

fn assertion(lines: &str) -> String {
    format!("[[test]]\nuser = \"alice\"\nfrom = \"127.0.0.1\"\n{lines}\n")
}

#[test]
fn without_tests_nothing_is_tested_and_nothing_is_wrong() {
    let server = Server::builder().prepare();
    let output = server.command().args(["policy", "test"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("there is no tests.toml"), "{output:?}");
}

#[test]
fn an_assertion_that_does_not_hold_is_told_with_its_line_and_what_decided() {
    let server = Server::builder().user("alice", &["--read-only"]).prepare();
    let good = assertion("verb = [\"RETR\", \"CWD\"]\npath = \"/a\"\nexpect = \"allow\"\nby = \"permissions\"");
    let output = test(&server, &good);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 tests passed\n");
    let bad = assertion("name = \"alice writes\"\nverb = \"STOR\"\npath = \"/a\"\nexpect = \"allow\"");
    let output = test(&server, &format!("{good}{bad}"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    let line = good.lines().count() + 1;
    assert!(said.contains(&format!("tests.toml:{line}: alice writes: alice STOR /a from 127.0.0.1")), "{said}");
    assert!(said.contains("was to be allowed, and is denied by nothing allows it ("), "{said}");
    assert!(said.ends_with("1 of 3 tests failed\n"), "{said}");
}

#[test]
fn a_user_who_is_not_there_and_another_reason_fail_the_test() {
    let server = Server::builder().prepare();
    let output = test(&server, "[[test]]\nuser = \"alize\"\nverb = \"login\"\nexpect = \"deny\"\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("no user alize; did you mean alice?"), "{output:?}");
    let output = test(&server, &assertion("verb = \"login\"\nexpect = \"allow\"\nby = \"hours\""));
    assert!(String::from_utf8_lossy(&output.stdout).contains("but was to be so by hours"), "{output:?}");
}

#[test]
fn policy_check_counts_the_tests_and_tells_their_mistakes() {
    let server = Server::builder().prepare();
    let login = assertion("verb = \"login\"\nexpect = \"allow\"");
    let check = |tests: &str, option: &[&str]| {
        fs::write(server.policy().join("tests.toml"), tests).unwrap();
        let output = server.command().args(["policy", "check"]).args(option).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = check(&login, &[]);
    assert!(code == Some(0) && said.contains(" 1 test passed, "), "{said}");
    let failing = format!("{login}{}", login.replace("allow", "deny"));
    let (code, said) = check(&failing, &[]);
    assert!(code == Some(0) && said.contains(" 1 of 2 tests in tests.toml failed"), "{said}");
    let (_, said) = check(&failing, &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["tests"], serde_json::json!({ "passed": 1, "failed": 1 }));
    let (code, said) = check(&login.replace("expect", "expects"), &[]);
    assert!(code == Some(78) && said.contains("tests.toml:5:1: error: unknown key `expects`"), "{said}");
}

#[test]
fn mistakes_in_the_tests_are_told_with_line_column_and_remedy() {
    let server = Server::builder().prepare();
    let output = test(&server, &assertion("verb = \"RETR\"\npaths = \"/a\"\nexpect = \"allow\""));
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("tests.toml:5:1: error: unknown key `paths`"), "{said}");
    assert!(said.contains("did you mean `path`?"), "{said}");
}

#[test]
fn where_a_policy_is_reviewed_there_is_no_certificate() {
    let server = Server::builder().prepare();
    fs::remove_dir_all(server.policy().join("../certs")).unwrap();
    assert_eq!(server.command().args(["policy", "test"]).status().unwrap().code(), Some(78));
    assert_eq!(server.command().args(["policy", "test", "--text-only"]).status().unwrap().code(), Some(0));
}
