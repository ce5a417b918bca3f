//! Attributes of files and directories: `MFMT` and `MFF` (draft-somers-ftp-mfxx §3, §5), and what
//! `SITE CHMOD` and `SITE UTIME` ask for. Each attribute has a record of its own, set or not.

use super::effect::{Attributes, PathFacts, Question, Step, StoreAnswer, StoreFault, StoreRequest};
use super::files::{Waiting, facts_of};
use super::refusal::{self, Doing};
use super::{Command, Session, State, World};
use crate::audit::event::Event;
use crate::audit::record::{Detail, FileFacts, Record};
use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::argument::{self, ModeArgument};
use crate::proto::path::VirtualPath;
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::{Verb, split};

/// The facts that can be set, as `FEAT` lists them.
pub(super) const SETTABLE: &str = "Modify;UNIX.mode;";

/// Facts that the server knows of and nobody sets (RFC 3659 §7.5, draft-somers-ftp-mfxx §5.1).
const FIXED: [(&str, &str); 9] = [
    ("Create", "the file system keeps the time of creation itself"),
    ("Size", "the size is that of the content"),
    ("Type", "RNFR, MKD and STOR make what is there"),
    ("Unique", "the file system gives it"),
    ("Perm", "the policy decides it"),
    ("UNIX.owner", "everything belongs to the server"),
    ("UNIX.ownername", "everything belongs to the server"),
    ("UNIX.group", "everything belongs to the server"),
    ("UNIX.groupname", "everything belongs to the server"),
];

/// Attributes that were asked of the store.
#[derive(Debug)]
pub(super) struct Setting {
    command: &'static str,
    code: Code,
    path: VirtualPath,
    wanted: Attributes,
}

impl Session {
    /// `MFMT` and `MFF`.
    pub(super) fn set_facts(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        let verb = command.rule.verb;
        let (facts, path) = split(command.argument);
        let wanted = if verb == Verb::Mfmt {
            let form = || Reply::new(Code::BadArgument, "MFMT takes YYYYMMDDHHMMSS and a path.");
            argument::time(facts).map(modified).map_err(|_| form())
        } else {
            read_facts(facts)
        };
        match wanted {
            Ok(_) if path.is_empty() => step.reply(Reply::new(Code::BadArgument, "A path is missing.")),
            Ok(wanted) => self.set_attributes(verb.name(), Code::FileStatus, path, wanted, world, step),
            Err(reply) => step.reply(reply),
        }
    }

    /// `SITE CHMOD mode path`.
    pub(super) fn site_chmod(&mut self, argument: &[u8], world: World<'_>, step: &mut Step) {
        let (bits, path) = split(argument);
        match read_mode(bits) {
            Ok(_) if path.is_empty() => step.reply(Reply::new(Code::BadArgument, "A path is missing.")),
            Ok(bits) => {
                let wanted = Attributes { modified_seconds: None, mode: Some(bits) };
                self.set_attributes("SITE CHMOD", Code::Okay, path, wanted, world, step);
            }
            Err(reply) => step.reply(reply),
        }
    }

    /// `SITE UTIME` in either of its forms.
    pub(super) fn site_utime(&mut self, argument: &[u8], world: World<'_>, step: &mut Step) {
        let Ok((seconds, path)) = argument::utime(argument) else {
            let text = "UTIME takes YYYYMMDDHHMM[SS] and a path, or a path, three such times and UTC.";
            return step.reply(Reply::new(Code::BadArgument, text));
        };
        self.set_attributes("SITE UTIME", Code::FileStatus, path, modified(seconds), world, step);
    }

    /// Asks for leave to set each of the attributes, then has the store set all of them.
    fn set_attributes(
        &mut self,
        command: &'static str,
        code: Code,
        path: &[u8],
        wanted: Attributes,
        world: World<'_>,
        step: &mut Step,
    ) {
        let State::Files(files) = &self.state else { return };
        let path = match files.directory.join(path) {
            Ok(path) => path,
            Err(error) => return step.reply(refusal::path(error, Doing::Looking).0),
        };
        let needed = needed(wanted);
        for permission in needed.iter() {
            let one = PermissionSet::of(&[permission]);
            if self.grant_named(command, path.clone(), one, world, step).is_none() {
                return;
            }
        }
        let Some((path, grant)) = self.grant_named(command, path, needed, world, step) else { return };
        let State::Files(files) = &mut self.state else { return };
        let setting = Setting { command, code, path, wanted };
        let request = StoreRequest::SetAttributes(grant, wanted);
        step.ask_store(files, Waiting::Setting(setting), Question::Store(request));
    }

