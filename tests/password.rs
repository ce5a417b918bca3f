//! Users change their passwords themselves: `SITE PSWD`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::thread;

use crate::clients::{curl, lftp, run, url};
use crate::support::server::{Builder, done};
use crate::support::wire::Reply;
use crate::support::{Dial, Ending, PASSWORD, Server, Wire, day};

const NEW: &str = "Lantern-Quarry-Walnut-41-orbit";
const OTHER: &str = "Copper-Meadow-Falcon-58-drizzle";
const WRONG: &str = "Orange-Bicycle-Kettle-17-moor";

/// The file of changed passwords.
fn changed(server: &Server) -> PathBuf {
    server.policy().parent().unwrap().join("state/passwords.toml")
}

fn change(wire: &mut Wire, old: &str, new: &str, code: u16) -> Reply {
    wire.ask(&format!("SITE PSWD {old} {new}"), code)
}

fn logs_in(server: &Server, user: &str, password: &str) {
    let mut wire = Wire::secure(server);
    wire.ask(&format!("USER {user}"), 331);
    wire.ask(&format!("PASS {password}"), 230);
}

fn is_refused(server: &Server, user: &str, password: &str) {
    Wire::secure(server).refused(user, password);
}

/// A server that forgives many failures, so that a test can make them.
fn lenient() -> Builder {
    Server::builder()
        .set("login.failures-per-address", "1000")
        .set("login.failures-per-user-network", "1000")
        .set("login.delay-first-ms", "0")
}

