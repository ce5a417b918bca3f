//! What somebody does to the files of a log that the real server wrote, over several files and to its
//! end, is found where it was done.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use portcullis::audit::chain::{ChainHash, Sealed, seal};
use serde_json::Value;

use crate::audit_verify::{assert_as_written, directory, is_closed, kinds, public_key, verdict};
use crate::support::{Record, Server, Wire, eventually};

/// A server that wrote at least four files and was stopped in order.
fn written() -> Server {
    let mut server = Server::builder().policy("audit.rotate-bytes", "20000").start();
    let log = directory(&server);
    let mut wire = Wire::login(&server, "alice");
    let mut number = 0;
    eventually("three closed files, and two that are compressed", || {
        number += 1;
        wire.ask(&format!("MKD f{number}"), 257);
        let closed: Vec<PathBuf> = files(&log).into_iter().filter(|path| is_closed(path)).collect();
        let compressed = closed.iter().filter(|path| is_compressed(path)).count();
        (closed.len() >= 3 && compressed >= 2).then_some(())
    });
    wire.ask("QUIT", 221);
    wire.ended();
    assert!(server.stop().success());
    let said = assert_as_written(&server, &log, false);
    assert!(said["files"].as_array().unwrap().len() >= 4 && said["first"]["seq"] == 1, "{said:#}");
    server
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// The files of the log, oldest first.
fn files(log: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = paths.filter(|path| is_closed(path) || path.ends_with("audit.jsonl")).collect();
    found.sort();
    found
}

/// A copy of the log, for one deed.
struct Copy {
    directory: PathBuf,
    files: Vec<PathBuf>,
}

impl Copy {
    fn of(server: &Server, name: &str) -> Self {
        let directory = server.scratch().join(name);
        fs::create_dir(&directory).unwrap();
        for entry in fs::read_dir(self::directory(server)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, directory.join(path.file_name().unwrap())).unwrap();
        }
        Self { files: files(&directory), directory }
    }

    fn lines(&self, file: usize) -> Vec<String> {
        let bytes = fs::read(&self.files[file]).unwrap();
        let mut text = String::new();
        if is_compressed(&self.files[file]) {
            GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(bytes).unwrap();
        }
        text.lines().map(str::to_owned).collect()
    }

    fn put(&self, file: usize, lines: &[String]) {
        let text = lines.join("\n") + "\n";
        if is_compressed(&self.files[file]) {
            let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
            zip.write_all(text.as_bytes()).unwrap();
            fs::write(&self.files[file], zip.finish().unwrap()).unwrap();
        } else {
            fs::write(&self.files[file], text).unwrap();
        }
    }

    /// Changes the lines of a file.
    fn change(&self, file: usize, change: impl FnOnce(&mut Vec<String>)) {
        let mut lines = self.lines(file);
        change(&mut lines);
        self.put(file, &lines);
    }

    /// Makes all hashes anew from the first changed record on, as anybody can.
    fn hash_anew(&self, repair: impl Fn(&str, ChainHash) -> String) {
        let mut prev = ChainHash::NONE;
        for file in 0..self.files.len() {
            let anew = |line: &String| {
                let body = std::str::from_utf8(Sealed::parse(line.as_bytes()).unwrap().body).unwrap();
                let mut made = (repair(body, prev) + "}").into_bytes();
                prev = seal(&mut made, 0, prev);
                String::from_utf8(made).unwrap()
            };
            let lines: Vec<String> = self.lines(file).iter().map(anew).collect();
            self.put(file, &lines);
        }
    }

    /// What verification says to it, with the public key alone.
    fn said(&self, server: &Server, arguments: &[&str]) -> (i32, Value) {
        let key = public_key(server);
        verdict(server, &[&["--log", self.directory.to_str().unwrap(), "--public-key", &key], arguments].concat())
    }

    /// Verification finds this first, at this line of this file.
    #[track_caller]
    fn assert_found(&self, server: &Server, code: i32, kind: &str, (file, line): (usize, Option<usize>)) {
        let (said_code, said) = self.said(server, &[]);
        let found = &said["findings"][0];
        let place = (found["file"].as_str().unwrap(), found["line"].as_u64());
        assert_eq!((said_code, found["kind"].as_str().unwrap()), (code, kind), "{said:#}");
        assert_eq!(place, (self.files[file].to_str().unwrap(), line.map(|line| line as u64)), "{said:#}");
    }
}

fn seq(line: &str) -> u64 {
    Record::parse(line).seq()
}

