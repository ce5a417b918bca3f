use super::*;

fn span_in(zone: &str, from: Option<&str>, to: Option<&str>) -> Result<TimeSpan, String> {
    let now: jiff::Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let read = |text: &str| text.parse::<Moment>().unwrap();
    TimeSpan::between(from.map(read).as_ref(), to.map(read).as_ref(), &now.in_tz(zone).unwrap())
}

fn span(from: Option<&str>, to: Option<&str>) -> Result<TimeSpan, String> {
    span_in("UTC", from, to)
}

#[test]
fn days_and_times_are_those_of_the_zone_and_instants_are_everybodys() {
    let at = |text: &str| Some(text.parse().unwrap());
    let day = span_in("Europe/Berlin", Some("2026-10-25"), Some("2026-10-25")).unwrap();
    // The clocks are put back on this day: it has 25 hours.
    assert_eq!((day.from, day.to), (at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z")));
    let times = span_in("Asia/Tokyo", Some("2026-11-20T06:30"), Some("2026-11-20T06:30:00Z")).unwrap();
    assert_eq!((times.from, times.to), (at("2026-11-19T21:30:00Z"), at("2026-11-20T06:30:00Z")));
    assert_eq!(span_in("Asia/Tokyo", Some("2h"), None), span(Some("2h"), None));
}

#[test]
fn moments_are_read_as_people_write_them() {
    for (text, beginning) in [
        ("2026-11-20", "2026-11-20T00:00:00Z"),
        ("2026-11-20T06:30", "2026-11-20T06:30:00Z"),
        ("2026-11-20 06:30:05", "2026-11-20T06:30:05Z"),
        ("2026-11-20T06:30:00+01:00", "2026-11-20T05:30:00Z"),
        ("2026-11-20T06:30:00.5Z", "2026-11-20T06:30:00.5Z"),
        ("2026-11-20T06:30Z", "2026-11-20T06:30:00Z"),
        ("2h", "2026-11-22T10:00:00Z"),
        ("90 minutes ago", "2026-11-22T10:30:00Z"),
        ("1w 1d", "2026-11-14T12:00:00Z"),
        ("1 month", "2026-10-22T12:00:00Z"),
        ("PT2H", "2026-11-22T10:00:00Z"),
    ] {
        assert_eq!(span(Some(text), None).unwrap().from, Some(beginning.parse().unwrap()), "{text}");
    }
    for text in ["", "yesterday", "20", "2026-11-31", "h", "2026-11-22T25:00"] {
        assert_eq!(text.parse::<Moment>().err(), Some(NoMoment), "{text}");
    }
}

#[test]
fn a_span_has_its_last_day_and_not_its_last_moment() {
    let days = span(Some("2026-11-20"), Some("2026-11-21")).unwrap();
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert!(days.holds(at("2026-11-20T00:00:00Z")) && days.holds(at("2026-11-21T23:59:59.999Z")));
    assert!(!days.holds(at("2026-11-19T23:59:59.999Z")) && !days.holds(at("2026-11-22T00:00:00Z")));
    let hours = span(Some("2h"), Some("1h")).unwrap();
    assert!(hours.holds(at("2026-11-22T10:00:00Z")) && !hours.holds(at("2026-11-22T11:00:00Z")));
    assert!(span(Some("1h"), Some("2h")).unwrap_err().contains("before"));
    assert!(span(Some("15000 years"), None).is_err());
    assert!(span(None, None).unwrap().is_everything());
}

#[test]
fn numbers_networks_events_and_paths_say_how_they_are_written() {
    assert_eq!(numbers("7"), Ok(7..=7));
    assert_eq!(numbers("7..9"), Ok(7..=9));
    assert_eq!((numbers("7.."), numbers("..9")), (Ok(7..=u64::MAX), Ok(0..=9)));
    for text in ["", "..", "9..7", "x", "-1", "1..2..3"] {
        assert!(numbers(text).is_err(), "{text}");
    }
    assert_eq!(network("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
    assert_eq!(network("::ffff:192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
    assert_eq!(network("192.0.2.7/24").unwrap().to_string(), "192.0.2.0/24");
    assert!(network("office").is_err());
    assert!("auth.*".parse::<EventPattern>().unwrap().means("auth.failure"));
    assert!(!"file.upload".parse::<EventPattern>().unwrap().means("file.upload_incomplete"));
    assert!("file.uplod".parse::<EventPattern>().unwrap_err().contains("file.upload?"));
    assert!(path_pattern("*.csv").unwrap_err().contains("/**/*.csv"));
    assert_eq!(severity("high"), Ok(Severity::High));
    assert!(severity("loud").is_err());
}

fn line(user: &str, path: &str, event: &str) -> String {
    let text = |text: &str| serde_json::to_string(text).unwrap();
    format!(
        "{{\"seq\":5,\"time\":1000,\"time_dt\":\"1970-01-01T00:00:01Z\",\"severity_id\":1,\"status_id\":2,\
         \"status_detail\":\"quota\",\"metadata\":{{\"event_code\":{},\"uid\":\"U\"}},\"actor\":{{\"user\":{{\"name\":{}}},\
         \"session\":{{\"uid\":\"01ABC\"}}}},\"src_endpoint\":{{\"ip\":\"192.0.2.7\",\"port\":4}},\"command\":\"STOR\",\
         \"file\":{{\"path\":{}}}}}",
        text(event),
        text(user),
        text(path)
    )
}

/// Whether a filter means the record of a line; what looks at the bytes alone must not hide it.
#[track_caller]
fn means(filter: &Filter, line: &str) -> bool {
    let admitted = filter.admits(&Entry::parse(line.as_bytes()).unwrap());
    assert!(!admitted || Needles::of(filter).may_admit(line.as_bytes()), "{line}");
    admitted
}

#[test]
fn each_part_of_a_filter_has_its_say() {
    let line = line("alice", "/in/a.csv", "file.upload_incomplete");
    let everything = Filter {
        span: TimeSpan { from: "1970-01-01T00:00:01Z".parse().ok(), to: "1970-01-01T00:00:02Z".parse().ok() },
        records: vec![1..=2, 5..=5],
        users: vec!["bob".into(), "alice".into()],
        networks: vec![network("192.0.2.0/24").unwrap()],
        paths: vec![path_pattern("/in/**").unwrap()],
        events: vec!["file.*".parse().unwrap()],
        succeeded: Some(false),
        reasons: vec!["quota".into()],
        sessions: vec!["01A".into()],
        commands: vec!["STOR".into()],
        severity_least: Some(Severity::Informational),
    };
    assert!(means(&everything, &line));
    let but = |change: fn(&mut Filter)| {
        let mut filter = everything.clone();
        change(&mut filter);
        filter
    };
    for (what, filter) in [
        ("span", but(|f| f.span.to = f.span.from)),
        ("records", but(|f| f.records = vec![6..=9])),
        ("users", but(|f| f.users = vec!["alic".into()])),
        ("networks", but(|f| f.networks = vec![network("192.0.2.8").unwrap()])),
        ("paths", but(|f| f.paths = vec![path_pattern("/in").unwrap()])),
        ("events", but(|f| f.events = vec!["file.upload".parse().unwrap()])),
        ("succeeded", but(|f| f.succeeded = Some(true))),
        ("reasons", but(|f| f.reasons = vec!["quot".into()])),
        ("sessions", but(|f| f.sessions = vec!["1A".into()])),
        ("commands", but(|f| f.commands = vec!["STO".into()])),
        ("severity", but(|f| f.severity_least = Some(Severity::Low))),
    ] {
        assert!(!means(&filter, &line), "{what}");
    }
}

#[test]
fn what_another_program_wrote_with_escapes_or_spaces_is_found() {
    let plain = line("älice", "/in/a.csv", "file.upload");
    let escaped = plain.replace('/', "\\/").replace('ä', "\\u00e4").replace("STOR", "\\u0053TOR");
    let spaced = plain.replace(':', " : ").replace("1970-01-01T00 : 00 : 01Z", "x").replacen('{', "{ ", 1);
    for line in [plain, escaped, spaced] {
        for filter in [
            Filter { users: vec!["älice".into()], ..Filter::default() },
            Filter { paths: vec![path_pattern("/in/*.csv").unwrap()], ..Filter::default() },
            Filter { commands: vec!["STOR".into()], ..Filter::default() },
            Filter { records: vec![5..=5], networks: vec![network("192.0.2.7").unwrap()], ..Filter::default() },
        ] {
            assert!(means(&filter, &line), "{filter:?}: {line}");
        }
        assert!(!means(&Filter { records: vec![6..=50], ..Filter::default() }, &line));
    }
}

mod random {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_looks_at_the_bytes_alone_hides_nothing_that_is_meant(
            user in "[a-c\"\\\\\u{1b}\u{202e}]{1,3}", wanted in "[a-c\"\\\\\u{1b}\u{202e}]{1,3}",
            path in "(/[a-b\"\\\\é]{1,2}){1,3}", pattern in "(/(\\*\\*|[a-b\"\\\\é*?]{1,2})){1,3}",
        ) {
            let line = line(&user, &path, "file.upload");
            means(&Filter { users: vec![wanted], ..Filter::default() }, &line);
            if let Ok(pattern) = path_pattern(&pattern) {
                means(&Filter { paths: vec![pattern], ..Filter::default() }, &line);
            }
        }
    }
}
