//! The answers to `sessions`, `watch` and `kick`.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Connection, Done, Refusal, fits, second};
use crate::config::networks;
use crate::daemon::calls::{Answer, Kicked, Kicking, SESSIONS_MAX, SessionLine, SessionList, TransferLine, Wanted};
use crate::daemon::server::Shared;
use crate::daemon::sessions::{Live, Moving};
use crate::proto::verb::Verb;
use crate::rules::Stage;
use crate::session::effect::Kick;

/// Bytes of a path that are told.
const PATH_BYTES_MAX: usize = 512;
/// How long sessions that were told to end are waited for.
const END_TIME: Duration = Duration::from_secs(3);
/// Sessions that are named where a beginning means several.
const NAMED_MAX: usize = 5;

/// What is meant of sessions.
#[derive(Clone, Debug, Default)]
struct Filter {
    user: Option<String>,
    network: Option<IpNet>,
}

impl Filter {
    fn new(user: Option<&String>, address: Option<&String>) -> Result<Self, Refusal> {
        let network = address.map(|text| network(text)).transpose()?;
        Ok(Self { user: user.cloned(), network })
    }

    fn means(&self, live: &Live) -> bool {
        let user = self.user.as_ref().is_none_or(|name| live.user().is_some_and(|user| user.as_str() == name));
        user && self.network.is_none_or(|network| network.contains(&live.facts.client.ip().to_canonical()))
    }
}

/// Reads a network or an address.
pub(super) fn network(text: &str) -> Result<IpNet, Refusal> {
    networks::parse(text).map_err(|fault| Refusal::new("malformed", format!("{}: {}", fault.message, fault.help)))
}

impl Connection {
    pub(super) async fn sessions(&self, wanted: &Wanted) -> Done {
        let filter = match Filter::new(wanted.user.as_ref(), wanted.address.as_ref()) {
            Ok(filter) => filter,
            Err(refused) => return refused.into(),
        };
        let limit = wanted.limit.unwrap_or(SESSIONS_MAX).min(SESSIONS_MAX);
        self.blocking(move |shared| {
            let list = list(shared, &filter, limit);
            let told = list.sessions.len();
            Done::well(Answer::Sessions(list), format!("{told} sessions told"))
        })
        .await
    }

    pub(super) async fn kick(&self, kicking: &Kicking) -> Done {
        if let Err(refused) = fits(kicking.reason.as_deref()) {
            return refused.into();
        }
        let meant = match self.meant(kicking) {
            Ok(meant) => meant,
            Err(refused) => return refused.into(),
        };
        let kicked = self.end(meant, false, kicking.reason.clone()).await;
        if kicked.sessions == 0 {
            return Done::refused("not_found", "no session is meant by that");
        }
        Done::well(Answer::Kick(kicked), format!("{} sessions ended", kicked.sessions))
    }

    fn meant(&self, kicking: &Kicking) -> Result<Vec<Arc<Live>>, Refusal> {
        let all = self.shared().sessions.all();
        match (&kicking.session, &kicking.user, &kicking.address) {
            (Some(beginning), None, None) => one(all, beginning).map(|one| vec![one]),
            (None, user @ Some(_), None) | (None, user @ None, Some(_)) => {
                let filter = Filter::new(user.as_ref(), kicking.address.as_ref())?;
                Ok(all.into_iter().filter(|live| filter.means(live)).collect())
            }
            _ => Err(Refusal::new("malformed", "name a session, a user or an address, and one of them alone")),
        }
    }

    /// Tells sessions to end, and waits for that, but not for long.
    async fn end(&self, sessions: Vec<Arc<Live>>, banned: bool, reason: Option<String>) -> Kicked {
        let kick = Arc::new(Kick { banned, uid: self.peer.uid, pid: self.peer.pid, reason });
        let told: Vec<Arc<Live>> = sessions.into_iter().filter(|live| live.kick(&kick)).collect();
        let ending = self.shared().sessions.left_of(&told, END_TIME).await;
        Kicked { sessions: told.len(), ending }
    }

    /// Ends the sessions from a network that was banned.
    pub(super) async fn end_banned(&self, network: IpNet, reason: Option<String>) -> usize {
        let filter = Filter { user: None, network: Some(network) };
        let meant = self.shared().sessions.all().into_iter().filter(|live| filter.means(live)).collect();
        self.end(meant, true, reason).await.sessions
    }
}

