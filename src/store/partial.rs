//! Interrupted uploads, kept for their uploaders. To its uploader one shows as the file it is so
//! far; to everybody else it does not exist.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::entry::{EntryRef, Identity, Status};
use super::fault::Fault;
use super::ledger::Amount;
use super::settings::SharedSettings;
use super::staging::{Staging, record_name};
use crate::identity::Username;
use crate::proto::path::VirtualPath;

/// Interrupted uploads kept in one home; beyond that they are discarded.
const PARTIALS_MAX: usize = 10_000;
/// Interrupted uploads removed at once when their time is over; the rest goes the next time.
const EXPIRED_AT_ONCE_MAX: usize = 1000;

/// An interrupted upload.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    /// Where it lies.
    pub(super) staging: Arc<Staging>,
    /// Its id there.
    pub(super) id: String,
    /// The file's facts when it was interrupted.
    pub(super) status: Status,
    /// Whose it is, and what it is to become.
    pub(super) owner: Owner,
    /// What its record says besides.
    pub(super) origin: Origin,
}

/// Whose an interrupted upload is, and what it is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The uploader.
    pub(super) user: Username,
    /// The final name.
    pub(super) path: VirtualPath,
}

/// Where an interrupted upload comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// When it was interrupted, in seconds since 1970.
    pub(super) kept_at: u64,
    /// The content that it continues, where it appends to a file.
    pub(super) base: Option<Identity>,
}

/// The record on disk that lets an interrupted upload survive a restart.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    user: String,
    path: String,
    origin: Origin,
}

/// The interrupted uploads of one home.
#[derive(Debug)]
pub(super) struct Partials {
    settings: SharedSettings,
    count: AtomicUsize,
    /// When the first of them expires, in seconds since 1970; never later than the truth.
    first_expiry: AtomicU64,
    index: Mutex<Index>,
}

/// By directory, then by name, then by user.
type Index = HashMap<VirtualPath, HashMap<String, Vec<Arc<Partial>>>>;

impl Partial {
    /// What it counts against quotas: all of it, also what was copied from the final file. A home
    /// can so be at most as far over its quota as one upload per name puts it that was cut off
    /// while it replaced another content; and until that is finished or gone, nothing is added.
    pub(super) fn amount(&self) -> Amount {
        Amount { bytes: self.status.size, files: 1 }
    }

    /// How it shows to its uploader.
    pub(super) fn entry(&self) -> Result<EntryRef<'_>, Fault> {
        let name = self.owner.path.name().ok_or(Fault::NotFound)?;
        self.status.named(name).map(|entry| EntryRef { partial: true, ..entry })
    }
}

impl Record {
    /// The record of an upload.
    pub(super) fn new(owner: &Owner, origin: Origin) -> Self {
        Self { user: owner.user.as_str().to_owned(), path: owner.path.as_str().to_owned(), origin }
    }

    /// What the record says; none where it names no user or path.
    pub(super) fn parse(self) -> Option<(Owner, Origin)> {
        let user = Username::parse(&self.user).ok()?;
        let path = VirtualPath::root().join(self.path.as_bytes()).ok()?;
        let canonical = !path.is_root() && path.as_str() == self.path;
        canonical.then_some((Owner { user, path }, self.origin))
    }
}

impl Partials {
    /// None yet; each is kept as long as the settings say.
    pub(super) fn new(settings: SharedSettings) -> Self {
        Self { settings, count: AtomicUsize::new(0), first_expiry: AtomicU64::new(u64::MAX), index: Mutex::default() }
    }

    /// The user's interrupted upload under a name.
    pub(super) fn find(&self, user: &Username, path: &VirtualPath) -> Option<Arc<Partial>> {
        let index = self.if_any()?;
        let found = index.get(&path.parent())?.get(path.name()?)?.iter().find(|p| p.owner.user == *user)?;
        (!self.expired(found.origin.kept_at)).then(|| Arc::clone(found))
    }

    /// The user's interrupted uploads in a directory, by name.
    pub(super) fn in_directory(&self, user: &Username, directory: &VirtualPath) -> HashMap<String, Arc<Partial>> {
        let Some(index) = self.if_any() else { return HashMap::new() };
        let Some(names) = index.get(directory) else { return HashMap::new() };
        let own = |partials: &[Arc<Partial>]| partials.iter().find(|p| p.owner.user == *user).map(Arc::clone);
        names
            .iter()
            .filter_map(|(name, partials)| Some((name.clone(), own(partials)?)))
            .filter(|(_, partial)| !self.expired(partial.origin.kept_at))
            .collect()
    }

    /// Whether another can be kept.
    pub(super) fn has_room(&self) -> bool {
        self.count.load(Ordering::Acquire) < PARTIALS_MAX
    }

