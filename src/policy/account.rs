//! What the policy files say of one user or group.

use std::path::PathBuf;

use jiff::civil::Date;

use super::binding::DataBinding;
use super::exception::Exception;
use super::factor::{CertificateName, SecondFactor};
use super::folder::Mount;
use super::grant::RuleSource;
use super::hours::Hours;
use super::network::AddressRules;
use super::path_pattern::PathPattern;
use super::permission::PermissionSet;
use super::rule::PathRule;
use crate::identity::{TotpSecret, Username};

/// One user of `users.toml`.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file by itself")]
pub struct Account {
    /// The name that logs in.
    pub name: Username,
    /// The directory that the user sees as `/`: absolute, on this machine.
    pub home: PathBuf,
    /// The hash of the password that counts; its form was checked when it was read.
    pub password: String,
    /// The day the password was set.
    pub password_set: Date,
    /// Whether it was the user who set it, and not the administrator in `users.toml`.
    pub password_by_user: bool,
    /// Whether the user has to change the password before anything else.
    pub password_temporary: bool,
    /// Hashes of the passwords before this one, the last first.
    pub password_history: Vec<String>,
    /// The last day on which the account works.
    pub expires: Option<Date>,
    /// Whether the account may log in at all.
    pub enabled: bool,
    /// Client certificates that stand for the user.
    pub certificates: Vec<CertificateName>,
    /// Whether such a certificate suffices without the password.
    pub certificate_alone: bool,
    /// The secret of the codes of the moment (TOTP); none where the user has none.
    pub totp_secret: Option<TotpSecret>,
    /// The groups that the user's table names, each of which exists.
    pub groups: Vec<String>,
    /// What is said of the user, and of its groups where the user's table is silent.
    pub terms: Terms,
    /// Where the user's table begins.
    pub source: RuleSource,
}

/// A password that counts instead of the one in `users.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPassword {
    /// The Argon2id hash in PHC form.
    pub hash: String,
    /// The day it was set, UTC.
    pub set: Date,
    /// Hashes of the passwords before it, the last first.
    pub history: Vec<String>,
    /// Whether it is the same password as before, hashed anew by the server.
    pub rehashed: bool,
}

/// One group of `users.toml`.
#[derive(Clone, Debug)]
pub struct Group {
    /// The groups that its table names, each of which exists; none leads back to it.
    pub groups: Vec<String>,
    /// What is said of the group, and of its own groups where its table is silent.
    pub terms: Terms,
    /// Where the group's table begins.
    pub source: RuleSource,
}

/// What can be said of users and groups alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What is permitted on every path that no rule speaks of.
    pub permissions: Option<Permissions>,
    /// Rules about paths.
    pub rules: Vec<PathRule>,
    /// Folders in the tree.
    pub mounts: Vec<Mount>,
    /// Addresses from which one may come; where nothing is allowed in particular, the server's list
    /// decides.
    pub addresses: AddressRules,
    /// Hours in which the account works; none is always.
    pub hours: Option<Hours>,
    /// Bounds on sessions and transfers.
    pub limits: AccountLimits,
    /// Most bytes the user's home may hold.
    pub quota_bytes: Option<u64>,
    /// Most files the user's home may hold.
    pub quota_files: Option<u64>,
    /// Whether the password may be changed over FTPS; none is yes.
    pub may_change_password: Option<bool>,
    /// What has to be shown besides the password; none is nothing.
    pub second_factor: Option<SecondFactor>,
    /// Dated exceptions from the binding of data connections.
    pub exceptions: Vec<Exception<DataBinding>>,
    /// Dated exceptions from what the rules say of paths.
    pub path_exceptions: Vec<Exception<PathGrant>>,
}

/// Bounds on what one user has at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// Sessions.
    pub sessions: Option<u64>,
    /// Sessions from one address (IPv6: /64).
    pub sessions_per_address: Option<u64>,
    /// Transfers.
    pub transfers: Option<u64>,
    /// Bytes a second of all the user's uploads together.
    pub upload_bytes_per_second: Option<u64>,
    /// Bytes a second of all the user's downloads and listings together.
    pub download_bytes_per_second: Option<u64>,
}

