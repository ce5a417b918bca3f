//! Proves each layer of the sandbox by trying what it forbids.
//!
//! Entering is irrevocable and must precede all threads, so the trials run in processes of their
//! own: this program starts itself again, once for each way of entering, and once without entering
//! at all, which shows that a trial fails for no other reason than the sandbox. A trial that fails
//! there too, or a layer that the kernel lacks, proves nothing: it is reported as such, and is a
//! failure where `PORTCULLIS_REQUIRE_SANDBOX` is set.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use portcullis::config::RunAs;
use portcullis::daemon::sandbox::{self, Plan, SandboxError};
use rustix::fs::{FileType, Mode};
use socket2::{Domain, Protocol, Socket, Type};

const MODE: &str = "PORTCULLIS_SANDBOX_TRIAL";
const REQUIRE: &str = "PORTCULLIS_REQUIRE_SANDBOX";
/// Commonly `nobody`; any unprivileged id serves.
const OTHER_ID: u32 = 65534;

const EPERM: i32 = 1;
const EACCES: i32 = 13;

/// The files and ports of one run.
struct Stage {
    base: PathBuf,
    inside: u16,
    outside: u16,
    target: u16,
}

/// What refuses a trial, and how.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    /// Nothing does.
    Works,
    /// Landlock.
    Files,
    /// Landlock since ABI 3.
    Truncation,
    /// Landlock since ABI 4.
    Ports,
    /// Landlock since ABI 4, unless the plan permits connecting.
    Connect,
    /// The same, unless it permits connecting to any port.
    ConnectElsewhere,
    /// The filter.
    Filter,
    /// The filter, unless the plan has names to be looked up.
    Datagram,
    /// The filter, unless the plan has a socket of this machine.
    Local,
}

