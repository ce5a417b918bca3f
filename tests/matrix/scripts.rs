//! Clients that are libraries: a script of each, which reports one JSON object a line.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::action::{Action, Outcome, Report};
use super::place::{Place, TIME};
use crate::clients::run_with;
use crate::support::PASSWORD;

/// Where `tests/run` installs what does not come with the system.
fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("clients").join(name)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix/clients").join(name)
}

/// Runs a script and reads its reports. The script holds its client to the version `FTPS_TLS`, where
/// there is one.
fn run(place: &Place, command: &mut Command) -> Vec<Report> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripts");
    if let Some(version) = place.tls().of_client() {
        // OpenSSL's own configuration holds those clients to a version that have no setting for it.
        let openssl = place.server.scratch().join("openssl.cnf");
        let text = format!(
            "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = every\n\
             [every]\nMinProtocol = TLSv{version}\nMaxProtocol = TLSv{version}\n"
        );
        std::fs::write(&openssl, text).unwrap();
        command.env("OPENSSL_CONF", openssl).env("FTPS_TLS", version);
    }
    command.current_dir(place.local()).env("LC_ALL", "C.UTF-8").env("HOME", place.server.scratch());
    command.env("PYTHONPATH", modules).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("NODE_PATH", installed("node/node_modules"));
    command.env("FTPS_HOST", "localhost").env("FTPS_PORT", place.server.port().to_string()).env("FTPS_USER", "alice");
    command.env("FTPS_PASSWORD", PASSWORD).env("FTPS_AUTHORITY", place.server.authority());
    let ran = run_with(command, b"", TIME);
    let text = ran.text();
    assert_eq!(
        ran.code,
        Some(0),
        "{command:?} failed (where something is missing: tests/run installs the clients)\n{text}\n{}",
        ran.err
    );
    text.lines().map(|line| report(line).unwrap_or_else(|| panic!("no report: {line}\n{}", ran.err))).collect()
}

fn report(line: &str) -> Option<Report> {
    let json: Value = serde_json::from_str(line).ok()?;
    let word = json.get("action")?.as_str()?;
    let action = Action::ALL.into_iter().find(|action| action.word() == word)?;
    let outcome = if let Some(said) = json.get("failed") {
        Outcome::Failed(said.as_str()?.to_owned())
    } else if json.get("lacks").is_some() {
        Outcome::Lacking
    } else {
        let names = json.get("names")?.as_array()?.iter();
        Outcome::Done(names.map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?)
    };
    Some(Report { action, outcome })
}

fn program(program: impl AsRef<std::ffi::OsStr>, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg(script(name)).args(arguments);
    command
}

/// ftplib as it is.
pub fn ftplib(place: &Place) -> Vec<Report> {
    run(place, &mut program("python3", "python_ftplib.py", &["stock"]))
}

/// ftplib with the subclass that resumes.
pub fn ftplib_resuming(place: &Place) -> Vec<Report> {
    run(place, &mut program("python3", "python_ftplib.py", &["resuming"]))
}

/// libcurl's GnuTLS build, of which Debian's own Python knows.
pub fn pycurl(place: &Place) -> Vec<Report> {
    run(place, &mut program("/usr/bin/python3", "python_pycurl.py", &[]))
}

/// aioftp, of the Python clients installed.
pub fn aioftp(place: &Place) -> Vec<Report> {
    run(place, &mut program(installed("python/bin/python"), "python_aioftp.py", &[]))
}

/// fsspec, of the Python clients installed.
pub fn fsspec(place: &Place) -> Vec<Report> {
    run(place, &mut program(installed("python/bin/python"), "python_fsspec.py", &[]))
}

/// `Net::FTP` of Perl as it is.
pub fn perl(place: &Place) -> Vec<Report> {
    run(place, &mut program("/usr/bin/perl", "net_ftp.pl", &["stock"]))
}

/// `Net::FTP` of Perl, told to keep one TLS session.
pub fn perl_resuming(place: &Place) -> Vec<Report> {
    run(place, &mut program("/usr/bin/perl", "net_ftp.pl", &["resuming"]))
}

/// Commons Net, compiled as it starts.
fn java(place: &Place, kind: &str) -> Vec<Report> {
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true"]);
    java.args(["--add-opens", "java.base/sun.security.ssl=ALL-UNNAMED"]);
    java.args(["--add-opens", "java.base/sun.security.util=ALL-UNNAMED"]);
    java.args(["--class-path", "/usr/share/java/commons-net.jar"]).arg(script("CommonsNet.java")).arg(kind);
    run(place, &mut java)
}

/// Commons Net as it is.
pub fn commons_net(place: &Place) -> Vec<Report> {
    java(place, "stock")
}

/// Commons Net with the subclass that resumes.
pub fn commons_net_resuming(place: &Place) -> Vec<Report> {
    java(place, "resuming")
}

/// basic-ftp, of the Node clients installed.
pub fn basic_ftp(place: &Place) -> Vec<Report> {
    run(place, &mut program("node", "node/basic-ftp.cjs", &[]))
}

/// PHP's FTP functions.
pub fn php(place: &Place) -> Vec<Report> {
    run(place, &mut program("php", "ftp.php", &[]))
}

/// `Net::FTP` of Ruby.
pub fn ruby(place: &Place) -> Vec<Report> {
    run(place, &mut program("ruby", "net_ftp.rb", &[]))
}
