//! What `init` and `quickstart` leave behind: certificates, the key of the audit log, policy files, places for the audit log,
//! the control socket and passwords that users change. The policy files are the commented examples of the
//! repository with some keys filled in.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use toml_edit::{Array, DocumentMut, InlineTable, Value};

use super::cert::make;
use super::{Failure, today};
use crate::audit::signing::SigningKey;
use crate::config::directory::{self, Found};
use crate::config::{PortRange, RunAs, SERVER_FILE, USERS_FILE};

const SERVER_EXAMPLE: &str = include_str!("../../policy/server.toml");
const USERS_EXAMPLE: &str = include_str!("../../policy/users.toml");
/// Where the server writes, as the example names them: the audit log, the control socket, its state.
const OWN_DIRECTORIES: [&str; 3] = ["audit", "run", "state"];
/// The same in a system (hier(7)).
const SYSTEM_DIRECTORIES: [&str; 3] = ["/var/log/portcullis", "/run/portcullis", "/var/lib/portcullis"];
/// How many of the files are certificates and keys; the policy files follow.
const CERTIFICATES: usize = 5;
/// The line of the example that names no account yet.
const USER_LINE: &str = "# user = \"portcullis\"";

/// An address to announce, and the clients it is for; none means any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) clients: Option<IpNet>,
    pub(super) address: Ipv4Addr,
}

/// What is filled in.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) explicit: Vec<SocketAddr>,
    pub(super) implicit: Vec<SocketAddr>,
    pub(super) passive: PortRange,
    /// Host names and addresses; the certificate is made for them.
    pub(super) names: Vec<String>,
    pub(super) advertise: Vec<Announced>,
    pub(super) allow: Vec<IpNet>,
    /// `[process] user`.
    pub(super) run_as: Option<RunAs>,
    /// Whether the server writes where programs of a system do, instead of beside its policy.
    pub(super) system: bool,
}

/// The directories and files of a deployment.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    root: PathBuf,
}

impl Deployment {
    /// The deployment in a directory, there or not.
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The directory of the policy files.
    pub(super) fn policy(&self) -> PathBuf {
        self.root.join("policy")
    }

    /// The certificate of the local CA, which clients need.
    pub(super) fn ca(&self) -> PathBuf {
        self.root.join("certs/ca.pem")
    }

    /// Whether the deployment was written already.
    ///
    /// # Errors
    /// Where it was begun and a policy file is missing: nobody can go on with that.
    pub(super) fn exists(&self) -> Result<bool, Failure> {
        let there = |path: &PathBuf| path.symlink_metadata().is_ok();
        let targets = self.targets();
        let missing: Vec<String> = targets
            .iter()
            .skip(CERTIFICATES)
            .filter(|path| !there(path))
            .map(|path| path.display().to_string())
            .collect();
        if missing.is_empty() || !targets.iter().any(there) {
            return Ok(missing.is_empty());
        }
        let root = self.root.display();
        Err(Failure::Failed(format!(
            "{root} is half-made, without {}: an earlier run was cut short there; remove or rename {root}, or choose \
             another directory with --dir",
            missing.join(" and ")
        )))
    }

    /// The certificates and the keys of the audit log, and then the policy files.
    fn targets(&self) -> [PathBuf; 7] {
        let (certs, policy) = (self.root.join("certs"), self.policy());
        [
            self.ca(),
            certs.join("server.pem"),
            certs.join("server.key"),
            certs.join("audit.key"),
            certs.join("audit.pub"),
            policy.join(SERVER_FILE),
            policy.join(USERS_FILE),
        ]
    }

    /// Writes everything. Where one of the files is there already, nothing is written.
    pub(super) fn create(&self, settings: &Settings) -> Result<(), Failure> {
        let (certs, policy) = (self.root.join("certs"), self.policy());
        let targets = self.targets();
        let there: Vec<String> = targets
            .iter()
            .filter(|path| path.symlink_metadata().is_ok())
            .map(|path| path.display().to_string())
            .collect();
        if !there.is_empty() {
            let message = format!("these are there already, so nothing was written: {}", there.join(", "));
            return Err(Failure::Failed(message));
        }
        let made = make::once(&make::with_loopback(&settings.names), today())?;
        let server = server_file(settings)?;
        let signing = SigningKey::generate().and_then(|key| Ok((key.to_pem()?, key.public().to_pem())));
        let (signing, public) = signing.map_err(|error| Failure::Failed(error.to_string()))?;
        for path in [&self.root, &certs, &policy] {
            directory::make_passable(path).map_err(|error| Failure::io(path.display(), &error))?;
        }
        for own in if settings.system { SYSTEM_DIRECTORIES } else { OWN_DIRECTORIES } {
            let own = self.root.join(own);
            let failed = |error: io::Error| Failure::io(own.display(), &error);
            if directory::look(&own).map_err(failed)? != Found::Directory {
                directory::make(&own, settings.run_as.as_ref()).map_err(failed)?;
            }
        }
        let contents = [
            (made.ca.as_str(), 0o644),
            (made.certificate.as_str(), 0o644),
            (made.key.as_str(), 0o600),
            (signing.as_str(), 0o400),
            (public.as_str(), 0o644),
            (server.as_str(), 0o644),
            (USERS_EXAMPLE, 0o640),
        ];
        for (path, (text, mode)) in targets.iter().zip(contents) {
            write_new(path, text, mode).map_err(|error| Failure::io(path.display(), &error))?;
        }
        self.share(settings)
    }

