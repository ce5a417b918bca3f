//! The audit log as it is: its end, its size, and whether the clock agrees with it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::Examined;
use super::checks::Check;
use super::report::{Report, Severity};
use crate::audit::file::FILE_NAME;
use crate::config::audit::key_path;

/// As much of the end as is read, in bytes: more than a record can have.
const TAIL_BYTES: u64 = 1 << 20;
/// From this size on the log is unwieldy.
const LARGE_BYTES: u64 = 4 << 30;
/// By how much a record may lie ahead of the clock, in milliseconds.
const AHEAD_MILLISECONDS_MAX: i64 = 5000;

/// As much of a record as is needed here.
#[derive(Deserialize)]
struct Last {
    seq: u64,
    /// Milliseconds since 1970.
    time: i64,
}

/// Makes the checks.
pub(super) fn check(examined: &Examined<'_>, report: &mut Report) {
    check_key(examined, report);
    let check = Check::AuditRecords;
    let path = examined.config.audit.directory.join(FILE_NAME);
    let shown = path.display();
    match tail(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            report.ok(check, format!("{shown} is not there yet; the server makes it"));
            report.not_made(Check::AuditClock, "there is no record yet");
        }
        Err(error) => {
            let help = "run the doctor as root, or as the account that serves";
            report.add(check, Severity::Note, format!("{shown} cannot be read: {error}"), help);
            report.not_made(Check::AuditClock, "the audit log cannot be read");
        }
        Ok((bytes, length)) => judge(&bytes, length, examined, &shown.to_string(), report),
    }
}

/// Where the key is that signs the log. What is wrong with one that the policy names was told already.
fn check_key(examined: &Examined<'_>, report: &mut Report) {
    let check = Check::AuditKey;
    let path = key_path(&examined.config.audit);
    if examined.config.audit.signing_key.is_none() {
        let found = format!("{} lies beside the log that it signs, where it protects less", path.display());
        let help = "move it to where the server's account cannot write, and name it as [audit] signing-key";
        report.add(check, Severity::Note, found, help);
    } else if report.worst_of(check).is_none() {
        report.ok(check, format!("{} can be used to sign the log", path.display()));
    }
}

/// The end of a file, and its length. A FIFO in its place is not waited for.
fn tail(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL_BYTES);
    let mut bytes = vec![0; usize::try_from(length.saturating_sub(start)).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    Ok((bytes, length))
}

fn judge(bytes: &[u8], length: u64, examined: &Examined<'_>, shown: &str, report: &mut Report) {
    let check = Check::AuditRecords;
    let (whole, torn) = match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => bytes.split_at(end),
        None => (&[][..], bytes),
    };
    let torn = torn.strip_prefix(b"\n").unwrap_or(torn);
    let last = whole.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if last.is_empty() && torn.is_empty() {
        report.ok(check, format!("{shown} has no record yet"));
        report.not_made(Check::AuditClock, "there is no record yet");
        return;
    }
    let Ok(last) = serde_json::from_slice::<Last>(last) else {
        let help = "keep a copy of the file for examination; the server sets a broken end aside in audit.jsonl.torn when it \
                    starts";
        report.add(check, Severity::Error, format!("{shown} does not end in a record"), help);
        report.not_made(Check::AuditClock, "the audit log does not end in a record");
        return;
    };
    if !torn.is_empty() && examined.machine.server.is_none() {
        let found = format!("{shown} ends in {} bytes of a record that was cut short", torn.len());
        let help = "the next start of the server sets them aside in audit.jsonl.torn and records that it did";
        report.add(check, Severity::Note, found, help);
    } else if length > LARGE_BYTES {
        let help = "set [audit] rotate-bytes, so that the log goes on in another file in time";
        report.add(check, Severity::Note, format!("{shown} has {} GiB", length.wrapping_shr(30)), help);
    } else {
        report.ok(check, format!("{shown} ends in record {}", last.seq));
    }
    let ahead = last.time.saturating_sub(examined.now.as_millisecond());
    let when =
        Timestamp::from_millisecond(last.time).map_or_else(|_| "an impossible time".to_owned(), |at| at.to_string());
    if ahead > AHEAD_MILLISECONDS_MAX {
        let found = format!("the last audit record is of {when}, and this machine's clock says {}", examined.now);
        let help = "set the clock (timedatectl set-ntp true): records, dates of accounts and certificates depend on it";
        report.add(Check::AuditClock, Severity::Error, found, help);
    } else {
        report.ok(Check::AuditClock, format!("the last audit record is of {when}"));
    }
}
