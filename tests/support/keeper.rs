//! The keeper by itself: the real process, told by the test what the server would tell it, on a log
//! that the test writes.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use jiff::Timestamp;
use portcullis::audit::chain::ChainHash;
use portcullis::audit::event::Event;
use portcullis::audit::head::Head;
use portcullis::audit::json::{Stamp, append_line};
use portcullis::audit::record::{Detail, Record};
use portcullis::audit::rotation::closed_name;
use portcullis::audit::signing::SigningKey;
use portcullis::keeper::protocol::{self, Begin, Order, Report};
use portcullis::settings::keeping::{Copies, Records, Retention, SyslogServer, Target};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::server::{done, portcullis};
use super::{PATIENCE, eventually};

/// The id of the log.
const LOG: &str = "01K8ZZZZZZZZZZZZZZZZZZZZZZ";

/// A log that a test writes, with a keeper or without.
#[derive(Debug)]
pub struct Log {
    directory: TempDir,
    key: SigningKey,
    head: ChainHash,
    last: u64,
    first: u64,
}

impl Log {
    /// An empty one.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("portcullis-keeper-").tempdir().unwrap();
        fs::create_dir(directory.path().join("audit")).unwrap();
        Self { directory, key: SigningKey::generate().unwrap(), head: ChainHash::NONE, last: 0, first: 1 }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("audit")
    }

    /// A path outside of it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The number of the last record.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Writes records, of a user's failed logins some days ago.
    pub fn write(&mut self, count: u64, days_ago: i64) {
        for _ in 0..count {
            let record = Record::new(Event::LoginFailure).failed("bad_password");
            let mut record = record.with("note", Detail::Text("x".repeat(200)));
            record.user = Some("alice".into());
            self.append("audit.jsonl", &record, days_ago);
        }
    }

    fn append(&mut self, name: &str, record: &Record, days_ago: i64) {
        let time = Timestamp::now().saturating_sub(jiff::SignedDuration::from_hours(24 * days_ago)).unwrap();
        self.last += 1;
        let mut text = Vec::new();
        let stamp = Stamp { seq: self.last, time, uid: "01RECORD", late: false };
        self.head = append_line(&mut text, &stamp, record, self.head).unwrap();
        let file = OpenOptions::new().create(true).append(true).open(self.path().join(name));
        file.unwrap().write_all(&text).unwrap();
    }

    /// Signs what was written to the end of a file, as the server closes it.
    fn sign(&mut self, name: &str, days_ago: i64) {
        let text = |text: &str| Detail::Text(text.to_owned());
        let head = Head { log: LOG.to_owned(), seq: self.last, hash: self.head, time: Timestamp::now() };
        let signed = head.signed(&self.key);
        let record = Record::new(Event::AuditCheckpoint)
            .with("log", text(&signed.log))
            .with("head_seq", Detail::Number(signed.seq))
            .with("head_hash", text(&signed.hash))
            .with("head_time", text(&signed.time))
            .with("reason", text("rotation"))
            .with("key", text(&signed.key))
            .with("signature", text(&signed.signature));
        self.append(name, &record, days_ago);
    }

    /// Has the open file closed by a keeper, or else does it itself, and says what it is called now. One
    /// more record signs it to its end.
    pub fn close(&mut self, keeper: Option<&mut Keeper>) -> String {
        self.close_as_of(keeper, 0)
    }

    /// The same some days ago.
    pub fn close_as_of(&mut self, keeper: Option<&mut Keeper>, days_ago: i64) -> String {
        let name = closed_name(self.first);
        match keeper {
            Some(keeper) => {
                keeper.order(&Order::Rename { name: name.clone() });
                keeper.wait_for(|report| matches!(report, Report::Renamed { .. }));
            }
            None => fs::rename(self.path().join("audit.jsonl"), self.path().join(&name)).unwrap(),
        }
        self.sign(&name, days_ago);
        self.first = self.last + 1;
        name
    }

    /// The names of its files.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("audit")).collect();
        names.sort();
        names
    }
}

/// A keeper that works until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    child: Child,
    stream: UnixStream,
    reports: BufReader<UnixStream>,
}

impl Keeper {
    /// Starts one that copies to these and compresses nothing.
    pub fn copying(log: &Log, targets: Vec<Target>) -> Self {
        let copy = |target| Copies { target, records: Records::All, facility: 10 };
        Self::start(log, Retention::default(), targets.into_iter().map(copy).collect())
    }

