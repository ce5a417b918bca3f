//! What `audit findings` finds in logs of known truth, and what it leaves alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use portcullis::findings::context::Context;
use portcullis::findings::finding::{Finding, Kind};
use portcullis::findings::{Found, Span, find};
use portcullis::settings::Thresholds;
use portcullis::trail::files;

use crate::support::made_log::{Made, Plan, Truth, make};

/// How far the times of a finding and of what was planted may be apart, in milliseconds.
const SLACK_MS: i64 = 60_000;

/// What came of a kind over all logs.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    planted: u32,
    found: u32,
    right: u32,
    wrong: u32,
}

impl Score {
    fn recall(self) -> f64 {
        f64::from(self.found) / f64::from(self.planted.max(1))
    }

    fn precision(self) -> f64 {
        f64::from(self.right) / f64::from((self.right + self.wrong).max(1))
    }
}

/// Whether a finding is about what was planted.
fn is_about(finding: &Finding, truth: &Truth) -> bool {
    let (from, to) =
        (finding.from.map_or(0, Timestamp::as_millisecond), finding.to.map_or(0, Timestamp::as_millisecond));
    let same = |a: Option<String>, b: Option<String>| a.zip(b).is_none_or(|(a, b)| a == b);
    from <= truth.span.1 + SLACK_MS
        && to >= truth.span.0 - SLACK_MS
        && same(finding.user.clone(), truth.user.clone())
        && same(finding.address.map(|a| a.to_string()), truth.address.map(|a| a.to_string()))
}

fn read(plan: &Plan) -> (Made, Found) {
    let directory = tempfile::tempdir().unwrap();
    let made = make(directory.path(), plan);
    let files = files::find(directory.path()).unwrap();
    let found = find(&files, &Thresholds::default(), Context::at(made.end), Span::default());
    assert_eq!((found.records, found.unreadable, found.failed.len()), (made.records, 0, 0));
    (made, found)
}

fn judge(seed: u64, scores: &mut BTreeMap<Kind, Score>) {
    let (made, found) = read(&Plan::of(seed));
    for truth in &made.truths {
        let score = scores.entry(truth.kind).or_default();
        score.planted += 1;
        if found.findings.iter().any(|finding| finding.kind == truth.kind && is_about(finding, truth)) {
            score.found += 1;
        } else {
            eprintln!("seed {seed}: missed {truth:?}");
        }
    }
    for finding in &found.findings {
        let score = scores.entry(finding.kind).or_default();
        let right = made.truths.iter().any(|truth| {
            (truth.kind == finding.kind || truth.also.contains(&finding.kind)) && is_about(finding, truth)
        });
        if right {
            score.right += 1;
        } else {
            score.wrong += 1;
            eprintln!("seed {seed}: wrong {}: {} {}", finding.kind, finding.title, finding.seen);
        }
    }
}

#[test]
fn attacks_are_found_and_ordinary_life_is_left_alone() {
    let mut scores = BTreeMap::new();
    let seeds = std::env::var("PORTCULLIS_SEEDS").map_or(3, |text| text.parse().unwrap());
    for seed in 1..=seeds {
        judge(seed, &mut scores);
    }
    for (kind, score) in &scores {
        println!("{kind}: {score:?} precision {:.2} recall {:.2}", score.precision(), score.recall());
    }
}
