//! Networks of their own: a client, a router that translates addresses, and a server, each in a
//! network namespace. Each namespace lives as long as a process in it, which ends with its standard
//! input, so that nothing is left behind however the test ends. Without root they belong to a user
//! namespace, in which the test is root.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::server::done;

/// A network namespace, with a view of the file system in which it can mount what it likes.
#[derive(Debug)]
pub struct Namespace {
    keeper: Child,
}

/// Client – router – server. IPv4 clients in [`HIDDEN`](Nat::HIDDEN) are masqueraded; the router
/// leads what comes to [`PUBLIC`](Nat::PUBLIC) to the server; everything else is routed.
#[derive(Debug)]
pub struct Nat {
    /// Has [`HIDDEN`](Nat::HIDDEN), [`CLIENT_V6`](Nat::CLIENT_V6) and [`routed`](Nat::routed).
    pub client: Namespace,
    /// Translates.
    pub router: Namespace,
    /// Has [`SERVER_V4`](Nat::SERVER_V4) and [`SERVER_V6`](Nat::SERVER_V6).
    pub server: Namespace,
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where programs are looked for: what sets up networks is commonly out of an ordinary user's way.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// The words for a server that finds a file system of its own in a directory, in memory and with these
/// options for `mount`. Nobody else sees it.
pub fn on_a_disk_of_its_own(directory: &Path, options: &str) -> Vec<String> {
    let script = "directory=$1 options=$2; shift 2; mount -t tmpfs -o \"$options\" tmpfs \"$directory\" && exec \"$@\"";
    let mut words = vec!["unshare"];
    if !is_root() {
        words.extend(["--user", "--map-root-user"]);
    }
    words.extend(["--mount", "sh", "-c", script, "sh", directory.to_str().unwrap(), options]);
    if !is_root() {
        words.extend(["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]);
    }
    words.into_iter().map(str::to_owned).collect()
}

impl Namespace {
    /// A namespace without a connection to any other.
    pub fn new() -> Self {
        let mut unshare = Command::new("unshare");
        if !is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        Self::kept(unshare)
    }

    /// Another one, which this one can be connected to.
    fn beside(&self) -> Self {
        Self::kept(self.command("unshare"))
    }

    fn kept(mut unshare: Command) -> Self {
        unshare.args(["--net", "--mount", "sh", "-c", "ip link set lo up && exec cat"]).env("PATH", path());
        let mut keeper = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It answers once it is where it is to be.
        let asked = keeper.stdin.as_mut().unwrap().write_all(b".");
        let answered = asked.and_then(|()| keeper.stdout.as_mut().unwrap().read_exact(&mut [0]));
        if answered.is_err() {
            let said = keeper.wait_with_output().unwrap().stderr;
            panic!(
                "No network namespace can be made here: {}These tests need root with CAP_SYS_ADMIN and CAP_NET_ADMIN \
                 (a container needs `--privileged`), or a kernel that lets users make user namespaces.",
                String::from_utf8_lossy(&said)
            );
        }
        Self { keeper }
    }

    /// The words that lead a command into it.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["nsenter".to_owned(), format!("--target={}", self.keeper.id())];
        if !is_root() {
            words.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
        }
        words.extend(["--net", "--mount", "--"].map(str::to_owned));
        words
    }

    /// The words for a server, which wants to be no root where it is none outside.
    pub fn words_for_a_server(&self) -> Vec<String> {
        let mut words = self.words();
        if !is_root() {
            words.extend(["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"].map(str::to_owned));
        }
        words
    }

    /// The words for a server that has its mounts, and the network of everybody else.
    pub fn words_for_its_disks(&self) -> Vec<String> {
        let words = self.words_for_a_server().into_iter();
        words.filter(|word| word != "--net").collect()
    }

    /// Where a path of it is seen from outside.
    pub fn outside(&self, path: &Path) -> PathBuf {
        Path::new("/proc").join(self.keeper.id().to_string()).join("root").join(path.strip_prefix("/").unwrap())
    }

    /// A command in it.
    pub fn command(&self, program: &str) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program).env("PATH", path());
        command
    }

