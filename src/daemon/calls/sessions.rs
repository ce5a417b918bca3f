//! Sessions as commands see them.

use serde::{Deserialize, Serialize};

/// Most sessions in one answer.
pub(crate) const SESSIONS_MAX: usize = 10_000;

/// Which sessions are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Those of this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Those from this address or network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// So many at most, the oldest first; [`SESSIONS_MAX`] where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
}

/// The sessions that were asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SessionList {
    pub(crate) sessions: Vec<SessionLine>,
    /// How many more there are.
    pub(crate) more: usize,
    /// Transfers and hashes of all that are meant, also of those left out.
    pub(crate) transfers: usize,
    /// What comes from all of their clients.
    pub(crate) bytes_per_second_in: u64,
    /// What goes to all of their clients.
    pub(crate) bytes_per_second_out: u64,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionLine {
    /// The id that its records have.
    pub(crate) session: String,
    /// Who has logged in.
    pub(crate) user: Option<String>,
    /// The client's address.
    pub(crate) address: String,
    pub(crate) port: u16,
    /// The proxy that told it.
    pub(crate) proxy: Option<String>,
    /// When it began, in UTC.
    pub(crate) since: String,
    pub(crate) seconds: u64,
    /// How long the client has done nothing.
    pub(crate) idle_seconds: u64,
    /// The version of TLS, once it is up.
    pub(crate) tls: Option<String>,
    /// `cleartext`, `login`, `change-password` or `files`; `new` before the greeting.
    pub(crate) stage: String,
    pub(crate) transfer: Option<TransferLine>,
    /// What has to come from outside for it to go on; none where it moves.
    pub(crate) waiting_for: Option<String>,
}

/// What moves in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TransferLine {
    pub(crate) verb: String,
    /// The path as the user sees it, cut where it is very long.
    pub(crate) path: String,
    /// Bytes moved so far.
    pub(crate) bytes: u64,
    /// The size of the whole file, where it is known.
    pub(crate) size: Option<u64>,
    pub(crate) percent: Option<u8>,
    /// Over the last seconds.
    pub(crate) bytes_per_second: u64,
    pub(crate) seconds: u64,
}

/// Which sessions are to end: one of the three.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kicking {
    /// The one whose id begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    /// Those of this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Those from this address or network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Why, for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// What came of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kicked {
    /// How many sessions were told to end.
    pub(crate) sessions: usize,
    /// Those of them that have not ended yet.
    pub(crate) ending: usize,
}
