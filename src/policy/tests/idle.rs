use proptest::prelude::*;

use super::random::{accounts, alice, mount, path, rule, set};
use super::*;
use crate::policy::idle::Idle;
use crate::policy::rule::NamePattern;

const NOTHING: PermissionSet = PermissionSet::NONE;

/// What is said of each rule, for short.
fn said(account: &Account) -> Vec<String> {
    let short = |idle: Option<Idle>| match idle {
        None => "counts".to_owned(),
        Some(Idle::Overruled { permission, by, .. }) => format!("{permission} by {by}"),
        Some(Idle::Repeats { of }) => format!("repeats {}", of.unwrap_or_else(|| "silence".to_owned())),
        Some(Idle::NoUploads) => "no uploads".to_owned(),
    };
    account.terms.rules.iter().map(|rule| short(account.idle(rule))).collect()
}

#[test]
fn a_rule_that_another_overrules_on_all_its_paths_is_idle() {
    let rules = vec![rule(10, "/in/**", set(&["read"]), NOTHING), rule(20, "/in/**", NOTHING, set(&["read"]))];
    let account = alice(Some(PermissionSet::ALL), rules, vec![]);
    assert_eq!(said(&account), ["read by rule /in/** of user alice (users.toml:20)", "counts"]);
    let mounts = vec![mount(30, "/shared", set(&["list"]))];
    let account = alice(None, vec![rule(10, "/shared/**", set(&["create"]), NOTHING)], mounts);
    assert_eq!(said(&account), ["create by mount /shared of user alice (users.toml:30)"]);
}

#[test]
fn a_rule_that_says_what_holds_anyway_is_idle() {
    let rules = vec![
        rule(10, "/in/**", set(&["read"]), NOTHING),
        rule(20, "/in/*", set(&["read"]), NOTHING),
        rule(30, "/out/**", NOTHING, set(&["delete"])),
    ];
    let account = alice(None, rules.clone(), vec![]);
    assert_eq!(said(&account), ["counts", "repeats rule /in/** of user alice (users.toml:10)", "repeats silence"]);
    let account = alice(Some(set(&["read", "delete"])), rules, vec![]);
    assert_eq!(
        said(&account),
        ["repeats permissions (users.toml:3)", "repeats rule /in/** of user alice (users.toml:10)", "counts"]
    );
}

#[test]
fn a_rule_that_decides_for_some_paths_counts() {
    let rules = vec![
        rule(10, "/in/**", set(&["read"]), NOTHING),
        rule(20, "/in/a/**", NOTHING, set(&["read"])),
        rule(30, "/in/a/b/**", set(&["read"]), NOTHING),
    ];
    assert_eq!(said(&alice(None, rules, vec![])), ["counts"; 3]);
}

#[test]
fn of_two_that_are_the_same_the_later_one_is_idle() {
    let rules = vec![rule(10, "/in/**", set(&["read"]), NOTHING), rule(20, "/in/**", set(&["read"]), NOTHING)];
    let account = alice(None, rules, vec![]);
    assert_eq!(said(&account), ["counts", "repeats rule /in/** of user alice (users.toml:10)"]);
}

#[test]
fn what_is_asked_of_uploads_counts_where_there_may_be_some() {
    let mut csv = rule(10, "/in/**", NOTHING, NOTHING);
    csv.upload.names_allowed = vec![NamePattern::parse("*.csv").unwrap()];
    assert_eq!(said(&alice(Some(set(&["read"])), vec![csv.clone()], vec![])), ["no uploads"]);
    let create = rule(20, "/**", set(&["create"]), NOTHING);
    assert_eq!(said(&alice(None, vec![csv, create], vec![])), ["counts"; 2]);
}

#[test]
fn whoever_is_denied_everything_is_permitted_nothing() {
    assert!(alice(Some(NOTHING), vec![], vec![]).permits_nothing());
    assert!(alice(Some(set(&["read"])), vec![rule(10, "/**", NOTHING, set(&["read"]))], vec![]).permits_nothing());
    assert!(!alice(Some(set(&["read"])), vec![rule(10, "/in/**", NOTHING, set(&["read"]))], vec![]).permits_nothing());
    assert!(!alice(None, vec![], vec![mount(30, "/a", set(&["list"]))]).permits_nothing());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn an_idle_rule_decides_nothing_on_any_path(account in accounts(), paths in prop::collection::vec(path(), 8)) {
        for (index, rule) in account.terms.rules.iter().enumerate() {
            let Some(idle) = account.idle(rule) else { continue };
            let mut without = account.clone();
            without.terms.rules.remove(index);
            for path in &paths {
                let (before, after) = (account.standing_permissions(path), without.standing_permissions(path));
                prop_assert_eq!(before, after, "{} without {:?}: {:?}", path, rule, idle);
            }
        }
    }

    #[test]
    fn who_is_permitted_nothing_is_denied_on_any_path(account in accounts(), paths in prop::collection::vec(path(), 8)) {
        if account.permits_nothing() {
            for path in &paths {
                prop_assert!(account.standing_permissions(path).is_empty());
            }
        }
    }
}
