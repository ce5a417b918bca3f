//! The commands behind `SITE`.

use super::effect::Step;
use super::{Command, Session, World};
use crate::proto::reply::{Code, Reply};
use crate::proto::verb;

impl Session {
    pub(super) fn site(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        match verb::split(command.argument) {
            (name, arguments) if name.eq_ignore_ascii_case(b"PSWD") => self.change_password(arguments, world, step),
            _ => step.reply(Reply::new(Code::NotImplemented, "Not offered.")),
        }
    }
}
