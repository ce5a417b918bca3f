//! What holds for every home, and can be changed while the server runs.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::floor::Floor;

/// What holds for every home.
#[derive(Clone, Copy, Debug)]
pub struct StoreSettings {
    /// What uploads leave free in a file system.
    pub floor: Floor,
    /// How long an interrupted upload is kept for its uploader to resume.
    pub partial_uploads: Duration,
}

/// The settings that all homes share.
#[derive(Clone, Debug)]
pub(super) struct SharedSettings(Arc<RwLock<StoreSettings>>);

impl SharedSettings {
    pub(super) fn new(settings: StoreSettings) -> Self {
        Self(Arc::new(RwLock::new(settings)))
    }

    /// As they are at this moment.
    pub(super) fn now(&self) -> StoreSettings {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, settings: StoreSettings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }
}
