use governor::clock::FakeRelativeClock;

use super::*;

const FORGIVEN: Duration = Duration::from_mins(5);
const BAN: Duration = Duration::from_mins(15);

fn settings() -> Login {
    let count = |n| NonZeroU32::new(n).unwrap();
    Login {
        attempts_per_session: count(3),
        failures_per_address: count(6),
        failure_forgiven: FORGIVEN,
        failures_per_user_network: count(4),
        failures_per_minute: count(1000),
        delay_first: Duration::from_secs(1),
        delay_longest: Duration::from_secs(10),
        ban: BAN,
        code_reuse: Duration::ZERO,
    }
}

fn throttle() -> (Throttle<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Throttle::with_clock(&settings(), clock.clone()), clock)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// An attempt that nothing is under way beside.
fn attempt<'a>(
    throttle: &'a Throttle<FakeRelativeClock>,
    address: IpAddr,
    user: &str,
) -> Attempt<'a, FakeRelativeClock> {
    throttle.attempt_now(Who::new(address, user)).unwrap()
}

/// Why an attempt is not checked, where it is not.
fn unchecked(throttle: &Throttle<FakeRelativeClock>, address: IpAddr, user: &str) -> Option<Scope> {
    match attempt(throttle, address, user) {
        Attempt::Check(_) => None,
        Attempt::Limited { scope, .. } => Some(scope),
        Attempt::Busy => panic!(),
    }
}

fn succeed<C: Clock + Clone>(throttle: &Throttle<C>, address: IpAddr, user: &str) {
    assert!(throttle.vouch(&Who::new(address, user), false));
}

#[test]
fn bans_and_those_who_are_known_stay_under_other_settings() {
    let (throttle, clock) = throttle();
    let (guesser, office) = (ip("192.0.2.1"), ip("198.51.100.1"));
    for _ in 0..7 {
        throttle.failed(guesser, "x");
    }
    succeed(&throttle, office, "alice");
    clock.advance(seconds(60));
    let next = throttle.with_settings(&Login { failures_per_address: NonZeroU32::MIN, ..settings() });
    assert_eq!(next.connection(guesser), Err(Banned { remaining: BAN.saturating_sub(seconds(60)) }));
    assert!(next.has_regulars(office) && !next.has_regulars(guesser));
    assert_eq!(next.failed(office, "bob").banned, None);
    assert_eq!(next.failed(office, "bob").banned, Some(BAN), "one is free now");
}

#[test]
fn delays_double_up_to_the_longest_and_then_the_address_is_banned() {
    let (throttle, clock) = throttle();
    let guesser = ip("192.0.2.1");
    for (name, delay) in (0_u32..).zip([1, 2, 4, 8, 10, 10]) {
        let penalty = throttle.failed(guesser, &format!("user{name}"));
        assert_eq!((penalty.delay, penalty.banned), (seconds(delay), None), "failure {name}");
        assert_eq!(throttle.connection(guesser), Ok(()));
    }
    let penalty = throttle.failed(guesser, "user7");
    assert_eq!((penalty.banned, penalty.newly_banned), (Some(BAN), true));
    assert_eq!(throttle.connection(guesser), Err(Banned { remaining: BAN }));
    assert_eq!(unchecked(&throttle, guesser, "anybody"), Some(Scope::Address));
    clock.advance(seconds(60));
    let penalty = throttle.failed(guesser, "user8");
    assert_eq!((penalty.banned, penalty.newly_banned), (BAN.checked_sub(seconds(60)), false), "a ban does not grow");
    assert_eq!(throttle.connection(ip("192.0.2.2")), Ok(()));
    assert_eq!(throttle.banned(), 1);
    clock.advance(BAN);
    assert_eq!(throttle.connection(guesser), Ok(()));
    assert_eq!(throttle.banned(), 0);
}

#[test]
fn the_wait_belongs_to_the_address_and_passes() {
    let (throttle, clock) = throttle();
    let guesser = ip("192.0.2.1");
    throttle.failed(guesser, "alice");
    throttle.failed(guesser, "alice");
    assert_eq!(throttle.not_before(guesser, "bob"), seconds(2));
    assert_eq!(throttle.not_before(ip("::ffff:192.0.2.1"), "bob"), seconds(2));
    assert_eq!(throttle.not_before(ip("192.0.2.2"), "bob"), Duration::ZERO);
    clock.advance(seconds(1));
    assert_eq!(throttle.not_before(guesser, "bob"), seconds(1));
    clock.advance(FORGIVEN * 2);
    assert_eq!(throttle.failed(guesser, "alice").delay, seconds(1), "forgiven one by one");
}

#[test]
fn an_ipv6_host_gains_nothing_from_its_many_addresses() {
    let (throttle, _) = throttle();
    for host in 0..6 {
        throttle.failed(ip(&format!("2001:db8:1:2::{host}")), &format!("user{host}"));
    }
    assert!(throttle.failed(ip("2001:db8:1:2:ffff::1"), "another").newly_banned);
    assert!(throttle.connection(ip("2001:db8:1:2::abcd")).is_err());
    assert!(throttle.connection(ip("2001:db8:1:3::1")).is_ok());
}

