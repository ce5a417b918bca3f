//! `portcullis cert client list`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::super::doctor::report::harmless;
use super::super::super::{Failure, say};
use super::super::say_json;
use super::directory;
use super::store::{List, Store};
use crate::policy::certificate::ClientCertificate;
use crate::tls::facts;

/// List the certificates that a local CA issued for clients.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  portcullis cert client list\n  portcullis cert client list --json")]
pub(in crate::cli::cert) struct Arguments {
    /// Where the CA is. Default: where the policy has client-authorities, or else certs/clients beside
    /// the policy.
    #[arg(long, value_name = "DIR")]
    ca: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints a line for each, the ones that end first in front.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let store = Store::open(&directory(arguments.ca.as_ref(), policy)?);
    let (all, list, now) = (store.all()?, store.list()?, Timestamp::now());
    if arguments.json {
        return say_json(&json!({
            "ca": store.ca().display().to_string(),
            "certificates": all.iter().map(|one| as_json(one, &list, now)).collect::<Vec<_>>(),
        }));
    }
    if all.is_empty() {
        return say(format!("The CA of {} has issued nothing.", store.directory().display()));
    }
    let line = |one: &ClientCertificate| {
        format!("{:<8} {}  {}  {}", state(one, &list, now), one.serial, facts::day(one.ends), harmless(&one.subject))
    };
    say(all.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn state(one: &ClientCertificate, list: &List, now: Timestamp) -> &'static str {
    if list.revoked.iter().any(|revoked| revoked.serial == one.serial) {
        "revoked"
    } else if one.ends < now {
        "expired"
    } else {
        "valid"
    }
}

fn as_json(one: &ClientCertificate, list: &List, now: Timestamp) -> Value {
    json!({
        "state": state(one, list, now),
        "subject": one.subject,
        "serial": one.serial,
        "sha256": one.fingerprint,
        "emails": one.emails,
        "uris": one.uris,
        "not_after": one.ends.to_string(),
        "days_left": facts::days_left(one.ends, now),
        "revoked_at": list.revoked.iter().find(|revoked| revoked.serial == one.serial).map(|one| one.at.to_string()),
    })
}
