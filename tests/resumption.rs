//! Every data connection resumes its session, however many there are, however old the session is,
//! and whatever other sessions the client has at the time.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustls::HandshakeKind;

use crate::clients::{lftp, python, run_with, spawn, wait};
use crate::support::tls::Version;
use crate::support::{Dial, Server};

/// How long a client may take whose transfers are counted in hundreds.
const TIME: Duration = Duration::from_mins(2);

/// The transfers of each session; every one of them was bound by resumption.
fn transfers(server: &Server) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in server.audit().iter().filter(|record| record.text("/unmapped/data_tls").is_some()) {
        assert_eq!(record.text("/unmapped/data_tls"), Some("Resumed"), "{record:?}");
        assert_eq!(record.text("/unmapped/data_binding"), Some("session"), "{record:?}");
        *counts.entry(record.session().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(server.records_of("data.binding_failed").len(), 0);
    counts
}

#[test]
fn a_client_that_uses_one_ticket_again_and_again_resumes_a_hundred_times() {
    let server = Server::running();
    for version in ["1.2", "1.3"] {
        run_with(python(&server, "alice", "hundred.py").args([version, version]), b"", TIME).done();
    }
    assert_eq!(transfers(&server).into_values().collect::<Vec<_>>(), [102, 102]);
}

#[test]
fn a_client_that_uses_each_ticket_once_resumes_a_hundred_times_both_ways() {
    let server = Server::running();
    for version in [Version::Tls13, Version::Tls12, Version::Tls12Ids] {
        let mut wire = Dial::to(&server).tls(version).login("alice");
        for round in 0..50 {
            let mut data = wire.begin("STOR f");
            assert_eq!(data.handshake().unwrap(), HandshakeKind::Resumed, "{version:?}, {round}");
            data.send(b"content");
            // The next ticket comes behind the upload, so this client reads to the end.
            data.finish_listening();
            wire.expect(226);
            assert_eq!(wire.fetch("RETR f"), b"content", "{version:?}, {round}");
        }
    }
    assert_eq!(transfers(&server).into_values().collect::<Vec<_>>(), [100, 100, 100]);
}

#[test]
fn sessions_of_one_client_at_the_same_time_do_not_disturb_each_other() {
    let server = Server::running();
    for version in ["1.2", "1.3"] {
        let client = |prefix: usize| {
            let mut client = python(&server, "alice", "hundred.py");
            client.args([version, &format!("{version}-{prefix}")]);
            spawn(client.stdin(Stdio::null()).stdout(Stdio::null()))
        };
        let clients: Vec<_> = (0..4).map(client).collect();
        for mut client in clients {
            assert!(wait(&mut client, TIME).expect("it ends in time").success());
        }
    }
    assert_eq!(transfers(&server).into_values().collect::<Vec<_>>(), [102; 8]);
}

/// The same program by a clock that is set from a file. Only the time of day is changed, so that
/// waiting takes as long as ever.
fn by_another_clock(command: &Command, clock: &Path) -> Command {
    std::fs::write(clock, "+0\n").unwrap();
    let mut faketime = Command::new("faketime");
    // What it sets for the program comes before the file.
    faketime.args(["-f", "+0", "env", "-u", "FAKETIME"]).arg(command.get_program()).args(command.get_args());
    faketime.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    faketime.env("FAKETIME_TIMESTAMP_FILE", clock).env("FAKETIME_NO_CACHE", "1");
    faketime.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    faketime
}

#[test]
fn a_session_that_is_days_old_to_its_client_is_resumed_still() {
    let server = Server::running();
    let clock = server.scratch().join("clock");
    // The longest life that a ticket can have is a week: behind it the client has to begin anew,
    // which shows that it does look at its clock. One of TLS 1.2 is for OpenSSL what the server says.
    for (version, over) in [("1.2", "none"), ("1.3", "169")] {
        let mut client = python(&server, "alice", "ageing.py");
        client.args([version, over, "1", "24", "167"]);
        run_with(&mut by_another_clock(&client, &clock), b"", TIME).done();
    }
}

#[test]
fn lftp_resumes_a_session_that_is_hours_old_to_it() {
    let server = Server::running();
    let clock = server.scratch().join("clock");
    server.put("f", b"content\n");
    let later = |hours: &str| format!("!echo +{hours}h > {}\n!date +%s\ncat f\n", clock.display());
    let commands = "set net:timeout never; set net:idle never\ncat f\n".to_owned() + &later("1") + &later("20");
    let got = run_with(&mut by_another_clock(&lftp(&server, "alice", &commands), &clock), b"", TIME).done().text();
    let lines: Vec<&str> = got.lines().collect();
    let ["content", one, "content", twenty, "content"] = lines[..] else { panic!("{got}") };
    let hours = (twenty.parse::<u64>().unwrap() - one.parse::<u64>().unwrap()) / 3600;
    assert!((18..=19).contains(&hours), "the clock was set by {hours} hours");
    assert_eq!(transfers(&server).into_values().collect::<Vec<_>>(), [3]);
}
