//! Several names of the server, each with its certificate: chosen by the name in the TLS handshake,
//! confirmed by `HOST` (RFC 7151).

use std::net::Ipv4Addr;
use std::path::PathBuf;

use rustls::HandshakeKind;

use crate::clients::{curl, run};
use crate::support::server::{Builder, done, portcullis};
use crate::support::wire::connect;
use crate::support::{Data, Dial, PASSWORD, Server, Wire, day};

/// A server that is `localhost`, and `second.test` with a certificate of another authority.
fn two_names(builder: Builder) -> (Server, PathBuf) {
    let mut server = builder.prepare();
    let second = server.scratch().join("second");
    let mut init = portcullis();
    init.arg("init").arg(&second).args(["--hostname", "second.test", "--allow-from", "127.0.0.0/8"]);
    done(&mut init, "");
    let certs = second.join("certs");
    let identities = format!(
        "[{{ names = [\"localhost\"], certificate = \"../certs/server.pem\", key = \"../certs/server.key\" }},\n\
         {{ names = [\"second.test\"], certificate = \"{certs}/server.pem\", key = \"{certs}/server.key\" }}]",
        certs = certs.display()
    );
    server.change("server.toml", |toml| {
        toml["tls"]["identities"] = toml_edit::value(identities.parse::<toml_edit::Value>().unwrap());
    });
    server.start();
    (server, certs.join("ca.pem"))
}

#[test]
fn each_name_is_shown_its_own_certificate_and_moves_files() {
    let (server, authority) = two_names(Server::builder());
    server.put("f", b"content");
    // Each trusts one authority only, so any other certificate would end its handshake.
    let mut first = Wire::login(&server, "alice");
    let mut second = Dial::to(&server).named("second.test", &authority).login("alice");
    assert_eq!(first.fetch("RETR f"), b"content");
    assert_eq!(second.fetch("RETR f"), b"content");
    let shown = |sni: &str| {
        let record = server.wait_for_record("tls.handshake_ok", |record| record.text("/tls/sni") == Some(sni));
        record.text("/unmapped/identity").map(str::to_owned)
    };
    assert_eq!(shown("localhost").as_deref(), Some("localhost"));
    assert_eq!(shown("second.test").as_deref(), Some("second.test"));
}

#[test]
fn a_data_connection_that_resumes_nothing_is_shown_the_certificate_of_its_control_connection() {
    let until = day(30);
    let exception =
        format!("[[user.bob.exception]]\ndata-binding = \"address\"\nreason = \"an old client\"\nuntil = {until}\n");
    let (server, authority) = two_names(Server::builder().user("bob", &[]).users_toml(&exception));
    let mut wire = Dial::to(&server).named("second.test", &authority).login("bob");
    let address = wire.passive();
    let stream = connect(Ipv4Addr::LOCALHOST, address);
    // It trusts the one authority too, and takes a certificate for that name alone.
    let mut data = Data::named(stream, &wire.fresh_config(), "second.test");
    wire.ask("STOR f", 150);
    assert_eq!(data.handshake().unwrap(), HandshakeKind::Full);
    data.send(b"content");
    data.finish();
    wire.expect(226);
}

#[test]
fn curl_finds_the_certificate_of_each_name() {
    let (server, authority) = two_names(Server::builder());
    server.put("f", b"content");
    for (name, authority) in [("localhost", server.authority()), ("second.test", authority)] {
        let mut fetch = curl(&server, "alice");
        fetch.arg("--cacert").arg(authority).args(["--resolve", &format!("{name}:{}:127.0.0.1", server.port())]);
        fetch.arg(format!("ftp://{name}:{}/f", server.port()));
        assert_eq!(run(&mut fetch).done().out, b"content", "{name}");
    }
}

