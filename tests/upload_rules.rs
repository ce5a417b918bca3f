//! What rules ask of uploads: size, name, and a box that takes files and gives nothing back.

use std::fs;

use crate::clients::{content, curl, lftp, python, run, run_with, url};
use crate::support::{PATIENCE, Server, Wire};

/// A server with this rule for alice, who may otherwise do everything.
fn under(rule: &str) -> Server {
    let server = Server::builder().users_toml(&format!("[[user.alice.rule]]\n{rule}\n")).start();
    fs::create_dir(server.home("alice").join("in")).unwrap();
    server
}

fn staged(server: &Server) -> usize {
    fs::read_dir(server.home("alice").join(".portcullis-staging")).map_or(0, |entries| {
        entries.filter(|entry| !entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.')).count()
    })
}

#[test]
fn an_announced_size_above_the_largest_is_refused_before_data() {
    let server = under("path = \"/in/**\"\nfile-bytes-max = 10");
    let mut wire = Wire::login(&server, "alice");
    wire.ask("ALLO 11", 200);
    let refused = wire.refuse("STOR /in/f", 552);
    assert!(refused.text().contains("more than 10 bytes"), "{refused:?}");
    assert_eq!(server.wait_for_failure("file.upload_incomplete", "file_too_large").path(), "/in/f");
    wire.ask("ALLO 10", 200);
    wire.store("STOR /in/f", b"0123456789");
    wire.store("STOR /elsewhere", b"0123456789 and more");
}

#[test]
fn an_upload_is_stopped_as_soon_as_it_is_too_large_and_what_was_there_stays() {
    let server = under("path = \"/in/**\"\nfile-bytes-max = 10");
    server.put("in/f", b"before");
    let mut wire = Wire::login(&server, "alice");
    for name in ["f", "new"] {
        let mut data = wire.begin(&format!("STOR /in/{name}"));
        // The client has not said that this is the end.
        data.send(b"0123456789x");
        wire.expect(552);
        let record = server.wait_for_record("file.upload_incomplete", |record| record.path().ends_with(name));
        assert_eq!((record.detail(), record.number("/unmapped/kept_bytes")), ("file_too_large", None));
    }
    assert_eq!(server.content("in/f").as_deref(), Some(&b"before"[..]));
    assert_eq!((server.content("in/new"), staged(&server)), (None, 0));
    wire.ask("NOOP", 200);
}

#[test]
fn the_whole_file_counts_where_one_is_continued() {
    let server = under("path = \"/in/**\"\nfile-bytes-max = 10");
    server.put("in/f", b"12345678");
    let mut wire = Wire::login(&server, "alice");
    for (rest, command, content) in [(None, "APPE /in/f", "9ab"), (Some(6), "STOR /in/f", "56789")] {
        if let Some(rest) = rest {
            wire.ask(&format!("REST {rest}"), 350);
        }
        let mut data = wire.begin(command);
        data.send(content.as_bytes());
        wire.expect(552);
    }
    assert_eq!(server.content("in/f").as_deref(), Some(&b"12345678"[..]));
    wire.store("APPE /in/f", b"90");
    wire.refuse("APPE /in/f", 552);
    assert_eq!(server.content("in/f").as_deref(), Some(&b"1234567890"[..]));
}

#[test]
fn a_kept_part_that_can_never_become_whole_is_let_go() {
    let server = under("path = \"/in/**\"\nfile-bytes-max = 10");
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR /in/f");
    data.send(b"12345678");
    data.cut();
    wire.expect(426);
    assert_eq!(wire.ask("SIZE /in/f", 213).text(), "8");
    let mut data = wire.begin("APPE /in/f");
    data.send(b"9abc");
    wire.expect(552);
    wire.ask("SIZE /in/f", 550);
    assert_eq!(staged(&server), 0);
}

#[test]
fn of_text_the_bytes_stored_count() {
    let server = under("path = \"/in/**\"\nfile-bytes-max = 10");
    let mut wire = Wire::login(&server, "alice");
    wire.ask("TYPE A", 200);
    wire.store("STOR /in/f", b"a\r\nb\r\nc\r\nd\r\ne\r\n");
    assert_eq!(server.content("in/f").as_deref(), Some(&b"a\nb\nc\nd\ne\n"[..]));
    let mut data = wire.begin("STOR /in/f");
    data.send(b"a\r\nb\r\nc\r\nd\r\ne\r\nf");
    data.finish();
    wire.expect(552);
    assert_eq!(server.content("in/f").as_deref(), Some(&b"a\nb\nc\nd\ne\n"[..]));
}

#[test]
fn names_decide_however_a_file_gets_them() {
    let server = under("path = \"/in/**\"\nnames-allowed = [\"*.csv\", \"upload-*\"]\nnames-forbidden = [\"x*\"]");
    server.put("in/old.csv", b"");
    server.put("f.exe", b"");
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR /in/a.CSV", b"upper and lower case are the same");
    for refused in ["/in/a.exe", "/in/x.csv", "/in/sub/a.exe"] {
        for command in ["STOR", "APPE"] {
            wire.refuse(&format!("{command} {refused}"), 553);
        }
    }
    assert_eq!(server.wait_for_failure("authz.denied", "name_refused").path(), "/in/a.exe");
    for (from, to) in [("/in/old.csv", "/in/old.exe"), ("/f.exe", "/in/f.exe")] {
        wire.ask(&format!("RNFR {from}"), 350);
        wire.ask(&format!("RNTO {to}"), 553);
    }
    wire.ask("MKD /in/exe", 257);
    wire.ask("CWD /in", 250);
    wire.store("STOU", b"a name of the server's own");
    wire.store("STOR /f.exe", b"");
}

#[test]
fn nothing_gets_around_the_rules_by_a_rename() {
    let rules = "path = \"/in/**\"\nfile-bytes-max = 10\nnames-forbidden = [\"*.exe\"]";
    let server = under(rules);
    server.put("d/f.exe", b"");
    server.put("large", b"more than ten bytes");
    server.put("small", b"small");
    fs::create_dir(server.home("alice").join("in/d")).unwrap();
    let mut wire = Wire::login(&server, "alice");
    for (from, to, code) in [
        ("/d", "/in/e", 550),
        ("/large", "/in/large", 552),
        ("/small", "/in/small", 250),
        ("/in/d", "/in/e", 250),
        ("/in/e", "/e", 250),
    ] {
        wire.ask(&format!("RNFR {from}"), 350);
        wire.ask(&format!("RNTO {to}"), code);
    }
    assert_eq!(server.wait_for_failure("file.change_failed", "file_too_large").path(), "/large");
    assert!(server.home("alice").join("d/f.exe").is_file());
}

/// Carol may store new files in `/in`, and nothing else.
fn dropbox() -> Server {
    let mut server = Server::builder()
        .user("carol", &["--permissions", "create"])
        .users_toml("[[user.carol.rule]]\npath = \"/in/**\"\nallow = [\"create\"]\n")
        .prepare();
    server.change_user("user.carol.permissions", "[]");
    server.start();
    fs::create_dir(server.home("carol").join("in")).unwrap();
    server
}

#[test]
fn a_drop_box_takes_files_and_tells_nothing_of_them() {
    let server = dropbox();
    fs::write(server.home("carol").join("in/theirs"), "of somebody else").unwrap();
    let mut wire = Wire::login(&server, "carol");
    wire.ask("CWD /in", 250);
    wire.store("STOR mine", b"mine");
    wire.store("STOU", b"mine, too");
    for command in ["SIZE", "MDTM", "MLST", "STAT", "HASH", "XCRC", "DELE", "RNFR", "CWD", "RMD", "AVBL"] {
        let there = wire.ask(&format!("{command} theirs"), 550);
        let missing = wire.ask(&format!("{command} missing"), 550);
        assert_eq!(there.lines, missing.lines, "{command}");
    }
    for command in ["RETR", "LIST", "NLST", "MLSD"] {
        assert_eq!(
            wire.refuse(&format!("{command} theirs"), 550).lines,
            wire.refuse(&format!("{command} missing"), 550).lines,
            "{command}"
        );
    }
    for refused in ["LIST", "NLST", "MLSD", "NLST *", "STOR ../elsewhere"] {
        wire.refuse(refused, 550);
    }
    wire.refuse("STOR theirs", 553);
    wire.refuse("APPE theirs", 553);
    assert_eq!(fs::read(server.home("carol").join("in/theirs")).unwrap(), b"of somebody else");
    assert_eq!(fs::read(server.home("carol").join("in/mine")).unwrap(), b"mine");
}

#[test]
fn the_own_upload_that_broke_off_goes_on_in_a_drop_box() {
    let server = dropbox();
    let mut wire = Wire::login(&server, "carol");
    for (name, resume) in [("a", "REST"), ("b", "APPE")] {
        let mut data = wire.begin(&format!("STOR /in/{name}"));
        data.send(b"first ");
        data.cut();
        assert!(wire.expect(426).text().contains("6 bytes are kept"));
        if resume == "REST" {
            wire.ask("REST 6", 350);
            wire.store(&format!("STOR /in/{name}"), b"second");
        } else {
            wire.store(&format!("APPE /in/{name}"), b"second");
        }
        assert_eq!(fs::read(server.home("carol").join("in").join(name)).unwrap(), b"first second", "{resume}");
    }
}

#[test]
fn clients_deliver_to_a_drop_box() {
    let server = dropbox();
    let sent = content("clients_deliver_to_a_drop_box", 300_000);
    let source = server.scratch().join("source");
    fs::write(&source, &sent).unwrap();
    let address = url(&server, "in/by-curl");
    run_with(curl(&server, "carol").args(["--upload-file", "-", &address]), &sent, PATIENCE).done();
    run(&mut lftp(&server, "carol", &format!("put {} -o /in/by-lftp", source.display()))).done();
    run(python(&server, "carol", "dropbox.py").args(["/in", "by-ftplib"]).arg(&source)).done();
    for name in ["by-curl", "by-lftp", "by-ftplib"] {
        assert!(fs::read(server.home("carol").join("in").join(name)).unwrap() == sent, "{name}");
    }
    let again = run_with(curl(&server, "carol").args(["--upload-file", "-", &address]), b"other", PATIENCE);
    assert_ne!(again.code, Some(0), "nothing is overwritten");
    assert!(fs::read(server.home("carol").join("in/by-curl")).unwrap() == sent);
}
