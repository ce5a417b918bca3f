//! Reading the policy files into [`crate::settings`]: every problem at once, each with its place
//! and what to do about it.
//!
//! `load` reads and trusts the files; `tree` turns their TOML into values with places; `section`
//! reads one table by the rules of `keys`; `server`, `listen`, `identities`, `passive`, `limits`,
//! `networks`, `exceptions`, `folders`, `groups`, `users` and what these share (`terms`, `rules`, `hours`)
//! make domain types of them; `running` is about the running server; `changes` reads the passwords that users changed;
//! `certificate`, `disk` and `account` look at what they name; `directory` makes directories that
//! are missing. All of them note what is wrong in `findings`, so that one reading reports every
//! problem.

mod account;
mod certificate;
mod changes;
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
mod limits;
mod listen;
pub(crate) mod load;
pub mod networks;
mod overrides;
pub(crate) mod passive;
pub mod problem;
mod rules;
pub(crate) mod running;
mod section;
pub(crate) mod server;
pub(crate) mod shell;
pub(crate) mod system_accounts;
pub(crate) mod terms;
mod tree;
pub(crate) mod users;

pub use crate::settings::*;
pub use load::{Loaded, SERVER_FILE, USERS_FILE, check_texts};
pub use overrides::Override;
pub use problem::{Problem, Problems, Severity, Subject};
pub use running::Rejected;

#[cfg(test)]
mod tests;
