//! `portcullis policy test`.

use std::path::Path;

use serde_json::json;

use super::super::{Failure, say};
use super::load;
use crate::config::{Override, TESTS_FILE};
use crate::review::{self, Tested};

/// Put the policy to the tests in tests.toml: what it is expected to allow and deny.
///
/// Exits with 0 where all is as expected or there are no tests, with 1 where something is not, and
/// with 78 where the files cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis policy test
  portcullis --policy ./policy policy test --text-only --json")]
pub(super) struct Arguments {
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,

    /// Judge the files by their text alone, without certificates, homes, owners and changed
    /// passwords, as where changes are reviewed.
    #[arg(long)]
    text_only: bool,

    /// Override one key of server.toml, as for serve.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<Override>,
}

/// Prints what was not as expected.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let config = load(policy, &arguments.overrides, arguments.text_only)?;
    let tested = if arguments.text_only { review::test_text(&config) } else { review::test(&config) }?;
    if arguments.json {
        say(report(tested.as_ref()))?;
    } else {
        say(match &tested {
            None => format!("{}: there is no {TESTS_FILE}, so nothing is tested", policy.display()),
            Some(tested) => text(tested),
        })?;
    }
    if tested.is_none_or(|tested| tested.is_met()) { Ok(()) } else { Err(Failure::Found(1)) }
}

fn text(tested: &Tested) -> String {
    let mut lines: Vec<String> = tested.failed.iter().map(ToString::to_string).collect();
    let all = tested.passed.saturating_add(tested.failed.len());
    lines.push(match tested.failed.len() {
        0 => format!("{all} tests passed"),
        failed => format!("{failed} of {all} tests failed"),
    });
    lines.join("\n")
}

fn report(tested: Option<&Tested>) -> serde_json::Value {
    let none = Tested::default();
    let of = tested.unwrap_or(&none);
    let failed: Vec<serde_json::Value> = of
        .failed
        .iter()
        .map(
            |failure| json!({ "file": &*failure.source.file, "line": failure.source.line, "message": failure.message }),
        )
        .collect();
    json!({ "tests": tested.is_some(), "passed": of.passed, "failed": failed })
}
