//! The tree that a user sees: what can be done in it, and that there is no way out.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant, SystemTime};

use crate::support::{Server, Wire};

const BAD_NAMES: [&str; 8] =
    ["a\u{1b}[2Jb", "a\u{7}", "a\u{7f}", "a\u{85}b", "a\u{2028}b", "\u{202e}gpj.exe", "a\tb", "\u{2066}x"];

#[test]
fn directories_are_made_entered_and_removed() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    assert!(wire.ask("PWD", 257).text().starts_with("\"/\""));
    assert!(wire.ask("MKD a", 257).text().starts_with("\"/a\""));
    wire.ask("CWD a", 250);
    assert!(wire.ask("MKD b c", 257).text().starts_with("\"/a/b c\""));
    wire.ask("CWD b c", 250);
    assert!(wire.ask("PWD", 257).text().starts_with("\"/a/b c\""));
    wire.ask("CDUP", 250);
    wire.ask("RMD b c", 250);
    wire.ask("CWD b c", 550);
    wire.ask("CDUP", 250);
    wire.ask("MKD a", 550);
    wire.ask("RMD a", 250);
    assert!(server.names().is_empty());
}

#[test]
fn quotes_in_names_are_doubled() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    assert!(wire.ask("MKD say \"hi\"", 257).text().starts_with("\"/say \"\"hi\"\"\""));
    wire.ask("CWD say \"hi\"", 250);
    assert!(wire.ask("PWD", 257).text().starts_with("\"/say \"\"hi\"\"\""));
}

#[test]
fn files_are_removed_and_renamed() {
    let server = Server::running();
    server.put("f", b"content");
    fs::create_dir(server.home("alice").join("d")).unwrap();
    let mut wire = Wire::login(&server, "alice");
    wire.ask("RNFR f", 350);
    wire.ask("RNTO d/g", 250);
    assert_eq!(server.content("d/g").unwrap(), b"content");
    wire.ask("RNFR d", 350);
    wire.ask("RNTO e", 250);
    wire.ask("DELE e/g", 250);
    wire.ask("DELE e/g", 550);
    wire.ask("RNFR missing", 550);
    for code in ["file.rename", "file.delete"] {
        assert_eq!(server.wait_for_record(code, |_| true).user(), "alice");
    }
    let record = server.wait_for_record("file.rename", |record| record.path() == "/f");
    assert_eq!(record.text("/file_result/path"), Some("/d/g"));
    server.wait_for_failure("file.change_failed", "not_found");
}

#[test]
fn rnfr_comes_directly_before_rnto() {
    let server = Server::running();
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    wire.ask("RNTO g", 503);
    wire.ask("RNFR f", 350);
    wire.ask("PWD", 257);
    wire.ask("RNTO g", 503);
    wire.ask("RNFR f", 350);
    wire.ask("RNFR missing", 550);
    wire.ask("RNTO g", 503);
    assert_eq!(server.names(), ["f"]);
}

#[test]
fn even_noop_and_unknown_commands_come_between_rnfr_and_rnto() {
    let server = Server::running();
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    for (between, code) in [("NOOP", 200), ("XYZZY", 500), ("SITE CHMOD 600 f", 200), ("DELE", 501), ("SYST", 215)] {
        wire.ask("RNFR f", 350);
        wire.ask(between, code);
        wire.ask("RNTO g", 503);
    }
    assert_eq!(server.names(), ["f"]);
}

#[test]
fn renames_stay_possible_and_inside() {
    let server = Server::running();
    server.put("f", b"content");
    server.put("d/inner/g", b"content");
    let outside = server.scratch();
    let mut wire = Wire::login(&server, "alice");
    let mut rename = |from: &str, to: &str| {
        wire.ask(&format!("RNFR {from}"), 350);
        wire.send(&format!("RNTO {to}"));
        wire.reply().code
    };
    // `..` above the root is the root.
    assert_eq!(rename("f", "../../../moved"), 250);
    assert_eq!(server.content("moved").unwrap(), b"content");
    assert!([550, 553].contains(&rename("d", "d/inner/d")));
    assert!([550, 553].contains(&rename("moved", "d")));
    assert_eq!(rename("moved", &format!("{}/x", outside.display())), 550);
    wire.ask("RNFR /", 550);
    assert!(fs::read_dir(outside).unwrap().next().is_none());
    assert_eq!(server.names(), ["d", "moved"]);
}

