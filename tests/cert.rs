//! `portcullis cert`, with OpenSSL as the other side: what is made, requested and installed is what
//! it takes it for, and what would not work is refused before anything changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::clients::{Ran, run, run_with};
use crate::support::server::portcullis;
use crate::support::{PATIENCE, Server, eventually};

/// `openssl`, which has to succeed.
#[track_caller]
fn openssl(directory: &Path, words: &str) -> Ran {
    run(Command::new("openssl").current_dir(directory).args(words.split_whitespace())).done()
}

/// A deployment that does not run yet, and a directory with an authority made by OpenSSL: `root.pem`
/// signed `middle.pem`, and that one signs.
struct Site {
    server: Server,
    directory: PathBuf,
}

impl Site {
    fn new() -> Self {
        let server = Server::builder().prepare();
        let directory = server.scratch();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&directory, &format!("req -x509 {key} -days 300 -subj /CN=root -keyout root.key -out root.pem"));
        openssl(&directory, &format!("req -new {key} -subj /CN=middle -keyout middle.key -out middle.csr"));
        fs::write(directory.join("ca.ext"), "basicConstraints=critical,CA:TRUE\n").unwrap();
        let by_root = "-CA root.pem -CAkey root.key -CAcreateserial -extfile ca.ext";
        openssl(&directory, &format!("x509 -req -in middle.csr {by_root} -days 300 -out middle.pem"));
        Self { server, directory }
    }

    /// Makes a key and a request with our command, and has the request signed; the files are
    /// `NAME/server.key` and `NAME.pem`.
    fn signed(&self, name: &str, host: &str, days: i64) {
        self.cert(&["csr", "--name", host, "--out", name]).done();
        self.sign(name, &format!("{name}/server.csr"), days);
    }

    fn sign(&self, name: &str, request: &str, days: i64) {
        let by_middle = "-CA middle.pem -CAkey middle.key -CAcreateserial -copy_extensions copy";
        openssl(&self.directory, &format!("x509 -req -in {request} {by_middle} -days {days} -out {name}.pem"));
    }

    /// The same, out of date, which OpenSSL is not everywhere willing to make.
    fn expired(&self, name: &str, host: &str) {
        let text = |name: &str| fs::read_to_string(self.path(name)).unwrap();
        let middle = rcgen::KeyPair::from_pem(&text("middle.key")).unwrap();
        let issuer = rcgen::Issuer::from_ca_cert_pem(&text("middle.pem"), middle).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut leaf = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
        leaf.not_before = rcgen::date_time_ymd(2020, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2021, 1, 1);
        fs::create_dir(self.path(name)).unwrap();
        fs::write(self.path(name).join("server.key"), key.serialize_pem()).unwrap();
        fs::write(self.path(&format!("{name}.pem")), leaf.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    }

    /// `portcullis cert` in the directory of the authority.
    fn cert(&self, arguments: &[&str]) -> Ran {
        let mut command = self.server.command();
        run(command.current_dir(&self.directory).arg("cert").args(arguments))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Puts several files into one.
    fn join(&self, names: &[&str], into: &str) {
        let text: String = names.iter().map(|name| fs::read_to_string(self.path(name)).unwrap()).collect();
        fs::write(self.path(into), text).unwrap();
    }

    /// The directory of the installed certificates.
    fn certs(&self) -> PathBuf {
        self.server.authority().parent().unwrap().to_owned()
    }

    /// Every file of it, with what is in it.
    fn installed(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.certs()).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
    }

    /// Whether a client that trusts this authority gets through, and the fingerprint of the
    /// certificate it was shown.
    fn served(&self, authority: &str) -> String {
        let mut client = Command::new("openssl");
        client.current_dir(&self.directory).args(["s_client", "-starttls", "ftp", "-servername", "localhost"]);
        client.args(["-connect", &format!("localhost:{}", self.server.port()), "-verify_hostname", "localhost"]);
        let ran = run_with(client.args(["-verify_return_error", "-CAfile", authority]), b"", PATIENCE).done();
        fs::write(self.path("shown.pem"), ran.out).unwrap();
        fingerprint(&self.path("shown.pem"))
    }
}

