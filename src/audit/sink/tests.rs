#![expect(clippy::arithmetic_side_effects, reason = "tests count in small numbers")]

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::audit::event::Event;
use crate::audit::file::{FILE_NAME, Past, TORN_NAME};
use crate::audit::record::Detail;
use crate::audit::trial::{self, assert_chained, lines, records, sequence, settings, story, until};

fn logged(directory: &Path) -> Vec<Value> {
    records(&directory.join(FILE_NAME))
}

fn numbered(n: u64) -> Record {
    Record::new(Event::FileUpload).with("n", Detail::Number(n))
}

#[test]
fn the_numbers_go_on_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let (log, writer) = trial::start(directory.path(), AuditSync::Each);
        log.record_blocking(Record::new(Event::ServiceStart)).unwrap();
        log.record_blocking(Record::new(Event::ServiceStop)).unwrap();
        writer.finish().unwrap();
        assert!(!log.is_healthy());
        assert_eq!(log.record_blocking(Record::new(Event::ServiceStop)), Err(AuditFault::Closed));
    }
    let bytes = fs::read(directory.path().join(FILE_NAME)).unwrap();
    assert_chained(&[&bytes]);
    let round = ["audit.checkpoint start", "service.start", "service.stop", "audit.checkpoint stop"];
    assert_eq!(story(&lines(&bytes)), [&["audit.begun"][..], &round, &round, &round].concat());
}

#[test]
fn a_torn_line_is_recorded_as_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    trial::start(directory.path(), AuditSync::Each).1.finish().unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole, &b"{\"seq\":4,\"metad"[..]].concat()).unwrap();
    trial::start(directory.path(), AuditSync::Each).1.finish().unwrap();
    let records = logged(directory.path());
    assert_eq!(sequence(&records), (1..=6).collect::<Vec<_>>());
    assert_eq!(story(&records)[3..], ["audit.gap torn_line", "audit.checkpoint start", "audit.checkpoint stop"]);
    assert_eq!(records[3]["unmapped"]["torn_bytes"], 15);
    assert_eq!(fs::read(directory.path().join(TORN_NAME)).unwrap(), b"{\"seq\":4,\"metad");
}

