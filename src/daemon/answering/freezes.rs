//! The answers to `freeze`, `thaw` and `freezes`.

use jiff::Timestamp;

use super::{Connection, Done, Refusal, ends, fits, second};
use crate::daemon::calls::{Answer, FreezeLine, FreezeList, Freezing, Thawed, Thawing};
use crate::daemon::freezes::{FREEZES_MAX, Unchanged};
use crate::daemon::server::Shared;
use crate::identity::Username;
use crate::policy::Policy;
use crate::policy::freeze::{Freeze, Scope};
use crate::proto::path::VirtualPath;

impl Connection {
    pub(super) async fn freeze(&self, freezing: Freezing) -> Done {
        let now = Timestamp::now();
        let asked = match judged(&self.shared().policy(), freezing, now) {
            Ok(asked) => asked,
            Err(refused) => return refused.into(),
        };
        self.blocking(move |shared| match shared.freeze(|number| Freeze { number, ..asked }, now) {
            Ok(freeze) => {
                let line = line(&freeze, shared.freezes.are_kept());
                Done::well(Answer::Freeze(line), format!("{} holds", freeze.source()))
            }
            Err(fault) => unchanged(&fault),
        })
        .await
    }

    pub(super) async fn thaw(&self, thawing: Thawing) -> Done {
        if thawing.all == thawing.number.is_some() {
            return Done::refused("malformed", "name the number of a freeze, or all");
        }
        self.blocking(move |shared| {
            let now = Timestamp::now();
            let goes = |freeze: &Freeze| thawing.number.is_none_or(|number| freeze.number == number);
            match shared.thaw(goes, now) {
                Ok(gone) if gone.is_empty() && thawing.number.is_some() => {
                    Done::refused("not_found", "no freeze has that number; `freeze --list` shows those that hold")
                }
                Ok(gone) => {
                    let kept = shared.freezes.are_kept();
                    let thawed: Vec<FreezeLine> = gone.iter().map(|freeze| line(freeze, kept)).collect();
                    let result = format!("{} freezes ended", thawed.len());
                    let left = shared.freezes.list(now).len();
                    Done::well(Answer::Thaw(Thawed { thawed, left }), result)
                }
                Err(fault) => unchanged(&fault),
            }
        })
        .await
    }

    pub(super) async fn freezes(&self) -> Done {
        // Whoever freezes something meanwhile may wait for the disk.
        self.blocking(|shared| {
            let freezes = list(shared, Timestamp::now());
            let result = format!("{} freezes told", freezes.len());
            Done::well(Answer::Freezes(FreezeList { freezes }), result)
        })
        .await
    }
}

/// What is read-only now.
pub(super) fn list(shared: &Shared, now: Timestamp) -> Vec<FreezeLine> {
    let kept = shared.freezes.are_kept();
    shared.freezes.list(now).iter().map(|freeze| line(freeze, kept)).collect()
}

fn line(freeze: &Freeze, kept: bool) -> FreezeLine {
    let (path, folder) = match &freeze.scope {
        Scope::Everything => (None, None),
        Scope::Path(path) => (Some(path.to_string()), None),
        Scope::Folder(name) => (None, Some(name.clone())),
    };
    FreezeLine {
        number: freeze.number,
        user: freeze.user.as_ref().map(|user| user.as_str().to_owned()),
        path,
        folder,
        since: second(freeze.since),
        until: freeze.until.map(second),
        reason: freeze.reason.clone(),
        kept,
    }
}

/// Reads what is to be frozen; its number is still to be given.
fn judged(policy: &Policy, freezing: Freezing, now: Timestamp) -> Result<Freeze, Refusal> {
    let Freezing { user, path, folder, until, reason } = freezing;
    let until = ends(until.as_deref(), now)?;
    fits(reason.as_deref())?;
    let user = user.map(|name| known_user(policy, &name)).transpose()?;
    let scope = match (path, folder) {
        (Some(_), Some(_)) => return Err(Refusal::new("malformed", "name a path or a folder, not both")),
        (None, Some(name)) if policy.folders.contains_key(&name) => Scope::Folder(name),
        (None, Some(_)) => return Err(Refusal::new("not_found", "no folder of the policy has that name")),
        (Some(path), None) => {
            let absolute = path.starts_with('/');
            let path = VirtualPath::root().join(path.as_bytes()).ok().filter(|_| absolute);
            let path =
                path.ok_or_else(|| Refusal::new("malformed", "a path begins with / and is one that users can name"))?;
            if path.is_root() { Scope::Everything } else { Scope::Path(path) }
        }
        (None, None) => Scope::Everything,
    };
    Ok(Freeze { number: 0, user, scope, since: now, until, reason })
}

fn known_user(policy: &Policy, name: &str) -> Result<Username, Refusal> {
    let user = Username::parse(name).ok().filter(|user| policy.users.contains_key(user));
    user.ok_or_else(|| Refusal::new("not_found", "no user of the policy has that name"))
}

fn unchanged(fault: &Unchanged) -> Done {
    match fault {
        Unchanged::Full => Done::refused("full", format!("there are {FREEZES_MAX} freezes already: thaw some")),
        Unchanged::Unwritten(fault) => {
            Done::refused("failed", format!("it cannot be remembered, so nothing was changed: {fault}"))
        }
    }
}
