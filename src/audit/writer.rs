//! The one thread that writes the log. It takes whatever is queued, numbers it, writes it at once,
//! and tells those who wait; so sessions in parallel share a write and a sync.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use super::checkpoint::{Own, Reason};
use super::event::Event;
use super::growing::{Found, LogFile, NotAppended, RawFile, Tampering};
use super::head_file::HeadFile;
use super::pen::Pen;
use super::record::{Detail, Record};
use super::resume::Beginning;
use super::rotation::{Renamer, closed_name};
use super::sink::{AuditFault, Entry, Gate, Message};
use super::tally::timed;
use crate::settings::AuditSync;

/// Records written at once at most, so that the first of them need not wait for long.
const BATCH_RECORDS_MAX: usize = 512;
/// How long a written record may be without a sync under [`AuditSync::Group`].
const GROUP_SYNC_TIME: Duration = Duration::from_millis(100);
/// How long to wait before the log is tried again when it cannot be written.
const RETRY_TIME: Duration = Duration::from_secs(1);
/// How often an outage that goes on is said in the operational log.
const REMINDER_TIME: Duration = Duration::from_mins(1);
/// Records kept at most while the log cannot be written.
const KEPT_RECORDS_MAX: usize = 4096;

pub(super) struct Writer<F> {
    file: LogFile<F>,
    queue: Receiver<Message>,
    gate: Arc<Gate>,
    pen: Pen,
    head_file: Option<HeadFile>,
    renamer: Option<Box<dyn Renamer>>,
    /// What there is to say of the log itself, before anything else.
    due: Vec<Own>,
    /// The number of the first record of the file, and when it was written.
    first: (u64, Timestamp),
    /// Whether the file has more than what the log says of itself.
    has_content: bool,
    rotation: Option<Rotating>,
    /// Since when something written is not synced.
    unsynced: Option<Instant>,
    /// Since when something written is not signed.
    unsigned: Option<Instant>,
    outage: Option<Outage>,
}

/// A file that is about to be closed.
struct Rotating {
    /// The name that it is to get.
    name: String,
    began: Instant,
    asked: Instant,
    /// Whether its last record is written.
    closed: bool,
}

