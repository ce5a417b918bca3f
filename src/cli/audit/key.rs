//! `portcullis audit key`: the key that signs the log.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Failure, Source};
use crate::audit::keys::{self, Keys, Succession, public_path, succession_path};
use crate::audit::signing::{PublicKey, SigningKey};
use crate::cli::say;
use crate::config::audit::{key_path, read_keys};
use crate::config::files::{self, Links};
use crate::config::{RunAs, running};
use crate::trail::entry::Entry;
use crate::trail::files::{FilesError, find};
use crate::trail::lines::Lines;

/// Make, show or replace the key that signs the log.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis audit key show
  portcullis audit key new --key /etc/portcullis/certs/audit.key
  portcullis audit key rotate")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(Where),
    Show(Show),
    Rotate(Rotate),
}

/// Which key.
#[derive(Debug, Args)]
struct Key {
    /// The file of the private key, where it is not the one that server.toml names.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Make a key where none is, with its public half beside it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis audit key new
  portcullis audit key new --key /etc/portcullis/certs/audit.key")]
struct Where {
    #[command(flatten)]
    key: Key,
}

/// Show the public half of the key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis audit key show
  portcullis audit key show --json
  portcullis audit key show --pem > /media/auditor/audit.pub")]
struct Show {
    #[command(flatten)]
    key: Key,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    /// The public key alone, as PEM.
    #[arg(long, conflicts_with = "json")]
    pem: bool,
}

/// Replace the key by a new one, which the old one signs.
///
/// A running server goes on with the old key, and signs with the new one from its next start on,
/// which it records. The public half of the old key is kept beside the new one, under its id.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis audit key rotate
  portcullis audit key rotate --key /etc/portcullis/certs/audit.key")]
struct Rotate {
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    source: Source,
}

impl Key {
    fn path(&self, policy: &Path) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.key {
            return Ok(path.clone());
        }
        let audit = running::audit(policy)?;
        // Without [audit] there is a problem, which was told.
        audit
            .map(|audit| key_path(&audit))
            .ok_or_else(|| Failure::Failed("no key is named; --key names one".to_owned()))
    }
}

/// Makes, shows or replaces.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    match &arguments.command {
        Command::New(arguments) => new(arguments, policy),
        Command::Show(arguments) => show(arguments, policy),
        Command::Rotate(arguments) => rotate(arguments, policy),
    }
}

fn generate() -> Result<SigningKey, Failure> {
    SigningKey::generate().map_err(|error| Failure::Failed(error.to_string()))
}

fn new(arguments: &Where, policy: &Path) -> Result<(), Failure> {
    let path = arguments.key.path(policy)?;
    if public_path(&path) == path || succession_path(&path) == path {
        let name = path.display();
        return Err(Failure::Failed(format!("{name} is how its public half would be called; call it audit.key")));
    }
    let key = generate()?;
    keys::write_pair(&path, &key).map_err(|(path, error)| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::Failed(format!("{} is there already; `portcullis audit key rotate` replaces it", path.display()))
        }
        _ => Failure::io(path.display(), &error),
    })?;
    let (public, id) = (public_path(&path), key.public().id());
    say(format!(
        "Wrote {} and {}.\n\nkey  {id}\n\nGive the public half to whoever verifies the log, and name the private one in \
         server.toml:\n  [audit]\n  signing-key = \"{}\"\nThe server reads it when it starts.",
        path.display(),
        public.display(),
        path.display()
    ))
}

/// The public half, from its own file where the private one may not be read.
fn public(path: &Path) -> Result<PublicKey, Failure> {
    let public = public_path(path);
    match files::read(path, files::PEM_BYTES_MAX, Links::Follow) {
        Ok(content) => {
            let key = SigningKey::from_pem(&content.bytes);
            key.map(|key| key.public()).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
        }
        Err(error) => {
            let Ok(content) = files::read(&public, files::PEM_BYTES_MAX, Links::Follow) else {
                return Err(Failure::io(path.display(), &error));
            };
            PublicKey::from_pem(&content.bytes)
                .map_err(|error| Failure::Failed(format!("{}: {error}", public.display())))
        }
    }
}

