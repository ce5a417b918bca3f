//! The answers to `ban`, `unban` and `bans`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::sessions::network;
use super::{Connection, Done, Refusal, ends, fits, second};
use crate::daemon::bans::{BANS_MAX, Ban, Unchanged};
use crate::daemon::calls::{Answer, BanLine, BanList, Banned, Banning, Unbanned, Unbanning};
use crate::daemon::server::Shared;
use crate::policy::Policy;

/// Most bans in one answer.
const LINES_MAX: usize = 10_000;

impl Connection {
    pub(super) async fn ban(&self, banning: Banning) -> Done {
        let now = Timestamp::now();
        let ban = match judged(&self.shared().policy(), &banning, now) {
            Ok(ban) => ban,
            Err(refused) => return refused.into(),
        };
        let told = ban.clone();
        let kept = self.shared().bans.are_kept();
        let banned = self
            .blocking(move |shared| match shared.bans.add(ban.clone()) {
                Ok(()) => {
                    let banned = Banned { ban: by_hand(&ban, now), sessions: 0, kept };
                    Done::well(Answer::Ban(banned), "banned")
                }
                Err(fault) => unchanged(&fault),
            })
            .await;
        let Answer::Ban(mut banned) = banned.answer else { return banned };
        if !banning.keep_sessions {
            banned.sessions = self.end_banned(told.network, told.reason).await;
        }
        let result = format!("{} banned, {} sessions ended", told.network, banned.sessions);
        Done::well(Answer::Ban(banned), result)
    }

    pub(super) async fn unban(&self, unbanning: Unbanning) -> Done {
        let network = match network(&unbanning.network) {
            Ok(network) => network,
            Err(refused) => return refused.into(),
        };
        self.blocking(move |shared| {
            let now = Timestamp::now();
            let gone = match shared.bans.remove(&network, now) {
                Ok(gone) => gone,
                Err(fault) => return unchanged(&fault),
            };
            let lifted = shared.throttle().lift(&network);
            let wider = shared.bans.list(now).into_iter().filter(|ban| ban.network.contains(&network));
            let unbanned = Unbanned {
                by_hand: gone.iter().map(|ban| ban.network.to_string()).collect(),
                by_failed_logins: lifted.iter().map(ToString::to_string).collect(),
                still: wider.map(|ban| ban.network.to_string()).collect(),
            };
            let result = format!("{} bans by hand ended, {} of failed logins", gone.len(), lifted.len());
            Done::well(Answer::Unban(unbanned), result)
        })
        .await
    }

    pub(super) async fn bans(&self) -> Done {
        self.blocking(|shared| {
            let now = Timestamp::now();
            let by_hand = shared.bans.list(now).iter().map(|ban| by_hand(ban, now)).collect::<Vec<_>>();
            let mut bans: Vec<BanLine> = by_hand;
            let automatic = shared.throttle().bans();
            bans.extend(automatic.into_iter().map(|(source, rest)| {
                let until = SignedDuration::try_from(rest).ok().and_then(|rest| now.checked_add(rest).ok());
                BanLine {
                    network: source.to_string(),
                    by: "failed-logins".to_owned(),
                    since: None,
                    until: until.map(second),
                    seconds_left: Some(rest.as_secs()),
                    reason: Some("too many failed logins".to_owned()),
                }
            }));
            let more = bans.len().saturating_sub(LINES_MAX);
            bans.truncate(LINES_MAX);
            let result = format!("{} bans told", bans.len());
            Done::well(Answer::Bans(BanList { bans, more, kept: shared.bans.are_kept() }), result)
        })
        .await
    }
}

/// How many networks are banned.
pub(super) fn count(shared: &Shared, now: Timestamp) -> usize {
    shared.bans.list(now).len().saturating_add(shared.throttle().bans().len())
}

fn by_hand(ban: &Ban, now: Timestamp) -> BanLine {
    BanLine {
        network: ban.network.to_string(),
        by: "hand".to_owned(),
        since: Some(second(ban.since)),
        until: ban.until.map(second),
        seconds_left: ban.until.map(|until| u64::try_from(until.duration_since(now).as_secs()).unwrap_or(0)),
        reason: ban.reason.clone(),
    }
}

/// Reads what is to be banned. This machine and everybody are asked about once more.
fn judged(policy: &Policy, banning: &Banning, now: Timestamp) -> Result<Ban, Refusal> {
    let network = network(&banning.network)?;
    let until = ends(banning.until.as_deref(), now)?;
    fits(banning.reason.as_deref())?;
    if let Some(whom) = too_many(policy, &network).filter(|_| !banning.yes) {
        return Err(Refusal::new("unconfirmed", format!("{network} is {whom}; add --yes where that is meant")));
    }
    Ok(Ban { network, since: now, until, reason: banning.reason.clone() })
}

/// Who would be shut out that one seldom means to.
fn too_many(policy: &Policy, network: &IpNet) -> Option<&'static str> {
    let own: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let allowed = &policy.networks.allow;
    if network.prefix_len() == 0 {
        Some("everybody")
    } else if network.addr().is_loopback() || own.iter().any(|own| network.contains(own)) {
        Some("this machine itself")
    } else if !allowed.is_empty() && allowed.iter().all(|rule| network.contains(&rule.network)) {
        Some("everybody whom the policy lets in")
    } else {
        None
    }
}

fn unchanged(fault: &Unchanged) -> Done {
    match fault {
        Unchanged::Full => Done::refused(
            "full",
            format!("there are {BANS_MAX} bans already: end some, ban a wider network, or use [networks] deny"),
        ),
        Unchanged::Unwritten(fault) => {
            Done::refused("failed", format!("it cannot be remembered, so nothing was changed: {fault}"))
        }
    }
}
