//! Logged in: what the session knows by now, and which family serves which verb.

use std::sync::Arc;

use super::change::Changing;
use super::effect::{Effect, Input, PassiveFault, PassivePort, PathFacts, Question, Step, StoreAnswer, StoreFault};
use super::inspect::Looking;
use super::parameters::Parameters;
use super::refusal::{self, Doing};
use super::transfer::Transfer;
use super::{Command, Ending, Session, State, World};
use crate::audit::event::Event;
use crate::audit::record::{Detail, FileFacts};
use crate::policy::Principal;
use crate::policy::grant::{Grant, Judgement};
use crate::policy::permission::PermissionSet;
use crate::proto::facts::FactSet;
use crate::proto::path::VirtualPath;
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;
use crate::rules::{Data, Needs};

/// The stage behind the login.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) principal: Principal,
    user: Arc<str>,
    pub(super) parameters: Parameters,
    pub(super) directory: VirtualPath,
    pub(super) facts: FactSet,
    /// What `RNFR` named, until the next command.
    pub(super) rename_from: Option<(VirtualPath, Grant)>,
    /// What `REST` set, until the next transfer.
    pub(super) restart_offset: u64,
    /// What `ALLO` announced, until the next transfer.
    pub(super) announced_bytes: Option<u64>,
    pub(super) data: DataState,
    /// Whether `EPSV ALL` was sent (RFC 2428 §4).
    pub(super) epsv_only: bool,
    waiting: Option<Waiting>,
}

/// How the next data connection will be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataState {
    /// Nothing was agreed upon.
    None,
    /// The client connects to the port that was told.
    Passive,
    /// The server connects to the address that the client told.
    Active,
}

/// What the last question was asked for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A passive port, to be told in the form of `EPSV` or of `PASV`.
    Passive(Verb),
    /// Facts that a look was for.
    Looking(Looking),
    /// A change.
    Changing(Changing),
    /// A transfer, made ready or moving.
    Transfer(Box<Transfer>),
}

impl Files {
    pub(super) fn new(principal: Principal, parameters: Parameters) -> Self {
        Self {
            user: Arc::from(principal.name().as_str()),
            principal,
            parameters,
            directory: VirtualPath::root(),
            facts: FactSet::default(),
            rename_from: None,
            restart_offset: 0,
            announced_bytes: None,
            data: DataState::None,
            epsv_only: false,
            waiting: None,
        }
    }

    pub(super) fn user(&self) -> Arc<str> {
        Arc::clone(&self.user)
    }

    pub(super) fn facts_wanted(&self) -> FactSet {
        self.facts
    }

    pub(super) fn is_transferring(&self) -> bool {
        matches!(self.waiting, Some(Waiting::Transfer(_)))
    }

    pub(super) fn transfer(&mut self) -> Option<&mut Transfer> {
        match &mut self.waiting {
            Some(Waiting::Transfer(transfer)) => Some(transfer),
            _ => None,
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        matches!(&self.waiting, Some(Waiting::Transfer(transfer)) if transfer.ending.is_some())
    }

    /// Has the session end behind its transfer; false where none runs. The first reason stays.
    pub(super) fn end_after_transfer(&mut self, ending: Ending) -> bool {
        let Some(transfer) = self.transfer() else { return false };
        let known = *transfer.ending.get_or_insert(ending);
        // A client that has gone meanwhile hears no farewell.
        transfer.ending = Some(Ending { farewell: known.farewell.and(ending.farewell), ..known });
        true
    }

    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.waiting = Some(waiting);
    }
}

impl Session {
    pub(super) fn files_command(&mut self, command: &Command<'_>, moved_bytes: u64, world: World<'_>, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        let verb = command.rule.verb;
        if files.is_transferring() {
            return self.during_transfer(verb, moved_bytes, step);
        }
        match verb {
            Verb::Type | Verb::Mode | Verb::Stru | Verb::Pbsz | Verb::Prot => files.parameters.command(command, step),
            Verb::Opts => self.opts_mlst(command.argument, step),
            Verb::Hash | Verb::Rang | Verb::Xcrc | Verb::Xmd5 | Verb::Xsha1 | Verb::Xsha256 | Verb::Xsha512 => {
                self.hashing(command, world, step);
            }
            Verb::Mff => self.set_facts(command, world, step),
            Verb::Avbl => self.space(command, world, step),
            Verb::Site => self.site(command, world, step),
            Verb::Pwd | Verb::Cwd | Verb::Cdup => self.navigate(command, world, step),
            Verb::Stat if command.argument.is_empty() => self.status(step),
            Verb::Size | Verb::Mdtm | Verb::Mlst | Verb::Stat => self.inspect(command, world, step),
            Verb::Dele | Verb::Mkd | Verb::Rmd | Verb::Mfmt | Verb::Rnfr => self.change(command, world, step),
            Verb::Rnto => self.rename_to(command, world, step),
            Verb::Epsv | Verb::Pasv | Verb::Eprt | Verb::Port => self.data_command(command, step),
            Verb::Rest | Verb::Allo => self.ahead_of_transfer(command, step),
            Verb::Abor => {
                step.effects.push(Effect::CloseData);
                files.data = DataState::None;
                step.reply(super::transfer::no_transfer());
            }
            _ if command.rule.data == Data::Needed => self.transfer_command(command, world, step),
            _ => step.reply(Reply::new(Code::NotImplemented, "Not offered.")),
        }
    }

