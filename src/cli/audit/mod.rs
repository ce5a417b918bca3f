//! `portcullis audit`.

mod files;
mod findings;
mod knowledge;
mod moment;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Failure;
use crate::config::running;
use crate::trail::files::{LogFile, find};

/// Look at the audit log.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis audit files
  portcullis audit files --log /backup/audit --json
  portcullis audit findings --from 7d")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Files(files::Arguments),
    Findings(findings::Arguments),
}

/// Runs a command about the audit log.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    match &arguments.command {
        Command::Files(arguments) => files::run(arguments, policy),
        Command::Findings(arguments) => findings::run(arguments, policy),
    }
}

/// Which log is looked at.
#[derive(Debug, Args)]
struct Source {
    /// The directory of the log, or one file of it, where it is not the one that server.toml names.
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,
}

impl Source {
    /// The directory of the log, or its one file.
    fn place(&self, policy: &Path) -> Result<PathBuf, Failure> {
        match &self.log {
            Some(place) => Ok(place.clone()),
            None => Ok(running::audit_directory(policy)?),
        }
    }

    /// The files of the log.
    fn files(&self, policy: &Path) -> Result<Vec<LogFile>, Failure> {
        find(&self.place(policy)?).map_err(|error| Failure::Failed(format!("{error}; --log names another place")))
    }
}
