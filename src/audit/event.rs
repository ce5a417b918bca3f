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
    /// The session ended; its totals.
    SessionClosed,
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
    /// A change was asked for and failed.
    FileChangeFailed,
    /// A data connection did not prove that it belongs here.
    DataBindingFailed,
    /// A data connection came from another address than the control connection.
    DataPeerMismatch,
    /// An upload was stopped by a quota or the free-space floor.
    QuotaExceeded,
    /// The log goes on behind a line that a crash cut short.
    AuditGap,
}

impl Event {
    /// Placeholder until the audit module lands.
    pub const fn code(self) -> &'static str {
        "x"
    }
}
