use std::fs;
use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::audit::rotation::closed_name;
use crate::trail::files::find;
use crate::trail::filter::network;

/// A record of the hour `seq`, by one of three users, from one of three addresses.
fn record(seq: u64) -> String {
    let hour = i64::try_from(seq).unwrap() * 3_600_000;
    format!(
        "{{\"seq\":{seq},\"time\":{hour},\"time_dt\":\"t\",\"severity_id\":1,\"status_id\":{},\
         \"metadata\":{{\"event_code\":\"file.list\",\"uid\":\"x\"}},\"actor\":{{\"user\":{{\"name\":\"user{}\"}}}},\
         \"src_endpoint\":{{\"ip\":\"192.0.2.{}\",\"port\":1}}}}\n",
        seq % 2 + 1,
        seq % 3,
        seq % 3
    )
}

fn found(place: &Path, filter: &Filter) -> (Vec<u64>, usize) {
    let (mut seqs, mut unread) = (Vec::new(), 0);
    let files = narrowed(find(place).unwrap(), filter);
    let needles = Needles::of(filter);
    let each = |found: Found<'_>| {
        seqs.push(found.entry.seq);
        Ok::<_, ()>(ControlFlow::Continue(()))
    };
    scan(&files, &needles, |entry| filter.admits(entry), |_| unread += 1, each).unwrap();
    (seqs, unread)
}

/// A log of so many records in files that end behind these; every second one is compressed.
fn log(records: u64, ends: &[u64]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut first = 1;
    for (index, end) in ends.iter().copied().chain([records]).enumerate() {
        let text: String = (first..=end).map(record).collect();
        if end == records {
            fs::write(directory.path().join("audit.jsonl"), text).unwrap();
        } else if index % 2 == 0 {
            let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            zip.write_all(text.as_bytes()).unwrap();
            fs::write(directory.path().join(format!("{}.gz", closed_name(first))), zip.finish().unwrap()).unwrap();
        } else {
            fs::write(directory.path().join(closed_name(first)), text).unwrap();
        }
        first = end + 1;
    }
    directory
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn a_log_in_many_files_tells_what_it_would_tell_in_one(
        mut ends in prop::collection::btree_set(1_u64..60, 0..5),
        hours in prop::option::of((0_i64..70, 0_i64..70)), records in prop::option::of((0_u64..70, 0_u64..70)),
        user in prop::option::of(0..4), address in prop::option::of(0..4), succeeded in any::<Option<bool>>(),
    ) {
        ends.remove(&60);
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
        let filter = Filter {
            span: hours.map_or_else(TimeSpan::default, |(from, to)| TimeSpan { from: Some(at(from)), to: Some(at(to)) }),
            records: records.map(|(from, to)| from..=to).into_iter().collect(),
            users: user.map(|user| format!("user{user}")).into_iter().collect(),
            networks: address.map(|last| network(&format!("192.0.2.{last}")).unwrap()).into_iter().collect(),
            succeeded,
            ..Filter::default()
        };
        let ends: Vec<u64> = ends.into_iter().collect();
        let expected = found(log(60, &[]).path(), &filter);
        prop_assert_eq!(found(log(60, &ends).path(), &filter), expected);
    }
}

#[test]
fn files_that_cannot_have_it_are_not_read() {
    let directory = log(60, &[10, 20, 30]);
    let left = |filter: &Filter| narrowed(find(directory.path()).unwrap(), filter).len();
    let hours = |from: i64, to: i64| Filter {
        span: TimeSpan { from: Timestamp::from_second(from * 3600).ok(), to: Timestamp::from_second(to * 3600).ok() },
        ..Filter::default()
    };
    assert_eq!(left(&Filter::default()), 4);
    assert_eq!(left(&hours(13, 16)), 1);
    assert_eq!(left(&hours(40, 50)), 1);
    assert_eq!(left(&Filter { records: vec![5..=5, 25..=25], ..Filter::default() }), 2);
}

#[test]
fn where_the_clock_went_back_every_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(closed_name(1)), record(50) + &record(51)).unwrap();
    fs::write(directory.path().join("audit.jsonl"), record(1)).unwrap();
    let span = TimeSpan { from: Timestamp::from_second(40 * 3600).ok(), to: None };
    assert_eq!(found(directory.path(), &Filter { span, ..Filter::default() }).0, [50, 51]);
}

#[test]
fn what_is_no_record_is_told_and_does_not_end_the_search() {
    let directory = tempfile::tempdir().unwrap();
    let broken = format!("{{\"seq\":1\n\n{}[]\n{}", record(2), "x".repeat(3 << 20));
    fs::write(directory.path().join(closed_name(1)), broken).unwrap();
    fs::write(directory.path().join(format!("{}.gz", closed_name(9))), "no gzip").unwrap();
    fs::write(directory.path().join("audit.jsonl"), record(10) + "{\"seq\":11,\"being wri").unwrap();
    assert_eq!(found(directory.path(), &Filter::default()), (vec![2, 10], 5));
}