/// The fingerprint of a certificate as OpenSSL has it.
fn fingerprint(certificate: &Path) -> String {
    let text =
        openssl(Path::new("."), &format!("x509 -noout -fingerprint -sha256 -in {}", certificate.display())).text();
    text.trim().split_once('=').unwrap().1.to_owned()
}

/// SHA-256 over the public key, as OpenSSL has it; `how` prints that key as DER.
fn public_fingerprint(directory: &Path, how: &str) -> String {
    let der = openssl(directory, how).out;
    let digest = run_with(Command::new("openssl").args(["dgst", "-sha256", "-c"]), &der, PATIENCE).done().text();
    digest.trim().rsplit_once(' ').unwrap().1.to_uppercase()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.text()).unwrap_or_else(|error| panic!("{error}: {}{}", ran.text(), ran.err))
}

#[test]
fn a_certificate_of_a_new_local_authority_is_good_for_its_names() {
    let site = Site::new();
    let said = site.cert(&["new", "--name", "*.example.org", "--name", "192.0.2.1", "--out", "new"]).done().text();
    for name in ["-verify_hostname a.example.org", "-verify_ip 192.0.2.1"] {
        openssl(&site.path("new"), &format!("verify -x509_strict -CAfile ca.pem {name} server.pem"));
    }
    assert_eq!((mode(&site.path("new/server.key")), mode(&site.path("new/ca.key"))), (0o600, 0o600));
    assert!(said.contains("[tls]\nidentities = [") && said.contains("ca.pem to the clients"), "{said}");

    // The lines that are printed for the policy are lines that the policy takes.
    let (_, lines) = said.split_once("[tls]\n").unwrap();
    let (lines, _) = lines.split_once("\n]\n").unwrap();
    let lines: toml_edit::DocumentMut = format!("{lines}\n]\n").parse().unwrap();
    site.server.change("server.toml", |toml| toml["tls"]["identities"] = lines["identities"].clone());
    let checked = site.cert(&["check"]).done().text();
    assert!(checked.starts_with("ok       *.example.org, 192.0.2.1  823 days left"), "{checked}");
}

#[test]
fn one_local_authority_signs_for_several_servers_and_nothing_is_overwritten() {
    let site = Site::new();
    site.cert(&["new", "--name", "a.example.org", "--out", "a", "--ca", "authority"]).done();
    let authority = fs::read(site.path("authority/ca.pem")).unwrap();
    site.cert(&["new", "--name", "b.example.org", "--out", "b", "--ca", "authority", "--days", "30"]).done();
    for server in ["a", "b"] {
        openssl(&site.directory, &format!("verify -CAfile authority/ca.pem {server}/server.pem"));
        assert_eq!(fs::read(site.path(server).join("ca.pem")).unwrap(), authority, "clients are given this");
        assert!(!site.path(server).join("ca.key").exists());
    }
    let again = site.cert(&["new", "--name", "c.example.org", "--out", "b", "--ca", "authority"]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("there already, so nothing was written"), "{}", again.err);
    let longer = site.cert(&["new", "--name", "c.example.org", "--out", "c", "--ca", "authority", "--days", "3650"]);
    assert!(longer.code == Some(0) || longer.err.contains("the CA ends on"), "{}", longer.err);

    // The authority of `init` cannot sign any more, and says so.
    let certs = site.certs();
    let of_init = site.cert(&["new", "--name", "d.example.org", "--out", "d", "--ca", certs.to_str().unwrap()]);
    assert!(of_init.code == Some(1) && of_init.err.contains("without ca.key"), "{}", of_init.err);
    assert!(!site.path("d").exists());
}

