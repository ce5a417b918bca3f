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
mod audit_key;
mod audit_log;
mod audit_search;
mod audit_tampering;
mod audit_verify;
mod bandwidth;
mod bans;
mod binding;
mod cert;
mod cert_client;
mod cert_reload;
mod client_certificates;
mod clients;
mod commands;
mod control;
mod doctor;
mod documents;
mod draining;
mod durability;
mod factors;
mod farewells;
mod files;
mod findings;
mod findings_looked_up;
mod firewall;
mod folders;
mod forced_change;
mod freezing;
mod hashing;
mod hello;
mod hours;
mod interruptions;
mod ipv6;
mod keeper;
mod large;
mod limits;
mod limits_of_users;
mod listings;
mod login;
mod manual;
mod matrix;
mod metrics;
mod mirror;
mod monitoring;
mod names;
mod nat;
mod password;
mod path_rules;
mod policy_diff;
mod policy_explain;
mod policy_test;
mod proxy;
mod quickstart;
mod quota;
mod refusals;
mod reload;
mod reload_judged;
mod reload_load;
mod report;
mod resumption;
mod rotation;
mod running_sessions;
mod schema;
mod sinks;
mod site;
mod supervisor;
mod tidy;
mod tls_maximum;
mod top;
mod totp;
mod transfers;
mod upload_rules;
mod user_audit;
mod user_import;
mod verbs;
