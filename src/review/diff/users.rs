//! What changes for one user: the account, from where and when it logs in, its bounds and its
//! paths.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::super::networks::{self, Addresses};
use super::super::terms;
use super::paths::{self, PathChange};
use super::settings::{self, Change};
use crate::policy::Policy;
use crate::policy::account::Account;
use crate::policy::hours::Hours;

/// Everything that changes for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserChange {
    /// The user.
    pub user: String,
    /// What becomes of the account as a whole; none where it goes on as it was.
    pub account: Option<Fate>,
    /// Networks from which the user can log in and could not.
    pub networks_gained: Vec<String>,
    /// Networks from which the user could log in and cannot.
    pub networks_lost: Vec<String>,
    /// What else is set otherwise, by key.
    pub terms: Vec<Change>,
    /// What changes on paths.
    pub paths: Vec<PathChange>,
    /// Whether the rules can tell so many paths apart that they were compared as they are written.
    pub paths_by_text: bool,
}

/// What becomes of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It may log in again.
    Enabled,
    /// It may not log in any more.
    Disabled,
}

/// What was found for users with the same rules, by these: members of a group commonly share them.
pub(super) type Found = HashMap<(Option<String>, String), Option<Vec<PathChange>>>;

/// Compares a user of two policies; none where nothing changes.
pub(super) fn compare(
    name: &str,
    (old_policy, old): (&Policy, Option<&Account>),
    (new_policy, new): (&Policy, Option<&Account>),
    from: &[IpAddr],
    now: Timestamp,
    found: &mut Found,
) -> Option<UserChange> {
    let account = fate(old, new);
    let of = |policy: &Policy, account: Option<&Account>| {
        let whole = account.filter(|account| account.enabled).map(|account| networks::login(policy, account));
        let whole = whole.unwrap_or_default();
        if from.is_empty() { whole } else { whole.and(&Addresses::of(from.iter().copied().map(IpNet::from))) }
    };
    let (before, after) = (of(old_policy, old), of(new_policy, new));
    let text = |set: Addresses| set.networks().iter().map(ToString::to_string).collect::<Vec<_>>();
    let none = BTreeMap::new();
    let described = |policy, account: Option<&Account>| account.map(|account| described(policy, account));
    let (old_terms, new_terms) = (described(old_policy, old), described(new_policy, new));
    let mut terms = settings::changes(old_terms.as_ref().unwrap_or(&none), new_terms.as_ref().unwrap_or(&none));
    if matches!(account, Some(Fate::Removed)) {
        // All of it is gone, which is said.
        terms.clear();
    }
    add_hours((old_policy, old), (new_policy, new), &mut terms);
    let (paths, paths_by_text) = of_paths((old_policy, old), (new_policy, new), from, now, found);
    let change = UserChange {
        user: name.to_owned(),
        account,
        networks_gained: text(after.without(&before)),
        networks_lost: text(before.without(&after)),
        terms,
        paths,
        paths_by_text,
    };
    (change.is_effective()).then_some(change)
}

impl UserChange {
    fn is_effective(&self) -> bool {
        self.account.is_some()
            || self.paths_by_text
            || !(self.networks_gained.is_empty() && self.networks_lost.is_empty())
            || !(self.terms.is_empty() && self.paths.is_empty())
    }
}

fn fate(old: Option<&Account>, new: Option<&Account>) -> Option<Fate> {
    match (old, new) {
        (None, Some(_)) => Some(Fate::Added),
        (Some(_), None) => Some(Fate::Removed),
        (Some(old), Some(new)) if old.enabled && !new.enabled => Some(Fate::Disabled),
        (Some(old), Some(new)) if !old.enabled && new.enabled => Some(Fate::Enabled),
        _ => None,
    }
}

fn of_paths(
    (old_policy, old): (&Policy, Option<&Account>),
    (new_policy, new): (&Policy, Option<&Account>),
    from: &[IpAddr],
    now: Timestamp,
    found: &mut Found,
) -> (Vec<PathChange>, bool) {
    let (old, new) = (old.filter(|account| account.enabled), new.filter(|account| account.enabled));
    let Some(new_account) = new else {
        // Who may not log in may do nothing; that is said of the account.
        return (Vec::new(), false);
    };
    let terms = (old.map(path_terms), path_terms(new_account));
    if terms.0.as_ref() == Some(&terms.1) {
        return (Vec::new(), false);
    }
    let old = old.map(|account| (old_policy, account));
    let compare = || paths::compare(old, Some((new_policy, new_account)), from, now);
    match found.entry(terms).or_insert_with(compare) {
        Some(changes) => (changes.clone(), false),
        None => (Vec::new(), true),
    }
}

