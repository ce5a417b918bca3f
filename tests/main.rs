//! What the server promises, by capability, shown on the real binary over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that meets the unexpected fails, as it should"
)]
#![allow(unreachable_pub, missing_docs, reason = "nothing outside this binary sees it")]

mod support;

mod active;
mod audit_log;
mod binding;
mod clients;
mod commands;
mod durability;
mod files;
mod interruptions;
mod large;
mod limits;
mod listings;
mod login;
mod matrix;
mod mirror;
mod quickstart;
mod refusals;
mod tidy;
mod transfers;
mod verbs;