type Trial = (&'static str, Expect, fn(&Stage) -> io::Result<()>);

/// In this order: the last ones change the process where nothing refuses them.
const TRIALS: &[Trial] = &[
    ("read a file outside", Expect::Files, |stage| File::open(stage.base.join("outside/file")).map(drop)),
    ("list a directory outside", Expect::Files, |stage| fs::read_dir(stage.base.join("outside")).map(drop)),
    ("create a file outside", Expect::Files, |stage| File::create(stage.base.join("outside/new")).map(drop)),
    ("read the system's accounts", Expect::Files, |_| File::open("/etc/passwd").map(drop)),
    ("read its own memory map", Expect::Files, |_| File::open("/proc/self/maps").map(drop)),
    ("read a file that is only read", Expect::Works, |stage| fs::read(stage.base.join("config/file")).map(drop)),
    ("read a file named by itself", Expect::Works, |stage| fs::read(stage.base.join("single")).map(drop)),
    ("write a file that is only read", Expect::Files, |stage| {
        OpenOptions::new().append(true).open(stage.base.join("config/file")).map(drop)
    }),
    ("create a file where files are only read", Expect::Files, |stage| {
        File::create(stage.base.join("config/new")).map(drop)
    }),
    ("remove a file that is only read", Expect::Files, |stage| {
        fs::write(stage.base.join("outside/spare"), "")?;
        fs::remove_file(stage.base.join("outside/spare"))
    }),
    ("the work of a file server", Expect::Works, work_on_files),
    ("the work of a log", Expect::Works, |stage| {
        let path = stage.base.join("log/new");
        OpenOptions::new().create(true).append(true).open(&path)?.write_all(b"line")?;
        fs::read(stage.base.join("log/file")).map(drop)
    }),
    ("remove a file of a log", Expect::Files, |stage| fs::remove_file(stage.base.join("log/spare"))),
    ("rename a file of a log", Expect::Files, |stage| {
        fs::rename(stage.base.join("log/file"), stage.base.join("log/other"))?;
        fs::rename(stage.base.join("log/other"), stage.base.join("log/file"))
    }),
    ("move a file of a log away", Expect::Files, |stage| {
        fs::rename(stage.base.join("log/file"), stage.base.join("home/file"))?;
        fs::rename(stage.base.join("home/file"), stage.base.join("log/file"))
    }),
    ("put another file over a log", Expect::Files, |stage| {
        fs::write(stage.base.join("log/over"), "")?;
        fs::rename(stage.base.join("log/over"), stage.base.join("log/file"))
    }),
    ("truncate a log as it is opened", Expect::Truncation, |stage| {
        OpenOptions::new().write(true).truncate(true).open(stage.base.join("log/file")).map(drop)
    }),
    ("truncate an opened log", Expect::Truncation, |stage| {
        OpenOptions::new().write(true).open(stage.base.join("log/file"))?.set_len(1)
    }),
    ("make a directory in a log", Expect::Files, |stage| {
        fs::create_dir(stage.base.join("log/directory"))?;
        fs::remove_dir(stage.base.join("log/directory"))
    }),
    ("remove the control socket", Expect::Works, |stage| fs::remove_file(stage.base.join("run/socket"))),
    ("make a file beside the control socket", Expect::Files, |stage| {
        File::create(stage.base.join("run/new")).map(drop)
    }),
    ("read a file beside the control socket", Expect::Files, |stage| fs::read(stage.base.join("run/spare")).map(drop)),
    ("the work of a network server", Expect::Works, serve),
    ("threads, signals and a runtime", Expect::Works, |_| run_a_runtime()),
    ("bind a port of the plan", Expect::Works, |stage| TcpListener::bind(("127.0.0.1", stage.inside)).map(drop)),
    ("bind another port", Expect::Ports, |stage| TcpListener::bind(("127.0.0.1", stage.outside)).map(drop)),
    ("bind any port", Expect::Ports, |_| TcpListener::bind(("127.0.0.1", 0)).map(drop)),
    ("connect", Expect::Connect, |stage| TcpStream::connect(("127.0.0.1", stage.target)).map(drop)),
    ("connect to another port", Expect::ConnectElsewhere, |stage| {
        // Nobody listens there, which is found out where the attempt is permitted.
        match TcpStream::connect(("127.0.0.1", stage.outside)) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            other => other.map(drop),
        }
    }),
    ("a UDP socket", Expect::Datagram, |_| Socket::new(Domain::IPV4, Type::DGRAM, None).map(drop)),
    ("a UDP socket of IPv6", Expect::Datagram, |_| {
        Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).map(drop)
    }),
    ("a datagram socket of UDP-Lite", Expect::Filter, |_| {
        Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::from(136))).map(drop)
    }),
    ("a Unix stream socket", Expect::Local, |_| Socket::new(Domain::UNIX, Type::STREAM, None).map(drop)),
    ("a Unix datagram socket", Expect::Local, |_| Socket::new(Domain::UNIX, Type::DGRAM, None).map(drop)),
    ("a Unix socket of another kind", Expect::Filter, |_| Socket::new(Domain::UNIX, Type::SEQPACKET, None).map(drop)),
    ("speak to a socket of this machine", Expect::Local, |stage| {
        let near = std::os::unix::net::UnixDatagram::unbound()?;
        near.send_to(b"hello", stage.base.join("local")).map(drop)
    }),
    ("a raw socket", Expect::Filter, |_| Socket::new(Domain::IPV4, Type::from(3), Some(Protocol::from(1))).map(drop)),
    ("a packet socket", Expect::Filter, |_| Socket::new(Domain::from(17), Type::from(3), None).map(drop)),
    ("a kernel socket", Expect::Filter, |_| Socket::new(Domain::from(16), Type::from(3), None).map(drop)),
    ("a multipath stream socket", Expect::Filter, |_| {
        Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(262))).map(drop)
    }),
    ("a symbolic link", Expect::Filter, |stage| {
        let path = stage.base.join("home/link");
        symlink("/etc", &path)?;
        fs::remove_file(path)
    }),
    ("a named pipe", Expect::Filter, |stage| {
        let path = stage.base.join("home/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR, 0)?;
        fs::remove_file(path)
    }),
    ("run a program", Expect::Filter, |_| Command::new("/bin/true").status().map(drop)),
    ("become another program", Expect::Filter, |_| {
        use std::os::unix::process::CommandExt;
        // Without the sandbox, the program's failure to be found shows that it was looked for.
        match Command::new("/nonexistent/program").exec() {
            error if error.kind() == io::ErrorKind::NotFound => Ok(()),
            error => Err(error),
        }
    }),
    ("another personality", Expect::Filter, |_| {
        nix::sys::personality::set(nix::sys::personality::get()?)?;
        Ok(())
    }),
    ("a new root directory", Expect::Filter, |_| std::os::unix::fs::chroot("/")),
    ("set the user id", Expect::Filter, |_| Ok(rustix::thread::set_thread_uid(rustix::process::getuid())?)),
    ("set the group id", Expect::Filter, |_| Ok(rustix::thread::set_thread_gid(rustix::process::getgid())?)),
    ("become root", Expect::Filter, |_| Ok(rustix::thread::set_thread_uid(rustix::process::Uid::ROOT)?)),
    ("set capabilities", Expect::Filter, |_| {
        let sets = rustix::thread::capabilities(None)?;
        Ok(rustix::thread::set_capabilities(None, sets)?)
    }),
    ("a namespace", Expect::Filter, |_| Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)?)),
    ("be traced", Expect::Filter, |_| Ok(nix::sys::ptrace::traceme()?)),
];

