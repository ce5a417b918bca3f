//! Least privilege, taken on before the first thread starts and never given back: ids and
//! capabilities (`privileges`), the files and ports the server may touch (`filesystem`), the
//! system calls it may make (`syscalls`).
//!
//! The layers overlap on purpose. What one kernel lacks, another layer still covers; what is in
//! force is in the [`Report`], for the operator and for the audit log.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::{error, fmt, fs, io};

use crate::audit::record::Detail;
use crate::settings::RunAs;

mod filesystem;
mod offered;
mod privileges;
mod syscalls;

pub use filesystem::{FileRules, LandlockReport};
pub use offered::Offered;
pub use privileges::{IdReport, PrivilegeReport};

/// What the server needs from here on; all else is taken away.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The account to change to when started as root.
    pub run_as: Option<RunAs>,
    /// Files and directories that are only read: the policy's, and those of certificates and keys.
    pub read_only: Vec<PathBuf>,
    /// Directories in which files come and go: homes, and that of changed passwords.
    pub read_write: Vec<PathBuf>,
    /// Directories in which files are made, read and written at any place, and never removed,
    /// renamed or truncated: logs. A file opened before keeps what it was opened for. Before ABI 3
    /// (Linux 6.2) truncation is not confined.
    pub create_write: Vec<PathBuf>,
    /// Directories in which files are removed, and neither made nor read: that of the control socket.
    pub remove: Vec<PathBuf>,
    /// TCP ports that sockets are bound to from here on.
    pub bind_ports: Vec<RangeInclusive<u16>>,
    /// Whether the server makes TCP connections itself (active mode).
    pub connect: bool,
    /// TCP ports that connections are made to, where not to all of them.
    pub connect_ports: Vec<u16>,
    /// Sockets of this machine that are written to.
    pub local_sockets: Vec<PathBuf>,
    /// Whether the server asks name servers, over UDP.
    pub look_up: bool,
    /// Whether a kernel that lacks a layer is an error.
    pub require: bool,
}

/// What is in force.
#[derive(Clone, Debug)]
pub struct Report {
    /// Ids, capabilities and what goes with them.
    pub privileges: PrivilegeReport,
    /// Files and ports; none where the kernel has no Landlock or denies it.
    pub landlock: Option<LandlockReport>,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    /// Whether the filter permits sockets of UDP, for name servers.
    pub udp: bool,
    /// Whether it permits sockets of this machine.
    pub local: bool,
}

/// Why the sandbox is not in force.
#[derive(Debug)]
pub enum SandboxError {
    /// The process has this many threads, and only the one that asked would be confined.
    Threads(usize),
    /// A step failed that works on every kernel.
    Step(&'static str, io::Error),
    /// A path of the plan exists and cannot be opened.
    Path(PathBuf, io::Error),
    /// The kernel lacks a layer that the policy demands.
    Missing(&'static str),
    /// Landlock refused a rule.
    Landlock(landlock::RulesetError),
    /// The filter could not be made or installed.
    Seccomp(seccompiler::Error),
}

/// Enters the sandbox. Call it from the only thread, before any runtime: threads started later
/// inherit it, those already running would not. There is no way back.
///
/// # Errors
/// [`SandboxError`]; the process is then confined in part and must not serve.
pub fn enter(plan: &Plan) -> Result<Report, SandboxError> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(SandboxError::Threads(threads));
    }
    // While every privilege is there: a home of another owner can be opened for its rule.
    let rules = FileRules::open(plan)?;
    let privileges = privileges::drop_all(plan.run_as.as_ref())?;
    let landlock = filesystem::restrict(rules, plan)?;
    let sockets = syscalls::Sockets { udp: plan.look_up, local: !plan.local_sockets.is_empty() };
    let seccomp = syscalls::filter(plan.require, sockets)?;
    Ok(Report { privileges, landlock, seccomp, udp: sockets.udp, local: sockets.local })
}

impl Report {
    /// The same for the audit record of the start, as its details.
    pub fn details(&self) -> Vec<(&'static str, Detail)> {
        let ids = match &self.privileges.ids {
            IdReport::Changed { name, .. } => format!("changed to {name}"),
            IdReport::RootKept => "root without capabilities".to_owned(),
            IdReport::Unprivileged => "started unprivileged".to_owned(),
        };
        let abi = self.landlock.as_ref().map_or(0, |landlock| landlock.abi);
        let ports = self.landlock.as_ref().is_some_and(|landlock| landlock.ports);
        vec![
            ("sandbox_uid", Detail::Number(self.privileges.uid.into())),
            ("sandbox_gid", Detail::Number(self.privileges.gid.into())),
            ("sandbox_ids", Detail::Text(ids)),
            ("sandbox_bounding_set_empty", Detail::Flag(self.privileges.bounding_set_empty)),
            ("sandbox_landlock_abi", Detail::Number(abi)),
            ("sandbox_landlock_ports", Detail::Flag(ports)),
            ("sandbox_seccomp", Detail::Flag(self.seccomp)),
            ("sandbox_udp", Detail::Flag(self.udp)),
        ]
    }
}

impl fmt::Display for Report {
    /// One line for each layer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.privileges)?;
        match &self.landlock {
            Some(landlock) => writeln!(f, "{landlock}")?,
            None => writeln!(
                f,
                "files and ports: NOT confined, as this kernel offers no Landlock (5.13 or newer, `landlock` among its \
                 security modules)"
            )?,
        }
        if !self.seccomp {
            return f.write_str(
                "system calls: NOT filtered, as this kernel or processor offers no seccomp filter we can use",
            );
        }
        f.write_str("system calls: filtered (no programs, no new processes, no sockets but TCP, ")?;
        if self.udp {
            f.write_str("and UDP for name servers, ")?;
        }
        if self.local {
            f.write_str("and those of this machine, ")?;
        }
        f.write_str("no administration)")
    }
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(count) => {
                write!(f, "the sandbox must be entered before threads start, and there are {count}")
            }
            Self::Step(step, error) => write!(f, "cannot {step}: {error}"),
            Self::Path(path, error) => {
                write!(f, "cannot open {} to permit its use in the sandbox: {error}", path.display())
            }
            Self::Missing(layer) => write!(
                f,
                "this kernel does not offer {layer}, which [process] require-sandbox demands; update the kernel, or \
                 set it to false to run with what there is"
            ),
            Self::Landlock(error) => write!(f, "cannot confine files and ports: {error}"),
            Self::Seccomp(error) => write!(f, "cannot filter system calls: {error}"),
        }
    }
}

impl error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Step(_, error) | Self::Path(_, error) => Some(error),
            Self::Landlock(error) => Some(error),
            Self::Seccomp(error) => Some(error),
            Self::Threads(_) | Self::Missing(_) => None,
        }
    }
}
