//! Tests of whole files: the examples that are shipped, everything that can be wrong, and noise.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use proptest::prelude::*;

use super::kind::Kind;
use super::load::{Judged, Reach, Texts, judge_at};
use super::*;
use crate::policy::permission::PermissionSet;
use crate::proto::hash::{Algorithm, Offered};

const SERVER: &str = r#"
[listen]
explicit = ["127.0.0.1:2121"]
[tls]
identities = [{ names = ["localhost"], certificate = "../certs/server.pem", key = "../certs/server.key" }]
[passive]
ports = "50000-50099"
[networks]
allow = ["127.0.0.0/8", "office"]
named.office = ["10.0.0.0/8"]
[audit]
directory = "../audit"
"#;

const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$5pv1TTFHP6Pdi4e2pN8nhQ2lJSk4a7bpYBFmCzL3Wr0";

fn users(extra: &str) -> String {
    format!("[user.alice]\nhome = \"/srv/alice\"\npassword = \"{HASH}\"\npassword-set = 2026-11-01\n{extra}")
}

fn judge(server: &str, users: &str, overrides: &[&str]) -> Judged {
    let overrides: Vec<Override> = overrides.iter().map(|text| text.parse().unwrap()).collect();
    let texts = Texts { server: server.into(), users: users.into(), metadata: None };
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    judge_at(Path::new("/etc/portcullis/policy"), &texts, &overrides, Reach::Text, now)
}

fn config(server: &str, users: &str) -> Config {
    let judged = judge(server, users, &[]);
    judged.config.unwrap_or_else(|| panic!("{}", Problems::new(judged.problems)))
}

fn said(judged: &Judged) -> String {
    Problems::new(judged.problems.clone()).to_string()
}

#[test]
fn the_least_file_makes_a_config_with_safe_defaults() {
    let config = config(SERVER, &users("permissions = \"read-only\"\n"));
    assert_eq!(config.tls.identities[0].key, PathBuf::from("/etc/portcullis/policy/../certs/server.key"));
    assert_eq!(config.passive.ports, PortRange { first: 50000, last: 50099 });
    assert_eq!(config.policy.networks.allow.len(), 2);
    assert_eq!(config.policy.password_days_max, Some(180));
    assert_eq!((config.passwords.characters_min, config.limits.sessions, config.active), (15, 1000, false));
    let alice = config.policy.users.values().next().unwrap();
    assert_eq!(alice.permissions(), PermissionSet::READ_ONLY);
    assert_eq!(alice.terms.permissions.as_ref().unwrap().source.to_string(), "/etc/portcullis/policy/users.toml:5");
    assert_eq!(alice.source.line, 1);
}

#[test]
fn the_fingerprint_is_what_the_document_says() {
    let (users, change) = (users("permissions = \"full\"\n"), "limits.sessions=5");
    let mut hashed = Vec::new();
    for part in [SERVER, &users, change] {
        hashed.extend_from_slice(&u64::try_from(part.len()).unwrap().to_le_bytes());
        hashed.extend_from_slice(part.as_bytes());
    }
    let config = judge(SERVER, &users, &[change]).config.unwrap();
    assert_eq!(*config.fingerprint, *blake3::hash(&hashed).to_hex());
}

#[test]
fn the_shipped_examples_are_valid() {
    let judged = judge(include_str!("../../policy/server.toml"), include_str!("../../policy/users.toml"), &[]);
    assert!(judged.problems.is_empty() && judged.config.is_some(), "{}", said(&judged));
}

