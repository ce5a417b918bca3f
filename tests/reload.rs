//! The policy read again while the server runs: each way to ask for it, what it changes, and that
//! whatever is wrong changes nothing.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use rustix::process::Signal;
use toml_edit::value;

use crate::support::{Dial, Ending, PASSWORD, Record, Server, Wire, eventually};

/// What `portcullis reload` says, and its exit code.
fn reload(server: &Server) -> (String, i32) {
    let Output { status, stdout, stderr } = server.command().arg("reload").output().unwrap();
    (String::from_utf8([stdout, stderr].concat()).unwrap(), status.code().unwrap())
}

/// Has the policy read again, which has to succeed.
#[track_caller]
fn reloaded(server: &Server) {
    let (text, code) = reload(server);
    assert_eq!(code, 0, "{text}");
}

/// The last record of a policy that came into force.
fn loaded(server: &Server) -> Record {
    server.records_of("policy.loaded").pop().unwrap()
}

fn permissions(server: &Server, words: &[&str]) {
    let list: toml_edit::Array = words.iter().copied().collect();
    server.change("users.toml", |toml| toml["user"]["alice"]["permissions"] = value(list));
}

#[test]
fn a_reload_changes_what_may_be_done_at_the_next_command() {
    let server = Server::running();
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    wire.ask("MKD d", 257);
    permissions(&server, &["list", "read"]);
    wire.ask("DELE nothing", 550);
    let before = loaded(&server).text("/unmapped/policy").unwrap().to_owned();
    reloaded(&server);
    wire.ask("MKD e", 550);
    let record = loaded(&server);
    let now = record.text("/unmapped/policy").unwrap();
    assert_ne!(now, before);
    assert_eq!(record.text("/unmapped/policy_before"), Some(before.as_str()));
    assert_eq!(record.text("/unmapped/asked_by"), Some("control socket"));
    assert!(record.number("/unmapped/asked_by_pid").is_some());
    let denied = server.wait_for_record("authz.denied", |record| record.path() == "/e");
    assert_eq!(denied.text("/unmapped/policy"), Some(now), "what decided is what the record names");
}

#[test]
fn hangup_reads_the_policy_again() {
    let server = Server::running();
    permissions(&server, &["list"]);
    server.signal(Signal::HUP);
    let record = server.wait_for_record("policy.loaded", |record| record.text("/unmapped/asked_by") == Some("SIGHUP"));
    assert!(record.text("/unmapped/policy_before").is_some());
    Wire::login(&server, "alice").ask("MKD d", 550);
}

#[test]
fn changed_files_are_noticed_where_that_is_wanted() {
    let server = Server::builder().policy("reload.on-change", "true").start();
    let mut wire = Wire::login(&server, "alice");
    std::fs::write(server.policy().join("users.toml"), "[user.").unwrap();
    server.wait_for_record("policy.rejected", |record| record.text("/unmapped/asked_by") == Some("file change"));
    wire.ask("MKD d", 257);
    // Whoever writes the files is done before they are read.
    let stopped = server.records_of("policy.rejected").len();
    server.change("server.toml", |toml| toml["limits"]["sessions"] = value(7));
    eventually("the second rejection", || (server.records_of("policy.rejected").len() > stopped).then_some(()));
    std::fs::write(server.policy().join("users.toml"), "# nobody\n").unwrap();
    let record =
        server.wait_for_record("policy.loaded", |record| record.text("/unmapped/asked_by") == Some("file change"));
    assert_eq!(record.number("/unmapped/users"), Some(0));
}

#[test]
fn a_bad_file_changes_nothing_and_every_problem_is_told() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let before = loaded(&server).text("/unmapped/policy").unwrap().to_owned();
    server.change("server.toml", |toml| toml["limits"]["sesions"] = value(1));
    server.change("users.toml", |toml| toml["user"]["alice"]["permissions"] = value("everything"));
    let (text, code) = reload(&server);
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("unknown key `sesions`") && text.contains("did you mean `sessions`?"), "{text}");
    assert!(text.contains("users.toml:") && text.contains("nothing was changed"), "{text}");
    wire.ask("MKD d", 257);
    Wire::login(&server, "alice").ask("MKD e", 257);
    let record = server.records_of("policy.rejected").pop().unwrap();
    assert_eq!(record.detail(), "invalid");
    assert_eq!(record.text("/unmapped/policy"), Some(before.as_str()));
    assert_ne!(record.text("/unmapped/policy_rejected"), Some(before.as_str()));
    assert_eq!(record.number("/unmapped/problems"), Some(2));
    assert!(record.text("/unmapped/first_problem").unwrap().contains("server.toml:"), "{record:?}");
    assert!(server.log_text().contains("unknown key `sesions`"));
    assert_eq!(server.records_of("policy.loaded").len(), 1);
    // As it is for a moment while somebody writes it.
    std::fs::write(server.policy().join("users.toml"), "").unwrap();
    let (text, code) = reload(&server);
    assert!(code == 78 && text.contains("this file is empty, and there are users"), "{text}");
    wire.ask("MKD f", 257);
}

