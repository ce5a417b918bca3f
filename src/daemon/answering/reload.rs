//! The answer to `reload`.

use std::sync::Arc;

use super::{Connection, Done};
use crate::daemon::calls::{Answer, ReloadOutcome, Reloaded, ShownProblem};
use crate::daemon::reload::{Asker, Outcome};

impl Connection {
    pub(super) async fn reload(&self) -> Done {
        let told = self.reloaded().await;
        let failure = match told.outcome {
            ReloadOutcome::Loaded | ReloadOutcome::Unchanged => None,
            ReloadOutcome::Rejected => Some("rejected"),
            ReloadOutcome::TestsFailed => Some("tests_failed"),
            ReloadOutcome::Failed => Some("failed"),
        };
        Done { answer: Answer::Reload(told), failure, result: None }
    }

    async fn reloaded(&self) -> Reloaded {
        let by = Asker::Control { uid: self.peer.uid, pid: self.peer.pid };
        // It comes to its end also where nobody waits for it any more.
        let asked = Arc::clone(&self.reloader);
        let outcome = tokio::spawn(async move { asked.reload(by).await }).await;
        let in_force = self.reloader.shared.config().fingerprint.to_string();
        let mut told = Reloaded {
            outcome: ReloadOutcome::Failed,
            before: in_force.clone(),
            policy: in_force,
            problems: Vec::new(),
            problems_more: 0,
            tests_passed: 0,
            tests_failed: Vec::new(),
            reason: None,
        };
        match outcome {
            Ok(Outcome::Loaded { before, now, warnings, tests }) => {
                told.outcome = if before == now { ReloadOutcome::Unchanged } else { ReloadOutcome::Loaded };
                (told.before, told.policy) = (before.to_string(), now.to_string());
                (told.problems, told.problems_more) = ShownProblem::list(&warnings);
                told.tests_passed = tests;
            }
            Ok(Outcome::Rejected(problems)) => {
                told.outcome = ReloadOutcome::Rejected;
                (told.problems, told.problems_more) = ShownProblem::list(&problems);
            }
            Ok(Outcome::TestsFailed(failed)) => {
                told.outcome = ReloadOutcome::TestsFailed;
                told.tests_failed = failed;
            }
            Ok(Outcome::Failed(reason)) => told.reason = Some(reason),
            Err(_) => told.reason = Some("a fault of the server's own; please report it".to_owned()),
        }
        told
    }
}
