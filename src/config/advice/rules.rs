//! Rules that decide nothing, for nobody who has them.

use std::collections::BTreeMap;

use super::super::findings::Findings;
use crate::policy::Policy;
use crate::policy::account::Account;
use crate::policy::idle::Idle;
use crate::policy::rule::PathRule;

/// Rules of one account beyond which they are not compared with each other: the work grows with their
/// number squared.
const COMPARED_MAX: usize = 500;

/// Warns of rules that decide nothing for any account that has them.
pub(super) fn advise(policy: &Policy, findings: &mut Findings) {
    let mut idle: Vec<(&PathRule, Option<Idle>)> = Vec::new();
    // Several rules may stand in one line.
    let mut known: BTreeMap<(&str, u32), Vec<usize>> = BTreeMap::new();
    for (account, rule) in
        policy.users.values().flat_map(|account| account.terms.rules.iter().map(move |r| (account, r)))
    {
        let same_line = known.entry((&rule.source.file, rule.source.line)).or_default();
        let at = same_line.iter().find(|at| idle.get(**at).is_some_and(|(one, _)| *one == rule));
        match at.and_then(|at| idle.get_mut(*at)) {
            // It counts for somebody.
            Some((_, None)) => {}
            Some((_, found)) => {
                if judge(account, rule).is_none() {
                    *found = None;
                }
            }
            None => {
                same_line.push(idle.len());
                idle.push((rule, judge(account, rule)));
            }
        }
    }
    for (rule, found) in idle {
        let Some(found) = found else { continue };
        let (message, help) = words(rule, &found);
        findings.warning(findings.place_of_rule(&rule.source), message, help);
    }
}

fn judge(account: &Account, rule: &PathRule) -> Option<Idle> {
    if account.terms.rules.len() > COMPARED_MAX { None } else { account.idle(rule) }
}

fn words(rule: &PathRule, idle: &Idle) -> (String, String) {
    let path = &rule.pattern;
    match idle {
        Idle::Overruled { permission, by, by_mount: true } => (
            format!("this rule never decides about `{permission}`: {by} denies whatever it does not permit"),
            format!("add it to the mount's `permissions`, or write a path that goes further, such as {path}/*"),
        ),
        Idle::Overruled { permission, by, by_mount: false } => (
            format!("this rule never decides about `{permission}`: {by} decides on all of its paths"),
            "remove one of the two, or give this one a path that says more exactly what it means".to_owned(),
        ),
        Idle::Repeats { of: Some(of) } => {
            (format!("this rule changes nothing: on {path}, {of} says the same"), "remove it".to_owned())
        }
        Idle::Repeats { of: None } => (
            format!("this rule changes nothing: on {path}, nothing allows what it denies"),
            "remove it: what nothing allows is denied".to_owned(),
        ),
        Idle::NoUploads => (
            format!("this rule asks something of uploads, and none are allowed on {path}"),
            "allow `create` or `overwrite` there, or remove the rule".to_owned(),
        ),
    }
}
