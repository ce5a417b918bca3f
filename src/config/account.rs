//! The account that serves, and whether it gets at the directories that the policy names. What is
//! in its way is a warning with the command to type: such a server starts and then refuses people.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::findings::{Findings, Place};
use super::shell::word;
use super::{RunAs, system_accounts};

const ALL: u32 = 0o7;
const READ: u32 = 0o4;
const SEARCH: u32 = 0o1;

/// The ids that the server will have while it serves. It has no capabilities then, so uid 0 is
/// held to modes and owners like everyone.
#[derive(Clone, Debug)]
pub(super) struct Serving {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    /// `USER:GROUP`, as chown takes it.
    pub(super) owner: String,
}

/// A directory that the policy names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) path: &'a Path,
    /// What it is, in words.
    pub(super) what: &'a str,
    pub(super) place: Place,
}

impl Serving {
    /// `[process] user` where root starts the server, else the account that asks.
    pub(super) fn of(run_as: Option<&RunAs>) -> Self {
        use rustix::process::{getegid, geteuid, getgroups};
        if !geteuid().is_root() {
            let groups = getgroups().unwrap_or_default().into_iter().map(rustix::process::Gid::as_raw).collect();
            return Self::with_ids(geteuid().as_raw(), getegid().as_raw(), groups);
        }
        // The supplementary groups of root are dropped in either case.
        let (uid, gid) = run_as.map_or((0, getegid().as_raw()), |account| (account.uid, account.gid));
        Self::with_ids(uid, gid, Vec::new())
    }

    fn with_ids(uid: u32, gid: u32, groups: Vec<u32>) -> Self {
        let user = system_accounts::user_name(uid).unwrap_or_else(|| uid.to_string());
        let group = system_accounts::group_name(gid).unwrap_or_else(|| gid.to_string());
        Self { uid, gid, groups, owner: format!("{user}:{group}") }
    }

    /// The account's name.
    pub(super) fn name(&self) -> &str {
        self.owner.split(':').next().unwrap_or_default()
    }

    /// What the mode lets it do: read, write and search as the bits of one digit.
    fn permitted(&self, metadata: &Metadata) -> u32 {
        let class = if metadata.uid() == self.uid {
            6
        } else if metadata.gid() == self.gid || self.groups.contains(&metadata.gid()) {
            3
        } else {
            0
        };
        metadata.mode().wrapping_shr(class) & ALL
    }

    /// The command that makes a directory for the account. Its parents become passable for all,
    /// whatever the umask.
    pub(super) fn make(&self, path: &Path) -> String {
        let path = word(&path.display().to_string());
        let (user, group) = self.owner.split_once(':').unwrap_or((&self.owner, &self.owner));
        format!("install -d -o {user} -g {group} -m 0750 {path}")
    }

    fn give(&self, path: &Path) -> String {
        format!("chown -R {} {}", self.owner, word(&path.display().to_string()))
    }

    /// Judges a directory in which the server reads and writes, and the way to it. Parents in
    /// `seen` were judged before.
    pub(super) fn judge(&self, named: Named<'_>, seen: &mut BTreeSet<PathBuf>, findings: &mut Findings) {
        let Named { path, what, place } = named;
        let shown = path.display();
        let real = super::disk::resolved(path);
        for parent in real.ancestors().skip(1) {
            if seen.insert(parent.to_owned()) {
                self.judge_passage(parent, named, findings);
            }
        }
        match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => {
                findings.error(place, format!("{what} {shown} is no directory"), "name a directory");
            }
            Ok(metadata) => self.judge_owner(&real, &metadata, named, findings),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                findings.warning(
                    place,
                    format!("{what} {shown} does not exist"),
                    format!("make it: {}", self.make(path)),
                );
            }
            Err(error) => {
                let help = "check it as the account that serves, or as root";
                findings.warning(place, format!("{what} {shown} cannot be reached: {error}"), help);
            }
        }
    }

    /// Whether the account gets to a file and may read it; what cannot be looked at is somebody else's
    /// to report.
    pub(super) fn can_read(&self, named: Named<'_>) -> bool {
        let real = super::disk::resolved(named.path);
        let permits = |path: &Path, wanted: u32| {
            std::fs::metadata(path).map_or(true, |metadata| self.permitted(&metadata) & wanted != 0)
        };
        permits(&real, READ) && real.ancestors().skip(1).all(|parent| permits(parent, SEARCH))
    }

    fn judge_passage(&self, parent: &Path, named: Named<'_>, findings: &mut Findings) {
        let Ok(metadata) = std::fs::metadata(parent) else { return };
        if self.permitted(&metadata) & SEARCH == 0 {
            let message = format!(
                "{} (mode {:04o}) keeps {} from {} {}",
                parent.display(),
                metadata.mode() & 0o7777,
                self.name(),
                named.what,
                named.path.display()
            );
            let class = if metadata.uid() == self.uid { "u" } else { "a" };
            findings.warning(named.place, message, format!("chmod {class}+x {}", word(&parent.display().to_string())));
        }
    }

    fn judge_owner(&self, real: &Path, metadata: &Metadata, named: Named<'_>, findings: &mut Findings) {
        if self.permitted(metadata) == ALL {
            return;
        }
        let message = format!(
            "{} {} (owner {}, mode {:04o}) cannot be read and written by {}, as whom the server runs",
            named.what,
            named.path.display(),
            system_accounts::user_name(metadata.uid()).unwrap_or_else(|| metadata.uid().to_string()),
            metadata.mode() & 0o7777,
            self.name(),
        );
        let help = if metadata.uid() == self.uid {
            format!("chmod u+rwx {}", word(&real.display().to_string()))
        } else {
            self.give(real)
        };
        findings.warning(named.place, message, help);
    }

    /// Judges what the server keeps in a home for uploads under way: it takes no other owner's.
    pub(super) fn judge_staging(&self, home: Named<'_>, findings: &mut Findings) {
        let staging = home.path.join(STAGING_NAME);
        let Ok(metadata) = staging.symlink_metadata() else { return };
        if metadata.uid() != self.uid {
            let owner = system_accounts::user_name(metadata.uid()).unwrap_or_else(|| metadata.uid().to_string());
            let message = format!(
                "{} belongs to {owner} and not to {}, so nobody can upload to {}",
                staging.display(),
                self.name(),
                home.what
            );
            findings.warning(home.place, message, self.give(&super::disk::resolved(&staging)));
        }
    }
}

