//! Who can come at all, and for how long still.

use std::collections::BTreeSet;

use ipnet::IpNet;
use jiff::ToSpan;
use jiff::civil::Date;

use super::Examined;
use super::checks::Check;
use super::report::{Report, Severity};
use crate::config::shell::word;
use crate::policy::Policy;
use crate::policy::account::Account;
use crate::policy::exception::Exception;
use crate::policy::network::NetworkRule;

/// Days before an end at which it is told.
const DAYS_AHEAD: i32 = 14;
/// Names that are listed one by one.
const NAMED_MAX: usize = 10;

/// Makes all checks of this family, and those of the networks that come from the policy.
pub(super) fn check(examined: &Examined<'_>, today: Date, report: &mut Report) {
    let policy = &*examined.config.policy;
    networks(examined, report);
    login(policy, today, report);
    dates(policy, today, report);
    exceptions(policy, today, report);
    addresses(policy, report);
}

fn networks(examined: &Examined<'_>, report: &mut Report) {
    let any = examined.config.policy.networks.allow.iter().find(|rule| rule.network.prefix_len() == 0);
    match any {
        Some(rule) => {
            let help = "name the networks of your clients in [networks] allow, where they are known";
            report.add(Check::NetworksAny, Severity::Note, format!("{} may connect: everybody", rule.network), help);
        }
        None => report.ok(Check::NetworksAny, "known networks alone may connect"),
    }
    if examined.config.active {
        let help = "the firewall has to let this machine connect to clients; set enabled = false in [active] unless one needs it";
        report.add(Check::NetworksActive, Severity::Note, "active mode is on: the server connects to clients", help);
    } else {
        report.ok(Check::NetworksActive, "the server connects to nobody");
    }
}

fn list<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    let mut named: Vec<String> = items.iter().take(NAMED_MAX).map(one).collect();
    if let Some(more) = items.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}

/// Why an account is closed to its user from a day on, if it ever is: the last good day, and what ends.
fn end_of(account: &Account, policy: &Policy) -> Option<(Date, &'static str)> {
    let account_ends = account.expires.map(|date| (date, "the account"));
    let password_ends = policy.password_expiry(account).map(|date| (date, "the password"));
    account_ends.into_iter().chain(password_ends).min_by_key(|(date, _)| *date)
}

fn login(policy: &Policy, today: Date, report: &mut Report) {
    let check = Check::UsersLogin;
    let open = |account: &&Account| {
        let holds = |last: Option<Date>| last.is_none_or(|last| today <= last);
        // Who may change a password that has ended comes in for that.
        let password = holds(policy.password_expiry(account)) || account.may_change_password();
        account.enabled && holds(account.expires) && password
    };
    let count = policy.users.values().filter(open).count();
    let all = policy.users.len();
    if all == 0 {
        let help = "portcullis user add NAME --home DIR --generate";
        report.add(check, Severity::Warning, "there is no user, so nobody can log in", help);
    } else if count == 0 {
        let help = "portcullis user enable NAME, or portcullis user passwd NAME, as `portcullis user list` suggests";
        report.add(check, Severity::Warning, format!("none of {all} users can log in: disabled or expired"), help);
    } else {
        report.ok(check, format!("{count} of {all} users can log in"));
    }
}

fn dates(policy: &Policy, today: Date, report: &mut Report) {
    let check = Check::UsersDates;
    let soon = today.checked_add(DAYS_AHEAD.days()).unwrap_or(Date::MAX);
    let ends: Vec<(&Account, Date, &str)> = policy
        .users
        .values()
        .filter(|account| account.enabled)
        .filter_map(|account| end_of(account, policy).map(|(last, what)| (account, last, what)))
        .collect();
    let of = |(account, last, what): &(&Account, Date, &str)| format!("{what} of {} on {last}", account.name);
    let help = |(account, _, what): &(&Account, Date, &str)| match *what {
        "the password" => format!("portcullis user passwd {}", word(&account.name.to_string())),
        _ => "give it a later `expires` in users.toml, or remove it: portcullis user remove NAME".to_owned(),
    };
    let (over, coming): (Vec<_>, Vec<_>) =
        ends.into_iter().filter(|(_, last, _)| *last <= soon).partition(|(_, last, _)| *last < today);
    for (ends, word) in [(&over, "ended"), (&coming, "ends soon")] {
        if let Some(first) = ends.first() {
            report.add(check, Severity::Warning, format!("{word}: {}", list(ends, of)), help(first));
        }
    }
    if over.is_empty() && coming.is_empty() {
        report.ok(check, format!("no account or password ends within {DAYS_AHEAD} days"));
    }
}

