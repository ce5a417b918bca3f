//! A log as tests write and read it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::event::Event;
use super::keys::Keys;
use super::record::Record;
use super::rotation::Renamer;
use super::signing::SigningKey;
use super::sink::{AuditLog, AuditWriter, OpenError, OpenedLog};
use crate::settings::{Audit, AuditSync, Checkpoints, Rotation};

/// The settings of a log that is neither signed nor closed by itself.
pub(super) fn settings(directory: &Path, sync: AuditSync) -> Audit {
    Audit {
        directory: directory.to_owned(),
        sync,
        signing_key: None,
        checkpoints: Checkpoints { records: u64::MAX, time: Duration::from_hours(24) },
        rotation: Rotation { bytes: None, age: None },
    }
}

/// The key of a directory, made where there is none.
pub(super) fn key(directory: &Path) -> SigningKey {
    let path = directory.join("key.pem");
    if !path.exists() {
        fs::create_dir_all(directory).unwrap();
        fs::write(&path, SigningKey::generate().unwrap().to_pem().unwrap().as_bytes()).unwrap();
    }
    SigningKey::from_pem(&fs::read(path).unwrap()).unwrap()
}

pub(super) fn keys(directory: &Path) -> Keys {
    Keys { key: key(directory), successions: Vec::new() }
}

/// Opens the log of a directory with the key in it.
pub(super) fn open(settings: &Audit) -> Result<OpenedLog, OpenError> {
    AuditLog::open(settings)?.sign_with(keys(&settings.directory))
}

pub(crate) fn start(directory: &Path, sync: AuditSync) -> (AuditLog, AuditWriter) {
    open(&settings(directory, sync)).unwrap().start(None).unwrap()
}

/// Starts with somebody who renames files.
pub(super) fn start_with(settings: &Audit, renamer: Box<dyn Renamer>) -> (AuditLog, AuditWriter) {
    open(settings).unwrap().start(Some(renamer)).unwrap()
}

pub(super) fn lines(bytes: &[u8]) -> Vec<Value> {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
    std::str::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(super) fn records(path: &Path) -> Vec<Value> {
    lines(&fs::read(path).unwrap())
}

pub(super) fn sequence(records: &[Value]) -> Vec<u64> {
    records.iter().map(|record| record["seq"].as_u64().unwrap()).collect()
}

/// The events, with the reason of a failure or of a checkpoint behind some.
pub(super) fn story(records: &[Value]) -> Vec<String> {
    let word = |record: &Value| {
        let code = record["metadata"]["event_code"].as_str().unwrap();
        let why = record["status_detail"].as_str().or_else(|| record["unmapped"]["reason"].as_str());
        why.map_or_else(|| code.to_owned(), |why| format!("{code} {why}"))
    };
    records.iter().map(word).collect()
}

/// Whether each record holds the hash of the one before, its own, and the next number.
pub(super) fn assert_chained(parts: &[&[u8]]) {
    use super::chain::{ChainHash, Sealed};
    let (mut prev, mut seq) = (ChainHash::NONE, 0);
    for line in parts.concat().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let sealed = Sealed::parse(line).unwrap();
        assert!(sealed.is_whole() && sealed.prev == prev, "{}", String::from_utf8_lossy(line));
        prev = sealed.hash;
        seq += 1;
        assert!(line.starts_with(format!("{{\"seq\":{seq},").as_bytes()), "{}", String::from_utf8_lossy(line));
    }
}

pub(super) fn upload() -> Record {
    Record::new(Event::FileUpload)
}

pub(super) fn until(what: &str, reached: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !reached() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
