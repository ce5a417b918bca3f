//! Logs as the server writes them, made for tests.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::audit::chain::ChainHash;
use crate::audit::event::Event;
use crate::audit::file::FILE_NAME;
use crate::audit::head::{Head, SignedHead, succession};
use crate::audit::json::{Stamp, append_line};
use crate::audit::record::{Detail, FileFacts, Record};
use crate::audit::rotation::{COMPRESSED, closed_name};
use crate::audit::signing::SigningKey;

/// Writes a log into memory, file by file.
pub(crate) struct Made {
    pub(crate) key: SigningKey,
    pub(crate) log: String,
    /// The files that were closed: the number of the first record, and the lines.
    pub(crate) closed: Vec<(u64, Vec<u8>)>,
    /// The lines of the open one.
    pub(crate) open: Vec<u8>,
    first_seq: u64,
    pub(crate) seq: u64,
    pub(crate) hash: ChainHash,
    pub(crate) time: Timestamp,
    /// The newest head that was signed.
    pub(crate) head: Option<SignedHead>,
    /// Whether the next record was late.
    pub(crate) late: bool,
}

impl Made {
    /// A log that has begun, with its first checkpoint.
    pub(crate) fn begun(key: SigningKey) -> Self {
        let time: Timestamp = "2026-11-22T06:00:00Z".parse().unwrap();
        let log = "01K8ZZZZZZZZZZZZZZZZZZZZZZ".to_owned();
        let mut made = Self {
            key,
            log,
            closed: Vec::new(),
            open: Vec::new(),
            first_seq: 1,
            seq: 0,
            hash: ChainHash::NONE,
            time,
            head: None,
            late: false,
        };
        let public = made.key.public();
        let begun = Record::new(Event::AuditBegun).with("log", Detail::Text(made.log.clone()));
        made.put(&begun.with("key", text(&public.id())).with("public_key", text(&public.to_base64())));
        made.checkpoint("start");
        made
    }

    /// Writes a record a little later than the one before.
    pub(crate) fn put(&mut self, record: &Record) {
        self.time += SignedDuration::from_millis(20);
        self.seq += 1;
        let uid = format!("{:026}", self.seq);
        let stamp = Stamp { seq: self.seq, time: self.time, uid: &uid, late: self.late };
        self.hash = append_line(&mut self.open, &stamp, record, self.hash).unwrap();
    }

    /// So many records of an ordinary day.
    pub(crate) fn work(&mut self, records: u64) {
        for number in 0..records {
            let mut record = Record::new(if number % 3 == 0 { Event::FileDownload } else { Event::FileUpload });
            record.user = Some("alice".into());
            record.file = Some(FileFacts {
                path: format!("/in/{number}.csv"),
                directory: false,
                size: Some(number),
                digest: None,
                renamed_to: None,
            });
            self.put(&record);
        }
    }

    /// Signs what was written.
    pub(crate) fn checkpoint(&mut self, reason: &str) {
        let head = Head { log: self.log.clone(), seq: self.seq, hash: self.hash, time: self.time };
        let signed = head.signed(&self.key);
        let record = Record::new(Event::AuditCheckpoint)
            .with("log", text(&self.log))
            .with("head_seq", Detail::Number(signed.seq))
            .with("head_hash", text(&signed.hash))
            .with("head_time", text(&signed.time))
            .with("reason", text(reason))
            .with("key", text(&signed.key))
            .with("signature", text(&signed.signature));
        self.put(&record);
        self.head = Some(signed);
    }

    /// Closes the file and begins another.
    pub(crate) fn rotate(&mut self) {
        self.checkpoint("rotation");
        self.closed.push((self.first_seq, std::mem::take(&mut self.open)));
        let record = Record::new(Event::AuditRotated)
            .with("log", text(&self.log))
            .with("file_before", text(&closed_name(self.first_seq)))
            .with("last_seq", Detail::Number(self.seq))
            .with("last_hash", text(&self.hash.to_string()))
            .with("key", text(&self.key.public().id()));
        self.first_seq = self.seq + 1;
        self.put(&record);
    }

    /// Goes on with another key; the one before agrees to it or not.
    pub(crate) fn change_key(&mut self, next: SigningKey, agreed: bool) {
        let public = next.public();
        let mut record = Record::new(Event::AuditKeyChanged)
            .with("log", text(&self.log))
            .with("key_before", text(&self.key.public().id()))
            .with("key", text(&public.id()))
            .with("public_key", text(&public.to_base64()));
        if agreed {
            record = record.with("succession", text(&self.key.sign(&succession(&self.log, public))));
        } else {
            record = record.failed("unproven");
        }
        self.put(&record);
        self.key = next;
        self.checkpoint("key_change");
    }

    /// Takes the oldest closed file away, as retention does.
    pub(crate) fn prune(&mut self) {
        let (first_seq, lines) = self.closed.remove(0);
        let last = lines.strip_suffix(b"\n").unwrap();
        let last = &last[last.iter().rposition(|byte| *byte == b'\n').unwrap() + 1..];
        let sealed = crate::audit::chain::Sealed::parse(last).unwrap();
        let last_seq = self.closed.first().map_or(self.first_seq, |(first, _)| *first) - 1;
        let record = Record::new(Event::AuditPruned)
            .with("file", text(&closed_name(first_seq)))
            .with("first_seq", Detail::Number(first_seq))
            .with("last_seq", Detail::Number(last_seq))
            .with("last_hash", text(&sealed.hash.to_string()))
            .with("reason", text("age"));
        self.put(&record);
    }

    /// What a server says that finds that it was not stopped in order.
    pub(crate) fn restart_after_a_crash(&mut self, reason: &'static str) {
        self.put(&Record::new(Event::AuditGap).failed(reason));
        self.checkpoint("start");
    }

    /// Writes the files; every second closed one is compressed if asked for.
    pub(crate) fn write(&self, directory: &Path, compressed: bool) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for (index, (first_seq, lines)) in self.closed.iter().enumerate() {
            let name = closed_name(*first_seq);
            if compressed && index % 2 == 0 {
                let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                zip.write_all(lines).unwrap();
                paths.push(directory.join(name + COMPRESSED));
                std::fs::write(paths.last().unwrap(), zip.finish().unwrap()).unwrap();
            } else {
                paths.push(directory.join(name));
                std::fs::write(paths.last().unwrap(), lines).unwrap();
            }
        }
        paths.push(directory.join(FILE_NAME));
        std::fs::write(paths.last().unwrap(), &self.open).unwrap();
        paths
    }
}

fn text(text: &str) -> Detail {
    Detail::Text(text.to_owned())
}
