//! Sockets: where connections arrive, how many may, the ports of passive data connections, the
//! proxies in between, and the address that clients are told.

pub mod admission;
pub mod advertised;
pub mod listener;
pub mod names;
pub mod passive;
pub mod proxy;
pub mod route;
