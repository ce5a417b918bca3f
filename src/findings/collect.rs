//! Findings that were made, bounded in number; and the trace that a series of records leaves.

use std::collections::HashMap;

use jiff::Timestamp;

use super::command::Search;
use super::context::Context;
use super::finding::{Evidence, Finding, Kind, RECORDS_MAX, Severity};
use super::seen::{Name, Seen, kept, timestamp};
use crate::audit::text::is_harmful;

/// Most findings of one kind that are kept; the most severe and the latest are.
const FINDINGS_MAX: usize = 1_000;

/// What a series of records leaves: bounded, however long the series.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) first_time: i64,
    pub(super) last_time: i64,
    /// How many records.
    pub(super) count: u64,
    records: Vec<u64>,
    /// What happened in them.
    pub(super) events: Words,
    /// Why not.
    pub(super) reasons: Words,
}

/// Most words that are told apart.
const WORDS_MAX: usize = 6;

/// The words that stand in a series of records, while all of them have one and these are few.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    few: Vec<Name>,
    many: bool,
}

impl Words {
    fn add(&mut self, word: &str) {
        if self.many || self.few.iter().any(|known| **known == *word) {
            return;
        }
        let word = if word.chars().any(is_harmful) { "".into() } else { kept(word) };
        if word.is_empty() || self.few.len() >= WORDS_MAX {
            *self = Self { few: Vec::new(), many: true };
        } else {
            self.few.push(word);
        }
    }

    /// All of them; none where they do not tell the records from others.
    pub(super) fn all(&self) -> &[Name] {
        &self.few
    }
}

impl Trace {
    /// One record more.
    pub(super) fn add(&mut self, seen: &Seen<'_>) {
        let (seq, time) = (seen.entry.seq, seen.time);
        if self.count == 0 {
            (self.first, self.first_time, self.last_time) = (seq, time, time);
        }
        self.count = self.count.saturating_add(1);
        self.events.add(seen.entry.event());
        self.reasons.add(seen.reason());
        self.last = self.last.max(seq);
        self.last_time = self.last_time.max(time);
        if self.records.len() < RECORDS_MAX {
            self.records.push(seq);
        }
    }

    /// The trace of one record.
    pub(super) fn of(seen: &Seen<'_>) -> Self {
        let mut trace = Self::default();
        trace.add(seen);
        trace
    }

    /// For how long, in words.
    pub(super) fn lasted(&self) -> String {
        let seconds = self.last_time.saturating_sub(self.first_time).div_euclid(1000);
        match seconds {
            ..=119 => format!("{} seconds", seconds.max(1)),
            120..=7_199 => format!("{} minutes", seconds.div_euclid(60)),
            7_200..=172_799 => format!("{} hours", seconds.div_euclid(3_600)),
            _ => format!("{} days", seconds.div_euclid(86_400)),
        }
    }

    /// When it began and ended, in words.
    pub(super) fn when(&self) -> String {
        let (from, to) = (timestamp(self.first_time), timestamp(self.last_time));
        if self.first_time == self.last_time { format!("at {from:.0}") } else { format!("from {from:.0} to {to:.0}") }
    }
}

/// A finding with what its trace says.
pub(super) fn finding(kind: Kind, severity: Severity, trace: Trace) -> Finding {
    Finding {
        kind,
        severity,
        title: String::new(),
        seen: String::new(),
        user: None,
        address: None,
        from: Some(timestamp(trace.first_time)),
        to: Some(timestamp(trace.last_time)),
        command: Search::new().evidence(&trace).into(),
        evidence: Some(Evidence { first: trace.first, last: trace.last, records: trace.records, count: trace.count }),
        advice: String::new(),
    }
}

/// The findings so far.
#[derive(Debug)]
pub(super) struct Collected {
    from: Option<Timestamp>,
    kinds: HashMap<Kind, Vec<Finding>>,
    left_out: u64,
}

impl Collected {
    /// None so far; those that ended before `from` are not wanted.
    pub(super) fn new(from: Option<Timestamp>) -> Self {
        Self { from, kinds: HashMap::new(), left_out: 0 }
    }

    /// Keeps a finding.
    pub(super) fn push(&mut self, finding: Finding) {
        if self.from.zip(finding.to).is_some_and(|(from, to)| to < from) {
            return;
        }
        let kept = self.kinds.entry(finding.kind).or_default();
        kept.push(finding);
        if kept.len() >= FINDINGS_MAX.saturating_mul(2) {
            self.left_out = self.left_out.saturating_add(cut(kept));
        }
    }

    /// Says that there are lines which are no records.
    pub(super) fn unreadable(&mut self, lines: u64, last_seq: u64, context: &Context) {
        self.push(Finding {
            kind: Kind::Log,
            severity: Severity::High,
            title: format!("{lines} lines of the log are no records."),
            seen: format!("They were passed over; the last record read is {last_seq}."),
            user: None,
            address: None,
            from: None,
            to: Some(context.now),
            evidence: None,
            command: "portcullis audit verify".to_owned(),
            advice: "`audit verify` says where the log was damaged; the file may have been edited.".to_owned(),
        });
    }

    /// All of them in order, and how many were left out.
    pub(super) fn into_findings(mut self) -> (Vec<Finding>, u64) {
        let mut all = Vec::new();
        for mut kept in std::mem::take(&mut self.kinds).into_values() {
            self.left_out = self.left_out.saturating_add(cut(&mut kept));
            all.append(&mut kept);
        }
        all.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.title.cmp(&b.title)));
        (all, self.left_out)
    }
}

/// The most severe first, then the latest, then by kind.
fn order(finding: &Finding) -> impl Ord + use<> {
    use std::cmp::Reverse;
    (Reverse(finding.severity), Reverse(finding.to), finding.kind)
}

/// Leaves the first ones by their order, and says how many go.
fn cut(kept: &mut Vec<Finding>) -> u64 {
    let more = kept.len().saturating_sub(FINDINGS_MAX);
    if more > 0 {
        kept.sort_by_key(order);
        kept.truncate(FINDINGS_MAX);
    }
    u64::try_from(more).unwrap_or(u64::MAX)
}
