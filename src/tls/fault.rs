//! Why a handshake failed or a data connection was refused: a closed list, with a word for the
//! audit log and a sentence that says what to change on which side.

use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// Why a TLS handshake did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// What arrived is not TLS.
    NotTls,
    /// The client offers no TLS version that the server accepts.
    OldVersion,
    /// The client is held to TLS 1.2 by an exception, and does not offer it.
    NotTls12,
    /// The client lacks a suite, group, signature or extension that the server needs; says which.
    NothingInCommon(&'static str),
    /// The client speaks TLS 1.2 without the extended master secret (RFC 7627), by which a session
    /// that is resumed is known to be the same on both sides.
    NoExtendedMasterSecret,
    /// The client speaks another protocol than FTP by its ALPN offer (RFC 7301; ALPACA,
    /// CVE-2021-3618).
    ForeignAlpn,
    /// The client named this server (RFC 6066 §3), which is none of ours, and such are refused.
    UnknownName(String),
    /// Not finished within the time allowed.
    Timeout,
    /// Too many others were under way for the whole time allowed.
    Crowded,
    /// The client closed the connection before the handshake was done.
    ClientGaveUp,
    /// The client ended the handshake with an alert, given by its registered name.
    ClientRefused(&'static str),
    /// The client showed no certificate, or one that is not accepted.
    ClientCertificate(CertificateFault),
    /// The client broke the TLS protocol; says how, in words of the TLS library.
    Broken(String),
}

/// What is wrong with the certificate of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// There is none, and one is required.
    Missing,
    /// No authority of ours issued it.
    UnknownAuthority,
    /// It is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is on a list of revoked ones.
    Revoked,
    /// Its issuer has no list of revoked ones here, although there are lists.
    NoRevocations,
    /// It is not meant for clients.
    WrongPurpose,
    /// It has too many certificates with it.
    TooLong,
    /// It is damaged, or something else is wrong with it.
    Bad,
}

impl CertificateFault {
    /// What each is for the audit log, and for the operator.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => (
                "client_certificate_missing",
                "the client showed no certificate: give it one (portcullis cert client issue), or see                  tls.client-certificates",
            ),
            Self::UnknownAuthority => (
                "client_certificate_unknown_authority",
                "the client's certificate is issued by no authority of tls.client-authorities",
            ),
            Self::Expired => ("client_certificate_expired", "the client's certificate has expired: give it a new one"),
            Self::NotYetValid => {
                ("client_certificate_not_yet_valid", "the client's certificate is not valid yet: check both clocks")
            }
            Self::Revoked => ("client_certificate_revoked", "the client's certificate is revoked"),
            Self::NoRevocations => (
                "client_certificate_unknown_revocation",
                "the issuer of the client's certificate has no list in tls.client-revocations: add it",
            ),
            Self::WrongPurpose => {
                ("client_certificate_wrong_purpose", "the client's certificate is not meant for clients (clientAuth)")
            }
            Self::TooLong => {
                ("client_certificate_too_long", "the client's certificate has too many others with it: send fewer")
            }
            Self::Bad => {
                ("client_certificate_bad", "the client's certificate is not accepted: it is damaged or forged")
            }
        }
    }

    fn of(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::UnknownRevocationStatus => Self::NoRevocations,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::WrongPurpose,
            CertificateError::ApplicationVerificationFailure => Self::TooLong,
            _ => Self::Bad,
        }
    }
}

impl HandshakeFault {
    /// The word for the audit log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::OldVersion => "old_version",
            Self::NotTls12 => "tls12_not_offered",
            Self::NothingInCommon(_) => "nothing_in_common",
            Self::NoExtendedMasterSecret => "no_extended_master_secret",
            Self::ForeignAlpn => "foreign_alpn",
            Self::UnknownName(_) => "unknown_name",
            Self::Timeout => "timeout",
            Self::Crowded => "too_many_handshakes",
            Self::ClientGaveUp => "client_gave_up",
            Self::ClientRefused(_) => "client_refused",
            Self::ClientCertificate(fault) => fault.words().0,
            Self::Broken(_) => "broken",
        }
    }

    /// Reads what the TLS stack reported.
    pub(super) fn from_io(error: &io::Error) -> Self {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).map_or(Self::ClientGaveUp, Self::from_tls)
    }

    fn from_tls(error: &Error) -> Self {
        match error {
            Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                Self::NotTls
            }
            Error::PeerIncompatible(missing) => Self::from_missing(missing),
            Error::NoApplicationProtocol => Self::ForeignAlpn,
            Error::AlertReceived(alert) => Self::ClientRefused(alert_name(*alert)),
            Error::NoCertificatesPresented => Self::ClientCertificate(CertificateFault::Missing),
            Error::InvalidCertificate(error) => Self::ClientCertificate(CertificateFault::of(error)),
            other => Self::Broken(other.to_string()),
        }
    }

    fn from_missing(missing: &PeerIncompatible) -> Self {
        match missing {
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => Self::OldVersion,
            PeerIncompatible::NoCipherSuitesInCommon => Self::NothingInCommon("cipher suite"),
            PeerIncompatible::ExtendedMasterSecretExtensionRequired => Self::NoExtendedMasterSecret,
            PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NamedGroupsExtensionRequired
            | PeerIncompatible::KeyShareExtensionRequired => Self::NothingInCommon("key exchange group"),
            PeerIncompatible::NoSignatureSchemesInCommon | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
                Self::NothingInCommon("signature scheme")
            }
            _ => Self::NothingInCommon("extension"),
        }
    }
}

