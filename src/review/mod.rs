//! What a policy decides, for people: one decision put into words ([`explain`]), and what
//! `tests.toml` expects put to the test ([`test`]).
//!
//! All of it asks the policy itself; nothing here decides.

pub mod expectation;
pub mod explanation;
pub mod login;
pub mod networks;
pub mod terms;

pub use expectation::{Failure, Tested, test};
pub use explanation::{Explanation, Question, explain};
