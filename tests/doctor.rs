//! `portcullis doctor`: each fault that is planted is found, named and comes with its remedy, and a
//! deployment without faults gets no warning.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustix::fs::statvfs;
use serde_json::Value;

use crate::support::namespaces::Namespace;
use crate::support::server::portcullis;
use crate::support::{Server, day};

/// What one run of the doctor said.
struct Said {
    json: Value,
    exit_code: i32,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr));
        });
        let said = Self { json, exit_code: output.status.code().unwrap() };
        for check in said.checks() {
            let text = |key: &str| check[key].as_str().unwrap_or_default();
            assert!(["ok", "note", "warning", "error"].contains(&text("severity")), "{check}");
            assert!(!text("id").is_empty() && !text("found").is_empty(), "{check}");
            assert_eq!(text("help").is_empty(), text("severity") == "ok", "what is not fine has a remedy: {check}");
        }
        said
    }

    fn checks(&self) -> &[Value] {
        self.json["checks"].as_array().unwrap()
    }

    /// What is not fine, as `id severity`, as often as it was found.
    fn faults(&self) -> Vec<String> {
        let words =
            |check: &Value| format!("{} {}", check["id"].as_str().unwrap(), check["severity"].as_str().unwrap());
        self.checks().iter().filter(|check| check["severity"] != "ok").map(words).collect()
    }

    /// What is worse than a note.
    fn alarms(&self) -> BTreeSet<String> {
        self.faults().into_iter().filter(|fault| !fault.ends_with(" note")).collect()
    }

    /// What a check found, and how to mend it.
    fn words(&self, id: &str) -> String {
        self.checks().iter().filter(|check| check["id"] == id).map(Value::to_string).collect()
    }

    fn not_made(&self) -> Vec<&str> {
        self.json["not_made"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
    }
}

fn doctor(server: &Server, arguments: &[&str]) -> Said {
    Said::of(&server.command().args(["doctor", "--json"]).args(arguments).output().unwrap())
}

/// What the doctor finds after the planting that it did not find before.
fn found_after(server: &Server, arguments: &[&str], plant: impl FnOnce(&Server)) -> (Vec<String>, Said) {
    let before = doctor(server, &[]).faults();
    plant(server);
    let said = doctor(server, arguments);
    let mut found = said.faults();
    for known in before {
        if let Some(at) = found.iter().position(|fault| *fault == known) {
            found.remove(at);
        }
    }
    (found, said)
}

/// Plants nothing but an override for one run.
fn found_with(setting: &str) -> (Vec<String>, Said) {
    found_after(&Server::builder().prepare(), &["--set", setting], |_| {})
}

