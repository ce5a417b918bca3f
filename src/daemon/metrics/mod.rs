//! The figures of the running server: what is counted here and not by the audit log, and how all of
//! it is told. `exposition` names every metric, `audit` those of the log, `endpoint` serves them, `process` asks the kernel.

mod audit;
pub(super) mod endpoint;
mod exposition;
mod process;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::answering::status::status;
use super::reload::{Outcome, Reloader};
use crate::metrics::{Counters, Histogram};
use crate::proto::line::{Line, LineError};
use crate::proto::reply::Code;
use crate::proto::verb::{self, Verb};
use process::Process;

/// From a resumption on this machine to a client at the end of its time.
const HANDSHAKE_TIMES: &[Duration] = &[
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];
/// What stands for commands that are none, or that we do not know.
const UNKNOWN: &str = "other";

/// Why no passive port could be had: a client holds them all for too long, or the system gives none.
pub(super) const EXHAUSTED: &str = "exhausted";
pub(super) const UNBINDABLE: &str = "unbindable";

/// What happens often, or leaves no record.
#[derive(Debug)]
pub(super) struct Figures {
    /// How long the handshakes of control connections took that succeeded, with the wait for a place.
    pub(super) handshakes: Histogram,
    commands: Counters<1>,
    replies: Counters<1>,
    /// Passive ports that could not be had, by why.
    pub(super) passive_failures: Counters<1>,
    reloads: Counters<1>,
    last_reload_failed: AtomicBool,
    process: Process,
}

impl Figures {
    /// Nothing counted yet. To be made before the sandbox: what tells of the process is opened here.
    pub(super) fn open() -> Self {
        // Whoever watches a count has to see it at 0 first.
        let passive_failures = Counters::default();
        for reason in [EXHAUSTED, UNBINDABLE] {
            passive_failures.add([reason], 0);
        }
        Self {
            handshakes: Histogram::new(HANDSHAKE_TIMES),
            commands: Counters::default(),
            replies: Counters::default(),
            passive_failures,
            reloads: Counters::default(),
            last_reload_failed: AtomicBool::new(false),
            process: Process::open(),
        }
    }

    /// Counts a command line.
    pub(super) fn command(&self, line: &Result<Line, LineError>) {
        let verb = line.as_ref().ok().and_then(|line| Verb::parse(verb::split(line).0));
        self.commands.add([verb.map_or(UNKNOWN, Verb::name)], 1);
    }

    /// Counts a reply.
    pub(super) fn reply(&self, code: Code) {
        self.replies.add([code.digits()], 1);
    }

    /// Counts a reload, and remembers how it ended.
    pub(super) fn reload(&self, outcome: &Outcome) {
        let (word, failed) = match outcome {
            Outcome::Loaded { .. } => ("loaded", false),
            Outcome::Rejected(_) => ("rejected", true),
            Outcome::TestsFailed(_) => ("tests_failed", true),
            Outcome::Failed(_) => ("failed", true),
        };
        self.reloads.add([word], 1);
        self.last_reload_failed.store(failed, Ordering::Relaxed);
    }
}

/// Every metric; for a thread that may block. Quotas of users are told one by one where `users` says so.
pub(super) fn text(reloader: &Reloader, stopping: bool, users: bool) -> String {
    exposition::text(&status(reloader, stopping), reloader, users)
}
