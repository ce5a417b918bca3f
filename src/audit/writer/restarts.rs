//! What a start makes of the log that it finds: one that was closed in order, one whose server died,
//! also between two files, one that lost its end, and one that gets another key.

use std::fs;
use std::path::Path;

use super::*;
use crate::audit::file::FILE_NAME;
use crate::audit::head::HEAD_NAME;
use crate::audit::keys::{Keys, Succession};
use crate::audit::signing::SigningKey;
use crate::audit::sink::{AuditLog, OpenError};
use crate::audit::trial::{assert_chained, key, records, sequence, settings, start, story, upload};

/// A log that was closed in order, with so many uploads.
fn stopped(directory: &Path, uploads: u32) {
    let (log, writer) = start(directory, AuditSync::Each);
    for _ in 0..uploads {
        log.record_blocking(upload()).unwrap();
    }
    writer.finish().unwrap();
}

/// The same, as a server leaves it that is killed: without its end.
fn killed(directory: &Path, uploads: u32) {
    stopped(directory, uploads);
    let path = directory.join(FILE_NAME);
    let text = fs::read_to_string(&path).unwrap();
    let kept = text.trim_end().rfind('\n').unwrap() + 1;
    fs::write(&path, &text[..kept]).unwrap();
    // Its newest head is that of the start.
    let head = records(&path).into_iter().rfind(|record| record["unmapped"]["signature"].is_string()).unwrap();
    let facts = &head["unmapped"];
    let names = [("log", "log"), ("seq", "head_seq"), ("hash", "head_hash"), ("time", "head_time"), ("key", "key")];
    let mut line = serde_json::Map::new();
    for (to, from) in names {
        line.insert(to.to_owned(), facts[from].clone());
    }
    line.insert("signature".to_owned(), facts["signature"].clone());
    fs::write(directory.join(HEAD_NAME), serde_json::Value::from(line).to_string() + "\n").unwrap();
}

fn renamed(directory: &Path) -> std::path::PathBuf {
    let to = directory.join(closed_name(1));
    fs::rename(directory.join(FILE_NAME), &to).unwrap();
    to
}

fn open_story(directory: &Path) -> Vec<String> {
    story(&records(&directory.join(FILE_NAME)))
}

#[test]
fn a_server_that_was_killed_says_so_when_it_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    killed(directory.path(), 1);
    stopped(directory.path(), 0);
    let bytes = fs::read(directory.path().join(FILE_NAME)).unwrap();
    assert_chained(&[&bytes]);
    let told = open_story(directory.path());
    assert_eq!(told[3..], ["audit.gap unclean_stop", "audit.checkpoint start", "audit.checkpoint stop"]);
}

#[test]
fn a_server_killed_after_the_renaming_signs_the_old_file_to_its_end_and_begins_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for empty_file in [false, true] {
        let directory = directory.join(empty_file.to_string());
        fs::create_dir(&directory).unwrap();
        killed(&directory, 1);
        let old = renamed(&directory);
        if empty_file {
            fs::write(directory.join(FILE_NAME), "").unwrap();
        }
        stopped(&directory, 1);
        assert_eq!(story(&records(&old))[3..], ["audit.gap unclean_stop", "audit.checkpoint rotation"]);
        let told = open_story(&directory);
        assert_eq!(told, ["audit.rotated", "audit.checkpoint start", "file.upload", "audit.checkpoint stop"]);
        assert_chained(&[&fs::read(&old).unwrap(), &fs::read(directory.join(FILE_NAME)).unwrap()]);
    }
}

#[test]
fn a_file_that_was_renamed_behind_an_earlier_checkpoint_is_signed_to_its_end_too() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    stopped(directory, 1);
    let path = directory.join(FILE_NAME);
    let text = fs::read_to_string(&path).unwrap();
    // What it ends with is the checkpoint of the start.
    let kept: String = text.split_inclusive('\n').take(2).collect();
    fs::write(&path, kept).unwrap();
    fs::remove_file(directory.join(HEAD_NAME)).unwrap();
    let old = renamed(directory);
    stopped(directory, 0);
    assert_eq!(
        story(&records(&old))[1..],
        ["audit.checkpoint start", "audit.gap unclean_stop", "audit.checkpoint rotation"]
    );
    assert_chained(&[&fs::read(&old).unwrap(), &fs::read(&path).unwrap()]);
}

#[test]
fn a_server_killed_between_the_end_of_a_file_and_the_next_one_begins_that() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    stopped(directory, 1);
    let old = renamed(directory);
    stopped(directory, 0);
    // The next after an orderly end, and then after the crash of a server that wrote only its start.
    assert_eq!(open_story(directory), ["audit.rotated", "audit.checkpoint start", "audit.checkpoint stop"]);
    let text = fs::read_to_string(directory.join(FILE_NAME)).unwrap();
    let first = text.find('\n').unwrap() + 1;
    fs::write(directory.join(FILE_NAME), &text[..first]).unwrap();
    fs::remove_file(directory.join(HEAD_NAME)).unwrap();
    stopped(directory, 0);
    let told = open_story(directory);
    assert_eq!(told, ["audit.rotated", "audit.gap unclean_stop", "audit.checkpoint start", "audit.checkpoint stop"]);
    assert_chained(&[&fs::read(&old).unwrap(), &fs::read(directory.join(FILE_NAME)).unwrap()]);
}

