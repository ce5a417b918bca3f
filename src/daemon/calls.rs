//! What is said through the control socket: one JSON object a line each way. The commands of the
//! program and the running server share these types.

mod administration;
mod sessions;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Problem;
pub(crate) use administration::{
    BanLine, BanList, Banned, Banning, DrainStatus, Draining, FreezeLine, FreezeList, Freezing, Thawed, Thawing,
    Unbanned, Unbanning,
};
pub(crate) use sessions::{Kicked, Kicking, SESSIONS_MAX, SessionLine, SessionList, TransferLine, Wanted};

/// Longest request, in bytes with its line end.
pub(crate) const REQUEST_BYTES_MAX: usize = 4096;
/// Longest answer that a command reads, in bytes.
pub(crate) const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Problems that an answer lists at most.
const PROBLEMS_MAX: usize = 1000;

/// What is asked of the running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Call {
    /// Let nobody from a network in.
    Ban(Banning),
    /// List the bans.
    Bans {},
    /// Let nobody new in, and stop with the last session; or take that back.
    Drain(Draining),
    /// Make something read-only.
    Freeze(Freezing),
    /// List what is read-only.
    Freezes {},
    /// End sessions.
    Kick(Kicking),
    /// Read the policy again.
    Reload {},
    /// List sessions.
    Sessions(Wanted),
    /// Say how things are.
    Status {},
    /// Let something be changed again.
    Thaw(Thawing),
    /// Let a network in again.
    Unban(Unbanning),
    /// List sessions again and again on one connection.
    Watch(Wanted),
    /// Say it in the figures of `/metrics`, quotas of users included.
    Metrics {},
}

impl Call {
    /// The verb, for the audit log.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Ban(_) => "ban",
            Self::Bans {} => "bans",
            Self::Drain(_) => "drain",
            Self::Freeze(_) => "freeze",
            Self::Freezes {} => "freezes",
            Self::Kick(_) => "kick",
            Self::Reload {} => "reload",
            Self::Sessions(_) => "sessions",
            Self::Status {} => "status",
            Self::Thaw(_) => "thaw",
            Self::Unban(_) => "unban",
            Self::Watch(_) => "watch",
            Self::Metrics {} => "metrics",
        }
    }
}

/// What the running server answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub(crate) enum Answer {
    /// To `ban`.
    Ban(Banned),
    /// To `bans`.
    Bans(BanList),
    /// To `drain`.
    Drain(DrainStatus),
    /// To `freeze`.
    Freeze(FreezeLine),
    /// To `freezes`.
    Freezes(FreezeList),
    /// To `kick`.
    Kick(Kicked),
    /// To `reload`.
    Reload(Reloaded),
    /// To `sessions` and `watch`.
    Sessions(SessionList),
    /// To `status`.
    Status(Box<Status>),
    /// To `thaw`.
    Thaw(Thawed),
    /// To `unban`.
    Unban(Unbanned),
    /// To `metrics`.
    Metrics {
        /// Text that Prometheus reads.
        text: String,
    },
    /// Nothing was done.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What came of a reload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    pub(crate) outcome: ReloadOutcome,
    /// The fingerprint of the policy that is in force now.
    pub(crate) policy: String,
    /// The fingerprint of the one before; the same where nothing was changed.
    pub(crate) before: String,
    /// What is wrong or odd about the files.
    pub(crate) problems: Vec<ShownProblem>,
    /// How many more there are.
    pub(crate) problems_more: usize,
    /// How many tests passed.
    pub(crate) tests_passed: usize,
    /// The tests that failed.
    pub(crate) tests_failed: Vec<String>,
    /// Why it could not be done, where the files are not to blame.
    pub(crate) reason: Option<String>,
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReloadOutcome {
    /// Another policy is in force.
    Loaded,
    /// The files are those that were in force; they were read all the same.
    Unchanged,
    /// The files cannot be put in force.
    Rejected,
    /// The policy fails its own tests.
    TestsFailed,
    /// Something else is in the way.
    Failed,
}

/// A problem of the policy files, as `policy check --json` has it, and as it is shown to people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ShownProblem {
    pub(crate) severity: String,
    pub(crate) file: String,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// The whole, with the line and the place in it.
    pub(crate) text: String,
}

impl ShownProblem {
    /// The first problems, and how many are left out.
    pub(crate) fn list(problems: &[Problem]) -> (Vec<Self>, usize) {
        let shown = problems.iter().take(PROBLEMS_MAX).map(|problem| Self {
            severity: problem.severity.to_string(),
            file: problem.file.to_string(),
            line: problem.position.as_ref().map(|at| at.line),
            column: problem.position.as_ref().map(|at| at.column),
            message: problem.message.clone(),
            help: problem.help.clone(),
            text: problem.to_string(),
        });
        (shown.collect(), problems.len().saturating_sub(PROBLEMS_MAX))
    }
}

