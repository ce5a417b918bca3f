//! The certificates of clients: what `[tls]` says of them, the files it names, and what users say
//! of theirs.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::files::{self, Kind, Links};
use super::findings::{Findings, Place, shown};
use super::problem::Subject;
use super::section::Section;
use super::{ClientCertificates, RunAs, server};
use crate::policy::Policy;
use crate::policy::factor::{CertificateName, SecondFactor};
use crate::tls::{clients, facts};

const EXAMPLE: &str = "client-authorities = \"../certs/clients/ca.pem\"; `portcullis cert client issue` makes it";

/// Days before its end at which an authority is worth a warning.
const DAYS_LEFT_LOW: i64 = 30;

/// Whether clients show certificates.
#[derive(Clone, Copy)]
enum Mode {
    Off,
    Optional,
    Required,
}

/// Where the files are named.
#[derive(Clone, Debug)]
pub(super) struct Places {
    authorities: Place,
    revocations: Vec<Place>,
}

/// Reads what `[tls]` says of them; none where clients show none.
pub(super) fn read(
    section: &Section<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<(ClientCertificates, Places)> {
    let modes = [("off", Mode::Off), ("optional", Mode::Optional), ("required", Mode::Required)];
    let mode = section.word("client-certificates", &modes, Mode::Off, findings);
    let authorities = section.text("client-authorities", findings);
    let lists = section.texts("client-revocations", findings).unwrap_or_default();
    if matches!(mode, Mode::Off) {
        return None;
    }
    let Some(authorities) = authorities else {
        if section.get("client-authorities").is_none() {
            let message = "`client-certificates` needs `client-authorities`: who vouches for the clients";
            findings.error(section.place_of("client-certificates"), message, format!("for example: {EXAMPLE}"));
        }
        return None;
    };
    let places = Places { authorities: authorities.place, revocations: lists.iter().map(|text| text.place).collect() };
    let revocations: Option<Vec<_>> = lists.into_iter().map(|text| server::path(text, directory, findings)).collect();
    let read = ClientCertificates {
        required: matches!(mode, Mode::Required),
        authorities: server::path(authorities, directory, findings)?,
        revocations: revocations?,
    };
    Some((read, places))
}

/// Judges the files.
pub(super) fn judge(
    clients: &ClientCertificates,
    places: &Places,
    run_as: Option<&RunAs>,
    now: Timestamp,
    findings: &mut Findings,
) {
    findings.about(Subject::Certificate);
    let (file, place) = (&clients.authorities, places.authorities);
    if let Some(bytes) = file_of(file, run_as, place, findings) {
        match clients::check_authorities(&bytes, now) {
            Ok(ends) if facts::days_left(ends, now) < DAYS_LEFT_LOW => {
                let message = format!("{}: an authority in it ends on {}", file.display(), facts::day(ends));
                findings.warning(place, message, "make a new one, and put it beside this one until all have changed");
            }
            Ok(_) => {}
            Err(problem) => findings.error(
                place,
                format!("{}: {problem}", file.display()),
                "give the PEM file with the authorities that issue the certificates of clients",
            ),
        }
    }
    for (file, place) in clients.revocations.iter().zip(&places.revocations) {
        let Some(bytes) = file_of(file, run_as, *place, findings) else { continue };
        let help = "get the next list from the authority; `portcullis cert client revoke` writes those of a local one";
        match clients::next_updates(&bytes) {
            Ok(all) => {
                for next in all.into_iter().flatten().filter(|next| *next < now) {
                    let message = format!("{}: the next list was due on {}", file.display(), facts::day(next));
                    findings.warning(*place, message, help);
                }
            }
            Err(problem) => findings.error(*place, format!("{}: {problem}", file.display()), help),
        }
    }
}

/// The content of a file that decides who gets in.
fn file_of(
    path: &Path,
    run_as: Option<&RunAs>,
    place: Place,
    findings: &mut Findings,
) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    match files::read(path, files::PEM_BYTES_MAX, Links::Follow) {
        Ok(content) => {
            files::judge(path, &content.metadata, Kind::Public, run_as, place, findings);
            Some(content.bytes)
        }
        Err(error) => {
            let help = "paths are relative to the policy directory; `portcullis cert client issue` makes an authority";
            findings.error(place, format!("{} cannot be read: {error}", path.display()), help);
            None
        }
    }
}

