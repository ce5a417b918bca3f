//! Sources that the server banned by itself.

use super::super::bounded::Bounded;
use super::super::collect::{Collected, Trace, finding};
use super::super::command::Search;
use super::super::context::Context;
use super::super::finding::{Finding, Kind, Severity};
use super::super::seen::{Seen, Source};
use super::Detector;

/// Sources that are remembered.
const SOURCES_MAX: usize = 20_000;

pub(super) struct Bans {
    sources: Bounded<Source, Trace>,
}

impl Bans {
    pub(super) fn new() -> Self {
        Self { sources: Bounded::new(SOURCES_MAX) }
    }
}

impl Detector for Bans {
    fn observe(&mut self, seen: &Seen<'_>, found: &mut Collected) {
        if seen.entry.event() == "auth.banned"
            && let Some(source) = seen.source
        {
            self.sources.entry(&source, Trace::default, |source, trace| tell(*source, trace, found)).add(seen);
        }
    }

    fn finish(self: Box<Self>, _: &Context, found: &mut Collected) -> u64 {
        let forgotten = self.sources.forgotten();
        for (source, trace) in self.sources.into_iter() {
            tell(source, trace, found);
        }
        forgotten
    }
}

fn tell(source: Source, trace: Trace, found: &mut Collected) {
    let times = if trace.count == 1 { "once".to_owned() } else { format!("{} times", trace.count) };
    found.push(Finding {
        title: format!("The server banned {source} for a time, {times}."),
        seen: format!("Too many failed logins, {}.", trace.when()),
        address: Some(source.address()),
        command: Search::new().source(source).evidence(&trace).into(),
        advice:
            "Where it is no user of yours, deny the address ([networks] deny); where it is, help with the password."
                .to_owned(),
        ..finding(Kind::Banned, Severity::Low, trace)
    });
}