#[test]
fn what_cannot_be_written_whole_is_not_left_half() {
    let site = Site::new();
    // Nobody can make files there, and the CA is written first.
    let ran = site.cert(&["new", "--name", "localhost", "--ca", "ca", "--out", "/proc/self"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert_eq!(fs::read_dir(site.path("ca")).unwrap().count(), 0);
    site.cert(&["new", "--name", "localhost", "--ca", "ca", "--out", "new"]).done();
}

#[test]
fn an_authority_whose_key_others_can_read_does_not_sign() {
    let site = Site::new();
    site.cert(&["new", "--name", "a.example.org", "--out", "a"]).done();
    fs::set_permissions(site.path("a/ca.key"), PermissionsExt::from_mode(0o644)).unwrap();
    let ran = site.cert(&["new", "--name", "b.example.org", "--out", "b", "--ca", "a"]);
    assert!(ran.code == Some(1) && ran.err.contains("chmod 0600"), "{}", ran.err);
}

#[test]
fn a_request_is_one_that_openssl_verifies() {
    let site = Site::new();
    site.cert(&["csr", "--name", "files.example.org", "--name", "192.0.2.1", "--out", "r"]).done();
    let text = openssl(&site.path("r"), "req -in server.csr -verify -noout -text").text();
    for part in ["CN = files.example.org", "DNS:files.example.org, IP Address:192.0.2.1", "NIST CURVE: P-256"] {
        let spaced = text.replace("CN=", "CN = ");
        assert!(spaced.contains(part), "{part} in {text}");
    }
    assert_eq!(mode(&site.path("r/server.key")), 0o600);
    let key = fs::read(site.path("r/server.key")).unwrap();
    let again = site.cert(&["csr", "--name", "files.example.org", "--out", "r"]);
    assert!(again.code == Some(1) && again.err.contains("server.key"), "{}", again.err);
    assert_eq!(fs::read(site.path("r/server.key")).unwrap(), key);
}

#[test]
fn what_an_authority_signed_is_installed_in_order_and_served_within_seconds() {
    let mut site = Site::new();
    site.server.start();
    let before = site.served(site.server.authority().to_str().unwrap());
    site.signed("new", "localhost", 90);
    site.join(&["root.pem", "new.pem"], "signed.pem");
    let import = ["import", "--certificate", "signed.pem", "--chain", "middle.pem", "--key", "new/server.key"];
    let said = site.cert(&import).done().text();
    assert!(said.contains("3 certificate(s), put in order") && said.contains("within seconds"), "{said}");
    assert_eq!(mode(&site.certs().join("server.key")), 0o600);
    site.server.wait_for_record("certificate.loaded", |_| true);
    assert_eq!(site.served("root.pem"), fingerprint(&site.path("new.pem")));
    let again = site.cert(&import).done().text();
    assert!(again.contains("installed for localhost already"), "{again}");

    // The line that is printed goes back.
    let (_, back) = said.split_once("To go back:\n").unwrap();
    let loaded = site.server.records_of("certificate.loaded").len();
    run(Command::new("sh").args(["-c", back.lines().next().unwrap()])).done();
    eventually("the old one is back", || (site.server.records_of("certificate.loaded").len() > loaded).then_some(()));
    assert_eq!(site.served(site.server.authority().to_str().unwrap()), before);
}

#[test]
fn what_would_not_work_is_refused_before_anything_changes() {
    let site = Site::new();
    site.signed("good", "localhost", 90);
    site.signed("other", "localhost", 90);
    site.signed("names", "files.example.org", 90);
    site.expired("expired", "localhost");
    openssl(&site.directory, "pkcs8 -topk8 -in good/server.key -passout pass:x -out encrypted.key");
    openssl(
        &site.directory,
        "req -x509 -newkey rsa:1024 -nodes -days 90 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout \
         weak.key -out weak.pem",
    );
    fs::write(site.path("text.pem"), "no certificate at all\n").unwrap();
    openssl(&site.directory, "x509 -in good.pem -outform DER -out good.der");
    openssl(&site.directory, "crl2pkcs7 -nocrl -certfile good.pem -out good.p7b");
    let before = site.installed();
    for (certificate, key, words) in [
        ("good.pem", "encrypted.key", &["has a passphrase", "openssl pkey"][..]),
        ("good.pem", "other/server.key", &["no certificate in it is for the key", "CN=localhost"]),
        ("names.pem", "names/server.key", &["is not for localhost"]),
        ("expired.pem", "expired/server.key", &["expired on", "renew it"]),
        ("weak.pem", "weak.key", &["the private key cannot be used", "2048 bits"]),
        ("text.pem", "good/server.key", &["no certificate in it"]),
        ("good.der", "good/server.key", &["openssl x509 -inform DER -in good.der"]),
        ("good.p7b", "good/server.key", &["openssl pkcs7 -print_certs -in good.p7b"]),
        ("good.pem", "good.pem", &["no unencrypted private key in it"]),
        ("absent.pem", "good/server.key", &["absent.pem", "No such file"]),
    ] {
        let ran = site.cert(&["import", "--certificate", certificate, "--key", key, "--chain", "middle.pem"]);
        assert_eq!(ran.code, Some(1), "{certificate} {key}: {}", ran.text());
        for word in words {
            assert!(ran.err.contains(word), "{certificate} {key}: {word} in {}", ran.err);
        }
        assert_eq!(site.installed(), before, "{certificate} {key}");
    }
}

#[test]
fn a_chain_that_cannot_be_put_in_order_is_refused_with_the_place() {
    let site = Site::new();
    site.signed("good", "localhost", 90);
    site.join(&["good.pem", "root.pem"], "gap.pem");
    let ran = site.cert(&["import", "--certificate", "gap.pem", "--key", "good/server.key"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("certificate 2 (of CN=root) does not belong to the chain"), "{}", ran.err);
}

#[test]
fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let site = Site::new();
    site.signed("good", "localhost", 90);
    let before = site.installed();
    let import = ["import", "--certificate", "good.pem", "--chain", "middle.pem", "--key", "good/server.key"];
    let said = site.cert(&[&import[..], &["--dry-run"]].concat()).done().text();
    assert!(said.contains("would be installed for localhost"), "{said}");
    assert_eq!(site.installed(), before);
    site.cert(&import).done();
    let names: Vec<String> = site.installed().into_keys().collect();
    assert_eq!(names.len(), before.len() + 2, "the old pair is kept: {names:?}");
}

#[test]
fn a_renewal_for_the_installed_key_leaves_the_key_alone() {
    let site = Site::new();
    let key = site.certs().join("server.key");
    let request = "req -new -subj /CN=localhost -addext subjectAltName=DNS:localhost -out renew.csr -key";
    openssl(&site.directory, &format!("{request} {}", key.display()));
    site.sign("renewed", "renew.csr", 90);
    let inode = key.metadata().unwrap().ino();
    site.join(&["middle.pem", "renewed.pem"], "renewed-chain.pem");
    let said = site.cert(&["import", "--certificate", "renewed-chain.pem"]).done().text();
    assert!(said.contains("server.key, which stays"), "{said}");
    assert_eq!(key.metadata().unwrap().ino(), inode);
    assert_eq!(fingerprint(&site.certs().join("server.pem")), fingerprint(&site.path("renewed.pem")));
}

#[test]
fn no_key_ever_comes_into_the_certificate_file_and_its_owner_stays() {
    let site = Site::new();
    let root = rustix::process::geteuid().is_root();
    if root {
        for file in ["server.key", "server.pem"] {
            chown(site.certs().join(file), Some(1), Some(1)).unwrap();
        }
    }
    site.signed("good", "localhost", 90);
    site.join(&["good/server.key", "good.pem", "middle.pem"], "all.pem");
    site.cert(&["import", "--certificate", "all.pem", "--key", "all.pem"]).done();
    let installed = site.installed();
    let text = |name: &str| String::from_utf8(installed[name].clone()).unwrap();
    assert!(!text("server.pem").contains("PRIVATE KEY") && !text("server.key").contains("CERTIFICATE"));
    assert_eq!(mode(&site.certs().join("server.key")), 0o600);
    let owner = site.certs().join("server.key").metadata().unwrap().uid();
    assert_eq!(owner, if root { 1 } else { rustix::process::geteuid().as_raw() });
}

#[test]
fn a_server_that_reads_the_key_by_its_group_still_does_after_an_import() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let site = Site::new();
    let key = site.certs().join("server.key");
    chown(&key, Some(0), Some(1)).unwrap();
    fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    site.signed("good", "localhost", 90);
    site.cert(&["import", "--certificate", "good.pem", "--chain", "middle.pem", "--key", "good/server.key"]).done();
    assert_eq!((mode(&key), key.metadata().unwrap().gid()), (0o640, 1));
    assert_eq!(fs::read(&key).unwrap(), fs::read(site.path("good/server.key")).unwrap());

    // Where everybody could read it, the mode was a mistake.
    fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    site.signed("next", "localhost", 90);
    site.cert(&["import", "--certificate", "next.pem", "--chain", "middle.pem", "--key", "next/server.key"]).done();
    assert_eq!(mode(&key), 0o600);
}

#[test]
fn a_link_that_another_program_keeps_is_not_replaced() {
    let site = Site::new();
    site.signed("good", "localhost", 90);
    let certificate = site.certs().join("server.pem");
    fs::rename(&certificate, site.path("live.pem")).unwrap();
    symlink(site.path("live.pem"), &certificate).unwrap();
    let ran = site.cert(&["import", "--certificate", "good.pem", "--chain", "middle.pem", "--key", "good/server.key"]);
    assert!(ran.code == Some(1) && ran.err.contains("is a link to"), "{}", ran.err);
    assert!(certificate.is_symlink());
}

#[test]
fn an_import_that_was_cut_short_is_seen_and_mended_by_the_next() {
    let site = Site::new();
    site.signed("good", "localhost", 90);
    // As a loss of power between the two renames leaves it.
    fs::copy(site.path("good/server.key"), site.certs().join("server.key")).unwrap();
    fs::copy(site.path("good.pem"), site.certs().join(".server.pem.importing")).unwrap();
    let checked = site.cert(&["check"]);
    assert_eq!(checked.code, Some(1));
    let text = checked.text();
    assert!(text.contains("not the private key of the certificate") && text.contains("was cut short"), "{text}");
    let served = run(site.server.command().arg("serve"));
    assert!(served.code == Some(78) && served.err.contains("not the private key"), "{}", served.err);
    let import = ["import", "--certificate", "good.pem", "--chain", "middle.pem", "--key", "good/server.key"];
    let said = site.cert(&import).done().text();
    assert!(said.contains("has an earlier date") && !said.contains("To go back"), "{said}");
    site.cert(&["check"]).done();

    // And as one before the first of them does: the next removes what is left, the key above all.
    for left in [".server.key.importing", ".server.pem.importing"] {
        fs::write(site.certs().join(left), "half").unwrap();
    }
    let checked = site.cert(&["check"]);
    assert!(checked.code == Some(3) && checked.text().contains("nothing was replaced"), "{}", checked.text());
    site.cert(&["import", "--certificate", "good.pem"]).done();
    let left: Vec<String> = site.installed().into_keys().filter(|name| name.ends_with(".importing")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Two identities, of which the second has the files `second.pem` and `second.key`.
fn with_two_identities(site: &Site) {
    let certs = site.certs();
    site.cert(&["new", "--name", "files.example.org", "--days", "20", "--out", "second"]).done();
    let chain = ["second/server.pem", "second/ca.pem"].map(|name| fs::read_to_string(site.path(name)).unwrap());
    fs::write(certs.join("second.pem"), chain.concat()).unwrap();
    fs::copy(site.path("second/server.key"), certs.join("second.key")).unwrap();
    let line = r#"[{ names = ["localhost"], certificate = "../certs/server.pem", key = "../certs/server.key" },
        { names = ["files.example.org"], certificate = "../certs/second.pem", key = "../certs/second.key" }]"#;
    site.server
        .change("server.toml", |toml| toml["tls"]["identities"] = line.parse::<toml_edit::Value>().unwrap().into());
}

#[test]
fn of_several_identities_the_one_that_is_named_gets_the_certificate() {
    let site = Site::new();
    with_two_identities(&site);
    site.signed("good", "files.example.org", 90);
    let import = ["import", "--certificate", "good.pem", "--chain", "middle.pem", "--key", "good/server.key"];
    let none = site.cert(&import);
    assert!(none.code == Some(1) && none.err.contains("2  files.example.org"), "{}", none.err);
    let unknown = site.cert(&[&import[..], &["--identity", "3"]].concat());
    assert!(unknown.code == Some(1) && unknown.err.contains("has no identity 3"), "{}", unknown.err);
    let other = site.cert(&[&import[..], &["--identity", "localhost"]].concat());
    assert!(other.code == Some(1) && other.err.contains("is not for localhost"), "{}", other.err);
    let before = site.installed();
    site.cert(&[&import[..], &["--identity", "FILES.example.org"]].concat()).done();
    let after = site.installed();
    assert_eq!(after["server.pem"], before["server.pem"]);
    assert_ne!(after["second.pem"], before["second.pem"]);
    assert_eq!(json(&site.cert(&["inspect", "--identity", "2", "--json"]))["files"][0]["in_order"], true);
}

#[test]
fn a_file_that_two_identities_share_has_to_do_for_both() {
    let site = Site::new();
    let line = r#"[{ names = ["localhost"], certificate = "../certs/server.pem", key = "../certs/server.key" },
        { names = ["files.example.org"], certificate = "../certs/server.pem", key = "../certs/server.key" }]"#;
    site.server
        .change("server.toml", |toml| toml["tls"]["identities"] = line.parse::<toml_edit::Value>().unwrap().into());
    site.signed("good", "localhost", 90);
    let import = ["import", "--certificate", "good.pem", "--chain", "middle.pem", "--key", "good/server.key"];
    let ran = site.cert(&[&import[..], &["--identity", "1"]].concat());
    assert!(ran.code == Some(1) && ran.err.contains("is not for files.example.org"), "{}", ran.err);
}

#[test]
fn a_key_that_another_identity_has_through_a_link_has_to_do_for_both() {
    let site = Site::new();
    let certs = site.certs();
    fs::copy(certs.join("server.pem"), certs.join("second.pem")).unwrap();
    symlink("server.key", certs.join("second.key")).unwrap();
    let line = r#"[{ names = ["localhost"], certificate = "../certs/server.pem", key = "../certs/server.key" },
        { names = ["127.0.0.1"], certificate = "../certs/second.pem", key = "../certs/second.key" }]"#;
    site.server
        .change("server.toml", |toml| toml["tls"]["identities"] = line.parse::<toml_edit::Value>().unwrap().into());
    site.signed("good", "localhost", 90);
    let before = site.installed();
    let import = ["import", "--certificate", "good.pem", "--chain", "middle.pem", "--key", "good/server.key"];
    let ran = site.cert(&[&import[..], &["--identity", "1"]].concat());
    assert!(ran.code == Some(1) && ran.err.contains("not the private key of the certificate"), "{}", ran.err);
    assert_eq!(site.installed(), before);
}

