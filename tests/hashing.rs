//! Hashes of files on request: they are those that other programs find, parts are the parts meant,
//! and computing one keeps neither the session nor the server from anything.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::clients::{content, curl, lftp, run, url};
use crate::support::{Server, Wire, eventually};

/// Bytes of a file without content on the disk that nothing hashes within a test's time.
const ENDLESS: u64 = 1 << 38;

/// What Python finds of a file from one byte to before another.
fn python(algorithm: &str, path: &Path, (start, end): (usize, usize)) -> String {
    let script = "import sys, hashlib, zlib\n\
                  name, path, start, end = sys.argv[1:]\n\
                  data = open(path, 'rb').read()[int(start):int(end)]\n\
                  print('%08x' % zlib.crc32(data) if name == 'crc32' else hashlib.new(name, data).hexdigest())";
    let (start, end) = (start.to_string(), end.to_string());
    let ran = run(Command::new("python3").args(["-c", script, algorithm]).arg(path).args([start, end])).done();
    ran.text().trim_end().to_owned()
}

#[test]
fn each_function_finds_what_other_programs_find() {
    let server = Server::builder().policy("storage.weak-hashes", "[\"MD5\", \"SHA-1\"]").start();
    let mut wire = Wire::login(&server, "alice");
    for bytes in [0, 1, 262_144, 1_000_001] {
        let path = server.put("a file", &content("hashes", bytes));
        let last = bytes.saturating_sub(1);
        for (name, word, verb) in [
            ("SHA-256", "sha256", "XSHA256"),
            ("SHA-512", "sha512", "XSHA512"),
            ("CRC32", "crc32", "XCRC"),
            ("SHA-1", "sha1", "XSHA1"),
            ("MD5", "md5", "XMD5"),
        ] {
            let expected = python(word, &path, (0, bytes));
            assert_eq!(wire.ask(&format!("OPTS HASH {name}"), 200).text(), name);
            let reply = wire.ask("HASH a file", 213);
            assert_eq!(reply.text(), format!("{name} 0-{last} {expected} a file"));
            assert_eq!(wire.ask(&format!("{verb} a file"), 250).text(), expected.to_uppercase());
        }
    }
    assert_eq!(wire.ask("XSHA a file", 250).text(), wire.ask("XSHA1 a file", 250).text());
}

#[test]
fn rang_takes_a_part_of_the_next_hash() {
    let server = Server::running();
    let bytes = content("parts", 600_000);
    let path = server.put("f", &bytes);
    let mut wire = Wire::login(&server, "alice");
    for (first, last, told) in [(0, 49, 49), (262_143, 262_145, 262_145), (599_999, 700_000, 599_999)] {
        wire.ask(&format!("RANG {first} {last}"), 350);
        let expected = python("sha256", &path, (first, told + 1));
        assert_eq!(wire.ask("HASH f", 213).text(), format!("SHA-256 {first}-{told} {expected} f"));
    }
    let whole = format!("SHA-256 0-599999 {} f", python("sha256", &path, (0, 600_000)));
    assert_eq!(wire.ask("HASH f", 213).text(), whole);
    for (line, code) in [("RANG 1 0", 350), ("RANG 5 4", 501)] {
        wire.ask("RANG 3 4", 350);
        wire.ask(line, code);
        assert_eq!(wire.ask("HASH f", 213).text(), whole);
    }
    wire.ask("RANG 600000 600001", 350);
    wire.ask("HASH f", 554);
}

#[test]
fn x_forms_take_the_first_byte_and_the_one_behind_the_last() {
    let server = Server::running();
    let path = server.put("my file", &content("x", 1000));
    let other = server.put("my file 0 100", b"another file");
    server.put("plain", b"0123456789");
    let mut wire = Wire::login(&server, "alice");
    let crc = |path: &Path, part| python("crc32", path, part).to_uppercase();
    let mut asked = |line: &str| wire.ask(line, 250).text().to_owned();
    assert_eq!(asked("XCRC my file"), crc(&path, (0, 1000)));
    assert_eq!(asked("XCRC \"my file\""), crc(&path, (0, 1000)));
    assert_eq!(asked("XCRC \"my file\" 0 100"), crc(&path, (0, 100)));
    assert_eq!(asked("XCRC \"/my file\", 10, 20"), crc(&path, (10, 20)));
    assert_eq!(asked("XCRC my file 1 1000"), crc(&path, (1, 1000)));
    // What is there as it stands is what is meant.
    assert_eq!(asked("XCRC my file 0 100"), crc(&other, (0, 12)));
    for (line, code) in [("XCRC plain 0 11", 554), ("XCRC plain 10", 550), ("XCRC \"plain\" 10", 501)] {
        wire.ask(line, code);
    }
}

