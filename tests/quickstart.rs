//! What people type first, and that what is printed can be pasted.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::clients::{Ran, run, run_with, spawn, wait};
use crate::support::ports::PortBlock;
use crate::support::server::portcullis;
use crate::support::{PASSWORD, PATIENCE, eventually};

/// One at a time: all of them use the same passive ports.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory whose name the shell, lftp and Python might each misunderstand.
fn directory() -> TempDir {
    tempfile::Builder::new().prefix("portcullis it's \"first\" $HOME ").tempdir().unwrap()
}

/// A server in the foreground of somebody's terminal.
struct Foreground {
    child: Child,
    lines: Receiver<String>,
}

impl Foreground {
    fn start(command: &mut Command) -> Self {
        let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()));
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, lines) = channel();
        thread::spawn(move || output.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    fn quickstart(directory: &Path, port: u16) -> Self {
        let listen = format!("127.0.0.1:{port}");
        Self::start(portcullis().arg("quickstart").arg("--dir").arg(directory).args(["--listen", &listen]))
    }

    /// What it prints up to a line.
    fn printed(&self, last: &str) -> Vec<String> {
        let mut printed = Vec::new();
        while printed.last().is_none_or(|line| line != last) {
            let line = self.lines.recv_timeout(PATIENCE);
            printed.push(line.unwrap_or_else(|error| panic!("{error} after {printed:?}")));
        }
        printed
    }

    /// Ctrl-C; returns the exit code.
    fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        wait(&mut self.child, PATIENCE).expect("Ctrl-C does not end it").code()
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The commands among the lines: those that are indented, and the script.
fn commands(printed: &[String]) -> Vec<String> {
    let python = printed.iter().position(|line| line.starts_with("python3 ")).unwrap();
    let lines = printed[..python].iter().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned);
    lines.chain([printed[python..].join("\n")]).collect()
}

/// Pastes a command into a shell.
fn paste(command: &str, home: &Path) -> Ran {
    run(Command::new("sh").args(["-c", command]).current_dir(home).env("HOME", home))
}

#[test]
fn every_printed_line_works_when_pasted() {
    let (_turn, ports) = (turn(), PortBlock::claim());
    let (directory, home) = (directory(), tempfile::tempdir().unwrap());
    let site = directory.path().join("demo");
    let server = Foreground::quickstart(&site, ports.explicit());
    let printed = server.printed("END");
    let commands = commands(&printed);
    assert_eq!(commands.len(), 4, "an upload, a listing, lftp and Python: {printed:?}");
    for (command, program) in commands.iter().zip(["curl", "curl", "lftp", "python3"]) {
        assert!(command.contains(program), "{command}");
        let out = paste(command, home.path()).done().text();
        let upload = command.contains("-T");
        assert!(
            upload || out.lines().any(|line| line.starts_with("-rw") && line.ends_with(" hello.txt")),
            "{command}: {out}"
        );
    }
    assert_eq!(fs::read(site.join("files/demo/hello.txt")).unwrap(), b"hello\n");
    for part in [
        "certs/ca.pem",
        "certs/server.pem",
        "certs/server.key",
        "certs/audit.key",
        "certs/audit.pub",
        "policy/server.toml",
        "policy/users.toml",
        "audit/audit.jsonl",
    ] {
        assert!(site.join(part).is_file(), "{part}");
    }
    assert_eq!(server.interrupt(), Some(0));
}

#[test]
fn run_again_it_goes_on_with_the_same_password() {
    let (_turn, ports) = (turn(), PortBlock::claim());
    let (directory, home) = (directory(), tempfile::tempdir().unwrap());
    let site = directory.path().join("demo");
    let first = Foreground::quickstart(&site, ports.explicit());
    let printed = first.printed("END");
    let password = printed.iter().find_map(|line| line.strip_prefix("password  ")).unwrap();
    let password = password.split(' ').next().unwrap().to_owned();
    let commands = commands(&printed);
    paste(&commands[0], home.path()).done();
    assert_eq!(first.interrupt(), Some(0));

    let kept = fs::read(site.join("policy/users.toml")).unwrap();
    let second = Foreground::quickstart(&site, ports.explicit());
    let printed = second.printed("END");
    assert!(!printed.iter().any(|line| line.contains(&password)), "the password is shown once");
    for command in &commands[1..] {
        let out = paste(command, home.path()).done().text();
        assert!(out.contains("hello.txt"), "{command}: {out}");
    }
    assert_eq!(fs::read(site.join("policy/users.toml")).unwrap(), kept);
    assert_eq!(second.interrupt(), Some(0));
    for file in fs::read_dir(site.join("audit")).unwrap().map(|entry| entry.unwrap().path()) {
        assert!(!fs::read_to_string(&file).unwrap().contains(&password), "{} has the password", file.display());
    }
}

