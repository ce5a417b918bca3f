//! Explanations and differences on policies made by chance, and on such as people write.

pub(crate) mod random;

use jiff::Timestamp;
use proptest::prelude::*;

use super::diff::{self, Fate, UserChange};
use super::{Question, explain};
use crate::policy::Policy;
use crate::proto::path::VirtualPath;
use crate::rules::action::Action;

fn path(text: &str) -> VirtualPath {
    VirtualPath::root().join(text.as_bytes()).unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T06:15:02Z".parse().unwrap()
}

/// A policy of alice with these lines, the first of them line 5 of `users.toml`.
fn alice(lines: &str) -> Policy {
    let account = random::account("alice");
    random::policy(&format!("{}[passwords]\nprofile = \"nist\"\n", random::SERVER), &format!("{account}{lines}"))
}

fn changed(old: &str, new: &str) -> Vec<UserChange> {
    diff::users(&alice(old), &alice(new), &[], now())
}

/// What changes on paths: the pattern, and what is gained and lost.
fn on_paths(old: &str, new: &str) -> Vec<String> {
    let changes = changed(old, new);
    let words = |change: &diff::PathChange| {
        let part = if change.whole { "" } else { " in part" };
        format!("{}{part}: +{} -{}", change.path, change.gains.join(" "), change.loses.join(" "))
    };
    changes.iter().flat_map(|change| change.paths.iter().map(words)).collect()
}

#[test]
fn changes_of_rules_are_told_by_pattern() {
    let base = "permissions = \"read-only\"\n";
    let rule = "[[user.alice.rule]]\npath = \"/in/**\"\nallow = [\"create\"]\ndeny = [\"read\"]\n";
    assert_eq!(on_paths(base, &format!("{base}{rule}")), ["/in/**: +create -read"]);
    let narrower = "permissions = [\"list\"]\n";
    assert_eq!(on_paths(base, narrower), ["everywhere: + -read"]);
    assert_eq!(on_paths(&format!("{base}{rule}"), &format!("{narrower}{rule}")), ["everywhere else: + -read"]);
}

#[test]
fn what_is_written_otherwise_and_decided_alike_is_no_change() {
    let old = "permissions = [\"list\", \"read\"]\nhours = [\"mon-tue 08:00-18:00\"]\nallow-from = [\"10.0.0.0/8\"]\n";
    let new = "# by the hour\nhours = [\"mon 08:00-18:00\", \"tue 08:00-18:00\"]\npermissions = \"read-only\"\n\
               allow-from = [\"10.0.0.0/9\", \"10.128.0.0/9\"]\n[[user.alice.rule]]\npath = \"/x/**\"\nallow = \
               [\"read\"]\n";
    assert_eq!(changed(old, new), []);
}

#[test]
fn networks_are_compared_as_sets_of_addresses() {
    let base = "permissions = \"full\"\n";
    let [change] = &changed(base, &format!("{base}deny-from = [\"10.0.0.0/9\"]\n"))[..] else { panic!("one user") };
    assert_eq!(change.networks_lost, ["10.0.0.0/9"]);
    assert!(change.networks_gained.is_empty() && change.terms.is_empty() && change.paths.is_empty());
}

#[test]
fn numbers_hours_and_accounts_are_compared() {
    let base = "permissions = \"full\"\n";
    let new = format!("{base}quota-bytes = 5\nhours = [\"08:00-18:00\"]\nsecond-factor = \"totp\"\n");
    let keys = |change: &UserChange| change.terms.iter().map(|term| term.key.clone()).collect::<Vec<_>>();
    let [change] = &changed(base, &new)[..] else { panic!("one user") };
    assert_eq!(keys(change), ["quota-bytes", "second-factor", "hours"]);
    let [change] = &changed(base, &format!("{base}enabled = false\n"))[..] else { panic!("one user") };
    assert_eq!(change.account, Some(Fate::Disabled));
    let nobody = random::policy(random::SERVER, "");
    let [change] = &diff::users(&nobody, &alice(base), &[], now())[..] else { panic!("one user") };
    assert_eq!((change.account, change.paths.len()), (Some(Fate::Added), 1));
    let [change] = &diff::users(&alice(base), &nobody, &[], now())[..] else { panic!("one user") };
    assert_eq!(change.account, Some(Fate::Removed));
}

#[test]
fn an_exception_is_a_change_for_its_clients_until_it_ends() {
    let base = "permissions = [\"list\"]\n";
    let exception = "[[user.alice.exception]]\npath = \"/out/**\"\nallow = [\"read\"]\nclients = \"10.1.0.0/16\"\n\
                     reason = \"audit\"\nuntil = 2026-12-31\n";
    let [change] = &changed(base, &format!("{base}{exception}"))[..] else { panic!("one user") };
    let [change] = &change.paths[..] else { panic!("{change:?}") };
    assert_eq!((change.path.as_str(), change.when.as_deref()), ("/out/**", Some("from 10.1.0.0/16")));
    assert_eq!(change.gains, ["read"]);
}

