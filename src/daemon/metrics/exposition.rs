//! Every metric of the running server by its name: one definition for `/metrics` and for
//! `portcullis status --format prometheus`. docs/operation.md has each of them, which a test compares.

use jiff::Timestamp;

use super::{Figures, audit};
use crate::audit::event::Event;
use crate::audit::tally::Tally;
use crate::daemon::calls::{SpaceLine, Status};
use crate::daemon::reload::Reloader;
use crate::daemon::server::Shared;
use crate::metrics::text::{Labels, Metrics};

/// How `status` calls what a quota is for, or a file system.
const USER: &str = "user ";
const FOLDER: &str = "folder ";

/// All of them.
pub(super) fn text(status: &Status, reloader: &Reloader, users: bool) -> String {
    let shared = &reloader.shared;
    let mut metrics = Metrics::default();
    metrics.plain("portcullis_up", "Whether the server answered.", 1);
    server(status, shared, &mut metrics);
    policy(status, &shared.figures, &mut metrics);
    let tally = shared.audit.tally();
    connections(shared, tally, &mut metrics);
    logins(shared, tally, &mut metrics);
    commands(&shared.figures, tally, &mut metrics);
    transfers(status, shared, tally, &mut metrics);
    administration(status, shared, &mut metrics);
    audit::figures(&status.audit, shared, &mut metrics);
    certificates(status, &mut metrics);
    space(status, reloader, users, &mut metrics);
    process(&shared.figures, &mut metrics);
    metrics.text() + "\n"
}

/// The samples of some events by their reasons. What never happened is 0, where it has no reason.
fn events<const LABELS: usize>(
    tally: &Tally,
    rows: &[(Event, [(&'static str, &'static str); LABELS])],
) -> Vec<(Labels<'static>, u64)> {
    let all = tally.events.all();
    let mut samples: Vec<(Labels<'static>, u64)> = Vec::new();
    for (event, labels) in rows {
        let code = event.description().code;
        let counted = all.iter().filter(|([counted, _], _)| *counted == code);
        for ([_, reason], count) in counted {
            let labels: Labels<'_> = labels.iter().copied().chain([("reason", *reason)]).collect();
            match samples.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, sum)) => *sum = count.saturating_add(*sum),
                None => samples.push((labels, *count)),
            }
        }
        if !samples.iter().any(|(known, _)| known.starts_with(labels)) {
            samples.push((labels.to_vec(), 0));
        }
    }
    samples
}

