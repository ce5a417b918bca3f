//! The answers to a session's questions: handshakes, passwords, ports, and the store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use super::bandwidth::Pace;
use super::codes::Codes;
use super::control::Control;
use super::driver::Driver;
use super::freezes::Leave;
use super::link::{Link, LinkNeeds};
use super::metrics;
use super::mover::{Job, Sight, Start, What, blocking, lines, link_fault, store_fault};
use super::places::TransferPlace;
use super::sessions::Expected;
use super::stopping::Stop;
use crate::identity::Username;
use crate::net::passive::ReserveFault;
use crate::policy::Principal;
use crate::policy::binding::DataBinding;
use crate::policy::grant::Grant;
use crate::proto::argument::Representation;
use crate::proto::ascii::ToWire;
use crate::proto::path::VirtualPath;
use crate::proto::pattern::Pattern;
use crate::session::World;
use crate::session::effect::{
    Input, Listing, MoveFault, PassiveFault, PassivePort, PasswordCheck, PathFacts, Payload, Penalty, Placement,
    Prepared, Question, QuotaFacts, StoreAnswer, StoreFault, StoreRequest, TlsFailure, TransferOrder,
};
use crate::store::{Entry, EntryKind, Fault, Lookup, Root, UploadMode, Uploader};
use crate::tls::HandshakeFault;

/// How much longer than for a data connection a client waits for one of the passive ports that
/// others of its address hold: whatever is held, is given back by then.
const PASSIVE_PORT_PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits at most: below the 20 seconds that clients commonly wait for a reply.
const PASSIVE_PORT_WAIT_MAX: Duration = Duration::from_secs(18);

impl Driver {
    /// Answers a question. [`Question::Move`] and [`Question::Hash`] are answered later, when the
    /// transfer or the hash has ended.
    pub(super) async fn answer(&mut self, question: Question) -> Option<Input> {
        // These wait for others; whoever is kicked does not.
        if !matches!(question, Question::StartTls | Question::CheckPassword { .. } | Question::OpenPassive) {
            return self.found(question).await;
        }
        let kicked = self.entered.watched().kicked();
        let kick = tokio::select! {
            biased;
            kick = kicked => kick,
            answer = self.found(question) => return answer,
        };
        Some(self.kick(kick))
    }

