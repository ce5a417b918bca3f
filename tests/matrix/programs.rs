//! Clients that are programs: curl, lftp, rclone and wget, called for one action each.

use std::fs;
use std::process::Command;
use std::thread;

use super::action::{Action, Outcome, Report, Tls};
use super::place::{Place, TIME};
use crate::clients::{self, Ran, run, run_with, url};
use crate::support::{PASSWORD, Server};

/// A name as it stands in an address.
fn encoded(name: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    name.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A report of a listing: the lines of its output.
fn listed(ran: &Ran) -> Report {
    let mut report = Report::of(Action::List, ran);
    if let Outcome::Done(names) = &mut report.outcome {
        *names = ran.text().lines().map(str::to_owned).collect();
    }
    report
}

/// The first of several runs that failed, or the last.
fn first_failure(runs: impl IntoIterator<Item = Ran>) -> Ran {
    let mut last = None;
    for ran in runs {
        let failed = ran.code != Some(0);
        last = Some(ran);
        if failed {
            break;
        }
    }
    last.unwrap()
}

/// Eight runs at the same time, each with its share of the many files. This curl falls asleep for a
/// second where a reply comes at once, as it does from the same machine.
fn in_eight(run: impl Fn(&[String]) -> Ran + Sync) -> Ran {
    let many = Place::many();
    let rans = thread::scope(|scope| {
        let shares = many.chunks(many.len() / 8).map(|share| scope.spawn(|| run(share)));
        let running: Vec<_> = shares.collect();
        running.into_iter().map(|share| share.join().unwrap()).collect::<Vec<_>>()
    });
    first_failure(rans)
}

/// curl: a call for each action, and eight for two hundred files.
pub fn curl(place: &Place) -> Vec<Report> {
    let server = &place.server;
    let curl = |arguments: &[&str]| {
        let mut command = clients::curl(server, "alice");
        let version: &[&str] = match place.tls() {
            Tls::V13 => &["--tlsv1.3"],
            Tls::V12 => &["--tls-max", "1.2"],
            Tls::ByServer => &[],
        };
        run_with(command.current_dir(place.local()).args(version).args(arguments), b"", TIME)
    };
    let up = |name: &str| curl(&["--upload-file", name, &url(server, &encoded(name))]);
    let names = Place::names().iter().flat_map(|name| {
        let (address, back) = (url(server, &encoded(&format!("names/{name}"))), format!("back-names/{name}"));
        [up(&format!("names/{name}")), curl(&["--output", &back, &address])]
    });
    let quote = |commands: &[&str]| {
        let quotes: Vec<&str> = commands.iter().flat_map(|command| ["--quote", command]).collect();
        curl(&[&quotes[..], &["--head", &url(server, "")]].concat())
    };
    let resume = |arguments: &[&str]| curl(&[&["--continue-at", "-"], arguments].concat());
    vec![
        listed(&curl(&["--list-only", &url(server, "listed/")])),
        Report::of(Action::Upload, &up("up")),
        Report::of(Action::UploadEmpty, &up("empty")),
        Report::of(Action::Download, &curl(&["--output", "down", &url(server, "down")])),
        Report::of(Action::ResumeUpload, &resume(&["--upload-file", "part-up", &url(server, "part-up")])),
        Report::of(Action::ResumeDownload, &resume(&["--output", "part-down", &url(server, "part-down")])),
        Report::of(Action::Rename, &quote(&["RNFR old", "RNTO new"])),
        Report::of(Action::Delete, &quote(&["DELE gone"])),
        Report::of(Action::Names, &first_failure(names)),
        Report::of(
            Action::Upload200,
            &in_eight(|names| {
                let sources = names.iter().map(|name| format!("many/{name}")).collect::<Vec<_>>().join(",");
                curl(&["--fail-early", "--upload-file", &format!("{{{sources}}}"), &url(server, "many/")])
            }),
        ),
        Report::of(
            Action::Download200,
            &in_eight(|names| {
                let address = url(server, &format!("store/{{{}}}", names.join(",")));
                curl(&["--fail-early", "--output", "back-many/#1", &address])
            }),
        ),
    ]
}

/// What holds a client with GnuTLS to the version.
fn gnutls_priority(place: &Place) -> &'static str {
    match place.tls() {
        Tls::V13 => "NORMAL:-VERS-ALL:+VERS-TLS1.3",
        Tls::V12 => "NORMAL:-VERS-TLS1.3",
        Tls::ByServer => "NORMAL",
    }
}

/// lftp: a session for each action.
pub fn lftp(place: &Place) -> Vec<Report> {
    let version = gnutls_priority(place);
    let lftp = |commands: &str| {
        let script = format!("set ssl:priority {version}; set xfer:clobber true; {commands}");
        let mut command = clients::lftp(&place.server, "alice", &script);
        run_with(command.current_dir(place.local()).env("LC_ALL", "C.UTF-8"), b"", TIME)
    };
    vec![
        listed(&lftp("cls -1 listed")),
        Report::of(Action::Upload, &lftp("put up")),
        Report::of(Action::UploadEmpty, &lftp("put empty")),
        Report::of(Action::Download, &lftp("get down")),
        Report::of(Action::ResumeUpload, &lftp("reput part-up")),
        Report::of(Action::ResumeDownload, &lftp("reget part-down")),
        Report::of(Action::Rename, &lftp("mv old new")),
        Report::of(Action::Delete, &lftp("rm gone")),
        Report::of(Action::Names, &lftp("mput -O names names/*; mget -O back-names names/*")),
        Report::of(Action::Upload200, &lftp("mirror --reverse many many")),
        Report::of(Action::Download200, &lftp("mirror store back-many")),
    ]
}

