//! Client certificates: who has to show one, for whom it stands, and what it is good for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustls::HandshakeKind;

use crate::clients::{Ran, curl, lftp, python, run, url};
use crate::support::server::{Builder, done};
use crate::support::tls::Version;
use crate::support::wire::connect;
use crate::support::{Data, Dial, PASSWORD, Server, Wire, day};

/// A server that accepts certificates of a CA of its own.
pub(crate) struct Site {
    pub(crate) server: Server,
}

impl Site {
    /// alice and bob have a certificate each, and carol one that stands for nobody.
    pub(crate) fn new(mode: &str, builder: Builder) -> Self {
        let site = Self { server: builder.user("bob", &[]).prepare() };
        for (name, user) in [("alice", Some("alice")), ("bob", Some("bob")), ("carol", None)] {
            site.issue(name, user, &[]);
        }
        site.server.change("server.toml", |toml| {
            toml["tls"]["client-certificates"] = toml_edit::value(mode);
            toml["tls"]["client-authorities"] = toml_edit::value("../certs/clients/ca.pem");
            let lists = toml_edit::Array::from_iter(["../certs/clients/crl.pem"]);
            toml["tls"]["client-revocations"] = toml_edit::value(lists);
        });
        site
    }

    pub(crate) fn running(mode: &str) -> Self {
        Self::new(mode, Server::builder()).start()
    }

    pub(crate) fn start(mut self) -> Self {
        self.server.start();
        self
    }

    pub(crate) fn issue(&self, name: &str, user: Option<&str>, more: &[&str]) {
        let mut issue = self.server.command();
        issue.args(["cert", "client", "issue", name, "--out"]).arg(self.server.scratch()).args(more);
        if let Some(user) = user {
            issue.args(["--user", user]);
        }
        done(&mut issue, "");
    }

    /// Certificate and key of somebody, without the ending.
    pub(crate) fn of(&self, name: &str) -> PathBuf {
        self.server.scratch().join(name)
    }

    pub(crate) fn dial(&self, name: &str) -> Dial {
        Dial::to(&self.server).certificate(&self.of(name))
    }

    /// Connects with a certificate that is refused, and gives the reason recorded.
    fn refused(&self, file: &Path, reason: &str) {
        let before = self.server.records_of("tls.handshake_failed").len();
        let mut client = Command::new("openssl");
        client.args(["s_client", "-starttls", "ftp", "-ign_eof", "-connect"]);
        client.arg(format!("127.0.0.1:{}", self.server.port()));
        client.arg("-cert").arg(file.with_extension("pem")).arg("-key").arg(file.with_extension("key"));
        run(&mut client);
        self.server.wait_for_failure("tls.handshake_failed", reason);
        assert_eq!(self.server.records_of("tls.handshake_failed").len(), before + 1);
    }
}

/// curl with somebody's certificate.
fn curl_of(site: &Site, name: &str) -> Command {
    let mut curl = curl(&site.server, name);
    let file = site.of(name);
    curl.arg("--cert").arg(file.with_extension("pem")).arg("--key").arg(file.with_extension("key"));
    curl
}

fn lftp_of(site: &Site, name: &str, more: &str, commands: &str) -> Ran {
    let file = site.of(name).display().to_string();
    let certificate = format!("set ssl:cert-file \"{file}.pem\"; set ssl:key-file \"{file}.key\"; {more}");
    run(&mut lftp(&site.server, name, &format!("{certificate} {commands}"))).done()
}

fn ftplib_of(site: &Site, name: &str, arguments: &[&str]) -> Ran {
    run(python(&site.server, name, "certificate.py").env("FTPS_CERTIFICATE", site.of(name)).args(arguments)).done()
}

