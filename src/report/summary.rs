//! What one pass over the log gathers, in bounded memory.

mod access;
mod journal;
mod transfers;

use std::net::IpAddr;

pub use access::{Client, NameSet, Reason, Source, Suite};
pub use journal::{Journal, Journals, Note};
pub use transfers::User;

use super::series::{Calendar, Series, Unit};
use super::top::{Figures, Top};
use crate::trail::entry::Entry;

/// Addresses and networks that are kept by name.
const SOURCES_KEPT: usize = 1000;
/// Users that are kept by name.
const USERS_KEPT: usize = 500;
/// Reasons, cipher suites, client programs and kinds of events that are kept by name.
const WORDS_KEPT: usize = 200;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Latest moment that a record may bear, in milliseconds since 1970: the end of 2199. A clock is not
/// wrong by more, and what claims more is no record.
const TIME_MAX: i64 = 7_258_118_400_000;

/// When something was seen, first and last: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(Option<(i64, i64)>);

impl Seen {
    /// At this moment, too.
    pub fn at(&mut self, time: i64) {
        let (first, last) = self.0.unwrap_or((time, time));
        self.0 = Some((first.min(time), last.max(time)));
    }

    /// First and last.
    pub fn span(self) -> Option<(i64, i64)> {
        self.0
    }

    fn absorb(&mut self, other: Self) {
        if let Some((first, last)) = other.0 {
            self.at(first);
            self.at(last);
        }
    }
}

/// How often something was recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recorded {
    /// Records.
    pub records: u64,
    /// Of them, those of something that did not go as asked.
    pub failed: u64,
    /// When.
    pub seen: Seen,
}

impl Figures for Recorded {
    fn absorb(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.failed = self.failed.saturating_add(other.failed);
        self.seen.absorb(other.seen);
    }

    fn weight(&self) -> u64 {
        self.records
    }
}

/// What happened in a span of time.
#[derive(Debug)]
pub struct Summary {
    calendar: Calendar,
    from: Option<i64>,
    until: Option<i64>,
    /// The hour of the last record: when it began and ends.
    hour: (i64, i64),
    /// Records of the span.
    pub records: u64,
    /// Lines that are no record, wherever they stand.
    pub unreadable: u64,
    /// Numbers of the first and last record of the span.
    pub sequence: Option<(u64, u64)>,
    /// Their times.
    pub seen: Seen,
    /// Sessions that began.
    pub sessions: u64,
    /// Over time: logins, failed ones, and those that were not even checked.
    pub logins: Series<3>,
    /// Over time: uploads, bytes received, downloads, bytes sent.
    pub transfers: Series<4>,
    /// Transfers that did not end well: uploads and downloads.
    pub incomplete: (u64, u64),
    /// Files and directories removed.
    pub removed: u64,
    /// By address.
    pub sources: Top<IpAddr, Source>,
    /// By network of 24 or 48 bits.
    pub networks: Top<ipnet::IpNet, Source>,
    /// By user.
    pub users: Top<String, User>,
    /// What was refused, by event and reason.
    pub refusals: Top<(String, String), Reason>,
    /// TLS as negotiated: version, cipher suite, key exchange.
    pub suites: Top<(String, String, String), Suite>,
    /// Client programs by their own words.
    pub clients: Top<String, Client>,
    /// Records by event.
    pub events: Top<String, Recorded>,
    /// What administrators and the server itself did.
    pub journals: Journals,
}

impl Summary {
    /// Nothing yet, of the records from one moment (milliseconds since 1970) until before another.
    pub fn new(calendar: Calendar, from: Option<i64>, until: Option<i64>) -> Self {
        Self {
            calendar,
            from,
            until,
            hour: (0, 0),
            records: 0,
            unreadable: 0,
            sequence: None,
            seen: Seen::default(),
            sessions: 0,
            logins: Series::default(),
            transfers: Series::default(),
            incomplete: (0, 0),
            removed: 0,
            sources: Top::keeping(SOURCES_KEPT),
            networks: Top::keeping(SOURCES_KEPT),
            users: Top::keeping(USERS_KEPT),
            refusals: Top::keeping(WORDS_KEPT),
            suites: Top::keeping(WORDS_KEPT),
            clients: Top::keeping(WORDS_KEPT),
            events: Top::keeping(WORDS_KEPT),
            journals: Journals::default(),
        }
    }

