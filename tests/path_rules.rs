//! Rules about paths: what they permit is the same on every way to a path.

use std::fs;

use crate::clients::{lftp, run};
use crate::support::{Server, Wire};

/// A server on which these rules hold for alice, who may otherwise do everything.
fn under(rules: &[&str]) -> Server {
    let rules: Vec<String> = rules.iter().map(|rule| format!("[[user.alice.rule]]\n{rule}\n")).collect();
    Server::builder().users_toml(&rules.concat()).start()
}

fn names(text: &str) -> Vec<String> {
    let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
    names.sort();
    names
}

const EVERYTHING: &str = "[\"list\", \"read\", \"create\", \"overwrite\", \"append\", \"delete\", \"rename\", \
                          \"mkdir\", \"rmdir\", \"set-time\", \"set-mode\", \"hash\"]";

#[test]
fn a_rule_is_passed_by_no_way_of_writing_its_path() {
    let server = under(&[&format!("path = \"/secret/**\"\ndeny = {EVERYTHING}")]);
    server.put("secret/f", b"content");
    server.put("open/g", b"");
    let mut wire = Wire::login(&server, "alice");
    let ways = [
        "/secret/f",
        "secret/f",
        "//secret//f",
        "/./secret/./f",
        "/open/../secret/f",
        "/secret/f/",
        "/secret/../secret/f",
    ];
    for way in ways {
        for command in ["SIZE", "MDTM", "MLST", "STAT", "HASH", "XCRC", "DELE", "RNFR", "MFMT 20200101000000", "AVBL"] {
            wire.ask(&format!("{command} {way}"), 550);
        }
        for command in ["MFF Modify=20200101000000;", "SITE UTIME 20200101000000", "SITE CHMOD 600"] {
            wire.ask(&format!("{command} {way}"), 550);
        }
        for command in ["RETR", "STOR", "APPE", "LIST", "NLST", "MLSD"] {
            wire.refuse(&format!("{command} {way}"), 550);
        }
    }
    for command in ["CWD", "MLST", "STAT", "RMD", "RNFR", "MKD"] {
        wire.ask(&format!("{command} /open/../secret/"), 550);
    }
    wire.ask("CWD open", 250);
    for refused in ["LIST ../secret", "NLST ../secret/*", "NLST /*/*", "LIST ../s*/f", "MLSD ../secret"] {
        wire.refuse(refused, 550);
    }
    wire.ask("RNFR g", 350);
    wire.ask("RNTO ../secret/g", 550);
    wire.ask("RNFR /secret", 550);
    assert_eq!(server.content("secret/f").as_deref(), Some(&b"content"[..]));
    assert!(server.content("open/g").is_some());
}

#[test]
fn what_may_not_be_listed_is_in_no_listing() {
    let server =
        under(&["path = \"/secret/**\"\ndeny = [\"list\"]\nallow = []", "path = \"/**/*.key\"\ndeny = [\"list\"]"]);
    for name in ["secret/f", "a.key", "b.txt", "d/c.key", "d/e"] {
        server.put(name, b"");
    }
    let mut wire = Wire::login(&server, "alice");
    // It may be read, so it can be entered, and is shown as what leads to something.
    assert_eq!(names(&wire.list("NLST")), ["b.txt", "d", "secret"]);
    assert_eq!(names(&wire.list("NLST *.key")), Vec::<String>::new());
    assert_eq!(names(&wire.list("NLST d")), ["d/e"]);
    for (command, code) in [("LIST", 150), ("MLSD", 150)] {
        let data = wire.begin(command);
        let text = String::from_utf8(data.receive()).unwrap();
        wire.expect(226);
        assert!(!text.contains("a.key") && text.contains("b.txt"), "{command} {code}: {text}");
    }
    let status = wire.ask("STAT /", 213).lines.join("\n");
    assert!(!status.contains("a.key") && status.contains("b.txt"), "{status}");
    wire.refuse("NLST a.key", 550);
    wire.refuse("MLSD secret", 550);
    assert_eq!(wire.fetch("RETR a.key"), b"", "which may be read all the same");
}

