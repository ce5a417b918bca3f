//! `SITE`, `MFF` and `AVBL`: attributes of files, what room is left, and who else is connected.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::clients::{curl, lftp, run, url};
use crate::support::{Dial, Server, Wire, eventually};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// What the operator does.
fn make(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn modified(path: &Path) -> u64 {
    fs::metadata(path).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The moments that the tests set.
const Y2020: (&str, u64) = ("20200101000000", 1_577_836_800);
const Y2021: (&str, u64) = ("20210101000000", 1_609_459_200);

#[test]
fn site_help_tells_what_there_is() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let help = wire.ask("SITE HELP", 214);
    let names: Vec<&str> =
        help.lines.iter().filter_map(|line| line.strip_prefix(' ')?.split([' ', ':']).next()).collect();
    for name in ["CHMOD", "HELP", "QUOTA", "UTIME", "WHO"] {
        assert!(names.contains(&name), "{help:?}");
    }
    for name in names {
        let one = wire.ask(&format!("SITE HELP {}", name.to_lowercase()), 214);
        assert!(one.text().starts_with(&format!("SITE {name}")), "{one:?}");
        assert_eq!(wire.ask(&format!("HELP SITE {name}"), 214).text(), one.text());
    }
    assert!(wire.ask("SITE HELP CHMOD", 214).text().contains("set-mode"));
    assert_eq!(wire.ask("HELP SITE", 214).lines, help.lines);
}

#[test]
fn what_is_not_there_is_not_there() {
    let server = Server::running();
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    for line in ["EXEC id", "CPFR /etc/passwd", "CPTO x", "SYMLINK /etc x", "CHGRP 0 f", "HELP EXEC", "UMASK 0"] {
        assert!(wire.ask(&format!("SITE {line}"), 504).text().contains("SITE HELP"));
    }
    for line in ["SITE", "SITE CHMOD", "SITE CHMOD 644", "SITE UTIME", "SITE WHO bob", "SITE QUOTA bob"] {
        wire.ask(line, 501);
    }
    assert_eq!(server.names(), ["f"]);
}

#[test]
fn chmod_sets_the_bits_of_files_and_directories() {
    let server = Server::running();
    let file = server.put("d/a file", b"content");
    let directory = server.home("alice").join("d");
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(wire.ask("SITE CHMOD 644 d/a file", 200).text(), "UNIX.mode=0644; /d/a file");
    assert_eq!(mode(&file), 0o644);
    wire.ask("site chmod 0755 /d", 200);
    assert_eq!(mode(&directory), 0o755);
    let record = server.wait_for_record("file.mode", |record| record.path() == "/d/a file");
    assert_eq!((record.user(), record.codes()), ("alice", vec![200]));
    assert_eq!((record.text("/command"), record.text("/unmapped/mode")), (Some("SITE CHMOD"), Some("0644")));
    for bad in ["64 d", "u+x d", "99999 d", "888 d", "+755 d"] {
        wire.ask(&format!("SITE CHMOD {bad}"), 501);
    }
    for missing in ["no", "no/f", "/", ".portcullis-staging", "d/a file/x"] {
        wire.ask(&format!("SITE CHMOD 644 {missing}"), 550);
    }
    let failed = server.wait_for_failure("file.change_failed", "not_found");
    assert_eq!(failed.text("/unmapped/attempted"), Some("file.mode"));
    assert_eq!((mode(&file), mode(&directory)), (0o644, 0o755));
}

#[test]
fn special_bits_are_never_set() {
    let server = Server::running();
    let file = server.put("f", b"content");
    let directory = server.home("alice").join("d");
    fs::create_dir(&directory).unwrap();
    make(&file, 0o640);
    let mut wire = Wire::login(&server, "alice");
    for bits in ["4755", "2755", "1777", "7777"] {
        for path in ["f", "d"] {
            let reply = wire.ask(&format!("SITE CHMOD {bits} {path}"), 504);
            assert!(reply.text().contains("setuid"), "{reply:?}");
            wire.ask(&format!("MFF UNIX.mode={bits}; {path}"), 504);
        }
    }
    assert_eq!(mode(&file), 0o640);
    // What the operator set: a program is no longer setuid, and a directory stays as it was made.
    make(&file, 0o4755);
    make(&directory, 0o1777);
    assert_eq!(wire.ask("SITE CHMOD 755 f", 200).text(), "UNIX.mode=0755; /f");
    assert_eq!(wire.ask("SITE CHMOD 750 d", 200).text(), "UNIX.mode=1750; /d");
    assert_eq!((mode(&file), mode(&directory)), (0o755, 0o1750));
}

#[test]
fn nobody_locks_the_server_out_of_a_file() {
    let server = Server::running();
    let file = server.put("f", b"content");
    server.put("d/g", b"inner");
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(wire.ask("SITE CHMOD 000 f", 200).text(), "UNIX.mode=0400; /f");
    assert_eq!(wire.ask("SITE CHMOD 000 d", 200).text(), "UNIX.mode=0700; /d");
    assert_eq!((wire.fetch("RETR f"), wire.fetch("RETR d/g")), (b"content".to_vec(), b"inner".to_vec()));
    wire.store("STOR f", b"new");
    wire.ask("DELE d/g", 250);
    // The operator did lock it: whoever may set the mode opens it again.
    make(&file, 0);
    wire.refuse("RETR f", 550);
    wire.ask("SITE CHMOD 600 f", 200);
    assert_eq!(wire.fetch("RETR f"), b"new");
    make(&file, 0);
    wire.ask(&format!("MFMT {} f", Y2020.0), 213);
    assert_eq!((mode(&file), modified(&file)), (0, Y2020.1));
}

#[test]
fn links_are_not_followed() {
    let server = Server::running();
    let outside = server.scratch().join("secret");
    fs::write(&outside, "secret").unwrap();
    make(&outside, 0o600);
    let before = modified(&outside);
    let home = server.home("alice");
    symlink(&outside, home.join("link")).unwrap();
    symlink(server.scratch(), home.join("out")).unwrap();
    let mut wire = Wire::login(&server, "alice");
    for path in ["link", "out", "out/secret"] {
        wire.ask(&format!("SITE CHMOD 666 {path}"), 550);
        wire.ask(&format!("SITE UTIME {} {path}", Y2020.0), 550);
        wire.ask(&format!("MFF UNIX.mode=666;Modify={}; {path}", Y2020.0), 550);
        wire.ask(&format!("AVBL {path}"), 550);
    }
    assert_eq!((mode(&outside), modified(&outside)), (0o600, before));
}

#[test]
fn each_attribute_needs_its_permission() {
    let mut server = Server::builder()
        .user("timer", &["--permissions", "list,read,set-time"])
        .user("moder", &["--permissions", "list,read,set-mode"])
        .user("reader", &["--read-only"])
        .prepare();
    for user in ["timer", "moder", "reader"] {
        server.change_user(&format!("user.{user}.home"), server.home("alice").to_str().unwrap());
    }
    let file = server.put("f", b"content");
    make(&file, 0o640);
    server.start();
    let before = modified(&file);
    let lines = |user: &str, codes: [u16; 5]| {
        let mut wire = Wire::login(&server, user);
        let both = format!("MFF UNIX.mode=600;Modify={}; f", Y2020.0);
        let time = [format!("MFF Modify={}; f", Y2020.0), format!("SITE UTIME {} f", Y2020.0)];
        let mode = ["MFF UNIX.mode=644; f", "SITE CHMOD 644 f"];
        for (line, code) in [&*both, mode[0], mode[1], &*time[0], &*time[1]].into_iter().zip(codes) {
            wire.ask(line, code);
        }
    };
    lines("reader", [550; 5]);
    assert_eq!((mode(&file), modified(&file)), (0o640, before));
    lines("timer", [550, 550, 550, 213, 213]);
    assert_eq!((mode(&file), modified(&file)), (0o640, Y2020.1));
    lines("moder", [550, 213, 200, 550, 550]);
    assert_eq!((mode(&file), modified(&file)), (0o644, Y2020.1));
    lines("alice", [213, 213, 200, 213, 213]);
}

#[test]
fn denials_name_the_command_and_the_permission_that_help_tells() {
    let server = Server::builder().user("reader", &["--read-only"]).start();
    let mut wire = Wire::login(&server, "reader");
    for (command, argument, permission) in
        [("SITE CHMOD", "644 f", "set-mode"), ("SITE UTIME", "202001010000 f", "set-time")]
    {
        wire.ask(&format!("{command} {argument}"), 550);
        let denied = server.wait_for_record("authz.denied", |record| record.text("/command") == Some(command));
        assert_eq!((denied.path(), denied.text("/unmapped/wanted")), ("/f", Some(permission)));
        assert!(denied.text("/unmapped/rule").unwrap().contains("users.toml:"));
        let help = wire.ask(&format!("HELP {command}"), 214);
        assert!(help.text().contains(&format!("needs {permission}")), "{help:?}");
    }
}

#[test]
fn an_unfinished_upload_has_no_attributes_yet() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"half");
    data.cut();
    wire.expect(426);
    for line in ["SITE CHMOD 644 f", "SITE UTIME 202001010000 f", "MFF UNIX.mode=644; f"] {
        wire.ask(line, 450);
    }
    wire.ask("AVBL f", 213);
}

