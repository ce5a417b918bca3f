//! TLS on the control and data connections (RFC 4217), and the proof that a data connection
//! belongs to its control connection.
//!
//! [`ServerTls`] holds what all sessions share: certificates, versions, suites. Each control
//! connection takes a [`SessionTls`] from it, whose ticket key lives and dies with it: a session
//! that resumes under that key can only have begun on that control connection. Data connections
//! never hand a ticket to a client that did not resume, so a stranger who completes a handshake
//! and is refused leaves with nothing that would let him in the next time.

pub(crate) mod chain;
mod data;
mod deferred;
pub(crate) mod facts;
mod fault;
mod identities;
mod load;
mod parting;
pub mod pem;
mod server;
mod session;
mod tickets;

pub use data::{Bound, DataConnection, Flow};
pub use deferred::DataStream;
pub use fault::{DataFault, HandshakeFault};
pub use load::{LoadError, Problem, check};
pub use parting::{Parting, await_end, finish_receiving, finish_sending};
pub use server::{NoRandomness, ServerTls};
pub use session::SessionTls;

#[cfg(test)]
mod tests;
