//! TLS for the control and data connections.

pub mod pem;
