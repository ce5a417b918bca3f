//! Writes records as the server does: chained, with signed checkpoints, in files that follow each other.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use portcullis::audit::chain::ChainHash;
use portcullis::audit::event::Event;
use portcullis::audit::file::FILE_NAME;
use portcullis::audit::head::{HEAD_NAME, Head, SignedHead};
use portcullis::audit::json::{Stamp, append_line};
use portcullis::audit::record::{Detail, Record};
use portcullis::audit::rotation::closed_name;
use portcullis::audit::signing::SigningKey;

use super::Plan;

/// Records between two checkpoints.
const CHECKPOINT_RECORDS: u64 = 1_000;

/// The log as it is written.
pub(super) struct MadeLog {
    directory: PathBuf,
    plan: Plan,
    key: SigningKey,
    /// Its ULID.
    log: String,
    file: BufWriter<File>,
    seq: u64,
    prev: ChainHash,
    /// The number of the first record of the open file.
    file_first: u64,
    since_checkpoint: u64,
    time: i64,
    line: Vec<u8>,
    head: Option<SignedHead>,
}

impl MadeLog {
    pub(super) fn begin(directory: &Path, plan: &Plan, time: i64) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let key = SigningKey::generate().unwrap();
        std::fs::write(directory.join("signing.pub"), key.public().to_pem()).unwrap();
        let mut made = Self {
            directory: directory.to_owned(),
            plan: *plan,
            log: ulid(time, plan.seed, 0),
            file: BufWriter::new(File::create(directory.join(FILE_NAME)).unwrap()),
            key,
            seq: 0,
            prev: ChainHash::NONE,
            file_first: 1,
            since_checkpoint: 0,
            time,
            line: Vec::new(),
            head: None,
        };
        let begun = Record::new(Event::AuditBegun)
            .with("log", text(&made.log))
            .with("key", text(made.key.public().id()))
            .with("public_key", text(made.key.public().to_base64()));
        made.write(&begun);
        made.checkpoint("start");
        made
    }

    /// How many records there are.
    pub(super) fn records(&self) -> u64 {
        self.seq
    }

    pub(super) fn append(&mut self, time: i64, record: &Record) {
        self.time = self.time.max(time);
        self.write(record);
        self.since_checkpoint += 1;
        if self.seq - self.file_first >= self.plan.file_records {
            self.rotate();
        } else if self.since_checkpoint >= CHECKPOINT_RECORDS {
            self.checkpoint("interval");
        }
    }

    /// Ends the log in order; how many records it has, and the time of the last one.
    pub(super) fn stop(mut self) -> (u64, i64) {
        self.write(&Record::new(Event::ServiceStop));
        self.checkpoint("stop");
        self.file.flush().unwrap();
        let head = serde_json::to_string(&self.head.unwrap()).unwrap();
        std::fs::write(self.directory.join(HEAD_NAME), format!("{head}\n")).unwrap();
        (self.seq, self.time)
    }

    fn write(&mut self, record: &Record) {
        self.seq += 1;
        let uid = ulid(self.time, self.plan.seed, self.seq);
        let time = Timestamp::from_millisecond(self.time).unwrap();
        let stamp = Stamp { seq: self.seq, time, uid: &uid, late: false };
        self.line.clear();
        self.prev = append_line(&mut self.line, &stamp, record, self.prev).unwrap();
        self.file.write_all(&self.line).unwrap();
    }

    fn checkpoint(&mut self, reason: &str) {
        let time = Timestamp::from_millisecond(self.time).unwrap();
        let head = Head { log: self.log.clone(), seq: self.seq, hash: self.prev, time }.signed(&self.key);
        let record = Record::new(Event::AuditCheckpoint)
            .with("log", text(&head.log))
            .with("head_seq", Detail::Number(head.seq))
            .with("head_hash", text(&head.hash))
            .with("head_time", text(&head.time))
            .with("reason", text(reason))
            .with("key", text(&head.key))
            .with("signature", text(&head.signature));
        self.write(&record);
        self.since_checkpoint = 0;
        self.head = Some(head);
    }

    fn rotate(&mut self) {
        self.checkpoint("rotation");
        self.file.flush().unwrap();
        let name = closed_name(self.file_first);
        let (open, closed) = (self.directory.join(FILE_NAME), self.directory.join(&name));
        std::fs::rename(&open, &closed).unwrap();
        if self.plan.compress {
            let zipped = File::create(self.directory.join(format!("{name}.gz"))).unwrap();
            let mut zip = GzEncoder::new(zipped, Compression::fast());
            std::io::copy(&mut File::open(&closed).unwrap(), &mut zip).unwrap();
            zip.finish().unwrap();
            std::fs::remove_file(&closed).unwrap();
        }
        self.file = BufWriter::new(File::create(open).unwrap());
        self.file_first = self.seq + 1;
        let rotated = Record::new(Event::AuditRotated)
            .with("log", text(&self.log))
            .with("file_before", text(name))
            .with("last_seq", Detail::Number(self.seq))
            .with("last_hash", text(self.prev.to_string()))
            .with("key", text(self.key.public().id()));
        self.write(&rotated);
    }
}

fn text(text: impl Into<String>) -> Detail {
    Detail::Text(text.into())
}

/// A ULID that is the same each time.
fn ulid(time: i64, seed: u64, number: u64) -> String {
    let random = (u128::from(seed & 0xffff) << 64) | u128::from(number);
    ulid::Ulid::from_parts(u64::try_from(time).unwrap(), random).to_string()
}
