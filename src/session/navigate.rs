//! Where the session stands in the tree: `PWD`, `CWD`, `CDUP`.

use super::effect::{Question, Step, StoreRequest};
use super::files::Waiting;
use super::inspect::Looking;
use super::{Command, Session, State, World};
use crate::proto::reply::Reply;
use crate::proto::verb::Verb;

impl Session {
    pub(super) fn navigate(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        if command.rule.verb == Verb::Pwd {
            if let State::Files(files) = &self.state {
                step.reply(Reply::path(files.directory.as_str(), "is the current directory."));
            }
            return;
        }
        let argument = if command.rule.verb == Verb::Cdup { &b".."[..] } else { command.argument };
        let Some((path, grant)) = self.pass(command, argument, world, step) else { return };
        let State::Files(files) = &mut self.state else { return };
        step.ask_store(files, Waiting::Looking(Looking::Enter(path)), Question::Store(StoreRequest::Facts(grant)));
    }
}