fn main() -> ExitCode {
    if env::args().any(|argument| argument == "--list") {
        println!("sandbox: test");
        return ExitCode::SUCCESS;
    }
    match env::var(MODE) {
        Ok(mode) => child(&mode),
        Err(_) => parent(),
    }
}

/// What the trials of one process gave: the error's number, 0 for none.
type Results = BTreeMap<String, i32>;

fn parent() -> ExitCode {
    let root = rustix::process::geteuid().is_root();
    let mut modes = vec!["enter", "enter-connect", "enter-look-up", "enter-keeper"];
    if root {
        modes.push("enter-as-other");
    } else {
        eprintln!("NOT PROVEN: changing from root to another account (not started as root)");
    }
    let target = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let control = run("control", &target).expect("the trials without a sandbox");
    let (mut failed, mut unproven) = (0, usize::from(!root));
    for mode in modes {
        let results = match run(mode, &target) {
            Ok(results) => results,
            Err(output) => {
                eprintln!("FAILED: {mode}: {output}");
                failed += 1;
                continue;
            }
        };
        let abi = results["landlock abi"];
        let mut proven = 0;
        for (name, expect, _) in TRIALS {
            let (without, within) = (control[*name], results[*name]);
            let (present, refusal) = match expect {
                Expect::Works => (true, 0),
                Expect::Connect if ["enter-connect", "enter-keeper"].contains(&mode) => (true, 0),
                Expect::ConnectElsewhere if mode == "enter-connect" => (true, 0),
                Expect::Local if mode == "enter-keeper" => (true, 0),
                Expect::Datagram if mode == "enter-look-up" => (true, 0),
                Expect::Files => (abi >= 1, EACCES),
                Expect::Truncation => (abi >= 3, EACCES),
                Expect::Ports | Expect::Connect | Expect::ConnectElsewhere => (abi >= 4, EACCES),
                Expect::Filter | Expect::Datagram | Expect::Local => (results["seccomp"] == 1, EPERM),
            };
            if !present {
                eprintln!("NOT PROVEN: {mode}: {name}: the kernel lacks the layer");
                unproven += 1;
            } else if within != refusal {
                eprintln!("FAILED: {mode}: {name}: expected error {refusal}, got {within}");
                failed += 1;
            } else if without != 0 {
                eprintln!("NOT PROVEN: {mode}: {name}: fails without the sandbox too ({without})");
                unproven += 1;
            } else {
                proven += 1;
            }
        }
        println!("{mode}: {proven} of {} trials as expected, Landlock ABI {abi}", TRIALS.len());
    }
    if let Err(output) = run("threads", &target) {
        eprintln!("FAILED: a second thread: {output}");
        failed += 1;
    }
    if failed > 0 || (unproven > 0 && env::var_os(REQUIRE).is_some()) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs the trials in a process of their own, on fresh files.
fn run(mode: &str, target: &TcpListener) -> Result<Results, String> {
    let base = tempfile::tempdir().unwrap();
    fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for directory in ["home", "home/a", "home/b", "config", "log", "outside", "run"] {
        fs::create_dir(base.path().join(directory)).unwrap();
    }
    for file in ["config/file", "log/file", "log/spare", "outside/file", "run/socket", "run/spare", "single"] {
        fs::write(base.path().join(file), "content").unwrap();
    }
    if mode == "enter-as-other" {
        for path in ["home", "home/a", "home/b", "config", "config/file", "log", "log/file", "log/spare"]
            .into_iter()
            .chain(["outside", "outside/file", "single", "run", "run/socket", "run/spare"])
        {
            chown(base.path().join(path), Some(OTHER_ID), Some(OTHER_ID)).unwrap();
        }
    }
    let local = base.path().join("local");
    let _local = std::os::unix::net::UnixDatagram::bind(&local).unwrap();
    fs::set_permissions(&local, fs::Permissions::from_mode(0o777)).unwrap();
    let free = || TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (inside, outside) = (free(), free());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port().to_string();
    let ports = [port(&inside), port(&outside), port(target)].join(" ");
    drop((inside, outside));
    let output = Command::new(env::current_exe().unwrap())
        .env(MODE, mode)
        .arg(base.path())
        .args(ports.split(' '))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if !output.status.success() {
        return Err(format!("{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let line = |line: &str| line.split_once('\t').map(|(name, errno)| (name.to_owned(), errno.parse().unwrap()));
    Ok(text.lines().filter_map(line).collect())
}

fn child(mode: &str) -> ExitCode {
    let mut arguments = env::args().skip(1);
    let base = PathBuf::from(arguments.next().unwrap());
    let mut port = || arguments.next().unwrap().parse().unwrap();
    let stage = Stage { base, inside: port(), outside: port(), target: port() };
    let plan = Plan {
        run_as: (mode == "enter-as-other").then(|| RunAs { name: "other".into(), uid: OTHER_ID, gid: OTHER_ID }),
        read_only: vec![stage.base.join("config"), stage.base.join("single"), stage.base.join("absent")],
        read_write: vec![stage.base.join("home")],
        create_write: vec![stage.base.join("log")],
        remove: vec![stage.base.join("run")],
        bind_ports: vec![stage.inside..=stage.inside],
        connect: mode == "enter-connect",
        connect_ports: if mode == "enter-keeper" { vec![stage.target] } else { Vec::new() },
        local_sockets: if mode == "enter-keeper" { vec![stage.base.join("local")] } else { Vec::new() },
        look_up: mode == "enter-look-up",
        require: false,
    };
    match mode {
        "control" => {}
        "threads" => {
            let (release, released) = std::sync::mpsc::channel::<()>();
            let other = std::thread::spawn(move || released.recv());
            assert!(matches!(sandbox::enter(&plan), Err(SandboxError::Threads(2))));
            drop(release);
            other.join().unwrap().unwrap_err();
            return ExitCode::SUCCESS;
        }
        _ => enter(&plan, &stage),
    }
    for (name, _, act) in TRIALS {
        let errno = act(&stage).map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0);
        println!("{name}\t{errno}");
    }
    ExitCode::SUCCESS
}

/// Enters, and holds the report against what the kernel says of the process.
fn enter(plan: &Plan, stage: &Stage) {
    let was_root = rustix::process::geteuid().is_root();
    // Open already, as it cannot be opened afterwards; what it says is made when it is read.
    let mut status_file = File::open("/proc/self/status").unwrap();
    let report = sandbox::enter(plan).unwrap();
    let mut status = String::new();
    status_file.rewind().unwrap();
    status_file.read_to_string(&mut status).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let none = "0000000000000000";
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set), none, "{set}");
    }
    assert_eq!(field("CapBnd") == none, report.privileges.bounding_set_empty);
    assert!(report.privileges.bounding_set_empty || !was_root);
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Seccomp") == "2", report.seccomp);
    assert_eq!(field("Umask"), "0027");
    let core = rustix::process::getrlimit(rustix::process::Resource::Core);
    assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
    if was_root {
        assert_eq!(field("Groups"), "");
    }
    if let Some(account) = &plan.run_as {
        let id = account.uid.to_string();
        assert_eq!(field("Uid"), [id.as_str(); 4].join(" "));
        assert_eq!(field("Gid"), [id.as_str(); 4].join(" "));
    }
    let text = report.to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
    if was_root && plan.run_as.is_none() {
        assert!(text.contains("[process] user"), "{text}");
    }
    if let Some(landlock) = &report.landlock {
        assert_eq!(landlock.absent, [stage.base.join("absent")]);
    }
    println!("landlock abi\t{}", report.landlock.as_ref().map_or(0, |landlock| landlock.abi));
    println!("seccomp\t{}", i32::from(report.seccomp));
}

