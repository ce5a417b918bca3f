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
//! | [`tls`] | TLS on both kinds of connections, and what binds them together |
//! | [`net`] | listeners, passive ports, bounds on connections |

pub mod audit;
pub mod auth;
pub mod config;
pub mod identity;
pub mod net;
pub mod policy;
pub mod proto;
pub mod tls;
