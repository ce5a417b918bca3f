//! Records in words: what happened, as people would tell it. Everything that comes from a log or a client is
//! made harmless.

use std::fmt::Write as _;

use serde_json::Value;

use crate::audit::text::push_escaped;
use crate::trail::entry::{Entry, Fact};

/// Facts that say how, not what: they are left out where a line is all there is.
const DETAILS_LEFT_OUT: [&str; 9] =
    ["policy", "data_binding", "data_tls", "kx", "client", "host", "identity", "late", "client_sha256"];

/// A text in which nothing can drive a terminal.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    push_escaped(&mut shown, text);
    shown
}

/// So many bytes, as people read them.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") };
    }
    let (mut whole, mut rest, mut unit) = (count, 0, "");
    for next in UNITS {
        if whole < 1024 {
            break;
        }
        rest = whole % 1024;
        whole /= 1024;
        unit = next;
    }
    format!("{whole}.{} {unit}", rest.saturating_mul(10) / 1024)
}

/// What a record is about, in one line: verb, path, bytes and what else it says.
pub(super) fn summary(entry: &Entry<'_>) -> String {
    let mut parts = Vec::new();
    parts.extend(entry.command.as_deref().map(harmless));
    parts.extend(paths(entry));
    parts.extend(moved(entry));
    parts.extend(details(entry));
    parts.join("  ")
}

/// The path, and what a rename made of it.
fn paths(entry: &Entry<'_>) -> Option<String> {
    let mut shown = harmless(entry.path()?);
    if let Some(to) = &entry.file_result {
        let _ = write!(shown, " -> {}", harmless(&to.path));
    }
    Some(shown)
}

fn moved(entry: &Entry<'_>) -> Option<String> {
    let traffic = entry.traffic?;
    match (traffic.bytes_in, traffic.bytes_out) {
        (0, 0) => None,
        (inward, 0) => Some(format!("{} in", bytes(inward))),
        (0, outward) => Some(format!("{} out", bytes(outward))),
        (inward, outward) => Some(format!("{} in, {} out", bytes(inward), bytes(outward))),
    }
}

/// Further facts, as `name=value`.
fn details(entry: &Entry<'_>) -> Option<String> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(entry.unmapped?.get()).ok()?;
    let told = object.iter().filter(|(name, _)| !DETAILS_LEFT_OUT.contains(&name.as_str()));
    let told: Vec<String> = told
        .map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{}={}", harmless(name), harmless(&value))
        })
        .collect();
    (!told.is_empty()).then(|| told.join(" "))
}

fn fact(entry: &Entry<'_>, name: &str) -> Option<String> {
    Some(match entry.detail(name)? {
        Fact::Text(text) => harmless(&text),
        Fact::Number(number) => number.to_string(),
        Fact::Flag(flag) => flag.to_string(),
    })
}

