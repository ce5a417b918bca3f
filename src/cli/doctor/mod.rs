//! `portcullis doctor`: what goes wrong with a deployment in practice, and how to mend it.
//!
//! `checks` names everything that is looked at, `report` is what was found. One file looks at each
//! family: `system` (kernel, clock, firewall helpers), `process`, `ports`, `addresses`,
//! `certificates`, `accounts`, `storage` (file systems), `trail` (the audit log). `names` looks advertised names up, `machine` tells
//! what the system knows, `probe` talks to the running server. Nothing on disk is changed.

mod accounts;
mod addresses;
pub(super) mod certificates;
pub(super) mod checks;
pub(super) mod client_certificates;
mod machine;
mod names;
mod ports;
mod probe;
mod process;
pub(super) mod report;
mod storage;
mod system;
mod trail;

use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use self::checks::Check;
use self::machine::Machine;
use self::report::{Report, Severity};
use super::cert::make::host_name;
use super::terminal::is_coloured;
use super::{EXIT_POLICY, Failure, say};
use crate::config::load::{self, Reach};
use crate::config::{Config, Override, Problem, Subject};
use crate::tls::facts;

/// Why what the running server does cannot be looked at.
const NO_SERVER: &str = "no server of this policy runs";

/// Find what goes wrong with a deployment in practice, and say how to mend it.
///
/// Looks at ports, addresses, certificates, files, disks, limits, the clock, the kernel and the
/// accounts, and asks the running server where there is one. Changes nothing. Run it as root, or as
/// the account that starts the server. docs/doctor.md explains each check.
///
/// Exits with 0 where nothing is worse than a note, with 3 where there are warnings, with 1 where there
/// are errors, and with 78 where the policy files cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo portcullis doctor
  portcullis --policy ./policy doctor --hostname files.example.org
  portcullis doctor --json | jq '.checks[] | select(.severity == \"error\")'")]
pub(super) struct Arguments {
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    /// A name by which clients know the server; the certificates must be for it.
    #[arg(long = "hostname", value_name = "NAME", value_parser = host_name)]
    names: Vec<String>,
    /// Override one key of server.toml, as for serve.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<Override>,
}

/// What is looked at.
struct Examined<'a> {
    config: &'a Config,
    machine: &'a Machine,
    now: Timestamp,
    /// Names that the certificates are to carry besides those of the policy.
    names: &'a [String],
}

impl Examined<'_> {
    /// Each socket, and whether it is for implicit TLS.
    fn listeners(&self) -> impl Iterator<Item = (SocketAddr, bool)> {
        let listen = &self.config.listen;
        let explicit = listen.explicit.iter().map(|address| (*address, false));
        explicit.chain(listen.implicit.iter().map(|address| (*address, true)))
    }

    /// The certificates that the server is to show.
    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        certificates::leaves(self.config)
    }
}

/// Examines, reports, and says by the exit code how bad it is.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let mut report = Report::default();
    let now = Timestamp::now();
    let (config, problems) = read(policy, &arguments.overrides);
    let of_certificates = report_problems(&problems, &mut report);
    match &config {
        Some(config) => {
            let machine = Machine::look(Some(&config.audit.directory));
            examine(&Examined { config, machine: &machine, now, names: &arguments.names }, &mut report);
        }
        None => {
            for check in Check::ALL.iter().filter(|check| check.needs_policy()) {
                report.not_made(*check, "the policy files cannot be used");
            }
        }
    }
    let required = config.as_ref().is_some_and(|config| config.process.require_sandbox);
    system::check(required, now, &mut report);
    // The same was looked at again above, more closely; what only the policy sees is not to be lost.
    // A key that only root can read has its note.
    let told = report.worst_of_family("certificate") >= Some(Severity::Warning)
        || report.worst_of(Check::CertificateKey) == Some(Severity::Note);
    if !told {
        for problem in of_certificates {
            add_problem(Check::CertificateFile, problem, &mut report);
        }
    }
    if arguments.json {
        say(report.as_json(policy))?;
    } else {
        say(report.text(is_coloured()))?;
    }
    match (config, report.exit_code()) {
        (None, _) => Err(Failure::Found(EXIT_POLICY)),
        (Some(_), 0) => Ok(()),
        (Some(_), code) => Err(Failure::Found(code)),
    }
}

/// The policy and all its problems. What is wrong with files that it names keeps the server from
/// starting, and not the doctor from looking on.
fn read(policy: &Path, overrides: &[Override]) -> (Option<Config>, Vec<Problem>) {
    let texts = match load::read_texts(policy) {
        Ok(texts) => texts,
        Err(problems) => return (None, problems.into_vec()),
    };
    let judged = load::judge(policy, &texts, overrides, Reach::Disk);
    let config = judged.config.or_else(|| load::judge(policy, &texts, overrides, Reach::Text).config);
    (config, judged.problems)
}

/// Reports the problems of the policy, but for those of certificates, which are returned.
fn report_problems<'a>(problems: &'a [Problem], report: &mut Report) -> Vec<&'a Problem> {
    let mut of_certificates = Vec::new();
    for problem in problems {
        let check = match problem.subject {
            Subject::Text => Check::PolicyText,
            Subject::Owners => Check::PolicyOwners,
            Subject::Account => Check::ProcessUser,
            Subject::Audit => Check::AuditDirectory,
            Subject::AuditKey => Check::AuditKey,
            Subject::Log => Check::LogDirectory,
            Subject::Home => Check::HomesAccess,
            Subject::Certificate => {
                of_certificates.push(problem);
                continue;
            }
        };
        add_problem(check, problem, report);
    }
    of_certificates
}

fn add_problem(check: Check, problem: &Problem, report: &mut Report) {
    let severity = match problem.severity {
        crate::config::Severity::Error => Severity::Error,
        crate::config::Severity::Warning => Severity::Warning,
    };
    let place = problem.position.as_ref().map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
    let found = format!("{} ({}{place})", problem.message, problem.file);
    let help = problem.help.as_deref().unwrap_or("portcullis policy check shows the line");
    report.add(check, severity, found, help);
}

/// Makes every check that needs the policy.
fn examine(examined: &Examined<'_>, report: &mut Report) {
    let fine = [
        (Check::PolicyText, "the policy files can be used"),
        (Check::PolicyOwners, "nobody else can change the files that decide"),
        (Check::HomesAccess, "the server gets at every home"),
        (Check::AuditDirectory, "the server gets at the directory of the audit log"),
        (Check::LogDirectory, "the server gets at the directory of the operational log"),
    ];
    for (check, words) in fine {
        match check {
            Check::LogDirectory if examined.config.log.directory.is_none() => {
                report.not_made(check, "the operational log goes to standard error alone");
                report.not_made(Check::LogSpace, "the operational log goes to standard error alone");
            }
            _ if report.worst_of(check).is_none() => report.ok(check, words),
            _ => {}
        }
    }
    let today = examined.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    process::check(examined, report);
    ports::check(examined, report);
    addresses::check(examined, report);
    certificates::check(examined, report);
    client_certificates::examine(examined.config, examined.now, certificates::Days::USUAL, report);
    accounts::check(examined, today, report);
    storage::check(examined, report);
    trail::check(examined, report);
}

/// SHA-256 over a certificate, as other programs show it.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    format!("SHA-256 {}", facts::fingerprint(certificate))
}
