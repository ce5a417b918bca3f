//! Rules that decide nothing, for nobody who has them.

use std::collections::BTreeMap;

use super::super::findings::Findings;
use super::alike::Alike;
use crate::policy::idle::Idle;
use crate::policy::rule::PathRule;

/// Warns of rules that decide nothing for any account that has them.
pub(super) fn advise(alike: &[Alike<'_>], findings: &mut Findings) {
    let mut idle: Vec<(&PathRule, Option<Idle>)> = Vec::new();
    // Several rules may stand in one line.
    let mut known: BTreeMap<(&str, u32), Vec<usize>> = BTreeMap::new();
    for (one, account) in alike.iter().filter_map(|one| Some((one, one.first()?))) {
        for rule in &account.terms.rules {
            let judge = || if one.judged { account.idle(rule) } else { None };
            let same_line = known.entry((&rule.source.file, rule.source.line)).or_default();
            let at = same_line.iter().find(|at| idle.get(**at).is_some_and(|(other, _)| *other == rule)).copied();
            match at.and_then(|at| idle.get_mut(at)) {
                // It counts for somebody.
                Some((_, None)) => {}
                Some((_, found)) => {
                    if judge().is_none() {
                        *found = None;
                    }
                }
                None => {
                    same_line.push(idle.len());
                    idle.push((rule, judge()));
                }
            }
        }
    }
    for (rule, found) in idle {
        let Some(found) = found else { continue };
        let (message, help) = words(rule, &found);
        findings.warning(findings.place_of_rule(&rule.source), message, help);
    }
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
