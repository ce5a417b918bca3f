//! Logged in: what the session knows by now, and which family serves which verb.

use std::sync::Arc;

use super::attributes::Setting;
use super::change::Changing;
use super::effect::{Effect, Input, PassiveFault, PassivePort, PathFacts, Question, Step, StoreAnswer, StoreFault};
use super::hashing::{HashChoice, Hashing};
use super::inspect::Looking;
use super::parameters::Parameters;
use super::password;
use super::refusal::{self, Doing};
use super::running::Running;
use super::space::Room;
use super::transfer::Transfer;
use super::{Command, Ending, Session, State, World};
use crate::audit::event::Event;
use crate::audit::record::{Detail, FileFacts};
use crate::policy::grant::{Denial, Grant, Judgement};
use crate::policy::permission::{Permission, PermissionSet};
use crate::policy::{MustChange, Principal};
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
    pub(super) hashes: HashChoice,
    /// What `RNFR` named, until the next command.
    pub(super) rename_from: Option<VirtualPath>,
    /// What `REST` set, until the next transfer.
    pub(super) restart_offset: u64,
    /// What `ALLO` announced, until the next transfer.
    pub(super) announced_bytes: Option<u64>,
    pub(super) data: DataState,
    /// Whether `EPSV ALL` was sent (RFC 2428 §4).
    pub(super) epsv_only: bool,
    /// Why the password has to be changed before anything else, until it is.
    pub(super) must_change: Option<MustChange>,
    /// Wrong old passwords of `SITE PSWD`.
    pub(super) wrong_passwords: u32,
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
    /// Attributes that were to be set.
    Setting(Setting),
    /// How much may be stored.
    Room(Room),
    /// The user's sessions.
    OwnSessions,
    /// A change of the password.
    Password(password::Changing),
    /// A transfer, made ready or moving.
    Transfer(Box<Transfer>),
    /// A hash that is computed.
    Hashing(Box<Hashing>),
}