/// How things are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) pid: u32,
    /// When the server started, in UTC.
    pub(crate) since: String,
    /// Whether it is about to stop.
    pub(crate) stopping: bool,
    /// Whether nobody new is let in, and the server stops with its last session.
    pub(crate) draining: DrainStatus,
    pub(crate) policy: PolicyStatus,
    pub(crate) listeners: Vec<ListenerStatus>,
    pub(crate) sessions: usize,
    pub(crate) transfers: usize,
    /// How many networks are banned, by hand and by themselves.
    pub(crate) bans: usize,
    /// What is read-only.
    pub(crate) freezes: Vec<FreezeLine>,
    pub(crate) certificates: Vec<CertificateStatus>,
    pub(crate) audit: AuditStatus,
    /// What confines the server, a line a layer.
    pub(crate) sandbox: Vec<String>,
    /// How full each quota and each file system is.
    pub(crate) space: Vec<SpaceLine>,
}

/// How full something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SpaceLine {
    /// Whose space it is: `user alice`, `folder projects`, or `file system`.
    pub(crate) what: String,
    /// The home, the folder, or a directory on the file system.
    pub(crate) directory: PathBuf,
    /// Bytes used; none before the first count.
    pub(crate) used_bytes: Option<u64>,
    /// The quota, or the size of the file system.
    pub(crate) limit_bytes: Option<u64>,
    /// Files and directories, of a file system inodes, used.
    pub(crate) used_files: Option<u64>,
    /// How many there may be; none where there is no limit, or the file system tells none.
    pub(crate) limit_files: Option<u64>,
    /// Bytes free in the file system.
    pub(crate) free_bytes: Option<u64>,
    /// Inodes free in the file system, where it tells.
    pub(crate) free_inodes: Option<u64>,
    /// How much is used, of bytes or of files, whichever is more; 0 before the first count.
    pub(crate) percent: u64,
    /// Whether that is a warning.
    pub(crate) warning: bool,
}

/// The policy in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PolicyStatus {
    pub(crate) fingerprint: String,
    pub(crate) directory: String,
    pub(crate) users: usize,
    /// When it was loaded, in UTC.
    pub(crate) loaded: String,
    /// Who asked for it.
    pub(crate) loaded_by: String,
}

/// A socket on which connections arrive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ListenerStatus {
    pub(crate) address: String,
    /// `explicit` or `implicit`.
    pub(crate) tls: String,
}

/// A certificate that new connections are shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CertificateStatus {
    pub(crate) name: String,
    /// When the first certificate of the chain ends, in UTC.
    pub(crate) ends: String,
    pub(crate) days_left: i64,
}

/// The audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AuditStatus {
    pub(crate) directory: String,
    /// Whether it can be written.
    pub(crate) healthy: bool,
    /// How many files it consists of.
    pub(crate) files: usize,
    /// Their size together, as they are on the disk.
    pub(crate) bytes: u64,
    /// The number of the oldest record that is there.
    pub(crate) oldest_seq: Option<u64>,
    /// When that was written, in UTC.
    pub(crate) oldest_time: Option<String>,
    /// When its newest checkpoint was signed, in UTC.
    #[serde(default)]
    pub(crate) checkpoint_time: Option<String>,
    /// The number of the last record that it stands for.
    #[serde(default)]
    pub(crate) checkpoint_seq: Option<u64>,
    /// Whether the keeper runs. Without it no file is renamed, compressed or removed, and nothing is
    /// copied, until the server is started again.
    pub(crate) keeper: bool,
    /// Closed files that do not verify, and are kept as they are.
    pub(crate) unverified: Vec<String>,
    /// Where the log is copied to.
    pub(crate) sinks: Vec<SinkStatus>,
}

/// Something that the log is copied to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SinkStatus {
    /// Which one: `stdout`, `journald`, `tls://logs.example.org:6514`.
    pub(crate) name: String,
    /// Whether the last attempt succeeded.
    pub(crate) healthy: bool,
    /// The number of the last record that was handed over.
    pub(crate) copied_seq: u64,
    /// How many records are still to be handed over.
    pub(crate) behind_records: u64,
    /// Since when it fails, in UTC.
    pub(crate) failing_since: Option<String>,
    /// What the last failure was; it stays after a recovery.
    pub(crate) last_error: Option<String>,
}
