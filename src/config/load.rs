//! From the policy directory to a [`Config`]: the files read and trusted, their sections judged,
//! and what they name looked at on disk.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::exceptions::{self, Granted, Holder};
use super::files::{self, Kind, Links};
use super::findings::{Findings, Place};
use super::identities::{self, Identities};
use super::networks::Networks;
use super::overrides::Override;
use super::problem::{Problem, Problems, Subject};
use super::section::Section;
use super::tree::{self, Table};
use super::users::{self, Context};
use super::{
    Config, PasswordChanges, Passwords, RunAs, advice, audit, certificate, changes, client_certificates, copies, disk,
    folders, groups, hours, limits, listen, passive, running, server, thresholds,
};
use crate::policy::Policy;

/// The file of the server's own settings.
pub const SERVER_FILE: &str = "server.toml";
/// The file of users and groups.
pub const USERS_FILE: &str = "users.toml";

/// A configuration that can be used, and what is odd about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Everything that `serve` needs.
    pub config: Config,
    /// What does not keep the server from starting.
    pub warnings: Vec<Problem>,
}

/// The texts of both files.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    pub(crate) server: String,
    pub(crate) users: String,
    /// What the system said of the files that were read, `server.toml` first; none where the texts
    /// come from elsewhere.
    pub(crate) metadata: Option<[Metadata; 2]>,
}

/// What a reading found, whether or not it can be used.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The configuration; none where there was an error.
    pub(crate) config: Option<Config>,
    /// What a new password must be, as far as the file can be understood.
    pub(crate) passwords: Passwords,
    /// The account that serves.
    pub(crate) run_as: Option<RunAs>,
    /// Errors and warnings.
    pub(crate) problems: Vec<Problem>,
}

/// How far the judgement looks beyond the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Owners, modes, certificates and homes are looked at.
    Disk,
    /// The texts are judged by themselves.
    Text,
}

impl Config {
    /// Reads `server.toml` and `users.toml`, with single keys overridden for this run.
    ///
    /// # Errors
    /// Every problem of both files at once, where one of them is an error.
    pub fn load(directory: &Path, overrides: &[Override]) -> Result<Loaded, Problems> {
        Self::load_within(directory, overrides, Reach::Disk)
    }

    /// The same by the texts alone: owners, certificates, homes and passwords that users changed
    /// are not looked at. For reviews, where none of these is.
    ///
    /// # Errors
    /// Every problem of both texts at once, where one of them is an error.
    pub fn load_text(directory: &Path, overrides: &[Override]) -> Result<Loaded, Problems> {
        Self::load_within(directory, overrides, Reach::Text)
    }

    fn load_within(directory: &Path, overrides: &[Override], reach: Reach) -> Result<Loaded, Problems> {
        let mut findings = Findings::default();
        let texts = read(directory, &mut findings);
        let unreadable = findings.into_problems();
        let Some(texts) = texts else { return Err(Problems::new(unreadable)) };
        let judged = judge(directory, &texts, overrides, reach);
        match judged.config {
            Some(config) => Ok(Loaded { config, warnings: judged.problems }),
            None => Err(Problems::new(judged.problems)),
        }
    }
}

/// Reads both files as texts.
pub(crate) fn read_texts(directory: &Path) -> Result<Texts, Problems> {
    let mut findings = Findings::default();
    read(directory, &mut findings).ok_or_else(|| Problems::new(findings.into_problems()))
}

