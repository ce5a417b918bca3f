//! Codes of the moment behind the password (TOTP, RFC 6238): enrolment, login, and no replay.

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use jiff::Timestamp;
use portcullis::auth::totp::{code_of, step_at};
use portcullis::identity::TotpSecret;

use crate::clients::{content, curl, lftp, run, url};
use crate::support::server::{Builder, done};
use crate::support::{Dial, PASSWORD, Server, Wire};

const NEW: &str = "Lantern-Quarry-Walnut-41-orbit";
const WRONG: &str = "Orange-Bicycle-Kettle-17-moor";

fn lenient() -> Builder {
    Server::builder()
        .set("login.failures-per-address", "1000")
        .set("login.failures-per-user-network", "1000")
        .set("login.attempts-per-session", "100")
        .set("login.delay-first-ms", "0")
}

fn secret_in(line: &str) -> TotpSecret {
    let text = line.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    TotpSecret::from_base32(text).unwrap()
}

/// Enrols a user without asking for a code.
fn enrol(server: &Server, user: &str) -> TotpSecret {
    let shown = done(server.command().args(["user", "totp", "enable", user, "--no-confirm"]), "").stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains('█'), "a QR code is drawn: {shown}");
    secret_in(shown.lines().find(|line| line.starts_with("otpauth://totp/")).unwrap())
}

/// The code of this moment, or one of a few steps on.
fn code(secret: &TotpSecret, steps_ahead: u64) -> String {
    code_of(secret, step_at(Timestamp::now()) + steps_ahead).as_str().to_owned()
}

/// Six digits that are no code around now.
fn no_code(secret: &TotpSecret) -> String {
    let near: Vec<String> =
        (0..6).map(|ahead| code_of(secret, step_at(Timestamp::now()) + ahead - 2).as_str().to_owned()).collect();
    (0..100).map(|number| format!("{number:06}")).find(|digits| !near.contains(digits)).unwrap()
}

/// A running server whose alice is enrolled.
fn enrolled(builder: Builder) -> (Server, TotpSecret) {
    let mut server = builder.prepare();
    let secret = enrol(&server, "alice");
    server.start();
    (server, secret)
}

fn log_in(wire: &mut Wire, password: &str, code: u16) {
    wire.ask("USER alice", 331);
    wire.ask(&format!("PASS {password}"), code);
}

