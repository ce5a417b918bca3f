//! Certificates whose files become others while the server runs, and certificates that end.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::server::Shared;
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::config::Severity;
use crate::config::files::{self, Kind};
use crate::settings::{self, RunAs};
use crate::tls::{Change, Deadline, Part, Secrecy};

/// How often the files are looked at. A change counts once it has come to rest for one more look.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// How often it is told what ends soon.
const EXPIRY_PERIOD: Duration = Duration::from_hours(24);
/// How long before its end the operator is told.
const EXPIRY_WARNING: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Most links that are followed to a file.
const LINKS_MAX: usize = 16;
/// Parts of a path below which too much lies for all of it to be read: `/` and `/etc`.
const WIDE_PARTS: usize = 2;
/// Directories with more parts of which the same is true.
const WIDE: [&str; 7] = ["/usr/local", "/usr/share", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool"];

/// Puts into use what others write into the files, and tells what ends, until the server ends.
pub(super) async fn keep_current(shared: Arc<Shared>) {
    let mut every = interval(LOOK_PERIOD);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<Instant> = None;
    loop {
        every.tick().await;
        let tls = shared.tls();
        let run_as = shared.config().process.run_as.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let guard = |path: &Path, metadata: &Metadata, secrecy| guard(path, metadata, secrecy, run_as.as_ref());
            tls.refresh(&guard, Timestamp::now())
        });
        match looking.await {
            Ok(changes) => {
                for change in changes {
                    tell(&shared, change).await;
                }
            }
            Err(failure) => error!(%failure, "the files of the certificates could not be looked at"),
        }
        if told.is_none_or(|told| told.elapsed() >= EXPIRY_PERIOD) {
            for deadline in shared.tls().deadlines() {
                warn_of(&deadline, Timestamp::now());
            }
            told = Some(Instant::now());
        }
    }
}

/// Refuses files that others could have written, and keys that others can read, as the start does.
fn guard(path: &Path, metadata: &Metadata, secrecy: Secrecy, run_as: Option<&RunAs>) -> Result<(), String> {
    let kind = match secrecy {
        Secrecy::Public => Kind::Public,
        Secrecy::Private => Kind::Key,
    };
    let faults = files::faults(path, metadata, kind, run_as);
    match faults.into_iter().find(|fault| fault.severity == Severity::Error) {
        Some(fault) => Err(format!("{}; {}", fault.message, fault.help)),
        None => Ok(()),
    }
}

/// Says in both logs what came of a change.
async fn tell(shared: &Shared, change: Change) {
    let Change { part, name, file, result } = change;
    let what = name.unwrap_or_else(|| part.word().replace('_', " "));
    let mut record = match &result {
        Ok(in_use) => {
            let ends = in_use.ends.map(|ends| ends.to_string());
            info!(of = %what, file = %file.display(), ends, "{} in use from the next handshake on", words(part));
            let mut record = Record::new(Event::CertificateLoaded);
            record.details.extend(in_use.fingerprint.clone().map(|digits| ("sha256", Detail::Text(digits))));
            record.details.extend(ends.map(|ends| ("not_after", Detail::Text(ends))));
            record
        }
        Err(fault) => {
            let stays = if part == Part::Staple { "it is left out" } else { "what was in use before stays in use" };
            warn!(of = %what, %fault, "{} cannot be used; {stays}", words(part));
            let record = Record::new(Event::CertificateRejected).failed(fault.problem.reason());
            record.with("fault", Detail::Text(fault.to_string()))
        }
    };
    record = record.with("part", Detail::Text(part.word().to_owned()));
    record = record.with("of", Detail::Text(what)).with("file", Detail::Text(file.display().to_string()));
    if let Err(fault) = shared.audit.record(record).await {
        warn!(%fault, "a change of certificates is not recorded");
    }
}

fn words(part: Part) -> &'static str {
    match part {
        Part::Identity => "a certificate",
        Part::Staple => "an OCSP response",
        Part::Clients => "the authorities of clients and their lists of revoked certificates are",
        Part::Revocations => "a list of revoked certificates",
    }
}

