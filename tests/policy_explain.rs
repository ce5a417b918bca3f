//! `policy explain`: it says what the running server does, and why.

use std::process::Output;

use serde_json::Value;

use crate::support::{Server, Wire};

const RULES: &str = "
[[user.alice.rule]]
path = \"/in/**\"
allow = [\"create\", \"rename\", \"set-time\"]
deny = [\"read\"]
[[user.alice.rule]]
path = \"/in/*.csv\"
allow = [\"read\", \"delete\"]
names-forbidden = [\"*.exe\"]
[[user.alice.rule]]
path = \"/out/**\"
allow = [\"delete\", \"set-mode\"]
deny = [\"hash\", \"list\"]
[[user.alice.exception]]
path = \"/out/done/**\"
allow = [\"set-time\"]
reason = \"the clock was wrong\"
until = 2126-12-31
";

fn explain(server: &Server, words: &[&str]) -> Output {
    server.command().args(["policy", "explain", "alice"]).args(words).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_server_does_what_the_explanation_says() {
    let server = Server::builder().user("alice", &["--permissions", "list,read,mkdir"]).users_toml(RULES).start();
    let paths = ["in/a.csv", "in/b.exe", "out/a.csv", "out/done/b.csv", "c.csv"];
    for path in paths {
        std::fs::create_dir_all(server.home("alice").join(path).parent().unwrap()).unwrap();
        server.put(path, b"content");
    }
    let mut wire = Wire::login(&server, "alice");
    let commands = ["SIZE", "MLST", "HASH", "MFMT 20200101000000", "SITE CHMOD 640", "RNFR", "DELE"];
    let mut denied = 0;
    for (path, command) in paths.iter().flat_map(|path| commands.map(|command| (format!("/{path}"), command))) {
        wire.send(&format!("{command} {path}"));
        let done = wire.reply().code < 400;
        let words: Vec<&str> = command.split(' ').filter(|word| !word.starts_with(|c: char| c.is_numeric())).collect();
        let asked = [&["--from", "127.0.0.1", "--json"], words.as_slice(), &[path.as_str()]].concat();
        let output = explain(&server, &asked);
        let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(explained["allowed"], done, "{command} {path}: {explained:#}");
        assert_eq!(output.status.code(), Some(i32::from(!done)), "{command} {path}");
        denied += usize::from(!done);
    }
    assert!((5..30).contains(&denied), "{denied} were denied");
}

#[test]
fn an_explanation_names_every_rule_with_its_line_and_marks_the_deciding_one() {
    let server = Server::builder().user("alice", &["--permissions", "list,read"]).users_toml(RULES).prepare();
    let output = explain(&server, &["--from", "127.0.0.1", "RETR", "/in/secret.txt"]);
    let text = text(&output);
    assert!(text.starts_with("DENIED: alice RETR /in/secret.txt from 127.0.0.1 at "), "{text}");
    assert!(text.contains("\n=> denies  rule /in/** of user alice ("), "{text}");
    assert!(text.contains("\n   allows  permissions ("), "{text}");
    assert!(text.contains("users.toml:"), "{text}");
    assert!(text.contains("\nit would take: a rule that allows `read`"), "{text}");
}

#[test]
fn an_upload_is_explained_for_new_names_and_for_files_that_are_there() {
    let server = Server::builder().user("alice", &["--permissions", "list,read"]).users_toml(RULES).prepare();
    let said = text(&explain(&server, &["STOR", "/in/a.csv"]));
    assert!(said.starts_with("ALLOWED"), "{said}");
    assert!(said.contains("\ncreate /in/a.csv, a new name: allowed"), "{said}");
    assert!(said.contains("\noverwrite /in/a.csv, a file that is there: denied"), "{said}");
    let said = text(&explain(&server, &["--from", "192.0.2.1", "login"]));
    assert!(said.contains("\n=> FAILED  networks of the server"), "{said}");
}

#[test]
fn what_cannot_be_asked_is_told_apart_from_what_is_denied() {
    let server = Server::builder().prepare();
    for (words, code, said) in [
        (&["NOOP"][..], 2, "names no path"),
        (&["FLY", "/a"], 2, "is no command"),
        (&["RETR"], 2, "needs a path"),
        (&["RETR", "/a", "/b"], 2, "one path is enough"),
        (&["--at", "noon", "RETR", "/a"], 2, "is no moment"),
        (&["CCC", "/a"], 1, "is refused to everybody"),
        (&["RETR", "/.portcullis-staging"], 1, "no client can name"),
    ] {
        let output = explain(&server, words);
        let all = text(&output) + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {all}");
        assert!(all.contains(said), "{words:?}: {all}");
    }
    let near = server.command().args(["policy", "explain", "alise", "LIST", "/"]).output().unwrap();
    assert_eq!(near.status.code(), Some(1));
    assert!(text(&near).contains("did you mean alice?"), "{near:?}");
}
