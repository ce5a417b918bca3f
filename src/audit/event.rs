//! The events that are recorded, and what each is in the vocabulary of OCSF.

/// What happened. The word of each is its `metadata.event_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The server accepts connections.
    ServiceStart,
    /// The server has stopped.
    ServiceStop,
    /// A policy is in force from here on.
    PolicyLoaded,
    /// Policy files were read while the server ran and are not in force.
    PolicyRejected,
    /// A command came through the control socket.
    ControlCall,
    /// A permitted address connected.
    ConnectionAccepted,
    /// An address was turned away.
    ConnectionRefused,
    /// TLS protects the control connection.
    TlsEstablished,
    /// The handshake of the control connection failed.
    TlsFailed,
    /// Clear text stood behind `AUTH TLS`.
    TlsPlaintextInjection,
    /// The client broke the protocol or a bound of it.
    ProtocolViolation,
    /// A command was refused that would have weakened the protection, or came before TLS.
    CommandRefused,
    /// A user logged in.
    LoginSuccess,
    /// A login failed; the reason says why.
    LoginFailure,
    /// A login was not even checked, since the source has used up its attempts.
    LoginLimited,
    /// A source was banned for a time.
    LoginBanned,
    /// `USER` or `PASS` came in clear and was not looked at.
    LoginInClear,
    /// A user changed the own password.
    PasswordChanged,
    /// A user tried to change the own password and was refused.
    PasswordChangeFailed,
    /// The server hashed a password anew, whose hash was worse than those made now.
    PasswordRehashed,
    /// The session ended; its totals.
    SessionClosed,
    /// The policy no longer admits the user of a session, which ends.
    SessionEndedByPolicy,
    /// An administrator ended a session.
    SessionKicked,
    /// The policy refused an action.
    AccessDenied,
    /// A file arrived whole.
    FileUpload,
    /// A file did not arrive whole.
    FileUploadIncomplete,
    /// A file was sent whole.
    FileDownload,
    /// A file was not sent whole.
    FileDownloadIncomplete,
    /// A listing was sent.
    FileList,
    /// A file was removed.
    FileDelete,
    /// A file or directory got another name.
    FileRename,
    /// A directory was made.
    DirectoryCreate,
    /// A directory was removed.
    DirectoryRemove,
    /// A file's time was set.
    FileTime,
    /// The permission bits of a file or directory were set.
    FileMode,
    /// A file's hash was asked for.
    FileHash,
    /// A change was asked for and failed.
    FileChangeFailed,
    /// A data connection did not prove that it belongs here.
    DataBindingFailed,
    /// A data connection came from another address than the control connection.
    DataPeerMismatch,
    /// An upload was stopped by a quota or the free-space floor.
    QuotaExceeded,
    /// A quota is nearly used up, or little of a file system is free.
    QuotaWarning,
    /// A scan found something else in a directory with a quota than was believed.
    QuotaRepaired,
    /// A certificate, or what goes with certificates, was replaced and is in use.
    CertificateLoaded,
    /// What was to replace a certificate cannot be used.
    CertificateRejected,
    /// The log goes on behind a line that a crash cut short.
    AuditGap,
    /// The log could not be written for a time, and can be again.
    AuditDegraded,
    /// The log begins: its id and the public key of its checkpoints.
    AuditBegun,
    /// The log so far, signed.
    AuditCheckpoint,
    /// The log goes on in a new file.
    AuditRotated,
    /// Checkpoints are signed with another key from here on.
    AuditKeyChanged,
    /// A closed file of the log is about to be removed, as the policy says.
    AuditPruned,
    /// A closed file of the log does not verify, and is kept as it is.
    AuditUnverified,
    /// What the log is copied to cannot be reached.
    AuditSinkFailed,
    /// What the log is copied to can be reached again.
    AuditSinkRecovered,
}

/// How much an event matters (OCSF `severity_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Informational = 1,
    /// Not as asked, and ordinary.
    Low = 2,
    /// Worth a look.
    Medium = 3,
    /// Likely an attack.
    High = 4,
    /// The log itself is concerned.
    Critical = 5,
}

/// An OCSF event class that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Account Change.
    Account = 3001,
    /// Authentication.
    Authentication = 3002,
    /// Network Activity.
    Network = 4001,
    /// FTP Activity.
    Ftp = 4008,
    /// Application Lifecycle.
    Lifecycle = 6002,
}

