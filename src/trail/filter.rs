//! Which records are meant: by time, number, user, address, path, event and what else a record says.

mod needle;
mod span;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;

pub use needle::Needles;
pub use span::{Moment, NoMoment, TimeSpan};

use super::entry::Entry;
use crate::audit::event::Severity;
use crate::policy::path_pattern::PathPattern;
use crate::proto::path::VirtualPath;

/// What a record must be to be meant. Of each list that is not empty, one has to fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// When it was written.
    pub span: TimeSpan,
    /// Its number lies in one of these.
    pub records: Vec<RangeInclusive<u64>>,
    /// The user, as known or as claimed.
    pub users: Vec<String>,
    /// The client's address lies in one of these.
    pub networks: Vec<IpNet>,
    /// The path of the file, or what a rename made of it.
    pub paths: Vec<PathPattern>,
    /// What happened.
    pub events: Vec<EventPattern>,
    /// Whether it went as asked.
    pub succeeded: Option<bool>,
    /// Why not.
    pub reasons: Vec<String>,
    /// The session's ULID, or how it begins.
    pub sessions: Vec<String>,
    /// The verb.
    pub commands: Vec<String>,
    /// How much it matters at least.
    pub severity_least: Option<Severity>,
}

impl Filter {
    /// Whether the record is meant.
    pub fn admits(&self, entry: &Entry<'_>) -> bool {
        let one_of = |wanted: &[String], found: Option<&str>| {
            wanted.is_empty() || found.is_some_and(|found| wanted.iter().any(|one| one == found))
        };
        let begins = |found: &str| self.sessions.iter().any(|one| found.starts_with(one.as_str()));
        self.span.holds(entry.time)
            && self.admits_number(entry.seq)
            && self.severity_least.is_none_or(|least| entry.severity_id >= least.id())
            && self.succeeded.is_none_or(|wanted| entry.succeeded() == wanted)
            && (self.events.is_empty() || self.events.iter().any(|event| event.means(entry.event())))
            && one_of(&self.users, entry.user())
            && one_of(&self.reasons, entry.status_detail.as_deref())
            && one_of(&self.commands, entry.command.as_deref())
            && (self.sessions.is_empty() || entry.session().is_some_and(begins))
            && (self.networks.is_empty() || entry.client().is_some_and(|client| holds(&self.networks, client)))
            && (self.paths.is_empty() || paths_of(entry).any(|path| self.paths.iter().any(|one| one.matches(&path))))
    }

    /// Whether a record of this number can be meant.
    pub fn admits_number(&self, seq: u64) -> bool {
        self.records.is_empty() || self.records.iter().any(|range| range.contains(&seq))
    }
}

/// Whether one of the networks holds the address.
pub fn holds(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// The paths that a record names: of the file, and what a rename made of it.
fn paths_of(entry: &Entry<'_>) -> impl Iterator<Item = VirtualPath> {
    let paths = [entry.path(), entry.file_result.as_ref().map(|file| &*file.path)];
    paths.into_iter().flatten().filter_map(virtual_path)
}

/// A path as the server writes it; none where it never wrote this.
pub(super) fn virtual_path(text: &str) -> Option<VirtualPath> {
    VirtualPath::root().join(text.as_bytes()).ok().filter(|path| path.as_str() == text)
}

/// An event's word, or with `.*` at the end all that begin with the word before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPattern {
    text: String,
    /// Whether the text is only how the words begin.
    family: bool,
}

impl EventPattern {
    /// Whether it means this event.
    pub fn means(&self, event: &str) -> bool {
        if self.family { event.starts_with(&self.text) } else { event == self.text }
    }
}

impl FromStr for EventPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use crate::audit::event::Event;

        let pattern = match text.strip_suffix('*') {
            Some(start) => Self { text: start.to_owned(), family: true },
            None => Self { text: text.to_owned(), family: false },
        };
        let mut known = Event::ALL.into_iter().map(|event| event.description().code);
        if known.any(|code| pattern.means(code)) {
            return Ok(pattern);
        }
        let alike = |code: &&str| strsim::jaro_winkler(code, text);
        let nearest = Event::ALL.into_iter().map(|event| event.description().code);
        let nearest = nearest.max_by(|a, b| alike(a).total_cmp(&alike(b))).unwrap_or_default();
        Err(format!("no event has this name; did you mean {nearest}? `auth.*` means all that begin so"))
    }
}

/// Reads an address or a network; an IPv4 address written as an IPv6 one is meant as what it is.
///
/// # Errors
/// Says what an address or network looks like.
pub fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    text.parse::<IpNet>()
        .map(|network| network.trunc())
        .map_err(|_| "write an address or a network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32".to_owned())
}

/// Reads numbers of records: `N`, `N..M`, `N..` or `..M`, both ends included.
///
/// # Errors
/// Says how they are written.
pub fn numbers(text: &str) -> Result<RangeInclusive<u64>, String> {
    let read = || {
        let Some((first, last)) = text.split_once("..") else {
            let one = text.parse().ok()?;
            return Some(one..=one);
        };
        let first = if first.is_empty() { 0 } else { first.parse().ok()? };
        let last = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
        (first <= last && text != "..").then_some(first..=last)
    };
    read().ok_or_else(|| "write the number of a record, or the first and last as 100..200".to_owned())
}

/// Reads a pattern of paths, as policy files have them.
///
/// # Errors
/// Says what is wrong with it.
pub fn path_pattern(text: &str) -> Result<PathPattern, String> {
    PathPattern::parse(text).map_err(|error| {
        let hint =
            if text.starts_with('/') { String::new() } else { format!("; /**/{text} means it in any directory") };
        format!("{error}{hint}")
    })
}

/// Reads how much a record matters.
///
/// # Errors
/// Lists the words.
pub fn severity(text: &str) -> Result<Severity, String> {
    Ok(match text {
        "informational" | "1" => Severity::Informational,
        "low" | "2" => Severity::Low,
        "medium" | "3" => Severity::Medium,
        "high" | "4" => Severity::High,
        "critical" | "5" => Severity::Critical,
        _ => return Err("write informational, low, medium, high or critical".to_owned()),
    })
}

#[cfg(test)]
mod tests;
