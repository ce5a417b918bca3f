//! `portcullis cert client`: certificates for clients from a CA of one's own, and the list of those
//! that were revoked, with OpenSSL as the other side.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::client_certificates::Site;
use crate::clients::{Ran, run};
use crate::support::Server;
use crate::support::server::portcullis;

/// A directory for a CA, and nothing else.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `portcullis cert client` with the CA `ca` of the directory.
    fn client(&self, words: &[&str]) -> Ran {
        let mut command = portcullis();
        run(command.current_dir(self.0.path()).args(["cert", "client"]).args(words).args(["--ca", "ca"]))
    }

    fn openssl(&self, words: &str) -> Ran {
        run(Command::new("openssl").current_dir(self.0.path()).args(words.split_whitespace()))
    }

    fn list(&self) -> Vec<Value> {
        let json: Value = serde_json::from_str(&self.client(&["list", "--json"]).done().text()).unwrap();
        json["certificates"].as_array().unwrap().clone()
    }

    fn number(&self) -> String {
        self.openssl("crl -in ca/crl.pem -noout -crlnumber").done().text()
    }
}

#[test]
fn what_is_issued_is_good_for_clients_and_for_nothing_else() {
    let home = Home::new();
    let said = home.client(&["issue", "alice@example.org", "--out", "out", "--days", "30"]).done().text();
    assert!(said.contains("certificates = [\"uri:portcullis:user:alice@example.org\"]"), "{said}");
    assert!(said.contains("client-revocations = ["), "{said}");
    let mode = |name: &str| home.path(name).metadata().unwrap().mode() & 0o777;
    let (key, certificate) = ("out/alice@example.org.key", "out/alice@example.org.pem");
    assert_eq!([mode("ca/ca.key"), mode(key), mode(certificate)], [0o600, 0o600, 0o644]);
    let verify = |purpose: &str| {
        let words = format!("verify -CAfile ca/ca.pem -CRLfile ca/crl.pem -crl_check -purpose {purpose} {certificate}");
        home.openssl(&words)
    };
    assert_eq!(verify("sslclient").code, Some(0));
    assert_ne!(verify("sslserver").code, Some(0));
    let shown = home.openssl(&format!("x509 -in {certificate} -noout -text")).done().text();
    assert!(shown.contains("URI:portcullis:user:alice@example.org, email:alice@example.org"), "{shown}");
    let again = home.client(&["issue", "alice@example.org", "--out", "out"]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("nothing was written"), "{}", again.err);
}

#[test]
fn a_certificate_is_revoked_by_name_by_file_and_by_number_and_the_list_is_numbered() {
    let home = Home::new();
    for (name, out) in [("alice", "1"), ("alice", "2"), ("bob", "1"), ("carol", "1")] {
        home.client(&["issue", name, "--out", out]).done();
    }
    let before = home.number();
    assert_eq!(home.list().len(), 4);
    let said = home.client(&["revoke", "alice"]).done().text();
    assert_eq!(said.matches("Revoked ").count(), 2, "{said}");
    home.client(&["revoke", "1/bob.pem"]).done();
    let carol = home.list().into_iter().find(|one| one["subject"] == "CN=carol").unwrap();
    assert_eq!(carol["state"], "valid");
    home.client(&["revoke", carol["serial"].as_str().unwrap()]).done();
    assert!(home.list().iter().all(|one| one["state"] == "revoked" && one["revoked_at"].is_string()));
    assert!(home.client(&["revoke", "alice"]).done().text().contains("already"));
    let checked = home.openssl("verify -CAfile ca/ca.pem -CRLfile ca/crl.pem -crl_check 2/alice.pem");
    assert!(checked.err.contains("revoked"), "{}", checked.err);
    let last = home.number();
    home.client(&["revoke"]).done();
    let digits = |text: &str| u64::from_str_radix(text.trim().trim_start_matches("crlNumber=0x"), 16).unwrap();
    assert!(digits(&before) < digits(&last) && digits(&last) < digits(&home.number()));
    let text = home.client(&["list"]).done().text();
    assert_eq!(text.lines().filter(|line| line.starts_with("revoked")).count(), 4, "{text}");
}

