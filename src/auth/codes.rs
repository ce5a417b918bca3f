//! Which codes of the moment were used: each counts once (RFC 6238 §5.2), also across a restart.
//!
//! What was used stands in `codes.toml` in the directory of changed passwords before anybody is let
//! in by it. Without such a directory, or where the file cannot be read, every code that may have
//! been used before the server started is refused: for a minute at most, nobody logs in with one.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use toml_edit::{Array, DocumentMut, Table, value};
use tracing::warn;

use super::state::StateDirectory;
use super::totp::{WINDOW_STEPS, step_at};
use crate::identity::Username;

/// The file in the directory of changed passwords.
pub const FILE_NAME: &str = "codes.toml";
/// What stands at its beginning, for people.
const HEADER: &str = "# Codes of the moment that were used, by their number since 1970. The server writes this file.\n";
/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most steps that are remembered of a user; only a clock that was wrong makes so many.
const STEPS_MAX: usize = 64;

/// The codes that were used.
#[derive(Debug)]
pub struct UsedCodes {
    directory: Option<Arc<StateDirectory>>,
    /// The first step that may be used for all that is remembered.
    first: u64,
    used: Mutex<BTreeMap<Username, Steps>>,
}

type Steps = BTreeMap<u64, Option<Use>>;

/// By whom and when a code was used since the server started.
#[derive(Clone, Copy, Debug)]
struct Use {
    address: IpAddr,
    at: Timestamp,
}

/// What came of using a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It counts.
    Now,
    /// It was used before.
    Before,
}

impl UsedCodes {
    /// Goes on with what the directory remembers.
    pub fn open(directory: Option<Arc<StateDirectory>>, now: Timestamp) -> Self {
        // A client whose clock is ahead may have used the codes of the next step.
        let unknown = step_at(now).saturating_add(WINDOW_STEPS).saturating_add(1);
        let read =
            directory.as_ref().map(|directory| directory.read(FILE_NAME, FILE_BYTES_MAX).and_then(|text| parse(&text)));
        let (first, used) = match read {
            Some(Ok(used)) => (0, used),
            Some(Err(failure)) => {
                warn!(%failure, "{FILE_NAME} cannot be read; codes of before the start are refused, for a minute at most");
                (unknown, BTreeMap::new())
            }
            None => (unknown, BTreeMap::new()),
        };
        Self { directory, first, used: Mutex::new(used) }
    }

    /// Uses the code of a step for a user, through to the disk. Within `reuse` of its first use it
    /// counts again for the same address. Blocks.
    ///
    /// # Errors
    /// What the system says where it cannot be remembered; then nobody may be let in by it.
    pub fn spend(
        &self,
        user: &Username,
        step: u64,
        address: IpAddr,
        now: Timestamp,
        reuse: Duration,
    ) -> io::Result<Spent> {
        let mut known = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if step < self.first {
            return Ok(Spent::Before);
        }
        if let Some(before) = known.get(user).and_then(|steps| steps.get(&step)) {
            let again = before.is_some_and(|before| before.address == address && is_within(before.at, now, reuse));
            return Ok(if again { Spent::Now } else { Spent::Before });
        }
        let mut after = known.clone();
        let oldest = step_at(now).saturating_sub(WINDOW_STEPS);
        after.retain(|_, steps| {
            // What no code is taken of any more.
            steps.retain(|step, _| *step >= oldest);
            !steps.is_empty()
        });
        let steps = after.entry(user.clone()).or_default();
        steps.insert(step, Some(Use { address, at: now }));
        while steps.len() > STEPS_MAX {
            steps.pop_last();
        }
        if let Some(directory) = &self.directory {
            directory.replace(FILE_NAME, &written(&after))?;
            directory.sync()?;
        }
        *known = after;
        Ok(Spent::Now)
    }
}

fn is_within(before: Timestamp, now: Timestamp, reuse: Duration) -> bool {
    let since = Duration::try_from(now.duration_since(before));
    !reuse.is_zero() && since.is_ok_and(|since| since <= reuse)
}

