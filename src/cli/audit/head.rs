//! `portcullis audit head`: the newest signed head, for a witness elsewhere.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Source};
use crate::audit::head::{HEAD_NAME, SignedHead};
use crate::audit::keys::{former_path, public_path};
use crate::audit::signing::PublicKey;
use crate::cli::say;
use crate::config::audit::key_path;
use crate::config::files::{self, Links};
use crate::config::running;

/// Longest file of a head that is read, in bytes.
const HEAD_BYTES_MAX: u64 = 4096;

/// Print the newest signed head of the log, for a witness elsewhere.
///
/// It says how far the log went, and nobody without the key can make another. Mailed, printed or sent
/// to another machine, it proves later that the end of the log was cut off. Its signature is checked
/// where the public key can be found.
///
/// Exits with 0, and with 1 where there is no head or its signature is wrong.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis audit head
  portcullis audit head --json | ssh witness 'cat >> heads.jsonl'
  portcullis audit head --public-key audit.pub --log /backup/audit")]
pub(super) struct Arguments {
    /// Print the line of JSON as it is kept.
    #[arg(long)]
    json: bool,
    /// The public key, where it is not beside the one that server.toml names.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

/// Prints it.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let place = arguments.source.place(policy)?;
    let directory = if place.is_dir() { place.as_path() } else { place.parent().unwrap_or(Path::new("")) };
    let path = directory.join(HEAD_NAME);
    let content = files::read(&path, HEAD_BYTES_MAX, Links::Refuse).map_err(|error| {
        Failure::Failed(format!("{}: {error}; the server writes it when it starts", path.display()))
    })?;
    let line = content.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let head = serde_json::from_slice::<SignedHead>(line).ok().filter(is_plain);
    let Some(head) = head else {
        let message =
            format!("{}: no signed head, or one that was cut short; the server writes the next", path.display());
        return Err(Failure::Failed(message));
    };
    let key = key(arguments, policy, &head.key)?;
    let known = key.filter(|key| key.id() == head.key || arguments.public_key.is_some());
    if let Some(key) = known.filter(|key| !head.is_by(*key)) {
        let message = format!("{}: its signature is not one by the key {}", path.display(), key.id());
        return Err(Failure::Failed(message));
    }
    if arguments.json {
        return say(serde_json::to_string(&head).map_err(|error| Failure::Failed(error.to_string()))?);
    }
    let signature = if known.is_some() { "right, by this key" } else { "not checked: --public-key names the key" };
    let SignedHead { log, seq, hash, time, key, signature: text } = &head;
    say(format!(
        "log        {log}\nrecord     {seq}\nhash       {hash}\nsigned     {time}\nkey        {key}\nsignature  {text}\n           \
         {signature}"
    ))
}

/// Whether it can be shown as it is: whoever can write the file may have put anything there.
fn is_plain(head: &SignedHead) -> bool {
    let SignedHead { log, seq: _, hash, time, key, signature } = head;
    [log, hash, time, key, signature].iter().all(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// The key that was named, or the one with this id, former or not, that lies beside that of the server.
fn key(arguments: &Arguments, policy: &Path, id: &str) -> Result<Option<PublicKey>, Failure> {
    let path = match (&arguments.public_key, running::audit(policy)) {
        (Some(path), _) => path.clone(),
        (None, Ok(Some(audit))) => {
            let key = key_path(&audit);
            let former = former_path(&key, id);
            if id.bytes().all(|byte| byte.is_ascii_hexdigit()) && former.is_file() { former } else { public_path(&key) }
        }
        // The log was named; the policy need not be here.
        (None, _) => return Ok(None),
    };
    let named = arguments.public_key.is_some();
    let content = match files::read(&path, files::PEM_BYTES_MAX, Links::Follow) {
        Ok(content) => content,
        Err(_) if !named => return Ok(None),
        Err(error) => return Err(Failure::io(path.display(), &error)),
    };
    let key = PublicKey::from_pem(&content.bytes);
    key.map(Some).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}