    async fn found(&mut self, question: Question) -> Option<Input> {
        Some(match question {
            Question::StartTls => {
                let mut stop = self.stop.clone();
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop > Stop::No) => Input::Tls(Err("stopping".into())),
                    started = self.start_tls() => started?,
                }
            }
            Question::CheckPassword { claimed, secret } => {
                let mut stop = self.stop.clone();
                Input::Password(tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop > Stop::No) => PasswordCheck::Busy,
                    check = self.check_password(&claimed, secret, Codes::Asked) => check,
                })
            }
            Question::CheckCertificate { claimed } => Input::Password(self.check_certificate(&claimed).await),
            Question::CountFailure { claimed } => {
                let penalty = self.shared.throttle().failed(self.client.ip(), &claimed);
                Input::Penalty(Penalty {
                    delay: penalty.delay,
                    banned: penalty.banned,
                    newly_banned: penalty.newly_banned,
                })
            }
            Question::ChangePassword { old, new } => Input::PasswordChanged(self.change_password(old, new).await),
            Question::OpenHome(home) => Input::Home(self.open_home(&home).await),
            Question::TakePlace { user, limits } => Input::Place(self.take_seat(&user, &limits)),
            Question::OpenPassive => {
                let mut stop = self.stop.clone();
                Input::Passive(tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop > Stop::No) => Err(PassiveFault::Exhausted),
                    port = self.open_passive() => port,
                })
            }
            Question::Store(request) => Input::Stored(self.store(request).await),
            Question::OwnSessions(lines_max) => Input::OwnSessions(self.entered.own(lines_max)),
            Question::Prepare(order) => Input::Prepared(self.prepare_over_link(*order).await),
            Question::Move => {
                self.flush().await;
                self.start_moving();
                return None;
            }
            Question::Hash(order) => {
                self.flush().await;
                return self.start_hashing(*order).await;
            }
        })
    }

    /// Does the handshake. Bytes that came in clear behind `AUTH TLS` make it an attack, whether they
    /// were read already or wait in the socket, or come after the reply and are no TLS.
    async fn start_tls(&mut self) -> Option<Input> {
        // The reply to `AUTH TLS` waits to be sent; with implicit TLS there is none.
        let explicit = !self.replies.is_empty();
        if explicit && (self.has_unread_lines() || unread_in_socket(&self.control)) {
            self.replies.clear();
            return Some(Input::PlaintextInjection);
        }
        self.flush().await;
        self.forget_lines();
        let stream = self.control.take_clear()?;
        let policy = self.shared.policy();
        let today = World { policy: &policy, now: jiff::Timestamp::now() }.today();
        let offered = policy.tls(self.client.ip(), today);
        let tls = match self.shared.tls().session(offered.maximum) {
            Ok(tls) => tls,
            Err(fault) => {
                error!(%fault, "no TLS session can be made");
                return Some(Input::Tls(Err("no_randomness".into())));
            }
        };
        let place = self.shared.admission.handshake();
        let began = Instant::now();
        match tls.accept_control(stream, self.shared.config().limits.handshake_time, place).await {
            Ok((stream, mut facts)) => {
                self.shared.figures.handshakes.observe(began.elapsed());
                facts.exception = offered.exception.map(|exception| exception.to_string());
                self.entered.protected(facts.version);
                self.control = Control::Tls(Box::new(stream));
                self.tls = Some(tls);
                Some(Input::Tls(Ok(facts)))
            }
            Err(HandshakeFault::NotTls) if explicit => Some(Input::PlaintextInjection),
            Err(fault) => {
                tracing::debug!(%fault, client = %self.client, "TLS handshake failed");
                let reason = fault.reason();
                let unknown_name = if let HandshakeFault::UnknownName(name) = fault { Some(name) } else { None };
                Some(Input::Tls(Err(TlsFailure { reason, unknown_name })))
            }
        }
    }

    /// What a data connection of this session must show, and how long it may take.
    pub(super) fn link_needs(&self) -> Option<LinkNeeds> {
        let (tls, principal) = (self.tls.as_ref()?, self.principal.as_ref()?);
        let (config, policy) = (&self.shared.config(), self.shared.policy());
        let world = World { policy: &policy, now: jiff::Timestamp::now() };
        let granted = policy.binding(principal, world.today()).level;
        // Where all clients of a proxy share its address, that proves nothing.
        let proves_nothing = granted == DataBinding::Address && self.route.is_of_a_shared_address();
        let level = if proves_nothing { DataBinding::Principal } else { granted };
        Some(LinkNeeds {
            tls: Arc::clone(tls),
            level,
            connect_time: config.limits.data_connect_time,
            handshake_time: config.limits.handshake_time,
        })
    }

    async fn open_passive(&mut self) -> Result<PassivePort, PassiveFault> {
        let needs = self.link_needs().ok_or(PassiveFault::Unbindable)?;
        let (local, comer) = self.route.of_data();
        let held = self.shared.config().limits.data_connect_time;
        let wait = held.saturating_add(PASSIVE_PORT_PATIENCE).min(PASSIVE_PORT_WAIT_MAX);
        match self.shared.passive.reserve_within(local, comer, wait).await {
            Ok(reservation) => {
                let port = reservation.port();
                self.link = Link::passive(reservation, needs);
                let address = match self.route.server.ip().to_canonical() {
                    IpAddr::V4(own) => self.shared.advertised().to(self.client.ip(), own),
                    IpAddr::V6(_) => None,
                };
                Ok(PassivePort { port, address })
            }
            Err(ReserveFault::Exhausted) => {
                self.shared.figures.passive_failures.add([metrics::EXHAUSTED], 1);
                warn!(client = %comer.address, waited = ?wait, "every passive port is taken by clients of this address");
                Err(PassiveFault::Exhausted)
            }
            Err(fault @ ReserveFault::Bind(_)) => {
                self.shared.figures.passive_failures.add([metrics::UNBINDABLE], 1);
                error!(%fault, "no passive port can be bound");
                Err(PassiveFault::Unbindable)
            }
        }
    }

    /// Who uploads to a path, and how much the home or folder may hold for that in which it lies.
    fn uploader(&self, principal: &Principal, grant: &Grant) -> Result<Uploader, StoreFault> {
        let policy = self.shared.policy();
        // Gone since the path was judged: no account is not one without a quota.
        let terms = &policy.users.get(principal.name()).ok_or(StoreFault::Denied)?.terms;
        let (quota_bytes, quota_files) = match grant.folder() {
            Some(folder) => (folder.quota_bytes, folder.quota_files),
            None => (terms.quota_bytes, terms.quota_files),
        };
        Ok(Uploader { name: principal.name().clone(), quota_bytes, quota_files })
    }

    async fn store(&mut self, request: StoreRequest) -> Result<StoreAnswer, StoreFault> {
        let principal = self.logged_in()?;
        let root = self.root_of(request.grant()).await?;
        let user = principal.name().clone();
        match &request {
            StoreRequest::Rename(_, to) if !Arc::ptr_eq(&root, &self.root_of(to).await?) => {
                return Err(StoreFault::CrossDevice);
            }
            _ => {}
        }
        let request = match request {
            StoreRequest::Facts(grant) => return facts(&root, grant, &user).await.map(StoreAnswer::Facts),
            StoreRequest::Lines { grant, viewer, form, lines_max } => {
                let mounted = self.mounted_in(&viewer, grant.path()).await;
                let sight = Sight { grant, viewer: *viewer, mounted };
                let (lines, cut) = blocking(move || lines(&root, sight, &user, form, lines_max)).await??;
                return Ok(StoreAnswer::Lines { lines, cut });
            }
            request => request,
        };
        let uploader = self.uploader(&principal, request.grant())?;
        let leave = Leave::to_use(&self.shared, &user, request.grant());
        let second = match &request {
            StoreRequest::Rename(_, to) => Some(Leave::to_use(&self.shared, &user, to)),
            _ => None,
        };
        blocking(move || {
            let changes = !matches!(request, StoreRequest::Room(_) | StoreRequest::Quota(_));
            // Nothing is frozen from here until the change is made.
            let _changing = if changes { Some(leave.take_with(second.as_ref())?) } else { None };
            let done = match request {
                StoreRequest::RemoveFile(grant) => root.remove_file(&grant, &user),
                StoreRequest::MakeDirectory(grant) => root.make_directory(&grant, &uploader),
                StoreRequest::RemoveDirectory(grant) => root.remove_directory(&grant),
                StoreRequest::Rename(from, to) => root.rename(&from, &to, &user),
                StoreRequest::SetAttributes(grant, wanted) => {
                    let set = root.set_attributes(&grant, &user, wanted.modified_seconds, wanted.mode);
                    return set.map(|entry| StoreAnswer::Facts(path_facts(&entry))).map_err(store_fault);
                }
                StoreRequest::Room(grant) => {
                    return room(&root, &grant, &uploader).map_err(store_fault);
                }
                StoreRequest::Quota(_) => {
                    return quota(&root, &uploader).map(StoreAnswer::Quota).map_err(store_fault);
                }
                StoreRequest::Facts(grant) | StoreRequest::Lines { grant, .. } => {
                    root.facts(&grant, &user, Lookup::Full).map(|_| ())
                }
            };
            done.map(|()| StoreAnswer::Done).map_err(store_fault)
        })
        .await?
    }

    /// A data connection that has failed already needs no transfer made ready for it.
    async fn prepare_over_link(&mut self, order: TransferOrder) -> Result<Prepared, MoveFault> {
        if let Some(fault) = self.link.failure() {
            return Err(link_fault(fault));
        }
        let (taken, pace) = self.take_transfer_place(&order.what)?;
        self.prepare(order, taken, pace).await.map_err(MoveFault::Store)
    }

    /// Makes a transfer ready: whatever can refuse it before data flows is asked here.
    async fn prepare(
        &mut self,
        order: TransferOrder,
        taken: Option<Box<TransferPlace>>,
        pace: Arc<Pace>,
    ) -> Result<Prepared, StoreFault> {
        let principal = self.logged_in()?;
        let user = principal.name().clone();
        let (mut expected, mut leave) = (Expected::default(), None);
        let (what, root, prepared) = match order.what {
            Payload::Retrieve { grant, offset } => {
                let root = self.root_of(&grant).await?;
                let (size, grant) = readable(&root, grant, &user).await?;
                let text = order.representation == Representation::Ascii;
                let (start, grant) = start(&root, grant, &user, offset, text).await?;
                if start.offset > size {
                    return Err(StoreFault::OffsetBeyondEnd);
                }
                expected = Expected { offset: start.offset, size: Some(size) };
                let prepared = Prepared { path: grant.path().to_string(), size: Some(size) };
                (What::Retrieve(grant, start), root, prepared)
            }
            Payload::Store { grant, placement, announced_bytes } => {
                let root = self.root_of(&grant).await?;
                let uploader = self.uploader(&principal, &grant)?;
                leave = Some(Leave::to_use(&self.shared, &user, &grant));
                expected.size = announced_bytes;
                let at = Arc::clone(&root);
                let mode = mode(placement, order.representation);
                let claim = blocking(move || at.claim_upload(grant, &uploader, mode, announced_bytes))
                    .await?
                    .map_err(store_fault)?;
                let prepared = Prepared { path: claim.path().to_string(), size: None };
                let whole = matches!(placement, Placement::Replace | Placement::Unique);
                let resumable = placement != Placement::Unique;
                (What::Store { claim: Box::new(claim), whole, resumable }, root, prepared)
            }
            Payload::List { grant, matching, viewer, listing } => {
                let (grant, root, pattern, path) = self.listed(grant, matching, &listing, &user).await?;
                let mounted = self.mounted_in(&viewer, grant.path()).await;
                let prepared = Prepared { path: path.to_string(), size: None };
                (What::List(Box::new(Sight { grant, viewer: *viewer, mounted }), listing, pattern), root, prepared)
            }
        };
        let config = &self.shared.config();
        self.progress = Arc::default();
        self.expected = expected;
        self.job = Some(Job {
            what,
            leave,
            root,
            user,
            representation: order.representation,
            binding: order.binding,
            digest: config.storage.digest,
            buffers: Arc::clone(&self.shared.buffers),
            connect_time: config.limits.data_connect_time.saturating_add(config.limits.handshake_time),
            stall_time: config.limits.stall_time,
            pace,
            place: taken,
            progress: Arc::clone(&self.progress),
        });
        Ok(prepared)
    }

    /// What a listing is of: what has that very name, whatever it looks like, or else the entries
    /// that a pattern means; and the path that is told.
    async fn listed(
        &mut self,
        grant: Option<Grant>,
        matching: Option<(Grant, Pattern)>,
        listing: &Listing,
        user: &Username,
    ) -> Result<(Grant, Arc<Root>, Option<Pattern>, VirtualPath), StoreFault> {
        let mut path = None;
        if let Some(grant) = grant {
            path = Some(grant.path().clone());
            let root = self.root_of(&grant).await?;
            match facts_and_grant(&root, grant, user).await {
                Err(StoreFault::NotFound) if matching.is_some() => {}
                Ok((found, _)) if !found.directory && matches!(listing, Listing::Facts(_)) => {
                    return Err(StoreFault::NotADirectory);
                }
                found => {
                    let grant = found?.1;
                    let path = grant.path().clone();
                    return Ok((grant, root, None, path));
                }
            }
        }
        let (directory, pattern) = matching.ok_or(StoreFault::NotFound)?;
        let root = self.root_of(&directory).await?;
        let (found, directory) = facts_and_grant(&root, directory, user).await?;
        if !found.directory {
            return Err(StoreFault::NotADirectory);
        }
        let path = path.unwrap_or_else(|| directory.path().clone());
        Ok((directory, root, Some(pattern), path))
    }
}

