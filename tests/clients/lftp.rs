//! lftp, which keeps its control connection and sends commands ahead of their replies.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use super::{Ran, content, lftp, run, run_with, spawn};
use crate::support::{Server, eventually};

/// The ways of being lftp that the server can tell apart: version of TLS, and how to ask for a port.
const WAYS: [&str; 4] = [
    "set ftp:prefer-epsv true;",
    "set ftp:prefer-epsv false;",
    "set ssl:priority NORMAL:-VERS-TLS1.3; set ftp:prefer-epsv true;",
    "set ssl:priority NORMAL:-VERS-TLS1.3; set ftp:prefer-epsv false;",
];

fn alice(server: &Server, way: &str, commands: &str) -> Ran {
    run(&mut lftp(server, "alice", &format!("{way} {commands}"))).done()
}

#[test]
fn lists_in_every_way() {
    let server = Server::running();
    server.put("one.txt", b"1");
    server.put("dir/two.txt", b"22");
    for way in WAYS {
        let list = alice(&server, way, "ls").text();
        assert!(list.lines().any(|line| line.starts_with("-rw") && line.ends_with(" one.txt")), "{way}: {list}");
        assert!(list.lines().any(|line| line.starts_with("drw") && line.ends_with(" dir")), "{way}: {list}");
        assert_eq!(alice(&server, way, "nlist dir").text(), "dir/two.txt\n", "{way}");
        for mlsd in ["true", "false"] {
            let found = alice(&server, way, &format!("set ftp:use-mlsd {mlsd}; find .")).text();
            assert_eq!(found, "./\n./dir/\n./dir/two.txt\n./one.txt\n", "{way} MLSD {mlsd}");
        }
    }
}

#[test]
fn moves_files_both_ways() {
    let server = Server::running();
    let scratch = server.scratch();
    let (source, target) = (scratch.join("source"), scratch.join("target"));
    for way in WAYS {
        for bytes in [0, 1, 70_000, 3_000_000] {
            let sent = content("moves_files_both_ways", bytes);
            fs::write(&source, &sent).unwrap();
            let commands = format!("put {} -o file; get file -o {}", source.display(), target.display());
            alice(&server, way, &format!("set xfer:clobber true; {commands}"));
            assert!(server.content("file").as_ref() == Some(&sent), "{way}, {bytes} bytes up");
            assert!(fs::read(&target).unwrap() == sent, "{way}, {bytes} bytes down");
        }
    }
}

#[test]
fn an_upload_keeps_the_time_of_the_file() {
    let server = Server::running();
    let source = server.scratch().join("source");
    fs::write(&source, "old").unwrap();
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    fs::File::options().append(true).open(&source).unwrap().set_modified(time).unwrap();
    alice(&server, WAYS[0], &format!("put {} -o file", source.display()));
    let kept = eventually("MFMT is carried out", || {
        let modified = fs::metadata(server.home("alice").join("file")).unwrap().modified().unwrap();
        (modified == time).then_some(modified)
    });
    assert_eq!(kept, time);
}

#[test]
fn names_with_spaces_and_umlauts_are_names() {
    let server = Server::running();
    let source = server.scratch().join("source");
    for way in WAYS {
        for name in ["two words", "käse & brot.txt", "文件 😀", "semi;colon", "-l"] {
            fs::write(&source, name).unwrap();
            let commands = format!("put {} -o \"./{name}\"; cat \"./{name}\"", source.display());
            assert_eq!(alice(&server, way, &commands).text(), name, "{way}");
            assert_eq!(server.content(name).as_deref(), Some(name.as_bytes()), "{way}");
        }
        let listed = alice(&server, way, "set ftp:use-mlsd true; cls -1").text();
        assert!(listed.lines().any(|line| line == "文件 😀"), "{way}: {listed}");
    }
}