/// The account to which a server of root changes in these tests, with its ids.
fn daemon() -> (u32, u32) {
    let text = fs::read_to_string("/etc/passwd").unwrap();
    let line = text.lines().find(|line| line.starts_with("daemon:")).unwrap();
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

/// A deployment as docs and `init` lead to it: where root starts the server, it changes to an
/// account that owns homes and log.
fn healthy() -> Server {
    // As costly as they are for users, which tests of other things need not pay.
    let builder = Server::builder().policy("passwords.argon2-memory-kib", "19456");
    if !rustix::process::geteuid().is_root() {
        return builder.prepare();
    }
    let server = builder.policy("process.user", "daemon").prepare();
    let base = server.policy().ancestors().nth(2).unwrap().to_owned();
    for passable in [base.clone(), base.join("files")] {
        fs::set_permissions(passable, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let (uid, gid) = daemon();
    let beside = |name: &str| server.policy().with_file_name(name);
    for own in [server.home("alice"), server.audit_file().parent().unwrap().to_owned(), beside("state"), beside("run")]
    {
        chown(own, Some(uid), Some(gid)).unwrap();
    }
    for read in [server.policy().join("users.toml"), beside("certs").join("server.key")] {
        chown(&read, None, Some(gid)).unwrap();
        fs::set_permissions(&read, PermissionsExt::from_mode(0o640)).unwrap();
    }
    server
}

/// What this machine itself gives rise to: a full disk, a temporary directory in memory, an old kernel.
fn of_the_machine(server: &Server, said: &Said) -> BTreeSet<String> {
    let disk = statvfs(server.policy().as_path()).unwrap();
    let mut expected = BTreeSet::new();
    if disk.f_bavail < disk.f_blocks / 10 {
        expected.extend(["homes.space warning".to_owned(), "audit.space warning".to_owned()]);
    }
    if said.words("audit.mount").contains("tmpfs") {
        expected.insert("audit.mount warning".to_owned());
    }
    if !Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
        || said.words("kernel.sandbox").contains("Landlock ")
    {
        expected.extend(said.alarms().into_iter().filter(|alarm| alarm.starts_with("kernel.sandbox")));
    }
    expected
}

#[test]
fn a_deployment_made_by_init_gives_no_alarm_before_and_while_it_runs() {
    let mut server = healthy();
    let said = doctor(&server, &[]);
    assert_eq!(said.alarms(), of_the_machine(&server, &said));
    assert_eq!(said.exit_code, if said.alarms().is_empty() { 0 } else { 3 });
    assert!(said.not_made().contains(&"address.answer"), "no server runs yet: {:?}", said.not_made());
    assert!(said.words("ports.listen").contains("can be listened on"));

    server.start();
    let said = doctor(&server, &[]);
    assert_eq!(said.alarms(), of_the_machine(&server, &said));
    assert!(said.words("ports.listen").contains("held by the server of this policy"), "{}", said.words("ports.listen"));
    assert!(said.words("address.answer").contains("answers with the certificate of the policy"));
    assert!(said.words("process.descriptors").contains("the running server"));
}

#[test]
fn the_doctor_changes_nothing_on_disk() {
    let server = Server::builder().prepare();
    let state = || -> Vec<(PathBuf, Vec<u8>)> {
        server.kept_files().into_iter().filter_map(|path| Some((path.clone(), fs::read(path).ok()?))).collect()
    };
    let before = state();
    doctor(&server, &[]);
    assert_eq!(state(), before);
    assert_eq!(server.names(), Vec::<String>::new());
    assert!(!server.audit_file().exists());
}

#[test]
fn people_read_lines_with_remedies_and_a_summary() {
    let server = Server::builder().prepare();
    fs::remove_dir(server.home("alice")).unwrap();
    let output = server.command().arg("doctor").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("  warning  homes.access "), "{text}");
    assert!(text.contains("→ make it: install -d "), "{text}");
    assert!(!text.contains('\u{1b}'), "colours are for a terminal: {text:?}");
    assert!(text.lines().last().unwrap().starts_with("0 errors, "), "{text}");
    assert_eq!(output.status.code(), Some(3), "warnings alone");
}

#[test]
fn a_broken_policy_is_reported_and_what_needs_none_is_still_checked() {
    let server = Server::builder().prepare();
    server.change("server.toml", |toml| toml["limits"]["sesions"] = toml_edit::value(5));
    let said = doctor(&server, &[]);
    assert_eq!(said.exit_code, 78);
    assert!(said.words("policy.text").contains("server.toml:"), "{}", said.words("policy.text"));
    assert!(said.faults().contains(&"policy.text error".to_owned()));
    assert!(said.not_made().contains(&"ports.listen") && said.not_made().contains(&"homes.space"));
    for id in ["kernel.files", "kernel.sandbox", "clock.year"] {
        assert!(!said.words(id).is_empty(), "{id} needs no policy");
    }
    let nowhere = portcullis().args(["--policy", "/nonexistent", "doctor", "--json"]).output().unwrap();
    let said = Said::of(&nowhere);
    assert!(said.exit_code == 78 && said.words("policy.text").contains("cannot be read"));
}

#[test]
fn a_port_held_by_another_program_is_an_error_that_names_it() {
    let server = Server::builder().prepare();
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, server.port())).unwrap();
    let said = doctor(&server, &[]);
    assert!(said.faults().contains(&"ports.listen error".to_owned()), "{:?}", said.faults());
    let process = format!("(process {})", std::process::id());
    assert!(said.words("ports.listen").contains(&process), "{}", said.words("ports.listen"));
    assert_eq!(said.exit_code, 1);
    drop(held);
    assert!(!doctor(&server, &[]).faults().contains(&"ports.listen error".to_owned()));
}

#[test]
fn a_port_held_by_the_server_of_another_policy_is_an_error() {
    let other = Server::running();
    let (found, said) = found_with(&format!("listen.explicit=[\"127.0.0.1:{}\"]", other.port()));
    assert_eq!(found, ["ports.listen error"]);
    assert!(said.words("ports.listen").contains(&format!("portcullis (process {})", other.pid())));
}