    /// Lets the account that serves read what it reads again when that is asked for: root keeps the
    /// files, and the account's group may read them. The key of the audit log stays root's, who starts the
    /// server; in a system the account itself does, so there it is the account's.
    fn share(&self, settings: &Settings) -> Result<(), Failure> {
        let run_as = settings.run_as.as_ref();
        let Some(account) = run_as.filter(|_| rustix::process::geteuid().is_root()) else { return Ok(()) };
        let [_, _, key, signing, _, _, users] = self.targets();
        if settings.system {
            let given = chown(&signing, Some(account.uid), Some(account.gid));
            given.map_err(|error| Failure::io(signing.display(), &error))?;
        }
        for path in [key, users] {
            let shared = chown(&path, None, Some(account.gid))
                .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(0o640)));
            shared.map_err(|error| Failure::io(path.display(), &error))?;
        }
        Ok(())
    }
}

/// Writes a file that must not be there yet, through to the disk.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // Whatever the umask: clients read the CA, and the server's account the policy.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The example with its keys filled in and its comments kept.
fn server_file(settings: &Settings) -> Result<String, Failure> {
    let example = match &settings.run_as {
        Some(account) => SERVER_EXAMPLE.replace(USER_LINE, &format!("user = {}", Value::from(account.name.as_str()))),
        None => SERVER_EXAMPLE.to_owned(),
    };
    let mut document: DocumentMut =
        example.parse().map_err(|error| Failure::Failed(format!("the built-in example: {error}")))?;
    let mut fill = |table: &str, key: &str, value: Value| {
        let known = document.get_mut(table).and_then(|item| item.get_mut(key)).and_then(toml_edit::Item::as_value_mut);
        if let Some(known) = known {
            let decor = known.decor().clone();
            *known = value;
            *known.decor_mut() = decor;
        }
    };
    fill("listen", "explicit", texts(&settings.explicit));
    fill("listen", "implicit", texts(&settings.implicit));
    fill("passive", "ports", format!("{}-{}", settings.passive.first, settings.passive.last).into());
    fill("passive", "advertise", settings.advertise.iter().map(announced).collect::<Array>().into());
    fill("tls", "identities", identity(&settings.names));
    if settings.system {
        let [audit, run, state] = SYSTEM_DIRECTORIES;
        fill("audit", "directory", audit.into());
        fill("control", "socket", format!("{run}/control.sock").into());
        fill("passwords", "changes", state.into());
    }
    fill("networks", "allow", texts(&settings.allow));
    let everywhere = IpNet::aggregate(&settings.allow).iter().any(|network| network.prefix_len() == 0);
    fill("networks", "allow-any", everywhere.into());
    Ok(document.to_string())
}

fn texts<T: ToString>(items: &[T]) -> Value {
    items.iter().map(ToString::to_string).collect::<Array>().into()
}

fn announced(announced: &Announced) -> Value {
    let clients = announced.clients.map_or_else(|| "any".to_owned(), |network| network.to_string());
    let mut table = InlineTable::new();
    table.insert("clients", clients.into());
    table.insert("address", announced.address.to_string().into());
    table.into()
}

