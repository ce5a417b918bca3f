//! Checking who somebody is: password hashes, their strength, codes of the moment, client
//! certificates, the price of guessing, and what is remembered of accounts.

pub mod certificate;
pub mod changes;
pub mod codes;
pub mod hash;
pub mod legacy;
pub mod logins;
pub mod state;
pub mod strength;
pub mod throttle;
pub mod totp;
pub mod verifier;
