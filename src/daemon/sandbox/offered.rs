//! What this kernel offers for confinement, asked without entering any.

use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr};
use seccompiler::TargetArch;

use super::filesystem::COMPLETE;

/// The versions of Landlock that brought something, newest first.
const VERSIONS: [ABI; 5] = [ABI::V5, ABI::V4, ABI::V3, ABI::V2, ABI::V1];

/// The layers of confinement that this kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The version of Landlock, 0 where there is none; any newer than 5 counts as 5.
    pub landlock_abi: u64,
    /// Whether it confines TCP ports too.
    pub ports: bool,
    /// Whether system calls can be filtered.
    pub seccomp: bool,
}

impl Offered {
    /// Asks the kernel. The calling process is not confined by it.
    pub fn ask() -> Self {
        let landlock_abi = VERSIONS.into_iter().find(|version| has(*version)).map_or(0, super::filesystem::version);
        let filters = std::fs::exists("/proc/sys/kernel/seccomp/actions_avail").unwrap_or(false);
        let processor = TargetArch::try_from(std::env::consts::ARCH).is_ok();
        Self { landlock_abi, ports: landlock_abi >= COMPLETE, seccomp: filters && processor }
    }

    /// Whether [`Process::require_sandbox`](crate::settings::Process) would be satisfied.
    pub fn is_complete(self) -> bool {
        self.ports && self.seccomp
    }
}

/// Whether a ruleset with all rights of the version can be made; it is dropped, and confines nobody.
fn has(version: ABI) -> bool {
    let files =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::from_all(version));
    let whole = match files {
        Ok(ruleset) if version >= ABI::V4 => ruleset.handle_access(AccessNet::from_all(version)),
        other => other,
    };
    whole.and_then(Ruleset::create).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_confines_nobody() {
        let before = Offered::ask();
        assert_eq!(Offered::ask(), before);
        assert!(std::fs::read_dir("/").is_ok());
        assert!(before.landlock_abi == 0 || before.landlock_abi <= 5);
    }
}
