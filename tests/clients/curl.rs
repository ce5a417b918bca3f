//! curl, which opens a control connection for each line it is given.

use std::fs;
use std::process::{Command, Stdio};

use super::{Ran, content, curl, run, run_with, spawn, url};
use crate::support::{PATIENCE, Server, eventually};

/// The ways of being curl that the server can tell apart: version of TLS, and how to ask for a port.
const WAYS: [&[&str]; 4] =
    [&["--tlsv1.3"], &["--tlsv1.3", "--disable-epsv"], &["--tls-max", "1.2"], &["--tls-max", "1.2", "--disable-epsv"]];

fn alice(server: &Server, way: &[&str], arguments: &[&str]) -> Ran {
    run(curl(server, "alice").args(way).args(arguments)).done()
}

#[test]
fn lists_in_every_way() {
    let server = Server::running();
    server.put("one.txt", b"1");
    server.put("dir/two.txt", b"22");
    for way in WAYS {
        let list = alice(&server, way, &[&url(&server, "")]).text();
        assert!(list.lines().any(|line| line.starts_with("-rw") && line.ends_with(" one.txt")), "{way:?}: {list}");
        assert!(list.lines().any(|line| line.starts_with("drw") && line.ends_with(" dir")), "{way:?}: {list}");
        let names = alice(&server, way, &["--list-only", &url(&server, "dir/")]).text();
        assert_eq!(names, "two.txt\n", "{way:?}");
        let facts = alice(&server, way, &["--request", "MLSD", &url(&server, "dir/")]).text();
        assert!(facts.lines().any(|line| line.contains("size=2;") && line.ends_with("; two.txt")), "{way:?}: {facts}");
    }
}

#[test]
fn moves_files_both_ways() {
    let server = Server::running();
    let source = server.scratch().join("source");
    for way in WAYS {
        for bytes in [0, 1, 70_000, 3_000_000] {
            let sent = content("moves_files_both_ways", bytes);
            fs::write(&source, &sent).unwrap();
            alice(&server, way, &["--upload-file", source.to_str().unwrap(), &url(&server, "file")]);
            assert!(server.content("file").as_ref() == Some(&sent), "{way:?}, {bytes} bytes up");
            let received = alice(&server, way, &[&url(&server, "file")]).out;
            assert!(received == sent, "{way:?}, {bytes} bytes down");
        }
    }
}

#[test]
fn names_with_spaces_and_umlauts_are_names() {
    let server = Server::running();
    for way in WAYS {
        for (name, encoded) in [
            ("two words", "two%20words"),
            ("käse & brot.txt", "k%C3%A4se%20%26%20brot.txt"),
            ("文件 😀", "%E6%96%87%E4%BB%B6%20%F0%9F%98%80"),
        ] {
            let address = url(&server, encoded);
            run_with(
                curl(&server, "alice").args(way).args(["--upload-file", "-", &address]),
                name.as_bytes(),
                PATIENCE,
            )
            .done();
            assert_eq!(server.content(name).as_deref(), Some(name.as_bytes()), "{way:?}");
            assert_eq!(alice(&server, way, &[&address]).text(), name, "{way:?}");
            let listed = alice(&server, way, &["--list-only", &url(&server, "")]).text();
            assert!(listed.lines().any(|line| line == name), "{way:?}: {listed}");
        }
    }
}

#[test]
fn makes_renames_and_removes() {
    let server = Server::running();
    for way in WAYS {
        let quote = |commands: &[&str]| {
            let quotes = commands.iter().flat_map(|command| ["--quote", command]);
            let arguments: Vec<&str> = quotes.collect();
            alice(&server, way, &[&arguments[..], &["--list-only", &url(&server, "")]].concat()).text()
        };
        server.put("a file", b"content");
        assert_eq!(quote(&["RNFR a file", "RNTO another"]), "another\n", "{way:?}");
        assert_eq!(server.content("another").as_deref(), Some(&b"content"[..]), "{way:?}");
        assert_eq!(quote(&["DELE another", "MKD dir", "MKD dir/deep"]), "dir\n", "{way:?}");
        assert!(server.home("alice").join("dir/deep").is_dir(), "{way:?}");
        assert_eq!(quote(&["RMD dir/deep", "RMD dir"]), "", "{way:?}");
        assert_eq!(server.names(), Vec::<String>::new(), "{way:?}");
    }
}

#[test]
fn makes_the_directories_an_upload_needs() {
    let server = Server::running();
    let address = url(&server, "a/b/c/file");
    run_with(curl(&server, "alice").args(["--ftp-create-dirs", "--upload-file", "-", &address]), b"deep", PATIENCE)
        .done();
    assert_eq!(server.content("a/b/c/file").as_deref(), Some(&b"deep"[..]));
}

#[test]
fn text_has_the_line_ends_of_the_wire_on_the_wire_alone() {
    let server = Server::running();
    for way in WAYS {
        let address = url(&server, "text;type=a");
        let options = ["--crlf", "--upload-file", "-", &address];
        run_with(curl(&server, "alice").args(way).args(options), b"one\ntwo\n", PATIENCE).done();
        assert_eq!(server.content("text").as_deref(), Some(&b"one\ntwo\n"[..]), "{way:?}");
        assert_eq!(alice(&server, way, &[&address]).text(), "one\ntwo\n", "{way:?}");
    }
}

