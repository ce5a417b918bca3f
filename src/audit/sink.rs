//! The way into the log: a bounded queue that loses nothing, and the handle that puts records in.
//! One thread (`writer`) takes them out and owns the file.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::{error, fmt};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::chain::ChainHash;
use super::event::Event;
use super::file::Found;
pub use super::file::OpenError;
use super::growing::{LogFile, RawFile};
use super::record::{Detail, Record};
use super::tally::Tally;
use super::writer::Writer;
use crate::settings::{Audit, AuditSync, RunAs};

/// Records that wait for the disk at most; who brings another one waits for room.
pub const QUEUE_RECORDS_MAX: usize = 1024;

/// Why a record is not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditFault {
    /// The log cannot be written now. The record is written late if the log recovers in time.
    Unwritable(ErrorKind),
    /// The log was closed; the server is stopping.
    Closed,
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwritable(kind) => write!(f, "the audit log cannot be written: {kind}"),
            Self::Closed => f.write_str("the audit log is closed"),
        }
    }
}

impl error::Error for AuditFault {}

/// Writes records; a clone is cheap and writes to the same log.
#[derive(Clone, Debug)]
pub struct AuditLog {
    queue: mpsc::Sender<Message>,
    gate: Arc<Gate>,
}

/// What the handles and the thread share.
#[derive(Debug)]
pub(super) struct Gate {
    room: Arc<Semaphore>,
    healthy: AtomicBool,
    /// Whether each record is synced before it is confirmed.
    sync_each: AtomicBool,
    pub(super) tally: Tally,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are the large one; a box would cost an allocation each")]
pub(super) enum Message {
    Write(Entry),
    /// Asks whether the thread goes on.
    Ping(mpsc::SyncSender<()>),
    Finish,
}

/// A record on its way, and who waits for it.
pub(super) struct Entry {
    pub(super) record: Record,
    pub(super) ack: Ack,
    /// The place in the queue, free again when the entry is done with.
    pub(super) _place: Option<OwnedSemaphorePermit>,
}

pub(super) enum Ack {
    Task(oneshot::Sender<Result<(), AuditFault>>),
    Thread(mpsc::SyncSender<Result<(), AuditFault>>),
}

impl Ack {
    /// Tells whoever waits; nobody may be waiting any more.
    pub(super) fn tell(self, result: Result<(), AuditFault>) {
        match self {
            Self::Task(sender) => drop(sender.send(result)),
            Self::Thread(sender) => drop(sender.send(result)),
        }
    }
}

impl Gate {
    pub(super) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Release);
    }

    /// When records reach the disk.
    pub(super) fn sync(&self) -> AuditSync {
        if self.sync_each.load(Ordering::Acquire) { AuditSync::Each } else { AuditSync::Group }
    }

    /// Nothing is written from here on: whoever waits for room is sent away.
    pub(super) fn close(&self) {
        self.set_healthy(false);
        self.room.close();
    }
}

/// The log, opened, locked and whole; it is written once it is started.
#[derive(Debug)]
pub struct OpenedLog {
    found: Found,
    sync: AuditSync,
}

/// The thread that writes; finishing it is the end of the log.
#[derive(Debug)]
#[must_use = "the log is closed in order by `finish`"]
pub struct AuditWriter {
    queue: mpsc::Sender<Message>,
    thread: JoinHandle<Result<(), AuditFault>>,
}

impl AuditLog {
    /// Opens the log: no thread is started, so this comes before the sandbox. Takes a lock that
    /// keeps a second server out, and moves a line that a crash cut short to
    /// [`TORN_NAME`](super::file::TORN_NAME).
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way.
    pub fn open(settings: &Audit) -> Result<OpenedLog, OpenError> {
        Ok(OpenedLog { found: Found::open(&settings.directory)?, sync: settings.sync })
    }

    /// Returns when the record is in the log, and on the disk where the policy says so
    /// ([`AuditSync`]). A future that is dropped while it waits for room takes its record with it;
    /// once queued, the record is written whether or not anybody waits.
    ///
    /// # Errors
    /// [`AuditFault`] where the record is not in the log: the event must not be confirmed.
    pub async fn record(&self, record: Record) -> Result<(), AuditFault> {
        let came = self.gate.tally.comes(&record);
        let written = self.write(record).await;
        self.gate.tally.went(came, written);
        written
    }