    /// Takes a line of the log.
    pub fn take(&mut self, line: &[u8]) {
        match Entry::parse(line) {
            Ok(entry) => self.observe(&entry),
            Err(_) => self.note_unreadable(),
        }
    }

    /// Takes a record of the log.
    pub fn observe(&mut self, entry: &Entry<'_>) {
        if (0..TIME_MAX).contains(&entry.time) {
            self.take_entry(entry);
        } else {
            self.note_unreadable();
        }
    }

    /// Notes a line that is no record.
    pub fn note_unreadable(&mut self) {
        self.unreadable = self.unreadable.saturating_add(1);
    }

    /// Clocks and days.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// The span of the report: as asked for, and where that was left open, that of the records.
    /// Milliseconds since 1970; the end is not part of it.
    pub fn span(&self) -> (i64, i64) {
        let (first, last) = self.seen.span().unwrap_or_default();
        let from = self.from.unwrap_or(first);
        (from, self.until.unwrap_or(last.saturating_add(1)).max(from.saturating_add(1)))
    }

    /// The same in seconds, as far as pictures show it: an end in the future stays empty otherwise.
    pub fn drawn(&self) -> (i64, i64) {
        let (from, until) = self.span();
        let seconds = |time: i64| time.div_euclid(1000);
        let until = self.seen.span().map_or(until, |(_, last)| match self.until {
            Some(until) if until <= jiff::Timestamp::now().as_millisecond() => until,
            _ => last.saturating_add(1),
        });
        (seconds(from), seconds(until.saturating_add(999)).max(seconds(from).saturating_add(1)))
    }

    /// How long the intervals of pictures are.
    pub fn unit(&self) -> Unit {
        let (from, to) = self.drawn();
        Unit::for_span(to.saturating_sub(from)).max(self.logins.unit()).max(self.transfers.unit())
    }

    fn take_entry(&mut self, entry: &Entry<'_>) {
        if self.from.is_some_and(|from| entry.time < from) || self.until.is_some_and(|until| entry.time >= until) {
            return;
        }
        self.records = self.records.saturating_add(1);
        let (first, last) = self.sequence.unwrap_or((entry.seq, entry.seq));
        self.sequence = Some((first.min(entry.seq), last.max(entry.seq)));
        self.seen.at(entry.time);
        let event = self.events.of(bounded(entry.event()));
        event.records = event.records.saturating_add(1);
        event.failed = event.failed.saturating_add(u64::from(!entry.succeeded()));
        event.seen.at(entry.time);
        let hour = self.hour_of(entry.time.div_euclid(1000));
        self.take_access(entry, hour);
        self.take_transfer(entry, hour);
        self.journals.take(entry);
    }

    fn hour_of(&mut self, seconds: i64) -> i64 {
        let (from, to) = self.hour;
        if !(from..to).contains(&seconds) {
            let start = self.calendar.start(Unit::Hour, seconds);
            self.hour = (start, self.calendar.next(Unit::Hour, start));
        }
        self.hour.0
    }
}

/// A text that things are kept by: its beginning, as a line may be longer than any record.
fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or_default()
}

/// The network that an address belongs to: 24 bits of an IPv4 address, 48 of an IPv6 address.
fn network(address: IpAddr) -> Option<ipnet::IpNet> {
    let bits = if address.is_ipv4() { 24 } else { 48 };
    ipnet::IpNet::new(address, bits).ok().map(|network| network.trunc())
}

#[cfg(test)]
mod tests;
