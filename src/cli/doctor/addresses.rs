//! The addresses under which clients are to reach the server, and the way there.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use rustls::pki_types::CertificateDer;

use super::checks::Check;
use super::probe::{self, Answer};
use super::report::{Report, Severity};
use super::{Examined, machine, names};
use crate::policy::network::AddressVerdict;
use crate::settings::{Advertise, Announced};

/// Advertised addresses to which the way is tried, for the time that it takes.
const TRIED_MAX: usize = 3;

/// Makes all checks of this family.
pub(super) fn check(examined: &Examined<'_>, report: &mut Report) {
    for entry in &examined.config.passive.advertise {
        advertised(examined, entry, report);
    }
    local(examined, report);
    let shown = answers(examined, report);
    path(examined, &shown, report);
}

/// What keeps an address from being reached from the Internet, in words.
fn confined(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [127, ..] => Some("the loopback address of each machine"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private address"),
        [100, 64..=127, ..] => Some("an address of a provider's own network (100.64.0.0/10)"),
        [169, 254, ..] => Some("a link-local address"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("an address for documentation"),
        [198, 18..=19, ..] => Some("an address for benchmarks"),
        [0 | 240..=255, ..] => Some("a reserved address"),
        _ => None,
    }
}

fn is_documentation(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _])
}

