//! What moves over data connections: `REST`, `ALLO`, the transfer commands, and how a transfer ends.

use super::effect::{
    Effect, Listing, MoveFault, Moved, Payload, Placement, Prepared, Question, Step, StoreFault, TransferOrder,
};
use super::files::{DataState, Files, Waiting};
use super::refusal::{self, Doing};
use super::running::Running;
use super::{Command, Session, State, World};
use crate::audit::event::Event;
use crate::audit::record::{Detail, FileFacts, Record, Traffic};
use crate::policy::grant::{Grant, Judgement};
use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::argument::{self, Representation, without_options};
use crate::proto::facts::Form;
use crate::proto::path::VirtualPath;
use crate::proto::pattern::Pattern;
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;
use crate::rules::action::{CHOSEN_NAME_DIGITS, CHOSEN_NAME_START};

/// The furthest restart marker in text, in octets.
const TEXT_OFFSET_MAX: u64 = 64 << 20;
/// What listing a directory needs.
const LISTING: PermissionSet = PermissionSet::of(&[Permission::List]);

/// A transfer from its command to its final reply.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) verb: Verb,
    pub(super) path: VirtualPath,
    restart_offset: u64,
    pub(super) running: Running,
}

impl Session {
    pub(super) fn ahead_of_transfer(&mut self, command: &Command<'_>, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        let reply = if command.rule.verb == Verb::Rest {
            match argument::number(command.argument) {
                Ok(offset) => {
                    files.restart_offset = offset;
                    Reply::new(Code::Pending, format!("The next transfer starts at {offset}."))
                }
                Err(_) => Reply::new(Code::BadArgument, "REST takes an offset in bytes."),
            }
        } else {
            match argument::allocation(command.argument) {
                Ok(bytes) => {
                    files.announced_bytes = Some(bytes);
                    Reply::new(Code::Okay, "Noted; the upload is judged by it.")
                }
                Err(_) => Reply::new(Code::BadArgument, "ALLO takes a size in bytes."),
            }
        };
        step.reply(reply);
    }

    pub(super) fn transfer_command(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        let verb = command.rule.verb;
        // Both hold for this command, whatever becomes of it.
        let restart_offset = std::mem::take(&mut files.restart_offset);
        let announced_bytes = files.announced_bytes.take();
        if files.parameters.protection.is_none() {
            step.effects.push(Effect::CloseData);
            files.data = DataState::None;
            return step.reply(Reply::new(Code::ProtectionNeeded, "Data connections need PBSZ 0 and PROT P first."));
        }
        if files.data == DataState::None {
            return step.reply(Reply::new(Code::NoDataConnection, "Send EPSV or PASV first."));
        }
        if !is_listing(verb) && files.hashes.forget_part() {
            // Who names a part by it must not get, or replace, the whole.
            let reply = Reply::new(Code::BadSequence, "RANG is for HASH alone; REST sets where a transfer starts.");
            return self.refuse_transfer(reply, step);
        }
        let text = files.parameters.representation == Representation::Ascii && !is_listing(verb);
        if text && restart_offset > TEXT_OFFSET_MAX {
            // Where a marker in text stands in the file shows only by reading up to it.
            let words = "In TYPE A, REST reaches 64 MiB; use TYPE I.";
            return self.refuse_transfer(Reply::new(Code::BadRestart, words), step);
        }
        let unique = if verb == Verb::Stou { unique_name(&self.facts.id, world) } else { String::new() };
        let (argument, doing) = match verb {
            Verb::List | Verb::Nlst => (without_options(command.argument), Doing::Looking),
            // RFC 1123 §4.1.2.9: the name is the server's choice.
            Verb::Stou => (unique.as_bytes(), Doing::Naming),
            Verb::Retr | Verb::Mlsd => (command.argument, Doing::Looking),
            _ => (command.argument, Doing::Naming),
        };
        let matching = self.matching(verb, argument, world);
        let (path, grant) = match matching.as_ref().and_then(|_| self.refused_name(argument, world)) {
            // Nothing may be listed under that very name, but it is a pattern.
            Some(path) => (path, None),
            None => match self.grant(command, argument, doing, world, step) {
                Some((path, grant)) => (path, Some(grant)),
                None => return self.drop_data(step),
            },
        };
        let State::Files(files) = &mut self.state else { return };
        let what = match (verb, grant) {
            (Verb::List | Verb::Nlst | Verb::Mlsd, grant) => {
                let viewer = Box::new(world.policy.viewer(&files.principal, world.now));
                Payload::List { grant, matching, viewer, listing: listing(files, verb, argument, world) }
            }
            (Verb::Retr, Some(grant)) => Payload::Retrieve { grant, offset: restart_offset },
            (_, Some(grant)) => Payload::Store { grant, placement: placement(verb, restart_offset), announced_bytes },
            (_, None) => return self.drop_data(step),
        };
        let order = TransferOrder {
            what,
            representation: files.parameters.representation,
            binding: world.policy.binding(&files.principal, world.today()),
        };
        let transfer = Transfer { verb, path, restart_offset, running: Running::default() };
        files.wait(Waiting::Transfer(Box::new(transfer)));
        step.ask(Question::Prepare(Box::new(order)));
    }

    /// Where the name that is to be listed may be a pattern: leave to list its directory, and which
    /// of its entries are meant.
    fn matching(&self, verb: Verb, argument: &[u8], world: World<'_>) -> Option<(Grant, Pattern)> {
        let State::Files(files) = &self.state else { return None };
        if !matches!(verb, Verb::List | Verb::Nlst) {
            return None;
        }
        let (ahead, last) = split_last(argument);
        let pattern = Pattern::parse(&last)?;
        let directory = files.directory.join(ahead.as_bytes()).ok()?;
        match world.policy.judge(&files.principal, LISTING, &directory, world.now) {
            Judgement::Allow(grant) => Some((grant, pattern)),
            Judgement::Deny(_) => None,
        }
    }

    /// The path under that very name, where it may not be listed.
    fn refused_name(&self, argument: &[u8], world: World<'_>) -> Option<VirtualPath> {
        let State::Files(files) = &self.state else { return None };
        let path = files.directory.join(argument).ok()?;
        let judged = world.policy.judge(&files.principal, LISTING, &path, world.now);
        matches!(judged, Judgement::Deny(_)).then_some(path)
    }

    /// Refuses a transfer command and lets its data connection go.
    fn refuse_transfer(&mut self, reply: Reply, step: &mut Step) {
        step.reply(reply);
        self.drop_data(step);
    }

    fn drop_data(&mut self, step: &mut Step) {
        if let State::Files(files) = &mut self.state {
            files.data = DataState::None;
            step.effects.push(Effect::CloseData);
        }
    }

    pub(super) fn prepared(
        &mut self,
        mut transfer: Box<Transfer>,
        answer: Result<Prepared, MoveFault>,
        step: &mut Step,
    ) {
        match answer {
            Ok(prepared) => {
                if let Ok(path) = VirtualPath::root().join(prepared.path.as_bytes()) {
                    transfer.path = path;
                }
                step.reply(opening(&transfer, prepared.size));
                let State::Files(files) = &mut self.state else { return };
                files.wait(Waiting::Transfer(transfer));
                step.ask(Question::Move);
            }
            Err(fault) => self.not_prepared(&transfer, &fault, step),
        }
    }

    /// A transfer was refused before any data moved.
    fn not_prepared(&mut self, transfer: &Transfer, fault: &MoveFault, step: &mut Step) {
        let (mut reply, reason) = match fault {
            MoveFault::Store(fault) => refusal::store(*fault, doing(transfer.verb)),
            fault => refusal::transfer(fault, None),
        };
        if transfer.verb == Verb::Mlsd && *fault == MoveFault::Store(StoreFault::NotADirectory) {
            // RFC 3659 §7.2: MLSD of a file is an error of the argument.
            reply = Reply::new(Code::BadArgument, "MLSD is for directories; MLST tells the facts of a file.");
        }
        let event = match fault {
            MoveFault::Store(StoreFault::Quota | StoreFault::NoSpace) => Some(Event::QuotaExceeded),
            MoveFault::Handshake(..) | MoveFault::NotBound(..) => Some(Event::DataBindingFailed),
            _ => unfinished(transfer.verb),
        };
        if let Some(event) = event {
            let mut record = self.transfer_record(event, transfer).failed(reason);
            record.codes = vec![reply.code().number()];
            step.audit(record);
        }
        self.refuse_transfer(reply, step);
    }

    /// A transfer has ended: its record, then its reply, then the reply to the `ABOR` that ended it.
    pub(super) fn moved(&mut self, transfer: &Transfer, moved: Moved, step: &mut Step) {
        let upload = is_upload(transfer.verb);
        let traffic = if upload {
            Traffic { bytes_in: moved.bytes, bytes_out: 0 }
        } else {
            Traffic { bytes_in: 0, bytes_out: moved.bytes }
        };
        self.totals.bytes_in = self.totals.bytes_in.saturating_add(traffic.bytes_in);
        self.totals.bytes_out = self.totals.bytes_out.saturating_add(traffic.bytes_out);
        for reason in &moved.refused {
            step.audit(self.transfer_record(Event::DataBindingFailed, transfer).failed(reason));
        }
        let (reply, mut record) = match &moved.end {
            Ok(()) => {
                self.transfers = self.transfers.saturating_add(1);
                (whole(transfer, &moved), self.transfer_record(finished(transfer.verb), transfer))
            }
            Err(fault) => {
                let (reply, reason) = refusal::transfer(fault, moved.kept_bytes);
                if let Some(record) = self.data_fault(fault, transfer, &moved, &reply) {
                    step.audit(record);
                }
                let event = unfinished(transfer.verb).unwrap_or(finished(transfer.verb));
                (reply, self.transfer_record(event, transfer).failed(reason))
            }
        };
        record.codes = vec![Code::Opening.number(), reply.code().number()];
        record.duration = Some(moved.duration);
        record.traffic = Some(traffic);
        record.data = moved.data;
        if let Some(file) = &mut record.file {
            file.size = moved.size;
            file.digest = moved.digest;
        }
        if moved.replaced {
            record = record.with("replaced", Detail::Flag(true));
        }
        if let Some(kept) = moved.kept_bytes {
            record = record.with("kept_bytes", Detail::Number(kept));
        }
        step.audit(record);
        transfer.running.reply(reply, step);
        self.drop_data(step);
        self.end_session(transfer.running.ending_after(moved.end.as_ref().err()), step);
    }

    /// The record of its own that a data connection deserves which did not belong here, or an
    /// upload that a limit stopped.
    fn data_fault(&self, fault: &MoveFault, transfer: &Transfer, moved: &Moved, reply: &Reply) -> Option<Record> {
        let (event, reason) = match fault {
            MoveFault::Handshake(reason, _) | MoveFault::NotBound(reason, _) => (Event::DataBindingFailed, *reason),
            MoveFault::Store(StoreFault::Quota) => (Event::QuotaExceeded, "quota"),
            MoveFault::Store(StoreFault::NoSpace) => (Event::QuotaExceeded, "no_space"),
            _ => return None,
        };
        let mut record = self.transfer_record(event, transfer).failed(reason);
        record.codes = vec![reply.code().number()];
        record.data.clone_from(&moved.data);
        Some(record)
    }

    fn transfer_record(&self, event: Event, transfer: &Transfer) -> Record {
        let mut record = self.record(event);
        record.command = Some(transfer.verb.name());
        record.file = Some(FileFacts { directory: is_listing(transfer.verb), ..FileFacts::of(&transfer.path) });
        if transfer.restart_offset > 0 {
            record = record.with("restart_offset", Detail::Number(transfer.restart_offset));
        }
        record
    }
}