#[test]
fn the_root_and_full_directories_stay() {
    let server = Server::running();
    server.put("d/f", b"content");
    let mut wire = Wire::login(&server, "alice");
    for line in ["DELE /", "RMD /", "RMD .", "RMD ..", "RMD d", "DELE d", "RMD d/f", "DELE missing", "MKD /"] {
        wire.ask(line, 550);
    }
    assert_eq!(server.names(), ["d"]);
    assert_eq!(server.content("d/f").unwrap(), b"content");
}

#[test]
fn there_is_no_way_above_the_home() {
    let server = Server::running();
    let secret = server.home("alice").parent().unwrap().join("secret");
    fs::write(&secret, b"secret").unwrap();
    let mut wire = Wire::login(&server, "alice");
    for path in [
        "../secret",
        "../../../../../../etc/passwd",
        "/../../etc/shadow",
        "..\\..\\secret",
        "%2e%2e/secret",
        "./.././../secret",
        "/proc/self/environ",
        secret.to_str().unwrap(),
        "~/secret",
        "~root",
    ] {
        wire.refuse(&format!("RETR {path}"), 550);
        for verb in ["SIZE", "MDTM", "MLST", "DELE", "CWD", "RNFR", "STAT"] {
            wire.ask(&format!("{verb} {path}"), 550);
        }
    }
    for _ in 0..50 {
        wire.ask("CWD ..", 250);
    }
    assert!(wire.ask("PWD", 257).text().starts_with("\"/\""));
    assert_eq!(fs::read(secret).unwrap(), b"secret");
}

#[test]
fn symbolic_links_lead_nowhere() {
    let server = Server::running();
    let outside = server.scratch();
    fs::write(outside.join("secret"), b"secret").unwrap();
    let home = server.home("alice");
    symlink("/etc", home.join("etc")).unwrap();
    symlink(&outside, home.join("out")).unwrap();
    symlink(outside.join("secret"), home.join("link")).unwrap();
    symlink("../../scratch/secret", home.join("relative")).unwrap();
    symlink(".", home.join("self")).unwrap();
    let mut wire = Wire::login(&server, "alice");
    for path in ["etc/passwd", "out/secret", "link", "relative", "self/link"] {
        wire.refuse(&format!("RETR {path}"), 550);
        for verb in ["SIZE", "MDTM", "MLST"] {
            wire.ask(&format!("{verb} {path}"), 550);
        }
    }
    for path in ["etc", "out", "self"] {
        wire.ask(&format!("CWD {path}"), 550);
        wire.refuse(&format!("MLSD {path}"), 550);
    }
    for line in ["DELE out/secret", "RMD out", "MKD out/d", "MFMT 20200101000000 link"] {
        wire.ask(line, 550);
    }
    let mut data = wire.data();
    wire.send("STOR link");
    let mut reply = wire.reply();
    if reply.code == 150 {
        let _ = data.try_send(b"overwritten");
        let _ = data.try_finish();
        reply = wire.reply();
    }
    // Whatever became of the name, nothing went through the link.
    assert!([226, 450, 550, 553].contains(&reply.code), "{reply:?}");
    wire.refuse("STOR out/planted", 550);
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert!(!outside.join("planted").exists());
}

