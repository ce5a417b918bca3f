//! What has to be let in: addresses, ports and networks, by family.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::config::{Config, PortRange};
use crate::policy::network::NetworkRule;
use crate::settings::ProxyData;

/// What a packet filter has to know of a policy.
#[derive(Debug)]
pub(super) struct Rules {
    directory: PathBuf,
    fingerprint: String,
    listeners: Vec<Listener>,
    passive: PortRange,
    /// Whether the server connects to clients.
    pub(super) active: bool,
    /// IPv4, then IPv6.
    pub(super) families: [FamilyRules; 2],
}

/// What is let in of one address family.
#[derive(Debug)]
pub(super) struct FamilyRules {
    pub(super) family: Family,
    /// Where connections arrive: any address first, and of each other what is open on it alone.
    pub(super) openings: Vec<Opening>,
    /// The proxies, which come first: the server judges whom they tell of and not their own
    /// addresses, so these may be in a denied network, or in none. In order; none overlap.
    pub(super) proxies: Vec<IpNet>,
    /// From where they may come, but for `denied`; none lies within a denied one or a proxy's.
    pub(super) allowed: Sources,
    /// From where they may not come; none overlap, or lie within a proxy's.
    pub(super) denied: Vec<IpNet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// An address of this machine and the ports on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opening {
    /// None is any address of the family.
    pub(super) address: Option<IpAddr>,
    /// In order; none overlap.
    pub(super) ports: Vec<Ports>,
}

/// Ports, the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ports {
    pub(super) first: u16,
    pub(super) last: u16,
}

/// Who may come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sources {
    /// Every address of the family.
    Everyone,
    /// In order; none overlap, and there may be none.
    Networks(Vec<IpNet>),
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    socket: SocketAddr,
    implicit: bool,
}

impl Rules {
    pub(super) fn of(config: &Config) -> Self {
        let of_kind = |sockets: &[SocketAddr], implicit| {
            sockets.iter().map(|&socket| Listener { socket, implicit }).collect::<Vec<_>>()
        };
        let listeners = [of_kind(&config.listen.explicit, false), of_kind(&config.listen.implicit, true)].concat();
        let networks = &config.policy.networks;
        let family = |family: Family| {
            let proxies = of_family(family, config.listen.proxies.iter().map(|proxy| proxy.from));
            let (allowed, denied) = sources(family, &proxies, &networks.allow, &networks.deny);
            let anywhere = config.listen.proxies.iter().any(|proxy| proxy.data == ProxyData::Direct);
            let openings = openings(family, &listeners, config.passive.ports, anywhere);
            FamilyRules { family, openings, proxies, allowed, denied }
        };
        Self {
            directory: config.directory.clone(),
            fingerprint: config.fingerprint.to_string(),
            passive: config.passive.ports,
            active: config.active,
            families: [family(Family::V4), family(Family::V6)],
            listeners,
        }
    }

    /// What the operator should know besides the rules.
    pub(super) fn notes(&self) -> Vec<String> {
        let chosen_later = self.listeners.iter().filter(|listener| listener.socket.port() == 0);
        let mut notes: Vec<String> = chosen_later
            .map(|listener| format!("portcullis: {} gets its port at the start, so no rule names it", listener.socket))
            .collect();
        if self.families.iter().all(|family| family.openings.is_empty()) {
            notes.push(
                "portcullis: nothing listens but on the loopback interface, so these rules let nothing in".to_owned(),
            );
        }
        notes
    }

    /// What every form says at its beginning, a line each; made of nothing that could end a comment.
    pub(super) fn origin(&self) -> Vec<String> {
        let directory: String = self.directory.display().to_string().chars().flat_map(char::escape_debug).collect();
        vec![
            format!("Packet filter rules for Portcullis, from the policy in {directory}"),
            format!("with the fingerprint {}.", self.fingerprint),
        ]
    }

