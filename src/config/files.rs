//! Files that decide who gets in: read within bounds, and only where nobody else could have
//! written them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::RunAs;
use super::findings::{Findings, Place};
use super::problem::Severity;

/// Largest policy file, in bytes.
pub(super) const POLICY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Largest PEM file, in bytes.
pub(crate) const PEM_BYTES_MAX: u64 = 1024 * 1024;

const GROUP_READ: u32 = 0o040;
const OTHERS_READ: u32 = 0o004;
const READ_BY_MORE: u32 = 0o044;
const WRITE_BY_MORE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Whether a path may be a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// It may: certificates are often linked by the tool that renews them.
    Follow,
    /// It may not.
    Refuse,
}

/// A file's content, and what the system said of the file that was read.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: zeroize::Zeroizing<Vec<u8>>,
    pub(crate) metadata: Metadata,
}

/// Reads a regular file of at most `most` bytes. Never waits for a FIFO or device.
pub(crate) fn read(path: &Path, most: u64, links: Links) -> io::Result<Content> {
    use rustix::fs::OFlags;
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if links == Links::Refuse {
        flags |= OFlags::NOFOLLOW;
    }
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| {
        let is_link = links == Links::Refuse && path.is_symlink();
        if is_link { io::Error::other("symbolic links are not followed here") } else { error }
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let bytes = read_bounded(&file, most)?;
    Ok(Content { bytes, metadata })
}

fn read_bounded(file: &File, most: u64) -> io::Result<zeroize::Zeroizing<Vec<u8>>> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        return Err(io::Error::other(format!("larger than {most} bytes")));
    }
    Ok(bytes)
}

/// What kind of file is judged, which decides who may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `server.toml`, and the certificate, which is public.
    Public,
    /// `users.toml`: hashes are better not read by everyone.
    Hashes,
    /// The private key: nobody else may read it.
    Key,
    /// The passwords that users changed: nobody else may read them.
    Passwords,
    /// The policy directory.
    Directory,
}

/// What is wrong with a file's owner or mode, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Notes where a file's owner or mode lets somebody else decide what the server does.
pub(super) fn judge(
    path: &Path,
    metadata: &Metadata,
    kind: Kind,
    run_as: Option<&RunAs>,
    place: Place,
    findings: &mut Findings,
) {
    for Fault { severity, message, help } in faults(path, metadata, kind, run_as) {
        match severity {
            Severity::Error => findings.error(place, message, help),
            Severity::Warning => findings.warning(place, message, help),
        }
    }
}

/// How a file's owner or mode lets somebody else decide what the server does.
pub(crate) fn faults(path: &Path, metadata: &Metadata, kind: Kind, run_as: Option<&RunAs>) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut error = |message, help| found.push(Fault { severity: Severity::Error, message, help });
    let (uid, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let name = path.display();
    let quoted = super::shell::word(&path.display().to_string());
    let own = rustix::process::geteuid().as_raw();
    if uid != 0 && uid != own && run_as.is_none_or(|account| account.uid != uid) {
        let help = format!("give it to whoever runs the server: chown root {quoted}");
        error(format!("{name} belongs to another account (uid {uid})"), help);
    }
    let shared_as_tmp = kind == Kind::Directory && mode & STICKY != 0;
    if mode & WRITE_BY_MORE != 0 && !shared_as_tmp {
        let message = format!("{name} can be written by others than its owner (mode {mode:04o})");
        error(message, format!("chmod go-w {quoted}"));
    }
    match kind {
        Kind::Key if mode & OTHERS_READ != 0 => {
            let message = format!("{name}, a private key, can be read by everyone (mode {mode:04o})");
            error(message, format!("chmod 0600 {quoted}"));
        }
        Kind::Key if mode & GROUP_READ != 0 && uid != 0 => {
            let message = format!("{name}, a private key, can be read by a group (mode {mode:04o})");
            error(message, format!("chmod 0600 {quoted}, or give it to root and keep 0640"));
        }
        Kind::Passwords if mode & READ_BY_MORE != 0 => {
            let message = format!("{name}, which holds password hashes, can be read by others (mode {mode:04o})");
            error(message, format!("chmod 0600 {quoted}"));
        }
        Kind::Hashes if mode & OTHERS_READ != 0 => {
            let message = format!("{name}, which holds password hashes, can be read by everyone (mode {mode:04o})");
            found.push(Fault { severity: Severity::Warning, message, help: format!("chmod o-r {quoted}") });
        }
        _ => {}
    }
    found
}
