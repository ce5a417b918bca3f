//! TLS on the control and data connections (RFC 4217), and the proof that a data connection
//! belongs to its control connection.
//!
//! [`ServerTls`] holds what all sessions share: certificates, versions, suites. The certificates are
//! replaced while it serves, where their files change; a session goes on with those that it began
//! with. Each control
//! connection takes a [`SessionTls`] from it, whose ticket key lives and dies with it: a session
//! that resumes under that key can only have begun on that control connection. Data connections
//! never hand a ticket to a client that did not resume, so a stranger who completes a handshake
//! and is refused leaves with nothing that would let him in the next time.

pub(crate) mod chain;
pub(crate) mod client_certificate;
pub(crate) mod clients;
mod data;
mod deferred;
pub(crate) mod distinguished_name;
pub(crate) mod facts;
mod fault;
mod identities;
mod load;
mod material;
mod parting;
pub mod pem;
mod refresh;
mod server;
mod session;
pub(crate) mod staple;
mod tickets;
mod watch;

pub use data::{Bound, DataConnection, Flow};
pub use deferred::DataStream;
pub use fault::{CertificateFault, DataFault, HandshakeFault};
pub use load::{Guard, LoadError, Problem, Secrecy, check, trusting};
pub use parting::{Parting, await_end, finish_receiving, finish_sending};
pub use refresh::{Change, Deadline, Part};
pub use server::{NoRandomness, ServerTls};
pub use session::SessionTls;

#[cfg(test)]
mod tests;
