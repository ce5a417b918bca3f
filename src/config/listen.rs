//! `[listen]`: the sockets of control connections, and the proxies that connect to them for others.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::findings::{Findings, shown};
use super::networks::Networks;
use super::section::Section;
use super::{Listen, PortRange, Proxy, ProxyData, passive};
use crate::policy::network::AddressRules;

const PROXY_EXAMPLE: &str = "{ from = \"10.0.0.5\", data = \"header\" }";
/// A proxy's network with more bits of host than this is worth a warning: 256 addresses.
const HOST_BITS_USUAL: u8 = 8;

/// `[listen]`: at least one socket, and the proxies before them.
pub(super) fn listen(section: &Section<'_>, networks: &Networks, findings: &mut Findings) -> Option<Listen> {
    let mut seen: Vec<SocketAddr> = Vec::new();
    let mut given: usize = 0;
    let mut sockets = |key: &str, findings: &mut Findings| -> Vec<SocketAddr> {
        let mut list = Vec::new();
        for text in section.texts(key, findings).unwrap_or_default() {
            given = given.saturating_add(1);
            let Ok(address) = text.text.parse::<SocketAddr>() else {
                let message = format!("`{}` is no address with a port", shown(text.text));
                findings.error(text.place, message, "write it as \"192.0.2.1:21\", \"0.0.0.0:21\" or \"[::]:21\"");
                continue;
            };
            if address.port() != 0 && seen.contains(&address) {
                let message = format!("{address} is there twice");
                findings.error(text.place, message, "a socket is explicit or implicit, and listed once");
            }
            seen.push(address);
            list.push(address);
        }
        list
    };
    let (explicit, implicit) = (sockets("explicit", findings), sockets("implicit", findings));
    let proxies = proxies(section, networks, findings);
    let reload_ports = reload_ports(section, findings);
    if seen.is_empty() {
        if section.get("explicit").is_none() && section.get("implicit").is_none() {
            section.missing("explicit", "explicit = [\"0.0.0.0:21\", \"[::]:21\"]", findings);
        } else if given == 0 {
            let help = "for example: explicit = [\"0.0.0.0:21\", \"[::]:21\"]";
            findings.error(section.place_of("explicit"), "the server listens nowhere", help);
        }
        return None;
    }
    Some(Listen { explicit, implicit, proxies, reload_ports })
}

/// The running server gives up the right to listen on ports, but for those of its start and these.
fn reload_ports(section: &Section<'_>, findings: &mut Findings) -> Vec<PortRange> {
    let mut list = Vec::new();
    for text in section.texts("reload-ports", findings).unwrap_or_default() {
        match passive::port_range(text.text) {
            Ok(ports) => list.push(ports),
            Err((message, help)) => {
                let low = text.text.trim().parse::<u16>().is_ok_and(|port| port < 1024);
                let needs = "the running server has no privilege for ports below 1024; listen on it from the start on";
                findings.error(text.place, message, if low { needs.to_owned() } else { help });
            }
        }
    }
    list
}

/// Each of these addresses can claim to be anybody, so they are stated one by one.
fn proxies(section: &Section<'_>, networks: &Networks, findings: &mut Findings) -> Vec<Proxy> {
    let words =
        [("header", ProxyData::Header), ("same-address", ProxyData::SameAddress), ("direct", ProxyData::Direct)];
    let mut list: Vec<Proxy> = Vec::new();
    for table in section.tables("proxies", "proxies", findings).unwrap_or_default() {
        for key in ["from", "data"].into_iter().filter(|key| table.get(key).is_none()) {
            table.missing(key, PROXY_EXAMPLE, findings);
        }
        let data = table.word("data", &words, ProxyData::Header, findings);
        let Some(text) = table.text("from", findings) else { continue };
        for from in networks.resolve(text, findings) {
            if list.iter().any(|known| known.from.contains(&from)) {
                let message = format!("{from} is a proxy already");
                findings.error(text.place, message, "name each proxy once");
            }
            if from.prefix_len() > 0 && from.max_prefix_len().saturating_sub(from.prefix_len()) > HOST_BITS_USUAL {
                let message = format!("every address of {from} may say for whom it connects");
                findings.warning(text.place, message, "name the addresses of the proxies themselves");
            }
            list.push(Proxy { from, data });
        }
    }
    let networks: Vec<IpNet> = list.iter().map(|proxy| proxy.from).collect();
    if let Some(all) = IpNet::aggregate(&networks).into_iter().find(|network| network.prefix_len() == 0) {
        let message = format!("every address of {all} would be a proxy, and could claim to be any client");
        findings.error(section.place_of("proxies"), message, "name the addresses of the proxies themselves");
    }
    list
}

/// A proxy whose own address is listed as a client is likely a leftover of the time before its
/// headers were read: it lets in whoever reaches the server through it without one.
pub(super) fn warn_of_allowed_proxies(
    listen: &Listen,
    allowed: &AddressRules,
    section: &Section<'_>,
    findings: &mut Findings,
) {
    for proxy in &listen.proxies {
        if let Some(rule) = allowed.allow.iter().find(|rule| proxy.from.contains(&rule.network)) {
            let message = format!("{} is allowed as a client ({}), and is a proxy", rule.network, rule.source);
            let help = "clients are judged by the address in the header; leave the proxy's own out of the list";
            findings.warning(section.place_of("proxies"), message, help);
        }
    }
}
