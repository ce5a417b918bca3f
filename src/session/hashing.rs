//! Hashes of files on request: `HASH`, `RANG`, `OPTS HASH` (draft-bryan-ftpext-hash,
//! draft-bryan-ftp-range) and the X-forms that came before them. A hash runs beside the dialogue,
//! as a transfer does.

use std::ops::Range;

use super::effect::{HashCandidate, HashOrder, Hashed, HashedPart, Question, Step};
use super::files::Waiting;
use super::refusal::{self, Doing};
use super::running::Running;
use super::{Command, Session, State, World};
use crate::audit::event::Event;
use crate::audit::record::{Detail, FileFacts};
use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::hash::{self, Algorithm, Octets, Reading};
use crate::proto::path::VirtualPath;
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;
use crate::rules::Needs;

/// What a session has chosen for its hashes.
#[derive(Debug)]
pub(super) struct HashChoice {
    /// What `OPTS HASH` set.
    pub(super) algorithm: Algorithm,
    /// What `RANG` set, until the next `HASH`.
    octets: Octets,
}

impl Default for HashChoice {
    fn default() -> Self {
        Self { algorithm: Algorithm::Sha256, octets: Octets::All }
    }
}

/// A hash from its command to its reply.
#[derive(Debug)]
pub(super) struct Hashing {
    pub(super) verb: Verb,
    pub(super) path: VirtualPath,
    /// The name as the client gave it.
    name: String,
    algorithm: Algorithm,
    pub(super) running: Running,
}

impl Session {
    pub(super) fn hashing(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        let offered = self.settings.hashes;
        let State::Files(files) = &mut self.state else { return };
        let verb = command.rule.verb;
        if verb == Verb::Rang {
            return step.reply(files.hashes.choose_octets(command.argument));
        }
        let (algorithm, readings) = match Algorithm::of_verb(verb) {
            None => {
                let octets = std::mem::take(&mut files.hashes.octets);
                (files.hashes.algorithm, Ok(vec![Reading { name: command.argument.to_vec(), octets }]))
            }
            Some(algorithm) if !offered.contains(algorithm) => {
                let text = format!("{algorithm} can be forged and is not offered here; use XSHA256 or HASH.");
                return step.reply(Reply::new(Code::NotThisArgument, text));
            }
            Some(algorithm) => (algorithm, hash::readings(command.argument)),
        };
        let Ok(readings) = readings else {
            let text = format!("{verb} takes a path, and perhaps the first byte and the one behind the last.");
            return step.reply(Reply::new(Code::BadArgument, text));
        };
        let Some(candidates) = self.candidates(command, &readings, world, step) else { return };
        let Some(first) = candidates.first() else { return };
        let hashing = Hashing {
            verb,
            path: first.grant.path().clone(),
            name: String::from_utf8_lossy(command.argument).into_owned(),
            algorithm,
            running: Running::default(),
        };
        let State::Files(files) = &mut self.state else { return };
        files.wait(Waiting::Hashing(Box::new(hashing)));
        step.ask(Question::Hash(Box::new(HashOrder { algorithm, candidates })));
    }

    /// The files that an argument may mean, in the order in which they are tried; none where one of
    /// them is not permitted, or none can be there.
    fn candidates(
        &mut self,
        command: &Command<'_>,
        readings: &[Reading],
        world: World<'_>,
        step: &mut Step,
    ) -> Option<Vec<HashCandidate>> {
        let Needs::AnyOf(of_whole) = command.rule.needs else { return None };
        let mut candidates = Vec::new();
        let mut unreadable = None;
        // What the client means most likely is denied, and recorded, first: the last reading.
        for Reading { name, octets } in readings.iter().rev() {
            // The hashes of parts that are small enough tell the content.
            let wanted = if *octets == Octets::All { of_whole } else { PermissionSet::of(&[Permission::Read]) };
            let State::Files(files) = &self.state else { return None };
            match files.directory.join(name) {
                Ok(path) => {
                    let (_, grant) = self.grant_for(command.rule.verb, path, wanted, world, step)?;
                    candidates.insert(0, HashCandidate { grant, octets: *octets });
                }
                Err(error) => unreadable = unreadable.or(Some(error)),
            }
        }
        if let (true, Some(error)) = (candidates.is_empty(), unreadable) {
            step.reply(refusal::path(error, Doing::Looking).0);
        }
        Some(candidates)
    }

