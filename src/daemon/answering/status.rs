//! How things are, for `portcullis status`.

use jiff::Timestamp;

use super::{bans, drain, freezes, second};
use crate::daemon::calls::{AuditStatus, CertificateStatus, ListenerStatus, PolicyStatus, Status};
use crate::daemon::listeners::named;
use crate::daemon::reload::Reloader;
use crate::daemon::space;
use crate::tls::facts;

/// Gathers it; for a thread that may block.
pub(super) fn status(reloader: &Reloader, stopping: bool) -> Status {
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
        audit: AuditStatus {
            directory: config.audit.directory.display().to_string(),
            healthy: shared.audit.is_healthy(),
        },
        sandbox: reloader.confinement.report().to_string().lines().map(str::to_owned).collect(),
        space: space::report(shared),
    }
}