/// A set of permissions and the line that states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// What is permitted.
    pub set: PermissionSet,
    /// Where that is said; for a user without a line of its own, the group's line.
    pub source: RuleSource,
}

/// What a dated exception allows on some paths, whatever the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathGrant {
    /// The paths.
    pub pattern: PathPattern,
    /// What is allowed there.
    pub allow: PermissionSet,
}

impl Account {
    /// Has another password count. One that the user set is not temporary, whatever it replaced.
    pub fn replace_password(&mut self, new: &NewPassword) {
        self.password.clone_from(&new.hash);
        self.password_set = new.set;
        self.password_history.clone_from(&new.history);
        if !new.rehashed {
            self.password_by_user = true;
            self.password_temporary = false;
        }
    }

    /// Hashes of the present password and of so many before it, the last first.
    pub fn last_passwords(&self, former: usize) -> Vec<String> {
        std::iter::once(&self.password).chain(self.password_history.iter().take(former)).cloned().collect()
    }

    /// What is permitted on every path that no rule speaks of.
    pub fn permissions(&self) -> PermissionSet {
        self.terms.permissions.as_ref().map_or(PermissionSet::NONE, |permissions| permissions.set)
    }

    /// Whether the user may change the password over FTPS.
    pub fn may_change_password(&self) -> bool {
        self.terms.may_change_password.unwrap_or(true)
    }

    /// What has to be shown besides the password.
    pub fn second_factor(&self) -> SecondFactor {
        self.terms.second_factor.unwrap_or_default()
    }
}

impl Terms {
    /// These terms, with what they are silent about taken from groups.
    ///
    /// Rules, mounts, denied networks and exceptions of all of them hold together. Of permissions,
    /// allowed networks and hours, those stated here count, and else those of the groups together.
    /// Of second factors, the one stated here, and else the strictest. Where any group forbids
    /// changing the password and nothing is said here, that holds. Of each number, the one stated
    /// here, and else that of the first group that states it.
    #[must_use]
    pub fn over(mut self, groups: &[&Self]) -> Self {
        let own_networks = !self.addresses.allow.is_empty();
        let (own_permissions, own_hours) = (self.permissions.is_some(), self.hours.is_some());
        let (own_factor, own_change) = (self.second_factor.is_some(), self.may_change_password.is_some());
        for group in groups {
            add_new(&mut self.rules, &group.rules);
            add_new(&mut self.mounts, &group.mounts);
            add_new(&mut self.addresses.deny, &group.addresses.deny);
            add_new(&mut self.exceptions, &group.exceptions);
            add_new(&mut self.path_exceptions, &group.path_exceptions);
            if !own_networks {
                add_new(&mut self.addresses.allow, &group.addresses.allow);
            }
            if !own_permissions {
                self.permissions = together(self.permissions.take(), group.permissions.as_ref());
            }
            if let (false, Some(hours)) = (own_hours, &group.hours) {
                let all = self.hours.get_or_insert_with(|| Hours { windows: Vec::new(), source: hours.source.clone() });
                add_new(&mut all.windows, &hours.windows);
            }
            if !own_factor {
                self.second_factor = self.second_factor.max(group.second_factor);
            }
            if !own_change {
                self.may_change_password = match (self.may_change_password, group.may_change_password) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (before, after) => before.or(after),
                };
            }
            self.limits = self.limits.or(group.limits);
            self.quota_bytes = self.quota_bytes.or(group.quota_bytes);
            self.quota_files = self.quota_files.or(group.quota_files);
        }
        self
    }
}

impl AccountLimits {
    fn or(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.or(other.sessions),
            sessions_per_address: self.sessions_per_address.or(other.sessions_per_address),
            transfers: self.transfers.or(other.transfers),
            upload_bytes_per_second: self.upload_bytes_per_second.or(other.upload_bytes_per_second),
            download_bytes_per_second: self.download_bytes_per_second.or(other.download_bytes_per_second),
        }
    }
}

/// What two groups permit together.
fn together(one: Option<Permissions>, other: Option<&Permissions>) -> Option<Permissions> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Permissions { set: one.set.union(other.set), source: one.source }),
        (one, other) => one.or_else(|| other.cloned()),
    }
}

/// Adds what is not there yet: two groups may stand on the same third one.
fn add_new<T: Clone + PartialEq>(all: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}
