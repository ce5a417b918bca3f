//! The command that shows the evidence: `portcullis audit search` with what narrows it down.

use std::fmt::{Display, Write as _};

use ipnet::IpNet;

use super::collect::Trace;
use super::seen::Source;
use crate::audit::text::{is_harmful, shell_word};

/// A search of the log.
#[derive(Clone, Debug)]
pub(super) struct Search(String);

impl Search {
    /// All of the log.
    pub(super) fn new() -> Self {
        Self("portcullis audit search".to_owned())
    }

    fn with(mut self, flag: &str, value: &impl Display) -> Self {
        let value = value.to_string();
        // What a terminal would not show as it is cannot be typed; the numbers narrow it down as well.
        if !value.chars().any(is_harmful) {
            // Writing into a `String` cannot fail.
            let _ = write!(self.0, " {flag} {}", shell_word(&value));
        }
        self
    }

    /// Of this event.
    pub(super) fn event(self, event: &str) -> Self {
        self.with("--event", &event)
    }

    /// From this source.
    pub(super) fn source(self, source: Source) -> Self {
        self.with("--address", &source)
    }

    /// By this user.
    pub(super) fn user(self, user: &str) -> Self {
        self.with("--user", &user)
    }

    /// In this network.
    pub(super) fn network(self, network: IpNet) -> Self {
        self.with("--address", &network)
    }

    /// Among the records of the evidence, of what happened in them and why not.
    pub(super) fn evidence(self, trace: &Trace) -> Self {
        let events = trace.events.all().iter().fold(self, |search, event| search.with("--event", event));
        let reasons = trace.reasons.all().iter().fold(events, |search, reason| search.with("--reason", reason));
        reasons.with("--record", &format_args!("{}..{}", trace.first, trace.last))
    }
}

impl From<Search> for String {
    fn from(search: Search) -> Self {
        search.0
    }
}
