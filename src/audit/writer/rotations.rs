//! The log goes on in another file: when, with what at the end of one and the beginning of the next,
//! and what is signed meanwhile.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::audit::file::FILE_NAME;
use crate::audit::head::{HEAD_NAME, SignedHead};
use crate::audit::sink::AuditLog;
use crate::audit::trial::{assert_chained, key, lines, records, settings, start_with, story, until, upload};
use crate::settings::Audit;

/// Renames in a directory as soon as it is asked to, or not at all.
#[derive(Debug)]
struct Renames(Option<PathBuf>);

impl Renamer for Renames {
    fn rename_to(&self, name: &str) {
        if let Some(directory) = &self.0 {
            fs::rename(directory.join(FILE_NAME), directory.join(name)).unwrap();
        }
    }
}

fn closed(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.to_str().unwrap().contains("/audit-0")).collect();
    found.sort();
    found
}

fn head(directory: &Path) -> SignedHead {
    serde_json::from_slice(&fs::read(directory.join(HEAD_NAME)).unwrap()).unwrap()
}

/// The whole log, which is chained.
fn whole(directory: &Path) -> Vec<Value> {
    let paths = closed(directory).into_iter().chain([directory.join(FILE_NAME)]);
    let parts: Vec<Vec<u8>> = paths.map(|path| fs::read(path).unwrap()).collect();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    assert_chained(&parts);
    lines(&parts.concat())
}

fn short(directory: &Path) -> Audit {
    let mut settings = settings(directory, AuditSync::Each);
    settings.rotation.bytes = Some(3000);
    settings
}

#[test]
fn a_long_file_is_signed_to_its_end_and_the_next_one_begins_with_where_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (log, writer) = start_with(&short(directory), Box::new(Renames(Some(directory.to_owned()))));
    for _ in 0..40 {
        log.record_blocking(upload()).unwrap();
    }
    writer.finish().unwrap();
    let files = closed(directory);
    assert!(files.len() > 3, "{files:?}");
    let mut before: Option<(String, Value)> = None;
    for file in &files {
        let found = records(file);
        assert_eq!(*file, directory.join(closed_name(found[0]["seq"].as_u64().unwrap())));
        assert_eq!(story(&found).last().unwrap(), "audit.checkpoint rotation");
        if let Some((name, last)) = before {
            assert_eq!(found[0]["metadata"]["event_code"], "audit.rotated");
            let facts = &found[0]["unmapped"];
            assert_eq!((&facts["file_before"], &facts["last_seq"]), (&Value::from(name), &last["seq"]));
            assert_eq!(facts["last_hash"], last["chain"]["hash"]);
        }
        before = Some((file.file_name().unwrap().to_str().unwrap().to_owned(), found.last().unwrap().clone()));
    }
    assert_eq!(whole(directory).iter().filter(|record| record["metadata"]["event_code"] == "file.upload").count(), 40);
}

#[test]
fn a_log_that_nobody_renames_goes_on_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let (log, writer) = start_with(&short(directory.path()), Box::new(Renames(None)));
    for _ in 0..40 {
        log.record_blocking(upload()).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!((whole(directory.path()).len(), closed(directory.path()).len()), (43, 0));
}

#[test]
fn an_old_file_is_closed_where_there_is_something_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut settings = settings(directory, AuditSync::Each);
    settings.rotation.age = Some(Duration::from_millis(200));
    let (log, writer) = start_with(&settings, Box::new(Renames(Some(directory.to_owned()))));
    std::thread::sleep(Duration::from_millis(250));
    assert!(closed(directory).is_empty(), "nothing happened yet");
    log.record_blocking(upload()).unwrap();
    until("the next file", || directory.join(FILE_NAME).exists() && closed(directory).len() == 1);
    writer.finish().unwrap();
    assert_eq!(
        story(&whole(directory)),
        [
            "audit.begun",
            "audit.checkpoint start",
            "file.upload",
            "audit.checkpoint rotation",
            "audit.rotated",
            "audit.checkpoint stop"
        ]
    );
}

#[test]
fn a_file_with_another_name_than_was_asked_for_is_one_that_somebody_took() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let (log, writer) = start_with(&short(directory.path()), Box::new(Renames(None)));
    for _ in 0..10 {
        log.record_blocking(upload()).unwrap();
    }
    fs::rename(&path, directory.path().join("elsewhere")).unwrap();
    log.record_blocking(upload()).unwrap();
    writer.finish().unwrap();
    assert_eq!(story(&records(&path))[0], "audit.gap log_replaced");
}

fn signed(log: &AuditLog, directory: &Path) {
    log.record_blocking(upload()).unwrap();
    let last = || records(&directory.join(FILE_NAME)).pop().unwrap();
    until("a checkpoint by itself", || last()["unmapped"]["reason"] == "interval");
    let last = last();
    let head_seq = last["unmapped"]["head_seq"].as_u64().unwrap();
    assert_eq!(last["seq"], head_seq + 1);
    assert_eq!(last["unmapped"]["head_hash"], last["chain"]["prev"]);
    until("its head beside the log", || head(directory).seq == head_seq);
    let head = head(directory);
    assert!(head.is_by(key(directory).public()));
    assert_eq!(last["unmapped"]["signature"], head.signature);
}

#[test]
fn the_log_is_signed_after_some_records_or_some_time_and_only_where_there_is_something_new() {
    for sync in [AuditSync::Each, AuditSync::Group] {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let mut settings = settings(directory, sync);
        settings.checkpoints.time = Duration::from_millis(50);
        let (log, writer) = start_with(&settings, Box::new(Renames(None)));
        signed(&log, directory);
        let length = || fs::metadata(directory.join(FILE_NAME)).unwrap().len();
        let before = length();
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(length(), before, "nothing new is signed twice");
        settings.checkpoints = crate::settings::Checkpoints { records: 5, time: Duration::from_hours(1) };
        log.change(&settings);
        for _ in 0..4 {
            log.record_blocking(upload()).unwrap();
        }
        assert_eq!(story(&records(&directory.join(FILE_NAME))).last().unwrap(), "file.upload");
        signed(&log, directory);
        writer.finish().unwrap();
        whole(directory);
    }
}
