//! What the policy files come to: domain types, parsed, bounded and cross-checked by
//! [`crate::config`]. Nothing that grants access has a default.

pub mod keeping;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::identity::Username;
use crate::policy::Policy;
use crate::policy::account::NewPassword;
use crate::policy::tls::TlsVersion;
use crate::proto::hash::Offered;
use crate::proto::host::ServerName;

mod thresholds;

pub use thresholds::Thresholds;

/// Everything `serve` needs, from one reading of `server.toml` and `users.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory that holds the policy files.
    pub directory: PathBuf,
    /// BLAKE3 of both files and the overrides, hexadecimal; every audit record of a decision
    /// carries it.
    pub fingerprint: Arc<str>,
    /// Each `--set` of this run as it was typed, in their order.
    pub overrides: Vec<String>,
    /// Where control connections arrive.
    pub listen: Listen,
    /// As whom the server runs, and how tightly confined.
    pub process: Process,
    /// The server's identities and the least TLS version.
    pub tls: Tls,
    /// The ports and addresses of passive data connections.
    pub passive: Passive,
    /// Whether `PORT` and `EPRT` work.
    pub active: bool,
    /// How failed logins are slowed down.
    pub login: Login,
    /// What a password must be.
    pub passwords: Passwords,
    /// Where passwords are kept that users change themselves; none where only the administrator
    /// changes them.
    pub password_changes: Option<PasswordChanges>,
    /// Bounds on sessions, commands and time.
    pub limits: Limits,
    /// Where homes may lie and how uploads are kept.
    pub storage: Storage,
    /// Where and how the audit log is written.
    pub audit: Audit,
    /// How long the audit log is kept, and where it is copied to.
    pub keeping: keeping::Keeping,
    /// From where on something in the audit log is a finding.
    pub findings: Thresholds,
    /// Where and how much the operational log says.
    pub log: Log,
    /// How changes of the files come into force by themselves.
    pub reload: Reload,
    /// Where commands reach the running server; none where they do not.
    pub control: Option<Control>,
    /// Where its figures are told.
    pub metrics: Metrics,
    /// Who may do what: the decision data.
    pub policy: Arc<Policy>,
}

/// How changes of the files come into force by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Whether the files are read again when they change; else only when that is asked for.
    pub on_change: bool,
}

/// Where commands reach the running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The path of the Unix socket, in a directory that only the server's account writes.
    pub socket: PathBuf,
}

/// Where the figures of the running server are told, for this machine alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// A loopback address with a port.
    pub listen: Option<SocketAddr>,
    /// The path of a Unix socket, in a directory that only the server's account writes.
    pub socket: Option<PathBuf>,
    /// Whether the quotas of users are told one by one, by their names.
    pub users: bool,
}

/// Where control connections arrive.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Sockets on which a session begins in clear and needs `AUTH TLS` (RFC 4217).
    pub explicit: Vec<SocketAddr>,
    /// Sockets on which a session begins with the TLS handshake (commonly port 990).
    pub implicit: Vec<SocketAddr>,
    /// The proxies that tell with a PROXY header who connects through them; the first that matches
    /// counts. From any other address such a header is a foreign protocol.
    pub proxies: Vec<Proxy>,
    /// Ports on which the server does not listen now, and may after a reload.
    pub reload_ports: Vec<PortRange>,
}

/// A proxy, or several, that tells with a PROXY header who connects through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The addresses it connects from.
    pub from: IpNet,
    /// How the data connections of its clients come.
    pub data: ProxyData,
}

/// How data connections come whose control connection came through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyData {
    /// Through the proxy, each with a header.
    Header,
    /// Through the proxy without a header: they come from the proxy's own address.
    SameAddress,
    /// Past the proxy, from the client's address.
    Direct,
}

/// As whom the server runs, and how tightly confined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The account to change to where the server is started as root; none keeps the ids (and
    /// drops every capability all the same).
    pub run_as: Option<RunAs>,
    /// Whether to refuse to start where the kernel lacks Landlock for files and TCP ports (ABI 4,
    /// Linux 6.7) or seccomp.
    pub require_sandbox: bool,
}

/// A system account, resolved when the files were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// Its name.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// Its primary group id.
    pub gid: u32,
}

/// Who the server is to its clients, and the least TLS version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificates with their names; at least one. The first is shown to clients that name
    /// none.
    pub identities: Vec<Identity>,
    /// What becomes of clients that name a server which is none of these.
    pub unknown_names: UnknownNames,
    /// The least version negotiated.
    pub minimum: TlsVersion,
    /// Whether TLS 1.2 needs the extended master secret (RFC 7627).
    pub require_extended_master_secret: bool,
    /// The certificates that clients show; none where they are not asked for any.
    pub clients: Option<ClientCertificates>,
}

