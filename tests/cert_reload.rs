//! Files of certificates that become others under a running server: what is good is shown from the
//! next handshake on, what is not changes nothing and is reported.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::client_certificates::Site;
use crate::clients::{Ran, run};
use crate::support::{Dial, Record, Server, eventually};

/// An authority that the clients of the test trust, and that signs certificates for `localhost`.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    /// Makes one, whose certificate takes the place of that of `init`.
    fn of(server: &Server) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(server.authority(), authority.pem()).unwrap();
        Self(authority)
    }

    fn sign(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        Pair { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

impl Pair {
    /// Writes both files into a directory, the key for nobody else to read.
    fn write(&self, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        write_key(&directory.join("server.key"), &self.key);
        fs::write(directory.join("server.pem"), &self.certificate).unwrap();
    }
}

fn write_key(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

fn certs(server: &Server) -> PathBuf {
    server.policy().join("../certs").canonicalize().unwrap()
}

fn s_client(server: &Server, more: &[&str]) -> Ran {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-starttls", "ftp", "-connect", &format!("127.0.0.1:{}", server.port())]);
    run(client.args(more))
}

/// The certificate that a new client is shown, as PEM without white space.
fn shown(server: &Server) -> String {
    let text = s_client(server, &[]).text();
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----").unwrap_or_else(|| panic!("{text}"));
    rest.split_once("-----END").unwrap().0.split_whitespace().collect()
}

fn shows(server: &Server, pair: &Pair) -> bool {
    pair.certificate.split_whitespace().collect::<String>().contains(&shown(server))
}

/// The next record of one kind behind those that are there.
fn next(server: &Server, code: &str, act: impl FnOnce()) -> Record {
    let before = server.records_of(code).len();
    act();
    eventually(&format!("a further record {code}"), || server.records_of(code).into_iter().nth(before))
}

#[test]
fn a_new_pair_is_shown_to_the_next_client_and_sessions_go_on_with_the_old_one() {
    let mut server = Server::builder().prepare();
    let authority = Authority::of(&server);
    let (first, second) = (authority.sign("localhost"), authority.sign("localhost"));
    first.write(&certs(&server));
    server.start();
    server.put("f", b"content");
    let mut session = Dial::to(&server).login("alice");
    let record = next(&server, "certificate.loaded", || second.write(&certs(&server)));
    assert!(shows(&server, &second));
    assert_eq!(record.text("/unmapped/sha256").unwrap().len(), 64);
    assert_eq!(record.text("/unmapped/of"), Some("localhost"));
    assert!(record.text("/unmapped/not_after").is_some());
    // It resumes under its own ticket key, whatever certificate others are shown.
    assert_eq!(session.fetch("RETR f"), b"content");
    assert_eq!(Dial::to(&server).login("alice").fetch("RETR f"), b"content");
}

#[test]
fn a_broken_pair_is_refused_and_told_once_and_the_old_one_stays() {
    let mut server = Server::builder().prepare();
    let authority = Authority::of(&server);
    let (first, second) = (authority.sign("localhost"), authority.sign("localhost"));
    first.write(&certs(&server));
    server.start();
    let certs = certs(&server);
    // Half of a renewal: the key is new, the certificate is not.
    let record = next(&server, "certificate.rejected", || write_key(&certs.join("server.key"), &second.key));
    assert_eq!(record.detail(), "key_mismatch");
    assert!(record.text("/unmapped/fault").unwrap().contains("install the pair that belongs together"));
    assert!(shows(&server, &first));
    // The other half makes it whole.
    next(&server, "certificate.loaded", || fs::write(certs.join("server.pem"), &second.certificate).unwrap());
    assert!(shows(&server, &second));
    for (text, reason) in
        [("no certificate", "not_pem"), (authority.sign("elsewhere.test").certificate.as_str(), "name_missing")]
    {
        let record = next(&server, "certificate.rejected", || fs::write(certs.join("server.pem"), text).unwrap());
        assert_eq!(record.detail(), reason);
    }
    next(&server, "certificate.loaded", || fs::write(certs.join("server.pem"), &second.certificate).unwrap());
    assert_eq!(server.records_of("certificate.rejected").len(), 3, "each is told once");
    assert!(server.log_text().contains("what was in use before stays in use"));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let mut server = Server::builder().prepare();
    let authority = Authority::of(&server);
    let (first, second) = (authority.sign("localhost"), authority.sign("localhost"));
    first.write(&certs(&server));
    server.start();
    let key = certs(&server).join("server.key");
    let record = next(&server, "certificate.rejected", || {
        second.write(&certs(&server));
        fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    });
    assert_eq!(record.detail(), "unsafe_mode");
    assert!(record.text("/unmapped/fault").unwrap().contains("chmod 0600"));
    assert!(shows(&server, &first));
    next(&server, "certificate.loaded", || fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap());
    assert!(shows(&server, &second));
}

#[test]
fn links_that_lead_to_new_files_are_followed_as_certbot_makes_them() {
    let mut server = Server::builder().prepare();
    let authority = Authority::of(&server);
    let (live, archive) = (certs(&server).join("live/site"), certs(&server).join("archive/site"));
    fs::create_dir_all(&live).unwrap();
    fs::create_dir_all(&archive).unwrap();
    let put = |number: usize, pair: &Pair| {
        fs::write(archive.join(format!("fullchain{number}.pem")), &pair.certificate).unwrap();
        write_key(&archive.join(format!("privkey{number}.pem")), &pair.key);
        for name in ["privkey", "fullchain"] {
            let link = live.join(format!("{name}.pem"));
            let _ = fs::remove_file(&link);
            symlink(format!("../../archive/site/{name}{number}.pem"), &link).unwrap();
        }
    };
    let (first, second) = (authority.sign("localhost"), authority.sign("localhost"));
    put(1, &first);
    let identities = "[{ names = [\"localhost\"], certificate = \"../certs/live/site/fullchain.pem\", key = \
                \"../certs/live/site/privkey.pem\" }]";
    server.change("server.toml", |toml| {
        toml["tls"]["identities"] = toml_edit::value(identities.parse::<toml_edit::Value>().unwrap());
    });
    server.start();
    assert!(shows(&server, &first));
    next(&server, "certificate.loaded", || put(2, &second));
    assert!(shows(&server, &second));
}

#[test]
fn a_server_that_gave_root_up_reads_what_its_account_may_read() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut server = Server::builder().prepare();
    let authority = Authority::of(&server);
    let (first, second, third) =
        (authority.sign("localhost"), authority.sign("localhost"), authority.sign("localhost"));
    first.write(&certs(&server));
    let root = certs(&server).parent().unwrap().to_owned();
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts.lines().find(|line| line.starts_with("daemon:")).unwrap();
    let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    for path in [root.join("audit"), root.join("state"), server.home("alice")] {
        chown(&path, Some(ids[0]), Some(ids[1])).unwrap();
    }
    for path in [root.parent().unwrap(), &root] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    server.change("server.toml", |toml| toml["process"]["user"] = toml_edit::value("daemon"));
    server.start();
    assert!(server.log_text().contains("in use only after a restart"), "root's key is for root alone");
    let record = next(&server, "certificate.rejected", || second.write(&certs(&server)));
    assert_eq!(record.detail(), "unreadable");
    assert!(shows(&server, &first));
    let key = certs(&server).join("server.key");
    next(&server, "certificate.loaded", || {
        chown(&key, None, Some(ids[1])).unwrap();
        fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    });
    assert!(shows(&server, &second));
    next(&server, "certificate.loaded", || {
        fs::write(&key, &third.key).unwrap();
        fs::write(certs(&server).join("server.pem"), &third.certificate).unwrap();
    });
    assert!(shows(&server, &third));
}

#[test]
fn a_client_certificate_that_is_revoked_opens_nothing_within_seconds() {
    let site = Site::running("optional");
    let mut session = site.dial("bob").login("bob");
    let record = next(&site.server, "certificate.loaded", || {
        let mut revoke = site.server.command();
        assert!(revoke.args(["cert", "client", "revoke", "bob"]).output().unwrap().status.success());
    });
    assert_eq!(record.text("/unmapped/part"), Some("client_authorities"));
    let bob = site.of("bob");
    let file = |ending: &str| bob.with_extension(ending).display().to_string();
    s_client(&site.server, &["-ign_eof", "-cert", &file("pem"), "-key", &file("key")]);
    site.server.wait_for_failure("tls.handshake_failed", "client_certificate_revoked");
    // Whoever is in stays in; others are as before.
    session.ask("PWD", 257);
    site.dial("alice").login("alice");
    let list = site.server.policy().join("../certs/clients/crl.pem");
    let record = next(&site.server, "certificate.rejected", || fs::write(&list, "nothing").unwrap());
    assert_eq!(record.detail(), "no_list");
    site.dial("alice").login("alice");
}

#[test]
fn an_ocsp_response_is_shown_with_its_certificate_and_dropped_with_its_successor() {
    let mut server = Server::builder().prepare();
    let authority = Authority::of(&server);
    let (first, second) = (authority.sign("localhost"), authority.sign("localhost"));
    first.write(&certs(&server));
    let certs = certs(&server);
    let ca_key = authority.0.key().serialize_pem();
    fs::write(certs.join("ca.key"), ca_key).unwrap();
    let (_, parsed) = x509_parser::pem::parse_x509_pem(first.certificate.as_bytes()).unwrap();
    let serial = parsed.parse_x509().unwrap().raw_serial_as_string().replace(':', "").to_uppercase();
    let serial = serial.strip_prefix("00").unwrap_or(&serial);
    fs::write(certs.join("index.txt"), format!("V\t401231235959Z\t\t{serial}\tunknown\t/CN=localhost\n")).unwrap();
    let respond = |out: &str| {
        let words = format!(
            "ocsp -index index.txt -rsigner ca.pem -rkey ca.key -CA ca.pem -issuer ca.pem -cert server.pem -no_nonce \
             -ndays 7 -respout {out}"
        );
        run(Command::new("openssl").current_dir(&certs).args(words.split_whitespace())).done();
    };
    respond("first.der");
    let line = "[{ names = [\"localhost\"], certificate = \"../certs/server.pem\", key = \"../certs/server.key\", \
                ocsp = \"../certs/ocsp.der\" }]";
    server.change("server.toml", |toml| {
        toml["tls"]["identities"] = toml_edit::value(line.parse::<toml_edit::Value>().unwrap());
    });
    server.start();
    let stapled = |server: &Server| s_client(server, &["-status"]).text().contains("OCSP Response Status: successful");
    let record = server.wait_for_record("certificate.rejected", |_| true);
    assert_eq!((record.detail(), record.text("/unmapped/part")), ("unreadable", Some("ocsp")));
    assert!(!stapled(&server));
    next(&server, "certificate.loaded", || {
        fs::copy(certs.join("first.der"), certs.join("ocsp.der")).unwrap();
    });
    assert!(stapled(&server));
    let record = next(&server, "certificate.rejected", || fs::write(certs.join("ocsp.der"), "damaged").unwrap());
    assert_eq!(record.detail(), "no_staple");
    assert!(!stapled(&server), "it is left out, as the log says");
    next(&server, "certificate.loaded", || {
        fs::copy(certs.join("first.der"), certs.join("ocsp.der")).unwrap();
    });
    assert!(stapled(&server));
    let record = next(&server, "certificate.rejected", || second.write(&certs));
    assert_eq!(record.detail(), "no_staple");
    assert!(shows(&server, &second) && !stapled(&server));
}
