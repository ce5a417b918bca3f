//! Who may do what, from where, on which path: pure decisions over what the policy files say.
//!
//! The server enforces with [`Policy::enter`], [`Policy::judge`], [`Policy::still_admits`],
//! [`Policy::binding`] and [`Policy::tls`]; there is no second place where access is decided. The store asks for a
//! [`Grant`](grant::Grant), which only
//! [`Policy::judge`] makes, and a [`Principal`] is made only by [`Policy::enter`].

pub mod account;
pub mod binding;
pub mod certificate;
pub mod decision;
pub mod exception;
pub mod factor;
pub mod folder;
pub mod freeze;
pub mod grant;
pub mod hours;
pub mod idle;
pub mod network;
pub mod path_pattern;
pub mod permission;
pub mod rule;
pub mod supposed;
pub mod tls;
pub mod viewer;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::identity::{Username, Verified};
use account::{Account, Group, NewPassword};
use binding::DataBinding;
use exception::Exception;
use folder::Folder;
use freeze::Freeze;
use grant::RuleSource;
use network::{AddressRules, AddressVerdict};
use tls::TlsVersion;

/// Everything that decides, from one reading of the policy files.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Addresses that may connect at all.
    pub networks: AddressRules,
    /// Accounts by name.
    pub users: BTreeMap<Username, Account>,
    /// Folders by name.
    pub folders: BTreeMap<String, Arc<Folder>>,
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Exceptions granted to networks, whoever logs in from them.
    pub exceptions: Vec<Exception<DataBinding>>,
    /// Networks whose clients are held to an older version of TLS.
    pub tls_exceptions: Vec<Exception<TlsVersion>>,
    /// Age in days at which a password no longer logs in; none where passwords do not age.
    pub password_days_max: Option<u16>,
    /// Days before its end from which a login warns of it.
    pub password_warning_days: u16,
    /// Where the clocks are by which hours are meant.
    pub zone: TimeZone,
    /// What is read-only for a time, whatever the rest says. The files say nothing of it.
    pub freezes: Arc<[Freeze]>,
}

/// A user who has logged in. Made by [`Policy::enter`] alone.
#[derive(Clone, Debug)]
pub struct Principal {
    name: Username,
    address: IpAddr,
    home: PathBuf,
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

    /// The directory that the user sees as `/`.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A principal for the tests of other modules.
    #[cfg(test)]
    pub(crate) fn for_test(name: &str, address: &str) -> Self {
        Self { name: Username::parse(name).unwrap(), address: address.parse().unwrap(), home: PathBuf::new() }
    }
}

/// What comes of a login.
#[derive(Clone, Debug)]
pub struct Entered {
    /// Who has logged in.
    pub principal: Principal,
    /// Why the password has to be changed before anything else; none where it need not be.
    pub must_change: Option<MustChange>,
}

/// Why a password has to be changed before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MustChange {
    /// It is older than the policy permits.
    Expired,
    /// The administrator set it to be changed.
    Temporary,
}

impl MustChange {
    /// The word for it in the audit log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Temporary => "temporary",
        }
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
    /// The password is older than the policy permits, and the user may not change it.
    PasswordExpired(RuleSource),
    /// The password is to be changed before anything else, and the user may not change it.
    PasswordTemporary(RuleSource),
    /// It is not one of the account's hours.
    Hours(RuleSource),
    /// The password was not shown, and nothing else suffices for this account.
    NoPassword(RuleSource),
    /// The second factor that the account needs was not shown.
    SecondFactor(RuleSource),
    /// The account has another home since the session began.
    Moved(RuleSource),
    /// The address is not one this user may come from.
    Address(Option<RuleSource>),
}

/// What is asked of account, hour and address, at the login and as long as the session lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The server's lists admit the address.
    ServerNetworks,
    /// The account is enabled.
    Enabled,
    /// Its last day has not passed.
    Expiry,
    /// The lists of the user and its groups admit the address.
    UserNetworks,
    /// It is one of the account's hours.
    Hours,
}

impl Check {
    /// Every check, in the order in which they are made.
    pub const ALL: [Self; 5] = [Self::ServerNetworks, Self::Enabled, Self::Expiry, Self::UserNetworks, Self::Hours];
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
    /// Lets a user in who has shown what is the account's own, if the account, the hour and the
    /// address permit it. Where the password has ended, the user may still come to change it, if
    /// that is permitted at all.
    ///
    /// # Errors
    /// [`LoginDenial`] names the rule that keeps the user out.
    pub fn enter(&self, verified: &Verified, address: IpAddr, now: Timestamp) -> Result<Entered, LoginDenial> {
        let account = self.users.get(verified.name()).ok_or(LoginDenial::Unknown)?;
        self.admits(account, address, now)?;
        let shown = verified.shown();
        let source = || account.source.clone();
        if !(shown.password || account.certificate_alone && shown.certificate) {
            return Err(LoginDenial::NoPassword(source()));
        }
        if !account.second_factor().is_met_by(shown) {
            return Err(LoginDenial::SecondFactor(source()));
        }
        let must_change = self.must_change(account, now).filter(|_| shown.password);
        match must_change.filter(|_| !account.may_change_password()) {
            Some(MustChange::Expired) => return Err(LoginDenial::PasswordExpired(source())),
            Some(MustChange::Temporary) => return Err(LoginDenial::PasswordTemporary(source())),
            None => {}
        }
        let (name, home) = (account.name.clone(), account.home.clone());
        Ok(Entered { principal: Principal { name, address: address.to_canonical(), home }, must_change })
    }

