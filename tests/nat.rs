//! Transfers with a real NAT and a real packet filter in between: client, router and server are in
//! network namespaces of their own, and the server's drops by default what the rules that
//! `portcullis firewall` printed do not let in.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::clients::run_with;
use crate::firewall::DROPPING;
use crate::support::namespaces::Nat;
use crate::support::server::done;
use crate::support::{PASSWORD, Server};

/// Enough for fifty clients on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A network and the server that runs in it, behind its own rules.
struct Site {
    server: Server,
    nat: Nat,
}

/// Runs a client that has to succeed.
fn said_by(client: &mut Command) -> String {
    let ran = run_with(client, b"", PATIENCE).done();
    ran.text() + &ran.err
}

impl Site {
    /// Ten passive ports, everything allowed that [`Nat`] has.
    fn new() -> Self {
        let nat = Nat::new();
        let server = Server::builder()
            .policy("listen.explicit", r#"["0.0.0.0:21", "[::]:21"]"#)
            .policy("passive.ports", "50000-50009")
            .policy(
                "passive.advertise",
                &format!(r#"[{{ clients = "{}", address = "{}" }}]"#, Nat::MASQUERADED, Nat::PUBLIC),
            )
            .policy("networks.allow", &format!(r#"["{}", "10.1.0.128/26", "2001:db8:1::/64"]"#, Nat::MASQUERADED))
            .policy("active.enabled", "true")
            .hostname(Nat::PUBLIC)
            .hostname(Nat::SERVER_V4)
            .hostname(Nat::SERVER_V6)
            .inside(nat.server.words_for_a_server())
            .prepare();
        let printed = done(server.command().args(["firewall", "nftables", "--table", "filter"]), "");
        nat.server.fed("nft", &["-f", "-"], &String::from_utf8(printed.stdout).unwrap());
        nat.server.fed("nft", &["-f", "-"], DROPPING);
        let mut site = Self { server, nat };
        site.server.start();
        site
    }

    fn python(&self, script: &str, arguments: &[&str]) {
        let mut python = self.nat.client.command("python3");
        python.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripts").join(script));
        python.env("FTPS_PORT", "21").env("FTPS_USER", "alice").env("FTPS_PASSWORD", PASSWORD);
        python.env("FTPS_AUTHORITY", self.server.authority());
        said_by(python.args(arguments));
    }

    /// Uploads, downloads and lists with curl.
    fn curl(&self, host: &str, options: &[&str]) {
        let file = self.server.scratch().join("for-curl");
        fs::write(&file, "from curl").unwrap();
        let mut curl = self.nat.client.command("curl");
        curl.args(["--disable", "--silent", "--show-error", "--ssl-reqd", "--verbose", "--cacert"]);
        curl.arg(self.server.authority()).args(["--user", &format!("alice:{PASSWORD}")]).args(options);
        // TLS 1.2: under 1.3 this curl keeps a single ticket, which one upload spends.
        curl.args(["--tls-max", "1.2", "--upload-file"]).arg(&file).arg(format!("ftp://{host}/by-curl"));
        curl.args(["--next", "--disable", "--silent", "--show-error", "--ssl-reqd", "--tls-max", "1.2", "--cacert"]);
        curl.arg(self.server.authority()).args(["--user", &format!("alice:{PASSWORD}")]).args(options);
        curl.arg(format!("ftp://{host}/by-curl")).arg(format!("ftp://{host}/"));
        let said = said_by(&mut curl);
        assert!(said.contains("from curl") && said.contains(" by-curl"), "{said}");
    }

    /// The same with lftp.
    fn lftp(&self, host: &str, settings: &str) {
        let home = self.server.scratch();
        fs::write(home.join("for-lftp"), "from lftp").unwrap();
        let script = format!(
            "set cmd:fail-exit true; set ftp:ssl-force true; set ftp:ssl-protect-data true; \
             set ssl:ca-file \"{ca}\"; set ssl:check-hostname true; set net:max-retries 1; set net:timeout 10; \
             set net:persist-retries 0; set ftp:fix-pasv-address false; {settings} \
             open -u alice,{PASSWORD} ftp://{host}; put {home}/for-lftp -o by-lftp; cat by-lftp; ls",
            ca = self.server.authority().display(),
            home = home.display(),
        );
        let mut lftp = self.nat.client.command("lftp");
        lftp.env("HOME", &home).env("LFTP_HOME", &home).args(["--norc", "-c", &script]);
        let said = said_by(&mut lftp);
        assert!(said.contains("from lftp") && said.contains(" by-lftp"), "{said}");
    }

    /// Where the sessions came from.
    fn clients_seen(&self) -> BTreeSet<String> {
        let logins = self.server.records_of("auth.success");
        logins.iter().map(|record| record.text("/src_endpoint/ip").unwrap().to_owned()).collect()
    }
}

#[test]
fn fifty_clients_behind_one_address_share_ten_ports() {
    let site = Site::new();
    site.python("parallel.py", &[Nat::PUBLIC, "50", "2"]);
    assert_eq!(site.server.names().len(), 100);
    assert_eq!(site.clients_seen(), BTreeSet::from([Nat::MASQUERADED.to_owned()]));
}

#[test]
fn fifty_clients_with_addresses_of_their_own_share_ten_ports() {
    let site = Site::new();
    let sources: Vec<String> = (0..50).map(Nat::routed).collect();
    let mut arguments = vec![Nat::SERVER_V4, "50", "2"];
    arguments.extend(sources.iter().map(String::as_str));
    site.python("parallel.py", &arguments);
    assert_eq!(site.server.names().len(), 100);
    assert_eq!(site.clients_seen().len(), 50);
}

#[test]
fn passive_mode_works_through_nat_and_routed_over_both_families() {
    let site = Site::new();
    for host in [Nat::PUBLIC, Nat::SERVER_V4] {
        site.python("ways.py", &[host, "EPSV"]);
        site.curl(host, &[]);
        site.lftp(host, "set ftp:prefer-epsv true;");
    }
    // The announced address is used: the public one for those who come through the router.
    site.python("ways.py", &[Nat::PUBLIC, "PASV"]);
    site.curl(Nat::PUBLIC, &["--disable-epsv", "--no-ftp-skip-pasv-ip"]);
    site.lftp(Nat::PUBLIC, "set ftp:prefer-epsv false;");

    for way in ["EPSV", "PASV"] {
        site.python("ways.py", &[Nat::SERVER_V4, way, &Nat::routed(7)]);
    }
    site.python("ways.py", &[Nat::SERVER_V6, "EPSV"]);
    let v6 = format!("[{}]", Nat::SERVER_V6);
    site.curl(&v6, &[]);
    site.lftp(&v6, "");
}

#[test]
fn active_mode_works_where_clients_are_routed() {
    let site = Site::new();
    let routed = Nat::routed(7);
    site.python("ways.py", &[Nat::SERVER_V4, "PORT", &routed]);
    site.python("ways.py", &[Nat::SERVER_V4, "EPRT", &routed]);
    site.python("ways.py", &[Nat::SERVER_V6, "EPRT"]);
    // curl 7.88 leaves TLS out on active data connections, so it is not among these.
    site.lftp(Nat::SERVER_V4, &format!("set ftp:passive-mode false; set net:socket-bind-ipv4 {routed};"));
    site.lftp(&format!("[{}]", Nat::SERVER_V6), "set ftp:passive-mode false;");
    for record in site.server.records_of("file.download") {
        assert_ne!(record.text("/src_endpoint/ip"), Some(Nat::MASQUERADED), "{record:?}");
    }
}

#[test]
fn active_mode_behind_nat_is_refused_with_the_reason() {
    let site = Site::new();
    for way in ["PORT", "EPRT"] {
        let reason = "504 Data connections go to your own address";
        site.python("ways.py", &[Nat::PUBLIC, way, Nat::HIDDEN, reason]);
    }
    let refused = site.server.records_of("data.peer_mismatch");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|record| record.line().contains(Nat::HIDDEN)), "{refused:?}");
}
