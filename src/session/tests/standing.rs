use super::*;
use crate::audit::record::{Detail, Outcome};
use crate::identity::Username;
use crate::policy::account::Account;
use crate::policy::grant::RuleSource;
use crate::policy::hours::{Hours, Window};
use crate::policy::network::NetworkRule;

fn source() -> RuleSource {
    RuleSource { file: "users.toml".into(), line: 7 }
}

/// Puts another policy in force, in which alice's account has changed.
fn change(dialogue: &mut Dialogue, change: impl FnOnce(&mut Account)) {
    let policy = Arc::make_mut(&mut dialogue.policy);
    change(policy.users.get_mut(&Username::parse("alice").unwrap()).unwrap());
}

fn disable(dialogue: &mut Dialogue) {
    change(dialogue, |account| account.enabled = false);
}

/// Dialogues are held on a Sunday morning.
fn closed_on_sundays(account: &mut Account) {
    let windows = vec![Window::parse("mon-sat 08:00-18:00").unwrap()];
    account.terms.hours = Some(Hours { windows, source: source() });
}

fn reason(record: &Record) -> Option<&'static str> {
    match record.outcome {
        Outcome::Failure(reason) => Some(reason),
        Outcome::Success => None,
    }
}

/// Why, and by which rule, a session was ended.
fn ended(dialogue: &Dialogue) -> Option<(&'static str, Option<&str>)> {
    let record = dialogue.records.iter().find(|record| record.event == Event::SessionEndedByPolicy)?;
    let rule = record.details.iter().find_map(|(name, detail)| match detail {
        Detail::Text(text) if *name == "rule" => Some(text.as_str()),
        _ => None,
    });
    Some((reason(record).unwrap(), rule))
}

#[test]
fn a_session_ends_at_the_next_command_once_the_policy_no_longer_admits_its_user() {
    type Change = fn(&mut Account);
    let changes: [(Change, &str, Option<&str>); 5] = [
        (|account| account.enabled = false, "disabled", Some("users.toml:1")),
        (|account| account.expires = Some("2026-11-21".parse().unwrap()), "expired", Some("users.toml:1")),
        (closed_on_sundays, "outside_hours", Some("users.toml:7")),
        (|account| account.home = "/srv/elsewhere".into(), "home_changed", Some("users.toml:1")),
        (
            |account| {
                let network = "192.0.2.0/24".parse().unwrap();
                account.terms.addresses.deny.push(NetworkRule { network, source: source() });
            },
            "ip_not_allowed",
            Some("users.toml:7"),
        ),
    ];
    for (made, reason, rule) in changes {
        let mut dialogue = Dialogue::new().at(Stage::Files);
        change(&mut dialogue, made);
        assert_eq!(dialogue.say("PWD"), [421], "{reason}");
        assert_eq!(ended(&dialogue), Some((reason, rule)));
        assert!(dialogue.session.stage().is_none());
        let events: Vec<Event> = dialogue.records.iter().map(|record| record.event).collect();
        assert!(events.ends_with(&[Event::SessionEndedByPolicy, Event::SessionClosed]), "{events:?}");
    }
}

#[test]
fn a_user_who_is_gone_from_the_policy_is_shut_out_too() {
    let mut dialogue = Dialogue::new().at(Stage::Files);
    Arc::make_mut(&mut dialogue.policy).users.clear();
    assert_eq!(dialogue.say("no such command"), [421]);
    assert_eq!(ended(&dialogue), Some(("unknown_user", None)));
}

#[test]
fn an_idle_session_ends_when_it_is_looked_at() {
    let mut dialogue = Dialogue::new().at(Stage::Files);
    assert_eq!(dialogue.input(Input::PolicyChanged), [0; 0], "nothing has changed for it");
    disable(&mut dialogue);
    assert_eq!(dialogue.input(Input::PolicyChanged), [421]);
    assert_eq!(dialogue.input(Input::PolicyChanged), [0; 0], "it is closed already");
    assert_eq!((dialogue.recorded(Event::SessionEndedByPolicy), dialogue.recorded(Event::SessionClosed)), (1, 1));
}

