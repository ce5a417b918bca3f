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
use crate::daemon::freezes::Leave;
use crate::proto::argument::Representation;
use crate::proto::ascii::FromWire;
use crate::session::effect::{MoveFault, StoreFault};
use crate::settings::DigestKind;
use crate::store::{Fault, Kept, Stored, Unstored, Upload, UploadClaim};
use crate::tls::{self, DataConnection};

pub(super) async fn run(
    job: Job,
    connection: &mut DataConnection,
    stop: oneshot::Receiver<MoveFault>,
) -> (Result<(), MoveFault>, Yield) {
    let Job { what, leave, representation, digest, buffers, stall_time, pace, progress, .. } = job;
    let (What::Store { claim, whole, resumable }, Some(leave)) = (what, leave) else {
        return (Ok(()), Yield::default());
    };
    let ascii = representation == Representation::Ascii;
    // Of text, only what is stored counts, which the file itself sees to.
    let limit = claim.size_limit().filter(|_| !ascii);
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
            // What may not come yet waits in the client's own buffers.
            let piece = pace.piece_bytes(rest.len());
            match connection.stream.read(rest.get_mut(..piece).unwrap_or_default()).await {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    filled = filled.saturating_add(read);
                    let count = u64::try_from(read).unwrap_or(0);
                    let came = progress.fetch_add(count, Ordering::Relaxed).saturating_add(count);
                    if let Some(limit) = limit.filter(|limit| came > limit.bytes_left) {
                        return Err(MoveFault::Store(StoreFault::TooLarge(limit.bytes_max)));
                    }
                    pace.take(read).await;
                }
                Err(failure) if failure.kind() == ErrorKind::UnexpectedEof => return Err(MoveFault::Truncated),
                Err(failure) => return Err(broken(&failure)),
            }
        }
    };
    let received = attend(&progress, &pace, stall_time, stop, pump).await;
    let resumable = resumable && !ascii;
    let sink = writing.settle().await;
    let ended = match (received, sink) {
        (Ok(()), Ok(sink)) => {
            blocking(move || sink.commit(&buffer, filled, resumable, &leave)).await.map_err(MoveFault::Store)
        }
        (Err(too_large @ MoveFault::Store(StoreFault::TooLarge(bytes_max))), Ok(sink)) => {
            let given_up = blocking(move || sink.give_up(Fault::TooLarge(bytes_max), resumable)).await;
            return (Err(too_large), Yield { kept_bytes: given_up.ok().flatten(), ..Yield::default() });
        }
        (Ok(()) | Err(_), Err(_)) => {
            let (fault, kept_bytes) = writing.give_up(resumable).await;
            return (Err(MoveFault::Store(fault)), Yield { kept_bytes, ..Yield::default() });
        }
        (Err(fault), Ok(sink)) => {
            let kept = blocking(move || sink.keep(&buffer, filled, resumable)).await.ok().flatten();
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
        Ok(Err((fault, kept_bytes))) => (Err(MoveFault::Store(fault)), Yield { kept_bytes, ..Yield::default() }),
        Err(fault) => (Err(fault), Yield::default()),
    }
}

/// Where the content goes, and the one who has it at the moment.
enum Writing {
    /// Nobody writes.
    Idle(Box<Sink>),
    /// The pool does.
    Busy(JoinHandle<(Box<Sink>, Result<(), Fault>)>),
    /// It failed; the sink is there to be given up, unless the pool lost it.
    Failed(StoreFault, Option<(Box<Sink>, Fault)>),
}

impl Writing {
    /// Waits until nobody writes any more and takes the sink out. Losing the future loses nothing.
    async fn settle(&mut self) -> Result<Box<Sink>, MoveFault> {
        if let Self::Busy(handle) = self {
            *self = match handle.await {
                Ok((sink, Ok(()))) => Self::Idle(sink),
                Ok((sink, Err(fault))) => Self::Failed(store_fault(fault), Some((sink, fault))),
                Err(failure) => {
                    error!(%failure, "writing an upload did not finish");
                    Self::Failed(StoreFault::Local, None)
                }
            };
        }
        match std::mem::replace(self, Self::Failed(StoreFault::Local, None)) {
            Self::Idle(sink) => Ok(sink),
            Self::Failed(fault, sink) => {
                *self = Self::Failed(fault, sink);
                Err(MoveFault::Store(fault))
            }
            Self::Busy(_) => Err(MoveFault::Store(StoreFault::Local)),
        }
    }

    /// Ends an upload whose content could not be written; says why, and what is kept of it.
    async fn give_up(self, resumable: bool) -> (StoreFault, Option<u64>) {
        match self {
            Self::Failed(told, Some((sink, fault))) => {
                let kept = blocking(move || sink.give_up(fault, resumable)).await.ok().flatten();
                (told, kept)
            }
            Self::Failed(told, None) => (told, None),
            Self::Idle(_) | Self::Busy(_) => (StoreFault::Local, None),
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

    fn write(mut self: Box<Self>, buffer: &Buffer, filled: usize) -> (Box<Self>, Result<(), Fault>) {
        let written = self.put(buffer.filled(filled), false);
        (self, written)
    }

    /// Ends the upload well; or says why not, and how many bytes are kept.
    fn commit(
        mut self,
        buffer: &Buffer,
        filled: usize,
        resumable: bool,
        leave: &Leave,
    ) -> Result<(Stored, Option<Digest>), (StoreFault, Option<u64>)> {
        // What takes long comes before whoever freezes something has to wait.
        if let Err(fault) = self.upload().map(drop) {
            return Err((store_fault(fault), self.give_up(fault, resumable)));
        }
        let _changing = match leave.take() {
            Ok(changing) => changing,
            Err(frozen) => return Err((frozen, self.keep(buffer, filled, resumable))),
        };
        if let Err(fault) = self.put(buffer.filled(filled), true) {
            return Err((store_fault(fault), self.give_up(fault, resumable)));
        }
        let Target::Begun(upload) = std::mem::replace(&mut self.target, Target::Spent) else {
            return Err((StoreFault::Busy, None));
        };
        match upload.commit() {
            Ok(stored) => Ok((stored, self.hasher.map(Hasher::finish))),
            Err(Unstored { fault, kept }) => Err((store_fault(fault), told(kept))),
        }
    }

    /// Ends an upload that met a fault of the store; tells how many bytes are kept.
    fn give_up(mut self, fault: Fault, resumable: bool) -> Option<u64> {
        let too_large = matches!(fault, Fault::TooLarge(_));
        match std::mem::replace(&mut self.target, Target::Spent) {
            Target::Begun(upload) if resumable || too_large => told(upload.give_up(fault)),
            Target::Claimed(claim) if too_large => {
                claim.discard();
                None
            }
            // Dropped, it leaves what was kept before.
            Target::Begun(_) | Target::Claimed(_) | Target::Spent => None,
        }
    }

    /// Keeps what came for its uploader to resume; tells how many bytes that are.
    fn keep(mut self, buffer: &Buffer, filled: usize, resumable: bool) -> Option<u64> {
        if !resumable {
            return None;
        }
        if let Err(fault) = self.put(buffer.filled(filled), true) {
            return self.give_up(fault, resumable);
        }
        match std::mem::replace(&mut self.target, Target::Spent) {
            Target::Begun(upload) => upload.interrupt().ok().and_then(told),
            Target::Claimed(_) | Target::Spent => None,
        }
    }
}

/// The bytes that the session hears of: none where none are kept.
fn told(kept: Kept) -> Option<u64> {
    Some(kept.size).filter(|size| *size > 0)
}
