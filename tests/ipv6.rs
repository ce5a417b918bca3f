//! IPv6: every promise that depends on the kind of address, kept on `::1`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;

use crate::clients::{content, curl, lftp, python, run, url};
use crate::support::server::{Builder, done};
use crate::support::{Data, Dial, PATIENCE, Server, Wire, wire};

/// A server on `::1`. On a machine that has no IPv6, or none beyond this address (lftp looks for
/// more before it uses any), test and server get a network of their own which has it.
fn builder() -> Builder {
    let present = || {
        let addresses = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        TcpListener::bind("[::1]:0").is_ok() && addresses.lines().any(|line| !line.ends_with(" lo"))
    };
    if !present() {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
            .unwrap_or_else(|error| panic!("this machine has no IPv6; root could make a network that has: {error}"));
        done(Command::new("ip").args(["link", "set", "lo", "up"]), "");
        done(Command::new("ip").args(["address", "add", "2001:db8::1/128", "dev", "lo"]), "");
    }
    Server::builder().listen("::1").hostname("::1")
}

#[test]
fn files_move_over_extended_passive_mode() {
    let server = builder().start();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR f", b"content");
    assert_eq!(wire.fetch("RETR f"), b"content");
    assert!(wire.list("LIST").contains(" f\r\n"));
    wire.ask("EPSV 2", 229);
    let record = server.wait_for_record("file.upload", |_| true);
    assert_eq!(record.text("/src_endpoint/ip"), Some("::1"));
    assert_eq!(record.text("/unmapped/data_binding"), Some("session"));
}

#[test]
fn what_is_for_ipv4_says_what_to_use() {
    let server = builder().set("active.enabled", "true").start();
    let mut wire = Wire::login(&server, "alice");
    assert!(wire.ask("PASV", 425).text().contains("EPSV"));
    assert!(wire.ask("EPSV 1", 522).text().contains("(2)"));
    wire.ask("PORT 127,0,0,1,200,0", 504);
    wire.ask("EPRT |1|127.0.0.1|51200|", 504);
    wire.ask("EPSV ALL", 200);
    wire.ask("EPSV", 229);
}

#[test]
fn active_mode_connects_to_the_clients_own_address() {
    let server = builder().set("active.enabled", "true").start();
    server.put("f", b"content");
    let mut wire = Wire::login(&server, "alice");
    let listener = TcpListener::bind("[::1]:0").unwrap();
    wire.ask(&format!("EPRT |2|::1|{}|", listener.local_addr().unwrap().port()), 200);
    wire.ask("RETR f", 150);
    let stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(Data::new(stream, &wire.data_config()).receive(), b"content");
    wire.expect(226);
    wire.ask("EPRT |2|2001:db8::1|51200|", 504);
}

#[test]
fn implicit_tls_listens_there_too() {
    let server = builder().implicit().start();
    let mut wire = Dial::to_port(&server, server.ports().implicit()).connect();
    wire.handshake().unwrap();
    wire.expect(220);
    wire.log_in("alice");
    wire.protect();
    wire.store("STOR f", b"content");
}

#[test]
fn both_kinds_share_a_port_and_an_account() {
    let mut server = builder().prepare();
    let port = server.port();
    server.change("server.toml", |toml| {
        let sockets = format!("[\"0.0.0.0:{port}\", \"[::]:{port}\"]");
        toml["listen"]["explicit"] = sockets.parse::<toml_edit::Value>().unwrap().into();
        toml["networks"]["allow"] = "[\"::1\", \"127.0.0.1\"]".parse::<toml_edit::Value>().unwrap().into();
    });
    server.start();
    Wire::login(&server, "alice").store("STOR f", b"content");
    let v4 = SocketAddr::from(([127, 0, 0, 1], port));
    let mut other = Dial::to(&server).from(1).through(v4).login("alice");
    assert_eq!(other.fetch("RETR f"), b"content");
    assert!(other.ask("PASV", 227).text().contains("(127,0,0,1,"));
    other.ask("EPSV 2", 522);
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_an_ipv4_address() {
    let server = Server::builder().allow_from("127.0.0.1").start();
    let mapped = "::ffff:127.0.0.1".parse::<Ipv6Addr>().unwrap();
    let stream = wire::connect(IpAddr::from(mapped), SocketAddr::new(mapped.into(), server.port()));
    let accepted = server.wait_for_record("conn.accepted", |_| true);
    assert_eq!(accepted.text("/src_endpoint/ip"), Some("127.0.0.1"));
    drop(stream);
}

#[test]
fn lists_of_networks_decide() {
    for (allow, deny) in [("2001:db8::/32", "[]"), ("::/64", "[\"::1\"]"), ("127.0.0.0/8", "[]")] {
        let server = builder().allow_from(allow).policy("networks.deny", deny).start();
        Dial::to(&server).connect().expect(421);
        let record = server.wait_for_record("conn.denied", |_| true);
        assert_eq!(record.text("/unmapped/source_ip"), Some("::1"), "{record:?}");
    }
    let server = builder().allow_from("::/64").start();
    Wire::login(&server, "alice");
}

#[test]
fn curl_lists_and_moves_files() {
    let server = builder().start();
    let sent = content("ipv6", 300_000);
    let source = server.scratch().join("source");
    std::fs::write(&source, &sent).unwrap();
    let address = url(&server, "file");
    run(curl(&server, "alice").arg("--upload-file").arg(&source).arg(&address)).done();
    assert!(run(curl(&server, "alice").arg(&address)).done().out == sent);
    assert_eq!(run(curl(&server, "alice").args(["--list-only", &url(&server, "")])).done().text(), "file\n");
}

#[test]
fn lftp_lists_and_moves_files() {
    let server = builder().start();
    let source = server.scratch().join("source");
    std::fs::write(&source, content("ipv6", 300_000)).unwrap();
    let (from, to) = (source.display(), server.scratch().join("received"));
    let commands = format!("put {from} -o file; get file -o {}; nlist", to.display());
    assert_eq!(run(&mut lftp(&server, "alice", &commands)).done().text(), "file\n");
    assert!(std::fs::read(to).unwrap() == content("ipv6", 300_000));
}

#[test]
fn ftplib_does_everything() {
    let server = builder().start();
    run(python(&server, "alice", "everything.py").args(["resuming", "1.3", "EPSV"])).done();
}