    /// What every form says of the ways of FTP, a line each.
    pub(super) fn advice(&self) -> Vec<String> {
        let mut lines = vec![
            "The passive ports stand open to the allowed networks all the time: a connection".to_owned(),
            "tracking helper for FTP cannot read the replies inside TLS, so do not load one.".to_owned(),
        ];
        if self.families.iter().any(|family| !family.proxies.is_empty()) {
            lines.extend([
                "The proxies of [listen] are let in before anything else: clients that come through".to_owned(),
                "them are judged by the server, which alone sees the addresses in their headers.".to_owned(),
            ]);
        }
        if self.active {
            lines.extend([
                "Active mode is on: where outgoing connections are filtered too, let the server".to_owned(),
                "connect from any port to ports 1024-65535 of the allowed networks.".to_owned(),
            ]);
        }
        lines
    }

    /// The facts and the rules as one JSON object.
    pub(super) fn report(&self, form: &str, rules: &str) -> Value {
        let texts = |networks: &[IpNet]| networks.iter().map(ToString::to_string).collect::<Vec<_>>();
        let allowed = self.families.iter().flat_map(|family| texts(&family.allowed_networks()));
        let denied = self.families.iter().flat_map(|family| texts(&family.denied));
        let proxies = self.families.iter().flat_map(|family| texts(&family.proxies));
        let listener = |listener: &Listener| {
            json!({
                "address": listener.socket.to_string(),
                "tls": if listener.implicit { "implicit" } else { "explicit" },
                "ruled": is_ruled(listener),
            })
        };
        json!({
            "policy": self.fingerprint,
            "directory": self.directory.display().to_string(),
            "listeners": self.listeners.iter().map(listener).collect::<Vec<_>>(),
            "passive_ports": { "first": self.passive.first, "last": self.passive.last },
            "active": self.active,
            "networks": { "allow": allowed.collect::<Vec<_>>(), "deny": denied.collect::<Vec<_>>() },
            "proxies": proxies.collect::<Vec<_>>(),
            "form": form,
            "rules": rules,
        })
    }
}

impl FamilyRules {
    /// The networks that may come, with everybody as a network too.
    pub(super) fn allowed_networks(&self) -> Vec<IpNet> {
        match &self.allowed {
            Sources::Everyone => vec![self.family.everyone()],
            Sources::Networks(networks) => networks.clone(),
        }
    }
}

impl Family {
    const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The network of every address.
    pub(super) fn everyone(self) -> IpNet {
        match self {
            Self::V4 => IpNet::V4(ipnet::Ipv4Net::default()),
            Self::V6 => IpNet::V6(ipnet::Ipv6Net::default()),
        }
    }

    /// Its name in sets, JSON and firewalld.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

impl Ports {
    /// The form of a tool: one port as it is, more with what stands between the first and the last.
    pub(super) fn text(self, between: char) -> String {
        let Self { first, last } = self;
        if first == last { first.to_string() } else { format!("{first}{between}{last}") }
    }

