use std::fs;
use std::io::Write as _;

use super::*;
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::audit::rotation::closed_name;

/// The names of the files, oldest first.
fn names(log: &Log) -> Vec<String> {
    let files = find(log.directory.path()).unwrap();
    files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_missing_file_is_named() {
    for missing in 0..3 {
        let log = Log::ordinary();
        let names = names(&log);
        fs::remove_file(log.path(&names[missing])).unwrap();
        let verdict = log.verdict();
        let finding = verdict.first_finding().unwrap();
        assert_eq!(finding.kind, Kind::MissingFile, "{verdict:#?}");
        let first = [1, log.made.closed[1].0, log.made.closed[1].0 + 27];
        assert_eq!(finding.first_seq, Some(first[missing]), "{finding:?}");
    }
}

#[test]
fn what_retention_removed_is_not_missing() {
    let log = Log::of(|made| {
        made.work(5);
        made.rotate();
        made.work(5);
        made.rotate();
        made.prune();
        made.prune();
        made.checkpoint("stop");
    });
    let verdict = log.verdict();
    assert_eq!(verdict.state, State::Proven, "{verdict:#?}");
    let first = verdict.first.as_ref().unwrap().seq;
    assert_eq!(verdict.pruned, [verdict::Range { first_seq: 1, last_seq: first - 1 }]);
}

#[test]
fn a_removal_that_the_log_does_not_sign_is_a_warning() {
    let log = Log::of(|made| {
        made.work(5);
        made.rotate();
        made.checkpoint("interval");
        made.prune();
    });
    let verdict = log.verdict();
    assert_eq!(verdict.state, State::Warning);
    assert!(verdict.findings.iter().any(|finding| finding.kind == Kind::UnsignedTail), "{verdict:#?}");
}

#[test]
fn a_removal_of_other_records_explains_nothing() {
    let log = Log::of(|made| {
        made.work(5);
        made.rotate();
        made.work(5);
        made.rotate();
        made.prune();
        // The next one goes without a word.
        made.closed.remove(0);
        made.checkpoint("stop");
    });
    assert_eq!(log.verdict().first_finding().unwrap().kind, Kind::MissingFile);
}

#[test]
fn a_crash_is_no_tampering() {
    let log = Log::of(|made| {
        made.work(5);
        made.restart_after_a_crash("unclean_stop");
        made.work(5);
        made.restart_after_a_crash("torn_line");
        made.checkpoint("stop");
    });
    let verdict = log.verdict();
    assert_eq!((verdict.state, verdict.gaps.total), (State::Proven, 2), "{verdict:#?}");
}

#[test]
fn an_outage_is_no_tampering_and_excuses_none() {
    for put_in in [false, true] {
        let log = Log::of(|made| {
            made.work(5);
            if put_in {
                let (seq, hash) = (made.seq, made.hash);
                made.work(2);
                made.open.extend_from_slice(b"{\"seq\":10,\"ti\n");
                (made.seq, made.hash) = (seq, hash);
            }
            made.put(&Record::new(Event::AuditDegraded).failed("unwritable"));
            made.late = true;
            made.work(3);
            made.late = false;
            made.checkpoint("stop");
        });
        let verdict = log.verdict();
        assert_eq!((verdict.records, verdict.outages.total), (log.made.seq, 1), "{verdict:#?}");
        if put_in {
            assert_eq!(finds(&verdict, Kind::Inserted, 8).first_seq, Some(8));
        } else {
            assert_eq!(verdict.state, State::Proven, "{verdict:#?}");
        }
    }
}

#[test]
fn a_log_in_the_place_of_another_that_was_signed_is_told() {
    let log = Log::of(|made| {
        let gap = Record::new(Event::AuditGap).failed("log_replaced").with("head_seq", Detail::Number(40));
        made.put(&gap.with("head_log", Detail::Text("01K8YYYYYYYYYYYYYYYYYYYYYY".into())));
        made.work(5);
        made.checkpoint("stop");
    });
    let verdict = log.verdict();
    let finding = finds(&verdict, Kind::Replaced, 3);
    assert!(finding.message.contains("01K8YYYYYYYYYYYYYYYYYYYYYY") && finding.message.contains("record 40"));
    assert_eq!(verdict.state.exit_code(), 4);
}

#[test]
fn a_log_that_was_taken_away_from_a_running_server_lacks_what_was_taken() {
    for (kept, expected) in [(false, Some(Kind::Deleted)), (true, None)] {
        let log = Log::of(|made| {
            made.work(5);
            let (last_seq, taken) = (made.seq, std::mem::take(&mut made.open));
            made.put(&Record::new(Event::AuditGap).failed("log_replaced").with("last_seq", Detail::Number(last_seq)));
            made.checkpoint("stop");
            if kept {
                made.open.splice(0..0, taken);
            }
        });
        let verdict = log.verdict();
        assert_eq!(verdict.first_finding().map(|finding| finding.kind), expected, "{verdict:#?}");
        assert_eq!(verdict.gaps.total, 1);
    }
}

#[test]
fn a_cut_that_the_server_found_is_told() {
    let log = Log::of(|made| {
        made.work(5);
        // Ten records are gone, and their numbers are not used again.
        made.seq += 10;
        made.restart_after_a_crash("log_truncated");
        made.checkpoint("stop");
    });
    let verdict = log.verdict();
    let finding = finds(&verdict, Kind::Truncated, 8);
    assert_eq!((finding.first_seq, finding.last_seq, verdict.findings_total), (Some(8), Some(17), 1), "{verdict:#?}");
    assert_eq!(verdict.state.exit_code(), 6);
}

#[test]
fn a_log_that_ends_without_a_stop_is_a_warning_unless_a_server_writes_it() {
    let log = Log::of(|made| {
        made.work(5);
        made.checkpoint("interval");
        made.work(5);
        made.open.extend_from_slice(b"{\"seq\":");
    });
    let verdict = log.verdict();
    assert_eq!((verdict.state, verdict.first_finding().unwrap().kind), (State::Warning, Kind::NotClosed));
    assert_eq!((verdict.tail.records, verdict.tail.torn_bytes), (5, 7));
    let options = Options { in_use: true, ..log.options() };
    let verdict = log.verdict_with(&options);
    assert_eq!((verdict.state, verdict.closed), (State::Proven, false), "{verdict:#?}");
    let late = Options { now: log.made.time + jiff::SignedDuration::from_hours(1), ..options };
    assert_eq!(log.verdict_with(&late).first_finding().unwrap().kind, Kind::UnsignedTail);
}

#[test]
fn a_clock_that_goes_back_is_noted() {
    let log = Log::of(|made| {
        made.work(5);
        made.time -= jiff::SignedDuration::from_hours(2);
        made.work(5);
        made.checkpoint("stop");
    });
    let verdict = log.verdict();
    assert_eq!((verdict.state, verdict.clock_back.total), (State::Proven, 1));
    assert_eq!(verdict.clock_back.places[0].what, "the clock went back by 7199 s");
}

#[test]
fn a_compressed_file_that_is_damaged_is_told_once() {
    let log = Log::of(|made| {
        made.work(300);
        made.rotate();
        made.work(5);
        made.checkpoint("stop");
    });
    let path = log.path(&format!("{}.gz", closed_name(1)));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&path, &bytes).unwrap();
    let verdict = log.verdict();
    // What comes out of it may be no text any more before the damage is sure.
    assert!(matches!(verdict.first_finding().unwrap().kind, Kind::Damaged | Kind::NoRecord), "{verdict:#?}");
    assert!(verdict.findings.iter().any(|finding| finding.kind == Kind::Damaged), "{verdict:#?}");
    fs::write(&path, &bytes[..middle - 100]).unwrap();
    let verdict = log.verdict();
    assert_eq!((verdict.first_finding().unwrap().kind, verdict.findings_total), (Kind::Damaged, 1), "{verdict:#?}");
}