#[test]
fn a_network_shares_what_it_may_try_for_a_user() {
    let (throttle, clock) = throttle();
    for host in 1..=4 {
        let penalty = throttle.failed(ip(&format!("192.0.2.{host}")), "alice");
        assert_eq!(penalty.newly_limited, host == 4);
    }
    assert_eq!(unchecked(&throttle, ip("192.0.2.50"), "alice"), Some(Scope::User));
    assert_eq!(unchecked(&throttle, ip("192.0.2.50"), "bob"), None);
    let Attempt::Limited { remaining, .. } = attempt(&throttle, ip("192.0.2.50"), "alice") else { panic!() };
    assert_eq!(remaining, FORGIVEN);
    assert!(!throttle.failed(ip("192.0.2.50"), "alice").newly_limited, "and nothing more is charged");
    clock.advance(FORGIVEN);
    assert_eq!(unchecked(&throttle, ip("192.0.2.50"), "alice"), None);
}

#[test]
fn the_real_user_is_never_locked_out_from_elsewhere_or_from_home() {
    let (throttle, _) = throttle();
    let (home, neighbour) = (ip("198.51.100.7"), ip("198.51.100.8"));
    succeed(&throttle, home, "alice");
    for network in 0..200 {
        for _ in 0..10 {
            throttle.failed(ip(&format!("10.0.{network}.1")), "alice");
        }
    }
    assert_eq!(unchecked(&throttle, ip("203.0.113.5"), "alice"), None, "another network");
    for _ in 0..6 {
        throttle.failed(neighbour, "alice");
    }
    assert_eq!(unchecked(&throttle, neighbour, "alice"), Some(Scope::User));
    assert_eq!(unchecked(&throttle, home, "alice"), None, "where the user logged in before");
}

#[test]
fn a_success_clears_the_users_count_alone() {
    let (throttle, _) = throttle();
    let address = ip("192.0.2.1");
    for _ in 0..3 {
        throttle.failed(address, "alice");
    }
    succeed(&throttle, address, "alice");
    assert_eq!(throttle.failed(address, "alice").delay, seconds(8), "the address pays on");
    throttle.failed(address, "mallory");
    throttle.failed(address, "mallory");
    succeed(&throttle, address, "alice");
    assert!(throttle.failed(address, "mallory").newly_banned);
}

#[test]
fn a_flood_makes_every_refusal_wait_longest() {
    let clock = FakeRelativeClock::default();
    let settings = Login { failures_per_minute: NonZeroU32::new(20).unwrap(), ..settings() };
    let throttle = Throttle::with_clock(&settings, clock.clone());
    for host in 0..20 {
        assert!(!throttle.failed(ip(&format!("10.0.{host}.1")), &format!("user{host}")).flood);
    }
    let penalty = throttle.failed(ip("10.1.0.1"), "alice");
    assert_eq!((penalty.flood, penalty.delay, penalty.banned), (true, seconds(10), None));
    assert_eq!(unchecked(&throttle, ip("10.2.0.1"), "alice"), None, "nobody is kept out by it");
    clock.advance(seconds(60));
    assert!(!throttle.failed(ip("10.1.0.2"), "alice").flood);
}

#[test]
fn memory_is_bounded_and_swept() {
    let (throttle, clock) = throttle();
    for host in 0..70_000_u32 {
        let address = std::net::Ipv6Addr::from((0x2001_0db8_u128 << 96) | (u128::from(host) << 64)).into();
        throttle.failed(address, &format!("user{host}"));
        succeed(&throttle, address, &"x".repeat(2000));
    }
    assert!(throttle.by_address.len() <= ENTRIES_MAX);
    assert!(throttle.by_user.charged.len() <= ENTRIES_MAX);
    assert!(lock(&throttle.standing).count(|_| true) <= ENTRIES_MAX);
    assert!(lock(&throttle.proven).count(|_| true) <= ENTRIES_MAX);
    clock.advance(PROVEN + FORGIVEN);
    throttle.sweep();
    assert_eq!((throttle.by_address.len(), throttle.by_user.charged.len()), (0, 0));
    assert_eq!(lock(&throttle.standing).count(|_| true), 0);
    assert_eq!(lock(&throttle.proven).count(|_| true), 0);
}

#[test]
fn extreme_settings_do_not_overflow() {
    let most = NonZeroU32::MAX;
    let settings = Login {
        attempts_per_session: most,
        failures_per_address: most,
        failure_forgiven: Duration::MAX,
        failures_per_user_network: most,
        failures_per_minute: most,
        delay_first: Duration::MAX,
        delay_longest: Duration::MAX,
        ban: Duration::MAX,
        code_reuse: Duration::ZERO,
    };
    for settings in [settings.clone(), Login { failure_forgiven: Duration::ZERO, ..settings }] {
        let throttle = Throttle::new(&settings);
        for _ in 0..20_000 {
            throttle.failed(ip("192.0.2.1"), "alice");
        }
        assert!(throttle.connection(ip("192.0.2.1")).is_err());
        throttle.sweep();
    }
}