#[test]
fn every_program_shows_its_certificate_once_and_resumes_on_the_data_connections() {
    let site = Site::running("required");
    site.server.put("f", b"content");
    let file = site.server.scratch().join("to-send");
    fs::write(&file, b"sent").unwrap();
    for version in [["--tlsv1.3"].as_slice(), &["--tls-max", "1.2"]] {
        let fetched = run(curl_of(&site, "alice").args(version).arg(url(&site.server, "f"))).done();
        assert_eq!(fetched.out, b"content");
        let mut send = curl_of(&site, "alice");
        run(send.args(version).arg("--upload-file").arg(&file).arg(url(&site.server, "by-curl"))).done();
        assert_eq!(site.server.content("by-curl").unwrap(), b"sent");
    }
    let target = site.server.scratch().join("got");
    for priority in ["", "set ssl:priority NORMAL:-VERS-TLS1.3;"] {
        let _ = fs::remove_file(&target);
        let commands = format!("put {} -o by-lftp; get f -o {}; ls", file.display(), target.display());
        lftp_of(&site, "alice", priority, &commands);
        assert_eq!(fs::read(&target).unwrap(), b"content");
    }
    for version in ["1.2", "1.3"] {
        ftplib_of(&site, "alice", &["resuming", version, "3"]);
    }
    let moved = ["file.upload", "file.download", "file.list"].map(|code| site.server.records_of(code)).concat();
    assert!(moved.len() >= 20, "{}", moved.len());
    for record in moved {
        assert_eq!(record.text("/unmapped/data_binding"), Some("session"), "{record:?}");
    }
    let shown = site.server.wait_for_record("tls.handshake_ok", |_| true);
    assert_eq!(shown.text("/unmapped/client_subject"), Some("CN=alice"));
    assert!(shown.text("/unmapped/client_issuer").unwrap().starts_with("CN=Portcullis local CA"));
    assert_eq!(shown.text("/unmapped/client_sha256").unwrap().len(), 64);
    assert_eq!(shown.text("/unmapped/client_serial").unwrap().len(), 32);
    let login = site.server.wait_for_record("auth.success", |_| true);
    assert_eq!(login.text("/unmapped/factors"), Some("password+certificate"));
}

#[test]
fn who_has_to_show_one_and_does_not_gets_no_further_than_the_handshake() {
    let site = Site::running("required");
    for version in ["--tlsv1.3", "--tlsv1.2"] {
        let ran =
            run(curl(&site.server, "alice").args([version, "--tls-max", &version[6..]]).arg(url(&site.server, "")));
        assert_ne!(ran.code, Some(0));
    }
    site.server.wait_for_failure("tls.handshake_failed", "client_certificate_missing");
    assert!(site.server.records_of("auth.success").is_empty());
}

#[test]
fn where_they_are_optional_everybody_may_come_without() {
    let site = Site::running("optional");
    Wire::login(&site.server, "alice");
    let login = site.server.wait_for_record("auth.success", |_| true);
    assert_eq!(login.text("/unmapped/factors"), Some("password"));
    // One that stands for nobody proves nothing and hinders nobody.
    site.dial("carol").login("alice");
    let other = site.server.wait_for_record("auth.success", |record| record.seq() > login.seq());
    assert_eq!(other.text("/unmapped/factors"), Some("password"));
}

#[test]
fn a_certificate_that_is_shown_has_to_be_good() {
    let site = Site::new("optional", Server::builder());
    let scratch = site.server.scratch();
    let other = scratch.join("other-ca");
    site.issue("foreign", None, &["--ca", other.to_str().unwrap()]);
    let clients = site.server.policy().join("../certs/clients");
    let (ca, ca_key) = (clients.join("ca.pem"), clients.join("ca.key"));
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    let issuer =
        rcgen::Issuer::from_ca_cert_pem(&text(&ca), rcgen::KeyPair::from_pem(&text(&ca_key)).unwrap()).unwrap();
    let signed = |name: &str, usage, end: i32| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(end, 1, 1));
        params.extended_key_usages = vec![usage];
        fs::write(scratch.join(format!("{name}.pem")), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        fs::write(scratch.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    };
    signed("expired", rcgen::ExtendedKeyUsagePurpose::ClientAuth, 2021);
    signed("server", rcgen::ExtendedKeyUsagePurpose::ServerAuth, 2090);
    done(site.server.command().args(["cert", "client", "revoke", "bob"]), "");
    let site = site.start();
    for (name, reason) in [
        ("foreign", "client_certificate_unknown_authority"),
        ("expired", "client_certificate_expired"),
        ("server", "client_certificate_wrong_purpose"),
        ("bob", "client_certificate_revoked"),
    ] {
        site.refused(&site.of(name), reason);
    }
    site.dial("alice").login("alice");
}

#[test]
fn a_chain_goes_along_up_to_a_bound_since_every_ticket_carries_it() {
    let site = Site::new("required", Server::builder().user("long", &[]));
    site.issue("long", Some("long"), &[]);
    let site = site.start();
    let file = site.of("long").with_extension("pem");
    let leaf = fs::read_to_string(&file).unwrap();
    let ca = fs::read_to_string(site.server.policy().join("../certs/clients/ca.pem")).unwrap();
    for version in [["--tlsv1.3"].as_slice(), &["--tls-max", "1.2"]] {
        let ask = |copies: usize| {
            fs::write(&file, format!("{leaf}{}", ca.repeat(copies))).unwrap();
            run(curl_of(&site, "long").args(version).arg(url(&site.server, ""))).code
        };
        assert_eq!(ask(12), Some(0), "{version:?}");
        assert_ne!(ask(24), Some(0), "{version:?}");
    }
    site.server.wait_for_failure("tls.handshake_failed", "client_certificate_too_long");
    let listed = site.server.records_of("file.list");
    assert!(listed.iter().all(|record| record.text("/unmapped/data_binding") == Some("session")), "{listed:?}");
}

