//! A listing to the client: read, written down and sent in batches, so that a directory of a
//! million entries needs no more memory than one of a few hundred.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Job, What, Yield, attend, blocking, end_sending, send_piece, store_fault};
use crate::daemon::roots::Mounted;
use crate::identity::Username;
use crate::policy::grant::Grant;
use crate::policy::viewer::{DirectoryView, Viewer};
use crate::proto::facts::{self, Kind};
use crate::proto::pattern::Pattern;
use crate::session::effect::{Listing, MoveFault, StoreFault};
use crate::session::letters::Letters;
use crate::store::{self, EntryKind, Fault, Lookup, Root};
use crate::tls::DataConnection;

/// Entries in a batch.
const ENTRIES_BATCH: usize = 1024;
/// Bytes set aside for an entry; a batch grows where they do not suffice.
const ENTRY_BYTES: usize = 112;

pub(super) async fn run(
    job: Job,
    connection: &mut DataConnection,
    stop: oneshot::Receiver<MoveFault>,
) -> (Result<(), MoveFault>, Yield) {
    let (progress, stall_time) = (Arc::clone(&job.progress), job.stall_time);
    let pace = Arc::clone(&job.pace);
    let sent = attend(&progress, &pace, stall_time, stop, send(job, connection)).await;
    (sent, Yield::default())
}

async fn send(job: Job, connection: &mut DataConnection) -> Result<(), MoveFault> {
    let Job { what, root, user, pace, progress, .. } = job;
    let What::List(sight, listing, pattern) = what else { return Ok(()) };
    let fault = MoveFault::Store;
    let mut reading = blocking(move || Reading::begin(&root, *sight, &user, listing, pattern)).await.map_err(fault)?;
    loop {
        let (more, batch) = reading.map_err(|refused| fault(store_fault(refused)))?;
        send_piece(connection, &pace, &progress, &batch).await?;
        let Some(next) = more else { break };
        reading = blocking(move || next.batch(batch)).await.map_err(fault)?;
    }
    end_sending(connection).await
}

type Batch = Result<(Option<Reading>, Vec<u8>), Fault>;

/// What is listed, and who looks.
pub(in crate::daemon) struct Sight {
    /// Leave to list it.
    pub(in crate::daemon) grant: Grant,
    pub(in crate::daemon) viewer: Viewer,
    /// The folders that are shown in it.
    pub(in crate::daemon) mounted: Vec<Mounted>,
}

/// A directory that is being read.
struct Reading {
    entries: store::Listing,
    form: Listing,
    pattern: Option<Pattern>,
    view: DirectoryView,
    letters: Letters,
    /// Entries in a batch.
    entries_max: usize,
}

impl Reading {
    /// Opens the directory and reads the first batch. A file is listed as its one line.
    fn begin(root: &Root, sight: Sight, user: &Username, form: Listing, pattern: Option<Pattern>) -> Batch {
        let Sight { grant, viewer, mounted } = sight;
        let mut out = Vec::with_capacity(ENTRIES_BATCH.saturating_mul(ENTRY_BYTES));
        let mut letters = Letters::default();
        let entries = match root.list(&grant, user) {
            Err(Fault::NotADirectory) if !matches!(form, Listing::Facts(_)) => {
                let entry = root.facts(&grant, user, Lookup::Full)?;
                let perm = letters.of(viewer.permissions(grant.path(), false), false);
                write_entry(&mut out, &of_one(form), &entry.as_ref(), perm);
                return Ok((None, out));
            }
            opened => opened?,
        };
        if let Listing::Facts(form) = &form {
            let current = root.facts(&grant, user, Lookup::Full)?;
            let perm = letters.of(viewer.permissions(grant.path(), true), true);
            let mut shown = wire_entry(&current.as_ref(), perm);
            (shown.kind, shown.name) = (Kind::Current, ".");
            form.facts(&mut out, &shown);
            out.extend_from_slice(b"\r\n");
        }
        let form = if pattern.is_some() { of_one(form) } else { form };
        let ahead = if let Listing::Names { in_directory, .. } = &form { in_directory.len() } else { 0 };
        let batch_bytes = ENTRIES_BATCH.saturating_mul(ENTRY_BYTES);
        let entries_max = batch_bytes.checked_div(ENTRY_BYTES.saturating_add(ahead)).unwrap_or(1).max(1);
        let view = viewer.directory(grant.path());
        let mut reading = Self { entries, form, pattern, view, letters, entries_max };
        for folder in &mounted {
            reading.write_mounted(folder, user, &mut out);
        }
        reading.fill(out)
    }

