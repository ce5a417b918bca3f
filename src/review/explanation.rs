//! One decision with everything that took part in it: the checks of the login and the rules that
//! speak of the path, in order, the deciding one marked.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::login::{self, Step, Verdict};
use super::terms::{self, Limit};
use crate::policy::Policy;
use crate::policy::account::Account;
use crate::policy::grant::{Denial, DenialReason, RuleSource};
use crate::policy::permission::{Permission, PermissionSet};
use crate::policy::supposed::Supposed;
use crate::proto::path::VirtualPath;
use crate::proto::verb::Verb;
use crate::rules::action::Action;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Who does it.
    pub account: &'a Account,
    /// From where; without an address, what depends on one is left out.
    pub from: Option<IpAddr>,
    /// When.
    pub at: Timestamp,
    /// What is done.
    pub action: Action,
    /// On which path, of `STOU` in which directory; none for the login.
    pub path: Option<VirtualPath>,
    /// The new name of a rename.
    pub renamed_to: Option<VirtualPath>,
}

/// A decision and what took part in it.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The user.
    pub user: String,
    /// The address; none where what depends on one was left out.
    pub from: Option<IpAddr>,
    /// The moment, RFC 3339.
    pub at: String,
    /// What is done.
    pub action: String,
    /// The path.
    pub path: Option<String>,
    /// The new name of a rename.
    pub renamed_to: Option<String>,
    /// Whether it is allowed.
    pub allowed: bool,
    /// What decided.
    pub decided_by: Deciding,
    /// What is asked at the login, in order.
    pub login: Vec<Step>,
    /// What is asked of each path; nothing for the login.
    pub parts: Vec<Part>,
    /// Bounds that hold besides.
    pub limits: Vec<Limit>,
    /// What would have to be otherwise; none where it is allowed.
    pub needed: Option<String>,
}

/// What decided, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deciding {
    /// In words, such as `rule /in/** of user alice`.
    pub what: String,
    /// The file and line; none where nothing in particular says it.
    pub source: Option<String>,
}

/// What is said of one permission on one path, or of any permission at all.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// The path.
    pub path: String,
    /// The permission; none where any will do.
    pub permission: Option<&'static str>,
    /// The case in which the command needs this one.
    pub when: Option<&'static str>,
    /// Whether it is granted.
    pub allowed: bool,
    /// What speaks of it, the deciding thing first.
    pub considered: Vec<Considered>,
    /// Where the path lies on this machine.
    pub stored: Option<String>,
}

/// One thing that the policy says of it.
#[derive(Clone, Debug, Serialize)]
pub struct Considered {
    /// Whether it allows or denies.
    pub allows: bool,
    /// What it is.
    pub what: String,
    /// The file and line.
    pub source: Option<String>,
    /// Whether it decides.
    pub decides: bool,
}

/// Explains what the policy decides.
pub fn explain(policy: &Policy, question: &Question<'_>) -> Explanation {
    let login = login::steps(policy, question);
    let failed = login.iter().find(|step| step.verdict == Verdict::Failed);
    let mut parts = Vec::new();
    let mut path_allowed = true;
    for (action, path) in asked(question) {
        let one = One { policy, question, action, path: &path };
        let (allowed, of_path) = one.judged();
        path_allowed &= allowed;
        parts.extend(of_path);
    }
    let allowed = failed.is_none() && path_allowed;
    let decided_by = match (failed, deciding_part(&parts, path_allowed)) {
        (Some(step), _) => Deciding { what: step.name.to_owned(), source: step.source.clone() },
        (None, Some(decided)) => decided,
        (None, None) => Deciding { what: "login".to_owned(), source: Some(question.account.source.to_string()) },
    };
    let needed = match failed {
        Some(step) => step.needed.clone(),
        None if allowed => None,
        None => parts.iter().find(|part| !part.allowed).map(|part| needed(part, question)),
    };
    let text = |path: &Option<VirtualPath>| path.as_ref().map(ToString::to_string);
    Explanation {
        user: question.account.name.to_string(),
        from: question.from,
        at: question.at.to_string(),
        action: question.action.to_string(),
        path: text(&question.path),
        renamed_to: text(&question.renamed_to),
        allowed,
        decided_by,
        limits: terms::limits(policy, question),
        login,
        parts,
        needed,
    }
}

