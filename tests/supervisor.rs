//! The server under a service manager: what it tells, when the watchdog is fed, and the sockets it
//! takes over. The test is the service manager.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::process::Signal;

use crate::metrics::{http, telling};
use crate::support::{PATIENCE, Server, Wire, eventually};

/// The account that a server changes to which root started.
const ACCOUNT: &str = "daemon";

/// The service manager's end, and the name for it.
fn manager(server: &Server, hidden: bool) -> (UnixDatagram, String) {
    let path = server.scratch().join("notify");
    let (socket, name) = if hidden {
        let name = format!("portcullis-{}", server.port());
        (UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(), format!("@{name}"))
    } else {
        (UnixDatagram::bind(&path).unwrap(), path.display().to_string())
    };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    (socket, name)
}

/// The next message.
fn heard(manager: &UnixDatagram) -> String {
    let mut text = [0; 4096];
    let read = manager.recv(&mut text).unwrap();
    String::from_utf8(text[..read].to_vec()).unwrap()
}

/// Words in front of a server that a service manager starts.
fn started_by(variables: &[String]) -> Vec<String> {
    ["/usr/bin/env".to_owned()].into_iter().chain(variables.iter().cloned()).collect()
}

/// Words in front of a server to which sockets are passed: `tcp:PORT`, `tcp6:PORT`, `unix:PATH` or
/// `quiet:PORT`, which does not listen.
fn passing(sockets: &[String]) -> Vec<String> {
    const SCRIPT: &str = "
import os, socket, sys
end = sys.argv.index('--')
kept = []
for text in sys.argv[1:end]:
    kind, where = text.split(':', 1)
    family = {'unix': socket.AF_UNIX, 'tcp6': socket.AF_INET6}.get(kind, socket.AF_INET)
    s = socket.socket(family)
    if kind == 'unix':
        s.bind(where)
    else:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('::' if kind == 'tcp6' else '127.0.0.1', int(where)))
    if kind != 'quiet':
        s.listen(64)
    kept.append(s)
high = [os.dup2(s.fileno(), 100 + n) for n, s in enumerate(kept)]
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n, inheritable=True)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(kept)), LISTEN_FDNAMES=':'.join(sys.argv[1:end]).replace(':', '-'))
os.execvp(sys.argv[end + 1], sys.argv[end + 1:])
";
    let mut words = ["/usr/bin/python3", "-c", SCRIPT].map(str::to_owned).to_vec();
    words.extend(sockets.iter().cloned());
    words.push("--".to_owned());
    words
}

/// Where the test runs as root, has the server change to an account of its own.
fn run_as_account(server: &Server) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with(&format!("{ACCOUNT}:"))).unwrap();
    let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    let root = server.policy().parent().unwrap().to_owned();
    for path in root.ancestors().take(2) {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let own = ["audit", "run", "state", "certs/server.key", "policy/users.toml"].map(|name| root.join(name));
    for path in own.iter().map(std::path::PathBuf::as_path).chain([server.home("alice").as_path()]) {
        chown(path, Some(ids[0]), Some(ids[1])).unwrap();
    }
    server.change("server.toml", |toml| toml["process"]["user"] = toml_edit::value(ACCOUNT));
}

#[test]
fn start_reload_and_stop_are_told() {
    for hidden in [false, true] {
        let mut server = telling().prepare();
        run_as_account(&server);
        let (manager, name) = manager(&server, hidden);
        server.run_inside(started_by(&[format!("NOTIFY_SOCKET={name}")]));
        server.start();
        assert_eq!(heard(&manager), "READY=1\nSTATUS=Serving.\n");
        Wire::login(&server, "alice").ask("QUIT", 221);
        let confined = server.log_text().contains(&format!("changed from root to {ACCOUNT}"));
        assert_eq!(confined, rustix::process::geteuid().is_root(), "{}", server.log_text());

        server.signal(Signal::HUP);
        let reloading = heard(&manager);
        let (first, time) = reloading.split_once("\nMONOTONIC_USEC=").unwrap();
        assert_eq!(first, "RELOADING=1");
        let told: f64 = time.lines().next().unwrap().parse().unwrap();
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let now: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        // The other clock goes on where the machine sleeps, and this one does not.
        assert!(told / 1e6 <= now + 1.0, "{told} {now}");
        assert_eq!(heard(&manager), "READY=1\nSTATUS=Serving.\n");

        server.change("server.toml", |toml| toml["limits"]["sessions"] = toml_edit::value(0));
        assert!(!server.command().arg("reload").status().unwrap().success());
        assert!(heard(&manager).starts_with("RELOADING=1\n"));
        let refused = heard(&manager);
        assert!(
            refused.starts_with("READY=1\nSTATUS=Serving; the policy files were refused for 1 errors"),
            "{refused}"
        );

        assert!(server.stop().success());
        let stopping = heard(&manager);
        assert!(stopping.starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000\nSTATUS=Stopping"), "{stopping}");
    }
}

#[test]
fn a_service_manager_that_is_not_there_is_no_reason_not_to_serve() {
    let mut server = telling().prepare();
    server.run_inside(started_by(&["NOTIFY_SOCKET=/nowhere/notify".to_owned()]));
    server.start();
    Wire::login(&server, "alice").ask("NOOP", 200);
    assert!(server.log_text().contains("the service manager cannot be told"), "{}", server.log_text());
}

/// The ids of a server's threads of a name.
fn threads(server: &Server, name: &str) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().map(|task| task.unwrap().path());
    let named = |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let found = tasks.filter(|path| named(path));
    found.map(|path| Pid::from_raw(path.file_name().unwrap().to_str().unwrap().parse().unwrap())).collect()
}

