//! What goes into a session and what comes out: inputs, effects, questions. The driver performs
//! the effects in order, then answers the question, if there is one, with the next input.

mod entry;
mod storing;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::record::{DataFacts, Digest, Record, TlsFacts};
use crate::identity::{Secret, Username};
use crate::policy::BindingJudgement;
use crate::policy::Principal;
use crate::policy::account::AccountLimits;
use crate::policy::grant::Grant;
use crate::policy::viewer::Viewer;
use crate::proto::argument::Representation;
use crate::proto::facts::Form;
use crate::proto::hash::{Algorithm, Octets};
use crate::proto::line::{Line, LineError};
use crate::proto::path::VirtualPath;
use crate::proto::pattern::Pattern;
use crate::proto::reply::Reply;
use crate::proto::verb::Verb;
pub use entry::{Crowd, Kick, PasswordCheck, PasswordFault, Penalty, SessionsFull, TlsFailure};
pub use storing::{Attributes, PathFacts, QuotaFacts, StoreAnswer, StoreFault, StoreRequest};

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
    /// An administrator ends the session.
    Kicked(Arc<Kick>),
    /// Another policy is in force, or time has passed by which it decides.
    PolicyChanged,
    /// The answer to [`Question::StartTls`].
    Tls(Result<TlsFacts, TlsFailure>),
    /// The answer to [`Question::CheckPassword`] and [`Question::CheckCertificate`].
    Password(PasswordCheck),
    /// The answer to [`Question::CountFailure`].
    Penalty(Penalty),
    /// The answer to [`Question::ChangePassword`].
    PasswordChanged(Result<(), PasswordFault>),
    /// The answer to [`Question::OpenHome`]: whether it could be opened.
    Home(bool),
    /// The answer to [`Question::TakePlace`].
    Place(Result<(), SessionsFull>),
    /// The answer to [`Question::OpenPassive`]: the port, or why there is none.
    Passive(Result<PassivePort, PassiveFault>),
    /// The answer to [`Question::Store`].
    Stored(Result<StoreAnswer, StoreFault>),
    /// The answer to [`Question::OwnSessions`].
    OwnSessions(OwnSessions),
    /// The answer to [`Question::Prepare`].
    Prepared(Result<Prepared, MoveFault>),
    /// The answer to [`Question::Move`].
    Moved(Box<Moved>),
    /// The answer to [`Question::Hash`].
    Hashed(Box<Hashed>),
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
    /// Stop the running transfer or hash; [`Input::Moved`] or [`Input::Hashed`] still comes.
    Abort,
    /// The same, for this reason.
    Stop(MoveFault),
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
    /// Vouch for a user by the client certificate alone; the answer is [`Input::Password`].
    CheckCertificate {
        /// The name as the client gave it.
        claimed: Arc<str>,
    },
    /// Count a failed login against its source.
    CountFailure {
        /// The name as the client gave it.
        claimed: Arc<str>,
    },
    /// Change the password of who is logged in.
    ChangePassword {
        /// The present one, as the client gave it.
        old: Secret,
        /// The one that is to count.
        new: Secret,
    },
    /// Open a user's home.
    OpenHome(PathBuf),
    /// Take a place among the sessions of a user, within these bounds.
    TakePlace {
        /// Who logs in.
        user: Username,
        /// The bounds.
        limits: AccountLimits,
    },
    /// Reserve a port for a passive data connection.
    OpenPassive,
    /// Do something with the store.
    Store(StoreRequest),
    /// Tell the sessions of this one's user, this many at most.
    OwnSessions(usize),
    /// Make a transfer ready: everything that can refuse it before data flows.
    Prepare(Box<TransferOrder>),
    /// Move the data of the transfer that was made ready. Lines may come meanwhile.
    Move,
    /// Compute a hash. Lines may come meanwhile.
    Hash(Box<HashOrder>),
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
    /// Clients of this address hold every port of the range, and gave none back in time.
    Exhausted,
    /// No port of the range could be bound.
    Unbindable,
    /// The address that `PASV` has to announce is not known yet.
    NoAddress,
}

/// The sessions of one user, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnSessions {
    /// As many as were asked for.
    pub sessions: Vec<LiveSession>,
    /// How many more there are.
    pub more: usize,
}

/// A session that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    /// Where it comes from.
    pub client: SocketAddr,
    /// When it began, in seconds since the Unix epoch.
    pub since_seconds: i64,
    /// Whether it is the one that asks.
    pub asks: bool,
    /// What it moves at the moment.
    pub transfer: Option<LiveTransfer>,
}

/// A transfer that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTransfer {
    /// The command.
    pub verb: Verb,
    /// The virtual path.
    pub path: String,
    /// Bytes of content moved so far.
    pub bytes: u64,
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
        /// Where to begin, in octets of what is sent (RFC 3659 §5.3).
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
        /// Leave to list what has that very name. Without it there is a pattern.
        grant: Option<Grant>,
        /// Where nothing has that name, and its end is a pattern: leave to list the directory, and
        /// which of its entries are meant.
        matching: Option<(Grant, Pattern)>,
        /// Who decides what is shown.
        viewer: Box<Viewer>,
        /// How to write it.
        listing: Listing,
    },
}

/// Where the content of an upload goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It is the file.
    Replace,
    /// It goes on from this offset, in octets of what is sent.
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
    /// `NLST`: each name so that it can be used as it is in the next command (RFC 1123 §4.1.2.7).
    Names {
        /// What stands before the name of a file that was asked for.
        of_file: String,
        /// What stands before the names in a directory.
        in_directory: String,
    },
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

/// A hash that is asked for.
#[derive(Debug)]
pub struct HashOrder {
    /// The hash function.
    pub algorithm: Algorithm,
    /// What may be meant, in the order in which it is tried: the first whose name is there. At least
    /// one.
    pub candidates: Vec<HashCandidate>,
}

/// A file that may be meant, and the part of it.
#[derive(Debug)]
pub struct HashCandidate {
    /// Leave to hash.
    pub grant: Grant,
    /// The part.
    pub octets: Octets,
}

/// How a hash ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// What was found, or why not.
    pub end: Result<HashedPart, MoveFault>,
    /// The file that was meant.
    pub path: VirtualPath,
    /// From the command to the end.
    pub duration: Duration,
}

/// The hash of a file or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedPart {
    /// The hash.
    pub digest: Digest,
    /// The bytes it is over.
    pub octets: Range<u64>,
    /// The size of the whole file in bytes.
    pub size: u64,
}

impl HashedPart {
    /// Whether the hash is over the whole file.
    pub fn is_whole(&self) -> bool {
        self.octets == (0..self.size)
    }
}

/// Why a transfer or a hash did not end whole.
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
    /// An administrator ends the session.
    Kicked,
    /// The control connection ended.
    ControlGone,
    /// As many transfers run as may.
    Crowded(Crowd),
    /// Too many hashes ran already, for too long.
    NoTurn,
    /// The hash took longer than the policy permits.
    TooLong,
    /// The store refused in the middle or at the end.
    Store(StoreFault),
}
