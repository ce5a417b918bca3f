//! `portcullis reload`.

use std::path::Path;

use super::control::{Socket, ask};
use super::{Failure, complain, say};
use crate::daemon::calls::{Answer, Call, ReloadOutcome, Reloaded};

/// Have the running server read its policy again.
///
/// The server reads and judges everything first; where something is wrong, nothing changes, and every
/// problem is shown. Sessions go on: what they may do is judged anew from their next command.
/// Exits with 0 where the policy is in force, with 78 where the files cannot be used, and with 1
/// where no server runs, the policy fails its tests, or something else is in the way.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis reload
  portcullis reload --json
  portcullis reload --policy ./site/policy")]
pub(super) struct Arguments {
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Asks for it and shows what came of it.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let Answer::Reload(reloaded) = ask(&Call::Reload {}, &arguments.socket, policy)? else {
        return Err(Failure::Failed("the server answered something else".to_owned()));
    };
    if arguments.json {
        say(serde_json::to_string(&reloaded).map_err(|error| Failure::Failed(error.to_string()))?)?;
    } else {
        show(&reloaded)?;
    }
    match reloaded.outcome {
        ReloadOutcome::Loaded | ReloadOutcome::Unchanged => Ok(()),
        ReloadOutcome::Rejected => Err(Failure::Reported),
        ReloadOutcome::TestsFailed | ReloadOutcome::Failed => Err(Failure::Found(1)),
    }
}

fn show(reloaded: &Reloaded) -> Result<(), Failure> {
    for problem in &reloaded.problems {
        complain(&problem.text);
    }
    if reloaded.problems_more > 0 {
        complain(&format!("and {} more problems", reloaded.problems_more));
    }
    for failed in &reloaded.tests_failed {
        complain(failed);
    }
    let Reloaded { policy, before, .. } = reloaded;
    let tests = match reloaded.tests_passed {
        0 => String::new(),
        passed => format!(" Tests of the policy passed: {passed}."),
    };
    match reloaded.outcome {
        ReloadOutcome::Loaded => say(format!("Loaded: policy {policy} is in force, in place of {before}.{tests}")),
        ReloadOutcome::Unchanged => say(format!("Unchanged: policy {policy} was read again.{tests}")),
        ReloadOutcome::Rejected => {
            complain(&format!("Rejected: nothing was changed, policy {policy} stays in force."));
            Ok(())
        }
        ReloadOutcome::TestsFailed => {
            complain(&format!("Rejected by its tests: nothing was changed, policy {policy} stays in force."));
            Ok(())
        }
        ReloadOutcome::Failed => {
            let reason = reloaded.reason.as_deref().unwrap_or("for a reason that the server's log tells");
            complain(&format!("Not loaded: {reason}. Policy {policy} stays in force."));
            Ok(())
        }
    }
}
