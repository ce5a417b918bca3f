//! What the records come to, counted as they pass: whatever is recorded is counted, too, and nothing
//! has to be counted a second time where it happens.

use std::time::{Duration, Instant};

use super::event::Event;
use super::record::{Detail, Outcome, Record};
use super::sink::AuditFault;
use crate::metrics::{Counter, Counters, Histogram};

/// From what a small listing takes to what a large file does.
const TRANSFER_TIMES: &[Duration] = &[
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
];
/// From a write into the page cache to a disk that hardly goes on.
const DISK_TIMES: &[Duration] = &[
    Duration::from_micros(50),
    Duration::from_micros(250),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
];

/// Counts of what was recorded since the start, and how long the log took.
#[derive(Debug)]
pub struct Tally {
    /// By event, and the reason where it failed.
    pub events: Counters<2>,
    /// TLS on control connections, by version, and `full` or `resumed`.
    pub handshakes: Counters<2>,
    /// Data connections that transfers used, by binding, and `full` or `resumed`.
    pub data_connections: Counters<2>,
    /// How long transfers took from the client, with those that failed.
    pub uploads: Histogram,
    /// The same to the client.
    pub downloads: Histogram,
    /// Records that were confirmed.
    pub confirmed: Counter,
    /// Records that could not be written when they came.
    pub refused: Counter,
    /// From a record's coming to its confirmation.
    pub waits: Histogram,
    /// What writing a batch took.
    pub appends: Histogram,
    /// What syncing a group of batches took.
    pub syncs: Histogram,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            events: Counters::default(),
            handshakes: Counters::default(),
            data_connections: Counters::default(),
            uploads: Histogram::new(TRANSFER_TIMES),
            downloads: Histogram::new(TRANSFER_TIMES),
            confirmed: Counter::default(),
            refused: Counter::default(),
            waits: Histogram::new(DISK_TIMES),
            appends: Histogram::new(DISK_TIMES),
            syncs: Histogram::new(DISK_TIMES),
        }
    }
}

impl Tally {
    /// Counts a record that is about to be written, and says when that began.
    pub(super) fn comes(&self, record: &Record) -> Instant {
        self.events.add(labels(record), times(record));
        let resumed = |resumed: bool| if resumed { "resumed" } else { "full" };
        if let (Event::TlsEstablished, Some(tls)) = (record.event, &record.tls) {
            self.handshakes.add([tls.version, resumed(tls.resumed)], 1);
        }
        if let (Some(took), Some(data)) = (record.duration, &record.data) {
            self.data_connections.add([data.binding, resumed(data.resumed)], 1);
            match record.event {
                Event::FileUpload | Event::FileUploadIncomplete => self.uploads.observe(took),
                Event::FileDownload | Event::FileDownloadIncomplete => self.downloads.observe(took),
                _ => {}
            }
        }
        Instant::now()
    }

    /// Counts a record of the log about itself, which is in the file.
    pub(super) fn told(&self, labels: [&'static str; 2]) {
        self.events.add(labels, 1);
    }

    /// Counts what became of it.
    pub(super) fn went(&self, came: Instant, result: Result<(), AuditFault>) {
        self.waits.observe(came.elapsed());
        if result.is_ok() { &self.confirmed } else { &self.refused }.add(1);
    }
}

/// The event, and the reason where it failed.
pub(super) fn labels(record: &Record) -> [&'static str; 2] {
    let reason = match record.outcome {
        Outcome::Success => "",
        Outcome::Failure(reason) => reason,
    };
    [record.event.description().code, reason]
}

/// How often it happened: a flood of refusals is one record with their number.
fn times(record: &Record) -> u64 {
    if record.event != Event::ConnectionRefused {
        return 1;
    }
    let count = record.details.iter().find_map(|(name, detail)| match detail {
        Detail::Number(count) if *name == "count" => Some(*count),
        _ => None,
    });
    count.unwrap_or(1)
}

/// What an operation took, counted.
pub(super) fn timed<T>(histogram: &Histogram, operation: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = operation();
    histogram.observe(began.elapsed());
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_in_one_record_is_counted_as_many() {
        let tally = Tally::default();
        let refused = || Record::new(Event::ConnectionRefused).failed("banned");
        tally.comes(&refused());
        tally.comes(&refused().with("count", Detail::Number(41)));
        tally.comes(&Record::new(Event::ConnectionAccepted));
        assert_eq!(tally.events.all(), [(["conn.accepted", ""], 1), (["conn.denied", "banned"], 42)]);
    }
}
