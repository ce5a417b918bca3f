//! `portcullis cert`: one file per command; `make` makes what is signed, `install` puts a pair of
//! files into the place of another.

mod check;
mod client;
mod csr;
mod import;
mod inspect;
mod install;
pub(super) mod make;
mod metrics;
mod new;

pub(super) use check::end_of;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;
use toml_edit::{Array, InlineTable};

use super::deployment::write_new;
use super::doctor::report::harmless;
use super::{Failure, say};
use crate::audit::text::is_harmful;
use crate::config::files::{self, Content, Links};
use crate::config::load::{self, Reach};
use crate::config::shell::word;
use crate::config::{Config, Problems};
use crate::proto::host::{self, ServerName};
use crate::settings::Identity;

/// The server's certificate, as `init` calls it too.
const CERTIFICATE_FILE: &str = "server.pem";
/// Its key.
const KEY_FILE: &str = "server.key";

/// How a collection of certificates begins as text (RFC 7468 §8).
const PKCS7: &[u8] = b"-----BEGIN PKCS7-----";

/// Make, request, install and look at certificates.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis cert csr --name files.example.org --out ./request
  portcullis cert import --certificate signed.pem --key ./request/server.key
  portcullis cert check")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::Arguments),
    Csr(csr::Arguments),
    Import(import::Arguments),
    Inspect(inspect::Arguments),
    Check(check::Arguments),
    Client(client::Arguments),
}

/// Runs a command about certificates.
pub(super) fn run(arguments: Arguments, policy: &Path) -> Result<(), Failure> {
    match arguments.command {
        Command::New(arguments) => new::run(&arguments),
        Command::Csr(arguments) => csr::run(&arguments),
        Command::Import(arguments) => import::run(&arguments, policy),
        Command::Inspect(arguments) => inspect::run(&arguments, policy),
        Command::Check(arguments) => check::run(&arguments, policy),
        Command::Client(arguments) => client::run(arguments, policy),
    }
}

/// Reads a name for a certificate from the command line.
fn server_name(text: &str) -> Result<String, String> {
    let help = "a name is files.example.org, *.example.org or 192.0.2.1, without a port; one with other letters than \
                a to z is written in its form for the DNS (xn--…)";
    ServerName::parse(text).map(|name| name.to_string()).map_err(|_| help.to_owned())
}

/// The names without repetition, in their order.
fn distinct(names: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

/// The policy by its texts alone: the files that it names may be what is to be mended.
fn config(policy: &Path) -> Result<Config, Failure> {
    let judged = load::judge(policy, &load::read_texts(policy)?, &[], Reach::Text);
    let mut config = judged.config.ok_or_else(|| Failure::Policy(Problems::new(judged.problems)))?;
    for identity in &mut config.tls.identities {
        identity.certificate = without_detours(&identity.certificate);
        identity.key = without_detours(&identity.key);
    }
    Ok(config)
}

/// The path with its directory as short as it goes: policy files often say `../certs`. A link in the
/// place of the file itself stays one.
fn without_detours(path: &Path) -> PathBuf {
    let directory = path.parent().and_then(|parent| parent.canonicalize().ok());
    directory.zip(path.file_name()).map_or_else(|| path.to_owned(), |(directory, name)| directory.join(name))
}

/// The identity that is meant: by its number from 1, by a name that it has or covers, or the only
/// one there is.
fn chosen<'a>(config: &'a Config, wanted: Option<&str>) -> Result<&'a Identity, Failure> {
    let all = &config.tls.identities;
    let known = || {
        let line = |(number, identity): (usize, &Identity)| format!("\n  {number}  {}", names_of(identity));
        (1_usize..).zip(all).map(line).collect::<String>()
    };
    let Some(wanted) = wanted else {
        return match all.as_slice() {
            [only] => Ok(only),
            _ => Err(Failure::Failed(format!("[tls] has several identities: choose one with --identity:{}", known()))),
        };
    };
    let found = match wanted.parse::<usize>() {
        Ok(number) => number.checked_sub(1).and_then(|at| all.get(at)),
        Err(_) => ServerName::parse(wanted).ok().and_then(|name| {
            let exactly = all.iter().find(|identity| identity.names.contains(&name));
            exactly.or_else(|| host::belongs_to(all, |identity| &identity.names, &name.example()))
        }),
    };
    let none = || format!("[tls] has no identity {}; it has:{}", word(wanted), known());
    found.ok_or_else(|| Failure::Failed(none()))
}

