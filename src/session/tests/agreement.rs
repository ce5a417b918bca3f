//! What a live session gets, what an explanation says and what a test of `tests.toml` asserts are
//! the same: on policies and requests made by chance.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::dialogue::Dialogue;
use crate::config::Assertions;
use crate::policy::Policy;
use crate::proto::verb::Verb;
use crate::review::expectation::run;
use crate::review::tests::random::{self, Request};
use crate::review::{Explanation, Question, explain};
use crate::rules::action::Action;
use crate::rules::{Data, rule};

/// Where the dialogue's client is, and what its clock says.
const CLIENT: &str = "192.0.2.7";
const NOW_SECONDS: i64 = 1_795_328_102;

/// Whether the session does what is asked; the world around it has whatever is named.
fn served(policy: &Arc<Policy>, request: &Request) -> bool {
    let mut dialogue = Dialogue::new();
    dialogue.policy = Arc::clone(policy);
    dialogue.say("AUTH TLS");
    dialogue.say("USER alice");
    if dialogue.say("PASS right") != [230] {
        return false;
    }
    for line in ["PBSZ 0", "PROT P", "TYPE I"] {
        dialogue.say(line);
    }
    let (action, path) = (request.action, &request.path);
    let line = match action {
        Action::Verb(Verb::Mfmt) => format!("MFMT 20260101000000 {path}"),
        Action::SiteChmod => format!("SITE CHMOD 640 {path}"),
        Action::SiteUtime => format!("SITE UTIME 202601010000 {path}"),
        Action::Verb(Verb::Stou) => {
            dialogue.say(&format!("CWD {path}"));
            "STOU".to_owned()
        }
        other => format!("{other} {path}"),
    };
    if matches!(action, Action::Verb(verb) if rule(verb).data == Data::Needed) {
        dialogue.say("EPSV");
    }
    let mut codes = dialogue.say(&line);
    if let (Some(new), Some(350)) = (&request.renamed_to, codes.first()) {
        codes = dialogue.say(&format!("RNTO {new}"));
    }
    *codes.first().unwrap() < 400
}

fn explained(policy: &Policy, request: &Request) -> Explanation {
    let account = policy.users.values().next().unwrap();
    let question = Question {
        account,
        from: Some(CLIENT.parse().unwrap()),
        at: Timestamp::from_second(NOW_SECONDS).unwrap(),
        action: request.action,
        path: Some(request.path.clone()),
        renamed_to: request.renamed_to.clone(),
    };
    explain(policy, &question)
}

/// Whether the dialogue's world has what the command is for: it knows two directories.
fn fits(request: &Request) -> bool {
    let directory = ["/", "/dir"].contains(&request.path.as_str());
    match request.action {
        Action::Verb(Verb::Cwd | Verb::Stou) => directory,
        Action::Verb(Verb::Size | Verb::Mdtm | Verb::Hash | Verb::Xcrc) => !directory,
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn session_explanation_and_test_agree(
        pieces in random::pieces(),
        requests in prop::collection::vec(random::request().prop_filter("a file or a directory", fits), 4),
    ) {
        let Some(policy) = random::read(&pieces) else { return Ok(()) };
        for request in requests {
            let (served, explanation) = (served(&policy, &request), explained(&policy, &request));
            prop_assert!(served == explanation.allowed, "{request:?}, served: {served}, {explanation:#?}\n{}", pieces.concat());
            if request.renamed_to.is_none() {
                let (expect, by) = (if explanation.allowed { "allow" } else { "deny" }, &explanation.decided_by.what);
                let text = format!(
                    "[[test]]\nuser = \"alice\"\nfrom = \"{CLIENT}\"\nat = 2026-11-22T06:15:02Z\nverb = \"{}\"\npath = \
                     \"{}\"\nexpect = \"{expect}\"\nby = \"{by}\"\n",
                    request.action, request.path
                );
                let tested = run(&policy, &Assertions::parse(&text, &policy).unwrap(), Timestamp::UNIX_EPOCH);
                prop_assert!(tested.is_met() && tested.passed == 1, "{}", tested);
            }
        }
    }
}
