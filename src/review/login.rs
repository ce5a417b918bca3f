//! The checks of a login, one by one, with what each asks for.

use std::net::IpAddr;

use serde::Serialize;

use super::explanation::Question;
use crate::policy::factor::SecondFactor;
use crate::policy::grant::RuleSource;
use crate::policy::{Check, LoginDenial, Policy};
use crate::rules::action::Action;

/// One check of the login.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What is checked.
    pub name: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What is asked for.
    pub what: String,
    /// The file and line that decide it; none where nothing in particular does.
    pub source: Option<String>,
    /// What would have to be otherwise; none where it passes.
    pub needed: Option<String>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is met.
    Passed,
    /// It keeps the user out.
    Failed,
    /// It was left out, because it depends on an address and none was given.
    NotJudged,
    /// It depends on what is shown at the login.
    AskedAtLogin,
}

/// Every check, in the order in which the server makes them.
pub(super) fn steps(policy: &Policy, question: &Question<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = Check::ALL.into_iter().map(|check| step(policy, question, check)).collect();
    steps.extend(second_factor(question));
    steps.push(password(policy, question));
    let denial = question.from.and_then(|from| policy.suppose_enter(question.account, from, question.at).err());
    if let Some(denial) = denial.filter(|_| steps.iter().all(|step| step.verdict != Verdict::Failed)) {
        steps.push(Step {
            name: "login",
            verdict: Verdict::Failed,
            what: format!("{denial:?}"),
            source: None,
            needed: None,
        });
    }
    steps
}

fn step(policy: &Policy, question: &Question<'_>, check: Check) -> Step {
    let (account, at) = (question.account, question.at);
    let by_address = matches!(check, Check::ServerNetworks | Check::UserNetworks);
    let what = what(policy, question, check);
    let name = name(check);
    if by_address && question.from.is_none() {
        let what = "left out: no address was given (--from)".to_owned();
        return Step { name, verdict: Verdict::NotJudged, what, source: None, needed: None };
    }
    // What does not depend on an address takes any.
    let address = question.from.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    match policy.check(check, account, address, at) {
        Ok(source) => {
            let source = source.map(|source| source.to_string());
            Step { name, verdict: Verdict::Passed, what, source, needed: None }
        }
        Err(denial) => {
            let source = rule_of(denial).map(|source| source.to_string());
            let needed = Some(needed(check, question, source.as_deref()));
            Step { name, verdict: Verdict::Failed, what, source, needed }
        }
    }
}

fn name(check: Check) -> &'static str {
    match check {
        Check::ServerNetworks => "networks of the server",
        Check::Enabled => "account enabled",
        Check::Expiry => "last day of the account",
        Check::UserNetworks => "networks of the user",
        Check::Hours => "hours",
    }
}

fn what(policy: &Policy, question: &Question<'_>, check: Check) -> String {
    let account = question.account;
    let from = question.from.map_or_else(String::new, |from| from.to_canonical().to_string());
    match check {
        Check::ServerNetworks => format!("[networks] has to allow {from}"),
        Check::Enabled if account.enabled => "it is".to_owned(),
        Check::Enabled => "enabled = false".to_owned(),
        Check::Expiry => account.expires.map_or_else(|| "none".to_owned(), |last| last.to_string()),
        Check::UserNetworks if account.terms.addresses.allow.is_empty() => {
            format!("`deny-from` must not mean {from}")
        }
        Check::UserNetworks => format!("`allow-from` has to mean {from}, and `deny-from` must not"),
        Check::Hours => account.terms.hours.as_ref().map_or_else(
            || "always".to_owned(),
            |hours| {
                let windows: Vec<String> = hours.windows.iter().map(ToString::to_string).collect();
                let local = policy.zone.to_datetime(question.at);
                let zone = policy.zone.iana_name().unwrap_or("the policy's zone");
                format!("{}; it is {} in {zone}", windows.join(", "), local.strftime("%a %H:%M"))
            },
        ),
    }
}

fn rule_of(denial: LoginDenial) -> Option<RuleSource> {
    match denial {
        LoginDenial::Address(source) => source,
        LoginDenial::Disabled(source) | LoginDenial::AccountExpired(source) | LoginDenial::Hours(source) => {
            Some(source)
        }
        _ => None,
    }
}

fn needed(check: Check, question: &Question<'_>, source: Option<&str>) -> String {
    let name = &question.account.name;
    let at = source.map(|source| format!(" (see {source})")).unwrap_or_default();
    match check {
        Check::ServerNetworks => format!("the address among `allow` of [networks], and in no network of `deny`{at}"),
        Check::Enabled => format!("portcullis user enable {name}"),
        Check::Expiry => format!("a later `expires` of [user.{name}], or none{at}"),
        Check::UserNetworks => {
            format!("the address among the `allow-from` of the user or its groups, and in no `deny-from`{at}")
        }
        Check::Hours => format!("another moment, or wider `hours`{at}"),
    }
}

/// What has to be shown besides the password.
fn second_factor(question: &Question<'_>) -> Option<Step> {
    let account = question.account;
    let factor = account.second_factor();
    let possible = factor.is_met_by(account.showable());
    let enrol = match factor {
        SecondFactor::Certificate => format!("`certificates` of [user.{}]", account.name),
        _ => format!("portcullis user totp enable {}", account.name),
    };
    (factor != SecondFactor::None).then(|| Step {
        name: "second factor",
        verdict: if possible { Verdict::AskedAtLogin } else { Verdict::Failed },
        what: match factor {
            SecondFactor::Totp => "a code of the moment",
            SecondFactor::Certificate => "a client certificate of the user",
            SecondFactor::Any | SecondFactor::None => "a code of the moment or a client certificate of the user",
        }
        .to_owned()
            + if possible { "" } else { ", and the account has none" },
        source: Some(account.source.to_string()),
        needed: (!possible).then_some(enrol),
    })
}

/// Whether the password is one that suffices: one that has to be changed first lets the user in for
/// that alone.
fn password(policy: &Policy, question: &Question<'_>) -> Step {
    let account = question.account;
    let last = policy.password_expiry(account);
    let must_change = policy.must_change(account, question.at).filter(|_| account.showable().password);
    let changeable = account.may_change_password();
    let failed = must_change.is_some() && !(changeable && question.action == Action::Login);
    let until = last.map(|last| format!("; this one lasts until {last}")).unwrap_or_default();
    let first = match must_change {
        None => "",
        Some(_) if changeable => "; it lets the user in for changing it alone",
        Some(_) => "; it has to be changed, and the user may not change it",
    };
    let set = format!("portcullis user passwd {}", account.name);
    let alone =
        if account.certificate_alone { "the password, or a client certificate of the user" } else { "the password" };
    Step {
        name: "password",
        verdict: if failed { Verdict::Failed } else { Verdict::AskedAtLogin },
        what: format!("{alone}{until}{first}"),
        source: failed.then(|| account.source.to_string()),
        needed: failed.then(|| format!("a new password: {}{set}", if changeable { "SITE PSWD, or " } else { "" })),
    }
}
