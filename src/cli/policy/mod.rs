//! `portcullis policy`.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

mod diff;
mod explain;
mod test;

use super::{Failure, say, warn};
use crate::config::problem::Count;
use crate::config::{Config, Override, Problem, Severity};

/// Look at the policy.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis policy check
  portcullis policy explain alice --from 192.0.2.7 STOR /in/a.csv
  portcullis policy test
  portcullis policy diff ./before ./policy")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
    Explain(explain::Arguments),
    Test(test::Arguments),
    Diff(diff::Arguments),
}

/// Say everything that is wrong with the policy files, the certificate and the key.
///
/// Exits with 0 where the server would start, perhaps with warnings, and with 78 where it would not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis policy check
  portcullis --policy ./policy policy check --json")]
struct Check {
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,

    /// Override one key of server.toml, as for serve.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<Override>,
}

/// Runs a command about the policy.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    match &arguments.command {
        Command::Check(check) => run_check(check, policy),
        Command::Explain(arguments) => explain::run(arguments, policy),
        Command::Test(arguments) => test::run(arguments, policy),
        Command::Diff(arguments) => diff::run(arguments),
    }
}

/// Reads the policy, as the server does or by its text alone.
fn load(policy: &Path, overrides: &[Override], text_only: bool) -> Result<Config, Failure> {
    let loaded = if text_only { Config::load_text(policy, overrides) } else { Config::load(policy, overrides) };
    Ok(loaded?.config)
}

fn run_check(check: &Check, policy: &Path) -> Result<(), Failure> {
    let result = Config::load(policy, &check.overrides);
    if check.json {
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
        "{}: good ({count}); {} users, {} groups, policy {}",
        policy.display(),
        config.policy.users.len(),
        config.policy.groups.len(),
        config.fingerprint,
    ))
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
