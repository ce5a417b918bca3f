//! What findings say can be looked up: by the commands that they print, and in the words that the server writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use portcullis::audit::event::Event;
use serde_json::Value;

use crate::support::made_log::{Plan, make};
use crate::support::server::portcullis;
use crate::support::{Server, Wire, day};

/// Findings of a kind whose commands are run.
const COMMANDS_OF_KIND_MAX: usize = 2;

/// What `audit findings` tells with these arguments.
fn findings(mut command: Command, arguments: &[&str]) -> Vec<Value> {
    let told = command.args(["audit", "findings", "--json"]).args(arguments).output().unwrap();
    assert!(matches!(told.status.code(), Some(0 | 3)), "{told:?}");
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    told["findings"].as_array().unwrap().clone()
}

/// A directory for PATH in which the binary under test is `portcullis`.
fn path_with_binary(directory: &Path) -> PathBuf {
    let bin = directory.join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_portcullis"), bin.join("portcullis")).unwrap();
    bin
}

/// Runs what a finding prints, as somebody does who pastes it into a shell.
fn pasted(bin: &Path, finding: &Value, more: &str) -> Output {
    let line = format!("{}{more}", finding["command"].as_str().unwrap());
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    Command::new("sh").args(["-c", &line]).env("PATH", path).env_remove("PORTCULLIS_POLICY").output().unwrap()
}

/// The numbers of the records that the command of a finding finds.
#[track_caller]
fn shown(bin: &Path, finding: &Value) -> Vec<u64> {
    let ran = pasted(bin, finding, " --json");
    assert_eq!(ran.status.code(), Some(0), "{finding}: {}", String::from_utf8_lossy(&ran.stderr));
    let lines = String::from_utf8(ran.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect()
}

/// The first and last number of the evidence, how many there are, and the first of them.
fn evidence(finding: &Value) -> (u64, u64, usize, Vec<u64>) {
    let evidence = &finding["evidence"];
    let number = |name: &str| evidence[name].as_u64().unwrap();
    let records = evidence["records"].as_array().unwrap().iter().map(|seq| seq.as_u64().unwrap()).collect();
    (number("first"), number("last"), usize::try_from(number("count")).unwrap(), records)
}

#[track_caller]
fn assert_shows_the_evidence(bin: &Path, finding: &Value) {
    let found = shown(bin, finding);
    let (first, last, count, records) = evidence(finding);
    assert_eq!((found.first(), found.last()), (Some(&first), Some(&last)), "{finding}");
    // Many sources are too many for one search: what others did meanwhile comes along.
    let of_many = finding["kind"] == "spraying" && finding["address"].is_null();
    if of_many {
        assert!(found.len() >= count && records.iter().all(|seq| found.contains(seq)), "{finding}");
    } else {
        assert_eq!((found.len(), found.get(..records.len())), (count, Some(&records[..])), "{finding}");
    }
}

#[test]
fn every_command_of_a_finding_finds_its_evidence_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("the log's");
    make(&log, &Plan { days: 51, backup_deletes: 10, ..Plan::of(5) });
    let bin = path_with_binary(directory.path());
    let mut command = portcullis();
    command.args(["--policy", "/nonexistent"]);
    let mut of_kind: BTreeMap<String, usize> = BTreeMap::new();
    for finding in findings(command, &["--log", log.to_str().unwrap()]) {
        let seen = of_kind.entry(finding["kind"].to_string()).or_default();
        *seen += 1;
        if *seen <= COMMANDS_OF_KIND_MAX {
            assert_shows_the_evidence(&bin, &finding);
        }
    }
    assert!(of_kind.len() >= 13, "{of_kind:?}");
}