#[test]
fn an_address_that_the_machine_does_not_have_is_an_error() {
    assert_eq!(found_with("listen.explicit=[\"192.0.2.77:2121\"]").0, ["ports.listen error"]);
}

#[test]
fn passive_ports_held_by_others_are_a_warning_and_all_of_them_an_error() {
    let server = Server::builder().prepare();
    let (first, last) = server.ports().passive();
    let occupy = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut held = vec![occupy(first)];
    let said = doctor(&server, &[]);
    assert!(said.faults().contains(&"ports.passive warning".to_owned()), "{:?}", said.faults());
    assert!(said.words("ports.passive").contains(&format!("1 of 20 passive ports are held: {first} by ")));
    held.extend((first + 1..=last).map(occupy));
    assert!(doctor(&server, &[]).faults().contains(&"ports.passive error".to_owned()));
}

#[test]
fn passive_ports_that_outgoing_connections_may_take_are_noted_with_the_sysctl() {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let high: u16 = range.split_whitespace().nth(1).unwrap().parse().unwrap();
    let ports = format!("{}-{high}", high - 9);
    let (found, said) = found_with(&format!("passive.ports=\"{ports}\""));
    assert!(found.contains(&"ports.ephemeral note".to_owned()), "{found:?}");
    let words = said.words("ports.ephemeral");
    assert!(words.contains("sysctl -w net.ipv4.ip_local_reserved_ports=") && words.contains(&ports), "{words}");
}

const OUTSIDE: &str = "networks.allow=[\"198.51.100.0/24\"]";

fn advertise(address: &str) -> String {
    format!("passive.advertise=[{{ clients = \"any\", address = \"{address}\" }}]")
}

#[test]
fn a_private_address_told_to_clients_elsewhere_is_a_warning() {
    let server = Server::builder().prepare();
    for address in ["10.11.12.13", "192.168.1.1", "100.64.1.2", "169.254.1.1", "127.0.0.1"] {
        let (found, _) = found_after(&server, &["--set", OUTSIDE, "--set", &advertise(address)], |_| {});
        assert_eq!(found, ["address.advertised warning"], "{address}");
    }
    let within = doctor(&server, &["--set", &advertise("10.11.12.13")]);
    assert!(
        !within.faults().contains(&"address.advertised warning".to_owned()),
        "its clients are of this machine alone"
    );
}

#[test]
fn an_address_out_of_the_documentation_is_a_warning_and_that_of_a_nat_a_note() {
    assert_eq!(found_with(&advertise("203.0.113.7")).0, ["address.advertised warning"]);
    let (found, said) = found_with(&advertise("9.9.9.9"));
    assert_eq!(found, ["address.advertised note"]);
    assert!(said.words("address.advertised").contains("NAT"));
}

#[test]
fn a_private_address_of_ones_own_is_a_warning_where_nothing_is_advertised() {
    assert_eq!(found_with(OUTSIDE).0, ["address.local warning"]);
}

#[test]
fn the_way_through_the_advertised_address_is_tried() {
    let ours = Server::running();
    let port = ours.port();
    let itself = doctor(&ours, &["--set", &advertise("127.0.0.1")]);
    assert!(itself.words("address.path").contains("leads to this server"), "{}", itself.words("address.path"));
    let (found, _) = found_after(&ours, &["--set", &advertise("127.0.0.3")], |_| {});
    assert_eq!(found, ["address.path note"], "nobody is there");
    let _other = Server::builder().set("listen.explicit", &format!("[\"127.0.0.2:{port}\"]")).start();
    let (found, said) = found_after(&ours, &["--set", &advertise("127.0.0.2")], |_| {});
    assert_eq!(found, ["address.path error"], "another server is there");
    assert!(said.words("address.path").contains("SHA-256"));
}

#[test]
fn the_server_is_asked_as_by_a_proxy_where_this_machine_is_one() {
    let proxies = "[{ from = \"127.0.0.0/24\", data = \"header\" }]";
    for implicit in [false, true] {
        let builder = Server::builder().policy("listen.proxies", proxies);
        let server = if implicit { builder.implicit() } else { builder }.start();
        let said = doctor(&server, &[]);
        let words = said.words("address.answer");
        assert!(words.contains("answers with the certificate of the policy"), "{words}");
        assert!(!said.faults().iter().any(|fault| fault.starts_with("address.")), "{:?}", said.faults());
    }
}

