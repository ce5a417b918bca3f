//! `portcullis drain`.

use std::path::Path;

use super::control::{Socket, ask, json, other_answer};
use super::{Failure, say};
use crate::daemon::calls::{Answer, Call, DrainStatus, Draining};

/// Let nobody new in, and stop once the last session has ended.
///
/// Who is connected goes on, and new connections hear 421. `--cancel` takes it back as long as
/// sessions are left. To stop without that patience, send SIGTERM.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis drain
  portcullis drain --within 600
  portcullis drain --cancel")]
pub(super) struct Arguments {
    /// Stop after so many seconds even where sessions are left; their transfers
    /// then have the time of `limits.drain-seconds`.
    #[arg(long, value_name = "SECONDS")]
    within: Option<u64>,
    /// Let everybody in again.
    #[arg(long, conflicts_with = "within")]
    cancel: bool,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Asks for it and says how it stands.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let call = Call::Drain(Draining { within_seconds: arguments.within, cancel: arguments.cancel });
    let Answer::Drain(status) = ask(&call, &arguments.socket, policy)? else { return Err(other_answer()) };
    if arguments.json { json(&status) } else { say(told(&status)) }
}

/// How it stands, in a line.
pub(super) fn told(status: &DrainStatus) -> String {
    if !status.draining {
        return "The server goes on, and lets everybody in again.".to_owned();
    }
    let latest = status.until.as_ref().map(|until| format!(", at the latest {until}")).unwrap_or_default();
    format!("Nobody new is let in; the server stops with its last session{latest}. Sessions left: {}.", status.sessions)
}