/// The reply to an `ABOR` with nothing to abort.
pub(super) fn no_transfer() -> Reply {
    Reply::new(Code::DataIdle, "No transfer is running.")
}

fn is_listing(verb: Verb) -> bool {
    matches!(verb, Verb::List | Verb::Nlst | Verb::Mlsd)
}

fn is_upload(verb: Verb) -> bool {
    matches!(verb, Verb::Stor | Verb::Appe | Verb::Stou)
}

/// A name for a file that nobody named: different each time, in any session.
fn unique_name(session: &str, world: World<'_>) -> String {
    let hash = blake3::hash(format!("{session} {}", world.now).as_bytes()).to_hex();
    format!("{CHOSEN_NAME_START}{}", hash.get(..CHOSEN_NAME_DIGITS).unwrap_or_default())
}

/// A path as it was typed, and its last name.
fn split_last(argument: &[u8]) -> (String, String) {
    let mut ahead = String::from_utf8_lossy(argument).into_owned();
    let last = ahead.split_off(ahead.rfind('/').map_or(0, |at| at.saturating_add(1)));
    (ahead, last)
}

/// How a listing is written.
fn listing(files: &Files, verb: Verb, argument: &[u8], world: World<'_>) -> Listing {
    let form = || Box::new(Form::new(files.facts, world.now));
    match verb {
        Verb::Mlsd => Listing::Facts(form()),
        Verb::List => Listing::Long(form()),
        // As it was typed, so that the names can be used as they come.
        _ => {
            let (ahead, last) = split_last(argument);
            let in_directory = match last.as_str() {
                "" => ahead.clone(),
                "." if ahead.is_empty() => String::new(),
                last => format!("{ahead}{last}/"),
            };
            Listing::Names { of_file: ahead, in_directory }
        }
    }
}

