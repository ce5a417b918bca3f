//! `portcullis policy diff`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;

use super::super::{Failure, say};
use crate::review::diff::{Change, Difference, Fate, PathChange, UserChange, diff};

/// Say what changes between two policies, for each user, path and network.
///
/// Both directories are judged by the text of their files alone. Exits as diff(1) does: with 0
/// where nothing changes, with 1 where something does, and with 78 where one of them cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis policy diff /etc/portcullis/policy ./policy
  portcullis policy diff ./before ./policy --from 192.0.2.7 --json")]
pub(super) struct Arguments {
    /// The directory of the policy as it was.
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// The directory of the policy as it is to be.
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// Compare what holds for clients of this address only; may be given more than once.
    #[arg(long, value_name = "IP")]
    from: Vec<IpAddr>,

    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints what changes.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let difference = diff(&arguments.old, &arguments.new, &arguments.from, Timestamp::now())?;
    let changed = !difference.is_empty();
    if arguments.json {
        let Difference { server, users } = &difference;
        say(json!({ "changed": changed, "server": server, "users": users }))?;
    } else if changed {
        say(text(&difference))?;
    } else {
        say("nothing changes")?;
    }
    if changed { Err(Failure::Found(1)) } else { Ok(()) }
}

fn text(difference: &Difference) -> String {
    let mut out = String::new();
    if !difference.server.is_empty() {
        out.push_str("server.toml:\n");
        difference.server.iter().for_each(|change| out.push_str(&change_line(change)));
    }
    for user in &difference.users {
        out.push_str(&user_text(user));
    }
    out.trim_end().to_owned()
}

fn change_line(change: &Change) -> String {
    match (&change.old, &change.new) {
        (None, Some(new)) => format!("  {}: {new} (new)\n", change.key),
        (Some(old), None) => format!("  {}: {old} (gone)\n", change.key),
        (old, new) => {
            let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            format!("  {}: {} -> {}\n", change.key, word(old), word(new))
        }
    }
}

fn user_text(user: &UserChange) -> String {
    let fate = match user.account {
        None => "",
        Some(Fate::Added) => " (added)",
        Some(Fate::Removed) => " (removed)",
        Some(Fate::Enabled) => " (enabled)",
        Some(Fate::Disabled) => " (disabled)",
    };
    let mut out = format!("{}:{fate}\n", user.user);
    for (word, networks) in [("gains", &user.networks_gained), ("loses", &user.networks_lost)] {
        if !networks.is_empty() {
            // Writing into a text cannot fail.
            let _ = writeln!(out, "  {word} login from {}", networks.join(", "));
        }
    }
    user.terms.iter().for_each(|change| out.push_str(&change_line(change)));
    user.paths.iter().for_each(|change| out.push_str(&path_line(change)));
    if user.paths_by_text {
        out.push_str("  the rules differ, and tell too many paths apart to compare what they come to\n");
    }
    out
}

fn path_line(change: &PathChange) -> String {
    let when = change.when.as_ref().map(|when| format!(" {when}")).unwrap_or_default();
    let part = if change.whole { String::new() } else { format!(" (in part, such as {})", change.example) };
    let gains = (!change.gains.is_empty()).then(|| format!("gains {}", change.gains.join(", ")));
    let loses = (!change.loses.is_empty()).then(|| format!("loses {}", change.loses.join(", ")));
    let bytes = change.file_bytes_max.map(|(old, new)| {
        let word = |bytes: Option<u64>| bytes.map_or_else(|| "any size".to_owned(), |bytes| bytes.to_string());
        format!("files of {} -> {} bytes at most", word(old), word(new))
    });
    let said: Vec<String> = gains.into_iter().chain(loses).chain(bytes).collect();
    format!("  {}{part}{when}: {}\n", change.path, said.join("; "))
}