/// The number of times an event happened, whatever its reason.
fn times(tally: &Tally, event: Event) -> u64 {
    let code = event.description().code;
    let all = tally.events.all();
    all.iter().filter(|([counted, _], _)| *counted == code).fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

fn server(status: &Status, shared: &Shared, metrics: &mut Metrics) {
    let labels = vec![("version", status.version.as_str()), ("policy", status.policy.fingerprint.as_str())];
    metrics.gauge("portcullis_info", "The version, and the fingerprint of the policy in force.", [(labels, 1)]);
    let started = status.since.parse::<Timestamp>().ok();
    let plain = |time: Option<i64>| time.map(|time| (Labels::new(), time));
    metrics.gauge(
        "portcullis_start_timestamp_seconds",
        "When the server started.",
        plain(started.map(Timestamp::as_second)),
    );
    let up = started.map(|started| Timestamp::now().as_second().saturating_sub(started.as_second()).max(0));
    metrics.gauge("portcullis_uptime_seconds", "How long it has been running.", plain(up));
    metrics.plain("portcullis_stopping", "Whether the server is about to stop.", u8::from(status.stopping));
    metrics.plain(
        "portcullis_draining",
        "Whether nobody new is let in, and the server stops with its last session.",
        u8::from(status.draining.draining),
    );
    metrics.plain(
        "portcullis_ready",
        "Whether new work is taken, as /ready says.",
        u8::from(super::endpoint::not_ready(shared, status.stopping).is_empty()),
    );
}

fn policy(status: &Status, figures: &Figures, metrics: &mut Metrics) {
    let loaded = status.policy.loaded.parse::<Timestamp>().ok();
    metrics.gauge(
        "portcullis_policy_loaded_timestamp_seconds",
        "When the policy in force was loaded.",
        loaded.map(|time| (Labels::new(), time.as_second())),
    );
    metrics.counters("portcullis_policy_reloads_total", "Reloads by how they ended.", ["outcome"], &figures.reloads);
    let ok = !figures.last_reload_failed.load(std::sync::atomic::Ordering::Relaxed);
    metrics.plain(
        "portcullis_policy_last_reload_successful",
        "Whether the last reload was put in force.",
        u8::from(ok),
    );
    metrics.plain("portcullis_users", "Users in the policy.", status.policy.users);
}

fn connections(shared: &Shared, tally: &Tally, metrics: &mut Metrics) {
    metrics.total(
        "portcullis_connections_accepted_total",
        "Control connections that became sessions.",
        times(tally, Event::ConnectionAccepted),
    );
    metrics.counter(
        "portcullis_connections_refused_total",
        "Control connections that were turned away, by reason.",
        events(tally, &[(Event::ConnectionRefused, [])]),
    );
    metrics.counters(
        "portcullis_tls_handshakes_total",
        "TLS handshakes of control connections, by version and whether resumed.",
        ["version", "handshake"],
        &tally.handshakes,
    );
    metrics.counter(
        "portcullis_tls_handshakes_failed_total",
        "TLS handshakes of control connections that failed, by reason.",
        events(tally, &[(Event::TlsFailed, []), (Event::TlsPlaintextInjection, [])]),
    );
    metrics.histogram(
        "portcullis_tls_handshake_duration_seconds",
        "How long handshakes of control connections took that succeeded.",
        [(Labels::new(), shared.figures.handshakes.seen())],
    );
    let sessions = shared.sessions.summary();
    metrics.plain("portcullis_sessions", "Sessions that are connected.", sessions.sessions);
    metrics.plain("portcullis_sessions_logged_in", "Those of them with a user logged in.", sessions.logged_in);
    metrics.plain("portcullis_sessions_limit", "Sessions there may be.", shared.config().limits.sessions);
}

fn logins(shared: &Shared, tally: &Tally, metrics: &mut Metrics) {
    metrics.counter(
        "portcullis_logins_total",
        "Attempts to log in, by outcome and reason.",
        events(
            tally,
            &[
                (Event::LoginSuccess, [("outcome", "success")]),
                (Event::LoginFailure, [("outcome", "failure")]),
                (Event::LoginLimited, [("outcome", "throttled")]),
                (Event::LoginInClear, [("outcome", "in_clear")]),
            ],
        ),
    );
    metrics.total("portcullis_bans_total", "Bans of addresses for guessing.", times(tally, Event::LoginBanned));
    let checks = shared.verifier().load();
    metrics.plain("portcullis_password_checks_running", "Password checks that are computed.", checks.running);
    metrics.plain("portcullis_password_checks_waiting", "Password checks that wait for their turn.", checks.waiting);
    metrics.plain("portcullis_password_checks_limit", "Password checks that may run at a time.", checks.running_max);
}

fn commands(figures: &Figures, tally: &Tally, metrics: &mut Metrics) {
    metrics.counters("portcullis_commands_total", "Command lines, by verb.", ["verb"], &figures.commands);
    metrics.counters("portcullis_replies_total", "Replies, by code.", ["code"], &figures.replies);
    let refused = [
        (
            "portcullis_commands_refused_total",
            "Commands refused that would weaken the protection, by reason.",
            Event::CommandRefused,
        ),
        (
            "portcullis_protocol_violations_total",
            "Sessions ended for a breach of the protocol or a bound, by reason.",
            Event::ProtocolViolation,
        ),
        ("portcullis_access_denied_total", "Actions that the policy refused, by reason.", Event::AccessDenied),
        (
            "portcullis_quota_refusals_total",
            "Uploads that a quota or the free-space floor stopped, by reason.",
            Event::QuotaExceeded,
        ),
    ];
    for (name, help, event) in refused {
        metrics.counter(name, help, events(tally, &[(event, [])]));
    }
}

fn transfers(status: &Status, shared: &Shared, tally: &Tally, metrics: &mut Metrics) {
    metrics.plain("portcullis_transfers", "Transfers and hashes under way.", status.transfers);
    let row = |event, direction, outcome| (event, [("direction", direction), ("outcome", outcome)]);
    let mut ended = events(
        tally,
        &[
            row(Event::FileUpload, "upload", "complete"),
            row(Event::FileUploadIncomplete, "upload", "incomplete"),
            row(Event::FileDownload, "download", "complete"),
            row(Event::FileDownloadIncomplete, "download", "incomplete"),
            row(Event::FileList, "listing", "complete"),
        ],
    );
    for (labels, _) in &mut ended {
        // A listing has one event, whatever came of it.
        let failed = labels.iter().any(|(key, text)| *key == "reason" && !text.is_empty());
        if let Some((_, outcome)) = labels.iter_mut().find(|(key, _)| failed && *key == "outcome") {
            *outcome = "incomplete";
        }
    }
    metrics.counter(
        "portcullis_transfers_ended_total",
        "Transfers that ended, by direction, outcome and reason.",
        ended,
    );
    let [up, down] = shared.bandwidth.moved();
    metrics.counter(
        "portcullis_transferred_bytes_total",
        "Bytes of content moved, of transfers under way too: `in` from clients, `out` to them.",
        [(vec![("direction", "in")], up), (vec![("direction", "out")], down)],
    );
    metrics.histogram(
        "portcullis_transfer_duration_seconds",
        "How long uploads and downloads took, with those that failed.",
        [
            (vec![("direction", "upload")], tally.uploads.seen()),
            (vec![("direction", "download")], tally.downloads.seen()),
        ],
    );
    metrics.counters(
        "portcullis_data_connections_total",
        "Data connections that moved content, by how they proved to belong here and whether resumed.",
        ["binding", "handshake"],
        &tally.data_connections,
    );
    metrics.counter(
        "portcullis_data_connections_refused_total",
        "Data connections that did not prove to belong here, by reason.",
        events(tally, &[(Event::DataBindingFailed, []), (Event::DataPeerMismatch, [])]),
    );
    let usage = shared.passive.usage();
    metrics.plain("portcullis_passive_ports", "Passive ports in the range.", usage.ports);
    metrics.plain(
        "portcullis_passive_ports_open",
        "Those that are listened on, for each address of this machine.",
        usage.open,
    );
    metrics.plain("portcullis_passive_reservations", "Data connections that are awaited.", usage.reserved);
    metrics.counters(
        "portcullis_passive_failures_total",
        "Passive ports that could not be had, by reason.",
        ["reason"],
        &shared.figures.passive_failures,
    );
}

/// What administrators keep out, and what they have made read-only; who is meant is not told.
fn administration(status: &Status, shared: &Shared, metrics: &mut Metrics) {
    let by_failures = shared.throttle().banned();
    let by_hand = shared.bans.list(Timestamp::now()).len();
    metrics.gauge(
        "portcullis_banned_networks",
        "Networks that are banned, by hand or for failed logins (addresses; IPv6: /64).",
        [(vec![("by", "hand")], by_hand), (vec![("by", "failed_logins")], by_failures)],
    );
    metrics.plain("portcullis_freezes", "Freezes that hold.", status.freezes.len());
    let endless = status.freezes.iter().filter(|freeze| freeze.until.is_none());
    metrics.gauge(
        "portcullis_freeze_endless_timestamp_seconds",
        "When the oldest freeze was made that does not end by itself.",
        endless.filter_map(|freeze| seconds(&freeze.since)).min().map(|since| (Labels::new(), since)),
    );
}

fn certificates(status: &Status, metrics: &mut Metrics) {
    let mut all: Vec<_> = status.certificates.iter().collect();
    // Of two with one name, the one that ends first counts.
    all.sort_by_key(|one| one.days_left);
    let labels = |text| vec![("name", text)];
    metrics.gauge(
        "portcullis_served_certificate_not_after_timestamp_seconds",
        "When the certificate or list of revoked certificates in use ends.",
        all.iter().filter_map(|one| Some((labels(one.name.as_str()), seconds(&one.ends)?))),
    );
}

/// A time of the status, in seconds since 1970.
pub(super) fn seconds(time: &str) -> Option<i64> {
    time.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// One figure of a line, where there is one.
type Figure = fn(&SpaceLine) -> Option<u64>;

fn space(status: &Status, reloader: &Reloader, users: bool, metrics: &mut Metrics) {
    let kinds = [("user", USER), ("folder", FOLDER), ("file_system", "file system")];
    metrics.gauge(
        "portcullis_space_warnings",
        "Quotas and file systems of which so much is used that it is a warning.",
        kinds.map(|(kind, prefix)| {
            let warned = status.space.iter().filter(|line| line.warning && line.what.starts_with(prefix));
            (vec![("kind", kind)], warned.count())
        }),
    );
    let bases = &reloader.shared.config().storage.base_directories;
    let shown = |line: &SpaceLine| {
        let own = line.directory.as_path();
        let base = || bases.iter().find(|base| own.starts_with(base));
        // That of a home would tell a name: what it lies in does not.
        let of_home = line.what == "file system";
        let place = if users || !of_home { own } else { base().map_or(own.parent().unwrap_or(own), |base| base) };
        place.display().to_string()
    };
    let lines: Vec<(&SpaceLine, String)> = status
        .space
        .iter()
        .filter(|line| users || !line.what.starts_with(USER))
        .map(|line| (line, shown(line)))
        .collect();
    let figures: [(&str, &str, Figure); 7] = [
        ("portcullis_space_used_bytes", "Bytes used; absent before the first count.", |line| line.used_bytes),
        ("portcullis_space_limit_bytes", "The quota, or the size of the file system.", |line| line.limit_bytes),
        ("portcullis_space_used_files", "Files and directories, or inodes, used.", |line| line.used_files),
        ("portcullis_space_limit_files", "How many there may be.", |line| line.limit_files),
        ("portcullis_space_free_bytes", "Bytes free in the file system.", |line| line.free_bytes),
        ("portcullis_space_free_inodes", "Inodes free in the file system.", |line| line.free_inodes),
        ("portcullis_space_warning", "Whether so much is used that it is a warning.", |line| {
            Some(u64::from(line.warning))
        }),
    ];
    for (name, help, figure) in figures {
        let samples = lines.iter().filter_map(|(line, directory)| {
            Some((vec![("what", line.what.as_str()), ("directory", directory.as_str())], figure(line)?))
        });
        metrics.gauge(name, help, samples);
    }
}

fn process(figures: &Figures, metrics: &mut Metrics) {
    let Some(usage) = figures.process.usage() else { return };
    metrics.total(
        "portcullis_process_cpu_seconds_total",
        "Time that processors spent on the server.",
        usage.cpu_seconds,
    );
    metrics.plain("portcullis_process_resident_memory_bytes", "Memory in use.", usage.resident_bytes);
    metrics.plain("portcullis_process_virtual_memory_bytes", "Addresses in use.", usage.virtual_bytes);
    metrics.plain("portcullis_process_threads", "Threads.", usage.threads);
    metrics.plain("portcullis_process_open_fds", "Open descriptors.", usage.descriptors);
    metrics.gauge(
        "portcullis_process_max_fds",
        "Descriptors there may be.",
        usage.descriptors_max.map(|most| (Labels::new(), most)),
    );
}
