//! Resumption: tickets and stored sessions that work for one control connection only.
//!
//! A ticket is `sid(16) ‖ nonce(12) ‖ AES-256-GCM(state)`, with the session's id as additional
//! data. The key is made at `AUTH` and gone when the control connection ends, so tickets of ended
//! or other sessions open to nothing, under TLS 1.2 and 1.3 alike.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use rustls::HandshakeKind;
use rustls::server::{ProducesTickets, StoresServerSessions};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::server::NoRandomness;
use crate::identity::Username;
use crate::policy::Principal;

/// What clients are told of a ticket's life, in seconds: the most that RFC 8446 §4.6.1 allows,
/// since some clients drop a ticket that ends before the session does. The key ends sooner.
const LIFETIME_SECONDS: u32 = 604_800;
/// Longest ticket looked at, in bytes.
const TICKET_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a ticket beside the state: id, nonce, tag.
const TICKET_BYTES_OVERHEAD: usize = 16 + 12 + 16;
/// TLS 1.2 sessions kept for clients that take no tickets; a control connection makes one.
const STORED_MAX: usize = 8;

type Sid = [u8; 16];
/// Who logged in, from where, and the fingerprint of the client certificate shown.
type LoggedIn = (Username, IpAddr, Option<String>);
/// A TLS 1.2 session id and the state it stands for.
type Stored = (Vec<u8>, Zeroizing<Vec<u8>>);

/// The sessions alive, by id, for the level at which the sessions of one principal stand in for
/// each other.
#[derive(Default)]
pub(super) struct Registry(Mutex<HashMap<Sid, Weak<SessionKeys>>>);

/// The ticket key and the stored sessions of one control connection.
pub(super) struct SessionKeys {
    sid: Sid,
    key: RandomizedNonceKey,
    ended: AtomicBool,
    principal: watch::Sender<Option<LoggedIn>>,
    stored: Mutex<Vec<Stored>>,
    registry: Arc<Registry>,
}

/// A panic elsewhere leaves these maps whole: each change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    fn find(&self, sid: &Sid) -> Option<Arc<SessionKeys>> {
        lock(&self.0).get(sid).and_then(Weak::upgrade)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.0).len()
    }
}