/// The commands that the session would judge, each with its path.
fn asked(question: &Question<'_>) -> Vec<(Action, VirtualPath)> {
    let action = if question.renamed_to.is_some() { Action::Verb(Verb::Rnfr) } else { question.action };
    let first = question.path.iter().map(|path| (action, action.judged_path(path)));
    first.chain(question.renamed_to.iter().map(|path| (Action::Verb(Verb::Rnto), path.clone()))).collect()
}

/// The address to judge by where none is given: one for which no exception of the user was made.
pub(super) fn address(question: &Question<'_>) -> IpAddr {
    question.from.unwrap_or_else(|| {
        let exceptions = question.account.terms.path_exceptions.iter();
        super::networks::outside(exceptions.filter_map(|exception| exception.clients))
    })
}

/// What decided about the paths: of a denial what denies, else what allows.
fn deciding_part(parts: &[Part], allowed: bool) -> Option<Deciding> {
    let part = parts.iter().find(|part| part.allowed == allowed).or_else(|| parts.first())?;
    let first = part.considered.first()?;
    Some(Deciding { what: first.what.clone(), source: first.source.clone() })
}

/// One command on one path.
struct One<'a> {
    policy: &'a Policy,
    question: &'a Question<'a>,
    action: Action,
    path: &'a VirtualPath,
}

impl One<'_> {
    /// Whether the command is allowed, and what is said of each permission that matters to it.
    fn judged(&self) -> (bool, Vec<Part>) {
        let (policy, account, at) = (self.policy, self.question.account, self.question.at);
        let (address, wanted) = (address(self.question), self.action.wanted());
        let outcome = if self.action.is_passing() {
            policy.suppose_pass(account, address, self.path, at)
        } else {
            policy.suppose(account, address, wanted, self.path, at)
        };
        if self.action == Action::Verb(Verb::Rnfr) && self.path.is_root() {
            return (false, vec![self.part(None, false, vec![denies("the root keeps its name", None)], None)]);
        }
        let stored = outcome.as_ref().ok().map(stored);
        if wanted == PermissionSet::ALL {
            let allowed = outcome.is_ok();
            return (allowed, vec![self.part(None, allowed, self.anything(outcome), stored)]);
        }
        let granted = outcome.as_ref().map_or(PermissionSet::NONE, |supposed| supposed.permissions);
        let cases = self.action.cases().iter().map(|case| (case.permission, Some(case.when)));
        let one = wanted.iter().filter(|_| self.action.cases().is_empty()).map(|permission| (permission, None));
        let parts: Vec<Part> = cases
            .chain(one)
            .map(|(permission, when)| {
                let allowed = granted.contains(permission);
                let considered = self.considered(permission, allowed, outcome.as_ref().err());
                let part = self.part(Some(permission), allowed, considered, stored.clone());
                Part { when, ..part }
            })
            .collect();
        // Whatever it replaces: what has another name afterwards has to be renamed.
        let suffices = if self.action == Action::Verb(Verb::Rnto) {
            granted.contains(Permission::Rename)
        } else {
            outcome.is_ok()
        };
        (suffices, parts)
    }

    fn part(
        &self,
        permission: Option<Permission>,
        allowed: bool,
        considered: Vec<Considered>,
        stored: Option<String>,
    ) -> Part {
        let permission = permission.map(Permission::word);
        Part { path: self.path.to_string(), permission, when: None, allowed, considered, stored }
    }

    fn spoken(&self, permission: Permission) -> Vec<Considered> {
        let (account, at) = (self.question.account, self.question.at);
        let all = self.policy.considerations(account, address(self.question), permission, self.path, at);
        let one = |one: crate::policy::decision::Consideration| Considered {
            allows: one.allows,
            what: one.what,
            source: Some(one.source.to_string()),
            decides: false,
        };
        all.into_iter().map(one).collect()
    }

    /// What speaks of a permission, behind what keeps it from being granted all the same.
    fn considered(&self, permission: Permission, allowed: bool, denial: Option<&Denial>) -> Vec<Considered> {
        let mut spoken = self.spoken(permission);
        let alone = || {
            let one = PermissionSet::of(&[permission]);
            let (account, at) = (self.question.account, self.question.at);
            self.policy.suppose(account, address(self.question), one, self.path, at).err()
        };
        if spoken.first().is_some_and(|first| first.allows) && !allowed {
            let special = |denial: &Denial| denial.reason != DenialReason::NotPermitted;
            let denial = denial.filter(|denial| special(denial)).cloned().or_else(alone);
            spoken.insert(0, self.kept_from(denial.as_ref()));
        }
        if spoken.is_empty() {
            spoken.push(denies("nothing allows it", alone().and_then(|denial| denial.rule).as_ref()));
        }
        mark(spoken)
    }

    /// What denies although the rules about the path allow.
    fn kept_from(&self, denial: Option<&Denial>) -> Considered {
        let terms = &self.question.account.terms;
        let source = denial.and_then(|denial| denial.rule.as_ref());
        let what = match denial.map(|denial| denial.reason) {
            Some(DenialReason::Name) => {
                let rule = terms.rules.iter().find(|rule| Some(&rule.source) == source);
                rule.map_or("names".to_owned(), |rule| format!("names of rule {} of {}", rule.pattern, rule.holder))
            }
            Some(DenialReason::MountPoint) => {
                let mount = terms.mounts.iter().find(|mount| Some(&mount.source) == source);
                mount.map_or("mount".to_owned(), |mount| format!("mount {} of {}", mount.path, mount.holder))
            }
            _ => "the account is disabled".to_owned(),
        };
        denies(what, source)
    }

    /// What allows anything at all on the path, or below it; else everything that denies.
    fn anything(&self, outcome: Result<Supposed, Denial>) -> Vec<Considered> {
        let mut all: Vec<Considered> = Vec::new();
        for permission in Permission::ALL {
            let first = self.spoken(permission).into_iter().next();
            let first = first.filter(|one| one.allows == outcome.is_ok());
            all.extend(first.filter(|one| !all.iter().any(|other| other.source == one.source)));
        }
        if all.is_empty() {
            all.push(match outcome {
                Ok(_) => Considered {
                    allows: true,
                    what: "something below it may be permitted".to_owned(),
                    source: None,
                    decides: false,
                },
                Err(denial) => denies("nothing allows anything there or below it", denial.rule.as_ref()),
            });
        }
        mark(all)
    }
}