#[test]
fn a_log_that_lost_records_that_were_signed_says_which_and_does_not_use_their_numbers_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    stopped(directory.path(), 5);
    let text = fs::read_to_string(&path).unwrap();
    let kept: String = text.split_inclusive('\n').take(4).collect();
    fs::write(&path, kept).unwrap();
    stopped(directory.path(), 0);
    let found = records(&path);
    assert_eq!(sequence(&found), [1, 2, 3, 4, 9, 10, 11]);
    assert_eq!(story(&found)[4], "audit.gap log_truncated");
    assert_eq!((&found[4]["unmapped"]["last_seq"], &found[4]["unmapped"]["head_seq"]), (&4.into(), &7.into()));
}

#[test]
fn a_log_that_is_gone_is_begun_anew_and_the_head_beside_it_tells_of_it() {
    let directory = tempfile::tempdir().unwrap();
    stopped(directory.path(), 1);
    fs::remove_file(directory.path().join(FILE_NAME)).unwrap();
    stopped(directory.path(), 0);
    assert_eq!(open_story(directory.path())[..2], ["audit.begun", "audit.gap log_replaced"]);
}

#[test]
fn a_head_that_is_torn_missing_or_signed_by_a_stranger_is_no_alarm() {
    for head in [Some("{\"log\":\"01"), Some("\0\0\0"), None] {
        let directory = tempfile::tempdir().unwrap();
        stopped(directory.path(), 1);
        match head {
            Some(text) => fs::write(directory.path().join(HEAD_NAME), text).unwrap(),
            None => fs::remove_file(directory.path().join(HEAD_NAME)).unwrap(),
        }
        stopped(directory.path(), 0);
        assert!(!open_story(directory.path()).iter().any(|told| told.starts_with("audit.gap")));
    }
    let directory = tempfile::tempdir().unwrap();
    stopped(directory.path(), 1);
    let log = records(&directory.path().join(FILE_NAME))[0]["unmapped"]["log"].as_str().unwrap().to_owned();
    let head = crate::audit::head::Head { log, seq: 99, hash: crate::audit::chain::ChainHash::NONE, time: now() };
    let forged = serde_json::to_string(&head.signed(&SigningKey::generate().unwrap())).unwrap();
    fs::write(directory.path().join(HEAD_NAME), forged).unwrap();
    stopped(directory.path(), 0);
    assert!(!open_story(directory.path()).iter().any(|told| told.starts_with("audit.gap")));
}

fn start_with_key(directory: &Path, keys: Keys) {
    let found = AuditLog::open(&settings(directory, AuditSync::Each)).unwrap();
    found.sign_with(keys).unwrap().start(None).unwrap().1.finish().unwrap();
}

#[test]
fn another_key_is_recorded_with_what_its_predecessors_signed_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    stopped(directory.path(), 0);
    let log = records(&path)[0]["unmapped"]["log"].as_str().unwrap().to_owned();
    let (first, second, third) =
        (key(directory.path()), SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let successions =
        vec![Succession::sign(&log, &first, second.public()), Succession::sign(&log, &second, third.public())];
    let third_id = third.public().id();
    start_with_key(directory.path(), Keys { key: third, successions: successions.clone() });
    let found = records(&path);
    assert_eq!(story(&found)[3..6], ["audit.key_changed", "audit.key_changed", "audit.checkpoint key_change"]);
    assert_eq!(found[3]["unmapped"]["key_before"], first.public().id());
    assert_eq!(found[3]["unmapped"]["succession"], successions[0].signature);
    assert_eq!(found[4]["unmapped"]["key"], third_id);
    assert_eq!(found[5]["unmapped"]["key"], third_id);

    start_with_key(directory.path(), Keys { key: SigningKey::generate().unwrap(), successions });
    let told = open_story(directory.path());
    assert_eq!(told[7..9], ["audit.key_changed unproven", "audit.checkpoint key_change"]);
    let bytes = fs::read(&path).unwrap();
    assert_chained(&[&bytes]);
}

#[test]
fn a_log_that_does_not_say_which_one_it_is_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let mut line = b"{\"seq\":1}".to_vec();
    crate::audit::chain::seal(&mut line, 0, crate::audit::chain::ChainHash::NONE);
    line.push(b'\n');
    fs::write(&path, &line).unwrap();
    let opened = crate::audit::trial::open(&settings(directory.path(), AuditSync::Each));
    assert!(matches!(opened, Err(OpenError::Unchained(_))));
    assert_eq!(fs::read(&path).unwrap(), line);
}
