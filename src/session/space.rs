//! How much may still be stored: `AVBL`.

use super::effect::Step;
use super::{Command, Session, World};
use crate::proto::reply::{Code, Reply};

impl Session {
    pub(super) fn space(&mut self, _command: &Command<'_>, _world: World<'_>, step: &mut Step) {
        step.reply(Reply::new(Code::NotImplemented, "Not offered."));
    }
}
