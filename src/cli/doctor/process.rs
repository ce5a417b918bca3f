//! What the server gets of the system: its account, descriptors, memory.

use procfs::process::{LimitValue, Process};
use procfs::{Current, Meminfo};
use rustix::process::{Resource, getrlimit};

use super::Examined;
use super::checks::Check;
use super::report::{Report, Severity};
use crate::daemon::descriptors;

/// Makes all checks of this family.
pub(super) fn check(examined: &Examined<'_>, report: &mut Report) {
    if report.worst_of(Check::ProcessUser).is_none() {
        let account = examined.config.process.run_as.as_ref();
        let words = account.map_or("it keeps the account that starts it", |_| "root starts it and it changes to");
        let name = account.map_or("", |account| account.name.as_str());
        report.ok(Check::ProcessUser, format!("{words} {name}").trim_end().to_owned());
    }
    limit(examined, report);
    memory(examined, report);
}

/// The limit of the running server, or of this process, which the server would inherit.
fn limit(examined: &Examined<'_>, report: &mut Report) {
    let check = Check::ProcessDescriptors;
    let of_server = examined.machine.server.and_then(|pid| Process::new(pid).ok()?.limits().ok());
    let (permitted, whose) = match of_server.map(|limits| limits.max_open_files.soft_limit) {
        Some(LimitValue::Value(count)) => (Some(count), "the running server"),
        Some(LimitValue::Unlimited) => (None, "the running server"),
        None => (getrlimit(Resource::Nofile).maximum, "a server started from here"),
    };
    let sessions = examined.config.limits.sessions;
    let needed = descriptors::needed(sessions);
    match permitted {
        Some(permitted) if permitted < needed => {
            let found = format!("{whose} may open {permitted} files, and {sessions} sessions may need {needed}");
            let help = format!(
                "LimitNOFILE={needed} in the systemd unit, or `ulimit -Hn {needed}` before it starts, or lower sessions in [limits]"
            );
            report.add(check, Severity::Warning, found, help);
        }
        Some(permitted) => report.ok(check, format!("{whose} may open {permitted} files; {needed} suffice")),
        None => report.ok(check, format!("{whose} may open any number of files")),
    }
}

/// What password checks take at most, against what the machine has.
fn memory(examined: &Examined<'_>, report: &mut Report) {
    let check = Check::ProcessMemory;
    let passwords = &examined.config.passwords;
    let parallel = u64::try_from(passwords.checks_parallel).unwrap_or(u64::MAX);
    let wanted_mib = u64::from(passwords.argon2.memory_kib).saturating_mul(parallel) / 1024;
    let Ok(memory) = Meminfo::current() else {
        report.not_made(check, "the memory of this machine cannot be read");
        return;
    };
    let total_mib = memory.mem_total.wrapping_shr(20);
    let found = format!("checking passwords takes up to {wanted_mib} MiB of {total_mib} MiB");
    if wanted_mib > total_mib / 4 {
        report.add(
            check,
            Severity::Note,
            found,
            "lower checks-parallel in [passwords], so that logins wait instead of the machine",
        );
    } else {
        report.ok(check, found);
    }
}
