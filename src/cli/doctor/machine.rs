//! What the machine tells of itself, mostly in `/proc`: who holds a port, whether a server of this
//! policy runs, where a directory is mounted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use procfs::net::TcpNetEntry;
use procfs::process::{FDTarget, Process, all_processes};
use procfs::{Lock, LockType, locks};

use crate::audit::file::FILE_NAME;
use crate::config::disk::resolved;

/// How long the descriptors of other processes are searched for sockets.
const SEARCH_TIME: Duration = Duration::from_secs(1);
/// What the file of a number or word in `/proc` has at most, in bytes.
const WORD_BYTES_MAX: u64 = 4096;
/// An address of the documentation (RFC 5737), to learn by which of its own this machine would go
/// out. Nothing is sent there.
const ELSEWHERE: &str = "192.0.2.1:9";

/// The state of the machine as it was when the doctor came.
#[derive(Debug)]
pub(super) struct Machine {
    sockets: Vec<TcpNetEntry>,
    mounts: Vec<Mount>,
    /// The process of the server that writes this policy's audit log.
    pub(super) server: Option<i32>,
    server_uid: Option<u32>,
}

/// A mounted file system.
#[derive(Clone, Debug)]
pub(super) struct Mount {
    pub(super) point: PathBuf,
    /// Such as `ext4`.
    pub(super) kind: String,
}

/// Who holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The running server of this policy.
    Server,
    /// Another program, in words.
    Other(String),
    /// A program that only root may know; what is known, in words.
    Hidden(String),
}

impl Machine {
    /// Looks around. The server is known by the lock that it holds on its audit log.
    pub(super) fn look(audit_directory: Option<&Path>) -> Self {
        let sockets = [procfs::net::tcp(), procfs::net::tcp6()].into_iter().flatten().flatten();
        let mounts = Process::myself().and_then(|own| own.mountinfo()).map(|found| found.0).unwrap_or_default();
        let server = audit_directory.and_then(|directory| writer_of(&directory.join(FILE_NAME)));
        Self {
            sockets: sockets.collect(),
            mounts: mounts.into_iter().map(|mount| Mount { point: mount.mount_point, kind: mount.fs_type }).collect(),
            server,
            server_uid: server.and_then(|pid| Process::new(pid).ok()?.status().ok()).map(|status| status.euid),
        }
    }

    /// Where a path, or as much of it as exists, is mounted.
    pub(super) fn mount_of(&self, path: &Path) -> Option<&Mount> {
        let path = resolved(path);
        let holds = |mount: &&Mount| path.starts_with(&mount.point);
        // Of two on one point, the later hides the earlier.
        self.mounts.iter().filter(holds).max_by_key(|mount| mount.point.as_os_str().len())
    }

    /// Who holds each of these addresses, as far as it can be told; the descriptors of processes of
    /// others are hidden from all but root.
    pub(super) fn holders(&self, wanted: &[SocketAddr]) -> BTreeMap<SocketAddr, Holder> {
        let meant = |entry: &&TcpNetEntry, address: SocketAddr| {
            let (held, asked) = (entry.local_address.ip().to_canonical(), address.ip());
            entry.local_address.port() == address.port()
                && (held == asked || held.is_unspecified() || asked.is_unspecified())
        };
        let inodes: BTreeSet<u64> = wanted
            .iter()
            .flat_map(|address| self.sockets.iter().filter(|entry| meant(entry, *address)))
            .map(|entry| entry.inode)
            .collect();
        let processes = owners(&inodes);
        let holder = |address: SocketAddr| {
            let entries: Vec<_> = self.sockets.iter().filter(|entry| meant(entry, address)).collect();
            let known = entries.iter().find_map(|entry| processes.get(&entry.inode));
            match known {
                Some((pid, _)) if Some(*pid) == self.server => Holder::Server,
                Some((pid, name)) => Holder::Other(format!("{name} (process {pid})")),
                None => match entries.first().map(|entry| entry.uid) {
                    Some(uid) if Some(uid) == self.server_uid => Holder::Server,
                    Some(uid) => Holder::Hidden(format!("a program of uid {uid}")),
                    None => Holder::Hidden("another program".to_owned()),
                },
            }
        };
        wanted.iter().map(|address| (*address, holder(*address))).collect()
    }
}

/// The process that holds the lock on an audit log.
fn writer_of(log: &Path) -> Option<i32> {
    let metadata = log.metadata().ok()?;
    let of_log = |lock: &Lock| lock.lock_type == LockType::FLock && lock.inode == metadata.ino();
    let device = |lock: &Lock| {
        let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
        (lock.devmaj, lock.devmin) == (major, minor)
    };
    // On file systems of several devices the numbers differ; the program's name has to do there.
    let named = |pid: i32| name(pid).is_some_and(|name| name.starts_with("portcullis"));
    let locks = locks().ok()?;
    let found = locks.iter().filter(|lock| of_log(lock)).find(|lock| device(lock) || lock.pid.is_some_and(named));
    found.and_then(|lock| lock.pid)
}

/// A process's name.
fn name(pid: i32) -> Option<String> {
    Process::new(pid).ok()?.stat().ok().map(|stat| stat.comm)
}

/// The processes that hold these sockets.
fn owners(inodes: &BTreeSet<u64>) -> BTreeMap<u64, (i32, String)> {
    let mut found = BTreeMap::new();
    let Ok(processes) = all_processes() else { return found };
    let end = Instant::now().checked_add(SEARCH_TIME);
    for process in processes.flatten() {
        if found.len() == inodes.len() || end.is_none_or(|end| Instant::now() > end) {
            break;
        }
        let Ok(descriptors) = process.fd() else { continue };
        for descriptor in descriptors.flatten() {
            if let FDTarget::Socket(inode) = descriptor.target
                && inodes.contains(&inode)
                && !found.contains_key(&inode)
            {
                let name = process.stat().map_or_else(|_| "a program".to_owned(), |stat| stat.comm);
                found.insert(inode, (process.pid(), name));
            }
        }
    }
    found
}

/// Whether a program of one of these names runs, and which.
pub(super) fn runs(names: &[&'static str]) -> Option<&'static str> {
    let running = |process: Process| process.stat().ok().map(|stat| stat.comm);
    let running: BTreeSet<String> = all_processes().ok()?.flatten().filter_map(running).collect();
    names.iter().copied().find(|name| running.contains(*name))
}

/// A short file of `/proc` or `/sys`, without the space around it.
pub(super) fn word(path: &str) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(WORD_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

/// Whether this machine has the address: only then can a socket be bound to it.
pub(super) fn has_address(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The IPv4 address from which this machine would reach the Internet; nothing is sent for it.
pub(super) fn outgoing_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect(ELSEWHERE).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
