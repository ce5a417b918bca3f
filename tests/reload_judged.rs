//! What a reload does to those who are connected, and that the policy's own tests decide whether it
//! comes into force.

use std::fs;
use std::process::Output;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use toml_edit::value;

use crate::support::{Dial, Ending, Server, Wire, eventually};

/// What a command says, and its exit code.
fn said(server: &Server, arguments: &[&str]) -> (String, i32) {
    let Output { status, stdout, stderr } = server.command().args(arguments).output().unwrap();
    (String::from_utf8([stdout, stderr].concat()).unwrap(), status.code().unwrap())
}

#[track_caller]
fn reloaded(server: &Server) -> String {
    let (text, code) = said(server, &["reload"]);
    assert_eq!(code, 0, "{text}");
    text
}

/// One test for alice in `tests.toml`.
fn expects(server: &Server, verb: &str, judgement: &str) {
    let test = format!("[[test]]\nuser = \"alice\"\nfrom = \"127.0.0.1\"\nverb = \"{verb}\"\npath = \"/a\"\n");
    fs::write(server.policy().join("tests.toml"), format!("{test}expect = \"{judgement}\"\n")).unwrap();
}

#[test]
fn a_policy_that_fails_its_tests_is_refused_and_one_that_passes_them_says_so() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    expects(&server, "MKD", "allow");
    assert!(reloaded(&server).contains("Tests of the policy passed: 1."));
    let record = server.records_of("policy.loaded").pop().unwrap();
    assert_eq!(record.number("/unmapped/tests_passed"), Some(1));
    assert!(server.log_text().contains("tests_passed=1"), "{}", server.log_text());

    server.change_user("user.alice.permissions", "[\"list\", \"read\"]");
    let (text, code) = said(&server, &["reload"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("alice MKD /a") && text.contains("tests.toml:1:") && text.contains("Rejected by its tests"),
        "{text}"
    );
    let record = server.records_of("policy.rejected").pop().unwrap();
    assert_eq!(record.detail(), "tests_failed");
    assert_eq!(record.number("/unmapped/problems"), Some(1));
    assert!(record.text("/unmapped/first_problem").unwrap().contains("tests.toml:1"), "{record:?}");
    wire.ask("MKD d", 257);

    fs::write(server.policy().join("tests.toml"), "[[tests]]\n").unwrap();
    let (text, code) = said(&server, &["reload"]);
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("tests.toml:1:3: error: unknown key `tests`"), "{text}");
    assert_eq!(server.records_of("policy.rejected").pop().unwrap().detail(), "invalid");
    wire.ask("MKD e", 257);

    expects(&server, "MKD", "deny");
    reloaded(&server);
    wire.ask("MKD f", 550);
}

#[test]
fn who_is_disabled_is_gone_at_once_whatever_was_under_way() {
    let server = Server::builder().user("alice", &[]).user("bob", &[]).start();
    let mut bob = Wire::login(&server, "bob");
    let mut idle = Wire::login(&server, "alice");
    let mut moving = Wire::login(&server, "alice");
    let mut data = moving.begin("STOR f");
    data.send(b"the first half");
    let mut entering = Dial::to(&server).secure();
    entering.ask("USER alice", 331);
    server.change("users.toml", |toml| toml["user"]["alice"]["enabled"] = value(false));
    reloaded(&server);
    assert_eq!(idle.reply().code, 421);
    assert_eq!(idle.ended(), Ending::CloseNotify);
    assert!([426, 421].contains(&moving.reply().code));
    eventually("the end of both sessions", || (server.records_of("session.ended_by_policy").len() == 2).then_some(()));
    entering.send(&format!("PASS {}", crate::support::PASSWORD));
    assert_eq!(entering.reply().code, 530);
    assert_eq!(server.content("f"), None, "half a file is none");
    bob.ask("NOOP", 200);
}

#[test]
fn new_limits_of_a_user_hold_for_the_transfer_that_runs() {
    const LIMIT: u32 = 100_000;
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(&[0; 1000]);
    server.change_user("user.alice.upload-bytes-per-second", "100_000");
    server.change_user("user.alice.sessions", "1");
    reloaded(&server);
    let status = said(&server, &["status"]).0;
    assert!(status.contains("1, 1 with a transfer"), "{status}");
    let mut second = Dial::to(&server).secure();
    second.ask("USER alice", 331);
    second.send(&format!("PASS {}", crate::support::PASSWORD));
    assert_eq!(second.reply().code, 421, "the new limit of sessions holds");
    let began = Instant::now();
    data.send(&vec![0; 300_000]);
    data.finish();
    wire.expect(226);
    let least = 300_000.0 / f64::from(LIMIT) / 2.0;
    assert!(began.elapsed().as_secs_f64() > least, "{:?}", began.elapsed());
}

#[test]
fn a_hash_of_another_server_makes_every_check_as_dear_after_a_reload() {
    const COST: u32 = 12;
    let server = Server::running();
    let hashing = Instant::now();
    let hash = bcrypt::hash("of-another-server", COST).unwrap();
    let dear = hashing.elapsed();
    let home = server.home("alice").join("bob");
    fs::create_dir(&home).unwrap();
    let facts = format!("home = \"{}\"\npassword = \"{hash}\"", home.display());
    let rest = "password-set = 2026-01-01\npermissions = [\"list\"]";
    server.add_to_users(&format!("[user.bob]\n{facts}\n{rest}\n"));
    reloaded(&server);
    let mut wire = Dial::to(&server).secure();
    wire.ask("USER nobody-of-that-name", 331);
    let began = Instant::now();
    wire.send("PASS wrong");
    assert_eq!(wire.reply().code, 530);
    assert!(began.elapsed() > dear / 3, "{:?} is less than bcrypt's {dear:?}", began.elapsed());
}

#[test]
fn a_storm_of_hangups_is_served_and_ends() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                server.signal(rustix::process::Signal::HUP);
                sleep(Duration::from_millis(1));
            }
        });
        for _ in 0..5 {
            reloaded(&server);
        }
    });
    // In one step, since some hangups may still be to be served.
    let (file, next) = (server.policy().join("users.toml"), server.policy().join("users.toml.new"));
    let mut users: toml_edit::DocumentMut = fs::read_to_string(&file).unwrap().parse().unwrap();
    users["user"]["alice"]["permissions"] = value(toml_edit::Array::from_iter(["list"]));
    fs::write(&next, users.to_string()).unwrap();
    fs::set_permissions(&next, file.metadata().unwrap().permissions()).unwrap();
    fs::rename(next, file).unwrap();
    reloaded(&server);
    wire.ask("MKD d", 550);
}