#[test]
fn the_shipped_examples_are_valid_with_their_comments_taken_as_keys() {
    let uncomment = |text: &str| -> String {
        let is_toml =
            |line: &str| line.contains(" = ") || line.starts_with('[') || line.starts_with("    {") || line == "]";
        let line = |line: &str| match line.strip_prefix("# ") {
            Some(inside) if is_toml(inside) && !inside.contains('`') => format!("{inside}\n"),
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    };
    let server = uncomment(include_str!("../../policy/server.toml"));
    let server = server.replace("advertise = []\n", "").replace("\"portcullis\"", "\"daemon\"");
    let server = server.replace("allow = [", "allow = [\"192.0.2.0/24\", ");
    let users = uncomment(include_str!("../../policy/users.toml")).replace("$argon2id$…", HASH);
    let judged = judge(&server, &users, &[]);
    let config = judged.config.as_ref().unwrap_or_else(|| panic!("{}\n{server}\n{users}", said(&judged)));
    assert_eq!((config.passive.advertise.len(), config.policy.users.len()), (2, 1));
    assert_eq!((config.policy.exceptions.len(), config.policy.tls_exceptions.len()), (1, 1));
}

#[test]
fn profiles_set_numbers_and_single_keys_override_them() {
    let with = |passwords: &str| config(&format!("{SERVER}[passwords]\n{passwords}"), "");
    let pci = with("profile = \"pci\"");
    assert_eq!((pci.passwords.characters_min, pci.policy.password_days_max), (12, Some(90)));
    assert_eq!(with("profile = \"nist\"").policy.password_days_max, None);
    let own = with("profile = \"nist\"\nage-days-max = 30\ncharacters-min = 20");
    assert_eq!((own.passwords.characters_min, own.policy.password_days_max), (20, Some(30)));
}

#[test]
fn groups_lend_permissions_and_exceptions_hold_their_place() {
    let text = "[group.partners]\npermissions = [\"list\", \"create\"]\n[[group.partners.exception]]\n\
                data-binding = \"principal\"\nreason = \"parallel Go client\"\nuntil = 2027-03-31\nclients = \"office\"\n";
    let text = users("groups = [\"partners\"]\nquota-bytes = 10_000\n") + text;
    let config = config(SERVER, &text);
    let alice = config.policy.users.values().next().unwrap();
    assert_eq!(alice.permissions().to_string(), "list, create");
    assert_eq!(alice.terms.quota_bytes, Some(10_000));
    let exception = &config.policy.groups["partners"].terms.exceptions[0];
    assert_eq!((exception.clients.unwrap().to_string(), exception.source.line), ("10.0.0.0/8".into(), 9));
}

#[test]
fn names_and_proxies_come_to_what_they_say() {
    let list = "explicit = [\"127.0.0.1:2121\"]\nproxies = [{ from = \"office\", data = \"direct\" }, \
                { from = \"2001:db8::5\", data = \"header\" }]";
    let server = SERVER.replace("explicit = [\"127.0.0.1:2121\"]", list).replace(
        "ports = \"50000-50099\"",
        "ports = \"50000-50099\"\nadvertise = [{ clients = \"office\", address = \"0.0.0.0\" }, \
         { clients = \"any\", name = \"FTP.example.org.\" }]\nresolvers = [\"192.0.2.53\"]",
    );
    let judged = judge(&server, "", &[]);
    let told = said(&judged);
    assert!(told.contains("10.0.0.0/8 is allowed as a client") && told.contains("and is a proxy"), "{told}");
    let config = judged.config.unwrap_or_else(|| panic!("{told}"));
    let data: Vec<ProxyData> = config.listen.proxies.iter().map(|proxy| proxy.data).collect();
    assert_eq!(data, [ProxyData::Direct, ProxyData::Header]);
    let announced = |client: &str| config.passive.advertised(client.parse().unwrap()).cloned();
    assert_eq!(announced("10.1.1.1"), Some(Announced::Address(std::net::Ipv4Addr::UNSPECIFIED)));
    assert_eq!(announced("192.0.2.1"), Some(Announced::Name("ftp.example.org".into())));
    assert_eq!(config.passive.resolvers, ["192.0.2.53:53".parse().unwrap()]);
    assert_eq!(config.passive.resolve_every.as_secs(), 60);
}

#[test]
fn overrides_change_the_file_and_are_named_where_they_are_wrong() {
    let set = |overrides: &[&str]| judge(SERVER, "", overrides);
    let changed = set(&["limits.idle-seconds=60", "passive.ports=50000-50010", "listen.explicit=[\"[::1]:21\"]"]);
    let config = changed.config.unwrap();
    assert_eq!((config.limits.idle_time.as_secs(), config.passive.ports.last), (60, 50010));
    assert_ne!(config.fingerprint, set(&[]).config.unwrap().fingerprint);
    assert_eq!(config.overrides[0], "limits.idle-seconds=60");
    let one = set(&["listen.explicit=127.0.0.1:2122"]).config.unwrap();
    assert_eq!(one.listen.explicit, ["127.0.0.1:2122".parse().unwrap()]);
    let unknown = said(&set(&["limits.idle-second=60"]));
    assert!(unknown.contains("--set:1:1: error: unknown key `idle-second` in [limits]"), "{unknown}");
    assert!(unknown.contains("help: did you mean `idle-seconds`?") && unknown.contains("1 | limits.idle-second=60"));
    assert!(said(&set(&["listen.explicit.x=1"])).contains("`explicit` is not a table with keys"));
    assert!("limits".parse::<Override>().is_err() && "a b=1".parse::<Override>().is_err());
}

/// Each fixture names in its comments what has to be said of it: `#: server` or `#: users` says
/// which file it stands for, each `#> text` is a part of the report.
#[test]
fn every_bad_file_is_refused_in_the_words_it_expects() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policy/bad");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let judged = match text.lines().next() {
            Some("#: server") => judge(&text, "", &[]),
            Some("#: users") => judge(SERVER, &text, &[]),
            other => panic!("{}: begins with {other:?}", path.display()),
        };
        let said = said(&judged);
        assert!(judged.config.is_none(), "{} was accepted", path.display());
        let expected = text.lines().filter_map(|line| line.strip_prefix("#> "));
        let unsaid: Vec<&str> = expected.filter(|expected| !said.contains(expected)).collect();
        assert!(unsaid.is_empty(), "{} does not say {unsaid:#?}:\n{said}", path.display());
        count += 1;
    }
    assert!(count >= 4, "only {count} fixtures");
}

