//! One record of the audit log, typed. How it is written as JSON is the business of its siblings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::event::Event;
use crate::policy::certificate::ClientCertificate;
use crate::proto::host::ServerName;
use crate::proto::path::VirtualPath;

/// What happened, to whom, where, and how it ended.
#[derive(Clone, Debug)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// Whether it went well; the reason where it did not.
    pub outcome: Outcome,
    /// The session it happened in; none for the server's own events.
    pub session: Option<Arc<SessionFacts>>,
    /// TLS on the control connection, once established.
    pub tls: Option<Arc<TlsFacts>>,
    /// The user, as known or as claimed.
    pub user: Option<Arc<str>>,
    /// The FTP command verb.
    pub command: Option<&'static str>,
    /// The reply codes the client hears, in order.
    pub codes: Vec<u16>,
    /// How long it took.
    pub duration: Option<Duration>,
    /// The file or directory concerned.
    pub file: Option<FileFacts>,
    /// Bytes moved: from the client, to the client.
    pub traffic: Option<Traffic>,
    /// The data connection used.
    pub data: Option<DataFacts>,
    /// Further facts, written under `unmapped`; names are `snake_case`.
    pub details: Vec<(&'static str, Detail)>,
}

/// How an event ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Success,
    /// Not as asked; the reason is one word of a closed vocabulary (`snake_case`).
    Failure(&'static str),
}

/// What stays the same for all records of a session, but for the policy.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// The session's ULID.
    pub id: String,
    /// When it began, in microseconds since the Unix epoch.
    pub created_micros: i64,
    /// The client's address.
    pub client: SocketAddr,
    /// The server's address, as the client used it.
    pub server: SocketAddr,
    /// The proxy that told both.
    pub proxy: Option<SocketAddr>,
    /// BLAKE3 of the policy files that decided.
    pub policy: Arc<str>,
}

/// A TLS session as negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite by its registered name.
    pub cipher: String,
    /// The key exchange group by its registered name.
    pub group: Option<String>,
    /// The server name the client asked for.
    pub server_name: Option<String>,
    /// The names of the identity whose certificate was shown; the first stands for it in records.
    pub identity: Arc<[ServerName]>,
    /// The application protocol agreed upon.
    pub alpn: Option<String>,
    /// Whether the handshake resumed an earlier session.
    pub resumed: bool,
    /// The exception that kept newer versions from the client: its reason and where it stands.
    pub exception: Option<String>,
    /// The certificate that the client showed.
    pub client: Option<Arc<ClientCertificate>>,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Its virtual path.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Its size in bytes, where known.
    pub size: Option<u64>,
    /// The digest over its whole content, where the whole content moved.
    pub digest: Option<Digest>,
    /// The other name, in a rename.
    pub renamed_to: Option<String>,
}

/// A digest over a file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// `blake3`, `crc32`, `md5`, `sha1`, `sha256` or `sha512`.
    pub algorithm: &'static str,
    /// The digest in lower-case hexadecimal.
    pub hex: String,
}

/// Bytes of content moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the client.
    pub bytes_in: u64,
    /// To the client.
    pub bytes_out: u64,
}

/// The data connection of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFacts {
    /// The server's port (passive) or the client's (active).
    pub port: u16,
    /// How the connection was bound to its control connection (`session`, `principal`, `address`).
    pub binding: &'static str,
    /// The exception that allowed less than `session`: its reason and where it stands.
    pub exception: Option<String>,
    /// Whether its TLS handshake resumed a session.
    pub resumed: bool,
    /// The representation type, `A` or `I`.
    pub representation: char,
}

/// A further fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A text; escaped and cut to length when written.
    Text(String),
    /// A number.
    Number(u64),
    /// A truth value.
    Flag(bool),
}

impl FileFacts {
    /// A file of which only the path is known.
    pub fn of(path: &VirtualPath) -> Self {
        Self { path: path.to_string(), directory: false, size: None, digest: None, renamed_to: None }
    }
}

impl Record {
    /// A record of an event that went well, with nothing else known yet.
    pub fn new(event: Event) -> Self {
        Self {
            event,
            outcome: Outcome::Success,
            session: None,
            tls: None,
            user: None,
            command: None,
            codes: Vec::new(),
            duration: None,
            file: None,
            traffic: None,
            data: None,
            details: Vec::new(),
        }
    }

    /// The same record of a failure, with its reason.
    #[must_use]
    pub fn failed(mut self, reason: &'static str) -> Self {
        self.outcome = Outcome::Failure(reason);
        self
    }

    /// The same record with a further fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, detail: Detail) -> Self {
        self.details.push((name, detail));
        self
    }
}
