//! `portcullis user add`.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use jiff::civil::Date;
use toml_edit::{Array, DocumentMut, Table, Value};

use super::super::init::network;
use super::super::password::{self, New, Origin};
use super::super::{Failure, say, today};
use super::{TAKES_EFFECT, edit, limits, username};
use crate::config::directory::{self, Found};
use crate::config::load::Judged;
use crate::config::{RunAs, terms};
use crate::identity::Username;

/// Add a user. Its home is made if it is not there.
///
/// As root, the home made belongs to `[process] user` (mode 0750); parents made are passable for all.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis user add alice --home /srv/files/alice
  portcullis user add bob --home /srv/in --generate --permissions list,create
  portcullis user add guest --home /srv/g --read-only --expires 2027-06-30
  portcullis user add scan --home /srv/scan --sessions 2 \\
      --hours \"mon-fri 08:00-18:00\"
  portcullis user add nas --home /srv/nas --password-stdin < password-file

Permissions: list, read, create, overwrite, append, delete, rename, mkdir,
rmdir, set-time, hash, set-mode; read-only and full stand for several. Without
any, a user may do what its groups may, and everything if they do not say.")]
pub(super) struct Arguments {
    /// The name that logs in.
    #[arg(value_name = "NAME", value_parser = username)]
    name: Username,
    /// The directory that the user sees as /.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    #[command(flatten)]
    origin: Origin,
    /// A network from which the user may log in, within those of the server; repeats.
    #[arg(long, value_name = "CIDR", value_parser = network)]
    allow_from: Vec<IpNet>,
    /// A group of users.toml to which the user belongs; repeats.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Let the user list and read, and change nothing.
    #[arg(long, conflicts_with = "permissions")]
    read_only: bool,
    /// What the user may do, separated by commas.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = permission)]
    permissions: Vec<String>,
    /// Most bytes that the home may hold.
    #[arg(long, value_name = "N", value_parser = limits::number)]
    quota_bytes: Option<i64>,
    /// Most files that the home may hold.
    #[arg(long, value_name = "N", value_parser = limits::number)]
    quota_files: Option<i64>,
    /// The last day on which the user may log in.
    #[arg(long, value_name = "DATE", value_parser = date)]
    expires: Option<Date>,
    /// Have the user change the password with SITE PSWD before anything else.
    #[arg(long)]
    temporary: bool,
    #[command(flatten)]
    limits: limits::Options,
}

/// Adds the user.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let (judged, document) = edit::look(policy)?;
    if edit::has_user(&document, &arguments.name) {
        let name = &arguments.name;
        return Err(Failure::Failed(format!("there is a user {name} already; see portcullis user show {name}")));
    }
    if arguments.temporary && judged.config.as_ref().is_some_and(|config| config.password_changes.is_none()) {
        let name = &arguments.name;
        return Err(Failure::Failed(format!("--temporary would keep {name} out: {}", super::CANNOT_CHANGE)));
    }
    let new = arguments.origin.obtain(&arguments.name, &judged.passwords, &[])?;
    let home = add(arguments, &new, policy, &judged)?;
    say(format!("Added {}, whose files are in {}. {TAKES_EFFECT}", arguments.name, home.display()))?;
    match &new.generated {
        Some(password) => say(format!("password: {}\nIt is shown this once; only its hash is stored.", &**password)),
        None => Ok(()),
    }
}

/// Adds the user of a demonstration, with a generated password.
pub(in crate::cli) fn add_demo(policy: &Path, name: &Username, home: PathBuf) -> Result<New, Failure> {
    let (judged, _) = edit::look(policy)?;
    let new = password::generate(name, &judged.passwords)?;
    let arguments = Arguments {
        name: name.clone(),
        home,
        origin: Origin::default(),
        allow_from: Vec::new(),
        groups: Vec::new(),
        read_only: false,
        permissions: Vec::new(),
        quota_bytes: None,
        quota_files: None,
        expires: None,
        temporary: false,
        limits: limits::Options::default(),
    };
    add(&arguments, &new, policy, &judged)?;
    Ok(new)
}