#[test]
fn the_certificate_of_another_user_keeps_out_whatever_the_password() {
    let site = Site::running("optional");
    let mut wire = site.dial("bob").secure();
    wire.ask("USER alice", 331);
    wire.ask(&format!("PASS {PASSWORD}"), 530);
    let record = site.server.wait_for_failure("auth.failure", "certificate_of_another_user");
    assert_eq!(record.user(), "alice");
    assert_eq!(record.text("/unmapped/client_sha256").unwrap().len(), 64);
    wire.log_in("bob");
}

#[test]
fn as_a_second_factor_it_is_asked_for_besides_the_password() {
    let users = "[group.strict]\nsecond-factor = \"certificate\"\npermissions = \"full\"\n";
    let site = Site::new("optional", Server::builder().users_toml(users));
    site.server.change_user("user.alice.groups", "[\"strict\"]");
    let site = site.start();
    let mut wire = Dial::to(&site.server).secure();
    wire.ask("USER alice", 331);
    wire.ask(&format!("PASS {PASSWORD}"), 530);
    site.server.wait_for_failure("auth.failure", "second_factor_missing");
    let mut wire = site.dial("alice").secure();
    wire.ask("USER alice", 331);
    wire.ask("PASS wrong", 530);
    wire.log_in("alice");
}

#[test]
fn a_certificate_alone_lets_every_program_in_without_a_password() {
    let site = Site::new("optional", Server::builder());
    site.server.change_user("user.alice.certificate-alone", "true");
    let site = site.start();
    site.server.put("f", b"content");
    let mut wire = site.dial("alice").secure();
    wire.ask("USER alice", 232);
    wire.ask("PWD", 257);
    let login = site.server.wait_for_record("auth.success", |_| true);
    assert_eq!(login.text("/unmapped/factors"), Some("certificate"));
    assert_eq!((login.text("/command"), login.codes()), (Some("USER"), vec![232]));
    assert_eq!(
        run(curl_of(&site, "alice").args(["--user", "alice:"]).arg(url(&site.server, "f"))).done().out,
        b"content"
    );
    assert!(lftp_of(&site, "alice", "", "ls").text().contains('f'));
    ftplib_of(&site, "alice", &["resuming", "1.3", "1"]);
    // Nobody else gains by it, and without it the password still counts.
    site.dial("bob").secure().ask("USER alice", 331);
    site.dial("alice").secure().ask("USER bob", 331);
    Wire::login(&site.server, "alice");
}

#[test]
fn a_certificate_alone_is_not_enough_for_whom_the_policy_keeps_out() {
    let site = Site::new("optional", Server::builder());
    site.server.change_user("user.alice.certificate-alone", "true");
    site.server.change_user("user.alice.enabled", "false");
    let site = site.start();
    let mut wire = site.dial("alice").secure();
    wire.ask("USER alice", 331);
    wire.ask(&format!("PASS {PASSWORD}"), 530);
    site.server.wait_for_failure("auth.failure", "disabled");
}

#[test]
fn by_exception_the_same_certificate_binds_a_data_connection_that_resumes_nothing() {
    let until = day(30);
    let exception = format!(
        "[[user.alice.exception]]\ndata-binding = \"client-certificate\"\nreason = \"ftplib\"\nuntil = {until}\n"
    );
    let site = Site::new("optional", Server::builder().users_toml(&exception)).start();
    for version in ["1.2", "1.3"] {
        ftplib_of(&site, "alice", &["stock", version, "2"]);
    }
    let record = site.server.wait_for_record("file.upload", |_| true);
    assert_eq!(record.text("/unmapped/data_binding"), Some("client-certificate"));
    assert!(record.text("/unmapped/data_exception").unwrap().starts_with("ftplib"));

    for version in [Version::Tls12, Version::Tls13] {
        let mut wire = site.dial("alice").tls(version).login("alice");
        for (dial, code) in [(site.dial("alice"), 226), (site.dial("carol"), 522), (Dial::to(&site.server), 522)] {
            let stream = connect(site.server.address(), wire.passive());
            let mut data = Data::new(stream, &dial.tls(version).client());
            wire.ask("STOR f", 150);
            assert_eq!(data.handshake().unwrap(), HandshakeKind::Full);
            let _ = data.try_send(b"x");
            let _ = data.try_finish();
            wire.expect(code);
        }
    }
    site.server.wait_for_failure("data.binding_failed", "certificate_differs");
}