/// Judges what users say of theirs: a certificate stands for one user, and who needs one has to be
/// able to show it.
pub(super) fn judge_users(policy: &Policy, offered: bool, users: &Section<'_>, findings: &mut Findings) {
    let mut known: BTreeMap<&CertificateName, &str> = BTreeMap::new();
    for entry in users.entries() {
        let Some(account) = policy.users.values().find(|account| account.name.as_str() == entry.key) else { continue };
        for name in &account.certificates {
            if let Some(other) = known.insert(name, account.name.as_str()) {
                let message = format!(
                    "the certificate `{}` stands for {} and for {}",
                    shown(&name.to_string()),
                    shown(other),
                    account.name
                );
                findings.error(entry.place, message, "a certificate stands for one user: give each one of its own");
            }
        }
        let needs = account.certificate_alone || account.second_factor() == SecondFactor::Certificate;
        if needs && !offered && !account.certificates.is_empty() {
            let message = format!("{} logs in with a client certificate, and the server asks for none", account.name);
            findings.warning(entry.place, message, "write client-certificates = \"optional\" into [tls]");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Problem, check_texts};

    const SERVER: &str = "[listen]\nexplicit = [\"127.0.0.1:2121\"]\n[passive]\nports = \"50000-50099\"\n\
                          [networks]\nallow = [\"127.0.0.0/8\"]\n[audit]\ndirectory = \"../audit\"\n\
                          [tls]\nidentities = [{ names = [\"localhost\"], certificate = \"c\", key = \"k\" }]\n";

    fn said(tls: &str, users: &str) -> Vec<String> {
        let problems = check_texts(&format!("{SERVER}{tls}"), users);
        let line = |problem: &Problem| problem.to_string().lines().next().unwrap().to_owned();
        problems.iter().map(line).collect()
    }

    fn user(name: &str, lines: &str) -> String {
        let salt_and_hash = "c29tZXNhbHQ$RdescudvJCsgt3ub+b9dWRWJTmaaJObG";
        format!(
            "[user.{name}]\nhome = \"/srv/{name}\"\npassword = \"$argon2id$v=19$m=64,t=1,p=1${salt_and_hash}\"\n\
             password-set = 2026-01-01\npermissions = \"full\"\n{lines}\n"
        )
    }

    #[test]
    fn who_vouches_for_clients_has_to_be_said() {
        let expected = "server.toml:11:23: error: `client-certificates` needs `client-authorities`: who vouches for \
                        the clients";
        assert_eq!(said("client-certificates = \"required\"\n", ""), [expected]);
        assert_eq!(said("client-certificates = \"optional\"\nclient-authorities = \"ca.pem\"\n", ""), [""; 0]);
        let wrong = said("client-certificates = \"maybe\"\n", "");
        assert_eq!(wrong, ["server.toml:11:23: error: `client-certificates` cannot be \"maybe\""]);
    }

    #[test]
    fn a_certificate_stands_for_one_user() {
        let tls = "client-certificates = \"optional\"\nclient-authorities = \"ca.pem\"\n";
        let line = "certificates = [\"email:a@example.org\"]";
        let said = said(tls, &(user("alice", line) + &user("bob", line)));
        let expected = "users.toml:7:7: error: the certificate `email:a@example.org` stands for alice and for bob";
        assert_eq!(said, [expected]);
    }

    #[test]
    fn who_needs_a_certificate_has_to_be_able_to_show_one() {
        let alone = user("alice", "certificate-alone = true\ncertificates = [\"dns:alice.test\"]");
        let expected = "users.toml:1:7: warning: alice logs in with a client certificate, and the server asks for none";
        assert_eq!(said("", &alone), [expected]);
        let tls = "client-certificates = \"optional\"\nclient-authorities = \"ca.pem\"\n";
        assert_eq!(said(tls, &user("alice", "certificate-alone = true\ncertificates = [\"dns:alice.test\"]")), [""; 0]);
    }
}
