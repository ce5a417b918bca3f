//! `portcullis user import`: users of other servers, with the hashes that they have.

mod lines;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, Table, Value};

use super::super::{Failure, complain, say, today};
use super::add::{Home, permission, permissions, toml_date};
use super::{TAKES_EFFECT, edit};
use lines::{Format, Imported};

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Take users over from another server: all of a file, or nothing.
///
/// Hashes are taken that can be verified here: Argon2id, Argon2i, bcrypt, SHA-256-crypt and
/// SHA-512-crypt. With [passwords] changes, each becomes one of Argon2id when its user first logs in.
/// Homes that are not there are made, as `user add` does.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option by itself")]
#[command(after_help = "\
Examples:
  portcullis user import --format pure-ftpd /etc/pureftpd.passwd --dry-run
  portcullis user import --format proftpd ftpd.passwd --group partners
  portcullis user import --format passwd .htpasswd --home-base /srv/files")]
pub(super) struct Arguments {
    /// The file; - reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What wrote the file.
    #[arg(long, value_enum)]
    format: Format,
    /// The directory of the homes, each named as its user; homes in the file do not count then.
    #[arg(long, value_name = "DIR")]
    home_base: Option<PathBuf>,
    /// A group of users.toml to which the users belong; repeats.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Let the users list and read, and change nothing.
    #[arg(long, conflicts_with = "permissions")]
    read_only: bool,
    /// What the users may do, separated by commas.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = permission)]
    permissions: Vec<String>,
    /// Have the users change their passwords before anything else.
    #[arg(long)]
    temporary: bool,
    /// Leave lines out that cannot be taken.
    #[arg(long)]
    skip_refused: bool,
    /// Tell what would be done, and do nothing. Whether the homes will do is seen when they are there.
    #[arg(long)]
    dry_run: bool,
}

/// Takes the users over.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let text = text(&arguments.file)?;
    let (judged, document) = edit::look(policy)?;
    if arguments.temporary && judged.config.as_ref().is_some_and(|config| config.password_changes.is_none()) {
        return Err(Failure::Failed(format!("--temporary would keep the users out: {}", super::CANNOT_CHANGE)));
    }
    let (taken, refused) = read(&text, arguments, &document);
    for (line, why) in &refused {
        complain(&format!("{}:{line}: {why}", arguments.file.display()));
    }
    for (line, (user, _)) in taken.iter().filter(|(_, (user, _))| !user.dropped.is_empty()) {
        let dropped = user.dropped.join(", ");
        complain(&format!("{}:{line}: note: no counterpart here, left out: {dropped}", arguments.file.display()));
    }
    if !refused.is_empty() && !arguments.skip_refused {
        let count = refused.len();
        let lines = if count == 1 { "1 line cannot".to_owned() } else { format!("{count} lines cannot") };
        return Err(Failure::Failed(format!(
            "{lines} be taken, so nothing was changed; --skip-refused leaves them out"
        )));
    }
    if taken.is_empty() {
        return Err(Failure::Failed("the file has no user that can be taken".to_owned()));
    }
    for (_, (user, home)) in &taken {
        say(format!("{}: {}, a hash of {}", user.name, home.display(), user.kind.name()))?;
    }
    if arguments.dry_run {
        let homes = taken.iter().map(|(_, (_, home))| home.as_path());
        edit::rehearse(policy, |document| insert(&taken, homes, arguments, document))?;
        return say(format!("{} would be added. Nothing was changed.", users(taken.len())));
    }
    let mut homes = Vec::new();
    let added = taken
        .iter()
        .try_for_each(|(_, (_, home))| {
            homes.push(Home::make(home, judged.run_as.as_ref())?);
            Ok(())
        })
        .and_then(|()| {
            let homes = homes.iter().map(|home| home.path.as_path());
            edit::edit(policy, |document| insert(&taken, homes, arguments, document))
        });
    if let Err(failure) = added {
        homes.into_iter().for_each(Home::undo);
        return Err(failure);
    }
    say(format!("Added {}. {TAKES_EFFECT}", users(taken.len())))
}

/// Puts the users behind those that are there.
fn insert<'a>(
    taken: &Taken,
    homes: impl Iterator<Item = &'a Path>,
    arguments: &Arguments,
    document: &mut DocumentMut,
) -> Result<(), Failure> {
    for ((_, (user, _)), home) in taken.iter().zip(homes) {
        let table = table(user, home, arguments, document)?;
        edit::insert(document, &user.name, table)?;
    }
    Ok(())
}

fn users(count: usize) -> String {
    if count == 1 { "1 user".to_owned() } else { format!("{count} users") }
}

fn text(file: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let io = |error: std::io::Error| Failure::io(file.display(), &error);
    let mut bytes = Vec::new();
    let reader: Box<dyn std::io::Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(io)?)
    };
    let read = reader.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(Failure::Failed(format!("{} is too large", file.display())));
    }
    String::from_utf8(bytes).map_err(|_| Failure::Failed(format!("{} is no UTF-8 text", file.display())))
}

type Taken = Vec<(usize, (Imported, PathBuf))>;
type Refused = Vec<(usize, String)>;

/// Every line, with its number: those that can be taken, and why others cannot.
fn read(text: &str, arguments: &Arguments, document: &DocumentMut) -> (Taken, Refused) {
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !lines::is_empty(line)) {
        let user = lines::read(line, arguments.format).and_then(|user| {
            let home = home(&user, arguments)?;
            if edit::has_user(document, &user.name) {
                return Err(format!("there is a user {} already", user.name));
            }
            if !names.insert(user.name.as_str().to_lowercase()) {
                return Err(format!("{} stands further up already", user.name));
            }
            Ok((user, home))
        });
        let number = index.saturating_add(1);
        match user {
            Ok(user) => taken.push((number, user)),
            Err(why) => refused.push((number, why)),
        }
    }
    (taken, refused)
}

fn home(user: &Imported, arguments: &Arguments) -> Result<PathBuf, String> {
    match (&arguments.home_base, &user.home) {
        (Some(base), _) => Ok(base.join(user.name.as_str())),
        (None, Ok(Some(home))) => Ok(PathBuf::from(home)),
        (None, Ok(None)) => Err("the line names no home; --home-base DIR gives one".to_owned()),
        (None, Err(why)) => Err(why.clone()),
    }
}

fn table(user: &Imported, home: &Path, arguments: &Arguments, document: &DocumentMut) -> Result<Table, Failure> {
    let mut table = Table::new();
    let mut set = |key: &str, value: Value| {
        table.insert(key, toml_edit::value(value));
    };
    set("home", home.display().to_string().into());
    set("password", user.hash.as_str().into());
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
    let limits = &user.limits;
    for (key, networks) in [("allow-from", &limits.allow_from), ("deny-from", &limits.deny_from)] {
        if !networks.is_empty() {
            set(key, networks.iter().map(ToString::to_string).collect::<Array>().into());
        }
    }
    for (key, number) in [
        ("sessions", limits.sessions),
        ("upload-bytes-per-second", limits.upload_bytes_per_second),
        ("download-bytes-per-second", limits.download_bytes_per_second),
        ("quota-bytes", limits.quota_bytes),
        ("quota-files", limits.quota_files),
    ] {
        if let Some(number) = number {
            let number =
                i64::try_from(number).map_err(|_| Failure::Failed(format!("{}: `{key}` is too large", user.name)))?;
            set(key, number.into());
        }
    }
    if let Some(hours) = &limits.hours {
        set("hours", std::iter::once(hours.as_str()).collect::<Array>().into());
    }
    Ok(table)
}
