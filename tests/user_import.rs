//! Users of other servers come along with the hashes they have, and get better ones when they log in.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::support::server::{Builder, done};
use crate::support::{Server, Wire};

const PASSWORD: &str = "Hello world!";
/// SHA-512-crypt of that, of the specification.
const SHA512: &str =
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
const SHA256: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

fn lenient() -> Builder {
    Server::builder().set("login.failures-per-address", "1000").set("login.failures-per-user-network", "1000")
}

/// A hash of bcrypt, as htpasswd writes it.
fn bcrypt() -> String {
    bcrypt::hash(PASSWORD, 4).unwrap().replace("$2b$", "$2y$")
}

fn import(server: &Server, text: &str, arguments: &[&str]) -> Output {
    let file = server.scratch().join("users");
    fs::write(&file, text).unwrap();
    let mut command: Command = server.command();
    command.args(["user", "import"]).arg(file).args(arguments).output().unwrap()
}

fn users(server: &Server) -> String {
    fs::read_to_string(server.policy().join("users.toml")).unwrap()
}

fn log_in(server: &Server, user: &str, password: &str, code: u16) {
    let mut wire = Wire::secure(server);
    wire.ask(&format!("USER {user}"), 331);
    wire.ask(&format!("PASS {password}"), code);
}

#[test]
fn users_of_each_kind_of_file_log_in_with_the_password_they_had() {
    let mut server = lenient().prepare();
    let home = |name: &str| server.home(name).display().to_string();
    let passwd = format!(
        "# users\nbob:{SHA512}:1000:1000:Bob:{}:/bin/false\n\ncarol:{SHA256}:1:1::{}:\n",
        home("bob"),
        home("carol")
    );
    let output = import(&server, &passwd, &["--format", "proftpd", "--read-only"]);
    assert!(output.status.success(), "{output:?}");
    let pure = format!("dora:{SHA512}:1000:1000::{}/./:::::2:10:100000:::127.0.0.0/8::\n", home("dora"));
    assert!(import(&server, &pure, &["--format", "pure-ftpd"]).status.success());
    let base = server.home("");
    let output = import(
        &server,
        &format!("erik:{}\n", bcrypt()),
        &["--format", "passwd", "--home-base", base.to_str().unwrap()],
    );
    assert!(output.status.success(), "{output:?}");
    let check = server.command().args(["policy", "check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr).into_owned() + &String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success() && said.matches("which another server made").count() == 4, "{said}");
    server.start();
    for user in ["bob", "carol", "dora", "erik"] {
        log_in(&server, user, "Hello world?", 530);
        log_in(&server, user, PASSWORD, 230);
    }
    let show = done(server.command().args(["user", "show", "dora", "--json"]), "").stdout;
    let show: serde_json::Value = serde_json::from_slice(&show).unwrap();
    assert_eq!((&show["quota_bytes"], &show["quota_files"]), (&100_000.into(), &10.into()));
    assert_eq!(show["allow_from"][0], "127.0.0.0/8");
}

#[test]
fn at_the_first_login_the_hash_becomes_one_of_argon2id_and_the_password_stays() {
    let mut server = lenient().prepare();
    let line = format!("bob:{}:1:1::{}:\n", bcrypt(), server.home("bob").display());
    assert!(import(&server, &line, &["--format", "passwd"]).status.success());
    server.start();
    log_in(&server, "bob", PASSWORD, 230);
    let record = server.wait_for_record("auth.password_rehashed", |record| record.user() == "bob");
    assert_eq!(record.text("/unmapped/from"), Some("bcrypt"));
    let changed = server.policy().parent().unwrap().join("state/passwords.toml");
    let text = fs::read_to_string(&changed).unwrap();
    assert!(text.contains("[changed.bob]\npassword = \"$argon2id$") && text.contains("rehashed = true"), "{text}");
    log_in(&server, "bob", PASSWORD, 230);
    server.stop();
    server.start();
    log_in(&server, "bob", PASSWORD, 230);
    assert_eq!(server.records_of("auth.password_rehashed").len(), 1, "once is enough");
    let show = String::from_utf8(done(server.command().args(["user", "show", "bob"]), "").stdout).unwrap();
    assert!(!show.contains("by the user"), "{show}");
    let check = server.command().args(["policy", "check"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&check.stderr).contains("another server"), "{check:?}");
}

#[test]
fn a_hash_is_made_anew_when_the_policy_asks_for_more() {
    let mut server = lenient().start();
    Wire::login(&server, "alice");
    assert!(server.records_of("auth.password_rehashed").is_empty());
    server.stop();
    server.change("server.toml", |toml| toml["passwords"]["argon2-memory-kib"] = toml_edit::value(128));
    server.start();
    Wire::login(&server, "alice");
    let record = server.wait_for_record("auth.password_rehashed", |_| true);
    assert_eq!(record.text("/unmapped/from"), Some("Argon2id"));
    Wire::login(&server, "alice");
    assert_eq!(server.records_of("auth.password_rehashed").len(), 1);
}

#[test]
fn lines_that_cannot_be_taken_are_listed_and_nothing_is_written() {
    let server = lenient().prepare();
    let before = users(&server);
    let good = format!("bob:{SHA512}:1:1::{}:", server.home("bob").display());
    let text = format!(
        "{good}\nalice:{SHA512}:1:1::/srv/a:\nmallory:hunter2:1:1::/srv/m:\n../x:{SHA512}:1:1::/srv/x:\nshort:x\nBOB:{SHA512}:1:1::/srv/b:\n"
    );
    let output = import(&server, &text, &["--format", "proftpd"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (line, why) in [
        (2, "a user alice already"),
        (3, "no hash that is known"),
        (4, "letters, digits"),
        (5, "2 fields"),
        (6, "BOB stands further up"),
    ] {
        assert!(
            said.lines().any(|text| text.contains(&format!("users:{line}: ")) && text.contains(why)),
            "{line}: {said}"
        );
    }
    assert!(!said.contains("hunter2") && said.contains("nothing was changed"), "{said}");
    assert_eq!(users(&server), before);
    let output = import(&server, &text, &["--format", "proftpd", "--skip-refused", "--dry-run"]);
    assert!(output.status.success() && users(&server) == before && !server.home("bob").exists(), "{output:?}");
    assert!(import(&server, &text, &["--format", "proftpd", "--skip-refused"]).status.success());
    assert!(users(&server).contains("[user.bob]") && server.home("bob").is_dir());
}

#[test]
fn a_policy_that_would_not_hold_is_not_written_and_its_homes_go_again() {
    let server = lenient().prepare();
    let before = users(&server);
    let line = format!("bob:{SHA512}:1:1::{}:\n", server.home("bob").display());
    let arguments = ["--format", "passwd", "--group", "nobody"];
    for dry_run in [&["--dry-run"][..], &[]] {
        let output = import(&server, &line, &[&arguments, dry_run].concat());
        assert!(
            !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("no group `nobody`"),
            "{output:?}"
        );
    }
    assert!(users(&server) == before && !server.home("bob").exists());
}

#[test]
fn with_a_base_for_the_homes_those_of_the_file_do_not_count() {
    let server = lenient().prepare();
    let text = format!("bob:{SHA512}:1:1::/:\ncarol:{SHA512}:1:1::relative/../home:\n");
    assert!(!import(&server, &text, &["--format", "passwd"]).status.success());
    let base = server.home("");
    let output = import(&server, &text, &["--format", "passwd", "--home-base", base.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(server.home("bob").is_dir() && server.home("carol").is_dir());
}

/// The time of a login that fails, the shortest of a few.
fn time_of_failure(server: &Server, user: &str) -> Duration {
    let once = || {
        let mut wire = Wire::secure(server);
        wire.ask(&format!("USER {user}"), 331);
        let begun = Instant::now();
        wire.ask("PASS wrong", 530);
        begun.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap()
}

#[test]
fn after_a_reload_that_brings_old_hashes_time_still_tells_nothing_of_who_exists() {
    let server = lenient().set("login.delay-first-ms", "0").start();
    let before = time_of_failure(&server, "nobody");
    let dear = bcrypt::hash(PASSWORD, 11).unwrap();
    // Within reach of the sandbox of the start.
    let home = server.home("alice").join("bob");
    let line = format!("bob:{dear}:1:1::{}:\n", home.display());
    assert!(import(&server, &line, &["--format", "passwd"]).status.success());
    done(server.command().arg("reload"), "");
    let (known, unknown) = (time_of_failure(&server, "bob"), time_of_failure(&server, "nobody"));
    assert!(known > before * 2, "the hash is dear enough to tell: {known:?}, {before:?}");
    assert!(unknown * 2 > known, "{unknown:?}, {known:?}");
}

#[test]
fn a_password_whose_end_bcrypt_does_not_tell_is_not_hashed_anew() {
    let mut server = lenient().prepare();
    let long = "Lantern-Quarry-Walnut-".repeat(4);
    let line = format!("bob:{}:1:1::{}:\n", bcrypt::hash(&long, 4).unwrap(), server.home("bob").display());
    assert!(import(&server, &line, &["--format", "passwd"]).status.success());
    server.start();
    log_in(&server, "bob", &format!("{long}mistyped"), 230);
    log_in(&server, "bob", &long, 230);
    assert!(server.records_of("auth.password_rehashed").is_empty());
}
