//! What the files name on disk: homes, and the directories that no home may hold.

use std::path::{Path, PathBuf};

use super::findings::{Findings, Place};
use super::load::Sections;
use super::tree::{Table, Value};
use crate::identity::Username;

/// Judges homes and directories.
pub(super) fn judge(
    directory: &Path,
    read: &Sections,
    (server, server_file): (&Table, Place),
    users: &Table,
    findings: &mut Findings,
) {
    let audit = read.audit.as_ref().map(|audit| audit.directory.as_path());
    if let Some(audit) = audit {
        let place = server.place_at(&["audit", "directory"]).unwrap_or(server_file);
        existing_directory(audit, "the audit directory", place, findings);
    }
    if let Some(log) = &read.log.directory {
        let place = server.place_at(&["log", "directory"]).unwrap_or(server_file);
        existing_directory(log, "the log directory", place, findings);
    }
    let guarded: Vec<(&str, PathBuf)> = [
        ("the policy files", Some(directory)),
        ("the audit log", audit),
        ("the operational log", read.log.directory.as_deref()),
        ("the private key", read.tls.as_ref().map(|tls| tls.key.as_path())),
    ]
    .into_iter()
    .filter_map(|(what, path)| Some((what, resolved(path?))))
    .collect();
    let Some(Value::Table(table)) = users.get("user").map(|entry| &entry.node.value) else { return };
    for entry in &table.entries {
        let account = Username::parse(&entry.key).ok().and_then(|name| read.policy.users.get(&name));
        let Some(account) = account else { continue };
        let place = match &entry.node.value {
            Value::Table(user) => user.place_at(&["home"]).unwrap_or(entry.place),
            _ => entry.place,
        };
        let home = resolved(&account.home);
        existing_directory(&account.home, "the home", place, findings);
        for (what, path) in &guarded {
            if path.starts_with(&home) || home.starts_with(path) {
                let message = format!("the home of {} reaches {what} ({})", account.name, path.display());
                findings.error(place, message, "give the user a directory of its own, apart from the server's");
            }
        }
    }
}

/// The path without symbolic links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

fn existing_directory(path: &Path, what: &str, place: Place, findings: &mut Findings) {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => findings.error(place, format!("{what} {} is no directory", path.display()), "name a directory"),
        Err(error) => {
            let help = format!("make it: mkdir -p -m 0750 {}", super::shell::word(&path.display().to_string()));
            findings.warning(place, format!("{what} {} cannot be reached: {error}", path.display()), help);
        }
    }
}