#[test]
fn both_password_and_code_are_needed_and_nothing_tells_which_was_wrong() {
    let (server, secret) = enrolled(lenient());
    let mut wire = Wire::secure(&server);
    let mut words = Vec::new();
    for (sent, reason) in [
        (PASSWORD.to_owned(), "second_factor_missing"),
        (format!("{PASSWORD}{}", no_code(&secret)), "bad_code"),
        (format!("{WRONG}{}", code(&secret, 0)), "bad_password"),
        (format!("{WRONG}{}", no_code(&secret)), "bad_password"),
        (code(&secret, 0), "bad_password"),
        (format!("{PASSWORD} {}", code(&secret, 0)), "bad_password"),
    ] {
        words.push(wire.refused("alice", &sent).lines);
        server.wait_for_failure("auth.failure", reason);
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    // A code that came with a wrong password was not used up.
    log_in(&mut wire, &format!("{PASSWORD}{}", code(&secret, 0)), 230);
}

#[test]
fn a_code_counts_once_also_behind_a_crash_and_a_restart() {
    let (mut server, secret) = enrolled(lenient());
    let now = format!("{PASSWORD}{}", code(&secret, 0));
    log_in(&mut Wire::secure(&server), &now, 230);
    Wire::secure(&server).refused("alice", &now);
    server.wait_for_failure("auth.failure", "code_replayed");
    server.kill();
    server.start();
    Wire::secure(&server).refused("alice", &now);
    assert_eq!(server.records_of("auth.failure").iter().filter(|record| record.detail() == "code_replayed").count(), 2);
    log_in(&mut Wire::secure(&server), &format!("{PASSWORD}{}", code(&secret, 1)), 230);
}

#[test]
fn of_logins_at_once_with_one_code_one_gets_in() {
    let (server, secret) = enrolled(lenient());
    let sent = format!("{PASSWORD}{}", code(&secret, 0));
    let codes = std::thread::scope(|scope| {
        let login = || {
            let mut wire = Wire::secure(&server);
            wire.ask("USER alice", 331);
            wire.send(&format!("PASS {sent}"));
            wire.reply().code
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(login)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(codes.iter().filter(|code| **code == 230).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 530).count(), 5, "{codes:?}");
}

#[test]
fn where_the_policy_permits_it_a_client_opens_several_connections_with_one_code() {
    let (server, secret) = enrolled(lenient().set("login.code-reuse-seconds", "60"));
    for number in 0..6 {
        server.put(&format!("many/{number}"), &content("code", 2000));
    }
    let sent = format!("{PASSWORD}{}", code(&secret, 0));
    let target = server.scratch().join("mirrored");
    let mirror = format!("user alice {sent}; mirror --parallel=3 many {}", target.display());
    run(&mut lftp(&server, "alice", &mirror)).done();
    assert_eq!(std::fs::read_dir(target).unwrap().count(), 6);
    assert!(server.records_of("auth.success").len() > 1, "several connections");
    // Somebody elsewhere who saw it gains nothing.
    Dial::to(&server).from(7).secure().refused("alice", &sent);
    server.wait_for_failure("auth.failure", "code_replayed");
}

#[test]
fn curl_sends_the_code_behind_the_password() {
    let (server, secret) = enrolled(lenient());
    server.put("file", b"content");
    let user = format!("alice:{PASSWORD}{}", code(&secret, 0));
    let received = run(curl(&server, "alice").args(["--user", &user, &url(&server, "file")])).done();
    assert_eq!(received.out, b"content");
}

#[test]
fn the_own_password_is_changed_without_a_code() {
    let (server, secret) = enrolled(lenient());
    let mut wire = Wire::secure(&server);
    log_in(&mut wire, &format!("{PASSWORD}{}", code(&secret, 0)), 230);
    wire.ask(&format!("SITE PSWD {PASSWORD}{} {NEW}", code(&secret, 1)), 550);
    wire.ask(&format!("SITE PSWD {PASSWORD} {NEW}"), 200);
    log_in(&mut Wire::secure(&server), &format!("{NEW}{}", code(&secret, 1)), 230);
}

#[test]
fn without_a_place_to_remember_them_codes_of_before_the_start_are_refused() {
    let mut server = lenient().prepare();
    server.change("server.toml", |toml| {
        toml["passwords"].as_table_mut().unwrap().remove("changes");
    });
    let secret = enrol(&server, "alice");
    server.start();
    Wire::secure(&server).refused("alice", &format!("{PASSWORD}{}", code(&secret, 0)));
    server.wait_for_failure("auth.failure", "code_replayed");
}

/// An enrolment of alice that has told its URI and waits for a code.
fn enrolling(server: &Server) -> (Child, Lines<BufReader<ChildStdout>>, String) {
    let mut command: Command = server.command();
    command.args(["user", "totp", "enable", "alice"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let uri = lines.find(|line| line.as_ref().unwrap().starts_with("otpauth://")).unwrap().unwrap();
    (child, lines, uri)
}

#[test]
fn enrolment_asks_for_a_code_before_it_changes_anything() {
    let server = lenient().prepare();
    let users = || std::fs::read_to_string(server.policy().join("users.toml")).unwrap();
    let before = users();
    let enable = |answer: &dyn Fn(&TotpSecret) -> String| {
        let (mut child, lines, uri) = enrolling(&server);
        child.stdin.take().unwrap().write_all(answer(&secret_in(&uri)).as_bytes()).unwrap();
        lines.for_each(|line| drop(line.unwrap()));
        child.wait().unwrap().code()
    };
    assert_eq!(enable(&|secret| format!("{0}\n{0}\n{0}\n", no_code(secret))), Some(1));
    assert_eq!(enable(&|_| String::new()), Some(1));
    assert_eq!(users(), before);
    assert_eq!(enable(&|secret| format!("{}\n{}\n", no_code(secret), code(secret, 0))), Some(0));
    assert!(users().contains("totp-secret = \"") && users().contains("second-factor = \"totp\""), "{}", users());
    let again = server.command().args(["user", "totp", "enable", "alice", "--no-confirm"]).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("enrolled already"), "{again:?}");
}

#[test]
fn whoever_enrols_a_user_second_does_not_take_the_first_ones_secret_away() {
    let server = lenient().prepare();
    let (mut slow, lines, uri) = enrolling(&server);
    enrol(&server, "alice");
    let before = std::fs::read_to_string(server.policy().join("users.toml")).unwrap();
    writeln!(slow.stdin.take().unwrap(), "{}", code(&secret_in(&uri), 0)).unwrap();
    lines.for_each(|line| drop(line.unwrap()));
    let output = slow.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("enrolled already"), "{output:?}");
    assert_eq!(std::fs::read_to_string(server.policy().join("users.toml")).unwrap(), before);
}

#[test]
fn support_verifies_a_code_and_takes_enrolment_back() {
    let mut server = lenient().prepare();
    let secret = enrol(&server, "alice");
    let verify = |digits: &str| {
        let mut command = server.command();
        command
            .args(["user", "totp", "verify", "alice"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{digits}").unwrap();
        child.wait().unwrap().code()
    };
    assert_eq!((verify(&code(&secret, 0)), verify(&no_code(&secret))), (Some(0), Some(1)));
    let show = |format: &[&str]| done(server.command().args(["user", "show", "alice"]).args(format), "").stdout;
    let text = String::from_utf8(show(&[])).unwrap();
    let users = std::fs::read_to_string(server.policy().join("users.toml")).unwrap();
    let written = users.split("totp-secret = \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(text.contains("enrolled (TOTP)") && !text.contains(written), "{text}");
    assert!(!String::from_utf8(show(&["--json"])).unwrap().contains(written));
    done(server.command().args(["user", "totp", "disable", "alice"]), "");
    server.start();
    Wire::login(&server, "alice");
}

#[test]
fn a_secret_that_is_none_is_an_error_that_does_not_repeat_it() {
    let server = lenient().prepare();
    server.change_user("user.alice.totp-secret", "MFRGG");
    let check = server.command().args(["policy", "check"]).output().unwrap();
    let said = String::from_utf8(check.stderr).unwrap();
    assert!(said.contains("no secret of 16 to 64 bytes") && said.contains("totp enable alice"), "{said}");
    assert!(!said.contains("MFRGG"), "{said}");
}
