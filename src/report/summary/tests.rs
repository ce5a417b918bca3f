use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::audit::chain::ChainHash;
use crate::audit::event::Event;
use crate::audit::json::{Stamp, append_line};
use crate::audit::record::{Detail, FileFacts, Record, SessionFacts, Traffic};

/// A log that is made record by record, ten seconds apart, and summed up.
struct Made {
    summary: Summary,
    seq: u64,
    time: Timestamp,
}

impl Made {
    fn new() -> Self {
        let calendar = Calendar::of(TimeZone::get("Europe/Berlin").unwrap());
        Self { summary: Summary::new(calendar, None, None), seq: 0, time: "2026-11-22T06:00:00Z".parse().unwrap() }
    }

    fn add(&mut self, record: &Record) {
        self.seq += 1;
        self.time += jiff::SignedDuration::from_secs(10);
        let mut line = Vec::new();
        let stamp = Stamp { seq: self.seq, time: self.time, uid: "01RECORD", late: false };
        append_line(&mut line, &stamp, record, ChainHash::NONE).unwrap();
        self.summary.take(line.strip_suffix(b"\n").unwrap());
    }
}

fn from(address: &str, event: Event, user: &str) -> Record {
    let mut record = Record::new(event);
    record.session = Some(Arc::new(SessionFacts {
        id: "01SESSION".into(),
        created_micros: 0,
        client: format!("{address}:4000").parse().unwrap(),
        server: "192.0.2.1:21".parse().unwrap(),
        proxy: None,
        policy: "p".into(),
    }));
    record.user = Some(user.into());
    record
}

#[test]
fn the_address_that_guesses_comes_first_with_all_that_it_tried() {
    let mut made = Made::new();
    for round in 0..40 {
        made.add(&from("203.0.113.66", Event::LoginFailure, &format!("admin{}", round % 4)).failed("bad_password"));
    }
    made.add(&from("203.0.113.66", Event::LoginLimited, "root").failed("too_many_failures"));
    made.add(&from("203.0.113.66", Event::LoginBanned, "root").failed("too_many_failures"));
    made.add(&from("192.0.2.7", Event::LoginFailure, "alice").failed("outside_hours"));
    made.add(&from("192.0.2.7", Event::LoginSuccess, "alice"));
    let ranking = made.summary.sources.ranked(9, Source::attempts);
    let (address, source) = ranking.named[0];
    assert_eq!(address.to_string(), "203.0.113.66");
    let figures = (source.failures, source.guesses, source.throttled, source.bans, source.logins, source.names.count());
    assert_eq!(figures, (40, 40, 1, 1, 0, 5));
    let (_, other) = ranking.named[1];
    assert_eq!((other.failures, other.guesses, other.logins), (1, 0, 1));
    let figures = made.summary.logins.intervals().fold([0; 3], |mut sum, (_, more)| {
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        sum
    });
    assert_eq!(figures, [1, 41, 1]);
}

#[test]
fn bytes_count_once_also_of_transfers_that_were_cut_short() {
    let mut made = Made::new();
    let mut moved = |event, bytes_in, bytes_out| {
        let mut record = from("192.0.2.7", event, "alice");
        record.traffic = Some(Traffic { bytes_in, bytes_out });
        record.file =
            Some(FileFacts { path: "/x".into(), directory: false, size: None, digest: None, renamed_to: None });
        made.add(&record);
    };
    moved(Event::FileUpload, 100, 0);
    moved(Event::FileUploadIncomplete, 30, 0);
    moved(Event::FileDownload, 0, 7);
    moved(Event::FileList, 0, 999);
    moved(Event::SessionClosed, 130, 7);
    let (_, alice) = made.summary.users.iter().next().unwrap();
    assert_eq!((alice.uploads, alice.bytes_in, alice.downloads, alice.bytes_out), (1, 130, 1, 7));
    assert_eq!(made.summary.incomplete, (1, 0));
    assert_eq!(made.summary.transfers.intervals().map(|(_, figures)| *figures).collect::<Vec<_>>(), [[1, 130, 1, 7]]);
}

#[test]
fn a_flood_counts_with_all_of_it_at_its_network() {
    let mut made = Made::new();
    let flood = Record::new(Event::ConnectionRefused).failed("banned");
    made.add(
        &flood
            .clone()
            .with("count", Detail::Number(5000))
            .with("source_network", Detail::Text("203.0.113.0/24".into())),
    );
    made.add(&flood.with("source_ip", Detail::Text("203.0.113.9".into())));
    let (network, source) = made.summary.networks.iter().next().unwrap();
    assert_eq!((network.to_string().as_str(), source.denied), ("203.0.113.0/24", 5001));
    let ranking = made.summary.refusals.ranked(1, |reason| reason.count);
    assert_eq!(ranking.named[0].1.count, 5001);
}

#[test]
fn only_the_span_counts_and_what_is_no_record_is_told() {
    let mut made = Made::new();
    made.summary.from = Some("2026-11-22T06:00:15Z".parse::<Timestamp>().unwrap().as_millisecond());
    made.summary.until = Some("2026-11-22T06:00:30Z".parse::<Timestamp>().unwrap().as_millisecond());
    for _ in 0..5 {
        made.add(&Record::new(Event::ServiceStart));
    }
    made.summary.take(b"{\"seq\":1}");
    made.summary.take(b"\xff");
    assert_eq!((made.summary.records, made.summary.sequence, made.summary.unreadable), (1, Some((2, 2)), 2));
}

#[test]
fn made_up_names_displace_no_user() {
    let mut made = Made::new();
    made.add(&from("192.0.2.7", Event::LoginSuccess, "alice"));
    for number in 0..5 * USERS_KEPT {
        made.add(&from("203.0.113.66", Event::LoginFailure, &format!("name{number}")).failed("unknown_user"));
    }
    assert!(made.summary.users.len() <= 2 * USERS_KEPT);
    assert!(made.summary.users.iter().any(|(name, user)| name == "alice" && user.logins == 1));
    let named: u64 = made.summary.users.iter().map(|(_, user)| user.failures).sum();
    assert_eq!(named + made.summary.users.others().failures, u64::try_from(5 * USERS_KEPT).unwrap());
}

#[test]
fn the_newest_records_of_administrators_are_told_with_what_they_say() {
    let mut made = Made::new();
    for number in 0..300 {
        made.add(&Record::new(Event::ControlCall).with("verb", Detail::Text(format!("verb{number}"))));
    }
    let journal = &made.summary.journals.control;
    assert_eq!((journal.count, journal.notes.len()), (300, 200));
    assert_eq!(journal.notes.back().unwrap().facts, [("verb".to_owned(), "verb299".to_owned())]);
}
