//! `policy schema`: what it writes is a JSON Schema by which another program judges the policy files
//! as the server does, as far as a schema can.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::clients::{run, run_with};
use crate::support::{PATIENCE, Server};

/// A hash in the form that the server takes.
const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$5pv1TTFHP6Pdi4e2pN8nhQ2lJSk4a7bpYBFmCzL3Wr0";

fn schema(file: &str) -> Value {
    let ran = run(Command::new(env!("CARGO_BIN_EXE_portcullis")).args(["policy", "schema", file])).done();
    serde_json::from_slice(&ran.out).unwrap()
}

fn shipped(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What a validator has against each text: its label, and its errors.
#[track_caller]
fn judged(files: &[(&str, String, String)]) -> BTreeMap<String, Vec<String>> {
    let schemas = json!({ "users": schema("users"), "server": schema("server"), "tests": schema("tests") });
    let asked = json!({ "schemas": schemas, "files": files }).to_string();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripts/schema.py");
    // The one that has Debian's module, whatever else is installed.
    let mut python = Command::new("/usr/bin/python3");
    let ran = run_with(python.arg("-B").arg(script), asked.as_bytes(), PATIENCE).done();
    let judged: BTreeMap<_, _> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(judged.len(), files.len(), "{judged:?}");
    judged
}

/// What `policy/tests.toml` has as comments, made to count.
fn tests_of_the_shipped_file() -> String {
    let shipped = shipped("policy/tests.toml");
    let code = |line: &&str| line.starts_with("[[") || line.contains(" = ");
    let lines: Vec<&str> = shipped.lines().filter_map(|line| line.strip_prefix("# ")).filter(code).collect();
    assert!(lines.len() > 20, "{lines:?}");
    lines.join("\n")
}

#[test]
fn the_shipped_files_are_as_their_schema_says() {
    let mut files = vec![
        ("server", "policy/server.toml".to_owned(), shipped("policy/server.toml")),
        ("users", "policy/users.toml".to_owned(), shipped("policy/users.toml")),
        ("tests", "policy/tests.toml".to_owned(), shipped("policy/tests.toml")),
        ("tests", "policy/tests.toml with its tests".to_owned(), tests_of_the_shipped_file()),
    ];
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("policy/examples")).unwrap() {
        let path = entry.unwrap().path();
        files.push(("users", path.display().to_string(), fs::read_to_string(path).unwrap()));
    }
    assert!(files.len() >= 8);
    for (label, errors) in judged(&files) {
        assert!(errors.is_empty(), "{label}: {errors:#?}");
    }
}

/// Every key stands in one of the examples of the document, so what a key takes according to the
/// schema is what the server takes.
#[test]
fn the_examples_of_the_document_are_as_the_schema_says() {
    let document = shipped("docs/policy.md");
    let mut files = Vec::new();
    for (number, block) in document.split("```toml\n").skip(1).enumerate() {
        let text = block.split("```").next().unwrap().replace("$argon2id$…", HASH);
        let file = if text.starts_with("# server.toml") { "server" } else { "users" };
        files.push((file, format!("{number}: {}", text.lines().nth(1).unwrap()), text));
    }
    assert!(files.len() >= 20);
    for (label, errors) in judged(&files) {
        // An example shows its own tables alone; the others are required.
        let own = errors.into_iter().filter(|error| !error.contains("is a required property"));
        let own: Vec<String> =
            own.filter(|error| !error.contains("is not valid under any of the given schemas")).collect();
        assert!(own.is_empty(), "{label}: {own:#?}");
    }
}

