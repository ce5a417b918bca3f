//! `server.toml`, but for numbers and networks: sockets, process, TLS, passive ports, logs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::findings::{Findings, nearest, shown};
use super::networks::Networks;
use super::section::{Section, Text};
use super::{
    Advertise, Audit, AuditSync, DigestKind, Listen, Log, Passive, PortRange, Process, RunAs, Storage, Tls, TlsVersion,
    keys,
};

/// Ports below this need privileges that the running server does not have.
const PORT_UNPRIVILEGED: u16 = 1024;

/// `[listen]`: at least one socket.
pub(super) fn listen(section: &Section<'_>, findings: &mut Findings) -> Option<Listen> {
    let mut seen: Vec<SocketAddr> = Vec::new();
    let mut given: usize = 0;
    let mut sockets = |key: &str, findings: &mut Findings| -> Vec<SocketAddr> {
        let mut list = Vec::new();
        for text in section.texts(key, findings).unwrap_or_default() {
            given = given.saturating_add(1);
            let Ok(address) = text.text.parse::<SocketAddr>() else {
                let message = format!("`{}` is no address with a port", shown(text.text));
                findings.error(text.place, message, "write it as \"192.0.2.1:21\", \"0.0.0.0:21\" or \"[::]:21\"");
                continue;
            };
            if address.port() != 0 && seen.contains(&address) {
                let message = format!("{address} is there twice");
                findings.error(text.place, message, "a socket is explicit or implicit, and listed once");
            }
            seen.push(address);
            list.push(address);
        }
        list
    };
    let listen = Listen { explicit: sockets("explicit", findings), implicit: sockets("implicit", findings) };
    if seen.is_empty() {
        if section.get("explicit").is_none() && section.get("implicit").is_none() {
            section.missing("explicit", "explicit = [\"0.0.0.0:21\", \"[::]:21\"]", findings);
        } else if given == 0 {
            let help = "for example: explicit = [\"0.0.0.0:21\", \"[::]:21\"]";
            findings.error(section.place_of("explicit"), "the server listens nowhere", help);
        }
        return None;
    }
    Some(listen)
}

/// `[process]`, with the account looked up by `find`.
pub(super) fn process(section: &Section<'_>, find: &dyn Fn(&str) -> Option<RunAs>, findings: &mut Findings) -> Process {
    let run_as = section.text("user", findings).and_then(|text| {
        let found = find(text.text);
        match &found {
            None => {
                let message = format!("no account `{}` on this machine", shown(text.text));
                let help = "add one: useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin portcullis";
                findings.error(text.place, message, help);
            }
            Some(account) if account.uid == 0 => {
                let help = "name an unprivileged account, made for this server";
                findings.error(text.place, "this account is root, which the server gives up", help);
            }
            Some(_) => {}
        }
        found
    });
    Process { run_as, require_sandbox: section.boolean("require-sandbox", false, findings) }
}

/// `[tls]`: one identity, stated.
pub(super) fn tls(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Option<Tls> {
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let minimum = section.word("minimum", &versions, TlsVersion::Tls12, findings);
    if let Some(text) = section.text("client-certificates", findings)
        && text.text != "off"
    {
        findings.error(text.place, "client certificates are not offered", "write \"off\", or leave the key out");
    }
    if let Some(text) = section.text("data-binding", findings)
        && text.text != "session"
    {
        let message = "the server's own `data-binding` is \"session\"";
        let help = "grant less to a user, group or network with a dated [[…exception]] that gives its reason";
        findings.error(text.place, message, help);
    }
    let example = "identities = [{ names = [\"files.example.org\"], certificate = \"../certs/server.pem\", key = \
                   \"../certs/server.key\" }]";
    let Some(identities) = section.tables("identities", "identities", findings) else {
        if section.get("identities").is_none() {
            section.missing("identities", example, findings);
        }
        return None;
    };
    let [identity] = identities.as_slice() else {
        let message = if identities.is_empty() { "no identity is given" } else { "more than one identity is given" };
        findings.error(section.place_of("identities"), message, "give the one certificate that the server shows");
        return None;
    };
    let path = |key: &str, findings: &mut Findings| -> Option<PathBuf> {
        if identity.get(key).is_none() {
            identity.missing(key, example, findings);
        }
        identity.text(key, findings).and_then(|text| path(text, directory, findings))
    };
    let (certificate, key) = (path("certificate", findings), path("key", findings));
    if identity.get("names").is_none() {
        identity.missing("names", example, findings);
    }
    let names: Vec<String> =
        identity.texts("names", findings)?.iter().map(|text| text.text.to_ascii_lowercase()).collect();
    if names.is_empty() {
        let help = "list the host names by which clients know the server";
        findings.error(identity.place_of("names"), "no name is given", help);
    }
    let require_extended_master_secret = section.boolean("require-extended-master-secret", true, findings);
    Some(Tls { certificate: certificate?, key: key?, names, minimum, require_extended_master_secret })
}

/// A path, relative to the policy directory unless absolute.
pub(super) fn path(text: Text<'_>, directory: &Path, findings: &mut Findings) -> Option<PathBuf> {
    if text.text.is_empty() || text.text.contains('\0') {
        findings.error(text.place, "this is no path", "write a path, absolute or relative to the policy directory");
        return None;
    }
    Some(directory.join(text.text))
}

/// `[passive]`: the ports have to be stated, because a firewall has to agree with them.
pub(super) fn passive(
    section: &Section<'_>,
    listen: Option<&Listen>,
    networks: &Networks,
    findings: &mut Findings,
) -> Option<Passive> {
    let advertise = advertise(section, networks, findings);
    if section.get("ports").is_none() {
        section.missing("ports", "ports = \"50000-50099\"", findings);
    }
    let text = section.text("ports", findings)?;
    let ports = match port_range(text.text) {
        Ok(ports) => ports,
        Err((message, help)) => {
            findings.error(text.place, message, help);
            return None;
        }
    };
    let sockets = listen.into_iter().flat_map(|listen| listen.explicit.iter().chain(&listen.implicit));
    for socket in sockets.filter(|socket| ports.contains(socket.port())) {
        let message = format!("the passive ports include {}, on which the server listens", socket.port());
        findings.error(text.place, message, "choose a range without the ports of [listen]");
    }
    Some(Passive { ports, advertise })
}

/// Reads `FIRST-LAST`, or one port.
///
/// # Errors
/// What is wrong, and what to do.
pub(crate) fn port_range(text: &str) -> Result<PortRange, (String, String)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse::<u16>().ok();
    let (Some(first), Some(last)) = (port(first), port(last)) else {
        return Err((format!("`{}` is no range of ports", shown(text)), "write it as \"50000-50099\"".into()));
    };
    if first > last {
        return Err(("the range ends before it begins".into(), format!("write \"{last}-{first}\"")));
    }
    if first < PORT_UNPRIVILEGED {
        let help = format!("begin at {PORT_UNPRIVILEGED} or above");
        return Err(("passive ports below 1024 belong to system services".into(), help));
    }
    Ok(PortRange { first, last })
}