#[test]
fn many_tasks_lose_nothing_and_each_keeps_its_order() {
    for sync in [AuditSync::Each, AuditSync::Group] {
        let directory = tempfile::tempdir().unwrap();
        let (log, writer) = trial::start(directory.path(), sync);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..64_u64)
                .map(|task| {
                    let log = log.clone();
                    tokio::spawn(async move {
                        for n in 0..200 {
                            let record = numbered(n).with("task", Detail::Number(task));
                            log.record(record).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        // Before the end: an acknowledged record is in the file.
        let records = logged(directory.path());
        assert_eq!(sequence(&records), (1..=12_802).collect::<Vec<_>>());
        for task in 0..64_u64 {
            let of_task = records.iter().filter(|record| record["unmapped"]["task"] == task);
            let order: Vec<u64> = of_task.map(|record| record["unmapped"]["n"].as_u64().unwrap()).collect();
            assert_eq!(order, (0..200).collect::<Vec<_>>(), "{sync:?}");
        }
        writer.finish().unwrap();
    }
}

#[tokio::test]
async fn a_record_whose_future_is_dropped_is_written_once_queued() {
    let directory = tempfile::tempdir().unwrap();
    let (log, writer) = trial::start(directory.path(), AuditSync::Each);
    for n in 0..10 {
        // One poll queues the record; the acknowledgement is not waited for.
        let future = log.record(numbered(n));
        tokio::select! { biased; _ = future => {}, () = std::future::ready(()) => {} }
    }
    tokio::task::spawn_blocking(|| writer.finish()).await.unwrap().unwrap();
    assert_eq!(logged(directory.path()).len(), 10 + 3);
}

/// A disk with room for so many bytes, whose syncs can fail. It is full once a file was renamed.
#[derive(Clone, Debug, Default)]
struct SmallDisk(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    content: Vec<u8>,
    room: usize,
    sync_fails: bool,
    cut_fails: Option<ErrorKind>,
    syncs: usize,
    /// What the file was renamed to.
    name: Option<String>,
    /// The files before it.
    closed: Vec<Vec<u8>>,
}

impl Renamer for SmallDisk {
    fn rename_to(&self, name: &str) {
        self.change(|disk| {
            disk.name = Some(name.to_owned());
            disk.room = disk.content.len();
        });
    }
}

impl RawFile for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock().unwrap();
        let count = bytes.len().min(disk.room - disk.content.len());
        if count == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        disk.content.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.syncs += 1;
        if disk.sync_fails { Err(ErrorKind::Other.into()) } else { Ok(()) }
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if let Some(error) = disk.cut_fails {
            return Err(error.into());
        }
        disk.content.resize(usize::try_from(length).unwrap(), 0);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().content.len() as u64)
    }

    fn ends_a_line(&self) -> io::Result<bool> {
        Ok(self.0.lock().unwrap().content.last().is_none_or(|byte| *byte == b'\n'))
    }

    fn is_in_place(&self) -> io::Result<bool> {
        Ok(self.0.lock().unwrap().name.is_none())
    }

    fn is_named(&self, name: &str) -> io::Result<bool> {
        Ok(self.0.lock().unwrap().name.as_deref() == Some(name))
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.name = None;
        let content = std::mem::take(&mut disk.content);
        disk.closed.push(content);
        Ok(())
    }
}

/// What a new log begins with and an orderly end adds.
const OWN_RECORDS: u64 = 2;

impl SmallDisk {
    fn with_room(room: usize) -> Self {
        let disk = Self::default();
        disk.change(|disk| disk.room = room);
        disk
    }

    fn change(&self, change: impl FnOnce(&mut Disk)) {
        change(&mut self.0.lock().unwrap());
    }

    fn start(&self, sync: AuditSync) -> (AuditLog, AuditWriter) {
        let directory = tempfile::tempdir().unwrap();
        self.start_as(&settings(directory.path(), sync), directory.path())
    }

    fn start_as(&self, settings: &Audit, keys: &Path) -> (AuditLog, AuditWriter) {
        let beginning = Beginning::of(Past::default(), None, trial::keys(keys), now()).unwrap();
        let renamer: Box<dyn Renamer> = Box::new(self.clone());
        start(LogFile::new(self.clone(), 0), Pace::of(settings), beginning, (None, Some(renamer))).unwrap()
    }

    fn records(&self) -> Vec<Value> {
        lines(&self.0.lock().unwrap().content)
    }
}

const FULL: AuditFault = AuditFault::Unwritable(ErrorKind::StorageFull);

#[test]
fn a_full_disk_fails_the_record_leaves_whole_lines_and_is_recovered_from_unasked() {
    let disk = SmallDisk::with_room(3000);
    let (log, writer) = disk.start(AuditSync::Each);
    let mut confirmed = 0;
    while log.record_blocking(numbered(confirmed)).is_ok() {
        confirmed += 1;
    }
    assert!(confirmed > 0);
    assert!(!log.is_healthy());
    assert_eq!(log.record_blocking(numbered(confirmed + 1)), Err(FULL));
    assert_eq!(disk.records().len() as u64, OWN_RECORDS + confirmed, "no half line is left");

    disk.change(|disk| disk.room = 1 << 20);
    until("recovery without a new record", || log.is_healthy());
    log.record_blocking(numbered(confirmed + 2)).unwrap();
    writer.finish().unwrap();

    let told =
        |event| log.tally().events.all().into_iter().find(|(words, _)| words[0] == event).map(|(_, count)| count);
    assert_eq!(
        (told("audit.begun"), told("audit.degraded")),
        (Some(1), Some(1)),
        "alerts see what nobody else records"
    );

    let records = disk.records();
    assert_eq!(sequence(&records), (1..=records.len() as u64).collect::<Vec<_>>());
    let outage = records.iter().position(|r| r["metadata"]["event_code"] == "audit.degraded").unwrap();
    assert_eq!(outage as u64, OWN_RECORDS + confirmed, "the outage stands where it began");
    assert_eq!(records[outage]["unmapped"]["records_late"], 2);
    assert_eq!(records[outage]["unmapped"]["records_lost"], 0);
    let late: Vec<_> = records[outage + 1..].iter().map(|r| r["unmapped"]["late"].as_bool()).collect();
    assert_eq!(late, [Some(true), Some(true), None, None]);
    assert_eq!(story(&records).last().unwrap(), "audit.checkpoint stop");
    assert_chained(&[&disk.0.lock().unwrap().content]);
}

#[test]
fn remains_that_could_not_be_cut_off_are_cut_off_before_the_next_write() {
    let disk = SmallDisk::with_room(1 << 20);
    let (log, writer) = disk.start(AuditSync::Each);
    until("the first records", || disk.records().len() == 2);
    let room = disk.0.lock().unwrap().content.len() + 100;
    disk.change(|disk| (disk.cut_fails, disk.room) = (Some(ErrorKind::Other), room));
    assert_eq!(log.record_blocking(numbered(1)), Err(FULL));
    disk.change(|disk| {
        assert_eq!(disk.content.len(), room);
        (disk.cut_fails, disk.room) = (None, 1 << 20);
    });
    log.record_blocking(numbered(2)).unwrap();
    writer.finish().unwrap();
    assert_eq!(sequence(&disk.records()), [1, 2, 3, 4, 5, 6]);
    assert_chained(&[&disk.0.lock().unwrap().content]);
}

#[test]
fn a_record_that_does_not_reach_the_disk_is_not_confirmed() {
    let disk = SmallDisk::with_room(1 << 20);
    disk.change(|disk| disk.sync_fails = true);
    let (log, writer) = disk.start(AuditSync::Each);
    assert!(log.record_blocking(numbered(1)).is_err());
    assert!(disk.records().is_empty());
    assert!(writer.finish().is_err(), "what was never written is told at the end");
}

#[test]
fn group_sync_confirms_what_is_written_and_syncs_soon_after() {
    let disk = SmallDisk::with_room(1 << 20);
    let (log, writer) = disk.start(AuditSync::Group);
    for n in 0..50 {
        log.record_blocking(numbered(n)).unwrap();
    }
    assert_eq!(disk.records().len(), 50 + 2);
    until("a sync", || disk.0.lock().unwrap().syncs > 1);
    disk.change(|disk| disk.sync_fails = true);
    log.record_blocking(numbered(50)).unwrap();
    until("the failing sync to be noticed", || !log.is_healthy());
    disk.change(|disk| disk.sync_fails = false);
    until("recovery", || log.is_healthy());
    writer.finish().unwrap();
    assert_eq!(story(&disk.records())[53..], ["audit.degraded unwritable", "audit.checkpoint stop"]);
}

#[test]
fn a_queue_that_is_full_makes_writers_wait_and_loses_nothing() {
    let disk = SmallDisk::with_room(1 << 24);
    let (log, writer) = disk.start(AuditSync::Each);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let total = QUEUE_RECORDS_MAX as u64 * 3;
    // The disk's lock stops the writer: the queue fills, and no more than it holds is queued.
    let held = disk.0.lock().unwrap();
    let set = runtime.block_on(async {
        let mut set = tokio::task::JoinSet::new();
        for n in 0..total {
            let log = log.clone();
            set.spawn(async move { log.record(numbered(n)).await });
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(log.gate.room.available_permits(), 0);
        set
    });
    drop(held);
    let results = runtime.block_on(set.join_all());
    assert!(results.into_iter().all(|result| result.is_ok()));
    writer.finish().unwrap();
    assert_eq!(disk.records().len() as u64, OWN_RECORDS + total + 1);
}

#[test]
fn a_disk_that_fills_up_between_two_files_delays_both_and_loses_nothing() {
    let disk = SmallDisk::with_room(1 << 20);
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path(), AuditSync::Each);
    settings.rotation.bytes = Some(2500);
    let (log, writer) = disk.start_as(&settings, directory.path());
    let mut confirmed = 0;
    while log.record_blocking(numbered(confirmed)).is_ok() {
        confirmed += 1;
    }
    assert!(confirmed > 1);
    assert!(disk.0.lock().unwrap().closed.is_empty());
    disk.change(|disk| disk.room = 1 << 20);
    until("recovery without a new record", || log.is_healthy());
    writer.finish().unwrap();
    let disk = disk.0.lock().unwrap();
    assert_chained(&[&disk.closed[0], &disk.content]);
    assert_eq!(story(&lines(&disk.closed[0])).last().unwrap(), "audit.checkpoint rotation");
    let open = story(&lines(&disk.content));
    assert_eq!(open, ["audit.rotated", "audit.degraded unwritable", "file.upload", "audit.checkpoint stop"]);
    assert_eq!(story(&lines(&disk.closed[0])).len() as u64, OWN_RECORDS + confirmed + 1);
}

#[test]
fn what_was_begun_in_a_file_that_only_grows_is_completed_once_and_the_chain_holds() {
    for (room, sync_fails) in [(0, false), (100, false), (1 << 20, true)] {
        let disk = SmallDisk::with_room(1 << 20);
        disk.change(|disk| disk.cut_fails = Some(ErrorKind::PermissionDenied));
        let (log, writer) = disk.start(AuditSync::Each);
        until("the first records", || disk.records().len() == 2);
        disk.change(|disk| (disk.sync_fails, disk.room) = (sync_fails, disk.content.len() + room));
        assert!(log.record_blocking(numbered(1)).is_err());
        assert!(!log.is_healthy());
        until("a further attempt", || log.record_blocking(numbered(2)).is_err());
        disk.change(|disk| (disk.sync_fails, disk.room) = (false, 1 << 20));
        until("recovery", || log.is_healthy());
        log.record_blocking(numbered(3)).unwrap();
        writer.finish().unwrap();
        assert_chained(&[&disk.0.lock().unwrap().content]);
        let records = disk.records();
        let numbers: Vec<_> = records.iter().filter_map(|record| record["unmapped"]["n"].as_u64()).collect();
        assert_eq!(numbers, [1, 2, 3], "each once");
        // Where the first is in the file, the log says that nobody was told so.
        let refused = &records.iter().find(|record| record["metadata"]["event_code"] == "audit.degraded").unwrap();
        assert_eq!(refused["unmapped"]["records_unconfirmed"], u64::from(room > 0), "{refused}");
    }
}
