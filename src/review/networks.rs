//! Sets of addresses, exactly: what lists of networks admit, and what one has that another lacks.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::policy::Policy;
use crate::policy::account::Account;
use crate::policy::network::NetworkRule;

/// Networks of which none reaches into another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<IpNet>);

impl Addresses {
    /// Every address.
    pub fn all() -> Self {
        Self(vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())])
    }

    /// The addresses in any of the networks.
    pub fn of(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let networks: Vec<IpNet> = networks.into_iter().collect();
        Self(IpNet::aggregate(&networks))
    }

    /// The addresses that are in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let smaller = |one: &IpNet, two: &IpNet| {
            if one.contains(two) {
                Some(*two)
            } else if two.contains(one) {
                Some(*one)
            } else {
                None
            }
        };
        Self::of(self.0.iter().flat_map(|one| other.0.iter().filter_map(move |two| smaller(one, two))))
    }

    /// The addresses that are in this set and not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = self.0.clone();
        for taken in &other.0 {
            left = left.into_iter().flat_map(|network| cut(network, *taken)).collect();
        }
        Self::of(left)
    }

    /// The networks, in order.
    pub fn networks(&self) -> &[IpNet] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

/// What is left of a network without another: of the halves that the other lies in, the one beside.
fn cut(network: IpNet, taken: IpNet) -> Vec<IpNet> {
    if taken.contains(&network) {
        return Vec::new();
    }
    let mut left = Vec::new();
    let mut around = network;
    while around != taken && around.contains(&taken) {
        let Ok(halves) = around.subnets(around.prefix_len().saturating_add(1)) else { break };
        let mut inner = None;
        for half in halves {
            if half.contains(&taken) {
                inner = Some(half);
            } else {
                left.push(half);
            }
        }
        let Some(inner) = inner else { break };
        around = inner;
    }
    if around == network && !network.contains(&taken) {
        left.push(network);
    }
    left
}

/// From where a user can log in, as far as lists of networks decide.
pub fn login(policy: &Policy, account: &Account) -> Addresses {
    let set = |rules: &[NetworkRule]| Addresses::of(rules.iter().map(|rule| rule.network));
    let server = set(&policy.networks.allow).without(&set(&policy.networks.deny));
    let lists = &account.terms.addresses;
    let own = if lists.allow.is_empty() { Addresses::all() } else { set(&lists.allow) };
    server.and(&own).without(&set(&lists.deny))
}

/// An address in none of the networks, or `::` where they hold every one.
pub(super) fn outside(networks: impl IntoIterator<Item = IpNet>) -> IpAddr {
    let left = Addresses::all().without(&Addresses::of(networks));
    // IPv4 addresses mapped into IPv6 are judged as IPv4 addresses.
    let plain = left.0.iter().map(IpNet::network).find(|address| address.to_canonical() == *address);
    plain.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

/// An address for each region that some of the networks hold and others do not, and one outside of
/// all, which comes first.
pub(super) fn regions(networks: &[IpNet]) -> Vec<IpAddr> {
    let mut found = vec![outside(networks.iter().copied())];
    for network in networks {
        let within = networks.iter().filter(|other| *other != network && network.contains(*other));
        let own = Addresses::of([*network]).without(&Addresses::of(within.copied()));
        let address = own.0.first().map(IpNet::network);
        found.extend(address.filter(|address| !found.contains(address)));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(networks: &[&str]) -> Addresses {
        Addresses::of(networks.iter().map(|network| network.parse().unwrap()))
    }

    #[test]
    fn what_is_cut_out_leaves_the_halves_beside() {
        let left = set(&["10.0.0.0/8"]).without(&set(&["10.0.0.0/10", "192.0.2.0/24"]));
        assert_eq!(left, set(&["10.64.0.0/10", "10.128.0.0/9"]));
        assert_eq!(set(&["10.0.0.0/8"]).without(&set(&["0.0.0.0/0"])), Addresses::default());
        assert_eq!(set(&["10.0.0.0/8"]).and(&set(&["10.1.0.0/16", "::/0"])), set(&["10.1.0.0/16"]));
        assert!(Addresses::all().without(&Addresses::all()).is_empty());
    }

    #[test]
    fn an_address_outside_is_in_none() {
        let networks = ["0.0.0.0/1", "192.0.0.0/2"].map(|text| text.parse().unwrap());
        assert_eq!(outside(networks).to_string(), "128.0.0.0");
        assert_eq!(regions(&networks).len(), 3);
    }

    fn network() -> impl Strategy<Value = IpNet> {
        (any::<bool>(), any::<u8>(), 0u8..=8).prop_map(|(v4, byte, length)| {
            let address: IpAddr =
                if v4 { [byte, 0, 0, 0].into() } else { [u16::from(byte) << 8, 0, 0, 0, 0, 0, 0, 0].into() };
            IpNet::new(address, length).unwrap().trunc()
        })
    }

    proptest! {
        #[test]
        fn sets_hold_what_their_networks_hold(
            one in prop::collection::vec(network(), 0..5),
            two in prop::collection::vec(network(), 0..5),
            byte: u8, v4: bool,
        ) {
            let address: IpAddr = if v4 { [byte, 0, 0, 7].into() } else { [u16::from(byte) << 8, 0, 0, 0, 0, 0, 0, 7].into() };
            let holds = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
            let (first, second) = (Addresses::of(one.clone()), Addresses::of(two.clone()));
            prop_assert_eq!(first.contains(address), holds(&one));
            prop_assert_eq!(first.and(&second).contains(address), holds(&one) && holds(&two));
            prop_assert_eq!(first.without(&second).contains(address), holds(&one) && !holds(&two));
        }
    }
}
