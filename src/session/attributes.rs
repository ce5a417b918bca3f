//! Attributes of files and directories: `MFF`.

use super::effect::Step;
use super::{Command, Session, World};
use crate::proto::reply::{Code, Reply};

impl Session {
    pub(super) fn set_facts(&mut self, _command: &Command<'_>, _world: World<'_>, step: &mut Step) {
        step.reply(Reply::new(Code::NotImplemented, "Not offered."));
    }
}