/// A time in which the log cannot be written.
struct Outage {
    since: Instant,
    cause: io::ErrorKind,
    reminded: Instant,
    /// What could not be written, and when it came; nobody waits for it any more.
    kept: VecDeque<(Timestamp, Record)>,
    /// What was too much to keep.
    lost: u64,
    /// Records that are in the file for good, though whoever waited for them was told that they are not.
    unconfirmed: u64,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are the large one; a box would cost an allocation each")]
enum Next {
    Message(Message),
    /// Time to sync or to try again.
    Due,
    /// Every handle is gone.
    Gone,
}

/// Whatever ends the thread, a bug included, nobody is left waiting.
struct Closing(Arc<Gate>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<F: RawFile> Writer<F> {
    pub(super) fn new(
        file: LogFile<F>,
        beginning: Beginning,
        (head_file, renamer): (Option<HeadFile>, Option<Box<dyn Renamer>>),
        queue: Receiver<Message>,
        gate: Arc<Gate>,
    ) -> Self {
        let Beginning { signer, place, first_seq, first_time, closed_as, due } = beginning;
        let at = Instant::now();
        Self {
            has_content: file.length() > 0,
            file,
            queue,
            gate,
            pen: Pen::new(signer, place),
            head_file,
            renamer,
            due,
            first: (first_seq, first_time),
            rotation: closed_as.map(|name| Rotating { name, began: at, asked: at, closed: false }),
            unsynced: None,
            unsigned: None,
            outage: None,
        }
    }

    /// Writes until it is told to finish or every handle is gone; says whether all was written.
    pub(super) fn run(mut self) -> Result<(), AuditFault> {
        let _closing = Closing(Arc::clone(&self.gate));
        let mut batch = Vec::new();
        self.write(&mut batch);
        loop {
            let finishing = match self.next() {
                Next::Message(message) => self.gather(message, &mut batch),
                Next::Due => false,
                Next::Gone => true,
            };
            self.write(&mut batch);
            if self.outage.is_none() {
                self.look_after_log(finishing);
            }
            if finishing || self.unsynced.is_some_and(|since| since.elapsed() >= GROUP_SYNC_TIME) {
                self.sync();
            }
            if finishing {
                return self.outage.map_or(Ok(()), |outage| Err(AuditFault::Unwritable(outage.cause)));
            }
        }
    }

    fn next(&self) -> Next {
        let pace = self.gate.pace();
        let waits = [
            self.unsynced.map(|since| GROUP_SYNC_TIME.saturating_sub(since.elapsed())),
            self.unsigned.map(|since| pace.checkpoints.time.saturating_sub(since.elapsed())),
            self.rotation.as_ref().map(Rotating::wait),
        ];
        let wait = match &self.outage {
            Some(_) => RETRY_TIME,
            None => match waits.into_iter().flatten().min() {
                Some(wait) => wait,
                None => return self.queue.recv().map_or(Next::Gone, Next::Message),
            },
        };
        match self.queue.recv_timeout(wait) {
            Ok(message) => Next::Message(message),
            Err(RecvTimeoutError::Timeout) => Next::Due,
            Err(RecvTimeoutError::Disconnected) => Next::Gone,
        }
    }

    /// Signs the log and has its file renamed, where it is time.
    fn look_after_log(&mut self, finishing: bool) {
        let due = self.gate.pace().checkpoints;
        let old = self.unsigned.is_some_and(|since| since.elapsed() >= due.time);
        let reason = if finishing { Reason::Stop } else { Reason::Interval };
        if finishing || old || self.pen.unsigned() >= due.records {
            self.due.retain(|own| matches!(own, Own::Record(_)));
            self.due.push(Own::Checkpoint(reason));
            self.write(&mut Vec::new());
        }
        if !finishing {
            self.ask_for_rotation();
        }
    }

    fn ask_for_rotation(&mut self) {
        let Some(renamer) = &self.renamer else { return };
        if let Some(rotating) = &mut self.rotation {
            if rotating.asked.elapsed() >= REMINDER_TIME {
                rotating.asked = Instant::now();
                let name = &rotating.name;
                tracing::warn!(name, "the audit log was not renamed yet; it goes on in the same file");
                renamer.rename_to(name);
            }
            return;
        }
        let due = self.gate.pace().rotation;
        let (first_seq, first_time) = self.first;
        let large = due.bytes.is_some_and(|bytes| self.file.length() >= bytes);
        let age = Duration::try_from(now().duration_since(first_time)).unwrap_or_default();
        let old = due.age.is_some_and(|limit| age >= limit);
        if self.has_content && (large || old) {
            let name = closed_name(first_seq);
            renamer.rename_to(&name);
            let at = Instant::now();
            self.rotation = Some(Rotating { name, began: at, asked: at, closed: false });
        }
    }

    /// Takes what is queued without waiting; true where the end was asked for.
    fn gather(&self, first: Message, batch: &mut Vec<Entry>) -> bool {
        let mut message = Some(first);
        loop {
            match message {
                Some(Message::Write(entry)) => batch.push(entry),
                // Nobody may be waiting any more.
                Some(Message::Ping(answer)) => drop(answer.try_send(())),
                Some(Message::Finish) => return true,
                None => return false,
            }
            message = if batch.len() < BATCH_RECORDS_MAX { self.queue.try_recv().ok() } else { None };
        }
    }

    fn write(&mut self, batch: &mut Vec<Entry>) {
        if batch.is_empty() && self.due.is_empty() && self.outage.is_none() && self.rotation.is_none() {
            return;
        }
        match self.append(batch) {
            Ok(()) => {
                self.end_outage();
                batch.drain(..).for_each(|entry| entry.ack.tell(Ok(())));
            }
            Err(NotAppended { error, stays }) => {
                self.begin_outage(&error);
                let time = now();
                for entry in batch.drain(..) {
                    entry.ack.tell(Err(AuditFault::Unwritable(error.kind())));
                    self.outlasts(time, entry.record, stays);
                }
            }
        }
    }

    /// Appends what there is to say of the log itself, what an outage left, then the batch: all of it or nothing.
    fn append(&mut self, batch: &[Entry]) -> Result<(), NotAppended> {
        match self.file.inspect(self.rotation.as_ref().map(|rotating| rotating.name.as_str()))? {
            Found::InPlace => {}
            Found::Renamed => self.go_on_in_new_file()?,
            Found::Tampered(tampering) => self.notice(tampering),
        }
        if batch.is_empty() && self.due.is_empty() && self.outage.is_none() {
            return Ok(());
        }
        let time = now();
        let pen = &mut self.pen;
        pen.begin();
        for own in &self.due {
            match own {
                Own::Record(record) => pen.put_own(time, record)?,
                Own::Checkpoint(reason) => pen.sign(time, *reason)?,
            }
        }
        if let Some(outage) = &self.outage {
            pen.put_own(time, &outage.record())?;
            outage.kept.iter().try_for_each(|(came, record)| pen.put(*came, record, true))?;
        }
        batch.iter().try_for_each(|entry| pen.put(time, &entry.record, false))?;
        // After an outage only a sync shows that the disk takes what is written.
        let sync = self.gate.pace().sync == AuditSync::Each || self.outage.is_some() || !self.due.is_empty();
        let last = self.due.iter().any(|own| matches!(own, Own::Checkpoint(reason) if *reason != Reason::Interval));
        let (file, lines) = (&mut self.file, pen.lines());
        let appended = timed(&self.gate.tally.appends, || file.append(lines, sync));
        match &appended {
            Ok(()) => self.written(sync, last),
            Err(NotAppended { stays: false, .. }) => return appended,
            Err(_) => {
                self.pen.commit(&self.gate.tally);
                if let Some(outage) = &mut self.outage {
                    // It is told of in the file, and another record tells of what comes from here on.
                    outage.kept.clear();
                    (outage.lost, outage.unconfirmed) = (0, 0);
                }
            }
        }
        self.due.clear();
        self.has_content |= !batch.is_empty();
        appended
    }

    /// What the pen wrote is in the file.
    fn written(&mut self, synced: bool, sync_head: bool) {
        let head = self.pen.commit(&self.gate.tally);
        let at = Instant::now();
        self.unsynced = if synced { None } else { self.unsynced.or(Some(at)) };
        self.unsigned = match self.pen.unsigned() {
            0 => None,
            _ => self.unsigned.filter(|_| head.is_none()).or(Some(at)),
        };
        if let (Some(head), Some(file)) = (head, &mut self.head_file)
            && let Err(error) = file.publish(&head, sync_head)
        {
            tracing::warn!(%error, "the newest head of the audit log cannot be written beside it");
        }
    }

    /// Signs the file to its end, which has its other name now, and begins the next one.
    fn go_on_in_new_file(&mut self) -> io::Result<()> {
        let Some(rotating) = &mut self.rotation else { return Ok(()) };
        if !rotating.closed {
            let time = now();
            self.pen.begin();
            for own in &self.due {
                if let Own::Record(record) = own {
                    self.pen.put_own(time, record)?;
                }
            }
            self.pen.sign(time, Reason::Rotation)?;
            let appended = self.file.append(self.pen.lines(), true);
            if let Err(NotAppended { error, stays }) = appended {
                if stays {
                    // Another checkpoint comes behind it, once it is completed.
                    self.pen.commit(&self.gate.tally);
                    self.due.retain(|own| matches!(own, Own::Checkpoint(_)));
                }
                return Err(error);
            }
            rotating.closed = true;
            self.due.retain(|own| matches!(own, Own::Checkpoint(_)));
            self.written(true, true);
        }
        self.file.begin_anew()?;
        let place = self.pen.place();
        if let Some(rotating) = self.rotation.take() {
            let rotated = self.pen.signer().rotated(&rotating.name, place.last_seq, place.hash);
            self.due.insert(0, Own::Record(rotated));
        }
        self.first = (place.last_seq.saturating_add(1), now());
        self.has_content = false;
        Ok(())
    }

    fn sync(&mut self) {
        if self.unsynced.take().is_some()
            && let Err(error) = timed(&self.gate.tally.syncs, || self.file.sync())
        {
            self.begin_outage(&error);
        }
    }

    /// Tells what somebody else did to the log, and has it recorded before anything else.
    fn notice(&mut self, tampering: Tampering) {
        let place = self.pen.place();
        let last_seq = place.last_seq;
        let gap = |why| self.pen.signer().gap(why, last_seq, place.hash);
        let gap = match tampering {
            Tampering::Replaced => {
                tracing::error!(last_seq, "the audit log was renamed or removed; a new one was begun in its place");
                gap("log_replaced")
            }
            Tampering::Cut(left, found) => {
                tracing::error!(last_seq, bytes = left, left = found, "somebody cut the audit log");
                gap("log_truncated")
                    .with("bytes_before", Detail::Number(left))
                    .with("bytes_found", Detail::Number(found))
            }
        };
        if tampering == Tampering::Replaced {
            self.rotation = None;
        }
        if self.file.length() == 0 {
            self.first = (last_seq.saturating_add(1), now());
        }
        self.due.push(Own::Record(gap));
    }

    fn begin_outage(&mut self, error: &io::Error) {
        self.gate.set_healthy(false);
        let at = Instant::now();
        if let Some(outage) = &mut self.outage {
            if at.saturating_duration_since(outage.reminded) >= REMINDER_TIME {
                outage.reminded = at;
                let seconds = at.saturating_duration_since(outage.since).as_secs();
                tracing::error!(%error, seconds, "the audit log still cannot be written; new work is refused");
            }
            return;
        }
        tracing::error!(%error, "the audit log cannot be written; new work is refused until it can be");
        let kept = VecDeque::new();
        self.outage = Some(Outage { since: at, cause: error.kind(), reminded: at, kept, lost: 0, unconfirmed: 0 });
    }

    fn end_outage(&mut self) {
        if let Some(outage) = self.outage.take() {
            self.gate.set_healthy(true);
            let seconds = outage.since.elapsed().as_secs();
            tracing::warn!(seconds, lost = outage.lost, "the audit log can be written again");
        }
    }

    /// A record that was refused: it is in the file all the same, or is kept for it.
    fn outlasts(&mut self, time: Timestamp, record: Record, stays: bool) {
        if let Some(outage) = &mut self.outage {
            if stays {
                outage.unconfirmed = outage.unconfirmed.saturating_add(1);
            } else if outage.kept.len() < KEPT_RECORDS_MAX {
                outage.kept.push_back((time, record));
            } else {
                outage.lost = outage.lost.saturating_add(1);
            }
        }
    }
}

impl Rotating {
    /// How long to wait before the next look whether the file was renamed: longer and longer.
    fn wait(&self) -> Duration {
        self.began.elapsed().clamp(Duration::from_millis(10), Duration::from_secs(5))
    }
}

impl Outage {
    /// How long the log could not be written, and what became of the records of that time.
    fn record(&self) -> Record {
        let mut record = Record::new(Event::AuditDegraded).failed("unwritable");
        record.duration = Some(self.since.elapsed());
        record
            .with("cause", Detail::Text(self.cause.to_string()))
            .with("records_late", Detail::Number(u64::try_from(self.kept.len()).unwrap_or(u64::MAX)))
            .with("records_lost", Detail::Number(self.lost))
            .with("records_unconfirmed", Detail::Number(self.unconfirmed))
    }
}

/// The wall clock; it orders nothing here, so a clock beyond what can be written is no reason to fail.
pub(super) fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod restarts;
#[cfg(test)]
mod rotations;
#[cfg(test)]
mod tests;