    /// Why the account's password has to be changed before anything else, if it has to.
    pub fn must_change(&self, account: &Account, now: Timestamp) -> Option<MustChange> {
        let expired = self.password_expiry(account).is_some_and(|last| date_of(now) > last);
        let temporary = account.password_temporary.then_some(MustChange::Temporary);
        temporary.or(expired.then_some(MustChange::Expired))
    }

    /// Whether a user who has logged in may go on: what [`Self::enter`] asks of account, hour and
    /// address still holds, and the home is the same.
    ///
    /// # Errors
    /// [`LoginDenial`] names the rule that ends the session.
    pub fn still_admits(&self, principal: &Principal, now: Timestamp) -> Result<(), LoginDenial> {
        let account = self.users.get(principal.name()).ok_or(LoginDenial::Unknown)?;
        if account.home != principal.home {
            return Err(LoginDenial::Moved(account.source.clone()));
        }
        self.admits(account, principal.address(), now)
    }

    fn admits(&self, account: &Account, address: IpAddr, now: Timestamp) -> Result<(), LoginDenial> {
        Check::ALL.into_iter().try_for_each(|check| self.check(check, account, address, now).map(|_| ()))
    }

    /// Makes one check of a login, and names the rule that passes it, if one does in particular.
    ///
    /// # Errors
    /// [`LoginDenial`] names the rule that keeps the user out.
    pub fn check(
        &self,
        check: Check,
        account: &Account,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Option<RuleSource>, LoginDenial> {
        let source = || account.source.clone();
        match check {
            Check::ServerNetworks => admit_to(&self.networks, address, true),
            Check::Enabled if !account.enabled => Err(LoginDenial::Disabled(source())),
            Check::Expiry if account.expires.is_some_and(|last| date_of(now) > last) => {
                Err(LoginDenial::AccountExpired(source()))
            }
            Check::UserNetworks => admit_to(&account.terms.addresses, address, false),
            Check::Hours => match &account.terms.hours {
                Some(hours) if !hours.hold(now, &self.zone) => Err(LoginDenial::Hours(hours.source.clone())),
                hours => Ok(hours.as_ref().map(|hours| hours.source.clone())),
            },
            Check::Enabled | Check::Expiry => Ok(None),
        }
    }

    /// The same policy with another password of one user.
    #[must_use]
    pub fn with_password(&self, user: &Username, change: &NewPassword) -> Self {
        let mut policy = self.clone();
        if let Some(account) = policy.users.get_mut(user) {
            account.replace_password(change);
        }
        policy
    }

    /// The last day on which an account's password logs in; none where passwords do not age.
    pub fn password_expiry(&self, account: &Account) -> Option<Date> {
        let days = i32::from(self.password_days_max?);
        account.password_set.checked_add(jiff::Span::new().days(days)).ok()
    }

    /// What the user's data connections must show today (UTC): the most relaxed level that an
    /// exception of the user, of one of its groups or of its network grants.
    pub fn binding(&self, principal: &Principal, today: Date) -> BindingJudgement {
        let account = self.users.get(principal.name());
        let of_user = account.into_iter().flat_map(|account| &account.terms.exceptions);
        let granted = of_user
            .chain(&self.exceptions)
            .filter(|exception| exception.holds(principal.address(), today))
            .max_by_key(|exception| exception.granted);
        match granted {
            Some(exception) => BindingJudgement { level: exception.granted, exception: Some(exception.clone()) },
            None => BindingJudgement { level: DataBinding::Session, exception: None },
        }
    }
}

/// Whether lists admit an address, and by which line. Where they allow nothing in particular, they
/// admit whatever they do not deny, unless they have to allow it.
fn admit_to(lists: &AddressRules, address: IpAddr, has_to: bool) -> Result<Option<RuleSource>, LoginDenial> {
    match lists.judge(address) {
        AddressVerdict::Allowed(rule) => Ok(Some(rule.source.clone())),
        AddressVerdict::Denied(rule) => Err(LoginDenial::Address(Some(rule.source.clone()))),
        AddressVerdict::Unlisted if lists.allow.is_empty() && !has_to => Ok(None),
        AddressVerdict::Unlisted => Err(LoginDenial::Address(lists.allow.first().map(|rule| rule.source.clone()))),
    }
}

/// The day of a moment, UTC: dates of the policy files mean that.
pub(crate) fn date_of(now: Timestamp) -> Date {
    jiff::tz::Offset::UTC.to_datetime(now).date()
}

#[cfg(test)]
mod tests;
