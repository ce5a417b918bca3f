//! Who came from where, how logins went, what was refused, and how connections were protected.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

use super::{Seen, Summary, bounded, network};
use crate::report::series::Series;
use crate::report::top::Figures;
use crate::trail::entry::Entry;

/// Names that are told apart of each source.
const NAMES_MAX: usize = 256;
/// Reasons of `auth.failure` that say that something was tried that is not known: a guess.
const GUESSES: [&str; 7] = [
    "bad_password",
    "unknown_user",
    "anonymous",
    "bad_code",
    "code_replayed",
    "certificate_of_another_user",
    "no_password",
];

/// How many different names there are, up to [`NAMES_MAX`].
#[derive(Clone, Debug, Default)]
pub struct NameSet(HashSet<u64>);

impl NameSet {
    fn insert(&mut self, name: &str) {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        if self.0.len() < NAMES_MAX {
            self.0.insert(KEY.hash_one(name));
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    /// Whether there may be more.
    pub fn is_full(&self) -> bool {
        self.0.len() >= NAMES_MAX
    }
}

/// An address, or a network.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Connections taken.
    pub accepted: u64,
    /// Connections turned away.
    pub denied: u64,
    /// Logins.
    pub logins: u64,
    /// Logins that failed.
    pub failures: u64,
    /// Of them, those with something wrong: a name, a password, a code.
    pub guesses: u64,
    /// Logins that were not even checked, as there had been too many.
    pub throttled: u64,
    /// How often it was banned.
    pub bans: u64,
    /// Names that logins failed for.
    pub names: NameSet,
    /// When logins failed.
    pub failing: Seen,
    /// When anything came from there.
    pub seen: Seen,
    /// Failed logins over time, also those not checked.
    pub over_time: Series<1>,
}

impl Source {
    /// Failed logins, also those that were not checked.
    pub fn attempts(&self) -> u64 {
        self.failures.saturating_add(self.throttled)
    }

    /// Everything that came from there.
    pub fn all(&self) -> u64 {
        let connections = self.accepted.saturating_add(self.denied);
        connections.saturating_add(self.logins).saturating_add(self.attempts()).saturating_add(self.bans)
    }
}

impl Figures for Source {
    fn absorb(&mut self, other: Self) {
        for (mine, more) in [
            (&mut self.accepted, other.accepted),
            (&mut self.denied, other.denied),
            (&mut self.logins, other.logins),
            (&mut self.failures, other.failures),
            (&mut self.guesses, other.guesses),
            (&mut self.throttled, other.throttled),
            (&mut self.bans, other.bans),
        ] {
            *mine = mine.saturating_add(more);
        }
        self.failing.absorb(other.failing);
        self.seen.absorb(other.seen);
    }

    fn weight(&self) -> u64 {
        self.all()
    }
}

/// What was refused for one reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reason {
    /// How often; a flood that was counted counts with all of it.
    pub count: u64,
    /// When.
    pub seen: Seen,
}

impl Figures for Reason {
    fn absorb(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.seen.absorb(other.seen);
    }

    fn weight(&self) -> u64 {
        self.count
    }
}

/// TLS as negotiated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Suite {
    /// Handshakes.
    pub handshakes: u64,
    /// Of them, those that resumed a session.
    pub resumed: u64,
    /// When.
    pub seen: Seen,
}

impl Figures for Suite {
    fn absorb(&mut self, other: Self) {
        self.handshakes = self.handshakes.saturating_add(other.handshakes);
        self.resumed = self.resumed.saturating_add(other.resumed);
        self.seen.absorb(other.seen);
    }

    fn weight(&self) -> u64 {
        self.handshakes
    }
}

/// A client program, by its own words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client {
    /// Logins.
    pub logins: u64,
    /// Failed logins.
    pub failures: u64,
    /// Data connections that did not prove where they belong.
    pub unbound: u64,
    /// When.
    pub seen: Seen,
}

impl Figures for Client {
    fn absorb(&mut self, other: Self) {
        self.logins = self.logins.saturating_add(other.logins);
        self.failures = self.failures.saturating_add(other.failures);
        self.unbound = self.unbound.saturating_add(other.unbound);
        self.seen.absorb(other.seen);
    }

