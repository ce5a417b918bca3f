//! A file from the client. Content is gathered into a large buffer while the one before it is
//! written on the pool; a small file is staged, written and put in place by a single trip there.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::error;

use super::digest::Hasher;
use super::{Job, PARTING_TIME, What, Yield, attend, blocking, broken, store_fault};
use crate::audit::record::Digest;
use crate::daemon::buffers::{BUFFER_BYTES, Buffer};
use crate::daemon::link;
use crate::proto::argument::Representation;
use crate::proto::ascii::FromWire;
use crate::session::effect::{MoveFault, StoreFault};
use crate::settings::DigestKind;
use crate::store::{Fault, Stored, Upload, UploadClaim};
use crate::tls::{self, DataConnection};

pub(super) async fn run(
    job: Job,
    mut connection: DataConnection,
    stop: oneshot::Receiver<MoveFault>,
) -> (Result<(), MoveFault>, Yield) {
    let Job { what, representation, digest, buffers, stall_time, progress, .. } = job;
    let What::Store { claim, whole, resumable } = what else { return (Ok(()), Yield::default()) };
    let ascii = representation == Representation::Ascii;
    let sink = Sink::new(*claim, ascii, if whole { digest } else { DigestKind::Off });
    let mut writing = Writing::Idle(Box::new(sink));
    let mut buffer = buffers.lend();
    let mut filled = 0;
    let pump = async {
        loop {
            let rest = buffer.rest_mut(filled);
            if rest.is_empty() {
                // The other buffer's content is in the file by now, or is waited for here.
                let sink = writing.settle().await?;
                let full = std::mem::replace(&mut buffer, buffers.lend());
                writing = Writing::Busy(tokio::task::spawn_blocking(move || sink.write(&full, BUFFER_BYTES)));
                filled = 0;
                // Other sessions come in between, however fast this client sends.
                tokio::task::yield_now().await;
                continue;
            }
            match connection.stream.read(rest).await {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    filled = filled.saturating_add(read);
                    progress.fetch_add(u64::try_from(read).unwrap_or(0), Ordering::Relaxed);
                }
                Err(failure) if failure.kind() == ErrorKind::UnexpectedEof => return Err(MoveFault::Truncated),
                Err(failure) => return Err(broken(&failure)),
            }
        }
    };
    let received = attend(&progress, stall_time, stop, pump).await;
    let sink = writing.settle().await;
    let ended = match (received, sink) {
        (Ok(()), Ok(sink)) => blocking(move || sink.commit(&buffer, filled)).await.map_err(MoveFault::Store),
        (Err(fault @ MoveFault::Store(_)), _) | (Ok(()) | Err(_), Err(fault)) => {
            // The client may be in the middle of sending and must live to read the reply.
            link::part(connection);
            return (Err(fault), Yield::default());
        }
        (Err(fault), Ok(sink)) => {
            let kept = blocking(move || sink.keep(&buffer, filled, resumable && !ascii)).await.ok().flatten();
            return (Err(fault), Yield { kept_bytes: kept, ..Yield::default() });
        }
    };
    match ended {
        Ok(Ok((stored, digest))) => {
            // The file is in place; whether the client hears the end of TLS changes nothing.
            let _ = tls::finish_receiving(&mut connection.stream, PARTING_TIME).await;
            let yielded = Yield { size: Some(stored.size), digest, replaced: stored.replaced, kept_bytes: None };
            (Ok(()), yielded)
        }
        Ok(Err(fault)) => (Err(MoveFault::Store(store_fault(fault))), Yield::default()),
        Err(fault) => (Err(fault), Yield::default()),
    }
}

/// Where the content goes, and the one who has it at the moment.
enum Writing {
    /// Nobody writes.
    Idle(Box<Sink>),
    /// The pool does.
    Busy(JoinHandle<Result<Box<Sink>, Fault>>),
    /// It failed.
    Failed(StoreFault),
}

impl Writing {
    /// Waits until nobody writes any more and takes the sink out. Losing the future loses nothing.
    async fn settle(&mut self) -> Result<Box<Sink>, MoveFault> {
        if let Self::Busy(handle) = self {
            *self = match handle.await {
                Ok(Ok(sink)) => Self::Idle(sink),
                Ok(Err(fault)) => Self::Failed(store_fault(fault)),
                Err(failure) => {
                    error!(%failure, "writing an upload did not finish");
                    Self::Failed(StoreFault::Local)
                }
            };
        }
        match std::mem::replace(self, Self::Failed(StoreFault::Local)) {
            Self::Idle(sink) => Ok(sink),
            Self::Failed(fault) => {
                *self = Self::Failed(fault);
                Err(MoveFault::Store(fault))
            }
            Self::Busy(_) => Err(MoveFault::Store(StoreFault::Local)),
        }
    }
}

/// What happens to the content on its way into the file.
struct Sink {
    target: Target,
    hasher: Option<Hasher>,
    ascii: Option<(FromWire, Vec<u8>)>,
}

/// The upload; it is begun with its first bytes, behind the proof of the data connection.
enum Target {
    Claimed(UploadClaim),
    Begun(Upload),
    Spent,
}

impl Sink {
    fn new(claim: UploadClaim, ascii: bool, digest: DigestKind) -> Self {
        Self {
            target: Target::Claimed(claim),
            hasher: Hasher::new(digest),
            ascii: ascii.then(|| (FromWire::default(), Vec::new())),
        }
    }

    fn upload(&mut self) -> Result<&mut Upload, Fault> {
        self.target = match std::mem::replace(&mut self.target, Target::Spent) {
            Target::Claimed(claim) => Target::Begun(claim.begin()?),
            other => other,
        };
        match &mut self.target {
            Target::Begun(upload) => Ok(upload),
            Target::Claimed(_) | Target::Spent => Err(Fault::Busy),
        }
    }

    fn put(&mut self, piece: &[u8], last: bool) -> Result<(), Fault> {
        let converted = self.ascii.take().map(|(mut convert, mut out)| {
            out.clear();
            convert.convert(piece, &mut out);
            if last {
                convert.finish(&mut out);
            }
            (convert, out)
        });
        let content = converted.as_ref().map_or(piece, |(_, out)| out);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(content);
        }
        let upload = self.upload()?;
        let written = if content.is_empty() { Ok(()) } else { upload.write(content) };
        self.ascii = converted;
        written
    }

    fn write(mut self: Box<Self>, buffer: &Buffer, filled: usize) -> Result<Box<Self>, Fault> {
        self.put(buffer.filled(filled), false)?;
        Ok(self)
    }

    fn commit(mut self, buffer: &Buffer, filled: usize) -> Result<(Stored, Option<Digest>), Fault> {
        self.put(buffer.filled(filled), true)?;
        let Target::Begun(upload) = std::mem::replace(&mut self.target, Target::Spent) else {
            return Err(Fault::Busy);
        };
        Ok((upload.commit()?, self.hasher.map(Hasher::finish)))
    }

    /// Keeps what came for its uploader to resume; tells how many bytes that are.
    fn keep(mut self, buffer: &Buffer, filled: usize, resumable: bool) -> Option<u64> {
        if !resumable {
            return None;
        }
        self.put(buffer.filled(filled), true).ok()?;
        match std::mem::replace(&mut self.target, Target::Spent) {
            Target::Begun(upload) => upload.interrupt().ok().map(|kept| kept.size).filter(|size| *size > 0),
            Target::Claimed(_) | Target::Spent => None,
        }
    }
}
