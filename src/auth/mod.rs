//! Checking who somebody is: password hashes, their strength, the price of guessing, the passwords
//! that users changed themselves, and client certificates.

pub mod certificate;
pub mod changes;
pub mod hash;
pub mod strength;
pub mod throttle;
pub mod verifier;
