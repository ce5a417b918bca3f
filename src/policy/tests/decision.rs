use proptest::prelude::*;

use super::random::{accounts, alice, at, mount, path, pattern, permissions, rule, set};
use super::*;
use crate::policy::account::PathGrant;
use crate::policy::grant::{DenialReason, Grant};
use crate::policy::rule::{NamePattern, PathRule};

const NOTHING: PermissionSet = PermissionSet::NONE;

/// What alice gets on a path, coming from 192.0.2.1 on a day in November 2026.
struct Asking(Policy);

impl Asking {
    fn of(account: Account) -> Self {
        Self(policy(vec![account]))
    }

    fn principal(address: &str) -> Principal {
        Principal::for_test("alice", address)
    }

    fn judge(&self, wanted: PermissionSet, path: &str) -> Judgement {
        self.0.judge(&Self::principal("192.0.2.1"), wanted, &at(path), noon("2026-11-22"))
    }

    fn grant(&self, wanted: &[&str], path: &str) -> Grant {
        match self.judge(set(wanted), path) {
            Judgement::Allow(grant) => grant,
            Judgement::Deny(denial) => panic!("{wanted:?} {path}: {denial:?}"),
        }
    }

    /// The line that denies, and what kind it is.
    fn denied(&self, wanted: &[&str], path: &str) -> (u32, DenialReason) {
        match self.judge(set(wanted), path) {
            Judgement::Allow(grant) => panic!("{wanted:?} {path}: {grant:?}"),
            Judgement::Deny(denial) => (denial.rule.unwrap().line, denial.reason),
        }
    }

    fn may(&self, word: &str, path: &str) -> bool {
        matches!(self.judge(set(&[word]), path), Judgement::Allow(_))
    }
}

#[test]
fn the_most_specific_path_decides_whatever_the_order() {
    let rules = vec![
        rule(10, "/in/done/**", set(&["read"]), NOTHING),
        rule(20, "/in/**", set(&["create"]), set(&["read"])),
        rule(30, "/in/done/*.key", NOTHING, set(&["read"])),
    ];
    for rules in [rules.clone(), rules.into_iter().rev().collect()] {
        let alice = Asking::of(alice(Some(set(&["list", "read"])), rules, vec![]));
        assert!(alice.may("read", "/a") && alice.may("read", "/in/done/a") && alice.may("create", "/in/done/a"));
        assert_eq!(alice.denied(&["read"], "/in/a"), (20, DenialReason::NotPermitted));
        assert_eq!(alice.denied(&["read"], "/in/done/a.key"), (30, DenialReason::NotPermitted));
    }
}

#[test]
fn of_two_that_are_as_specific_the_one_that_denies_decides() {
    let rules = vec![rule(10, "/in/*", set(&["read"]), NOTHING), rule(20, "/in/*", NOTHING, set(&["read"]))];
    let alice = Asking::of(alice(None, rules, vec![]));
    assert_eq!(alice.denied(&["read"], "/in/a"), (20, DenialReason::NotPermitted));
}

#[test]
fn one_rule_that_does_both_denies() {
    let alice = Asking::of(alice(None, vec![rule(10, "/**", set(&["read", "list"]), set(&["read"]))], vec![]));
    assert!(alice.may("list", "/a") && !alice.may("read", "/a"));
}

#[test]
fn silence_denies_and_names_the_account() {
    let asking = Asking::of(alice(None, vec![rule(10, "/in/**", set(&["create"]), NOTHING)], vec![]));
    assert_eq!(asking.denied(&["create"], "/out/a"), (2, DenialReason::NotPermitted));
    let asking = Asking::of(alice(Some(set(&["list"])), vec![], vec![]));
    assert_eq!(asking.denied(&["create"], "/a"), (3, DenialReason::NotPermitted));
}

#[test]
fn a_mount_is_a_rule_for_its_tree_that_denies_all_else() {
    let rules = vec![
        rule(10, "/**", set(&["delete"]), NOTHING),
        rule(20, "/shared/**", set(&["create"]), NOTHING),
        rule(30, "/shared/in/**", set(&["create"]), NOTHING),
    ];
    let mounts = vec![mount(40, "/shared", set(&["list", "read"]))];
    let alice = Asking::of(alice(Some(PermissionSet::ALL), rules, mounts));
    assert!(alice.may("delete", "/a") && alice.may("read", "/shared/a") && alice.may("create", "/shared/in/a"));
    assert_eq!(alice.denied(&["delete"], "/shared/a"), (40, DenialReason::NotPermitted), "less specific");
    assert_eq!(alice.denied(&["create"], "/shared/a"), (40, DenialReason::NotPermitted), "as specific");
    assert_eq!(alice.denied(&["mkdir"], "/shared/in/a"), (40, DenialReason::NotPermitted), "outside of mounts only");
}