/// All that decides about paths, without where it stands: with the same, the same is permitted.
fn path_terms(account: &Account) -> String {
    let terms = &account.terms;
    let permissions = terms.permissions.as_ref().map(|permissions| permissions.set);
    let rules = terms.rules.iter().map(|rule| format!("{:?}", (&rule.pattern, rule.allow, rule.deny, &rule.upload)));
    let mounts = terms.mounts.iter().map(|mount| format!("{:?}", (&mount.path, mount.permissions.set)));
    let exceptions = terms.path_exceptions.iter();
    let exceptions = exceptions.map(|one| format!("{:?}", (&one.granted, one.clients, one.until)));
    let all: Vec<String> = rules.chain(mounts).chain(exceptions).collect();
    format!("{permissions:?} {}", all.join(" "))
}

/// Everything about an account that is neither an address nor an hour nor a path, by key. Secrets
/// are told apart and not shown.
fn described(policy: &Policy, account: &Account) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut set = |key: &str, value: String| all.insert(key.to_owned(), value);
    set("home", account.home.display().to_string().escape_debug().to_string());
    set("password", fingerprint(account.password.as_bytes()));
    if let Some(secret) = &account.totp_secret {
        set("totp-secret", fingerprint(secret.expose()));
    }
    if let Some(last) = account.expires {
        set("expires", last.to_string());
    }
    if let Some(last) = policy.password_expiry(account) {
        set("password logs in until", last.to_string());
    }
    set("password-temporary", account.password_temporary.to_string());
    set("password-change", account.may_change_password().to_string());
    set("second-factor", account.second_factor().to_string());
    set("certificate-alone", account.certificate_alone.to_string());
    let mut certificates: Vec<String> = account.certificates.iter().map(ToString::to_string).collect();
    certificates.sort();
    if !certificates.is_empty() {
        set("certificates", certificates.join(", "));
    }
    for (key, number) in terms::numbers(account) {
        if let Some(number) = number {
            set(key, number.to_string());
        }
    }
    for mount in &account.terms.mounts {
        let folder = &mount.folder;
        let bounds = [("quota-bytes", folder.quota_bytes), ("quota-files", folder.quota_files)];
        let bounds = bounds.into_iter().filter_map(|(key, number)| Some(format!(", {key} = {}", number?)));
        let directory = folder.directory.display().to_string().escape_debug().to_string();
        set(&format!("mount {}", mount.path), format!("{directory}{}", bounds.collect::<String>()));
    }
    let mut exceptions: Vec<String> = account
        .terms
        .exceptions
        .iter()
        .map(|one| {
            let clients = one.clients.map_or_else(|| "any address".to_owned(), |network| network.to_string());
            format!("{} from {clients} until {}", one.granted, one.until)
        })
        .collect();
    exceptions.sort();
    if !exceptions.is_empty() {
        set("exceptions for data-binding", exceptions.join("; "));
    }
    all
}

/// Enough of a secret's digest to tell it from another.
fn fingerprint(secret: &[u8]) -> String {
    let digest = blake3::hash(secret).to_hex();
    format!("(digest {})", digest.get(..12).unwrap_or_default())
}

/// Hours, where any minute of the week is judged otherwise.
fn add_hours(
    (old_policy, old): (&Policy, Option<&Account>),
    (new_policy, new): (&Policy, Option<&Account>),
    terms: &mut Vec<Change>,
) {
    let (Some(_), Some(new)) = (old.or(new), new) else { return };
    let before = old.and_then(|account| account.terms.hours.as_ref());
    let after = new.terms.hours.as_ref();
    let words = |policy: &Policy, hours: Option<&Hours>| {
        hours.map(|hours| {
            let windows: Vec<String> = hours.windows.iter().map(ToString::to_string).collect();
            format!("{} in {}", windows.join("; "), policy.zone.iana_name().unwrap_or("UTC"))
        })
    };
    let (was, is) = (words(old_policy, before), words(new_policy, after));
    let zones = |hours: Option<&Hours>, policy: &Policy| hours.and(policy.zone.iana_name().map(str::to_owned));
    let same_clock = zones(before, old_policy) == zones(after, new_policy) || before.is_none() || after.is_none();
    if was != is && !(same_clock && minutes(before) == minutes(after)) {
        terms.push(Change { key: "hours".to_owned(), old: was, new: is });
    }
}

/// Which minutes of a week the account works in.
fn minutes(hours: Option<&Hours>) -> Vec<bool> {
    // 1970-01-05 was a Monday; what the clock shows is what counts.
    let monday: i64 = 4 * 86_400;
    let at = |minute: i64| Timestamp::from_second(monday.saturating_add(minute.saturating_mul(60))).ok();
    let holds = |hours: &Hours, minute| at(minute).is_some_and(|at| hours.hold(at, &jiff::tz::TimeZone::UTC));
    (0..7 * 24 * 60).map(|minute| hours.is_none_or(|hours| holds(hours, minute))).collect()
}