/// Whether alice may do something, what decides, and what it would take.
fn judged(lines: &str, action: &str, at: Option<&str>) -> (bool, String, Option<String>) {
    let policy = alice(lines);
    let (action, path) = (Action::parse(action).unwrap(), at.map(path));
    let account = policy.users.values().next().unwrap();
    let from = Some("192.0.2.7".parse().unwrap());
    let found = explain(&policy, &Question { account, from, at: now(), action, path, renamed_to: None });
    (found.allowed, found.decided_by.what, found.needed)
}

#[test]
fn stou_is_judged_by_the_name_that_the_server_chooses() {
    let rule = "[[user.alice.rule]]\npath = \"/in/**\"\nallow = [\"create\"]\n";
    assert!(judged(rule, "STOU", Some("/in")).0);
    assert!(!judged(rule, "STOU", Some("/")).0);
    let csv = format!("{rule}names-allowed = [\"*.csv\"]\n");
    assert_eq!(judged(&csv, "STOU", Some("/in/a.csv")).1, "names of rule /in/** of user alice");
    assert!(judged(&csv, "STOR", Some("/in/a.csv")).0);
}

#[test]
fn who_has_to_change_the_password_comes_in_for_that_alone() {
    let temporary = "permissions = \"full\"\npassword-temporary = true\n";
    assert!(judged(temporary, "login", None).0);
    let (allowed, by, needed) = judged(temporary, "RETR", Some("/a"));
    assert_eq!((allowed, &*by), (false, "password"));
    assert!(needed.unwrap().contains("SITE PSWD"));
    let fixed = format!("{temporary}password-change = false\n");
    let (allowed, _, needed) = judged(&fixed, "login", None);
    assert!(!allowed && !needed.unwrap().contains("SITE PSWD"));
}

#[test]
fn a_factor_that_the_account_cannot_show_keeps_the_user_out() {
    let certificates = "certificates = [\"email:alice@example.org\"]\n";
    for (factor, besides, allowed) in [
        ("totp", "", false),
        ("totp", certificates, false),
        ("certificate", "", false),
        ("certificate", certificates, true),
        ("any", certificates, true),
        ("any", "", false),
    ] {
        let lines = format!("permissions = \"full\"\nsecond-factor = \"{factor}\"\n{besides}");
        let (found, by, needed) = judged(&lines, "login", None);
        assert_eq!((found, needed.is_none()), (allowed, allowed), "{lines}");
        assert_eq!(by == "second factor", !allowed, "{lines}");
    }
}

#[test]
fn without_an_address_lists_of_networks_are_left_out() {
    let policy = alice("permissions = \"full\"\nallow-from = [\"192.0.2.0/24\"]\n");
    let account = policy.users.values().next().unwrap();
    let action = Action::parse("RETR").unwrap();
    let ask = |from: Option<&str>| {
        let from = from.map(|from| from.parse().unwrap());
        let question = Question { account, from, at: now(), action, path: Some(path("/a")), renamed_to: None };
        explain(&policy, &question)
    };
    assert!(ask(None).allowed && ask(Some("192.0.2.7")).allowed);
    let denied = ask(Some("10.0.0.1"));
    assert_eq!((denied.allowed, denied.decided_by.what.as_str()), (false, "networks of the user"));
    assert_eq!(denied.decided_by.source.as_deref(), Some("users.toml:6"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_change_of_a_decision_is_missed(
        (old, new) in random::pair(),
        requests in prop::collection::vec((random::request(), 0usize..4, 0i64..120), 12),
    ) {
        let (Some(old), Some(new)) = (random::read(&old), random::read(&new)) else { return Ok(()) };
        let changed = diff::users(&old, &new, &[], now());
        for (request, address, days) in requests {
            let at = Timestamp::from_second(now().as_second() + days * 86_400).unwrap();
            let from = Some(["192.0.2.7", "192.0.2.200", "10.0.0.1", "2001:db8::7"][address].parse().unwrap());
            let ask = |policy: &Policy| {
                let account = policy.users.values().next()?;
                let (path, renamed_to) = (Some(request.path.clone()), request.renamed_to.clone());
                let question = Question { account, from, at, action: request.action, path, renamed_to };
                Some(explain(policy, &question))
            };
            let (before, after) = (ask(&old).unwrap(), ask(&new).unwrap());
            if before.allowed != after.allowed {
                prop_assert!(!changed.is_empty(), "{request:?} from {from:?} at {at}: {before:?} {after:?}");
            }
            // Of the paths by themselves, too, whatever becomes of the login.
            let parts = |one: &super::Explanation| one.parts.iter().map(|part| part.allowed).collect::<Vec<_>>();
            let both_enabled = [&old, &new].iter().all(|policy| policy.users.values().all(|user| user.enabled));
            if both_enabled && parts(&before) != parts(&after) {
                let told = changed.iter().any(|user| !user.paths.is_empty() || user.paths_by_text);
                prop_assert!(told, "{request:?} from {from:?} at {at}: {before:?} {after:?}");
            }
        }
    }
}
