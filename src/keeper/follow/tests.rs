use std::fs::OpenOptions;
use std::io::Write;

use super::super::closed::tests::{file, lines};
use super::super::place::{compress, rename_open};
use super::*;
use crate::audit::rotation::closed_name;

const NONE: [u64; 0] = [];

/// A log that grows.
struct Log {
    directory: tempfile::TempDir,
    head: ChainHash,
    last: u64,
}

impl Log {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), head: ChainHash::NONE, last: 0 }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&mut self, count: u64) {
        let (text, head) = lines(self.last + 1..=self.last + count, self.head);
        let file = OpenOptions::new().create(true).append(true).open(self.path().join(FILE_NAME));
        file.unwrap().write_all(&text).unwrap();
        (self.head, self.last) = (head, self.last + count);
    }

    fn close(&self) -> u64 {
        let first = first_seq(&File::open(self.path().join(FILE_NAME)).unwrap()).unwrap();
        rename_open(self.path(), &closed_name(first)).unwrap();
        first
    }
}

/// The numbers of all records that there are now.
fn numbers(follower: &mut Follower) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(line) = follower.read_next().unwrap() {
        numbers.push(serde_json::from_slice::<Numbered>(line).unwrap().seq);
    }
    numbers
}

fn range(first: u64, last: u64) -> Vec<u64> {
    (first..=last).collect()
}

#[test]
fn records_come_in_order_over_all_files_and_as_they_are_written() {
    let mut log = Log::new();
    let mut follower = Follower::behind(log.path(), Cursor::default());
    assert_eq!(numbers(&mut follower), NONE);
    log.write(5);
    assert_eq!(numbers(&mut follower), range(1, 5));
    log.write(2);
    assert_eq!(numbers(&mut follower), range(6, 7));
    log.close();
    assert_eq!(numbers(&mut follower), NONE, "until the next file is begun, this one may go on");
    log.write(3);
    assert_eq!(numbers(&mut follower), range(8, 10));
    log.close();
    log.write(300);
    log.close();
    log.write(1);
    assert_eq!(numbers(&mut follower), range(11, 311));
}

#[test]
fn what_is_written_into_a_file_behind_its_renaming_is_not_missed() {
    let mut log = Log::new();
    log.write(2);
    let mut follower = Follower::behind(log.path(), Cursor::default());
    assert_eq!(numbers(&mut follower), range(1, 2));
    let first = log.close();
    let (text, head) = lines(3..=3, log.head);
    let closed = OpenOptions::new().append(true).open(log.path().join(closed_name(first)));
    closed.unwrap().write_all(&text).unwrap();
    (log.head, log.last) = (head, 3);
    log.write(1);
    assert_eq!(numbers(&mut follower), range(3, 4));
}

#[test]
fn reading_goes_on_from_any_place_wherever_that_is_now() {
    let mut log = Log::new();
    let mut places = Vec::new();
    let mut reader = Follower::behind(log.path(), Cursor::default());
    for round in 0..4 {
        log.write(5);
        while reader.read_next().unwrap().is_some() {
            places.push(reader.place().clone());
        }
        if round < 3 {
            log.close();
        }
    }
    compress(log.path(), 1).unwrap();
    compress(log.path(), 6).unwrap();
    assert_eq!(places.len(), 20);
    for place in places {
        let next = place.seq + 1;
        assert_eq!(numbers(&mut Follower::behind(log.path(), place)), range(next, 20));
    }
}

#[test]
fn half_a_line_is_waited_for_and_one_that_is_taken_back_is_not_seen() {
    let mut log = Log::new();
    log.write(1);
    let mut follower = Follower::behind(log.path(), Cursor::default());
    let path = log.path().join(FILE_NAME);
    let before = path.metadata().unwrap().len();
    let (text, _) = lines(2..=2, log.head);
    let mut open = OpenOptions::new().append(true).open(&path).unwrap();
    open.write_all(&text[..30]).unwrap();
    assert_eq!(numbers(&mut follower), [1]);
    open.set_len(before).unwrap();
    assert_eq!(numbers(&mut follower), NONE);
    log.write(2);
    assert_eq!(numbers(&mut follower), range(2, 3));
}

#[test]
fn another_log_in_the_same_place_is_read_from_its_beginning() {
    let mut log = Log::new();
    log.write(30);
    let place = end(log.path());
    assert_eq!(place.seq, 30);
    std::fs::remove_file(log.path().join(FILE_NAME)).unwrap();
    (log.head, log.last) = (lines(1..=1, ChainHash::NONE).1, 0);
    log.write(4);
    assert_eq!(numbers(&mut Follower::behind(log.path(), place)), range(1, 4));
}

#[test]
fn a_log_that_lost_its_end_goes_on_with_what_is_new() {
    let mut log = Log::new();
    log.write(10);
    let place = end(log.path());
    let (whole, head) = lines(1..=6, ChainHash::NONE);
    std::fs::write(log.path().join(FILE_NAME), whole).unwrap();
    (log.head, log.last) = (head, 6);
    let mut follower = Follower::behind(log.path(), place);
    assert_eq!(numbers(&mut follower), NONE);
    log.write(2);
    assert_eq!(numbers(&mut follower), range(7, 8));
}

#[test]
fn what_was_removed_before_it_was_copied_is_passed_over() {
    let log = Log::new();
    file(log.path(), 50, &lines(50..=60, ChainHash::NONE).0);
    let place = Cursor { seq: 20, ..Cursor::default() };
    assert_eq!(numbers(&mut Follower::behind(log.path(), place)), range(50, 60));
}

#[test]
fn what_is_no_record_is_passed_over_however_long_it_is() {
    let mut log = Log::new();
    log.write(1);
    let mut open = OpenOptions::new().append(true).open(log.path().join(FILE_NAME)).unwrap();
    open.write_all(&vec![b'x'; LINE_BYTES_MAX * 2 + 7]).unwrap();
    open.write_all(b"\n\0\0\n{}\n").unwrap();
    log.write(1);
    assert_eq!(numbers(&mut Follower::behind(log.path(), Cursor::default())), [1, 2]);
}

#[test]
fn a_file_without_a_record_and_one_that_is_damaged_hold_up_nothing_behind_them() {
    let mut log = Log::new();
    log.write(5);
    log.close();
    file(log.path(), 6, b"no record\n");
    std::fs::write(log.path().join(closed_name(8) + ".gz"), "no gzip").unwrap();
    log.last = 9;
    log.write(3);
    assert_eq!(numbers(&mut Follower::behind(log.path(), Cursor::default())), [range(1, 5), range(10, 12)].concat());
}

#[test]
fn no_file_is_passed_over_that_is_closed_between_two_looks() {
    let mut log = Log::new();
    log.write(5);
    let mut follower = Follower::behind(log.path(), Cursor::default());
    assert_eq!(numbers(&mut follower), range(1, 5));
    for _ in 0..3 {
        log.write(4);
        log.close();
    }
    log.write(1);
    assert_eq!(numbers(&mut follower), range(6, 18));
    // By the files that were there, the next record stood in the open one, which is another one by now.
    let (open, files) = follower.look().unwrap();
    assert_eq!((open.unwrap().begins, files.len()), (Some(18), 3));
}
