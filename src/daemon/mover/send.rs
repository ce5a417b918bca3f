//! A file to the client: read from the page cache on the task itself, and only where the kernel
//! would have to wait for a disk on the pool for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::digest::Hasher;
use super::{Job, PARTING_TIME, What, Yield, attend, blocking, broken, store_fault};
use crate::daemon::buffers::{BUFFER_BYTES, Buffer};
use crate::proto::argument::Representation;
use crate::proto::ascii::ToWire;
use crate::session::effect::{MoveFault, StoreFault};
use crate::store::{Fault, Lookup, ReadFile};
use crate::tls::{self, DataConnection};

pub(super) async fn run(
    job: Job,
    mut connection: DataConnection,
    stop: oneshot::Receiver<MoveFault>,
) -> (Result<(), MoveFault>, Yield) {
    let progress = Arc::clone(&job.progress);
    let mut yielded = Yield::default();
    let sent = attend(&progress, job.stall_time, stop, send(&job, &mut connection, &mut yielded)).await;
    if sent.is_err() && !matches!(sent, Err(MoveFault::ConnectionLost)) {
        // No close_notify: the client must see that this is not the file's end.
        drop(connection);
    }
    (sent, yielded)
}

async fn send(job: &Job, connection: &mut DataConnection, yielded: &mut Yield) -> Result<(), MoveFault> {
    let What::Retrieve(grant, offset) = &job.what else { return Ok(()) };
    let opened = match job.root.open_read(grant, &job.user, Lookup::Cached) {
        // It was looked up a moment ago, when the transfer was made ready.
        Err(Fault::WouldBlock) => job.root.open_read(grant, &job.user, Lookup::Full),
        opened => opened,
    };
    let file = Arc::new(opened.map_err(|fault| MoveFault::Store(store_fault(fault)))?);
    let size = file.size();
    yielded.size = Some(size);
    let mut hasher = if *offset == 0 { Hasher::new(job.digest) } else { None };
    let mut ascii = (job.representation == Representation::Ascii).then(|| (ToWire::default(), Vec::new()));
    let mut buffer = job.buffers.lend();
    let mut at = *offset;
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
        let sent = match &mut ascii {
            None => connection.stream.write_all(piece).await,
            Some((convert, out)) => {
                out.clear();
                convert.convert(piece, out);
                connection.stream.write_all(out).await
            }
        };
        sent.map_err(|failure| broken(&failure))?;
        let moved = u64::try_from(read).unwrap_or(0);
        at = at.saturating_add(moved);
        job.progress.fetch_add(moved, Ordering::Relaxed);
        // Other sessions come in between, however fast this client reads.
        tokio::task::yield_now().await;
    }
    // Freed before the wait for the client's end.
    drop(buffer);
    tls::finish_sending(&mut connection.stream, PARTING_TIME).await.map_err(|failure| broken(&failure))?;
    yielded.digest = hasher.map(Hasher::finish);
    Ok(())
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
