//! The keeper: closed files of the audit log, and copies that survive outages. Here it is told by the
//! test what the server would tell it; `sinks` has both.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use portcullis::keeper::protocol::{Order, Pruning, Reason, Report};
use portcullis::settings::keeping::{Copies, Records, Retention, Target};
use rustix::process::Signal;

use crate::support::eventually;
use crate::support::keeper::{Keeper, Log, Rsyslog, number};

const COMPRESS: Retention = Retention { compress: true, days: None, bytes: None };

fn zipped(name: &str) -> String {
    format!("{name}.gz")
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn a_closed_file_is_compressed_and_the_newest_only_when_the_next_one_is_begun() {
    let mut log = Log::new();
    let mut keeper = Keeper::start(&log, COMPRESS, Vec::new());
    log.write(50, 0);
    let first = log.close(Some(&mut keeper));
    log.write(50, 0);
    let second = log.close(Some(&mut keeper));
    keeper.wait_for(|report| matches!(report, Report::Compressed { file, .. } if *file == first));
    assert_eq!(log.names(), [zipped(&first), second.clone()]);
    log.write(1, 0);
    keeper.order(&Order::Keep { retention: COMPRESS });
    keeper.wait_for(|report| matches!(report, Report::Compressed { file, .. } if *file == second));
    assert_eq!(log.names(), [zipped(&first), zipped(&second), "audit.jsonl".to_owned()]);
}

#[test]
fn an_order_that_comes_twice_closes_no_second_file() {
    let mut log = Log::new();
    let mut keeper = Keeper::start(&log, Retention::default(), Vec::new());
    log.write(5, 0);
    let first = log.close(Some(&mut keeper));
    log.write(5, 0);
    keeper.order(&Order::Rename { name: first.clone() });
    keeper.wait_for(|report| matches!(report, Report::NotRenamed { .. }));
    assert_eq!(log.names(), [first, "audit.jsonl".to_owned()]);
}

#[test]
fn a_damaged_file_is_kept_as_it_is_and_reported_once() {
    let mut log = Log::new();
    log.write(50, 0);
    let damaged = log.close(None);
    log.write(50, 0);
    let sound = log.close(None);
    log.write(1, 0);
    let path = log.path().join(&damaged);
    let text = fs::read_to_string(&path).unwrap().replacen("alice", "allan", 1);
    fs::write(&path, &text).unwrap();
    let retention = Retention { compress: true, days: None, bytes: Some(1) };
    let mut keeper = Keeper::start(&log, retention, Vec::new());
    let report = keeper.wait_for(|report| matches!(report, Report::Unverified { .. } | Report::Prune(_)));
    let Report::Unverified { file, line, .. } = report else { panic!("{report:?}") };
    assert_eq!((file, line), (damaged.clone(), Some(1)));
    eventually("the other one is compressed", || log.names().contains(&zipped(&sound)).then_some(()));
    keeper.wait_for(|report| matches!(report, Report::State(state) if state.unverified == [damaged.clone()]));
    keeper.end();
    let mut again = Keeper::start(&log, retention, Vec::new());
    let told = again.wait_for(|report| matches!(report, Report::State(_) | Report::Unverified { .. }));
    assert!(matches!(told, Report::State(state) if state.unverified == [damaged.clone()]));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(log.names(), [damaged, zipped(&sound), "audit.jsonl".to_owned()]);
}

#[test]
fn a_file_goes_when_it_is_old_and_only_behind_its_record() {
    let mut log = Log::new();
    log.write(5, 500);
    let old = log.close_as_of(None, 500);
    log.write(5, 30);
    let young = log.close_as_of(None, 30);
    log.write(1, 0);
    let retention = Retention { compress: false, days: Some(400), bytes: None };
    let mut keeper = Keeper::start(&log, retention, Vec::new());
    let report = keeper.wait_for(|report| matches!(report, Report::Prune(_)));
    let Report::Prune(Pruning { file, first_seq, last_seq, reason, .. }) = report else { panic!("{report:?}") };
    assert_eq!((file, first_seq, last_seq, reason), (old.clone(), 1, 6, Reason::Age));
    // Where that is not recorded, the file stays.
    keeper.order(&Order::Noted { file: old.clone(), recorded: false });
    keeper.order(&Order::Keep { retention });
    keeper.wait_for(|report| matches!(report, Report::Prune(_)));
    assert_eq!(log.names(), [old.clone(), young.clone(), "audit.jsonl".to_owned()]);
    keeper.order(&Order::Noted { file: old, recorded: true });
    eventually("the old file goes", || (log.names() == [young.clone(), "audit.jsonl".to_owned()]).then_some(()));
}

#[test]
fn a_log_that_is_too_large_loses_its_oldest_files_and_no_more_than_needed() {
    let mut log = Log::new();
    let names: Vec<String> = (0..4)
        .map(|_| {
            log.write(20, 0);
            log.close(None)
        })
        .collect();
    log.write(1, 0);
    let size = fs::metadata(log.path().join(&names[0])).unwrap().len();
    let retention = Retention { compress: false, days: None, bytes: Some(size * 2 + size / 2) };
    let mut keeper = Keeper::start(&log, retention, Vec::new());
    for name in &names[..2] {
        let report = keeper.wait_for(|report| matches!(report, Report::Prune(_)));
        assert!(
            matches!(&report, Report::Prune(pruning) if pruning.file == *name && pruning.reason == Reason::TotalSize)
        );
        keeper.order(&Order::Noted { file: name.clone(), recorded: true });
    }
    eventually("two files go", || (log.names().len() == 3).then_some(()));
    assert_eq!(log.names(), [&names[2], &names[3], "audit.jsonl"]);
}

#[test]
fn no_file_goes_before_every_copy_has_it() {
    let mut log = Log::new();
    let socket = log.beside("log");
    let copy = Copies { target: Target::Local { socket: socket.clone() }, records: Records::All, facility: 10 };
    Keeper::start(&log, Retention::default(), vec![copy.clone()]).end();
    log.write(5, 500);
    let old = log.close_as_of(None, 500);
    log.write(1, 0);
    let retention = Retention { compress: false, days: Some(400), bytes: None };
    let mut keeper = Keeper::start(&log, retention, vec![copy]);
    keeper.wait_for(|report| matches!(report, Report::SinkFailed { .. }));
    keeper.order(&Order::Keep { retention });
    keeper.wait_for(|report| match report {
        Report::Prune(_) => panic!("it is copied nowhere"),
        Report::State(state) => state.sinks[0].failing_since.is_some(),
        _ => false,
    });
    let receiver = UnixDatagram::bind(&socket).unwrap();
    receiver.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    assert_eq!(taken(&receiver, 7), (1..=7).collect::<Vec<_>>());
    keeper.wait_for(|report| matches!(report, Report::SinkRecovered { .. }));
    keeper.order(&Order::Keep { retention });
    let report = keeper.wait_for(|report| matches!(report, Report::Prune(_)));
    assert!(matches!(report, Report::Prune(pruning) if pruning.file == old));
}

/// The numbers of so many records, as a socket of this machine takes them.
fn taken(receiver: &UnixDatagram, count: usize) -> Vec<u64> {
    let mut buffer = vec![0; 1 << 17];
    let mut message = || {
        let bytes = receiver.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..bytes].to_vec()).unwrap()
    };
    (0..count).map(|_| number(&message()).unwrap()).collect()
}