/// Those that ended already are reported with the policy files.
fn exceptions(policy: &Policy, today: Date, report: &mut Report) {
    let check = Check::UsersExceptions;
    let of_users = policy.users.values().flat_map(|account| &account.terms.exceptions);
    let of_groups = policy.groups.values().flat_map(|group| &group.terms.exceptions);
    let bindings = of_users.chain(of_groups).chain(&policy.exceptions).map(|exception| exception.granting(()));
    let terms = policy.users.values().map(|account| &account.terms).chain(policy.groups.values().map(|g| &g.terms));
    let paths = terms.flat_map(|terms| &terms.path_exceptions).map(|exception| exception.granting(()));
    let mut all: Vec<_> =
        bindings.chain(paths).chain(policy.tls_exceptions.iter().map(|exception| exception.granting(()))).collect();
    // One that grants both, or is for several networks, is still one.
    let mut seen = BTreeSet::new();
    all.retain(|exception| seen.insert((exception.source.to_string(), exception.until, exception.reason.clone())));
    let soon = today.checked_add(DAYS_AHEAD.days()).unwrap_or(Date::MAX);
    let ending: Vec<_> = all.iter().filter(|exception| (today..=soon).contains(&exception.until)).collect();
    if ending.is_empty() {
        report.ok(check, format!("{} exceptions, none of which ends within {DAYS_AHEAD} days", all.len()));
        return;
    }
    let place =
        |one: &&Exception<()>| format!("{}:{} on {} ({})", one.source.file, one.source.line, one.until, one.reason);
    let help = "transfers of its clients are refused from the next day on: mend the clients, or set a new end with its own reason";
    report.add(check, Severity::Warning, format!("ends soon: {}", list(&ending, place)), help);
}

/// Users who get past no list from anywhere.
fn addresses(policy: &Policy, report: &mut Report) {
    let check = Check::UsersAddresses;
    let shut: Vec<&Account> =
        policy.users.values().filter(|account| account.enabled && !can_come(account, policy)).collect();
    if shut.is_empty() {
        report.ok(check, "every user can come from somewhere");
        return;
    }
    let found = format!("no address lets these users in: {}", list(&shut, |account| account.name.to_string()));
    let help = "compare allow-from and deny-from of the user and its groups with [networks]: an address must be allowed in \
                both and denied in neither";
    report.add(check, Severity::Warning, found, help);
}

fn can_come(account: &Account, policy: &Policy) -> bool {
    let nets = |rules: &[NetworkRule]| rules.iter().map(|rule| rule.network).collect::<Vec<IpNet>>();
    let lists = &account.terms.addresses;
    let own = nets(&lists.allow);
    let denied = [&policy.networks, lists].into_iter().flat_map(|rules| nets(&rules.deny));
    // Aggregated, networks that are denied piece by piece are one.
    let denied = IpNet::aggregate(&denied.collect());
    let reachable = |server: &IpNet| {
        let both = own.iter().filter_map(|user| common(server, user)).collect::<Vec<_>>();
        let both = if own.is_empty() { vec![*server] } else { both };
        both.iter().any(|network| !denied.iter().any(|net| net.contains(network)))
    };
    nets(&policy.networks.allow).iter().any(reachable)
}

fn common(a: &IpNet, b: &IpNet) -> Option<IpNet> {
    if a.contains(b) {
        Some(*b)
    } else if b.contains(a) {
        Some(*a)
    } else {
        None
    }
}