/// Whether bytes wait in the socket of a connection in clear, asked without waiting for any.
fn unread_in_socket(control: &Control) -> bool {
    let Control::Clear(stream) = control else { return false };
    let mut byte = [const { std::mem::MaybeUninit::uninit() }; 1];
    matches!(socket2::SockRef::from(stream).peek(&mut byte), Ok(1..))
}

fn mode(placement: Placement, representation: Representation) -> UploadMode {
    match placement {
        Placement::Replace => UploadMode::Replace,
        Placement::ResumeAt(octets) if representation == Representation::Ascii => UploadMode::ResumeInText(octets),
        Placement::ResumeAt(offset) => UploadMode::ResumeAt(offset),
        Placement::Append => UploadMode::Append,
        Placement::Unique => UploadMode::Unique,
    }
}

/// The size of a file that can be read; it is opened for good only behind the proof of the data
/// connection.
async fn readable(root: &Arc<Root>, grant: Grant, user: &Username) -> Result<(u64, Grant), StoreFault> {
    match root.open_read(&grant, user, Lookup::Cached) {
        Err(Fault::WouldBlock) => {
            let (root, user) = (Arc::clone(root), user.clone());
            let (opened, grant) = blocking(move || (root.open_read(&grant, &user, Lookup::Full), grant)).await?;
            opened.map(|file| (file.size(), grant)).map_err(store_fault)
        }
        opened => opened.map(|file| (file.size(), grant)).map_err(store_fault),
    }
}