#[test]
fn what_the_server_refuses_in_a_line_is_refused_by_the_schema() {
    let user = format!("[user.alice]\nhome = \"/srv/alice\"\npassword = \"{HASH}\"\npassword-set = 2026-11-22\n");
    let exception = "[[user.alice.exception]]\nreason = \"r\"\nuntil = 2027-03-31\n";
    let bad = [
        "colour = \"red\"\n",
        "permissions = \"write\"\n",
        "permissions = [\"read\", \"list\", \"fly\"]\n",
        "quota-bytes = 0\n",
        "quota-bytes = \"10 GB\"\n",
        "sessions = 100_001\n",
        "expires = \"soon\"\n",
        "enabled = \"yes\"\n",
        "allow-from = [\"10.0.0.0/8 \"]\n",
        "allow-from = \"10.0.0.0/8\"\n",
        "hours = [\"8-18\"]\n",
        "second-factor = \"sms\"\n",
        "certificates = [\"alice\"]\n",
        "[user.alice.rule]\npath = \"/in/**\"\nallow = \"full\"\n",
        "[[user.alice.rule]]\npath = \"in/**\"\nallow = \"full\"\n",
        "[[user.alice.rule]]\npath = \"/in/\"\nallow = \"full\"\n",
        "[[user.alice.rule]]\nallow = \"full\"\n",
        "[[user.alice.rule]]\npath = \"/in/**\"\n",
        "[[user.alice.rule]]\npath = \"/in/**\"\nnames-allowed = [\"a/b\"]\n",
        "[[user.alice.mount]]\npath = \"/\"\nfolder = \"shared\"\npermissions = \"full\"\n",
        "[[user.alice.mount]]\npath = \"/shared\"\nfolder = \"shared\"\n",
        exception,
        &format!("{exception}path = \"/in/**\"\n"),
        &format!("{exception}tls-maximum = \"1.2\"\ndata-binding = \"address\"\n"),
        "[user.\"a b\"]\n",
        "[folder.shared]\n",
        "[folder.shared]\ndirectory = \"shared\"\n",
        "[users.bob]\n",
    ];
    let good = ["", "permissions = \"full\"\n", &format!("{exception}data-binding = \"address\"\n")];
    let file = |lines: &&str| ("users", (*lines).to_owned(), format!("{user}{lines}"));
    let files: Vec<_> = good.iter().chain(&bad).map(file).collect();
    let judged = judged(&files);
    for lines in bad {
        assert!(!judged[lines].is_empty(), "the schema takes {lines}");
        // The server has something against the very lines, too.
        let problems = portcullis::config::check_texts("", &format!("{user}{lines}"));
        let of_users = |problem: &portcullis::config::Problem| {
            &*problem.file == "users.toml" && problem.to_string().contains("error")
        };
        assert!(problems.iter().any(of_users), "the server takes {lines}");
    }
    for lines in good {
        assert!(judged[lines].is_empty(), "{lines}: {:?}", judged[lines]);
    }
}

#[test]
fn a_test_that_the_server_cannot_read_is_refused_by_the_schema() {
    let test = "[[test]]\nuser = \"alice\"\nverb = \"RETR\"\npath = \"/a\"\nexpect = \"deny\"\n";
    let good = ["", "at = 2026-11-23\n", "at = 2026-11-23T10:00:00\n", "from = \"192.0.2.7\"\n", "from = [\"::1\"]\n"];
    let bad = ["colour = \"red\"\n", "by = 7\n", "at = 10\n", "at = \"noon\"\n", "at = 10:00:00\n", "from = []\n"];
    let mut files: Vec<_> =
        good.iter().chain(&bad).map(|lines| ("tests", (*lines).to_owned(), format!("{test}{lines}"))).collect();
    let otherwise = [
        test.replace("user = \"alice\"\n", ""),
        test.replace("\"alice\"", "[]"),
        test.replace("verb = \"RETR\"\n", ""),
        test.replace("expect = \"deny\"\n", ""),
        test.replace("\"deny\"", "\"refuse\""),
        test.replace("\"/a\"", "\"a\""),
        test.replace("[[test]]", "[test]"),
        test.replace("[[test]]", "[[tests]]"),
    ];
    files.extend(otherwise.iter().map(|text| ("tests", text.clone(), text.clone())));
    let judged = judged(&files);
    let server = Server::builder().prepare();
    for (_, label, text) in &files {
        let is_good = good.contains(&label.as_str());
        assert_eq!(judged[label].is_empty(), is_good, "{label}: {:?}", judged[label]);
        fs::write(server.policy().join("tests.toml"), text).unwrap();
        let output = server.command().args(["policy", "test"]).output().unwrap();
        assert_eq!(output.status.code() != Some(78), is_good, "{label}: {output:?}");
    }
}

#[test]
fn there_is_a_schema_for_each_file_that_people_write() {
    for file in ["users", "server", "tests"] {
        let schema = schema(file);
        assert_eq!(schema["title"], format!("{file}.toml of Portcullis"));
        assert_eq!(schema["additionalProperties"], false);
    }
    let ran = run(Command::new(env!("CARGO_BIN_EXE_portcullis")).args(["policy", "schema", "colours"]));
    assert!(ran.code == Some(2) && ran.err.contains("possible values: server, users, tests"), "{}", ran.err);
}