    pub(super) fn files_answer(&mut self, answer: Input, world: World<'_>, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        match (files.waiting.take(), answer) {
            (Some(Waiting::Passive(verb)), Input::Passive(port)) => self.passive_opened(verb, port, step),
            (Some(Waiting::Looking(looking)), Input::Stored(answer)) => self.looked(looking, answer, world, step),
            (Some(Waiting::Changing(changing)), Input::Stored(answer)) => self.changed(changing, answer, step),
            (Some(Waiting::Transfer(transfer)), Input::Prepared(answer)) => self.prepared(transfer, answer, step),
            (Some(Waiting::Transfer(transfer)), Input::Moved(moved)) => self.moved(&transfer, *moved, step),
            (waiting, _) => files.waiting = waiting,
        }
        self.resume_held(world, step);
    }

    /// Serves what waited for the end of a transfer, until a question or another transfer is in the
    /// way.
    fn resume_held(&mut self, world: World<'_>, step: &mut Step) {
        while step.question.is_none() && !self.is_transferring() {
            let Some(line) = self.held.pop_front() else { return };
            self.whole_line(line, 0, world, step);
        }
    }

    /// Resolves the path of a command and asks the policy for leave; where either fails, the reply
    /// is in the step and there is no grant.
    pub(super) fn grant(
        &mut self,
        command: &Command<'_>,
        argument: &[u8],
        doing: Doing,
        world: World<'_>,
        step: &mut Step,
    ) -> Option<(VirtualPath, Grant)> {
        let State::Files(files) = &self.state else { return None };
        let Needs::AnyOf(wanted) = command.rule.needs else { return None };
        match files.directory.join(argument) {
            Ok(path) => self.grant_for(command.rule.verb, path, wanted, world, step),
            Err(error) => {
                let (reply, _) = refusal::path(error, doing);
                step.reply(reply);
                None
            }
        }
    }

    pub(super) fn grant_for(
        &mut self,
        verb: Verb,
        path: VirtualPath,
        wanted: PermissionSet,
        world: World<'_>,
        step: &mut Step,
    ) -> Option<(VirtualPath, Grant)> {
        let State::Files(files) = &self.state else { return None };
        match world.policy.judge(&files.principal, wanted, &path) {
            Judgement::Allow(grant) => Some((path, grant)),
            Judgement::Deny(denial) => {
                let mut record = self.record(Event::AccessDenied).failed("not_permitted");
                record.command = Some(verb.name());
                record.codes = vec![Code::NotPossible.number()];
                record.file = Some(FileFacts::of(&path));
                record = record.with("wanted", Detail::Text(wanted.to_string()));
                if let Some(rule) = denial.rule {
                    record = record.with("rule", Detail::Text(rule.to_string()));
                }
                step.audit(record);
                step.reply(Reply::new(Code::NotPossible, "Not permitted."));
                None
            }
        }
    }

    fn passive_opened(&mut self, verb: Verb, opened: Result<PassivePort, PassiveFault>, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        let reply =
            opened.and_then(|opened| super::transfer::passive_reply(verb, opened).ok_or(PassiveFault::NoAddress));
        match reply {
            Ok(reply) => {
                files.data = DataState::Passive;
                step.reply(reply);
            }
            Err(fault) => {
                step.effects.push(Effect::CloseData);
                step.reply(refusal::passive(fault));
            }
        }
    }
}

/// An answer of the store that carries facts.
pub(super) fn facts_of(answer: &Result<StoreAnswer, StoreFault>) -> Result<PathFacts, StoreFault> {
    match answer {
        Ok(StoreAnswer::Facts(facts)) => Ok(*facts),
        Ok(_) => Err(StoreFault::Local),
        Err(fault) => Err(*fault),
    }
}

impl Step {
    /// Asks the store and remembers what for.
    pub(super) fn ask_store(&mut self, files: &mut Files, waiting: Waiting, question: Question) {
        files.wait(waiting);
        self.ask(question);
    }
}
