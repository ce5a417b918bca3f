//! How much may be stored: `AVBL` (draft-peterson-streamlined-ftp-command-extensions §4) and
//! `SITE QUOTA`.

use super::effect::{Question, QuotaFacts, Step, StoreAnswer, StoreFault, StoreRequest};
use super::files::Waiting;
use super::refusal::{self, Doing};
use super::{Command, Session, State, World};
use crate::policy::grant::Judgement;
use crate::policy::permission::PermissionSet;
use crate::proto::path::VirtualPath;
use crate::proto::reply::{Code, Reply};

/// What was asked.
#[derive(Clone, Debug)]
pub(super) enum Room {
    /// What may still be stored at this path.
    Left(VirtualPath),
    /// What the home, or the folder that the session stands in, holds and may hold.
    Quota {
        /// Whether it is a folder.
        of_folder: bool,
    },
}

impl Session {
    pub(super) fn space(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        let Some((path, grant)) = self.grant(command, command.argument, Doing::Looking, world, step) else { return };
        self.ask_room(Room::Left(path), StoreRequest::Room(grant), step);
    }

    /// `SITE QUOTA`.
    pub(super) fn site_quota(&mut self, _argument: &[u8], world: World<'_>, step: &mut Step) {
        let State::Files(files) = &self.state else { return };
        let directory = files.directory.clone();
        match world.policy.pass(&files.principal, &directory, world.now) {
            Judgement::Allow(grant) => {
                let room = Room::Quota { of_folder: grant.folder().is_some() };
                self.ask_room(room, StoreRequest::Quota(grant), step);
            }
            Judgement::Deny(denial) => self.denied("SITE QUOTA", &directory, PermissionSet::ALL, denial, step),
        }
    }

    fn ask_room(&mut self, room: Room, request: StoreRequest, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        step.ask_store(files, Waiting::Room(room), Question::Store(request));
    }

    pub(super) fn room_told(
        &self,
        room: &Room,
        answer: &Result<StoreAnswer, StoreFault>,
        world: World<'_>,
        step: &mut Step,
    ) {
        step.reply(match (room, answer) {
            // Who does not know what is there hears of no file.
            (Room::Left(path), Ok(StoreAnswer::Room { directory: false, .. }) | Err(StoreFault::NotADirectory))
                if !self.may_know(path, world) =>
            {
                refusal::store(StoreFault::NotFound, Doing::Looking).0
            }
            (Room::Left(_), Ok(StoreAnswer::Room { bytes, .. })) => Reply::new(Code::FileStatus, bytes.to_string()),
            (Room::Quota { of_folder }, Ok(StoreAnswer::Quota(facts))) => quota(facts, *of_folder),
            (_, Ok(_)) => refusal::store(StoreFault::Local, Doing::Looking).0,
            (_, Err(fault)) => refusal::store(*fault, Doing::Looking).0,
        });
    }
}

fn quota(facts: &QuotaFacts, of_folder: bool) -> Reply {
    let lines = vec![
        format!("bytes: {}", share(facts.used.map(|(bytes, _)| bytes), facts.bytes_max)),
        format!("files and directories: {}", share(facts.used.map(|(_, files)| files), facts.files_max)),
    ];
    let whose = if of_folder { "this folder" } else { "your home" };
    Reply::lines(Code::Okay, format!("Quota of {whose}, and what it holds:"), lines, "End")
}

/// How much of a limit is used.
fn share(used: Option<u64>, limit: Option<u64>) -> String {
    match (used, limit) {
        (Some(used), Some(limit)) => {
            let percent = u128::from(used).saturating_mul(100).checked_div(limit.into()).unwrap_or(100);
            format!("{used} of {limit} ({percent} %), {} left", limit.saturating_sub(used))
        }
        (Some(used), None) => format!("{used}, no limit"),
        (None, Some(limit)) => format!("not counted, limit {limit}"),
        (None, None) => "not counted, no limit".to_owned(),
    }
}
