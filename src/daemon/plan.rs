//! What the server touches from its first connection on, computed from the policy at the start: the
//! sandbox permits that and nothing else, whatever a later reload asks for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::has_names;
use super::listeners::named;
use super::sandbox::Plan;
use crate::settings::Config;

/// Links followed from a certificate's path to its file.
const LINKS_MAX: usize = 8;

/// Exactly what the server touches from here on.
pub(super) fn plan(config: &Config) -> Plan {
    let mut create_write = vec![config.audit.directory.clone()];
    create_write.extend(config.log.directory.clone());
    let changes = config.password_changes.iter().map(|changes| changes.directory.clone());
    let control = config.control.iter().filter_map(|control| Some(control.socket.parent()?.to_owned()));
    let passive = config.passive.ports.first..=config.passive.ports.last;
    let listened = named(&config.listen).into_iter().map(|(address, _)| address.port()..=address.port());
    let later = config.listen.reload_ports.iter().map(|ports| ports.first..=ports.last);
    Plan {
        run_as: config.process.run_as.clone(),
        read_only: readable(config).into_iter().collect(),
        read_write: stores(config).chain(config.storage.base_directories.iter().cloned()).chain(changes).collect(),
        create_write,
        remove: control.collect(),
        bind_ports: std::iter::once(passive).chain(listened).chain(later).collect(),
        connect: config.active,
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

/// What is read again when that is asked for: the policy, and certificates with their keys.
fn readable(config: &Config) -> BTreeSet<PathBuf> {
    let files = config.tls.identities.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
    let mut places: BTreeSet<PathBuf> = files.flat_map(|file| places_of(file)).collect();
    places.insert(config.directory.clone());
    places
}

/// The directories in which a file is replaced: its own, and those to which links lead, since tools
/// that renew certificates put the new one beside the old one and change the link.
fn places_of(file: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let mut file = file.to_owned();
    for _ in 0..LINKS_MAX {
        let Some(parent) = file.parent().map(Path::to_owned) else { break };
        // A whole tree of the system is not laid open for one file.
        let shallow = parent.components().count() < 3;
        places.push(if shallow { file.clone() } else { parent.clone() });
        let Ok(target) = std::fs::read_link(&file) else { break };
        file = parent.join(target);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_on_the_way_of_a_link_are_all_named() {
        let base = tempfile::tempdir().unwrap();
        let at = |name: &str| base.path().join(name);
        for directory in ["live", "archive"] {
            std::fs::create_dir(at(directory)).unwrap();
        }
        std::fs::write(at("archive/cert1.pem"), "").unwrap();
        std::os::unix::fs::symlink("../archive/cert1.pem", at("live/cert.pem")).unwrap();
        assert_eq!(places_of(&at("live/cert.pem")), [at("live"), at("live/../archive")]);
        assert_eq!(places_of(Path::new("/etc/server.key")), [Path::new("/etc/server.key")]);
    }
}