    pub(super) fn attributes_set(
        &mut self,
        setting: &Setting,
        answer: &Result<StoreAnswer, StoreFault>,
        step: &mut Step,
    ) {
        let (reply, outcome) = match facts_of(answer) {
            Ok(facts) => (done(setting, &facts), Ok(facts)),
            Err(fault) => {
                let (reply, reason) = refusal::store(fault, Doing::Looking);
                (reply, Err(reason))
            }
        };
        let Setting { wanted, .. } = setting;
        let events = [wanted.modified_seconds.map(|_| Event::FileTime), wanted.mode.map(|_| Event::FileMode)];
        for event in events.into_iter().flatten() {
            let mut record = match outcome {
                Ok(facts) => self.record_set(event, &facts),
                Err(reason) => {
                    let attempted = Detail::Text(event.description().code.to_owned());
                    self.record(Event::FileChangeFailed).failed(reason).with("attempted", attempted)
                }
            };
            record.command = Some(setting.command);
            record.codes = vec![reply.code().number()];
            let directory = outcome.is_ok_and(|facts| facts.directory);
            record.file = Some(FileFacts { directory, ..FileFacts::of(&setting.path) });
            step.audit(record);
        }
        step.reply(reply);
    }

    fn record_set(&self, event: Event, facts: &PathFacts) -> Record {
        let record = self.record(event);
        match event {
            Event::FileMode => record.with("mode", Detail::Text(octal(facts.mode))),
            _ => record.with("modified", Detail::Text(super::inspect::time(facts.modified_seconds))),
        }
    }
}

fn modified(seconds: i64) -> Attributes {
    Attributes { modified_seconds: Some(seconds), mode: None }
}

fn needed(wanted: Attributes) -> PermissionSet {
    let time = wanted.modified_seconds.map_or(PermissionSet::NONE, |_| PermissionSet::of(&[Permission::SetTime]));
    let mode = wanted.mode.map_or(PermissionSet::NONE, |_| PermissionSet::of(&[Permission::SetMode]));
    time.union(mode)
}

/// The reply to attributes that were set: those, as they now are.
fn done(setting: &Setting, facts: &PathFacts) -> Reply {
    let mut text = String::new();
    if setting.wanted.modified_seconds.is_some() {
        text.push_str("Modify=");
        text.push_str(&super::inspect::time(facts.modified_seconds));
        text.push(';');
    }
    if setting.wanted.mode.is_some() {
        text.push_str("UNIX.mode=");
        text.push_str(&octal(facts.mode));
        text.push(';');
    }
    Reply::new(setting.code, format!("{text} {}", setting.path))
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

/// Reads `fact=value;fact=value;`, each fact known and given once.
fn read_facts(argument: &[u8]) -> Result<Attributes, Reply> {
    let form = || Reply::new(Code::BadArgument, "MFF takes fact=value; once or more, a space and a path.");
    let text = std::str::from_utf8(argument).map_err(|_| form())?;
    let mut wanted = Attributes::default();
    for fact in text.strip_suffix(';').unwrap_or(text).split(';') {
        let (name, value) = fact.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(form)?;
        let twice = if name.eq_ignore_ascii_case("Modify") {
            let seconds = argument::time(value.as_bytes())
                .map_err(|_| Reply::new(Code::BadArgument, "Modify takes YYYYMMDDHHMMSS."))?;
            wanted.modified_seconds.replace(seconds).is_some()
        } else if name.eq_ignore_ascii_case("UNIX.mode") {
            wanted.mode.replace(read_mode(value.as_bytes())?).is_some()
        } else {
            return Err(not_settable(name));
        };
        if twice {
            return Err(Reply::new(Code::BadArgument, "A fact is given twice."));
        }
    }
    Ok(wanted)
}

fn not_settable(name: &str) -> Reply {
    let known = FIXED.iter().find(|(fixed, _)| fixed.eq_ignore_ascii_case(name));
    Reply::new(
        Code::NotThisArgument,
        match known {
            Some((fixed, reason)) => format!("{fixed} cannot be set: {reason}."),
            None => format!("No such fact; {SETTABLE} can be set."),
        },
    )
}

/// Reads permission bits for files here: those of owner, group and others.
fn read_mode(argument: &[u8]) -> Result<u32, Reply> {
    match argument::mode(argument) {
        Ok(ModeArgument::Plain(bits)) => Ok(bits),
        Ok(ModeArgument::Special) => {
            let text = "setuid, setgid and sticky bits are never set; the first of four digits is 0.";
            Err(Reply::new(Code::NotThisArgument, text))
        }
        Err(_) => Err(Reply::new(Code::BadArgument, "A mode has three octal digits, or four that begin with 0.")),
    }
}
