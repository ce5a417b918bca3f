//! `audit report`: figures that are right, a page that a browser shows without running, loading or
//! missing anything, and files that are whole and private.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::server::portcullis;
use crate::support::{Server, Wire};

const WRONG: &str = "Orange-Bicycle-Kettle-17-moor";

/// Names that would be markup, orders or formulas, were they taken for that.
const HOSTILE: [&str; 14] = [
    "<script>document.title='taken'</script>",
    "\"><img src=\"http://evil.example/x.png\" onerror=\"document.title='taken'\">",
    "</title><script>document.title='taken'</script>",
    "</style><style>body{background:url(http://evil.example/y.png)}</style>",
    "</svg><svg onload=\"document.title='taken'\"><foreignObject><iframe src=\"http://evil.example/\">",
    "' onmouseover='document.title=1' x='",
    "<!--",
    "&lt;b&gt;&#60;i&#62;",
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "@SUM(1)*cmd|' /C calc'!A0",
    "| a | b |\n# heading\n[x](http://evil.example) ![y](http://evil.example/z.png) `c`",
    "\u{202e}gpj.exe\u{2066}",
    "\u{1b}[31m\u{1b}]0;taken\u{7}",
    "\u{0}\u{feff}\u{e0041}",
];

/// A log in a directory of its own.
struct Made {
    directory: tempfile::TempDir,
    lines: Vec<String>,
}

