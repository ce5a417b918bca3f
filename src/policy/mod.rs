//! Who may do what, from where, on which path: pure decisions over what the policy files say.
//!
//! The server enforces with [`Policy::enter`], [`Policy::judge`], [`Policy::binding`] and
//! [`Policy::tls`]; there is no second place where access is decided. The store asks for a [`Grant`], which only
//! [`Policy::judge`] makes, and a [`Principal`] is made only by [`Policy::enter`].

pub mod account;
pub mod binding;
pub mod exception;
pub mod grant;
pub mod network;
pub mod permission;
pub mod tls;

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::civil::Date;

use crate::identity::{Username, Verified};
use crate::proto::path::VirtualPath;
use account::{Account, Group, Permissions};
use binding::DataBinding;
use exception::Exception;
use grant::{Denial, Grant, Judgement, RuleSource};
use network::{AddressRules, AddressVerdict};
use permission::PermissionSet;
use tls::TlsVersion;

/// Everything that decides, from one reading of the policy files.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Addresses that may connect at all.
    pub networks: AddressRules,
    /// Accounts by name.
    pub users: BTreeMap<Username, Account>,
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Exceptions granted to networks, whoever logs in from them.
    pub exceptions: Vec<Exception<DataBinding>>,
    /// Networks whose clients are held to an older version of TLS.
    pub tls_exceptions: Vec<Exception<TlsVersion>>,
    /// Age in days at which a password no longer logs in; none where passwords do not age.
    pub password_days_max: Option<u16>,
}

/// A user who has logged in. Made by [`Policy::enter`] alone.
#[derive(Clone, Debug)]
pub struct Principal {
    name: Username,
    address: IpAddr,
}

impl Principal {
    /// The account's name.
    pub fn name(&self) -> &Username {
        &self.name
    }

    /// The address the user came from.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// A principal for the tests of other modules.
    #[cfg(test)]
    pub(crate) fn for_test(name: &str, address: &str) -> Self {
        Self { name: Username::parse(name).unwrap(), address: address.parse().unwrap() }
    }
}

/// Why somebody with the right password may not log in. The client hears none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginDenial {
    /// The account is gone since the password was checked.
    Unknown,
    /// The account is disabled.
    Disabled(RuleSource),
    /// The account's last day has passed.
    AccountExpired(RuleSource),
    /// The password is older than the policy permits.
    PasswordExpired(RuleSource),
    /// The address is not one this user may come from.
    Address(Option<RuleSource>),
}

/// The binding that holds for a user, and the exception that gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingJudgement {
    /// What the data connection must show.
    pub level: DataBinding,
    /// The exception in use; none for [`DataBinding::Session`].
    pub exception: Option<Exception<DataBinding>>,
}

impl Policy {
    /// Lets a user in whose password was verified, if the account and the address permit it
    /// `today` (UTC).
    ///
    /// # Errors
    /// [`LoginDenial`] names the rule that keeps the user out.
    pub fn enter(&self, verified: &Verified, address: IpAddr, today: Date) -> Result<Principal, LoginDenial> {
        let account = self.users.get(verified.name()).ok_or(LoginDenial::Unknown)?;
        let source = || account.source.clone();
        if !account.enabled {
            return Err(LoginDenial::Disabled(source()));
        }
        if account.expires.is_some_and(|last| today > last) {
            return Err(LoginDenial::AccountExpired(source()));
        }
        self.admit_to_account(account, address)?;
        if self.password_expiry(account).is_some_and(|last| today > last) {
            return Err(LoginDenial::PasswordExpired(source()));
        }
        Ok(Principal { name: account.name.clone(), address: address.to_canonical() })
    }

    /// The same policy with another password of one user, who set it.
    #[must_use]
    pub fn with_password(&self, user: &Username, hash: &str, set: Date) -> Self {
        let mut policy = self.clone();
        if let Some(account) = policy.users.get_mut(user) {
            hash.clone_into(&mut account.password);
            account.password_set = set;
            account.password_by_user = true;
        }
        policy
    }

    /// The last day on which an account's password logs in; none where passwords do not age.
    pub fn password_expiry(&self, account: &Account) -> Option<Date> {
        let days = i32::from(self.password_days_max?);
        account.password_set.checked_add(jiff::Span::new().days(days)).ok()
    }

    /// The user's own lists decide where they say anything; where they allow nothing in
    /// particular, the lists of the groups do, any one of which suffices. A deny of either wins.
    fn admit_to_account(&self, account: &Account, address: IpAddr) -> Result<(), LoginDenial> {
        let groups: Vec<&Group> = account.groups.iter().filter_map(|name| self.groups.get(name)).collect();
        let lists = || std::iter::once(&account.addresses).chain(groups.iter().map(|group| &group.addresses));
        for list in lists() {
            if let AddressVerdict::Denied(rule) = list.judge(address) {
                return Err(LoginDenial::Address(Some(rule.source.clone())));
            }
        }
        let deciding: Vec<&AddressRules> = if account.addresses.allow.is_empty() {
            groups.iter().map(|group| &group.addresses).filter(|list| !list.allow.is_empty()).collect()
        } else {
            vec![&account.addresses]
        };
        let admitted = |list: &&AddressRules| matches!(list.judge(address), AddressVerdict::Allowed(_));
        if deciding.is_empty() || deciding.iter().any(admitted) { Ok(()) } else { Err(LoginDenial::Address(None)) }
    }

    /// Decides whether the user may do any of `wanted` on the path. The grant covers those of them
    /// that are permitted; where none is, the denial names the rule.
    pub fn judge(&self, principal: &Principal, wanted: PermissionSet, path: &VirtualPath) -> Judgement {
        let Some(account) = self.users.get(principal.name()).filter(|account| account.enabled) else {
            return Judgement::Deny(Denial { rule: None });
        };
        let granted = account.permissions.set.intersection(wanted);
        if granted.is_empty() {
            Judgement::Deny(Denial { rule: Some(account.permissions.source.clone()) })
        } else {
            Judgement::Allow(Grant::new(path.clone(), granted))
        }
    }

    /// What the user's data connections must show today (UTC): the most relaxed level that an
    /// exception of the user, of one of its groups or of its network grants.
    pub fn binding(&self, principal: &Principal, today: Date) -> BindingJudgement {
        let account = self.users.get(principal.name());
        let of_user = account.into_iter().flat_map(|account| &account.exceptions);
        let of_groups = account
            .into_iter()
            .flat_map(|account| &account.groups)
            .filter_map(|name| self.groups.get(name))
            .flat_map(|group| &group.exceptions);
        let granted = of_user
            .chain(of_groups)
            .chain(&self.exceptions)
            .filter(|exception| exception.holds(principal.address(), today))
            .max_by_key(|exception| exception.granted);
        match granted {
            Some(exception) => BindingJudgement { level: exception.granted, exception: Some(exception.clone()) },
            None => BindingJudgement { level: DataBinding::Session, exception: None },
        }
    }

    /// What an account may do where it states nothing itself: the union of its groups' permissions.
    pub fn inherited(groups: &BTreeMap<String, Group>, names: &[String]) -> Option<Permissions> {
        let mut found = names.iter().filter_map(|name| groups.get(name)).filter_map(|g| g.permissions.clone());
        let first = found.next()?;
        Some(found.fold(first, |all, one| Permissions { set: all.set.union(one.set), source: all.source }))
    }
}

#[cfg(test)]
mod tests;