fn add(arguments: &Arguments, new: &New, policy: &Path, judged: &Judged) -> Result<PathBuf, Failure> {
    let home = Home::make(&arguments.home, judged.run_as.as_ref())?;
    let table = |document: &DocumentMut| user_table(arguments, &home.path, &new.hash, document);
    let added = edit::edit(policy, |document| {
        let table = table(document)?;
        edit::insert(document, &arguments.name, table)
    });
    match added {
        Ok(()) => Ok(home.path),
        Err(failure) => {
            home.undo();
            Err(failure)
        }
    }
}

/// The directory of a user, and whether it was made here.
pub(super) struct Home {
    pub(super) path: PathBuf,
    made: bool,
}

impl Home {
    pub(super) fn make(given: &Path, run_as: Option<&RunAs>) -> Result<Self, Failure> {
        let io = |error: std::io::Error| Failure::io(given.display(), &error);
        let path = std::path::absolute(given).map_err(io)?;
        let found = directory::look(&path).map_err(io)?;
        match &found {
            Found::Directory => {}
            Found::Nothing => directory::make(&path, run_as).map_err(io)?,
            Found::DanglingLink(target) => {
                let (given, target) = (given.display(), Path::new(target).display());
                let message =
                    format!("{given} is a symbolic link to {target}, which does not exist: name the directory");
                return Err(Failure::Failed(message));
            }
            Found::Other => return Err(Failure::Failed(format!("{} is no directory", given.display()))),
        }
        let made = found == Found::Nothing;
        // A path with `..` is written as what it means; others stay as they were given.
        let dotted = path.components().any(|part| part == std::path::Component::ParentDir);
        let path = if dotted { path.canonicalize().map_err(io)? } else { path };
        if path.to_str().is_none() {
            return Err(Failure::Failed(format!("{} is no UTF-8 text", path.display())));
        }
        Ok(Self { path, made })
    }

    /// Takes an empty directory back that was made for nothing.
    pub(super) fn undo(self) {
        if self.made {
            let _ = std::fs::remove_dir(self.path);
        }
    }
}

fn user_table(arguments: &Arguments, home: &Path, hash: &str, document: &DocumentMut) -> Result<Table, Failure> {
    let mut table = Table::new();
    let mut set = |key: &str, value: Value| {
        table.insert(key, toml_edit::value(value));
    };
    set("home", home.display().to_string().into());
    set("password", hash.into());
    set("password-set", toml_date(today())?);
    if arguments.temporary {
        set("password-temporary", true.into());
    }
    if !arguments.groups.is_empty() {
        set("groups", arguments.groups.iter().collect::<Array>().into());
    }
    if let Some(permissions) = permissions(arguments.read_only, &arguments.permissions, &arguments.groups, document) {
        set("permissions", permissions);
    }
    if !arguments.allow_from.is_empty() {
        set("allow-from", arguments.allow_from.iter().map(ToString::to_string).collect::<Array>().into());
    }
    if let Some(bytes) = arguments.quota_bytes {
        set("quota-bytes", bytes.into());
    }
    if let Some(files) = arguments.quota_files {
        set("quota-files", files.into());
    }
    if let Some(date) = arguments.expires {
        set("expires", toml_date(date)?);
    }
    arguments.limits.write(&mut table);
    Ok(table)
}

/// What is written for the user itself; nothing where its groups decide.
pub(super) fn permissions(
    read_only: bool,
    stated: &[String],
    groups: &[String],
    document: &DocumentMut,
) -> Option<Value> {
    if read_only {
        return Some("read-only".into());
    }
    match stated {
        [] => {
            let of_group = |group: &String| document.get("group")?.get(group)?.get("permissions");
            let inherited = groups.iter().any(|group| of_group(group).is_some());
            (!inherited).then(|| "full".into())
        }
        [word] if word == "full" || word == "read-only" => Some(word.as_str().into()),
        words => Some(words.iter().collect::<Array>().into()),
    }
}

/// A date as TOML writes it.
pub(super) fn toml_date(date: Date) -> Result<Value, Failure> {
    let parsed: Result<toml_edit::Datetime, _> = date.to_string().parse();
    parsed.map(Value::from).map_err(|error| Failure::Failed(format!("{date}: {error}")))
}

pub(super) fn permission(text: &str) -> Result<String, String> {
    let word = text.trim();
    terms::permission(word).map(|_| word.to_owned()).ok_or_else(|| "no permission of this name".to_owned())
}

fn date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "a date such as 2027-06-30".to_owned())
}
