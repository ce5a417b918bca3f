//! What administrators and the server itself did: records that are read one by one.

use std::collections::VecDeque;

use crate::trail::entry::Entry;

/// Records that are kept of each subject, the newest.
const KEPT: usize = 200;
/// Facts that are kept of a record.
const FACTS_MAX: usize = 16;
/// Characters that are kept of a fact.
const FACT_CHARACTERS_MAX: usize = 200;
/// Facts that every record has, or that say nothing to people.
const COMMON: [&str; 6] = ["policy", "truncated", "signature", "public_key", "succession", "data_tls"];

/// A record as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its number.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub time: i64,
    /// The event's word.
    pub event: String,
    /// Why it did not go as asked; empty where it did.
    pub reason: String,
    /// Further facts, name and value.
    pub facts: Vec<(String, String)>,
}

/// Records of one subject.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// How many there are.
    pub count: u64,
    /// Of them, those of something that did not go as asked.
    pub failed: u64,
    /// The newest of them, in the order of the log.
    pub notes: VecDeque<Note>,
}

/// The subjects.
#[derive(Clone, Debug, Default)]
pub struct Journals {
    /// `policy.loaded` and `policy.rejected`.
    pub policy: Journal,
    /// Calls through the control socket, and sessions that administrators ended.
    pub control: Journal,
    /// Certificates.
    pub certificates: Journal,
    /// Quotas and room on the disks.
    pub quotas: Journal,
    /// Starts and stops.
    pub service: Journal,
    /// What the log tells about itself, but for checkpoints.
    pub log: Journal,
    /// Checkpoints: how many, and when the last one was, in milliseconds since 1970.
    pub checkpoints: (u64, Option<i64>),
}

impl Journals {
    pub(super) fn take(&mut self, entry: &Entry<'_>) {
        let journal = match entry.event() {
            "audit.checkpoint" => {
                self.checkpoints = (self.checkpoints.0.saturating_add(1), Some(entry.time));
                return;
            }
            "policy.loaded" | "policy.rejected" => &mut self.policy,
            "control.call" | "session.kicked" => &mut self.control,
            "service.start" | "service.stop" => &mut self.service,
            event if event.starts_with("certificate.") => &mut self.certificates,
            "quota.warning" | "quota.repaired" => &mut self.quotas,
            event if event.starts_with("audit.") => &mut self.log,
            _ => return,
        };
        journal.count = journal.count.saturating_add(1);
        journal.failed = journal.failed.saturating_add(u64::from(!entry.succeeded()));
        if journal.notes.len() >= KEPT {
            journal.notes.pop_front();
        }
        journal.notes.push_back(note(entry));
    }
}

fn note(entry: &Entry<'_>) -> Note {
    let mut facts = Vec::new();
    if let Some(user) = entry.user() {
        facts.push(("user".to_owned(), cut(user)));
    }
    let object = entry.unmapped.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let object: serde_json::Map<String, serde_json::Value> = object.unwrap_or_default();
    // The policy is what records of the policy are about.
    let is_policy = entry.event().starts_with("policy.");
    let told = object.into_iter().filter(|(name, _)| (is_policy && name == "policy") || !COMMON.contains(&&**name));
    facts.extend(told.take(FACTS_MAX).map(|(name, value)| {
        let text = if let serde_json::Value::String(text) = value { text } else { value.to_string() };
        (cut(&name), cut(&text))
    }));
    let reason = if entry.succeeded() { "" } else { entry.status_detail.as_deref().unwrap_or("unknown") };
    Note { seq: entry.seq, time: entry.time, event: cut(entry.event()), reason: cut(reason), facts }
}

/// The beginning of a text.
fn cut(text: &str) -> String {
    match text.char_indices().nth(FACT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
