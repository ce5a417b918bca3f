//! A password that has ended, or that is for once only, lets its user in to change it and for
//! nothing else; and no former password comes back.

use std::process::Stdio;

use crate::clients::{lftp, run};
use crate::support::server::{Builder, done};
use crate::support::wire::Reply;
use crate::support::{PASSWORD, Server, Wire, day};

const PASSWORDS: [&str; 4] = [
    "Lantern-Quarry-Walnut-41-orbit",
    "Copper-Meadow-Falcon-58-drizzle",
    "Velvet-Harbour-Nickel-72-plume",
    "Granite-Saffron-Otter-36-relay",
];

fn lenient() -> Builder {
    Server::builder().set("login.failures-per-address", "1000").set("login.failures-per-user-network", "1000")
}

fn enter(server: &Server, user: &str, password: &str) -> (Wire, Reply) {
    let mut wire = Wire::secure(server);
    wire.ask(&format!("USER {user}"), 331);
    let reply = wire.ask(&format!("PASS {password}"), 230);
    (wire, reply)
}

#[test]
fn a_temporary_password_is_changed_before_anything_else_and_never_again() {
    let mut server = lenient().user("alice", &["--temporary"]).start();
    let (mut wire, welcome) = enter(&server, "alice", PASSWORD);
    assert!(welcome.text().contains("Change it first: SITE PSWD old new"), "{welcome:?}");
    wire.protect();
    for line in ["EPSV", "LIST", "STOR a", "MKD a", "CWD /", "SITE WHO", "STAT", "REST 0"] {
        let reply = wire.ask(line, 530);
        assert!(reply.text().contains("SITE PSWD"), "{line}: {reply:?}");
    }
    for (line, code) in [("PWD", 257), ("NOOP", 200), ("SYST", 215), ("FEAT", 211), ("HELP", 214), ("SITE HELP", 214)] {
        wire.ask(line, code);
    }
    let success = server.wait_for_record("auth.success", |_| true);
    assert!(success.line().contains("\"restricted\":true") && success.line().contains("\"must_change\":\"temporary\""));
    wire.ask(&format!("SITE PSWD {PASSWORD} {}", PASSWORDS[0]), 200);
    // From here on it is a session like others.
    wire.ask("MKD a", 257);
    assert!(wire.list("LIST").contains(" a"));
    server.wait_for_record("auth.password_changed", |record| record.line().contains("\"restricted\":true"));
    server.stop();
    server.start();
    let (_, welcome) = enter(&server, "alice", PASSWORDS[0]);
    assert_eq!(welcome.text(), "Logged in.");
}

#[test]
fn a_password_that_ended_is_changed_where_the_user_may_and_else_keeps_out() {
    let mut server = lenient().user("alice", &[]).user("bob", &[]).prepare();
    for user in ["alice", "bob"] {
        server.change_user(&format!("user.{user}.password-set"), &day(-181));
    }
    server.change_user("user.bob.password-change", "false");
    server.start();
    Wire::secure(&server).refused("bob", PASSWORD);
    server.wait_for_failure("auth.failure", "password_expired");
    let (mut wire, welcome) = enter(&server, "alice", PASSWORD);
    assert!(welcome.text().contains("has ended"), "{welcome:?}");
    wire.ask("EPSV", 530);
    wire.ask(&format!("SITE PSWD {PASSWORD} {}", PASSWORDS[0]), 200);
    wire.ask("EPSV", 229);
}

