//! What the files name on disk: homes, folders and logs, whether the server gets at them, and the
//! directories that none of them may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::account::{Named, Serving};
use super::findings::{Findings, Place, shown};
use super::load::Sections;
use super::problem::Subject;
use super::tree::{Entry, Table, Value};
use crate::identity::Username;

/// Directories of the system that hold other directories: no home by themselves.
const SYSTEM: &[&str] = &[
    "/",
    "/dev/shm",
    "/home",
    "/opt",
    "/root",
    "/run",
    "/tmp",
    "/usr",
    "/usr/local",
    "/usr/share",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/mail",
    "/var/spool",
    "/var/tmp",
];
/// Directories of the system in which no home lies, but for a file system in memory.
const SYSTEM_BELOW: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/lib",
    "/usr/sbin",
];
const IN_MEMORY: &str = "/dev/shm";

const WRITE_BY_MORE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Judges homes, folders and directories.
pub(super) fn judge(
    directory: &Path,
    read: &Sections,
    (server, server_file): (&Table, Place),
    users: &Table,
    findings: &mut Findings,
) {
    let serving = Serving::of(read.process.run_as.as_ref());
    let place_of = |path: &[&str]| server.place_at(path).unwrap_or(server_file);
    let audit = read.audit.as_ref().map(|audit| (audit.directory.as_path(), place_of(&["audit", "directory"])));
    let log = read.log.directory.as_deref().map(|log| (log, place_of(&["log", "directory"])));
    let changes = read.changes.as_ref().map(|found| (found.directory.as_path(), place_of(&["passwords", "changes"])));
    let control = read.control.as_ref().and_then(|control| control.socket.parent());
    let control = control.map(|path| (path, place_of(&["control", "socket"])));
    let metrics = read.metrics.socket.as_ref().and_then(|socket| socket.parent());
    let metrics = metrics.map(|path| (path, place_of(&["metrics", "socket"])));
    let mut seen = BTreeSet::new();
    let own_directories = [
        ("the audit directory", Subject::Audit, audit),
        ("the log directory", Subject::Log, log),
        ("the directory of changed passwords", Subject::Owners, changes),
        ("the directory of the control socket", Subject::Owners, control),
        ("the directory of the metrics socket", Subject::Owners, metrics),
    ];
    for (what, subject, found) in own_directories {
        findings.about(subject);
        if let Some((path, place)) = found {
            serving.judge(Named { path, what, place }, &mut seen, findings);
        }
    }
    let identities = || read.tls.iter().flat_map(|read| read.tls.identities.iter().zip(&read.places));
    let beside = |path: &Path, place: Place| path.parent().map(|parent| (parent.to_owned(), place));
    let certificates = identities().map(|(identity, places)| beside(&identity.certificate, places.certificate));
    let keys = identities().map(|(identity, places)| beside(&identity.key, places.key));
    let deployment = directory.parent().map(|parent| (parent.to_owned(), server_file));
    let own = |found: (&Path, Place)| (found.0.to_owned(), found.1);
    let own_directories =
        [deployment, audit.map(own), log.map(own), changes.map(own), control.map(own), metrics.map(own)];
    findings.about(Subject::Owners);
    judge_closed(own_directories.into_iter().chain(certificates).chain(keys).flatten(), findings);

    let mut guarded: Vec<(&str, PathBuf)> = [
        ("the policy files", Some(directory)),
        ("the audit log", audit.map(|(path, _)| path)),
        ("the operational log", read.log.directory.as_deref()),
        ("the control socket", control.map(|(path, _)| path)),
        ("the metrics socket", metrics.map(|(path, _)| path)),
    ]
    .into_iter()
    .chain(std::iter::once((
        "the key of the audit log",
        read.audit.as_ref().and_then(|audit| audit.signing_key.as_deref()),
    )))
    .chain(identities().map(|(identity, _)| ("the private key", Some(identity.key.as_path()))))
    .filter_map(|(what, path)| Some((what, resolved(path?))))
    .collect();
    if let Some((path, place)) = changes {
        let path = resolved(path);
        judge_changes(&path, place, &guarded, findings);
        guarded.push(("the changed passwords", path));
    }

    findings.about(Subject::Home);
    let mut judged: BTreeMap<PathBuf, (String, Place)> = BTreeMap::new();
    for tree in trees(read, users) {
        if let Some(real) = tree.judge(&serving, &mut seen, &guarded, findings) {
            judged.entry(real).or_insert((tree.whose, tree.place));
        }
    }
    for (path, (whose, place)) in &judged {
        if let Some((outer, _)) = path.ancestors().skip(1).find_map(|parent| judged.get(parent)) {
            let message = format!("{whose} lies in {outer}, whose users reach its files");
            findings.warning(*place, message, "put them side by side, or use the same directory for both");
        }
    }
}

/// A home or a folder: a directory whose files users reach.
struct Tree {
    path: PathBuf,
    /// What it is to the server, in words.
    what: &'static str,
    /// Which one it is.
    whose: String,
    /// The key that names it.
    key: &'static str,
    place: Place,
}

