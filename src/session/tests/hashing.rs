//! Hashes: what is admitted, how a part is chosen, and what may be said while one is computed.

use super::Dialogue;
use crate::audit::event::Event;
use crate::audit::record::{Detail, Outcome};
use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::hash::{Algorithm, Offered};
use crate::rules::Stage;
use crate::session::Input;
use crate::session::effect::{MoveFault, Question};

fn logged_in() -> Dialogue {
    Dialogue::new().at(Stage::Files)
}

/// The range that the last record of a hash tells; none where the whole file was hashed.
fn range(dialogue: &Dialogue) -> Option<Detail> {
    let record = dialogue.records.iter().rev().find(|record| record.event == Event::FileHash).unwrap();
    record.details.iter().find(|(name, _)| *name == "hash_range").map(|(_, detail)| detail.clone())
}

#[test]
fn rang_holds_for_the_next_hash_alone() {
    let mut dialogue = logged_in();
    for (line, code) in [("PBSZ 0", 200), ("PROT P", 200), ("RANG 1 2", 350), ("XSHA256 a", 250)] {
        assert_eq!(dialogue.say(line), [code], "{line}");
    }
    assert_eq!(range(&dialogue), None);
    assert_eq!(dialogue.say("HASH a"), [213]);
    assert_eq!(range(&dialogue), Some(Detail::Text("1-2".into())));
    assert_eq!(dialogue.say("HASH a"), [213]);
    assert_eq!(range(&dialogue), None);
}

#[test]
fn rang_is_taken_back_by_its_reset_and_by_what_cannot_be_read() {
    for (line, code) in [("RANG 1 0", 350), ("RANG 4 3", 501), ("RANG x", 501)] {
        let mut dialogue = logged_in();
        assert_eq!(dialogue.say("RANG 1 2"), [350]);
        assert_eq!(dialogue.say(line), [code], "{line}");
        assert_eq!(dialogue.say("HASH a"), [213]);
        assert_eq!(range(&dialogue), None, "{line}");
    }
    let mut dialogue = logged_in();
    assert_eq!(dialogue.say("RANG 7 9"), [350]);
    assert_eq!(dialogue.say("HASH a"), [554]);
}

#[test]
fn only_what_is_offered_can_be_chosen() {
    let mut dialogue = logged_in();
    for (line, code) in
        [("OPTS HASH", 200), ("OPTS HASH sha-512", 200), ("OPTS HASH CRC-37", 501), ("OPTS HASH MD5", 504)]
    {
        assert_eq!(dialogue.say(line), [code], "{line}");
    }
    for line in ["XMD5 a", "XSHA1 a", "XSHA a"] {
        assert_eq!(dialogue.say(line), [504], "{line}");
    }
    dialogue.session.settings.hashes = Offered::default().with(Algorithm::Md5);
    for (line, code) in [("OPTS HASH MD5", 200), ("XMD5 a", 250), ("XSHA1 a", 504), ("HASH a", 213)] {
        assert_eq!(dialogue.say(line), [code], "{line}");
    }
}

#[test]
fn a_whole_file_needs_hash_or_read_and_a_part_of_it_read() {
    for (permission, whole, part) in
        [(Permission::Read, true, true), (Permission::Hash, true, false), (Permission::List, false, false)]
    {
        let mut dialogue = Dialogue::with(PermissionSet::of(&[permission]), false).at(Stage::Files);
        let code = |permitted: bool, code: u16| if permitted { code } else { 550 };
        assert_eq!(dialogue.say("HASH a"), [code(whole, 213)], "{permission}");
        assert_eq!(dialogue.say("XCRC \"a\""), [code(whole, 250)], "{permission}");
        // Byte by byte, the hashes of parts are the content.
        assert_eq!(dialogue.say("RANG 0 0"), [350]);
        assert_eq!(dialogue.say("HASH a"), [code(part, 213)], "{permission}");
        assert_eq!(dialogue.say("XCRC \"a\" 0 1"), [code(part, 250)], "{permission}");
        let permitted = [whole, whole, part, part].into_iter().filter(|permitted| *permitted).count();
        assert_eq!(dialogue.recorded(Event::FileHash), permitted, "{permission}");
        assert_eq!(dialogue.recorded(Event::AccessDenied), 4 - permitted, "{permission}");
    }
}

