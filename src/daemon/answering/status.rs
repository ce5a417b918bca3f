//! How things are, for `portcullis status`.

use std::path::Path;

use jiff::Timestamp;

use super::{bans, drain, freezes, second};
use crate::audit::head::{HEAD_NAME, SignedHead};
use crate::config;
use crate::config::files::Links;
use crate::daemon::calls::{AuditStatus, CertificateStatus, ListenerStatus, PolicyStatus, SinkStatus, Status};
use crate::daemon::listeners::named;
use crate::daemon::reload::Reloader;
use crate::daemon::server::Shared;
use crate::daemon::space;
use crate::tls::facts;
use crate::trail::entry::Entry;
use crate::trail::files::{self, LogFile};
use crate::trail::lines::Lines;

/// Longest file of a signed head that is read, in bytes.
const HEAD_BYTES_MAX: u64 = 4096;

/// Gathers it; for a thread that may block.
pub(in crate::daemon) fn status(reloader: &Reloader, stopping: bool) -> Status {
    let shared = &reloader.shared;
    let (config, policy) = (shared.config(), shared.policy());
    let (loading, now) = (reloader.loading(), Timestamp::now());
    let live = shared.sessions.summary();
    let listener = |(address, implicit): (std::net::SocketAddr, bool)| ListenerStatus {
        address: address.to_string(),
        tls: if implicit { "implicit" } else { "explicit" }.to_owned(),
    };
    let tls = shared.tls();
    let certificates = tls.deadlines().into_iter().map(|deadline| CertificateStatus {
        name: deadline.subject,
        ends: second(deadline.ends),
        days_left: facts::days_left(deadline.ends, now),
    });
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        since: second(reloader.since),
        stopping,
        draining: drain::status(shared),
        policy: PolicyStatus {
            fingerprint: config.fingerprint.to_string(),
            directory: config.directory.display().to_string(),
            users: policy.users.len(),
            loaded: second(loading.at),
            loaded_by: loading.by.to_string(),
        },
        listeners: named(&config.listen).into_iter().map(listener).collect(),
        sessions: live.sessions,
        transfers: live.transfers,
        bans: bans::count(shared, now),
        freezes: freezes::list(shared, now),
        certificates: certificates.collect(),
        audit: audit(shared, &config.audit.directory),
        sandbox: reloader.confinement.report().to_string().lines().map(str::to_owned).collect(),
        space: space::report(shared),
    }
}

/// The audit log and its copies.
fn audit(shared: &Shared, directory: &Path) -> AuditStatus {
    let files = files::find(directory).unwrap_or_default();
    let size = |file: &LogFile| file.path.metadata().map_or(0, |metadata| metadata.len());
    let mut lines = Lines::of(&files);
    let oldest = lines.read_next().ok().flatten();
    let oldest =
        oldest.and_then(|line| Entry::parse(line.bytes).ok().map(|entry| (entry.seq, entry.time_dt.to_string())));
    let (oldest_seq, oldest_time) = oldest.unzip();
    let (checkpoint_seq, checkpoint_time) = checkpoint(directory).map(|head| (head.seq, head.time)).unzip();
    let state = shared.keeper.state();
    let sinks = state.sinks.into_iter().map(|sink| SinkStatus {
        name: sink.sink,
        healthy: sink.failing_since.is_none(),
        copied_seq: sink.copied_seq,
        behind_records: sink.behind_records,
        failing_since: sink.failing_since,
        last_error: sink.last_error,
    });
    AuditStatus {
        directory: directory.display().to_string(),
        healthy: shared.audit.is_healthy(),
        files: files.len(),
        bytes: files.iter().map(size).fold(0, u64::saturating_add),
        oldest_seq,
        oldest_time,
        checkpoint_time,
        checkpoint_seq,
        keeper: shared.keeper.is_alive(),
        unverified: state.unverified,
        sinks: sinks.collect(),
    }
}

/// The newest checkpoint, as it lies beside the log.
fn checkpoint(directory: &Path) -> Option<SignedHead> {
    let content = config::files::read(&directory.join(HEAD_NAME), HEAD_BYTES_MAX, Links::Refuse).ok()?;
    serde_json::from_slice(content.bytes.split(|byte| *byte == b'\n').next()?).ok()
}
