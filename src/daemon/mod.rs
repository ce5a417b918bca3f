//! The running server: its confinement and its operational log.

pub mod logging;
pub mod sandbox;
