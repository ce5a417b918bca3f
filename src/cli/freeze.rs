//! `portcullis freeze` and `thaw`.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::ban::LOST;
use super::control::{Socket, ask, escaped, json, other_answer};
use super::{Failure, say, until};
use crate::daemon::calls::{Answer, Call, FreezeLine, Freezing, Thawing};

/// Make a user, a path, a folder or everything read-only.
///
/// Everybody may look and fetch as before; nothing there changes once this command has ended. Uploads
/// under way are stopped, and what came of them is kept. It holds across reloads and restarts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis freeze --reason 'backup runs' --for 2h
  portcullis freeze --user alice
  portcullis freeze --path /in
  portcullis freeze --user alice --path /in --until 2026-12-24T18:00
  portcullis freeze --folder projects
  portcullis freeze --list")]
pub(super) struct Freeze {
    /// For this user; otherwise for everybody.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// This path as users see it, and all below it.
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    path: Option<String>,
    /// This virtual folder, wherever it is mounted.
    #[arg(long, value_name = "NAME", conflicts_with = "path")]
    folder: Option<String>,
    /// How long, such as 90m, 2h or 7d; otherwise until `thaw`.
    #[arg(long = "for", value_name = "TIME", value_parser = until::duration, allow_negative_numbers = true)]
    time: Option<SignedDuration>,
    /// Until when, in UTC unless an offset says otherwise.
    #[arg(long, value_name = "WHEN", value_parser = until::moment, conflicts_with = "time")]
    until: Option<Timestamp>,
    /// Why, for `freeze --list` and the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Show what is read-only, and freeze nothing.
    #[arg(long, conflicts_with_all = ["user", "path", "folder", "time", "until", "reason"])]
    list: bool,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Let what was frozen be changed again.
///
/// Something is read-only as long as one freeze holds it.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["number", "all"]), after_help = "\
Examples:
  portcullis thaw 3
  portcullis thaw --all")]
pub(super) struct Thaw {
    /// The number of the freeze, as `freeze --list` shows it.
    number: Option<u32>,
    /// Every freeze.
    #[arg(long)]
    all: bool,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

fn absolute(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("a path begins with /".to_owned()) }
}

/// Freezes, or lists what is frozen.
pub(super) fn freeze(arguments: Freeze, policy: &Path) -> Result<(), Failure> {
    let Freeze { user, path, folder, time, until, reason, list, json: as_json, socket } = arguments;
    if list {
        let Answer::Freezes(list) = ask(&Call::Freezes {}, &socket, policy)? else { return Err(other_answer()) };
        if as_json {
            return json(&list);
        }
        let lines: Vec<String> = list.freezes.iter().map(told).collect();
        return say(if lines.is_empty() { "Nothing is frozen.".to_owned() } else { lines.join("\n") });
    }
    let until = until::end(time, until);
    let call = Call::Freeze(Freezing { user, path, folder, until, reason });
    let Answer::Freeze(line) = ask(&call, &socket, policy)? else { return Err(other_answer()) };
    if as_json {
        return json(&line);
    }
    let lost = if line.kept { "" } else { LOST };
    say(format!("Read-only: freeze {}\nTo end it: portcullis thaw {}{lost}", told(&line), line.number))
}

/// Thaws.
pub(super) fn thaw(arguments: &Thaw, policy: &Path) -> Result<(), Failure> {
    let call = Call::Thaw(Thawing { number: arguments.number, all: arguments.all });
    let Answer::Thaw(thawed) = ask(&call, &arguments.socket, policy)? else { return Err(other_answer()) };
    if arguments.json {
        return json(&thawed);
    }
    let mut lines: Vec<String> = thawed.thawed.iter().map(|line| format!("Thawed: freeze {}", told(line))).collect();
    if lines.is_empty() {
        lines.push("Nothing was frozen.".to_owned());
    }
    if thawed.left > 0 {
        lines.push(format!("Freezes that still hold: {}.", thawed.left));
    }
    say(lines.join("\n"))
}

/// One freeze in a line, its number first.
pub(super) fn told(freeze: &FreezeLine) -> String {
    let what = match (&freeze.path, &freeze.folder) {
        (Some(path), _) => path.clone(),
        (None, Some(folder)) => format!("folder {folder}"),
        (None, None) => "everything".to_owned(),
    };
    let whose = freeze.user.as_ref().map_or_else(|| "everybody".to_owned(), |user| format!("user {user}"));
    let until = freeze.until.as_ref().map_or_else(|| "until `thaw`".to_owned(), |until| format!("until {until}"));
    let reason = freeze.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let line = format!("{}: {what}, for {whose}, since {}, {until}{reason}", freeze.number, freeze.since);
    escaped(&line)
}