impl Made {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), lines: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Adds a record, this many seconds after 6 o'clock UTC.
    fn add(&mut self, seconds: i64, event: &str, further: impl Into<Value>) {
        let time = 1_795_327_200_000 + seconds * 1000;
        let time_dt = jiff::Timestamp::from_millisecond(time).unwrap().to_string();
        let mut record = json!({"seq": self.lines.len() + 1, "time": time, "time_dt": time_dt, "severity_id": 1,
            "status_id": 1, "metadata": {"event_code": event, "uid": "01RECORD"}});
        record.as_object_mut().unwrap().extend(further.into().as_object().unwrap().clone());
        self.lines.push(record.to_string());
    }

    /// Somebody guesses, somebody works, and whoever may write a name writes a hostile one.
    fn night() -> Self {
        let mut made = Self::new();
        let from =
            |ip: &str, user: &str| json!({"actor": {"user": {"name": user}}, "src_endpoint": {"ip": ip, "port": 4000}});
        let with = |mut record: Value, further: Value| {
            record.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
            record
        };
        for number in 0..60 {
            let wrong = json!({"status_id": 2, "status_detail": "bad_password"});
            made.add(number * 60, "auth.failure", with(from("203.0.113.66", &format!("admin{}", number % 7)), wrong));
        }
        made.add(4000, "auth.success", from("192.0.2.7", "alice"));
        let traffic = json!({"traffic": {"bytes_in": 1_048_576, "bytes_out": 0}, "file": {"path": "/in/a.csv"}});
        made.add(4010, "file.upload", with(from("192.0.2.7", "alice"), traffic));
        for (number, name) in (5000..).zip(HOSTILE) {
            let refused = json!({"status_id": 2, "status_detail": name});
            made.add(number, "auth.success", with(from("192.0.2.8", name), json!({"unmapped": {"client": name}})));
            made.add(number, "auth.failure", with(from("192.0.2.9", name), refused.clone()));
            made.add(number, name, with(from("192.0.2.9", name), refused));
            made.add(number, "policy.loaded", json!({"unmapped": {"policy": name, name: name, "asked_by": name}}));
            made.add(number, &format!("audit.{name}"), json!({"unmapped": {"file": name}}));
            let tls = json!({"tls": {"version": name, "cipher": name}, "unmapped": {"kx": name}});
            made.add(number, "tls.handshake_ok", with(from("192.0.2.9", name), tls));
            let moved = json!({"traffic": {"bytes_in": 7, "bytes_out": 0}, "file": {"path": name}});
            made.add(number, "file.upload", with(from("192.0.2.8", name), moved));
        }
        made
    }

    fn report(&self, arguments: &[&str]) -> Output {
        fs::write(self.path("audit.jsonl"), self.lines.join("\n") + "\n").unwrap();
        let mut command = portcullis();
        command.args(["audit", "report", "--zone", "Europe/Berlin", "--log"]).arg(self.directory.path());
        command.args(arguments).output().unwrap()
    }

    /// The report, in that form.
    fn said(&self, format: &str) -> String {
        let output = self.report(&["--format", format, "--out", "-"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn page(&self) -> PathBuf {
        let page = self.path("report.html");
        let output = self.report(&["--title", HOSTILE[2], "--out", page.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        page
    }
}

/// Shows a page in a browser that reaches no network but this.
fn browser(page: &Path, network: &Network, arguments: &[&str]) -> Output {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args([
        "--kill-after=5",
        "60",
        "chromium-headless-shell",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
    ]);
    command.args(["--disable-background-networking", "--enable-logging=stderr", "--virtual-time-budget=2000"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("--proxy-server=http://{}", network.address));
    command.args(arguments).arg(format!("file://{}", page.display()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// The network that a browser sees: whatever connects is counted, and gets nothing.
struct Network {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Network {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let network = Self { address: listener.local_addr().unwrap(), connections: Arc::default() };
        let connections = Arc::clone(&network.connections);
        thread::spawn(move || {
            for _ in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
            }
        });
        network
    }

    fn was_asked(&self) -> bool {
        self.connections.load(Ordering::SeqCst) > 0
    }
}

fn shot(page: &Path, name: &str, arguments: &[&str]) -> Vec<u8> {
    let picture = page.with_file_name(name);
    let target = format!("--screenshot={}", picture.display());
    browser(page, &Network::new(), &[&[target.as_str()], arguments].concat());
    fs::read(picture).unwrap()
}

#[test]
fn in_a_browser_nothing_runs_nothing_loads_and_no_name_becomes_an_element() {
    let page = Made::night();
    let page_file = page.page();
    let network = Network::new();
    let output = browser(&page_file, &network, &["--dump-dom"]);
    let dom = String::from_utf8(output.stdout).unwrap();
    assert!(dom.contains("203.0.113.66") && dom.contains("</html>"), "{dom}");
    let known = [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "a",
        "header",
        "h1",
        "h2",
        "h3",
        "bdi",
        "p",
        "span",
        "time",
        "nav",
        "ul",
        "ol",
        "li",
        "main",
        "section",
        "div",
        "strong",
        "code",
        "dl",
        "dt",
        "dd",
        "figure",
        "figcaption",
        "svg",
        "desc",
        "rect",
        "line",
        "text",
        "polyline",
        "details",
        "summary",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "footer",
        "article",
    ];
    let style = dom.find("<style>").unwrap()..dom.find("</style>").unwrap();
    assert_eq!((dom.matches("<style").count(), dom.matches("<title>").count() > 1), (1, true));
    for tag in [&dom[..style.start], &dom[style.end..]].concat().split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let name = tag.split([' ', '\n', '/']).find(|word| !word.is_empty()).unwrap_or_default();
        assert!(known.contains(&name) || name == "!DOCTYPE", "a foreign element: <{tag}>");
        // What stands between quotes is no attribute.
        let attributes: String = tag.split('"').step_by(2).collect();
        assert!(![" on", "style=", "src="].iter().any(|word| attributes.contains(word)), "<{tag}>");
        assert!(!tag.contains("href=") || tag.contains("href=\"#"), "<{tag}>");
    }
    let console = String::from_utf8_lossy(&output.stderr);
    assert!(!console.contains("CONSOLE"), "{console}");
    assert!(!network.was_asked(), "the page asked the network for something");
    // The same of a page that does what this one must not, so that these looks see something.
    let bad = page.path("bad.html");
    fs::write(&bad, "<img src='http://evil.example/x.png'><script>console.error('x')</script>").unwrap();
    let console = browser(&bad, &network, &["--dump-dom"]).stderr;
    assert!(String::from_utf8_lossy(&console).contains("CONSOLE"));
    assert!(network.was_asked());
}

#[test]
fn a_browser_draws_the_page_wide_narrow_and_dark() {
    let made = Made::night();
    let page = made.page();
    let empty = made.path("empty.html");
    fs::write(&empty, "<!doctype html>").unwrap();
    let blank = shot(&empty, "blank.png", &["--window-size=1280,1000"]);
    let light = shot(&page, "light.png", &["--window-size=1280,1000"]);
    let dark = shot(&page, "dark.png", &["--window-size=1280,1000", "--blink-settings=preferredColorScheme=0"]);
    let narrow = shot(&page, "narrow.png", &["--window-size=390,1000"]);
    for picture in [&light, &dark, &narrow] {
        assert!(picture.len() > 5 * blank.len(), "{} bytes, and {} of a blank page", picture.len(), blank.len());
    }
    assert!(light != dark);
}

#[test]
fn the_first_screen_names_the_address_that_guessed() {
    let page = fs::read_to_string(Made::night().page()).unwrap();
    let glance = page.split("id=\"glance\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(glance.contains("203.0.113.66") && glance.contains("60 failures"), "{glance}");
    assert!(glance.contains("over 7 names, 2026-11-22 07:00 to 07:59. No login from there succeeded."), "{glance}");
}

#[test]
fn the_figures_of_every_form_are_those_of_the_log() {
    let made = Made::night();
    let report: Value = serde_json::from_str(&made.said("json")).unwrap();
    assert_eq!(report["schema"], "portcullis-report-1");
    assert_eq!(report["figures"]["records"], made.lines.len());
    assert_eq!(report["figures"]["failed_logins"], 60 + HOSTILE.len());
    assert_eq!(report["figures"]["bytes_in"], 1_048_576 + 7 * HOSTILE.len());
    let first = &report["tables"]["failing_sources"]["rows"][0];
    assert_eq!((&first["address"], &first["failed"], &first["names"]), (&json!("203.0.113.66"), &json!(60), &json!(7)));
    assert_eq!(first["first_failure"], "2026-11-22T06:00:00Z");
    let days: Vec<&Value> = report["tables"]["user_days"]["rows"].as_array().unwrap().iter().collect();
    assert!(
        days.iter().any(|row| row["user"] == "alice" && row["day"] == "2026-11-22" && row["bytes_in"] == 1_048_576)
    );
    let text = made.said("csv");
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    let cell = |item: &str, measure: &str| {
        let found = rows.iter().find(|row| row.iter().take(3).eq(["failing_sources", item, measure]));
        found.unwrap_or_else(|| panic!("{text}"))[3].to_owned()
    };
    assert_eq!(
        (cell("203.0.113.66", "failed"), cell("203.0.113.66", "last_failure")),
        ("60".into(), "2026-11-22T06:59:00Z".into())
    );
    assert!(made.said("md").contains("| 203.0.113.66 | 60 |"));
}

#[test]
fn no_form_holds_what_a_spreadsheet_a_terminal_or_a_viewer_would_obey() {
    let made = Made::night();
    let text = made.said("csv");
    for row in csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap) {
        for cell in &row {
            assert!(!cell.starts_with(['=', '+', '-', '@', '|', '\t', '\r']), "{row:?}");
        }
    }
    let markdown = made.said("md");
    for markup in ["](", "<script", "<img", "http:", "\n# heading"] {
        assert!(!markdown.contains(markup), "{markup}");
    }
    for said in [text, markdown, made.said("html")] {
        assert!(
            !said
                .contains(|c: char| (c.is_control() && c != '\n' && c != '\r') || matches!(c, '\u{202e}' | '\u{2066}'))
        );
    }
}

#[test]
fn only_the_span_that_was_asked_for_is_in_the_report() {
    let mut made = Made::new();
    for hours in [0, 16, 17, 18, 41] {
        made.add(hours * 3600, "service.start", json!({}));
    }
    let records = |arguments: &[&str]| {
        let output = made.report(&[&["--out", "-", "--format", "json"], arguments].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        report["figures"]["records"].as_u64().unwrap()
    };
    // A day of Berlin is from 23 o'clock UTC to 23 o'clock UTC.
    assert_eq!(records(&["--from", "2026-11-22", "--to", "2026-11-22"]), 2);
    assert_eq!(records(&["--from", "2026-11-23"]), 3);
    assert_eq!(records(&["--to", "2026-11-22T07:30"]), 1);
    assert_eq!(records(&["--from", "2026-11-22T22:00:00Z"]), 4);
    let output = made.report(&["--from", "2026-11-23", "--to", "2026-11-22", "--out", "-"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing lies between"), "{output:?}");
}

#[test]
fn a_report_is_private_and_takes_the_place_of_the_old_one_whole_or_not_at_all() {
    let made = Made::night();
    let page = made.page();
    assert_eq!(page.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&page, "the old one").unwrap();
    let mut command = portcullis();
    command.args(["audit", "report", "--zone", "UTC", "--log", "/nowhere", "--out"]).arg(&page);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    assert_eq!(fs::read_to_string(&page).unwrap(), "the old one");
    let names = || made.directory.path().read_dir().unwrap().count();
    assert_eq!(names(), 2, "nothing is left beside it");
    let output = made.report(&["--out", made.directory.path().to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is no file that could be replaced"), "{output:?}");
}

#[test]
fn rotated_and_compressed_files_are_part_of_it_and_what_cannot_be_read_is_told() {
    let mut made = Made::night();
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writeln!(zip, "{}", made.lines[0]).unwrap();
    fs::write(made.path("audit-00000000000000000001.jsonl.gz"), zip.finish().unwrap()).unwrap();
    fs::write(made.path("audit-00000000000000000002.jsonl.gz"), "no gzip").unwrap();
    made.lines[0] = "this is no record".into();
    let report: Value = serde_json::from_str(&made.said("json")).unwrap();
    assert_eq!((&report["figures"]["records"], &report["lines_not_read"]), (&json!(made.lines.len()), &json!(1)));
    assert!(report["not_read"][0].as_str().unwrap().contains("audit-00000000000000000002.jsonl.gz"));
    let page = made.said("html");
    assert!(page.contains("1 line of the log is no record") && page.contains("Not read: "));
}

#[test]
fn the_report_of_a_server_tells_what_its_clients_did() {
    let mut server = Server::running();
    {
        let mut wire = Wire::secure(&server);
        wire.refused("alice", WRONG);
        wire.log_in("alice");
        wire.protect();
        wire.store("STOR f", b"content");
        wire.fetch("RETR f");
        wire.ask("DELE f", 250);
        wire.ask("QUIT", 221);
        wire.ended();
    }
    assert!(server.stop().success());
    let output = server.command().args(["audit", "report", "--format", "json", "--out", "-"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(report["time_zone"], "UTC");
    let alice = &report["tables"]["users"]["rows"][0];
    let figures = ["user", "logins", "failed", "uploads", "bytes_in", "downloads", "bytes_out", "removed"];
    let figures: Vec<&Value> = figures.iter().map(|name| &alice[name]).collect();
    assert_eq!(json!(figures), json!(["alice", 1, 1, 1, 7, 1, 7, 1]));
    assert_eq!(report["tables"]["policy"]["rows"][0]["event"], "policy.loaded");
    assert_eq!(report["chain"]["state"], "proved", "{}", report["chain"]);
    // The same log elsewhere, without the key: the report is written, and says what it could not do.
    let listed = server.command().args(["audit", "files", "--json"]).output().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    for line in String::from_utf8(listed.stdout).unwrap().lines() {
        let file: Value = serde_json::from_str(line).unwrap();
        let path = PathBuf::from(file["file"].as_str().unwrap());
        fs::copy(&path, elsewhere.path().join(path.file_name().unwrap())).unwrap();
    }
    let mut command = server.command();
    let output = command.args(["audit", "report", "--out", "-", "--log"]).arg(elsewhere.path()).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && page.contains("Not verified"), "{page}");
    assert!(page.contains("There is no public key here, so no signature was checked."), "{page}");
}

#[test]
fn every_form_tells_what_was_found_with_its_records_and_the_command_that_shows_them() {
    let made = Made::night();
    for form in ["html", "json", "csv", "md"] {
        let said = made.said(form);
        for words in ["portcullis audit search --address 203.0.113.66", "203.0.113.66 guessed passwords"] {
            let words = if form == "md" { words.replace('_', "&#95;") } else { words.to_owned() };
            assert!(said.contains(&words), "{form} does not say {words}: {said}");
        }
        assert!(said.contains("1, 2, 3") || said.contains("1 2 3") || said.contains("1,\n"), "{form}: {said}");
    }
    let report: Value = serde_json::from_str(&made.said("json")).unwrap();
    let guessed = |finding: &&Value| finding["kind"] == "guessing" && finding["address"] == "203.0.113.66";
    let finding = report["findings"].as_array().unwrap().iter().find(guessed).unwrap();
    assert_eq!((&finding["evidence"]["first"], &finding["evidence"]["count"]), (&json!(1), &json!(60)));
    // These lines are not chained, and somebody who reads the report hears of it.
    assert_eq!(report["chain"]["state"], "broken", "{}", report["chain"]);
}

#[test]
fn the_figures_are_those_that_a_search_of_the_same_log_counts() {
    let made = Made::night();
    let report: Value = serde_json::from_str(&made.said("json")).unwrap();
    let search = |event: &str| -> Vec<Value> {
        let mut command = portcullis();
        command.args(["audit", "search", "--json", "--event", event, "--log"]).arg(made.directory.path());
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let figure = |name: &str| usize::try_from(report["figures"][name].as_u64().unwrap()).unwrap();
    for (name, event) in [("logins", "auth.success"), ("failed_logins", "auth.failure"), ("uploads", "file.upload")] {
        assert!(figure(name) > 0);
        assert_eq!(figure(name), search(event).len(), "{name}");
    }
    let bytes: u64 = search("file.upload").iter().map(|record| record["traffic"]["bytes_in"].as_u64().unwrap()).sum();
    assert_eq!(report["figures"]["bytes_in"], bytes);
}

#[test]
fn a_report_that_is_interrupted_or_that_a_link_stands_in_the_way_of_leaves_nothing() {
    let made = Made::night();
    let link = made.path("link.html");
    std::os::unix::fs::symlink(made.path("elsewhere"), &link).unwrap();
    let output = made.report(&["--out", link.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is no file that could be replaced"), "{output:?}");
    let full = made.report(&["--out", "/proc/report.html"]);
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    // A log without an end, so that it is certainly reading when it is stopped.
    let pipe = made.path("audit.jsonl");
    fs::remove_file(&pipe).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = portcullis();
    command.args(["audit", "report", "--zone", "UTC", "--log"]).arg(&pipe).arg("--out").arg(made.path("r.html"));
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let is_open = || {
        let files = fs::read_dir(format!("/proc/{}/fd", child.id())).into_iter().flatten().flatten();
        let targets: Vec<PathBuf> = files.filter_map(|file| fs::read_link(file.path()).ok()).collect();
        targets.iter().any(|target| target.starts_with(made.directory.path()))
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !is_open() {
        assert!(std::time::Instant::now() < until, "the report was not begun");
        thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let names: Vec<_> = made.directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn every_table_of_the_report_is_in_the_documents() {
    let report: Value = serde_json::from_str(&Made::night().said("json")).unwrap();
    let documents = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md")).unwrap();
    for name in report["tables"].as_object().unwrap().keys().chain(report["figures"].as_object().unwrap().keys()) {
        assert!(documents.contains(&format!("`{name}`")), "docs/audit.md does not tell of {name}");
    }
}
