//! `portcullis sessions`.

use std::path::Path;

use super::control::{Socket, ask, json, other_answer};
use super::table::{Align, aligned, bytes, cut, terminal_width, time};
use super::{Failure, say};
use crate::daemon::calls::{Answer, Call, SESSIONS_MAX, SessionLine, SessionList, Wanted};

/// Least characters of an id that are shown.
const ID_CHARS_MIN: usize = 8;

/// Show who is connected, and what moves.
///
/// The oldest session comes first. The id is cut to what tells the shown ones apart, which is enough
/// for `kick`; `--json` has the whole one, as the audit log does.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis sessions
  portcullis sessions --user alice
  portcullis sessions --address 192.0.2.0/24 --json")]
pub(super) struct Arguments {
    #[command(flatten)]
    wanted: Filter,
    /// Show so many at most.
    #[arg(long, value_name = "N", default_value_t = SESSIONS_MAX)]
    limit: usize,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Which sessions are shown.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Filter {
    /// Those of this user alone.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Those from this address or network alone.
    #[arg(long, value_name = "NET")]
    address: Option<String>,
}

impl Filter {
    /// What is asked of the server.
    pub(super) fn wanted(&self, limit: usize) -> Wanted {
        Wanted { user: self.user.clone(), address: self.address.clone(), limit: Some(limit) }
    }
}

/// Asks for them and shows them.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let call = Call::Sessions(arguments.wanted.wanted(arguments.limit));
    let Answer::Sessions(list) = ask(&call, &arguments.socket, policy)? else { return Err(other_answer()) };
    if arguments.json {
        return json(&list);
    }
    let columns = terminal_width();
    let table = aligned(&HEADS, &rows(&list.sessions));
    let mut lines: Vec<String> = table.iter().map(|line| cut(line, columns)).collect();
    lines.push(String::new());
    lines.push(total(&list));
    say(lines.join("\n"))
}

/// The heads of the columns.
pub(super) const HEADS: [(&str, Align); 11] = [
    ("SESSION", Align::Left),
    ("USER", Align::Left),
    ("FROM", Align::Left),
    ("AGE", Align::Right),
    ("IDLE", Align::Right),
    ("TLS", Align::Left),
    ("DOING", Align::Left),
    ("DONE", Align::Right),
    ("BYTES", Align::Right),
    ("RATE", Align::Right),
    ("PATH", Align::Left),
];

/// A row for each.
pub(super) fn rows(sessions: &[SessionLine]) -> Vec<Vec<String>> {
    let shown = id_chars(sessions);
    sessions.iter().map(|session| row(session, shown)).collect()
}

fn row(session: &SessionLine, id_chars: usize) -> Vec<String> {
    let none = || "-".to_owned();
    let transfer = session.transfer.as_ref();
    let from = match &session.proxy {
        Some(proxy) => format!("{} via {proxy}", session.address),
        None => session.address.clone(),
    };
    let waits = session.waiting_for.as_deref().map(|what| format!("waits for {what}"));
    let doing = match (transfer, waits) {
        (Some(transfer), Some(waits)) => format!("{}, {waits}", transfer.verb),
        (Some(transfer), None) => transfer.verb.clone(),
        (None, waits) => waits.unwrap_or_else(|| session.stage.clone()),
    };
    vec![
        session.session.get(..id_chars).unwrap_or(&session.session).to_owned(),
        session.user.clone().unwrap_or_else(none),
        from,
        time(session.seconds),
        transfer.map_or_else(|| time(session.idle_seconds), |_| none()),
        session.tls.clone().unwrap_or_else(none),
        doing,
        transfer.and_then(|transfer| transfer.percent).map_or_else(none, |percent| format!("{percent}%")),
        transfer.map_or_else(none, |transfer| bytes(transfer.bytes)),
        transfer.map_or_else(none, |transfer| format!("{}/s", bytes(transfer.bytes_per_second))),
        transfer.map(|transfer| transfer.path.clone()).unwrap_or_default(),
    ]
}

/// How many there are, and what moves.
pub(super) fn total(list: &SessionList) -> String {
    let more = if list.more > 0 { format!(" ({} more not shown)", list.more) } else { String::new() };
    format!(
        "sessions: {}{more}, transfers: {}, in {}/s, out {}/s",
        list.sessions.len().saturating_add(list.more),
        list.transfers,
        bytes(list.bytes_per_second_in),
        bytes(list.bytes_per_second_out),
    )
}

/// Characters that tell the ids apart.
fn id_chars(sessions: &[SessionLine]) -> usize {
    let mut ids: Vec<&str> = sessions.iter().map(|session| session.session.as_str()).collect();
    ids.sort_unstable();
    let pairs = ids.iter().zip(ids.iter().skip(1));
    let common = pairs.map(|(one, next)| one.bytes().zip(next.bytes()).take_while(|(a, b)| a == b).count());
    common.max().unwrap_or(0).saturating_add(1).max(ID_CHARS_MIN)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::daemon::calls::TransferLine;

    pub(in crate::cli) fn session(id: &str, user: &str, transfer: Option<TransferLine>) -> SessionLine {
        SessionLine {
            session: id.to_owned(),
            user: Some(user.to_owned()),
            address: "192.0.2.7".to_owned(),
            port: 5000,
            proxy: None,
            since: "2026-11-22T12:00:00Z".to_owned(),
            seconds: 75,
            idle_seconds: 3,
            tls: Some("1.3".to_owned()),
            stage: "files".to_owned(),
            waiting_for: transfer.is_none().then(|| "a command".to_owned()),
            transfer,
        }
    }

    pub(in crate::cli) fn transfer(verb: &str, path: &str, bytes: u64, bytes_per_second: u64) -> TransferLine {
        let (size, percent) = (Some(10 << 20), Some(20));
        TransferLine { verb: verb.into(), path: path.into(), bytes, size, percent, bytes_per_second, seconds: 2 }
    }

    #[test]
    fn a_line_says_who_does_what_and_how_fast() {
        let sessions = [
            session("01ABCDEFGHAA", "alice", Some(transfer("RETR", "/a b\n", 2 << 20, 1 << 20))),
            session("01ABCDEFGHAB", "bob", None),
        ];
        let lines = aligned(&HEADS, &rows(&sessions));
        assert_eq!(
            lines[1],
            "01ABCDEFGHAA  alice  192.0.2.7  1m15s     -  1.3  RETR                  20%  2.0 MiB  1.0 MiB/s  /a b\\u{a}"
        );
        assert!(
            lines[2].starts_with("01ABCDEFGHAB  bob    192.0.2.7  1m15s    3s  1.3  waits for a command"),
            "{lines:?}"
        );
        assert_eq!(id_chars(&sessions[..1]), ID_CHARS_MIN);
    }
}
