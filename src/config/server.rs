//! `server.toml`, but for numbers, networks, sockets and identities: process, storage, logs.

use std::path::{Path, PathBuf};

use super::findings::{Findings, nearest, shown};
use super::section::{Section, Text};
use super::{DigestKind, Log, Process, RunAs, Storage, keys};
use crate::proto::hash::{Algorithm, Offered};

/// `[process]`, with the account looked up by `find`.
pub(super) fn process(section: &Section<'_>, find: &dyn Fn(&str) -> Option<RunAs>, findings: &mut Findings) -> Process {
    let run_as = section.text("user", findings).and_then(|text| {
        let found = find(text.text);
        match &found {
            None => {
                let message = format!("no account `{}` on this machine", shown(text.text));
                let help = "add one: useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin portcullis";
                findings.error(text.place, message, help);
            }
            Some(account) if account.uid == 0 => {
                let help = "name an unprivileged account, made for this server";
                findings.error(text.place, "this account is root, which the server gives up", help);
            }
            Some(_) => {}
        }
        found
    });
    Process { run_as, require_sandbox: section.boolean("require-sandbox", false, findings) }
}

/// A path, relative to the policy directory unless absolute.
pub(super) fn path(text: Text<'_>, directory: &Path, findings: &mut Findings) -> Option<PathBuf> {
    if text.text.is_empty() || text.text.contains('\0') {
        findings.error(text.place, "this is no path", "write a path, absolute or relative to the policy directory");
        return None;
    }
    Some(directory.join(text.text))
}

/// `[storage]`.
pub(super) fn storage(section: &Section<'_>, findings: &mut Findings) -> Storage {
    let mut base_directories = Vec::new();
    for text in section.texts("base-directories", findings).unwrap_or_default() {
        match absolute(text.text) {
            Ok(path) => base_directories.push(path),
            Err(message) => findings.error(text.place, message, "write the whole path, from / on"),
        }
    }
    let digests = [("blake3", DigestKind::Blake3), ("sha256", DigestKind::Sha256), ("off", DigestKind::Off)];
    let mut hours = |number| std::time::Duration::from_secs(section.number(number, findings).saturating_mul(3600));
    let (partial_uploads, quota_scan) = (hours(&keys::PARTIAL_UPLOADS_HOURS), hours(&keys::QUOTA_SCAN_HOURS));
    Storage {
        base_directories,
        free_space_floor_bytes: section.number(&keys::FREE_SPACE_FLOOR_BYTES, findings),
        free_inodes_floor: section.number(&keys::FREE_INODES_FLOOR, findings),
        free_space_warn_percent: section.number(&keys::FREE_SPACE_WARN_PERCENT, findings),
        quota_warn_percent: section.number(&keys::QUOTA_WARN_PERCENT, findings),
        quota_scan,
        digest: section.word("digest", &digests, DigestKind::Blake3, findings),
        partial_uploads,
        hashes: hashes(section, findings),
    }
}

/// The hash functions that clients may ask for: the sound ones, and of the weak ones those that are
/// listed.
fn hashes(section: &Section<'_>, findings: &mut Findings) -> Offered {
    let mut offered = Offered::default();
    for text in section.texts("weak-hashes", findings).unwrap_or_default() {
        if let Some(weak) = Algorithm::WEAK.into_iter().find(|weak| weak.name() == text.text) {
            offered = offered.with(weak);
            continue;
        }
        let message = format!("`weak-hashes` cannot list \"{}\"", shown(text.text));
        let help = match Algorithm::parse(text.text.as_bytes()) {
            Some(sound) if !Algorithm::WEAK.contains(&sound) => format!("{sound} is always offered; leave it out"),
            _ => did_you_mean(text.text, Algorithm::WEAK.map(Algorithm::name), "it lists \"SHA-1\", \"MD5\" or both"),
        };
        findings.error(text.place, message, help);
    }
    offered
}

/// A path from `/` on, without `.` or `..`: what is judged must be what is opened.
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(format!("`{}` does not begin at /", shown(text)));
    }
    if text.split('/').any(|name| name == "." || name == "..") || text.contains('\0') {
        return Err(format!("`{}` has . or .. in it", shown(text)));
    }
    Ok(path.components().collect())
}

/// `[log]`.
pub(super) fn log(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Log {
    use tracing::Level;
    let levels = [
        ("info", Level::INFO),
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let level = section.word("level", &levels, Level::INFO, findings);
    let text = section.text("directory", findings);
    Log { directory: text.and_then(|text| path(text, directory, findings)), level }
}

/// The nearest of some names, as a remedy.
pub(super) fn did_you_mean<'a>(written: &str, names: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    nearest(written, names).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}