fn parse(text: &str) -> io::Result<BTreeMap<Username, Steps>> {
    let document: DocumentMut = text.parse().map_err(io::Error::other)?;
    let users = document.get("used").and_then(|item| item.as_table()).into_iter().flat_map(Table::iter);
    let users = users.filter_map(|(name, steps)| {
        let steps = steps.as_array()?.iter().filter_map(toml_edit::Value::as_integer);
        let steps = steps.filter_map(|step| Some((u64::try_from(step).ok()?, None)));
        Some((Username::parse(name).ok()?, steps.take(STEPS_MAX).collect()))
    });
    Ok(users.collect())
}

fn written(used: &BTreeMap<Username, Steps>) -> String {
    let mut table = Table::new();
    for (user, steps) in used {
        let steps = steps.keys().filter_map(|step| i64::try_from(*step).ok());
        table.insert(user.as_str(), value(steps.collect::<Array>()));
    }
    let mut document = DocumentMut::new();
    document.insert("used", toml_edit::Item::Table(table));
    format!("{HEADER}{document}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Duration = Duration::ZERO;

    fn alice() -> Username {
        Username::parse("alice").unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn from(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn directory(path: &std::path::Path) -> Arc<StateDirectory> {
        Arc::new(StateDirectory::take(path).unwrap())
    }

    #[test]
    fn a_code_counts_once_also_across_a_restart() {
        let path = tempfile::tempdir().unwrap();
        let (now, step) = (at(3000), 100);
        let codes = UsedCodes::open(Some(directory(path.path())), now);
        assert_eq!(codes.spend(&alice(), step, from(1), now, STRICT).unwrap(), Spent::Now);
        assert_eq!(codes.spend(&alice(), step, from(1), now, STRICT).unwrap(), Spent::Before);
        assert_eq!(codes.spend(&alice(), step + 1, from(1), now, STRICT).unwrap(), Spent::Now);
        let bob = Username::parse("bob@x").unwrap();
        assert_eq!(codes.spend(&bob, step, from(1), now, STRICT).unwrap(), Spent::Now);
        drop(codes);
        let again = UsedCodes::open(Some(directory(path.path())), now);
        for (user, step) in [(alice(), step), (alice(), step + 1), (bob, step)] {
            // Whatever address it was, is not remembered.
            let spent = again.spend(&user, step, from(1), now, Duration::from_mins(1)).unwrap();
            assert_eq!(spent, Spent::Before, "{user} {step}");
        }
    }

    #[test]
    fn what_nobody_could_use_any_more_is_forgotten() {
        let path = tempfile::tempdir().unwrap();
        let codes = UsedCodes::open(Some(directory(path.path())), at(3000));
        let _ = codes.spend(&alice(), 100, from(1), at(3000), STRICT).unwrap();
        let _ = codes.spend(&alice(), 200, from(1), at(6000), STRICT).unwrap();
        let text = std::fs::read_to_string(path.path().join(FILE_NAME)).unwrap();
        assert!(text.ends_with("[used]\nalice = [200]\n"), "{text}");
    }

    #[test]
    fn without_a_memory_the_codes_of_before_the_start_are_refused() {
        let codes = UsedCodes::open(None, at(3000));
        for (step, expected) in [(99, Spent::Before), (101, Spent::Before), (102, Spent::Now), (102, Spent::Before)] {
            assert_eq!(codes.spend(&alice(), step, from(1), at(3030), STRICT).unwrap(), expected, "{step}");
        }
        let path = tempfile::tempdir().unwrap();
        std::fs::write(path.path().join(FILE_NAME), "used = [").unwrap();
        let damaged = UsedCodes::open(Some(directory(path.path())), at(3000));
        assert_eq!(damaged.spend(&alice(), 101, from(1), at(3000), STRICT).unwrap(), Spent::Before);
    }

    #[test]
    fn where_the_policy_says_so_it_counts_again_for_the_same_address_for_a_while() {
        let codes = UsedCodes::open(None, at(0));
        let reuse = Duration::from_secs(20);
        let _ = codes.spend(&alice(), 100, from(1), at(3000), reuse).unwrap();
        let spend = |last, seconds| codes.spend(&alice(), 100, from(last), at(seconds), reuse).unwrap();
        assert_eq!((spend(1, 3020), spend(1, 3021), spend(2, 3001)), (Spent::Now, Spent::Before, Spent::Before));
    }
}
