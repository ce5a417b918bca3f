//! A finding: what was seen, how bad it is, where it stands in the log, and what to do.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// Most record numbers that the evidence of a finding lists.
pub const RECORDS_MAX: usize = 12;

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A source guessed passwords, or several guessed at one user's.
    Guessing,
    /// A few passwords were tried on many users.
    Spraying,
    /// A login succeeded behind guesses.
    GuessSuccess,
    /// A user came from a network that is new for that user.
    NewNetwork,
    /// A user logged in at an hour that is unusual for that user.
    UnusualHour,
    /// A user took away far more than on any day before.
    Volume,
    /// A user deleted, renamed or overwrote many files in a short time.
    MassChange,
    /// Data connections were refused again and again.
    DataRefused,
    /// Somebody talked to the server without TLS.
    ClearText,
    /// A client program does not resume TLS sessions on data connections.
    CannotResume,
    /// Nobody used an account for long.
    Unused,
    /// A certificate, an exception or an account is about to end.
    Ending,
    /// Addresses were banned.
    Banned,
    /// The policy was changed outside of the usual hours, or its change was refused.
    Policy,
    /// What the log says about itself.
    Log,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Guessing,
        Self::Spraying,
        Self::GuessSuccess,
        Self::NewNetwork,
        Self::UnusualHour,
        Self::Volume,
        Self::MassChange,
        Self::DataRefused,
        Self::ClearText,
        Self::CannotResume,
        Self::Unused,
        Self::Ending,
        Self::Banned,
        Self::Policy,
        Self::Log,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guessing => "guessing",
            Self::Spraying => "spraying",
            Self::GuessSuccess => "guess-success",
            Self::NewNetwork => "new-network",
            Self::UnusualHour => "unusual-hour",
            Self::Volume => "volume",
            Self::MassChange => "mass-change",
            Self::DataRefused => "data-refused",
            Self::ClearText => "clear-text",
            Self::CannotResume => "cannot-resume",
            Self::Unused => "unused",
            Self::Ending => "ending",
            Self::Banned => "banned",
            Self::Policy => "policy",
            Self::Log => "log",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How soon somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// When there is time.
    Low,
    /// Within days.
    Medium,
    /// Today.
    High,
    /// Now.
    Critical,
}

impl Severity {
    /// Every severity, the least first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where a finding stands in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The number of the first record.
    pub first: u64,
    /// The number of the last one.
    pub last: u64,
    /// The numbers of some: the first ones, at most [`RECORDS_MAX`].
    pub records: Vec<u64>,
    /// How many there are.
    pub count: u64,
}

/// Something somebody should look at. No text has a character that could drive a terminal; in a page
/// they have to be escaped as any other text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: Kind,
    /// How soon somebody should look.
    pub severity: Severity,
    /// What happened, in one sentence.
    pub title: String,
    /// What was seen: who, from where, when, how much.
    pub seen: String,
    /// The user concerned, where it is one; cut and escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The address concerned, where it is one; of IPv6 the first of its /64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// When it began; none where the log has no record of it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339")]
    pub from: Option<Timestamp>,
    /// When it was last seen.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339")]
    pub to: Option<Timestamp>,
    /// The records that show it; none where it comes from the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// A command that shows it, as words of a shell.
    pub command: String,
    /// What to do about it.
    pub advice: String,
}

#[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
fn rfc3339<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&format_args!("{time:.3}")),
        None => serializer.serialize_none(),
    }
}
