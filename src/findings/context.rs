//! What is known besides the log: from the policy, where there is one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What is known besides the log.
#[derive(Clone, Debug)]
pub struct Context {
    /// The present.
    pub now: Timestamp,
    /// By whose clocks days and hours are meant.
    pub zone: TimeZone,
    /// The accounts of the policy that may log in; none where there is no policy.
    pub users: Option<BTreeMap<String, KnownUser>>,
    /// What ends by the policy and by the files that it names.
    pub endings: Vec<Ending>,
}

/// An account of the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownUser {
    /// Since when its password is what it is: it is at least as old.
    pub since: Option<Timestamp>,
    /// Its last login, where somebody besides the log knows it.
    pub last_login: Option<Timestamp>,
}

/// Something that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What it is, such as `the certificate of files.example.com`.
    pub what: String,
    /// When it ends.
    pub ends: Timestamp,
    /// Where it stands: a file, or a file and its line.
    pub place: String,
    /// What to do before that.
    pub advice: String,
    /// The command that shows it.
    pub command: String,
}

impl Context {
    /// That it is this time, and nothing else.
    pub fn at(now: Timestamp) -> Self {
        Self { now, zone: TimeZone::UTC, users: None, endings: Vec::new() }
    }
}
