//! Whether a session may go on: its user is judged again at each command, and whenever the policy
//! has changed. And whether it may begin, where a user has as many sessions as it may.

use super::effect::{Effect, SessionsFull, Step};
use super::login;
use super::{Ending, Session, State, World};
use crate::audit::event::Event;
use crate::audit::record::Detail;
use crate::policy::LoginDenial;
use crate::proto::reply::{Code, Reply};

/// How it ends, in the record of the session.
const END: &str = "policy";
/// What the client hears: no more than that, since the reason may be for others to know.
const FAREWELL: &str = "Your access has ended; whoever runs this server can say why. Closing.";

impl Session {
    /// Ends the session where the policy no longer admits its user; false says that it did. What runs
    /// is stopped first. Where only the user's time is over, it may come to its end, and so may the
    /// session until then.
    pub(super) fn may_go_on(&mut self, world: World<'_>, step: &mut Step) -> bool {
        let State::Files(files) = &self.state else { return true };
        let Err(denial) = world.policy.still_admits(&files.principal, world.now) else { return true };
        let time_is_over = matches!(denial, LoginDenial::Hours(_) | LoginDenial::AccountExpired(_));
        if time_is_over && files.is_transferring() {
            return true;
        }
        let (reason, rule) = login::told(denial);
        let mut record = self.record(Event::SessionEndedByPolicy).failed(reason);
        record.codes = vec![Code::Unavailable.number()];
        if let Some(rule) = rule {
            record = record.with("rule", Detail::Text(rule.to_string()));
        }
        step.audit(record);
        if self.end_transfer_first(Ending { reason: END, farewell: Some(FAREWELL) }) {
            step.effects.push(Effect::Abort);
        } else {
            step.reply(Reply::new(Code::Unavailable, FAREWELL));
            self.close_for(END, step);
        }
        false
    }

    /// Ends a session whose user may have no further one. The password was right, so this counts as
    /// no guess, and the user may hear what it is.
    pub(super) fn one_session_too_many(&mut self, full: SessionsFull, step: &mut Step) {
        let (reason, text) = match full {
            SessionsFull::OfUser => ("user_sessions", "You have as many sessions as you may; close one and try again."),
            SessionsFull::OfAddress => (
                "user_sessions_per_address",
                "You have as many sessions from this address as you may; close one and try again.",
            ),
        };
        let mut record = self.login_record(Event::LoginFailure).failed(reason);
        record.codes = vec![Code::Unavailable.number()];
        step.audit(record);
        step.reply(Reply::new(Code::Unavailable, text));
        self.close_for(reason, step);
    }
}