fn read(directory: &Path, findings: &mut Findings) -> Option<Texts> {
    let mut one = |name: &str| -> Option<(String, Metadata)> {
        let path = directory.join(name);
        let place = findings.source(&path.display().to_string(), "");
        let content = match files::read(&path, files::POLICY_BYTES_MAX, Links::Refuse) {
            Ok(content) => content,
            Err(error) => {
                let help = match error.kind() {
                    ErrorKind::PermissionDenied => "run this as root, or as the account that starts the server",
                    _ => "`portcullis init DIR` writes DIR/policy; --policy names another directory",
                };
                findings.error(place, format!("cannot be read: {error}"), help);
                return None;
            }
        };
        let text = std::str::from_utf8(&content.bytes).map(str::to_owned);
        if text.is_err() {
            findings.error(place, "this is no UTF-8 text", "save the file as UTF-8");
        }
        Some((text.ok()?, content.metadata))
    };
    let (server, users) = (one(SERVER_FILE), one(USERS_FILE));
    let ((server, of_server), (users, of_users)) = (server?, users?);
    Some(Texts { server, users, metadata: Some([of_server, of_users]) })
}

/// Every problem of two texts by themselves, as of now; no file is looked at.
pub fn check_texts(server: &str, users: &str) -> Vec<Problem> {
    let texts = Texts { server: server.to_owned(), users: users.to_owned(), metadata: None };
    judge(Path::new(""), &texts, &[], Reach::Text).problems
}

/// Judges the texts of both files as of now.
pub(crate) fn judge(directory: &Path, texts: &Texts, overrides: &[Override], reach: Reach) -> Judged {
    judge_at(directory, texts, overrides, reach, Timestamp::now())
}

/// Judges the texts of both files as of some moment.
pub(super) fn judge_at(
    directory: &Path,
    texts: &Texts,
    overrides: &[Override],
    reach: Reach,
    now: Timestamp,
) -> Judged {
    judge_for(None, directory, texts, overrides, reach, now)
}

/// The same, where there is one for the server that runs with these settings.
pub(super) fn judge_for(
    running: Option<&Config>,
    directory: &Path,
    texts: &Texts,
    overrides: &[Override],
    reach: Reach,
    now: Timestamp,
) -> Judged {
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut findings = Findings::default();
    let mut source = |name: &str, text: &str| findings.source(&directory.join(name).display().to_string(), text);
    let (server_file, users_file) = (source(SERVER_FILE, &texts.server), source(USERS_FILE, &texts.users));
    let mut server_table = tree::parse(&texts.server, server_file, &mut findings).unwrap_or_default();
    for change in overrides {
        change.apply(&mut server_table, &mut findings);
    }
    let users_table = tree::parse(&texts.users, users_file, &mut findings).unwrap_or_default();
    let unparsed = findings.has_errors();

    // Sections of a text that is no TOML would all be reported missing; only the password rules
    // are read then, which have defaults.
    let mut quiet = Findings::default();
    let reported = if unparsed { &mut quiet } else { &mut findings };
    let base = std::path::absolute(directory).unwrap_or_else(|_| PathBuf::from(directory));
    let tables = ((&server_table, server_file), (&users_table, users_file));
    let mut read = sections(running, &base, tables, today, reported);
    let run_as = read.process.run_as.clone();
    let passwords = read.passwords.clone();
    if reach == Reach::Disk {
        findings.about(Subject::Owners);
        let files = [(SERVER_FILE, Kind::Public, server_file), (USERS_FILE, Kind::Hashes, users_file)];
        for ((name, kind, place), metadata) in files.into_iter().zip(texts.metadata.iter().flatten()) {
            files::judge(&directory.join(name), metadata, kind, run_as.as_ref(), place, &mut findings);
        }
        trust_directory(directory, run_as.as_ref(), server_file, &mut findings);
        findings.about(Subject::Account);
        warn_of_root(&server_table, server_file, &mut findings);
        if let (Some(read), false) = (&read.tls, unparsed)
            && !running::keeps_identities(running, read, &mut findings)
        {
            for (identity, places) in read.tls.identities.iter().zip(&read.places) {
                certificate::judge(identity, *places, run_as.as_ref(), now, &mut findings);
            }
            if let (Some(clients), Some(places)) = (&read.tls.clients, &read.of_clients) {
                client_certificates::judge(clients, places, run_as.as_ref(), now, &mut findings);
            }
        }
        // The running server has its key, and may not be able to read it again.
        if let (Some(audit), None) = (&read.audit, running) {
            let place = server_table.place_at(&["audit", "signing-key"]).unwrap_or(server_file);
            audit::judge_key(audit, place, run_as.as_ref(), &mut findings);
        }
        let places = (server_file, users_file);
        running::judge_readable(directory, run_as.as_ref(), read.tls.as_ref(), places, &mut findings);
        if !unparsed {
            changes::apply(&mut read, today, &mut findings);
            changes::warn(&read, &users_table, users_file, &mut findings);
        }
        disk::judge(&base, &read, (&server_table, server_file), &users_table, &mut findings);
    }
    if !findings.has_errors() {
        let matter = advice::Matter { read: &read, server: &server_table, users: &users_table, today, reach };
        advice::give(&matter, &mut findings);
    }
    let config = if findings.has_errors() { None } else { read.into_config(base, texts, overrides) };
    Judged { config, passwords, run_as, problems: findings.into_problems() }
}