#[test]
fn without_the_list_nothing_is_signed_since_what_was_revoked_would_count_again() {
    let home = Home::new();
    home.client(&["issue", "alice", "--out", "out"]).done();
    home.client(&["revoke", "alice"]).done();
    fs::rename(home.path("ca/crl.pem"), home.path("crl.pem")).unwrap();
    assert!(home.client(&["issue", "bob", "--out", "out"]).err.contains("the revoked ones would count again"));
    assert!(home.client(&["revoke"]).err.contains("Bring it back"));
    assert!(!home.path("out/bob.key").exists() && !home.path("ca/crl.pem").exists());
    fs::rename(home.path("crl.pem"), home.path("ca/crl.pem")).unwrap();
    home.client(&["issue", "bob", "--out", "out"]).done();
}

#[test]
fn the_account_that_serves_reads_the_list_whatever_the_umask() {
    let home = Home::new();
    let mut issue = Command::new("sh");
    issue.current_dir(home.0.path()).args(["-c", "umask 077 && exec \"$0\" \"$@\""]).arg(portcullis().get_program());
    run(issue.args(["cert", "client", "issue", "alice", "--out", "out", "--ca", "ca"])).done();
    let mode = |name: &str| home.path(name).metadata().unwrap().mode() & 0o777;
    assert_eq!([mode("ca"), mode("ca/crl.pem"), mode("ca/ca.pem"), mode("ca/ca.key")], [0o755, 0o644, 0o644, 0o600]);
}

#[test]
fn what_cannot_be_meant_is_told() {
    let home = Home::new();
    assert!(home.client(&["revoke", "alice"]).err.contains("no directory of a CA"));
    home.client(&["issue", "alice", "--out", "out"]).done();
    assert!(home.client(&["revoke", "bob"]).err.contains("issued no certificate in date"));
    let foreign = Home::new();
    foreign.client(&["issue", "alice", "--out", "out"]).done();
    let file = foreign.path("out/alice.pem");
    assert!(home.client(&["revoke", file.to_str().unwrap()]).err.contains("not by the CA"));
    fs::remove_file(home.path("ca/ca.key")).unwrap();
    assert!(home.client(&["revoke", "alice"]).err.contains("nothing can be signed"));
    assert!(home.client(&["issue", "bob", "--out", "out"]).err.contains("ca.key is not there"));
}

#[test]
fn with_a_user_it_is_written_into_users_toml_once_and_comments_stay() {
    let server = Server::builder().users_toml("# the end\n").prepare();
    let issue = |out: &str, user: &str| {
        let mut issue = server.command();
        issue.args(["cert", "client", "issue", "alice", "--user", user, "--out"]);
        run(issue.arg(server.scratch().join(out)))
    };
    issue("1", "alice").done();
    assert!(issue("2", "alice").done().text().contains("had certificates"));
    let users = fs::read_to_string(server.policy().join("users.toml")).unwrap();
    assert_eq!(users.matches("uri:portcullis:user:alice").count(), 1, "{users}");
    assert!(users.contains("# the end"));
    assert!(issue("3", "nobody").err.contains("no user nobody"));
    assert!(server.policy().join("../certs/clients/crl.pem").exists());
}

#[test]
fn cert_check_looks_at_what_goes_with_client_certificates_and_counts_days() {
    let site = Site::new("optional", Server::builder());
    let check = |words: &[&str]| run(site.server.command().args(["cert", "check"]).args(words));
    let text = check(&[]).text();
    assert!(text.contains("the next list is due on"), "{text}");
    let metrics = check(&["--format", "prometheus"]).text();
    for start in [
        "# HELP portcullis_certificate_days_left ",
        "# TYPE portcullis_certificate_days_left gauge",
        "portcullis_certificate_days_left{kind=\"server\",name=\"localhost\",file=\"",
        "portcullis_certificate_days_left{kind=\"client-authorities\",file=\"",
        "portcullis_certificate_not_after_timestamp_seconds{kind=\"client-revocations\",",
        "portcullis_certificate_check_severity ",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(start)), "{start} in {metrics}");
    }
    fs::write(site.server.policy().join("../certs/clients/crl.pem"), "").unwrap();
    let broken = check(&["--json"]);
    assert_eq!(broken.code, Some(1));
    let json: Value = serde_json::from_str(&broken.text()).unwrap();
    let bad = |one: &Value| one["id"] == "certificate.clients" && one["severity"] == "error";
    assert!(json["checks"].as_array().unwrap().iter().any(bad), "{json}");
}