    /// Lets the shell do something in it, all of which has to succeed.
    pub fn sh(&self, script: &str) -> String {
        let output = self.fed("sh", &["-e"], script);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a program in it that has to succeed, with this input.
    pub fn fed(&self, program: &str, arguments: &[&str], input: &str) -> Output {
        done(self.command(program).args(arguments), input)
    }

    fn connect(&self, interface: &str, other: &Self, others_interface: &str) {
        let (here, there) = (self.keeper.id(), other.keeper.id());
        self.sh(&format!(
            "ip link add {interface} netns {here} type veth peer name {others_interface} netns {there}\n\
             ip link set {interface} up"
        ));
        other.sh(&format!("ip link set {others_interface} up"));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

impl Nat {
    /// Where a client is unless it says otherwise: behind the router's address.
    pub const HIDDEN: &str = "10.1.0.2";
    /// How the server sees a client that is hidden.
    pub const MASQUERADED: &str = "10.2.0.1";
    /// The server's address as the world knows it.
    pub const PUBLIC: &str = "203.0.113.7";
    /// The server's own address.
    pub const SERVER_V4: &str = "10.2.0.2";
    /// The client's IPv6 address, which is routed.
    pub const CLIENT_V6: &str = "2001:db8:1::2";
    /// The server's IPv6 address.
    pub const SERVER_V6: &str = "2001:db8:2::2";

    /// One of sixty addresses of the client that are routed.
    pub fn routed(number: u8) -> String {
        assert!(number < 60);
        format!("10.1.0.{}", 130 + number)
    }

    /// Neighbours have to find each other first, for which a busy machine needs a moment. Nothing
    /// listens yet, so a refusal is the answer.
    fn wait_until_it_carries(&self) {
        let script = "
import socket, sys, time
end = time.monotonic() + 20
for target in sys.argv[1:]:
    while True:
        try:
            socket.create_connection((target, 9), timeout=1)
        except ConnectionRefusedError:
            break
        except OSError:
            assert time.monotonic() < end, target
            time.sleep(0.02)
";
        self.client.fed("python3", &["-c", script, Self::SERVER_V4, Self::PUBLIC, Self::SERVER_V6], "");
    }

    /// Lays everything out.
    pub fn new() -> Self {
        let router = Namespace::new();
        let (client, server) = (router.beside(), router.beside());
        router.connect("inside", &client, "net");
        router.connect("outside", &server, "net");
        client.sh(&format!(
            "ip addr add {hidden}/24 dev net\n\
             for last in $(seq 130 189); do ip addr add 10.1.0.$last/24 dev net; done\n\
             ip addr add {v6}/64 dev net nodad\n\
             ip route add default via 10.1.0.1\n\
             ip route add default via 2001:db8:1::1",
            hidden = Self::HIDDEN,
            v6 = Self::CLIENT_V6,
        ));
        server.sh(&format!(
            "ip addr add {v4}/24 dev net\n\
             ip addr add {v6}/64 dev net nodad\n\
             ip route add default via {gateway}\n\
             ip route add default via 2001:db8:2::1\n\
             echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start",
            v4 = Self::SERVER_V4,
            v6 = Self::SERVER_V6,
            gateway = Self::MASQUERADED,
        ));
        router.sh(&format!(
            "ip addr add 10.1.0.1/24 dev inside\n\
             ip addr add {outside}/24 dev outside\n\
             ip addr add 2001:db8:1::1/64 dev inside nodad\n\
             ip addr add 2001:db8:2::1/64 dev outside nodad\n\
             echo 1 > /proc/sys/net/ipv4/ip_forward\n\
             echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
            outside = Self::MASQUERADED,
        ));
        let translation = format!(
            "table ip nat {{
                chain prerouting {{
                    type nat hook prerouting priority dstnat
                    ip daddr {public} dnat to {server}
                }}
                chain postrouting {{
                    type nat hook postrouting priority srcnat
                    oifname \"outside\" ip saddr {hidden} masquerade
                }}
            }}",
            public = Self::PUBLIC,
            server = Self::SERVER_V4,
            hidden = Self::HIDDEN,
        );
        router.fed("nft", &["-f", "-"], &translation);
        let nat = Self { client, router, server };
        nat.wait_until_it_carries();
        nat
    }
}
