//! What runs beside the dialogue: a transfer or a hash. What may be said meanwhile, what waits
//! until it has ended, and how it ends where it was stopped or the session ends with it.

use super::effect::{Effect, MoveFault, Step};
use super::transfer::no_transfer;
use super::{Ending, Session, State, World};
use crate::proto::line::{Line, LineError};
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::{self, Verb};
use crate::rules::{self, During};

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
    /// Whether an `ABOR` may be handed in though no other line may: one that stands behind more lines
    /// than may wait stops what runs, too.
    pub fn wants_abort(&self) -> bool {
        self.is_transferring() && !self.is_ending()
    }

    /// Whether a line is an `ABOR`.
    pub fn is_abort(line: &[u8]) -> bool {
        Verb::parse(verb::split(line).0) == Some(Verb::Abor)
    }

    /// Whether a line is looked at while a transfer or hash runs. Behind another that waits, and while
    /// a hash has not been answered, `ABOR` alone is: all other replies keep the order of their
    /// commands.
    pub(super) fn may_interrupt(&self, line: &Result<Line, LineError>) -> bool {
        let Ok(line) = line else { return false };
        let (spoken, _) = verb::split(line);
        Verb::parse(spoken).is_some_and(|verb| {
            let next = self.held.is_empty() && !matches!(&self.state, State::Files(files) if files.is_hashing());
            rules::rule(verb).during == During::Answer && (next || verb == Verb::Abor)
        })
    }

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

    /// Serves what waited for the end of a transfer or a hash, until a question or another of these is
    /// in the way.
    pub(super) fn resume_held(&mut self, world: World<'_>, step: &mut Step) {
        while step.question.is_none() && !self.is_transferring() {
            let Some(line) = self.held.pop_front() else { return };
            self.whole_line(line, 0, world, step);
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
