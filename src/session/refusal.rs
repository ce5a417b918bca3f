//! What the client reads when something is refused: one place for the words and codes.

use super::effect::{Crowd, MoveFault, PassiveFault, StoreFault};
use crate::policy::grant::DenialReason;
use crate::proto::path::PathError;
use crate::proto::reply::{Code, Reply};

/// What somebody hears who may change things there at other times.
const READ_ONLY: &str = "The server is read-only there at the moment; try again later.";

/// What was being done when the store refused; some refusals are told differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Looking, reading, removing.
    Looking,
    /// Giving a name to something.
    Naming,
}

/// The reply to a refusal of the store, and the reason for the audit log.
pub(super) fn store(fault: StoreFault, doing: Doing) -> (Reply, &'static str) {
    let (code, text, reason) = match fault {
        StoreFault::NotFound => (Code::NotPossible, "No such file or directory.", "not_found"),
        StoreFault::NotADirectory => (Code::NotPossible, "Not a directory.", "not_a_directory"),
        StoreFault::IsADirectory => (Code::NotPossible, "Is a directory.", "is_a_directory"),
        StoreFault::NotAFile => (Code::NotPossible, "Not a regular file.", "not_a_file"),
        StoreFault::NotEmpty => (Code::NotPossible, "The directory is not empty.", "not_empty"),
        StoreFault::Exists if doing == Doing::Naming => {
            (Code::NameRefused, "That name exists already and may not be replaced.", "exists")
        }
        StoreFault::Exists => (Code::NotPossible, "It exists already.", "exists"),
        StoreFault::Denied => (Code::NotPossible, "Not permitted.", "denied_by_file_system"),
        StoreFault::Busy => (Code::FileBusy, "An upload to that name is unfinished; try again later.", "busy"),
        StoreFault::NameRefused => (Code::NameRefused, "That name is not permitted.", "name_refused"),
        StoreFault::OffsetBeyondEnd => (Code::BadRestart, "The offset lies beyond the end of the file.", "bad_offset"),
        StoreFault::Quota => (Code::QuotaExceeded, "The quota does not permit it.", "quota"),
        StoreFault::NoSpace => (Code::NoSpace, "Not enough free space on the server.", "no_space"),
        StoreFault::CrossDevice => {
            (Code::NotPossible, "Not possible from one file system or folder to another.", "cross_device")
        }
        StoreFault::OtherRules => (
            Code::NotPossible,
            "The directory keeps its name: other rules hold for something below it, or below the new name.",
            "rules_below",
        ),
        StoreFault::TooLarge(bytes_max) => {
            let text = format!("Files of more than {bytes_max} bytes are not taken here.");
            return (Reply::new(Code::QuotaExceeded, text), "file_too_large");
        }
        StoreFault::Frozen => (Code::NotPossible, READ_ONLY, "frozen"),
        StoreFault::Local => (Code::LocalError, "A local error; the operator's log has it.", "local_error"),
    };
    (Reply::new(code, text), reason)
}

/// The reply to a refusal of the policy, and the reason for the audit log. It is the same whether or
/// not something is there.
pub(super) fn policy(reason: DenialReason) -> (Reply, &'static str) {
    let (code, text, reason) = match reason {
        DenialReason::NotPermitted => (Code::NotPossible, "Not permitted.", "not_permitted"),
        DenialReason::Name => (Code::NameRefused, "Files of that name are not taken here.", "name_refused"),
        DenialReason::Frozen => (Code::NotPossible, READ_ONLY, "frozen"),
        DenialReason::MountPoint => (Code::NotPossible, "A folder is mounted there; it stays.", "mount_point"),
    };
    (Reply::new(code, text), reason)
}

