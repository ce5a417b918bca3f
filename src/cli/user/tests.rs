//! Tests of the commands as a whole, on a deployment in a temporary directory.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use clap::Parser;

use super::super::deployment::{Deployment, Settings};
use super::super::init;
use super::*;
use crate::config::{Config, PortRange, USERS_FILE};
use crate::policy::permission::PermissionSet;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            explicit: vec!["127.0.0.1:2121".parse().unwrap()],
            implicit: vec![],
            passive: PortRange { first: 50000, last: 50099 },
            names: vec!["localhost".into()],
            advertise: vec![],
            allow: init::loopback(),
            run_as: None,
            system: false,
        };
        Deployment::at(directory.path()).create(&settings).unwrap();
        let site = Self(directory);
        // Cheap hashes: what is tested here is not their cost.
        let path = site.policy().join("server.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let cheap = "[passwords]\nargon2-memory-kib = 64\nargon2-iterations = 1";
        std::fs::write(path, text.replace("[passwords]", cheap)).unwrap();
        site
    }

    fn policy(&self) -> PathBuf {
        self.0.path().join("policy")
    }

    fn home(&self, name: &str) -> PathBuf {
        self.0.path().join("files").join(name)
    }

    fn run(&self, line: &str) -> Result<(), String> {
        let line = line.replace("HOMES", self.0.path().join("files").to_str().unwrap());
        let words = ["user"].into_iter().chain(line.split_whitespace());
        let arguments = Line::try_parse_from(words).map_err(|error| error.to_string())?.arguments;
        run(arguments, &self.policy()).map_err(|failure| failure.to_string())
    }

    fn users(&self) -> String {
        std::fs::read_to_string(self.policy().join(USERS_FILE)).unwrap()
    }

    fn config(&self) -> Config {
        Config::load(&self.policy(), &[]).unwrap().config
    }

    fn append(&self, text: &str) {
        std::fs::write(self.policy().join(USERS_FILE), self.users() + text).unwrap();
    }
}

#[test]
fn a_user_is_added_changed_and_removed() {
    let site = Site::new();
    site.run(
        "add alice --home HOMES/alice --generate --permissions list,read --quota-bytes 10_000 --expires 2999-06-30 \
         --allow-from 127.0.0.1",
    )
    .unwrap();
    assert_eq!(site.home("alice").metadata().unwrap().permissions().mode() & 0o777, 0o750);
    let alice = username("alice").unwrap();
    let account = site.config().policy.users[&alice].clone();
    assert_eq!(account.permissions(), PermissionSet::READ_ONLY);
    assert_eq!((account.terms.quota_bytes, account.home), (Some(10_000), site.home("alice")));
    assert_eq!(account.terms.addresses.allow.len(), 1);
    assert!(site.run("add alice --home HOMES/alice --generate").unwrap_err().contains("already"));

    site.run("passwd alice --generate").unwrap();
    assert_ne!(site.config().policy.users[&alice].password, account.password);
    site.run("disable alice").unwrap();
    assert!(!site.config().policy.users[&alice].enabled);
    site.run("enable alice").unwrap();
    assert!(site.config().policy.users[&alice].enabled);
    site.run("list").unwrap();
    site.run("show alice --json").unwrap();
    site.run("remove alice").unwrap();
    assert!(site.config().policy.users.is_empty() && site.home("alice").is_dir());
    for line in ["show alice", "passwd alice --generate", "disable alice", "remove alice"] {
        assert!(site.run(line).unwrap_err().contains("there is no user alice"), "{line}");
    }
}

#[test]
fn hours_and_limits_are_stated_with_the_user_and_told_of_it() {
    let site = Site::new();
    let limits = "--hours 08:00-18:00 --hours 22:00-23:00 --sessions 2 --sessions-per-address 1 --transfers 3 \
                  --upload-bytes-per-second 10_000 --download-bytes-per-second 20_000";
    site.run(&format!("add alice --home HOMES/alice --generate {limits}")).unwrap();
    site.append(
        "[folder.pub]\ndirectory = \"/srv/pub\"\n[[user.alice.mount]]\npath = \"/pub\"\nfolder = \"pub\"\n\
         permissions = \"read-only\"\n[[user.alice.rule]]\npath = \"/in/**\"\ndeny = [\"list\"]\nnames-allowed = [\"*.csv\"]\n",
    );
    let config = site.config();
    let account = &config.policy.users[&username("alice").unwrap()];
    let told = list::as_json(account, &config.policy);
    assert_eq!(told["hours"], serde_json::json!(["08:00-18:00", "22:00-23:00"]));
    let numbers = told["limits"].as_object().unwrap().values().map(|number| number.as_u64().unwrap());
    assert_eq!(numbers.sum::<u64>(), 2 + 1 + 3 + 10_000 + 20_000);
    assert_eq!((&told["rules"], &told["mounts"][0]["folder"]), (&1.into(), &"pub".into()));
    assert_eq!((&told["second_factor"], &told["totp"]), (&"none".into(), &false.into()));
    let shown = show::lines(account, &config.policy);
    for line in [
        "hours          08:00-18:00; 22:00-23:00",
        "limits         2 sessions, 1 sessions per address, 3 transfers, 10000 bytes a second up, 20000 bytes a second down",
        "rule           /in/**; deny list; names *.csv (",
        "mount          /pub: pub; read-only (",
    ] {
        assert!(shown.lines().any(|shown| shown.starts_with(line)), "{line}: {shown}");
    }
    assert!(site.run("add bob --home HOMES/bob --generate --hours sometimes").is_err());
    assert!(site.run("add bob --home HOMES/bob --generate --upload-bytes-per-second 5").is_err(), "fewer than may be");
}

