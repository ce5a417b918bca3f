//! How long the audit log is kept, and where it is copied to.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What becomes of closed files of the audit log, and of copies of its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// What becomes of closed files.
    pub retention: Retention,
    /// Where records are copied to.
    pub copies: Vec<Copies>,
}

/// What becomes of closed files of the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Whether they are compressed.
    pub compress: bool,
    /// Days after its last record for which a file is kept; none keeps it for ever.
    pub days: Option<u64>,
    /// Bytes that all files together may have; none is no bound.
    pub bytes: Option<u64>,
}

/// Something that records are copied to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copies {
    /// Where to.
    pub target: Target,
    /// Which records.
    pub records: Records,
    /// The facility of syslog messages (RFC 5424 §6.2.1).
    pub facility: u8,
}

/// Which records are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Records {
    /// All of them.
    All,
    /// Those by which the others are proved: checkpoints, and the keys that sign them.
    Checkpoints,
}

/// Where records are copied to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Target {
    /// The standard output that the server was started with.
    Stdout {},
    /// The journal of this machine, at this socket.
    Journal {
        /// Where it listens.
        socket: PathBuf,
    },
    /// A syslog server of this machine, at this socket.
    Local {
        /// Where it listens.
        socket: PathBuf,
    },
    /// A syslog server, over TLS (RFC 5425).
    Tls(SyslogServer),
}

/// A syslog server that is reached over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogServer {
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name that its certificate must have.
    pub name: String,
    /// PEM file with the authorities that may have issued it.
    pub authorities: PathBuf,
    /// The certificate chain that the server shows, and its key, as PEM files.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What it is called in records, in `status`, and where it is remembered how far it is.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout {} => f.write_str("stdout"),
            Self::Journal { .. } => f.write_str("journald"),
            Self::Local { socket } => write!(f, "unix:{}", socket.display()),
            Self::Tls(SyslogServer { host, port, .. }) if host.contains(':') => write!(f, "tls://[{host}]:{port}"),
            Self::Tls(SyslogServer { host, port, .. }) => write!(f, "tls://{host}:{port}"),
        }
    }
}