#[test]
fn what_the_policy_knows_is_told_with_what_shows_it() {
    let mut server = Server::builder().user("bob", &[]).user("dora", &[]).user("erik", &["--expires", &day(3)]).start();
    Wire::login(&server, "alice");
    Wire::login(&server, "erik");
    server.stop();
    // What the server knows of last logins goes further back than this log.
    let logins = server.policy().parent().unwrap().join("state/logins.toml");
    let text = fs::read_to_string(&logins).unwrap();
    let (_, eriks) = text.split_once("[login.erik]\nat = ").unwrap();
    let bobs = format!("\n[login.bob]\nat = {}T12:00:00Z{}", day(-95), eriks.trim_start_matches(|c| c != '\n'));
    fs::write(&logins, text.clone() + &bobs).unwrap();
    for user in ["bob", "erik"] {
        server.change_user(&format!("user.{user}.password-set"), &day(-100));
    }
    server.add_to_users(&format!(
        "[[user.alice.exception]]\ndata-binding = \"address\"\nreason = \"the old scanner\"\nuntil = {}\n\
         [[user.alice.exception]]\ndata-binding = \"address\"\nreason = \"of next year\"\nuntil = {}\n",
        day(20),
        day(200)
    ));
    let bin = path_with_binary(&server.scratch());
    let unused = findings(server.command(), &["--kind", "unused"]);
    // bob was here long ago; dora is new, erik was here, though with an old password.
    assert_eq!(unused.iter().map(|one| one["user"].as_str().unwrap()).collect::<Vec<_>>(), ["bob"], "{unused:?}");
    assert_eq!(pasted(&bin, &unused[0], "").status.code(), Some(1), "there is nothing of bob");

    let endings = findings(server.command(), &["--kind", "ending"]);
    let told = |what: &str| endings.iter().find(|one| one["title"].as_str().unwrap().contains(what));
    assert!(told("of next year").is_none(), "{endings:?}");
    for (what, shows, severity) in
        [("the exception \"the old scanner\"", "the old scanner", "low"), ("the account of erik", &day(3), "medium")]
    {
        let finding = told(what).unwrap_or_else(|| panic!("no {what}: {endings:?}"));
        assert_eq!(finding["severity"], severity, "{finding}");
        let ran = pasted(&bin, finding, "");
        let words = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        assert!(words.contains(shows), "{finding}: {words}");
    }
    server.change("server.toml", |toml| toml["findings"]["ending-days"] = toml_edit::value(3650));
    let endings = findings(server.command(), &["--kind", "ending"]);
    let certificate = endings.iter().find(|one| one["title"].as_str().unwrap().contains("certificate of localhost"));
    let ran = pasted(&bin, certificate.unwrap_or_else(|| panic!("{endings:?}")), "");
    assert!(String::from_utf8_lossy(&ran.stdout).contains("localhost"), "{ran:?}");
}

#[test]
fn what_the_log_says_of_itself_is_told_with_what_shows_it() {
    let mut server = Server::running();
    server.kill();
    server.start();
    server.stop();
    let bin = path_with_binary(&server.scratch());
    let told = findings(server.command(), &["--kind", "log"]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0]["seen"].as_str().unwrap().contains("(unclean_stop)"), "{told:?}");
    assert_shows_the_evidence(&bin, &told[0]);
    // A line that is no record.
    let mut log = fs::read(server.audit_file()).unwrap();
    log.extend(b"no record\n");
    fs::write(server.audit_file(), log).unwrap();
    let told = findings(server.command(), &["--kind", "log", "--severity", "high"]);
    assert_eq!(told.len(), 1, "{told:?}");
    let ran = pasted(&bin, &told[0], "");
    assert!(!ran.status.success() && !ran.stdout.is_empty(), "{ran:?}");
}

/// The sources below this directory of `src`, without their unit tests.
fn sources(below: &str) -> String {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(below);
    let mut text = String::new();
    let mut places = vec![place];
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
        } else if place.file_name().unwrap() != "tests.rs" {
            let source = fs::read_to_string(&place).unwrap();
            text.push_str(source.split("#[cfg(test)]").next().unwrap());
        }
    }
    text
}

/// The texts in a source that could be words of records: small letters, `_` and `.` alone.
fn words(source: &str) -> Vec<&str> {
    let word = |text: &&str| {
        text.len() > 2 && text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.'))
    };
    source.lines().flat_map(|line| line.split('"').skip(1).step_by(2)).filter(word).collect()
}

#[test]
fn findings_go_by_words_that_the_server_writes() {
    /// Words that are for people.
    const SAID: [&str; 2] = ["once", "various"];
    let written: String = ["audit", "session", "daemon", "tls", "store"].into_iter().map(sources).collect();
    let detectors = sources("findings/detect") + &sources("findings/seen.rs");
    let codes: Vec<&str> = Event::ALL.into_iter().map(|event| event.description().code).collect();
    let words: Vec<&str> = words(&detectors).into_iter().filter(|word| !SAID.contains(word)).collect();
    assert!(words.iter().filter(|word| word.contains('.')).count() >= 20 && words.len() >= 40, "{words:?}");
    for word in words {
        let known = if word.contains('.') { codes.contains(&word) } else { written.contains(&format!("\"{word}\"")) };
        assert!(known, "no record has {word}");
    }
}