/// What happened, as a step of a session's story.
pub(super) fn told(entry: &Entry<'_>) -> String {
    let path = entry.path().map(harmless).unwrap_or_default();
    let user = entry.user().map(harmless).unwrap_or_default();
    let verb = entry.command.as_deref().map_or_else(|| "a command".to_owned(), harmless);
    let with = |before: &str, name: &str| fact(entry, name).map_or_else(String::new, |fact| format!("{before}{fact}"));
    let what = match entry.event() {
        "conn.accepted" => {
            let to = entry.dst_endpoint.map_or_else(String::new, |server| format!(" to {}", address(server)));
            let from = entry.src_endpoint.map_or_else(String::new, |client| format!(" from {}", address(client)));
            format!("connected{from}{to}{}", with(", through the proxy ", "proxy"))
        }
        "tls.handshake_ok" => {
            let tls = entry.tls.as_ref().map_or_else(String::new, |tls| {
                let resumed = if tls.is_resumed { ", resumed" } else { "" };
                format!(" {} with {}{resumed}", harmless(&tls.version), harmless(&tls.cipher))
            });
            format!("TLS{tls}{}{}", with(", certificate of ", "client_subject"), with(" (exception: ", "exception"))
        }
        "auth.success" => {
            let restricted = if entry.detail("restricted").is_some() { ", to change the password alone" } else { "" };
            format!("logged in as {user}{}{restricted}", with(" with ", "factors"))
        }
        "auth.failure" | "auth.throttled" => format!("login as {user}"),
        "auth.banned" => format!(
            "banned{}{}",
            with(" for ", "ban_seconds"),
            if entry.detail("ban_seconds").is_some() { " s" } else { "" }
        ),
        "auth.plaintext_refused" => format!("login in clear ({verb})"),
        "auth.password_changed" => "changed the own password".to_owned(),
        "auth.password_change_failed" => "change of the own password".to_owned(),
        "file.upload" => format!("uploaded {path}{}", amount(entry)),
        "file.upload_incomplete" => format!("upload of {path}{}", amount(entry)),
        "file.download" => format!("downloaded {path}{}", amount(entry)),
        "file.download_incomplete" => format!("download of {path}{}", amount(entry)),
        "file.list" => format!("listed {path}"),
        "file.delete" => format!("deleted {path}"),
        "file.rmdir" => format!("removed the directory {path}"),
        "file.mkdir" => format!("made the directory {path}"),
        "file.rename" => {
            let to = entry.file_result.as_ref().map(|file| harmless(&file.path)).unwrap_or_default();
            format!("renamed {path} to {to}")
        }
        "file.mtime" => format!("set the time of {path}{}", with(" to ", "modified")),
        "file.mode" => format!("set the permission bits of {path}{}", with(" to ", "mode")),
        "file.hash" => format!("asked for the hash of {path}{}", with(", ", "hash_algorithm")),
        "file.change_failed" => format!("{verb} {}", paths(entry).unwrap_or_default()),
        "authz.denied" => format!("{verb} {}{}", paths(entry).unwrap_or_default(), with(", by the rule ", "rule")),
        "proto.refused" => format!("the command {verb}"),
        "quota.exceeded" => format!("{verb} {path} over the quota"),
        "session.closed" => format!("ended{}{}", with(": ", "end"), totals(entry)),
        "session.ended_by_policy" => format!("ended by the policy{}", with(", by the rule ", "rule")),
        "session.kicked" => "ended by an administrator".to_owned(),
        event => format!("{} {}", harmless(event), summary(entry)).trim_end().to_owned(),
    };
    let closed = if what.contains("(exception: ") && !what.ends_with(')') { ")" } else { "" };
    let reason = entry.status_detail.as_deref().map(harmless);
    match reason.filter(|_| !entry.succeeded()) {
        Some(reason) => format!("{what}{closed} was refused or failed: {reason}"),
        None => format!("{what}{closed}"),
    }
}

fn address(end: crate::trail::entry::Endpoint) -> std::net::SocketAddr {
    std::net::SocketAddr::new(end.ip, end.port)
}

/// Bytes and time of a transfer, and the digest over the whole content.
fn amount(entry: &Entry<'_>) -> String {
    let traffic = entry.traffic.unwrap_or_default();
    let mut shown = format!(", {}", bytes(traffic.bytes_in.max(traffic.bytes_out)));
    if let Some(milliseconds) = entry.duration {
        let _ = write!(shown, " in {}", seconds(milliseconds));
    }
    if let Some(hash) = entry.file.as_ref().and_then(|file| file.hashes.first()) {
        let _ = write!(shown, ", {} {}", harmless(&hash.algorithm), harmless(&hash.value));
    }
    shown
}

fn totals(entry: &Entry<'_>) -> String {
    let transfers = match entry.detail_number("transfers") {
        Some(1) => "; 1 transfer".to_owned(),
        Some(count) => format!("; {count} transfers"),
        None => String::new(),
    };
    moved(entry).map_or(transfers.clone(), |moved| format!("{transfers}, {moved}"))
}

/// Milliseconds as seconds.
pub(super) fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_people_read_them() {
        let shown = [0, 1, 1023, 1024, 1536, 3 << 20, u64::MAX].map(bytes);
        assert_eq!(shown, ["0 bytes", "1 byte", "1023 bytes", "1.0 KiB", "1.5 KiB", "3.0 MiB", "16383.9 PiB"]);
    }

    #[test]
    fn no_text_of_a_record_can_drive_a_terminal() {
        let evil = "/a\u{1b}[2J\n\u{202e}";
        let record = serde_json::json!({
            "seq": 1, "time": 0, "time_dt": "t", "severity_id": 1, "status_id": 2, "status_detail": evil,
            "metadata": {"event_code": evil, "uid": "u"}, "actor": {"user": {"name": evil}}, "command": evil,
            "file": {"path": evil}, "file_result": {"path": evil},
            "tls": {"version": evil, "cipher": evil}, "unmapped": {"x": evil, "rule": evil, (evil): 1},
        });
        for event in
            ["conn.accepted", "tls.handshake_ok", "auth.failure", "file.upload", "file.rename", "authz.denied", evil]
        {
            let mut record = record.clone();
            record["metadata"]["event_code"] = event.into();
            let line = record.to_string();
            let entry = Entry::parse(line.as_bytes()).unwrap();
            for text in [told(&entry), summary(&entry)] {
                assert!(!text.chars().any(crate::audit::text::is_harmful), "{text:?}");
            }
        }
    }
}
