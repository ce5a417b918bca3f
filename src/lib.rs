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
//! | [`store`] | rooted files: reading, listing, staged uploads, quotas |

pub mod audit;
pub mod auth;
pub mod config;
pub mod identity;
pub mod policy;
pub mod proto;
pub mod store;
