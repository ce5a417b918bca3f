//! The seccomp filter: what no part of a file server ever does is refused with `EPERM`. A deny list
//! with few exceptions, so that a new C library or kernel does not stop the server.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::SandboxError;

/// Refused whatever the arguments.
#[rustfmt::skip]
const REFUSED: &[libc::c_long] = &[
    // Other programs.
    libc::SYS_execve, libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise,
    libc::SYS_kcmp, libc::SYS_pidfd_getfd,
    // The view of the file system.
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_open_tree, libc::SYS_move_mount, libc::SYS_fsopen,
    libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick, libc::SYS_mount_setattr, libc::SYS_pivot_root,
    libc::SYS_chroot, libc::SYS_setns, libc::SYS_unshare, libc::SYS_quotactl, libc::SYS_quotactl_fd,
    libc::SYS_fanotify_init, libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at,
    // What is no file or directory.
    libc::SYS_symlinkat, libc::SYS_mknodat,
    // Ids and capabilities: what was dropped stays dropped.
    libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setreuid, libc::SYS_setregid, libc::SYS_setresuid,
    libc::SYS_setresgid, libc::SYS_setgroups, libc::SYS_setfsuid, libc::SYS_setfsgid, libc::SYS_capset,
    libc::SYS_personality,
    // Keys of the kernel.
    libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl,
    // The kernel itself, and interfaces to it that have been its weak spots.
    libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_kexec_load,
    libc::SYS_kexec_file_load, libc::SYS_bpf, libc::SYS_userfaultfd, libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_vmsplice,
    libc::SYS_migrate_pages, libc::SYS_move_pages,
    // The machine.
    libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_acct, libc::SYS_settimeofday,
    libc::SYS_clock_settime, libc::SYS_clock_adjtime, libc::SYS_adjtimex, libc::SYS_sethostname,
    libc::SYS_setdomainname, libc::SYS_vhangup, libc::SYS_syslog,
];

/// Older forms of the same, which only this processor's kernels have.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_fork, libc::SYS_vfork, libc::SYS_symlink, libc::SYS_mknod, libc::SYS_iopl, libc::SYS_ioperm,
    libc::SYS_modify_ldt, libc::SYS_uselib,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// Where `socket` takes the kind, among flags.
const SOCKET_KIND_MASK: u64 = 0xf;

/// The kinds of sockets besides those of TCP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sockets {
    /// Those of UDP.
    pub(super) udp: bool,
    /// Those of this machine.
    pub(super) local: bool,
}

/// Installs the filter for the calling thread and all that it will start, with sockets besides those
/// of TCP only where asked for. False where there is no seccomp or no filter for this processor, and it is not
/// required.
pub(super) fn filter(required: bool, sockets: Sockets) -> Result<bool, SandboxError> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        return missing(required);
    };
    let programs = programs(arch, sockets).map_err(|error| SandboxError::Seccomp(error.into()))?;
    for program in &programs {
        match apply_filter(program) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(error)) if lacking(&error) => return missing(required),
            Err(error) => return Err(SandboxError::Seccomp(error)),
        }
    }
    Ok(true)
}

fn missing(required: bool) -> Result<bool, SandboxError> {
    if required { Err(SandboxError::Missing("a seccomp filter for this processor")) } else { Ok(false) }
}

/// Whether the kernel was built without filters.
fn lacking(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL))
}

/// The filters, each compiled. A call of another processor's numbering kills the process.
fn programs(arch: TargetArch, sockets: Sockets) -> Result<Vec<BpfProgram>, BackendError> {
    let compile = |rules, answer: libc::c_int| {
        let answer = SeccompAction::Errno(answer.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, answer, arch)?.try_into()
    };
    let mut rules: BTreeMap<libc::c_long, Vec<SeccompRule>> =
        REFUSED.iter().chain(REFUSED_HERE).map(|&call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_socket, sockets_refused(sockets)?);
    rules.insert(libc::SYS_clone, clones_refused()?);
    rules.insert(libc::SYS_ioctl, ioctls_refused()?);
    // `clone3` has its flags in memory, where a filter cannot look. Told that the kernel lacks it,
    // the C library takes `clone`.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let mut programs = vec![compile(rules, libc::EPERM)?, compile(clone3, libc::ENOSYS)?];
    if arch == TargetArch::x86_64 {
        programs.push(x32_refused());
    }
    Ok(programs)
}

