//! `portcullis init`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use ipnet::IpNet;

use super::cert::make::host_name;
use super::deployment::{Announced, Deployment, Settings};
use super::{Failure, program, say};
use crate::config::networks::{self, NetworkError};
use crate::config::shell::word;
use crate::config::{PortRange, RunAs, disk, passive, system_accounts};

/// Write certificates and commented policy files for a deployment.
///
/// Writes DIR/certs/{ca.pem,server.pem,server.key}, DIR/policy/{server,users}.toml, DIR/audit,
/// DIR/run and DIR/state (but see --system), and never overwrites: where one of the files is there, nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis init ./site
  portcullis init /etc/portcullis --hostname files.example.org \\
      --allow-from 192.0.2.0/24 --user portcullis
  portcullis init ./site --listen 127.0.0.1:2121 --passive-ports 50000-50009
  portcullis init ./site --advertise 10.0.0.0/8=10.0.0.5 --advertise 203.0.113.7")]
pub(super) struct Arguments {
    /// Where to write; made if it is not there.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Listen here for explicit FTPS. Default: port 21 on every address as root, else port 2121.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<SocketAddr>,
    /// Listen here for implicit FTPS, usually port 990.
    #[arg(long, value_name = "ADDR:PORT")]
    implicit: Vec<SocketAddr>,
    /// Ports for data connections.
    #[arg(long, value_name = "A-B", value_parser = port_range, default_value = "50000-50099")]
    passive_ports: PortRange,
    /// A name or address by which clients know the server. Default: localhost.
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    hostname: Vec<String>,
    /// Behind NAT: the IPv4 address that clients (of a network) are told.
    #[arg(long, value_name = "[CIDR=]IP", value_parser = announced)]
    advertise: Vec<Announced>,
    /// A network that may connect. Default: only this machine.
    #[arg(long, value_name = "CIDR", value_parser = network)]
    allow_from: Vec<IpNet>,

    /// The account that the server changes to when root starts it. Default: portcullis, where root
    /// runs this and there is such an account.
    #[arg(long, value_name = "NAME", value_parser = account)]
    user: Option<RunAs>,
    /// Write the audit log to /var/log/portcullis, passwords that users change to /var/lib/portcullis,
    /// and have the control socket in /run/portcullis, as the unit for systemd expects it.
    #[arg(long)]
    system: bool,
}

/// Writes the files and says what comes next.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = settings(arguments);
    let deployment = Deployment::at(&arguments.directory);
    deployment.create(&settings)?;
    say(next_steps(arguments, &settings, &deployment))
}

fn settings(arguments: &Arguments) -> Settings {
    let explicit = if arguments.listen.is_empty() && arguments.implicit.is_empty() {
        everywhere(if rustix::process::geteuid().is_root() { 21 } else { 2121 })
    } else {
        arguments.listen.clone()
    };
    let localhost = || vec!["localhost".to_owned()];
    let mut advertise = arguments.advertise.clone();
    // The first match counts, so an address for everybody has to come last.
    advertise.sort_by_key(|announced| announced.clients.is_none());
    Settings {
        explicit,
        implicit: arguments.implicit.clone(),
        passive: arguments.passive_ports,
        names: if arguments.hostname.is_empty() { localhost() } else { arguments.hostname.clone() },
        advertise,
        allow: if arguments.allow_from.is_empty() { loopback() } else { arguments.allow_from.clone() },
        run_as: arguments.user.clone().or_else(|| usual_account(rustix::process::geteuid().is_root())),
        system: arguments.system,
    }
}

/// The account of this name, where root asks and there is one.
fn usual_account(root: bool) -> Option<RunAs> {
    if root { system_accounts::find("portcullis").filter(|account| account.uid != 0) } else { None }
}

fn account(text: &str) -> Result<RunAs, String> {
    match system_accounts::find(text) {
        Some(account) if account.uid == 0 => Err("the server gives root up: name an unprivileged account".to_owned()),
        Some(account) => Ok(account),
        None => Err(format!(
            "no such account; make one: useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin {}",
            word(text)
        )),
    }
}

/// Every address of this machine; IPv6 only where the system has it.
fn everywhere(port: u16) -> Vec<SocketAddr> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let v6 = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port));
    if TcpListener::bind("[::1]:0").is_ok() { vec![v4, v6] } else { vec![v4] }
}

/// The networks of this machine alone.
pub(super) fn loopback() -> Vec<IpNet> {
    let v4 = IpNet::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8).into_iter();
    v4.chain([IpNet::from(std::net::IpAddr::from(std::net::Ipv6Addr::LOCALHOST))]).collect()
}

