//! How far each copy is and which files do not verify, kept in a file beside the log, so that a
//! restart goes on where the last run was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};

use super::follow::{Cursor, end};

/// The file, in the directory of the log.
pub(super) const NAME: &str = "keeper.json";
const UNFINISHED: &str = "keeper.json.new";
/// Largest file that is read.
const BYTES_MAX: u64 = 1 << 20;

/// What is remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered {
    /// What each copy has for certain.
    copies: BTreeMap<String, Cursor>,
    /// Closed files that do not verify; each was reported.
    #[serde(default)]
    unverified: BTreeSet<String>,
}

/// The memory, and whether the file is behind it.
#[derive(Debug)]
pub(super) struct Memory {
    directory: PathBuf,
    inner: Mutex<(Remembered, bool)>,
}

impl Memory {
    /// Reads what the last run remembered. A copy that is not known there begins with the next record;
    /// where the file cannot be understood, each begins with the oldest.
    pub(super) fn read(directory: &Path, copies: &[String]) -> Self {
        let (mut remembered, fresh) = match read(&directory.join(NAME)) {
            Ok(remembered) => (remembered, end(directory)),
            Err(error) if error.kind() == ErrorKind::NotFound => (Remembered::default(), end(directory)),
            Err(_) => (Remembered::default(), Cursor::default()),
        };
        remembered.copies.retain(|name, _| copies.contains(name));
        for name in copies {
            remembered.copies.entry(name.clone()).or_insert_with(|| fresh.clone());
        }
        remembered.unverified.retain(|file| directory.join(file).exists());
        Self { directory: directory.to_owned(), inner: Mutex::new((remembered, true)) }
    }

    fn lock(&self) -> MutexGuard<'_, (Remembered, bool)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a copy has for certain.
    pub(super) fn of(&self, copy: &str) -> Cursor {
        self.lock().0.copies.get(copy).cloned().unwrap_or_default()
    }

    /// Remembers what a copy has for certain.
    pub(super) fn set(&self, copy: &str, cursor: &Cursor) {
        let mut inner = self.lock();
        if let Some(known) = inner.0.copies.get_mut(copy).filter(|known| *known != cursor) {
            known.clone_from(cursor);
            inner.1 = true;
        }
    }

    /// The number of the last record that every copy has for certain; none where there are no copies.
    pub(super) fn copied_by_all(&self) -> Option<u64> {
        self.lock().0.copies.values().map(|cursor| cursor.seq).min()
    }

    /// Remembers that a file does not verify; true where that is new.
    pub(super) fn unverified(&self, file: &str) -> bool {
        let mut inner = self.lock();
        let new = inner.0.unverified.insert(file.to_owned());
        inner.1 |= new;
        new
    }

    /// Remembers that a file verifies: somebody may have put back what it was.
    pub(super) fn verified(&self, file: &str) {
        let mut inner = self.lock();
        let known = inner.0.unverified.remove(file);
        inner.1 |= known;
    }

    /// Files that do not verify.
    pub(super) fn all_unverified(&self) -> Vec<String> {
        self.lock().0.unverified.iter().cloned().collect()
    }

    /// Writes the file, where it is behind.
    ///
    /// # Errors
    /// Where it cannot be written; it is tried again the next time.
    pub(super) fn save(&self) -> io::Result<()> {
        let mut inner = self.lock();
        if !inner.1 {
            return Ok(());
        }
        let unfinished = self.directory.join(UNFINISHED);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(open(&unfinished, flags, Mode::from_raw_mode(0o640))?);
        file.write_all(&serde_json::to_vec(&inner.0)?)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, self.directory.join(NAME))?;
        inner.1 = false;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Remembered> {
    let mut text = Vec::new();
    File::open(path)?.take(BYTES_MAX).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
