//! `portcullis user audit`: accounts that somebody should look at.

mod guesses;
mod judge;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Failure, say};
use crate::auth::logins::{self, LastLogin};
use crate::config::Config;
use crate::identity::Username;
use judge::{Finding, Knowledge};

/// Exit code where something was found.
const EXIT_WARNING: u8 = 3;

/// List accounts that somebody should look at: weak, old and shared passwords, accounts that nobody uses.
///
/// A hash tells no password: each is tested against the user's name, the banned words and the commonest
/// passwords, as far as the time allows. Exits with 0 where nothing is found, 3 otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis user audit
  portcullis user audit --days 30 --json
  portcullis user audit --seconds 600")]
pub(super) struct Arguments {
    /// Days without a login after which an account is unused.
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Time for guessing at passwords; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    seconds: u32,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// Looks at every account.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let config = Config::load(policy, &[])?.config;
    let logins = last_logins(&config)?;
    let guessed = guesses::guess(&config, Duration::from_secs(arguments.seconds.into()));
    let knowledge = Knowledge {
        now: jiff::Timestamp::now(),
        unused_days: arguments.days,
        logins: logins.as_ref(),
        guessed: &guessed.found,
    };
    let findings = judge::findings(&config, &knowledge);
    let users = config.policy.users.len();
    if arguments.json {
        say(as_json(&findings, users, guessed.untested, logins.is_some()))?;
    } else {
        say(lines(&findings, users, guessed.untested, logins.is_some()))?;
    }
    if findings.is_empty() { Ok(()) } else { Err(Failure::Found(EXIT_WARNING)) }
}

/// The last logins; none where the server does not keep them.
pub(in crate::cli) fn last_logins(config: &Config) -> Result<Option<BTreeMap<Username, LastLogin>>, Failure> {
    let Some(changes) = &config.password_changes else { return Ok(None) };
    let path = changes.directory.join(logins::FILE_NAME);
    let text = match std::fs::metadata(&path) {
        Ok(metadata) if metadata.len() > logins::FILE_BYTES_MAX => {
            return Err(Failure::Failed(format!("{} is too large", path.display())));
        }
        Ok(_) => std::fs::read_to_string(&path),
        Err(error) => Err(error),
    };
    let read = match text {
        Ok(text) => logins::parse(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    };
    read.map(Some).map_err(|error| Failure::io(path.display(), &error))
}

fn lines(findings: &[Finding], users: usize, untested: usize, logins_known: bool) -> String {
    let mut lines: Vec<String> = findings
        .iter()
        .map(|finding| {
            format!("{}: {}: {}\n   help: {}", finding.user, finding.kind.word(), finding.found, finding.help)
        })
        .collect();
    if untested > 0 {
        lines.push(format!(
            "note: the time was over before {untested} of {users} passwords were guessed at; --seconds gives more"
        ));
    }
    if !logins_known {
        lines.push("note: without [passwords] changes the server does not keep who logged in when".to_owned());
    }
    lines.push(match findings.len() {
        0 => format!("{users} users, and nothing to look at."),
        1 => format!("{users} users, 1 thing to look at."),
        count => format!("{users} users, {count} things to look at."),
    });
    lines.join("\n")
}

fn as_json(findings: &[Finding], users: usize, untested: usize, logins_known: bool) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "user": finding.user.as_str(),
            "kind": finding.kind.word(),
            "found": finding.found,
            "help": finding.help,
        })
    };
    json!({
        "users": users,
        "untested": untested,
        "logins_known": logins_known,
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    })
}