/// Calls rclone, which has to be told the password in a form of its own.
pub fn rclone_call(server: &Server, tls: Tls, arguments: &[&str]) -> Ran {
    let obscured = run(Command::new("rclone").args(["obscure", PASSWORD])).done().text();
    let mut command = Command::new("rclone");
    command.env("HOME", server.scratch()).env("LC_ALL", "C.UTF-8").env("SSL_CERT_FILE", server.authority());
    command.args(["--config", "", "--retries", "1", "--ftp-explicit-tls", "--ftp-host", "localhost"]);
    command.args(["--ftp-user", "alice", "--ftp-pass", obscured.trim(), "--ftp-port", &server.port().to_string()]);
    if tls == Tls::V12 {
        command.arg("--ftp-disable-tls13");
    }
    run_with(command.current_dir(server.scratch().join("local")).args(arguments), b"", TIME)
}

/// rclone, one connection at a time or as many as it likes.
fn rclone_with(place: &Place, parallel: &[&str]) -> Vec<Report> {
    let rclone = |arguments: &[&str]| rclone_call(&place.server, place.tls(), &[parallel, arguments].concat());
    let names = ["names :ftp:names", ":ftp:names back-names"].map(|pair| {
        let (from, to) = pair.split_once(' ').unwrap();
        rclone(&["copy", from, to])
    });
    vec![
        listed(&rclone(&["lsf", ":ftp:listed"])),
        Report::of(Action::Upload, &rclone(&["copyto", "up", ":ftp:up"])),
        Report::of(Action::UploadEmpty, &rclone(&["copyto", "empty", ":ftp:empty"])),
        Report::of(Action::Download, &rclone(&["copyto", ":ftp:down", "down"])),
        Report::lacking(Action::ResumeUpload),
        Report::lacking(Action::ResumeDownload),
        Report::of(Action::Rename, &rclone(&["moveto", ":ftp:old", ":ftp:new"])),
        Report::of(Action::Delete, &rclone(&["deletefile", ":ftp:gone"])),
        Report::of(Action::Names, &first_failure(names)),
        Report::of(Action::Upload200, &rclone(&["copy", "many", ":ftp:many"])),
        Report::of(Action::Download200, &rclone(&["copy", ":ftp:store", "back-many"])),
    ]
}

/// rclone with one control connection.
pub fn rclone(place: &Place) -> Vec<Report> {
    rclone_with(place, &["--transfers", "1", "--checkers", "1"])
}

/// rclone as it is, with several control connections.
pub fn rclone_parallel(place: &Place) -> Vec<Report> {
    rclone_with(place, &["--transfers", "4"])
}

/// wget, which only fetches; implicit TLS, as its addresses say.
pub fn wget(place: &Place) -> Vec<Report> {
    let wget = |arguments: &[&str]| {
        let mut command = Command::new("wget");
        command.current_dir(place.local()).env("HOME", place.server.scratch()).env("LC_ALL", "C.UTF-8");
        command.args(["--no-config", "--no-verbose", "--tries=5", "--timeout=20", "--inet4-only", "--no-hsts"]);
        command.args(["--user=alice", &format!("--password={PASSWORD}")]);
        command.arg(format!("--ca-certificate={}", place.server.authority().display()));
        let priority = gnutls_priority(place);
        command.arg(format!("--ciphers={priority}"));
        run_with(command.args(arguments), b"", TIME)
    };
    let at = |path: &str| format!("ftps://localhost:{}/{path}", place.server.port());
    let index = wget(&["--output-document=-", "--no-remove-listing", &at("listed/")]);
    let mut listing = Report::of(Action::List, &index);
    if let Outcome::Done(names) = &mut listing.outcome {
        // wget makes a page of it.
        let text = index.text();
        let links = text.lines().filter(|line| line.contains("File"));
        names.extend(
            links.filter_map(|line| Some(line.split_once("\">")?.1.split_once("</a>")?.0.replace("&#32;", " "))),
        );
    }
    let addresses = Place::many().iter().map(|name| at(&format!("store/{name}\n"))).collect::<String>();
    fs::write(place.local().join("addresses"), addresses).unwrap();
    // It looks at times for its session before it is there, and then in vain until it logs in anew.
    let many = || wget(&["--no-clobber", "--directory-prefix=back-many", "--input-file=addresses"]);
    let many = (0..3).map(|_| many()).find(|ran| ran.code == Some(0)).unwrap_or_else(many);
    let lacking = [
        Action::Upload,
        Action::UploadEmpty,
        Action::ResumeUpload,
        Action::Rename,
        Action::Delete,
        Action::Names,
        Action::Upload200,
    ];
    let mut reports = vec![
        listing,
        Report::of(Action::Download, &wget(&[&at("down")])),
        Report::of(Action::ResumeDownload, &wget(&["--continue", &at("part-down")])),
        Report::of(Action::Download200, &many),
    ];
    reports.extend(lacking.map(Report::lacking));
    reports
}
