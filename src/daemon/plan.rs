//! What the server touches from its first connection on, computed from the policy at the start: the
//! sandbox permits that and nothing else, whatever a later reload asks for.

use std::path::PathBuf;

use super::certificates;
use super::has_names;
use super::listeners::named;
use super::sandbox::Plan;
use crate::settings::Config;

/// Exactly what the server touches from here on.
pub(super) fn plan(config: &Config) -> Plan {
    let mut create_write = vec![config.audit.directory.clone()];
    create_write.extend(config.log.directory.clone());
    let changes = config.password_changes.iter().map(|changes| changes.directory.clone());
    let sockets = config.control.iter().map(|control| &control.socket).chain(&config.metrics.socket);
    let sockets = sockets.filter_map(|socket| Some(socket.parent()?.to_owned()));
    let passive = config.passive.ports.first..=config.passive.ports.last;
    let listened = named(&config.listen).into_iter().map(|(address, _)| address.port()..=address.port());
    let later = config.listen.reload_ports.iter().map(|ports| ports.first..=ports.last);
    Plan {
        run_as: config.process.run_as.clone(),
        read_only: readable(config),
        read_write: stores(config).chain(config.storage.base_directories.iter().cloned()).chain(changes).collect(),
        create_write,
        remove: sockets.collect(),
        bind_ports: std::iter::once(passive).chain(listened).chain(later).collect(),
        connect: config.active,
        connect_ports: Vec::new(),
        local_sockets: Vec::new(),
        look_up: has_names(config),
        require: config.process.require_sandbox,
    }
}

/// Homes and folders.
pub(super) fn stores(config: &Config) -> impl Iterator<Item = PathBuf> {
    let homes = config.policy.users.values().map(|account| account.home.clone());
    let folders = config.policy.folders.values().map(|folder| folder.directory.clone());
    homes.chain(folders)
}

/// What is read again: the policy when that is asked for, and certificates with their keys when they
/// change.
fn readable(config: &Config) -> Vec<PathBuf> {
    let mut places = certificates::readable(&config.tls);
    places.push(config.directory.clone());
    places
}
