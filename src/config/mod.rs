//! Reading the policy files into [`crate::settings`]: every problem at once, each with its place
//! and what to do about it.
//!
//! `load` reads and trusts the files; `tree` turns their TOML into values with places; `section`
//! reads one table by the rules of `keys`, of which `schema` makes what editors understand; `server`, `audit`, `listen`, `identities`, `passive`, `limits`,
//! `networks`, `exceptions`, `folders`, `groups`, `users` and what these share (`terms`, `rules`, `hours`)
//! make domain types of them; `thresholds` reads when the audit log has findings; `running` is about the running server; `changes` reads the passwords that users changed; `assertions` reads
//! what the policy is expected to decide; `certificate`, `client_certificates`, `disk` and `account`
//! look at what they name; `directory` makes directories that
//! are missing; `advice` warns of what is legal but unwise. All of them note what is wrong in `findings`, so that one reading reports every
//! problem.

mod account;
mod advice;
mod assertions;
pub(crate) mod audit;
mod certificate;
mod changes;
mod client_certificates;
mod copies;
pub(crate) mod directory;
pub(crate) mod disk;
mod exceptions;
pub(crate) mod files;
mod findings;
mod folders;
mod groups;
mod hours;
mod identities;
mod keys;
mod kind;
mod limits;
mod listen;
pub(crate) mod load;
pub mod networks;
mod overrides;
pub(crate) mod passive;
pub mod problem;
mod rules;
pub(crate) mod running;
pub mod schema;
mod section;
pub(crate) mod server;
pub(crate) mod shell;
pub(crate) mod system_accounts;
pub(crate) mod terms;
pub(crate) mod thresholds;
mod tree;
pub(crate) mod users;

pub use crate::settings::*;
pub(crate) use assertions::read_moment;
pub use assertions::{Assertion, Assertions, TESTS_FILE};
pub(crate) use findings::nearest;
pub use load::{Loaded, SERVER_FILE, USERS_FILE, check_texts};
pub use overrides::Override;
pub use problem::{Problem, Problems, Severity, Subject};
pub use running::Rejected;

#[cfg(test)]
mod tests;