#[test]
fn fifos_and_sockets_are_no_files_and_hang_nobody() {
    let server = Server::running();
    let home = server.home("alice");
    let fifo = home.join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(home.join("socket")).unwrap();
    let mut wire = Wire::login(&server, "alice");
    let began = Instant::now();
    for name in ["fifo", "socket"] {
        wire.refuse(&format!("RETR {name}"), 550);
        wire.ask(&format!("SIZE {name}"), 550);
        let mut data = wire.data();
        wire.send(&format!("APPE {name}"));
        let mut reply = wire.reply();
        if reply.code == 150 {
            let _ = data.try_send(b"x");
            let _ = data.try_finish();
            reply = wire.reply();
        }
        assert!([450, 550, 553].contains(&reply.code), "{name}: {reply:?}");
    }
    let listing = wire.list("NLST");
    assert!(!listing.contains("fifo") && !listing.contains("socket"), "{listing}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn names_with_control_characters_are_refused() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    for name in BAD_NAMES {
        wire.refuse(&format!("STOR {name}"), 553);
        wire.ask(&format!("MKD {name}"), 553);
        wire.refuse(&format!("RETR {name}"), 550);
        wire.ask(&format!("DELE {name}"), 550);
    }
    server.put("f", b"content");
    for name in BAD_NAMES {
        wire.ask("RNFR f", 350);
        wire.ask(&format!("RNTO {name}"), 553);
    }
    for line in [&b"MKD a\rb\r\n"[..], b"MKD a\0b\r\n"] {
        wire.send_raw(line);
        wire.expect(501);
    }
    wire.send_raw(b"MKD \xc3\x28\r\n");
    wire.expect(553);
    wire.send_raw(b"MKD \xed\xa0\x80\r\n");
    wire.expect(553);
    assert_eq!(server.names(), ["f"]);
}

#[test]
fn names_that_are_too_long_are_refused() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    wire.ask(&format!("MKD {}", "x".repeat(256)), 553);
    wire.ask(&format!("CWD {}", "x".repeat(256)), 550);
    wire.ask(&format!("CWD {}", "d/".repeat(200)), 550);
    wire.ask(&format!("MKD {}", "x".repeat(255)), 257);
}

#[test]
fn names_of_every_language_are_kept_byte_for_byte() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    for name in ["Übergröße", "日本語", "emoji 🦀", " leading", "trailing ", "-dash", "a;b=c", "#", "%41"] {
        wire.ask(&format!("MKD {name}"), 257);
        wire.ask(&format!("CWD {name}"), 250);
        wire.ask("CWD /", 250);
        assert!(server.names().contains(&name.to_owned()), "{name:?}");
        assert!(wire.list("NLST").contains(&format!("{name}\r\n")));
    }
}

#[test]
fn names_of_the_servers_own_do_not_exist() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"staged");
    let mut other = Wire::login(&server, "alice");
    for entry in fs::read_dir(server.home("alice")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        other.refuse(&format!("RETR {name}"), 550);
        other.ask(&format!("CWD {name}"), 550);
        other.ask(&format!("DELE {name}"), 550);
    }
    assert_eq!(other.list("NLST -a"), "");
    other.ask("MKD .portcullis-mine", 553);
    other.refuse("STOR .portcullis-mine", 553);
    data.finish();
    wire.expect(226);
}

#[test]
fn a_user_who_may_only_read_changes_nothing_and_is_recorded() {
    let mut server = Server::builder().user("reader", &["--read-only"]).prepare();
    server.change_user("user.reader.home", server.home("alice").to_str().unwrap());
    server.put("d/f", b"content");
    server.start();
    let mut wire = Wire::login(&server, "reader");
    assert_eq!(wire.fetch("RETR d/f"), b"content");
    assert!(wire.list("MLSD d").contains("f\r\n"));
    for line in ["DELE d/f", "MKD x", "RMD d", "RNFR d/f", "MFMT 20200101000000 d/f"] {
        wire.ask(line, 550);
    }
    for line in ["STOR x", "STOR d/f", "APPE d/f", "STOU"] {
        wire.refuse(line, 550);
    }
    assert_eq!(server.names(), ["d"]);
    assert_eq!(server.content("d/f").unwrap(), b"content");
    let denied = server.records_of("authz.denied");
    assert_eq!(denied.len(), 9, "{denied:?}");
    assert!(denied.iter().all(|record| record.user() == "reader" && record.codes() == [550]), "{denied:?}");
}

