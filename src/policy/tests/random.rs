use proptest::prelude::*;

use super::*;
use crate::policy::account::PathGrant;
use crate::policy::folder::{Folder, Mount};
use crate::policy::path_pattern::PathPattern;
use crate::policy::rule::{NamePattern, PathRule, UploadTerms};

/// Few names, so that what is random meets.
const PATH: &str = "(/(a|b|in)){0,3}";
const PATTERN: &str = "(/(a|b|in|\\*|\\*\\*|a\\*)){0,3}";

pub(super) fn at(text: &str) -> VirtualPath {
    VirtualPath::root().join(text.as_bytes()).unwrap()
}

pub(super) fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(if text.is_empty() { "/" } else { text }).unwrap()
}

pub(super) fn set(words: &[&str]) -> PermissionSet {
    words.iter().map(|word| Permission::from_word(word).unwrap()).collect()
}

/// A rule of alice in some line.
pub(super) fn rule(line: u32, path: &str, allow: PermissionSet, deny: PermissionSet) -> PathRule {
    let upload = UploadTerms::default();
    PathRule { pattern: pattern(path), allow, deny, upload, holder: "user alice".into(), source: source(line) }
}

pub(super) fn mount(line: u32, path: &str, set: PermissionSet) -> Mount {
    let folder = Folder {
        name: "shared".into(),
        directory: "/srv/shared".into(),
        quota_bytes: None,
        quota_files: None,
        source: source(90),
    };
    let permissions = Permissions { set, source: source(line) };
    let holder = "user alice".into();
    Mount { path: at(path), folder: folder.into(), permissions, holder, source: source(line) }
}

/// Alice with these permissions everywhere, rules and mounts.
pub(super) fn alice(everywhere: Option<PermissionSet>, rules: Vec<PathRule>, mounts: Vec<Mount>) -> Account {
    let permissions = everywhere.map(|set| Permissions { set, source: source(3) });
    Account { terms: Terms { permissions, rules, mounts, ..Terms::default() }, ..account("alice") }
}

/// A few permissions, the same few throughout, so that they meet.
pub(super) fn permissions() -> impl Strategy<Value = PermissionSet> {
    let words = ["list", "read", "create", "rename"];
    prop::sample::subsequence(words.to_vec(), 0..=words.len()).prop_map(|words| set(&words))
}

pub(super) fn path() -> impl Strategy<Value = VirtualPath> {
    PATH.prop_map(|text| at(&text))
}

fn rules() -> impl Strategy<Value = Vec<PathRule>> {
    let bytes = prop::option::weighted(0.2, 1..100_u64);
    let names = prop::collection::vec(prop::sample::select(vec!["a", "*n", "b*"]), 0..2);
    let one = (PATTERN, permissions(), permissions(), bytes, names, any::<bool>());
    prop::collection::vec(one, 0..5).prop_map(|rules| {
        let rules = rules.into_iter().zip(10..);
        let rule = |((path, allow, deny, bytes, names, forbidden), line): ((String, _, _, _, Vec<&str>, bool), u32)| {
            let mut rule = rule(line, &path, allow, deny);
            let names: Vec<NamePattern> = names.into_iter().filter_map(NamePattern::parse).collect();
            rule.upload.file_bytes_max = bytes;
            if forbidden {
                rule.upload.names_forbidden = names;
            } else {
                rule.upload.names_allowed = names;
            }
            rule
        };
        rules.map(rule).collect()
    })
}

/// An account with random rules, mounts and exceptions.
pub(super) fn accounts() -> impl Strategy<Value = Account> {
    let mounts = prop::sample::subsequence(vec!["/a", "/b/in", "/in"], 0..=2);
    let mounts = (mounts, prop::collection::vec(permissions(), 2));
    let exceptions = prop::collection::vec((PATTERN, permissions(), 20..28_i8), 0..2);
    let parts = (prop::option::of(permissions()), rules(), mounts, exceptions);
    parts.prop_map(|(everywhere, rules, (mounts, sets), exceptions)| {
        let mounts = mounts.into_iter().zip(sets).zip(30..).map(|((path, set), line)| mount(line, path, set)).collect();
        let mut account = alice(everywhere, rules, mounts);
        let exception = |(path, allow, day): (String, PermissionSet, i8)| Exception {
            granted: PathGrant { pattern: pattern(&path), allow },
            clients: (day % 2 == 0).then(|| "10.0.0.0/8".parse().unwrap()),
            reason: "for a test".into(),
            until: Date::new(2026, 11, day).unwrap(),
            source: source(40),
        };
        account.terms.path_exceptions = exceptions.into_iter().map(exception).collect();
        account
    })
}
