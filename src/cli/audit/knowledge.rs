//! What the policy knows that findings are judged by: thresholds, accounts, and what ends when.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::cli::cert::end_of;
use crate::cli::user::last_logins;
use crate::config::shell::word;
use crate::config::{Config, Thresholds, thresholds};
use crate::findings::context::{Context, Ending, KnownUser};
use crate::policy::exception::Exception;
use crate::policy::grant::RuleSource;

/// Days for which what has ended is still told; later, it is what the policy says.
const ENDED_DAYS: i64 = 7;

/// Lines of an exception that are shown behind its first; it has six keys at most.
const EXCEPTION_LINES: u32 = 6;

/// What the policy in this directory knows. Where it cannot be read it is silent, and a note says so.
pub(super) fn of_policy(directory: &Path, now: Timestamp) -> (Thresholds, Context, Option<String>) {
    // Who may not read keys and passwords learns of the rest.
    let loaded = Config::load(directory, &[]).or_else(|_| Config::load_text(directory, &[]));
    if let Ok(loaded) = loaded {
        return (loaded.config.findings, context(&loaded.config, directory, now), None);
    }
    let note =
        format!("the policy in {} cannot be used: accounts and what ends are not looked at", directory.display());
    (thresholds::of_policy(directory).unwrap_or_default(), Context::at(now), Some(note))
}

fn context(config: &Config, directory: &Path, now: Timestamp) -> Context {
    let policy = &config.policy;
    let today = now.to_zoned(TimeZone::UTC).date();
    // Without them, the log alone tells who logged in.
    let logins = last_logins(config).ok().flatten().unwrap_or_default();
    let works =
        policy.users.values().filter(|account| account.enabled && account.expires.is_none_or(|end| today <= end));
    let users = works.map(|account| {
        let since = account.password_set.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp());
        let last_login = logins.get(&account.name).map(|login| login.at);
        (account.name.as_str().to_owned(), KnownUser { since, last_login })
    });
    let users: BTreeMap<String, KnownUser> = users.collect();
    let endings = endings(config, &word(&directory.display().to_string()), now);
    Context { now, zone: policy.zone.clone(), users: Some(users), endings }
}

fn endings(config: &Config, directory: &str, now: Timestamp) -> Vec<Ending> {
    let policy = &config.policy;
    let mut endings = Vec::new();
    for identity in &config.tls.identities {
        let Some(ends) = end_of(identity) else { continue };
        endings.push(Ending {
            what: identity.names.first().map_or_else(
                || "the certificate of the server".to_owned(),
                |name| format!("the certificate of {name}"),
            ),
            ends,
            place: identity.certificate.display().to_string(),
            advice: "Renew it (docs/certificates.md); the server takes the new files by itself.".to_owned(),
            command: format!("portcullis --policy {directory} cert check"),
        });
    }
    let mut dated: BTreeMap<(String, u32), Ending> = BTreeMap::new();
    let mut add = |what: String, until: Date, source: &RuleSource, advice: &str, command: String| {
        let Some(ends) = end_of_day(until) else { return };
        if now.as_second().saturating_sub(ends.as_second()) > ENDED_DAYS.saturating_mul(86_400) {
            return;
        }
        let place = source.to_string();
        // What a user has from a group stands in one place.
        let key = (place.clone(), source.line);
        dated.entry(key).or_insert(Ending { what, ends, place, advice: advice.to_owned(), command });
    };
    let terms = policy.users.values().map(|user| &user.terms).chain(policy.groups.values().map(|group| &group.terms));
    let mut exception = |reason: &str, until, source: &RuleSource| {
        let advice = "Clients that need it are refused afterwards: mend them before, or have it granted anew.";
        // `policy check` tells of the last days alone.
        let last_line = source.line.saturating_add(EXCEPTION_LINES);
        let command = format!("sed -n {},{last_line}p {}", source.line, word(&source.file));
        add(format!("the exception \"{reason}\""), until, source, advice, command);
    };
    let parts = |exceptions: &[Exception<_>]| -> Vec<_> {
        exceptions.iter().map(|one| (one.reason.clone(), one.until, one.source.clone())).collect()
    };
    let mut all = parts(&policy.exceptions);
    all.extend(policy.tls_exceptions.iter().map(|one| (one.reason.clone(), one.until, one.source.clone())));
    for terms in terms {
        all.extend(parts(&terms.exceptions));
        all.extend(terms.path_exceptions.iter().map(|one| (one.reason.clone(), one.until, one.source.clone())));
    }
    for (reason, until, source) in &all {
        exception(reason, *until, source);
    }
    for account in policy.users.values().filter(|account| account.enabled) {
        let Some(until) = account.expires else { continue };
        let advice = "Where the user still needs it, give it a later end (expires).";
        let command = format!("portcullis --policy {directory} user show {}", account.name);
        add(format!("the account of {}", account.name), until, &account.source, advice, command);
    }
    endings.extend(dated.into_values());
    endings
}

/// The end of a day, UTC, as exceptions and accounts count theirs.
fn end_of_day(day: Date) -> Option<Timestamp> {
    day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
}