fn identity(names: &[String]) -> Value {
    let mut table = InlineTable::new();
    table.insert("names", texts(names));
    table.insert("certificate", "../certs/server.pem".into());
    table.insert("key", "../certs/server.key".into());
    Array::from_iter([Value::from(table)]).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Config;

    fn settings() -> Settings {
        Settings {
            explicit: vec!["127.0.0.1:2121".parse().unwrap()],
            implicit: vec!["[::1]:990".parse().unwrap()],
            passive: PortRange { first: 40000, last: 40009 },
            names: vec!["files.example.org".into(), "localhost".into()],
            advertise: vec![Announced { clients: None, address: "203.0.113.7".parse().unwrap() }],
            allow: vec!["10.0.0.0/8".parse().unwrap()],
            run_as: None,
            system: false,
        }
    }

    #[test]
    fn what_is_written_loads_without_a_word_and_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let deployment = Deployment::at(&directory.path().join("new"));
        deployment.create(&settings()).unwrap();
        let loaded = Config::load(&deployment.policy(), &[]).unwrap();
        // Root is warned of running as root.
        let root = rustix::process::geteuid().is_root();
        assert_eq!(loaded.warnings.len(), usize::from(root), "{:?}", loaded.warnings);
        let config = loaded.config;
        assert_eq!(config.listen.explicit, settings().explicit);
        assert_eq!(config.listen.implicit, settings().implicit);
        assert_eq!(config.passive.ports, settings().passive);
        assert_eq!(config.passive.advertise.len(), 1);
        let names: Vec<String> = config.tls.identities[0].names.iter().map(ToString::to_string).collect();
        assert_eq!(names, settings().names);
        let mode =
            |name: &str| directory.path().join("new").join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("certs/server.key"), 0o600);
        assert_eq!(mode("certs/audit.key"), 0o400);
        assert!(crate::config::audit::read_keys(&config.audit.signing_key.unwrap(), None).is_ok());

        let key = std::fs::read(directory.path().join("new/certs/server.key")).unwrap();
        std::fs::remove_file(deployment.ca()).unwrap();
        let said = deployment.create(&settings()).unwrap_err().to_string();
        assert!(said.contains("server.key") && !said.contains("ca.pem"), "{said}");
        assert!(!deployment.ca().exists());
        assert_eq!(std::fs::read(directory.path().join("new/certs/server.key")).unwrap(), key);
    }

    #[test]
    fn the_account_is_filled_in_and_gets_what_is_written() {
        use std::os::unix::fs::MetadataExt;

        let account = crate::config::system_accounts::find("daemon").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let deployment = Deployment::at(&directory.path().join("deep/new"));
        deployment.create(&Settings { run_as: Some(account.clone()), ..settings() }).unwrap();
        let config = Config::load(&deployment.policy(), &[]).unwrap().config;
        assert_eq!(config.process.run_as, Some(account.clone()));
        for directory in [config.audit.directory, config.password_changes.unwrap().directory] {
            let given = directory.metadata().unwrap().uid() == account.uid;
            assert_eq!(given, rustix::process::geteuid().is_root());
        }
        // What the running server reads again.
        let [_, _, key, _, _, _, users] = deployment.targets();
        for path in [key, users] {
            let metadata = path.metadata().unwrap();
            let readable = metadata.gid() == account.gid && metadata.mode() & 0o777 == 0o640;
            assert_eq!(readable, rustix::process::geteuid().is_root());
        }
    }

    #[test]
    fn the_key_of_the_audit_log_is_that_of_whoever_starts_the_server() {
        use std::os::unix::fs::MetadataExt;

        let account = crate::config::system_accounts::find("daemon").unwrap();
        let root = rustix::process::geteuid();
        for system in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let deployment = Deployment::at(directory.path());
            let settings = Settings { run_as: Some(account.clone()), system, ..settings() };
            // Its directories are those of this machine, which are made elsewhere.
            std::fs::create_dir_all(directory.path().join("certs")).unwrap();
            let [.., signing, _, _, _] = deployment.targets();
            write_new(&signing, "key", 0o400).unwrap();
            for path in [&deployment.targets()[2], &deployment.targets()[6]] {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                write_new(path, "text", 0o640).unwrap();
            }
            deployment.share(&settings).unwrap();
            let metadata = signing.metadata().unwrap();
            let expected = if system && root.is_root() { account.uid } else { root.as_raw() };
            assert_eq!((metadata.uid(), metadata.mode() & 0o777), (expected, 0o400));
            let faults =
                crate::config::files::faults(&signing, &metadata, crate::config::files::Kind::Key, Some(&account));
            assert!(faults.is_empty());
        }
    }

    #[test]
    fn a_half_made_deployment_is_called_that() {
        let directory = tempfile::tempdir().unwrap();
        let deployment = Deployment::at(directory.path());
        assert!(!deployment.exists().unwrap());
        deployment.create(&settings()).unwrap();
        assert!(deployment.exists().unwrap());
        std::fs::remove_file(deployment.policy().join(USERS_FILE)).unwrap();
        let said = deployment.exists().unwrap_err().to_string();
        assert!(said.contains("half-made") && said.contains("users.toml") && !said.contains("server.toml"), "{said}");
    }

    #[test]
    fn a_system_has_its_own_places_for_what_is_written() {
        let text = server_file(&Settings { system: true, ..settings() }).unwrap();
        for line in [
            "directory = \"/var/log/portcullis\"",
            "socket = \"/run/portcullis/control.sock\"",
            "changes = \"/var/lib/portcullis\"",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn the_comments_of_the_example_are_kept() {
        let text = server_file(&settings()).unwrap();
        let comments = |text: &str| text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect();
        let (ours, example): (Vec<String>, Vec<String>) = (comments(&text), comments(SERVER_EXAMPLE));
        assert_eq!(ours, example);
        let everywhere = Settings { allow: vec!["0.0.0.0/0".parse().unwrap()], ..settings() };
        assert!(server_file(&everywhere).unwrap().contains("\nallow-any = true"));
    }
}