#[test]
fn a_path_in_a_mount_lies_in_the_folder() {
    let mounts = vec![mount(40, "/a/shared", set(&["read"]))];
    let alice = Asking::of(alice(Some(set(&["read"])), vec![], mounts));
    let inside = alice.grant(&["read"], "/a/shared/b/c");
    assert_eq!((inside.stored().as_str(), inside.path().as_str()), ("/b/c", "/a/shared/b/c"));
    assert_eq!(inside.folder().unwrap().name, "shared");
    assert_eq!(alice.grant(&["read"], "/a/shared").stored().as_str(), "/");
    let outside = alice.grant(&["read"], "/a/shared2");
    assert!(outside.folder().is_none() && outside.stored() == outside.path());
}

#[test]
fn a_mount_point_and_what_leads_to_it_stay_where_they_are() {
    let mounts = vec![mount(40, "/a/shared", PermissionSet::ALL)];
    let alice = Asking::of(alice(Some(PermissionSet::ALL), vec![], mounts));
    for path in ["/a/shared", "/a"] {
        for word in ["rename", "rmdir"] {
            assert_eq!(alice.denied(&[word], path), (40, DenialReason::MountPoint), "{word} {path}");
        }
        assert!(alice.may("list", path));
    }
    assert!(alice.may("rename", "/a/shared/x") && alice.may("rmdir", "/b"));
    assert!(!alice.grant(&["rename", "overwrite"], "/a/shared").allows(Permission::Rename));
}

#[test]
fn a_name_is_taken_where_the_rules_of_its_path_take_it() {
    let mut csv = rule(10, "/in/**", NOTHING, NOTHING);
    csv.upload.names_allowed = vec![NamePattern::parse("*.csv").unwrap()];
    let mut any_text = rule(20, "/in/text/**", NOTHING, NOTHING);
    any_text.upload.names_allowed = vec![NamePattern::parse("*.txt").unwrap()];
    let mut no_programs = rule(30, "/**", NOTHING, NOTHING);
    no_programs.upload.names_forbidden = vec![NamePattern::parse("*.exe*").unwrap()];
    let alice = Asking::of(alice(Some(PermissionSet::ALL), vec![csv, any_text, no_programs], vec![]));
    assert!(alice.may("create", "/in/A.CSV") && alice.may("create", "/a") && alice.may("append", "/in/text/a.txt"));
    assert_eq!(alice.denied(&["create", "overwrite"], "/in/a.txt"), (10, DenialReason::Name));
    assert_eq!(alice.denied(&["create"], "/in/text/a.csv"), (20, DenialReason::Name), "the more specific list");
    assert_eq!(alice.denied(&["create"], "/in/text/a.exe.txt"), (30, DenialReason::Name), "forbidden wherever");
    assert!(alice.may("mkdir", "/in/2026") && alice.may("delete", "/in/a.exe"), "only what names files");
}

#[test]
fn a_file_has_the_bytes_that_the_most_specific_rule_says_and_of_several_the_least() {
    let sized = |line, path, bytes| {
        let mut rule = rule(line, path, NOTHING, NOTHING);
        rule.upload.file_bytes_max = Some(bytes);
        rule
    };
    let rules = vec![sized(10, "/**", 100), sized(20, "/in/**", 500), sized(30, "/in/**", 400)];
    let alice = Asking::of(alice(Some(PermissionSet::ALL), rules, vec![]));
    assert_eq!(alice.grant(&["create"], "/a").file_bytes_max(), Some(100));
    assert_eq!(alice.grant(&["create"], "/in/a").file_bytes_max(), Some(400));
}

