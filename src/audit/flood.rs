//! Refused connections in the log: each on its own while they are few, counted where they come in
//! floods, so that a flood can neither fill the log nor hide in it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::event::Event;
use super::record::{Detail, Record};

/// Refusals of one network and reason that are recorded on their own in one period.
pub const PER_NETWORK_MAX: u64 = 5;
/// Refusals that are recorded on their own in one period, of all networks together.
pub const INDIVIDUAL_MAX: u64 = 100;
/// Networks and reasons told apart in one period; what is beyond is counted as one.
pub const NETWORKS_MAX: usize = 1024;
/// How long a period lasts: a summary is written once in it.
pub const PERIOD: Duration = Duration::from_secs(1);

/// What to do about one refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Refusal {
    /// It gets a record of its own.
    Record,
    /// It was counted and will be part of a summary.
    Counted,
}

/// Counts refusals by source network (IPv4 /32, IPv6 /64) and reason. Its memory is bounded by
/// [`NETWORKS_MAX`].
#[derive(Debug, Default)]
pub struct FloodCounter {
    period: Option<Instant>,
    individual: u64,
    networks: HashMap<(IpNet, &'static str), Count>,
    elsewhere: u64,
}

#[derive(Debug, Default)]
struct Count {
    recorded: u64,
    counted: u64,
}

impl FloodCounter {
    /// A counter that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges one refusal. Call [`Self::summaries`] first, so that the period is the present one.
    pub fn count(&mut self, address: IpAddr, reason: &'static str, now: Instant) -> Refusal {
        self.period.get_or_insert(now);
        let key = (network(address), reason);
        if !self.networks.contains_key(&key) && self.networks.len() >= NETWORKS_MAX {
            self.elsewhere = self.elsewhere.saturating_add(1);
            return Refusal::Counted;
        }
        let count = self.networks.entry(key).or_default();
        if count.recorded < PER_NETWORK_MAX && self.individual < INDIVIDUAL_MAX {
            count.recorded = count.recorded.saturating_add(1);
            self.individual = self.individual.saturating_add(1);
            Refusal::Record
        } else {
            count.counted = count.counted.saturating_add(1);
            Refusal::Counted
        }
    }

    /// When the period ends and [`Self::summaries`] has something to say; none while nothing was
    /// refused.
    pub fn due(&self) -> Option<Instant> {
        self.period.and_then(|began| began.checked_add(PERIOD))
    }

    /// Once the period is over: a record for the refusals that were only counted in it, one for
    /// each network and reason of the largest, one for all others. Begins a new period.
    pub fn summaries(&mut self, now: Instant) -> Vec<Record> {
        if self.due().is_none_or(|end| now < end) { Vec::new() } else { self.flush() }
    }

    /// The summaries at once, for the end of the server.
    pub fn flush(&mut self) -> Vec<Record> {
        /// Networks named in the summaries of one period.
        const NAMED_MAX: usize = 20;
        let mut flooding: Vec<_> = self.networks.drain().filter(|(_, count)| count.counted > 0).collect();
        flooding.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(count.counted));
        let unnamed = flooding.split_off(flooding.len().min(NAMED_MAX));
        let others = unnamed.iter().fold(self.elsewhere, |sum, (_, count)| sum.saturating_add(count.counted));
        let mut records: Vec<Record> = flooding
            .into_iter()
            .map(|((network, reason), count)| {
                summary(reason, count.counted).with("source_network", Detail::Text(network.to_string()))
            })
            .collect();
        if others > 0 {
            records.push(summary("various", others));
        }
        *self = Self::default();
        records
    }
}

fn summary(reason: &'static str, count: u64) -> Record {
    let mut record = Record::new(Event::ConnectionRefused).failed(reason);
    record.duration = Some(PERIOD);
    record.with("count", Detail::Number(count))
}

/// The network that counts as one source: who has an IPv6 address has its /64.
fn network(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Net::from(address).into(),
        IpAddr::V6(address) => {
            Ipv6Net::new(address, 64).map_or_else(|_| Ipv6Net::from(address), |net| net.trunc()).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn number(record: &Record, name: &str) -> u64 {
        match record.details.iter().find(|(key, _)| *key == name) {
            Some((_, Detail::Number(number))) => *number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn few_refusals_are_all_recorded_and_leave_no_summary() {
        let (mut counter, now) = (FloodCounter::new(), Instant::now());
        assert_eq!(counter.due(), None);
        for _ in 0..PER_NETWORK_MAX {
            assert_eq!(counter.count(OFFICE, "denied", now), Refusal::Record);
        }
        assert!(counter.summaries(now + PERIOD).is_empty());
    }

    #[test]
    fn a_flood_is_counted_in_one_record_a_period() {
        let (mut counter, now) = (FloodCounter::new(), Instant::now());
        let recorded = (0..1000).filter(|_| counter.count(OFFICE, "denied", now) == Refusal::Record).count() as u64;
        assert_eq!(recorded, PER_NETWORK_MAX);
        assert!(counter.summaries(now + PERIOD / 2).is_empty());
        let records = counter.summaries(now + PERIOD);
        assert_eq!(records.len(), 1);
        assert_eq!(number(&records[0], "count"), 1000 - PER_NETWORK_MAX);
        assert_eq!(counter.count(OFFICE, "denied", now + PERIOD), Refusal::Record, "a new period");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_source() {
        let (mut counter, now) = (FloodCounter::new(), Instant::now());
        let address = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
        let recorded = (0..1000).filter(|host| counter.count(address(*host), "denied", now) == Refusal::Record).count();
        assert_eq!(recorded as u64, PER_NETWORK_MAX);
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_and_nothing_goes_uncounted() {
        let (mut counter, now) = (FloodCounter::new(), Instant::now());
        let total = 100_000_u32;
        let recorded = (0..total)
            .filter(|n| counter.count(IpAddr::V4(Ipv4Addr::from_bits(*n)), "denied", now) == Refusal::Record)
            .count() as u64;
        assert_eq!(recorded, INDIVIDUAL_MAX);
        assert!(counter.networks.len() <= NETWORKS_MAX);
        let records = counter.flush();
        assert!(records.len() <= 21);
        let summed: u64 = records.iter().map(|record| number(record, "count")).sum();
        assert_eq!(recorded + summed, u64::from(total));
    }
}
