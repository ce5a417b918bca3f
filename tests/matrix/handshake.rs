//! The handshake itself, as OpenSSL and GnuTLS see it: the tools with which people look at a server.

use std::process::Command;

use super::place::TIME;
use crate::clients::{Ran, run_with};
use crate::support::Server;

/// `openssl s_client` through `AUTH TLS`; it leaves as soon as it is through.
fn openssl(server: &Server, arguments: &[&str]) -> Ran {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &format!("localhost:{}", server.port()), "-starttls", "ftp"]);
    openssl.args(["-servername", "localhost", "-verify_hostname", "localhost", "-verify_return_error", "-CAfile"]);
    openssl.arg(server.authority());
    run_with(openssl.args(arguments), b"", TIME)
}

/// `gnutls-cli` through `AUTH TLS`, which says `QUIT` and waits for the answer.
fn gnutls(server: &Server, priority: &str) -> Ran {
    let mut gnutls = Command::new("gnutls-cli");
    gnutls.args(["--starttls-proto=ftp", "--port", &server.port().to_string(), "--priority", priority]);
    gnutls.arg("--x509cafile").arg(server.authority()).arg("localhost");
    run_with(&mut gnutls, b"QUIT\r\n", TIME)
}

#[test]
fn openssl_and_gnutls_agree_on_both_versions() {
    let server = Server::running();
    for (version, flag) in [("TLSv1.2", "-tls1_2"), ("TLSv1.3", "-tls1_3")] {
        let said = openssl(&server, &[flag]).done().text();
        assert!(said.contains(&format!("New, {version}, Cipher is ")), "{said}");
        assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    }
    for (version, priority) in [("TLS1.2", "NORMAL:-VERS-TLS1.3"), ("TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.3")] {
        let said = gnutls(&server, priority).done().text();
        assert!(said.contains(&format!("- Description: ({version}-")), "{said}");
        assert!(said.contains("Status: The certificate is trusted.") && said.contains("221 "), "{said}");
    }
}

#[test]
fn no_control_connection_resumes_another() {
    let server = Server::running();
    for flag in ["-tls1_2", "-tls1_3"] {
        let said = openssl(&server, &[flag, "-reconnect"]).text();
        assert!(said.lines().filter(|line| line.starts_with("New, TLS")).count() > 1, "{said}");
        assert!(!said.contains("Reused, "), "{said}");
    }
}

#[test]
fn older_versions_are_refused() {
    let server = Server::running();
    let ran = openssl(&server, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    assert!(ran.code != Some(0) && ran.err.contains("alert"), "{}", ran.err);
    server.wait_for_record("tls.handshake_failed", |_| true);
}

#[test]
fn the_extended_master_secret_is_asked_for_unless_the_policy_says_otherwise() {
    // GnuTLS calls it session hash.
    let without = "NORMAL:-VERS-TLS1.3:%NO_SESSION_HASH";
    let server = Server::running();
    assert_ne!(gnutls(&server, without).code, Some(0));
    server.wait_for_failure("tls.handshake_failed", "no_extended_master_secret");
    let server = Server::builder().policy("tls.require-extended-master-secret", "false").start();
    let said = gnutls(&server, without).done().text();
    assert!(said.contains("- Description: (TLS1.2-") && said.contains("221 "), "{said}");
}
