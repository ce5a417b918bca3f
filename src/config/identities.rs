//! `[tls]`: the names of the server, each with its certificate.

use std::path::Path;

use super::certificate::Places;
use super::findings::{Findings, shown};
use super::section::Section;
use super::{Identity, Tls, UnknownNames, client_certificates, server};
use crate::policy::tls::TlsVersion;
use crate::proto::host::ServerName;

const EXAMPLE: &str = "identities = [{ names = [\"files.example.org\"], certificate = \"../certs/server.pem\", key = \
                       \"../certs/server.key\" }]";

/// `[tls]`, and where each of its identities stands.
#[derive(Clone, Debug)]
pub(super) struct Identities {
    pub(super) tls: Tls,
    /// The places of `tls.identities`, in their order.
    pub(super) places: Vec<Places>,
    /// The places of what concerns clients, where there is something.
    pub(super) of_clients: Option<client_certificates::Places>,
}

/// The least version in `[tls]`.
pub(super) fn minimum(section: &Section<'_>, findings: &mut Findings) -> TlsVersion {
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    section.word("minimum", &versions, TlsVersion::Tls12, findings)
}

/// The rest of `[tls]`: at least one identity, stated.
pub(super) fn tls(
    section: &Section<'_>,
    minimum: TlsVersion,
    directory: &Path,
    findings: &mut Findings,
) -> Option<Identities> {
    let unknown = [("default", UnknownNames::Default), ("refuse", UnknownNames::Refuse)];
    let unknown_names = section.word("unknown-names", &unknown, UnknownNames::Default, findings);
    let require_extended_master_secret = section.boolean("require-extended-master-secret", true, findings);
    let clients = client_certificates::read(section, directory, findings);
    if let Some(text) = section.text("data-binding", findings)
        && text.text != "session"
    {
        let message = "the server's own `data-binding` is \"session\"";
        let help = "grant less to a user, group or network with a dated [[…exception]] that gives its reason";
        findings.error(text.place, message, help);
    }
    let Some(tables) = section.tables("identities", "identities", findings) else {
        if section.get("identities").is_none() {
            section.missing("identities", EXAMPLE, findings);
        }
        return None;
    };
    if tables.is_empty() {
        let help = "give at least the one certificate that the server shows";
        findings.error(section.place_of("identities"), "no identity is given", help);
    }
    let mut known = Vec::new();
    // Each is read, so that all their problems are reported.
    let read: Vec<_> = tables.iter().map(|table| identity(table, directory, &mut known, findings)).collect();
    for (table, read) in tables.iter().zip(&read).skip(1) {
        let names = read.iter().flat_map(|(identity, _)| &identity.names);
        for address in names.filter(|name| matches!(name, ServerName::Address(_))) {
            let message = format!("nobody is shown the certificate for {address}");
            let help = "a client that connects to an address names no server in its handshake, so it is shown the \
                        first identity: put the address there";
            findings.warning(table.place_of("names"), message, help);
        }
    }
    let (identities, places) = read.into_iter().collect::<Option<Vec<_>>>()?.into_iter().unzip();
    let (clients, of_clients) = clients.unzip();
    let tls = Tls { identities, unknown_names, minimum, require_extended_master_secret, clients };
    Some(Identities { tls, places, of_clients })
}

/// One table of `identities`; `known` are the names of those before it.
fn identity(
    table: &Section<'_>,
    directory: &Path,
    known: &mut Vec<ServerName>,
    findings: &mut Findings,
) -> Option<(Identity, Places)> {
    let mut path = |key: &str| {
        if table.get(key).is_none() {
            table.missing(key, EXAMPLE, findings);
        }
        table.text(key, findings).and_then(|text| server::path(text, directory, findings))
    };
    let (certificate, key) = (path("certificate"), path("key"));
    if table.get("names").is_none() {
        table.missing("names", EXAMPLE, findings);
    }
    let places = Places {
        certificate: table.place_of("certificate"),
        key: table.place_of("key"),
        ocsp: table.place_of("ocsp"),
        names: table.place_of("names"),
    };
    let ocsp = match table.text("ocsp", findings) {
        Some(text) => Some(server::path(text, directory, findings)?),
        None => None,
    };
    let names = names(table, known, findings)?;
    Some((Identity { names, certificate: certificate?, key: key?, ocsp }, places))
}

