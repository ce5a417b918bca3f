//! Looking without a data connection: `SIZE`, `MDTM`, `MLST`, `STAT`, and the directory that `CWD`
//! enters.

use super::effect::{PathFacts, Question, Step, StoreAnswer, StoreFault, StoreRequest};
use super::files::{DataState, Files, Waiting, facts_of};
use super::letters::Letters;
use super::refusal::{self, Doing};
use super::{Command, Session, State, World};
use crate::proto::argument::{Representation, without_options};
use crate::proto::facts::{Entry, FactSet, Form, Kind, time_value};
use crate::proto::path::VirtualPath;
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;

/// Most entries of a directory that `STAT` lists over the control connection.
const STAT_LINES_MAX: usize = 1000;

/// What a look at the store is for.
#[derive(Debug)]
pub(super) enum Looking {
    /// Go to this directory.
    Enter(VirtualPath),
    /// Tell a file's size.
    Size,
    /// Tell a file's time.
    Time,
    /// Tell the facts of this path.
    Facts(VirtualPath),
    /// Tell the lines of a listing of this path.
    Status(VirtualPath),
}

impl Session {
    pub(super) fn inspect(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        let verb = command.rule.verb;
        let argument = if verb == Verb::Stat { without_options(command.argument) } else { command.argument };
        if let State::Files(files) = &self.state
            && verb == Verb::Size
            && files.parameters.representation == Representation::Ascii
        {
            return step.reply(Reply::new(Code::NotPossible, "SIZE is told in TYPE I only."));
        }
        let Some((path, grant)) = self.grant(command, argument, Doing::Looking, world, step) else { return };
        let State::Files(files) = &mut self.state else { return };
        let (looking, request) = match verb {
            Verb::Size => (Looking::Size, StoreRequest::Facts(grant)),
            Verb::Mdtm => (Looking::Time, StoreRequest::Facts(grant)),
            Verb::Stat => {
                let viewer = Box::new(world.policy.viewer(&files.principal, world.now));
                let form = Box::new(Form::new(files.facts, world.now));
                (Looking::Status(path), StoreRequest::Lines { grant, viewer, form, lines_max: STAT_LINES_MAX })
            }
            _ => (Looking::Facts(path), StoreRequest::Facts(grant)),
        };
        step.ask_store(files, Waiting::Looking(looking), Question::Store(request));
    }

    pub(super) fn looked(
        &mut self,
        looking: Looking,
        answer: Result<StoreAnswer, StoreFault>,
        world: World<'_>,
        step: &mut Step,
    ) {
        let knows = matches!(&looking, Looking::Enter(path) if self.may_know(path, world));
        let State::Files(files) = &mut self.state else { return };
        let answer = match looking {
            Looking::Enter(path) => enter(files, path, &answer, knows),
            Looking::Size => file(&answer).map(|facts| Reply::new(Code::FileStatus, facts.size.to_string())),
            Looking::Time => file(&answer).map(|facts| Reply::new(Code::FileStatus, time(facts.modified_seconds))),
            Looking::Facts(path) => facts_of(&answer).map(|facts| one_entry(files, &path, facts, world)),
            Looking::Status(path) => match answer {
                Ok(StoreAnswer::Lines { lines, cut }) => {
                    let last = if cut { "End of the first entries; LIST tells all." } else { "End" };
                    Ok(Reply::lines(Code::FileStatus, format!("Status of {path}:"), lines, last))
                }
                Ok(_) => Err(StoreFault::Local),
                Err(fault) => Err(fault),
            },
        };
        step.reply(answer.unwrap_or_else(|fault| refusal::store(fault, Doing::Looking).0));
    }

    /// `STAT` without an argument while no transfer runs: the session's parameters.
    pub(super) fn status(&self, step: &mut Step) {
        let State::Files(files) = &self.state else { return };
        let tls = self.tls.as_ref().map_or(String::new(), |tls| format!("TLS {} {}", tls.version, tls.cipher));
        let data = match files.data {
            DataState::None => "No data connection is prepared",
            DataState::Passive => "A passive data connection is prepared",
            DataState::Active => "An active data connection is prepared",
        };
        let lines = vec![
            format!("Logged in as {}", files.principal.name()),
            tls,
            format!("TYPE {}, MODE S, STRU F", files.parameters.representation.letter()),
            data.to_owned(),
        ];
        step.reply(Reply::lines(Code::SystemStatus, "Status:", lines, "End"));
    }

    /// `OPTS` behind the login: `OPTS MLST` (RFC 3659 §7.9) and `OPTS HASH`.
    pub(super) fn options(&mut self, argument: &[u8], step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        let text = String::from_utf8_lossy(argument);
        let (name, facts) = text.split_once(' ').unwrap_or((text.as_ref(), ""));
        if name.eq_ignore_ascii_case("HASH") {
            return self.opts_hash(facts, step);
        }
        if !name.eq_ignore_ascii_case("MLST") {
            return step.reply(Reply::new(Code::BadArgument, "No such option; UTF8, MLST and HASH are known."));
        }
        files.facts = FactSet::select(facts);
        let text = format!("MLST OPTS {}", files.facts.names());
        step.reply(Reply::new(Code::Okay, text.trim_end().to_owned()));
    }
}

/// Goes to a directory. Who does not know what is there hears of no file.
fn enter(
    files: &mut Files,
    path: VirtualPath,
    answer: &Result<StoreAnswer, StoreFault>,
    knows: bool,
) -> Result<Reply, StoreFault> {
    match facts_of(answer) {
        Ok(facts) if facts.directory => {
            files.directory = path;
            Ok(Reply::new(Code::ActionDone, "Done."))
        }
        Err(fault) if knows || fault != StoreFault::NotADirectory => Err(fault),
        Ok(_) if knows => Err(StoreFault::NotADirectory),
        _ => Err(StoreFault::NotFound),
    }
}

/// Facts of a file; a directory has neither size nor time to tell.
fn file(answer: &Result<StoreAnswer, StoreFault>) -> Result<PathFacts, StoreFault> {
    facts_of(answer).and_then(|facts| if facts.directory { Err(StoreFault::IsADirectory) } else { Ok(facts) })
}

/// The reply to `MLST` (RFC 3659 §7.2).
fn one_entry(files: &Files, path: &VirtualPath, facts: PathFacts, world: World<'_>) -> Reply {
    let permissions = world.policy.viewer(&files.principal, world.now).permissions(path, facts.directory);
    let mut letters = Letters::default();
    let mut line = Vec::new();
    Form::new(files.facts, world.now).facts(
        &mut line,
        &Entry {
            name: path.as_str(),
            kind: if facts.directory { Kind::Directory } else { Kind::File },
            size: facts.size,
            modified_seconds: facts.modified_seconds,
            mode: facts.mode,
            unique: facts.unique,
            created_seconds: facts.created_seconds,
            owner: facts.owner,
            perm: letters.of(permissions, facts.directory),
        },
    );
    let line = String::from_utf8_lossy(&line).into_owned();
    Reply::lines(Code::ActionDone, "Facts:", vec![line], "End")
}

/// A time as `MDTM` tells it.
pub(super) fn time(seconds: i64) -> String {
    let mut text = Vec::new();
    time_value(&mut text, seconds);
    String::from_utf8_lossy(&text).into_owned()
}
