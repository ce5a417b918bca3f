//! Which versions of TLS a client may use.

use std::net::IpAddr;

use jiff::civil::Date;

use super::Policy;
use super::exception::Exception;

/// A TLS version that the server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The greatest version that a client is offered, and the exception that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsJudgement {
    /// The greatest version offered; the least is the same for all clients.
    pub maximum: TlsVersion,
    /// The exception in use; none for [`TlsVersion::Tls13`].
    pub exception: Option<Exception<TlsVersion>>,
}

impl Policy {
    /// What a client of this address is offered today (UTC): every version, unless an exception of
    /// its network holds it to an older one. Who logs in is not known before the handshake, so
    /// users and groups have no say.
    pub fn tls(&self, address: IpAddr, today: Date) -> TlsJudgement {
        let holding = self.tls_exceptions.iter().filter(|exception| exception.holds(address, today));
        match holding.min_by_key(|exception| exception.granted) {
            Some(exception) => TlsJudgement { maximum: exception.granted, exception: Some(exception.clone()) },
            None => TlsJudgement { maximum: TlsVersion::Tls13, exception: None },
        }
    }
}
