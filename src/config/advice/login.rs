//! Accounts that nobody can log in to, and lists of addresses that contradict each other.

use ipnet::IpNet;
use jiff::civil::Date;

use super::super::findings::{Findings, shown};
use crate::policy::Policy;
use crate::policy::account::{Account, Group};
use crate::policy::factor::SecondFactor;
use crate::policy::network::{AddressRules, NetworkRule};

/// Warns of what keeps accounts out, and of lists that say two things.
pub(super) fn advise(policy: &Policy, today: Date, findings: &mut Findings) {
    advise_of_lists(&policy.networks, "[networks]", findings);
    for (name, group) in &policy.groups {
        advise_of_lists(&group.terms.addresses, &format!("group {}", shown(name)), findings);
    }
    let denied_by_server = aggregated(&policy.networks.deny);
    for account in policy.users.values().filter(|account| account.enabled) {
        let place = findings.place_of_rule(&account.source);
        if let Some(last) = account.expires.filter(|last| *last < today) {
            let message = format!("the account of {} ended on {last}: nobody logs in with it", account.name);
            findings.warning(place, message, "remove it, set a new `expires`, or write enabled = false");
            continue;
        }
        advise_of_lists(&account.terms.addresses, &format!("user {}", account.name), findings);
        let (server, own) = (&policy.networks, &account.terms.addresses);
        if !server.allow.is_empty() && !anybody_comes(&server.allow, own, &denied_by_server) {
            let message = format!("{} can log in from nowhere: no address passes all of its lists", account.name);
            let help = "compare `allow-from` and `deny-from` of the user and its groups with [networks]";
            findings.warning(place, message, help);
        }
        advise_of_factors(account, findings);
        let groups: Vec<&Group> = account.groups.iter().filter_map(|name| policy.groups.get(name)).collect();
        advise_of_groups(account, &groups, findings);
    }
}

/// Networks that a list allows and the list beside it denies as a whole.
fn advise_of_lists(lists: &AddressRules, whose: &str, findings: &mut Findings) {
    let denied = aggregated(&lists.deny);
    for rule in &lists.allow {
        if denied.iter().any(|network| network.contains(&rule.network)) {
            let message = format!("{} is both allowed and denied for {whose}, so it is denied", rule.network);
            let place = findings.place_of_rule(&rule.source);
            let help = "take it out of one of the two lists";
            findings.warning_once(place, message, help);
        }
    }
}

/// The networks of a list, as few as possible.
fn aggregated(list: &[NetworkRule]) -> Vec<IpNet> {
    IpNet::aggregate(&list.iter().map(|rule| rule.network).collect())
}

/// Whether some address may be in both allow lists, where the second one says something, and in
/// neither list of what is denied.
fn anybody_comes(server: &[NetworkRule], own: &AddressRules, denied_by_server: &[IpNet]) -> bool {
    let denied = aggregated(&own.deny);
    let left = |network: &IpNet| !denied.iter().chain(denied_by_server).any(|denied| denied.contains(network));
    // Of two networks that meet, one lies in the other.
    let common = |one: &IpNet, other: &IpNet| match (one.contains(other), other.contains(one)) {
        (true, _) => Some(*other),
        (_, true) => Some(*one),
        _ => None,
    };
    server.iter().any(|outer| match own.allow.as_slice() {
        [] => left(&outer.network),
        own => own.iter().filter_map(|inner| common(&outer.network, &inner.network)).any(|network| left(&network)),
    })
}

/// What has to be shown and is not there.
fn advise_of_factors(account: &Account, findings: &mut Findings) {
    let (no_secret, no_certificate) = (account.totp_secret.is_none(), account.certificates.is_empty());
    let name = &account.name;
    let enrol = format!("portcullis user totp enable {name}");
    let list = "list the user's certificates: certificates = [\"sha256:…\"]";
    let missing = match account.second_factor() {
        SecondFactor::Totp if no_secret => Some(("`totp-secret`", enrol)),
        SecondFactor::Certificate if no_certificate => Some(("`certificates`", list.to_owned())),
        SecondFactor::Any if no_secret && no_certificate => {
            Some(("`totp-secret` and no `certificates`", format!("{list}, or give a secret: {enrol}")))
        }
        _ => None,
    };
    let place = findings.place_of_rule(&account.source);
    if let Some((what, help)) = missing {
        let factor = account.second_factor();
        let message = format!("{name} cannot log in: second-factor \"{factor}\" holds, and there is no {what}");
        findings.warning(place, message, help);
    } else if account.certificate_alone && no_certificate {
        let message = format!("a certificate alone shall suffice for {name}, and there are no `certificates`");
        findings.warning(place, message, format!("{list}, or take `certificate-alone` away"));
    }
}

/// What the user's own lines say against those of its groups.
fn advise_of_groups(account: &Account, groups: &[&Group], findings: &mut Findings) {
    let of_groups: Vec<IpNet> =
        groups.iter().flat_map(|group| &group.terms.addresses.allow).map(|rule| rule.network).collect();
    let of_groups = IpNet::aggregate(&of_groups);
    for rule in account.terms.addresses.allow.iter().filter(|_| !of_groups.is_empty()) {
        if !of_groups.iter().any(|network| network.contains(&rule.network)) {
            let networks = of_groups.iter().take(4).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let message = format!(
                "{} lets {} in from more than its groups do, which allow {networks}",
                rule.network, account.name
            );
            let help = "a user's own `allow-from` counts instead of the groups': narrow it, or widen that of the group";
            findings.warning(findings.place_of_rule(&rule.source), message, help);
        }
    }
    let Some(own) = &account.terms.hours else { return };
    let mut hours = groups.iter().filter_map(|group| group.terms.hours.as_ref());
    if let Some(first) = hours.next()
        && !own.overlap(first)
        && !hours.any(|hours| own.overlap(hours))
    {
        let message = format!("the hours of {} have no minute in common with those of its group", account.name);
        let help = format!("the user's own count instead of those at {}: check that this is meant", first.source);
        findings.warning(findings.place_of_rule(&own.source), message, help);
    }
}
