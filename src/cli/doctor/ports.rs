//! The ports: those of the listeners, and those of passive data connections.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use socket2::{Domain, Protocol, Socket, Type};

use super::checks::Check;
use super::machine::{Holder, word};
use super::probe::Answer;
use super::report::{Report, Severity};
use super::{Examined, probe};

/// Passive ports that are tried, on each address.
const TRIED_MAX: usize = 1000;
/// Held ports that are named one by one.
const NAMED_MAX: usize = 5;
/// Linux's range of ports for outgoing connections, where it cannot be read.
const EPHEMERAL: RangeInclusive<u16> = 32768..=60999;

/// Makes all checks of this family.
pub(super) fn check(examined: &Examined<'_>, report: &mut Report) {
    for (address, implicit) in examined.listeners() {
        listener(examined, address, implicit, report);
    }
    passive(examined, report);
    ephemeral(examined, report);
}

/// Binds without listening, so that no client meets a port that is about to close again.
fn bind(address: SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn listener(examined: &Examined<'_>, address: SocketAddr, implicit: bool, report: &mut Report) {
    let listen = Check::PortsListen;
    let Err(error) = bind(address) else {
        match examined.machine.server {
            Some(pid) => report.add(
                listen,
                Severity::Note,
                format!("{address} is free, though a server of this policy runs (process {pid})"),
                "it runs with other settings: portcullis reload applies the policy as it is now",
            ),
            None => report.ok(listen, format!("{address} can be listened on")),
        }
        return;
    };
    match error.kind() {
        // Who may not open the port may still see that the server could.
        ErrorKind::PermissionDenied if is_held_by_ours(examined, address, implicit) => {
            report.ok(listen, format!("{address} is held by the server of this policy"));
        }
        ErrorKind::AddrInUse => match examined.machine.holders(&[address]).remove(&address) {
            Some(Holder::Server) => report.ok(listen, format!("{address} is held by the server of this policy")),
            Some(Holder::Hidden(_)) if answers_as_ours(examined, address, implicit) => {
                report.ok(listen, format!("{address} is held by the server of this policy"));
            }
            Some(Holder::Other(program) | Holder::Hidden(program)) => {
                let port = address.port();
                let help = format!(
                    "stop it (ss -ltnp 'sport = :{port}' shows it to root), or choose another port in [listen]"
                );
                report.add(listen, Severity::Error, format!("{address} is held by {program}"), help);
            }
            None => {}
        },
        ErrorKind::PermissionDenied => {
            let first = word("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_else(|| "1024".to_owned());
            report.add(
                Check::PortsPrivilege,
                Severity::Warning,
                format!("{address}: this account may not listen on ports below {first}"),
                "start the server as root (with [process] user), or with AmbientCapabilities=CAP_NET_BIND_SERVICE in \
                 its systemd unit, or choose a port from 1024 on",
            );
        }
        ErrorKind::AddrNotAvailable => report.add(
            listen,
            Severity::Error,
            format!("{address}: this machine does not have that address"),
            "`ip address` shows those it has; 0.0.0.0 or [::] stand for all of them",
        ),
        _ => report.add(
            listen,
            Severity::Error,
            format!("{address} cannot be listened on: {error}"),
            "check [listen]; without IPv6 on this machine, take [::] addresses out",
        ),
    }
}

fn is_held_by_ours(examined: &Examined<'_>, address: SocketAddr, implicit: bool) -> bool {
    examined.machine.server.is_some()
        && (examined.machine.holders(&[address]).remove(&address) == Some(Holder::Server)
            || answers_as_ours(examined, address, implicit))
}

fn answers_as_ours(examined: &Examined<'_>, address: SocketAddr, implicit: bool) -> bool {
    examined.machine.server.is_some()
        && matches!(probe::ask(examined, probe::reachable(address), implicit, &[]), Answer::Ours)
}

/// The addresses on which passive ports come to be opened: those of the listeners.
fn addresses(examined: &Examined<'_>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = examined.listeners().map(|(address, _)| address.ip()).collect();
    all.sort_unstable();
    all.dedup();
    let wild = |ip: &IpAddr| match ip {
        IpAddr::V4(_) => all.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        IpAddr::V6(_) => all.contains(&IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    all.iter().copied().filter(|ip| ip.is_unspecified() || !wild(ip)).collect()
}

fn passive(examined: &Examined<'_>, report: &mut Report) {
    let check = Check::PortsPassive;
    let range = examined.config.passive.ports;
    let (first, last) = (range.first, range.last);
    let mut held: Vec<SocketAddr> = Vec::new();
    for ip in addresses(examined) {
        let tried = (first..=last).take(TRIED_MAX).map(|port| SocketAddr::new(ip, port));
        held.extend(tried.filter(|address| bind(*address).is_err_and(|e| e.kind() == ErrorKind::AddrInUse)));
    }
    let tried = range.len().min(TRIED_MAX);
    let extent =
        if tried < range.len() { format!("the first {tried} of {first}-{last}") } else { format!("{first}-{last}") };
    let mut others: Vec<(SocketAddr, String)> = examined
        .machine
        .holders(&held)
        .into_iter()
        .filter_map(|(address, holder)| match holder {
            Holder::Server => None,
            Holder::Other(program) | Holder::Hidden(program) => Some((address, program)),
        })
        .collect();
    others.sort_by_key(|(address, _)| address.port());
    others.dedup_by_key(|(address, _)| address.port());
    if others.is_empty() {
        report.ok(check, format!("no other program holds a passive port ({extent})"));
        return;
    }
    let mut named: Vec<String> =
        others.iter().take(NAMED_MAX).map(|(address, program)| format!("{} by {program}", address.port())).collect();
    if let Some(more) = others.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        named.push(format!("and {more} more"));
    }
    let severity = if others.len() >= tried { Severity::Error } else { Severity::Warning };
    let found = format!("{} of {tried} passive ports are held: {}", others.len(), named.join(", "));
    report.add(check, severity, found, "stop these programs, or choose another range in [passive] and in the firewall");
}

/// Ports that the kernel may give to outgoing connections are now and then not there for the server.
fn ephemeral(examined: &Examined<'_>, report: &mut Report) {
    let check = Check::PortsEphemeral;
    let range = word("/proc/sys/net/ipv4/ip_local_port_range").and_then(|text| ephemeral_range(&text));
    let range = range.unwrap_or(EPHEMERAL);
    let (low, high) = (range.start(), range.end());
    let reserved = word("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
    let kept = ranges(&reserved);
    let free = |port: &u16| range.contains(port) && !kept.iter().any(|kept| kept.contains(port));
    let ports = examined.config.passive.ports;
    let passive = (ports.first..=ports.last).any(|port| free(&port));
    let mut wanted: Vec<String> = passive.then(|| format!("{}-{}", ports.first, ports.last)).into_iter().collect();
    wanted.extend(examined.listeners().map(|(address, _)| address.port()).filter(free).map(|port| port.to_string()));
    wanted.dedup();
    if wanted.is_empty() {
        report.ok(check, format!("the kernel gives none of our ports to outgoing connections ({low}-{high})"));
        return;
    }
    let found =
        format!("outgoing connections may take our ports {} (the kernel gives out {low}-{high})", wanted.join(", "));
    let all: Vec<String> = Some(reserved).filter(|text| !text.is_empty()).into_iter().chain(wanted).collect();
    let help =
        format!("keep them: sysctl -w net.ipv4.ip_local_reserved_ports={}; for good, in /etc/sysctl.d/", all.join(","));
    report.add(check, Severity::Note, found, help);
}

fn ephemeral_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(numbers.next()?.ok()?..=numbers.next()?.ok()?)
}

/// Reads `8080,50000-50099`.
fn ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let one = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_the_kernel_are_read() {
        assert_eq!(ephemeral_range("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(ranges("8080,50000-50099"), [8080..=8080, 50000..=50099]);
        assert!(ranges("").is_empty());
    }
}
