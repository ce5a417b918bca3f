//! Ids, capabilities and the process attributes that go with them.

use std::fmt;
use std::io;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Uid, getegid, geteuid, set_dumpable_behavior, setrlimit, umask,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::SandboxError;
use crate::settings::RunAs;

/// Nothing is made for others than owner and group.
const UMASK: u32 = 0o027;

/// What became of the ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdReport {
    /// Started as root, changed to this account.
    Changed {
        /// The account's name.
        name: String,
    },
    /// Started as root, and no account is named: uid 0 is kept, without any capability.
    RootKept,
    /// Started as another user already.
    Unprivileged,
}

/// What holds for the process now. No capability is left, no program could gain one
/// (`no_new_privs`), no core is dumped, and no other process of the same user may look into this
/// one: where one of these fails, there is an error instead of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivilegeReport {
    /// What became of the ids.
    pub ids: IdReport,
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
    /// Whether the bounding set was emptied too, which takes a privilege that not every start has;
    /// `no_new_privs` alone suffices.
    pub bounding_set_empty: bool,
}

/// Drops all that can be dropped. Only the calling thread is affected.
pub(super) fn drop_all(run_as: Option<&RunAs>) -> Result<PrivilegeReport, SandboxError> {
    let step = |what: &'static str| move |errno: Errno| SandboxError::Step(what, errno.into());
    // First, as it takes CAP_SETPCAP, which leaves with the ids.
    let bounding_set_empty = empty_bounding_set().map_err(step("empty the capability bounding set"))?;
    let ids = change_ids(run_as)?;
    match clear_ambient_capability_set() {
        // Older than Linux 4.3: there is no ambient set.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(step("clear the ambient capabilities")(errno)),
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(step("drop the capabilities"))?;
    set_no_new_privs(true).map_err(step("set no_new_privs"))?;
    // After the ids: changing them sets it anew.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(step("forbid core dumps and tracing"))?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(step("limit core dumps"))?;
    umask(Mode::from_raw_mode(UMASK));

    let left = capabilities(None).map_err(step("read the capabilities"))?;
    if !(left.effective | left.permitted | left.inheritable).is_empty() {
        return Err(SandboxError::Step("drop the capabilities", io::Error::other("some are left")));
    }
    Ok(PrivilegeReport { ids, uid: geteuid().as_raw(), gid: getegid().as_raw(), bounding_set_empty })
}

/// Whether the set is empty afterwards.
fn empty_bounding_set() -> Result<bool, Errno> {
    let mut empty = true;
    // Whatever capabilities the kernel knows, also those that are younger than this program.
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1_u64.wrapping_shl(number));
        match capability_is_in_bounding_set(capability) {
            Ok(false) => {}
            Ok(true) => match remove_capability_from_bounding_set(capability) {
                Ok(()) => {}
                Err(Errno::PERM) => empty = false,
                Err(errno) => return Err(errno),
            },
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(empty)
}

fn change_ids(run_as: Option<&RunAs>) -> Result<IdReport, SandboxError> {
    if !geteuid().is_root() {
        return Ok(IdReport::Unprivileged);
    }
    let step = |what: &'static str| move |errno: Errno| SandboxError::Step(what, errno.into());
    set_thread_groups(&[]).map_err(step("drop the supplementary groups"))?;
    let Some(account) = run_as.filter(|account| account.uid != 0) else {
        return Ok(IdReport::RootKept);
    };
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    set_thread_res_gid(gid, gid, gid).map_err(step("change the group id"))?;
    set_thread_res_uid(uid, uid, uid).map_err(step("change the user id"))?;
    Ok(IdReport::Changed { name: account.name.clone() })
}

impl fmt::Display for PrivilegeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, gid, .. } = self;
        match &self.ids {
            IdReport::Changed { name } => write!(f, "privileges: changed from root to {name} (uid {uid}, gid {gid})")?,
            IdReport::RootKept => {
                f.write_str(
                    "privileges: uid 0 kept; name an account in [process] user, so that the server runs as it",
                )?;
            }
            IdReport::Unprivileged => write!(f, "privileges: uid {uid}, gid {gid}")?,
        }
        f.write_str("; no capabilities, no_new_privs, no core dumps")?;
        if !self.bounding_set_empty {
            f.write_str(" (bounding set unchanged, without effect under no_new_privs)")?;
        }
        Ok(())
    }
}
