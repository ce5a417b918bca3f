//! Checking who somebody is: password hashes, their strength, and the price of guessing.

pub mod hash;
pub mod strength;
pub mod throttle;
pub mod verifier;
