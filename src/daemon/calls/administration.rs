//! Bans, freezes and the drain as commands see them.

use serde::{Deserialize, Serialize};

/// Who is to be let in no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Banning {
    /// The address or network.
    pub(crate) network: String,
    /// When it ends, in UTC; without it, it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Whether the sessions from there go on.
    #[serde(default)]
    pub(crate) keep_sessions: bool,
    /// Whether also this machine, or everybody, is meant.
    #[serde(default)]
    pub(crate) yes: bool,
}

/// What came of that.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Banned {
    pub(crate) ban: BanLine,
    /// How many sessions were told to end.
    pub(crate) sessions: usize,
    /// Whether a restart of the server goes on with it.
    pub(crate) kept: bool,
}

/// A network that is not let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BanLine {
    pub(crate) network: String,
    /// `hand`, or `failed-logins` where the server did it by itself.
    pub(crate) by: String,
    /// When it began, in UTC, where that is known.
    pub(crate) since: Option<String>,
    /// When it ends, in UTC; none where it does not.
    pub(crate) until: Option<String>,
    pub(crate) seconds_left: Option<u64>,
    pub(crate) reason: Option<String>,
}

/// The bans.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct BanList {
    pub(crate) bans: Vec<BanLine>,
    /// How many more there are.
    pub(crate) more: usize,
    /// Whether a restart of the server goes on with those by hand.
    pub(crate) kept: bool,
}

/// Who is to be let in again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unbanning {
    /// The address or network; bans of what lies within it end, too.
    pub(crate) network: String,
}

/// What came of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unbanned {
    /// Networks that were banned by hand.
    pub(crate) by_hand: Vec<String>,
    /// Addresses that the server had banned by itself.
    pub(crate) by_failed_logins: Vec<String>,
    /// Wider bans that hold still.
    pub(crate) still: Vec<String>,
}

/// What is to be read-only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Freezing {
    /// For this user; without it, for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// A path as users see it, and all below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// A virtual folder by its name. Without both, everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<String>,
    /// When it ends, in UTC; without it, it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Something that is read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FreezeLine {
    /// Its number, for `thaw`; refused commands are recorded with it.
    pub(crate) number: u32,
    pub(crate) user: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) folder: Option<String>,
    pub(crate) since: String,
    pub(crate) until: Option<String>,
    pub(crate) reason: Option<String>,
    /// Whether a restart of the server goes on with it.
    pub(crate) kept: bool,
}

/// What is read-only.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FreezeList {
    pub(crate) freezes: Vec<FreezeLine>,
}

/// What may be changed again: one of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Thawing {
    /// The freeze of this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<u32>,
    /// Whether every freeze ends.
    #[serde(default)]
    pub(crate) all: bool,
}

/// What came of that.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Thawed {
    /// Those that hold no more.
    pub(crate) thawed: Vec<FreezeLine>,
    /// How many still hold.
    pub(crate) left: usize,
}

/// How the server is to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draining {
    /// In so many seconds at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) within_seconds: Option<u64>,
    /// Whether it is not to end after all.
    #[serde(default)]
    pub(crate) cancel: bool,
}

/// How it stands about that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DrainStatus {
    /// Whether nobody new is let in.
    pub(crate) draining: bool,
    /// Since when, in UTC.
    pub(crate) since: Option<String>,
    /// When the server stops at the latest, in UTC.
    pub(crate) until: Option<String>,
    /// How many sessions it waits for.
    pub(crate) sessions: usize,
}
