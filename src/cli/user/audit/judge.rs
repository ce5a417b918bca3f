//! What is to be said of an account, from what the policy says and what is known besides.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::auth::hash::{self, Kind as HashKind};
use crate::auth::logins::LastLogin;
use crate::config::Config;
use crate::identity::Username;
use crate::policy::account::Account;
use crate::policy::date_of;
use crate::policy::factor::SecondFactor;

/// Days after which a password is old where the policy sets no age.
const OLD_DAYS: i32 = 365;

/// What else is known.
pub(super) struct Knowledge<'a> {
    pub(super) now: Timestamp,
    /// Days without a login after which an account is unused.
    pub(super) unused_days: u16,
    /// The last logins; none where nobody keeps them.
    pub(super) logins: Option<&'a BTreeMap<Username, LastLogin>>,
    /// Users whose password was guessed, and by which kind of guess.
    pub(super) guessed: &'a BTreeMap<Username, &'static str>,
}

/// One thing to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) user: Username,
    pub(super) kind: Kind,
    pub(super) found: String,
    pub(super) help: String,
}

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Weak,
    SharedHash,
    PasswordExpired,
    PasswordExpiring,
    PasswordOld,
    PasswordTemporary,
    HashBelowPolicy,
    NoSecondFactor,
    NeverUsed,
    Unused,
    Disabled,
    AccountExpired,
}

impl Kind {
    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::SharedHash => "shared-hash",
            Self::PasswordExpired => "password-expired",
            Self::PasswordExpiring => "password-expiring",
            Self::PasswordOld => "password-old",
            Self::PasswordTemporary => "password-temporary",
            Self::HashBelowPolicy => "hash-below-policy",
            Self::NoSecondFactor => "no-second-factor",
            Self::NeverUsed => "never-used",
            Self::Unused => "unused",
            Self::Disabled => "disabled",
            Self::AccountExpired => "expired",
        }
    }
}

/// Everything to look at, by user.
pub(super) fn findings(config: &Config, known: &Knowledge<'_>) -> Vec<Finding> {
    let mut holders: BTreeMap<&str, Vec<&Username>> = BTreeMap::new();
    for account in config.policy.users.values() {
        holders.entry(&account.password).or_default().push(&account.name);
    }
    let mut all = Vec::new();
    for account in config.policy.users.values() {
        let mut found = of_password(account, config, known);
        found.extend(of_account(account, known));
        let others =
            holders.get(account.password.as_str()).into_iter().flatten().filter(|name| **name != &account.name);
        let others: Vec<&str> = others.map(|name| name.as_str()).collect();
        if !others.is_empty() {
            found.push((
                Kind::SharedHash,
                format!("the same hash as {}: who knows one password knows both", others.join(", ")),
            ));
        }
        all.extend(found.into_iter().map(|(kind, found)| Finding {
            user: account.name.clone(),
            kind,
            found,
            help: help(kind, &account.name),
        }));
    }
    all
}

fn of_password(account: &Account, config: &Config, known: &Knowledge<'_>) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    if let Some(kind) = known.guessed.get(&account.name) {
        found.push((Kind::Weak, format!("the password is {kind}, or nearly so")));
    }
    let today = date_of(known.now);
    let age = days_between(account.password_set, today);
    let end = config.policy.password_expiry(account);
    match end {
        Some(end) if today > end => found.push((Kind::PasswordExpired, format!("the password ended on {end}"))),
        Some(end) if days_between(today, end) <= i32::from(config.policy.password_warning_days) => {
            found.push((Kind::PasswordExpiring, format!("the password ends on {end}")));
        }
        None if age > OLD_DAYS => found.push((Kind::PasswordOld, format!("the password is {age} days old"))),
        _ => {}
    }
    if account.password_temporary {
        found
            .push((Kind::PasswordTemporary, format!("the password set on {} was never changed", account.password_set)));
    }
    match hash::kind(&account.password) {
        Ok(kind @ HashKind::Argon2id(_)) if kind.is_below(config.passwords.argon2) => {
            found.push((Kind::HashBelowPolicy, "the hash is cheaper to guess at than [passwords] asks".to_owned()));
        }
        Ok(kind @ (HashKind::Argon2i(_) | HashKind::Crypt(_))) => {
            found.push((Kind::HashBelowPolicy, format!("the password is a hash of {}", kind.name())));
        }
        _ => {}
    }
    found
}

fn of_account(account: &Account, known: &Knowledge<'_>) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    let (totp, certificate) = (account.totp_secret.is_some(), !account.certificates.is_empty());
    let lacks = match account.second_factor() {
        SecondFactor::None => false,
        SecondFactor::Any => !totp && !certificate,
        SecondFactor::Totp => !totp,
        SecondFactor::Certificate => !certificate,
    };
    if lacks {
        let factor = account.second_factor();
        found.push((
            Kind::NoSecondFactor,
            format!("second-factor = \"{factor}\" is asked for, and there is none: nobody logs in"),
        ));
    }
    if !account.enabled {
        found.push((Kind::Disabled, "the account is disabled and still there".to_owned()));
    } else if let Some(end) = account.expires.filter(|end| date_of(known.now) > *end) {
        found.push((Kind::AccountExpired, format!("the account ended on {end} and is still there")));
    } else if let Some(logins) = known.logins {
        found.extend(usage(account, logins.get(&account.name), known));
    }
    found
}

fn usage(account: &Account, last: Option<&LastLogin>, known: &Knowledge<'_>) -> Option<(Kind, String)> {
    let most = SignedDuration::from_hours(i64::from(known.unused_days).saturating_mul(24));
    match last {
        Some(login) if known.now.duration_since(login.at) > most => {
            let day = date_of(login.at);
            Some((Kind::Unused, format!("the last login was on {day}, from {}", login.address)))
        }
        Some(_) => None,
        None => {
            Some((Kind::NeverUsed, format!("nobody has logged in so far; the password is of {}", account.password_set)))
        }
    }
}

fn days_between(from: Date, to: Date) -> i32 {
    from.until(to).map_or(0, |span| span.get_days())
}

/// What to do about it.
fn help(kind: Kind, user: &Username) -> String {
    match kind {
        Kind::Weak | Kind::SharedHash => format!("portcullis user passwd {user} --generate --temporary"),
        Kind::PasswordExpired | Kind::PasswordExpiring | Kind::PasswordOld | Kind::PasswordTemporary => {
            format!("have {user} change it with SITE PSWD, or: portcullis user passwd {user}")
        }
        Kind::HashBelowPolicy => {
            format!("with [passwords] changes the next login mends it; else: portcullis user passwd {user}")
        }
        Kind::NoSecondFactor => format!("portcullis user totp enable {user}, or name a certificate in `certificates`"),
        Kind::NeverUsed | Kind::Unused => format!("portcullis user disable {user}, if nobody needs it"),
        Kind::Disabled | Kind::AccountExpired => format!("portcullis user remove {user}, if it is not needed again"),
    }
}