/// Judges the directory itself, where a link leads to it: what counts is who can change its files.
fn trust_directory(directory: &Path, run_as: Option<&RunAs>, place: Place, findings: &mut Findings) {
    let path = disk::resolved(directory);
    match std::fs::metadata(&path) {
        Ok(metadata) => files::judge(&path, &metadata, Kind::Directory, run_as, place, findings),
        Err(error) => findings.error(place, format!("cannot be looked at: {error}"), ""),
    }
}

/// Root without an account to change to keeps its id, and with it whatever belongs to root.
fn warn_of_root(server: &Table, file: Place, findings: &mut Findings) {
    let named = server.place_at(&["process", "user"]).is_some();
    if rustix::process::geteuid().is_root() && !named {
        let place = server.place_at(&["process"]).unwrap_or(file);
        let help = "write user = \"portcullis\" there, for an account made by: useradd --system --home-dir /nonexistent \
                    --shell /usr/sbin/nologin portcullis";
        findings.warning(place, "started by root, the server runs as root: [process] names no `user`", help);
    }
}

/// The sections of both files. Those with required keys are missing where they have errors.
pub(super) struct Sections {
    pub(super) listen: Option<super::Listen>,
    pub(super) process: super::Process,
    pub(super) tls: Option<Identities>,
    pub(super) passive: Option<super::Passive>,
    pub(super) active: bool,
    pub(super) login: super::Login,
    pub(super) passwords: Passwords,
    pub(super) changes: Option<PasswordChanges>,
    pub(super) limits: super::Limits,
    pub(super) storage: super::Storage,
    pub(super) audit: Option<super::Audit>,
    pub(super) keeping: crate::settings::keeping::Keeping,
    pub(super) findings: super::Thresholds,
    pub(super) log: super::Log,
    pub(super) reload: super::Reload,
    pub(super) control: Option<super::Control>,
    pub(super) metrics: super::Metrics,
    pub(super) policy: Policy,
}

