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
mod advertise;
mod audit_log;
mod binding;
mod cert;
mod clients;
mod commands;
mod control;
mod doctor;
mod documents;
mod durability;
mod farewells;
mod files;
mod firewall;
mod hashing;
mod hello;
mod interruptions;
mod ipv6;
mod large;
mod limits;
mod listings;
mod login;
mod matrix;
mod mirror;
mod names;
mod nat;
mod password;
mod proxy;
mod quickstart;
mod refusals;
mod reload;
mod reload_load;
mod resumption;
mod site;
mod tidy;
mod tls_maximum;
mod transfers;
mod verbs;