#[test]
fn a_signal_to_the_whole_group_does_not_end_it_before_the_server() {
    let mut log = Log::new();
    let mut keeper = Keeper::copying(&log, vec![Target::Stdout {}]);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        keeper.signal(signal);
    }
    log.write(5, 0);
    log.close(Some(&mut keeper));
    log.write(3, 0);
    keeper.end();
    let out = fs::read_to_string(log.beside("out")).unwrap();
    assert_eq!(out.lines().filter_map(number).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
}

#[test]
fn a_copy_goes_on_behind_a_restart_where_it_was() {
    let mut log = Log::new();
    log.write(3, 0);
    for round in 0..3_u64 {
        let keeper = Keeper::copying(&log, vec![Target::Stdout {}]);
        log.write(4, 0);
        keeper.end();
        // While no keeper runs, the log goes on.
        log.write(2, 0);
        if round == 1 {
            log.close(None);
            log.write(1, 0);
        }
    }
    let keeper = Keeper::copying(&log, vec![Target::Stdout {}]);
    keeper.end();
    let out = fs::read_to_string(log.beside("out")).unwrap();
    assert_eq!(out.lines().filter_map(number).collect::<Vec<_>>(), (4..=log.last()).collect::<Vec<_>>());
}

#[test]
fn a_receiver_that_takes_nothing_for_a_while_gets_everything_in_order() {
    let mut log = Log::new();
    let socket = log.beside("log");
    let receiver = UnixDatagram::bind(&socket).unwrap();
    let mut keeper = Keeper::copying(&log, vec![Target::Local { socket }]);
    // Far more than fits into the queue of a socket.
    log.write(2_000, 0);
    log.close(Some(&mut keeper));
    log.write(500, 0);
    keeper.wait_for(|report| matches!(report, Report::State(state) if state.sinks[0].behind_records >= 2_000));
    receiver.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    assert_eq!(taken(&receiver, 2_501), (1..=2_501).collect::<Vec<_>>());
}