#[test]
fn what_cannot_be_read_or_named_asks_for_nothing() {
    let mut dialogue = logged_in();
    for (line, code) in [("XCRC \"a\" 5", 501), ("XCRC \"a\" 5 2", 501), ("HASH \u{1}", 550), ("HASH", 501)] {
        assert_eq!(dialogue.say(line), [code], "{line}");
        assert!(dialogue.open.is_none(), "{line}");
    }
    assert_eq!(dialogue.say("HASH missing"), [550]);
    let record = dialogue.records.last().unwrap();
    assert_eq!((record.event, &record.outcome), (Event::FileHash, &Outcome::Failure("not_found")));
}

#[test]
fn while_a_hash_is_computed_all_but_abor_waits_for_its_answer() {
    let mut dialogue = logged_in();
    assert_eq!(dialogue.say("HASH long"), [0u16; 0]);
    assert!(dialogue.session.is_transferring());
    for line in ["STAT", "NOOP", "PWD", "HASH a", "ABOR"] {
        assert_eq!(dialogue.say(line), [0u16; 0], "{line}");
    }
    assert!(dialogue.aborted);
    assert_eq!(dialogue.end_hash(MoveFault::Aborted), [426, 226, 211, 200, 257, 213]);
    assert_eq!(dialogue.recorded(Event::FileHash), 2);
    assert_eq!(dialogue.say("ABOR"), [225]);
}

#[test]
fn no_way_of_ending_a_session_loses_its_hash() {
    let mut gone = logged_in();
    gone.say("HASH long");
    assert_eq!(gone.input(Input::PeerGone), [0u16; 0]);
    assert!(gone.aborted);
    assert_eq!(gone.end_hash(MoveFault::ControlGone), [0u16; 0]);
    assert_eq!((gone.recorded(Event::FileHash), gone.recorded(Event::SessionClosed)), (1, 1));

    let mut quit = logged_in();
    quit.say("HASH long");
    assert_eq!(quit.say("QUIT"), [0u16; 0]);
    assert_eq!(quit.input(Input::PeerGone), [0u16; 0]);
    assert!(quit.aborted, "nobody is there to hear of it");

    let mut stopped = logged_in();
    stopped.say("HASH long");
    assert_eq!(stopped.end_hash(MoveFault::Stopping), [426, 421]);

    for (fault, code) in [(MoveFault::NoTurn, 450), (MoveFault::TooLong, 556)] {
        let mut dialogue = logged_in();
        dialogue.say("HASH long");
        assert_eq!(dialogue.end_hash(fault), [code]);
        assert_eq!(dialogue.say("NOOP"), [200]);
    }
}

#[test]
fn an_x_form_is_a_name_first_and_then_a_name_and_a_part() {
    let mut dialogue = logged_in();
    let asked = |dialogue: &mut Dialogue, line: &str| -> Vec<String> {
        dialogue.input(Input::Line(Ok(zeroize::Zeroizing::new(line.as_bytes().to_vec())), 0));
        let Some(Question::Hash(order)) = &dialogue.open else { panic!("{line} asks for a hash") };
        let paths = order.candidates.iter().map(|candidate| candidate.grant.path().to_string()).collect();
        while let Some(answer) = dialogue.answer() {
            dialogue.input(answer);
        }
        paths
    };
    assert_eq!(asked(&mut dialogue, "XCRC a 0 2"), ["/a 0 2", "/a"]);
    assert_eq!(range(&dialogue), Some(Detail::Text("0-1".into())));
    assert_eq!(asked(&mut dialogue, "XCRC \"a b\""), ["/\"a b\"", "/a b"]);
    assert_eq!(asked(&mut dialogue, "XCRC a"), ["/a"]);
    // HASH takes its argument as it stands.
    assert_eq!(asked(&mut dialogue, "HASH a 0 2"), ["/a 0 2"]);
}