    /// Writes a folder that is mounted here as the directory that it is. One that is gone is left out.
    fn write_mounted(&mut self, folder: &Mounted, user: &Username, out: &mut Vec<u8>) {
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.matches(&folder.name)) {
            return;
        }
        let found = folder.root.facts(&folder.grant, user, Lookup::Full);
        let (Ok(mut entry), Some(permissions)) = (found, self.view.mount_point(&folder.name)) else { return };
        entry.name.clone_from(&folder.name);
        write_entry(out, &self.form, &entry.as_ref(), self.letters.of(permissions, true));
    }

    fn batch(self, mut out: Vec<u8>) -> Batch {
        out.clear();
        self.fill(out)
    }

    fn fill(mut self, mut out: Vec<u8>) -> Batch {
        let Self { entries, form, pattern, view, letters, entries_max } = &mut self;
        let more = entries.visit(*entries_max, &mut |entry| {
            if pattern.as_ref().is_some_and(|pattern| !pattern.matches(entry.name)) {
                return;
            }
            let directory = entry.kind == EntryKind::Directory;
            if let Some(permissions) = view.entry(entry.name, directory) {
                write_entry(&mut out, form, entry, letters.of(permissions, directory));
            }
        })?;
        Ok((more.then_some(self), out))
    }
}

/// The form of a listing that does not tell a whole directory: names are written as they would be
/// where each was asked for.
fn of_one(form: Listing) -> Listing {
    match form {
        Listing::Names { of_file, .. } => Listing::Names { in_directory: of_file, of_file: String::new() },
        form => form,
    }
}

fn write_entry(out: &mut Vec<u8>, form: &Listing, entry: &store::EntryRef<'_>, perm: &str) {
    match form {
        Listing::Long(form) => form.long(out, &wire_entry(entry, perm)),
        Listing::Facts(form) => form.facts(out, &wire_entry(entry, perm)),
        Listing::Names { in_directory, .. } => {
            out.extend_from_slice(in_directory.as_bytes());
            out.extend_from_slice(entry.name.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// An entry of the store as listings tell it.
fn wire_entry<'a>(entry: &store::EntryRef<'a>, perm: &'a str) -> facts::Entry<'a> {
    facts::Entry {
        name: entry.name,
        kind: match entry.kind {
            EntryKind::File => Kind::File,
            EntryKind::Directory => Kind::Directory,
        },
        size: entry.size,
        modified_seconds: entry.modified_seconds,
        mode: entry.mode,
        unique: entry.unique,
        created_seconds: entry.created_seconds,
        owner: entry.owner,
        perm,
    }
}

/// The lines of a listing for the control connection, and whether there were more of them.
pub(in crate::daemon) fn lines(
    root: &Root,
    sight: Sight,
    user: &Username,
    form: Box<facts::Form>,
    lines_max: usize,
) -> Result<(Vec<String>, bool), StoreFault> {
    let (mut more, mut text) = Reading::begin(root, sight, user, Listing::Long(form), None).map_err(store_fault)?;
    let mut lines = Vec::new();
    loop {
        let batch = String::from_utf8_lossy(&text);
        let mut further = batch.lines();
        lines.extend(further.by_ref().take(lines_max.saturating_sub(lines.len())).map(str::to_owned));
        if further.next().is_some() {
            return Ok((lines, true));
        }
        let Some(next) = more.take() else { return Ok((lines, false)) };
        (more, text) = next.batch(Vec::new()).map_err(store_fault)?;
    }
}