/// Tells the operator in time that something ends.
fn warn_of(deadline: &Deadline, now: Timestamp) {
    let Deadline { part, subject, ends } = deadline;
    if *part == Part::Revocations {
        if *ends < now {
            warn!(file = %subject, due = %ends, "the next list of revoked certificates is overdue: this one still counts, but nobody revoked since is on it");
        }
        return;
    }
    if !ends_soon(*ends, now) {
        return;
    }
    match part {
        Part::Clients => {
            warn!(file = %subject, %ends, "an authority of clients ends soon, and certificates of it are of no use then: put its successor into the file");
        }
        _ => {
            warn!(name = %subject, %ends, "a certificate ends soon, and no client will accept it then: replace its files, and it is shown from the next handshake on");
        }
    }
}

fn ends_soon(ends: Timestamp, now: Timestamp) -> bool {
    ends.duration_since(now) < EXPIRY_WARNING
}

/// Every file that is looked at again while the server runs.
fn watched(tls: &settings::Tls) -> impl Iterator<Item = &PathBuf> {
    let identities = tls.identities.iter();
    let pairs =
        identities.flat_map(|identity| [&identity.certificate, &identity.key].into_iter().chain(&identity.ocsp));
    let clients = tls.clients.iter();
    pairs.chain(clients.flat_map(|clients| std::iter::once(&clients.authorities).chain(&clients.revocations)))
}

/// What has to be readable inside the sandbox, so that new content of the files can be: the
/// directories that hold them, those that hold the links to them, and those where the links lead.
pub(super) fn readable(tls: &settings::Tls) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for file in watched(tls) {
        around(file, &mut found);
    }
    found.into_iter().collect()
}

fn around(file: &Path, found: &mut BTreeSet<PathBuf>) {
    let mut path = file.to_owned();
    for _ in 0..LINKS_MAX {
        let Some(parent) = path.parent() else { return };
        if let Ok(directory) = parent.canonicalize() {
            // A file in so wide a directory is read as long as it is this one.
            found.insert(if is_wide(&directory) { path.clone() } else { directory });
        }
        for link in parent.ancestors().filter(|ancestor| ancestor.is_symlink()) {
            let holder = link.parent().and_then(|holder| holder.canonicalize().ok());
            found.extend(holder.filter(|holder| !is_wide(holder)));
        }
        let Ok(target) = fs::read_link(&path) else { return };
        path = parent.join(target);
    }
}

fn is_wide(directory: &Path) -> bool {
    directory.components().count() <= WIDE_PARTS || WIDE.iter().any(|wide| directory == Path::new(wide))
}

/// Says of each file that the server cannot read any more, now that it is confined, what that means.
pub(super) fn tell_of_unreadable(tls: &settings::Tls) {
    for file in watched(tls) {
        if let Err(error) = fs::File::open(file)
            && error.kind() == ErrorKind::PermissionDenied
        {
            info!(
                file = %file.display(), %error,
                "what replaces this file is in use only after a restart: the account that serves cannot read it; for a key, give it the account's group (chgrp) and mode 0640",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thirty_days_of_a_certificate_are_soon() {
        let now = Timestamp::now();
        let after = |days: i64| now + SignedDuration::from_hours(days * 24);
        assert!(ends_soon(after(29), now) && ends_soon(after(-1), now));
        assert!(!ends_soon(after(31), now));
    }

    #[test]
    fn whatever_a_link_leads_over_is_readable_and_nothing_above() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        let path = |name: &str| base.join(name);
        for directory in ["live/site", "archive/site", "releases/1"] {
            fs::create_dir_all(path(directory)).unwrap();
        }
        fs::write(path("archive/site/cert1.pem"), "").unwrap();
        std::os::unix::fs::symlink("../../archive/site/cert1.pem", path("live/site/cert.pem")).unwrap();
        let mut found = BTreeSet::new();
        around(&path("live/site/cert.pem"), &mut found);
        assert_eq!(Vec::from_iter(found), [path("archive/site"), path("live/site")]);

        fs::write(path("releases/1/cert.pem"), "").unwrap();
        fs::create_dir(path("certs")).unwrap();
        std::os::unix::fs::symlink("../releases/1", path("certs/current")).unwrap();
        let mut found = BTreeSet::new();
        around(&path("certs/current/cert.pem"), &mut found);
        assert_eq!(Vec::from_iter(found), [path("certs"), path("releases/1")]);
        assert!(is_wide(Path::new("/etc")) && is_wide(Path::new("/var/lib")) && !is_wide(Path::new("/etc/ssl")));
    }
}