/// Starts a server that has to refuse, and returns what it says.
fn refuses_to_start(server: &Server) -> String {
    let output = server.command().arg("serve").output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn shown(server: &Server) -> String {
    String::from_utf8(done(server.command().args(["user", "show", "alice"]), "").stdout).unwrap()
}

#[test]
fn the_new_password_counts_at_once_and_the_old_one_no_more() {
    let server = lenient().start();
    let mut wire = Wire::login(&server, "alice");
    change(&mut wire, PASSWORD, NEW, 200);
    // The session goes on.
    wire.ask("PWD", 257);
    is_refused(&server, "alice", PASSWORD);
    logs_in(&server, "alice", NEW);
    let record = server.wait_for_record("auth.password_changed", |record| record.user() == "alice");
    assert_eq!(record.codes(), [200]);
    assert_eq!(record.text("/command"), Some("SITE"));
    assert_eq!(record.number("/type_uid"), Some(300_103));
    // Once more, from what is now the old one.
    change(&mut wire, NEW, OTHER, 200);
    is_refused(&server, "alice", NEW);
    logs_in(&server, "alice", OTHER);
}

#[test]
fn it_survives_a_restart_and_a_crash() {
    let mut server = lenient().user("alice", &[]).user("bob", &[]).start();
    change(&mut Wire::login(&server, "alice"), PASSWORD, NEW, 200);
    server.kill();
    server.start();
    is_refused(&server, "alice", PASSWORD);
    logs_in(&server, "alice", NEW);
    // Another change writes the first one along.
    change(&mut Wire::login(&server, "bob"), PASSWORD, OTHER, 200);
    server.stop();
    server.start();
    logs_in(&server, "alice", NEW);
    logs_in(&server, "bob", OTHER);
    assert_eq!(fs::metadata(changed(&server)).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn the_administrator_sees_it_and_has_the_last_word() {
    let mut server = lenient().start();
    server.change_user("user.alice.password-set", &day(-100));
    assert!(shown(&server).contains("set "), "{}", shown(&server));
    server.stop();
    server.start();
    change(&mut Wire::login(&server, "alice"), PASSWORD, NEW, 200);
    let text = shown(&server);
    assert!(text.contains(&format!("changed by the user on {} (0 days)", day(0))), "{text}");
    let list = String::from_utf8(done(server.command().args(["user", "list"]), "").stdout).unwrap();
    assert!(list.contains("0 days, by the user"), "{list}");

    done(server.command().args(["user", "passwd", "alice", "--password-stdin"]), &format!("{OTHER}\n"));
    assert!(!shown(&server).contains("by the user"), "{}", shown(&server));
    server.stop();
    server.start();
    is_refused(&server, "alice", NEW);
    logs_in(&server, "alice", OTHER);
}

#[test]
fn an_entry_that_counts_no_more_goes_with_the_next_write() {
    let mut server = lenient().user("alice", &[]).user("bob", &[]).user("carol", &[]).start();
    for user in ["alice", "bob"] {
        change(&mut Wire::login(&server, user), PASSWORD, NEW, 200);
    }
    server.stop();
    done(server.command().args(["user", "remove", "alice"]), "");
    server.start();
    assert!(fs::read_to_string(changed(&server)).unwrap().contains("[changed.alice]"));
    change(&mut Wire::login(&server, "carol"), PASSWORD, NEW, 200);
    let text = fs::read_to_string(changed(&server)).unwrap();
    let users: Vec<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(users, ["[changed.bob]", "[changed.carol]"]);
}

#[test]
fn a_user_added_again_has_the_password_of_the_administrator() {
    let mut server = lenient().start();
    change(&mut Wire::login(&server, "alice"), PASSWORD, NEW, 200);
    server.stop();
    done(server.command().args(["user", "remove", "alice"]), "");
    let mut add = server.command();
    add.args(["user", "add", "alice", "--password-stdin", "--home"]).arg(server.home("alice"));
    // The same password even: what was changed was changed by somebody else of that name.
    done(&mut add, &format!("{PASSWORD}\n"));
    server.start();
    is_refused(&server, "alice", NEW);
    logs_in(&server, "alice", PASSWORD);
}

#[test]
fn the_administrator_wins_over_a_change_that_comes_before_the_restart() {
    let mut server = lenient().start();
    done(server.command().args(["user", "passwd", "alice", "--password-stdin"]), &format!("{OTHER}\n"));
    // The running server does not know of it.
    change(&mut Wire::login(&server, "alice"), PASSWORD, NEW, 200);
    server.stop();
    server.start();
    is_refused(&server, "alice", NEW);
    logs_in(&server, "alice", OTHER);
}

#[test]
fn whose_password_ends_soon_hears_how_to_change_it() {
    let mut server = lenient().user("alice", &[]).user("bob", &[]).prepare();
    for user in ["alice", "bob"] {
        server.change_user(&format!("user.{user}.password-set"), &day(-175));
    }
    server.change_user("user.bob.password-change", "false");
    server.start();
    for (user, how) in [("alice", "change it with SITE PSWD"), ("bob", "have it changed")] {
        let mut wire = Wire::secure(&server);
        wire.ask(&format!("USER {user}"), 331);
        let text = wire.ask(&format!("PASS {PASSWORD}"), 230).text().to_owned();
        assert!(text.ends_with(&format!("ends in 5 days; {how}.")), "{text}");
    }
    let mut wire = Wire::login(&server, "alice");
    change(&mut wire, PASSWORD, NEW, 200);
    let mut wire = Wire::secure(&server);
    wire.ask("USER alice", 331);
    assert_eq!(wire.ask(&format!("PASS {NEW}"), 230).text(), "Logged in.");
}

#[test]
fn passwords_with_spaces_and_quotes_stand_in_quotes() {
    let server = lenient().start();
    let mut wire = Wire::login(&server, "alice");
    let spaced = "violet \"tractor\" umbrella 93 quay é";
    wire.ask(&format!("SITE PSWD {PASSWORD} \"{}\"", spaced.replace('"', "\"\"")), 200);
    logs_in(&server, "alice", spaced);
    // A word of its own, and in the case that clients choose.
    wire.ask(&format!("site pswd \"{}\" {NEW}", spaced.replace('"', "\"\"")), 200);
    logs_in(&server, "alice", NEW);
    for arguments in ["", " x", &format!(" {NEW} a b"), &format!(" {NEW}  {OTHER}"), &format!(" \"{NEW} {OTHER}")] {
        wire.ask(&format!("SITE PSWD{arguments}"), 501);
    }
    logs_in(&server, "alice", NEW);
}

#[test]
fn a_weak_password_is_refused_with_every_reason() {
    let server = lenient().policy("passwords.banned", "[\"walnut\"]").start();
    let mut wire = Wire::login(&server, "alice");
    let text = change(&mut wire, PASSWORD, "walnut", 550).lines.join("\n");
    assert!(text.contains("needs 15") && text.contains("banned word `walnut`") && text.contains("guess"), "{text}");
    for (weak, reason) in [
        ("Orbit-Alice-lantern-quarry", "the name of the user"),
        (PASSWORD, "it is the old one"),
        ("aaaaaaaaaaaaaaaaaaaa", "too easy to guess"),
    ] {
        let text = change(&mut wire, PASSWORD, weak, 550).lines.join("\n");
        assert!(text.contains(reason) && !text.contains("--generate"), "{text}");
    }
    wire.send_raw(&[format!("SITE PSWD {PASSWORD} {NEW}").as_bytes(), b"\xe9\r\n"].concat());
    assert!(wire.expect(550).text().contains("UTF-8"));
    assert_eq!(server.records_of("auth.password_change_failed").len(), 5);
    server.wait_for_failure("auth.password_change_failed", "weak");
    logs_in(&server, "alice", PASSWORD);
}

#[test]
fn a_wrong_old_password_ends_the_session_like_failed_logins() {
    let server = lenient().set("login.attempts-per-session", "3").start();
    let mut wire = Wire::login(&server, "alice");
    for _ in 0..3 {
        change(&mut wire, WRONG, NEW, 550);
    }
    wire.expect(421);
    assert_eq!(wire.ended(), Ending::CloseNotify);
    server.wait_for_failure("auth.password_change_failed", "bad_password");
    let closed = server.wait_for_record("session.closed", |_| true);
    assert_eq!(closed.text("/unmapped/end"), Some("login_failures"));
    logs_in(&server, "alice", PASSWORD);
}

#[test]
fn wrong_old_passwords_and_failed_logins_are_counted_together() {
    let server = Server::builder()
        .set("login.failures-per-address", "3")
        .set("login.failure-forgiven-seconds", "3600")
        .set("login.attempts-per-session", "100")
        .set("login.delay-longest-seconds", "1")
        .start();
    let mut wire = Dial::to(&server).from(3).login("alice");
    Dial::to(&server).from(3).secure().refused("nobody", WRONG);
    for _ in 0..10 {
        change(&mut wire, WRONG, NEW, 550);
        if !server.records_of("auth.banned").is_empty() {
            break;
        }
    }
    wire.expect(421);
    assert_eq!(server.records_of("auth.password_change_failed").len(), 3, "one failed login, and these");
    let banned = server.wait_for_record("auth.banned", |_| true);
    assert_eq!((banned.user(), banned.text("/src_endpoint/ip")), ("alice", Some("127.0.0.3")));
    Dial::to(&server).from(4).login("alice");
}

#[test]
fn nobody_changes_a_password_without_end() {
    let server = lenient().start();
    let mut wire = Wire::login(&server, "alice");
    for _ in 0..10 {
        change(&mut wire, PASSWORD, "short", 550);
    }
    let text = change(&mut wire, PASSWORD, NEW, 451).text().to_owned();
    assert!(text.contains("try again in 6 minutes"), "{text}");
    server.wait_for_failure("auth.password_change_failed", "too_often");
    logs_in(&server, "alice", PASSWORD);
}

#[test]
fn of_two_changes_at_once_one_wins() {
    // Hashes that take a while, so that both are under way at the same time.
    let server = lenient().policy("passwords.argon2-memory-kib", "32768").start();
    let changes: Vec<_> = [NEW, OTHER]
        .into_iter()
        .map(|new| {
            let mut wire = Wire::login(&server, "alice");
            thread::spawn(move || {
                wire.send(&format!("SITE PSWD {PASSWORD} {new}"));
                (new, wire.reply().code)
            })
        })
        .collect();
    let ended: Vec<(&str, u16)> = changes.into_iter().map(|change| change.join().unwrap()).collect();
    let (won, lost): (Vec<(&str, u16)>, Vec<_>) = ended.iter().partition(|(_, code)| *code == 200);
    assert_eq!((won.len(), lost.len()), (1, 1), "{ended:?}");
    assert_eq!(lost[0].1, 550, "{ended:?}");
    logs_in(&server, "alice", won[0].0);
    is_refused(&server, "alice", lost[0].0);
}

#[test]
fn a_stop_ends_a_change_that_is_not_stored_yet() {
    let expensive = ["passwords.argon2-memory-kib=262144", "passwords.argon2-iterations=6"];
    let mut server = lenient().start();
    server.stop();
    server.override_with(&expensive);
    server.start();
    let mut wire = Wire::login(&server, "alice");
    wire.send(&format!("NOOP\r\nSITE PSWD {PASSWORD} {NEW}"));
    wire.expect(200);
    server.terminate();
    // 421 alone, where it was not begun yet.
    let reply = wire.reply();
    assert!([451, 421].contains(&reply.code), "{reply:?}");
    server.wait();
    server.override_with(&[]);
    server.start();
    logs_in(&server, "alice", PASSWORD);
}

#[test]
fn only_who_may_changes_a_password() {
    let server = lenient()
        .users_toml("[group.shared]\npermissions = \"full\"\npassword-change = false\n")
        .user("alice", &[])
        .user("bob", &[])
        .user("carol", &[])
        .prepare();
    let mut server = server;
    server.change_user("user.alice.password-change", "false");
    server.change_user("user.bob.groups", "[\"shared\"]");
    server.change_user("user.carol.groups", "[\"shared\"]");
    server.change_user("user.carol.password-change", "true");
    server.start();
    for user in ["alice", "bob"] {
        let text = change(&mut Wire::login(&server, user), PASSWORD, NEW, 550).text().to_owned();
        assert!(text.contains("by the administrator here"), "{text}");
    }
    server.wait_for_failure("auth.password_change_failed", "not_offered");
    change(&mut Wire::login(&server, "carol"), PASSWORD, NEW, 200);
    // Before the login there is nothing to change.
    Wire::secure(&server).ask(&format!("SITE PSWD {PASSWORD} {NEW}"), 530);
}

#[test]
fn without_a_place_for_them_the_administrator_changes_passwords() {
    let mut server = lenient().prepare();
    server.change("server.toml", |toml| drop(toml["passwords"].as_table_mut().unwrap().remove("changes")));
    server.start();
    let text = change(&mut Wire::login(&server, "alice"), PASSWORD, NEW, 550).text().to_owned();
    assert!(text.contains("by the administrator here"), "{text}");
}

#[test]
fn what_cannot_be_stored_is_not_changed() {
    let server = lenient().start();
    let state = changed(&server).parent().unwrap().to_owned();
    let mut wire = Wire::login(&server, "alice");
    // Without capabilities, not even root writes there now.
    fs::set_permissions(&state, PermissionsExt::from_mode(0o500)).unwrap();
    change(&mut wire, PASSWORD, NEW, 451);
    server.wait_for_failure("auth.password_change_failed", "local_error");
    is_refused(&server, "alice", NEW);
    fs::set_permissions(&state, PermissionsExt::from_mode(0o750)).unwrap();
    change(&mut wire, PASSWORD, NEW, 200);
    logs_in(&server, "alice", NEW);
}

#[test]
fn a_file_that_is_not_safe_or_not_sound_keeps_the_server_from_starting() {
    let mut server = lenient().start();
    change(&mut Wire::login(&server, "alice"), PASSWORD, NEW, 200);
    server.stop();
    let path = changed(&server);
    let sound = fs::read_to_string(&path).unwrap();
    let mode = |mode| fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o640);
    let said = refuses_to_start(&server);
    assert!(said.contains("can be read by others (mode 0640)") && said.contains("chmod 0600"), "{said}");
    mode(0o600);
    for (broken, place, message) in [
        (sound.replace("replaces", "replaced"), "7:1", "unknown key `replaced`"),
        (sound.replace("$argon2id", "$argon2i"), "5:12", "only argon2id"),
        (sound.replace("password-set = ", "password-set = x"), "6:", "this is no TOML"),
        (sound.replace("[changed.alice]", "[changed.\"../alice\"]"), "4:10", "is no user name"),
    ] {
        assert_ne!(broken, sound);
        fs::write(&path, broken).unwrap();
        let said = refuses_to_start(&server);
        assert!(said.contains(&format!("passwords.toml:{place}")) && said.contains(message), "{place}: {said}");
        assert!(!said.contains("$argon2"), "{said}");
        let check = server.command().args(["policy", "check"]).output().unwrap();
        assert_eq!(check.status.code(), Some(78), "{check:?}");
    }
    fs::write(&path, sound).unwrap();
    server.start();
    logs_in(&server, "alice", NEW);
}

#[test]
fn their_place_is_for_nothing_else() {
    let server = lenient().prepare();
    for (place, reached) in [
        ("../policy", "the policy files"),
        ("..", "the policy files"),
        ("../audit", "the audit log"),
        ("../certs", "the private key"),
        ("../../files/alice/state", "the changed passwords"),
    ] {
        let check = server.command().args(["policy", "check", "--set", &format!("passwords.changes={place}")]).output();
        let check = check.unwrap();
        let said = String::from_utf8(check.stderr).unwrap();
        assert!(check.status.code() == Some(78) && said.contains(&format!("reaches {reached}")), "{place}: {said}");
    }
    for place in ["/etc", "/var/lib", "/usr/bin"] {
        let check = server.command().args(["policy", "check", "--set", &format!("passwords.changes={place}")]).output();
        let check = check.unwrap();
        let said = String::from_utf8(check.stderr).unwrap();
        assert!(check.status.code() == Some(78) && said.contains("is the system's"), "{place}: {said}");
    }
}

#[test]
fn a_server_that_gave_root_up_writes_them_and_nobody_else_reads_them() {
    let mut server = lenient().prepare();
    let root = server.policy().parent().unwrap().to_owned();
    let account = if rustix::process::geteuid().is_root() { Some("daemon") } else { None };
    if let Some(account) = account {
        let accounts = fs::read_to_string("/etc/passwd").unwrap();
        let line = accounts.lines().find(|line| line.starts_with(&format!("{account}:"))).unwrap();
        let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
        for path in [root.join("audit"), server.home("alice")] {
            chown(&path, Some(ids[0]), Some(ids[1])).unwrap();
        }
        for path in [root.parent().unwrap(), &root] {
            fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        server.change("server.toml", |toml| toml["process"]["user"] = toml_edit::value(account));
    }
    // A directory that is missing is made, and given to the account.
    fs::remove_dir(root.join("state")).unwrap();
    server.start();
    change(&mut Wire::login(&server, "alice"), PASSWORD, NEW, 200);
    let owner = |path: PathBuf| fs::metadata(path).unwrap().uid();
    assert_eq!(owner(changed(&server)), owner(root.join("audit")));
    assert_eq!(owner(root.join("state")), owner(root.join("audit")));
    server.stop();
    server.start();
    logs_in(&server, "alice", NEW);
}

#[test]
fn clients_change_it_with_the_commands_they_have() {
    let server = lenient().start();
    run(&mut lftp(&server, "alice", &format!("quote SITE PSWD {PASSWORD} {NEW}"))).done();
    logs_in(&server, "alice", NEW);
    let again = format!("SITE PSWD \"{NEW}\" \"{OTHER}\"");
    let user = format!("alice:{NEW}");
    let mut curl = curl(&server, "alice");
    run(curl.args(["--user", &user, "--quote", &again, "--list-only", &url(&server, "")])).done();
    logs_in(&server, "alice", OTHER);
}

#[test]
fn no_password_is_kept_anywhere() {
    let server = lenient().start();
    let mut wire = Wire::login(&server, "alice");
    change(&mut wire, WRONG, NEW, 550);
    change(&mut wire, PASSWORD, "Too-weak", 550);
    change(&mut wire, PASSWORD, NEW, 200);
    wire.ask(&format!("SITE PSWD {NEW} {OTHER} and more"), 501);
    wire.send(&format!("SITE PSWDX {NEW} {OTHER}"));
    assert!(wire.reply().code >= 500);
    let mut looked_at = Vec::new();
    for path in server.kept_files() {
        let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for secret in [PASSWORD, NEW, OTHER, WRONG, "Too-weak"] {
            assert!(!content.contains(secret), "{} holds {secret}", path.display());
        }
        looked_at.push(path);
    }
    assert!(looked_at.contains(&changed(&server)) && looked_at.contains(&server.audit_file()), "{looked_at:?}");
}