    fn weight(&self) -> u64 {
        self.logins.saturating_add(self.failures).saturating_add(self.unbound)
    }
}

impl Summary {
    pub(super) fn take_access(&mut self, entry: &Entry<'_>, hour: i64) {
        let many = if entry.event() == "conn.denied" { entry.detail_number("count").unwrap_or(1).max(1) } else { 1 };
        if !entry.succeeded() {
            let reason = entry.status_detail.as_deref().unwrap_or("unknown");
            let refusal = self.refusals.of(&(bounded(entry.event()).to_owned(), bounded(reason).to_owned()));
            refusal.count = refusal.count.saturating_add(many);
            refusal.seen.at(entry.time);
        }
        let figures = match entry.event() {
            "auth.success" => Some([1, 0, 0]),
            "auth.failure" => Some([0, 1, 0]),
            "auth.throttled" => Some([0, 0, 1]),
            _ => None,
        };
        match entry.event() {
            "conn.accepted" => self.sessions = self.sessions.saturating_add(1),
            "tls.handshake_ok" => self.take_suite(entry),
            "auth.success" | "auth.failure" | "data.binding_failed" => self.take_client(entry),
            _ => {}
        }
        if let Some(figures) = figures {
            self.logins.add(&self.calendar, hour, figures);
        }
        let Some((address, network)) = place(entry) else { return };
        let guessed = figures.is_some_and(|[_, failed, throttled]| failed.saturating_add(throttled) > 0);
        let take = |source: &mut Source| {
            let counter = match entry.event() {
                "conn.accepted" => &mut source.accepted,
                "conn.denied" => &mut source.denied,
                "auth.success" => &mut source.logins,
                "auth.failure" => &mut source.failures,
                "auth.throttled" => &mut source.throttled,
                "auth.banned" => &mut source.bans,
                _ => return,
            };
            *counter = counter.saturating_add(many);
            source.seen.at(entry.time);
            if guessed {
                source.failing.at(entry.time);
                source.over_time.add(&self.calendar, hour, [1]);
                source.names.insert(entry.user().unwrap_or_default());
            }
            if entry.event() == "auth.failure" && GUESSES.contains(&entry.status_detail.as_deref().unwrap_or_default())
            {
                source.guesses = source.guesses.saturating_add(1);
            }
        };
        if let Some(address) = address {
            take(self.sources.of(&address));
        }
        take(self.networks.of(&network));
    }

    fn take_suite(&mut self, entry: &Entry<'_>) {
        let Some(tls) = &entry.tls else { return };
        let group = entry.detail_text("kx").unwrap_or_default();
        let suite = self.suites.of(&(
            bounded(&tls.version).to_owned(),
            bounded(&tls.cipher).to_owned(),
            bounded(&group).to_owned(),
        ));
        suite.handshakes = suite.handshakes.saturating_add(1);
        suite.resumed = suite.resumed.saturating_add(u64::from(tls.is_resumed));
        suite.seen.at(entry.time);
    }

    fn take_client(&mut self, entry: &Entry<'_>) {
        let name = entry.detail_text("client").unwrap_or_default();
        let client = self.clients.of(bounded(&name));
        let counter = match entry.event() {
            "auth.success" => &mut client.logins,
            "auth.failure" => &mut client.failures,
            _ => &mut client.unbound,
        };
        *counter = counter.saturating_add(1);
        client.seen.at(entry.time);
    }
}

/// Where it came from: an address and its network, or of a flood the network alone.
fn place(entry: &Entry<'_>) -> Option<(Option<IpAddr>, ipnet::IpNet)> {
    let text = || entry.detail_text("source_ip").and_then(|text| text.parse().ok());
    if let Some(address) = entry.client().or_else(text) {
        return Some((Some(address), network(address)?));
    }
    let flood: ipnet::IpNet = entry.detail_text("source_network")?.parse().ok()?;
    Some((None, network(flood.network())?))
}
