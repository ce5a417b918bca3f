//! Networks that are banned by hand, and those that the server banned by itself.

use serde_json::Value;

use crate::support::{Dial, Server, Wire, eventually};

/// The networks that are banned, and by whom.
fn bans(server: &Server) -> Vec<(String, String)> {
    let list = server.told(&["bans"]);
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    list["bans"].as_array().unwrap().iter().map(|line| (text(line, "network"), text(line, "by"))).collect()
}

/// Whether somebody from 127.0.0.`last` is greeted.
fn comes_in(server: &Server, last: u8) -> bool {
    let mut wire = Dial::to(server).from(last).connect();
    let code = wire.reply().code;
    assert!([220, 421].contains(&code), "{code}");
    code == 220
}

#[test]
fn a_ban_keeps_a_network_out_across_reload_and_restart_until_it_is_lifted() {
    let mut server = Server::running();
    let banned = server.told(&["ban", "127.0.0.5", "--forever", "--yes", "--reason", "guesses\u{1b}[2J"]);
    assert_eq!((&banned["ban"]["network"], &banned["kept"]), (&"127.0.0.5/32".into(), &true.into()));
    assert!(!comes_in(&server, 5) && comes_in(&server, 6));
    let denied = server.wait_for_failure("conn.denied", "banned");
    assert_eq!(denied.text("/unmapped/source_ip"), Some("127.0.0.5"));
    server.told(&["reload"]);
    assert!(!comes_in(&server, 5));
    server.kill();
    server.start();
    assert!(!comes_in(&server, 5));
    assert_eq!(bans(&server), [("127.0.0.5/32".to_owned(), "hand".to_owned())]);
    assert_eq!(server.told(&["status"])["bans"], 1);
    let output = server.command().arg("bans").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("forever") && text.contains("guesses\\u{1b}[2J"), "{text}");
    server.told(&["unban", "127.0.0.5"]);
    assert!(comes_in(&server, 5) && bans(&server).is_empty());
    assert_eq!(server.refused(&["unban", "127.0.0.5"]).0, 1, "it was not banned");
}

#[test]
fn a_ban_ends_the_sessions_from_there_unless_told_otherwise() {
    let server = Server::running();
    let mut one = Dial::to(&server).from(5).login("alice");
    let mut other = Dial::to(&server).from(6).login("alice");
    let kept = server.told(&["ban", "127.0.0.5", "--for", "1h", "--yes", "--keep-sessions"]);
    assert_eq!(kept["sessions"], 0);
    one.ask("NOOP", 200);
    let banned = server.told(&["ban", "127.0.0.4/30", "--for", "1h", "--yes"]);
    assert_eq!(banned["sessions"], 2);
    for wire in [&mut one, &mut other] {
        wire.expect(421);
        wire.ended();
    }
    let record = server.wait_for_record("session.kicked", |_| true);
    assert_eq!(record.text("/unmapped/end"), Some("banned"));
    let (code, words) = {
        let output = server.command().args(["unban", "127.0.0.5"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert!(code == Some(1) && words.contains("STILL BANNED") && words.contains("127.0.0.4/30"), "{words}");
}

#[test]
fn a_ban_ends_by_itself() {
    let server = Server::running();
    server.told(&["ban", "127.0.0.5", "--for", "2s", "--yes"]);
    assert!(!comes_in(&server, 5));
    eventually("it is over", || comes_in(&server, 5).then_some(()));
    assert!(bans(&server).is_empty());
}

#[test]
fn bans_that_the_server_made_are_listed_and_lifted() {
    let server = Server::builder().policy("login.failures-per-address", "2").start();
    for _ in 0..3 {
        let mut wire = Dial::to(&server).from(5).secure();
        wire.send("USER alice");
        wire.expect(331);
        wire.send("PASS wrong");
        let _ = wire.try_reply();
    }
    let listed = eventually("it is banned", || bans(&server).pop());
    assert_eq!(listed, ("127.0.0.5/32".to_owned(), "failed-logins".to_owned()));
    assert!(!comes_in(&server, 5));
    assert_eq!(server.told(&["unban", "127.0.0.0/8"])["by_failed_logins"][0], "127.0.0.5/32");
    Dial::to(&server).from(5).login("alice");
}

#[test]
fn nobody_shuts_everybody_out_by_mistake() {
    let server = Server::running();
    for (network, words) in [("127.0.0.1", "this machine"), ("0.0.0.0/0", "everybody"), ("127.0.0.0/8", "this machine")]
    {
        let (code, told) = server.refused(&["ban", network]);
        assert!(code == 1 && told.contains(words) && told.contains("--yes"), "{told}");
    }
    assert!(comes_in(&server, 1));
    let (_, told) = server.refused(&["ban", "192.0.2.7", "--until", "2020-01-01"]);
    assert!(told.contains("lies in the past"), "{told}");
    Wire::login(&server, "alice");
}

#[test]
fn without_a_directory_for_it_a_ban_says_that_a_restart_forgets_it() {
    let mut server = Server::running();
    server.change("server.toml", |toml| drop(toml["passwords"].as_table_mut().unwrap().remove("changes")));
    server.stop();
    server.start();
    let output = server.command().args(["ban", "192.0.2.7"]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("restart of the server forgets it"));
}

#[test]
fn a_list_that_cannot_be_read_keeps_the_server_from_starting_without_it() {
    let mut server = Server::running();
    server.told(&["ban", "192.0.2.7"]);
    server.stop();
    let list = server.policy().join("../state/bans.toml");
    std::fs::write(&list, "[[ban]]\nnetwork = \"192.0.2.7/33\"\n").unwrap();
    let output = server.command().arg("serve").output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && words.contains("bans.toml") && words.contains("mend or remove"),
        "{words}"
    );
    std::fs::remove_file(list).unwrap();
    server.start();
}
