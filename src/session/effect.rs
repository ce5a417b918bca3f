//! What goes into a session and what comes out: inputs, effects, questions. The driver performs
//! the effects in order, then answers the question, if there is one, with the next input.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::record::{DataFacts, Digest, Record, TlsFacts};
use crate::identity::{Secret, Verified};
use crate::policy::BindingJudgement;
use crate::policy::Principal;
use crate::policy::grant::Grant;
use crate::proto::argument::Representation;
use crate::proto::facts::Form;
use crate::proto::line::{Line, LineError};
use crate::proto::reply::Reply;

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// The connection is there; on an implicit listener TLS comes before the greeting.
    Connected,
    /// A line came, while `moved_bytes` of a running transfer had moved.
    Line(Result<Line, LineError>, u64),
    /// A TLS handshake began on a connection that is still in clear.
    TlsInClear,
    /// Bytes stand behind `AUTH TLS` in clear.
    PlaintextInjection,
    /// The client has gone without `QUIT`.
    PeerGone,
    /// The time for logging in, or for doing anything at all, is over.
    TimedOut,
    /// The server is being stopped.
    Drain,
    /// The answer to [`Question::StartTls`].
    Tls(Result<TlsFacts, &'static str>),
    /// The answer to [`Question::CheckPassword`].
    Password(PasswordCheck),
    /// The answer to [`Question::CountFailure`].
    Penalty(Penalty),
    /// The answer to [`Question::OpenHome`]: whether it could be opened.
    Home(bool),
    /// The answer to [`Question::OpenPassive`]: the port, or why there is none.
    Passive(Result<PassivePort, PassiveFault>),
    /// The answer to [`Question::Store`].
    Stored(Result<StoreAnswer, StoreFault>),
    /// The answer to [`Question::Prepare`].
    Prepared(Result<Prepared, MoveFault>),
    /// The answer to [`Question::Move`].
    Moved(Box<Moved>),
}

/// What the driver does, in the order given.
#[derive(Debug)]
pub enum Effect {
    /// Write the record; without it, nothing behind it is done.
    Audit(Box<Record>),
    /// Send the reply.
    Reply(Reply),
    /// Wait before what follows.
    Delay(Duration),
    /// Somebody has logged in: what concerns data connections may now depend on who it is.
    LoggedIn(Principal),
    /// Let the client's data connection go, and its port.
    CloseData,
    /// Data connections will be made to this address.
    UseActive(SocketAddr),
    /// Stop the running transfer; [`Input::Moved`] still comes.
    Abort,
    /// End the control connection once everything was sent.
    Close,
}

/// What the session must know before it goes on. One at a time.
#[derive(Debug)]
pub enum Question {
    /// Do the TLS handshake of the control connection.
    StartTls,
    /// Check a password.
    CheckPassword {
        /// The name as the client gave it.
        claimed: Arc<str>,
        /// What it gave as the password.
        secret: Secret,
    },
    /// Count a failed login against its source.
    CountFailure {
        /// The name as the client gave it.
        claimed: Arc<str>,
    },
    /// Open a user's home.
    OpenHome(PathBuf),
    /// Reserve a port for a passive data connection.
    OpenPassive,
    /// Do something with the store.
    Store(StoreRequest),
    /// Make a transfer ready: everything that can refuse it before data flows.
    Prepare(Box<TransferOrder>),
    /// Move the data of the transfer that was made ready. Lines may come meanwhile.
    Move,
}

/// The effects of one input, and the question behind them.
#[derive(Debug, Default)]
pub struct Step {
    /// In order.
    pub effects: Vec<Effect>,
    /// What the session waits for.
    pub question: Option<Question>,
}

impl Step {
    pub(super) fn reply(&mut self, reply: Reply) {
        self.effects.push(Effect::Reply(reply));
    }

    pub(super) fn audit(&mut self, record: Record) {
        self.effects.push(Effect::Audit(Box::new(record)));
    }

    pub(super) fn ask(&mut self, question: Question) {
        self.question = Some(question);
    }
}

/// What came of checking a password.
#[derive(Debug)]
pub enum PasswordCheck {
    /// It is the account's.
    Right(Verified),
    /// It is not, or there is no such account.
    Wrong {
        /// Whether the account exists.
        known: bool,
    },
    /// The source has used up its attempts; nothing was checked.
    Limited {
        /// Whose budget is used up: `address` or `user_network`.
        scope: &'static str,
    },
    /// Too many checks wait already.
    Busy,
}

/// What a failed login costs its source.
#[derive(Clone, Copy, Debug)]
pub struct Penalty {
    /// How long the reply waits.
    pub delay: Duration,
    /// For how long the source is banned, if it is.
    pub banned: Option<Duration>,
    /// Whether this very failure brought the ban.
    pub newly_banned: bool,
}

/// A passive port that is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassivePort {
    /// Its number.
    pub port: u16,
    /// The address that `PASV` announces with it; none while that is not known.
    pub address: Option<Ipv4Addr>,
}

/// Why no passive port could be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassiveFault {
    /// This client holds every port of the range already.
    Exhausted,
    /// No port of the range could be bound.
    Unbindable,
    /// The address that `PASV` has to announce is not known yet.
    NoAddress,
}