fn sections(
    running: Option<&Config>,
    directory: &Path,
    ((server_table, server_file), (users_table, users_file)): ((&Table, Place), (&Table, Place)),
    today: Date,
    findings: &mut Findings,
) -> Sections {
    let root = Section::root(server_table, server_file, "server", findings);
    let networks_section = root.open("networks", findings);
    let networks = Networks::read(&networks_section, findings);
    let allowed = networks.rules(&networks_section, ["allow", "deny"], findings);
    if networks_section.get("allow").is_none() {
        networks_section.missing("allow", "allow = [\"192.0.2.0/24\"]", findings);
    }
    let listen_section = root.open("listen", findings);
    let listen = listen::listen(&listen_section, &networks, findings);
    if let Some(listen) = &listen {
        listen::warn_of_allowed_proxies(listen, &allowed, &listen_section, findings);
    }
    let process =
        server::process(&root.open("process", findings), &|name| running::find_account(running, name), findings);
    let passwords_section = root.open("passwords", findings);
    let (passwords, password_days_max) = limits::passwords(&passwords_section, findings);
    let password_warning_days = limits::password_warning_days(&passwords_section, findings);
    let changes = changes::directory(&passwords_section, directory, findings);
    let passive = passive::passive(&root.open("passive", findings), listen.as_ref(), &networks, findings);
    let tls_section = root.open("tls", findings);
    let tls_minimum = identities::minimum(&tls_section, findings);
    let tls = identities::tls(&tls_section, tls_minimum, directory, findings);
    let active = root.open("active", findings).boolean("enabled", false, findings);
    let login = limits::login(&root.open("login", findings), findings);
    let limits = limits::limits(&root.open("limits", findings), findings);
    let storage = server::storage(&root.open("storage", findings), findings);
    let audit_section = root.open("audit", findings);
    let audit = audit::audit(&audit_section, directory, findings);
    let keeping = copies::keeping(&audit_section, directory, findings);
    let thresholds = thresholds::thresholds(&root.open("findings", findings), findings);
    let log = server::log(&root.open("log", findings), directory, findings);
    let reload = running::reload(&root.open("reload", findings), findings);
    let control = running::control(&root.open("control", findings), directory, findings);
    let taken = (listen.as_ref(), passive.as_ref().map(|passive| passive.ports), control.as_ref());
    let metrics = running::metrics(&root.open("metrics", findings), directory, taken, findings);
    let zone = hours::zone(&root.open("time", findings), findings);
    let Granted { bindings: exceptions, tls: tls_exceptions, .. } =
        exceptions::read(&root, Holder::Network { tls_minimum }, &networks, today, findings);

    let root = Section::root(users_table, users_file, "users", findings);
    let folders = folders::folders(&root, findings);
    let context = Context { networks: &networks, server: Some(&allowed), folders: &folders, today };
    let groups = groups::groups(&root, &context, findings);
    let users = users::users(&root, &groups, &context, findings);
    let policy = Policy {
        networks: allowed,
        users,
        folders,
        groups,
        exceptions,
        tls_exceptions,
        password_days_max,
        password_warning_days,
        zone,
        freezes: Arc::default(),
    };
    let offers_certificates = tls.as_ref().is_none_or(|read| read.tls.clients.is_some());
    client_certificates::judge_users(&policy, offers_certificates, &root.open("user", findings), findings);
    Sections {
        listen,
        process,
        tls,
        passive,
        active,
        login,
        passwords,
        changes,
        limits,
        storage,
        audit,
        keeping,
        findings: thresholds,
        log,
        reload,
        control,
        metrics,
        policy,
    }
}

impl Sections {
    fn into_config(self, directory: PathBuf, texts: &Texts, overrides: &[Override]) -> Option<Config> {
        Some(Config {
            directory,
            fingerprint: fingerprint(texts, overrides),
            overrides: overrides.iter().map(|change| change.text().to_owned()).collect(),
            listen: self.listen?,
            process: self.process,
            tls: self.tls?.tls,
            passive: self.passive?,
            active: self.active,
            login: self.login,
            passwords: self.passwords,
            password_changes: self.changes,
            limits: self.limits,
            storage: self.storage,
            audit: self.audit?,
            keeping: self.keeping,
            findings: self.findings,
            log: self.log,
            reload: self.reload,
            control: self.control,
            metrics: self.metrics,
            policy: Arc::new(self.policy),
        })
    }
}

/// BLAKE3 over `server.toml`, `users.toml` and each override as it was typed, in this order, each
/// behind its length in bytes (eight bytes, least first), so that no two different policies share
/// it. Passwords that users changed have no part in it. docs/policy.md says the same.
pub(super) fn fingerprint(texts: &Texts, overrides: &[Override]) -> Arc<str> {
    let mut hasher = blake3::Hasher::new();
    let parts = [texts.server.as_str(), texts.users.as_str()];
    for part in parts.into_iter().chain(overrides.iter().map(Override::text)) {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().as_str().into()
}
