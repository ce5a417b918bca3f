//! What the sandbox of the running server permits, for whoever wants something of it that the start
//! did not ask for.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::sandbox::{Plan, Report};
use crate::config::disk::resolved;

/// The sandbox that is in force.
#[derive(Debug)]
pub(super) struct Confinement {
    report: Report,
    ports: Vec<std::ops::RangeInclusive<u16>>,
    read_write: Vec<PathBuf>,
}

impl Confinement {
    /// What was asked for and what came of it. To be called where the paths still lead where they led
    /// when the sandbox was entered.
    pub(super) fn new(plan: &Plan, report: Report) -> Self {
        let absent = report.landlock.as_ref().map(|landlock| landlock.absent.clone()).unwrap_or_default();
        let there = plan.read_write.iter().filter(|path| !absent.contains(path));
        Self { ports: plan.bind_ports.clone(), read_write: there.map(|path| resolved(path)).collect(), report }
    }

    /// What is in force, a line a layer.
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// Whether files below a directory can be read and written.
    pub(super) fn reaches(&self, directory: &Path) -> bool {
        let directory = resolved(directory);
        self.report.landlock.is_none() || self.read_write.iter().any(|path| directory.starts_with(path))
    }

    /// Whether a port can be listened on, as far as the sandbox goes.
    pub(super) fn permits_port(&self, port: u16) -> bool {
        let confined = self.report.landlock.as_ref().is_some_and(|landlock| landlock.ports);
        !confined || self.ports.iter().any(|ports| ports.contains(&port))
    }

    /// Why an address cannot be listened on.
    pub(super) fn forbids(&self, address: SocketAddr) -> Option<String> {
        (!self.permits_port(address.port())).then(|| {
            format!(
                "cannot listen on {address}: the sandbox permits the ports of the start alone; restart the server, and \
                 name ports for later in listen.reload-ports"
            )
        })
    }

    /// Whether connections to clients can be made (active mode).
    pub(super) fn permits_connecting(&self) -> bool {
        self.report.landlock.as_ref().is_none_or(|landlock| !landlock.connect_forbidden)
    }

    /// Whether name servers can be asked.
    pub(super) fn permits_lookups(&self) -> bool {
        self.report.udp || !self.report.seccomp
    }
}