#[test]
fn nothing_new_is_called_that_and_recorded() {
    let server = Server::running();
    let (text, code) = reload(&server);
    assert_eq!((text.starts_with("Unchanged: policy"), code), (true, 0), "{text}");
    assert_eq!(loaded(&server).text("/unmapped/changed"), None);
    assert_eq!(server.records_of("policy.loaded").len(), 2);
}

#[test]
fn what_a_running_server_cannot_change_is_refused_with_the_reason() {
    let server = Server::running();
    server.change("server.toml", |toml| {
        toml["audit"]["directory"] = value("../audit2");
        toml["passwords"]["changes"] = value("../state2");
    });
    let (text, code) = reload(&server);
    assert_eq!(code, 78, "{text}");
    for what in ["[audit] directory", "[passwords] changes", "restart the server"] {
        assert!(text.contains(what), "{what}: {text}");
    }
    assert_eq!(server.records_of("policy.rejected").pop().unwrap().detail(), "unchangeable");
}

#[test]
fn overrides_of_the_start_hold_after_a_reload() {
    let server = Server::builder().set("limits.sessions-per-address", "1").start();
    permissions(&server, &["list"]);
    reloaded(&server);
    let _first = Wire::login(&server, "alice");
    let mut second = Dial::to(&server).connect();
    second.expect(421);
    assert_eq!(loaded(&server).text("/unmapped/overrides"), Some("limits.sessions-per-address=1"));
}

#[test]
fn limits_hold_for_whoever_comes_next() {
    let server = Server::running();
    let mut first = Wire::login(&server, "alice");
    let _second = Wire::login(&server, "alice");
    server.change("server.toml", |toml| toml["limits"]["sessions"] = value(2));
    reloaded(&server);
    Dial::to(&server).connect().expect(421);
    first.ask("NOOP", 200);
    server.change("server.toml", |toml| {
        toml["limits"]["sessions"] = value(3);
        toml["networks"]["deny"] = value(toml_edit::Array::from_iter(["127.0.0.9"]));
    });
    reloaded(&server);
    Dial::to(&server).from(9).connect().expect(421);
    Dial::to(&server).greeted();
}

#[test]
fn bans_outlast_a_reload_and_other_limits_of_logins_hold() {
    let server = Server::running();
    server.change("server.toml", |toml| toml["login"]["failures-per-address"] = value(1));
    reloaded(&server);
    let mut guessers = [(); 2].map(|()| Dial::to(&server).from(5).secure());
    for wire in &mut guessers {
        wire.ask("USER alice", 331);
        wire.send("PASS wrong");
    }
    server.wait_for_record("auth.banned", |_| true);
    Dial::to(&server).from(5).connect().expect(421);
    server.change("server.toml", |toml| toml["login"]["failures-per-address"] = value(9));
    reloaded(&server);
    Dial::to(&server).from(5).connect().expect(421);
    Dial::to(&server).from(6).login("alice");
}

#[test]
fn a_listener_goes_and_another_comes_while_sessions_go_on() {
    let mut server = Server::builder().implicit().prepare();
    server.start();
    let (explicit, implicit) = (server.port(), server.ports().implicit());
    let mut wire = Wire::login(&server, "alice");
    server.change("server.toml", |toml| {
        toml["listen"]["explicit"] = value(toml_edit::Array::from_iter([format!("127.0.0.1:{implicit}")]));
        toml["listen"]["implicit"] = value(toml_edit::Array::new());
    });
    reloaded(&server);
    let refused = std::net::TcpStream::connect(("127.0.0.1", explicit)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    wire.store("STOR f", b"of a session whose listener is gone");
    Dial::to_port(&server, implicit).login("alice");
    // It was listened on at the start, so it may come back.
    server.change("server.toml", |toml| {
        toml["listen"]["explicit"] = value(toml_edit::Array::from_iter([format!("127.0.0.1:{explicit}")]));
    });
    reloaded(&server);
    Dial::to_port(&server, explicit).login("alice");
    assert!(std::net::TcpStream::connect(("127.0.0.1", implicit)).is_err());
    server.terminate();
    wire.expect(421);
    assert!(server.wait().success());
}

#[test]
fn a_port_that_is_taken_changes_nothing() {
    let server = Server::running();
    let taken = std::net::TcpListener::bind(("127.0.0.1", server.ports().implicit())).unwrap();
    server.change("server.toml", |toml| {
        let port = taken.local_addr().unwrap().port();
        toml["listen"]["reload-ports"] = value(toml_edit::Array::from_iter([port.to_string()]));
        toml["listen"]["implicit"] = value(toml_edit::Array::from_iter([format!("127.0.0.1:{port}")]));
    });
    permissions(&server, &["list"]);
    let (text, code) = reload(&server);
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("cannot listen on 127.0.0.1"), "{text}");
    Wire::login(&server, "alice").ask("MKD d", 257);
}