/// An event in the vocabulary of OCSF 1.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its word, the `metadata.event_code`.
    pub code: &'static str,
    /// Its class.
    pub class: Class,
    /// The activity within the class; 99 is one that OCSF has no number for.
    pub activity: u32,
    /// How much it matters.
    pub severity: Severity,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 54] = [
        Self::ServiceStart,
        Self::ServiceStop,
        Self::PolicyLoaded,
        Self::PolicyRejected,
        Self::ControlCall,
        Self::ConnectionAccepted,
        Self::ConnectionRefused,
        Self::TlsEstablished,
        Self::TlsFailed,
        Self::TlsPlaintextInjection,
        Self::ProtocolViolation,
        Self::CommandRefused,
        Self::LoginSuccess,
        Self::LoginFailure,
        Self::LoginLimited,
        Self::LoginBanned,
        Self::LoginInClear,
        Self::PasswordChanged,
        Self::PasswordChangeFailed,
        Self::PasswordRehashed,
        Self::SessionClosed,
        Self::SessionEndedByPolicy,
        Self::SessionKicked,
        Self::AccessDenied,
        Self::FileUpload,
        Self::FileUploadIncomplete,
        Self::FileDownload,
        Self::FileDownloadIncomplete,
        Self::FileList,
        Self::FileDelete,
        Self::FileRename,
        Self::DirectoryCreate,
        Self::DirectoryRemove,
        Self::FileTime,
        Self::FileMode,
        Self::FileHash,
        Self::FileChangeFailed,
        Self::DataBindingFailed,
        Self::DataPeerMismatch,
        Self::QuotaExceeded,
        Self::QuotaWarning,
        Self::QuotaRepaired,
        Self::CertificateLoaded,
        Self::CertificateRejected,
        Self::AuditGap,
        Self::AuditDegraded,
        Self::AuditBegun,
        Self::AuditCheckpoint,
        Self::AuditRotated,
        Self::AuditKeyChanged,
        Self::AuditPruned,
        Self::AuditUnverified,
        Self::AuditSinkFailed,
        Self::AuditSinkRecovered,
    ];

    /// The event's row in the table of OCSF names and numbers.
    #[rustfmt::skip]
    pub const fn description(self) -> Description {
        use Class::{Account, Authentication, Ftp, Lifecycle, Network};
        use Severity::{Critical, High, Informational, Low, Medium};
        match self {
            Self::ServiceStart           => row("service.start",            Lifecycle,      3,  Informational),
            Self::ServiceStop            => row("service.stop",             Lifecycle,      4,  Informational),
            Self::PolicyLoaded           => row("policy.loaded",            Lifecycle,      99, Informational),
            Self::PolicyRejected         => row("policy.rejected",          Lifecycle,      99, Medium),
            Self::ControlCall            => row("control.call",             Lifecycle,      99, Informational),
            Self::ConnectionAccepted     => row("conn.accepted",            Network,        1,  Informational),
            Self::ConnectionRefused      => row("conn.denied",              Network,        5,  Low),
            Self::TlsEstablished         => row("tls.handshake_ok",         Network,        99, Informational),
            Self::TlsFailed              => row("tls.handshake_failed",     Network,        4,  Low),
            Self::TlsPlaintextInjection  => row("tls.plaintext_injection",  Network,        99, High),
            Self::ProtocolViolation      => row("proto.violation",          Network,        99, Medium),
            Self::CommandRefused         => row("proto.refused",            Network,        99, Low),
            Self::LoginSuccess           => row("auth.success",             Authentication, 1,  Informational),
            Self::LoginFailure           => row("auth.failure",             Authentication, 1,  Low),
            Self::LoginLimited           => row("auth.throttled",           Authentication, 1,  Medium),
            Self::LoginBanned            => row("auth.banned",              Authentication, 99, High),
            Self::LoginInClear           => row("auth.plaintext_refused",   Authentication, 1,  Medium),
            Self::PasswordChanged        => row("auth.password_changed", Account,       3,  Informational),
            Self::PasswordChangeFailed   => row("auth.password_change_failed", Account, 3,  Low),
            Self::PasswordRehashed       => row("auth.password_rehashed",   Account,        99, Informational),
            Self::SessionClosed          => row("session.closed",           Network,        2,  Informational),
            Self::SessionEndedByPolicy   => row("session.ended_by_policy",  Authentication, 2,  Medium),
            Self::SessionKicked          => row("session.kicked",          Authentication, 2,  Medium),
            Self::AccessDenied           => row("authz.denied",             Ftp,            99, Medium),
            Self::FileUpload             => row("file.upload",              Ftp,            1,  Informational),
            Self::FileUploadIncomplete   => row("file.upload_incomplete",   Ftp,            1,  Low),
            Self::FileDownload           => row("file.download",            Ftp,            2,  Informational),
            Self::FileDownloadIncomplete => row("file.download_incomplete", Ftp,            2,  Low),
            Self::FileList               => row("file.list",                Ftp,            6,  Informational),
            Self::FileDelete             => row("file.delete",              Ftp,            4,  Informational),
            Self::FileRename             => row("file.rename",              Ftp,            5,  Informational),
            Self::DirectoryCreate        => row("file.mkdir",               Ftp,            99, Informational),
            Self::DirectoryRemove        => row("file.rmdir",               Ftp,            4,  Informational),
            Self::FileTime               => row("file.mtime",               Ftp,            99, Informational),
            Self::FileMode               => row("file.mode",                Ftp,            99, Informational),
            Self::FileHash               => row("file.hash",                Ftp,            99, Informational),
            Self::FileChangeFailed       => row("file.change_failed",       Ftp,            99, Low),
            Self::DataBindingFailed      => row("data.binding_failed",      Ftp,            99, Medium),
            Self::DataPeerMismatch       => row("data.peer_mismatch",       Ftp,            99, High),
            Self::QuotaExceeded          => row("quota.exceeded",           Ftp,            99, Low),
            Self::QuotaWarning           => row("quota.warning",            Lifecycle,      99, Medium),
            Self::QuotaRepaired          => row("quota.repaired",           Lifecycle,      99, Low),
            Self::CertificateLoaded      => row("certificate.loaded",       Lifecycle,      99, Informational),
            Self::CertificateRejected    => row("certificate.rejected",     Lifecycle,      99, Medium),
            Self::AuditGap               => row("audit.gap",                Lifecycle,      99, High),
            Self::AuditDegraded          => row("audit.degraded",           Lifecycle,      99, Critical),
            Self::AuditBegun             => row("audit.begun",             Lifecycle,      99, Informational),
            Self::AuditCheckpoint        => row("audit.checkpoint",        Lifecycle,      99, Informational),
            Self::AuditRotated           => row("audit.rotated",           Lifecycle,      99, Informational),
            Self::AuditKeyChanged        => row("audit.key_changed",       Lifecycle,      99, Medium),
            Self::AuditPruned            => row("audit.pruned",            Lifecycle,      99, Informational),
            Self::AuditUnverified        => row("audit.unverified",        Lifecycle,      99, Critical),
            Self::AuditSinkFailed        => row("audit.sink_failed",       Lifecycle,      99, Medium),
            Self::AuditSinkRecovered     => row("audit.sink_recovered",    Lifecycle,      99, Informational),
        }
    }
}

