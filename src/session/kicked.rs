//! What an administrator does to sessions: ends one, or makes read-only what it is uploading to.

use super::effect::{Effect, Kick, MoveFault, Step, StoreFault};
use super::{Ending, Session, State, World};
use crate::audit::event::Event;
use crate::audit::record::Detail;
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;

/// What the client hears: no more than that, since the reason may be for others to know.
const FAREWELL: &str = "An administrator ended this session. Closing.";

impl Session {
    /// Ends the session in whatever stage it is. A running transfer is stopped and ends first, so that
    /// it has its record.
    pub(super) fn kicked(&mut self, kick: &Kick, step: &mut Step) {
        if matches!(self.state, State::Closed) {
            return;
        }
        let end = if kick.banned { "banned" } else { "kicked" };
        let mut record = self.record(Event::SessionKicked).with("end", Detail::Text(end.to_owned()));
        record.codes = vec![Code::Unavailable.number()];
        record = record.with("peer_uid", Detail::Number(kick.uid.into()));
        if let Some(pid) = kick.pid.and_then(|pid| u64::try_from(pid).ok()) {
            record = record.with("peer_pid", Detail::Number(pid));
        }
        if let Some(reason) = &kick.reason {
            record = record.with("reason", Detail::Text(reason.clone()));
        }
        step.audit(record);
        if self.end_transfer_first(Ending { reason: end, farewell: Some(FAREWELL) }) {
            step.effects.push(Effect::Stop(MoveFault::Kicked));
        } else {
            step.reply(Reply::new(Code::Unavailable, FAREWELL));
            self.close_for(end, step);
        }
    }

    /// Stops an upload to what has become read-only; what came of it is kept. Should it end by itself
    /// before, the store asks once more.
    pub(super) fn stop_what_is_frozen(&mut self, world: World<'_>, step: &mut Step) {
        let State::Files(files) = &self.state else { return };
        let uploads = |verb: &Verb| matches!(verb, Verb::Stor | Verb::Appe | Verb::Stou);
        if let Some((_, path)) = files.transferring().filter(|(verb, _)| uploads(verb))
            && world.policy.is_frozen(&files.principal, path, world.now)
        {
            step.effects.push(Effect::Stop(MoveFault::Store(StoreFault::Frozen)));
        }
    }
}
