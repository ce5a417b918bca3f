//! How a data connection must prove that it belongs to its control connection.

use std::fmt;

/// What a data connection must show (RFC 4217 §10.2 leaves it to the server).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataBinding {
    /// Its TLS handshake resumes a session of this very control connection. The default.
    Session,
    /// Its TLS handshake resumes a session of this or another live control connection of the same
    /// user from the same address.
    Principal,
    /// Its TLS handshake is a whole one, and shows the client certificate that the control connection
    /// showed (RFC 4217 §15.1.2 has it as the proof of belonging).
    ClientCertificate,
    /// It comes from the control connection's address and is the first to use a one-time port.
    Address,
}

impl DataBinding {
    /// The word for it in policy files and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Principal => "principal",
            Self::ClientCertificate => "client-certificate",
            Self::Address => "address",
        }
    }

    /// The level that a policy file's word means.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Session, Self::Principal, Self::ClientCertificate, Self::Address];
        all.into_iter().find(|level| level.word() == word)
    }
}

impl fmt::Display for DataBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
