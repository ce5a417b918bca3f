//! The answers to a session's questions: handshakes, passwords, ports, and the store.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use tracing::{error, warn};

use super::control::Control;
use super::driver::Driver;
use super::link::{Link, LinkNeeds};
use super::mover::{Job, What, blocking, lines, link_fault, store_fault};
use super::stopping::Stop;
use crate::identity::{Secret, Username, is_anonymous};
use crate::net::passive::ReserveFault;
use crate::policy::Principal;
use crate::policy::binding::DataBinding;
use crate::policy::grant::Grant;
use crate::session::World;
use crate::session::effect::{
    Input, MoveFault, PassiveFault, PassivePort, PasswordCheck, PathFacts, Payload, Penalty, Placement, Prepared,
    Question, StoreAnswer, StoreFault, StoreRequest, TransferOrder,
};
use crate::store::{EntryKind, Fault, Lookup, Root, UploadMode, Uploader};

impl Driver {
    /// Answers a question. [`Question::Move`] is answered later, when the transfer has ended.
    pub(super) async fn answer(&mut self, question: Question) -> Option<Input> {
        Some(match question {
            Question::StartTls => {
                let mut stop = self.stop.clone();
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop > Stop::No) => Input::Tls(Err("stopping")),
                    started = self.start_tls() => started?,
                }
            }
            Question::CheckPassword { claimed, secret } => {
                let mut stop = self.stop.clone();
                Input::Password(tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop > Stop::No) => PasswordCheck::Busy,
                    check = self.check_password(&claimed, secret) => check,
                })
            }
            Question::CountFailure { claimed } => {
                let penalty = self.shared.throttle.failed(self.client.ip(), &claimed);
                Input::Penalty(Penalty {
                    delay: penalty.delay,
                    banned: penalty.banned,
                    newly_banned: penalty.newly_banned,
                })
            }
            Question::OpenHome(home) => Input::Home(self.open_home(&home).await),
            Question::OpenPassive => Input::Passive(self.open_passive()),
            Question::Store(request) => Input::Stored(self.store(request).await),
            Question::Prepare(order) => Input::Prepared(self.prepare_over_link(*order).await),
            Question::Move => {
                self.flush().await;
                self.start_moving();
                return None;
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
        let tls = match self.shared.tls.session() {
            Ok(tls) => tls,
            Err(fault) => {
                error!(%fault, "no TLS session can be made");
                return Some(Input::Tls(Err("no_randomness")));
            }
        };
        let place = self.shared.admission.handshake();
        match tls.accept_control(stream, self.shared.config.limits.handshake_time, place).await {
            Ok((stream, facts)) => {
                self.control = Control::Tls(Box::new(stream));
                self.tls = Some(tls);
                Some(Input::Tls(Ok(facts)))
            }
            Err(crate::tls::HandshakeFault::NotTls) if explicit => Some(Input::PlaintextInjection),
            Err(fault) => {
                tracing::debug!(%fault, client = %self.client, "TLS handshake failed");
                Some(Input::Tls(Err(fault.reason())))
            }
        }
    }

    async fn check_password(&mut self, claimed: &str, secret: Secret) -> PasswordCheck {
        use crate::auth::throttle::Attempt;
        let (shared, address) = (Arc::clone(&self.shared), self.client.ip());
        self.pause(shared.throttle.not_before(address, claimed)).await;
        let pending = match shared.throttle.attempt(address, claimed).await {
            Attempt::Check(pending) => pending,
            Attempt::Limited { scope, .. } => return PasswordCheck::Limited { scope: scope.word() },
            Attempt::Busy => return PasswordCheck::Busy,
        };
        let policy = Arc::clone(&shared.config.policy);
        let name = Username::parse(claimed).ok().filter(|_| !is_anonymous(claimed));
        let account = name.as_ref().and_then(|name| policy.users.get(name));
        let known = account.is_some();
        let hash = account.map(|account| (&account.name, account.password.as_str()));
        match shared.verifier.verify(hash, secret).await {
            Ok(Some(verified)) => match pending.right() {
                Ok(()) => PasswordCheck::Right(verified),
                Err(scope) => PasswordCheck::Limited { scope: scope.word() },
            },
            Ok(None) => {
                pending.wrong();
                PasswordCheck::Wrong { known }
            }
            Err(_) => PasswordCheck::Busy,
        }
    }

    async fn open_home(&mut self, home: &Path) -> bool {
        let homes = Arc::clone(&self.shared.homes);
        let path = home.to_owned();
        match blocking(move || homes.root(&path)).await {
            Ok(Ok(root)) => {
                self.root = Some(root);
                true
            }
            Ok(Err(fault)) => {
                warn!(home = %home.display(), %fault, "a user's home cannot be opened, so the login is refused; `portcullis policy check` says what it needs");
                false
            }
            Err(_) => false,
        }
    }

    /// What a data connection of this session must show, and how long it may take.
    pub(super) fn link_needs(&self) -> Option<LinkNeeds> {
        let (tls, principal) = (self.tls.as_ref()?, self.principal.as_ref()?);
        let config = &self.shared.config;
        let world = World { policy: &config.policy, now: jiff::Timestamp::now() };
        let granted = config.policy.binding(principal, world.today()).level;
        // Where all clients of a proxy share its address, that proves nothing.
        let level = if self.route.is_of_a_shared_address() { granted.min(DataBinding::Principal) } else { granted };
        Some(LinkNeeds {
            tls: Arc::clone(tls),
            level,
            connect_time: config.limits.data_connect_time,
            handshake_time: config.limits.handshake_time,
        })
    }

    fn open_passive(&mut self) -> Result<PassivePort, PassiveFault> {
        let needs = self.link_needs().ok_or(PassiveFault::Unbindable)?;
        let (local, comer) = self.route.of_data();
        match self.shared.passive.reserve(local, comer) {
            Ok(reservation) => {
                let port = reservation.port();
                self.link = Link::passive(reservation, needs);
                let address = match self.route.server.ip().to_canonical() {
                    IpAddr::V4(own) => self.shared.advertised.to(self.client.ip(), own),
                    IpAddr::V6(_) => None,
                };
                Ok(PassivePort { port, address })
            }
            Err(ReserveFault::Exhausted) => {
                warn!(client = %comer.address, "every passive port is taken by this client");
                Err(PassiveFault::Exhausted)
            }
            Err(fault @ ReserveFault::Bind(_)) => {
                error!(%fault, "no passive port can be bound");
                Err(PassiveFault::Unbindable)
            }
        }
    }

    fn place(&self) -> Result<(Arc<Root>, Principal), StoreFault> {
        match (&self.root, &self.principal) {
            (Some(root), Some(principal)) => Ok((Arc::clone(root), principal.clone())),
            _ => Err(StoreFault::Local),
        }
    }

    fn uploader(&self, principal: &Principal) -> Uploader {
        let account = self.shared.config.policy.users.get(principal.name());
        Uploader {
            name: principal.name().clone(),
            quota_bytes: account.and_then(|account| account.quota_bytes),
            quota_files: account.and_then(|account| account.quota_files),
        }
    }

    async fn store(&mut self, request: StoreRequest) -> Result<StoreAnswer, StoreFault> {
        let (root, principal) = self.place()?;
        let user = principal.name().clone();
        if let StoreRequest::Facts(grant) = request {
            return facts(&root, grant, &user).await.map(StoreAnswer::Facts);
        }
        let uploader = self.uploader(&principal);
        blocking(move || {
            let done = match request {
                StoreRequest::RemoveFile(grant) => root.remove_file(&grant, &user),
                StoreRequest::MakeDirectory(grant) => root.make_directory(&grant, &uploader),
                StoreRequest::RemoveDirectory(grant) => root.remove_directory(&grant),
                StoreRequest::Rename(from, to) => root.rename(&from, &to, &user),
                StoreRequest::SetTime(grant, seconds) => root.set_modified(&grant, &user, seconds),
                StoreRequest::Lines { grant, form, lines_max } => {
                    let (lines, cut) = lines(&root, &grant, &user, form, lines_max)?;
                    return Ok(StoreAnswer::Lines { lines, cut });
                }
                StoreRequest::Facts(grant) => root.facts(&grant, &user, Lookup::Full).map(|_| ()),
            };
            done.map(|()| StoreAnswer::Done).map_err(store_fault)
        })
        .await?
    }

    /// A data connection that has failed already needs no transfer made ready for it.
    async fn prepare_over_link(&mut self, order: TransferOrder) -> Result<Prepared, MoveFault> {
        match self.link.failure() {
            Some(fault) => Err(link_fault(fault)),
            None => self.prepare(order).await.map_err(MoveFault::Store),
        }
    }

    /// Makes a transfer ready: whatever can refuse it before data flows is asked here.
    async fn prepare(&mut self, order: TransferOrder) -> Result<Prepared, StoreFault> {
        let (root, principal) = self.place()?;
        let user = principal.name().clone();
        let (what, prepared) = match order.what {
            Payload::Retrieve { grant, offset } => {
                let (size, grant) = readable(&root, grant, &user).await?;
                if offset > size {
                    return Err(StoreFault::OffsetBeyondEnd);
                }
                let prepared = Prepared { path: grant.path().to_string(), size: Some(size) };
                (What::Retrieve(grant, offset), prepared)
            }
            Payload::Store { grant, placement, announced_bytes } => {
                let uploader = self.uploader(&principal);
                let at = Arc::clone(&root);
                let mode = mode(placement);
                let claim = blocking(move || at.claim_upload(grant, &uploader, mode, announced_bytes))
                    .await?
                    .map_err(store_fault)?;
                let prepared = Prepared { path: claim.path().to_string(), size: None };
                let whole = matches!(placement, Placement::Replace | Placement::Unique);
                let resumable = placement != Placement::Unique;
                (What::Store { claim: Box::new(claim), whole, resumable }, prepared)
            }
            Payload::List { grant, listing } => {
                let (found, grant) = facts_and_grant(&root, grant, &user).await?;
                if !found.directory && matches!(listing, crate::session::effect::Listing::Facts(_)) {
                    return Err(StoreFault::NotADirectory);
                }
                let prepared = Prepared { path: grant.path().to_string(), size: None };
                (What::List(grant, listing), prepared)
            }
        };
        let config = &self.shared.config;
        self.progress = Arc::default();
        self.job = Some(Job {
            what,
            root,
            user,
            representation: order.representation,
            binding: order.binding,
            digest: config.storage.digest,
            buffers: Arc::clone(&self.shared.buffers),
            connect_time: config.limits.data_connect_time.saturating_add(config.limits.handshake_time),
            stall_time: config.limits.stall_time,
            progress: Arc::clone(&self.progress),
        });
        Ok(prepared)
    }
}

/// Whether bytes wait in the socket of a connection in clear, asked without waiting for any.
fn unread_in_socket(control: &Control) -> bool {
    let Control::Clear(stream) = control else { return false };
    let mut byte = [const { std::mem::MaybeUninit::uninit() }; 1];
    matches!(socket2::SockRef::from(stream).peek(&mut byte), Ok(1..))
}

fn mode(placement: Placement) -> UploadMode {
    match placement {
        Placement::Replace => UploadMode::Replace,
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
    let entry = entry.map_err(store_fault)?;
    let facts = PathFacts {
        directory: entry.kind == EntryKind::Directory,
        size: entry.size,
        modified_seconds: entry.modified_seconds,
        mode: entry.mode,
        unique: entry.unique,
    };
    Ok((facts, grant))
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