#[test]
fn weak_functions_are_refused_with_what_to_use_instead() {
    let server = Server::running();
    server.put("f", b"x");
    let mut wire = Wire::login(&server, "alice");
    for line in ["XMD5 f", "XSHA1 f", "XSHA f"] {
        assert!(wire.ask(line, 504).text().contains("use XSHA256"), "{line}");
    }
    assert!(wire.ask("OPTS HASH MD5", 504).text().contains("SHA-256, SHA-512, CRC32"));
    assert!(wire.ask("OPTS HASH CRC-37", 501).text().contains("SHA-256, SHA-512, CRC32"));
    assert_eq!(wire.ask("OPTS HASH", 200).text(), "SHA-256");
}

#[test]
fn feat_tells_what_is_offered_and_marks_what_is_in_force() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let features = |wire: &mut Wire| wire.ask("FEAT", 211).lines;
    assert!(features(&mut wire).contains(&" HASH SHA-256*;SHA-512;CRC32".to_owned()));
    wire.ask("OPTS HASH crc32", 200);
    let lines = features(&mut wire);
    for (feature, told) in [
        ("HASH SHA-256;SHA-512;CRC32*", true),
        ("XCRC", true),
        ("XSHA256", true),
        ("XSHA512", true),
        ("XMD5", false),
        ("XSHA1", false),
        ("RANG STREAM", false),
    ] {
        assert_eq!(lines.contains(&format!(" {feature}")), told, "{feature}: {lines:?}");
    }
}

#[test]
fn only_whole_files_that_one_may_read_or_hash_are_hashed() {
    let server = Server::builder()
        .user("checker", &["--permissions", "hash"])
        .user("dropper", &["--permissions", "create,append"])
        .start();
    for user in ["alice", "checker", "dropper"] {
        let home = server.home(user);
        std::fs::create_dir(home.join("d")).unwrap();
        std::fs::write(home.join("f"), b"x").unwrap();
    }
    let mut wire = Wire::login(&server, "checker");
    wire.ask("HASH f", 213);
    wire.ask("XCRC f", 250);
    wire.ask("XCRC f 0 1", 550);
    wire.ask("RANG 0 0", 350);
    wire.ask("HASH f", 550);
    wire.refuse("RETR f", 550);
    let mut wire = Wire::login(&server, "dropper");
    wire.ask("HASH f", 550);
    wire.ask("XCRC \"f\" 0 1", 550);
    assert_eq!(server.records_of("authz.denied").len(), 5);

    let mut wire = Wire::login(&server, "alice");
    wire.ask("HASH d", 550);
    wire.ask("HASH missing", 550);
    let mut data = wire.begin("STOR part");
    data.send(b"half");
    eventually("it has come", || wire.ask("STAT", 213).text().contains(" 4 bytes").then_some(()));
    wire.ask("ABOR", 426);
    wire.expect(226);
    // As RETR says of it.
    wire.ask("HASH part", 450);
    wire.refuse("RETR part", 450);
}

#[test]
fn each_hash_is_recorded_with_what_was_found() {
    let server = Server::running();
    let path = server.put("f", b"0123456789");
    let mut wire = Wire::login(&server, "alice");
    wire.ask("HASH f", 213);
    wire.ask("XCRC f 2 4", 250);
    wire.ask("HASH missing", 550);
    let records = server.records_of("file.hash");
    let [whole, part, missing] = &records[..] else { panic!("{records:?}") };
    assert_eq!((whole.path(), whole.codes(), whole.number("/file/size")), ("/f", vec![213], Some(10)));
    assert_eq!(whole.text("/file/hashes/0/algorithm"), Some("SHA-256"));
    assert_eq!(whole.text("/file/hashes/0/value"), Some(&*python("sha256", &path, (0, 10))));
    assert!(whole.number("/duration").is_some() && whole.text("/unmapped/hash_range").is_none());
    assert_eq!((part.text("/command"), part.codes()), (Some("XCRC"), vec![250]));
    assert_eq!(part.text("/unmapped/hash_algorithm"), Some("CRC32"));
    assert_eq!(part.text("/unmapped/hash_range"), Some("2-3"));
    assert_eq!(part.text("/unmapped/hash"), Some(&*python("crc32", &path, (2, 4))));
    assert_eq!(part.text("/file/hashes/0/value"), None);
    assert_eq!((missing.detail(), missing.codes()), ("not_found", vec![550]));
}

/// Waits until another session of the user sees that the hash has come somewhere.
fn is_under_way(watcher: &mut Wire) {
    eventually("it says how far it is", || {
        let sessions = watcher.ask("SITE WHO", 211).lines.join("\n");
        (sessions.contains("HASH /endless, ") && !sessions.contains(", 0 bytes")).then_some(())
    });
}

#[test]
fn rang_is_no_part_of_a_transfer() {
    let server = Server::running();
    server.put("f", b"0123456789");
    let mut wire = Wire::login(&server, "alice");
    for command in ["RETR f", "STOR f", "APPE f"] {
        wire.ask("RANG 2 3", 350);
        assert!(wire.refuse(command, 503).text().contains("REST"));
    }
    assert_eq!(wire.fetch("RETR f"), b"0123456789");
    wire.ask("RANG 2 3", 350);
    wire.ask("RANG 1 0", 350);
    wire.fetch("RETR f");
}