/// Where an upload's content goes.
fn placement(verb: Verb, restart_offset: u64) -> Placement {
    match verb {
        Verb::Stou => Placement::Unique,
        // RFC 3659 §5.3: a marker before APPE makes it STOR from there.
        _ if restart_offset > 0 => Placement::ResumeAt(restart_offset),
        Verb::Appe => Placement::Append,
        _ => Placement::Replace,
    }
}

fn doing(verb: Verb) -> Doing {
    if is_upload(verb) { Doing::Naming } else { Doing::Looking }
}

fn finished(verb: Verb) -> Event {
    match verb {
        Verb::Retr => Event::FileDownload,
        verb if is_upload(verb) => Event::FileUpload,
        _ => Event::FileList,
    }
}

fn unfinished(verb: Verb) -> Option<Event> {
    match verb {
        Verb::Retr => Some(Event::FileDownloadIncomplete),
        verb if is_upload(verb) => Some(Event::FileUploadIncomplete),
        _ => None,
    }
}

/// The reply before the data moves. Of `STOU` it has the form that RFC 1123 §4.1.2.9 prescribes.
fn opening(transfer: &Transfer, size: Option<u64>) -> Reply {
    let text = match (transfer.verb, size) {
        (Verb::Stou, _) => format!("FILE: {}", transfer.path.name().unwrap_or_default()),
        (_, Some(size)) => format!("Opening the data connection; the file has {size} bytes."),
        (_, None) => "Opening the data connection.".to_owned(),
    };
    Reply::new(Code::Opening, text)
}

fn whole(transfer: &Transfer, moved: &Moved) -> Reply {
    let mut text = format!("Transfer complete; {} bytes", moved.bytes);
    if transfer.verb == Verb::Stou {
        text.push_str(", FILE: ");
        text.push_str(transfer.path.name().unwrap_or_default());
    }
    if let Some(digest) = &moved.digest {
        text.push_str(", ");
        text.push_str(digest.algorithm);
        text.push(' ');
        text.push_str(&digest.hex);
    }
    text.push('.');
    Reply::new(Code::TransferDone, text)
}
