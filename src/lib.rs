//! Portcullis, an FTPS-first hardened file server.
//!
//! The modules, from the pure ones below to the effects above; each uses only those before it:
//!
//! | module | subject |
//! |---|---|
//! | [`proto`] | the wire language: lines, verbs, arguments, paths, replies, facts |
//! | [`identity`] | names and secrets |
//! | [`policy`] | who may do what, from where, on which path |
//! | [`config`] | the policy files as domain types |
//! | [`audit`] | typed records and the one writer |
//! | [`auth`] | password hashes, strength, throttling |
//! | [`tls`] | certificates and keys, TLS for both kinds of connections |
//! | [`daemon`] | the running server |
//! | [`cli`] | the commands people type |

pub mod audit;
pub mod auth;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod identity;
pub mod policy;
pub mod proto;
pub mod tls;
