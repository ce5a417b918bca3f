//! `[audit]`, as far as closed files and copies go: what is kept, and where records are sent.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::findings::{Findings, shown};
use super::section::{Section, Text};
use super::{keys, server};
use crate::proto::host::{self, Host};
use crate::settings::keeping::{Copies, Keeping, Records, Retention, SyslogServer, Target};

/// Where the journal listens (systemd-journald.service(8)).
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
/// The port of syslog over TLS (RFC 5425 §4.1).
const TLS_PORT: u16 = 6514;
const TO_EXAMPLE: &str = "to = \"tls://logs.example.org:6514\" or to = \"unix:/dev/log\"";
/// Security messages that others may not read.
const AUTHPRIV: u8 = 10;
/// RFC 5424 §6.2.1.
const FACILITIES: [(&str, u8); 12] = [
    ("auth", 4),
    ("authpriv", AUTHPRIV),
    ("daemon", 3),
    ("audit", 13),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// What `[audit]` says of closed files and copies.
pub(super) fn keeping(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Keeping {
    let retention = Retention {
        compress: section.boolean("compress", true, findings),
        days: section.number_given(&keys::AUDIT_KEEP_DAYS, findings),
        bytes: section.number_given(&keys::AUDIT_KEEP_BYTES, findings),
    };
    let own = |target| Copies { target, records: Records::All, facility: AUTHPRIV };
    let mut copies = Vec::new();
    if section.boolean("stdout", false, findings) {
        copies.push(own(Target::Stdout {}));
    }
    if section.boolean("journald", false, findings) {
        copies.push(own(Target::Journal { socket: JOURNAL_SOCKET.into() }));
    }
    for table in section.tables("syslog", "syslog", findings).unwrap_or_default() {
        let Some(copy) = syslog(&table, directory, findings) else { continue };
        if copies.iter().any(|known| known.target.to_string() == copy.target.to_string()) {
            let message = format!("records are copied to {} twice", copy.target);
            findings.error(table.place_of("to"), message, "name each syslog server once");
            continue;
        }
        copies.push(copy);
    }
    Keeping { retention, copies }
}

/// One of `[[audit.syslog]]`.
fn syslog(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Option<Copies> {
    let records = [("all", Records::All), ("checkpoints", Records::Checkpoints)];
    let records = section.word("records", &records, Records::All, findings);
    let facility = section.word("facility", &FACILITIES, AUTHPRIV, findings);
    let mut file = |key: &str| section.text(key, findings).and_then(|text| server::path(text, directory, findings));
    let files = [file("ca"), file("certificate"), file("key")];
    let name = section.text("server-name", findings);
    if section.get("to").is_none() {
        section.missing("to", TO_EXAMPLE, findings);
    }
    let to = section.text("to", findings)?;
    let target = match (to.text.strip_prefix("tls://"), to.text.strip_prefix("unix:")) {
        (Some(place), _) => Target::Tls(over_tls(section, (place, to), (name, files), findings)?),
        (None, Some(socket)) if socket.starts_with('/') => {
            if let Some(key) = ["ca", "server-name", "certificate", "key"].iter().find(|key| section.get(key).is_some())
            {
                let help = "leave it out, or write to = \"tls://HOST:PORT\"";
                findings.error(section.place_of(key), format!("`{key}` is for TLS, and a socket has none"), help);
            }
            Target::Local { socket: server::absolute(socket).map_err(|m| findings.error(to.place, m, "")).ok()? }
        }
        _ => {
            let message = format!("`{}` is no place of a syslog server", shown(to.text));
            findings.error(to.place, message, format!("write {TO_EXAMPLE}; in clear nothing is sent over a network"));
            return None;
        }
    };
    Some(Copies { target, records, facility })
}

/// A syslog server that is reached over TLS.
fn over_tls(
    section: &Section<'_>,
    (place, to): (&str, Text<'_>),
    (name, [authorities, certificate, key]): (Option<Text<'_>>, [Option<PathBuf>; 3]),
    findings: &mut Findings,
) -> Option<SyslogServer> {
    let Some((host, port)) = host_and_port(place) else {
        let message = format!("`{}` names no host and port", shown(to.text));
        findings.error(
            to.place,
            message,
            "write it as \"tls://logs.example.org:6514\" or \"tls://[2001:db8::7]:6514\"",
        );
        return None;
    };
    let name = match name {
        Some(text) if text.text.parse::<IpAddr>().is_err() && host::host(text.text.as_bytes()).is_err() => {
            findings.error(text.place, "this is no name of a server", "write the name that its certificate has");
            return None;
        }
        Some(text) => text.text.to_ascii_lowercase(),
        None => host.clone(),
    };
    if section.get("ca").is_none() {
        let help = "name the authority of the syslog server's certificate: ca = \"../certs/logs-ca.pem\"";
        findings.error(section.place(), format!("{} needs `ca`", shown(to.text)), help);
    }
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            let help = "write both or none";
            findings.error(section.place(), "`certificate` and `key` belong together", help);
            None
        }
    };
    Some(SyslogServer { host, port, name, authorities: authorities?, identity })
}

/// `host:port`, `host`, `[address]:port`.
fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok().filter(|port| *port > 0)?),
        _ => (place, TLS_PORT),
    };
    match host::host(host.as_bytes()).ok()? {
        Host::Name(name) => Some((name, port)),
        Host::Address(address) => Some((address.to_string(), port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_the_port_may_be_the_usual_one() {
        let found = |text| host_and_port(text).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(found("Logs.Example.org:16514").as_deref(), Some("logs.example.org 16514"));
        assert_eq!(found("logs.example.org").as_deref(), Some("logs.example.org 6514"));
        assert_eq!(found("192.0.2.7:1").as_deref(), Some("192.0.2.7 1"));
        assert_eq!(found("[2001:db8::7]:6514").as_deref(), Some("2001:db8::7 6514"));
        assert_eq!(found("[2001:db8::7]").as_deref(), Some("2001:db8::7 6514"));
        for wrong in ["", ":6514", "a:0", "a:70000", "2001:db8::7", "a b:1", "user@host:1", "a/b:1"] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }
}
