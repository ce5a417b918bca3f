use super::*;
use crate::identity::Shown;
use crate::policy::account::{Permissions, Terms};
use crate::policy::grant::Judgement;
use crate::policy::network::NetworkRule;
use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::path::VirtualPath;

pub(super) fn source(line: u32) -> RuleSource {
    RuleSource { file: "users.toml".into(), line }
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

pub(super) fn noon(day: &str) -> Timestamp {
    format!("{day}T12:00:00Z").parse().unwrap()
}

fn nets(list: &[&str]) -> Vec<NetworkRule> {
    list.iter().map(|net| NetworkRule { network: net.parse().unwrap(), source: source(9) }).collect()
}

pub(super) fn account(name: &str) -> Account {
    let permissions = Some(Permissions { set: PermissionSet::READ_ONLY, source: source(3) });
    Account {
        name: Username::parse(name).unwrap(),
        home: "/srv/alice".into(),
        password: String::new(),
        password_set: date("2026-11-01"),
        password_by_user: false,
        password_temporary: false,
        password_history: vec![],
        expires: None,
        enabled: true,
        certificates: Vec::new(),
        certificate_alone: false,
        totp_secret: None,
        groups: Vec::new(),
        terms: Terms { permissions, ..Terms::default() },
        source: source(2),
    }
}

pub(super) fn policy(accounts: Vec<Account>) -> Policy {
    Policy {
        networks: AddressRules { allow: nets(&["0.0.0.0/0", "::/0"]), deny: vec![] },
        users: accounts.into_iter().map(|account| (account.name.clone(), account)).collect(),
        folders: BTreeMap::new(),
        groups: BTreeMap::new(),
        exceptions: Vec::new(),
        tls_exceptions: Vec::new(),
        password_days_max: Some(180),
        password_warning_days: 14,
        zone: TimeZone::UTC,
        freezes: Arc::default(),
    }
}

pub(super) fn enter(policy: &Policy, address: &str, today: &str) -> Result<Principal, LoginDenial> {
    entered(policy, address, today).map(|entered| entered.principal)
}

fn entered(policy: &Policy, address: &str, today: &str) -> Result<Entered, LoginDenial> {
    let verified = Verified::assertion(Username::parse("alice").unwrap(), Shown::PASSWORD);
    policy.enter(&verified, address.parse().unwrap(), noon(today))
}

#[test]
fn an_account_lets_in_until_its_last_day() {
    let mut alice = account("alice");
    alice.expires = Some(date("2026-12-31"));
    let policy = policy(vec![alice]);
    assert!(enter(&policy, "192.0.2.1", "2026-12-31").is_ok());
    assert_eq!(enter(&policy, "192.0.2.1", "2027-01-01").unwrap_err(), LoginDenial::AccountExpired(source(2)));
}

#[test]
fn a_password_ages() {
    let mut alice = account("alice");
    alice.terms.may_change_password = Some(false);
    let mut aged = policy(vec![alice]);
    assert!(enter(&aged, "192.0.2.1", "2027-04-30").is_ok());
    assert_eq!(enter(&aged, "192.0.2.1", "2027-05-01").unwrap_err(), LoginDenial::PasswordExpired(source(2)));
    aged.password_days_max = None;
    assert!(enter(&aged, "192.0.2.1", "2037-05-01").is_ok());
}

#[test]
fn who_may_change_a_password_that_ended_or_is_temporary_comes_in_for_that() {
    let mut policy = policy(vec![account("alice")]);
    let must_change = |policy: &Policy, today| entered(policy, "192.0.2.1", today).map(|entered| entered.must_change);
    assert_eq!(must_change(&policy, "2027-04-30"), Ok(None));
    assert_eq!(must_change(&policy, "2027-05-01"), Ok(Some(MustChange::Expired)));
    let alice = policy.users.values_mut().next().unwrap();
    alice.password_temporary = true;
    assert_eq!(must_change(&policy, "2026-11-22"), Ok(Some(MustChange::Temporary)));
    let new = NewPassword { hash: "$h".into(), set: date("2027-05-01"), history: vec!["$g".into()], rehashed: true };
    let alice = Username::parse("alice").unwrap();
    let rehashed = policy.with_password(&alice, &new);
    assert_eq!(must_change(&rehashed, "2027-05-01"), Ok(Some(MustChange::Temporary)));
    assert!(!rehashed.users[&alice].password_by_user);
    let changed = policy.with_password(&alice, &NewPassword { rehashed: false, ..new });
    assert_eq!(must_change(&changed, "2027-05-01"), Ok(None));
    assert_eq!(changed.users[&alice].last_passwords(5), ["$h", "$g"]);
    policy.users.get_mut(&alice).unwrap().terms.may_change_password = Some(false);
    assert_eq!(must_change(&policy, "2026-11-22"), Err(LoginDenial::PasswordTemporary(source(2))));
}

#[test]
fn disabled_and_unknown_accounts_stay_out() {
    let mut alice = account("alice");
    alice.enabled = false;
    assert_eq!(enter(&policy(vec![alice]), "::1", "2026-11-22").unwrap_err(), LoginDenial::Disabled(source(2)));
    assert_eq!(enter(&policy(vec![]), "::1", "2026-11-22").unwrap_err(), LoginDenial::Unknown);
}

#[test]
fn a_users_networks_narrow_and_deny_wins() {
    let mut alice = account("alice");
    alice.terms.addresses = AddressRules { allow: nets(&["10.0.0.0/8"]), deny: nets(&["10.9.0.0/16"]) };
    let policy = policy(vec![alice]);
    assert!(enter(&policy, "10.1.2.3", "2026-11-22").is_ok());
    assert_eq!(enter(&policy, "10.9.2.3", "2026-11-22").unwrap_err(), LoginDenial::Address(Some(source(9))));
    assert_eq!(enter(&policy, "192.0.2.1", "2026-11-22").unwrap_err(), LoginDenial::Address(Some(source(9))));
}

#[test]
fn groups_count_where_the_user_says_nothing() {
    let addresses = |allow: &[&str]| AddressRules { allow: nets(allow), deny: vec![] };
    let group = Terms { addresses: addresses(&["10.0.0.0/8"]), quota_files: Some(7), ..Terms::default() };
    let other = Terms { addresses: addresses(&["192.0.2.0/24"]), quota_files: Some(9), ..Terms::default() };
    let silent = Terms::default().over(&[&group, &other]);
    assert_eq!((silent.addresses.allow.len(), silent.quota_files), (2, Some(7)));
    let own = Terms { addresses: addresses(&["127.0.0.1/32"]), quota_files: Some(1), ..Terms::default() };
    assert_eq!(own.clone().over(&[&group, &other]), own);
}

#[test]
fn a_grant_covers_what_is_permitted_and_no_more() {
    let policy = policy(vec![account("alice")]);
    let alice = enter(&policy, "::1", "2026-11-22").unwrap();
    let path = VirtualPath::root();
    let wanted = PermissionSet::of(&[Permission::Read, Permission::Delete]);
    let Judgement::Allow(grant) = policy.judge(&alice, wanted, &path, noon("2026-11-22")) else {
        panic!("reading is permitted")
    };
    assert!(grant.allows(Permission::Read) && !grant.allows(Permission::Delete));
    let Judgement::Deny(denial) =
        policy.judge(&alice, PermissionSet::of(&[Permission::Delete]), &path, noon("2026-11-22"))
    else {
        panic!("deleting is not permitted")
    };
    assert_eq!(denial.rule, Some(source(3)));
}

#[test]
fn an_exception_holds_for_its_network_until_its_last_day() {
    let mut alice = account("alice");
    alice.terms.exceptions = vec![Exception {
        granted: DataBinding::Address,
        clients: Some("10.0.0.0/8".parse().unwrap()),
        reason: "supplier cannot resume".into(),
        until: date("2026-12-31"),
        source: source(7),
    }];
    let policy = policy(vec![alice]);
    let level = |address: &str, today: &str| {
        let alice = enter(&policy, address, "2026-11-22").unwrap();
        policy.binding(&alice, date(today)).level
    };
    assert_eq!(level("10.0.0.1", "2026-12-31"), DataBinding::Address);
    assert_eq!(level("10.0.0.1", "2027-01-01"), DataBinding::Session);
    assert_eq!(level("192.0.2.1", "2026-12-31"), DataBinding::Session);
}

#[test]
fn clients_of_a_network_are_held_to_tls_12_until_the_last_day() {
    let mut policy = policy(vec![]);
    policy.tls_exceptions = vec![Exception {
        granted: TlsVersion::Tls12,
        clients: Some("10.0.0.0/8".parse().unwrap()),
        reason: "their client runs out of tickets".into(),
        until: date("2026-12-31"),
        source: source(7),
    }];
    let maximum = |address: &str, today: &str| policy.tls(address.parse().unwrap(), date(today)).maximum;
    assert_eq!(maximum("10.0.0.1", "2026-12-31"), TlsVersion::Tls12);
    assert_eq!(maximum("::ffff:10.0.0.1", "2026-12-31"), TlsVersion::Tls12, "the same address on an IPv6 socket");
    assert_eq!(maximum("10.0.0.1", "2027-01-01"), TlsVersion::Tls13);
    assert_eq!(maximum("192.0.2.1", "2026-12-31"), TlsVersion::Tls13);
    let used = policy.tls("10.0.0.1".parse().unwrap(), date("2026-12-31")).exception.unwrap();
    assert_eq!(used.to_string(), "their client runs out of tickets (users.toml:7)");
}

mod decision;
mod freeze;
mod idle;
mod random;