#[test]
fn a_long_hash_is_told_of_and_stopped_and_what_came_meanwhile_follows() {
    let server = Server::builder().set("limits.idle-seconds", "1").start();
    server.put_large("endless", ENDLESS);
    server.put("small", b"x");
    let (mut wire, mut watcher) = (Wire::login(&server, "alice"), Wire::login(&server, "alice"));
    wire.send("HASH endless");
    is_under_way(&mut watcher);
    wire.send_raw(b"STAT\r\nPWD\r\nHASH small\r\nNOOP\r\n");
    // Nor is it idle.
    assert!(wire.is_silent(Duration::from_millis(1200)));
    wire.ask("ABOR", 426);
    for code in [226, 211, 257, 213, 200] {
        wire.expect(code);
    }
    let record = server.wait_for_failure("file.hash", "aborted");
    assert_eq!((record.path(), record.codes()), ("/endless", vec![426]));
}

#[test]
fn a_hash_ends_with_its_client_and_with_its_server() {
    let mut server = Server::builder().set("limits.drain-seconds", "1").set("limits.hashes-parallel", "1").start();
    server.put_large("endless", ENDLESS);
    server.put("small", b"x");
    for farewell in ["", "QUIT\r\n"] {
        let mut wire = Wire::login(&server, "alice");
        wire.send("HASH endless");
        is_under_way(&mut Wire::login(&server, "alice"));
        wire.send_raw(farewell.as_bytes());
        drop(wire);
    }
    eventually("both are recorded", || (server.records_of("file.hash").len() == 2).then_some(()));
    assert!(server.records_of("file.hash").iter().all(|record| record.detail() == "control_gone"));
    // Its place is free.
    let mut wire = Wire::login(&server, "alice");
    wire.ask("HASH small", 213);

    wire.send("HASH endless");
    is_under_way(&mut Wire::login(&server, "alice"));
    server.terminate();
    wire.expect(426);
    wire.expect(421);
    let began = Instant::now();
    assert!(server.wait().success());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    server.wait_for_failure("file.hash", "stopping");
}

#[test]
fn hashes_wait_for_their_turn_but_not_for_ever() {
    let server = Server::builder().set("limits.hashes-parallel", "1").set("limits.hash-wait-seconds", "1").start();
    server.put_large("endless", ENDLESS);
    server.put("small", b"x");
    let mut first = Wire::login(&server, "alice");
    first.send("HASH endless");
    let mut second = Wire::login(&server, "alice");
    is_under_way(&mut second);
    second.ask("HASH small", 450);
    server.wait_for_failure("file.hash", "no_turn");
    // What cannot be hashed waits for nothing.
    second.ask("HASH missing", 550);
    second.send("HASH small");
    first.ask("ABOR", 426);
    second.expect(213);
}

#[test]
fn a_hash_that_takes_too_long_is_given_up() {
    let server = Server::builder().set("limits.hash-seconds", "1").start();
    server.put_large("endless", ENDLESS);
    let mut wire = Wire::login(&server, "alice");
    assert!(wire.ask("HASH endless", 556).text().contains("RANG"));
    server.wait_for_failure("file.hash", "time_over");
    wire.ask("RANG 0 1000", 350);
    wire.ask("HASH endless", 213);
}

#[test]
fn a_file_that_shrinks_meanwhile_has_no_hash_and_the_operators_log_says_so() {
    let server = Server::running();
    server.put_large("endless", ENDLESS);
    let (mut wire, mut watcher) = (Wire::login(&server, "alice"), Wire::login(&server, "alice"));
    wire.send("HASH endless");
    is_under_way(&mut watcher);
    let file = std::fs::File::options().write(true).open(server.home("alice").join("endless")).unwrap();
    file.set_len(1).unwrap();
    wire.expect(451);
    server.wait_for_failure("file.hash", "local_error");
    eventually("the log says why", || server.log_text().contains("/endless").then_some(()));
}

#[test]
fn curl_and_lftp_ask_for_hashes() {
    let server = Server::running();
    let path = server.put("two words", &content("clients", 70_000));
    let expected = python("sha256", &path, (0, 70_000));
    let mut command = curl(&server, "alice");
    command.args(["--verbose", "--head", "--quote", "HASH two words", "--quote", "XSHA256 \"two words\" 0 70000"]);
    let ran = run(command.arg(url(&server, ""))).done();
    assert!(ran.err.contains(&format!("213 SHA-256 0-69999 {expected} two words")), "{}", ran.err);
    assert!(ran.err.contains(&format!("250 {}", expected.to_uppercase())), "{}", ran.err);
    let said =
        run(&mut lftp(&server, "alice", "quote HASH two words; quote RANG 0 9; quote HASH two words")).done().text();
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains(&format!("0-9 {}", python("sha256", &path, (0, 10)))), "{said}");
}
