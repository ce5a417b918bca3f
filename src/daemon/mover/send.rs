//! A file to the client: read from the page cache on the task itself, and only where the kernel
//! would have to wait for a disk on the pool for it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::digest::Hasher;
use super::{Job, What, Yield, attend, blocking, end_sending, send_piece, store_fault};
use crate::daemon::buffers::{BUFFER_BYTES, Buffer};
use crate::identity::Username;
use crate::policy::grant::Grant;
use crate::session::effect::{MoveFault, StoreFault};
use crate::store::{Fault, Lookup, ReadFile, Root};
use crate::tls::DataConnection;

pub(super) async fn run(
    job: Job,
    connection: &mut DataConnection,
    stop: oneshot::Receiver<MoveFault>,
) -> (Result<(), MoveFault>, Yield) {
    let (progress, stall_time) = (Arc::clone(&job.progress), job.stall_time);
    let mut yielded = Yield::default();
    let pace = Arc::clone(&job.pace);
    let sent = attend(&progress, &pace, stall_time, stop, send(job, connection, &mut yielded)).await;
    (sent, yielded)
}

async fn send(job: Job, connection: &mut DataConnection, yielded: &mut Yield) -> Result<(), MoveFault> {
    let Job { what, root, user, digest, buffers, pace, progress, .. } = job;
    let What::Retrieve(grant, start) = what else { return Ok(()) };
    let file = Arc::new(open(root, grant, user).await.map_err(MoveFault::Store)?);
    let size = file.size();
    yielded.size = Some(size);
    let mut hasher = if start.whole { Hasher::new(digest) } else { None };
    let mut ascii = start.text.map(|convert| (convert, Vec::new()));
    let mut buffer = buffers.lend();
    let mut at = start.offset;
    while at < size {
        let wanted = usize::try_from(size.saturating_sub(at)).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        let read;
        (buffer, read) = fill(&file, buffer, wanted, at).await.map_err(MoveFault::Store)?;
        if read == 0 {
            // The file became shorter while it was read; what was promised cannot be kept.
            return Err(MoveFault::Store(StoreFault::Local));
        }
        let piece = buffer.filled(read);
        if let Some(hasher) = &mut hasher {
            hasher.update(piece);
        }
        match &mut ascii {
            None => send_piece(connection, &pace, &progress, piece).await?,
            Some((convert, out)) => {
                out.clear();
                convert.convert(piece, out);
                send_piece(connection, &pace, &progress, out).await?;
            }
        }
        at = at.saturating_add(u64::try_from(read).unwrap_or(0));
        // Other sessions come in between, however fast this client reads.
        tokio::task::yield_now().await;
    }
    // Freed before the wait for the client's end.
    drop(buffer);
    end_sending(connection).await?;
    yielded.digest = hasher.map(Hasher::finish);
    Ok(())
}

/// Opens the file: at once where the kernel has it at hand, and on the pool where it would wait.
async fn open(root: Arc<Root>, grant: Grant, user: Username) -> Result<ReadFile, StoreFault> {
    match root.open_read(&grant, &user, Lookup::Cached) {
        Err(Fault::WouldBlock) => {
            blocking(move || root.open_read(&grant, &user, Lookup::Full)).await?.map_err(store_fault)
        }
        opened => opened.map_err(store_fault),
    }
}

/// Reads the next piece into the buffer.
async fn fill(file: &Arc<ReadFile>, mut buffer: Buffer, wanted: usize, at: u64) -> Result<(Buffer, usize), StoreFault> {
    let room = buffer.as_mut().get_mut(..wanted).unwrap_or_default();
    if let Some(read) = file.read_cached(room, at).map_err(store_fault)? {
        return Ok((buffer, read));
    }
    let file = Arc::clone(file);
    let (buffer, read) = blocking(move || {
        let room = buffer.as_mut().get_mut(..wanted).unwrap_or_default();
        let read = file.read(room, at);
        (buffer, read)
    })
    .await?;
    Ok((buffer, read.map_err(store_fault)?))
}