/// Takes every attempt that may begin now.
fn burst(
    throttle: &Throttle<FakeRelativeClock>,
    address: IpAddr,
    users: impl Iterator<Item = String>,
) -> Vec<(String, Pending<'_, FakeRelativeClock>)> {
    let begin = |user: String| match throttle.attempt_now(Who::new(address, &user)) {
        Some(Attempt::Check(pending)) => Some((user, pending)),
        _ => None,
    };
    users.filter_map(begin).collect()
}

#[test]
fn passwords_tried_at_once_are_no_more_than_one_after_the_other() {
    let (throttle, _) = throttle();
    let guesser = ip("192.0.2.1");
    let one_user = burst(&throttle, guesser, (0..100).map(|_| "alice".to_owned()));
    assert_eq!(one_user.len(), 4, "what the user has free from this network");
    let others = burst(&throttle, guesser, (0..100).map(|n| format!("user{n}")));
    assert_eq!(others.len(), 3, "six that are free and the one that brings the ban, with those in the first name");
    let mut bans = 0;
    for (user, pending) in one_user.into_iter().chain(others) {
        pending.wrong();
        bans += u32::from(throttle.failed(guesser, &user).newly_banned);
    }
    assert_eq!(bans, 1);
    assert_eq!(unchecked(&throttle, guesser, "somebody"), Some(Scope::Address));
    assert_eq!(throttle.under_way.lock().unwrap().sources.count(&source_network(guesser)), 0);
}

#[test]
fn a_right_password_is_refused_where_the_ban_fell_while_it_was_checked() {
    let (throttle, _) = throttle();
    let guesser = ip("192.0.2.1");
    let Attempt::Check(pending) = attempt(&throttle, guesser, "alice") else { panic!() };
    for name in 0..7 {
        throttle.failed(guesser, &format!("user{name}"));
    }
    assert_eq!(pending.right(), Err(Scope::Address));
    throttle.failed(guesser, "alice");
    assert!(!throttle.has_regulars(guesser), "and nothing is known of the user by it");
}

#[tokio::test]
async fn an_attempt_waits_for_those_under_way() {
    let (throttle, _) = throttle();
    let office = ip("192.0.2.1");
    let mut held = burst(&throttle, office, (0..100).map(|n| format!("user{n}")));
    assert_eq!(held.len(), 7);
    let mut next = Box::pin(throttle.attempt(office, "alice"));
    assert!(timeout(Duration::from_millis(20), &mut next).await.is_err());
    let (_, right) = held.pop().unwrap();
    right.right().unwrap();
    assert!(matches!(timeout(seconds(5), next).await, Ok(Attempt::Check(_))));
    let mut next = Box::pin(throttle.attempt(office, "bob"));
    let (_, unchecked) = held.pop().unwrap();
    drop(unchecked);
    assert!(
        matches!(timeout(seconds(5), &mut next).await, Ok(Attempt::Check(_))),
        "what was not checked counts as nothing"
    );
}

#[tokio::test]
async fn the_wait_for_others_is_bounded() {
    let (mut throttle, _) = throttle();
    throttle.wait_max = Duration::from_millis(20);
    let office = ip("192.0.2.1");
    let _held = burst(&throttle, office, (0..7).map(|n| format!("user{n}")));
    assert!(matches!(throttle.attempt(office, "alice").await, Attempt::Busy));
}

#[test]
fn a_ban_of_a_shared_address_spares_those_who_are_known_there() {
    let (throttle, _) = throttle();
    let office = ip("192.0.2.1");
    assert!(!throttle.has_regulars(office));
    succeed(&throttle, office, "alice");
    for name in 0..7 {
        throttle.failed(office, &format!("user{name}"));
    }
    assert!(throttle.connection(office).is_err());
    assert!(throttle.has_regulars(office) && !throttle.has_regulars(ip("192.0.2.2")));
    assert_eq!(unchecked(&throttle, office, "bob"), Some(Scope::Address));
    assert_eq!(throttle.not_before(office, "bob"), seconds(10));
    assert_eq!(throttle.not_before(office, "alice"), Duration::ZERO);
    let Attempt::Check(pending) = attempt(&throttle, office, "alice") else { panic!() };
    assert_eq!(pending.right(), Ok(()));
    for _ in 0..6 {
        assert_eq!(unchecked(&throttle, office, "alice"), None);
        throttle.failed(office, "alice");
    }
    assert_eq!(unchecked(&throttle, office, "alice"), Some(Scope::User), "guessing that name there is bounded too");
}