#[test]
fn several_files_come_over_one_control_connection() {
    let server = Server::running();
    let scratch = server.scratch();
    for way in WAYS {
        for name in ["a", "b", "c"] {
            server.put(name, name.as_bytes());
        }
        let all = url(&server, "[a-c]");
        let into = scratch.join("#1");
        let before = server.records_of("auth.success").len();
        alice(&server, way, &["--output", into.to_str().unwrap(), &all]);
        for name in ["a", "b", "c"] {
            assert_eq!(fs::read(scratch.join(name)).unwrap(), name.as_bytes(), "{way:?}");
            fs::remove_file(scratch.join(name)).unwrap();
        }
        assert_eq!(server.records_of("auth.success").len(), before + 1, "{way:?}");
    }
}

/// Under TLS 1.3 this curl uses up its session with the first upload: it does not read the ticket
/// for the next one (docs/clients.md).
#[test]
fn several_files_go_over_one_control_connection_under_tls_1_2() {
    let server = Server::running();
    let scratch = server.scratch();
    let names: Vec<String> = (0..12).map(|number| format!("file-{number}")).collect();
    for way in WAYS.into_iter().filter(|way| way.contains(&"1.2")) {
        for name in &names {
            fs::write(scratch.join(name), content(name, 100_000)).unwrap();
        }
        let before = server.records_of("auth.success").len();
        let sources = format!("{{{}}}", names.join(","));
        let mut uploads = curl(&server, "alice");
        run(uploads.current_dir(&scratch).args(way).args(["--upload-file", &sources, &url(&server, "")])).done();
        for name in &names {
            assert!(server.content(name) == Some(content(name, 100_000)), "{way:?}: {name}");
            fs::remove_file(server.home("alice").join(name)).unwrap();
        }
        assert_eq!(server.records_of("auth.success").len(), before + 1, "{way:?}");
    }
}

/// Starts an upload and cuts it off once some of it is on its way; returns how much the server kept.
fn cut_upload(server: &Server, upload: &mut Command, incomplete_before: usize) -> u64 {
    let mut child = spawn(upload.stdout(Stdio::null()).stderr(Stdio::null()));
    let staging = server.home("alice").join(".portcullis-staging");
    eventually("the upload is on its way", || {
        let entries = fs::read_dir(&staging).ok()?;
        let sizes = entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len()));
        (sizes.max()? > 200_000).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let record = eventually("the cut is recorded", || {
        server.records_of("file.upload_incomplete").into_iter().nth(incomplete_before)
    });
    record.number("/unmapped/kept_bytes").unwrap_or_else(|| panic!("nothing was kept: {record:?}"))
}

#[test]
fn an_upload_that_was_cut_is_continued() {
    let server = Server::running();
    let sent = content("an_upload_that_was_cut_is_continued", 4_000_000);
    let source = server.scratch().join("source");
    fs::write(&source, &sent).unwrap();
    for (round, way) in WAYS.into_iter().enumerate() {
        let address = url(&server, "file");
        let upload = ["--upload-file", source.to_str().unwrap(), &address];
        let kept =
            cut_upload(&server, curl(&server, "alice").args(way).args(["--limit-rate", "1M"]).args(upload), round);
        assert!(kept > 0 && kept < 4_000_000, "{way:?}: {kept}");
        assert_eq!(server.content("file"), None, "{way:?}");
        alice(&server, way, &[&["--continue-at", "-"][..], &upload].concat());
        assert!(server.content("file").as_ref() == Some(&sent), "{way:?}: after {kept} bytes");
        let record = server.records_of("file.upload").pop().unwrap();
        assert_eq!(record.number("/traffic/bytes_in"), Some(4_000_000 - kept), "{way:?}: {record:?}");
        fs::remove_file(server.home("alice").join("file")).unwrap();
    }
}

#[test]
fn a_download_that_was_cut_is_continued() {
    let server = Server::running();
    let whole = content("a_download_that_was_cut_is_continued", 1_000_000);
    server.put("file", &whole);
    let target = server.scratch().join("target");
    for way in WAYS {
        fs::write(&target, &whole[..300_000]).unwrap();
        alice(&server, way, &["--continue-at", "-", "--output", target.to_str().unwrap(), &url(&server, "file")]);
        assert!(fs::read(&target).unwrap() == whole, "{way:?}");
        let record = server.records_of("file.download").pop().unwrap();
        assert_eq!(record.number("/traffic/bytes_out"), Some(700_000), "{way:?}: {record:?}");
    }
}

#[test]
fn a_missing_file_is_said_to_be_missing() {
    let server = Server::running();
    let ran = run(curl(&server, "alice").arg(url(&server, "no-such-file")));
    assert_eq!(ran.code, Some(78), "curl's code for a file that is not there: {}", ran.err);
}

#[test]
fn without_tls_curl_gets_nothing() {
    let server = Server::running();
    let login = format!("alice:{}", crate::support::PASSWORD);
    let ran = run(Command::new("curl").args(["--disable", "-sS", "--ipv4", "--user", &login]).arg(url(&server, "")));
    assert_eq!(ran.code, Some(67), "curl's code for a refused login: {}", ran.err);
    assert_eq!(server.records_of("auth.success").len(), 0);
}
