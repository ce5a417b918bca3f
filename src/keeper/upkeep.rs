//! When closed files are compressed and removed: the oldest first, never the open one, and none that
//! does not verify.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::closed;
use super::place;
use super::process::{Common, PAUSE};
use super::protocol::{Pruning, Reason, Report, bounded};
use crate::audit::rotation::Kind;
use crate::audit::signing::PublicKey;
use crate::settings::keeping::Retention;
use crate::trail::files::{LogFile, find};
use crate::trail::verify::ClosedFile;

/// How often there is nothing to do but to look at ages.
const PERIOD: Duration = Duration::from_secs(30);
/// How long the server may take to record that a file is about to be removed.
const NOTED_TIME: Duration = Duration::from_mins(1);
const DAY_MILLISECONDS: i64 = 86_400_000;

/// What tells whether a file was changed since: its inode, its size, and when it was changed last.
type Stamp = (u64, u64, i64, i64);

/// The thread that does it.
pub(super) struct Upkeep {
    pub(super) common: Arc<Common>,
    pub(super) retention: Arc<Mutex<Retention>>,
    /// What the server says to a [`Report::Prune`].
    pub(super) noted: Receiver<(String, bool)>,
    /// What proves closed files.
    pub(super) keys: Vec<PublicKey>,
    /// What files were found to hold, or that they do not verify: not looked at again while they stay as they are.
    pub(super) known: HashMap<PathBuf, (Stamp, Option<ClosedFile>)>,
}

impl Upkeep {
    /// Does it until the keeper ends.
    pub(super) fn run(mut self) {
        let mut told: Option<String> = None;
        let mut seen = 0;
        loop {
            let done = self.round();
            match done {
                Ok(()) => told = None,
                Err(error) => {
                    let text = bounded(&error.to_string());
                    if told.as_ref() != Some(&text) {
                        self.common.tell(&Report::Trouble { text: text.clone() });
                        told = Some(text);
                    }
                }
            }
            if self.common.wait(PERIOD, &mut seen) {
                return;
            }
        }
    }

    fn round(&mut self) -> io::Result<()> {
        let retention = *self.retention.lock().unwrap_or_else(PoisonError::into_inner);
        if retention.compress {
            for file in self.finished()? {
                if self.common.is_stopping() {
                    return Ok(());
                }
                if let Kind::Closed { first_seq, compressed: false } = file.kind
                    && self.known(&file)?.is_some()
                {
                    let name = name(&file);
                    let failed = |error| io::Error::other(format!("{name} cannot be compressed: {error}"));
                    let (bytes_before, bytes) = place::compress(&self.common.directory, first_seq).map_err(failed)?;
                    self.known.remove(&file.path);
                    self.common.tell(&Report::Compressed { file: name, bytes_before, bytes });
                }
            }
        }
        while !self.common.is_stopping() && self.prune_oldest(retention)? {}
        Ok(())
    }

    /// The closed files to which nothing is written any more, oldest first. To the newest one, the last
    /// record may still come until the next file holds one.
    fn finished(&self) -> io::Result<Vec<LogFile>> {
        let mut files = match find(&self.common.directory) {
            Ok(files) => files,
            Err(crate::trail::files::FilesError::NoLog(_)) => return Ok(Vec::new()),
            Err(error) => return Err(io::Error::other(error.to_string())),
        };
        let open = files.pop_if(|file| file.kind == Kind::Open);
        let begun = open.is_some_and(|file| file.path.metadata().is_ok_and(|metadata| metadata.len() > 0));
        if !begun {
            files.pop();
        }
        Ok(files)
    }

    /// What a file holds; none where it does not verify, which is told once.
    fn verified(&mut self, file: &LogFile) -> io::Result<Option<ClosedFile>> {
        let stamp = stamp(file)?;
        let name = name(file);
        let found = match closed::verify(file, &self.keys) {
            Ok(found) => {
                self.common.memory.verified(&name);
                Some(found)
            }
            Err(fault) => {
                // One that somebody took away meanwhile is not one that does not verify.
                file.path.symlink_metadata()?;
                if self.common.memory.unverified(&name) {
                    let reason = bounded(&fault.reason);
                    self.common.tell(&Report::Unverified { file: name, reason, line: fault.line });
                }
                None
            }
        };
        self.known.insert(file.path.clone(), (stamp, found.clone()));
        Ok(found)
    }

    /// The same by what was found before, where the file is as it was then.
    fn known(&mut self, file: &LogFile) -> io::Result<Option<ClosedFile>> {
        match self.known.get(&file.path) {
            Some((seen, found)) if *seen == stamp(file)? => Ok(found.clone()),
            _ => self.verified(file),
        }
    }

    /// Removes the oldest file where it is time; false where it is not, or may not be.
    fn prune_oldest(&mut self, retention: Retention) -> io::Result<bool> {
        if retention.days.is_none() && retention.bytes.is_none() {
            return Ok(false);
        }
        let files = self.finished()?;
        let Some(oldest) = files.first() else { return Ok(false) };
        let Some(known) = self.known(oldest)? else { return Ok(false) };
        let Some(reason) = self.reason(&known, &files, retention)? else { return Ok(false) };
        if self.common.memory.copied_by_all().is_some_and(|copied| copied < known.last_seq) {
            return Ok(false);
        }
        // Looked at again: what was verified long ago may have been changed since.
        let Some(proven) = self.verified(oldest)? else { return Ok(false) };
        let file = name(oldest);
        while self.noted.try_recv().is_ok() {}
        self.common.tell(&Report::Prune(Pruning {
            file: file.clone(),
            first_seq: proven.first_seq,
            last_seq: proven.last_seq,
            last_hash: proven.last_hash.to_string(),
            reason,
        }));
        if !self.is_noted(&file) {
            return Ok(false);
        }
        place::remove(&oldest.path)?;
        self.known.remove(&oldest.path);
        Ok(true)
    }

    /// Waits until the server has recorded that a file is about to be removed.
    fn is_noted(&self, file: &str) -> bool {
        let mut waited = Duration::ZERO;
        while waited < NOTED_TIME && !self.common.is_stopping() {
            match self.noted.recv_timeout(PAUSE) {
                Ok((noted, recorded)) if noted == file => return recorded,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => waited = waited.saturating_add(PAUSE),
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        false
    }

    /// Why the oldest file is to be removed, if it is.
    fn reason(&self, oldest: &ClosedFile, files: &[LogFile], retention: Retention) -> io::Result<Option<Reason>> {
        if let Some(days) = retention.days {
            let kept = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MILLISECONDS);
            let age = Timestamp::now().as_millisecond().saturating_sub(oldest.last_time.as_millisecond());
            if age > kept {
                return Ok(Some(Reason::Age));
            }
        }
        if let Some(most) = retention.bytes {
            let open = self.common.directory.join(crate::audit::file::FILE_NAME);
            let mut total = open.metadata().map_or(0, |metadata| metadata.len());
            for file in files {
                total = total.saturating_add(file.path.metadata()?.len());
            }
            if total > most {
                return Ok(Some(Reason::TotalSize));
            }
        }
        Ok(None)
    }
}

fn name(file: &LogFile) -> String {
    file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stamp(file: &LogFile) -> io::Result<Stamp> {
    let metadata = file.path.symlink_metadata()?;
    Ok((metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))
}