/// The reply to a name that cannot be one.
pub(super) fn path(error: PathError, doing: Doing) -> (Reply, &'static str) {
    if error == PathError::Reserved {
        return store(if doing == Doing::Naming { StoreFault::NameRefused } else { StoreFault::NotFound }, doing);
    }
    let code = if doing == Doing::Naming { Code::NameRefused } else { Code::NotPossible };
    let text = match error {
        PathError::Encoding => "Names are UTF-8.",
        PathError::Character => "Control characters are not permitted in names.",
        PathError::Length => "The name is too long.",
        PathError::Reserved => "No such file or directory.",
    };
    (Reply::new(code, text), "name_refused")
}

/// The reply where no passive port could be had.
pub(super) fn passive(fault: PassiveFault) -> Reply {
    let text = match fault {
        PassiveFault::Exhausted => {
            "Every passive port is taken by your address; close a transfer or ask for a wider range."
        }
        PassiveFault::Unbindable => "No passive port can be opened; the operator's log says why.",
        PassiveFault::NoAddress => "The address to announce is not known yet; use EPSV, or try again later.",
    };
    Reply::new(Code::NoDataConnection, text)
}

/// The reply to a transfer that did not end whole, and the reason for the audit log.
pub(super) fn transfer(fault: &MoveFault, kept: Option<u64>) -> (Reply, &'static str) {
    let (code, text, reason) = match fault {
        MoveFault::Aborted => (Code::TransferAborted, "Transfer aborted.", "aborted"),
        MoveFault::NoConnection => {
            (Code::NoDataConnection, "The data connection did not come up in time.", "no_data_connection")
        }
        MoveFault::Handshake(reason, text) | MoveFault::NotBound(reason, text) => {
            return (Reply::new(Code::DataRefused, text.clone()), *reason);
        }
        MoveFault::Truncated => (
            Code::TransferAborted,
            "The data connection ended without a TLS close_notify, so the file may be cut short; it was not stored.",
            "truncated",
        ),
        MoveFault::ConnectionLost => (Code::TransferAborted, "The data connection broke.", "connection_lost"),
        MoveFault::Stalled => (Code::TransferAborted, "No data moved for too long.", "stalled"),
        MoveFault::Kicked => (Code::TransferAborted, "An administrator ended the session.", "kicked"),
        MoveFault::Stopping => (Code::TransferAborted, "The server is being stopped.", "stopping"),
        MoveFault::ControlGone => (Code::TransferAborted, "The control connection ended.", "control_gone"),
        MoveFault::Crowded(crowd) => return crowded(*crowd),
        MoveFault::NoTurn => (Code::FileBusy, "Too many files are being hashed; try again later.", "no_turn"),
        MoveFault::TooLong => (
            Code::NotHashable,
            "Hashing took longer than is permitted here; RANG and HASH tell the hash of a part.",
            "time_over",
        ),
        MoveFault::Store(StoreFault::Frozen) => (Code::NotPossible, READ_ONLY, "frozen"),
        MoveFault::Store(fault) => return store(*fault, Doing::Naming),
    };
    match kept.filter(|bytes| *bytes > 0) {
        Some(bytes) => (Reply::new(code, format!("{text} {bytes} bytes are kept for you to resume.")), reason),
        None => (Reply::new(code, text), reason),
    }
}

/// The reply to a transfer for which there is no place now, and the reason for the audit log. Not
/// `450`, which clients take for an empty directory or a missing file.
fn crowded(crowd: Crowd) -> (Reply, &'static str) {
    let (text, reason) = match crowd {
        Crowd::User => ("You have as many transfers as you may; try again when one has ended.", "user_transfers"),
        Crowd::Address => {
            ("Your address has as many transfers as it may; try again when one has ended.", "transfers_per_address")
        }
        Crowd::Server => ("The server has as many transfers as it may; try again later.", "transfers_total"),
    };
    (Reply::new(Code::NoDataConnection, text), reason)
}

/// The reply to a hash that was not found, and the reason for the audit log.
pub(super) fn hash(fault: &MoveFault) -> (Reply, &'static str) {
    match fault {
        MoveFault::Aborted => (Reply::new(Code::TransferAborted, "Hashing aborted."), "aborted"),
        MoveFault::Store(fault) => store(*fault, Doing::Looking),
        fault => transfer(fault, None),
    }
}