#[test]
fn the_journal_gets_the_facts_as_fields_and_the_whole_record() {
    let mut log = Log::new();
    let socket = log.beside("journal");
    let journal = UnixDatagram::bind(&socket).unwrap();
    journal.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let _keeper = Keeper::copying(&log, vec![Target::Journal { socket }]);
    log.write(1, 0);
    let mut buffer = vec![0; 1 << 17];
    let received = journal.recv(&mut buffer).unwrap();
    let text = String::from_utf8(buffer[..received].to_vec()).unwrap();
    for field in [
        "PRIORITY=5",
        "SYSLOG_IDENTIFIER=portcullis",
        "PORTCULLIS_EVENT=auth.failure",
        "PORTCULLIS_USER=alice",
        "PORTCULLIS_OUTCOME=failure",
        "PORTCULLIS_SEQ=1",
    ] {
        assert!(text.lines().any(|line| line == field), "no {field}: {text}");
    }
    let line = fs::read_to_string(log.path().join("audit.jsonl")).unwrap();
    assert!(text.contains(&format!("PORTCULLIS_RECORD={line}")), "{text}");
}

#[test]
fn a_syslog_server_over_tls_gets_every_record_once_it_is_back() {
    let mut log = Log::new();
    let mut rsyslog = Rsyslog::prepare(&log.beside("rsyslog"), free_port());
    rsyslog.start();
    let mut keeper = Keeper::copying(&log, vec![rsyslog.target("localhost", "localhost")]);
    log.write(300, 0);
    eventually("the first records arrive", || (rsyslog.numbers().len() == 300).then_some(()));
    let first = rsyslog.received()[0].clone();
    assert!(first.starts_with("authpriv portcullis auth.failure [portcullis@32473 seq=\"1\""), "{first}");
    assert!(first.contains("user=\"alice\""), "{first}");
    rsyslog.kill();
    log.write(300, 0);
    keeper.wait_for(|report| matches!(report, Report::SinkFailed { .. }));
    log.close(Some(&mut keeper));
    log.write(300, 0);
    rsyslog.start();
    eventually("all records arrive", || (rsyslog.numbers() == (1..=901).collect::<Vec<_>>()).then_some(()));
    keeper.wait_for(|report| matches!(report, Report::SinkRecovered { .. }));
    log.write(1, 0);
    keeper.end();
    eventually("the last record arrives", || (rsyslog.numbers().len() == 902).then_some(()));
}

#[test]
fn nothing_is_sent_to_a_server_with_a_certificate_of_another_name() {
    let mut log = Log::new();
    let mut rsyslog = Rsyslog::prepare(&log.beside("rsyslog"), free_port());
    rsyslog.start();
    let port = rsyslog.target("127.0.0.1", "localhost");
    let good = Keeper::copying(&log, vec![port]);
    log.write(1, 0);
    eventually("it listens", || (rsyslog.numbers() == [1]).then_some(()));
    good.end();
    let mut keeper = Keeper::copying(&log, vec![rsyslog.target("127.0.0.1", "logs.example.org")]);
    log.write(1, 0);
    let report = keeper.wait_for(|report| matches!(report, Report::SinkFailed { .. }));
    let Report::SinkFailed { error, .. } = report else { panic!("{report:?}") };
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(rsyslog.numbers(), [1]);
}

#[test]
fn a_witness_gets_what_proves_the_log_and_nothing_else() {
    let mut log = Log::new();
    let copy = Copies { target: Target::Stdout {}, records: Records::Checkpoints, facility: 10 };
    let mut keeper = Keeper::start(&log, Retention::default(), vec![copy]);
    log.write(20, 0);
    keeper.wait_for(|report| matches!(report, Report::State(state) if state.sinks[0].copied_seq == 20));
    keeper.end();
    assert_eq!(fs::read_to_string(log.beside("out")).unwrap(), "");
}
