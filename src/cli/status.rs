//! `portcullis status`.

use std::path::Path;

use super::control::{Socket, ask};
use super::{Failure, drain, freeze, say};
use crate::daemon::calls::{Answer, AuditStatus, Call, SinkStatus, SpaceLine, Status};
use crate::metrics::text::Metrics;

/// Show how the running server is.
///
/// Exits with 1 where no server runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis status
  portcullis status --json
  portcullis status --format prometheus >portcullis.prom")]
pub(super) struct Arguments {
    /// Report as one JSON object.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// How to report: `prometheus` prints metrics for a file of the node exporter's textfile collector.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    socket: Socket,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Prometheus,
}

/// Asks for it and shows it.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let format = if arguments.json { Format::Json } else { arguments.format };
    if format == Format::Prometheus {
        return prometheus(arguments, policy);
    }
    let Answer::Status(status) = ask(&Call::Status {}, &arguments.socket, policy)? else {
        return Err(something_else());
    };
    match format {
        Format::Json => say(serde_json::to_string(&status).map_err(|error| Failure::Failed(error.to_string()))?),
        Format::Text | Format::Prometheus => say(table(&status)),
    }
}

/// The metrics as the server writes them, or where none answers, that.
fn prometheus(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    match ask(&Call::Metrics {}, &arguments.socket, policy) {
        Ok(Answer::Metrics { text }) => say(text.trim_end()),
        Ok(_) => Err(something_else()),
        Err(failure) => {
            let mut metrics = Metrics::default();
            metrics.plain("portcullis_up", "Whether the server answered.", 0);
            say(metrics.text())?;
            Err(failure)
        }
    }
}

fn something_else() -> Failure {
    Failure::Failed("the server answered something else".to_owned())
}

/// One fact a line, with its name in front of the first of a kind.
fn table(status: &Status) -> String {
    let Status { policy, audit, .. } = status;
    let state = match (status.stopping, status.draining.draining) {
        (true, _) => "stopping",
        (false, true) => "draining",
        (false, false) => "running",
    };
    let mut rows = vec![
        ("server", format!("{state}, version {}, pid {}", status.version, status.pid)),
        ("since", status.since.clone()),
        ("policy", policy.fingerprint.clone()),
        ("", format!("users: {}, read from {}", policy.users, policy.directory)),
        ("", format!("loaded {} by {}", policy.loaded, policy.loaded_by)),
    ];
    let group = |name: &'static str, texts: Vec<String>| {
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        names.zip(texts).collect::<Vec<_>>()
    };
    let listeners = status.listeners.iter().map(|listener| format!("{} ({} TLS)", listener.address, listener.tls));
    rows.extend(group("listening", listeners.collect()));
    rows.push(("sessions", format!("{}, {} with a transfer under way", status.sessions, status.transfers)));
    if status.draining.draining {
        rows.push(("draining", drain::told(&status.draining)));
    }
    if status.bans > 0 {
        rows.push(("bans", format!("{}; `portcullis bans` lists them", status.bans)));
    }
    rows.extend(group("READ-ONLY", status.freezes.iter().map(freeze::told).collect()));
    let certificates = status.certificates.iter().map(|one| {
        let days = if one.days_left < 0 { "expired".to_owned() } else { format!("{} days left", one.days_left) };
        format!("{}: {days} (until {})", one.name, one.ends)
    });
    rows.extend(group("certificates", certificates.collect()));
    let health = if audit.healthy { "written" } else { "CANNOT BE WRITTEN; new work is refused" };
    rows.push(("audit", format!("{health}, in {}", audit.directory)));
    rows.extend(group("", audit_lines(audit)));
    rows.extend(group("sandbox", status.sandbox.clone()));
    rows.extend(group("space", status.space.iter().map(space).collect()));
    let lines = rows.iter().map(|(name, text)| format!("{name:13} {text}").trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// The files of the audit log, who keeps them, and its copies.
fn audit_lines(audit: &AuditStatus) -> Vec<String> {
    let oldest = audit.oldest_time.as_deref().unwrap_or("none");
    let mut lines = vec![format!("files: {}, {} bytes, oldest record {oldest}", audit.files, audit.bytes)];
    if let (Some(time), Some(seq)) = (&audit.checkpoint_time, audit.checkpoint_seq) {
        lines.push(format!("signed up to record {seq}, {}", time.escape_debug()));
    }
    if !audit.keeper {
        lines.push("the keeper has ENDED: no rotation, no copies; restart the server".to_owned());
    }
    lines.extend(audit.unverified.iter().map(|file| format!("{} DOES NOT VERIFY and is kept", file.escape_debug())));
    lines.extend(audit.sinks.iter().map(|sink| {
        let how = match (&sink.failing_since, &sink.last_error) {
            (Some(since), Some(error)) => format!("FAILING since {since}: {}", error.escape_debug()),
            _ => "well".to_owned(),
        };
        let SinkStatus { name, copied_seq, behind_records, .. } = sink;
        format!("copy to {}: {how}; up to record {copied_seq}, {behind_records} behind", name.escape_debug())
    }));
    lines
}

fn space(line: &SpaceLine) -> String {
    let warning = if line.warning { " (WARNING)" } else { "" };
    let share = |used: Option<u64>, limit: Option<u64>, unit: &str| {
        let used = used.map_or_else(|| "not counted yet".to_owned(), |used| used.to_string());
        limit.map(|limit| format!("{used} of {limit} {unit}"))
    };
    let bytes = share(line.used_bytes, line.limit_bytes, "bytes");
    let files = share(line.used_files, line.limit_files, "files");
    let shares: Vec<String> = bytes.into_iter().chain(files).collect();
    let directory = line.directory.display().to_string();
    format!("{} {}: {} % full, {}{warning}", line.what, directory.escape_debug(), line.percent, shares.join(", "))
}