/// Where uploads under way lie in a home; the store has the same name, which a test compares.
const STAGING_NAME: &str = ".portcullis-staging";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn serving(uid: u32, gid: u32) -> Serving {
        Serving { uid, gid, groups: vec![gid + 1], owner: "ftps:files".into() }
    }

    fn said(serving: &Serving, path: &Path) -> String {
        let mut findings = Findings::default();
        let place = findings.source("users.toml", "");
        let named = Named { path, what: "the home", place };
        serving.judge(named, &mut BTreeSet::new(), &mut findings);
        serving.judge_staging(named, &mut findings);
        findings.into_problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n"
    }

    #[test]
    fn a_home_and_its_staging_are_judged_against_the_account_that_serves() {
        let base = tempfile::tempdir().unwrap();
        let home = base.path().canonicalize().unwrap().join("my home");
        std::fs::create_dir_all(home.join(STAGING_NAME)).unwrap();
        let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        let metadata = home.metadata().unwrap();
        let owner = serving(metadata.uid(), metadata.gid());
        mode(&home, 0o750);
        mode(base.path(), 0o700);
        assert_eq!(said(&owner, &home), "\n");
        let other = serving(metadata.uid() + 4711, metadata.gid() + 4711);
        let text = said(&other, &home);
        let quoted = format!("'{}'", home.display());
        assert!(text.contains(&format!("help: chown -R ftps:files {quoted}\n")), "{text}");
        assert!(text.contains(&format!("chown -R ftps:files '{}/{STAGING_NAME}'", home.display())), "{text}");
        assert!(text.contains(&format!("(mode 0700) keeps ftps from the home {}", home.display())), "{text}");
        assert!(text.contains(&format!("help: chmod a+x {}", base.path().canonicalize().unwrap().display())), "{text}");
        mode(&home, 0o500);
        assert!(said(&owner, &home).contains("help: chmod u+rwx"));
        let member = Serving { groups: vec![metadata.gid()], ..serving(metadata.uid() + 4711, 4711) };
        mode(&home, 0o770);
        mode(base.path(), 0o755);
        let text = said(&member, &home);
        assert!(!text.contains("cannot be read and written") && text.contains("belongs to"), "{text}");
    }

    #[test]
    fn a_missing_home_comes_with_the_command_that_makes_it_for_the_account() {
        let base = tempfile::tempdir().unwrap();
        let home = base.path().join("a/b");
        let text = said(&Serving::of(None), &home);
        let (user, group) = Serving::of(None).owner.split_once(':').map(|(u, g)| (u.to_owned(), g.to_owned())).unwrap();
        let expected = format!("make it: install -d -o {user} -g {group} -m 0750 {}", home.display());
        assert!(text.contains(&expected), "{text}");
    }

    #[test]
    fn the_store_calls_the_staging_directory_the_same() {
        let store = include_str!("../store/staging.rs");
        assert!(store.contains(&format!("STAGING_NAME: &str = \"{STAGING_NAME}\"")));
    }
}
