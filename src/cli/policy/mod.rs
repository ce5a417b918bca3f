//! `portcullis policy`.

mod check;
mod diff;
mod explain;
mod schema;
mod test;

use std::path::Path;

use clap::{Args, Subcommand};

use super::Failure;
use crate::config::{Config, Override};

/// Look at the policy.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis policy check
  portcullis policy explain alice --from 192.0.2.7 STOR /in/a.csv
  portcullis policy test
  portcullis policy diff ./before ./policy
  portcullis policy schema users > users.schema.json")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
    Explain(explain::Arguments),
    Test(test::Arguments),
    Diff(diff::Arguments),
    Schema(schema::Arguments),
}

/// Runs a command about the policy.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    match &arguments.command {
        Command::Check(arguments) => check::run(arguments, policy),
        Command::Explain(arguments) => explain::run(arguments, policy),
        Command::Test(arguments) => test::run(arguments, policy),
        Command::Diff(arguments) => diff::run(arguments),
        Command::Schema(arguments) => schema::run(arguments),
    }
}

/// Reads the policy, as the server does or by its text alone.
fn load(policy: &Path, overrides: &[Override], text_only: bool) -> Result<Config, Failure> {
    let loaded = if text_only { Config::load_text(policy, overrides) } else { Config::load(policy, overrides) };
    Ok(loaded?.config)
}