fn denies(what: impl Into<String>, source: Option<&RuleSource>) -> Considered {
    Considered { allows: false, what: what.into(), source: source.map(ToString::to_string), decides: false }
}

fn mark(mut considered: Vec<Considered>) -> Vec<Considered> {
    if let Some(first) = considered.first_mut() {
        first.decides = true;
    }
    considered
}

fn stored(supposed: &Supposed) -> String {
    let below = supposed.stored.as_str().trim_start_matches('/');
    let path = if below.is_empty() { supposed.root.clone() } else { supposed.root.join(below) };
    path.display().to_string().escape_debug().to_string()
}

/// What would have to be otherwise for a part to be allowed.
fn needed(part: &Part, question: &Question<'_>) -> String {
    let word = part.permission.unwrap_or("list");
    let first = part.considered.first();
    let what = first.map_or("", |first| first.what.as_str());
    let at = first.and_then(|first| first.source.as_deref()).unwrap_or("users.toml");
    if what.starts_with("names of ") {
        format!("another name, or other `names-allowed` and `names-forbidden` at {at}")
    } else if what.starts_with("mount ") && !word.is_empty() && part.considered.iter().any(|one| one.allows) {
        format!("nothing: a folder is mounted there (at {at}), and stays where it is")
    } else if what.starts_with("mount ") {
        format!("`{word}` among the permissions of the mount at {at}, or a rule with a longer path that allows it")
    } else if what.starts_with("rule ") {
        format!(
            "a rule that allows `{word}` with a more specific path than the one at {at}, or `{word}` not denied there"
        )
    } else if what == "the root keeps its name" {
        "another path".to_owned()
    } else {
        let path = &part.path;
        let name = &question.account.name;
        format!(
            "`{word}` in `permissions`, or a rule that allows it: [[user.{name}.rule]] path = \"{path}\" allow = [\"{word}\"]"
        )
    }
}