#[test]
fn a_key_is_compared_even_where_an_authority_is_younger_than_what_it_signed() {
    let site = Site::new();
    let authority = |year| {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "renewed");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(year, 1, 1);
        params
    };
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let renewed = authority(2022).self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority(2020), ca_key);
    let mut leaf = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    leaf.not_before = rcgen::date_time_ymd(2021, 1, 1);
    let signed = leaf.signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer).unwrap().pem();
    fs::write(site.certs().join("server.pem"), signed + &renewed).unwrap();
    let checked = site.cert(&["check"]);
    let text = checked.text();
    assert!(checked.code == Some(1) && text.contains("not the private key of the certificate"), "{text}");
}

#[test]
fn the_exit_code_of_a_check_follows_the_days_left() {
    let site = Site::new();
    with_two_identities(&site);
    let exit = |arguments: &[&str]| site.cert(&[&["check"], arguments].concat());
    assert_eq!(exit(&[]).code, Some(3));
    assert_eq!(exit(&["--days-warning", "20", "--days-error", "0"]).code, Some(0));
    assert_eq!(exit(&["--days-error", "25"]).code, Some(1));
    let text = exit(&[]).text();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].starts_with("ok       localhost  8") && lines[1].starts_with("warning  files.example.org  20 days")
    );

    let report = json(&exit(&["--json"]));
    assert_eq!(report["severity"], "warning");
    assert_eq!(report["identities"][1]["days_left"], 20);
    let ids: Vec<&str> =
        report["identities"][1]["checks"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"certificate.dates") && ids.contains(&"certificate.key"), "{ids:?}");
}

