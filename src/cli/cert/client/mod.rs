//! `portcullis cert client`: certificates for clients, from a local CA. `store` is the directory of
//! the CA, with what it issued and the list of what it revoked.

mod issue;
mod list;
mod revoke;
mod store;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::super::Failure;
use super::config;

/// Issue, revoke and list certificates of clients.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis cert client issue alice --user alice --out ./alice
  portcullis cert client list
  portcullis cert client revoke alice")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Issue(issue::Arguments),
    Revoke(revoke::Arguments),
    List(list::Arguments),
}

/// Runs a command about certificates of clients.
pub(super) fn run(arguments: Arguments, policy: &Path) -> Result<(), Failure> {
    match arguments.command {
        Command::Issue(arguments) => issue::run(&arguments, policy),
        Command::Revoke(arguments) => revoke::run(&arguments, policy),
        Command::List(arguments) => list::run(&arguments, policy),
    }
}

/// The directory of the CA: as given, or where the policy has the authorities of clients, or beside
/// the policy.
fn directory(given: Option<&PathBuf>, policy: &Path) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return Ok(given.clone());
    }
    let clients = config(policy)?.tls.clients;
    let named = clients.as_ref().and_then(|clients| clients.authorities.parent());
    Ok(named.map_or_else(|| policy.join("../certs/clients"), Path::to_owned))
}
