//! How the running server is, as metrics.

use jiff::Timestamp;

use crate::cli::metrics::{Labels, Metrics};
use crate::daemon::calls::{SpaceLine, Status};

/// The metrics of a server, or where none answered, that.
pub(super) fn text(status: Option<&Status>) -> String {
    let mut metrics = Metrics::default();
    metrics.plain("portcullis_up", "Whether the server answered.", u8::from(status.is_some()));
    if let Some(status) = status {
        server(status, &mut metrics);
        certificates(status, &mut metrics);
        space(&status.space, &mut metrics);
    }
    metrics.text()
}

fn server(status: &Status, metrics: &mut Metrics) {
    let Status { policy, .. } = status;
    let labels = vec![("version", status.version.as_str()), ("policy", policy.fingerprint.as_str())];
    metrics.gauge("portcullis_info", "The version, and the fingerprint of the policy in force.", [(labels, 1)]);
    let times = [
        ("portcullis_start_timestamp_seconds", "When the server started.", &status.since),
        ("portcullis_policy_loaded_timestamp_seconds", "When the policy in force was loaded.", &policy.loaded),
    ];
    for (name, help, time) in times {
        metrics.gauge(name, help, seconds(time).map(|time| (Labels::new(), time)));
    }
    metrics.plain("portcullis_stopping", "Whether the server is about to stop.", u8::from(status.stopping));
    metrics.plain("portcullis_users", "Users in the policy.", policy.users);
    metrics.plain("portcullis_sessions", "Sessions that are connected.", status.sessions);
    metrics.plain("portcullis_transfers", "Transfers and hashes under way.", status.transfers);
    metrics.plain("portcullis_audit_healthy", "Whether the audit log can be written.", u8::from(status.audit.healthy));
}

fn certificates(status: &Status, metrics: &mut Metrics) {
    let mut all: Vec<_> = status.certificates.iter().collect();
    // Of two with one name, the one that ends first counts.
    all.sort_by_key(|one| one.days_left);
    let labels = |name: &'static str, text| vec![(name, text)];
    metrics.gauge(
        "portcullis_served_certificate_not_after_timestamp_seconds",
        "When the certificate or list of revoked certificates in use ends.",
        all.iter().filter_map(|one| Some((labels("name", one.name.as_str()), seconds(&one.ends)?))),
    );
    metrics.gauge(
        "portcullis_served_certificate_days_left",
        "Whole days until then; negative where it is past.",
        all.iter().map(|one| (labels("name", one.name.as_str()), one.days_left)),
    );
}

/// One figure of a line, where there is one.
type Figure = fn(&SpaceLine) -> Option<u64>;

fn space(lines: &[SpaceLine], metrics: &mut Metrics) {
    let directories: Vec<String> = lines.iter().map(|line| line.directory.display().to_string()).collect();
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
        let samples = lines.iter().zip(&directories).filter_map(|(line, directory)| {
            Some((vec![("what", line.what.as_str()), ("directory", directory.as_str())], figure(line)?))
        });
        metrics.gauge(name, help, samples);
    }
}

/// A time of the answer in seconds since 1970.
fn seconds(time: &str) -> Option<i64> {
    time.parse::<Timestamp>().ok().map(Timestamp::as_second)
}
