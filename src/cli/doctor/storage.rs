//! Where homes, folders and logs lie: the kind of file system, and what is left of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use super::Examined;
use super::checks::Check;
use super::report::{Report, Severity};

/// Homes that are named in one line.
const NAMED_MAX: usize = 3;
/// Below this there is no room for the records of a day.
const LOG_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Files that a file system should be able to take.
const INODES_MIN: u64 = 1000;

/// Makes all checks of homes and logs that ask the file system.
pub(super) fn check(examined: &Examined<'_>, report: &mut Report) {
    homes(examined, report);
    let config = examined.config;
    log_mount(examined, &config.audit.directory, report);
    log_space(Check::AuditSpace, &config.audit.directory, "the audit log", report);
    if let Some(directory) = &config.log.directory {
        log_space(Check::LogSpace, directory, "the operational log", report);
    }
}

/// Homes and folders of one file system are judged together.
fn homes(examined: &Examined<'_>, report: &mut Report) {
    let config = examined.config;
    let mut by_mount: BTreeMap<PathBuf, (String, Vec<PathBuf>)> = BTreeMap::new();
    let homes = config.policy.users.values().map(|account| &account.home);
    let homes = homes.chain(config.policy.folders.values().map(|folder| &folder.directory));
    let homes = homes.chain(&config.storage.base_directories);
    for home in homes.filter(|home| home.is_dir()) {
        let Some(mount) = examined.machine.mount_of(home) else { continue };
        let (_, members) = by_mount.entry(mount.point.clone()).or_insert_with(|| (mount.kind.clone(), Vec::new()));
        if !members.contains(home) {
            members.push(home.clone());
        }
    }
    for (point, (kind, members)) in &by_mount {
        let Some(figures) = members.iter().find_map(|home| statvfs(home).ok()) else { continue };
        let mut named: Vec<String> = members.iter().take(NAMED_MAX).map(|home| home.display().to_string()).collect();
        if let Some(more) = members.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            named.push(format!("{more} more"));
        }
        let place = format!("{} ({kind}: {})", point.display(), named.join(", "));
        mount(&place, kind, figures.f_flag.contains(StatVfsMountFlags::RDONLY), report);
        space(&place, &figures, config.storage.free_space_floor_bytes, report);
        inodes(&place, &figures, config.storage.free_inodes_floor, report);
    }
}