#[test]
fn without_a_directory_it_makes_one_here() {
    let (_turn, ports) = (turn(), PortBlock::claim());
    let here = tempfile::tempdir().unwrap();
    let listen = format!("127.0.0.1:{}", ports.explicit());
    let server = Foreground::start(portcullis().args(["quickstart", "--listen", &listen]).current_dir(here.path()));
    server.printed("END");
    assert!(here.path().join("portcullis-demo/files/demo").is_dir());
    assert_eq!(server.interrupt(), Some(0));
}

/// A deployment in a directory, as the contract of the command line has it.
struct Site {
    directory: TempDir,
    ports: PortBlock,
}

impl Site {
    fn init() -> Self {
        let (directory, ports) = (directory(), PortBlock::claim());
        let site = Self { directory, ports };
        let (first, last) = site.ports.passive();
        let listen = format!("127.0.0.1:{}", site.ports.explicit());
        let passive = format!("{first}-{last}");
        run(portcullis().arg("init").arg(site.root()).args([
            "--listen",
            &listen,
            "--passive-ports",
            &passive,
            "--hostname",
            "localhost",
        ]))
        .done();
        site
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("site")
    }

    fn policy(&self) -> PathBuf {
        self.root().join("policy")
    }

    fn with_alice() -> Self {
        let site = Self::init();
        let home = site.directory.path().join("alice");
        let mut add = portcullis();
        // The policy's directory may come behind the command, too.
        add.args(["user", "add", "alice", "--home"])
            .arg(&home)
            .args(["--password-stdin", "--policy"])
            .arg(site.policy());
        run_with(&mut add, format!("{PASSWORD}\n").as_bytes(), PATIENCE).done();
        site
    }

    fn check(&self, arguments: &[&str]) -> Ran {
        run(portcullis().arg("--policy").arg(self.policy()).args(["policy", "check"]).args(arguments))
    }

    fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.policy().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
}

#[test]
fn init_user_add_and_serve_serve_a_user() {
    let site = Site::with_alice();
    let server = Foreground::start(portcullis().arg("--policy").arg(site.policy()).arg("serve"));
    let authority = site.root().join("certs/ca.pem");
    let address = format!("ftp://localhost:{}/file", site.ports.explicit());
    let mut curl = Command::new("curl");
    curl.args([
        "--disable",
        "-sS",
        "--ssl-reqd",
        "--retry",
        "20",
        "--retry-connrefused",
        "--retry-delay",
        "1",
        "--cacert",
    ]);
    curl.arg(authority).args(["--user", &format!("alice:{PASSWORD}"), "--upload-file", "-", &address]);
    eventually("the server accepts connections", || {
        std::net::TcpStream::connect(("127.0.0.1", site.ports.explicit())).ok()
    });
    run_with(&mut curl, b"content", PATIENCE).done();
    assert_eq!(fs::read(site.directory.path().join("alice/file")).unwrap(), b"content");
    assert_eq!(server.interrupt(), Some(0));
}

#[test]
fn a_good_policy_is_said_to_be_good() {
    let site = Site::with_alice();
    let text = site.check(&[]).done().text();
    assert!(text.contains("good") && text.contains("1 user,"), "{text}");
    let report: serde_json::Value = serde_json::from_str(&site.check(&["--json"]).done().text()).unwrap();
    assert_eq!((&report["good"], &report["errors"]), (&true.into(), &0.into()));
}

#[test]
fn a_bad_policy_is_exit_code_78_with_every_problem_and_its_place() {
    let site = Site::with_alice();
    site.change("server.toml", "[limits]", "[limits]\nidle-second = 60");
    site.change("users.toml", "[user.alice]", "[user.alice]\nquota-bytes = -5");
    let checked = site.check(&[]);
    assert_eq!(checked.code, Some(78));
    for part in ["server.toml:", "idle-second", "idle-seconds", "users.toml:", "quota-bytes"] {
        assert!(checked.err.contains(part), "{part} in {}", checked.err);
    }
    let report = site.check(&["--json"]);
    assert_eq!(report.code, Some(78));
    let report: serde_json::Value = serde_json::from_str(&report.text()).unwrap();
    assert_eq!((&report["good"], &report["errors"]), (&false.into(), &2.into()), "{report}");

    let served = run(portcullis().arg("--policy").arg(site.policy()).arg("serve"));
    assert_eq!(served.code, Some(78), "{}", served.err);
    let overridden = run(portcullis().arg("--policy").arg(site.policy()).args(["serve", "--set", "limits.sessions=0"]));
    assert_eq!(overridden.code, Some(78), "{}", overridden.err);
}

#[test]
fn a_policy_that_is_not_there_is_exit_code_78() {
    let nowhere = tempfile::tempdir().unwrap();
    let served = run(portcullis().arg("--policy").arg(nowhere.path().join("policy")).arg("serve"));
    assert_eq!(served.code, Some(78), "{}", served.err);
    assert!(served.err.contains("server.toml"), "{}", served.err);
}