#[test]
fn before_the_login_there_is_nobody_to_judge() {
    for stage in [Stage::Cleartext, Stage::Login] {
        let mut dialogue = Dialogue::new().at(stage);
        disable(&mut dialogue);
        assert_eq!(dialogue.input(Input::PolicyChanged), [0; 0]);
        assert_eq!(dialogue.session.stage(), Some(stage));
    }
}

#[test]
fn quit_is_answered_as_always() {
    let mut dialogue = Dialogue::new().at(Stage::Files);
    disable(&mut dialogue);
    assert_eq!(dialogue.say("QUIT"), [221]);
    assert_eq!(ended(&dialogue), None);
}

#[test]
fn what_a_user_moves_who_is_shut_out_is_stopped() {
    type Notice = fn(&mut Dialogue) -> Vec<u16>;
    let notices: [Notice; 3] = [
        |dialogue| dialogue.input(Input::PolicyChanged),
        |dialogue| dialogue.say("NOOP"),
        |dialogue| dialogue.say("ABOR"),
    ];
    for notice in notices {
        let mut dialogue = Dialogue::new().moving();
        disable(&mut dialogue);
        assert_eq!(notice(&mut dialogue), [0; 0]);
        assert!(dialogue.aborted && ended(&dialogue).is_some());
        assert_eq!(dialogue.end(Err(MoveFault::Aborted)), [426, 421]);
        assert!(dialogue.session.stage().is_none());
    }
}

#[test]
fn a_hash_for_a_user_who_is_shut_out_is_stopped() {
    let mut dialogue = Dialogue::new().at(Stage::Files);
    assert_eq!(dialogue.say("HASH /long"), [0; 0]);
    disable(&mut dialogue);
    assert_eq!(dialogue.input(Input::PolicyChanged), [0; 0]);
    assert!(dialogue.aborted);
    assert_eq!(dialogue.end_hash(MoveFault::Aborted), [426, 421]);
}

#[test]
fn what_moves_when_the_hours_end_may_come_to_its_end() {
    let mut dialogue = Dialogue::new().moving();
    change(&mut dialogue, closed_on_sundays);
    assert_eq!(dialogue.input(Input::PolicyChanged), [0; 0]);
    assert_eq!(dialogue.say("STAT"), [213]);
    assert_eq!(dialogue.say("PWD"), [0; 0]);
    assert!(!dialogue.aborted && ended(&dialogue).is_none());
    assert_eq!(dialogue.end(Ok(())), [226, 421], "what waited behind it is not served any more");
    assert_eq!(ended(&dialogue), Some(("outside_hours", Some("users.toml:7"))));
}

#[test]
fn the_transfer_that_a_client_left_behind_is_stopped_as_well() {
    let mut dialogue = Dialogue::new().moving();
    assert_eq!(dialogue.say("QUIT"), [0; 0]);
    assert_eq!(dialogue.input(Input::PeerGone), [0; 0]);
    assert!(!dialogue.aborted, "it said QUIT, so its transfer may finish");
    disable(&mut dialogue);
    assert_eq!(dialogue.input(Input::PolicyChanged), [0; 0]);
    assert!(dialogue.aborted && ended(&dialogue).is_some());
    assert_eq!(dialogue.end(Err(MoveFault::ControlGone)), [0; 0]);
    assert!(dialogue.session.stage().is_none());
}

#[test]
fn a_login_outside_of_hours_hears_what_every_failed_login_hears() {
    let mut dialogue = Dialogue::new().at(Stage::Login);
    change(&mut dialogue, closed_on_sundays);
    dialogue.say("USER alice");
    assert_eq!(dialogue.say("PASS right"), [530]);
    assert_eq!(reason(dialogue.records.last().unwrap()), Some("outside_hours"));
}

#[test]
fn a_session_too_many_is_told_so_and_counts_as_no_guess() {
    let mut dialogue = Dialogue::new().at(Stage::Login);
    change(&mut dialogue, |account| account.terms.limits.sessions = Some(0));
    dialogue.say("USER alice");
    assert_eq!(dialogue.say("PASS right"), [421]);
    let failure = dialogue.records.iter().find(|record| record.event == Event::LoginFailure).unwrap();
    assert_eq!((reason(failure), &failure.codes[..]), (Some("user_sessions"), &[421][..]));
    assert_eq!(dialogue.recorded(Event::LoginSuccess), 0);
    assert!(dialogue.session.stage().is_none());
}