    /// How many ports iptables counts it as.
    const fn slots(self) -> usize {
        if self.first == self.last { 1 } else { 2 }
    }
}

/// Groups of ports that fit into one rule each of iptables and of ufw: fifteen, a range for two.
pub(super) fn multiports(ports: &[Ports]) -> Vec<String> {
    const SLOTS_MAX: usize = 15;
    let (mut groups, mut used): (Vec<Vec<String>>, usize) = (Vec::new(), SLOTS_MAX);
    for port in ports {
        used = used.saturating_add(port.slots());
        if used > SLOTS_MAX {
            groups.push(Vec::new());
            used = port.slots();
        }
        if let Some(group) = groups.last_mut() {
            group.push(port.text(':'));
        }
    }
    groups.iter().map(|group| group.join(",")).collect()
}

/// Whether a packet filter has to know of the listener: not where it is on the loopback interface,
/// or gets its port only when it is opened.
fn is_ruled(listener: &Listener) -> bool {
    !listener.socket.ip().to_canonical().is_loopback() && listener.socket.port() != 0
}

/// Data connections arrive on the address of their control connection, so each address with a
/// listener has the passive ports too. Where data connections go past a proxy, `anywhere`, they come
/// to whichever address is announced, so that every address has them.
fn openings(family: Family, listeners: &[Listener], passive: PortRange, anywhere: bool) -> Vec<Opening> {
    let passive = Ports { first: passive.first, last: passive.last };
    let mut openings: Vec<Opening> = Vec::new();
    if anywhere {
        openings.push(Opening { address: None, ports: vec![passive] });
    }
    for listener in listeners.iter().filter(|listener| is_ruled(listener)) {
        let ip = listener.socket.ip();
        if Family::of(ip) != family {
            continue;
        }
        let address = (!ip.is_unspecified()).then_some(ip);
        let port = Ports { first: listener.socket.port(), last: listener.socket.port() };
        if let Some(opening) = openings.iter_mut().find(|opening| opening.address == address) {
            opening.ports.push(port);
        } else {
            openings.push(Opening { address, ports: vec![port, passive] });
        }
    }
    for opening in &mut openings {
        opening.ports = joined(std::mem::take(&mut opening.ports));
    }
    // What is open on any address needs no rule for one address.
    openings.sort_by_key(|opening| opening.address);
    if let Some((any, others)) = openings.split_first_mut().filter(|(first, _)| first.address.is_none()) {
        let covered = |ports: &Ports| any.ports.iter().any(|wide| wide.first <= ports.first && ports.last <= wide.last);
        for opening in others {
            opening.ports.retain(|ports| !covered(ports));
        }
    }
    openings.retain(|opening| !opening.ports.is_empty());
    openings
}

/// Sorts, and joins what touches or overlaps.
fn joined(mut ports: Vec<Ports>) -> Vec<Ports> {
    ports.sort_unstable();
    let mut joined: Vec<Ports> = Vec::new();
    for port in ports {
        match joined.last_mut() {
            Some(last) if port.first <= last.last.saturating_add(1) => last.last = last.last.max(port.last),
            _ => joined.push(port),
        }
    }
    joined
}

/// The networks of a family, summed up.
fn of_family(family: Family, networks: impl Iterator<Item = IpNet>) -> Vec<IpNet> {
    let networks: Vec<IpNet> = networks.filter(|network| Family::of(network.addr()) == family).collect();
    IpNet::aggregate(&networks)
}

fn sources(family: Family, proxies: &[IpNet], allow: &[NetworkRule], deny: &[NetworkRule]) -> (Sources, Vec<IpNet>) {
    let of_rules = |rules: &[NetworkRule]| of_family(family, rules.iter().map(|rule| rule.network));
    let (allowed, mut denied) = (of_rules(allow), of_rules(deny));
    let everyone = family.everyone();
    if denied.contains(&everyone) {
        return (Sources::Networks(Vec::new()), Vec::new());
    }
    // What the rules before have decided needs none, and ufw would take a second verdict on the same
    // network for a change of the first.
    denied.retain(|network| !proxies.iter().any(|proxy| proxy.contains(network)));
    let is_decided = |network: &IpNet| denied.iter().chain(proxies).any(|wide| wide.contains(network));
    let allowed: Vec<IpNet> = allowed.into_iter().filter(|network| !is_decided(network)).collect();
    let allowed = if allowed.contains(&everyone) { Sources::Everyone } else { Sources::Networks(allowed) };
    (allowed, denied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::grant::RuleSource;

    const PASSIVE: PortRange = PortRange { first: 50_000, last: 50_009 };

    fn listeners(sockets: &[&str]) -> Vec<Listener> {
        sockets.iter().map(|text| Listener { socket: text.parse().unwrap(), implicit: false }).collect()
    }

    fn shown(family: Family, sockets: &[&str]) -> String {
        shown_with(family, sockets, false)
    }

    fn shown_with(family: Family, sockets: &[&str], anywhere: bool) -> String {
        let one = |opening: &Opening| {
            let ports: Vec<String> = opening.ports.iter().map(|ports| ports.text('-')).collect();
            format!("{} {}", opening.address.map_or("any".into(), |ip| ip.to_string()), ports.join(" "))
        };
        openings(family, &listeners(sockets), PASSIVE, anywhere).iter().map(one).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn each_address_has_its_listeners_and_the_passive_ports() {
        let sockets = ["0.0.0.0:21", "[::]:21", "0.0.0.0:990", "192.0.2.1:2121", "[2001:db8::1]:50010"];
        assert_eq!(shown(Family::V4, &sockets), "any 21 990 50000-50009; 192.0.2.1 2121");

        assert_eq!(shown(Family::V6, &sockets), "any 21 50000-50009; 2001:db8::1 50000-50010");
        let sockets = ["192.0.2.1:21", "192.0.2.2:21", "0.0.0.0:21"];
        assert_eq!(shown(Family::V4, &sockets), "any 21 50000-50009");
        assert_eq!(shown(Family::V4, &sockets[..2]), "192.0.2.1 21 50000-50009; 192.0.2.2 21 50000-50009");
    }

    #[test]
    fn what_no_packet_filter_sees_gets_no_rule() {
        assert_eq!(shown(Family::V4, &["127.0.0.1:21", "127.1.2.3:990", "0.0.0.0:0"]), "");
        assert_eq!(shown(Family::V6, &["[::1]:21"]), "");
    }

    #[test]
    fn past_a_proxy_data_connections_come_to_any_address() {
        let sockets = ["192.0.2.1:21", "192.0.2.1:50010"];
        assert_eq!(shown_with(Family::V4, &sockets, true), "any 50000-50009; 192.0.2.1 21 50000-50010");
        assert_eq!(shown_with(Family::V6, &sockets, true), "any 50000-50009");
    }

    #[test]
    fn networks_are_summed_up_by_family() {
        let rules = |list: &[&str]| -> Vec<NetworkRule> {
            let source = RuleSource { file: "server.toml".into(), line: 1 };
            list.iter().map(|text| NetworkRule { network: text.parse().unwrap(), source: source.clone() }).collect()
        };
        let sum_with = |family, proxies: &[&str], allow: &[&str], deny: &[&str]| {
            let proxies = of_family(family, proxies.iter().map(|text| text.parse().unwrap()));
            let (allowed, denied) = sources(family, &proxies, &rules(allow), &rules(deny));
            let texts = |list: &[IpNet]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let allowed = match allowed {
                Sources::Everyone => "everyone".to_owned(),
                Sources::Networks(list) => texts(&list),
            };
            format!("{allowed} - {}", texts(&denied))
        };
        let sum = |family, allow: &[&str], deny: &[&str]| sum_with(family, &[], allow, deny);
        let allow = ["10.0.1.0/24", "10.0.0.0/24", "10.0.1.7/32", "2001:db8::/48"];
        assert_eq!(sum(Family::V4, &allow, &["::1/128"]), "10.0.0.0/23 - ");
        assert_eq!(sum(Family::V6, &allow, &["2001:db8::/64"]), "2001:db8::/48 - 2001:db8::/64");
        assert_eq!(sum(Family::V4, &["0.0.0.0/1", "128.0.0.0/1"], &["10.0.0.0/8"]), "everyone - 10.0.0.0/8");
        assert_eq!(sum(Family::V6, &["0.0.0.0/0"], &[]), " - ");
        assert_eq!(sum(Family::V4, &["10.0.0.0/8"], &["0.0.0.0/0"]), " - ", "deny wins");
        let proxies = ["192.0.2.5/32", "192.0.2.4/32", "2001:db8::5/128"];
        let others = ["192.0.2.5/32", "10.0.0.0/8"];
        assert_eq!(sum_with(Family::V4, &proxies, &others, &[]), "10.0.0.0/8 - ");
        assert_eq!(sum_with(Family::V4, &proxies, &others, &["192.0.2.4/32"]), "10.0.0.0/8 - ");
        assert_eq!(sum_with(Family::V4, &proxies, &others, &["192.0.2.0/24"]), "10.0.0.0/8 - 192.0.2.0/24");
        assert_eq!(sum(Family::V4, &["10.0.0.0/16", "10.2.0.0/16"], &["10.0.0.0/15"]), "10.2.0.0/16 - 10.0.0.0/15");
    }

    #[test]
    fn many_ports_are_more_than_one_rule() {
        let ports: Vec<Ports> = (0..7).map(|at| Ports { first: at * 10, last: at * 10 + 5 }).collect();
        let single = Ports { first: 99, last: 99 };
        assert_eq!(multiports(&[&ports[..], &[single]].concat()).len(), 1);
        let groups = multiports(&[&ports[..], &[single, Ports { first: 101, last: 101 }]].concat());
        assert_eq!(groups[1..], ["101"]);
    }
}
