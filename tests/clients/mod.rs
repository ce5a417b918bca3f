//! The programs people use: [`curl`], [`lftp`], and Python's [`ftplib`] as it is and with the
//! subclass that resumes TLS sessions. Each runs as a process of its own against the real server.

mod curl;
mod ftplib;
mod lftp;
mod odd_names;

use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{PASSWORD, PATIENCE, Server};

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    /// Its standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap()
    }

    /// The same, of a program that had to succeed.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", String::from_utf8_lossy(&self.out), self.err);
        self
    }
}

/// Runs a program to its end, which must come within [`PATIENCE`].
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    run_with(command, b"", PATIENCE)
}

/// Runs a program with this input to its end, which must come within the time.
#[track_caller]
pub fn run_with(command: &mut Command, input: &[u8], time: Duration) -> Ran {
    let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let (mut stdin, mut stdout, mut stderr) =
        (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (code, out, err) = thread::scope(|scope| {
        // Who does not read its input is no failure.
        scope.spawn(move || stdin.write_all(input));
        let out = scope.spawn(move || drain(&mut stdout));
        let err = scope.spawn(move || drain(&mut stderr));
        let code = wait(&mut child, time);
        (code, out.join().unwrap(), err.join().unwrap())
    });
    let err = String::from_utf8_lossy(&err).into_owned();
    let code = code.unwrap_or_else(|| panic!("{command:?} did not end: {}\n{err}", String::from_utf8_lossy(&out)));
    Ran { code: code.code(), out, err }
}

/// Starts a program; that it is not there is a failure.
#[track_caller]
pub fn spawn(command: &mut Command) -> Child {
    command
        .spawn()
        .unwrap_or_else(|error| panic!("{error}: {}; tests/run installs the clients", command.get_program().display()))
}

/// Waits for the end of a program; ends it where its time is over, and returns nothing.
pub fn wait(child: &mut Child, time: Duration) -> Option<std::process::ExitStatus> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    child.wait().unwrap();
    None
}

fn drain(source: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    source.read_to_end(&mut all).unwrap();
    all
}

/// As many bytes as asked for, that look like chance and are the same every time.
pub fn content(seed: &str, bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut content);
    content
}

/// The digest of a file, read piece by piece.
pub fn digest(path: &Path) -> blake3::Hash {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{error}: {}", path.display()));
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hasher.finalize(),
            read => hasher.update(&buffer[..read]),
        };
    }
}

/// curl, told whom to trust and who it is; options and addresses are to follow.
pub fn curl(server: &Server, user: &str) -> Command {
    let mut curl = Command::new("curl");
    let family = if server.address().is_ipv4() { "--ipv4" } else { "--ipv6" };
    curl.args(["--disable", "--silent", "--show-error", family, "--ssl-reqd", "--cacert"]).arg(server.authority());
    curl.args(["--user", &format!("{user}:{PASSWORD}")]);
    curl
}

/// How clients call the server; the name `localhost` leads to IPv4 on every machine.
fn host(server: &Server) -> String {
    if server.address().is_ipv4() { "localhost".to_owned() } else { server.address().to_string() }
}

/// The address of a file or, ending in a slash, of a directory.
pub fn url(server: &Server, path: &str) -> String {
    let host = host(server);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("ftp://{host}:{}/{path}", server.port())
}

/// lftp running these commands, of which every one has to succeed.
pub fn lftp(server: &Server, user: &str, commands: &str) -> Command {
    let home = server.scratch().join("lftp-home");
    fs::create_dir_all(&home).unwrap();
    let script = format!(
        "set cmd:fail-exit true; set ftp:ssl-force true; set ftp:ssl-protect-data true; \
         set ssl:ca-file \"{ca}\"; set ssl:check-hostname true; set dns:order {order}; \
         set net:max-retries 2; set net:timeout 15; set net:reconnect-interval-base 1; set net:persist-retries 0; \
         open -u {user},{PASSWORD} -p {port} {host}; {commands}",
        ca = server.authority().display(),
        port = server.port(),
        host = host(server),
        order = if server.address().is_ipv4() { "inet" } else { "inet6" },
    );
    let mut lftp = Command::new("lftp");
    // Its history, cache and background files belong to the test. It writes names as the locale has them.
    lftp.env("LC_ALL", "C.UTF-8").env("HOME", &home).env("LFTP_HOME", &home).args(["--norc", "-c", &script]);
    lftp
}

/// A Python script of this directory, told where the server is and who it is.
pub fn python(server: &Server, user: &str, script: &str) -> Command {
    let mut python = Command::new("python3");
    python.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripts").join(script));
    python.env("FTPS_HOST", host(server));
    python.env("FTPS_PORT", server.port().to_string()).env("FTPS_USER", user).env("FTPS_PASSWORD", PASSWORD);
    python.env("FTPS_AUTHORITY", server.authority()).env("PYTHONUNBUFFERED", "1");
    python
}