#[test]
fn the_watchdog_is_fed_only_while_every_part_goes_on() {
    let mut server = telling().prepare();
    let (manager, name) = manager(&server, false);
    server.run_inside(started_by(&[format!("NOTIFY_SOCKET={name}"), "WATCHDOG_USEC=1000000".to_owned()]));
    server.start();
    let fed = |within: Duration| {
        manager.set_read_timeout(Some(within)).unwrap();
        let mut text = [0; 4096];
        manager.recv(&mut text).is_ok_and(|read| text[..read].starts_with(b"WATCHDOG=1"))
    };
    assert!(heard(&manager).contains('1'));
    let began = Instant::now();
    eventually("it is fed several times", || (fed(PATIENCE) && fed(PATIENCE) && fed(PATIENCE)).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(10));
    if !rustix::process::geteuid().is_root() {
        // Nobody else may hold single threads of it.
        return;
    }
    for name in ["audit", "tokio-rt-worker"] {
        let held = threads(&server, name);
        assert!(!held.is_empty(), "{name}");
        for thread in &held {
            ptrace::attach(*thread).unwrap();
            waitpid(*thread, Some(nix::sys::wait::WaitPidFlag::__WALL)).unwrap();
        }
        eventually("it is fed no more", || (!fed(Duration::from_millis(1500))).then_some(()));
        assert!(server.log_text().contains("the watchdog is not fed"), "{name}: {}", server.log_text());
        for thread in held {
            ptrace::detach(thread, None).unwrap();
        }
        eventually("it is fed again", || fed(PATIENCE).then_some(()));
    }
    server.terminate();
    assert!(server.wait().success());
}

#[test]
fn sockets_that_are_passed_are_used_instead_of_own_ones() {
    let mut server = telling().policy("metrics.socket", "../run/metrics.sock").prepare();
    run_as_account(&server);
    let socket = server.policy().parent().unwrap().join("run/metrics.sock");
    let port = server.port();
    // Bound by somebody else already: its own could not be.
    let sockets =
        [format!("tcp:{}", server.ports().metrics()), format!("tcp:{port}"), format!("unix:{}", socket.display())];
    server.run_inside(passing(&sockets));
    server.start();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR f", b"x");
    assert_eq!(http(&server, "GET", "/ready").0, 200);
    let environment = fs::read(format!("/proc/{}/environ", server.pid())).unwrap();
    assert!(!environment.is_empty());
    wire.ask("QUIT", 221);
    assert!(server.stop().success());
    assert!(socket.exists(), "whoever made it removes it");
}

#[test]
fn sockets_that_nobody_wants_are_refused_with_what_to_do() {
    let mut server = telling().prepare();
    let (port, other) = (server.port(), server.ports().client());
    let stray = server.scratch().join("stray.sock");
    for (sockets, why) in [
        (vec![format!("tcp:{port}"), format!("tcp:{other}")], "names neither in [listen] nor in [metrics]"),
        (vec![format!("tcp6:{other}")], "BindIPv6Only=ipv6-only"),
        (vec![format!("quiet:{port}")], "does not listen"),
        (vec![format!("unix:{}", stray.display())], "not the [metrics] socket"),
    ] {
        let words = passing(&sockets);
        let mut command = std::process::Command::new(&words[0]);
        command.args(&words[1..]).arg(env!("CARGO_BIN_EXE_portcullis")).arg("--policy").arg(server.policy());
        let output = command.arg("serve").stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(why), "{sockets:?}: {text}");
        assert!(text.contains("that the service manager passes"), "{text}");
    }
    server.start();
}
