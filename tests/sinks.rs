//! Copies of the audit log, with the server whose log it is: clients notice nothing of them, whatever
//! becomes of the receiver or of the keeper itself.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::keeper::{Rsyslog, number};
use crate::support::server::done;
use crate::support::{PATIENCE, Server, Wire, eventually};

/// The process that a server started.
fn keeper_of(server: &Server) -> Pid {
    let parent = format!(" {} ", server.pid());
    let of_server =
        |text: &str| text.rsplit(')').next().is_some_and(|rest| rest.get(2..).unwrap().starts_with(&parent));
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let mut pids = entries.filter_map(|name| name.parse::<i32>().ok());
    let found = pids.find(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| of_server(&text)));
    Pid::from_raw(found.expect("the server has no keeper")).unwrap()
}

/// What `status` says of the audit log.
fn status(server: &Server) -> serde_json::Value {
    let output = done(server.command().args(["status", "--json"]), "");
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["audit"].take()
}

/// What works whatever becomes of the keeper.
fn works(server: &Server) {
    let mut wire = Wire::login(server, "alice");
    wire.protect();
    wire.store("STOR f", b"content");
    wire.ask("QUIT", 221);
}

#[test]
fn standard_output_gets_every_record_up_to_the_last() {
    let mut server = Server::builder().policy("audit.stdout", "true").start();
    works(&server);
    assert!(server.stop().success());
    let copied: Vec<u64> = server.log_text().lines().filter_map(number).collect();
    let written: Vec<u64> = server.audit().iter().map(crate::support::Record::seq).collect();
    assert_eq!(copied, written);
    assert_eq!(server.records_of("service.stop").len(), 1);
}

#[test]
fn clients_notice_nothing_of_a_dead_receiver_and_it_gets_everything_when_it_is_back() {
    let scratch = tempfile::tempdir().unwrap();
    let socket = scratch.path().join("log");
    let value = format!("[{{ to = \"unix:{}\" }}]", socket.display());
    let server = Server::builder().policy("audit.syslog", &value).start();
    works(&server);
    let failed = server.wait_for_failure("audit.sink_failed", "unreachable");
    assert_eq!(failed.text("/unmapped/sink"), Some(format!("unix:{}", socket.display()).as_str()));
    let sink = eventually("status tells", || {
        let sink = status(&server)["sinks"][0].clone();
        (sink["healthy"] == false && sink["behind_records"].as_u64() > Some(5)).then_some(sink)
    });
    assert!(sink["last_error"].as_str().unwrap().contains("No such file"), "{sink}");
    let receiver = UnixDatagram::bind(&socket).unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    server.wait_for_record("audit.sink_recovered", |_| true);
    let wanted: Vec<u64> = server.audit().iter().map(crate::support::Record::seq).collect();
    let mut buffer = vec![0; 1 << 17];
    for seq in wanted {
        let bytes = receiver.recv(&mut buffer).unwrap();
        assert_eq!(number(std::str::from_utf8(&buffer[..bytes]).unwrap()), Some(seq));
    }
    assert_eq!(server.records_of("audit.sink_failed").len(), 1);
    eventually("status tells", || (status(&server)["sinks"][0]["healthy"] == true).then_some(()));
}

#[test]
fn a_syslog_server_over_tls_gets_what_the_server_records() {
    let scratch = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut rsyslog = Rsyslog::prepare(&scratch.path().join("rsyslog"), port);
    rsyslog.start();
    let value = format!("[{{ to = \"tls://localhost:{port}\", ca = \"{}\" }}]", rsyslog.authority().display());
    let mut server = Server::builder().policy("audit.syslog", &value).start();
    works(&server);
    assert!(server.stop().success());
    let written: Vec<u64> = server.audit().iter().map(crate::support::Record::seq).collect();
    eventually("all records arrive", || (rsyslog.numbers() == written).then_some(()));
}

