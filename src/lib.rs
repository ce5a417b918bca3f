//! Portcullis, an FTPS-first hardened file server.
//!
//! The modules, from the pure ones below to the effects above; each uses only those before it:
//!
//! | module | subject |
//! |---|---|
//! | [`proto`] | the wire language: lines, verbs, arguments, paths, replies, facts |
//! | [`identity`] | names and secrets |
//! | [`metrics`] | figures that are counted without a lock, and their text |
//! | [`policy`] | who may do what, from where, on which path |
//! | [`rules`] | the table of verbs |
//! | [`settings`] | what the policy files come to, as domain types |
//! | [`audit`] | typed records, their chain, and the one writer |
//! | [`trail`] | the audit log as it is read |
//! | [`findings`] | what in the audit log somebody should look at |
//! | [`report`] | the report on it, for people |
//! | [`session`] | the server-PI: a state machine without I/O |
//! | [`auth`] | password hashes, strength, throttling |
//! | [`tls`] | TLS on both kinds of connections, and what binds them together |
//! | [`net`] | listeners, passive ports, bounds on connections, proxies, announced addresses |
//! | [`store`] | rooted files: reading, listing, staged uploads, quotas |
//! | [`config`] | reading the policy files: every problem at once |
//! | [`review`] | what a policy decides, put into words, put to the test and compared |
//! | [`keeper`] | the second process: closed files of the audit log, and its copies |
//! | [`daemon`] | the running server |
//! | [`cli`] | the commands people type |
//!
//! Invariants, each kept by a test:
//! - `session` does no I/O and knows no clock;
//! - the store acts on a [`policy::grant::Grant`] alone, and only `policy` makes grants;
//! - only [`proto::reply`] knows reply codes;
//! - only [`rules`] knows in which stage a verb is served.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should"))]

pub mod audit;
pub mod auth;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod findings;
pub mod identity;
pub mod keeper;
pub mod metrics;
pub mod net;
pub mod policy;
pub mod proto;
pub mod report;
pub mod review;
pub mod rules;
pub mod session;
pub mod settings;
pub mod store;
pub mod tls;
pub mod trail;
