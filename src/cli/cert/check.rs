//! `portcullis cert check`.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::doctor::certificates::{self, Days, Measure};
use super::super::doctor::checks::Check;
use super::super::doctor::client_certificates::{self, Dated};
use super::super::doctor::report::{Finding, Report, Severity, harmless};
use super::super::{Failure, say};
use super::metrics::{self, Sample};
use super::{config, install, names_of, read, say_json};
use crate::config::files::{self, Kind, Links};
use crate::config::problem;
use crate::settings::{Config, Identity};
use crate::tls::{facts, pem};

/// Check every certificate and key of the policy.
///
/// Looks at chains, names, dates, keys, and who can read the files, as the doctor does; also at the
/// authorities of clients, their lists of revoked certificates, and OCSP responses.
///
/// Exits with 0 where nothing is worse than a note, with 3 where there are warnings, with 1 where there
/// are errors, and with 78 where the policy files cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis cert check
  portcullis cert check --days-warning 20 --days-error 3 --json
  portcullis cert check --format prometheus >certificates.prom")]
pub(super) struct Arguments {
    /// Fewer days than these until the end are a warning.
    #[arg(long, value_name = "N", default_value_t = Days::USUAL.warning, value_parser = clap::value_parser!(i64).range(0..=36_500))]
    days_warning: i64,
    /// Fewer days than these until the end are an error.
    #[arg(long, value_name = "N", default_value_t = Days::USUAL.error, value_parser = clap::value_parser!(i64).range(0..=36_500))]
    days_error: i64,
    /// Report as one JSON object.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// How to report: `prometheus` prints metrics for a file of the node exporter's textfile collector.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How the findings are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Prometheus,
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
    let mut beside = Report::default();
    let dated = client_certificates::examine(&config, now, days, &mut beside);
    let reports = checked.iter().map(|one| &one.report).chain([&beside]);
    let worst = reports.map(Report::worst).max().unwrap_or(Severity::Ok);
    match if arguments.json { Format::Json } else { arguments.format } {
        Format::Json => say_json(&json!({
            "policy": policy.display().to_string(),
            "severity": worst.word(),
            "identities": checked.iter().map(|one| as_json(one, now)).collect::<Vec<_>>(),
            "files": dated.iter().map(|one| dated_as_json(one, now)).collect::<Vec<_>>(),
            "checks": beside.findings().iter().map(finding_as_json).collect::<Vec<_>>(),
        }))?,
        Format::Text => say(text(&checked, &beside, now))?,
        Format::Prometheus => say(metrics::text(&samples(&checked, &dated), worst, now))?,
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
pub(in crate::cli) fn end_of(identity: &Identity) -> Option<Timestamp> {
    let chain = pem::certificates(&read(&identity.certificate).ok()?.bytes).ok()?;
    let end = |der: &[u8]| X509Certificate::from_der(der).ok().map(|(_, parsed)| facts::validity(&parsed).1);
    chain.iter().filter_map(|der| end(der)).min()
}

/// A line for each identity, and below it what is not fine.
fn text(checked: &[Checked<'_>], beside: &Report, now: Timestamp) -> String {
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
            push_help(&mut out, finding);
        }
    }
    for finding in beside.findings() {
        let _ = writeln!(out, "{:<7}  {}", finding.severity.word(), harmless(&finding.found));
        push_help(&mut out, finding);
    }
    out.trim_end().to_owned()
}

fn push_help(out: &mut String, finding: &Finding) {
    for line in finding.help.iter().flat_map(|help| help.lines()) {
        let _ = writeln!(out, "           → {}", harmless(line));
    }
}

/// What is measured.
fn samples<'a>(checked: &[Checked<'_>], dated: &'a [Dated]) -> Vec<Sample<'a>> {
    let of_identity = |one: &Checked<'_>| Sample {
        kind: "server",
        name: one.identity.names.first().map(ToString::to_string).unwrap_or_default(),
        file: one.identity.certificate.display().to_string(),
        ends: one.ends,
    };
    let of_file = |one: &'a Dated| Sample {
        kind: one.key,
        name: String::new(),
        file: one.file.display().to_string(),
        ends: one.ends,
    };
    checked.iter().map(of_identity).chain(dated.iter().map(of_file)).collect()
}

fn dated_as_json(one: &Dated, now: Timestamp) -> Value {
    json!({
        "key": one.key,
        "file": one.file.display().to_string(),
        "not_after": one.ends.map(|end| end.to_string()),
        "days_left": one.ends.map(|end| facts::days_left(end, now)),
    })
}

fn finding_as_json(finding: &Finding) -> Value {
    json!({
        "id": finding.check.id(),
        "severity": finding.severity.word(),
        "found": finding.found,
        "help": finding.help,
    })
}

fn as_json(checked: &Checked<'_>, now: Timestamp) -> Value {
    let Checked { identity, report, ends } = checked;
    json!({
        "names": identity.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "certificate": identity.certificate.display().to_string(),
        "key": identity.key.display().to_string(),
        "severity": report.worst().word(),
        "not_after": ends.map(|end| end.to_string()),
        "days_left": ends.map(|end| facts::days_left(end, now)),
        "checks": report.findings().iter().map(finding_as_json).collect::<Vec<_>>(),
    })
}