#[test]
fn makes_renames_and_removes() {
    let server = Server::running();
    for way in WAYS {
        server.put("a file", b"content");
        alice(&server, way, "mv \"a file\" another; mkdir -p dir/deep; mv another dir/deep/");
        assert_eq!(server.content("dir/deep/another").as_deref(), Some(&b"content"[..]), "{way}");
        alice(&server, way, "rm dir/deep/another; rmdir dir/deep dir");
        assert_eq!(server.names(), Vec::<String>::new(), "{way}");
        server.put("tree/a/b", b"");
        server.put("tree/c", b"");
        alice(&server, way, "rm -r tree");
        assert_eq!(server.names(), Vec::<String>::new(), "{way}");
    }
}

#[test]
fn text_has_the_line_ends_of_the_wire_on_the_wire_alone() {
    let server = Server::running();
    let scratch = server.scratch();
    let (source, target) = (scratch.join("source"), scratch.join("target"));
    fs::write(&source, "one\ntwo\n").unwrap();
    for way in WAYS {
        let _ = fs::remove_file(&target);
        alice(&server, way, &format!("put -a {} -o text; get -a text -o {}", source.display(), target.display()));
        assert_eq!(server.content("text").as_deref(), Some(&b"one\ntwo\n"[..]), "{way}");
        assert_eq!(fs::read(&target).unwrap(), b"one\ntwo\n", "{way}");
    }
}

#[test]
fn an_upload_that_was_cut_is_continued() {
    let server = Server::running();
    let sent = content("an_upload_that_was_cut_is_continued", 4_000_000);
    let source = server.scratch().join("source");
    fs::write(&source, &sent).unwrap();
    for (round, way) in WAYS.into_iter().enumerate() {
        let upload = format!("put {} -o file", source.display());
        let slowly = format!("{way} set net:limit-rate 1000000; {upload}");
        let mut child =
            spawn(lftp(&server, "alice", &slowly).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let staging = server.home("alice").join(".portcullis-staging");
        eventually("the upload is on its way", || {
            let entries = fs::read_dir(&staging).ok()?;
            let sizes = entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len()));
            (sizes.max()? > 200_000).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let record =
            eventually("the cut is recorded", || server.records_of("file.upload_incomplete").into_iter().nth(round));
        let kept = record.number("/unmapped/kept_bytes").unwrap_or_else(|| panic!("nothing was kept: {record:?}"));
        alice(&server, way, &format!("put -c {} -o file", source.display()));
        assert!(server.content("file").as_ref() == Some(&sent), "{way}: after {kept} bytes");
        let record = server.records_of("file.upload").pop().unwrap();
        assert_eq!(record.number("/traffic/bytes_in"), Some(4_000_000 - kept), "{way}: {record:?}");
        alice(&server, way, "rm file");
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
        alice(&server, way, &format!("reget file -o {}", target.display()));
        assert!(fs::read(&target).unwrap() == whole, "{way}");
        let record = server.records_of("file.download").pop().unwrap();
        assert_eq!(record.number("/traffic/bytes_out"), Some(700_000), "{way}: {record:?}");
    }
}

#[test]
fn hundreds_of_transfers_go_over_one_control_connection() {
    let server = Server::running();
    let scratch = server.scratch().join("many");
    fs::create_dir_all(&scratch).unwrap();
    for number in 0..300 {
        fs::write(scratch.join(format!("file-{number}")), format!("content {number}")).unwrap();
    }
    let commands = format!("mput {}/file-*; mget -O {} file-*", scratch.display(), server.scratch().display());
    run_with(&mut lftp(&server, "alice", &commands), b"", Duration::from_mins(2)).done();
    for number in 0..300 {
        let received = fs::read_to_string(server.scratch().join(format!("file-{number}"))).unwrap();
        assert_eq!(received, format!("content {number}"));
    }
    let (uploads, downloads) = (server.records_of("file.upload"), server.records_of("file.download"));
    let sessions: BTreeSet<_> = uploads.iter().chain(&downloads).map(|record| record.session().unwrap()).collect();
    assert_eq!(sessions.len(), 1, "one control connection served all");
    for records in [uploads, downloads] {
        let mut durations: Vec<u64> = records.iter().map(|record| record.number("/duration").unwrap()).collect();
        durations.sort_unstable();
        assert!(durations[150] < 30, "delayed acknowledgements, of 40 ms, slow it down: {durations:?} ms");
    }
}
