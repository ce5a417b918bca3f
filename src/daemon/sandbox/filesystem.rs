//! Landlock: the files and TCP ports that the process may still reach. What is already open stays
//! usable; what is not named in the plan cannot be opened any more.

use std::fmt;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use super::{Plan, SandboxError};

/// The newest version whose rights are asked for; older kernels give what they have.
const NEWEST: ABI = ABI::V9;
/// The oldest that confines files with truncation, and TCP ports (Linux 6.7).
pub(super) const COMPLETE: u64 = 4;

/// Paths of the plan, opened, with what may be done below them.
#[derive(Debug)]
pub struct FileRules {
    rules: Vec<(OwnedFd, BitFlags<AccessFs>)>,
    absent: Vec<PathBuf>,
}

/// What Landlock confines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandlockReport {
    /// The version of the interface in use.
    pub abi: u64,
    /// Whether TCP ports are confined too, or files alone.
    pub ports: bool,
    /// Whether truncating files is confined too (Linux 6.2).
    pub truncation: bool,
    /// Whether connecting is forbidden; it is permitted where the plan needs it.
    pub connect_forbidden: bool,
    /// The only ports that connections may be made to, where there are any.
    pub connect_ports: Vec<u16>,
    /// Paths of the plan that do not exist. They stay out of reach until the next start.
    pub absent: Vec<PathBuf>,
}

impl FileRules {
    /// Opens the paths of the plan. One that does not exist is no error: nothing is granted for it.
    pub(super) fn open(plan: &Plan) -> Result<Self, SandboxError> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = read
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir
            | AccessFs::Refer;
        let create = read | AccessFs::WriteFile | AccessFs::MakeReg;
        let readers = plan.read_only.iter().map(|path| (path, read));
        let writers = plan.read_write.iter().map(|path| (path, write));
        let creators = plan.create_write.iter().map(|path| (path, create));
        let removers = plan.remove.iter().map(|path| (path, AccessFs::RemoveFile.into()));
        let locals = plan.local_sockets.iter().map(|path| (path, AccessFs::ResolveUnix.into()));
        let mut found = Self { rules: Vec::new(), absent: Vec::new() };
        for (path, access) in readers.chain(writers).chain(creators).chain(removers).chain(locals) {
            let failed = |error: rustix::io::Errno| SandboxError::Path(path.clone(), error.into());
            let handle = match open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
                Ok(handle) => handle,
                Err(errno) if errno.kind() == ErrorKind::NotFound => {
                    found.absent.push(path.clone());
                    continue;
                }
                Err(errno) => return Err(failed(errno)),
            };
            let directory = FileType::from_raw_mode(fstat(&handle).map_err(failed)?.st_mode).is_dir();
            let access = if directory { access } else { access & AccessFs::from_file(NEWEST) };
            found.rules.push((handle, access));
        }
        Ok(found)
    }
}

/// Confines the calling thread; none where the kernel has no Landlock and the plan does not insist.
pub(super) fn restrict(files: FileRules, plan: &Plan) -> Result<Option<LandlockReport>, SandboxError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::BindTcp))
        .and_then(|ruleset| ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .map_err(SandboxError::Landlock)?;
    if !plan.connect {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp).map_err(SandboxError::Landlock)?;
    }
    let paths = files.rules.into_iter().map(|(handle, access)| Ok::<_, RulesetError>(PathBeneath::new(handle, access)));
    let ports = plan.bind_ports.iter().cloned().flatten();
    let ports = ports.map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::BindTcp)));
    // Where connecting is permitted to all ports, it is not handled, and no rule may name it.
    let targets = if plan.connect { &[][..] } else { &plan.connect_ports };
    let targets = targets.iter().map(|&port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp)));
    let status = ruleset
        .create()
        .and_then(|created| created.add_rules(paths))
        .and_then(|created| created.add_rules(ports))
        .and_then(|created| created.add_rules(targets))
        .and_then(RulesetCreated::restrict_self)
        .map_err(SandboxError::Landlock)?;
    let abi = match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) | (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => 0,
        (_, LandlockStatus::Available { effective_abi, .. }) => version(effective_abi),
    };
    if plan.require && abi < COMPLETE {
        return Err(SandboxError::Missing("Landlock for files and TCP ports (Linux 6.7)"));
    }
    Ok((abi > 0).then_some(LandlockReport {
        abi,
        ports: abi >= COMPLETE,
        truncation: abi >= 3,
        connect_forbidden: abi >= COMPLETE && !plan.connect && plan.connect_ports.is_empty(),
        connect_ports: if abi >= COMPLETE && !plan.connect { plan.connect_ports.clone() } else { Vec::new() },
        absent: files.absent,
    }))
}

/// The number of a version, as the kernel counts.
pub(super) fn version(abi: ABI) -> u64 {
    u64::try_from(abi as i32).unwrap_or(0)
}

impl fmt::Display for LandlockReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files and ports: confined by Landlock (ABI {}) to the files of the policy", self.abi)?;
        f.write_str(match (self.ports, self.connect_forbidden, self.connect_ports.is_empty()) {
            (true, true, _) => " and its ports; no outgoing connections",
            (true, false, true) => " and its ports; outgoing connections permitted for active mode",
            (true, false, false) => " and its ports; outgoing connections to ports",
            (false, ..) => "; TCP ports NOT confined (Linux 6.7 or newer does)",
        })?;
        for (index, port) in self.connect_ports.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {port}")?;
        }
        if !self.truncation {
            f.write_str("; truncation NOT confined (Linux 6.2 or newer does)")?;
        }
        for path in &self.absent {
            write!(f, "; {} does not exist and is out of reach until the next start", path.display())?;
        }
        Ok(())
    }
}