#[test]
fn a_compressed_file_that_holds_far_more_than_a_log_is_left_alone() {
    let bomb = |content: &[u8]| {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..80 {
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap()
    };
    for content in [vec![b'x'; 1 << 20], b"\n".repeat(1 << 20)] {
        let log = Log::of(|made| made.work(5));
        fs::write(log.path(&format!("{}.gz", closed_name(0))), bomb(&content)).unwrap();
        let verdict = log.verdict();
        assert_eq!(verdict.state, State::Tampered);
        assert_eq!((verdict.files[0].first_seq, verdict.records), (None, 7), "{:#?}", verdict.files);
    }
}

#[test]
fn a_closed_file_verifies_by_itself() {
    let log = Log::ordinary();
    let files = find(log.directory.path()).unwrap();
    let second = closed_file(&files[1], &log.keys, log.made.time).unwrap();
    assert_eq!((second.first_seq, second.last_seq), (log.made.closed[1].0, log.made.closed[1].0 + 26));
    let first = closed_file(&files[0], &log.keys, log.made.time).unwrap();
    assert_eq!((first.last_seq + 1, first.last_hash), (second.first_seq, second.first_prev));
    assert_eq!(first.key, log.keys[0].id());
    // Not by another key, and not without its end.
    assert!(closed_file(&files[0], &[key().public()], log.made.time).is_err());
    let text = fs::read_to_string(&files[1].path).unwrap();
    let cut = &text[..=text.trim_end().rfind('\n').unwrap()];
    fs::write(&files[1].path, cut).unwrap();
    let verdict = closed_file(&files[1], &log.keys, log.made.time).unwrap_err();
    assert_eq!(verdict.first_finding().unwrap().kind, Kind::Truncated);
}

#[test]
fn what_is_said_drives_no_terminal() {
    let log = Log::of(|made| {
        made.work(3);
        made.log = "01\u{1b}[2J".to_owned();
        made.checkpoint("stop");
    });
    let verdict = log.verdict();
    assert!(!serde_json::to_string(&verdict).unwrap().contains("\\u001b["), "{verdict:#?}");
    assert!(verdict.findings[0].message.contains("\\u{1b}"), "{verdict:#?}");
}

#[test]
fn a_file_that_is_renamed_behind_the_stop_is_the_end_of_the_log() {
    let log = Log::ordinary();
    let (first_seq, lines) = log.made.closed.last().unwrap();
    let first_seq = first_seq + u64::try_from(std::str::from_utf8(lines).unwrap().lines().count()).unwrap();
    fs::rename(log.path("audit.jsonl"), log.path(&closed_name(first_seq))).unwrap();
    let verdict = log.verdict_with(&log.with_witness());
    assert_eq!(verdict.state, State::Proven, "{verdict:?}");
    assert!(verdict.closed);
}