fn work_on_files(stage: &Stage) -> io::Result<()> {
    let home = stage.base.join("home");
    let at = |name: &str| home.join(name);
    let mut file = File::create_new(at("a/staged"))?;
    file.write_all(b"content")?;
    file.set_len(3)?;
    file.sync_all()?;
    fs::rename(at("a/staged"), at("b/file"))?;
    File::open(at("b"))?.sync_all()?;
    OpenOptions::new().write(true).truncate(true).open(at("b/file"))?.write_all(b"again")?;
    fs::create_dir(at("c"))?;
    fs::rename(at("c"), at("a/c"))?;
    fs::remove_dir(at("a/c"))?;
    let listed = fs::read_dir(at("b"))?.count();
    fs::remove_file(at("b/file"))?;
    rustix::fs::statvfs(&home)?;
    if listed == 1 { Ok(()) } else { Err(io::Error::other("listing")) }
}

/// Accepting needs no connection of our own: a listener without clients says so at once.
fn serve(stage: &Stage) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    let address: std::net::SocketAddr = ([127, 0, 0, 1], stage.inside).into();
    socket.bind(&address.into())?;
    socket.listen(8)?;
    socket.set_nonblocking(true)?;
    match socket.accept() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        other => return other.map(drop),
    }
    Socket::new(Domain::IPV6, Type::STREAM, None).map(drop)
}

fn run_a_runtime() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let _terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::task::spawn_blocking(|| Path::new("/").is_absolute()).await.map_err(io::Error::other)?;
        tokio::spawn(async {}).await.map_err(io::Error::other)
    });
    runtime.shutdown_background();
    outcome
}
