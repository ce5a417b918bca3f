//! What one account may do on paths and another may not: both policies are asked about every path
//! that their rules can tell apart, and the answers are put together by pattern.

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::super::networks::regions;
use super::witnesses::{self, Witnesses};
use crate::policy::account::Account;
use crate::policy::path_pattern::PathPattern;
use crate::policy::permission::{Permission, PermissionSet};
use crate::policy::supposed::Supposed;
use crate::policy::{Policy, date_of};
use crate::proto::path::VirtualPath;

/// Most questions that are asked about one user.
const QUESTIONS_MAX: usize = 2_000_000;

/// A change on some paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathChange {
    /// The pattern of the rules that means them, or `everywhere`.
    pub path: String,
    /// Whether it is so on all of these paths; else on some, such as the example.
    pub whole: bool,
    /// One of the paths.
    pub example: String,
    /// When and from where it is so; none where it always is.
    pub when: Option<String>,
    /// What is allowed that was not: permissions, `enter` (directories), `rename-to` (a name to be
    /// given), `rename-tree` (directories that hold something).
    pub gains: Vec<&'static str>,
    /// What was allowed and is not.
    pub loses: Vec<&'static str>,
    /// Most bytes of an uploaded file, before and after, where that changed; none is no limit.
    pub file_bytes_max: Option<(Option<u64>, Option<u64>)>,
}

/// A policy and the account in it; no account may do nothing.
pub(super) type Side<'a> = Option<(&'a Policy, &'a Account)>;

/// Everything that is decided about one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Decided {
    allowed: Vec<&'static str>,
    takes_files: bool,
    file_bytes_max: Option<u64>,
}

/// What differs about one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Delta {
    gains: Vec<&'static str>,
    loses: Vec<&'static str>,
    file_bytes_max: Option<(Option<u64>, Option<u64>)>,
}

/// From where and when it is asked.
struct Moment {
    address: IpAddr,
    at: Timestamp,
    words: Option<String>,
}

/// Compares two accounts from now on; none where their rules can tell too many paths apart.
pub(super) fn compare(old: Side<'_>, new: Side<'_>, from: &[IpAddr], now: Timestamp) -> Option<Vec<PathChange>> {
    let accounts: Vec<&Account> = [old, new].into_iter().flatten().map(|(_, account)| account).collect();
    let witnesses = witnesses::of(&accounts)?;
    let moments = moments(&accounts, from, now);
    if witnesses.paths.len().saturating_mul(moments.len()) > QUESTIONS_MAX {
        return None;
    }
    let mut all = Vec::new();
    let mut asked: Vec<(IpAddr, Vec<Delta>)> = Vec::new();
    for moment in &moments {
        let delta = |path: &VirtualPath| delta(&decided(old, path, moment), &decided(new, path, moment));
        let deltas: Vec<Delta> = witnesses.paths.iter().map(delta).collect();
        // What is as it was a day before, or as it is for clients of no network in particular, has
        // been said.
        let before = asked.last().filter(|(address, _)| *address == moment.address);
        let said = before.or_else(|| asked.first().filter(|_| from.is_empty())).map(|(_, said)| said);
        let mut news = deltas.clone();
        for (delta, _) in news.iter_mut().zip(said.into_iter().flatten()).filter(|(delta, said)| *delta == *said) {
            *delta = Delta::default();
        }
        all.extend(grouped(&witnesses, &news, moment.words.as_ref()));
        asked.push((moment.address, deltas));
    }
    Some(all)
}

/// Now from an address that no exception is for, then from each that one is for, and what is left
/// when each has ended.
fn moments(accounts: &[&Account], from: &[IpAddr], now: Timestamp) -> Vec<Moment> {
    let exceptions = || accounts.iter().flat_map(|account| &account.terms.path_exceptions);
    let clients: Vec<_> = exceptions().filter_map(|exception| exception.clients).collect();
    let addresses = if from.is_empty() { regions(&clients) } else { from.to_vec() };
    let today = date_of(now);
    let mut days: Vec<Date> = exceptions()
        .filter(|exception| exception.until >= today)
        .flat_map(|exception| [Some(exception.until), exception.until.tomorrow().ok()])
        .flatten()
        .filter(|day| *day != today)
        .collect();
    days.sort_unstable();
    days.dedup();
    let noon = |day: &Date| Some((day.at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(), Some(*day)));
    let times: Vec<(Timestamp, Option<Date>)> =
        std::iter::once((now, None)).chain(days.iter().filter_map(noon)).collect();
    let mut moments = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        for (at, day) in &times {
            let from =
                (index > 0 || !from.is_empty()).then(|| match clients.iter().rev().find(|net| net.contains(address)) {
                    Some(network) if from.is_empty() => format!("from {network}"),
                    _ => format!("from {address}"),
                });
            let on = day.map(|day| format!("on {day}"));
            let words: Vec<String> = from.into_iter().chain(on).collect();
            let words = (!words.is_empty()).then(|| words.join(" "));
            moments.push(Moment { address: *address, at: *at, words });
        }
    }
    moments
}