#[test]
fn a_tree_of_which_a_branch_is_open_is_gone_through() {
    let server = Server::builder()
        .user("carol", &["--permissions", "list"])
        .users_toml(
            "[[user.carol.rule]]\npath = \"/**\"\ndeny = [\"list\"]\n\
             [[user.carol.rule]]\npath = \"/*\"\nallow = [\"list\"]\n\
             [[user.carol.rule]]\npath = \"/a/b/c/**\"\nallow = [\"list\", \"read\"]\n",
        )
        .start();
    let deep = server.home("carol").join("a/b/c");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(server.home("carol").join("a/x")).unwrap();
    fs::write(deep.join("f"), "deep").unwrap();
    let mut wire = Wire::login(&server, "carol");
    for down in ["/a", "b", "c"] {
        wire.ask(&format!("CWD {down}"), 250);
    }
    assert_eq!(wire.fetch("RETR f"), b"deep");
    wire.ask("CDUP", 250);
    wire.refuse("LIST", 550);
    wire.ask("MLST", 550);
    wire.ask("CWD /a/x", 550);
    assert_eq!(names(&wire.list("NLST /a")), ["/a/b"], "the way is shown, and what leads nowhere is not");
    assert_eq!(names(&wire.list("NLST /a/b/c")), ["/a/b/c/f"]);
}

#[test]
fn facts_tell_for_each_entry_what_may_be_done_with_it() {
    let server = under(&[
        "path = \"/read/**\"\ndeny = [\"overwrite\", \"append\", \"delete\", \"rename\", \"create\", \"mkdir\", \"rmdir\"]",
        "path = \"/*.log\"\ndeny = [\"delete\", \"overwrite\"]",
    ]);
    for name in ["a.log", "b.txt", "read/c"] {
        server.put(name, b"");
    }
    let mut wire = Wire::login(&server, "alice");
    let all = wire.list("MLSD") + &wire.list("MLSD read");
    let perm = |name: &str| {
        let line = all.lines().find(|line| line.ends_with(&format!("; {name}"))).unwrap_or_else(|| panic!("{all}"));
        line.split("perm=").nth(1).unwrap().split(';').next().unwrap().to_owned()
    };
    assert_eq!(perm("a.log"), "afr");
    assert_eq!(perm("b.txt"), "adfrw");
    assert_eq!(perm("read"), "el");
    assert_eq!(perm("c"), "r");
    for (path, perm) in [("/a.log", "perm=afr;"), ("/read", "perm=el;"), ("/read/c", "perm=r;")] {
        assert!(wire.ask(&format!("MLST {path}"), 250).lines[1].contains(perm), "{path}");
    }
}

#[test]
fn a_directory_is_not_renamed_away_from_the_rules_below_it() {
    let server = under(&["path = \"/d/secret/**\"\ndeny = [\"read\"]", "path = \"/e/new/keep\"\ndeny = [\"delete\"]"]);
    server.put("d/secret/f", b"");
    server.put("free/f", b"");
    fs::create_dir_all(server.home("alice").join("e")).unwrap();
    let mut wire = Wire::login(&server, "alice");
    for (from, to) in [("/d", "/x"), ("/free", "/e/new")] {
        wire.ask(&format!("RNFR {from}"), 350);
        let refused = wire.ask(&format!("RNTO {to}"), 550);
        assert!(refused.text().contains("rules"), "{refused:?}");
    }
    let record = server.wait_for_failure("file.change_failed", "rules_below");
    assert_eq!(record.path(), "/d");
    wire.ask("RNFR /d/secret", 350);
    wire.ask("RNTO /d/open", 250);
    wire.ask("RNFR /free", 350);
    wire.ask("RNTO /e/other", 250);
    assert!(server.home("alice").join("d/open/f").is_file());
}

#[test]
fn a_mirror_takes_what_it_may_see() {
    let server = under(&[&format!("path = \"/tree/secret/**\"\ndeny = {EVERYTHING}")]);
    server.put("tree/a/one", b"1");
    server.put("tree/secret/two", b"2");
    let back = server.scratch().join("back");
    run(&mut lftp(&server, "alice", &format!("mirror /tree {}", back.display()))).done();
    assert_eq!(fs::read(back.join("a/one")).unwrap(), b"1");
    assert!(!back.join("secret").exists());
}
