//! `portcullis user`: the users of users.toml.

mod add;
mod audit;
mod certificates;
mod edit;
mod former;
mod import;
mod limits;
mod list;
mod passwd;
mod show;
mod state;
mod totp;

pub(super) use audit::last_logins;
use std::path::Path;

use clap::{Args, Subcommand};

use super::Failure;
use crate::identity::Username;

pub(super) use add::add_demo;
pub(super) use certificates::add_certificate;

/// Add, change and list users.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis user add alice --home /srv/files/alice
  portcullis user passwd alice --generate
  portcullis user totp enable alice
  portcullis user audit
  portcullis user list")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Box<add::Arguments>),
    Passwd(passwd::Arguments),
    List(list::Arguments),
    Show(show::Arguments),
    Enable(state::Enable),
    Disable(state::Disable),
    Remove(state::Remove),
    Totp(totp::Arguments),
    Audit(audit::Arguments),
    Import(import::Arguments),
}

/// Runs a command about users.
pub(super) fn run(arguments: Arguments, policy: &Path) -> Result<(), Failure> {
    match arguments.command {
        Command::Add(arguments) => add::run(&arguments, policy),
        Command::Passwd(arguments) => passwd::run(&arguments, policy),
        Command::List(arguments) => list::run(&arguments, policy),
        Command::Show(arguments) => show::run(&arguments, policy),
        Command::Enable(arguments) => state::enable(&arguments, policy),
        Command::Disable(arguments) => state::disable(&arguments, policy),
        Command::Remove(arguments) => state::remove(&arguments, policy),
        Command::Totp(arguments) => totp::run(&arguments, policy),
        Command::Audit(arguments) => audit::run(&arguments, policy),
        Command::Import(arguments) => import::run(&arguments, policy),
    }
}

/// Whether users.toml has the user.
pub(super) fn exists(policy: &Path, name: &Username) -> Result<bool, Failure> {
    edit::look(policy).map(|(_, document)| edit::has_user(&document, name))
}

/// Reads a user name from the command line.
fn username(text: &str) -> Result<Username, String> {
    Username::parse(text).map_err(|error| error.to_string())
}

/// When a change of users.toml counts.
const TAKES_EFFECT: &str = "A running server knows of it once its policy is read again: portcullis reload, or SIGHUP.";

/// Why a user cannot change the own password, and what to do about it.
const CANNOT_CHANGE: &str = "the user cannot change the password; [passwords] changes and password-change permit it";

#[cfg(test)]
mod tests;
