use proptest::prelude::*;

use super::random::{accounts, alice, at, mount, path, set};
use super::*;
use crate::policy::freeze::{Freeze, MODIFYING, Scope};

fn freeze(number: u32, scope: Scope) -> Freeze {
    Freeze { number, user: None, scope, since: noon("2026-11-01"), until: None, reason: None }
}

fn frozen(account: Account, freezes: &[Freeze]) -> Policy {
    policy(vec![account]).with_freezes(freezes.to_vec())
}

fn judged(policy: &Policy, permission: &str, path: &str) -> Result<(), Option<String>> {
    match policy.judge(&Principal::for_test("alice", "192.0.2.1"), set(&[permission]), &at(path), noon("2026-11-22")) {
        Judgement::Allow(_) => Ok(()),
        Judgement::Deny(denial) => Err(denial.rule.map(|rule| rule.to_string())),
    }
}

#[test]
fn what_holds_something_frozen_is_not_moved_though_it_is_not_frozen_itself() {
    let everything = alice(Some(PermissionSet::ALL), vec![], vec![]);
    let policy = frozen(everything, &[freeze(1, Scope::Path(at("/a/b")))]);
    let now = noon("2026-11-22");
    let user = Principal::for_test("alice", "192.0.2.1");
    let frozen = |path: &str| policy.frozen_at(user.name(), None, &at(path), now).is_some();
    let holds = |path: &str| policy.holds_frozen(user.name(), None, &at(path), now);
    for (path, itself, held) in [
        ("/a", false, true),
        ("/a/b", true, true),
        ("/a/b/c", true, true),
        ("/a/bc", false, false),
        ("/c", false, false),
    ] {
        assert_eq!((frozen(path), holds(path)), (itself, held), "{path}");
    }
}

#[test]
fn a_path_is_frozen_with_what_is_below_it_and_stays_where_it_is() {
    let alice = alice(Some(PermissionSet::ALL), vec![], vec![mount(5, "/shared", PermissionSet::ALL)]);
    let policy = frozen(alice, &[freeze(7, Scope::Path(at("/a/b"))), freeze(8, Scope::Folder("shared".into()))]);
    for (permission, path, denied) in [
        ("create", "/a/b", Some("freeze:7")),
        ("delete", "/a/b/c", Some("freeze:7")),
        ("read", "/a/b/c", None),
        ("hash", "/a/b/c", None),
        ("rename", "/a", Some("freeze:7")),
        ("create", "/a", None),
        ("create", "/a/bc", None),
        ("append", "/shared/x", Some("freeze:8")),
        ("list", "/shared/x", None),
    ] {
        assert_eq!(judged(&policy, permission, path).err().flatten().as_deref(), denied, "{permission} {path}");
    }
    let judgement =
        policy.judge(&Principal::for_test("alice", "192.0.2.1"), set(&["list"]), &at("/a"), noon("2026-11-22"));
    assert!(matches!(judgement, Judgement::Allow(grant) if !grant.is_for_whole_tree()));
}

#[test]
fn a_freeze_is_for_its_user_and_until_its_end() {
    let bob = Username::parse("bob").unwrap();
    let everything = || alice(Some(PermissionSet::ALL), vec![], vec![]);
    let of_bob = Freeze { user: Some(bob), ..freeze(1, Scope::Everything) };
    assert_eq!(judged(&frozen(everything(), &[of_bob]), "create", "/a"), Ok(()));
    let over = Freeze { until: Some(noon("2026-11-22")), ..freeze(1, Scope::Everything) };
    assert_eq!(judged(&frozen(everything(), &[over]), "create", "/a"), Ok(()));
    let tomorrow = Freeze { until: Some(noon("2026-11-23")), ..freeze(1, Scope::Everything) };
    assert_eq!(judged(&frozen(everything(), &[tomorrow]), "create", "/a"), Err(Some("freeze:1".to_owned())));
}

proptest! {
    #[test]
    fn where_everything_is_frozen_nothing_that_changes_anything_is_permitted_anywhere(
        account in accounts(),
        path in path(),
        inside in any::<bool>(),
    ) {
        let thawed = policy(vec![account.clone()]);
        let policy = frozen(account, &[freeze(1, Scope::Everything)]);
        let alice = Principal::for_test("alice", if inside { "10.0.0.1" } else { "192.0.2.1" });
        let now = noon("2026-11-22");
        prop_assert!(policy.permissions_at(&alice, &path, now).intersection(MODIFYING).is_empty());
        for permission in Permission::ALL {
            let wanted = PermissionSet::of(&[permission]);
            let (before, after) = (thawed.judge(&alice, wanted, &path, now), policy.judge(&alice, wanted, &path, now));
            if MODIFYING.contains(permission) {
                prop_assert!(matches!(after, Judgement::Deny(_)), "{permission} {path}");
            } else {
                prop_assert_eq!(matches!(before, Judgement::Allow(_)), matches!(after, Judgement::Allow(_)));
            }
        }
        for judgement in [policy.judge(&alice, PermissionSet::ALL, &path, now), policy.pass(&alice, &path, now)] {
            if let Judgement::Allow(grant) = judgement {
                prop_assert!(MODIFYING.iter().all(|permission| !grant.allows(permission)));
                let name = alice.name().clone();
                prop_assert!(policy.frozen(&name, &grant, now).is_some(), "and is asked again at the end");
            }
        }
    }

    #[test]
    fn a_frozen_path_is_frozen_by_every_name_below_it(account in accounts(), above in path(), below in path()) {
        let whole = at(&format!("{above}{below}"));
        let policy = frozen(account, &[freeze(1, Scope::Path(above))]);
        let alice = Principal::for_test("alice", "192.0.2.1");
        let now = noon("2026-11-22");
        prop_assert!(policy.permissions_at(&alice, &whole, now).intersection(MODIFYING).is_empty());
        prop_assert!(policy.is_frozen(&alice, &whole, now));
    }
}