#[test]
fn each_deed_is_found_in_the_file_and_line_where_it_was_done() {
    let server = written();
    for file in 0..3 {
        let byte = Copy::of(&server, &format!("byte{file}"));
        byte.change(file, |lines| lines[4] = lines[4].replacen("\"time\":1", "\"time\":2", 1));
        byte.assert_found(&server, 4, "edited", (file, Some(5)));

        let removed = Copy::of(&server, &format!("removed{file}"));
        removed.change(file, |lines| drop(lines.remove(4)));
        removed.assert_found(&server, 4, "deleted", (file, Some(5)));

        let swapped = Copy::of(&server, &format!("swapped{file}"));
        swapped.change(file, |lines| lines.swap(4, 5));
        swapped.assert_found(&server, 4, "reordered", (file, Some(5)));
    }
    for file in 0..3 {
        let missing = Copy::of(&server, &format!("missing{file}"));
        let first = seq(&missing.lines(file)[0]);
        fs::remove_file(&missing.files[file]).unwrap();
        missing.assert_found(&server, 4, "missing_file", (file + 1, Some(1)));
        assert_eq!(missing.said(&server, &[]).1["findings"][0]["first_seq"], Value::from(first));
    }
}

#[test]
fn a_record_that_was_hashed_anew_without_the_key_is_found() {
    let server = written();
    let change = |line: &str| line.replacen("\"user\":{\"name\":\"alice\"", "\"user\":{\"name\":\"mallo\"", 1);
    let at = |lines: &[String]| lines.iter().position(|line| change(line) != *line).unwrap();

    let alone = Copy::of(&server, "alone");
    let line = at(&alone.lines(1));
    alone.change(1, |lines| {
        let changed = change(&lines[line]);
        let sealed = Sealed::parse(changed.as_bytes()).unwrap();
        let mut made = [sealed.body, b"}"].concat();
        seal(&mut made, 0, sealed.prev);
        lines[line] = String::from_utf8(made).unwrap();
    });
    alone.assert_found(&server, 4, "rehashed", (1, Some(line + 1)));

    // With all that follow: the next checkpoint, which closes the file, was signed for other records.
    let all = Copy::of(&server, "all");
    all.change(1, |lines| lines[line] = change(&lines[line]));
    all.hash_anew(|body, _| body.to_owned());
    all.assert_found(&server, 4, "not_as_signed", (1, Some(all.lines(1).len())));

    // And with checkpoints that say what is there: nobody signed that.
    let checkpoints = Copy::of(&server, "checkpoints");
    checkpoints.change(1, |lines| lines[line] = change(&lines[line]));
    checkpoints.hash_anew(|body, prev| {
        let Some((before, rest)) = body.split_once("\"head_hash\":\"") else { return body.to_owned() };
        format!("{before}\"head_hash\":\"{prev}{}", &rest[43..])
    });
    checkpoints.assert_found(&server, 5, "bad_signature", (1, Some(checkpoints.lines(1).len())));
}

#[test]
fn a_tail_that_was_cut_is_found_by_the_head_beside_the_log_or_a_witness_elsewhere() {
    let server = written();
    let head = server.command().args(["audit", "head", "--json"]).output().unwrap().stdout;
    let witness = server.scratch().join("witness");
    fs::write(&witness, head).unwrap();
    let witness = ["--witness", witness.to_str().unwrap()];

    let cut = Copy::of(&server, "cut");
    let open = cut.files.len() - 1;
    cut.change(open, |lines| lines.truncate(2));
    cut.assert_found(&server, 6, "truncated", (open, Some(2)));

    // Whoever cuts the log takes the head beside it along, and whole files.
    fs::remove_file(cut.directory.join("audit.head")).unwrap();
    let (code, said) = cut.said(&server, &[]);
    assert_eq!((code, kinds(&said)), (3, vec!["not_closed".to_owned()]), "{said:#}");
    let (code, said) = cut.said(&server, &witness);
    assert_eq!((code, kinds(&said)), (6, vec!["truncated".to_owned()]), "{said:#}");
    fs::remove_file(&cut.files[open]).unwrap();
    let (code, said) = cut.said(&server, &[]);
    assert_eq!((code, kinds(&said)), (4, vec!["missing_file".to_owned()]), "{said:#}");
}

#[test]
fn a_log_that_was_put_in_the_place_of_another_is_not_proven() {
    let mut server = written();
    for path in files(&directory(&server)) {
        fs::remove_file(path).unwrap();
    }
    server.start();
    assert!(server.stop().success());
    let (code, said) = verdict(&server, &["--public-key", &public_key(&server)]);
    assert_eq!((code, kinds(&said)), (4, vec!["replaced".to_owned()]), "{said:#}");
}

#[test]
fn a_log_that_is_taken_from_the_running_server_is_not_proven() {
    let mut server = Server::running();
    Wire::login(&server, "alice");
    fs::rename(server.audit_file(), server.scratch().join("taken")).unwrap();
    Wire::login(&server, "alice");
    assert!(server.stop().success());
    let (code, said) = verdict(&server, &["--public-key", &public_key(&server)]);
    assert_eq!((code, kinds(&said)), (4, vec!["deleted".to_owned()]), "{said:#}");
    assert_eq!(said["findings"][0]["first_seq"], 1);
}
