use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::findings::finding::{Evidence, Kind, Severity};
use crate::report::series::Calendar;
use crate::report::{Summary, Verdict, VerdictState};

const HOSTILE: &str = "</p><script>alert(1)</script>\" onload='x' \u{202e}\u{1b}[31m";

fn report(summary: &Summary) -> Report<'_> {
    let findings = Severity::ALL.map(|severity| Finding {
        kind: Kind::Guessing,
        severity,
        title: format!("Password guessing by {HOSTILE}"),
        seen: format!("412 logins failed from 203.0.113.66: {HOSTILE}"),
        user: Some(HOSTILE.to_owned()),
        address: "203.0.113.66".parse().ok(),
        from: Some(jiff::Timestamp::UNIX_EPOCH),
        to: Some(jiff::Timestamp::UNIX_EPOCH),
        evidence: Some(Evidence { first: 100, last: 612, records: (100..112).collect(), count: 412 }),
        command: format!("portcullis audit search --user '{HOSTILE}'"),
        advice: format!("Deny {HOSTILE}"),
    });
    Report {
        title: format!("Report {HOSTILE}"),
        made_at: jiff::Timestamp::UNIX_EPOCH,
        log: format!("/var/log/{HOSTILE}"),
        summary,
        verdict: Some(Verdict {
            state: VerdictState::Broken,
            headline: format!("Record 17 was changed {HOSTILE}"),
            details: vec![format!("audit.jsonl:17 {HOSTILE}")],
        }),
        findings: Some(findings.into()),
        findings_left_out: 0,
        unread: vec![format!("audit-1.jsonl.gz: {HOSTILE}")],
    }
}

#[test]
fn what_findings_and_the_verdict_say_stays_text() {
    let summary = Summary::new(Calendar::of(TimeZone::UTC), None, None);
    let page = page(&report(&summary)).into_string();
    for harmful in ["<script", "\" onload", "\u{202e}", "\u{1b}"] {
        assert!(!page.contains(harmful), "{harmful:?}");
    }
    assert!(page.contains("412 records: 100, 101, ") && page.contains(", 111, … 612<"));
    assert!(page.contains("Record 17 was changed &lt;/p&gt;"));
}

#[test]
fn the_page_takes_no_style_but_its_own_and_names_nothing_to_load() {
    let summary = Summary::new(Calendar::of(TimeZone::UTC), None, None);
    let page = page(&report(&summary)).into_string();
    let hash = BASE64.encode(digest(&SHA256, STYLE.as_bytes()).as_ref());
    assert!(page.contains(&format!("default-src 'none'; style-src 'sha256-{hash}'")));
    assert!(!STYLE.contains('<') && !STYLE.contains("url(") && !STYLE.contains("@import"));
    for loading in [" src=", "<link", "<script", " style=", "<iframe", "<img", "http://", "https://"] {
        assert!(!page.contains(loading), "{loading}");
    }
}

#[test]
fn a_reader_without_eyes_finds_landmarks_headings_in_order_and_a_name_for_each_picture() {
    let summary = Summary::new(Calendar::of(TimeZone::UTC), None, None);
    let page = page(&report(&summary)).into_string();
    for landmark in ["<header", "<nav aria-label", "<main", "<footer", "<html lang"] {
        assert_eq!(page.matches(landmark).count(), 1, "{landmark}");
    }
    let mut before = 0;
    for heading in page.split("<h").skip(1).filter_map(|rest| rest.chars().next()?.to_digit(10)) {
        assert!(heading <= before + 1, "h{heading} behind h{before}");
        before = heading;
    }
    for section in page.split("<section ").skip(1) {
        let id = section.split("aria-labelledby=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(page.contains(&format!("<h2 id=\"{id}\"")), "{id}");
    }
}

/// The page on a log whose records have this name wherever a name can stand.
fn page_on(name: &str) -> String {
    let mut summary = Summary::new(Calendar::of(TimeZone::UTC), None, None);
    for (seq, event) in ["auth.success", "auth.failure", "tls.handshake_ok", "file.upload", "policy.loaded", name]
        .into_iter()
        .enumerate()
    {
        let line = serde_json::json!({
            "seq": seq, "time": 1_795_327_200_000_i64, "time_dt": "2026-11-22T06:00:00Z", "severity_id": 1, "status_id": 2,
            "status_detail": name, "metadata": {"event_code": event, "uid": name}, "actor": {"user": {"name": name}},
            "src_endpoint": {"ip": "192.0.2.7", "port": 1}, "tls": {"version": name, "cipher": name},
            "file": {"path": name}, "traffic": {"bytes_in": 5, "bytes_out": 0},
            "unmapped": {"client": name, "kx": name, "x": name},
        });
        summary.take(line.to_string().as_bytes());
    }
    assert_eq!((summary.records, summary.unreadable), (6, 0));
    page(&Report { verdict: None, findings: None, ..report(&summary) }).into_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_name_makes_or_ends_an_element(name in ".+") {
        let tags = |page: &str| page.matches('<').count();
        prop_assert_eq!(tags(&page_on(&name)), tags(&page_on("name")));
    }
}