#[test]
fn an_exception_comes_before_every_rule_on_its_days_and_from_its_network() {
    let mut account = alice(None, vec![rule(10, "/in/a", NOTHING, set(&["read"]))], vec![]);
    account.terms.path_exceptions = vec![Exception {
        granted: PathGrant { pattern: pattern("/in/**"), allow: set(&["read"]) },
        clients: Some("192.0.2.0/24".parse().unwrap()),
        reason: "audit of November".into(),
        until: date("2026-11-22"),
        source: source(50),
    }];
    let policy = policy(vec![account]);
    let may = |address: &str, day: &str| {
        let alice = Asking::principal(address);
        matches!(policy.judge(&alice, set(&["read"]), &at("/in/a"), noon(day)), Judgement::Allow(_))
    };
    assert!(may("192.0.2.1", "2026-11-22"));
    assert!(!may("192.0.2.1", "2026-11-23") && !may("198.51.100.1", "2026-11-22"));
}

#[test]
fn directories_that_lead_somewhere_are_passed_and_no_others() {
    let rules = vec![rule(10, "/a/in/**", set(&["create"]), NOTHING), rule(20, "/b/**", NOTHING, set(&["list"]))];
    let policy = policy(vec![alice(None, rules, vec![mount(40, "/c/shared", set(&["read"]))])]);
    let passes = |path: &str| {
        let judged = policy.pass(&Asking::principal("192.0.2.1"), &at(path), noon("2026-11-22"));
        matches!(judged, Judgement::Allow(_))
    };
    assert!(["/", "/a", "/a/in", "/a/in/x", "/c", "/c/shared"].into_iter().all(passes));
    assert!(!["/b", "/a/out", "/d", "/c/other"].into_iter().any(passes));
}

#[test]
fn what_is_denied_of_a_directory_alone_does_not_bar_the_way_to_what_lies_in_it() {
    let rules = vec![rule(10, "/a", NOTHING, PermissionSet::ALL), rule(20, "/b/**", NOTHING, PermissionSet::ALL)];
    let policy = policy(vec![alice(Some(set(&["list", "read"])), rules, vec![])]);
    let passes = |path: &str| policy.pass(&Asking::principal("192.0.2.1"), &at(path), noon("2026-11-22"));
    assert!(matches!(passes("/a"), Judgement::Allow(grant) if !grant.allows(Permission::List)));
    assert!(matches!(passes("/b"), Judgement::Deny(_)));
}

#[test]
fn a_directory_with_rules_of_its_own_below_is_not_one_tree() {
    let rules = vec![rule(10, "/in/*/done", set(&["read"]), NOTHING), rule(20, "/out/**", set(&["list"]), NOTHING)];
    let mounts = vec![mount(40, "/a/shared", set(&["list"]))];
    let alice = Asking::of(alice(Some(PermissionSet::ALL), rules, mounts));
    for (path, whole) in [
        ("/", false),
        ("/in", false),
        ("/in/x", false),
        ("/in/x/done", true),
        ("/out", true),
        ("/out/x", true),
        ("/a", false),
        ("/a/shared", true),
        ("/b", true),
    ] {
        assert_eq!(alice.grant(&["list", "create"], path).is_for_whole_tree(), whole, "{path}");
    }
}

