//! `portcullis policy`.

mod check;

use std::path::Path;

use clap::{Args, Subcommand};

use super::Failure;

/// Look at the policy.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis policy check")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
}

/// Runs a command about the policy.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    match &arguments.command {
        Command::Check(arguments) => check::run(arguments, policy),
    }
}
