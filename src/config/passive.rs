//! `[passive]`: the ports of data connections, and what clients are told to connect to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::findings::{Findings, shown};
use super::networks::Networks;
use super::section::{Section, Text};
use super::{Advertise, Announced, Listen, Passive, PortRange, keys};
use crate::settings::RESOLVERS_MAX;

/// Ports below this need privileges that the running server does not have.
const PORT_UNPRIVILEGED: u16 = 1024;
const EXAMPLE: &str = "{ clients = \"any\", address = \"203.0.113.7\" }";
/// The port of name servers (RFC 1035 §4.2).
const NAME_SERVER_PORT: u16 = 53;
/// Longest host name, and longest label of one, in bytes (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// `[passive]`: the ports have to be stated, because a firewall has to agree with them.
pub(super) fn passive(
    section: &Section<'_>,
    listen: Option<&Listen>,
    networks: &Networks,
    findings: &mut Findings,
) -> Option<Passive> {
    let advertise = advertise(section, networks, findings);
    let resolvers = resolvers(section, findings);
    let resolve_every = Duration::from_secs(section.number(&keys::RESOLVE_SECONDS, findings));
    if section.get("ports").is_none() {
        section.missing("ports", "ports = \"50000-50099\"", findings);
    }
    let text = section.text("ports", findings)?;
    let ports = match port_range(text.text) {
        Ok(ports) => ports,
        Err((message, help)) => {
            findings.error(text.place, message, help);
            return None;
        }
    };
    let sockets = listen.into_iter().flat_map(|listen| listen.explicit.iter().chain(&listen.implicit));
    for socket in sockets.filter(|socket| ports.contains(socket.port())) {
        let message = format!("the passive ports include {}, on which the server listens", socket.port());
        findings.error(text.place, message, "choose a range without the ports of [listen]");
    }
    Some(Passive { ports, advertise, resolve_every, resolvers })
}

/// Reads `FIRST-LAST`, or one port.
///
/// # Errors
/// What is wrong, and what to do.
pub(crate) fn port_range(text: &str) -> Result<PortRange, (String, String)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse::<u16>().ok();
    let (Some(first), Some(last)) = (port(first), port(last)) else {
        return Err((format!("`{}` is no range of ports", shown(text)), "write it as \"50000-50099\"".into()));
    };
    if first > last {
        return Err(("the range ends before it begins".into(), format!("write \"{last}-{first}\"")));
    }
    if first < PORT_UNPRIVILEGED {
        let help = format!("begin at {PORT_UNPRIVILEGED} or above");
        return Err(("passive ports below 1024 belong to system services".into(), help));
    }
    Ok(PortRange { first, last })
}

fn advertise(section: &Section<'_>, networks: &Networks, findings: &mut Findings) -> Vec<Advertise> {
    let mut list: Vec<Advertise> = Vec::new();
    for table in section.tables("advertise", "advertise", findings).unwrap_or_default() {
        if list.iter().any(|entry| entry.clients.is_none()) {
            let help = "put the entry for \"any\" last: the first that matches counts";
            findings.warning(table.place(), "no client gets this far", help);
        }
        let announced = announced(&table, findings);
        let clients: Vec<Option<IpNet>> = match table.text("clients", findings) {
            Some(clients) if clients.text == "any" => vec![None],
            Some(clients) => networks.resolve(clients, findings).into_iter().map(Some).collect(),
            None => Vec::new(),
        };
        if table.get("clients").is_none() {
            table.missing("clients", EXAMPLE, findings);
        }
        let Some(address) = announced else { continue };
        list.extend(clients.into_iter().map(|clients| Advertise { clients, address: address.clone() }));
    }
    list
}

/// What one entry announces: an address, or a name that has one.
fn announced(table: &Section<'_>, findings: &mut Findings) -> Option<Announced> {
    match (table.get("address"), table.get("name")) {
        (Some(_), Some(name)) => {
            let help = "an entry announces one address: keep `address`, or `name`";
            findings.error(name.place, "there are both an `address` and a `name`", help);
            None
        }
        (Some(_), None) => address(table.text("address", findings)?, findings).map(Announced::Address),
        (None, Some(_)) => name(table.text("name", findings)?, findings).map(Announced::Name),
        (None, None) => {
            let message = "this entry has neither an `address` nor a `name` to announce";
            findings.error(table.place(), message, format!("for example: {EXAMPLE}"));
            None
        }
    }
}

fn address(text: Text<'_>, findings: &mut Findings) -> Option<Ipv4Addr> {
    match text.text.parse::<IpAddr>() {
        // `0.0.0.0` says: connect to where the control connection goes.
        Ok(IpAddr::V4(v4)) if !v4.is_multicast() && !v4.is_broadcast() => Some(v4),
        Ok(IpAddr::V6(_)) => {
            let help = "give an IPv4 address; IPv6 clients use EPSV, which announces none";
            findings.error(text.place, "PASV announces IPv4 addresses only", help);
            None
        }
        _ => {
            let message = format!("`{}` is no address that a client could connect to", shown(text.text));
            let help = match host_name(text.text) {
                Some(name) => format!("a host name is written as name = \"{name}\""),
                None => "give the IPv4 address under which clients reach this server".into(),
            };
            findings.error(text.place, message, help);
            None
        }
    }
}

fn name(text: Text<'_>, findings: &mut Findings) -> Option<Arc<str>> {
    if text.text.parse::<IpAddr>().is_ok() {
        findings.error(text.place, "this is an address, no name", format!("write address = \"{}\"", text.text));
        return None;
    }
    let name = host_name(text.text);
    if name.is_none() {
        let message = format!("`{}` is no host name", shown(text.text));
        let help = "labels of letters, digits and hyphens with dots between them; others as xn--…";
        findings.error(text.place, message, help);
    }
    name.map(Into::into)
}

/// A host name in lower case and without the dot at its end (RFC 1123 §2.1).
fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let good = name.len() <= NAME_BYTES_MAX && name.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit());
    good.then(|| name.to_ascii_lowercase())
}

fn resolvers(section: &Section<'_>, findings: &mut Findings) -> Vec<SocketAddr> {
    let mut list = Vec::new();
    for (number, text) in section.texts("resolvers", findings).unwrap_or_default().into_iter().enumerate() {
        if number == RESOLVERS_MAX {
            let message = format!("only the first {RESOLVERS_MAX} name servers are asked");
            findings.warning(text.place, message, "leave out the others");
        }
        let address = text.text.parse::<IpAddr>().map(|address| SocketAddr::new(address, NAME_SERVER_PORT));
        if let Ok(server) = address.or_else(|_| text.text.parse::<SocketAddr>()) {
            list.push(server);
        } else {
            let message = format!("`{}` is no address of a name server", shown(text.text));
            let help = "write it as \"192.0.2.53\", \"192.0.2.53:5353\" or \"[2001:db8::53]:53\"";
            findings.error(text.place, message, help);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_told_from_what_is_none() {
        assert_eq!(host_name("FTP.Example.org.").as_deref(), Some("ftp.example.org"));
        assert_eq!(host_name("localhost").as_deref(), Some("localhost"));
        let long = ["a"; 127].join(".") + ".b";
        for bad in ["", ".", "a..b", "-a.b", "a-.b", "a_b", "1.2.3.4", "10.300", "ftp example", "käse.de", &long] {
            assert_eq!(host_name(bad), None, "{bad:?}");
        }
    }
}