#[test]
fn a_check_finds_a_key_that_others_can_read_and_files_that_are_not_there() {
    let site = Site::new();
    let key = site.certs().join("server.key");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let open = site.cert(&["check"]);
    assert!(open.code == Some(1) && open.text().contains("chmod 0600"), "{}", open.text());
    fs::remove_file(&key).unwrap();
    let absent = site.cert(&["check", "--json"]);
    assert_eq!(absent.code, Some(1));
    assert_eq!(json(&absent)["identities"][0]["severity"], "error");
    fs::write(site.server.policy().join("server.toml"), "[tls").unwrap();
    assert_eq!(site.cert(&["check"]).code, Some(78));
}

#[test]
fn what_inspect_shows_is_what_openssl_shows() {
    let site = Site::new();
    site.signed("good", "localhost", 90);
    site.join(&["good.pem", "middle.pem"], "chain.pem");
    let found = json(&site.cert(&["inspect", "chain.pem", "--json"]).done());
    let (leaf, middle) = (&found["files"][0]["certificates"][0], &found["files"][0]["certificates"][1]);
    assert_eq!(leaf["sha256"], fingerprint(&site.path("good.pem")).as_str());
    assert_eq!(middle["sha256"], fingerprint(&site.path("middle.pem")).as_str());
    assert_eq!((&leaf["is_ca"], &middle["is_ca"], &leaf["self_signed"]), (&false.into(), &true.into(), &false.into()));
    assert!(leaf["names"][0] == "localhost" && [89, 90].contains(&leaf["days_left"].as_i64().unwrap()), "{leaf}");
    let serial = openssl(&site.directory, "x509 -noout -serial -in good.pem").text();
    assert_eq!(format!("serial={}", leaf["serial"].as_str().unwrap().replace(':', "").to_uppercase()), serial.trim());
    assert_eq!(found["files"][0]["in_order"], true);

    let public = public_fingerprint(&site.directory, "pkey -in good/server.key -pubout -outform DER");
    for (file, kind) in
        [("good.pem", "certificates"), ("good/server.key", "private_keys"), ("good/server.csr", "requests")]
    {
        let found = json(&site.cert(&["inspect", file, "--json"]).done());
        let facts = &found["files"][0][kind][0];
        assert_eq!(facts["public_key_sha256"], public.as_str(), "{file}");
        assert_eq!((&facts["key"], &facts["key_bits"]), (&"ECDSA P-256".into(), &256.into()), "{file}");
    }
    site.join(&["middle.pem", "good.pem"], "turned.pem");
    let text = site.cert(&["inspect", "turned.pem"]).done().text();
    assert!(text.contains("not in order: certificate 1"), "{text}");
}

