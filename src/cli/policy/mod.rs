//! `portcullis policy`.

mod check;
mod schema;

use std::path::Path;

use clap::{Args, Subcommand};

use super::Failure;

/// Look at the policy.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  portcullis policy check\n  portcullis policy schema users > users.schema.json")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
    Schema(schema::Arguments),
}

/// Runs a command about the policy.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    match &arguments.command {
        Command::Check(arguments) => check::run(arguments, policy),
        Command::Schema(arguments) => schema::run(arguments),
    }
}