/// Where a file begins for a client that has `octets` of it already.
async fn start(
    root: &Arc<Root>,
    grant: Grant,
    user: &Username,
    octets: u64,
    text: bool,
) -> Result<(Start, Grant), StoreFault> {
    if octets == 0 || !text {
        return Ok((Start { whole: octets == 0, offset: octets, text: text.then(ToWire::default) }, grant));
    }
    let (root, user) = (Arc::clone(root), user.clone());
    let (place, grant) = blocking(move || {
        let place = root.open_read(&grant, &user, Lookup::Full).and_then(|file| file.text_place(octets));
        (place, grant)
    })
    .await?;
    let place = place.map_err(store_fault)?;
    Ok((Start { whole: false, offset: place.offset, text: Some(place.convert) }, grant))
}

async fn facts(root: &Arc<Root>, grant: Grant, user: &Username) -> Result<PathFacts, StoreFault> {
    facts_and_grant(root, grant, user).await.map(|(facts, _)| facts)
}

async fn facts_and_grant(root: &Arc<Root>, grant: Grant, user: &Username) -> Result<(PathFacts, Grant), StoreFault> {
    let (entry, grant) = match root.facts(&grant, user, Lookup::Cached) {
        Err(Fault::WouldBlock) => {
            let (root, user) = (Arc::clone(root), user.clone());
            blocking(move || (root.facts(&grant, &user, Lookup::Full), grant)).await?
        }
        found => (found, grant),
    };
    entry.map(|entry| (path_facts(&entry), grant)).map_err(store_fault)
}

