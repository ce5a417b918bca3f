//! The metrics of the audit log: how it is written, what lies on the disk, and how far its copies are.

use super::exposition::seconds;
use crate::daemon::calls::{AuditStatus, SinkStatus};
use crate::daemon::server::Shared;
use crate::metrics::text::{Labels, Metrics};

/// All of them.
pub(super) fn figures(status: &AuditStatus, shared: &Shared, metrics: &mut Metrics) {
    let tally = shared.audit.tally();
    metrics.plain("portcullis_audit_healthy", "Whether the audit log can be written.", u8::from(status.healthy));
    metrics.counters(
        "portcullis_audit_events_total",
        "Events that went to the audit log, by their name and reason.",
        ["event", "reason"],
        &tally.events,
    );
    metrics.counter(
        "portcullis_audit_records_total",
        "Records by whether they were in the log when that was asked for.",
        [(vec![("outcome", "written")], tally.confirmed.get()), (vec![("outcome", "refused")], tally.refused.get())],
    );
    metrics.plain("portcullis_audit_queue_records", "Records that wait to be written.", shared.audit.queued());
    let times = [
        (
            "portcullis_audit_record_duration_seconds",
            "How long records took from their coming to their confirmation.",
            &tally.waits,
        ),
        (
            "portcullis_audit_append_duration_seconds",
            "How long it took to write a batch of records, with its sync where each is synced.",
            &tally.appends,
        ),
        ("portcullis_audit_sync_duration_seconds", "How long it took to sync a group of batches.", &tally.syncs),
    ];
    for (name, help, histogram) in times {
        metrics.histogram(name, help, [(Labels::new(), histogram.seen())]);
    }
    files(status, metrics);
    copies(status, metrics);
}

/// The log as it lies on the disk, and the keeper that works on it.
fn files(status: &AuditStatus, metrics: &mut Metrics) {
    let time = |time: &Option<String>| time.as_deref().and_then(seconds).map(|time| (Labels::new(), time));
    metrics.gauge(
        "portcullis_audit_checkpoint_timestamp_seconds",
        "When the newest checkpoint of the log was signed.",
        time(&status.checkpoint_time),
    );
    metrics.plain("portcullis_audit_files", "Files of the log.", status.files);
    metrics.plain("portcullis_audit_bytes", "Their size together.", status.bytes);
    metrics.gauge(
        "portcullis_audit_oldest_record_timestamp_seconds",
        "When the oldest record was written that is there.",
        time(&status.oldest_time),
    );
    metrics.plain(
        "portcullis_audit_unverified_files",
        "Closed files that do not verify, and are kept as they are.",
        status.unverified.len(),
    );
    metrics.plain("portcullis_audit_keeper_alive", "Whether the keeper of the log runs.", u8::from(status.keeper));
}

/// Where the log is copied to.
fn copies(status: &AuditStatus, metrics: &mut Metrics) {
    let each = |figure: fn(&SinkStatus) -> u64| {
        status.sinks.iter().map(move |sink| (vec![("sink", sink.name.as_str())], figure(sink)))
    };
    metrics.gauge(
        "portcullis_audit_sink_healthy",
        "Whether the log could be copied there at the last attempt.",
        each(|sink| u64::from(sink.healthy)),
    );
    metrics.gauge(
        "portcullis_audit_sink_behind_records",
        "Records that are still to be copied there.",
        each(|sink| sink.behind_records),
    );
}
