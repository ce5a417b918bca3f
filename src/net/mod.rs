//! Sockets: where connections arrive, how many may, and the ports of passive data connections.

pub mod admission;
pub mod listener;
pub mod passive;
