//! Connections that have just arrived: who they are from, where a proxy has to tell that, and
//! whether they may come. Who may not is turned away here, before a session exists.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::bans::Looking;
use super::driver::Driver;
use super::server::{Shared, driver};
use super::stopping::Stop;
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::net::admission::{Permit, Refused};
use crate::net::listener::Arrival;
use crate::net::proxy::{self, Header, HeaderFault};
use crate::net::route::{Route, Via};
use crate::policy::network::AddressVerdict;
use crate::proto::reply::{Code, Reply};

/// How long somebody who is turned away may take to hear it.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// What becomes of a connection.
enum Verdict {
    /// It is served.
    Serve(Box<Driver>, Permit),
    /// It is turned away; with words, where there was a place for that.
    TurnAway(TcpStream, Vec<Record>, Option<OwnedSemaphorePermit>),
}

/// Begins a session for somebody who may come, and turns everybody else away. Where a proxy
/// connects, that is seen once it has told for whom.
pub(super) fn admit(
    shared: &Arc<Shared>,
    arrival: Arrival,
    implicit: bool,
    stop: &watch::Receiver<Stop>,
    sessions: &mut JoinSet<()>,
) {
    let Arrival { stream, client, server } = arrival;
    let Some(via) = shared.proxies().find(client) else {
        let route = Route::straight(client, server);
        if let Some(verdict) = judge(shared, stream, route, implicit, stop) {
            sessions.spawn(verdict.carry_out(Arc::clone(shared), implicit));
        }
        return;
    };
    let Ok(place) = Arc::clone(&shared.headers).try_acquire_owned() else {
        let records = refuse(shared, &Route::straight(client, server), "proxy_headers_pending");
        if !records.is_empty() {
            let shared = Arc::clone(shared);
            sessions.spawn(async move { shared.record_all(records).await });
        }
        return;
    };
    let (shared, stop) = (Arc::clone(shared), stop.clone());
    sessions.spawn(async move {
        let Some((stream, route)) = told(&shared, stream, Route::straight(client, server), via, stop.clone()).await
        else {
            return;
        };
        drop(place);
        if let Some(verdict) = judge(&shared, stream, route, implicit, &stop) {
            verdict.carry_out(shared, implicit).await;
        }
    });
}

/// Learns from a proxy for whom it connects. None where it connects for itself, to see whether
/// somebody is there, or does not say; the connection is over then.
async fn told(
    shared: &Shared,
    mut stream: TcpStream,
    from_proxy: Route,
    via: Via,
    mut stop: watch::Receiver<Stop>,
) -> Option<(TcpStream, Route)> {
    let header = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop > Stop::No) => return None,
        header = proxy::read_header(&mut stream) => header,
    };
    match header {
        Ok(Header::Client { source, destination }) => {
            let route = Route { client: source, server: destination, local: from_proxy.local, proxy: Some(via) };
            Some((stream, route))
        }
        Ok(Header::Itself) | Err(HeaderFault::Nothing) => None,
        Err(fault) => {
            shared.record_all(refuse(shared, &from_proxy, fault.reason())).await;
            None
        }
    }
}

/// Whether a connection is served. None where a flood of refusals leaves nothing to be done but to
/// close it.
fn judge(
    shared: &Arc<Shared>,
    stream: TcpStream,
    route: Route,
    implicit: bool,
    stop: &watch::Receiver<Stop>,
) -> Option<Verdict> {
    // Held until the session is known, so that a ban meets every session that came before it.
    let bans = shared.bans.looking();
    match may_come(shared, &bans, route.client.ip()) {
        Ok(permit) => {
            let driver = driver(shared, stream, route, implicit, stop.clone());
            Some(Verdict::Serve(Box::new(driver), permit))
        }
        Err(reason) => {
            // Every refusal is counted here and now; only the farewell depends on a place.
            let records = refuse(shared, &route, reason);
            let place = Arc::clone(&shared.refusals).try_acquire_owned().ok();
            let nothing_to_do = place.is_none() && records.is_empty();
            (!nothing_to_do).then_some(Verdict::TurnAway(stream, records, place))
        }
    }
}

impl Verdict {
    async fn carry_out(self, shared: Arc<Shared>, implicit: bool) {
        match self {
            Self::Serve(driver, permit) => {
                driver.run().await;
                drop(permit);
            }
            Self::TurnAway(stream, records, place) => {
                shared.record_all(records).await;
                if place.is_some() {
                    turn_away(stream, implicit).await;
                }
            }
        }
    }
}

/// Whether an address may come, by policy, by its past, and by what is free.
fn may_come(shared: &Shared, bans: &Looking<'_>, client: IpAddr) -> Result<Permit, &'static str> {
    match shared.policy().networks.judge(client) {
        AddressVerdict::Allowed(_) => {}
        AddressVerdict::Denied(_) => return Err("ip_denied"),
        AddressVerdict::Unlisted => return Err("ip_not_allowed"),
    }
    if bans.hold(client) {
        return Err("banned");
    }
    if shared.drain.is_draining() {
        return Err("draining");
    }
    let throttle = shared.throttle();
    let banned = throttle.connection(client).is_err();
    if banned && !throttle.has_regulars(client) {
        return Err("banned");
    }
    if !shared.audit.is_healthy() {
        return Err("audit_unavailable");
    }
    // What came to be known there may come still, among few.
    shared.admission.admit(client, banned).map_err(|refused| match refused {
        Refused::PerAddress if banned => "banned",
        refused => refused.reason(),
    })
}

/// Counts a refusal, and gives the records that are to be written.
fn refuse(shared: &Shared, route: &Route, reason: &'static str) -> Vec<Record> {
    shared.count_refusal(route.client.ip(), reason, || {
        let mut record = Record::new(Event::ConnectionRefused).failed(reason);
        record.codes = vec![Code::Unavailable.number()];
        record = record.with("source_ip", Detail::Text(route.client.ip().to_string()));
        record = record.with("source_port", Detail::Number(route.client.port().into()));
        match route.proxy {
            Some(via) => record.with("proxy", Detail::Text(via.address.to_string())),
            None => record,
        }
    })
}

/// Says farewell to somebody who gets no session.
async fn turn_away(mut stream: TcpStream, implicit: bool) {
    let _ = timeout(REFUSAL_TIME, async {
        if !implicit {
            let mut line = Vec::new();
            Reply::new(Code::Unavailable, "Service not available.").write(&mut line);
            stream.write_all(&line).await?;
        }
        stream.shutdown().await?;
        // What the client has sent meanwhile must not turn the farewell into a reset.
        let mut scratch = [0; 256];
        while stream.read(&mut scratch).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
