//! Dated exceptions: what is granted for a time, to whom, and why.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::civil::Date;

use super::grant::RuleSource;

/// A rule relaxed for somebody, with its reason and its last day. What `T` is tells which rule:
/// [`DataBinding`](super::binding::DataBinding) or [`TlsVersion`](super::tls::TlsVersion).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception<T> {
    /// What holds instead of the rule.
    pub granted: T,
    /// For clients of this network only; of any network where none is given.
    pub clients: Option<IpNet>,
    /// Why it was granted; never empty.
    pub reason: String,
    /// The last day on which it holds.
    pub until: Date,
    /// Where it stands.
    pub source: RuleSource,
}

impl<T> Exception<T> {
    /// The same exception from another rule.
    #[must_use]
    pub fn granting<U>(&self, granted: U) -> Exception<U> {
        let Self { clients, reason, until, source, .. } = self;
        Exception { granted, clients: *clients, reason: reason.clone(), until: *until, source: source.clone() }
    }

    /// Whether it holds for a client of this address on this day (UTC). IPv4 addresses mapped into
    /// IPv6 count as the IPv4 address they carry.
    pub fn holds(&self, address: IpAddr, today: Date) -> bool {
        today <= self.until && self.clients.is_none_or(|network| network.contains(&address.to_canonical()))
    }
}

/// Its reason and where it stands, as records of its use have it.
impl<T> fmt::Display for Exception<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.source)
    }
}