/// Certificates of clients: whether they have to be shown, and who vouches for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether a client without one is refused.
    pub required: bool,
    /// PEM file with the authorities that issue them.
    pub authorities: PathBuf,
    /// Files with lists of revoked ones (CRLs, RFC 5280 §5), PEM or DER. Where there are any, a
    /// certificate whose issuer has none among them is refused.
    pub revocations: Vec<PathBuf>,
}

/// A certificate and the names for which it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The names, each in one identity only; at least one. The certificate is expected to be for
    /// all of them.
    pub names: Vec<ServerName>,
    /// PEM file with the certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file with the private key; its mode was checked.
    pub key: PathBuf,
    /// DER file with the authority's word that the certificate is not revoked (OCSP, RFC 6960), to be
    /// shown with it.
    pub ocsp: Option<PathBuf>,
}

/// What becomes of clients whose TLS handshake names an unknown server (RFC 6066 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownNames {
    /// They are shown the first identity. The default.
    Default,
    /// Their handshake is refused.
    Refuse,
}

/// The ports and addresses of passive data connections.
#[derive(Clone, Debug)]
pub struct Passive {
    /// The first and last port, inclusive; both at least 1024, no listener among them.
    pub ports: PortRange,
    /// What `PASV` announces, by client network; the first match counts. Where none matches, the
    /// local address of the control connection is announced.
    pub advertise: Vec<Advertise>,
    /// How often the names among them are looked up.
    pub resolve_every: Duration,
    /// The name servers to ask; none means those of `/etc/resolv.conf`.
    pub resolvers: Vec<SocketAddr>,
}

/// Name servers that are asked, in their order; no more are looked at.
pub const RESOLVERS_MAX: usize = 3;

/// An inclusive, non-empty range of unprivileged TCP ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port; not below the first.
    pub last: u16,
}

/// An address announced to clients of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// The clients meant; none means any.
    pub clients: Option<IpNet>,
    /// The address announced to them.
    pub address: Announced,
}

/// What `PASV` announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// This address; `0.0.0.0` means the one that the control connection uses.
    Address(Ipv4Addr),
    /// The address that this host name has at the time, lower case, without a dot at its end.
    Name(Arc<str>),
}

/// How failed logins are slowed down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Failed logins after which a session is closed.
    pub attempts_per_session: NonZeroU32,
    /// Failed logins that one address (IPv6: /64) has free before it is banned.
    pub failures_per_address: NonZeroU32,
    /// Time in which one failure of an address is forgiven.
    pub failure_forgiven: Duration,
    /// Failed logins that one user from one network has free before further ones go unchecked.
    pub failures_per_user_network: NonZeroU32,
    /// Failed logins a minute, over all addresses, above which every refusal waits longest.
    pub failures_per_minute: NonZeroU32,
    /// How long the first refusal waits; each further one of the address twice as long.
    pub delay_first: Duration,
    /// How long a refusal waits at most.
    pub delay_longest: Duration,
    /// How long an address is banned once its failures are used up.
    pub ban: Duration,
    /// How long a code that was accepted counts again for the same user from the same address.
    pub code_reuse: Duration,
}

/// What a password must be, and what it costs to check one.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// The profile's name: `strict`, `nist` or `pci`.
    pub profile: PasswordProfile,
    /// Least length in characters.
    pub characters_min: usize,
    /// Least zxcvbn score, 0 to 4.
    pub score_min: u8,
    /// Words that no password may contain, lower case.
    pub banned: Vec<String>,
    /// Argon2id parameters for new hashes.
    pub argon2: Argon2Cost,
    /// Password checks that run at the same time.
    pub checks_parallel: usize,
    /// Former passwords, besides the present one, that a new one must not be.
    pub history: usize,
}

/// Passwords that users changed themselves: where they are kept, and those that count.
#[derive(Clone, Debug)]
pub struct PasswordChanges {
    /// The directory of `passwords.toml`, in which the server writes.
    pub directory: PathBuf,
    /// The text of `passwords.toml` as it was read; empty where there is none yet.
    pub text: String,
    /// The changes that count, by user: each replaces the hash that `users.toml` still has.
    pub counting: BTreeMap<Username, PasswordChange>,
}

/// A password that a user changed, or that the server hashed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordChange {
    /// What counts instead.
    pub new: NewPassword,
    /// The fingerprint of the hash of `users.toml` that it replaces.
    pub replaces: String,
}

/// A named set of password rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordProfile {
    /// 15 characters, strength, 180 days. The default.
    Strict,
    /// NIST SP 800-63B-4: 15 characters, strength, no ageing.
    Nist,
    /// PCI DSS 4.0.1: 12 characters with letters and digits, 90 days.
    Pci,
}

/// Argon2id parameters (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    /// Memory in KiB; at most 256 MiB.
    pub memory_kib: u32,
    /// Passes; at most 10.
    pub iterations: u32,
    /// Lanes; at most 4.
    pub parallelism: u32,
}

