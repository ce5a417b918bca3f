//! `portcullis cert check`.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::doctor::certificates::{self, Days, Measure};
use super::super::doctor::checks::Check;
use super::super::doctor::report::{Report, Severity, harmless};
use super::super::{Failure, say};
use super::{config, install, names_of, read, say_json};
use crate::config::files::{self, Kind, Links};
use crate::config::problem;
use crate::settings::{Config, Identity};
use crate::tls::{facts, pem};

/// Check every certificate and key of the policy.
///
/// Looks at chains, names, dates, keys, and who can read the files, as the doctor does.
///
/// Exits with 0 where nothing is worse than a note, with 3 where there are warnings, with 1 where there
/// are errors, and with 78 where the policy files cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis cert check
  portcullis cert check --days-warning 20 --days-error 3 --json")]
pub(super) struct Arguments {
    /// Fewer days than these until the end are a warning.
    #[arg(long, value_name = "N", default_value_t = Days::USUAL.warning, value_parser = clap::value_parser!(i64).range(0..=36_500))]
    days_warning: i64,
    /// Fewer days than these until the end are an error.
    #[arg(long, value_name = "N", default_value_t = Days::USUAL.error, value_parser = clap::value_parser!(i64).range(0..=36_500))]
    days_error: i64,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// An identity with what was found of it.
struct Checked<'a> {
    identity: &'a Identity,
    report: Report,
    /// When the first certificate of its chain ends.
    ends: Option<Timestamp>,
}

/// Checks, reports, and says by the exit code how bad it is.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let config = config(policy)?;
    let days = Days { warning: arguments.days_warning, error: arguments.days_error };
    let now = Timestamp::now();
    let checked: Vec<Checked<'_>> =
        config.tls.identities.iter().map(|identity| check(identity, &config, days, now)).collect();
    let worst = checked.iter().map(|one| one.report.worst()).max().unwrap_or(Severity::Ok);
    if arguments.json {
        say_json(&json!({
            "policy": policy.display().to_string(),
            "severity": worst.word(),
            "identities": checked.iter().map(|one| as_json(one, now)).collect::<Vec<_>>(),
        }))?;
    } else {
        say(text(&checked, now))?;
    }
    match worst.exit_code() {
        0 => Ok(()),
        code => Err(Failure::Found(code)),
    }
}

fn check<'a>(identity: &'a Identity, config: &'a Config, days: Days, now: Timestamp) -> Checked<'a> {
    let mut report = Report::default();
    let measure = Measure { config, now, names: &[], days, authority: identity.certificate.parent() };
    certificates::examine(identity, &measure, &mut report);
    for (path, kind) in [(&identity.certificate, Kind::Public), (&identity.key, Kind::Key)] {
        let Ok(content) = files::read(path, files::PEM_BYTES_MAX, Links::Follow) else { continue };
        for fault in files::faults(path, &content.metadata, kind, config.process.run_as.as_ref()) {
            let severity = match fault.severity {
                problem::Severity::Error => Severity::Error,
                problem::Severity::Warning => Severity::Warning,
            };
            report.add(Check::PolicyOwners, severity, fault.message, fault.help);
        }
    }
    if let Some(cut) = install::cut_short(&identity.certificate, &identity.key) {
        report.add(Check::CertificateFile, Severity::Warning, cut.found, cut.help);
    }
    Checked { identity, report, ends: end_of(identity) }
}

/// When the first certificate of the chain ends, where that can be read.
fn end_of(identity: &Identity) -> Option<Timestamp> {
    let chain = pem::certificates(&read(&identity.certificate).ok()?.bytes).ok()?;
    let end = |der: &[u8]| X509Certificate::from_der(der).ok().map(|(_, parsed)| facts::validity(&parsed).1);
    chain.iter().filter_map(|der| end(der)).min()
}

/// A line for each identity, and below it what is not fine.
fn text(checked: &[Checked<'_>], now: Timestamp) -> String {
    let mut out = String::new();
    for Checked { identity, report, ends } in checked {
        let left = ends.map_or_else(
            || "no date".to_owned(),
            |end| match facts::days_left(end, now) {
                past if past < 0 => format!("expired on {}", facts::day(end)),
                days => format!("{days} days left, until {}", facts::day(end)),
            },
        );
        let file = identity.certificate.display().to_string();
        let _ = writeln!(
            out,
            "{:<7}  {}  {left}  {}",
            report.worst().word(),
            harmless(&names_of(identity)),
            harmless(&file)
        );
        for finding in report.findings().iter().filter(|finding| finding.severity > Severity::Ok) {
            let _ = writeln!(out, "         {}: {}", finding.severity.word(), harmless(&finding.found));
            for line in finding.help.iter().flat_map(|help| help.lines()) {
                let _ = writeln!(out, "           → {}", harmless(line));
            }
        }
    }
    out.trim_end().to_owned()
}

fn as_json(checked: &Checked<'_>, now: Timestamp) -> Value {
    let Checked { identity, report, ends } = checked;
    let finding = |finding: &super::super::doctor::report::Finding| {
        json!({
            "id": finding.check.id(),
            "severity": finding.severity.word(),
            "found": finding.found,
            "help": finding.help,
        })
    };
    json!({
        "names": identity.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "certificate": identity.certificate.display().to_string(),
        "key": identity.key.display().to_string(),
        "severity": report.worst().word(),
        "not_after": ends.map(|end| end.to_string()),
        "days_left": ends.map(|end| facts::days_left(end, now)),
        "checks": report.findings().iter().map(finding).collect::<Vec<_>>(),
    })
}
