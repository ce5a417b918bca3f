//! The rules that `portcullis firewall` prints: each tool takes them, and lets in what the policy
//! does and nothing else. Everything happens in network namespaces; no firewall of the machine is
//! touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::support::namespaces::{Namespace, Nat};
use crate::support::server::done;
use crate::support::{Server, eventually};

/// A server's policy, not running, that listens for everything.
fn policy() -> Server {
    Server::builder()
        .policy("listen.explicit", r#"["0.0.0.0:21", "[::]:21", "127.0.0.1:2121"]"#)
        .policy("listen.implicit", r#"["10.2.0.2:990"]"#)
        .policy("passive.ports", "50000-50009")
        .policy("networks.named.partners", r#"["10.1.0.128/26", "10.1.0.144/28", "2001:db8:1::/64"]"#)
        .policy("networks.allow", r#"["partners", "10.2.0.1"]"#)
        .policy("networks.deny", r#"["10.1.0.140", "10.1.0.144/28", "2001:db8:1::666"]"#)
        .prepare()
}

/// The same behind proxies: in a denied network, denied by its address, in no list, and allowed too.
fn behind_proxies() -> Server {
    let proxy = |from: &str| format!("{{ from = \"{from}\", data = \"header\" }}");
    let proxies = ["10.1.0.150", "10.1.0.140", "10.1.0.200", "10.2.0.1", "2001:db8:1::666"].map(proxy);
    let server = policy();
    server.change("server.toml", |toml| {
        let proxies = format!("[{}]", proxies.join(", "));
        toml["listen"]["proxies"] = toml_edit::value(proxies.parse::<toml_edit::Value>().unwrap());
    });
    server
}

fn rules(server: &Server, arguments: &[&str]) -> String {
    let output = done(server.command().arg("firewall").args(arguments), "");
    String::from_utf8(output.stdout).unwrap()
}

/// Policies that differ in what rules are made of.
fn policies() -> Vec<Server> {
    let many: Vec<String> =
        (0..500).map(|at| format!("\"10.{}.{}.0/28\", \"2001:db8:{at:x}::/48\"", at / 250, at % 250)).collect();
    let sixteen: Vec<String> = (0..16).map(|at| format!("\"192.0.2.1:{}\"", 2100 + 2 * at)).collect();
    let only = |allow: &str| Server::builder().policy("networks.allow", allow);
    vec![
        policy(),
        // Everybody but a few; one port.
        only(r#"["0.0.0.0/0", "::/0"]"#)
            .policy("networks.allow-any", "true")
            .policy("networks.deny", r#"["192.0.2.0/24", "2001:db8:bad::/48"]"#)
            .policy("listen.explicit", r#"["0.0.0.0:21", "[::]:21"]"#)
            .policy("passive.ports", "\"50000\"")
            .prepare(),
        // IPv4 alone, on single addresses and many ports; a list with a network in both.
        only(r#"["198.51.100.0/24", "203.0.113.9"]"#)
            .policy("networks.deny", r#"["203.0.113.9"]"#)
            .policy("listen.explicit", &format!("[{}]", sixteen.join(", ")))
            .policy("active.enabled", "true")
            .prepare(),
        // A thousand networks.
        only(&format!("[{}]", many.join(", "))).policy("listen.explicit", r#"["0.0.0.0:21", "[::]:21"]"#).prepare(),
        behind_proxies(),
        // Nothing that any packet filter would see.
        only(r#"["127.0.0.1"]"#).policy("listen.explicit", r#"["127.0.0.1:21", "[::1]:21"]"#).prepare(),
    ]
}

#[test]
fn nft_takes_the_rules_as_often_as_they_come() {
    let namespace = Namespace::new();
    namespace.fed("nft", &["-f", "-"], "table inet filter { chain input { tcp dport 22 accept; }; }");
    let mut jumped = false;
    for server in policies() {
        for arguments in [&["nftables"][..], &["nftables", "--table", "filter"]] {
            let text = rules(&server, arguments);
            namespace.fed("nft", &["-c", "-f", "-"], &text);
            namespace.fed("nft", &["-f", "-"], &text);
            let once = namespace.sh("nft --stateless list ruleset");
            namespace.fed("nft", &["-f", "-"], &text);
            assert_eq!(namespace.sh("nft --stateless list ruleset"), once);
        }
        if !std::mem::replace(&mut jumped, true) {
            namespace.sh("nft add rule inet filter input jump portcullis");
        }
        let kept = namespace.sh("nft list chain inet filter input");
        assert!(kept.contains("tcp dport 22 accept") && kept.matches("jump portcullis").count() == 1, "{kept}");
    }
}

#[test]
fn iptables_restore_takes_the_rules_as_often_as_they_come() {
    let namespace = Namespace::new();
    for command in ["iptables", "ip6tables"] {
        namespace.sh(&format!("{command} -A INPUT -p tcp --dport 22 -j ACCEPT"));
        for (number, server) in policies().iter().enumerate() {
            let text = rules(server, &["iptables"]);
            let restore = format!("{command}-restore");
            namespace.fed(&restore, &["--test", "--noflush"], &text);
            namespace.fed(&restore, &["--noflush"], &text);
            if number == 0 {
                namespace.sh(&format!("{command} -A INPUT -p tcp --syn -j PORTCULLIS"));
            }
            let shown = || namespace.sh(&format!("{command}-save | grep -v '^#'"));
            let once = shown();
            namespace.fed(&restore, &["--noflush"], &text);
            assert_eq!(shown(), once);
            assert!(once.contains("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"), "{once}");
            assert_eq!(once.matches("-j PORTCULLIS\n").count(), 1, "{once}");
        }
    }
}

/// Gives a namespace an ufw that nobody has used yet.
fn fresh_ufw(namespace: &Namespace, directory: &Path) {
    let of_its_own = directory.join("ufw");
    fs::create_dir_all(of_its_own.join("applications.d")).unwrap();
    namespace.sh(&format!(
        "cp -L /usr/share/ufw/*.rules /usr/share/ufw/*.init /usr/share/ufw/ufw.conf {own}\n\
         touch {own}/sysctl.conf\n\
         mount --bind {own} /etc/ufw\n\
         mount -t tmpfs tmpfs /run",
        own = of_its_own.display(),
    ));
}

#[test]
fn ufw_takes_the_commands_and_the_rules_of_a_later_policy_replace_the_earlier() {
    let namespace = Namespace::new();
    let mut policies = policies();
    // A thousand calls of ufw show nothing that a dozen do not.
    drop(policies.remove(3));
    fresh_ufw(&namespace, &policies[0].scratch());
    namespace.sh("ufw allow 22/tcp");
    for (number, server) in policies.iter().enumerate() {
        let script = rules(server, &["ufw"]);
        namespace.sh(&script);
        let once = namespace.sh("ufw show added");
        let lines = script.lines().filter(|line| line.starts_with("ufw allow") || line.starts_with("ufw deny"));
        // ufw says in one line what is the same for both families.
        let rules: Vec<&str> = lines.collect();
        let shown = once.matches("comment 'portcullis'").count();
        assert!(shown <= rules.len() && shown >= rules.len().div_ceil(2), "{once}");
        assert!(once.contains("ufw allow 22/tcp"), "{once}");
        if number == 1 {
            namespace.sh(&script);
            assert_eq!(namespace.sh("ufw show added"), once);
        }
    }
}

/// A directory for firewalld with the policy installed.
fn firewalld_directory(server: &Server, text: &str) -> PathBuf {
    let directory = server.scratch().join("firewalld");
    fs::create_dir_all(directory.join("policies")).unwrap();
    fs::write(directory.join("policies/portcullis.xml"), text).unwrap();
    fs::write(directory.join("firewalld.conf"), "DefaultZone=drop\n").unwrap();
    directory
}

#[test]
fn firewalld_takes_the_policy() {
    let namespace = Namespace::new();
    for server in policies() {
        let text = rules(&server, &["firewalld"]);
        let directory = firewalld_directory(&server, &text);
        let check = || {
            let mut command = namespace.command("firewall-offline-cmd");
            command.arg("--system-config").arg(&directory);
            command
        };
        let checked = done(check().arg("--check-config"), "");
        // What it finds wrong with a rule it tells as a warning.
        assert_eq!(String::from_utf8_lossy(&checked.stderr), "");
        let listed = done(check().args(["--policy", "portcullis", "--list-all"]), "");
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains("priority: -10") && listed.contains("target: CONTINUE"), "{listed}");
        assert_eq!(listed.matches("\trule ").count(), text.matches("<rule ").count(), "{listed}");
    }
}

/// What becomes of connections from these addresses of the client to these places: `refused` came
/// through to where nothing listens, `dropped` was never answered.
fn probe(nat: &Nat, probes: &[(&str, &str, u16)]) -> Vec<String> {
    let script = "
import concurrent.futures, errno, socket, sys
def probe(line):
    source, target, port = line.split()
    try:
        socket.create_connection((target, int(port)), timeout=3, source_address=(source, 0)).close()
        return 'connected'
    except ConnectionRefusedError:
        return 'refused'
    except TimeoutError:
        return 'dropped'
    except OSError as error:
        return errno.errorcode[error.errno]
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print('\\n'.join(pool.map(probe, sys.stdin.read().splitlines())))
";
    let lines: Vec<String> = probes.iter().map(|(source, target, port)| format!("{source} {target} {port}")).collect();
    let output = nat.client.fed("python3", &["-c", script], &lines.join("\n"));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn proxies_come_in_whatever_the_lists_say_of_their_own_addresses() {
    let server = behind_proxies();
    let ports = [21, 990, 50_000, 50_009];
    let proxies = [Nat::routed(20), Nat::routed(10), "10.1.0.200".to_owned()];
    let [denied, stranger] = [Nat::routed(15), "10.1.0.201".to_owned()];
    let judges = |nat: &Nat, form: &str| {
        nat.client.sh("ip addr replace 10.1.0.200/24 dev net; ip addr replace 10.1.0.201/24 dev net");
        nat.client.sh("ip addr replace 2001:db8:1::666/64 dev net nodad");
        let mut tries: Vec<(&str, &str, u16, &str)> = Vec::new();
        for port in ports {
            tries.extend(proxies.iter().map(|proxy| (&**proxy, Nat::SERVER_V4, port, "refused")));
            tries.extend([&denied, &stranger].map(|other| (&**other, Nat::SERVER_V4, port, "dropped")));
        }
        tries.push(("2001:db8:1::666", Nat::SERVER_V6, 21, "refused"));
        let probes: Vec<_> = tries.iter().map(|&(source, target, port, _)| (source, target, port)).collect();
        let expected: Vec<_> = tries.iter().map(|(.., expected)| *expected).collect();
        assert_eq!(probe(nat, &probes), expected, "{form}: {tries:?}");
    };

    let nat = Nat::new();
    nat.server.fed("nft", &["-f", "-"], &rules(&server, &["nftables"]));
    judges(&nat, "nftables");
    nat.server.sh("nft delete table inet portcullis");

    for command in ["iptables", "ip6tables"] {
        nat.server.fed(&format!("{command}-restore"), &["--noflush"], &rules(&server, &["iptables"]));
        nat.server.sh(&format!("{command} -A INPUT -p tcp --syn -j PORTCULLIS"));
    }
    judges(&nat, "iptables");
    nat.server.sh("iptables -F INPUT; ip6tables -F INPUT");

    fresh_ufw(&nat.server, &server.scratch());
    nat.server.sh(&rules(&server, &["ufw"]));
    nat.server.sh("ufw --force enable");
    judges(&nat, "ufw");

    let nat = Nat::new();
    let directory = firewalld_directory(&server, &rules(&server, &["firewalld"]));
    let _daemons = running_firewalld(&nat.server, &directory);
    judges(&nat, "firewalld");
}

/// Tries every side of the policy. `elsewhere` is what becomes of connections to ports that the rules
/// are not about.
fn lets_in_exactly_what_the_policy_does(nat: &Nat, elsewhere: &str) {
    let (allowed, allowed_too, denied, denied_too) =
        (Nat::routed(0), Nat::routed(59), Nat::routed(10), Nat::routed(15));
    nat.client.sh("ip addr replace 2001:db8:1::666/64 dev net nodad; ip addr replace 2001:db8:3::2/64 dev net nodad");
    nat.router.sh("ip route replace 2001:db8:3::/64 dev inside");
    nat.client.sh("ip -6 route replace default via 2001:db8:1::1");
    let mut tries: Vec<(&str, &str, u16, &str)> = Vec::new();
    let outsider = "10.1.0.200";
    nat.client.sh("ip addr replace 10.1.0.200/24 dev net");
    for port in [21, 990, 50_000, 50_009] {
        for source in [&allowed, &allowed_too] {
            tries.push((source, Nat::SERVER_V4, port, "refused"));
        }
        tries.push((Nat::HIDDEN, Nat::PUBLIC, port, "refused"));
        for source in [&denied, &denied_too, outsider] {
            tries.push((source, Nat::SERVER_V4, port, "dropped"));
        }
    }
    for port in [21, 50_000, 50_009] {
        tries.push((Nat::CLIENT_V6, Nat::SERVER_V6, port, "refused"));
        tries.push(("2001:db8:1::666", Nat::SERVER_V6, port, "dropped"));
        tries.push(("2001:db8:3::2", Nat::SERVER_V6, port, "dropped"));
    }
    for port in [22, 2121, 49_999, 50_010] {
        tries.push((&allowed, Nat::SERVER_V4, port, elsewhere));
        tries.push((outsider, Nat::SERVER_V4, port, elsewhere));
        tries.push((Nat::CLIENT_V6, Nat::SERVER_V6, port, elsewhere));
    }
    tries.push((Nat::CLIENT_V6, Nat::SERVER_V6, 990, elsewhere));
    let probes: Vec<_> = tries.iter().map(|&(source, target, port, _)| (source, target, port)).collect();
    let found = probe(nat, &probes);
    let wrong: Vec<String> = tries
        .iter()
        .zip(&found)
        .filter(|((.., expected), found)| expected != found)
        .map(|(expected, found)| format!("{expected:?}: {found}"))
        .collect();
    assert!(wrong.is_empty() && found.len() == tries.len(), "{}", wrong.join("\n"));
}

#[test]
fn a_table_of_its_own_judges_these_ports_alone() {
    let (nat, server) = (Nat::new(), policy());
    nat.server.fed("nft", &["-f", "-"], &rules(&server, &["nftables"]));
    lets_in_exactly_what_the_policy_does(&nat, "refused");
    let counted = nat.server.sh("nft list chain inet portcullis portcullis_clients");
    assert!(!counted.contains("packets 0 "), "every rule has had its packets: {counted}");
    nat.server.sh("nft delete table inet portcullis");
}

#[test]
fn within_a_table_that_drops_it_lets_these_ports_in() {
    let (nat, server) = (Nat::new(), policy());
    nat.server.fed("nft", &["-f", "-"], &rules(&server, &["nftables", "--table", "filter"]));
    nat.server.fed("nft", &["-f", "-"], DROPPING);
    lets_in_exactly_what_the_policy_does(&nat, "dropped");
}

/// An input chain as people have it, which jumps to the printed one.
pub const DROPPING: &str = "
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif \"lo\" accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
        jump portcullis
    }
}
";

#[test]
fn the_chains_for_iptables_let_these_ports_in() {
    let (nat, server) = (Nat::new(), policy());
    let text = rules(&server, &["iptables"]);
    for command in ["iptables", "ip6tables"] {
        nat.server.fed(&format!("{command}-restore"), &["--noflush"], &text);
        nat.server.sh(&format!(
            "{command} -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n\
             {command} -A INPUT -p tcp --syn -j PORTCULLIS"
        ));
    }
    lets_in_exactly_what_the_policy_does(&nat, "refused");
    nat.server.sh("ip6tables -A INPUT -p icmpv6 -j ACCEPT");
    nat.server.sh("iptables -P INPUT DROP; ip6tables -P INPUT DROP");
    lets_in_exactly_what_the_policy_does(&nat, "dropped");
}

#[test]
fn the_commands_for_ufw_let_these_ports_in() {
    let (nat, server) = (Nat::new(), policy());
    fresh_ufw(&nat.server, &server.scratch());
    nat.server.sh(&rules(&server, &["ufw"]));
    nat.server.sh("ufw --force enable");
    lets_in_exactly_what_the_policy_does(&nat, "dropped");
}

/// A program that runs as long as this lives.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The daemons of firewalld in a namespace, with a bus between them that is nobody else's.
fn running_firewalld(namespace: &Namespace, directory: &Path) -> [Running; 2] {
    namespace.sh("mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log");
    let (socket, bus) = (directory.join("bus"), directory.join("bus.conf"));
    let configuration = format!(
        "<busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow user=\"*\"/>\
         <allow own=\"*\"/><allow send_destination=\"*\"/><allow send_type=\"method_call\"/>\
         <allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/><allow receive_type=\"error\"/>\
         <allow receive_type=\"signal\"/></policy></busconfig>",
        socket.display(),
    );
    fs::write(&bus, configuration).unwrap();
    let start = |program: &[&str], option: &str, path: &Path| {
        let mut command = namespace.command("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(program).arg(option).arg(path);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", socket.display()));
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    let bus = start(&["dbus-daemon", "--nofork", "--nopidfile"], "--config-file", &bus);
    eventually("the bus listens", || socket.exists().then_some(()));
    let daemon = start(&["firewalld", "--nofork", "--nopid"], "--system-config", directory);
    eventually("firewalld has set its rules", || {
        let mut ask = namespace.command("firewall-cmd");
        ask.arg("--state").env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", socket.display()));
        ask.output().unwrap().status.success().then_some(())
    });
    [bus, daemon]
}

#[test]
fn the_policy_for_firewalld_lets_these_ports_in() {
    let (nat, server) = (Nat::new(), policy());
    let directory = firewalld_directory(&server, &rules(&server, &["firewalld"]));
    let _daemons = running_firewalld(&nat.server, &directory);
    lets_in_exactly_what_the_policy_does(&nat, "dropped");
}

#[test]
fn the_rules_say_where_they_come_from_and_nothing_that_a_name_could_add() {
    let server = policy();
    let report: serde_json::Value = serde_json::from_str(&rules(&server, &["ufw", "--json"])).unwrap();
    let fingerprint = report["policy"].as_str().unwrap();
    assert_eq!(report["passive_ports"], serde_json::json!({ "first": 50_000, "last": 50_009 }));
    assert_eq!(report["networks"]["allow"], serde_json::json!(["10.1.0.128/26", "10.2.0.1/32", "2001:db8:1::/64"]));
    assert_eq!(
        report["listeners"][3],
        serde_json::json!({"address": "10.2.0.2:990", "tls": "implicit", "ruled": true})
    );
    assert_eq!(report["listeners"][2]["ruled"], false);
    for form in ["nftables", "iptables", "ufw", "firewalld"] {
        let text = rules(&server, &[form]);
        assert!(text.contains(fingerprint) && text.contains(server.policy().to_str().unwrap()), "{text}");
        assert!(!text.contains("partners") && !text.contains("2121"), "{text}");
        let report: serde_json::Value = serde_json::from_str(&rules(&server, &[form, "--json"])).unwrap();
        assert_eq!(report["rules"].as_str().unwrap().trim_end(), text.trim_end());
    }

    // A directory whose name would end a comment, in any of the languages.
    let odd = server.scratch().join("a\nflush ruleset\n--><x>");
    fs::create_dir(&odd).unwrap();
    for file in ["server.toml", "users.toml"] {
        let text = fs::read_to_string(server.policy().join(file)).unwrap();
        fs::write(odd.join(file), text.replace("../certs", server.authority().parent().unwrap().to_str().unwrap()))
            .unwrap();
    }
    for form in ["nftables", "iptables", "ufw", "firewalld"] {
        let mut command = crate::support::server::portcullis();
        let output = done(command.arg("--policy").arg(&odd).args(["firewall", form]), "");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("\nflush ruleset"), "{text}");
        assert!(form != "firewalld" || text.matches("-->").count() == 1, "{text}");
    }
}

#[test]
fn a_policy_that_cannot_be_served_gets_no_rules() {
    let server = policy();
    server.change("server.toml", |toml| toml["passive"]["ports"] = toml_edit::value("20-21"));
    let output = server.command().args(["firewall", "nftables"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(78), 0));
    let mended = rules(&server, &["nftables", "--set", "passive.ports=50000-50001"]);
    assert!(mended.contains("{ 21, 50000-50001 }"), "{mended}");
}