/// The names of one identity. Those that cannot be used are reported and left out.
fn names(table: &Section<'_>, known: &mut Vec<ServerName>, findings: &mut Findings) -> Option<Vec<ServerName>> {
    let texts = table.texts("names", findings)?;
    if texts.is_empty() {
        let help = "list the host names by which clients know the server";
        findings.error(table.place_of("names"), "no name is given", help);
    }
    let mut names = Vec::new();
    for text in texts {
        let Ok(name) = ServerName::parse(text.text) else {
            let message = format!("`{}` is no name of a host", shown(text.text));
            let help = "write it as \"files.example.org\", \"*.example.org\" or \"192.0.2.1\", without a port; a name \
                        with other letters than a to z in its form for the DNS (xn--…)";
            findings.error(text.place, message, help);
            continue;
        };
        if known.contains(&name) {
            let help = "a name stands for one certificate: list it once";
            findings.error(text.place, format!("the name `{name}` is there twice"), help);
            continue;
        }
        known.push(name.clone());
        names.push(name);
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use crate::config::{Problem, check_texts};

    /// `server.toml` with these lines in `[tls]`, the first of them line 5.
    fn file(tls: &str) -> String {
        format!(
            "[listen]\nexplicit = [\"127.0.0.1:2121\"]\n[tls]\n{tls}\n[passive]\nports = \"50000-50099\"\n\
             [networks]\nallow = [\"127.0.0.0/8\"]\n[audit]\ndirectory = \"../audit\"\n"
        )
    }

    fn said(tls: &str) -> Vec<String> {
        let problems = check_texts(&file(tls), "");
        let line = |problem: &Problem| problem.to_string().lines().next().unwrap().to_owned();
        problems.iter().map(line).collect()
    }

    fn entry(names: &str) -> String {
        format!("  {{ names = [{names}], certificate = \"a.pem\", key = \"a.key\" }},\n")
    }

    #[test]
    fn several_identities_are_one_list() {
        let (one, two) = (entry("\"Files.Example.ORG\", \"192.0.2.1\""), entry("\"*.example.net\""));
        assert_eq!(said(&format!("identities = [\n{one}{two}]\nunknown-names = \"refuse\"")), [""; 0]);
    }

    #[test]
    fn a_name_stands_for_one_certificate() {
        let (one, two) = (entry("\"a.example.org\""), entry("\"b.example.org\", \"A.EXAMPLE.org\""));
        let expected = "server.toml:6:31: error: the name `a.example.org` is there twice";
        assert_eq!(said(&format!("identities = [\n{one}{two}]")), [expected]);
    }

    #[test]
    fn an_address_belongs_to_the_first_identity() {
        let (one, two) = (entry("\"a.org\", \"192.0.2.1\""), entry("\"b.org\", \"192.0.2.2\""));
        let expected = "server.toml:6:13: warning: nobody is shown the certificate for 192.0.2.2";
        assert_eq!(said(&format!("identities = [\n{one}{two}]")), [expected]);
    }

    #[test]
    fn what_is_no_name_is_told_with_its_place() {
        for (names, word) in [
            ("\"files.example.org:21\"", "files.example.org:21"),
            ("\"*\"", "*"),
            ("\"a.*.org\"", "a.*.org"),
            ("\"käse.example.org\"", "käse.example.org"),
        ] {
            let expected = format!("server.toml:5:14: error: `{word}` is no name of a host");
            assert_eq!(said(&format!("identities = [\n{}]", entry(names))), [expected]);
        }
        assert_eq!(said("identities = []"), ["server.toml:4:14: error: no identity is given"]);
        let none = said(&format!("identities = [\n{}]", entry("")));
        assert_eq!(none, ["server.toml:5:13: error: no name is given"]);
    }

    #[test]
    fn every_identity_is_read_although_one_is_wrong() {
        let said =
            said("identities = [\n  { names = [\"a.org\"] },\n  { certificate = \"b.pem\", key = \"b.key\" },\n]");
        assert_eq!(said.len(), 3, "{said:?}");
    }

    #[test]
    fn unknown_names_are_served_or_refused() {
        let with = |word: &str| said(&format!("identities = [\n{}]\nunknown-names = \"{word}\"", entry("\"a.org\"")));
        assert!(with("default").is_empty() && with("refuse").is_empty());
        assert_eq!(with("drop"), ["server.toml:7:17: error: `unknown-names` cannot be \"drop\""]);
    }
}
