//! The one thread that writes the log. It takes whatever is queued, numbers it, writes it at once,
//! and tells those who wait; so sessions in parallel share a write and a sync.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use super::chain::ChainHash;
use super::event::Event;
use super::growing::{LogFile, RawFile, Tampering};
use super::json::{self, Stamp};
use super::record::{Detail, Record};
use super::sink::{AuditFault, Entry, Gate, Message};
use super::tally::timed;
use crate::settings::AuditSync;

/// Records written at once at most, so that the first of them need not wait for long.
const BATCH_RECORDS_MAX: usize = 512;
/// How long a written record may be without a sync under [`AuditSync::Group`].
const GROUP_SYNC_TIME: Duration = Duration::from_millis(100);
/// How long to wait before the log is tried again when it cannot be written.
const RETRY_TIME: Duration = Duration::from_secs(1);
/// Memory kept for the lines of the next write.
const LINES_BYTES_KEPT: usize = 1 << 20;
/// How often an outage that goes on is said in the operational log.
const REMINDER_TIME: Duration = Duration::from_mins(1);
/// Records kept at most while the log cannot be written.
const KEPT_RECORDS_MAX: usize = 4096;

pub(super) struct Writer<F> {
    file: LogFile<F>,
    queue: Receiver<Message>,
    gate: Arc<Gate>,
    next_seq: u64,
    /// The hash of the last record.
    head: ChainHash,
    uids: ulid::Generator,
    /// The lines of one write; reused.
    lines: Vec<u8>,
    /// Since when something written is not synced.
    unsynced: Option<Instant>,
    outage: Option<Outage>,
    /// What somebody did to the log, until that is in it.
    gap: Option<Record>,
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
        (last_seq, head): (u64, ChainHash),
        queue: Receiver<Message>,
        gate: Arc<Gate>,
    ) -> Self {
        Self {
            file,
            queue,
            gate,
            next_seq: last_seq.saturating_add(1),
            head,
            uids: ulid::Generator::new(),
            lines: Vec::new(),
            unsynced: None,
            outage: None,
            gap: None,
        }
    }

    /// Writes until it is told to finish or every handle is gone; says whether all was written.
    pub(super) fn run(mut self, first: Option<Record>) -> Result<(), AuditFault> {
        let _closing = Closing(Arc::clone(&self.gate));
        let mut batch = Vec::new();
        if let Some(record) = first {
            let written = self.append(&[], Some(&record));
            if let Err(error) = written {
                self.begin_outage(&error);
                self.keep(now(), record);
            }
        }
        loop {
            let finishing = match self.next() {
                Next::Message(message) => self.gather(message, &mut batch),
                Next::Due => false,
                Next::Gone => true,
            };
            if !batch.is_empty() || self.outage.is_some() {
                self.write(&mut batch);
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
        let wait = match (&self.outage, self.unsynced) {
            (Some(_), _) => RETRY_TIME,
            (None, Some(since)) => GROUP_SYNC_TIME.saturating_sub(since.elapsed()),
            (None, None) => return self.queue.recv().map_or(Next::Gone, Next::Message),
        };
        match self.queue.recv_timeout(wait) {
            Ok(message) => Next::Message(message),
            Err(RecvTimeoutError::Timeout) => Next::Due,
            Err(RecvTimeoutError::Disconnected) => Next::Gone,
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
        match self.append(batch, None) {
            Ok(()) => {
                self.end_outage();
                batch.drain(..).for_each(|entry| entry.ack.tell(Ok(())));
            }
            Err(error) => {
                self.begin_outage(&error);
                let time = now();
                for entry in batch.drain(..) {
                    entry.ack.tell(Err(AuditFault::Unwritable(error.kind())));
                    self.keep(time, entry.record);
                }
            }
        }
    }

    /// Appends what there is to say of the log itself, what an outage left, then the batch, then `last`: all of it or nothing.
    fn append(&mut self, batch: &[Entry], last: Option<&Record>) -> io::Result<()> {
        if let Some(tampering) = self.file.inspect()? {
            self.notice(tampering);
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let (mut seq, mut head) = (self.next_seq, self.head);
        let time = now();
        let mut put = |time: Timestamp, record: &Record, late: bool| {
            let uid = self.uids.generate().unwrap_or_else(ulid::Overflow::commit_overflow_increment);
            let mut text = [0; ulid::ULID_LEN];
            let stamp = Stamp { seq, time, uid: uid.array_to_str(&mut text), late };
            head = json::append_line(&mut lines, &stamp, record, head)?;
            seq = seq.saturating_add(1);
            Ok::<(), io::Error>(())
        };
        let mut put_all = || {
            self.gap.iter().try_for_each(|gap| put(time, gap, false))?;
            if let Some(outage) = &self.outage {
                put(time, &outage.record(), false)?;
                outage.kept.iter().try_for_each(|(came, record)| put(*came, record, true))?;
            }
            batch.iter().map(|entry| &entry.record).chain(last).try_for_each(|record| put(time, record, false))
        };
        // After an outage only a sync shows that the disk takes what is written.
        let sync = self.gate.sync() == AuditSync::Each || self.outage.is_some() || self.gap.is_some();
        let file = &mut self.file;
        let written = put_all().and_then(|()| timed(&self.gate.tally.appends, || file.append(&lines, sync)));
        lines.shrink_to(LINES_BYTES_KEPT);
        self.lines = lines;
        written?;
        (self.next_seq, self.head) = (seq, head);
        self.gap = None;
        self.unsynced = if sync { None } else { self.unsynced.or_else(|| Some(Instant::now())) };
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
        let last_seq = self.next_seq.saturating_sub(1);
        let gap = Record::new(Event::AuditGap);
        let gap = match tampering {
            Tampering::Replaced => {
                tracing::error!(last_seq, "the audit log was renamed or removed; a new one was begun in its place");
                gap.failed("log_replaced")
            }
            Tampering::Cut(left, found) => {
                tracing::error!(last_seq, bytes = left, left = found, "somebody cut the audit log");
                gap.failed("log_truncated")
                    .with("bytes_before", Detail::Number(left))
                    .with("bytes_found", Detail::Number(found))
            }
        };
        self.gap.get_or_insert(gap.with("last_seq", Detail::Number(last_seq)));
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
        self.outage = Some(Outage { since: at, cause: error.kind(), reminded: at, kept, lost: 0 });
    }

    fn end_outage(&mut self) {
        if let Some(outage) = self.outage.take() {
            self.gate.set_healthy(true);
            let seconds = outage.since.elapsed().as_secs();
            tracing::warn!(seconds, lost = outage.lost, "the audit log can be written again");
        }
    }

    fn keep(&mut self, time: Timestamp, record: Record) {
        if let Some(outage) = &mut self.outage {
            if outage.kept.len() < KEPT_RECORDS_MAX {
                outage.kept.push_back((time, record));
            } else {
                outage.lost = outage.lost.saturating_add(1);
            }
        }
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
    }
}

/// The wall clock; it orders nothing here, so a clock beyond what can be written is no reason to fail.
fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
