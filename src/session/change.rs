//! Changes of the tree without a data connection: `DELE`, `MKD`, `RMD`, `RNFR`, `RNTO`.
//! Each is recorded, done or not, before the client hears how it went.

use super::effect::{Question, Step, StoreAnswer, StoreFault, StoreRequest};
use super::files::Waiting;
use super::refusal::{self, Doing};
use super::{Command, Session, State, World};
use crate::audit::event::Event;
use crate::audit::record::{Detail, FileFacts};
use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::path::VirtualPath;
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;

/// A change that was asked of the store.
#[derive(Debug)]
pub(super) struct Changing {
    verb: Verb,
    event: Event,
    path: VirtualPath,
    renamed_to: Option<VirtualPath>,
}

impl Session {
    pub(super) fn change(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        let verb = command.rule.verb;
        let doing = if verb == Verb::Mkd { Doing::Naming } else { Doing::Looking };
        let Some((path, grant)) = self.grant(command, command.argument, doing, world, step) else { return };
        let mut changing = Changing { verb, event: Event::FileDelete, path, renamed_to: None };
        let request = match verb {
            Verb::Mkd => {
                changing.event = Event::DirectoryCreate;
                StoreRequest::MakeDirectory(grant)
            }
            Verb::Rmd => {
                changing.event = Event::DirectoryRemove;
                StoreRequest::RemoveDirectory(grant)
            }
            Verb::Rnfr if changing.path.is_root() => {
                return step.reply(Reply::new(Code::NotPossible, "The root keeps its name."));
            }
            // Only looks whether the old name is there; the leave is asked for again by `RNTO`.
            Verb::Rnfr => StoreRequest::Facts(grant),
            _ => StoreRequest::RemoveFile(grant),
        };
        self.ask_change(changing, request, step);
    }

    fn ask_change(&mut self, changing: Changing, request: StoreRequest, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        step.ask_store(files, Waiting::Changing(changing), Question::Store(request));
    }

    pub(super) fn rename_to(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        let Some(path) = files.rename_from.take() else {
            return step.reply(Reply::new(Code::BadSequence, "RNFR comes directly before."));
        };
        let wanted = PermissionSet::of(&[Permission::Rename]);
        let Some((path, from)) = self.grant_for(Verb::Rnto, path, wanted, world, step) else { return };
        let Some((target, to)) = self.grant(command, command.argument, Doing::Naming, world, step) else { return };
        let changing = Changing { verb: Verb::Rnto, event: Event::FileRename, path, renamed_to: Some(target) };
        self.ask_change(changing, StoreRequest::Rename(from, to), step);
    }

    pub(super) fn changed(&mut self, changing: Changing, answer: Result<StoreAnswer, StoreFault>, step: &mut Step) {
        if changing.verb == Verb::Rnfr {
            return self.renaming(changing, answer.map(|_| ()), step);
        }
        let doing = if matches!(changing.verb, Verb::Rnto) { Doing::Naming } else { Doing::Looking };
        let (reply, record) = match answer {
            Ok(_) => (done(&changing), self.record(changing.event)),
            Err(fault) => {
                let (reply, reason) = refusal::store(fault, doing);
                let attempted = Detail::Text(changing.event.description().code.to_owned());
                (reply, self.record(Event::FileChangeFailed).failed(reason).with("attempted", attempted))
            }
        };
        let mut record = record;
        record.command = Some(changing.verb.name());
        record.codes = vec![reply.code().number()];
        let mut file = FileFacts::of(&changing.path);
        file.directory = matches!(changing.event, Event::DirectoryCreate | Event::DirectoryRemove);
        file.renamed_to = changing.renamed_to.map(|path| path.to_string());
        record.file = Some(file);
        step.audit(record);
        step.reply(reply);
    }

    fn renaming(&mut self, changing: Changing, found: Result<(), StoreFault>, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        match found {
            Ok(()) => {
                files.rename_from = Some(changing.path);
                step.reply(Reply::new(Code::Pending, "Send the new name with RNTO."));
            }
            Err(fault) => step.reply(refusal::store(fault, Doing::Looking).0),
        }
    }
}

/// The reply to a change that was made.
fn done(changing: &Changing) -> Reply {
    match changing.verb {
        Verb::Mkd => Reply::path(changing.path.as_str(), "created."),
        _ => Reply::new(Code::ActionDone, "Done."),
    }
}
