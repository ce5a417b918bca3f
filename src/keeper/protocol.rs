//! What the server and the keeper say to each other: one JSON object a line, both ways. They are the
//! same program, so there are no versions of it.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::settings::RunAs;
use crate::settings::keeping::{Copies, Retention};

/// Longest line, in bytes with its end.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Longest text that is passed on of what somebody else said, in bytes.
const TEXT_BYTES_MAX: usize = 300;

/// What the keeper is told first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// The directory of the log.
    pub directory: PathBuf,
    /// The account to change to where the server is started as root.
    pub account: Option<Account>,
    /// Whether a kernel that lacks a layer of the sandbox is an error.
    pub require: bool,
    /// The public keys that prove closed files, in base64: the current one and those before it.
    pub keys: Vec<String>,
    /// What becomes of closed files.
    pub retention: Retention,
    /// Where records are copied to.
    pub copies: Vec<Copies>,
    /// The name servers to ask; none means those of the system.
    pub resolvers: Vec<SocketAddr>,
}

/// An account of the system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// Its primary group id.
    pub gid: u32,
}

impl From<&RunAs> for Account {
    fn from(account: &RunAs) -> Self {
        Self { name: account.name.clone(), uid: account.uid, gid: account.gid }
    }
}

impl From<Account> for RunAs {
    fn from(account: Account) -> Self {
        Self { name: account.name, uid: account.uid, gid: account.gid }
    }
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// The first order.
    Begin(Box<Begin>),
    /// From here on, closed files are treated so.
    Keep {
        /// How.
        retention: Retention,
    },
    /// The open file gets this name.
    Rename {
        /// The name.
        name: String,
    },
    /// To [`Report::Prune`].
    Noted {
        /// The file.
        file: String,
        /// Whether it is in the log that the file is about to be removed.
        recorded: bool,
    },
}

/// What the keeper says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// It is confined and at work.
    Ready {
        /// What confines it, a line a layer.
        sandbox: Vec<String>,
    },
    /// It cannot work.
    Unable {
        /// Why.
        reason: String,
    },
    /// The open file has its new name.
    Renamed {
        /// The name.
        name: String,
    },
    /// It has not.
    NotRenamed {
        /// The name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A file is to be removed as soon as that is in the log.
    Prune(Pruning),
    /// A file is compressed.
    Compressed {
        /// Its name before.
        file: String,
        /// Its size before, in bytes.
        bytes_before: u64,
        /// Its size now.
        bytes: u64,
    },
    /// A closed file does not verify, and stays.
    Unverified {
        /// The file.
        file: String,
        /// What is wrong, in words.
        reason: String,
        /// Its line, where it is one.
        line: Option<u64>,
    },
    /// Something could not be done with files and will be tried again.
    Trouble {
        /// What, and why.
        text: String,
    },
    /// What records are copied to cannot be reached.
    SinkFailed {
        /// Which.
        sink: String,
        /// Why.
        error: String,
    },
    /// It can be reached again.
    SinkRecovered {
        /// Which.
        sink: String,
        /// How long it could not, in seconds.
        seconds: u64,
    },
    /// How things are.
    State(State),
}

/// A file that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruning {
    /// The file.
    pub file: String,
    /// The number of its first record.
    pub first_seq: u64,
    /// The number of its last record.
    pub last_seq: u64,
    /// The hash of that record.
    pub last_hash: String,
    /// Why.
    pub reason: Reason,
}

/// Why a file is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is older than `[audit] keep-days`.
    Age,
    /// All files together are larger than `[audit] keep-bytes`.
    TotalSize,
}

impl Reason {
    /// The word for the audit log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::TotalSize => "total_size",
        }
    }
}

/// How things are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Where records are copied to, in the order of the policy.
    pub sinks: Vec<SinkState>,
    /// Closed files that do not verify.
    pub unverified: Vec<String>,
}

/// How a copy is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkState {
    /// Which.
    pub sink: String,
    /// The number of the last record handed over.
    pub copied_seq: u64,
    /// Records that are still to be handed over.
    pub behind_records: u64,
    /// Since when it fails, RFC 3339.
    pub failing_since: Option<String>,
    /// The last failure.
    pub last_error: Option<String>,
}

/// Writes a line.
///
/// # Errors
/// Where the other side is gone.
pub fn write<T: Serialize>(mut to: impl Write, what: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Reads a line; none where the other side is gone.
///
/// # Errors
/// Where it is too long, or none of ours.
pub fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    if from.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// A text of somebody else's, cut to what is passed on.
pub(super) fn bounded(text: &str) -> String {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_line_by_line() {
        let orders = [
            Order::Rename { name: "audit-00000000000000000001.jsonl".into() },
            Order::Keep { retention: Retention { compress: true, days: Some(400), bytes: None } },
            Order::Noted { file: "a\nb".into(), recorded: true },
        ];
        let mut wire = Vec::new();
        for order in &orders {
            write(&mut wire, order).unwrap();
        }
        let mut wire = wire.as_slice();
        for order in orders {
            assert_eq!(read::<Order>(&mut wire).unwrap(), Some(order));
        }
        assert_eq!(read::<Order>(&mut wire).unwrap(), None);
    }

    #[test]
    fn half_a_line_and_what_is_none_of_ours_is_refused() {
        for line in
            ["{\"order\":\"rename\",\"name\":\"x\"}", "{\"order\":\"remove\"}\n", "x\n", "{\"order\":\"keep\"}\n"]
        {
            assert!(read::<Order>(&mut line.as_bytes()).is_err(), "{line}");
        }
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        assert!(read::<Order>(&mut long.as_bytes()).is_err());
    }
}
