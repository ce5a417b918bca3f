//! What a policy decides, for people: one decision put into words ([`explain`]), what
//! `tests.toml` expects put to the test ([`test`]), two policies compared ([`diff`](diff::diff)).
//!
//! All of it asks the policy itself; nothing here decides.

pub mod diff;
pub mod expectation;
pub mod explanation;
pub mod login;
pub mod networks;
pub mod terms;

pub use expectation::{Failure, Tested, test, test_text};
pub use explanation::{Explanation, Question, explain};

#[cfg(test)]
pub(crate) mod tests;
