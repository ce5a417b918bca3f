//! `[audit]`: where the log is written, when it is signed and closed, and the key that signs it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::{self, Fault, Kind, Links};
use super::findings::{Findings, Place};
use super::problem::{Severity, Subject};
use super::section::Section;
use super::{Audit, AuditSync, Checkpoints, Rotation, RunAs, disk, keys, server};
use crate::audit::keys::{Keys, OWN_KEY_NAME, Succession, succession_path};
use crate::audit::signing::SigningKey;

/// `[audit]`: the directory has to be stated, because without a log there is no service.
pub(super) fn audit(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Option<Audit> {
    let sync = [("group", AuditSync::Group), ("each", AuditSync::Each)];
    let sync = section.word("sync", &sync, AuditSync::Group, findings);
    section.word("on-failure", &[("refuse", ())], (), findings);
    let checkpoints = Checkpoints {
        records: section.number(&keys::CHECKPOINT_RECORDS, findings),
        time: Duration::from_secs(section.number(&keys::CHECKPOINT_SECONDS, findings)),
    };
    let some = |number: u64| (number > 0).then_some(number);
    let hours = some(section.number(&keys::ROTATE_HOURS, findings));
    let rotation = Rotation {
        bytes: some(section.number(&keys::ROTATE_BYTES, findings)),
        age: hours.map(|hours| Duration::from_secs(hours.saturating_mul(3600))),
    };
    let signing_key = section.text("signing-key", findings);
    let signing_key = signing_key.map(|text| server::path(text, directory, findings));
    let Some(text) = section.text("directory", findings) else {
        section.missing("directory", "directory = \"../audit\"", findings);
        return None;
    };
    let directory = server::path(text, directory, findings)?;
    let signing_key = match signing_key {
        Some(path) => Some(path?),
        None => None,
    };
    Some(Audit { directory, sync, signing_key, checkpoints, rotation })
}

/// Judges the key that signs the log, where one is named.
pub(super) fn judge_key(audit: &Audit, place: Place, run_as: Option<&RunAs>, findings: &mut Findings) {
    let Some(path) = &audit.signing_key else { return };
    findings.about(Subject::AuditKey);
    match read_keys(path, run_as) {
        Ok(_) => {}
        Err(KeyProblem::Unreadable(error)) if error.kind() == ErrorKind::PermissionDenied && run_as.is_some() => {
            let message = format!("{} cannot be read here, so it is not known whether it is a key", path.display());
            findings.warning(place, message, "check as root, who starts the server");
        }
        Err(KeyProblem::Unreadable(error)) => {
            let message = format!("{} cannot be read: {error}", path.display());
            let help = "`portcullis audit key new` makes one there; paths are relative to the policy directory";
            findings.error(place, message, help);
        }
        Err(KeyProblem::NoKey(why)) => {
            let help = "give a PEM file as `portcullis audit key new` or `openssl genpkey -algorithm ed25519` makes it";
            findings.error(place, format!("{}: {why}", path.display()), help);
        }
        Err(KeyProblem::Exposed(Fault { severity, message, help })) => match severity {
            Severity::Error => findings.error(place, message, help),
            Severity::Warning => findings.warning(place, message, help),
        },
    }
    let beside = path.parent().map(disk::resolved);
    if beside.is_some_and(|beside| beside.starts_with(disk::resolved(&audit.directory))) {
        let message = "the key that signs the audit log lies beside it: who can write the one can sign with the other";
        findings.warning(place, message, "keep it elsewhere, such as \"../certs/audit.key\", mode 0400");
    }
}

/// Why a key cannot be used.
#[derive(Debug)]
pub(crate) enum KeyProblem {
    /// It cannot be read.
    Unreadable(std::io::Error),
    /// It is no key; why.
    NoKey(String),
    /// Somebody else can read or change it.
    Exposed(Fault),
}

impl KeyProblem {
    /// What is wrong, and what to do about it.
    pub(crate) fn text(&self, path: &Path) -> String {
        match self {
            Self::Unreadable(error) => format!(
                "{} cannot be read: {error}; `portcullis audit key new` makes a key ([audit] signing-key)",
                path.display()
            ),
            Self::NoKey(why) => format!("{}: {why}; a PEM file with an Ed25519 key is expected", path.display()),
            Self::Exposed(fault) => format!("{}; {}", fault.message, fault.help),
        }
    }
}

/// The path of the key that signs the log.
pub(crate) fn key_path(audit: &Audit) -> PathBuf {
    audit.signing_key.clone().unwrap_or_else(|| audit.directory.join(OWN_KEY_NAME))
}

/// Reads the key that signs the log, and the successions that led to it.
pub(crate) fn read_keys(path: &Path, run_as: Option<&RunAs>) -> Result<Keys, KeyProblem> {
    let content = files::read(path, files::PEM_BYTES_MAX, Links::Follow).map_err(KeyProblem::Unreadable)?;
    if let Some(fault) = files::faults(path, &content.metadata, Kind::Key, run_as).into_iter().next() {
        return Err(KeyProblem::Exposed(fault));
    }
    let key = SigningKey::from_pem(&content.bytes).map_err(|error| KeyProblem::NoKey(error.to_string()))?;
    let successions = match files::read(&succession_path(path), files::PEM_BYTES_MAX, Links::Follow) {
        Ok(content) => Succession::read_lines(&String::from_utf8_lossy(&content.bytes)),
        Err(_) => Vec::new(),
    };
    Ok(Keys { key, successions })
}
