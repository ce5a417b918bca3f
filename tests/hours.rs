//! Hours in which an account works: at the login, and for the sessions that are there when they end.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::support::{Ending, PASSWORD, Server, Wire, day};

/// A window of two hours from so many hours ahead on, as clocks in the zone show it.
fn window(hours_ahead: i64, zone: &str) -> String {
    let now = Timestamp::now().to_zoned(TimeZone::get(zone).unwrap());
    let hour = |ahead: i64| (&now + SignedDuration::from_hours(ahead)).strftime("%H").to_string();
    format!("[\"{}:30-{}:30\"]", hour(hours_ahead), hour(hours_ahead + 2))
}

/// A server on which alice has these hours, in this zone.
fn server(hours: &str, zone: &str) -> Server {
    let mut server = Server::builder().user("alice", &[]).user("bob", &[]).policy("time.zone", zone).prepare();
    server.change_user("user.alice.hours", hours);
    server.start();
    server
}

#[test]
fn a_login_outside_of_the_hours_hears_what_every_failed_login_hears() {
    let server = server(&window(10, "UTC"), "UTC");
    let outside = Wire::secure(&server).refused("alice", PASSWORD);
    let wrong = Wire::secure(&server).refused("bob", "wrong");
    assert_eq!(outside, wrong);
    let failure = server.wait_for_failure("auth.failure", "outside_hours");
    assert_eq!(failure.user(), "alice");
    assert!(failure.text("/unmapped/rule").unwrap().contains("users.toml:"), "{failure:?}");
    Wire::login(&server, "bob");
}

#[test]
fn hours_are_those_of_the_zone() {
    for zone in ["Asia/Tokyo", "America/New_York"] {
        Wire::login(&server(&window(-1, zone), zone), "alice");
        Wire::secure(&server(&window(-1, zone), "UTC")).refused("alice", PASSWORD);
    }
}

/// A server whose clock shows a few seconds before six in the evening, when alice's hours end. Only
/// the time of day is another one, so that waiting takes as long as ever.
fn server_at_closing_time() -> Server {
    let clock = format!("@{} 17:59:52", day(1));
    let words = ["env", "TZ=UTC", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", &clock];
    let builder = Server::builder().user("alice", &[]).user("bob", &[]);
    let mut server = builder.inside(words.map(str::to_owned).to_vec()).prepare();
    server.change_user("user.alice.hours", "[\"08:00-18:00\"]");
    server.start();
    server
}

#[test]
fn when_the_hours_end_idle_sessions_end_and_transfers_may_finish() {
    let server = server_at_closing_time();
    server.put_large("large", 32 << 20);
    let mut idle = Wire::login(&server, "alice");
    let mut busy = Wire::login(&server, "alice");
    let mut bob = Wire::login(&server, "bob");
    let mut data = busy.begin("RETR large");
    data.read(1);
    idle.expect(421);
    assert_eq!(idle.ended(), Ending::CloseNotify);
    let record = server.wait_for_failure("session.ended_by_policy", "outside_hours");
    assert_eq!((record.user(), record.codes()), ("alice", vec![421]));
    assert!(record.text("/unmapped/rule").unwrap().contains("users.toml:"), "{record:?}");
    let closed = server.wait_for_record("session.closed", |closed| closed.session() == record.session());
    assert_eq!(closed.text("/unmapped/end"), Some("policy"));
    // The other session is still in its transfer, and answers.
    busy.ask("STAT", 213);
    assert_eq!(data.receive().len(), (32 << 20) - 1);
    busy.expect(226);
    busy.expect(421);
    Wire::secure(&server).refused("alice", PASSWORD);
    bob.ask("NOOP", 200);
}