/// The headers under which each table of a file stands, with its name in the list of tables.
fn headers(file: &str) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    let mut ahead: Vec<(String, &str)> =
        keys::keys_of(file).map(|key| (key, String::new())).filter_map(inner).collect();
    while let Some((header, table)) = ahead.pop() {
        let way = header.trim_matches(['[', ']']).to_owned();
        ahead.extend(keys::keys_of(table).map(|key| (key, format!("{way}."))).filter_map(inner));
        found.push((header, table));
    }
    found
}

/// The header of the table that a key takes, if it takes one.
fn inner((key, way): (keys::Key, String)) -> Option<(String, &'static str)> {
    match key.kind {
        Kind::Table(table) => Some((format!("[{way}{}]", key.name), table)),
        Kind::Tables(table) => Some((format!("[[{way}{}]]", key.name), table)),
        Kind::Named(table) => Some((format!("[{way}{}.name]", key.name), table)),
        _ => None,
    }
}

/// What is said of line 2 of a file that has a header and this line.
fn said_of_line(file: &str, header: &str, line: &str) -> Vec<String> {
    let text = format!("{header}\n{line}\n");
    let (server, users) = if file == "server" { (text.as_str(), "") } else { (SERVER, text.as_str()) };
    let judged = judge(server, users, &[]);
    let of_line = |problem: &&Problem| {
        problem.file.ends_with(&format!("{file}.toml")) && problem.position.as_ref().is_some_and(|at| at.line == 2)
    };
    judged.problems.iter().filter(of_line).map(ToString::to_string).collect()
}