#[test]
fn inspect_knows_keys_of_every_usual_kind_and_shows_nothing_private() {
    let site = Site::new();
    for (made, expected) in [
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out a.key", "RSA, 2048 bits"),
        ("genrsa -traditional -out a.key 3072", "RSA, 3072 bits"),
        ("ecparam -name secp384r1 -genkey -out a.key", "ECDSA P-384, 384 bits"),
        ("genpkey -algorithm ED25519 -out a.key", "Ed25519, 256 bits"),
    ] {
        openssl(&site.directory, made);
        let said = site.cert(&["inspect", "a.key"]).done().text();
        assert!(said.contains(expected), "{made}: {said}");
        let public = public_fingerprint(&site.directory, "pkey -in a.key -pubout -outform DER");
        assert!(said.contains(&public), "{made}: {said}");
        let secret = fs::read_to_string(site.path("a.key")).unwrap();
        let json = site.cert(&["inspect", "a.key", "--json"]).done().text();
        for line in secret.lines().filter(|line| !line.starts_with("-----")) {
            assert!(!said.contains(line) && !json.contains(line), "{made}");
        }
    }
    for cipher in
        ["pkcs8 -topk8 -in a.key -passout pass:x -out b.key", "ec -aes128 -in root.key -passout pass:x -out b.key"]
    {
        openssl(&site.directory, cipher);
        let encrypted = site.cert(&["inspect", "b.key"]);
        assert!(encrypted.code == Some(1) && encrypted.err.contains("has a passphrase"), "{}", encrypted.err);
    }
}