impl Files {
    pub(super) fn new(principal: Principal, must_change: Option<MustChange>, parameters: Parameters) -> Self {
        Self {
            user: Arc::from(principal.name().as_str()),
            principal,
            parameters,
            directory: VirtualPath::root(),
            facts: FactSet::default(),
            hashes: HashChoice::default(),
            rename_from: None,
            restart_offset: 0,
            announced_bytes: None,
            data: DataState::None,
            epsv_only: false,
            must_change,
            wrong_passwords: 0,
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
        matches!(self.waiting, Some(Waiting::Transfer(_) | Waiting::Hashing(_)))
    }

    /// What runs beside the dialogue, and the path it concerns.
    pub(super) fn transferring(&self) -> Option<(Verb, &VirtualPath)> {
        match &self.waiting {
            Some(Waiting::Transfer(transfer)) => Some((transfer.verb, &transfer.path)),
            Some(Waiting::Hashing(hashing)) => Some((hashing.verb, &hashing.path)),
            _ => None,
        }
    }

    pub(super) fn is_hashing(&self) -> bool {
        matches!(self.waiting, Some(Waiting::Hashing(_)))
    }

    /// What runs beside the dialogue: its state, its verb, and the path it concerns.
    pub(super) fn running(&mut self) -> Option<(&mut Running, Verb, &VirtualPath)> {
        match &mut self.waiting {
            Some(Waiting::Transfer(transfer)) => Some((&mut transfer.running, transfer.verb, &transfer.path)),
            Some(Waiting::Hashing(hashing)) => Some((&mut hashing.running, hashing.verb, &hashing.path)),
            _ => None,
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        match &self.waiting {
            Some(Waiting::Transfer(transfer)) => transfer.running.is_ending(),
            Some(Waiting::Hashing(hashing)) => hashing.running.is_ending(),
            _ => false,
        }
    }

    /// Has the session end behind what runs; false where nothing does.
    pub(super) fn end_after_transfer(&mut self, ending: Ending) -> bool {
        let Some((running, ..)) = self.running() else { return false };
        running.end_behind(ending);
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
            return self.while_running(verb, moved_bytes, step);
        }
        match verb {
            Verb::Type | Verb::Mode | Verb::Stru | Verb::Pbsz | Verb::Prot => files.parameters.command(command, step),
            Verb::Opts => self.options(command.argument, step),
            Verb::Hash | Verb::Rang | Verb::Xcrc | Verb::Xmd5 | Verb::Xsha1 | Verb::Xsha256 | Verb::Xsha512 => {
                self.hashing(command, world, step);
            }
            Verb::Mff | Verb::Mfmt => self.set_facts(command, world, step),
            Verb::Avbl => self.space(command, world, step),
            Verb::Site => self.site(command, world, step),
            Verb::Pwd | Verb::Cwd | Verb::Cdup => self.navigate(command, world, step),
            Verb::Stat if command.argument.is_empty() => self.status(step),
            Verb::Size | Verb::Mdtm | Verb::Mlst | Verb::Stat => self.inspect(command, world, step),
            Verb::Dele | Verb::Mkd | Verb::Rmd | Verb::Rnfr => self.change(command, world, step),
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
            (Some(Waiting::Setting(setting)), Input::Stored(answer)) => self.attributes_set(&setting, &answer, step),
            (Some(Waiting::Room(room)), Input::Stored(answer)) => self.room_told(&room, &answer, world, step),
            (Some(Waiting::OwnSessions), Input::OwnSessions(own)) => Self::own_sessions(&own, step),
            (Some(Waiting::Password(password::Changing::Change)), Input::PasswordChanged(changed)) => {
                self.password_changed(changed, step);
            }
            (Some(Waiting::Password(password::Changing::Penalty(reason))), Input::Penalty(penalty)) => {
                self.password_penalised(reason, penalty, step);
            }
            (Some(Waiting::Transfer(transfer)), Input::Prepared(answer)) => self.prepared(transfer, answer, step),
            (Some(Waiting::Transfer(transfer)), Input::Moved(moved)) => self.moved(&transfer, *moved, step),
            (Some(Waiting::Hashing(hashing)), Input::Hashed(hashed)) => self.hashed(&hashing, &hashed, step),
            (waiting, _) => files.waiting = waiting,
        }
        self.resume_held(world, step);
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
        self.grant_named(verb.name(), path, wanted, world, step)
    }

    /// [`Self::grant_for`] a command that is more than a verb.
    pub(super) fn grant_named(
        &mut self,
        command: &'static str,
        path: VirtualPath,
        wanted: PermissionSet,
        world: World<'_>,
        step: &mut Step,
    ) -> Option<(VirtualPath, Grant)> {
        let State::Files(files) = &self.state else { return None };
        match world.policy.judge(&files.principal, wanted, &path, world.now) {
            Judgement::Allow(grant) => Some((path, grant)),
            Judgement::Deny(denial) => {
                self.denied(command, &path, wanted, denial, step);
                None
            }
        }
    }

    /// Asks for leave to go through a directory: also where nothing is permitted at it, and
    /// something below it may be.
    pub(super) fn pass(
        &mut self,
        command: &Command<'_>,
        argument: &[u8],
        world: World<'_>,
        step: &mut Step,
    ) -> Option<(VirtualPath, Grant)> {
        let State::Files(files) = &self.state else { return None };
        let path = match files.directory.join(argument) {
            Ok(path) => path,
            Err(error) => {
                step.reply(refusal::path(error, Doing::Looking).0);
                return None;
            }
        };
        match world.policy.pass(&files.principal, &path, world.now) {
            Judgement::Allow(grant) => Some((path, grant)),
            Judgement::Deny(denial) => {
                self.denied(command.rule.verb.name(), &path, PermissionSet::ALL, denial, step);
                None
            }
        }
    }

    /// Refuses what the policy does not permit, and records it.
    pub(super) fn denied(
        &self,
        command: &'static str,
        path: &VirtualPath,
        wanted: PermissionSet,
        denial: Denial,
        step: &mut Step,
    ) {
        let (reply, reason) = refusal::policy(denial.reason);
        let mut record = self.record(Event::AccessDenied).failed(reason);
        record.command = Some(command);
        record.codes = vec![reply.code().number()];
        record.file = Some(FileFacts::of(path));
        record = record.with("wanted", Detail::Text(wanted.to_string()));
        if let Some(rule) = denial.rule {
            record = record.with("rule", Detail::Text(rule.to_string()));
        }
        step.audit(record);
        step.reply(reply);
    }

    /// Whether the user may know what is at a path: who may neither list nor read hears the same of
    /// a file that is there and of one that is not.
    pub(super) fn may_know(&self, path: &VirtualPath, world: World<'_>) -> bool {
        let State::Files(files) = &self.state else { return false };
        let knowing = PermissionSet::of(&[Permission::List, Permission::Read]);
        !world.policy.permissions_at(&files.principal, path, world.now).intersection(knowing).is_empty()
    }

    fn passive_opened(&mut self, verb: Verb, opened: Result<PassivePort, PassiveFault>, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        let reply = opened.and_then(|opened| super::data::passive_reply(verb, opened).ok_or(PassiveFault::NoAddress));
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
