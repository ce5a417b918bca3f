//! What the keeper reports: told to the operator, and recorded where it concerns the log.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tracing::{error, info, warn};

use super::Keeper;
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::audit::sink::AuditLog;
use crate::keeper::protocol::{self, Order, Pruning, Report};

/// The thread that listens.
pub(super) struct Hearing {
    pub(super) keeper: Arc<Keeper>,
    pub(super) audit: AuditLog,
    pub(super) child: Child,
    pub(super) reports: BufReader<UnixStream>,
}

impl Hearing {
    /// Listens until the keeper has ended.
    pub(super) fn run(mut self) {
        let fault = loop {
            match protocol::read(&mut self.reports) {
                Ok(Some(report)) => self.heard(report),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        self.keeper.alive.store(false, Ordering::Release);
        // What it says is not understood, so it must not stay either.
        drop(self.reports.get_ref().shutdown(std::net::Shutdown::Both));
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        if self.keeper.ending.load(Ordering::Acquire) {
            return;
        }
        let fault = fault.map(|error| error.to_string()).unwrap_or_default();
        error!(
            %status,
            fault,
            "the keeper has ended: the audit log goes on, but is neither rotated, compressed, removed nor copied until \
             the server is started again"
        );
        let record = Record::new(Event::AuditSinkFailed).failed("keeper_ended");
        self.record(record.with("sink", Detail::Text("keeper".to_owned())).with("error", Detail::Text(status)));
    }

    fn heard(&self, report: Report) {
        match report {
            Report::State(state) => *self.keeper.state.lock().unwrap_or_else(PoisonError::into_inner) = state,
            Report::Renamed { name } => info!(name, "the audit log was closed under this name"),
            Report::NotRenamed { name, reason } => {
                warn!(name, reason, "the audit log could not be renamed; it goes on in the same file");
            }
            Report::Compressed { file, bytes_before, bytes } => {
                info!(file, bytes_before, bytes, "a closed file of the audit log was compressed");
            }
            Report::Trouble { text } => warn!(text, "the keeper will try it again"),
            Report::Prune(pruning) => self.prune(pruning),
            Report::Unverified { file, reason, line } => {
                error!(file, reason, "a closed file of the audit log does not verify; it is kept as it is");
                let mut record = Record::new(Event::AuditUnverified).failed("unverified");
                record = record.with("file", Detail::Text(file)).with("error", Detail::Text(reason));
                if let Some(line) = line {
                    record = record.with("line", Detail::Number(line));
                }
                self.record(record);
            }
            Report::SinkFailed { sink, error } => {
                error!(sink, error, "the audit log cannot be copied there; it is tried again until it can");
                let record = Record::new(Event::AuditSinkFailed).failed("unreachable");
                self.record(record.with("sink", Detail::Text(sink)).with("error", Detail::Text(error)));
            }
            Report::SinkRecovered { sink, seconds } => {
                warn!(sink, seconds, "the audit log is copied there again");
                let record = Record::new(Event::AuditSinkRecovered);
                self.record(record.with("sink", Detail::Text(sink)).with("seconds", Detail::Number(seconds)));
            }
            Report::Ready { .. } | Report::Unable { .. } => {}
        }
    }

    /// A file goes only behind its record.
    fn prune(&self, pruning: Pruning) {
        let Pruning { file, first_seq, last_seq, last_hash, reason } = pruning;
        let record = Record::new(Event::AuditPruned)
            .with("file", Detail::Text(file.clone()))
            .with("first_seq", Detail::Number(first_seq))
            .with("last_seq", Detail::Number(last_seq))
            .with("last_hash", Detail::Text(last_hash))
            .with("reason", Detail::Text(reason.word().to_owned()));
        let recorded = self.record(record);
        if recorded {
            info!(file, reason = reason.word(), "a closed file of the audit log is removed");
        }
        self.keeper.orders.give(Order::Noted { file, recorded });
    }

    fn record(&self, record: Record) -> bool {
        let event = record.event.description().code;
        let recorded = self.audit.record_blocking(record);
        if let Err(fault) = &recorded {
            warn!(%fault, event, "what the keeper told is not recorded");
        }
        recorded.is_ok()
    }
}