fn path_facts(entry: &Entry) -> PathFacts {
    PathFacts {
        directory: entry.kind == EntryKind::Directory,
        size: entry.size,
        modified_seconds: entry.modified_seconds,
        mode: entry.mode,
        unique: entry.unique,
        created_seconds: entry.created_seconds,
        owner: entry.owner,
    }
}

fn room(root: &Root, grant: &Grant, uploader: &Uploader) -> Result<StoreAnswer, Fault> {
    let found = root.facts(grant, &uploader.name, Lookup::Full)?;
    let bytes = root.room(grant, uploader)?;
    Ok(StoreAnswer::Room { bytes, directory: found.kind == EntryKind::Directory })
}

fn quota(root: &Root, uploader: &Uploader) -> Result<QuotaFacts, Fault> {
    Ok(QuotaFacts {
        used: root.usage(uploader)?.map(|used| (used.bytes, used.files)),
        bytes_max: uploader.quota_bytes,
        files_max: uploader.quota_files,
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn bytes_that_nobody_has_read_are_seen_in_the_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(listener.accept(), TcpStream::connect(listener.local_addr().unwrap()));
        let (control, mut far) = (Control::Clear(near.unwrap().0), far.unwrap());
        assert!(!unread_in_socket(&control));
        far.write_all(b"USER alice\r\n").await.unwrap();
        // No await from here on, so that the runtime cannot have noticed the bytes first.
        let arrived = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            unread_in_socket(&control)
        });
        assert!(arrived && unread_in_socket(&control), "looking takes nothing away");
    }
}