#[test]
fn utime_takes_both_forms_that_clients_send() {
    let server = Server::running();
    let file = server.put("a file", b"content");
    let mut wire = Wire::login(&server, "alice");
    let reply = wire.ask("SITE UTIME 202001010000 a file", 213);
    assert_eq!((reply.text(), modified(&file)), ("Modify=20200101000000; /a file", Y2020.1));
    let (first, then) = (Y2020.0, Y2021.0);
    wire.ask(&format!("SITE UTIME a file {first} {then} {first} UTC"), 213);
    assert_eq!(modified(&file), Y2021.1);
    wire.ask(&format!("SITE UTIME {first} a file"), 213);
    assert_eq!(modified(&file), Y2020.1);
    for bad in ["a file", "2020 a file", "20201301000000 a file", "a file 20200101000000 UTC"] {
        wire.ask(&format!("SITE UTIME {bad}"), 501);
    }
    let record = server.wait_for_record("file.mtime", |record| record.text("/unmapped/modified") == Some(then));
    assert_eq!((record.path(), record.text("/command")), ("/a file", Some("SITE UTIME")));
}

#[test]
fn mff_sets_all_of_the_facts_or_none() {
    let server = Server::running();
    let file = server.put("a file", b"content");
    let mut wire = Wire::login(&server, "alice");
    let reply = wire.ask(&format!("MFF Modify={};UNIX.mode=0644; a file", Y2020.0), 213);
    assert_eq!(reply.text(), "Modify=20200101000000;UNIX.mode=0644; /a file");
    assert_eq!((mode(&file), modified(&file)), (0o644, Y2020.1));
    for code in ["file.mtime", "file.mode"] {
        let record = server.wait_for_record(code, |record| record.path() == "/a file");
        assert_eq!(record.text("/command"), Some("MFF"));
    }
    for (facts, code, said) in [
        ("Create=20210101000000;", 504, "Create"),
        ("UNIX.owner=0;", 504, "UNIX.owner"),
        ("unix.group=0;", 504, "UNIX.group"),
        ("X.colour=red;", 504, "Modify;UNIX.mode;"),
        ("UNIX.mode=600;Modify=20210101;", 501, "Modify"),
        ("UNIX.mode=rw;", 501, "octal"),
        ("UNIX.mode=600;UNIX.mode=600;", 501, "twice"),
        ("Modify=20210101000000;UNIX.mode=600;Create=1;", 504, "Create"),
        ("Modify", 501, "fact=value"),
        (";", 501, "fact=value"),
        ("=1;", 501, "fact=value"),
    ] {
        let reply = wire.ask(&format!("MFF {facts} a file"), code);
        assert!(reply.text().contains(said), "{facts}: {reply:?}");
    }
    wire.ask("MFF UNIX.mode=600;", 501);
    assert_eq!((mode(&file), modified(&file)), (0o644, Y2020.1));
    // In any case, and of a directory too.
    fs::create_dir(server.home("alice").join("d")).unwrap();
    wire.ask(&format!("MFF unix.MODE=750;modify={}; d", Y2021.0), 213);
    assert_eq!(modified(&server.home("alice").join("d")), Y2021.1);
}