    /// A hash has ended: its record, then its reply.
    pub(super) fn hashed(&mut self, hashing: &Hashing, hashed: &Hashed, step: &mut Step) {
        let mut record = self.record(Event::FileHash);
        let mut file = FileFacts::of(&hashed.path);
        let reply = match &hashed.end {
            Ok(part) => {
                file.size = Some(part.size);
                if part.is_whole() {
                    file.digest = Some(part.digest.clone());
                } else {
                    record = record.with("hash", Detail::Text(part.digest.hex.clone()));
                    record = record.with("hash_range", Detail::Text(told(&part.octets)));
                }
                found(hashing, part)
            }
            Err(fault) => {
                let (reply, reason) = refusal::hash(fault);
                record = record.failed(reason);
                reply
            }
        };
        record = record.with("hash_algorithm", Detail::Text(hashing.algorithm.name().to_owned()));
        record.command = Some(hashing.verb.name());
        record.codes = vec![reply.code().number()];
        record.duration = Some(hashed.duration);
        record.file = Some(file);
        step.audit(record);
        hashing.running.reply(reply, step);
        self.end_session(hashing.running.ending_after(hashed.end.as_ref().err()), step);
    }

    /// `OPTS HASH` tells the function in force, or sets it (draft-bryan-ftpext-hash §3.2).
    pub(super) fn opts_hash(&mut self, name: &str, step: &mut Step) {
        let offered = self.settings.hashes;
        let State::Files(files) = &mut self.state else { return };
        let known = Algorithm::parse(name.as_bytes());
        let refused = match known {
            None if name.is_empty() => None,
            None => Some((Code::BadArgument, "No such hash")),
            Some(algorithm) if offered.contains(algorithm) => {
                files.hashes.algorithm = algorithm;
                None
            }
            Some(_) => Some((Code::NotThisArgument, "That one can be forged")),
        };
        let current = files.hashes.algorithm;
        step.reply(match refused {
            None => Reply::new(Code::Okay, current.name()),
            Some((code, why)) => {
                Reply::new(code, format!("{why}; offered are {}. It stays {current}.", offered.names()))
            }
        });
    }
}

impl HashChoice {
    /// Whether `RANG` named a part; it is forgotten.
    pub(super) fn forget_part(&mut self) -> bool {
        std::mem::take(&mut self.octets) != Octets::All
    }

    /// `RANG`: it holds for the next `HASH` and nothing else, and one that cannot be read takes back
    /// what was set (draft-bryan-ftp-range §3).
    fn choose_octets(&mut self, argument: &[u8]) -> Reply {
        let read = hash::range(argument);
        self.octets = read.unwrap_or_default();
        match read {
            Ok(Octets::Within { first, last }) => {
                let text = format!("The next HASH takes bytes {first} to {last}.");
                Reply::new(Code::Pending, text)
            }
            Ok(_) => Reply::new(Code::Pending, "The next HASH takes the whole file."),
            Err(_) => {
                let text = "RANG takes the first and the last byte, from 0 on; the next HASH takes the whole file.";
                Reply::new(Code::BadArgument, text)
            }
        }
    }
}

/// The reply to a hash that was found: of `HASH` as the draft says, of the X-forms in capitals, as
/// their clients know it.
fn found(hashing: &Hashing, part: &HashedPart) -> Reply {
    let hex = &part.digest.hex;
    if hashing.verb == Verb::Hash {
        let text = format!("{} {} {hex} {}", hashing.algorithm, told(&part.octets), hashing.name);
        Reply::new(Code::FileStatus, text)
    } else {
        Reply::new(Code::ActionDone, hex.to_ascii_uppercase())
    }
}

/// The first and the last byte. Of no bytes at all, both are the first.
fn told(octets: &Range<u64>) -> String {
    format!("{}-{}", octets.start, octets.end.saturating_sub(1).max(octets.start))
}