fn decided(side: Side<'_>, path: &VirtualPath, moment: &Moment) -> Decided {
    use Permission::{Append, Create, Overwrite, Rename};
    let Some((policy, account)) = side else { return Decided::default() };
    let ask = |wanted| policy.suppose(account, moment.address, wanted, path, moment.at).ok();
    let of = |granted: &Option<Supposed>| granted.as_ref().map_or(PermissionSet::NONE, |granted| granted.permissions);
    // Whoever gives a name is asked whether files of that name are taken; the old name of a rename
    // is not.
    let naming = PermissionSet::of(&[Create, Overwrite, Append, Rename]);
    let (named, renamed) = (ask(naming), ask(PermissionSet::of(&[Rename])));
    let others = of(&ask(PermissionSet::ALL.without(naming)));
    let permissions = of(&named).union(others);
    let mut allowed: Vec<&'static str> =
        permissions.iter().filter(|permission| *permission != Rename).map(Permission::word).collect();
    allowed.extend(renamed.as_ref().map(|_| Rename.word()));
    allowed.extend(permissions.contains(Rename).then_some("rename-to"));
    allowed.extend(renamed.filter(|renamed| renamed.whole_tree).map(|_| "rename-tree"));
    allowed.extend(policy.suppose_pass(account, moment.address, path, moment.at).ok().map(|_| "enter"));
    let takes_files = !permissions.intersection(PermissionSet::of(&[Create, Overwrite, Append])).is_empty();
    Decided { allowed, takes_files, file_bytes_max: named.and_then(|named| named.file_bytes_max) }
}

fn delta(old: &Decided, new: &Decided) -> Delta {
    let only = |one: &Decided, other: &Decided| -> Vec<&'static str> {
        one.allowed.iter().filter(|word| !other.allowed.contains(word)).copied().collect()
    };
    let sizes = (old.file_bytes_max, new.file_bytes_max);
    let file_bytes_max = (old.takes_files && new.takes_files && sizes.0 != sizes.1).then_some(sizes);
    Delta { gains: plain(only(new, old)), loses: plain(only(old, new)), file_bytes_max }
}

/// Without what `rename` says already.
fn plain(mut words: Vec<&'static str>) -> Vec<&'static str> {
    if words.contains(&Permission::Rename.word()) {
        words.retain(|word| !word.starts_with("rename-"));
    }
    words
}

/// The differences, each under the most specific pattern that means its paths.
fn grouped(witnesses: &Witnesses, deltas: &[Delta], when: Option<&String>) -> Vec<PathChange> {
    let label = |path: &VirtualPath| {
        let matching = witnesses.patterns.iter().filter(|pattern| pattern.matches(path));
        matching.max_by_key(|pattern| pattern.specificity()).map(PathPattern::as_str)
    };
    let labelled: Vec<(Option<&str>, &VirtualPath, &Delta)> =
        witnesses.paths.iter().zip(deltas).map(|(path, delta)| (label(path), path, delta)).collect();
    let mut changes: Vec<PathChange> = Vec::new();
    for (label, path, delta) in labelled.iter().filter(|(_, _, delta)| **delta != Delta::default()) {
        let whole = labelled.iter().filter(|(other, ..)| other == label).all(|(_, _, other)| other == delta);
        let name = label.unwrap_or(if witnesses.patterns.is_empty() { "everywhere" } else { "everywhere else" });
        let Delta { gains, loses, file_bytes_max } = (*delta).clone();
        let example = path.to_string();
        let change =
            PathChange { path: name.to_owned(), whole, example, when: when.cloned(), gains, loses, file_bytes_max };
        let same = |other: &PathChange| PathChange { example: String::new(), ..other.clone() };
        if !changes.iter().any(|other| same(other) == same(&change)) {
            changes.push(change);
        }
    }
    changes
}
