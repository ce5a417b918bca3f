//! Accounts that are permitted the same: what is judged of one of them holds for all, so that a group
//! with many members is judged once.

use std::collections::BTreeMap;

use crate::policy::Policy;
use crate::policy::account::{Account, Terms};

/// How many pairs of rules are compared with each other, over all accounts: some seconds' work.
/// Accounts beyond that are not judged.
const PAIRS_MAX: usize = 500_000;

/// Accounts whose permissions, rules and mounts are the same; never none.
pub(super) struct Alike<'a> {
    pub(super) accounts: Vec<&'a Account>,
    /// Whether there is time to judge them.
    pub(super) judged: bool,
}

impl<'a> Alike<'a> {
    /// All accounts, each among those that are permitted the same as it.
    pub(super) fn of(policy: &'a Policy) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut seen: BTreeMap<(&[String], usize, usize), usize> = BTreeMap::new();
        let mut left = PAIRS_MAX;
        for account in policy.users.values() {
            let (rules, mounts) = (account.terms.rules.len(), account.terms.mounts.len());
            let key = (account.groups.as_slice(), rules, mounts);
            let known = seen.get(&key).and_then(|at| all.get_mut(*at));
            let known =
                known.filter(|one| one.accounts.first().is_some_and(|first| is_alike(&first.terms, &account.terms)));
            if let Some(one) = known {
                one.accounts.push(account);
                continue;
            }
            let lines = rules.saturating_add(mounts).saturating_add(1);
            let rest = left.checked_sub(lines.saturating_mul(lines));
            left = rest.unwrap_or(left);
            // Of those that share no more than the key, the first is kept: members without rules of
            // their own are what there may be many of.
            seen.entry(key).or_insert(all.len());
            all.push(Self { accounts: vec![account], judged: rest.is_some() });
        }
        all
    }

    /// One of them.
    pub(super) fn first(&self) -> Option<&'a Account> {
        self.accounts.first().copied()
    }
}

fn is_alike(one: &Terms, other: &Terms) -> bool {
    one.permissions == other.permissions && one.rules == other.rules && one.mounts == other.mounts
}
