//! What a session asks for where the rules differ from path to path.

use super::dialogue::Dialogue;
use super::*;
use crate::policy::path_pattern::PathPattern;
use crate::policy::permission::Permission;
use crate::policy::rule::{NamePattern, PathRule, UploadTerms};

fn rule(pattern: &str, allow: &[Permission], deny: &[Permission]) -> PathRule {
    PathRule {
        pattern: PathPattern::parse(pattern).unwrap(),
        allow: PermissionSet::of(allow),
        deny: PermissionSet::of(deny),
        upload: UploadTerms::default(),
        holder: "user alice".into(),
        source: crate::policy::grant::RuleSource { file: "users.toml".into(), line: 9 },
    }
}

/// Logged in, with nothing permitted but what the rules say.
fn under(rules: Vec<PathRule>) -> Dialogue {
    let mut dialogue = Dialogue::with(PermissionSet::NONE, false);
    let alice = Arc::make_mut(&mut dialogue.policy).users.values_mut().next().unwrap();
    alice.terms.rules = rules;
    dialogue.at(Stage::Files)
}

fn ready(dialogue: &mut Dialogue) {
    for line in ["PBSZ 0", "PROT P", "EPSV"] {
        dialogue.say(line);
    }
}

#[test]
fn a_directory_that_leads_to_something_can_be_entered_and_not_listed() {
    let mut dialogue = under(vec![rule("/dir/in/**", &[Permission::Create], &[])]);
    assert_eq!(dialogue.say("CWD /dir"), [250]);
    assert_eq!(dialogue.say("CDUP"), [250]);
    assert_eq!(dialogue.say("MLST /dir"), [550]);
    assert_eq!(dialogue.say("CWD /other"), [550]);
    assert_eq!(dialogue.recorded(Event::AccessDenied), 2);
}

#[test]
fn who_may_not_look_hears_the_same_of_a_file_and_of_nothing() {
    for command in ["CWD", "AVBL", "SIZE", "MDTM", "MLST", "STAT", "HASH", "DELE", "RNFR"] {
        let heard = |path: &str| {
            let mut dialogue = under(vec![rule("/**", &[Permission::Create], &[])]);
            dialogue.say("TYPE I");
            dialogue.say(&format!("{command} {path}"));
            format!("{:?}", dialogue.heard.last())
        };
        assert_eq!(heard("/file"), heard("/missing"), "{command}");
    }
}

#[test]
fn the_name_that_stou_chooses_is_judged_in_its_directory() {
    let mut dialogue = under(vec![rule("/dir/upload-*", &[Permission::Create], &[])]);
    assert_eq!(dialogue.say("CWD /dir"), [250]);
    ready(&mut dialogue);
    assert_eq!(dialogue.say("STOU"), [150]);
    let mut named = rule("/dir/**", &[Permission::Create], &[]);
    named.upload.names_allowed = vec![NamePattern::parse("*.csv").unwrap()];
    let mut dialogue = under(vec![named]);
    assert_eq!(dialogue.say("CWD /dir"), [250]);
    ready(&mut dialogue);
    assert_eq!(dialogue.say("STOU"), [553]);
    assert_eq!(dialogue.say("AVBL"), [213], "what is taken as a file's name says nothing of the directory");
}

#[test]
fn a_pattern_needs_leave_to_list_its_directory_or_what_has_that_very_name() {
    let list = [Permission::List];
    let mut dialogue = under(vec![rule("/dir", &list, &[]), rule("/dir/a", &list, &[])]);
    ready(&mut dialogue);
    assert_eq!(dialogue.say("NLST /dir/*"), [150]);
    dialogue.end(Ok(()));
    for refused in ["NLST /dir/b", "NLST /*/a", "NLST /dir/*/*", "LIST /dir/b*/c"] {
        dialogue.say("EPSV");
        assert_eq!(dialogue.say(refused), [550], "{refused}");
    }
}

#[test]
fn a_right_that_was_taken_away_between_the_halves_of_a_rename_is_gone() {
    let mut dialogue = under(vec![rule("/**", &[Permission::Rename], &[])]);
    assert_eq!(dialogue.say("RNFR /a"), [350]);
    let alice = Arc::make_mut(&mut dialogue.policy).users.values_mut().next().unwrap();
    alice.terms.rules = vec![rule("/b", &[Permission::Rename], &[])];
    assert_eq!(dialogue.say("RNTO /b"), [550]);
    assert_eq!(dialogue.recorded(Event::FileRename), 0);
}
