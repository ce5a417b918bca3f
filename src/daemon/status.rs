//! How things are, for `portcullis status`.

use jiff::Timestamp;

use super::calls::{AuditStatus, CertificateStatus, ListenerStatus, PolicyStatus, Status};
use super::listeners::named;
use super::reload::Reloader;
use crate::tls::facts;

/// Gathers it. It blocks for no disk.
pub(super) fn status(reloader: &Reloader, stopping: bool) -> Status {
    let shared = &reloader.shared;
    let (config, policy) = (shared.config(), shared.policy());
    let (loading, now) = (reloader.loading(), Timestamp::now());
    let (sessions, transfers) = shared.sessions.counts();
    let listener = |(address, implicit): (std::net::SocketAddr, bool)| ListenerStatus {
        address: address.to_string(),
        tls: if implicit { "implicit" } else { "explicit" }.to_owned(),
    };
    let tls = shared.tls();
    let certificates = tls.expiries().map(|(name, ends)| CertificateStatus {
        name: name.to_string(),
        ends: second(ends),
        days_left: facts::days_left(ends, now),
    });
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        since: second(reloader.since),
        stopping,
        policy: PolicyStatus {
            fingerprint: config.fingerprint.to_string(),
            directory: config.directory.display().to_string(),
            users: policy.users.len(),
            loaded: second(loading.at),
            loaded_by: loading.by.to_string(),
        },
        listeners: named(&config.listen).into_iter().map(listener).collect(),
        sessions,
        transfers,
        certificates: certificates.collect(),
        audit: AuditStatus {
            directory: config.audit.directory.display().to_string(),
            healthy: shared.audit.is_healthy(),
        },
        sandbox: reloader.confinement.report().to_string().lines().map(str::to_owned).collect(),
        space: Vec::new(),
    }
}

/// A time to the second.
fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
