//! Checking who somebody is: password hashes, their strength, the price of guessing, and the
//! passwords that users changed themselves.

pub mod changes;
pub mod hash;
pub mod strength;
pub mod throttle;
pub mod verifier;