    /// Starts one, and waits until it is ready.
    pub fn start(log: &Log, retention: Retention, copies: Vec<Copies>) -> Self {
        let (stream, its_own) = UnixStream::pair().unwrap();
        let out = OpenOptions::new().create(true).append(true).open(log.beside("out")).unwrap();
        let child = portcullis()
            .args(["audit", "keep"])
            .stdin(Stdio::from(OwnedFd::from(its_own)))
            .stdout(out)
            .stderr(File::create(log.beside("err")).unwrap())
            .spawn()
            .unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let reports = BufReader::new(stream.try_clone().unwrap());
        let mut keeper = Self { child, stream, reports };
        let begin = Begin {
            directory: log.path(),
            account: None,
            require: false,
            keys: vec![log.key.public().to_base64()],
            retention,
            copies,
            resolvers: Vec::new(),
        };
        keeper.order(&Order::Begin(Box::new(begin)));
        keeper.wait_for(|report| matches!(report, Report::Ready { .. }));
        keeper
    }

    /// Tells it something.
    pub fn order(&mut self, order: &Order) {
        protocol::write(&self.stream, order).unwrap();
    }

    /// The next report for which something holds.
    pub fn wait_for(&mut self, holds: impl Fn(&Report) -> bool) -> Report {
        loop {
            let report = protocol::read(&mut self.reports).unwrap().expect("the keeper ended");
            if holds(&report) {
                return report;
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it as the end of the server does, and waits for it.
    pub fn end(mut self) {
        self.stream.shutdown(std::net::Shutdown::Both).unwrap();
        let status = eventually("the keeper ends", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A real syslog server, `rsyslogd`, that takes messages over TLS and writes them to a file.
#[derive(Debug)]
pub struct Rsyslog {
    child: Option<Child>,
    directory: PathBuf,
    port: u16,
}

impl Rsyslog {
    /// Sets it up, with a certificate for `localhost` and this machine's address; it does not run yet.
    pub fn prepare(directory: &Path, port: u16) -> Self {
        fs::create_dir(directory).unwrap();
        let certificates = directory.join("certs");
        let mut make = portcullis();
        make.args(["cert", "new", "--name", "localhost", "--name", "127.0.0.1", "--out"]).arg(&certificates);
        done(&mut make, "");
        let at = |name: &str| certificates.join(name).display().to_string();
        let config = format!(
            "global(workDirectory=\"{directory}\" maxMessageSize=\"64k\" defaultNetstreamDriverCAFile=\"{}\" \
             defaultNetstreamDriverCertFile=\"{}\" defaultNetstreamDriverKeyFile=\"{}\")\n\
             module(load=\"imtcp\" StreamDriver.Name=\"ossl\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\")\n\
             input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
             template(name=\"parsed\" type=\"string\" string=\"%syslogfacility-text% %app-name% %msgid% \
             %structured-data%%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{directory}/received\" template=\"parsed\")\n",
            at("ca.pem"),
            at("server.pem"),
            at("server.key"),
            directory = directory.display(),
        );
        fs::write(directory.join("rsyslog.conf"), config).unwrap();
        Self { child: None, directory: directory.to_owned(), port }
    }

    /// Runs it.
    pub fn start(&mut self) {
        let mut command = std::process::Command::new("/usr/sbin/rsyslogd");
        command.arg("-n").arg("-f").arg(self.directory.join("rsyslog.conf")).arg("-i").arg(self.directory.join("pid"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(self.directory.join("err")).unwrap());
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{error}: rsyslogd; tests/run installs it")));
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it does not run");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Who may have issued its certificate.
    pub fn authority(&self) -> PathBuf {
        self.directory.join("certs/ca.pem")
    }

    /// How it is reached.
    pub fn target(&self, host: &str, name: &str) -> Target {
        Target::Tls(SyslogServer {
            host: host.to_owned(),
            port: self.port,
            name: name.to_owned(),
            authorities: self.authority(),
            identity: None,
        })
    }

    /// What it received: a line each.
    pub fn received(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.join("received")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// The numbers of the records it received, each once, in order.
    pub fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.received().iter().filter_map(|line| number(line)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The number of the record whose line stands at the end of a text.
pub fn number(text: &str) -> Option<u64> {
    let object = &text[text.find("{\"seq\":")?..];
    serde_json::from_str::<serde_json::Value>(object).ok()?["seq"].as_u64()
}
