//! What the policy files say of one user or group.

use std::path::PathBuf;

use jiff::civil::Date;

use super::binding::DataBinding;
use super::exception::Exception;
use super::grant::RuleSource;
use super::network::AddressRules;
use super::permission::PermissionSet;
use crate::identity::Username;

/// One user of `users.toml`.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name that logs in.
    pub name: Username,
    /// The directory that the user sees as `/`: absolute, on this machine.
    pub home: PathBuf,
    /// The Argon2id hash in PHC form; parameters were checked when it was read.
    pub password: String,
    /// The day the password was set.
    pub password_set: Date,
    /// Whether it was the user who set it, and not the administrator in `users.toml`.
    pub password_by_user: bool,
    /// Whether the user may change the password over FTPS.
    pub may_change_password: bool,
    /// The last day on which the account works.
    pub expires: Option<Date>,
    /// Whether the account may log in at all.
    pub enabled: bool,
    /// What the user may do, and where that is said.
    pub permissions: Permissions,
    /// Addresses that may log in as this user; empty lists leave it to groups and server.
    pub addresses: AddressRules,
    /// Names of the user's groups, each of which exists.
    pub groups: Vec<String>,
    /// Most bytes the user's home may hold.
    pub quota_bytes: Option<u64>,
    /// Most files the user's home may hold.
    pub quota_files: Option<u64>,
    /// Dated exceptions granted to this user.
    pub exceptions: Vec<Exception<DataBinding>>,
    /// Where the user's table begins.
    pub source: RuleSource,
}

/// One group of `users.toml`.
#[derive(Clone, Debug)]
pub struct Group {
    /// Whether members may change their password over FTPS who state nothing of their own.
    pub may_change_password: bool,
    /// What members may do who state no permissions of their own.
    pub permissions: Option<Permissions>,
    /// Addresses that may log in as a member; empty lists leave it to the server.
    pub addresses: AddressRules,
    /// Dated exceptions granted to members.
    pub exceptions: Vec<Exception<DataBinding>>,
    /// Where the group's table begins.
    pub source: RuleSource,
}

/// A set of permissions and the line that states it.
#[derive(Clone, Debug)]
pub struct Permissions {
    /// What is permitted.
    pub set: PermissionSet,
    /// Where that is said; for a user without a line of its own, the group's line.
    pub source: RuleSource,
}