/// Bounds on sessions, commands and time.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions at the same time.
    pub sessions: usize,
    /// Sessions of one address (IPv6: /64) at the same time.
    pub sessions_per_address: usize,
    /// TLS handshakes of control connections at the same time.
    pub handshakes: usize,
    /// Longest command line, in bytes with its end.
    pub line_bytes: usize,
    /// Commands a second that one session may send on average; more are made to wait.
    pub commands_per_second: NonZeroU32,
    /// Refused or unknown commands after which a session is closed.
    pub failed_commands: u32,
    /// From connect to login.
    pub login_time: Duration,
    /// For one TLS handshake.
    pub handshake_time: Duration,
    /// Without a command or a transfer, after login.
    pub idle_time: Duration,
    /// From the reply to `PASV` or `EPSV` to the client's data connection; in active mode, for
    /// connecting to the client.
    pub data_connect_time: Duration,
    /// In a transfer, without at least 1 KiB moving.
    pub stall_time: Duration,
    /// For running transfers once the server was asked to stop.
    pub drain_time: Duration,
    /// Files hashed for clients at the same time.
    pub hashes_parallel: usize,
    /// For one file to be hashed.
    pub hash_time: Duration,
    /// For a place among those that are hashed.
    pub hash_wait_time: Duration,
    /// Files moved at the same time, over all sessions.
    pub transfers: Option<u64>,
    /// Files moved at the same time by one address (IPv6: /64).
    pub transfers_per_address: Option<u64>,
    /// Bytes a second of all uploads together.
    pub upload_bytes_per_second: Option<u64>,
    /// Bytes a second of all downloads and listings together.
    pub download_bytes_per_second: Option<u64>,
}

/// Where homes may lie and how uploads are kept.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Directories that the sandbox leaves within reach, besides the homes.
    pub base_directories: Vec<PathBuf>,
    /// Bytes that uploads leave free in the file system.
    pub free_space_floor_bytes: u64,
    /// Inodes that uploads leave free in the file system.
    pub free_inodes_floor: u64,
    /// Percent of a file system that must be free, or the operator is warned; 0 is never.
    pub free_space_warn_percent: u64,
    /// Percent of a quota from which the operator is warned.
    pub quota_warn_percent: u64,
    /// How often homes with quotas are counted anew.
    pub quota_scan: Duration,
    /// The digest of each whole file moved.
    pub digest: DigestKind,
    /// How long an interrupted upload is kept for its uploader to resume.
    pub partial_uploads: Duration,
    /// The hash functions that clients may ask for.
    pub hashes: Offered,
}

/// A digest over the content of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestKind {
    /// BLAKE3, 256 bits. The default.
    Blake3,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// None.
    Off,
}

/// Where and how the audit log is written.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The directory of `audit.jsonl`.
    pub directory: PathBuf,
    /// When records reach the disk.
    pub sync: AuditSync,
    /// PEM file with the key that signs the log; none for one that the server makes in the directory.
    pub signing_key: Option<PathBuf>,
    /// When the log is signed.
    pub checkpoints: Checkpoints,
    /// When a new file is begun.
    pub rotation: Rotation,
}

/// When the log is signed, besides at each start, rotation and stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// After so many records.
    pub records: u64,
    /// After so much time, where there is something new.
    pub time: Duration,
}

/// When the log goes on in a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Once it has so many bytes; none for never.
    pub bytes: Option<u64>,
    /// Once it is so old and something is written; none for never.
    pub age: Option<Duration>,
}

/// When audit records reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditSync {
    /// Before the client hears of the event.
    Each,
    /// Written before the client hears of it, flushed to the disk soon after.
    Group,
}

/// Where and how much the operational log says.
#[derive(Clone, Debug)]
pub struct Log {
    /// The directory of its files; none logs to standard error alone.
    pub directory: Option<PathBuf>,
    /// The least severity written.
    pub level: tracing::Level,
}

impl PortRange {
    /// How many ports the range has.
    pub fn len(self) -> usize {
        usize::from(self.last.saturating_sub(self.first)).saturating_add(1)
    }

    /// Never: a range holds at least one port.
    pub fn is_empty(self) -> bool {
        false
    }

    /// Whether the port lies in the range.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl Passive {
    /// What `PASV` announces to a client.
    pub fn advertised(&self, client: IpAddr) -> Option<&Announced> {
        let client = client.to_canonical();
        let meant = |entry: &&Advertise| entry.clients.is_none_or(|net| net.contains(&client));
        self.advertise.iter().find(meant).map(|entry| &entry.address)
    }

    /// The host names that have to be looked up, each once.
    pub fn names(&self) -> BTreeSet<Arc<str>> {
        let name = |entry: &Advertise| match &entry.address {
            Announced::Name(name) => Some(Arc::clone(name)),
            Announced::Address(_) => None,
        };
        self.advertise.iter().filter_map(name).collect()
    }
}