#[test]
fn what_nobody_states_is_full_unless_a_group_says_less() {
    let site = Site::new();
    site.append("\n[group.partners]\npermissions = [\"create\"]\n\n[group.staff]\n");
    for (line, expected) in [
        ("add a --home HOMES/a --generate", "full"),
        ("add b --home HOMES/b --generate --group partners", "create"),
        ("add c --home HOMES/c --generate --group staff", "full"),
        ("add d --home HOMES/d --generate --group partners --read-only", "read-only"),
    ] {
        site.run(line).unwrap();
        let (name, _) = line.trim_start_matches("add ").split_once(' ').unwrap();
        let set = site.config().policy.users[&username(name).unwrap()].permissions();
        assert_eq!(list::permissions(set), expected, "{line}");
    }
}

#[test]
fn a_change_that_the_server_would_refuse_is_not_made() {
    let site = Site::new();
    site.run("add alice --home HOMES/alice --generate").unwrap();
    let before = site.users();
    for (line, expected) in [
        ("add bob --home HOMES/bob --generate --group nobody", "there is no group `nobody`"),
        ("add Alice --home HOMES/a2 --generate", "differ only by case"),
        ("add carol --home HOMES/.. --generate", "reaches the policy files"),
    ] {
        let said = site.run(line).unwrap_err();
        assert!(said.contains(expected), "{line}: {said}");
    }
    assert_eq!(site.users(), before);
    assert!(!site.home("bob").exists() && !site.home("a2").exists());
}

#[test]
fn an_error_that_was_there_before_keeps_nobody_from_disabling_a_user() {
    let site = Site::new();
    site.run("add alice --home HOMES/alice --generate").unwrap();
    site.append("\n[user.broken]\nhome = \"relative\"\n");
    site.run("disable alice").unwrap();
    assert!(site.users().contains("enabled = false"));
    assert!(site.run("list").unwrap_err().contains("does not begin at /"));
}

#[test]
fn users_added_at_the_same_time_are_all_there() {
    let site = Site::new();
    let site = &site;
    std::thread::scope(|scope| {
        let add = |n: usize| scope.spawn(move || site.run(&format!("add user{n} --home HOMES/u{n} --generate")));
        let threads: Vec<_> = (0..12).map(add).collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    });
    assert_eq!(site.config().policy.users.len(), 12);
    assert!(site.users().starts_with("# Who may log in."));
    let left: Vec<_> = std::fs::read_dir(site.policy()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn owner_mode_and_comments_survive_an_edit() {
    let site = Site::new();
    let path = site.policy().join(USERS_FILE);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    site.append("\n# a comment at the end\n");
    let comments = |text: &str| text.lines().filter(|line| line.starts_with('#')).count();
    let before = comments(&site.users());
    site.run("add alice --home HOMES/alice --generate").unwrap();
    assert_eq!(comments(&site.users()), before);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn line_ends_stay_as_they_were_and_what_a_killed_command_left_is_cleared() {
    let site = Site::new();
    let path = site.policy().join(USERS_FILE);
    std::fs::write(&path, site.users().replace('\n', "\r\n")).unwrap();
    let left = site.policy().join(".users.toml.0123456789abcdef");
    let others = [".users.toml.swp", ".users.toml.0123456789abcdeg"].map(|name| site.policy().join(name));
    others.iter().chain([&left]).for_each(|path| std::fs::write(path, "x").unwrap());
    site.run("add alice --home HOMES/alice --generate").unwrap();
    let text = site.users();
    assert!(text.contains("[user.alice]\r\n") && !text.replace("\r\n", "").contains('\n'), "{text:?}");
    assert!(!left.exists() && others.iter().all(|path| path.exists()));
}

#[test]
fn a_home_that_is_a_link_to_nothing_is_called_that() {
    let site = Site::new();
    std::fs::create_dir(site.home("")).unwrap();
    std::os::unix::fs::symlink("/nonexistent/home", site.home("dangling")).unwrap();
    let said = site.run("add alice --home HOMES/dangling --generate").unwrap_err();
    assert!(said.contains("is a symbolic link to /nonexistent/home, which does not exist"), "{said}");
}

#[test]
fn parents_of_a_new_home_can_be_passed_by_the_account() {
    let site = Site::new();
    site.run("add alice --home HOMES/deep/alice --generate").unwrap();
    assert_eq!(site.home("deep").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(site.home("deep/alice").metadata().unwrap().permissions().mode() & 0o7777, 0o750);
}