fn is_network(kind: &str) -> bool {
    const KINDS: [&str; 12] =
        ["9p", "afs", "ceph", "cifs", "gfs2", "glusterfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "virtiofs"];
    KINDS.contains(&kind) || kind == "fuse" || kind.starts_with("fuse.")
}

fn is_passing(kind: &str) -> bool {
    matches!(kind, "tmpfs" | "ramfs")
}

fn mount(place: &str, kind: &str, read_only: bool, report: &mut Report) {
    let check = Check::HomesMount;
    if read_only {
        let help = "every upload is refused: mount -o remount,rw, or look into dmesg for the fault that made it so";
        report.add(check, Severity::Error, format!("{place} is mounted read-only"), help);
    } else if is_passing(kind) {
        report.add(
            check,
            Severity::Note,
            format!("{place} is in memory, and lost at a reboot"),
            "keep files on a disk",
        );
    } else if is_network(kind) {
        let help = "uploads are flushed as far as that file system promises it; try a transfer while it is away";
        report.add(check, Severity::Note, format!("{place} is on a network or in another program's hands"), help);
    } else if kind == "overlay" {
        let help = "mount a volume there, unless the files may go with the container";
        report.add(check, Severity::Note, format!("{place} is part of a container"), help);
    } else {
        report.ok(check, format!("{place} can be written"));
    }
}

fn space(place: &str, figures: &StatVfs, floor: u64, report: &mut Report) {
    let check = Check::HomesSpace;
    let (free, all) = bytes(figures);
    let found = format!("{place}: {} of {} free", amount(free), amount(all));
    let help = "make room (du -xh --max-depth=2 shows where it is), or lower free-space-floor-bytes in [storage]";
    if free < floor {
        let found = format!("{found}, less than the floor of {}: every upload is refused", amount(floor));
        report.add(check, Severity::Error, found, help);
    } else if free < floor.saturating_mul(2) || free < all / 10 {
        report.add(check, Severity::Warning, found, help);
    } else {
        report.ok(check, found);
    }
}

fn inodes(place: &str, figures: &StatVfs, floor: u64, report: &mut Report) {
    let check = Check::HomesInodes;
    // Some file systems have no fixed number, and say 0.
    if figures.f_files == 0 || figures.f_favail >= floor.saturating_mul(2).max(INODES_MIN) {
        report.ok(check, format!("{place}: room for more files"));
        return;
    }
    let found = format!("{place}: room for {} more files only", figures.f_favail);
    let (severity, found) = if figures.f_favail <= floor {
        (Severity::Error, format!("{found}, and free-inodes-floor leaves {floor}: every upload is refused"))
    } else {
        (Severity::Warning, found)
    };
    let help = "df -i shows it: remove small files, make the file system anew with more inodes, or lower \
                free-inodes-floor in [storage]";
    report.add(check, severity, found, help);
}

fn bytes(figures: &StatVfs) -> (u64, u64) {
    (figures.f_bavail.saturating_mul(figures.f_frsize), figures.f_blocks.saturating_mul(figures.f_frsize))
}

/// A number of bytes as people say it, rounded down.
fn amount(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fitting = UNITS.into_iter().find(|(shift, _)| bytes.wrapping_shr(u32::try_from(*shift).unwrap_or(0)) >= 10);
    fitting.map_or_else(
        || format!("{bytes} bytes"),
        |(shift, unit)| format!("{} {unit}", bytes.wrapping_shr(u32::try_from(shift).unwrap_or(0))),
    )
}

/// As much of a path as is there: the directory may be made at the start.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(path)
}

fn log_mount(examined: &Examined<'_>, directory: &Path, report: &mut Report) {
    let check = Check::AuditMount;
    let shown = directory.display();
    let Some(mount) = examined.machine.mount_of(directory) else {
        report.not_made(check, "the mounts cannot be read");
        return;
    };
    let kind = mount.kind.as_str();
    if is_passing(kind) {
        let help = "name a directory on a disk in [audit]";
        report.add(
            check,
            Severity::Warning,
            format!("{shown} is in memory ({kind}): the audit log is lost at a reboot"),
            help,
        );
    } else if is_network(kind) || kind == "overlay" {
        let help =
            "without the log there is no service: name a directory on a disk or volume of this machine in [audit]";
        report.add(check, Severity::Note, format!("{shown} is on {kind}, which may be away or go away"), help);
    } else {
        report.ok(check, format!("{shown} is on {kind}"));
    }
}

fn log_space(check: Check, directory: &Path, what: &str, report: &mut Report) {
    let Ok(figures) = statvfs(existing(directory)) else { return };
    let (free, all) = bytes(&figures);
    let found = format!("{}: {} of {} free for {what}", directory.display(), amount(free), amount(all));
    let help = "make room there: without its audit log the server takes nobody in";
    if figures.f_flag.contains(StatVfsMountFlags::RDONLY) {
        report.add(
            check,
            Severity::Error,
            format!("{} is mounted read-only", directory.display()),
            "remount it for writing",
        );
    } else if free < LOG_BYTES_MIN {
        report.add(check, Severity::Error, found, help);
    } else if free < all / 10 {
        report.add(check, Severity::Warning, found, help);
    } else {
        report.ok(check, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (bytes, text) in [(0, "0 bytes"), (5000, "5000 bytes"), (67_108_864, "64 MiB"), (1 << 40, "1024 GiB")] {
            assert_eq!(amount(bytes), text);
        }
    }
}