#[test]
fn a_syslog_server_that_stops_reading_delays_neither_clients_nor_the_end_and_loses_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut rsyslog = Rsyslog::prepare(&scratch.path().join("rsyslog"), port);
    rsyslog.start();
    let value = format!("[{{ to = \"tls://localhost:{port}\", ca = \"{}\" }}]", rsyslog.authority().display());
    let mut server = Server::builder().policy("audit.syslog", &value).start();
    eventually("the first records arrive", || (!rsyslog.numbers().is_empty()).then_some(()));
    rsyslog.signal(Signal::STOP);
    // More than fits into the buffers between the two.
    let mut wire = Wire::login(&server, "alice");
    for _ in 0..400 {
        wire.ask("MKD f", 257);
        wire.ask("RMD f", 250);
    }
    wire.ask("QUIT", 221);
    let since = Instant::now();
    assert!(server.stop().success());
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    rsyslog.signal(Signal::CONT);
    server.start();
    assert!(server.stop().success());
    let written: Vec<u64> = server.audit().iter().map(crate::support::Record::seq).collect();
    eventually("all records arrive", || (rsyslog.numbers() == written).then_some(()));
}

#[test]
fn where_the_keeper_ends_the_server_goes_on_and_says_so() {
    let mut server = Server::running();
    assert_eq!(status(&server)["keeper"], true);
    kill_process(keeper_of(&server), Signal::KILL).unwrap();
    let ended = server.wait_for_failure("audit.sink_failed", "keeper_ended");
    assert_eq!(ended.text("/unmapped/sink"), Some("keeper"));
    assert_eq!(status(&server)["keeper"], false);
    let told = done(server.command().arg("status"), "");
    assert!(String::from_utf8_lossy(&told.stdout).contains("the keeper has ENDED"));
    assert!(server.log_text().contains("the keeper has ended"));
    works(&server);
    done(server.command().arg("reload"), "");
    assert!(server.stop().success());
    assert_eq!(server.records_of("service.stop").len(), 1);
}

#[test]
fn the_keeper_ends_with_a_server_that_is_killed() {
    let mut server = Server::running();
    let keeper = keeper_of(&server);
    server.kill();
    eventually("the keeper ends", || {
        // Its parent is gone, so it may stay a moment until it is waited for.
        let state = Command::new("ps").args(["-o", "state=", "-p", &keeper.as_raw_nonzero().to_string()]).output();
        let zombie = String::from_utf8_lossy(&state.unwrap().stdout).starts_with('Z');
        (zombie || test_kill_process(keeper).is_err()).then_some(())
    });
    server.start();
    works(&server);
}

#[test]
fn the_keeper_is_confined_and_has_neither_listener_nor_home_open() {
    let server = Server::running();
    let keeper = keeper_of(&server).as_raw_nonzero();
    let status = fs::read_to_string(format!("/proc/{keeper}/status")).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    assert_eq!(field("CapEff:"), "0000000000000000");
    let open = fs::read_dir(format!("/proc/{keeper}/fd")).unwrap();
    let open: Vec<String> =
        open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok()).map(|to| to.display().to_string()).collect();
    let listeners = fs::read_to_string("/proc/net/tcp").unwrap();
    for line in listeners.lines().skip(1) {
        let inode = line.split_whitespace().nth(9).unwrap();
        assert!(!open.contains(&format!("socket:[{inode}]")), "{open:?}");
    }
    let home = server.home("alice").display().to_string();
    assert!(!open.iter().any(|path| path.starts_with(&home) || path.contains("/certs/")), "{open:?}");
}

#[test]
fn where_it_copies_to_changes_with_a_restart_alone() {
    let server = Server::running();
    server.change("server.toml", |toml| toml["audit"]["stdout"] = toml_edit::value(true));
    let output = server.command().arg("reload").output().unwrap();
    assert!(!output.status.success());
    server.wait_for_failure("policy.rejected", "unchangeable");
    server.change("server.toml", |toml| {
        toml["audit"].as_table_mut().unwrap().remove("stdout");
        toml["audit"]["keep-days"] = toml_edit::value(400);
    });
    done(server.command().arg("reload"), "");
}
