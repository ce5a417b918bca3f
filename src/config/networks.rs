//! Networks as texts: CIDR notation, bare addresses, and the names of `[networks.named]`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::findings::{Findings, Place, nearest, shown};
use super::section::{Section, Text};
use super::tree::Value;
use crate::policy::network::{AddressRules, NetworkRule};

/// What is wrong with a text that should be a network, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Reads a network in CIDR notation; a bare address is the network of that one address.
///
/// # Errors
/// Host bits behind the prefix, a prefix that is too long, an IPv4 address written as IPv6, or no
/// network at all.
pub fn parse(text: &str) -> Result<IpNet, NetworkError> {
    let error = |message: String, help: String| Err(NetworkError { message, help });
    let shown = shown(text);
    if let Ok(address) = text.parse::<IpAddr>() {
        return not_mapped(IpNet::from(address), &shown);
    }
    let Ok(network) = text.parse::<IpNet>() else {
        let example = "write a network such as 192.0.2.0/24 or 2001:db8::/48, or one address";
        return match text.split_once('/') {
            Some((address, _)) if address.parse::<IpAddr>().is_ok() => {
                error(format!("`{shown}` has no valid prefix length"), "0 to 32 for IPv4, 0 to 128 for IPv6".into())
            }
            _ => error(format!("`{shown}` is no network"), example.into()),
        };
    };
    if network.trunc() != network {
        let (address, most) = (network.addr(), network.max_prefix_len());
        let help = format!("write {} for the network, or {address}/{most} for the one address", network.trunc());
        return error(format!("`{shown}` has bits set behind its prefix"), help);
    }
    not_mapped(network, &shown)
}

/// IPv4 clients count as IPv4 whatever socket they come through, so a mapped network matches nobody.
fn not_mapped(network: IpNet, shown: &str) -> Result<IpNet, NetworkError> {
    let IpNet::V6(v6) = network else { return Ok(network) };
    let Some(v4) = v6.addr().to_ipv4_mapped().filter(|_| v6.prefix_len() >= 96) else { return Ok(network) };
    let plain = format!("{v4}/{}", v6.prefix_len().saturating_sub(96));
    Err(NetworkError {
        message: format!("`{shown}` is an IPv4 network in IPv6 clothes"),
        help: format!("write {plain}"),
    })
}

/// Whether a list lets in or keeps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Allow,
    Deny,
}

/// The names of `[networks.named]`, and whether the whole Internet may be allowed.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    named: BTreeMap<String, Vec<IpNet>>,
    allow_any: bool,
}

impl Networks {
    /// Reads `named` and `allow-any` of `[networks]`.
    pub(super) fn read(section: &Section<'_>, findings: &mut Findings) -> Self {
        let mut networks =
            Self { allow_any: section.boolean("allow-any", false, findings), named: BTreeMap::default() };
        let named = section.open("named", findings);
        for entry in named.entries() {
            if !is_name(&entry.key) {
                findings.error(
                    entry.place,
                    format!("`{}` cannot name a network", shown(&entry.key)),
                    "a name begins with a letter and has letters, digits, - and _; `any` is taken",
                );
            }
            if !matches!(entry.node.value, Value::List(_)) {
                let help = format!("write {} = [\"192.0.2.0/24\"]", shown(&entry.key));
                findings.error(entry.node.place, "a name stands for a list of networks", help);
            }
            let texts = match entry.node.value {
                Value::List(_) => named.texts(&entry.key, findings).unwrap_or_default(),
                _ => Vec::new(),
            };
            let members = texts.iter().filter_map(|text| match parse(text.text) {
                Ok(network) => Some(network),
                Err(error) => {
                    findings.error(text.place, error.message, error.help);
                    None
                }
            });
            let members = members.collect();
            networks.named.insert(entry.key.clone(), members);
        }
        networks
    }

    /// The networks that one text means.
    pub(super) fn resolve(&self, text: Text<'_>, findings: &mut Findings) -> Vec<IpNet> {
        if let Some(members) = self.named.get(text.text) {
            return members.clone();
        }
        if text.text == "any" {
            let help = "write 0.0.0.0/0 and ::/0, with `allow-any = true` in [networks]";
            findings.error(text.place, "`any` is no network", help);
        } else if is_name(text.text) {
            let help = match nearest(text.text, self.named.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("define it in [networks.named]: {} = [\"192.0.2.0/24\"]", shown(text.text)),
            };
            findings.error(text.place, format!("no network is named `{}`", shown(text.text)), help);
        } else {
            match parse(text.text) {
                Ok(network) => return vec![network],
                Err(error) => findings.error(text.place, error.message, error.help),
            }
        }
        Vec::new()
    }

    /// The two lists of a section, under the keys that it uses for them.
    pub(super) fn rules(&self, section: &Section<'_>, keys: [&str; 2], findings: &mut Findings) -> AddressRules {
        let [allow, deny] = keys;
        AddressRules {
            allow: self.list(section, allow, Use::Allow, findings),
            deny: self.list(section, deny, Use::Deny, findings),
        }
    }

    fn list(&self, section: &Section<'_>, key: &str, purpose: Use, findings: &mut Findings) -> Vec<NetworkRule> {
        let mut rules: Vec<NetworkRule> = Vec::new();
        for text in section.texts(key, findings).unwrap_or_default() {
            let source = findings.rule_source(text.place);
            let networks = self.resolve(text, findings);
            rules.extend(networks.into_iter().map(|network| NetworkRule { network, source: source.clone() }));
        }
        if purpose == Use::Allow {
            self.refuse_everywhere(&rules, section.place_of(key), findings);
        }
        rules
    }

    /// The whole Internet, in one network or in the sum of several, is allowed only on purpose.
    fn refuse_everywhere(&self, rules: &[NetworkRule], place: Place, findings: &mut Findings) {
        let networks: Vec<IpNet> = rules.iter().map(|rule| rule.network).collect();
        let everywhere = IpNet::aggregate(&networks).into_iter().find(|network| network.prefix_len() == 0);
        if let Some(network) = everywhere.filter(|_| !self.allow_any) {
            let message = format!("this lets every address of {network} in, which needs `allow-any = true`");
            findings.error(place, message, "name the networks that you know, or set `allow-any = true` in [networks]");
        }
    }
}

/// Whether a text is a name rather than a failed attempt at a network.
fn is_name(text: &str) -> bool {
    let permitted = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text != "any"
        && text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(permitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_get_both_ways_out() {
        let error = parse("10.0.0.1/8").unwrap_err();
        assert_eq!(error.message, "`10.0.0.1/8` has bits set behind its prefix");
        assert_eq!(error.help, "write 10.0.0.0/8 for the network, or 10.0.0.1/32 for the one address");
    }

    #[test]
    fn addresses_are_networks_of_one_and_mapped_ones_are_refused() {
        assert_eq!(parse("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert_eq!(parse("2001:db8::7").unwrap().to_string(), "2001:db8::7/128");
        assert_eq!(parse("::ffff:10.0.0.0/104").unwrap_err().help, "write 10.0.0.0/8");
        for bad in ["", "office", "10.0.0.0/33", "10.0.0/8", "fe80::1%eth0", "10.0.0.0/8 "] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