/// The session whose id begins so.
fn one(all: Vec<Arc<Live>>, beginning: &str) -> Result<Arc<Live>, Refusal> {
    let begins = |live: &Arc<Live>| {
        let start = live.facts.id.get(..beginning.len());
        !beginning.is_empty() && start.is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    };
    let mut meant: Vec<Arc<Live>> = all.into_iter().filter(begins).collect();
    if meant.len() > 1 {
        let named: Vec<&str> = meant.iter().take(NAMED_MAX).map(|live| live.facts.id.as_str()).collect();
        let words = format!("{} sessions begin so, such as {}: give more of the id", meant.len(), named.join(", "));
        return Err(Refusal::new("ambiguous", words));
    }
    meant.pop().ok_or_else(|| Refusal::new("not_found", "no session has an id that begins so"))
}

fn list(shared: &Shared, filter: &Filter, limit: usize) -> SessionList {
    let (now, at) = (Timestamp::now(), Instant::now());
    let mut list = SessionList::default();
    for live in shared.sessions.all().iter().filter(|live| filter.means(live)) {
        let moving = live.moving(at);
        if let Some(moving) = &moving {
            list.transfers = list.transfers.saturating_add(1);
            let total = match moving.verb {
                Verb::Stor | Verb::Appe | Verb::Stou => Some(&mut list.bytes_per_second_in),
                Verb::Retr | Verb::List | Verb::Nlst | Verb::Mlsd => Some(&mut list.bytes_per_second_out),
                // A hash is read, and goes nowhere.
                _ => None,
            };
            if let Some(total) = total {
                *total = total.saturating_add(moving.bytes_per_second);
            }
        }
        if list.sessions.len() < limit {
            list.sessions.push(line(live, moving.as_ref(), now, at));
        } else {
            list.more = list.more.saturating_add(1);
        }
    }
    list
}

fn line(live: &Live, moving: Option<&Moving>, now: Timestamp, at: Instant) -> SessionLine {
    let since = Timestamp::from_microsecond(live.facts.created_micros).unwrap_or(now);
    let client = live.facts.client;
    let stage = live.stage();
    SessionLine {
        session: live.facts.id.clone(),
        user: live.user().map(|user| user.as_str().to_owned()),
        address: client.ip().to_canonical().to_string(),
        port: client.port(),
        proxy: live.facts.proxy.map(|proxy| proxy.to_string()),
        since: second(since),
        seconds: u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0),
        idle_seconds: live.idle(at).as_secs(),
        tls: live.tls().map(str::to_owned),
        stage: match stage {
            None => "new",
            Some(Stage::Cleartext) => "cleartext",
            Some(Stage::Login) => "login",
            Some(Stage::Change) => "change-password",
            Some(Stage::Files) => "files",
        }
        .to_owned(),
        transfer: moving.map(transfer),
        waiting_for: waiting_for(stage, moving).map(str::to_owned),
    }
}

fn transfer(moving: &Moving) -> TransferLine {
    let path = moving.path.as_str();
    let size = moving.expected.size;
    TransferLine {
        verb: moving.verb.name().to_owned(),
        path: path.get(..path.floor_char_boundary(PATH_BYTES_MAX)).unwrap_or_default().to_owned(),
        bytes: moving.bytes,
        size,
        percent: size.map(|size| percent(moving.bytes.saturating_add(moving.expected.offset), size)),
        bytes_per_second: moving.bytes_per_second,
        seconds: moving.time.as_secs(),
    }
}

fn percent(done: u64, whole: u64) -> u8 {
    let share = u128::from(done.min(whole)).saturating_mul(100).checked_div(whole.into()).unwrap_or(100);
    u8::try_from(share).unwrap_or(100)
}

/// What has to come from outside.
fn waiting_for(stage: Option<Stage>, moving: Option<&Moving>) -> Option<&'static str> {
    match (stage?, moving) {
        (Stage::Cleartext, _) => Some("TLS"),
        (Stage::Login, _) => Some("the login"),
        (Stage::Change, _) => Some("a new password"),
        (Stage::Files, None) => Some("a command"),
        (Stage::Files, Some(Moving { verb, bytes, bytes_per_second: 0, .. })) => match (verb, bytes) {
            (Verb::Hash, _) => None,
            (_, 0) => Some("data"),
            _ => Some("the client"),
        },
        (Stage::Files, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_whole_percents_and_never_more_than_all() {
        for (done, whole, expected) in [(0, 10, 0), (5, 10, 50), (10, 10, 100), (11, 10, 100), (0, 0, 100)] {
            assert_eq!(percent(done, whole), expected, "{done} of {whole}");
        }
        assert_eq!(percent(u64::MAX - 1, u64::MAX), 99);
    }
}
