use super::*;
use crate::trail::verify::verdict::Trust;

#[test]
fn another_key_proves_nothing() {
    let mut log = Log::ordinary();
    log.keys = vec![key().public()];
    let verdict = log.verdict();
    finds(&verdict, Kind::UnknownKey, 2);
    assert_eq!((verdict.checkpoints, verdict.state.exit_code()), (0, 5));
}

#[test]
fn without_any_key_the_chain_alone_is_no_proof() {
    let mut log = Log::ordinary();
    log.keys.clear();
    let verdict = log.verdict();
    assert_eq!((verdict.state, verdict.first_finding().unwrap().kind), (State::Warning, Kind::Unsigned));
    assert_eq!(verdict.state.exit_code(), 3);
}

#[test]
fn trust_follows_the_key_that_the_one_before_agreed_to() {
    let log = Log::of(|made| {
        made.work(5);
        made.change_key(key(), true);
        made.work(5);
        made.change_key(key(), true);
        made.checkpoint("stop");
    });
    let verdict = log.verdict();
    assert_eq!(verdict.state, State::Proven, "{verdict:#?}");
    let trust: Vec<Trust> = verdict.keys.iter().map(|key| key.trust).collect();
    assert_eq!(trust, [Trust::Given, Trust::Succeeded, Trust::Succeeded]);
}

#[test]
fn the_newest_key_alone_proves_what_came_before_it() {
    let mut log = Log::of(|made| {
        made.work(5);
        made.change_key(key(), true);
        made.checkpoint("stop");
    });
    log.keys = vec![log.made.key.public()];
    let verdict = log.verdict();
    assert_eq!(verdict.state, State::Proven, "{verdict:#?}");
    let trusts = |trust| verdict.keys.iter().filter(|key| key.trust == trust).count();
    assert_eq!((verdict.keys.len(), trusts(Trust::Given), trusts(Trust::None)), (2, 1, 1));
}

#[test]
fn a_key_that_the_one_before_did_not_agree_to_is_told() {
    let mut log = Log::of(|made| {
        made.work(5);
        made.change_key(key(), false);
        made.checkpoint("stop");
    });
    finds(&log.verdict(), Kind::UnprovenKey, 8);
    // Whoever vouches for both says that it was meant.
    log.keys.push(log.made.key.public());
    assert_eq!(log.verdict().state, State::Proven);
}

#[test]
fn a_succession_that_was_made_up_is_told() {
    let log = Log::of(|made| {
        made.work(5);
        let (mine, theirs) = (key(), key());
        let real = std::mem::replace(&mut made.key, mine);
        made.change_key(theirs, true);
        made.key = real;
        made.checkpoint("stop");
    });
    let verdict = log.verdict();
    assert!(!verdict.keys.iter().any(|key| key.trust == Trust::Succeeded), "{verdict:#?}");
}

#[test]
fn a_checkpoint_of_another_log_is_none_of_this() {
    let log = Log::of(|made| {
        made.work(5);
        made.log = "01K9ZZZZZZZZZZZZZZZZZZZZZZ".to_owned();
        made.checkpoint("stop");
    });
    finds(&log.verdict(), Kind::OtherLog, 8);
}

#[test]
fn a_witness_is_believed_with_a_good_signature_alone() {
    let log = Log::ordinary();
    let mut options = log.with_witness();
    options.witnesses[0].head.seq += 100;
    let verdict = log.verdict_with(&options);
    assert_eq!(verdict.first_finding().unwrap().kind, Kind::BadSignature, "{verdict:#?}");
    let mut options = log.with_witness();
    options.witnesses[0].head.log = "01K9ZZZZZZZZZZZZZZZZZZZZZZ".to_owned();
    assert_eq!(log.verdict_with(&options).first_finding().unwrap().kind, Kind::OtherLog);
}
