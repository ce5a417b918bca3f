//! The rules of the source that no compiler keeps: short files that say what they are for, modules
//! that know only what lies below them, and decisions that are made in one place.

use std::fs;
use std::path::{Path, PathBuf};

const SOURCE_LINES_MAX: usize = 500;
const TEST_LINES_MAX: usize = 700;

/// A source file of ours.
struct Source {
    /// From the repository on, such as `src/session/mod.rs`.
    name: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.name.starts_with("tests/") || self.name.contains("/tests/") || self.name.ends_with("/tests.rs")
    }

    /// The lines that do something in the server itself: no comments, no unit tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = if self.is_test() { "" } else { self.text.split("\n#[cfg(test)]\nmod tests").next().unwrap() };
        let numbered = lines.lines().enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn sources(directory: &str) -> Vec<Source> {
    fn collect(root: &Path, directory: &Path, found: &mut Vec<Source>) {
        let entries = fs::read_dir(directory).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                collect(root, &path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push(Source { name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    collect(root, &root.join(directory), &mut found);
    assert!(found.len() > 3, "no sources in {directory}");
    found
}

fn all() -> Vec<Source> {
    sources("src").into_iter().chain(sources("tests")).collect()
}

/// Every line of code below a directory in which one of these words stands.
fn uses(directory: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources("src").iter().filter(|source| source.name.starts_with(directory)) {
        for (number, line) in source.code() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {}", source.name, line.trim()));
            }
        }
    }
    found
}

#[track_caller]
fn nothing(found: &[String], why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for source in all() {
        let most = if source.is_test() { TEST_LINES_MAX } else { SOURCE_LINES_MAX };
        let lines = source.text.lines().count();
        if lines > most {
            long.push(format!("{}: {lines} lines, of {most}", source.name));
        }
    }
    nothing(&long, "split them by what they are about");
}

#[test]
fn every_file_says_what_it_is_for() {
    let mute = all().into_iter().filter(|source| !source.text.starts_with("//! ") && !source.is_unit_test_file());
    nothing(&mute.map(|source| source.name).collect::<Vec<_>>(), "these begin without a `//!` line");
}

impl Source {
    /// Unit tests in a file of their own, which the module that they test describes.
    fn is_unit_test_file(&self) -> bool {
        self.name.starts_with("src/") && self.is_test()
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file passes its own test.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X:"].concat(), ["todo", "!("].concat()];
    let mut found = Vec::new();
    for source in all() {
        for (index, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", source.name, index + 1, line.trim()));
            }
        }
    }
    nothing(&found, "do it or say in an issue what is left");
}

#[test]
fn the_session_is_pure() {
    let words = [
        "crate::store",
        "crate::daemon",
        "crate::net",
        "crate::tls",
        "crate::cli",
        "crate::config",
        "std::fs",
        "std::io",
        "std::net::Tcp",
        "std::net::Udp",
        "std::thread",
        "tokio",
        "Instant",
        "SystemTime",
        "Timestamp::now",
        "rand::",
        "rustls",
    ];
    nothing(&uses("src/session/", &words), "the session does no I/O and has neither clock nor chance");
    nothing(&uses("src/rules.rs", &words), "the table of verbs is data");
}

#[test]
fn the_wire_language_knows_nothing_above_it() {
    let known = ["crate::proto", "crate::proto::"];
    let ours = uses("src/proto/", &["crate::"]);
    let above: Vec<String> = ours.into_iter().filter(|line| !known.iter().any(|word| line.contains(word))).collect();
    nothing(&above, "proto is the lowest module");
    nothing(&uses("src/proto/", &["std::fs", "tokio", "Timestamp::now", "Instant", "SystemTime"]), "proto is pure");
}

#[test]
fn the_policy_is_pure() {
    let words = [
        "crate::store",
        "crate::daemon",
        "crate::net",
        "crate::tls",
        "crate::cli",
        "crate::session",
        "crate::auth",
        "crate::audit",
        "std::fs",
        "tokio",
        "Timestamp::now",
        "Instant",
        "SystemTime",
    ];
    nothing(&uses("src/policy/", &words), "decisions depend on what they are given alone");
}

#[test]
fn modules_know_only_what_lies_below_them() {
    for (module, above) in [
        (
            "src/audit/",
            &["crate::session", "crate::store", "crate::daemon", "crate::cli", "crate::tls", "crate::net::"][..],
        ),
        ("src/auth/", &["crate::session", "crate::store", "crate::daemon", "crate::cli", "crate::tls", "crate::net::"]),
        ("src/config/", &["crate::session", "crate::store", "crate::daemon", "crate::cli", "crate::net::"]),
        ("src/tls/", &["crate::session", "crate::store", "crate::daemon", "crate::cli", "crate::net::"]),
        ("src/net/", &["crate::session", "crate::store", "crate::daemon", "crate::cli"]),
        ("src/store/", &["crate::session", "crate::daemon", "crate::cli", "crate::tls", "crate::net::"]),
        ("src/daemon/", &["crate::cli"]),
    ] {
        nothing(&uses(module, above), "the arrows between modules go one way");
    }
}

#[test]
fn each_module_uses_only_those_above_it_in_the_table() {
    let map = sources("src").into_iter().find(|source| source.name == "src/lib.rs").unwrap();
    let row = |line: &str| Some(line.strip_prefix("//! | [`")?.split_once("`]")?.0.to_owned());
    let order: Vec<String> = map.text.lines().filter_map(row).collect();
    let declared: Vec<&str> = map.text.lines().filter_map(|line| line.strip_prefix("pub mod ")).collect();
    assert_eq!(order.len(), declared.len(), "every module has its row: {order:?}");
    let place = |module: &str| order.iter().position(|name| name == module);
    let mut found = Vec::new();
    for source in sources("src") {
        let below = source.name.trim_start_matches("src/");
        let own = below.split(['/', '.']).next().unwrap();
        let Some(own_place) = place(own) else {
            assert!(["lib", "main"].contains(&own), "{} belongs to no module of the table", source.name);
            continue;
        };
        for (number, line) in source.code() {
            for used in line.split("crate::").skip(1) {
                let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                if used != own && place(used).is_none_or(|place| place > own_place) {
                    found.push(format!("{}:{number}: {}", source.name, line.trim()));
                }
            }
        }
    }
    nothing(&found, "src/lib.rs has the order of the modules: use what stands above, or move what is shared up");
}

#[test]
fn the_running_server_asks_for_the_policy_in_one_place() {
    let found = uses("src/daemon/", &["config.policy"]);
    let elsewhere = found.into_iter().filter(|line| !line.starts_with("src/daemon/mod.rs:"));
    // The sandbox is computed from what was read, and homes are opened for it.
    let elsewhere = elsewhere.filter(|line| !line.starts_with("src/daemon/plan.rs:"));
    let elsewhere = elsewhere.filter(|line| !line.starts_with("src/daemon/roots.rs:"));
    let elsewhere: Vec<String> = elsewhere.filter(|line| !line.starts_with("src/daemon/current.rs:")).collect();
    nothing(&elsewhere, "`Shared::policy` has the one in force; that of `config` is the one of the last reading");
}

#[test]
fn one_function_of_one_file_reads_pem() {
    let found = uses("src/", &["rustls_pemfile"]);
    assert!(!found.is_empty());
    assert!(found.iter().all(|line| line.starts_with("src/tls/pem.rs:")), "{found:?}");
}

#[test]
fn only_the_policy_makes_grants() {
    let made = uses("src/", &["Grant::new(", "Grant {"]);
    let elsewhere: Vec<String> = made
        .into_iter()
        .filter(|line| !line.starts_with("src/policy/"))
        // Fields of that name in other types, which hold a grant that was made.
        .filter(|line| !line.contains("PathGrant {") && !line.ends_with("-> &Grant {"))
        .collect();
    nothing(&elsewhere, "a grant is a decision of the policy");
    let constructor = uses("src/policy/grant.rs", &["fn new("]);
    assert!(constructor.iter().all(|line| line.contains("pub(super) fn new(")), "{constructor:?}");
}

#[test]
fn only_the_replies_know_their_numbers() {
    let known = sources("src").into_iter().find(|source| source.name == "src/proto/reply.rs").unwrap();
    let numbers: Vec<String> = known
        .text
        .lines()
        .filter_map(|line| line.trim().split_once(" = ").map(|(_, number)| number.trim_end_matches(',').to_owned()))
        .filter(|number| number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    assert!(numbers.len() > 30, "{numbers:?}");
    let mut found = Vec::new();
    for source in sources("src").iter().filter(|source| {
        ["src/session/", "src/daemon/", "src/rules.rs"].iter().any(|below| source.name.starts_with(below))
    }) {
        for (number, line) in source.code() {
            let words =
                line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| numbers.iter().any(|n| n == word));
            found.extend(words.map(|_| format!("{}:{number}: {}", source.name, line.trim())));
        }
    }
    nothing(&found, "say it with a Code");
}

#[test]
fn the_compiler_keeps_the_rules_that_it_can() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    for lint in ["unwrap_used", "expect_used", "panic", "indexing_slicing", "arithmetic_side_effects"] {
        assert!(manifest.contains(&format!("{lint} = \"deny\"")), "{lint}");
    }
}

#[test]
fn every_exception_to_a_lint_has_its_reason() {
    let mut found = Vec::new();
    for source in all() {
        let text = source.text.as_str();
        for (at, _) in
            text.match_indices("#[allow(").chain(text.match_indices("#[expect(")).chain(text.match_indices("#![allow("))
        {
            let attribute = &text[at..text[at..].find(")]").map_or(text.len(), |end| at + end)];
            if !attribute.contains("reason = ") && !source.name.ends_with("tests/tidy.rs") {
                found.push(format!("{}: {attribute}", source.name));
            }
        }
    }
    nothing(&found, "say why it holds");
}
