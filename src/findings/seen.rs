//! A record as detectors look at it: when, from which source, by whom.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::audit::text;
use crate::policy::network::source_network;
use crate::trail::entry::Entry;

/// Longest text that is kept of a record, in bytes; user names of records are no longer than 64.
const KEPT_BYTES_MAX: usize = 128;
/// Most characters of a text that a finding shows.
const SHOWN_CHARACTERS_MAX: usize = 100;

/// A name that is kept.
pub(super) type Name = Box<str>;

/// A record with what most detectors ask of it.
pub(super) struct Seen<'a> {
    pub(super) entry: &'a Entry<'a>,
    /// Milliseconds since the Unix epoch.
    pub(super) time: i64,
    /// The client.
    pub(super) source: Option<Source>,
}

impl<'a> Seen<'a> {
    pub(super) fn of(entry: &'a Entry<'a>) -> Self {
        Self { entry, time: entry.time, source: entry.client().map(Source::of) }
    }

    /// The user, cut to what is kept.
    pub(super) fn user(&self) -> Option<Name> {
        self.entry.user().filter(|user| !user.is_empty()).map(kept)
    }

    /// Why not.
    pub(super) fn reason(&self) -> &str {
        self.entry.status_detail.as_deref().unwrap_or_default()
    }

    /// Where a connection came from that was turned away, before there was a session.
    pub(super) fn turned_away(&self) -> Option<Source> {
        if self.source.is_some() {
            return self.source;
        }
        if let Some(address) = self.entry.detail_text("source_ip") {
            return address.parse().ok().map(Source::of);
        }
        let network: IpNet = self.entry.detail_text("source_network")?.parse().ok()?;
        Some(Source::of(network.addr()))
    }

    /// How often it happened: summaries of floods have a count.
    pub(super) fn count(&self) -> u64 {
        self.entry.detail_number("count").unwrap_or(1).clamp(1, u64::from(u32::MAX))
    }
}

/// What counts as one source: an IPv4 address, a /64 of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Source(IpNet);

impl Source {
    pub(super) fn of(address: IpAddr) -> Self {
        Self(source_network(address))
    }

    /// The address, of IPv6 the first of its /64.
    pub(super) fn address(self) -> IpAddr {
        self.0.addr()
    }

    /// The wider network that one provider or site commonly holds: /16 of IPv4, /32 of IPv6.
    pub(super) fn neighbourhood(self) -> IpNet {
        let bits = if self.0.addr().is_ipv4() { 16 } else { 32 };
        IpNet::new(self.0.addr(), bits).map_or(self.0, |network| network.trunc())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.addr().is_ipv4() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text as it is kept: cut to a bound.
pub(super) fn kept(text: &str) -> Name {
    text.get(..text.floor_char_boundary(KEPT_BYTES_MAX)).unwrap_or_default().into()
}

/// A text as a finding shows it: escaped and cut.
pub(super) fn shown(text: &str) -> String {
    let mut line = String::new();
    text::push_escaped(&mut line, text);
    if let Some((at, _)) = line.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        line.truncate(at);
        line.push('…');
    }
    line
}

/// A time as a timestamp; the nearest that there is where a record names an impossible one.
pub(super) fn timestamp(milliseconds: i64) -> Timestamp {
    let (least, most) = (Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
    Timestamp::from_millisecond(milliseconds.clamp(least, most)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The day by the clocks of a zone, counted from 1970, and the hour in it.
pub(super) fn day_and_hour(milliseconds: i64, zone: &TimeZone) -> (i32, u8) {
    let time = timestamp(milliseconds);
    let seconds = time.as_second().saturating_add(i64::from(zone.to_offset(time).seconds()));
    let day = i32::try_from(seconds.div_euclid(86_400)).unwrap_or(0);
    (day, u8::try_from(seconds.rem_euclid(86_400).div_euclid(3600)).unwrap_or(0))
}
