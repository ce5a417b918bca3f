//! Passwords that an attacker tries first, tried within a time.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::hash::Workspace;
use crate::config::Config;
use crate::identity::{Secret, Username};
use crate::policy::account::Account;

/// The commonest passwords of published lists, and what administrators begin with.
#[rustfmt::skip]
const COMMON: [&str; 48] = [
    "123456", "123456789", "12345678", "password", "qwerty", "12345", "1234567890", "1234567", "111111", "123123",
    "abc123", "password1", "1234", "iloveyou", "qwerty123", "000000", "1q2w3e4r", "qwertyuiop", "admin", "letmein",
    "welcome", "monkey", "dragon", "football", "Passw0rd", "P@ssw0rd", "Password1", "Password123", "passw0rd",
    "changeme", "changeit", "secret", "default", "guest", "test", "test123", "temp", "temp123", "ftp", "ftpuser",
    "upload", "root", "toor", "master", "login", "Welcome1", "Summer2026", "Winter2026",
];

/// What came of guessing.
pub(super) struct Guessed {
    /// What kind of guess was right, by user. The password itself is never told.
    pub(super) found: BTreeMap<Username, &'static str>,
    /// Users whose turn did not come to its end.
    pub(super) untested: usize,
}

/// Guesses at every password, on every processor, until the time is over.
pub(super) fn guess(config: &Config, time: Duration) -> Guessed {
    let accounts: Vec<&Account> = config.policy.users.values().collect();
    let end = Instant::now().checked_add(time);
    let (next, tested) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let found = Mutex::new(BTreeMap::new());
    let work = || {
        let mut workspace = Workspace::default();
        while let Some(account) = accounts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let is_over = || end.is_none_or(|end| Instant::now() >= end);
            let mut candidates = candidates(account, config);
            let right = loop {
                if is_over() {
                    return;
                }
                let Some((kind, guess)) = candidates.next() else { break None };
                if workspace.matches(&account.password, &Secret::new(guess.into_bytes())) {
                    break Some(kind);
                }
            };
            tested.fetch_add(1, Ordering::Relaxed);
            if let Some(kind) = right {
                found.lock().unwrap_or_else(PoisonError::into_inner).insert(account.name.clone(), kind);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    Guessed { found, untested: accounts.len().saturating_sub(tested.load(Ordering::Relaxed)) }
}

/// What is tried, the likeliest first.
fn candidates(account: &Account, config: &Config) -> impl Iterator<Item = (&'static str, String)> {
    let name = account.name.as_str();
    let reversed: String = name.chars().rev().collect();
    let capital: String = name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1)).collect();
    let of_name = [name.to_owned(), capital.clone(), reversed, format!("{name}{name}"), String::new()];
    let of_name = of_name.into_iter().chain(["1", "123", "1234", "!", "2026"].map(|end| format!("{name}{end}")));
    let of_name = of_name.chain(["1", "123", "2026"].map(|end| format!("{capital}{end}")));
    let banned = config.passwords.banned.clone().into_iter();
    let common = COMMON.into_iter().map(str::to_owned);
    let of_name = of_name.map(|guess| ("the name of the user", guess));
    of_name
        .chain(banned.map(|guess| ("a banned word", guess)))
        .chain(common.map(|guess| ("one of the commonest", guess)))
}
