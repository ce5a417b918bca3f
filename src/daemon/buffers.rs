//! Large buffers for transfers, lent and taken back, so that none is allocated and cleared for each
//! chunk and none is held by a session that does not transfer.

use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that move at a time between a file and a data connection.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;
/// Most buffers kept while nobody uses them.
const KEPT_MAX: usize = 32;

/// The buffers that are free.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

/// A lent buffer of [`BUFFER_BYTES`] bytes; it goes back when dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Arc<Buffers>,
}

impl Buffers {
    /// Lends a buffer; its content is what the last borrower left.
    pub(super) fn lend(self: &Arc<Self>) -> Buffer {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: free.unwrap_or_else(|| vec![0; BUFFER_BYTES]), home: Arc::clone(self) }
    }
}

impl Buffer {
    /// All of it.
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The part behind the first `filled` bytes.
    pub(super) fn rest_mut(&mut self, filled: usize) -> &mut [u8] {
        self.bytes.get_mut(filled..).unwrap_or_default()
    }

    /// The first `filled` bytes.
    pub(super) fn filled(&self, filled: usize) -> &[u8] {
        self.bytes.get(..filled).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT_MAX {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}