/// A certificate for these names and days (counted from today) by an authority of its own, put in the
/// place of the server's.
fn install(server: &Server, names: &[&str], first: i64, last: i64) {
    let moment = |days: i64| {
        let date: jiff::civil::Date = day(days).parse().unwrap();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "An authority for one test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.distinguished_name.push(DnType::CommonName, "A server for one test");
    (leaf.not_before, leaf.not_after) = (moment(first), moment(last));
    let leaf = leaf.signed_by(&key, &issuer).unwrap().pem();
    fs::write(server.authority(), authority_pem).unwrap();
    fs::write(server.authority().with_file_name("server.pem"), leaf).unwrap();
    fs::write(server.authority().with_file_name("server.key"), key.serialize_pem()).unwrap();
}

fn found_with_certificate(names: &[&str], first: i64, last: i64) -> Vec<String> {
    found_after(&Server::builder().prepare(), &[], |server| install(server, names, first, last)).0
}

#[test]
fn a_certificate_out_of_date_or_soon_so_is_found() {
    assert_eq!(found_with_certificate(&["localhost"], -10, 300), Vec::<String>::new());
    assert_eq!(found_with_certificate(&["localhost"], -10, 20), ["certificate.dates warning"]);
    assert_eq!(found_with_certificate(&["localhost"], -10, 4), ["certificate.dates error"]);
    assert_eq!(found_with_certificate(&["localhost"], -10, -2), ["certificate.dates error"]);
    assert_eq!(found_with_certificate(&["localhost"], 2, 300), ["certificate.dates error"]);
}

#[test]
fn a_certificate_for_other_names_is_found() {
    assert_eq!(found_with_certificate(&["files.example.org"], -10, 300), ["certificate.names error"]);
    let server = Server::builder().prepare();
    let (found, said) = found_after(&server, &["--hostname", "files.example.org"], |_| {});
    assert_eq!(found, ["certificate.names error"]);
    assert!(said.words("certificate.names").contains("is not for files.example.org"));
}

#[test]
fn a_key_of_another_certificate_is_found() {
    let (found, _) = found_after(&Server::builder().prepare(), &[], |server| {
        let key = KeyPair::generate().unwrap().serialize_pem();
        fs::write(server.authority().with_file_name("server.key"), key).unwrap();
    });
    assert_eq!(found, ["certificate.key error"]);
}

#[test]
fn a_key_that_everybody_can_read_is_found() {
    let (found, said) = found_after(&Server::builder().prepare(), &[], |server| {
        let key = server.authority().with_file_name("server.key");
        fs::set_permissions(key, PermissionsExt::from_mode(0o644)).unwrap();
    });
    assert_eq!(found, ["policy.owners error"]);
    assert!(said.words("policy.owners").contains("chmod 0600"));
    assert!(!said.words("homes.space").is_empty(), "the rest is checked all the same");
}

#[test]
fn a_fifo_in_the_place_of_a_certificate_is_not_waited_for() {
    let server = Server::builder().prepare();
    fs::remove_file(server.authority()).unwrap();
    assert!(Command::new("mkfifo").arg(server.authority()).status().unwrap().success());
    let mut bounded = Command::new("timeout");
    bounded.args(["30", env!("CARGO_BIN_EXE_portcullis"), "--policy"]).arg(server.policy()).args(["doctor", "--json"]);
    let said = Said::of(&bounded.output().unwrap());
    assert!(said.faults().contains(&"certificate.chain warning".to_owned()), "{:?}", said.faults());
}

#[test]
fn a_certificate_whose_authority_nobody_knows_is_a_warning() {
    let (found, said) = found_after(&Server::builder().prepare(), &[], |server| {
        fs::remove_file(server.authority()).unwrap();
    });
    assert_eq!(found, ["certificate.chain warning"]);
    assert!(said.words("certificate.chain").contains("fullchain.pem"));
}

#[test]
fn a_weak_key_and_a_weak_signature_are_found() {
    for (arguments, expected) in [
        (&["-newkey", "rsa:1024", "-sha256"][..], "certificate.key error"),
        (&["-newkey", "rsa:2048", "-sha1"][..], "certificate.chain error"),
    ] {
        let (found, _) = found_after(&Server::builder().prepare(), &[], |server| {
            let certs = server.authority().parent().unwrap().to_owned();
            let mut made = Command::new("openssl");
            made.current_dir(certs).args(["req", "-x509", "-nodes", "-days", "300", "-subj", "/CN=localhost"]);
            made.args(["-addext", "subjectAltName=DNS:localhost", "-keyout", "server.key", "-out", "server.pem"]);
            let output = made.args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        });
        assert!(found.contains(&expected.to_owned()), "{arguments:?}: {found:?}");
    }
}

#[test]
fn a_certificate_renewed_under_a_running_server_is_a_warning_until_the_server_can_use_it() {
    let server = Server::running();
    let key = server.policy().join("../certs/server.key");
    let (found, said) = found_after(&server, &[], |server| {
        install(server, &["localhost"], -1, 300);
        fs::set_permissions(&key, PermissionsExt::from_mode(0o604)).unwrap();
    });
    assert!(found.contains(&"address.answer warning".to_owned()), "{found:?}");
    assert!(said.words("address.answer").contains("its log says why"));
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    server.wait_for_record("certificate.loaded", |_| true);
    assert!(!doctor(&server, &[]).faults().contains(&"address.answer warning".to_owned()));
}

#[test]
fn a_server_behind_its_own_firewall_rules_gives_no_alarm_even_to_who_may_not_open_its_port() {
    let namespace = Namespace::new();
    let privileged_from = |port: u16| format!("echo {port} > /proc/sys/net/ipv4/ip_unprivileged_port_start");
    namespace.sh(&privileged_from(0));
    let server = Server::builder()
        .policy("networks.allow", r#"["192.0.2.0/24"]"#)
        .policy("listen.explicit", r#"["0.0.0.0:21"]"#)
        .inside(namespace.words_for_a_server())
        .start();
    namespace.sh(&privileged_from(1024));
    let rules = server.command().args(["firewall", "nftables"]).output().unwrap().stdout;
    namespace.fed("nft", &["-f", "-"], &String::from_utf8(rules).unwrap());

    let mut without_privilege = namespace.command("setpriv");
    without_privilege.args(["--bounding-set=-net_bind_service", env!("CARGO_BIN_EXE_portcullis"), "--policy"]);
    let said = Said::of(&without_privilege.arg(server.policy()).args(["doctor", "--json"]).output().unwrap());
    for id in ["ports.listen", "ports.privilege", "address.answer"] {
        assert!(!said.alarms().iter().any(|alarm| alarm.starts_with(id)), "{}", said.words(id));
    }
    assert!(said.words("ports.listen").contains("held by the server of this policy"));
    assert!(said.words("address.answer").contains("does not let this machine in"));
}

#[test]
fn a_home_that_is_missing_or_closed_to_the_server_is_found() {
    let (found, said) = found_after(&Server::builder().prepare(), &[], |server| {
        fs::remove_dir(server.home("alice")).unwrap();
    });
    assert_eq!(found, ["homes.access warning"]);
    assert!(said.words("homes.access").contains("does not exist"));
    let (found, said) = found_after(&Server::builder().prepare(), &[], |server| {
        fs::set_permissions(server.home("alice"), PermissionsExt::from_mode(0o500)).unwrap();
    });
    assert_eq!(found, ["homes.access warning"]);
    assert!(said.words("homes.access").contains("chmod u+rwx"));
}

#[test]
fn a_floor_above_the_free_space_is_an_error() {
    let (found, said) = found_with("storage.free-space-floor-bytes=9223372036854775807");
    assert_eq!(found, ["homes.space error"]);
    assert!(said.words("homes.space").contains("every upload is refused"));
}

#[test]
fn a_home_in_memory_is_noted() {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let (found, _) = found_after(&Server::builder().prepare(), &[], |server| {
        server.change_user("user.alice.home", &format!("\"{}\"", memory.path().display()));
    });
    assert!(found.contains(&"homes.mount note".to_owned()), "{found:?}");
}

#[test]
fn too_few_descriptors_are_a_warning() {
    let server = Server::builder().prepare();
    let limited = Command::new("sh")
        .args(["-c", "ulimit -n 500; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_portcullis"), "--policy"])
        .arg(server.policy())
        .args(["doctor", "--json"])
        .output()
        .unwrap();
    let said = Said::of(&limited);
    assert!(said.faults().contains(&"process.descriptors warning".to_owned()), "{:?}", said.faults());
    assert!(said.words("process.descriptors").contains("LimitNOFILE=5640"), "{}", said.words("process.descriptors"));
}

#[test]
fn an_audit_log_in_memory_or_in_a_closed_directory_is_a_warning() {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let (found, said) = found_with(&format!("audit.directory=\"{}\"", memory.path().display()));
    assert!(found.contains(&"audit.mount warning".to_owned()), "{found:?}");
    assert!(said.words("audit.mount").contains("lost at a reboot"));
    let (found, _) = found_after(&Server::builder().prepare(), &[], |server| {
        fs::set_permissions(server.audit_file().parent().unwrap(), PermissionsExt::from_mode(0o500)).unwrap();
    });
    assert_eq!(found, ["audit.directory warning"]);
}

#[test]
fn a_record_from_the_future_and_a_log_that_ends_in_none_are_errors() {
    let ahead = jiff::Timestamp::now().as_millisecond() + 86_400_000;
    let record = format!("{{\"seq\":1,\"time\":{ahead}}}\n");
    let (found, _) =
        found_after(&Server::builder().prepare(), &[], |server| fs::write(server.audit_file(), record).unwrap());
    assert_eq!(found, ["audit.clock error"]);
    let (found, _) =
        found_after(&Server::builder().prepare(), &[], |server| fs::write(server.audit_file(), "noise\n").unwrap());
    assert_eq!(found, ["audit.records error"]);
}

#[test]
fn users_who_cannot_come_from_anywhere_are_a_warning() {
    let (found, said) = found_after(&Server::builder().prepare(), &[], |server| {
        server.change_user("user.alice.deny-from", "[\"127.0.0.0/9\", \"127.128.0.0/9\"]");
    });
    assert_eq!(found.last().unwrap(), "users.addresses warning", "besides what is odd about the text: {found:?}");
    assert!(said.words("users.addresses").contains("alice"));
    let (found, _) = found_after(&Server::builder().prepare(), &[], |server| {
        server.change_user("user.alice.allow-from", "[\"192.0.2.0/24\"]");
    });
    assert_eq!(found.last().unwrap(), "users.addresses warning", "besides what is odd about the text: {found:?}");
}

#[test]
fn nobody_to_log_in_is_a_warning() {
    let (found, _) = found_after(&Server::builder().prepare(), &[], |server| {
        assert!(server.command().args(["user", "remove", "alice"]).status().unwrap().success());
    });
    assert_eq!(found, ["users.login warning"]);
    let (found, _) = found_after(&Server::builder().prepare(), &[], |server| {
        assert!(server.command().args(["user", "disable", "alice"]).status().unwrap().success());
    });
    assert_eq!(found, ["users.login warning"]);
}

#[test]
fn accounts_passwords_and_exceptions_that_end_are_a_warning() {
    let exception =
        |until: &str| format!("[{{ data-binding = \"address\", reason = \"an old scanner\", until = {until} }}]");
    for (key, value, expected) in [
        ("password-set", day(-175), &["users.dates warning"][..]),
        // It still lets alice in to change it.
        ("password-set", day(-200), &["users.dates warning"][..]),
        ("expires", day(3), &["users.dates warning"][..]),
        ("expires", day(-3), &["policy.text warning", "users.login warning", "users.dates warning"][..]),
        ("exception", exception(&day(3)), &["policy.text warning", "users.exceptions warning"][..]),
        ("exception", exception(&day(-3)), &["policy.text warning"][..]),
    ] {
        let (found, _) = found_after(&Server::builder().prepare(), &[], |server| {
            server.change_user(&format!("user.alice.{key}"), &value);
        });
        assert_eq!(found, expected, "{key} = {value}");
    }
    let held = format!(
        "[{{ clients = \"192.0.2.0/24\", tls-maximum = \"1.2\", reason = \"an old client\", until = {} }}]",
        day(3)
    );
    let (found, _) = found_with(&format!("exception={held}"));
    assert_eq!(found, ["policy.text warning", "users.exceptions warning"]);
}

#[test]
fn what_is_wide_open_is_noted() {
    let server = Server::builder().prepare();
    let wide = ["--set", "networks.allow=[\"0.0.0.0/0\"]", "--set", "networks.allow-any=true"];
    let active = ["--set", "active.enabled=true"];
    let said = doctor(&server, &[&wide[..], &active[..]].concat());
    for fault in ["networks.any note", "networks.active note"] {
        assert!(said.faults().contains(&fault.to_owned()), "{:?}", said.faults());
    }
}
