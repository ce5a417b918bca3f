//! `portcullis policy check`.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::super::{Failure, say, warn};
use crate::config::problem::Count;
use crate::config::{Config, Override, Problem, Severity};

/// Say everything that is wrong with the policy files, the certificate and the key.
///
/// Exits with 0 where the server would start, perhaps with warnings, and with 78 where it would not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis policy check
  portcullis --policy ./policy policy check --json")]
pub(super) struct Arguments {
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,

    /// Override one key of server.toml, as for serve.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<Override>,
}

/// Checks the policy in a directory.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let result = Config::load(policy, &arguments.overrides);
    if arguments.json {
        let problems = match &result {
            Ok(loaded) => loaded.warnings.clone(),
            Err(problems) => problems.clone().into_vec(),
        };
        say(report(&problems, result.as_ref().ok().map(|loaded| &*loaded.config.fingerprint)))?;
        return if result.is_ok() { Ok(()) } else { Err(Failure::Reported) };
    }
    let loaded = result?;
    warn(&loaded.warnings);
    let config = &loaded.config;
    let count = Count { errors: 0, warnings: loaded.warnings.len() };
    say(format!(
        "{}: good ({count}); {}, {}, policy {}",
        policy.display(),
        counted(config.policy.users.len(), "user"),
        counted(config.policy.groups.len(), "group"),
        config.fingerprint,
    ))
}

/// A number of things, in words.
fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn report(problems: &[Problem], fingerprint: Option<&str>) -> serde_json::Value {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let one = |problem: &Problem| {
        json!({
            "severity": problem.severity.to_string(),
            "file": &*problem.file,
            "line": problem.position.as_ref().map(|at| at.line),
            "column": problem.position.as_ref().map(|at| at.column),
            "message": problem.message,
            "help": problem.help,
        })
    };
    json!({
        "good": errors == 0,
        "policy": fingerprint,
        "errors": errors,
        "warnings": problems.len().saturating_sub(errors),
        "problems": problems.iter().map(one).collect::<Vec<_>>(),
    })
}