impl SessionKeys {
    pub(super) fn new(registry: &Arc<Registry>) -> Result<Arc<Self>, NoRandomness> {
        let mut sid = Sid::default();
        let mut key = Zeroizing::new([0_u8; 32]);
        rand::fill(&mut sid).map_err(|_| NoRandomness)?;
        rand::fill(key.as_mut_slice()).map_err(|_| NoRandomness)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| NoRandomness)?;
        let keys = Arc::new(Self {
            sid,
            key,
            ended: AtomicBool::new(false),
            principal: watch::Sender::new(None),
            stored: Mutex::new(Vec::new()),
            registry: Arc::clone(registry),
        });
        lock(&registry.0).insert(sid, Arc::downgrade(&keys));
        Ok(keys)
    }

    /// States who logged in on the control connection, and with which certificate.
    pub(super) fn set_principal(&self, principal: &Principal, certificate: Option<&str>) {
        let certificate = certificate.map(str::to_owned);
        self.principal.send_replace(Some((principal.name().clone(), principal.address(), certificate)));
    }

    /// Ends the life of every ticket and stored session, whoever still holds these keys.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        lock(&self.registry.0).remove(&self.sid);
        lock(&self.stored).clear();
        // Whoever waits to hear who logs in here has waited enough.
        self.principal.send_modify(|_| {});
    }

    /// Waits until somebody has logged in, or the session has ended.
    async fn decided(&self) {
        let mut principal = self.principal.subscribe();
        // The sender cannot be gone: it is this session's own.
        let _ = principal.wait_for(|principal| principal.is_some() || !self.alive()).await;
    }

    fn alive(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }

    /// Whether the same user logged in on both from the same address with the same certificate, or
    /// without one on both; none where nobody has logged
    /// in on the other yet.
    fn same_principal(&self, other: &Self) -> Option<bool> {
        let mine = self.principal.borrow().clone();
        let theirs = other.principal.borrow().clone();
        if mine.is_none() { Some(false) } else { theirs.map(|theirs| mine == Some(theirs)) }
    }

    fn seal(&self, state: &[u8]) -> Option<Vec<u8>> {
        let length = state.len().checked_add(TICKET_BYTES_OVERHEAD).filter(|length| *length <= TICKET_BYTES_MAX)?;
        if !self.alive() {
            return None;
        }
        let mut sealed = Vec::with_capacity(length);
        sealed.extend_from_slice(state);
        let nonce = self.key.seal_in_place_append_tag(Aad::from(self.sid), &mut sealed).ok()?;
        let mut ticket = Vec::with_capacity(length);
        ticket.extend_from_slice(&self.sid);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    /// Opens what lies behind a ticket's id.
    fn open(&self, rest: &[u8]) -> Option<Vec<u8>> {
        if !self.alive() {
            return None;
        }
        let (nonce, sealed) = rest.split_first_chunk::<12>()?;
        let mut state = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.key.open_in_place(nonce, Aad::from(self.sid), &mut state).ok().map(|state| state.to_vec())
    }

    fn store(&self, id: Vec<u8>, state: Vec<u8>) -> bool {
        let mut stored = lock(&self.stored);
        let room = self.alive() && stored.len() < STORED_MAX;
        if room {
            stored.push((id, Zeroizing::new(state)));
        }
        room
    }

    fn stored(&self, id: &[u8]) -> Option<Vec<u8>> {
        lock(&self.stored).iter().find(|(known, _)| known == id).map(|(_, state)| state.to_vec())
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

/// Resumption as the control connection's handshake sees it: sessions begin, none is resumed.
#[derive(Debug)]
pub(super) struct ControlResumption(pub(super) Arc<SessionKeys>);

impl ProducesTickets for ControlResumption {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.seal(plain)
    }

    fn decrypt(&self, _cipher: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

impl StoresServerSessions for ControlResumption {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.0.store(key, value)
    }

    fn get(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// Which session a client asked to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// None.
    Nothing,
    /// One that does not open here.
    Foreign,
    /// One of this control connection.
    Own,
    /// One of another live control connection of the same principal.
    Sibling,
    /// One of another live control connection on which nobody has logged in yet.
    Undecided,
}

impl Offer {
    const ALL: [Self; 5] = [Self::Nothing, Self::Foreign, Self::Own, Self::Sibling, Self::Undecided];
}

/// Resumption as one data connection's handshake sees it. It begins no session: tickets are
/// renewed only for a client that has just resumed one, or else anybody who completes a handshake
/// before being refused would leave with a ticket of this control connection.
///
/// Under TLS 1.2 a session resumes as often as wanted, and there are no new tickets: OpenSSL drops
/// the session that a new ticket takes the place of, and does not tell its program of the new one.
pub(super) struct DataResumption {
    keys: Arc<SessionKeys>,
    siblings: bool,
    renewable: bool,
    offer: AtomicU8,
    undecided: OnceLock<Arc<SessionKeys>>,
    renew: AtomicBool,
}

impl DataResumption {
    /// For a data connection of the session; `siblings` lets the sessions of its principal stand in,
    /// and `renewable` (TLS 1.3) lets clients have new tickets.
    pub(super) fn new(keys: Arc<SessionKeys>, siblings: bool, renewable: bool) -> Self {
        Self {
            keys,
            siblings,
            renewable,
            offer: AtomicU8::new(Offer::Nothing as u8),
            undecided: OnceLock::new(),
            renew: AtomicBool::new(false),
        }
    }

    /// States what came of the `ClientHello`, before the client can answer. After a
    /// `HelloRetryRequest` it is not known yet, so such a client gets no new ticket.
    pub(super) fn settle(&self, kind: Option<HandshakeKind>) {
        // Whoever may yet turn out to be somebody else gets no ticket of this session either.
        let renew = kind == Some(HandshakeKind::Resumed) && self.offer() != Offer::Undecided;
        self.renew.store(renew, Ordering::Release);
    }

    /// Where the session that was resumed is one on which nobody had logged in yet, waits until
    /// somebody has. Clients that open several control connections at once resume the newest session
    /// on all of their data connections (Go's crypto/tls), before that session's login is through.
    pub(super) async fn decided(&self) {
        if self.offer() != Offer::Undecided {
            return;
        }
        let mut offer = Offer::Foreign;
        if let Some(other) = self.undecided.get() {
            other.decided().await;
            if self.keys.alive() && other.alive() && self.keys.same_principal(other) == Some(true) {
                offer = Offer::Sibling;
            }
        }
        self.offer.store(offer as u8, Ordering::Release);
    }

    /// The session offered last that opened; it is the one resumed, if one was.
    pub(super) fn offer(&self) -> Offer {
        let offer = usize::from(self.offer.load(Ordering::Acquire));
        Offer::ALL.get(offer).copied().unwrap_or(Offer::Foreign)
    }

    fn note<T>(&self, offer: Offer, opened: Option<T>) -> Option<T> {
        if opened.is_some() {
            self.offer.store(offer as u8, Ordering::Release);
        } else if self.offer() == Offer::Nothing {
            self.offer.store(Offer::Foreign as u8, Ordering::Release);
        }
        opened
    }
}

impl fmt::Debug for DataResumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataResumption(..)")
    }
}

impl ProducesTickets for DataResumption {
    /// Under TLS 1.2 this decides about new tickets alone, and tickets are looked at in any case.
    fn enabled(&self) -> bool {
        self.renewable
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if self.renew.load(Ordering::Acquire) { self.keys.seal(plain) } else { None }
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let bounded = (TICKET_BYTES_OVERHEAD..=TICKET_BYTES_MAX).contains(&cipher.len());
        let Some((sid, rest)) = cipher.split_first_chunk::<16>().filter(|_| bounded) else {
            return self.note(Offer::Foreign, None);
        };
        if *sid == self.keys.sid {
            return self.note(Offer::Own, self.keys.open(rest));
        }
        let Some(other) = self.keys.registry.find(sid).filter(|_| self.siblings && self.keys.alive()) else {
            return self.note(Offer::Foreign, None);
        };
        match self.keys.same_principal(&other) {
            Some(true) => self.note(Offer::Sibling, other.open(rest)),
            Some(false) => self.note(Offer::Foreign, None),
            None => {
                let opened = other.open(rest);
                let kept = opened.is_some() && Arc::ptr_eq(self.undecided.get_or_init(|| Arc::clone(&other)), &other);
                self.note(Offer::Undecided, opened.filter(|_| kept))
            }
        }
    }
}

impl StoresServerSessions for DataResumption {
    fn put(&self, _key: Vec<u8>, _value: Vec<u8>) -> bool {
        false
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.note(Offer::Own, self.keys.stored(key))
    }

    fn take(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(registry: &Arc<Registry>) -> Arc<SessionKeys> {
        SessionKeys::new(registry).unwrap()
    }

    #[test]
    fn a_ticket_opens_only_where_it_was_made() {
        let registry = Arc::default();
        let (mine, other) = (keys(&registry), keys(&registry));
        let ticket = ControlResumption(Arc::clone(&mine)).encrypt(b"state").unwrap();
        let here = DataResumption::new(Arc::clone(&mine), false, true);
        assert_eq!(here.offer(), Offer::Nothing);
        assert_eq!(here.decrypt(&ticket).as_deref(), Some(&b"state"[..]));
        assert_eq!(here.decrypt(&ticket).as_deref(), Some(&b"state"[..]));
        assert_eq!(here.offer(), Offer::Own);
        for siblings in [false, true] {
            let there = DataResumption::new(Arc::clone(&other), siblings, true);
            assert_eq!(there.decrypt(&ticket), None, "no principal is known of either");
            assert_eq!(there.offer(), Offer::Foreign);
        }
        mine.end();
        assert_eq!(DataResumption::new(mine, true, true).decrypt(&ticket), None);
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn hostile_tickets_open_to_nothing() {
        let registry = Arc::default();
        let mine = keys(&registry);
        let ticket = mine.seal(b"state").unwrap();
        let here = DataResumption::new(mine, true, true);
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(here.decrypt(&changed), None, "byte {at}");
            assert_eq!(here.decrypt(&ticket[..at]), None, "cut at {at}");
        }
        let mut long = ticket.clone();
        long.resize(TICKET_BYTES_MAX + 1, 0);
        assert_eq!(here.decrypt(&long), None);
        assert_eq!(here.offer(), Offer::Foreign);
    }

    #[test]
    fn the_store_is_bounded_and_ends_with_the_session() {
        let registry = Arc::default();
        let mine = keys(&registry);
        let control = ControlResumption(Arc::clone(&mine));
        for id in 0..20_u8 {
            assert_eq!(control.put(vec![id], vec![id]), usize::from(id) < STORED_MAX);
        }
        let data = DataResumption::new(Arc::clone(&mine), false, true);
        assert_eq!(data.get(&[3]), Some(vec![3]));
        assert_eq!(data.get(&[19]), None);
        assert!(!data.put(vec![99], vec![99]));
        mine.end();
        assert_eq!(data.get(&[3]), None);
        assert!(mine.seal(b"state").is_none());
    }
}
