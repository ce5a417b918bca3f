//! How much may be stored: `AVBL` (draft-peterson-streamlined-ftp-command-extensions §4) and
//! `SITE QUOTA`.

use super::effect::{Question, QuotaFacts, Step, StoreAnswer, StoreFault, StoreRequest};
use super::files::Waiting;
use super::refusal::{self, Doing};
use super::{Command, Session, State, World};
use crate::proto::reply::{Code, Reply};

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    /// What may still be stored at a path.
    Left,
    /// What the home holds and may hold.
    Quota,
}

impl Session {
    pub(super) fn space(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        let Some((_, grant)) = self.grant(command, command.argument, Doing::Looking, world, step) else { return };
        self.ask_room(Room::Left, StoreRequest::Room(grant), step);
    }

    /// `SITE QUOTA`.
    pub(super) fn site_quota(&mut self, _argument: &[u8], _world: World<'_>, step: &mut Step) {
        self.ask_room(Room::Quota, StoreRequest::Quota, step);
    }

    fn ask_room(&mut self, room: Room, request: StoreRequest, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        step.ask_store(files, Waiting::Room(room), Question::Store(request));
    }

    pub(super) fn room_told(room: Room, answer: &Result<StoreAnswer, StoreFault>, step: &mut Step) {
        step.reply(match (room, answer) {
            (Room::Left, Ok(StoreAnswer::Room(bytes))) => Reply::new(Code::FileStatus, bytes.to_string()),
            (Room::Quota, Ok(StoreAnswer::Quota(facts))) => quota(facts),
            (_, Ok(_)) => refusal::store(StoreFault::Local, Doing::Looking).0,
            (_, Err(fault)) => refusal::store(*fault, Doing::Looking).0,
        });
    }
}

fn quota(facts: &QuotaFacts) -> Reply {
    let lines = vec![
        format!("bytes: {}", share(facts.used.map(|(bytes, _)| bytes), facts.bytes_max)),
        format!("files and directories: {}", share(facts.used.map(|(_, files)| files), facts.files_max)),
    ];
    Reply::lines(Code::Okay, "Quota of your home, and what it holds:", lines, "End")
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