fn show(arguments: &Show, policy: &Path) -> Result<(), Failure> {
    let path = arguments.key.path(policy)?;
    let public = public(&path)?;
    if arguments.pem {
        return say(public.to_pem().trim_end());
    }
    if arguments.json {
        return say(
            json!({ "key": public.id(), "public_key": public.to_base64(), "file": path.display().to_string() }),
        );
    }
    say(format!("key         {}\npublic key  {}\nfile        {}", public.id(), public.to_base64(), path.display()))
}

/// The id of the log that the key signs; none where there is no log yet.
fn log_id(place: &Path) -> Result<Option<String>, Failure> {
    let files = match find(place) {
        Ok(files) => files,
        Err(FilesError::NoLog(_)) => return Ok(None),
        Err(FilesError::Io(_, error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::Failed(format!("{error}; --log names another place"))),
    };
    // The newest says it; one that is empty was begun a moment ago.
    for file in files.iter().rev() {
        let one = [file.clone()];
        let first = Lines::of(&one)
            .read_next()
            .map_err(|(_, error)| Failure::io(file.path.display(), &error))?
            .and_then(|line| Entry::parse(line.bytes).ok()?.detail_text("log"));
        if first.is_some() {
            return Ok(first);
        }
    }
    Ok(None)
}

fn rotate(arguments: &Rotate, policy: &Path) -> Result<(), Failure> {
    let path = arguments.key.path(policy)?;
    let owner = path.metadata().map_err(|error| Failure::io(path.display(), &error))?;
    // Where the account that serves reads it, root may replace it all the same.
    let holder = RunAs { name: String::new(), uid: owner.uid(), gid: owner.gid() };
    let Keys { key: old, mut successions } =
        read_keys(&path, Some(&holder)).map_err(|problem| Failure::Failed(problem.text(&path)))?;
    let log = log_id(&arguments.source.place(policy)?)?;
    let new = generate()?;
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Failure::io(path, &error)
    };
    let kept = keys::former_path(&path, &old.public().id());
    keys::write(&kept, &old.public().to_pem(), 0o644, true).map_err(failed(&kept))?;
    if let Some(log) = &log {
        successions.push(Succession::sign(log, &old, new.public()));
        let lines: Result<Vec<String>, _> = successions.iter().map(Succession::to_line).collect();
        let text = lines.map_err(|error| Failure::Failed(error.to_string()))?.join("\n") + "\n";
        // First: without the new key it changes nothing, and the new key is nothing without it.
        keys::write(&succession_path(&path), &text, 0o644, true).map_err(failed(&succession_path(&path)))?;
    }
    let text = new.to_pem().map_err(|error| Failure::Failed(error.to_string()))?;
    keys::write(&path, &text, 0o400, true).map_err(failed(&path))?;
    if rustix::process::geteuid().is_root() {
        // Whoever read the old one reads the new one.
        let kept = chown(&path, Some(owner.uid()), Some(owner.gid()))
            .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(owner.mode() & 0o640)));
        kept.map_err(failed(&path))?;
    }
    let public = public_path(&path);
    keys::write(&public, &new.public().to_pem(), 0o644, true).map_err(failed(&public))?;
    let signed = match &log {
        Some(log) => format!("The old key named it as its successor in the log {log}."),
        None => "There is no log yet that the old key signed.".to_owned(),
    };
    say(format!(
        "Wrote {}: the new key.\n\nbefore  {} (public half: {})\nnow     {}\n\n{signed} A running server goes on with the \
         old key; the next start records the change and signs with the new one.",
        path.display(),
        old.public().id(),
        kept.display(),
        new.public().id(),
    ))
}
