//! Which addresses may come: allow and deny lists of networks. Deny wins, and silence denies.

use std::net::IpAddr;

use ipnet::IpNet;

use super::grant::RuleSource;

/// One network of a list, with the place where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRule {
    /// The network; host bits are zero.
    pub network: IpNet,
    /// Where it stands.
    pub source: RuleSource,
}

/// An allow list and a deny list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Networks that may come.
    pub allow: Vec<NetworkRule>,
    /// Networks that may not, whatever `allow` says.
    pub deny: Vec<NetworkRule>,
}

/// What the lists say of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressVerdict<'a> {
    /// In a network of the allow list, and in none of the deny list.
    Allowed(&'a NetworkRule),
    /// In a network of the deny list.
    Denied(&'a NetworkRule),
    /// In no network of either list.
    Unlisted,
}

impl AddressRules {
    /// Judges an address. IPv4 addresses mapped into IPv6 count as the IPv4 address they carry.
    pub fn judge(&self, address: IpAddr) -> AddressVerdict<'_> {
        let address = address.to_canonical();
        let holds = |rule: &&NetworkRule| rule.network.contains(&address);
        if let Some(rule) = self.deny.iter().find(holds) {
            return AddressVerdict::Denied(rule);
        }
        self.allow.iter().find(holds).map_or(AddressVerdict::Unlisted, AddressVerdict::Allowed)
    }
}

/// The network that stands for an address where sources are counted: the address itself for
/// IPv4, its /64 for IPv6, since one host commonly holds a whole /64.
pub fn source_network(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpNet::from(IpAddr::V4(v4)),
        v6 @ IpAddr::V6(_) => IpNet::new(v6, 64).map_or_else(|_| IpNet::from(v6), |net| net.trunc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(list: &[&str]) -> Vec<NetworkRule> {
        let rule = |text: &&str| NetworkRule {
            network: text.parse().unwrap(),
            source: RuleSource { file: "server.toml".into(), line: 1 },
        };
        list.iter().map(rule).collect()
    }

    #[test]
    fn deny_wins_and_silence_denies() {
        let rules = AddressRules { allow: rules(&["10.0.0.0/8", "2001:db8::/32"]), deny: rules(&["10.1.0.0/16"]) };
        let verdict = |address: &str| rules.judge(address.parse().unwrap());
        assert!(matches!(verdict("10.2.3.4"), AddressVerdict::Allowed(_)));
        assert!(matches!(verdict("10.1.3.4"), AddressVerdict::Denied(_)));
        assert!(matches!(verdict("::ffff:10.1.3.4"), AddressVerdict::Denied(_)));
        assert!(matches!(verdict("2001:db8::1"), AddressVerdict::Allowed(_)));
        assert_eq!(verdict("192.0.2.1"), AddressVerdict::Unlisted);
        assert_eq!(AddressRules::default().judge("127.0.0.1".parse().unwrap()), AddressVerdict::Unlisted);
    }

    #[test]
    fn an_ipv6_source_is_its_64() {
        let net = |address: &str| source_network(address.parse().unwrap()).to_string();
        assert_eq!(net("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(net("192.0.2.7"), "192.0.2.7/32");
        assert_eq!(net("::ffff:192.0.2.7"), "192.0.2.7/32");
    }
}