#[test]
fn whoever_cannot_change_a_temporary_password_stays_out_and_the_administrator_is_told() {
    let mut server = lenient().user("alice", &["--temporary"]).prepare();
    server.change_user("user.alice.password-change", "false");
    let check = server.command().args(["policy", "check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr).into_owned() + &String::from_utf8_lossy(&check.stdout);
    assert!(said.contains("has to change the password and may not"), "{said}");
    let passwd = server.command().args(["user", "passwd", "alice", "--generate", "--temporary"]).output().unwrap();
    assert!(String::from_utf8_lossy(&passwd.stderr).contains("would keep alice out"), "{passwd:?}");
    server.start();
    Wire::secure(&server).refused("alice", PASSWORD);
    server.wait_for_failure("auth.failure", "password_temporary");
}

#[test]
fn the_administrator_hands_out_a_password_for_once() {
    let mut server = lenient().prepare();
    let made = done(server.command().args(["user", "passwd", "alice", "--generate", "--temporary"]), "").stdout;
    let made = String::from_utf8(made).unwrap();
    let password = made.lines().find_map(|line| line.strip_prefix("password: ")).unwrap();
    server.start();
    run(&mut lftp(&server, "alice", &format!("user alice {password}; quote SITE PSWD {password} {}", PASSWORDS[0])))
        .done();
    let (mut wire, _) = enter(&server, "alice", PASSWORDS[0]);
    wire.ask("MKD a", 257);
    // One without the word is a password like others.
    done(server.command().args(["user", "passwd", "alice", "--password-stdin"]), &format!("{}\n", PASSWORDS[1]));
    server.stop();
    server.start();
    enter(&server, "alice", PASSWORDS[1]).0.ask("MKD b", 257);
}

#[test]
fn the_last_passwords_come_back_neither_by_the_user_nor_by_the_administrator() {
    let mut server = lenient().policy("passwords.history", "2").start();
    let passwd = |server: &Server, password: &str| {
        let mut command = server.command();
        command.args(["user", "passwd", "alice", "--password-stdin"]);
        let output = std::process::Command::new("sh")
            .args(["-c", "printf '%s\\n' \"$0\" | \"$@\"", password])
            .arg(command.get_program())
            .args(command.get_args())
            .output();
        output.unwrap()
    };
    let (mut wire, _) = enter(&server, "alice", PASSWORD);
    wire.ask(&format!("SITE PSWD {PASSWORD} {}", PASSWORDS[0]), 200);
    let reply = wire.ask(&format!("SITE PSWD {} {PASSWORD}", PASSWORDS[0]), 550);
    assert!(reply.text().contains("one of the 2 before"), "{reply:?}");
    server.wait_for_failure("auth.password_change_failed", "used_before");
    wire.ask(&format!("SITE PSWD {} {}", PASSWORDS[0], PASSWORDS[1]), 200);
    // The administrator's command knows what the user changed.
    for used in [PASSWORD, PASSWORDS[0], PASSWORDS[1]] {
        let output = passwd(&server, used);
        assert!(!output.status.success(), "{used}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("one of the last"), "{output:?}");
    }
    assert!(passwd(&server, PASSWORDS[2]).status.success());
    // And the server knows what the administrator had written, also after a restart.
    server.stop();
    server.start();
    let (mut wire, _) = enter(&server, "alice", PASSWORDS[2]);
    wire.ask(&format!("SITE PSWD {} {}", PASSWORDS[2], PASSWORDS[1]), 550);
    wire.ask(&format!("SITE PSWD {} {}", PASSWORDS[2], PASSWORDS[0]), 550);
    // The first is the third before this one by now.
    wire.ask(&format!("SITE PSWD {} {PASSWORD}", PASSWORDS[2]), 200);
}

#[test]
fn passwords_set_at_the_same_time_are_all_former_ones_but_the_last() {
    let server = lenient().prepare();
    let set = || {
        let mut command = server.command();
        command.args(["user", "passwd", "alice", "--generate"]).stdout(Stdio::piped()).spawn().unwrap()
    };
    let all: Vec<_> = (0..4).map(|_| set()).collect();
    for one in all {
        assert!(one.wait_with_output().unwrap().status.success());
    }
    let users: toml_edit::DocumentMut =
        std::fs::read_to_string(server.policy().join("users.toml")).unwrap().parse().unwrap();
    assert_eq!(users["user"]["alice"]["password-history"].as_array().unwrap().len(), 4);
}

#[test]
fn the_administrator_says_how_early_a_login_warns() {
    let mut server = lenient().policy("passwords.age-warning-days", "40").prepare();
    server.change_user("user.alice.password-set", &day(-145));
    server.start();
    let (_, welcome) = enter(&server, "alice", PASSWORD);
    assert!(welcome.text().contains("ends in 35 days"), "{welcome:?}");
}