/// The names of an identity, for people.
fn names_of(identity: &Identity) -> String {
    identity.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Reads a file that somebody names; never waits for a FIFO.
fn read(path: &Path) -> Result<Content, Failure> {
    files::read(path, files::PEM_BYTES_MAX, Links::Follow).map_err(|error| Failure::io(path.display(), &error))
}

/// What to do with a file that has nothing readable in it: authorities send other forms than PEM.
fn converting(file: &Path, bytes: &[u8]) -> Option<String> {
    let file = pasted(file);
    // DER begins with a SEQUENCE.
    if bytes.first() == Some(&0x30) {
        return Some(format!(
            "it is binary; make PEM of it: openssl x509 -inform DER -in {file} -out NEW.pem, or, of a .p7b: openssl pkcs7 \
             -inform DER -print_certs -in {file} -out NEW.pem, or, of a .pfx or .p12: openssl pkcs12 -noenc -in {file} \
             -out NEW.pem"
        ));
    }
    let is_collection = bytes.windows(PKCS7.len()).any(|window| window == PKCS7);
    is_collection.then(|| {
        format!(
            "it is a PKCS #7 collection; take its certificates out: openssl pkcs7 -print_certs -in {file} -out NEW.pem"
        )
    })
}

/// Prints a JSON object. What could disguise text on a terminal is escaped, which no reader of
/// JSON notices.
fn say_json(value: &Value) -> Result<(), Failure> {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if is_harmful(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
    say(text)
}

/// The text with every line made harmless to a terminal: certificates say what their makers like.
fn harmless_lines(text: &str) -> String {
    text.lines().map(harmless).collect::<Vec<_>>().join("\n")
}

/// A file to write: its path, its text and its mode.
type ToWrite<'a> = (PathBuf, &'a str, u32);

/// Writes files none of which may be there.
fn write_all(files: &[ToWrite<'_>]) -> Result<(), Failure> {
    for (path, ..) in files {
        if let Some(parent) = path.parent() {
            crate::config::directory::make_passable(parent).map_err(|error| Failure::io(parent.display(), &error))?;
        }
    }
    for (place, (path, text, mode)) in files.iter().enumerate() {
        if let Err(error) = write_new(path, text, *mode) {
            // Half of what belongs together would only hinder the next attempt. What was there before
            // somebody else made: it stays.
            let made = place.saturating_add(usize::from(error.kind() != ErrorKind::AlreadyExists));
            for (path, ..) in files.iter().take(made) {
                let _ = std::fs::remove_file(path);
            }
            return Err(Failure::io(path.display(), &error));
        }
    }
    Ok(())
}

/// Refuses to go on where one of the files is there already.
fn refuse_to_overwrite(paths: &[PathBuf]) -> Result<(), Failure> {
    let there: Vec<String> =
        paths.iter().filter(|path| path.symlink_metadata().is_ok()).map(|path| path.display().to_string()).collect();
    if there.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "these are there already, so nothing was written: {}; choose another directory with --out",
        there.join(", ")
    )))
}

/// The file in a directory, as an absolute path.
fn absolute(directory: &Path, file: &str) -> PathBuf {
    let path = directory.join(file);
    std::path::absolute(&path).unwrap_or(path)
}

/// A path as a word of a command line to paste.
fn pasted(path: &Path) -> String {
    word(&path.display().to_string())
}

/// The line of `[tls] identities` for the names and files.
fn identity_line(names: &[String], certificate: &Path, key: &Path) -> String {
    let mut table = InlineTable::new();
    table.insert("names", toml_edit::Value::Array(names.iter().map(String::as_str).collect::<Array>()));
    table.insert("certificate", certificate.display().to_string().into());
    table.insert("key", key.display().to_string().into());
    format!("{table},")
}