fn advertise(section: &Section<'_>, networks: &Networks, findings: &mut Findings) -> Vec<Advertise> {
    let mut list: Vec<Advertise> = Vec::new();
    for table in section.tables("advertise", "advertise", findings).unwrap_or_default() {
        if list.iter().any(|entry| entry.clients.is_none()) {
            let help = "put the entry for \"any\" last: the first that matches counts";
            findings.warning(table.place(), "no client gets this far", help);
        }
        let Some(text) = table.text("address", findings) else {
            if table.get("address").is_none() {
                table.missing("address", "{ clients = \"any\", address = \"203.0.113.7\" }", findings);
            }
            continue;
        };
        let address = match text.text.parse::<IpAddr>() {
            Ok(IpAddr::V4(v4)) if is_announceable(v4) => v4,
            Ok(IpAddr::V6(_)) => {
                let help = "give an IPv4 address; IPv6 clients use EPSV, which announces none";
                findings.error(text.place, "PASV announces IPv4 addresses only", help);
                continue;
            }
            _ => {
                let message = format!("`{}` is no address that a client could connect to", shown(text.text));
                findings.error(text.place, message, "give the IPv4 address under which clients reach this server");
                continue;
            }
        };
        match table.text("clients", findings) {
            Some(clients) if clients.text == "any" => list.push(Advertise { clients: None, address }),
            Some(clients) => {
                let found = networks.resolve(clients, findings);
                list.extend(found.into_iter().map(|net| Advertise { clients: Some(net), address }));
            }
            None if table.get("clients").is_none() => {
                table.missing("clients", "{ clients = \"any\", address = \"203.0.113.7\" }", findings);
            }
            None => {}
        }
    }
    list
}

fn is_announceable(address: Ipv4Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
}

/// `[storage]`.
pub(super) fn storage(section: &Section<'_>, findings: &mut Findings) -> Storage {
    let mut base_directories = Vec::new();
    for text in section.texts("base-directories", findings).unwrap_or_default() {
        match absolute(text.text) {
            Ok(path) => base_directories.push(path),
            Err(message) => findings.error(text.place, message, "write the whole path, from / on"),
        }
    }
    let digests = [("blake3", DigestKind::Blake3), ("sha256", DigestKind::Sha256), ("off", DigestKind::Off)];
    let hours = section.number(&keys::PARTIAL_UPLOADS_HOURS, findings);
    Storage {
        base_directories,
        free_space_floor_bytes: section.number(&keys::FREE_SPACE_FLOOR_BYTES, findings),
        digest: section.word("digest", &digests, DigestKind::Blake3, findings),
        partial_uploads: std::time::Duration::from_secs(hours.saturating_mul(3600)),
    }
}

/// A path from `/` on, without `.` or `..`: what is judged must be what is opened.
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(format!("`{}` does not begin at /", shown(text)));
    }
    if text.split('/').any(|name| name == "." || name == "..") || text.contains('\0') {
        return Err(format!("`{}` has . or .. in it", shown(text)));
    }
    Ok(path.components().collect())
}

/// `[audit]`: the directory has to be stated, because without a log there is no service.
pub(super) fn audit(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Option<Audit> {
    let sync = [("group", AuditSync::Group), ("each", AuditSync::Each)];
    let sync = section.word("sync", &sync, AuditSync::Group, findings);
    section.word("on-failure", &[("refuse", ())], (), findings);
    if section.get("directory").is_none() {
        section.missing("directory", "directory = \"../audit\"", findings);
    }
    let text = section.text("directory", findings)?;
    Some(Audit { directory: path(text, directory, findings)?, sync })
}

/// `[log]`.
pub(super) fn log(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Log {
    use tracing::Level;
    let levels = [
        ("info", Level::INFO),
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let level = section.word("level", &levels, Level::INFO, findings);
    let text = section.text("directory", findings);
    Log { directory: text.and_then(|text| path(text, directory, findings)), level }
}

/// The nearest of some names, as a remedy.
pub(super) fn did_you_mean<'a>(written: &str, names: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    nearest(written, names).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}