proptest! {
    #[test]
    fn an_empty_policy_permits_nothing(path in path(), wanted in permissions()) {
        let (nobody, silent) = (policy(vec![]), policy(vec![alice(None, vec![], vec![])]));
        for policy in [nobody, silent] {
            let alice = Asking::principal("192.0.2.1");
            prop_assert!(matches!(policy.judge(&alice, wanted, &path, noon("2026-11-22")), Judgement::Deny(_)));
            prop_assert!(matches!(policy.pass(&alice, &path, noon("2026-11-22")), Judgement::Deny(_)));
            prop_assert!(policy.permissions_at(&alice, &path, noon("2026-11-22")).is_empty());
        }
    }

    #[test]
    fn a_disabled_account_may_do_nothing(account in accounts(), path in path()) {
        let policy = policy(vec![Account { enabled: false, ..account }]);
        let judged = policy.judge(&Asking::principal("10.0.0.1"), PermissionSet::ALL, &path, noon("2026-11-22"));
        prop_assert!(matches!(judged, Judgement::Deny(_)));
    }

    #[test]
    fn the_first_of_what_was_considered_decides(account in accounts(), path in path(), inside in any::<bool>()) {
        let policy = policy(vec![account]);
        let alice = Asking::principal(if inside { "10.0.0.1" } else { "192.0.2.1" });
        let now = noon("2026-11-22");
        let account = policy.users.values().next().unwrap();
        let at_path = policy.permissions_at(&alice, &path, now);
        for permission in Permission::ALL {
            let considered = policy.considerations(account, alice.address(), permission, &path, now);
            let allowed = considered.first().is_some_and(|first| first.allows);
            prop_assert_eq!(at_path.contains(permission), allowed, "{:?}", considered);
            match policy.judge(&alice, PermissionSet::of(&[permission]), &path, now) {
                Judgement::Allow(_) => prop_assert!(allowed),
                Judgement::Deny(denial) if denial.reason == DenialReason::NotPermitted => {
                    prop_assert!(!allowed);
                    if let Some(first) = considered.first() {
                        prop_assert_eq!(denial.rule.as_ref(), Some(&first.source));
                    }
                }
                // What names and mount points refuse was permitted by the rules.
                Judgement::Deny(_) => prop_assert!(allowed),
            }
        }
    }

    #[test]
    fn what_is_granted_is_wanted_and_permitted(account in accounts(), path in path(), wanted in permissions()) {
        let policy = policy(vec![account]);
        let alice = Asking::principal("10.0.0.1");
        let permitted = policy.permissions_at(&alice, &path, noon("2026-11-22"));
        match policy.judge(&alice, wanted, &path, noon("2026-11-22")) {
            Judgement::Allow(grant) => {
                let granted: PermissionSet = Permission::ALL.into_iter().filter(|one| grant.allows(*one)).collect();
                prop_assert!(!granted.is_empty());
                prop_assert!(granted.without(wanted).is_empty() && granted.without(permitted).is_empty());
                prop_assert_eq!(grant.path(), &path);
            }
            Judgement::Deny(denial) if denial.reason == DenialReason::NotPermitted => {
                prop_assert!(wanted.intersection(permitted).is_empty());
            }
            Judgement::Deny(_) => prop_assert!(!wanted.intersection(permitted).is_empty()),
        }
    }

    #[test]
    fn another_deny_never_allows_more(account in accounts(), denied in permissions(), at_rule in 0..5_usize, path in path()) {
        let alice = Asking::principal("192.0.2.1");
        let before = policy(vec![account.clone()]).permissions_at(&alice, &path, noon("2026-11-30"));
        // A rule of its own for the paths of one that is there, or for all of them.
        let pattern = account.terms.rules.get(at_rule).map_or_else(|| pattern("/**"), |rule| rule.pattern.clone());
        let mut narrowed = account;
        narrowed.terms.rules.push(PathRule { pattern: pattern.clone(), ..rule(60, "/", NOTHING, denied) });
        let after = policy(vec![narrowed]).permissions_at(&alice, &path, noon("2026-11-30"));
        prop_assert!(after.without(before).is_empty(), "{before} became {after}");
        if !pattern.matches(&path) {
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn rules_decide_the_same_in_any_order(account in accounts(), path in path()) {
        let mut turned = account.clone();
        turned.terms.rules.reverse();
        turned.terms.mounts.reverse();
        let at_path = |account| policy(vec![account]).permissions_at(&Asking::principal("10.0.0.1"), &path, noon("2026-11-22"));
        prop_assert_eq!(at_path(account), at_path(turned));
    }

    #[test]
    fn what_is_uniform_below_a_path_is_the_same_everywhere_below(
        account in accounts(), path in path(), one in "(/(a|b|in)){1,3}", other in "(/(a|b|in)){1,3}",
    ) {
        let policy = policy(vec![account]);
        let (alice, now) = (Asking::principal("10.0.0.1"), noon("2026-11-22"));
        if policy.is_uniform_below(&alice, &path) {
            let below = |way: &str| at(&format!("{}{way}", path.as_str().trim_end_matches('/')));
            let at_path = |path| policy.permissions_at(&alice, &path, now);
            prop_assert_eq!(at_path(below(&one)), at_path(below(&other)), "{} and {} below {}", one, other, path);
        }
    }

    #[test]
    fn whatever_is_permitted_somewhere_can_be_come_to(account in accounts(), path in path()) {
        let policy = policy(vec![account]);
        let (alice, now) = (Asking::principal("10.0.0.1"), noon("2026-11-22"));
        if !policy.permissions_at(&alice, &path, now).is_empty() {
            let mut directory = path;
            while !directory.is_root() {
                directory = directory.parent();
                prop_assert!(matches!(policy.pass(&alice, &directory, now), Judgement::Allow(_)), "{directory}");
            }
        }
    }
}
