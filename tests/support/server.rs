//! The real binary, set up by its own commands in a directory of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use toml_edit::{DocumentMut, Item, Value};

use super::ports::PortBlock;
use super::records::Record;
use super::{PASSWORD, eventually};

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    ports: PortBlock,
    overrides: Vec<String>,
    inside: Vec<String>,
    directory: TempDir,
    address: IpAddr,
}

/// How a server is to be.
#[derive(Debug, Default)]
pub struct Builder {
    users: Vec<(String, Vec<String>)>,
    policy: Vec<(String, String)>,
    users_text: String,
    overrides: Vec<String>,
    allow_from: Option<String>,
    implicit: bool,
    metrics: bool,
    address: Option<IpAddr>,
    names: Vec<String>,
    inside: Vec<String>,
}

/// The binary under test.
pub fn portcullis() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env_remove("PORTCULLIS_POLICY");
    command
}

/// Runs a command that has to succeed.
pub fn done(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The command with other words in front.
fn behind(words: &[String], command: &Command) -> Command {
    let mut all = words.iter().map(OsStr::new).chain([command.get_program()]).chain(command.get_args());
    let mut made = Command::new(all.next().unwrap());
    made.args(all).env_remove("PORTCULLIS_POLICY");
    made
}

impl Builder {
    /// A user besides `alice`, with further arguments for `user add`. `alice` herself may be given
    /// arguments too.
    #[must_use]
    pub fn user(mut self, name: &str, arguments: &[&str]) -> Self {
        self.users.push((name.to_owned(), arguments.iter().map(|&text| text.to_owned()).collect()));
        self
    }

    /// A key of `server.toml`, such as `limits.idle-seconds`, written into the file.
    #[must_use]
    pub fn policy(mut self, key: &str, value: &str) -> Self {
        self.policy.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Text for the end of `users.toml`.
    #[must_use]
    pub fn users_toml(mut self, text: &str) -> Self {
        self.users_text.push_str(text);
        self
    }

    /// An argument for `serve --set`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.overrides.push(format!("{key}={value}"));
        self
    }

    /// The network that may come; this machine unless said otherwise.
    #[must_use]
    pub fn allow_from(mut self, network: &str) -> Self {
        self.allow_from = Some(network.to_owned());
        self
    }

    /// The address to listen on; 127.0.0.1 unless said otherwise.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        self.address = Some(address.parse().unwrap());
        self
    }

    /// A name or address in the certificate, besides `localhost`.
    #[must_use]
    pub fn hostname(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// Whether to listen for implicit TLS, too.
    #[must_use]
    pub fn implicit(mut self) -> Self {
        self.implicit = true;
        self
    }

    /// Whether it tells its figures, on a port of its own.
    #[must_use]
    pub fn metrics(mut self) -> Self {
        self.metrics = true;
        self
    }

    /// Words in front of `portcullis serve`, which lead into a network namespace.
    #[must_use]
    pub fn inside(mut self, words: Vec<String>) -> Self {
        self.inside = words;
        self
    }

    /// Sets everything up and waits until the server accepts connections.
    pub fn start(self) -> Server {
        let mut server = self.prepare();
        server.start();
        server
    }

    /// Sets everything up without starting the server.
    pub fn prepare(mut self) -> Server {
        let directory = tempfile::Builder::new().prefix("portcullis-test-").tempdir().unwrap();
        let address = self.address.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let (overrides, inside) = (self.overrides, self.inside);
        let server = Server { child: None, ports: PortBlock::claim(), overrides, inside, directory, address };
        let (first, last) = server.ports.passive();
        let mut init = portcullis();
        init.arg("init").arg(server.root());
        init.args(["--listen", &SocketAddr::new(address, server.ports.explicit()).to_string()]);
        if self.implicit {
            init.args(["--implicit", &SocketAddr::new(address, server.ports.implicit()).to_string()]);
        }
        init.args(["--passive-ports", &format!("{first}-{last}"), "--hostname", "localhost"]);
        for name in &self.names {
            init.args(["--hostname", name]);
        }
        let this_machine = if address.is_ipv4() { "127.0.0.0/8" } else { "::1" };
        init.args(["--allow-from", self.allow_from.as_deref().unwrap_or(this_machine)]);
        done(&mut init, "");
        // Whether or not the machine has an account that root's `init` chooses by itself.
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        for directory in ["audit", "run", "state"] {
            std::os::unix::fs::chown(server.root().join(directory), Some(uid), Some(gid)).unwrap();
        }
        let key = server.root().join("certs/server.key");
        std::os::unix::fs::chown(&key, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        // Cheap hashes and short delays: tests of those state their own.
        server.change("server.toml", |toml| {
            toml["process"].as_table_mut().unwrap().remove("user");
            set(toml, "passwords.argon2-memory-kib", "64");
            set(toml, "passwords.argon2-iterations", "1");
            set(toml, "login.delay-first-ms", "1");
            // However full the disk is on which the tests run.
            set(toml, "storage.free-space-warn-percent", "0");
            if self.metrics {
                set(toml, "metrics.listen", &format!("127.0.0.1:{}", server.ports.metrics()));
            }
            for (key, value) in &self.policy {
                set(toml, key, value);
            }
        });
        if !self.users.iter().any(|(name, _)| name == "alice") {
            self.users.push(("alice".to_owned(), Vec::new()));
        }
        for (name, arguments) in &self.users {
            let home = server.home(name);
            fs::create_dir_all(&home).unwrap();
            let mut add = server.command();
            add.args(["user", "add", name, "--password-stdin", "--home"]).arg(home).args(arguments);
            done(&mut add, &format!("{PASSWORD}\n"));
        }
        if !self.users_text.is_empty() {
            let path = server.policy().join("users.toml");
            let text = fs::read_to_string(&path).unwrap() + "\n" + &self.users_text;
            fs::write(path, text).unwrap();
        }
        server
    }
}

/// Sets a dotted key of a TOML file.
fn set(toml: &mut DocumentMut, key: &str, value: &str) {
    let value: Value = value.parse().unwrap_or_else(|_| Value::from(value));
    let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut at: &mut Item = toml.as_item_mut();
    for table in tables.split('.').filter(|name| !name.is_empty()) {
        at = &mut at[table];
        if at.is_none() {
            *at = Item::Table(toml_edit::Table::new());
        }
    }
    at[last] = Item::Value(value);
}

impl Server {
    /// A server with the user `alice`, who may do everything in her home.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The same, started.
    pub fn running() -> Self {
        Self::builder().start()
    }

    /// Starts the binary, again if it was stopped, and waits until it accepts connections.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let starts = |server: &Self| server.records_of("policy.loaded").len();
        let before = starts(self);
        let mut serve = behind(&self.inside, &self.command());
        serve.arg("serve");
        for text in &self.overrides {
            serve.args(["--set", text]);
        }
        let log = || File::options().create(true).append(true).open(self.log()).unwrap();
        serve.stdin(Stdio::null()).stdout(log()).stderr(log());
        self.child = Some(serve.spawn().unwrap());
        eventually("the server starts", || {
            let over = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(over.is_none(), "the server ended with {over:?}: {}", self.log_text());
            (starts(self) > before).then_some(())
        });
    }

    /// Asks it to stop, in order.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().unwrap();
        let status = eventually("the server stops", || child.try_wait().unwrap());
        self.child = None;
        status
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Replaces what `--set` says from the next start on.
    pub fn override_with(&mut self, overrides: &[&str]) {
        self.overrides = overrides.iter().map(|&text| text.to_owned()).collect();
    }

    /// Puts words in front of `portcullis serve` from the next start on.
    pub fn run_inside(&mut self, words: Vec<String>) {
        self.inside = words;
    }

    /// A command of the binary that works on this server's policy.
    pub fn command(&self) -> Command {
        let mut command = portcullis();
        command.arg("--policy").arg(self.policy());
        command
    }

    /// What a command that asks the running server reports as JSON; it has to succeed.
    #[track_caller]
    pub fn told(&self, arguments: &[&str]) -> serde_json::Value {
        let output = done(self.command().args(arguments).arg("--json"), "");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The exit code and the words of a command that does not succeed.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command().args(arguments).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        let words = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(words).unwrap())
    }

    /// The address it listens on.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The port for explicit TLS.
    pub fn port(&self) -> u16 {
        self.ports.explicit()
    }

    /// The ports it uses.
    pub fn ports(&self) -> &PortBlock {
        &self.ports
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("server")
    }

    /// The directory of the policy files.
    pub fn policy(&self) -> PathBuf {
        self.root().join("policy")
    }

    /// The authority that vouches for the server.
    pub fn authority(&self) -> PathBuf {
        self.root().join("certs/ca.pem")
    }

    /// A user's home.
    pub fn home(&self, user: &str) -> PathBuf {
        self.directory.path().join("files").join(user)
    }

    /// A directory for what the test itself needs, outside of every home.
    pub fn scratch(&self) -> PathBuf {
        let path = self.directory.path().join("scratch");
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Puts a file into alice's home.
    pub fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.home("alice").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Puts a file of that many zero bytes into alice's home; it takes no room on the disk.
    pub fn put_large(&self, name: &str, bytes: u64) {
        File::create(self.home("alice").join(name)).unwrap().set_len(bytes).unwrap();
    }

    /// What is in a file of alice's home; none where there is no such file.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.home("alice").join(name)).ok()
    }

    /// The names in alice's home that clients can see.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home("alice")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with(".portcullis-")).collect();
        names.sort();
        names
    }

    /// Changes one of the policy files.
    pub fn change(&self, file: &str, change: impl FnOnce(&mut DocumentMut)) {
        let path = self.policy().join(file);
        let mut toml: DocumentMut = fs::read_to_string(&path).unwrap().parse().unwrap();
        change(&mut toml);
        fs::write(path, toml.to_string()).unwrap();
    }

    /// Adds text to the end of `users.toml`, which may name the directories of this server.
    pub fn add_to_users(&self, text: &str) {
        let path = self.policy().join("users.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + "\n" + text).unwrap();
    }

    /// Sets a key of `users.toml`, such as `user.alice.password-set`.
    pub fn change_user(&self, key: &str, value: &str) {
        self.change("users.toml", |toml| set(toml, key, value));
    }

    /// The file of the audit log.
    pub fn audit_file(&self) -> PathBuf {
        self.root().join("audit/audit.jsonl")
    }

    /// Every record of the audit log; a line that is being written is left out.
    pub fn audit(&self) -> Vec<Record> {
        let text = fs::read_to_string(self.audit_file()).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(Record::parse).collect()
    }

    /// The records of one kind.
    pub fn records_of(&self, code: &str) -> Vec<Record> {
        self.audit().into_iter().filter(|record| record.code() == code).collect()
    }

    /// The first record of one kind of which something holds, once it is there.
    pub fn wait_for_record(&self, code: &str, holds: impl Fn(&Record) -> bool) -> Record {
        eventually(&format!("a record {code}; the log: {}", self.log().display()), || {
            self.records_of(code).into_iter().find(|record| holds(record))
        })
    }

    /// The record of one kind and failure, once it is there.
    pub fn wait_for_failure(&self, code: &str, detail: &str) -> Record {
        self.wait_for_record(code, |record| record.detail() == detail)
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("serve.log")
    }

    /// What it wrote to its standard output and error.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Every file of the directory that the server keeps, and its log.
    pub fn kept_files(&self) -> Vec<PathBuf> {
        fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    collect(&path, found);
                } else if path.is_file() {
                    found.push(path);
                }
            }
        }
        let mut found = vec![self.log()];
        collect(&self.root(), &mut found);
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log_text());
            for record in self.audit().iter().rev().take(8).rev() {
                eprintln!("{record:?}");
            }
        }
    }
}