#[test]
fn who_lists_a_users_own_sessions_and_what_they_do() {
    let server = Server::builder().user("alice", &[]).user("bob", &[]).start();
    let mut alice = Wire::login(&server, "alice");
    let mut second = Dial::to(&server).from(2).login("alice");
    let mut bob = Dial::to(&server).from(3).login("bob");
    let who = |wire: &mut Wire| {
        let lines = wire.ask("SITE WHO", 211).lines;
        lines[1..lines.len() - 1].to_vec()
    };
    assert_eq!(who(&mut bob).len(), 1);
    let sessions = who(&mut alice);
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    assert!(sessions[0].contains(&format!("from {}: this one", alice.local())), "{sessions:?}");
    assert!(sessions[1].contains(&format!("from {}: idle", second.local())), "{sessions:?}");
    let year = jiff::Timestamp::now().to_string()[..4].to_owned();
    assert!(sessions.iter().all(|line| line.starts_with(&format!(" since {year}-"))), "{sessions:?}");

    let mut data = second.begin("STOR d file");
    data.send(&vec![0; 70_000]);
    eventually("the upload shows with its bytes", || {
        who(&mut alice)[1].contains("STOR /d file, 70000 bytes so far").then_some(())
    });
    data.finish();
    second.expect(226);
    assert!(who(&mut alice)[1].ends_with(": idle"));
    second.ask("QUIT", 221);
    eventually("the session that has ended is gone", || (who(&mut alice).len() == 1).then_some(()));
}

