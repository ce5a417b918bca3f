//! What a running server cannot change, because it gave up the means when it started. Each comes with
//! its reason, so that the administrator knows to restart.

use std::path::Path;
use std::sync::Arc;

use super::confinement::Confinement;
use super::has_names;
use super::plan::stores;
use crate::config::{Problem, SERVER_FILE, Severity, Subject, USERS_FILE};
use crate::settings::Config;

/// What to do about all of them.
const RESTART: &str = "restart the server for it, or take the change back";

/// Every difference that would need a restart.
pub(super) fn refusals(before: &Config, after: &Config, confinement: &Confinement) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut refuse = |file: &str, message: String| found.push(problem(&after.directory, file, message, RESTART));
    let mut fixed = |same: bool, what: &str, why: &str| {
        if !same {
            refuse(SERVER_FILE, format!("{what} cannot change while the server runs: {why}"));
        }
    };
    let (user, confined) = ("[process] user", "[process] require-sandbox");
    fixed(before.process.run_as == after.process.run_as, user, "it has the account of its start for good");
    let required = before.process.require_sandbox == after.process.require_sandbox;
    fixed(required, confined, "it was confined when it started");
    fixed(before.audit.directory == after.audit.directory, "[audit] directory", "the log is open there");
    let key = "[audit] signing-key";
    fixed(before.audit.signing_key == after.audit.signing_key, key, "the key was read when it started");
    let same_copies = before.keeping.copies == after.keeping.copies;
    let why = "the keeper was confined to where it copies to";
    fixed(same_copies, "where the audit log is copied to ([audit] stdout, journald, syslog)", why);
    fixed(before.log.directory == after.log.directory, "[log] directory", "the log is open there");
    fixed(before.control == after.control, "[control] socket", "it is bound, and no other can be");
    let figures = |config: &Config| (config.metrics.listen, config.metrics.socket.clone());
    fixed(figures(before) == figures(after), "[metrics] listen and socket", "they are bound, and no others can be");
    let changes = |config: &Config| config.password_changes.as_ref().map(|changes| changes.directory.clone());
    fixed(changes(before) == changes(after), "[passwords] changes", "the directory is in use");
    fixed(
        !after.active || confinement.permits_connecting(),
        "[active] enabled",
        "the sandbox of its start permits no connections to clients",
    );
    fixed(
        !has_names(after) || confinement.permits_lookups(),
        "the `name` of [passive] advertise",
        "the sandbox of its start permits no name servers to be asked, as no name was there",
    );
    let ports = after.passive.ports;
    if let Some(port) = (ports.first..=ports.last).find(|port| !confinement.permits_port(*port)) {
        refuse(SERVER_FILE, format!("passive port {port} is none that the sandbox of the start permits"));
    }
    for directory in after.storage.base_directories.iter().filter(|directory| !confinement.reaches(directory)) {
        let message = format!("{} is out of reach of the sandbox of the start", directory.display());
        refuse(SERVER_FILE, message);
    }
    for directory in stores(after).filter(|directory| !confinement.reaches(directory)) {
        let message = format!(
            "{} is out of reach of the sandbox of the start; homes and folders below [storage] base-directories are not",
            directory.display()
        );
        refuse(USERS_FILE, message);
    }
    found
}

/// A problem of a file as a whole.
pub(super) fn problem(directory: &Path, file: &str, message: String, help: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        subject: Subject::Text,
        file: Arc::from(directory.join(file).display().to_string()),
        position: None,
        message,
        help: Some(help.to_owned()),
    }
}
