//! Who gets in, who does not, and what it costs to try.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::server::{Builder, done};
use crate::support::wire::connect;
use crate::support::{Dial, Ending, PASSWORD, Server, Wire};

const WRONG: &str = "Orange-Bicycle-Kettle-17-moor";

/// A server that forgives many failures, so that a test can make them.
fn lenient() -> Builder {
    Server::builder()
        .set("login.failures-per-address", "1000")
        .set("login.failures-per-user-network", "1000")
        .set("login.failures-per-minute", "10000")
        .set("login.attempts-per-session", "100")
        .set("login.delay-first-ms", "0")
}

#[test]
fn the_right_password_lets_in_and_is_recorded() {
    let server = Server::running();
    let mut wire = Wire::secure(&server);
    wire.log_in("alice");
    wire.ask("PWD", 257);
    let record = server.wait_for_record("auth.success", |record| record.user() == "alice");
    assert_eq!(record.codes(), [230]);
    assert_eq!(record.text("/src_endpoint/ip"), Some("127.0.0.1"));
    assert_eq!(record.text("/tls/version"), Some("1.3"));
}

#[test]
fn every_failed_login_has_the_same_words_and_its_own_reason() {
    let server = lenient()
        .user("dora", &[])
        .user("erik", &["--expires", "2020-01-01"])
        .user("frida", &[])
        .user("gustav", &["--allow-from", "127.0.0.9/32"])
        .prepare();
    let mut server = server;
    done(server.command().args(["user", "disable", "dora"]), "");
    server.change_user("user.frida.password-set", "2020-01-01");
    server.change_user("user.frida.password-change", "false");
    server.start();
    let mut wire = Wire::secure(&server);
    let mut words = Vec::new();
    for (user, password, reason) in [
        ("alice", WRONG, "bad_password"),
        ("nobody", WRONG, "unknown_user"),
        ("nobody", PASSWORD, "unknown_user"),
        ("dora", PASSWORD, "disabled"),
        ("erik", PASSWORD, "expired"),
        ("frida", PASSWORD, "password_expired"),
        ("gustav", PASSWORD, "ip_not_allowed"),
        ("anonymous", "me@example.org", "anonymous"),
        ("ftp", "", "anonymous"),
        ("FTP", PASSWORD, "anonymous"),
        ("Anonymous", PASSWORD, "anonymous"),
    ] {
        words.push(wire.refused(user, password).lines);
        server.wait_for_record("auth.failure", |r| r.user() == user && r.detail() == reason && r.codes() == [530]);
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(server.records_of("auth.success").is_empty());
}

#[test]
fn what_a_wrong_password_reveals_of_an_account_is_nothing() {
    // Disabled, expired and the like are told apart only behind the right password, in the log.
    let server = lenient().user("erik", &["--expires", "2020-01-01"]).start();
    let mut wire = Wire::secure(&server);
    wire.refused("erik", WRONG);
    server.wait_for_record("auth.failure", |r| r.user() == "erik" && r.detail() == "bad_password");
}

#[test]
fn a_user_of_another_network_is_let_in_from_there() {
    let server = Server::builder().user("gustav", &["--allow-from", "127.0.0.9/32"]).start();
    Dial::to(&server).from(9).login("gustav");
}

#[test]
fn an_unknown_user_costs_the_same_time_as_a_wrong_password() {
    // Hashes that take a while, so that skipping one would show.
    let server =
        lenient().policy("passwords.argon2-memory-kib", "16384").policy("passwords.argon2-iterations", "3").start();
    let mut wire = Wire::secure(&server);
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..6 {
        for (user, best) in ["alice", "nobody"].into_iter().zip(&mut fastest) {
            wire.ask(&format!("USER {user}"), 331);
            let began = Instant::now();
            wire.ask(&format!("PASS {WRONG}"), 530);
            *best = (*best).min(began.elapsed());
        }
    }
    let [known, unknown] = fastest;
    assert!(known > Duration::from_millis(3), "hashing took {known:?}, too little to tell anything");
    assert!(unknown < known * 3 && known < unknown * 3, "known {known:?}, unknown {unknown:?}");
}

#[test]
fn refusals_take_longer_and_longer() {
    let server = lenient().set("login.delay-first-ms", "100").set("login.delay-longest-seconds", "1").start();
    let mut wire = Wire::secure(&server);
    let mut took = Vec::new();
    for _ in 0..4 {
        let began = Instant::now();
        wire.refused("alice", WRONG);
        took.push(began.elapsed());
    }
    assert!(took[0] >= Duration::from_millis(100), "{took:?}");
    assert!(took[2] >= Duration::from_millis(400) && took[2] > took[0] + Duration::from_millis(200), "{took:?}");
    assert!(took[3] >= Duration::from_millis(800), "{took:?}");
    // The delay belongs to the address: hanging up does not shorten it.
    let mut again = Wire::secure(&server);
    let began = Instant::now();
    again.refused("alice", WRONG);
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
}

#[test]
fn a_session_ends_after_three_failed_logins() {
    let server = Server::builder().set("login.attempts-per-session", "3").start();
    let mut wire = Wire::secure(&server);
    for _ in 0..3 {
        wire.refused("alice", WRONG);
    }
    wire.expect(421);
    assert_eq!(wire.ended(), Ending::CloseNotify);
    let record = server.wait_for_record("session.closed", |_| true);
    assert_eq!(record.text("/unmapped/end"), Some("login_failures"));
}

#[test]
fn an_address_that_guesses_is_banned_and_others_are_not() {
    let server = Server::builder()
        .set("login.failures-per-address", "3")
        .set("login.failures-per-user-network", "1000")
        .set("login.failure-forgiven-seconds", "3600")
        .set("login.delay-longest-seconds", "1")
        .start();
    // An open session of the same address from before.
    let mut before = Dial::to(&server).from(3).secure();
    let mut wire = Dial::to(&server).from(3).secure();
    let mut refused = 0;
    loop {
        wire.refused("alice", WRONG);
        refused += 1;
        let banned = !server.records_of("auth.banned").is_empty();
        if banned {
            wire.expect(421);
            break;
        }
        assert!(refused < 10, "no ban");
        if refused % 3 == 0 {
            wire = Dial::to(&server).from(3).secure();
        }
    }
    assert!((3..=4).contains(&refused), "{refused}");
    let record = server.wait_for_record("auth.banned", |_| true);
    assert_eq!(record.text("/src_endpoint/ip"), Some("127.0.0.3"));

    // No greeting for whoever is banned, and nothing of a password is looked at.
    let mut later = Dial::to(&server).from(3).connect();
    later.expect(421);
    assert_eq!(later.ended(), Ending::Fin);
    server.wait_for_failure("conn.denied", "banned");
    before.refused("alice", PASSWORD);
    // Nobody else is concerned.
    Dial::to(&server).from(4).login("alice");
}

#[test]
fn a_user_is_guessed_at_from_one_network_only_so_often_but_keeps_the_way_in() {
    let server = Server::builder()
        .set("login.failures-per-user-network", "2")
        .set("login.failures-per-address", "1000")
        .set("login.failure-forgiven-seconds", "3600")
        .set("login.attempts-per-session", "100")
        .set("login.delay-longest-seconds", "1")
        .start();
    // From here alice logged in lately.
    Dial::to(&server).from(5).login("alice");
    let mut wire = Dial::to(&server).from(6).secure();
    for _ in 0..3 {
        wire.refused("alice", WRONG);
    }
    // Even the right password goes unchecked now, with the same words.
    wire.refused("alice", PASSWORD);
    server.wait_for_record("auth.throttled", |record| record.user() == "alice");
    Dial::to(&server).from(5).login("alice");
}

#[test]
fn user_and_pass_come_in_their_order() {
    let server = lenient().start();
    let mut wire = Wire::secure(&server);
    wire.ask("PASS x", 503);
    wire.ask("USER", 501);
    wire.refused("alice", WRONG);
    // A failed password ends what USER began.
    wire.ask(&format!("PASS {PASSWORD}"), 503);
    // The last USER counts.
    wire.ask("USER nobody", 331);
    wire.log_in("alice");
    wire.ask("USER bob", 503);
    wire.ask("PASS x", 503);
}

#[test]
fn nothing_of_the_files_before_the_login() {
    let server = Server::running();
    let mut wire = Wire::secure(&server);
    for line in ["PWD", "CWD /", "EPSV", "PASV", "LIST", "RETR x", "STOR x", "DELE x", "MKD x", "SIZE x", "ABOR"] {
        wire.ask(line, 530);
    }
    assert!(server.names().is_empty());
}

#[test]
fn passwords_are_taken_byte_for_byte() {
    let server = lenient().prepare();
    let mut server = server;
    let home = server.home("space");
    std::fs::create_dir_all(&home).unwrap();
    let password = " Violet tractor umbrella 93 quay \u{e9}";
    let mut add = server.command();
    done(add.args(["user", "add", "space", "--password-stdin", "--home"]).arg(home), &format!("{password}\n"));
    server.start();
    let mut wire = Wire::secure(&server);
    wire.refused("space", password.trim());
    wire.ask("USER space", 331);
    wire.ask(&format!("PASS {password}"), 230);
}

#[test]
fn hostile_user_names_are_refused_and_stay_one_line_of_the_log() {
    let server = lenient().start();
    let mut wire = Wire::secure(&server);
    let names = [
        "../../etc/passwd",
        "alice\u{1b}[2J",
        "\",\"status_id\":1,\"x\":\"",
        "${jndi:ldap://x}",
        "%n%n%s",
        "\u{202e}ecila",
        "\u{2028}{}",
        &"x".repeat(2000),
    ];
    for name in names {
        wire.refused(name, WRONG);
    }
    wire.send_raw(b"USER \xff\xfe\xfd\r\n");
    let answer = wire.reply();
    assert!([331, 501].contains(&answer.code), "{answer:?}");
    let failures = server.records_of("auth.failure");
    assert_eq!(failures.len(), names.len());
    for record in failures {
        assert!(record.user().chars().count() <= 64, "{record:?}");
        assert!(!record.line().contains(['\u{1b}', '\u{202e}', '\u{2028}']), "{record:?}");
        assert_eq!(record.number("/status_id"), Some(2));
    }
}

#[test]
fn a_foreign_address_gets_421_and_nothing_else() {
    let server = Server::builder().allow_from("127.0.0.1/32").start();
    let mut wire = Dial::to(&server).from(2).connect();
    wire.expect(421);
    assert_eq!(wire.ended(), Ending::Fin);
    let record = server.wait_for_failure("conn.denied", "ip_not_allowed");
    assert!(record.line().contains("127.0.0.2"), "{record:?}");
    assert!(server.records_of("conn.accepted").is_empty());
    Wire::login(&server, "alice");
}

#[test]
fn deny_wins_over_allow() {
    let server = Server::builder().set("networks.deny", "[\"127.0.0.2/32\"]").start();
    let mut wire = Dial::to(&server).from(2).connect();
    wire.expect(421);
    server.wait_for_failure("conn.denied", "ip_denied");
    Dial::to(&server).from(3).greeted();
}

#[test]
fn one_address_has_a_bounded_number_of_sessions() {
    let server = Server::builder().set("limits.sessions-per-address", "2").start();
    let _first = Wire::greeted(&server);
    let second = Wire::greeted(&server);
    let mut third = Dial::to(&server).connect();
    third.expect(421);
    assert_eq!(third.ended(), Ending::Fin);
    server.wait_for_record("conn.denied", |_| true);
    Dial::to(&server).from(2).greeted();
    drop(second);
    server.wait_for_record("session.closed", |_| true);
    crate::support::eventually("the place is free again", || {
        Dial::to(&server).connect().try_reply().ok().filter(|reply| reply.code == 220)
    });
}

#[test]
fn the_server_has_a_bounded_number_of_sessions() {
    let server = Server::builder().set("limits.sessions", "2").start();
    let _sessions = [2, 3].map(|last| Dial::to(&server).from(last).greeted());
    Dial::to(&server).from(4).connect().expect(421);
    server.wait_for_record("conn.denied", |_| true);
}

#[test]
fn a_flood_of_logins_is_answered_in_bounded_time() {
    let server = lenient().policy("passwords.argon2-memory-kib", "8192").start();
    let threads: Vec<_> = (0..12)
        .map(|_| {
            let dial = Dial::to(&server);
            std::thread::spawn(move || {
                let mut wire = dial.secure();
                wire.ask("USER alice", 331);
                wire.send(&format!("PASS {WRONG}"));
                wire.reply().code
            })
        })
        .collect();
    for thread in threads {
        let code = thread.join().unwrap();
        assert!([530, 431, 421].contains(&code), "{code}");
    }
    Wire::login(&server, "alice");
}

#[test]
fn weak_passwords_and_forbidden_names_are_refused_when_set() {
    let server = Server::builder().prepare();
    let add = |name: &str, password: &str| {
        let mut command = server.command();
        command.args(["user", "add", name, "--password-stdin", "--home"]).arg(server.home("other"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that refuses the name does not read.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{password}\n").as_bytes());
        child.wait_with_output().unwrap().status.code()
    };
    std::fs::create_dir_all(server.home("other")).unwrap();
    assert_eq!(add("bob", "hunter2"), Some(1));
    assert_eq!(add("bob", "passwordpassword"), Some(1));
    assert_eq!(add("anonymous", PASSWORD), Some(2));
    assert_eq!(add("ftp", PASSWORD), Some(2));
    assert_eq!(add("bob", PASSWORD), Some(0));
}

#[test]
fn refused_addresses_learn_nothing_of_tls_either() {
    let server = Server::builder().allow_from("127.0.0.1/32").implicit().start();
    let address = (Ipv4Addr::LOCALHOST, server.ports().implicit()).into();
    let mut stream = connect(Ipv4Addr::new(127, 0, 0, 2), address);
    let mut said = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut said);
    assert_eq!(said, b"");
    server.wait_for_failure("conn.denied", "ip_not_allowed");
}

#[test]
fn endless_passwords_are_refused_without_a_look() {
    let server = lenient().start();
    let mut wire = Wire::secure(&server);
    wire.refused("alice", &"x".repeat(4000));
    wire.ask("USER alice", 331);
    wire.send(&format!("PASS {}", "x".repeat(5000)));
    wire.expect(500);
    wire.expect(421);
    wire.ended();
}

#[test]
fn a_ban_of_a_shared_address_spares_those_who_logged_in_there() {
    let server = Server::builder()
        .user("bob", &[])
        .policy("login.failures-per-address", "2")
        .policy("login.delay-longest-seconds", "1")
        .start();
    Wire::login(&server, "alice");
    let mut guesser = Wire::secure(&server);
    for guess in ["one", "two", "three"] {
        guesser.refused("bob", guess);
    }
    server.wait_for_record("auth.banned", |_| true);
    Wire::login(&server, "alice");
    Wire::secure(&server).refused("bob", PASSWORD);
    Dial::to(&server).from(2).login("bob");
}