#[test]
fn quota_tells_what_is_used_and_what_may_be() {
    let mut server =
        Server::builder().user("alice", &["--quota-bytes", "1000", "--quota-files", "10"]).user("bob", &[]).prepare();
    server.put("d/f", &[0; 300]);
    server.start();
    let mut wire = Wire::login(&server, "alice");
    let lines = wire.ask("SITE QUOTA", 200).lines;
    assert_eq!(lines[1..3], [" bytes: 300 of 1000 (30 %), 700 left", " files and directories: 2 of 10 (20 %), 8 left"]);
    wire.store("STOR g", &[0; 100]);
    let lines = wire.ask("SITE QUOTA", 200).lines;
    assert_eq!(lines[1..3], [" bytes: 400 of 1000 (40 %), 600 left", " files and directories: 3 of 10 (30 %), 7 left"]);
    let lines = Wire::login(&server, "bob").ask("SITE QUOTA", 200).lines;
    assert!(lines[1..3].iter().all(|line| line.ends_with(", no limit")), "{lines:?}");
}

#[test]
fn avbl_is_what_the_quota_leaves() {
    let mut server = Server::builder()
        .user("alice", &["--quota-bytes", "1000"])
        .user("drop", &["--permissions", "create"])
        .prepare();
    server.put("d/f", &[0; 300]);
    server.start();
    let mut wire = Wire::login(&server, "alice");
    for path in ["", " /", " d", " d/f"] {
        assert_eq!(wire.ask(&format!("AVBL{path}"), 213).text(), "700", "{path}");
    }
    wire.ask("AVBL missing", 550);
    wire.store("STOR g", &[0; 700]);
    assert_eq!(wire.ask("AVBL", 213).text(), "0");
    // Whoever may only store there may ask, too.
    Wire::login(&server, "drop").ask("AVBL", 213);
}

#[test]
fn avbl_is_what_the_disk_has_above_the_floor() {
    let free = |server: &Server| -> u64 { Wire::login(server, "alice").ask("AVBL", 213).text().parse().unwrap() };
    let server = Server::running();
    assert!(free(&server) > 0);
    let full = Server::builder().set("storage.free-space-floor-bytes", "9000000000000000000").start();
    assert_eq!(free(&full), 0);
}

#[test]
fn curl_sets_mode_and_time_on_request() {
    let server = Server::running();
    let file = server.put("f", b"content");
    let mut command = curl(&server, "alice");
    for quote in ["SITE CHMOD 604 f", "SITE UTIME 20200101000000 f"] {
        command.args(["--quote", quote]);
    }
    assert_eq!(run(command.arg(url(&server, "f"))).done().text(), "content");
    assert_eq!((mode(&file), modified(&file)), (0o604, Y2020.1));
}

#[test]
fn lftp_sets_modes() {
    let server = Server::running();
    let file = server.put("two words", b"content");
    make(&file, 0o640);
    run(&mut lftp(&server, "alice", "chmod 604 \"two words\"")).done();
    assert_eq!(mode(&file), 0o604);
}

#[test]
fn lftp_sets_the_time_of_an_upload_in_each_of_its_ways() {
    let server = Server::running();
    let source = server.scratch().join("source");
    fs::write(&source, "content").unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(Y2020.1);
    fs::File::options().append(true).open(&source).unwrap().set_modified(time).unwrap();
    let ways = [
        ("", "MFMT"),
        ("set ftp:use-feat false; set ftp:use-site-utime2 true;", "SITE UTIME"),
        ("set ftp:use-feat false; set ftp:use-site-utime2 false; set ftp:use-site-utime true;", "SITE UTIME"),
    ];
    for (number, (way, said)) in ways.into_iter().enumerate() {
        let name = format!("a file {number}");
        let commands = format!("{way} put {} -o \"{name}\"", source.display());
        run(&mut lftp(&server, "alice", &commands)).done();
        let record = server.wait_for_record("file.mtime", |record| record.path() == format!("/{name}"));
        assert_eq!(record.text("/command"), Some(said), "{way}");
        assert_eq!(modified(&server.home("alice").join(&name)), Y2020.1, "{way}");
    }
}
