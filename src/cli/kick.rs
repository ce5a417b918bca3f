//! `portcullis kick`.

use std::path::Path;

use super::control::{Socket, ask, json, other_answer};
use super::{Failure, say};
use crate::daemon::calls::{Answer, Call, Kicked, Kicking};

/// End sessions now, also in the middle of a transfer.
///
/// The client hears 421; what it has uploaded so far is kept for it to resume. It may log in again:
/// `ban` keeps an address out, `user disable` and `reload` a user. Exits with 1 where no session is
/// meant.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["session", "user", "address"]), after_help = "\
Examples:
  portcullis kick 01KB3M5Q
  portcullis kick --user alice --reason 'left the company'
  portcullis kick --address 192.0.2.0/24")]
pub(super) struct Arguments {
    /// The session whose id begins so.
    session: Option<String>,
    /// Every session of this user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Every session from this address or network.
    #[arg(long, value_name = "NET")]
    address: Option<String>,
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Asks for it and says how many.
pub(super) fn run(arguments: Arguments, policy: &Path) -> Result<(), Failure> {
    let Arguments { session, user, address, reason, json: as_json, socket } = arguments;
    let call = Call::Kick(Kicking { session, user, address, reason });
    let Answer::Kick(kicked) = ask(&call, &socket, policy)? else { return Err(other_answer()) };
    if as_json { json(&kicked) } else { say(told(kicked)) }
}

/// What came of it.
pub(super) fn told(kicked: Kicked) -> String {
    let ending = match kicked.ending {
        0 => String::new(),
        ending => format!("; {ending} of them take a moment longer"),
    };
    format!("Sessions ended: {}{ending}.", kicked.sessions)
}