#[test]
fn each_permission_is_for_what_it_says() {
    let mut server = Server::builder().user("dropper", &["--permissions", "create"]).prepare();
    server.change_user("user.dropper.home", server.home("alice").to_str().unwrap());
    server.put("there", b"content");
    server.start();
    let mut wire = Wire::login(&server, "dropper");
    wire.store("STOR new", b"dropped");
    assert_eq!(server.content("new").unwrap(), b"dropped");
    let mut stor = |name: &str| {
        let mut data = wire.data();
        wire.send(&format!("STOR {name}"));
        let mut reply = wire.reply();
        if reply.code == 150 {
            let _ = data.try_send(b"replaced");
            let _ = data.try_finish();
            reply = wire.reply();
        }
        reply.code
    };
    assert!([550, 553].contains(&stor("there")));
    wire.refuse("RETR there", 550);
    for line in ["LIST", "MLSD", "NLST"] {
        wire.refuse(line, 550);
    }
    for line in ["DELE new", "SIZE there", "MLST there", "RNFR new"] {
        wire.ask(line, 550);
    }
    assert_eq!(server.content("there").unwrap(), b"content");
}

#[test]
fn times_are_told_and_set() {
    let server = Server::running();
    let path = server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    let reply = wire.ask("MFMT 20200229123456 f", 213);
    assert_eq!(reply.text(), "Modify=20200229123456; /f");
    // What is told is what was set: whole seconds.
    let reply = wire.ask("MFMT 20200229123456.789 f", 213);
    assert_eq!(reply.text(), "Modify=20200229123456; /f");
    assert_eq!(wire.ask("MDTM f", 213).text(), "20200229123456");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 1_582_979_696);
    for bad in ["20201301000000 f", "19691231235959 f", "2020 f", "20200101000000", "20200101000000x f", "f"] {
        wire.ask(&format!("MFMT {bad}"), 501);
    }
    wire.ask("MFMT 20200101000000 missing", 550);
    wire.ask("MDTM missing", 550);
    // The old way of setting it is a name like any other.
    wire.ask("MDTM 20200101000000 f", 550);
    assert_eq!(wire.ask("MDTM f", 213).text(), "20200229123456");
    server.wait_for_record("file.mtime", |record| record.path() == "/f");
}

#[test]
fn sizes_are_told_in_image_type_only() {
    let server = Server::running();
    server.put("f", b"content");
    fs::create_dir(server.home("alice").join("d")).unwrap();
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(wire.ask("SIZE f", 213).text(), "7");
    wire.ask("SIZE d", 550);
    wire.ask("SIZE missing", 550);
    wire.ask("TYPE A", 200);
    wire.ask("SIZE f", 550);
}

#[test]
fn files_and_directories_are_not_taken_for_each_other() {
    let server = Server::running();
    server.put("f", b"content");
    server.put("d/g", b"content");
    let mut wire = Wire::login(&server, "alice");
    wire.refuse("RETR d", 550);
    wire.refuse("RETR /", 550);
    for line in ["STOR d", "STOR missing/f", "STOR f/x", "APPE d", "STOR /"] {
        let _data = wire.data();
        wire.send(line);
        let reply = wire.reply();
        assert!([550, 553].contains(&reply.code), "{line}: {reply:?}");
    }
    wire.ask("CWD f", 550);
    wire.ask("MKD missing/d", 550);
    assert_eq!(server.names(), ["d", "f"]);
}

#[test]
fn a_rename_replaces_only_for_whom_may_overwrite() {
    let mut server = Server::builder().user("mover", &["--permissions", "list,read,create,rename"]).prepare();
    server.change_user("user.mover.home", server.home("alice").to_str().unwrap());
    server.put("a", b"a");
    server.put("b", b"b");
    server.start();
    let mut mover = Wire::login(&server, "mover");
    mover.ask("RNFR a", 350);
    mover.ask("RNTO b", 553);
    assert_eq!((server.content("a").unwrap(), server.content("b").unwrap()), (b"a".to_vec(), b"b".to_vec()));
    mover.ask("RNFR a", 350);
    mover.ask("RNTO c", 250);
    let mut alice = Wire::login(&server, "alice");
    alice.ask("RNFR c", 350);
    alice.ask("RNTO b", 250);
    assert_eq!(server.names(), ["b"]);
    assert_eq!(server.content("b").unwrap(), b"a");
}