/// What is asked of the store outside of transfers.
#[derive(Debug)]
pub enum StoreRequest {
    /// The facts of one path.
    Facts(Grant),
    /// Remove a file.
    RemoveFile(Grant),
    /// Make a directory.
    MakeDirectory(Grant),
    /// Remove an empty directory.
    RemoveDirectory(Grant),
    /// Give another name.
    Rename(Grant, Grant),
    /// Set a file's modification time, in seconds since the Unix epoch.
    SetTime(Grant, i64),
    /// A directory's lines, or a file's one, for the control connection.
    Lines {
        /// Leave to list.
        grant: Grant,
        /// How to write the lines.
        form: Box<Form>,
        /// Most lines wanted.
        lines_max: usize,
    },
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAnswer {
    /// It was done.
    Done,
    /// The facts of a path.
    Facts(PathFacts),
    /// Lines of a listing.
    Lines {
        /// The lines, without ends.
        lines: Vec<String>,
        /// Whether there were more.
        cut: bool,
    },
}

/// Facts of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathFacts {
    /// Whether it is a directory.
    pub directory: bool,
    /// Size in bytes.
    pub size: u64,
    /// Last modification in seconds since the Unix epoch.
    pub modified_seconds: i64,
    /// Permission bits.
    pub mode: u32,
    /// Device and inode.
    pub unique: (u64, u64),
}

/// Why the store did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Nothing has that name.
    NotFound,
    /// A directory was needed.
    NotADirectory,
    /// A file was needed.
    IsADirectory,
    /// Neither a file nor a directory.
    NotAFile,
    /// The directory still has entries.
    NotEmpty,
    /// Something has that name already.
    Exists,
    /// Not permitted, by the policy or by the file system.
    Denied,
    /// Another upload to that name is under way, or the file is an unfinished upload.
    Busy,
    /// That name cannot be given.
    NameRefused,
    /// The offset lies beyond the file's end.
    OffsetBeyondEnd,
    /// The quota does not permit it.
    Quota,
    /// The disk is full, or nearly.
    NoSpace,
    /// Two file systems are concerned.
    CrossDevice,
    /// Something failed that is the server's own affair; the operational log has it.
    Local,
}

/// A transfer, ready to be judged by the store.
#[derive(Debug)]
pub struct TransferOrder {
    /// What moves.
    pub what: Payload,
    /// The representation type in force.
    pub representation: Representation,
    /// What the data connection must show.
    pub binding: BindingJudgement,
}

/// What moves in a transfer, and which way.
#[derive(Debug)]
pub enum Payload {
    /// A file to the client.
    Retrieve {
        /// Leave to read.
        grant: Grant,
        /// Where to begin, in bytes of the file.
        offset: u64,
    },
    /// A file from the client.
    Store {
        /// Leave to store.
        grant: Grant,
        /// Where the content goes.
        placement: Placement,
        /// The size announced with `ALLO`.
        announced_bytes: Option<u64>,
    },
    /// A listing to the client.
    List {
        /// Leave to list.
        grant: Grant,
        /// How to write it.
        listing: Listing,
    },
}

/// Where the content of an upload goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It is the file.
    Replace,
    /// It goes on from this offset.
    ResumeAt(u64),
    /// It goes behind what is there.
    Append,
    /// It is a new file under a name of the server's choice.
    Unique,
}

/// The form of a listing.
#[derive(Clone, Debug)]
pub enum Listing {
    /// `LIST`.
    Long(Box<Form>),
    /// `NLST`.
    Names,
    /// `MLSD`.
    Facts(Box<Form>),
}

/// A transfer that nothing speaks against so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The virtual path of the file or directory; of `STOU`, the one chosen.
    pub path: String,
    /// The size of a file to be sent.
    pub size: Option<u64>,
}

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Whole, or why not.
    pub end: Result<(), MoveFault>,
    /// Bytes of content that moved.
    pub bytes: u64,
    /// The size of the file as it now is in the store.
    pub size: Option<u64>,
    /// The digest over the content, where the whole file moved.
    pub digest: Option<Digest>,
    /// Whether a file of that name was replaced.
    pub replaced: bool,
    /// Bytes of an interrupted upload that were kept for its uploader.
    pub kept_bytes: Option<u64>,
    /// The data connection, if there was one.
    pub data: Option<DataFacts>,
    /// Why further connections were refused that came to its port, each in one word.
    pub refused: Vec<&'static str>,
    /// From the transfer command to the end.
    pub duration: Duration,
}

/// Why a transfer did not end whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveFault {
    /// The client asked for it.
    Aborted,
    /// No data connection came, or the client could not be reached.
    NoConnection,
    /// The data connection's TLS handshake failed; the reason in one word and for the client.
    Handshake(&'static str, String),
    /// The data connection did not prove that it belongs to this control connection; likewise.
    NotBound(&'static str, String),
    /// The upload ended without `close_notify`, so nobody can tell whether it is whole.
    Truncated,
    /// The data connection broke.
    ConnectionLost,
    /// Nothing moved for too long.
    Stalled,
    /// The server is being stopped.
    Stopping,
    /// The control connection ended.
    ControlGone,
    /// The store refused in the middle or at the end.
    Store(StoreFault),
}