const fn row(code: &'static str, class: Class, activity: u32, severity: Severity) -> Description {
    Description { code, class, activity, severity }
}

impl Class {
    /// The class's number, `class_uid`.
    pub const fn uid(self) -> u32 {
        self as u32
    }

    /// The category the class belongs to, `category_uid`: OCSF numbers classes by category.
    pub const fn category(self) -> u32 {
        self.uid().wrapping_div(1000)
    }
}

impl Severity {
    /// The severity's number, `severity_id`.
    pub const fn id(self) -> u32 {
        self as u32
    }
}

impl Description {
    /// Class and activity in one number, `type_uid`.
    pub const fn type_uid(self) -> u32 {
        self.class.uid().saturating_mul(100).saturating_add(self.activity)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_event_stands_in_the_list_once_with_a_code_of_its_own() {
        for (index, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, index, "{event:?}");
        }
        assert_eq!(Event::AuditSinkRecovered as usize + 1, Event::ALL.len());
        let codes: HashSet<_> = Event::ALL.into_iter().map(|event| event.description().code).collect();
        assert_eq!(codes.len(), Event::ALL.len());
    }

    #[test]
    fn the_numbers_are_those_of_ocsf() {
        for event in Event::ALL {
            let row = event.description();
            assert_eq!(row.type_uid(), row.class.uid() * 100 + row.activity, "{event:?}");
            let activities: &[u32] = match row.class {
                Class::Account => &[3, 99],
                Class::Authentication => &[1, 2, 99],
                Class::Network => &[1, 2, 4, 5, 99],
                Class::Ftp => &[1, 2, 3, 4, 5, 6, 99],
                Class::Lifecycle => &[3, 4, 99],
            };
            assert!(activities.contains(&row.activity), "{event:?}");
            assert!(row.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_'), "{event:?}");
            assert!((1..=5).contains(&row.severity.id()));
        }
        assert_eq!(Event::FileUpload.description().type_uid(), 400_801);
        assert_eq!(Event::FileUpload.description().class.category(), 4);
        assert_eq!(Event::LoginFailure.description().type_uid(), 300_201);
    }
}
