//! What comes of a client's way in: TLS, its password, and what a wrong one costs.

use std::time::Duration;

use crate::identity::Verified;
use crate::policy::LoginDenial;

/// That an administrator ends a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kick {
    /// Whether its address was banned; otherwise the session alone is meant.
    pub banned: bool,
    /// The user of the machine who asked for it.
    pub uid: u32,
    /// Its process.
    pub pid: Option<i32>,
    /// Why, for people.
    pub reason: Option<String>,
}

/// Why TLS did not come up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFailure {
    /// The reason for the audit log.
    pub reason: &'static str,
    /// The server that the client named, where the server is none of that name.
    pub unknown_name: Option<String>,
}

impl From<&'static str> for TlsFailure {
    fn from(reason: &'static str) -> Self {
        Self { reason, unknown_name: None }
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
    /// The client certificate stands for another user, whatever the password.
    OtherCertificate,
    /// It is, and the code of the moment behind it is not.
    WrongCode {
        /// Whether the code was right and had been used before.
        replayed: bool,
    },
    /// It is, with whatever came beside it, and the policy does not let its user in; no code was used
    /// up, and nothing that was counted is forgiven.
    Refused(LoginDenial),
    /// The source has used up its attempts; nothing was checked.
    Limited {
        /// Whose budget is used up: `address` or `user_network`.
        scope: &'static str,
    },
    /// Too many checks wait already.
    Busy,
}

/// Why a password was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordFault {
    /// The new one breaks these rules; each says how to mend it.
    Weak(Vec<String>),
    /// The new one is one of the last of the user, this many besides the present one.
    Used(usize),
    /// The old one is wrong, or was not looked at since too many were: the reason in one word. It
    /// counts as a failed login.
    Wrong(&'static str),
    /// The old one was right, and another session has changed it meanwhile.
    ChangedMeanwhile,
    /// There were too many attempts; one is free again after this time.
    TooOften(Duration),
    /// Too many checks wait already.
    Busy,
    /// The server is being stopped.
    Stopping,
    /// The disk is full.
    NoSpace,
    /// It could not be stored; the operational log has the reason.
    NotStored,
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

/// Which sessions of a user are as many as they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsFull {
    /// All of them.
    OfUser,
    /// Those from the address (IPv6: its /64).
    OfAddress,
}

/// Whose transfers are as many as they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowd {
    /// The user's.
    User,
    /// Those from an address (IPv6: its /64).
    Address,
    /// The server's.
    Server,
}
