//! Certificates that are replaced while the server runs: what others write into the files is read,
//! checked and shown from the next handshake on; what is not good changes nothing.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use super::clients::Clients;
use super::identities::Identity;
use super::load::{Guard, LoadError, Problem};
use super::material::Material;
use super::server::ServerTls;
use super::watch::Watched;
use crate::settings;

/// What was read anew, or could not be.
#[derive(Debug)]
pub struct Change {
    /// What it is.
    pub part: Part,
    /// The first name of the identity; none for what concerns clients.
    pub name: Option<String>,
    /// The first file of it.
    pub file: PathBuf,
    /// What is in use now. Where there is a fault, that is what was in use before; but an OCSP
    /// response that is not good is left out.
    pub result: Result<InUse, LoadError>,
}

/// What is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// SHA-256 over the server's certificate, in lower-case hexadecimal.
    pub fingerprint: Option<String>,
    /// When it ends; none where it does not say.
    pub ends: Option<Timestamp>,
}

/// A kind of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A certificate of the server and its key.
    Identity,
    /// The OCSP response for a certificate of the server.
    Staple,
    /// The authorities of clients, and their lists of revoked certificates.
    Clients,
    /// One such list.
    Revocations,
}

impl Part {
    /// The word for it in records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Identity => "server",
            Self::Staple => "ocsp",
            Self::Clients => "client_authorities",
            Self::Revocations => "client_revocations",
        }
    }
}

/// Something in use that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// What it is.
    pub part: Part,
    /// The first name of the identity, or else the file.
    pub subject: String,
    /// When it ends.
    pub ends: Timestamp,
}

/// The files that may become others.
#[derive(Debug)]
pub(super) struct Watch {
    /// Certificate and key of each identity, and its OCSP response.
    identities: Vec<(Watched, Option<Watched>)>,
    clients: Option<Watched>,
    /// What was seen when the server started, and is told at the first look.
    untold: Vec<Change>,
}

impl Watch {
    pub(super) fn new(settings: &settings::Tls) -> Self {
        let of_identity = |identity: &settings::Identity| {
            let pair = Watched::new(vec![identity.certificate.clone(), identity.key.clone()]);
            (pair, identity.ocsp.clone().map(|file| Watched::new(vec![file])))
        };
        let of_clients = |clients: &settings::ClientCertificates| {
            let files = std::iter::once(&clients.authorities).chain(&clients.revocations);
            Watched::new(files.cloned().collect())
        };
        Self {
            identities: settings.identities.iter().map(of_identity).collect(),
            clients: settings.clients.as_ref().map(of_clients),
            untold: Vec::new(),
        }
    }

    /// Notes what came of an OCSP response when the server started.
    pub(super) fn told_at_start(&mut self, identity: &settings::Identity, stapled: Result<(), LoadError>) {
        if let Err(fault) = stapled {
            self.untold.push(of_staple(identity, Err(fault)));
        }
    }
}

fn name_of(identity: &settings::Identity) -> Option<String> {
    identity.names.first().map(ToString::to_string)
}

fn of_staple(identity: &settings::Identity, result: Result<Option<Timestamp>, LoadError>) -> Change {
    Change {
        part: Part::Staple,
        name: name_of(identity),
        file: identity.ocsp.clone().unwrap_or_default(),
        result: result.map(|ends| InUse { fingerprint: None, ends }),
    }
}

impl ServerTls {
    /// Looks at every file, and puts into use what has changed and is good. To be called every few
    /// seconds, and not where others wait for the thread: it reads files.
    pub fn refresh(&self, guard: Guard<'_>, now: Timestamp) -> Vec<Change> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = &mut *watch;
        let mut changes = std::mem::take(&mut watch.untold);
        for (place, (settings, (pair, staple))) in
            self.settings.identities.iter().zip(&mut watch.identities).enumerate()
        {
            let of_staple_file = staple.as_mut().is_some_and(Watched::has_settled);
            if pair.has_settled() {
                self.refresh_identity(place, settings, guard, now, &mut changes);
            } else if of_staple_file {
                self.refresh_staple(place, settings, guard, now, &mut changes);
            } else {
                self.drop_old_staple(place, settings, now, &mut changes);
            }
        }
        if let (Some(settings), Some(files)) = (&self.settings.clients, &mut watch.clients)
            && files.has_settled()
        {
            changes.push(self.refresh_clients(settings, guard, now));
        }
        changes
    }

