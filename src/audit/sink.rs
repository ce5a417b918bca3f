//! The way into the log: a bounded queue that loses nothing, and the handle that puts records in.
//! One thread (`writer`) takes them out and owns the file.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::{error, fmt};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

pub use super::file::OpenError;
use super::file::{FILE_NAME, Found};
use super::growing::{LogFile, RawFile};
use super::head_file::HeadFile;
use super::keys::Keys;
use super::record::Record;
use super::resume::Beginning;
use super::rotation::Renamer;
use super::tally::Tally;
use super::writer::{Writer, now};
use crate::settings::{Audit, AuditSync, Checkpoints, Rotation, RunAs};

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
    pace: Mutex<Pace>,
    pub(super) tally: Tally,
}

/// When records are synced and signed, and files closed. It can change while the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) sync: AuditSync,
    pub(super) checkpoints: Checkpoints,
    pub(super) rotation: Rotation,
}

impl Pace {
    fn of(settings: &Audit) -> Self {
        Self { sync: settings.sync, checkpoints: settings.checkpoints, rotation: settings.rotation }
    }
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

    /// When what is done.
    pub(super) fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is written from here on: whoever waits for room is sent away.
    pub(super) fn close(&self) {
        self.set_healthy(false);
        self.room.close();
    }
}

/// The log, opened, locked and whole; it is written once it has its key and is started.
#[derive(Debug)]
pub struct FoundLog {
    path: PathBuf,
    found: Found,
    pace: Pace,
}

/// The log with its key; it is written once it is started.
#[derive(Debug)]
pub struct OpenedLog {
    file: LogFile<super::growing::DiskFile>,
    head_file: HeadFile,
    beginning: Beginning,
    pace: Pace,
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
    pub fn open(settings: &Audit) -> Result<FoundLog, OpenError> {
        let path = settings.directory.join(FILE_NAME);
        Ok(FoundLog { path, found: Found::open(&settings.directory)?, pace: Pace::of(settings) })
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

    /// Says when records reach the disk, and when they are signed and files closed from here on. The
    /// directory and the key stay.
    pub fn change(&self, settings: &Audit) {
        *self.gate.pace.lock().unwrap_or_else(PoisonError::into_inner) = Pace::of(settings);
    }

    /// Whether records can be written, as far as the last attempt told.
    pub fn is_healthy(&self) -> bool {
        self.gate.healthy.load(Ordering::Acquire)
    }

    fn send(&self, entry: Entry) -> Result<(), AuditFault> {
        self.queue.send(Message::Write(entry)).map_err(|_| AuditFault::Closed)
    }
}

impl FoundLog {
    /// Hands the files, and their directory if it was made just now, to the account that the server
    /// is about to run as.
    ///
    /// # Errors
    /// Where the file system or a lack of privilege forbids it.
    pub fn give_to(&self, account: &RunAs) -> io::Result<()> {
        self.found.give_to(account)
    }

    /// Goes on with the log under this key.
    ///
    /// # Errors
    /// Where nothing in the log says which one it is.
    pub fn sign_with(self, keys: Keys) -> Result<OpenedLog, OpenError> {
        let Found { file, head_file, past, .. } = self.found;
        let beginning = Beginning::of(past, head_file.read(), keys, now());
        let beginning = beginning.map_err(|_| OpenError::Unchained(self.path))?;
        Ok(OpenedLog { file, head_file, beginning, pace: self.pace })
    }
}

impl OpenedLog {
    /// Starts the thread that writes. The first records say what was found. Without somebody who
    /// renames files, the log goes on in the same one for ever.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(self, renamer: Option<Box<dyn Renamer>>) -> io::Result<(AuditLog, AuditWriter)> {
        let Self { file, head_file, beginning, pace } = self;
        start(file, pace, beginning, (Some(head_file), renamer))
    }
}

/// Starts the thread over any kind of file.
pub(super) fn start<F: RawFile>(
    file: LogFile<F>,
    pace: Pace,
    beginning: Beginning,
    others: (Option<HeadFile>, Option<Box<dyn Renamer>>),
) -> io::Result<(AuditLog, AuditWriter)> {
    let (queue, entries) = mpsc::channel();
    let room = Arc::new(Semaphore::new(QUEUE_RECORDS_MAX));
    let gate = Arc::new(Gate { room, healthy: AtomicBool::new(true), pace: Mutex::new(pace), tally: Tally::default() });
    let writer = Writer::new(file, beginning, others, entries, Arc::clone(&gate));
    let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
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