    /// Takes one in; returns the one that stood in its place.
    pub(super) fn put(&self, partial: Partial) -> Option<Arc<Partial>> {
        let (Some(name), directory) = (partial.owner.path.name().map(str::to_owned), partial.owner.path.parent())
        else {
            return None;
        };
        let mut index = self.lock();
        self.first_expiry.fetch_min(self.expiry(partial.origin.kept_at), Ordering::AcqRel);
        let places = index.entry(directory).or_default().entry(name).or_default();
        let former = places.iter().position(|p| p.owner.user == partial.owner.user).map(|at| places.swap_remove(at));
        places.push(Arc::new(partial));
        if former.is_none() {
            self.count.fetch_add(1, Ordering::AcqRel);
        }
        former
    }

    /// Takes one in unless a newer one is there; returns the one that has to go.
    pub(super) fn put_newer(&self, partial: Partial) -> Option<Arc<Partial>> {
        match self.find(&partial.owner.user, &partial.owner.path) {
            Some(present) if present.origin.kept_at > partial.origin.kept_at => Some(Arc::new(partial)),
            _ => self.put(partial),
        }
    }

    /// Takes the user's interrupted upload under a name out: whoever gets it decides its fate.
    pub(super) fn take(&self, user: &Username, path: &VirtualPath) -> Option<Arc<Partial>> {
        drop(self.if_any()?);
        self.take_where(|partial| partial.owner.user == *user && partial.owner.path == *path, Some(&path.parent()))
            .pop()
    }

    /// Takes out everybody's below a directory.
    pub(super) fn take_within(&self, directory: &VirtualPath) -> Vec<Arc<Partial>> {
        self.take_where(|partial| partial.owner.path.is_within(directory), None)
    }

    /// Whether the time of one may be over; costs nothing before the first one's is.
    pub(super) fn any_expired(&self) -> bool {
        now_seconds() >= self.first_expiry.load(Ordering::Acquire)
    }

    /// The time that they are kept is another one: the next look for what is over looks at all.
    pub(super) fn look_again(&self) {
        self.first_expiry.store(0, Ordering::Release);
    }

    /// Takes out those whose time is over, so many at a time.
    pub(super) fn take_expired(&self) -> Vec<Arc<Partial>> {
        if !self.any_expired() {
            return Vec::new();
        }
        let left = Cell::new(EXPIRED_AT_ONCE_MAX);
        let over = |partial: &Partial| {
            let over = left.get() > 0 && self.expired(partial.origin.kept_at);
            left.set(left.get().saturating_sub(usize::from(over)));
            over
        };
        let expired = self.take_where(over, None);
        let index = self.lock();
        let rest = index.values().flat_map(HashMap::values).flatten();
        let first = rest.map(|partial| self.expiry(partial.origin.kept_at)).min();
        self.first_expiry.store(first.unwrap_or(u64::MAX), Ordering::Release);
        expired
    }

    /// What all of them count against quotas.
    pub(super) fn amount(&self) -> Amount {
        let index = self.lock();
        let all = index.values().flat_map(HashMap::values).flatten().map(|partial| partial.amount());
        all.fold(Amount::default(), Amount::plus)
    }

    /// Lets those below a directory follow it to its new name; returns those that cannot.
    pub(super) fn follow(&self, from: &VirtualPath, to: &VirtualPath) -> Vec<Arc<Partial>> {
        let mut left_behind = Vec::new();
        for partial in self.take_within(from) {
            let rest = partial.owner.path.as_str().strip_prefix(from.as_str()).unwrap_or_default();
            let moved = to.join(rest.trim_start_matches('/').as_bytes()).ok().and_then(|path| {
                let owner = Owner { user: partial.owner.user.clone(), path };
                let record = Record::new(&owner, partial.origin);
                partial.staging.write_record(&record_name(&partial.id), &record).ok()?;
                Some(owner)
            });
            match moved {
                Some(owner) => left_behind.extend(self.put(Partial { owner, ..Partial::clone(&partial) })),
                None => left_behind.push(partial),
            }
        }
        left_behind
    }

    /// Whether the time of one that was interrupted then is over.
    pub(super) fn expired(&self, kept_at: u64) -> bool {
        self.expiry(kept_at) <= now_seconds()
    }

    fn expiry(&self, kept_at: u64) -> u64 {
        kept_at.saturating_add(self.settings.now().partial_uploads.as_secs())
    }

    fn take_where(&self, taken: impl Fn(&Partial) -> bool, directory: Option<&VirtualPath>) -> Vec<Arc<Partial>> {
        let Some(mut index) = self.if_any() else { return Vec::new() };
        let mut found = Vec::new();
        let mut take_from = |names: &mut HashMap<String, Vec<Arc<Partial>>>| {
            names.retain(|_, partials| {
                found.extend(partials.extract_if(.., |partial| taken(partial)));
                !partials.is_empty()
            });
            !names.is_empty()
        };
        match directory {
            Some(directory) => {
                if !index.get_mut(directory).is_none_or(&mut take_from) {
                    index.remove(directory);
                }
            }
            None => index.retain(|_, names| take_from(names)),
        }
        self.count.fetch_sub(found.len(), Ordering::AcqRel);
        found
    }

    /// The index, unless it is empty: then it costs one atomic load.
    fn if_any(&self) -> Option<MutexGuard<'_, Index>> {
        (self.count.load(Ordering::Acquire) > 0).then(|| self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time of day, in seconds since 1970.
pub(super) fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
