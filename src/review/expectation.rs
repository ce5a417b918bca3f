//! What `tests.toml` expects, put to the test.

use std::fmt;

use jiff::Timestamp;

use super::explanation::{Explanation, Question, explain};
use crate::config::load::Reach;
use crate::config::{Assertion, Assertions, Config, Problems};
use crate::identity::Username;
use crate::policy::Policy;
use crate::policy::grant::RuleSource;
use crate::proto::path::VirtualPath;
use crate::rules::action::Action;

/// How the tests came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tested {
    /// How many decisions were as expected.
    pub passed: usize,
    /// Those that were not.
    pub failed: Vec<Failure>,
}

/// A decision that was not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was expected, what came, and what decided.
    pub message: String,
    /// Where the test stands.
    pub source: RuleSource,
}

/// Puts the policy of a configuration to the tests in its directory, as of now. None where it has
/// no `tests.toml`.
///
/// # Errors
/// Every problem of the file, where it cannot be understood.
pub fn test(config: &Config) -> Result<Option<Tested>, Problems> {
    test_within(config, Reach::Disk)
}

/// The same where files are judged by their text alone.
///
/// # Errors
/// As [`test`].
pub fn test_text(config: &Config) -> Result<Option<Tested>, Problems> {
    test_within(config, Reach::Text)
}

fn test_within(config: &Config, reach: Reach) -> Result<Option<Tested>, Problems> {
    let assertions = Assertions::load(config, reach)?;
    Ok(assertions.map(|assertions| run(&config.policy, &assertions, Timestamp::now())))
}

/// Puts a policy to the test. What states no moment is meant to hold now.
pub fn run(policy: &Policy, assertions: &Assertions, now: Timestamp) -> Tested {
    let mut tested = Tested::default();
    for assertion in &assertions.all {
        one(policy, assertion, now, &mut tested);
    }
    tested
}

fn one(policy: &Policy, assertion: &Assertion, now: Timestamp, tested: &mut Tested) {
    let failure = |message: String| Failure {
        message: format!("{}: {message}", assertion.name),
        source: assertion.source.clone(),
    };
    let addresses: Vec<_> = match assertion.from.as_slice() {
        [] => vec![None],
        some => some.iter().copied().map(Some).collect(),
    };
    for name in &assertion.users {
        let account = Username::parse(name).ok().and_then(|name| policy.users.get(&name));
        let Some(account) = account else {
            let known = policy.users.keys().map(Username::as_str);
            let near = crate::config::nearest(name, known).map(|near| format!("; did you mean {near}?"));
            tested.failed.push(failure(format!(
                "there is no user {}{}",
                name.escape_debug(),
                near.unwrap_or_default()
            )));
            continue;
        };
        for (from, action) in addresses.iter().flat_map(|from| assertion.actions.iter().map(move |one| (*from, *one))) {
            let paths: Vec<Option<&VirtualPath>> = match action {
                Action::Login => vec![None],
                _ => assertion.paths.iter().map(Some).collect(),
            };
            for path in paths {
                let path = path.cloned();
                let at = assertion.at.unwrap_or(now);
                let question = Question { account, from, at, action, path, renamed_to: None };
                let explanation = explain(policy, &question);
                match unmet(assertion, &explanation) {
                    None => tested.passed = tested.passed.saturating_add(1),
                    Some(message) => tested.failed.push(failure(message)),
                }
            }
        }
    }
}

/// What is not as expected.
fn unmet(assertion: &Assertion, explanation: &Explanation) -> Option<String> {
    let word = |allowed: bool| if allowed { "allowed" } else { "denied" };
    let decided = &explanation.decided_by;
    let by = match &decided.source {
        Some(source) => format!("{} ({source})", decided.what),
        None => decided.what.clone(),
    };
    let from = explanation.from.map(|from| format!(" from {from}")).unwrap_or_default();
    let path = explanation.path.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
    let asked = format!("{} {}{path}{from}", explanation.user, explanation.action);
    if explanation.allowed != assertion.allowed {
        return Some(format!(
            "{asked} was to be {}, and is {} by {by}",
            word(assertion.allowed),
            word(explanation.allowed)
        ));
    }
    let other = assertion.by.as_ref().filter(|expected| **expected != decided.what)?;
    Some(format!("{asked} is {}, but was to be so by {other}, and is by {by}", word(explanation.allowed)))
}

impl Tested {
    /// Whether everything was as expected.
    pub fn is_met(&self) -> bool {
        self.failed.is_empty()
    }
}

/// How many, for a line of a log.
impl fmt::Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.passed.saturating_add(self.failed.len());
        match self.failed.as_slice() {
            [] => write!(f, "{all} tests passed"),
            [first, ..] => write!(f, "{} of {all} tests failed; the first: {first}", self.failed.len()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.message)
    }
}