/// The alert's registered name, for those a client sends about a server it does not like.
fn alert_name(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::BadCertificate => "bad_certificate",
        AlertDescription::UnsupportedCertificate => "unsupported_certificate",
        AlertDescription::CertificateRevoked => "certificate_revoked",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::AccessDenied => "access_denied",
        AlertDescription::DecodeError => "decode_error",
        AlertDescription::DecryptError => "decrypt_error",
        AlertDescription::UnexpectedMessage => "unexpected_message",
        AlertDescription::HandshakeFailure => "handshake_failure",
        AlertDescription::ProtocolVersion => "protocol_version",
        AlertDescription::IllegalParameter => "illegal_parameter",
        AlertDescription::InternalError => "internal_error",
        AlertDescription::UserCanceled => "user_canceled",
        _ => "other alert",
    }
}

impl fmt::Display for HandshakeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls => f.write_str("the client sent no TLS: switch the client to FTPS"),
            Self::OldVersion => {
                f.write_str("the client offers no TLS version accepted here: update it, or see tls.minimum")
            }
            Self::NotTls12 => f.write_str(
                "the client does not offer TLS 1.2, to which an exception (tls-maximum) holds its network: take its \
                 address out of the exception",
            ),
            Self::NothingInCommon(what) => write!(f, "the client offers no {what} accepted here: update it"),
            Self::NoExtendedMasterSecret => f.write_str(
                "the client offers TLS 1.2 without extended master secret: let it use TLS 1.3, update it, or see \
                 tls.require-extended-master-secret",
            ),
            Self::ForeignAlpn => f.write_str("the client asked for another protocol than ftp by ALPN"),
            Self::UnknownName(name) => {
                write!(
                    f,
                    "the client asked for the server {name:?}: add the name to tls.identities, or see tls.unknown-names"
                )
            }
            Self::Timeout => f.write_str("the TLS handshake took too long"),
            Self::Crowded => f.write_str("too many TLS handshakes were under way: see limits.handshakes"),
            Self::ClientGaveUp => f.write_str("the client closed the connection during the TLS handshake"),
            Self::ClientRefused(alert) => write!(
                f,
                "the client ended the TLS handshake with {alert}: if it does not trust the certificate, \
                 give it the issuing CA"
            ),
            Self::ClientCertificate(fault) => f.write_str(fault.words().1),
            Self::Broken(how) => write!(f, "the TLS handshake failed: {how}"),
        }
    }
}

/// Why a data connection was refused. Its text is fit for the `425` or `522` reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataFault {
    /// The handshake was not finished in time.
    Timeout,
    /// The client closed the connection before the handshake was done.
    ClientGaveUp,
    /// The client sent file data or something else in clear.
    NotTls,
    /// The handshake failed in another way.
    Handshake(HandshakeFault),
    /// The client did not try to resume a TLS session.
    NotResumed {
        /// Whether under TLS 1.3, where some clients never do, or not after several uploads.
        tls13: bool,
    },
    /// The client offered a session of another control connection, or of one that has ended.
    ForeignSession,
    /// The client offered the right session, but with another server name or cipher suite.
    SessionChanged,
    /// The client neither resumed a TLS session nor showed the certificate of the control connection.
    OtherCertificate,
    /// Another TLS version than the control connection's.
    Version,
}

impl DataFault {
    /// The word for the audit log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ClientGaveUp => "client_gave_up",
            Self::NotTls => "not_tls",
            Self::Handshake(fault) => fault.reason(),
            Self::NotResumed { .. } => "not_resumed",
            Self::ForeignSession => "foreign_session",
            Self::SessionChanged => "session_changed",
            Self::OtherCertificate => "certificate_differs",
            Self::Version => "version_differs",
        }
    }

    /// Whether the client completed TLS, but did not prove that the connection belongs to the
    /// control connection.
    pub const fn unbound(&self) -> bool {
        matches!(
            self,
            Self::NotResumed { .. }
                | Self::ForeignSession
                | Self::SessionChanged
                | Self::OtherCertificate
                | Self::Version
        )
    }
}

impl From<HandshakeFault> for DataFault {
    fn from(fault: HandshakeFault) -> Self {
        match fault {
            HandshakeFault::Timeout => Self::Timeout,
            HandshakeFault::ClientGaveUp => Self::ClientGaveUp,
            HandshakeFault::NotTls => Self::NotTls,
            other => Self::Handshake(other),
        }
    }
}

impl fmt::Display for DataFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("No TLS handshake on the data connection in time"),
            Self::ClientGaveUp => f.write_str("The client closed the data connection during the TLS handshake"),
            Self::NotTls => f.write_str("The data connection must use TLS: set the client to protect data (PROT P)"),
            Self::Handshake(fault) => write!(f, "TLS on the data connection failed: {fault}"),
            Self::NotResumed { tls13 } => write!(
                f,
                "The data connection must resume the TLS session of the control connection: turn on session reuse in \
                 the client,{} exception",
                if *tls13 {
                    " hold it to TLS 1.2 if it does not manage that with 1.3, or ask the administrator for a \
                     tls-maximum or data-binding"
                } else {
                    " or ask the administrator for a data-binding"
                }
            ),
            Self::ForeignSession => f.write_str(
                "The data connection resumed a TLS session of another control connection: let the client reuse the \
                 session of this one, or ask the administrator for data-binding \"principal\"",
            ),
            Self::SessionChanged => f.write_str(
                "The data connection offered this TLS session with another server name or cipher suite: let the \
                 client use the same ones on both connections",
            ),
            Self::OtherCertificate => f.write_str(
                "The data connection must resume the TLS session of the control connection, or show the client \
                 certificate that the control connection showed: let the client do one of them",
            ),
            Self::Version => f.write_str(
                "The data connection uses another TLS version than the control connection: let the client use the \
                 same on both",
            ),
        }
    }
}