/// The homes of the users and the folders, in the order of the file.
fn trees(read: &Sections, users: &Table) -> Vec<Tree> {
    let tables = |name: &str| match users.get(name).map(|entry| &entry.node.value) {
        Some(Value::Table(table)) => table.entries.as_slice(),
        _ => &[],
    };
    let place_of = |entry: &Entry, key: &str| match &entry.node.value {
        Value::Table(table) => table.place_at(&[key]).unwrap_or(entry.place),
        _ => entry.place,
    };
    let homes = tables("user").iter().filter_map(|entry| {
        let account = read.policy.users.get(&Username::parse(&entry.key).ok()?)?;
        let whose = format!("the home of {}", account.name);
        Some(Tree { path: account.home.clone(), what: "the home", whose, key: "home", place: place_of(entry, "home") })
    });
    let folders = tables("folder").iter().filter_map(|entry| {
        // Without a directory it was refused already.
        let folder = read.policy.folders.get(&entry.key).filter(|folder| folder.directory.is_absolute())?;
        Some(Tree {
            path: folder.directory.clone(),
            what: "the folder",
            whose: format!("the folder {}", folder.name),
            key: "directory",
            place: place_of(entry, "directory"),
        })
    });
    homes.chain(folders).collect()
}

impl Tree {
    /// Judges it; returns where it really lies, unless it cannot be used at all.
    fn judge(
        &self,
        serving: &Serving,
        seen: &mut BTreeSet<PathBuf>,
        guarded: &[(&str, PathBuf)],
        findings: &mut Findings,
    ) -> Option<PathBuf> {
        let Self { path, what, whose, key, place } = self;
        let real = resolved(path);
        let apart = if *key == "home" { "give the user a directory of its own" } else { "name a directory for files" };
        if is_of_the_system(&real) {
            let message = format!("{whose} is the system's ({})", shown(&real.to_string_lossy()));
            findings.error(*place, message, format!("{apart}, such as /srv/files/NAME"));
            return None;
        }
        let named = Named { path, what, place: *place };
        serving.judge(named, seen, findings);
        serving.judge_staging(named, findings);
        for (what, guarded) in guarded {
            if guarded.starts_with(&real) || real.starts_with(guarded) {
                let message = format!("{whose} reaches {what} ({})", guarded.display());
                findings.error(*place, message, format!("{apart}, apart from the server's"));
            }
        }
        if real != *path {
            let message = format!("{whose} leads through a symbolic link");
            let direct = shown(&real.to_string_lossy());
            let help = format!("whoever can change the link moves {what}: write {key} = \"{direct}\"");
            findings.warning(*place, message, help);
        }
        Some(real)
    }
}

/// The server may write whatever it likes in the directory of changed passwords, so it holds nothing
/// else.
fn judge_changes(path: &Path, place: Place, guarded: &[(&str, PathBuf)], findings: &mut Findings) {
    let help = "name a directory for nothing else, such as \"../state\"";
    // Below /etc it may lie: deployments do.
    if SYSTEM.iter().chain(SYSTEM_BELOW).any(|system| path == Path::new(system)) {
        let message = format!("the directory of changed passwords is the system's ({})", path.display());
        findings.error(place, message, help);
    }
    for (what, other) in guarded {
        if other.starts_with(path) || path.starts_with(other) {
            let message = format!("the directory of changed passwords reaches {what} ({})", other.display());
            findings.error(place, message, help);
        }
    }
}

/// Whether a path without links is the system's, or below what is the system's alone.
pub(crate) fn is_of_the_system(home: &Path) -> bool {
    let below = SYSTEM_BELOW.iter().any(|path| home.starts_with(path)) && !home.starts_with(IN_MEMORY);
    below || SYSTEM.iter().any(|path| home == Path::new(path))
}

/// Warns of directories in which more than their owner could put other files in the place of ours.
fn judge_closed(directories: impl Iterator<Item = (PathBuf, Place)>, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (path, place) in directories {
        let path = resolved(&path);
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        let mode = metadata.mode() & 0o7777;
        if mode & WRITE_BY_MORE != 0 && mode & STICKY == 0 && seen.insert(path.clone()) {
            let message = format!(
                "{} can be written by others than its owner (mode {mode:04o}), who could put other files there",
                path.display()
            );
            findings.warning(place, message, format!("chmod go-w {}", super::shell::word(&path.display().to_string())));
        }
    }
}

/// The path without symbolic links, as far as it exists.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in path.ancestors() {
        if let Ok(real) = there.canonicalize() {
            return path.strip_prefix(there).map_or(real.clone(), |rest| real.join(rest).components().collect());
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_the_system_are_no_homes() {
        for path in ["/", "/etc", "/etc/x", "/dev/shm", "/proc/self", "/usr/local", "/var", "/home", "/run", "/boot"] {
            assert!(is_of_the_system(Path::new(path)), "{path}");
        }
        for path in
            ["/srv/alice", "/home/alice", "/var/ftp/a", "/etcetera", "/data", "/tmp/x", "/dev/shm/x", "/usr/share/doc"]
        {
            assert!(!is_of_the_system(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_path_is_resolved_as_far_as_it_exists() {
        let base = tempfile::tempdir().unwrap();
        let real = base.path().canonicalize().unwrap();
        std::os::unix::fs::symlink("/etc", real.join("link")).unwrap();
        assert_eq!(resolved(&real.join("link/not there/x")), Path::new("/etc/not there/x"));
        assert_eq!(resolved(&real), real);
    }
}