/// Whether clients of the network come from beyond this site. Networks of the documentation stand
/// for public ones.
fn is_outside(network: &IpNet) -> bool {
    match network.network() {
        IpAddr::V4(first) => network.prefix_len() < 8 || confined(first).is_none() || is_documentation(first),
        IpAddr::V6(_) => false,
    }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn advertised(examined: &Examined<'_>, entry: &Advertise, report: &mut Report) {
    let check = Check::AddressAdvertised;
    let clients = entry.clients.map_or_else(|| "any client".to_owned(), |network| network.to_string());
    let address = match names::address(&entry.address, examined.config) {
        Ok(address) => address,
        Err(why) => {
            let help = "PASV is refused until the name can be looked up, and EPSV works: mend the name in [passive] advertise, \
                        the name servers of /etc/resolv.conf, or name others in [passive] resolvers";
            report.add(check, Severity::Error, format!("{clients} is told {}: {why}", shown(&entry.address)), help);
            return;
        }
    };
    if address.is_unspecified() {
        let help = "clients older than that use of it fail with PASV; EPSV works for all";
        let told = format!("{clients} is told 0.0.0.0: the address of the control connection");
        report.add(check, Severity::Note, told, help);
        return;
    }
    let allowed = &examined.config.policy.networks.allow;
    let outside = allowed
        .iter()
        .map(|rule| rule.network)
        .filter(|network| entry.clients.is_none_or(|clients| overlap(&clients, network)))
        .any(|network| is_outside(&entry.clients.map_or(network, |clients| narrower(clients, network))));
    let told = match &entry.address {
        Announced::Address(_) => format!("{clients} is told {address}"),
        Announced::Name(name) => format!("{clients} is told {address} ({name})"),
    };
    match confined(address) {
        Some(kind) if is_documentation(address) => {
            let help = "write the address under which clients reach this server into [passive] advertise";
            report.add(check, Severity::Warning, format!("{told}, {kind}"), help);
        }
        Some(kind) if outside => {
            let help =
                "write the public address there, and give networks within the site an entry of their own before it";
            report.add(check, Severity::Warning, format!("{told}, {kind}, which clients elsewhere do not reach"), help);
        }
        _ if machine::has_address(address.into()) => {
            report.ok(check, format!("{told}, an address of this machine"));
        }
        _ => {
            let range = examined.config.passive.ports;
            let help = format!(
                "the NAT in front has to forward the ports of [listen] and {}-{} to this machine, unchanged",
                range.first, range.last
            );
            report.add(check, Severity::Note, format!("{told}, which is not an address of this machine"), help);
        }
    }
}

fn shown(announced: &Announced) -> String {
    match announced {
        Announced::Address(address) => address.to_string(),
        Announced::Name(name) => format!("the address of {name}"),
    }
}

fn narrower(a: IpNet, b: IpNet) -> IpNet {
    if a.prefix_len() >= b.prefix_len() { a } else { b }
}

/// Without an entry of `advertise`, `PASV` tells the address that the client connected to, as this
/// machine sees it.
fn local(examined: &Examined<'_>, report: &mut Report) {
    let check = Check::AddressLocal;
    let passive = &examined.config.passive;
    let untold: Vec<IpNet> = examined
        .config
        .policy
        .networks
        .allow
        .iter()
        .map(|rule| rule.network)
        .filter(|network| is_outside(network) && passive.advertised(network.network()).is_none())
        .collect();
    let Some(example) = untold.first() else {
        report.ok(check, "every allowed network is told an address that it can reach");
        return;
    };
    let mut own: BTreeSet<Ipv4Addr> = BTreeSet::new();
    for (listener, _) in examined.listeners() {
        let ip = if listener.ip().is_unspecified() { machine::outgoing_address() } else { Some(listener.ip()) };
        if let Some(IpAddr::V4(ip)) = ip.filter(|_| listener.is_ipv4()) {
            own.insert(ip);
        }
    }
    let hidden = own.iter().find_map(|ip| confined(*ip).map(|kind| (ip, kind)));
    let Some((ip, kind)) = hidden.filter(|(ip, _)| !is_documentation(**ip)) else {
        report.ok(check, "clients are told the address that they connected to");
        return;
    };
    report.add(
        check,
        Severity::Warning,
        format!("clients of {example} are told {ip} by PASV, {kind}"),
        "behind NAT, name the public address: advertise = [{ clients = \"any\", address = \"…\" }] in [passive]",
    );
}

/// Asks the running server at its own sockets; what it shows there is returned.
fn answers(examined: &Examined<'_>, report: &mut Report) -> Vec<CertificateDer<'static>> {
    let check = Check::AddressAnswer;
    let mut shown = Vec::new();
    if examined.machine.server.is_none() {
        report.not_made(check, super::NO_SERVER);
        return shown;
    }
    for (listener, implicit) in examined.listeners().take(TRIED_MAX) {
        let address = probe::reachable(listener);
        match probe::ask(examined, address, implicit, &[]) {
            Answer::Ours => report.ok(check, format!("{address} answers with the certificate of the policy")),
            Answer::Stranger(certificate) => {
                let found =
                    format!("{address} answers with another certificate ({})", super::fingerprint(&certificate));
                shown.push(certificate);
                report.add(
                    check,
                    Severity::Warning,
                    found,
                    "the server takes new files within seconds; where this stays, its log says why it cannot use them",
                );
            }
            Answer::TurnedAway(words) => {
                let help = "to have this checked, allow this machine's own address in [networks]";
                report.add(check, Severity::Note, format!("{address} turns this machine away: {words}"), help);
            }
            Answer::NoServer(why) => {
                let help = "look into the server's log; restart it";
                report.add(check, Severity::Error, format!("{address} is no FTPS server that answers: {why}"), help);
            }
            // The firewall's rules are those of the policy, as they should be.
            Answer::Unreachable(error) if error.kind() == ErrorKind::TimedOut && !may_come(examined, address) => {
                let help = "to have this checked, allow this machine's own address in [networks] and the firewall";
                report.add(check, Severity::Note, format!("{address} does not let this machine in: {error}"), help);
            }
            Answer::Unreachable(error) => {
                let help =
                    "the server runs and does not listen there: reload or restart it, and check the local firewall";
                report.add(check, Severity::Warning, format!("{address} cannot be reached: {error}"), help);
            }
        }
    }
    shown
}

/// Whether the policy lets this machine in at one of its own addresses: it comes from the same one.
fn may_come(examined: &Examined<'_>, address: SocketAddr) -> bool {
    matches!(examined.config.policy.networks.judge(address.ip()), AddressVerdict::Allowed(_))
}

/// Goes to the server as clients are told to.
fn path(examined: &Examined<'_>, shown: &[CertificateDer<'static>], report: &mut Report) {
    let check = Check::AddressPath;
    if examined.config.passive.advertise.is_empty() {
        report.not_made(check, "no address is advertised");
        return;
    }
    if examined.machine.server.is_none() {
        report.not_made(check, super::NO_SERVER);
        return;
    }
    let Some((listener, implicit)) = examined.listeners().find(|(address, _)| address.is_ipv4()) else {
        report.not_made(check, "the server has no IPv4 socket");
        return;
    };
    let entries = examined.config.passive.advertise.iter().take(TRIED_MAX);
    let told: BTreeSet<Ipv4Addr> = entries
        .filter_map(|entry| names::address(&entry.address, examined.config).ok())
        .filter(|address| !address.is_unspecified())
        .collect();
    for address in told {
        let address = SocketAddr::new(address.into(), listener.port());
        match probe::ask(examined, address, implicit, shown) {
            Answer::Ours => report.ok(check, format!("{address} leads to this server")),
            Answer::Stranger(certificate) => {
                let found = format!(
                    "{address} leads to another server (its certificate: {})",
                    super::fingerprint(&certificate)
                );
                let help = "correct [passive] advertise, or what the NAT forwards";
                report.add(check, Severity::Error, found, help);
            }
            Answer::NoServer(why) => {
                let help = "correct [passive] advertise, or what the NAT forwards";
                report.add(check, Severity::Error, format!("{address} leads to something else: {why}"), help);
            }
            Answer::TurnedAway(words) => {
                let found = format!("{address} leads to a server that turns this machine away: {words}");
                let help = "to have this checked, allow the address from which this machine comes in [networks]";
                report.add(check, Severity::Note, found, help);
            }
            Answer::Unreachable(error) => {
                let help = "many NATs do not lead back in from within (hairpin): try it from outside, with \
                            openssl s_client -starttls ftp -connect ADDRESS:PORT";
                report.add(check, Severity::Note, format!("{address} cannot be reached from here: {error}"), help);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_the_site_are_told_from_the_rest() {
        for (network, expected) in [
            ("10.0.0.0/8", false),
            ("127.0.0.0/8", false),
            ("100.64.0.0/10", false),
            ("0.0.0.0/0", true),
            ("8.8.8.0/24", true),
            ("192.0.2.0/24", true),
            ("2001:db8::/32", false),
        ] {
            assert_eq!(is_outside(&network.parse().unwrap()), expected, "{network}");
        }
    }
}