    async fn write(&self, record: Record) -> Result<(), AuditFault> {
        let place = Arc::clone(&self.gate.room).acquire_owned().await.map_err(|_| AuditFault::Closed)?;
        let (ack, heard) = oneshot::channel();
        self.send(Entry { record, ack: Ack::Task(ack), _place: Some(place) })?;
        heard.await.unwrap_or(Err(AuditFault::Closed))
    }

    /// [`Self::record`] for threads outside of the runtime, at start and stop. It takes no place in
    /// the queue, so it never waits for room.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn record_blocking(&self, record: Record) -> Result<(), AuditFault> {
        let came = self.gate.tally.comes(&record);
        let (ack, heard) = mpsc::sync_channel(1);
        let sent = self.send(Entry { record, ack: Ack::Thread(ack), _place: None });
        let written = sent.and_then(|()| heard.recv().unwrap_or(Err(AuditFault::Closed)));
        self.gate.tally.went(came, written);
        written
    }

    /// What the records came to so far.
    pub fn tally(&self) -> &Tally {
        &self.gate.tally
    }

    /// Records that are being written or wait for that; [`QUEUE_RECORDS_MAX`] at most.
    pub fn queued(&self) -> usize {
        QUEUE_RECORDS_MAX.saturating_sub(self.gate.room.available_permits())
    }

    /// Asks the thread that writes whether it goes on: it answers between two writes, also while the
    /// log cannot be written. An answer that never comes is that of a disk that hangs.
    pub fn ping(&self) -> mpsc::Receiver<()> {
        let (answer, heard) = mpsc::sync_channel(1);
        // Where the log is closed, the answer's end is, too.
        let _ = self.queue.send(Message::Ping(answer));
        heard
    }

    /// Says when records reach the disk from here on.
    pub fn set_sync(&self, sync: AuditSync) {
        self.gate.sync_each.store(sync == AuditSync::Each, Ordering::Release);
    }

    /// Whether records can be written, as far as the last attempt told.
    pub fn is_healthy(&self) -> bool {
        self.gate.healthy.load(Ordering::Acquire)
    }

    fn send(&self, entry: Entry) -> Result<(), AuditFault> {
        self.queue.send(Message::Write(entry)).map_err(|_| AuditFault::Closed)
    }
}

impl OpenedLog {
    /// Hands the file, and its directory if it was made just now, to the account that the server
    /// is about to run as.
    ///
    /// # Errors
    /// Where the file system or a lack of privilege forbids it.
    pub fn give_to(&self, account: &RunAs) -> io::Result<()> {
        self.found.give_to(account)
    }

    /// Starts the thread that writes. Where a torn line was found, the first record says so.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(self) -> io::Result<(AuditLog, AuditWriter)> {
        let gap = self.found.torn.map(|torn| {
            Record::new(Event::AuditGap)
                .failed("torn_line")
                .with("torn_bytes", Detail::Number(torn.bytes))
                .with("torn_blake3", Detail::Text(torn.blake3))
        });
        start(self.found.file, self.sync, (self.found.last_seq, self.found.last_hash), gap)
    }
}

/// Starts the thread over any kind of file, with `first` as the first record.
pub(super) fn start<F: RawFile>(
    file: LogFile<F>,
    sync: AuditSync,
    last: (u64, ChainHash),
    first: Option<Record>,
) -> io::Result<(AuditLog, AuditWriter)> {
    let (queue, entries) = mpsc::channel();
    let room = Arc::new(Semaphore::new(QUEUE_RECORDS_MAX));
    let sync_each = AtomicBool::new(sync == AuditSync::Each);
    let gate = Arc::new(Gate { room, healthy: AtomicBool::new(true), sync_each, tally: Tally::default() });
    let writer = Writer::new(file, last, entries, Arc::clone(&gate));
    let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(first))?;
    let log = AuditLog { queue: queue.clone(), gate };
    Ok((log, AuditWriter { queue, thread }))
}

impl AuditWriter {
    /// Writes and syncs what is queued, and closes the log. Later records are refused.
    ///
    /// # Errors
    /// [`AuditFault`] where records were left that could not be written.
    pub fn finish(self) -> Result<(), AuditFault> {
        // An error means that the thread has ended already, which joining it tells.
        let _ = self.queue.send(Message::Finish);
        self.thread.join().unwrap_or(Err(AuditFault::Closed))
    }
}

#[cfg(test)]
mod tests;