#[test]
fn users_come_and_go() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    // Within reach of the sandbox, since it lies in a home of the start.
    let home = server.home("alice").join("bob");
    std::fs::create_dir(&home).unwrap();
    let mut add = server.command();
    add.args(["user", "add", "bob", "--password-stdin", "--home"]).arg(&home);
    let added = crate::support::server::done(&mut add, &format!("{PASSWORD}\n"));
    assert!(String::from_utf8(added.stdout).unwrap().contains("portcullis reload"));
    reloaded(&server);
    Wire::login(&server, "bob").store("STOR f", b"of bob");
    assert!(home.join("f").exists());
    crate::support::server::done(server.command().args(["user", "remove", "bob"]), "");
    reloaded(&server);
    let mut bob = Dial::to(&server).secure();
    bob.ask("USER bob", 331);
    bob.send(&format!("PASS {PASSWORD}"));
    assert_eq!(bob.reply().code, 530);
    wire.ask("NOOP", 200);
}

#[test]
fn a_password_that_a_user_changed_outlasts_a_reload_and_not_a_new_one_of_the_administrator() {
    const NEW: &str = "Purple-Elephant-Harbour-27-lamp";
    const NEWEST: &str = "Copper-Window-Meadow-58-boat";
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    wire.ask(&format!("SITE PSWD {PASSWORD} {NEW}"), 200);
    permissions(&server, &["list", "read", "create", "mkdir"]);
    reloaded(&server);
    let log_in = |password: &str| {
        let mut wire = Dial::to(&server).secure();
        wire.ask("USER alice", 331);
        wire.send(&format!("PASS {password}"));
        wire.reply().code
    };
    assert_eq!((log_in(NEW), log_in(PASSWORD)), (230, 530));
    let mut passwd = server.command();
    passwd.args(["user", "passwd", "alice", "--password-stdin"]);
    crate::support::server::done(&mut passwd, &format!("{NEWEST}\n"));
    reloaded(&server);
    assert_eq!((log_in(NEW), log_in(NEWEST)), (530, 230));
}

#[test]
fn no_change_of_a_password_is_lost_between_reloads() {
    let builder = (0..6).fold(Server::builder(), |builder, n| builder.user(&format!("u{n}"), &[]));
    let server = builder.start();
    let changed = |n: usize| format!("Purple-Elephant-Harbour-{n}-lamp");
    std::thread::scope(|scope| {
        for n in 0..6 {
            let server = &server;
            scope.spawn(move || {
                let mut wire = Wire::login(server, &format!("u{n}"));
                wire.ask(&format!("SITE PSWD {PASSWORD} {}", changed(n)), 200);
            });
        }
        for sessions in 900..920 {
            server.change("server.toml", |toml| toml["limits"]["sessions"] = value(sessions));
            reloaded(&server);
        }
    });
    for n in 0..6 {
        let mut wire = Dial::to(&server).secure();
        wire.ask(&format!("USER u{n}"), 331);
        wire.ask(&format!("PASS {}", changed(n)), 230);
    }
}

#[test]
fn a_renewed_certificate_is_shown_and_a_bad_one_is_not() {
    let server = Server::running();
    let certs = server.policy().join("../certs");
    let (was, key) = (certs.join("server.pem"), certs.join("server.key"));
    let mut old = Wire::login(&server, "alice");
    std::fs::copy(&key, certs.join("other.key")).unwrap();
    std::fs::write(&was, "no certificate").unwrap();
    let (text, code) = reload(&server);
    assert_eq!(code, 78, "{text}");
    Dial::to(&server).login("alice");
    let mut new = server.command();
    new.args(["cert", "new", "--name", "localhost", "--out"]).arg(server.scratch());
    crate::support::server::done(&mut new, "");
    for name in ["server.pem", "server.key"] {
        std::fs::copy(server.scratch().join(name), certs.join(name)).unwrap();
    }
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    reloaded(&server);
    let authority = server.scratch().join("ca.pem");
    Dial::to(&server).named("localhost", &authority).login("alice");
    old.store("STOR f", b"under the old certificate");
}

#[test]
fn the_severity_of_the_log_and_the_end_of_idle_sessions_change() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    server.change("server.toml", |toml| {
        toml["log"]["level"] = value("error");
        toml["limits"]["idle-seconds"] = value(1);
    });
    reloaded(&server);
    wire.ask("NOOP", 200);
    wire.expect(421);
    assert_eq!(wire.ended(), Ending::CloseNotify);
    assert!(!server.log_text().contains("another policy is in force"), "that is below the level by then");
}
