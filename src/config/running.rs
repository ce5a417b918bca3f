//! What concerns the running server: how it takes changes of the files, where commands reach it, and
//! whether it could read the files again.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::account::{Named, Serving};
use super::findings::{Findings, Place, shown};
use super::identities::Identities;
use super::load::{self, Loaded, Reach, SERVER_FILE, USERS_FILE};
use super::overrides::Override;
use super::problem::{Problems, Subject};
use super::section::Section;
use super::shell::word;
use super::{Audit, Config, Control, Listen, Metrics, PortRange, Reload, RunAs, server, tree};

/// Longest path of a Unix socket, in bytes (unix(7)).
const SOCKET_BYTES_MAX: usize = 107;

/// `[reload]`.
pub(super) fn reload(section: &Section<'_>, findings: &mut Findings) -> Reload {
    Reload { on_change: section.boolean("on-change", false, findings) }
}

/// `[control]`.
pub(super) fn control(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Option<Control> {
    socket(section, "control", directory, findings).map(|socket| Control { socket })
}

/// The path of a Unix socket; `what` it is for is the usual name of its file, too.
fn socket(section: &Section<'_>, what: &str, directory: &Path, findings: &mut Findings) -> Option<PathBuf> {
    let text = section.text("socket", findings)?;
    let path = server::path(text, directory, findings)?;
    let Some(name) = path.file_name() else {
        let help = format!("for example: socket = \"../run/{what}.sock\"");
        findings.error(text.place, "this is no path of a socket", help);
        return None;
    };
    // Relative ones climb out of the policy directory: shorter without that.
    let parent = path.parent().map(super::disk::resolved).unwrap_or_default();
    let socket = parent.join(name);
    if OsStr::as_bytes(socket.as_os_str()).len() > SOCKET_BYTES_MAX {
        let message = format!("the path of the {what} socket is longer than {SOCKET_BYTES_MAX} bytes");
        findings.error(text.place, message, format!("name a shorter one, such as \"/run/portcullis/{what}.sock\""));
        return None;
    }
    Some(socket)
}

/// `[metrics]`: for this machine alone, as nobody is asked who they are.
pub(super) fn metrics(
    section: &Section<'_>,
    directory: &Path,
    (listen, passive, control): (Option<&Listen>, Option<PortRange>, Option<&Control>),
    findings: &mut Findings,
) -> Metrics {
    let address = section.text("listen", findings).and_then(|text| {
        let Ok(address) = text.text.parse::<SocketAddr>() else {
            let message = format!("`{}` is no address with a port", shown(text.text));
            findings.error(text.place, message, "write it as \"127.0.0.1:9721\" or \"[::1]:9721\"");
            return None;
        };
        let own = listen.into_iter().flat_map(|listen| listen.explicit.iter().chain(&listen.implicit));
        if !address.ip().is_loopback() {
            let message = format!("{address} can be reached from other machines, and metrics are told to whoever asks");
            let help = "listen on \"127.0.0.1:9721\" or \"[::1]:9721\", and let a proxy or agent on this machine that \
                        knows its callers pass them on";
            findings.error(text.place, message, help);
            return None;
        }
        let mut own = own.map(SocketAddr::port);
        if address.port() == 0 || own.any(|port| port == address.port()) {
            findings.error(text.place, "this port is not free for metrics", "choose one that [listen] does not name");
            return None;
        }
        if passive.is_some_and(|ports| ports.contains(address.port())) {
            let help = "choose one outside of [passive] ports";
            findings.error(text.place, "this port is one of the passive ports", help);
            return None;
        }
        Some(address)
    });
    let path = socket(section, "metrics", directory, findings);
    if path.is_some() && path.as_deref() == control.map(|control| control.socket.as_path()) {
        let help = "name another path; \"../run/metrics.sock\" is usual";
        findings.error(section.place_of("socket"), "this is the control socket", help);
    }
    Metrics { listen: address, socket: path, users: section.boolean("users", false, findings) }
}

/// The control socket that `server.toml` names, whatever else is wrong with the files.
///
/// # Errors
/// What keeps the file from being understood that far.
pub(crate) fn control_socket(directory: &Path) -> Result<Option<PathBuf>, Problems> {
    let found = alone(directory, "control", control)?;
    Ok(found.map(|control| control.socket))
}

/// The directory of the audit log that `server.toml` names, whatever else is wrong with the files.
///
/// # Errors
/// What keeps the file from being understood that far.
pub(crate) fn audit_directory(directory: &Path) -> Result<PathBuf, Problems> {
    // Without one there is a problem, which is told.
    Ok(audit(directory)?.map(|audit| audit.directory).unwrap_or_default())
}

/// `[audit]` of `server.toml`, whatever else is wrong with the files.
///
/// # Errors
/// What keeps the file from being understood that far.
pub(crate) fn audit(directory: &Path) -> Result<Option<Audit>, Problems> {
    alone(directory, "audit", super::audit::audit)
}

/// The key that signs the audit log, where `server.toml` names one, whatever else is wrong with the files.
///
/// # Errors
/// What keeps the file from being understood that far.
pub(crate) fn audit_signing_key(directory: &Path) -> Result<Option<PathBuf>, Problems> {
    alone(directory, "audit", |section, base, findings| {
        let text = section.text("signing-key", findings)?;
        server::path(text, base, findings)
    })
}

/// The time zone that `server.toml` names, whatever else is wrong with the files; UTC where it names none.
///
/// # Errors
/// What keeps the file from being understood that far.
pub(crate) fn time_zone(directory: &Path) -> Result<TimeZone, Problems> {
    let found = alone(directory, "time", |section, _, findings| Some(super::hours::zone(section, findings)))?;
    Ok(found.unwrap_or(TimeZone::UTC))
}

/// Reads one table of `server.toml`.
pub(super) fn alone<T>(
    directory: &Path,
    table: &str,
    read: impl FnOnce(&Section<'_>, &Path, &mut Findings) -> Option<T>,
) -> Result<Option<T>, Problems> {
    let texts = load::read_texts(directory)?;
    let mut findings = Findings::default();
    let file = findings.source(&directory.join(SERVER_FILE).display().to_string(), &texts.server);
    let root = tree::parse(&texts.server, file, &mut findings).unwrap_or_default();
    let base = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let mut ignored = Findings::default();
    let section = Section::root(&root, file, "server", &mut ignored).open(table, &mut findings);
    let found = read(&section, &base, &mut findings);
    if findings.has_errors() {
        return Err(Problems::new(findings.into_problems()));
    }
    Ok(found)
}

/// Files that cannot be put in force.
#[derive(Debug)]
pub struct Rejected {
    /// What would be their fingerprint; none where they cannot be read.
    pub fingerprint: Option<Arc<str>>,
    /// What is wrong with them.
    pub problems: Problems,
}

impl Config {
    /// Reads the files again from which this was read, with the same overrides, as the running server
    /// can: it knows its account, and keeps a certificate whose key it cannot read any more.
    ///
    /// # Errors
    /// [`Rejected`] with every problem at once, where one is an error.
    pub fn load_again(&self) -> Result<Loaded, Rejected> {
        // They were read from these texts.
        let overrides: Vec<Override> = self.overrides.iter().filter_map(|text| text.parse().ok()).collect();
        let texts = load::read_texts(&self.directory).map_err(|problems| Rejected { fingerprint: None, problems })?;
        let fingerprint = load::fingerprint(&texts, &overrides);
        if texts.users.trim().is_empty() && !self.policy.users.is_empty() {
            // A file that is being written is empty at first, and would end every session.
            let mut findings = Findings::default();
            let place = findings.source(&self.directory.join(USERS_FILE).display().to_string(), &texts.users);
            let help =
                "put the new file in its place in one step (mv); where no users are meant, write a line of comment";
            findings.error(place, "this file is empty, and there are users", help);
            let problems = Problems::new(findings.into_problems());
            return Err(Rejected { fingerprint: Some(fingerprint), problems });
        }
        let now = Timestamp::now();
        let judged = load::judge_for(Some(self), &self.directory, &texts, &overrides, Reach::Disk, now);
        match judged.config {
            Some(config) => Ok(Loaded { config, warnings: judged.problems }),
            None => Err(Rejected { fingerprint: Some(fingerprint), problems: Problems::new(judged.problems) }),
        }
    }

    /// Whether the account that serves may read the key and certificate of each identity.
    pub fn can_read_identities(&self) -> bool {
        self.tls.identities.iter().all(|identity| !is_denied(&identity.certificate) && !is_denied(&identity.key))
    }
}

/// Finds the account by its name. The running server cannot ask the system, and cannot change to
/// another account either.
pub(super) fn find_account(running: Option<&Config>, name: &str) -> Option<RunAs> {
    let Some(running) = running else { return super::system_accounts::find(name) };
    let other = || {
        let uid = rustix::process::geteuid().as_raw().max(1);
        RunAs { name: name.to_owned(), uid, gid: rustix::process::getegid().as_raw() }
    };
    Some(running.process.run_as.clone().filter(|account| account.name == name).unwrap_or_else(other))
}

/// Whether the running server goes on with the certificates that it has, as it cannot read a key and
/// nothing about them is to change.
pub(super) fn keeps_identities(running: Option<&Config>, read: &Identities, findings: &mut Findings) -> bool {
    let Some(running) = running.filter(|running| running.tls == read.tls) else { return false };
    if running.can_read_identities() {
        return false;
    }
    findings.about(Subject::Certificate);
    for (identity, places) in read.tls.identities.iter().zip(&read.places) {
        for (path, place) in [(&identity.certificate, places.certificate), (&identity.key, places.key)] {
            if is_denied(path) {
                let message = format!(
                    "the running server may not read {}: it goes on with the certificates that it has",
                    path.display()
                );
                findings.warning(place, message, readable(path, running.process.run_as.as_ref()));
            }
        }
    }
    true
}

fn is_denied(path: &Path) -> bool {
    std::fs::File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Warns of files that root can read and the account that serves cannot: the running server could not
/// read them again.
pub(super) fn judge_readable(
    directory: &Path,
    run_as: Option<&RunAs>,
    identities: Option<&Identities>,
    (server_file, users_file): (Place, Place),
    findings: &mut Findings,
) {
    if run_as.is_none() || !rustix::process::geteuid().is_root() {
        return;
    }
    let serving = Serving::of(run_as);
    findings.about(Subject::Owners);
    let policy = [(SERVER_FILE, server_file), (USERS_FILE, users_file)];
    let policy = policy.map(|(name, place)| (directory.join(name), "apply changes of the policy", place));
    let pairs = identities.into_iter().flat_map(|read| read.tls.identities.iter().zip(&read.places));
    let pairs = pairs.flat_map(|(identity, places)| {
        let what = "show a renewed certificate";
        [(identity.certificate.clone(), what, places.certificate), (identity.key.clone(), what, places.key)]
    });
    for (path, what, place) in policy.into_iter().chain(pairs) {
        let named = Named { path: &path, what: "the file", place };
        if !serving.can_read(named) {
            let message = format!(
                "{} cannot be read by {}, as whom the server runs: it could not {what} without a restart",
                path.display(),
                serving.name(),
            );
            findings.warning(place, message, readable(&path, run_as));
        }
    }
}

/// The command that lets the account's group read a file.
fn readable(path: &Path, run_as: Option<&RunAs>) -> String {
    let path = word(&path.display().to_string());
    let group = run_as.map_or_else(
        || rustix::process::getegid().as_raw().to_string(),
        |account| super::system_accounts::group_name(account.gid).unwrap_or_else(|| account.gid.to_string()),
    );
    format!("chgrp {group} {path} && chmod u=rw,g=r,o= {path}, and let it pass the directories above")
}
