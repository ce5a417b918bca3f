//! `portcullis policy check`.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::super::{Failure, say, warn};
use crate::config::problem::Count;
use crate::config::{Config, Override, Problem, Severity, TESTS_FILE};
use crate::review::{self, Tested};

/// Say everything that is wrong with the policy files, the certificate and the key.
///
/// Exits with 0 where the server would start, perhaps with warnings, and with 78 where it would not,
/// or where tests.toml cannot be understood. Tests that fail are counted; policy test shows them.
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
    let loaded = Config::load(policy, &arguments.overrides);
    let result = loaded.and_then(|loaded| {
        let tested = review::test(&loaded.config)?;
        Ok((loaded, tested))
    });
    if arguments.json {
        let problems = match &result {
            Ok((loaded, _)) => loaded.warnings.clone(),
            Err(problems) => problems.clone().into_vec(),
        };
        let good = result.as_ref().ok();
        let tested = good.and_then(|(_, tested)| tested.as_ref());
        say(report(&problems, good.map(|(loaded, _)| &*loaded.config.fingerprint), tested))?;
        return if result.is_ok() { Ok(()) } else { Err(Failure::Reported) };
    }
    let (loaded, tested) = result?;
    warn(&loaded.warnings);
    let config = &loaded.config;
    let count = Count { errors: 0, warnings: loaded.warnings.len() };
    say(format!(
        "{}: good ({count}); {}, {}, {}policy {}",
        policy.display(),
        counted(config.policy.users.len(), "user"),
        counted(config.policy.groups.len(), "group"),
        tested.as_ref().map(summary).unwrap_or_default(),
        config.fingerprint,
    ))
}

/// How the tests came out.
fn summary(tested: &Tested) -> String {
    let all = counted(tested.passed.saturating_add(tested.failed.len()), "test");
    match tested.failed.len() {
        0 => format!("{all} passed, "),
        failed => format!("{failed} of {all} in {TESTS_FILE} failed (policy test says which), "),
    }
}

/// A number of things, in words.
fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn report(problems: &[Problem], fingerprint: Option<&str>, tested: Option<&Tested>) -> serde_json::Value {
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
        "tests": tested.map(|tested| json!({ "passed": tested.passed, "failed": tested.failed.len() })),
        "problems": problems.iter().map(one).collect::<Vec<_>>(),
    })
}