/// All sockets but those of the internet families that are streams of TCP (SCTP and MPTCP are
/// streams too, and Landlock does not see them), and where asked for, datagrams of UDP, and streams
/// and datagrams of this machine.
fn sockets_refused(permitted: Sockets) -> Result<Vec<SeccompRule>, BackendError> {
    let (stream, datagram) = (constant(libc::SOCK_STREAM), constant(libc::SOCK_DGRAM));
    let local = constant(libc::AF_UNIX);
    let mut families = vec![
        argument(0, SeccompCmpOp::Ne, constant(libc::AF_INET))?,
        argument(0, SeccompCmpOp::Ne, constant(libc::AF_INET6))?,
    ];
    if permitted.local {
        families.push(argument(0, SeccompCmpOp::Ne, local)?);
    }
    let mut refused = vec![SeccompRule::new(families)?];
    let mut kinds = vec![(stream, libc::IPPROTO_TCP)];
    if permitted.udp {
        kinds.push((datagram, libc::IPPROTO_UDP));
    }
    // Of each kind, every protocol but the usual one, by its number or by none.
    for (kind, protocol) in &kinds {
        refused.push(SeccompRule::new(vec![
            argument(1, SeccompCmpOp::MaskedEq(SOCKET_KIND_MASK), *kind)?,
            argument(2, SeccompCmpOp::Ne, 0)?,
            argument(2, SeccompCmpOp::Ne, constant(*protocol))?,
        ])?);
    }
    let others = (0..=SOCKET_KIND_MASK).filter(|kind| kinds.iter().all(|(permitted, _)| permitted != kind));
    for kind in others {
        let mut conditions = vec![argument(1, SeccompCmpOp::MaskedEq(SOCKET_KIND_MASK), kind)?];
        if permitted.local && kind == datagram {
            conditions.push(argument(0, SeccompCmpOp::Ne, local)?);
        }
        refused.push(SeccompRule::new(conditions)?);
    }
    Ok(refused)
}

/// All but a thread of this process: no new process, no namespace.
fn clones_refused() -> Result<Vec<SeccompRule>, BackendError> {
    let namespaces = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    let thread = constant(libc::CLONE_THREAD);
    let mut refused = vec![SeccompRule::new(vec![argument(0, SeccompCmpOp::MaskedEq(thread), 0)?])?];
    for flag in namespaces.map(constant) {
        refused.push(SeccompRule::new(vec![argument(0, SeccompCmpOp::MaskedEq(flag), flag)?])?);
    }
    Ok(refused)
}

/// Putting input into a terminal, or otherwise driving the console that the server was started from.
fn ioctls_refused() -> Result<Vec<SeccompRule>, BackendError> {
    // The kernel takes the request as 32 bits; C libraries differ in its type.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the constants have 16 bits")]
    let requests = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32];
    requests.into_iter().map(|request| SeccompRule::new(vec![argument(1, SeccompCmpOp::Eq, request.into())?])).collect()
}

fn argument(index: u8, operation: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    // The kernel takes these arguments as 32 bits: what stands above must not hide a match.
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operation, value)
}

/// The value of a constant as the 32 bits that the kernel compares.
fn constant(value: libc::c_int) -> u64 {
    u64::from(value.cast_unsigned())
}

/// On `x86_64`, the same calls have further numbers in the x32 interface, which no list names:
/// refuses them all by the bit they have in common.
fn x32_refused() -> BpfProgram {
    const X32_BIT: u32 = 0x4000_0000;
    let instruction = |code: u32, jt: u8, jf: u8, k: u32| {
        let code = u16::try_from(code).unwrap_or_default();
        seccompiler::sock_filter { code, jt, jf, k }
    };
    vec![
        // The call's number stands first in what the filter sees.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, X32_BIT),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_for_every_processor_we_serve() {
        let kinds = [(false, false), (false, true), (true, false), (true, true)];
        for arch in [TargetArch::x86_64, TargetArch::aarch64] {
            let sockets = kinds.map(|(udp, local)| Sockets { udp, local });
            for program in sockets.into_iter().flat_map(|sockets| programs(arch, sockets).unwrap()) {
                assert!(program.len() < 4096, "the kernel takes no longer ones");
            }
        }
    }
}