fn next_steps(arguments: &Arguments, settings: &Settings, deployment: &Deployment) -> String {
    let directory = &arguments.directory;
    let shown = |path: PathBuf| word(&path.display().to_string());
    let policy = shown(deployment.policy());
    let list = |items: Vec<String>| items.join(", ");
    let sockets = list(settings.explicit.iter().map(ToString::to_string).collect());
    let implicit = list(settings.implicit.iter().map(|socket| format!("{socket} (implicit)")).collect());
    let sockets = [sockets, implicit].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    let allowed = list(settings.allow.iter().map(ToString::to_string).collect());
    let networks = if arguments.allow_from.is_empty() {
        format!("only this machine ({allowed}); add networks to `allow` in {policy}/server.toml")
    } else {
        allowed
    };
    let name = settings.names.first().map_or("localhost", String::as_str);
    let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let (scheme, port) = match (settings.explicit.first(), settings.implicit.first()) {
        (Some(socket), _) => ("ftp", socket.port()),
        (None, Some(socket)) => ("ftps", socket.port()),
        (None, None) => ("ftp", 21),
    };
    let runs_as = match &settings.run_as {
        Some(account) => format!("{}, once root has started it", account.name),
        None => "whoever starts it; for root, name an account in [process] user".to_owned(),
    };
    let root = std::path::absolute(directory).unwrap_or_else(|_| directory.clone());
    let home = if disk::is_of_the_system(&root) { PathBuf::from("/srv/files/alice") } else { root.join("files/alice") };
    format!(
        "Wrote certs/, policy/, audit/, run/ and state/ in {directory}.\n\
         \n\
         listens on     {sockets}\n\
         data ports     {first}-{last}\n\
         certificate    for {names}, signed by a local CA whose key is gone\n\
         lets in        {networks}\n\
         runs as        {runs_as}\n\
         \n\
         Next, add a user and serve:\n  \
         {program} --policy {policy} user add alice --home {home}\n  \
         {program} --policy {policy} serve\n\
         \n\
         Then list the user's files from a client that has ca.pem:\n  \
         curl --ssl-reqd --cacert {ca} -u alice {scheme}://{host}:{port}/",
        directory = directory.display(),
        first = settings.passive.first,
        last = settings.passive.last,
        names = settings.names.join(", "),
        home = shown(home),
        program = program(),
        ca = shown(deployment.ca()),
    )
}

fn port_range(text: &str) -> Result<PortRange, String> {
    passive::port_range(text).map_err(|(message, help)| format!("{message}; {help}"))
}

/// Reads a network as policy files take it.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    networks::parse(text).map_err(|NetworkError { message, help }| format!("{message}; {help}"))
}

fn announced(text: &str) -> Result<Announced, String> {
    let (clients, address) = match text.split_once('=') {
        Some((clients, address)) => (Some(network(clients)?), address),
        None => (None, text),
    };
    let address = address.parse().map_err(|_| format!("`{address}` is no IPv4 address"))?;
    Ok(Announced { clients, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_arguments_only_this_machine_gets_in() {
        let arguments = Arguments {
            directory: "d".into(),
            listen: vec![],
            implicit: vec![],
            passive_ports: PortRange { first: 50000, last: 50099 },
            hostname: vec![],
            advertise: vec![],
            allow_from: vec![],
            user: None,
            system: false,
        };
        let settings = settings(&arguments);
        assert_eq!(settings.allow.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.0/8", "::1/128"]);
        assert_eq!(settings.names, ["localhost"]);
        let text = next_steps(&arguments, &settings, &Deployment::at(&arguments.directory));
        assert!(text.contains("only this machine") && text.contains("--cacert d/certs/ca.pem"), "{text}");
    }

    #[test]
    fn the_account_has_to_exist_and_is_not_root() {
        assert_eq!(account("daemon").unwrap().name, "daemon");
        assert!(account("root").unwrap_err().contains("gives root up"));
        assert!(account("no-such-account").unwrap_err().contains("useradd"));
        assert_eq!(usual_account(false), None);
    }

    #[test]
    fn announced_addresses_may_have_a_network() {
        assert_eq!(announced("203.0.113.7").unwrap().clients, None);
        assert_eq!(announced("10.0.0.0/8=10.0.0.5").unwrap().address, Ipv4Addr::new(10, 0, 0, 5));
        assert!(announced("10.0.0.1/8=10.0.0.5").is_err() && announced("::1").is_err());
    }
}