#[test]
fn every_key_says_what_it_takes_where_it_is_given_something_else() {
    let (mut count, mut mute) = (0, Vec::new());
    for file in ["server", "users"] {
        for (header, table) in headers(file) {
            for key in keys::keys_of(table) {
                let said = said_of_line(file, &header, &format!("{} = 1.5", key.name));
                let named = |problem: &String| problem.contains(" error: ") && problem.contains(key.name);
                if !said.iter().any(named) || !said.iter().all(|problem| problem.contains("\n   help: ")) {
                    mute.push(format!("{header} {}: {said:?}", key.name));
                }
                count += 1;
            }
            let said = said_of_line(file, &header, "no-such-key = 1").concat();
            assert!(said.contains("unknown key `no-such-key` in ["), "{header}: {said}");
        }
    }
    assert!(mute.is_empty(), "{mute:#?}");
    assert!(count > 150, "{count}");
}

#[test]
fn every_number_says_its_bounds_where_it_is_out_of_them() {
    for file in ["server", "users"] {
        for (header, table) in headers(file) {
            for key in keys::keys_of(table) {
                let Kind::Count(number) = key.kind else { continue };
                let above = number.most.checked_add(1).and_then(|above| i64::try_from(above).ok());
                let below = i64::try_from(number.least).ok().and_then(|least| least.checked_sub(1));
                for out in [above, below].into_iter().flatten() {
                    let said = said_of_line(file, &header, &format!("{} = {out}", key.name)).concat();
                    let bounds = format!("help: from {} to {} {}", number.least, number.most, number.unit);
                    assert!(said.contains(&bounds) && said.contains("cannot be"), "{header} {}: {said}", key.name);
                }
            }
        }
    }
}

#[test]
fn past_and_distant_ends_are_warnings() {
    let text = |until: &str| {
        let exception =
            format!("[[user.alice.exception]]\ndata-binding = \"address\"\nreason = \"r\"\nuntil = {until}\n");
        users("permissions = \"full\"\n") + &exception
    };
    for (until, expected) in [
        ("2026-11-21", "ended on 2026-11-21"),
        ("2026-11-22", "this exception ends today"),
        ("2026-11-23", "ends tomorrow, on 2026-11-23"),
        ("2026-12-06", "ends in 14 days, on 2026-12-06"),
        ("2027-11-24", "more than 366 days"),
    ] {
        let judged = judge(SERVER, &text(until), &[]);
        assert!(judged.config.is_some() && said(&judged).contains(expected), "{}", said(&judged));
    }
    assert_eq!(judge(SERVER, &text("2026-12-07"), &[]).problems, []);
}

#[test]
fn a_missing_section_is_reported_once_each() {
    let judged = judge("", "", &[]);
    let said = said(&judged);
    for section in
        ["[listen] with `explicit`", "[tls] with `identities`", "[passive] with", "[networks] with", "[audit] with"]
    {
        assert_eq!(said.matches(section).count(), 1, "{section} in\n{said}");
    }
    assert_eq!(judged.problems.len(), 5, "{said}");
}

/// A directory with valid files, as `init` makes it.
struct Deployment(tempfile::TempDir);

impl Deployment {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["policy", "certs", "audit", "home"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let home = root.path().join("home");
        let users = users("permissions = \"full\"\n").replace("/srv/alice", home.to_str().unwrap());
        let deployment = Self(root);
        deployment.write("policy/server.toml", SERVER, 0o644);
        deployment.write("policy/users.toml", &users, 0o640);
        deployment.write("certs/server.pem", &made.cert.pem(), 0o644);
        deployment.write("certs/server.key", &made.signing_key.serialize_pem(), 0o600);
        deployment
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        std::fs::write(self.path(name), text).unwrap();
        self.mode(name, mode);
    }

    fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self) -> Result<Loaded, Problems> {
        Config::load(&self.path("policy"), &[])
    }

    fn refusal(&self) -> String {
        self.load().unwrap_err().to_string()
    }

    /// The warnings but for that of running as root, which depends on who runs the tests.
    fn warnings(&self) -> String {
        let warnings = self.load().unwrap().warnings;
        let warnings = warnings.iter().filter(|warning| !warning.message.contains("started by root"));
        warnings.map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn a_sound_deployment_loads_without_a_word() {
    let deployment = Deployment::new();
    assert_eq!(deployment.warnings(), "");
    let root = rustix::process::geteuid().is_root();
    assert_eq!(deployment.load().unwrap().warnings.len(), usize::from(root), "root is warned of itself");
}

#[test]
fn modes_that_let_others_in_are_refused_with_the_command_to_type() {
    for (name, mode, expected) in [
        ("policy/server.toml", 0o664, "chmod go-w"),
        ("policy/users.toml", 0o602, "chmod go-w"),
        ("certs/server.key", 0o604, "can be read by everyone (mode 0604)"),
        ("certs/server.pem", 0o666, "chmod go-w"),
        ("policy", 0o777, "chmod go-w"),
    ] {
        let deployment = Deployment::new();
        deployment.mode(name, mode);
        let said = deployment.refusal();
        assert!(said.contains(expected), "{name}: {said}");
    }
    let deployment = Deployment::new();
    deployment.mode("policy/users.toml", 0o644);
    assert!(deployment.warnings().contains("password hashes"), "{}", deployment.warnings());
}

#[test]
fn homes_and_logs_are_judged_against_the_account_that_root_hands_over_to() {
    let deployment = Deployment::new();
    deployment.write("policy/server.toml", &format!("{SERVER}[process]\nuser = \"daemon\"\n"), 0o644);
    std::fs::create_dir(deployment.path("home/.portcullis-staging")).unwrap();
    let said = deployment.warnings();
    let base = deployment.path("").canonicalize().unwrap();
    for path in ["home", "home/.portcullis-staging", "audit"] {
        let command = format!("help: chown -R daemon:daemon {}\n", base.join(path).display());
        assert_eq!(format!("{said}\n").contains(&command), rustix::process::geteuid().is_root(), "{path}: {said}");
    }
    assert!(!said.contains("started by root"));
}

#[test]
fn directories_that_others_may_write_are_warnings() {
    for name in ["certs", "audit", ""] {
        let deployment = Deployment::new();
        deployment.mode(name, 0o777);
        let said = deployment.warnings();
        let real = deployment.path(name).canonicalize().unwrap();
        assert_eq!(said.matches("can be written by others").count(), 1, "{name}: {said}");
        assert!(said.contains(&format!("help: chmod go-w {}", real.display())), "{name}: {said}");
    }
}

#[test]
fn a_linked_policy_directory_is_judged_where_the_link_leads() {
    let deployment = Deployment::new();
    let link = deployment.path("link");
    std::os::unix::fs::symlink(deployment.path("policy"), &link).unwrap();
    assert!(Config::load(&link, &[]).is_ok());
    deployment.mode("policy", 0o777);
    let said = Config::load(&link, &[]).unwrap_err().to_string();
    let real = deployment.path("policy").canonicalize().unwrap();
    assert!(said.contains(&format!("chmod go-w {}", real.display())), "{said}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let deployment = Deployment::new();
    let other = rcgen::KeyPair::generate().unwrap();
    deployment.write("certs/server.key", &other.serialize_pem(), 0o600);
    let said = deployment.refusal();
    assert!(said.contains("not the private key of the certificate") && said.contains("server.toml:5:"), "{said}");
}

#[test]
fn homes_of_the_system_are_refused_and_odd_ones_noted() {
    let users = |homes: &[&Path]| -> String {
        let user = |(n, home): (usize, &&Path)| {
            users("permissions = \"full\"\n")
                .replace("alice", &format!("u{n}"))
                .replace(&format!("/srv/u{n}"), home.to_str().unwrap())
        };
        homes.iter().enumerate().map(user).collect()
    };
    let deployment = Deployment::new();
    std::os::unix::fs::symlink("/etc", deployment.path("etc")).unwrap();
    for home in ["/", "/etc", "/proc/self", "/dev", "/usr/local", "/var"]
        .map(PathBuf::from)
        .iter()
        .chain([&deployment.path("etc")])
    {
        deployment.write("policy/users.toml", &users(&[home]), 0o640);
        let said = deployment.refusal();
        assert!(said.contains("the home of u0 is the system's"), "{}: {said}", home.display());
    }
    let base = deployment.path("").canonicalize().unwrap();
    std::fs::create_dir(base.join("home/inner")).unwrap();
    std::os::unix::fs::symlink(base.join("home"), base.join("link")).unwrap();
    deployment.write(
        "policy/users.toml",
        &users(&[&base.join("home"), &base.join("home/inner"), &base.join("home")]),
        0o640,
    );
    let said = deployment.warnings();
    assert!(said.contains("the home of u1 lies in the home of u0") && said.matches("lies in").count() == 1, "{said}");
    deployment.write("policy/users.toml", &users(&[&base.join("link")]), 0o640);
    let said = deployment.warnings();
    let real = base.join("home");
    assert!(said.contains(&format!("write home = \"{}\"", real.display())), "{said}");
    deployment.write("policy/users.toml", &users(&[&base.join("none")]), 0o640);
    assert!(deployment.warnings().contains("make it: install -d -o "), "{}", deployment.warnings());
}

#[test]
fn mounts_and_rules_that_miss_what_is_on_the_disk_are_told() {
    let deployment = Deployment::new();
    std::fs::create_dir(deployment.path("home/in")).unwrap();
    let home = deployment.path("home").canonicalize().unwrap();
    let users = users("permissions = \"read-only\"\n").replace("/srv/alice", home.to_str().unwrap());
    let lines = "[[user.alice.rule]]\npath = \"/in\"\nallow = [\"create\"]\n\
                 [[user.alice.mount]]\npath = \"/deep/shared\"\nfolder = \"shared\"\npermissions = \"full\"\n";
    let folder = format!("[folder.shared]\ndirectory = \"{}\"\n", deployment.path("shared").display());
    deployment.write("policy/users.toml", &(users + lines + &folder), 0o640);
    let said = deployment.warnings();
    for expected in [
        "users.toml:9:1: warning: alice has no directory /deep for the mount /deep/shared to be listed in",
        &format!(" {}/deep", home.display()),
        "users.toml:6:1: warning: this rule speaks of the directory /in alone, not of the files in it",
        "help: write path = \"/in/**\" for the directory and everything below it",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

#[test]
fn a_word_without_quotes_is_told_to_have_them() {
    for line in ["level = info", "level = nothing # why", "level = /var/log"] {
        let said = said(&judge(&format!("{SERVER}[log]\n{line}\n"), "", &[]));
        let word = line.split(' ').nth(2).unwrap();
        assert!(said.contains(&format!("help: texts stand in quotes: \"{word}\"")), "{line}: {said}");
    }
    assert!(said(&judge("[log]\nlevel = \"info\n", "", &[])).contains("https://toml.io"));
}

#[test]
fn weak_hashes_are_offered_by_name_and_nothing_else_is_one() {
    let with = |list: &str| format!("{SERVER}[storage]\nweak-hashes = {list}\n");
    let hashes = |text: &str| config(text, &users("permissions = \"full\"\n")).storage.hashes;
    assert_eq!(hashes(SERVER), Offered::default());
    assert_eq!(hashes(&with("[\"MD5\"]")), Offered::default().with(Algorithm::Md5));
    for (list, help) in [
        ("[\"sha1\"]", "did you mean `SHA-1`?"),
        ("[\"md5\"]", "did you mean `MD5`?"),
        ("[\"SHA-256\"]", "SHA-256 is always offered"),
        ("[\"ROT13\"]", "\"SHA-1\", \"MD5\" or both"),
    ] {
        let said = said(&judge(&with(list), &users("permissions = \"full\"\n"), &[]));
        assert!(said.contains("server.toml:14:16: error") && said.contains(help), "{said}");
    }
}

#[test]
fn links_and_missing_files_are_refused() {
    let deployment = Deployment::new();
    std::fs::rename(deployment.path("policy/users.toml"), deployment.path("elsewhere.toml")).unwrap();
    assert!(deployment.refusal().contains("users.toml: error: cannot be read: No such file"));
    std::os::unix::fs::symlink(deployment.path("elsewhere.toml"), deployment.path("policy/users.toml")).unwrap();
    assert!(deployment.refusal().contains("symbolic links are not followed here"));
}

#[test]
fn a_home_that_reaches_the_servers_own_files_is_refused() {
    for home in ["", "audit", "policy", "policy/below"] {
        let deployment = Deployment::new();
        std::fs::create_dir(deployment.path("policy/below")).unwrap();
        let users = users("permissions = \"full\"\n").replace("/srv/alice", deployment.path(home).to_str().unwrap());
        deployment.write("policy/users.toml", users.trim_end_matches('/'), 0o640);
        assert!(deployment.refusal().contains("the home of alice reaches"), "{home:?}");
    }
}

#[test]
fn certificates_out_of_date_and_for_other_names_are_refused() {
    let deployment = Deployment::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["files.example.org".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    deployment.write("certs/server.pem", &params.self_signed(&key).unwrap().pem(), 0o644);
    deployment.write("certs/server.key", "no key", 0o600);
    let said = deployment.refusal();
    assert!(said.contains("expired on 2021-01-01"), "{said}");
    assert!(said.contains("is not for `localhost`") && said.contains("it is for: files.example.org"), "{said}");
    assert!(said.contains("no unencrypted private key"), "{said}");
}

proptest! {
    #[test]
    fn no_text_panics(server in "[\\PC\n]{0,200}", users in "[\\PC\n]{0,200}") {
        let _ = said(&judge(&server, &users, &[]));
    }

    #[test]
    fn no_mix_of_known_words_panics(
        parts in prop::collection::vec(prop::sample::select(vec![
            "[listen]\n", "explicit", "[tls]\n", "identities", "[networks]\n", "allow", "named", "[user.a]\n", "[user.A]\n",
            "[[user.a.exception]]\n", "until", "permissions", "home", "password", "[group.g]\n", "groups", " = ", "[", "]",
            "{", "}", "\"10.0.0.1/8\"", "\"\u{1b}é\"", "1", "-1", "9223372036854775807", "2026-02-31", "2026-11-22", "true",
            "\n", ",", ".", "'", "[passive]\n", "ports", "\"9-1\"", "advertise", "[limits]\n", "sessions", "1e9",
        ]), 0..60),
    ) {
        let text = parts.concat();
        let _ = said(&judge(&text, &text, &[]));
        let _ = text.parse::<Override>();
        if let Ok(change) = format!("listen={text}").parse::<Override>() {
            let texts = Texts { server: SERVER.into(), users: String::new(), metadata: None };
            let _ = judge_at(Path::new("p"), &texts, &[change], Reach::Text, Timestamp::now());
        }
    }
}

mod examples;

#[test]
fn copies_of_the_log_go_over_tls_with_a_known_authority_or_stay_on_the_machine() {
    let with = |lines: &str| judge(&format!("{SERVER}\n[[audit.syslog]]\n{lines}\n"), "", &[]);
    for (lines, part) in [
        ("to = \"tls://logs.example.org\"", "needs `ca`"),
        ("to = \"udp://logs.example.org:514\"", "in clear nothing is sent"),
        ("to = \"tls://logs.example.org:0\"\nca = \"ca.pem\"", "no host and port"),
        ("to = \"unix:/dev/log\"\nca = \"ca.pem\"", "is for TLS"),
        ("to = \"unix:log\"", "no place of a syslog server"),
        ("to = \"tls://a.b\"\nca = \"ca.pem\"\nkey = \"x.key\"", "belong together"),
        ("records = \"all\"", "has no `to`"),
        ("to = \"unix:/dev/log\"\n[[audit.syslog]]\nto = \"unix:/dev/log\"", "twice"),
    ] {
        let told = said(&with(lines));
        assert!(told.contains(part), "{lines}: {told}");
    }
    let judged = with("to = \"tls://logs.example.org\"\nca = \"ca.pem\"");
    let copies = judged.config.unwrap().keeping.copies;
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].target.to_string(), "tls://logs.example.org:6514");
}
