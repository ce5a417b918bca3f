//! What the sandbox of the keeper permits: the directory of the log, what proves syslog servers and
//! this server to each other, and where those listen. Nothing of the users.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::daemon::sandbox::Plan;
use crate::keeper::protocol::Begin;
use crate::settings::keeping::{SyslogServer, Target};

/// Exactly what the keeper touches from here on.
pub(super) fn plan(begin: &Begin) -> Plan {
    let servers = || {
        begin.copies.iter().filter_map(|copy| if let Target::Tls(server) = &copy.target { Some(server) } else { None })
    };
    let files = |server: &SyslogServer| {
        let identity = server.identity.iter().flat_map(|(certificate, key)| [certificate.clone(), key.clone()]);
        std::iter::once(server.authorities.clone()).chain(identity).collect::<Vec<PathBuf>>()
    };
    let sockets = begin.copies.iter().filter_map(|copy| match &copy.target {
        Target::Journal { socket } | Target::Local { socket } => Some(socket.clone()),
        Target::Stdout {} | Target::Tls(_) => None,
    });
    Plan {
        run_as: begin.account.clone().map(Into::into),
        read_only: servers().flat_map(files).collect(),
        read_write: vec![begin.directory.clone()],
        create_write: Vec::new(),
        remove: Vec::new(),
        bind_ports: Vec::new(),
        connect: false,
        connect_ports: servers().map(|server| server.port).collect(),
        local_sockets: sockets.collect(),
        look_up: servers().any(|server| server.host.parse::<IpAddr>().is_err()),
        require: begin.require,
    }
}
