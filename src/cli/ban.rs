//! `portcullis ban`, `unban` and `bans`.

use std::path::Path;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::control::{Socket, ask, escaped, json, other_answer};
use super::init::network;
use super::table::{Align, aligned, cut, terminal_width, time};
use super::{Failure, say, until};
use crate::daemon::calls::{Answer, BanLine, Banned, Banning, Call, Unbanned, Unbanning};

/// How long a ban lasts of which nothing else is said.
const USUALLY: SignedDuration = SignedDuration::from_hours(24);

/// Let nobody from an address or network in, and end its sessions.
///
/// For a day, unless said otherwise. It holds across reloads and restarts. Behind a proxy, the address
/// that the proxy tells counts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis ban 192.0.2.7
  portcullis ban 192.0.2.0/24 --for 2h --reason 'guesses passwords'
  portcullis ban 2001:db8::/64 --until 2026-12-24T18:00
  portcullis ban 192.0.2.7 --forever --keep-sessions")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Ban {
    /// The address or network.
    #[arg(value_parser = network)]
    network: IpNet,
    /// How long, such as 90m, 2h or 7d.
    #[arg(long = "for", value_name = "TIME", value_parser = until::duration, allow_negative_numbers = true)]
    time: Option<SignedDuration>,
    /// Until when, in UTC unless an offset says otherwise.
    #[arg(long, value_name = "WHEN", value_parser = until::moment, conflicts_with = "time")]
    until: Option<Timestamp>,
    /// Until `unban`.
    #[arg(long, conflicts_with_all = ["time", "until"])]
    forever: bool,
    /// Why, for `bans` and the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Let the sessions from there go on.
    #[arg(long)]
    keep_sessions: bool,
    /// Also where this machine itself, or everybody, would be banned.
    #[arg(long)]
    yes: bool,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Let an address or network in again.
///
/// Ends the bans of it and of what lies within it, those by hand as well as those that the server made
/// for failed logins. Exits with 1 where there was none, or a wider one still holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis unban 192.0.2.7
  portcullis unban 192.0.2.0/24")]
pub(super) struct Unban {
    /// The address or network.
    #[arg(value_parser = network)]
    network: IpNet,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Show who is not let in, for how long, and why.
///
/// Those banned by hand come first, then those that the server banned for failed logins.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis bans
  portcullis bans --json")]
pub(super) struct Bans {
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Bans.
pub(super) fn ban(arguments: Ban, policy: &Path) -> Result<(), Failure> {
    let Ban { network, time, until, forever, reason, keep_sessions, yes, json: as_json, socket } = arguments;
    let time = if forever || until.is_some() { time } else { time.or(Some(USUALLY)) };
    let until = until::end(time, until);
    let call = Call::Ban(Banning { network: network.to_string(), until, reason, keep_sessions, yes });
    let Answer::Ban(banned) = ask(&call, &socket, policy)? else { return Err(other_answer()) };
    if as_json { json(&banned) } else { say(told(&banned)) }
}

fn told(Banned { ban, sessions, kept }: &Banned) -> String {
    let until = ban.until.as_ref().map_or_else(|| "until `unban`".to_owned(), |until| format!("until {until}"));
    format!("Banned: {} {until}. Sessions ended: {sessions}.{}", ban.network, if *kept { "" } else { LOST })
}

/// What is said where nothing is remembered.
pub(super) const LOST: &str =
    "\nA restart of the server forgets it: name a directory in [passwords] changes to have it remembered.";

/// Lifts bans.
pub(super) fn unban(arguments: Unban, policy: &Path) -> Result<(), Failure> {
    let Unban { network, json: as_json, socket } = arguments;
    let call = Call::Unban(Unbanning { network: network.to_string() });
    let Answer::Unban(unbanned) = ask(&call, &socket, policy)? else { return Err(other_answer()) };
    if as_json {
        json(&unbanned)?;
    } else {
        say(lifted(network, &unbanned))?;
    }
    let none = unbanned.by_hand.is_empty() && unbanned.by_failed_logins.is_empty();
    if none || !unbanned.still.is_empty() { Err(Failure::Found(1)) } else { Ok(()) }
}

fn lifted(network: IpNet, unbanned: &Unbanned) -> String {
    let of = |kind: &'static str, list: &[String]| (!list.is_empty()).then(|| format!("{kind}: {}.", list.join(", ")));
    let lines = [
        of("No longer banned by hand", &unbanned.by_hand),
        of("No longer banned for failed logins", &unbanned.by_failed_logins),
        of("STILL BANNED by a wider ban", &unbanned.still),
    ];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    if lines.is_empty() { format!("{network} was not banned.") } else { lines.join("\n") }
}

/// Lists bans.
pub(super) fn bans(arguments: &Bans, policy: &Path) -> Result<(), Failure> {
    let Answer::Bans(list) = ask(&Call::Bans {}, &arguments.socket, policy)? else { return Err(other_answer()) };
    if arguments.json {
        return json(&list);
    }
    if list.bans.is_empty() {
        return say("Nobody is banned.");
    }
    let heads = [("NETWORK", Align::Left), ("BY", Align::Left), ("LEFT", Align::Right), ("WHY", Align::Left)];
    let rows: Vec<Vec<String>> = list.bans.iter().map(row).collect();
    let columns = terminal_width();
    let mut lines: Vec<String> = aligned(&heads, &rows).iter().map(|line| cut(line, columns)).collect();
    if list.more > 0 {
        lines.push(format!("and {} more", list.more));
    }
    say(lines.join("\n"))
}

fn row(ban: &BanLine) -> Vec<String> {
    let by = match ban.by.as_str() {
        "failed-logins" => "the server".to_owned(),
        by => escaped(by),
    };
    let left = ban.seconds_left.map_or_else(|| "forever".to_owned(), time);
    vec![ban.network.clone(), by, left, ban.reason.clone().unwrap_or_default()]
}
