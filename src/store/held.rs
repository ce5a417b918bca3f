//! Names that one operation at a time may have, so that two uploads to one name never mix.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::fault::Fault;
use crate::proto::path::VirtualPath;

/// The names in a home that operations have at the moment.
#[derive(Debug, Default)]
pub(super) struct HeldNames(Mutex<BTreeSet<VirtualPath>>);

/// A name held; dropping it lets the name go.
#[derive(Debug)]
pub(super) struct Held {
    names: Arc<HeldNames>,
    path: VirtualPath,
}

impl HeldNames {
    /// Takes a name, and everything below it: [`Fault::Busy`] where somebody has it, or has
    /// something below it.
    pub(super) fn hold(self: &Arc<Self>, path: &VirtualPath) -> Result<Held, Fault> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.range(path..).take_while(|held| held.as_str().starts_with(path.as_str())).any(|h| h.is_within(path)) {
            return Err(Fault::Busy);
        }
        names.insert(path.clone());
        Ok(Held { names: Arc::clone(self), path: path.clone() })
    }
}

impl Held {
    /// The name.
    pub(super) fn path(&self) -> &VirtualPath {
        &self.path
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.names.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}