#[test]
fn names_in_certificates_do_not_drive_the_terminal() {
    let site = Site::new();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "x\u{1b}[2J\u{202e}y");
    let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    fs::write(site.path("hostile.pem"), made.pem()).unwrap();
    let plain = site.cert(&["inspect", "hostile.pem"]).done().text();
    let as_json = site.cert(&["inspect", "hostile.pem", "--json"]).done();
    let refused = site.cert(&["import", "--certificate", "hostile.pem"]).err;
    for text in [&plain, &as_json.text(), &refused] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.contains('y'), "{text:?}");
    }
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "x\nportcullis: all is fine");
    fs::write(site.path("lines.pem"), params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()).unwrap();
    let refused = site.cert(&["import", "--certificate", "lines.pem"]).err;
    assert!(refused.contains("all is fine") && !refused.contains("\nportcullis: all"), "{refused:?}");

    let subject = json(&as_json)["files"][0]["certificates"][0]["subject"].as_str().unwrap().to_owned();
    assert!(subject.contains("\u{202e}y"), "nothing is lost: {subject:?}");
}

#[test]
fn what_is_no_file_of_reasonable_size_is_refused_at_once() {
    let site = Site::new();
    assert!(Command::new("mkfifo").arg(site.path("fifo")).status().unwrap().success());
    fs::File::create(site.path("large")).unwrap().set_len(3 << 30).unwrap();
    fs::write(site.path("noise"), [0xff; 4096]).unwrap();
    let many: String = fs::read_to_string(site.path("root.pem")).unwrap().repeat(40);
    fs::write(site.path("many"), many).unwrap();
    for (file, word) in [
        ("fifo", "not a regular file"),
        (".", "not a regular file"),
        ("large", "larger than"),
        ("noise", "nothing in it is PEM"),
        ("many", "more than 32"),
    ] {
        let ran = site.cert(&["inspect", file]);
        assert!(ran.code == Some(1) && ran.err.contains(word), "{file}: {}", ran.err);
        let ran = site.cert(&["import", "--certificate", file]);
        assert_eq!(ran.code, Some(1), "{file}: {}", ran.err);
    }
    for arguments in [&["inspect", "--identity", "1"][..], &["import", "--certificate", "root.pem"], &["check"]] {
        let none = run(portcullis().arg("cert").args(arguments).arg("--policy").arg(site.path("nowhere")));
        assert_eq!(none.code, Some(78), "{}", none.err);
    }
}
