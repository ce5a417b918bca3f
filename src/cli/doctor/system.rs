//! What needs no policy: the kernel, the clock, the firewall's helpers.

use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use super::checks::Check;
use super::machine::{runs, word};
use super::report::{Report, Severity};
use crate::daemon::sandbox::Offered;

/// Years in which this program may plausibly run.
const YEARS: std::ops::RangeInclusive<i16> = 2026..=2100;
/// What systemd leaves once the clock was set from the network.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Programs that keep the clock right, by the names of their processes (cut to 15 bytes).
const KEEPERS: [&str; 8] =
    ["chronyd", "ntpd", "ntp-daemon", "openntpd", "systemd-timesyn", "ptp4l", "phc2sys", "vmtoolsd"];

/// Makes the checks; `required` is whether the policy demands the whole sandbox.
pub(super) fn check(required: bool, now: Timestamp, report: &mut Report) {
    kernel(required, report);
    clock(now, report);
    conntrack(report);
}

fn kernel(required: bool, report: &mut Report) {
    let release = word("/proc/sys/kernel/osrelease").unwrap_or_else(|| "of unknown version".to_owned());
    let asked = openat2(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_MAGICLINKS);
    match asked {
        Ok(_) => report.ok(Check::KernelFiles, format!("Linux {release} has openat2")),
        Err(error) => {
            let help = "homes are opened with it: use Linux 5.6 or newer; in a container, let its seccomp profile permit openat2";
            report.add(Check::KernelFiles, Severity::Error, format!("Linux {release}: openat2 fails ({error})"), help);
        }
    }
    let offered = Offered::ask();
    let mut lacking = Vec::new();
    match offered.landlock_abi {
        0 => lacking.push("Landlock (files and ports are not confined)"),
        _ if !offered.ports => lacking.push("Landlock for TCP ports (Linux 6.7)"),
        _ => {}
    }
    if !offered.seccomp {
        lacking.push("a seccomp filter (system calls are not confined)");
    }
    if lacking.is_empty() {
        let found = format!("Linux {release} has Landlock (ABI {} or newer) and seccomp", offered.landlock_abi);
        report.ok(Check::KernelSandbox, found);
        return;
    }
    let found = format!("Linux {release} lacks {}", lacking.join(" and "));
    if required {
        let help = "the server does not start: update the kernel, add landlock to its lsm= parameter, or set require-sandbox = \
                    false in [process]";
        report.add(Check::KernelSandbox, Severity::Error, found, help);
    } else {
        let help = "the server runs less confined: update the kernel, or add landlock to its lsm= parameter; with \
                    require-sandbox = true in [process] it would not start so";
        report.add(Check::KernelSandbox, Severity::Warning, found, help);
    }
}

fn clock(now: Timestamp, report: &mut Report) {
    let year = now.to_zoned(jiff::tz::TimeZone::UTC).year();
    if YEARS.contains(&year) {
        report.ok(Check::ClockYear, format!("the clock says {}", now.strftime("%Y-%m-%d %H:%M:%S UTC")));
    } else {
        let help = "set the clock: timedatectl set-ntp true, or date -u -s 'YYYY-MM-DD HH:MM'";
        report.add(Check::ClockYear, Severity::Error, format!("the clock says {now}"), help);
    }
    let check = Check::ClockSynchronised;
    if Path::new(SYNCHRONISED).exists() {
        report.ok(check, "systemd-timesyncd has set the clock");
    } else if let Some(keeper) = runs(&KEEPERS) {
        report.ok(check, format!("{keeper} runs, and keeps the clock"));
    } else {
        let help = "timedatectl set-ntp true, or run chrony; in a container or virtual machine, look at its host";
        report.add(check, Severity::Note, "nothing here is known to keep the clock", help);
    }
}

/// A firewall that reads along cannot do so in TLS: it opens no passive ports by itself.
fn conntrack(report: &mut Report) {
    let check = Check::NetworksConntrack;
    let loaded = Path::new("/sys/module/nf_conntrack_ftp").exists();
    let automatic = word("/proc/sys/net/netfilter/nf_conntrack_helper").is_some_and(|value| value == "1");
    if loaded || automatic {
        let help = "open the passive ports themselves in the firewall: `portcullis firewall nftables` prints the rules";
        let found =
            "the kernel has an FTP helper (nf_conntrack_ftp): it cannot read what TLS protects, and opens no ports";
        report.add(check, Severity::Note, found, help);
    } else {
        report.ok(check, "no FTP helper of the firewall is in the way");
    }
}
