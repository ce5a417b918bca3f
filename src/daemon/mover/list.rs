//! A listing to the client: read, written down and sent in batches, so that a directory of a
//! million entries needs no more memory than one of a few hundred.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Job, What, Yield, attend, blocking, end_sending, send_piece, store_fault};
use crate::identity::Username;
use crate::policy::grant::Grant;
use crate::proto::facts::{self, Kind};
use crate::proto::pattern::Pattern;
use crate::session::effect::{Listing, MoveFault, StoreFault};
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
    let What::List(grant, listing, pattern) = what else { return Ok(()) };
    let fault = MoveFault::Store;
    let mut reading = blocking(move || Reading::begin(&root, &grant, &user, listing, pattern)).await.map_err(fault)?;
    loop {
        let (more, batch) = reading.map_err(|refused| fault(store_fault(refused)))?;
        send_piece(connection, &pace, &progress, &batch).await?;
        let Some(next) = more else { break };
        reading = blocking(move || next.batch(batch)).await.map_err(fault)?;
    }
    end_sending(connection).await
}

type Batch = Result<(Option<Reading>, Vec<u8>), Fault>;

/// A directory that is being read.
struct Reading {
    entries: store::Listing,
    form: Listing,
    pattern: Option<Pattern>,
    /// Entries in a batch.
    entries_max: usize,
}

impl Reading {
    /// Opens the directory and reads the first batch. A file is listed as its one line.
    fn begin(root: &Arc<Root>, grant: &Grant, user: &Username, form: Listing, pattern: Option<Pattern>) -> Batch {
        let mut out = Vec::with_capacity(ENTRIES_BATCH.saturating_mul(ENTRY_BYTES));
        let entries = match root.list(grant, user) {
            Err(Fault::NotADirectory) if !matches!(form, Listing::Facts(_)) => {
                let entry = root.facts(grant, user, Lookup::Full)?;
                write_entry(&mut out, &of_one(form), &entry.as_ref());
                return Ok((None, out));
            }
            opened => opened?,
        };
        if let Listing::Facts(form) = &form {
            let current = root.facts(grant, user, Lookup::Full)?;
            let mut shown = wire_entry(&current.as_ref());
            (shown.kind, shown.name) = (Kind::Current, ".");
            form.facts(&mut out, &shown);
            out.extend_from_slice(b"\r\n");
        }
        let form = if pattern.is_some() { of_one(form) } else { form };
        let ahead = if let Listing::Names { in_directory, .. } = &form { in_directory.len() } else { 0 };
        let batch_bytes = ENTRIES_BATCH.saturating_mul(ENTRY_BYTES);
        let entries_max = batch_bytes.checked_div(ENTRY_BYTES.saturating_add(ahead)).unwrap_or(1).max(1);
        let reading = Self { entries, form, pattern, entries_max };
        reading.fill(out)
    }

    fn batch(self, mut out: Vec<u8>) -> Batch {
        out.clear();
        self.fill(out)
    }

    fn fill(mut self, mut out: Vec<u8>) -> Batch {
        let (form, pattern) = (&self.form, &self.pattern);
        let more = self.entries.visit(self.entries_max, &mut |entry| {
            if pattern.as_ref().is_none_or(|pattern| pattern.matches(entry.name)) {
                write_entry(&mut out, form, entry);
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

fn write_entry(out: &mut Vec<u8>, form: &Listing, entry: &store::EntryRef<'_>) {
    match form {
        Listing::Long(form) => form.long(out, &wire_entry(entry)),
        Listing::Facts(form) => form.facts(out, &wire_entry(entry)),
        Listing::Names { in_directory, .. } => {
            out.extend_from_slice(in_directory.as_bytes());
            out.extend_from_slice(entry.name.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// An entry of the store as listings tell it.
pub(in crate::daemon) fn wire_entry<'a>(entry: &store::EntryRef<'a>) -> facts::Entry<'a> {
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
    }
}

/// The lines of a listing for the control connection, and whether there were more of them.
pub(in crate::daemon) fn lines(
    root: &Arc<Root>,
    grant: &Grant,
    user: &Username,
    form: Box<facts::Form>,
    lines_max: usize,
) -> Result<(Vec<String>, bool), StoreFault> {
    let (mut more, mut text) = Reading::begin(root, grant, user, Listing::Long(form), None).map_err(store_fault)?;
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
