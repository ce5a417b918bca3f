//! `portcullis audit`.

mod files;
mod filters;
mod findings;
mod head;
mod keep;
mod key;
mod knowledge;
mod report;
mod search;
mod session;
mod shown;
mod tail;
mod verify;
mod who;
mod words;

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
  portcullis audit head
  portcullis audit key show
  portcullis audit verify --public-key audit.pub --witness heads.jsonl
  portcullis audit search --event auth.failure --from 1d
  portcullis audit tail --follow
  portcullis audit session 01M825SED72M06C6JNSX8THYE4
  portcullis audit who /in/report.csv
  portcullis audit report --from 24h --out report.html
  portcullis audit findings --from 7d")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Files(files::Arguments),
    Keep(keep::Arguments),
    Head(head::Arguments),
    Key(key::Arguments),
    Verify(verify::Arguments),
    Search(Box<search::Arguments>),
    Tail(Box<tail::Arguments>),
    Session(session::Arguments),
    Who(who::Arguments),
    Report(report::Arguments),
    Findings(findings::Arguments),
}

/// Runs a command about the audit log.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    match &arguments.command {
        Command::Files(arguments) => files::run(arguments, policy),
        Command::Keep(arguments) => keep::run(arguments),
        Command::Head(arguments) => head::run(arguments, policy),
        Command::Key(arguments) => key::run(arguments, policy),
        Command::Verify(arguments) => verify::run(arguments, policy),
        Command::Search(arguments) => search::run(arguments, policy),
        Command::Tail(arguments) => tail::run(arguments, policy),
        Command::Session(arguments) => session::run(arguments, policy),
        Command::Who(arguments) => who::run(arguments, policy),
        Command::Report(arguments) => report::run(arguments, policy),
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
    /// Whether the command line says which.
    fn is_named(&self) -> bool {
        self.log.is_some()
    }

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
