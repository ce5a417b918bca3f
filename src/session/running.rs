//! What runs beside the dialogue: a transfer or a hash. What may be said meanwhile, and how it ends
//! where it was stopped or the session ends with it.

use super::effect::{Effect, MoveFault, Step};
use super::transfer::no_transfer;
use super::{Ending, Session, State};
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;

/// What a transfer and a hash have in common while they run.
#[derive(Debug, Default)]
pub(super) struct Running {
    /// How often `ABOR` was sent; each is answered.
    aborts: usize,
    /// Set where the session ends behind it.
    ending: Option<Ending>,
}

impl Running {
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Has the session end behind it. The first reason stays.
    pub(super) fn end_behind(&mut self, ending: Ending) {
        let known = *self.ending.get_or_insert(ending);
        // A client that has gone meanwhile hears no farewell.
        self.ending = Some(Ending { farewell: known.farewell.and(ending.farewell), ..known });
    }

    /// The final reply, and those to the `ABOR`s that came; nothing where nobody is there to hear.
    pub(super) fn reply(&self, reply: Reply, step: &mut Step) {
        if self.ending.is_some_and(|ending| ending.farewell.is_none()) {
            return;
        }
        step.reply(reply);
        if self.aborts > 0 {
            step.reply(Reply::new(Code::TransferDone, "ABOR done."));
        }
        for _ in 1..self.aborts {
            step.reply(no_transfer());
        }
    }

    /// How the session ends now, if it does.
    pub(super) fn ending_after(&self, end: Option<&MoveFault>) -> Option<Ending> {
        let stopping = Ending { reason: "server_stopping", farewell: Some("The server is being stopped; closing.") };
        self.ending.or_else(|| (end == Some(&MoveFault::Stopping)).then_some(stopping))
    }
}

impl Session {
    /// What may be said while something runs: `ABOR` and `STAT`; `NOOP` is answered elsewhere.
    pub(super) fn while_running(&mut self, verb: Verb, moved_bytes: u64, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        let Some((running, what, path)) = files.running() else { return };
        if verb == Verb::Abor {
            if running.aborts == 0 {
                step.effects.push(Effect::Abort);
            }
            running.aborts = running.aborts.saturating_add(1);
        } else {
            step.reply(Reply::new(Code::FileStatus, format!("{what} {path}: {moved_bytes} bytes so far.")));
        }
    }

    /// Ends the session behind what has run, where it is to end there.
    pub(super) fn end_session(&mut self, ending: Option<Ending>, step: &mut Step) {
        let Some(Ending { reason, farewell }) = ending else { return };
        if let Some(text) = farewell {
            step.reply(Reply::new(Code::Unavailable, text));
        }
        self.close_for(reason, step);
    }
}