#[test]
fn host_agrees_with_the_name_in_the_handshake() {
    let (server, authority) = two_names(Server::builder());
    let mut wire = Dial::to(&server).named("second.test", &authority).secure();
    assert!(wire.ask("HOST localhost", 504).text().contains("connect with this name"));
    wire.ask("HOST unknown.test", 504);
    wire.ask("HOST second.test:21", 501);
    wire.ask("HOST Second.TEST.", 220);
    wire.log_in("alice");
    wire.ask("HOST second.test", 503);
    let record = server.wait_for_failure("proto.refused", "host_mismatch");
    assert_eq!(record.text("/unmapped/host"), Some("localhost"));
    let login = server.wait_for_record("auth.success", |_| true);
    assert_eq!(login.text("/unmapped/host"), Some("second.test"));
}

#[test]
fn without_a_name_in_the_handshake_it_is_the_first() {
    let (server, _) = two_names(Server::builder());
    let mut wire = Dial::to(&server).without_sni().secure();
    assert!(wire.ask("HOST second.test", 504).text().contains("SNI"));
    wire.ask("HOST localhost", 220);
    wire.ask("HOST [127.0.0.1]", 220);
    wire.ask("USER alice", 331);
    wire.ask("HOST localhost", 503);
    wire.ask(&format!("PASS {PASSWORD}"), 230);
}

#[test]
fn an_address_that_is_not_the_first_identitys_is_told_to_the_operator_and_to_the_client() {
    let files = "certificate = \"../certs/server.pem\", key = \"../certs/server.key\"";
    let identities = format!("[{{ names = [\"localhost\"], {files} }}, {{ names = [\"192.0.2.9\"], {files} }}]");
    let server = Server::builder().hostname("192.0.2.9").policy("tls.identities", &identities).start();
    let said = server.log_text();
    assert!(said.contains("nobody is shown the certificate for 192.0.2.9"), "{said}");
    let mut wire = Dial::to(&server).without_sni().secure();
    assert!(wire.ask("HOST 192.0.2.9", 504).text().contains("connect with a name"));
}

#[test]
fn an_unknown_name_may_be_refused() {
    let (server, authority) = two_names(Server::builder().policy("tls.unknown-names", "refuse"));
    let mut wire = Dial::to(&server).named("unknown.test", &authority).greeted();
    wire.ask("AUTH TLS", 234);
    let refused = wire.handshake().unwrap_err().to_string();
    assert!(refused.contains("UnrecognisedName"), "{refused}");
    let record = server.wait_for_failure("tls.handshake_failed", "unknown_name");
    assert_eq!(record.text("/unmapped/host"), Some("unknown.test"), "the operator sees which name to add");
    Dial::to(&server).named("second.test", &authority).login("alice");
    Dial::to(&server).without_sni().login("alice");
}

#[test]
fn each_certificate_is_checked_with_its_place() {
    let (server, _) = two_names(Server::builder());
    let check = |change: &dyn Fn(&mut toml_edit::InlineTable)| -> String {
        server.change("server.toml", |toml| {
            let identities = toml["tls"]["identities"].as_array_mut().unwrap();
            change(identities.get_mut(1).unwrap().as_inline_table_mut().unwrap());
        });
        let output = server.command().args(["policy", "check"]).output().unwrap();
        assert_eq!(output.status.code(), Some(78));
        String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
    };
    let text = std::fs::read_to_string(server.policy().join("server.toml")).unwrap();
    let line = text.lines().position(|line| line.contains("second.test")).unwrap() + 1;
    let place = format!("server.toml:{line}:");
    let names = |name: &str| toml_edit::Value::from([name].into_iter().collect::<toml_edit::Array>());
    let said = check(&|identity| drop(identity.insert("names", names("third.test"))));
    assert!(said.contains(&place) && said.contains("not for `third.test`"), "{said}");
    let said = check(&|identity| {
        identity.insert("names", names("second.test"));
        identity.insert("key", "../certs/server.key".into());
    });
    assert!(said.contains(&place) && said.contains("not the private key of the certificate"), "{said}");
}