    /// Everything in use that ends, so that somebody can be told in time.
    pub fn deadlines(&self) -> Vec<Deadline> {
        let material = self.material();
        let mut all = Vec::new();
        for identity in material.identities.all() {
            let subject = identity.names.first().map(ToString::to_string).unwrap_or_default();
            all.push(Deadline { part: Part::Identity, subject, ends: identity.expires });
        }
        if let (Some(clients), Some(settings)) = (&material.clients, &self.settings.clients) {
            let subject = settings.authorities.display().to_string();
            all.push(Deadline { part: Part::Clients, subject, ends: clients.ends });
            for (file, next) in &clients.revocations {
                let subject = file.display().to_string();
                all.extend(next.map(|ends| Deadline { part: Part::Revocations, subject, ends }));
            }
        }
        all
    }

    fn refresh_identity(
        &self,
        place: usize,
        settings: &settings::Identity,
        guard: Guard<'_>,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        let loaded = Identity::load(settings, &self.provider, guard, now);
        let result = loaded.and_then(|(identity, stapled)| {
            let in_use = InUse { fingerprint: identity.fingerprint(), ends: Some(identity.expires) };
            self.put(place, identity)?;
            Ok((in_use, stapled))
        });
        let (result, stapled) = match result {
            Ok((in_use, stapled)) => (Ok(in_use), stapled),
            Err(fault) => (Err(fault), Ok(())),
        };
        changes.push(Change {
            part: Part::Identity,
            name: name_of(settings),
            file: settings.certificate.clone(),
            result,
        });
        if let Err(fault) = stapled {
            changes.push(of_staple(settings, Err(fault)));
        }
    }

    fn refresh_staple(
        &self,
        place: usize,
        settings: &settings::Identity,
        guard: Guard<'_>,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        let material = self.material();
        let Some(known) = material.identities.all().get(place) else { return };
        let result = match known.with_staple(settings, guard, now) {
            Ok(identity) => {
                let ends = identity.staple.as_ref().and_then(|staple| staple.ends);
                self.put(place, identity).map(|()| ends)
            }
            // The one before may say that the certificate is good, and this one that it is revoked.
            Err(fault) => self.put(place, known.without_staple()).and(Err(fault)),
        };
        changes.push(of_staple(settings, result));
    }

    /// A response that has ended would only make clients suspicious.
    fn drop_old_staple(&self, place: usize, settings: &settings::Identity, now: Timestamp, changes: &mut Vec<Change>) {
        let material = self.material();
        let Some(known) = material.identities.all().get(place) else { return };
        let ended = known.staple.as_ref().and_then(|staple| staple.ends).filter(|ends| *ends < now);
        if let Some(ends) = ended {
            let file = settings.ocsp.clone().unwrap_or_default();
            let over = LoadError { file, problem: Problem::StapleExpired(ends) };
            let result = self.put(place, known.without_staple());
            changes.push(of_staple(settings, result.and(Err(over))));
        }
    }

    fn refresh_clients(&self, settings: &settings::ClientCertificates, guard: Guard<'_>, now: Timestamp) -> Change {
        let loaded = Clients::load(settings, &self.provider, guard, now);
        let result = loaded.and_then(|clients| {
            let ends = Some(clients.ends);
            let identities = self.material().identities.clone();
            self.replace(Material::new(&self.settings, &self.provider, identities, Some(Arc::new(clients)))?);
            Ok(InUse { fingerprint: None, ends })
        });
        Change { part: Part::Clients, name: None, file: settings.authorities.clone(), result }
    }

    /// Puts an identity into the place of another.
    fn put(&self, place: usize, identity: Identity) -> Result<(), LoadError> {
        let material = self.material();
        let identities = material.identities.with(place, identity)?;
        self.replace(Material::new(&self.settings, &self.provider, identities, material.clients.clone())?);
        Ok(())
    }
}
