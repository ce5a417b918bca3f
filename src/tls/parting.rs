//! Closing connections so that nothing already sent is lost.
//!
//! A socket closed with unread bytes in its receive buffer answers with a reset, and a reset can
//! destroy what the peer has not read yet: the end of a file, a TLS alert. So the end is said
//! first (`close_notify`, FIN), and what still arrives is read and discarded, within bounds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::deferred::DataStream;

/// Refused connections that are closed gently at the same time; any more are just closed.
pub(super) const LINGERING_MAX: usize = 256;
/// How long a refused connection is read from.
const LINGER: Duration = Duration::from_secs(2);
/// How long the caller waits for a refused connection to take its `close_notify`.
const FAREWELL: Duration = Duration::from_millis(500);
/// Bytes discarded from a connection that is being closed.
const DISCARDED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes discarded at a time.
const CHUNK_BYTES: usize = 2048;

/// How the end of a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// The peer ended the connection too, so it has taken everything that was sent.
    Closed,
    /// The peer had not ended the connection within the bounds; the kernel delivers what it can.
    Lingering,
}

/// Ends a connection on which the payload went to the client: `close_notify` and FIN, then what
/// the client still sends is discarded until it ends the connection too, within `limit` as a whole.
///
/// # Errors
/// A reset, which means that the client may not have taken everything, or no end said in time.
pub async fn finish_sending(stream: &mut TlsStream<DataStream>, limit: Duration) -> io::Result<Parting> {
    let mut said = false;
    let finish = async {
        stream.shutdown().await?;
        said = true;
        match discard(stream).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Parting::Closed),
            result => result,
        }
    };
    match timeout(limit, finish).await {
        Ok(result) => result,
        Err(_) if said => Ok(Parting::Lingering),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Waits for the client's end of a connection on which the payload went to the client and the
/// server's end was said: what still arrives is discarded, within `limit` as a whole.
///
/// # Errors
/// A reset, which means that the client may not have taken everything.
pub async fn await_end(stream: &mut TlsStream<DataStream>, limit: Duration) -> io::Result<Parting> {
    match timeout(limit, discard(stream)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Parting::Closed),
        Ok(result) => result,
        Err(_) => Ok(Parting::Lingering),
    }
}

/// Ends a connection on which the payload came from the client and its `close_notify` was read:
/// answers it, says FIN, and discards what has arrived since without waiting for more.
///
/// # Errors
/// No end said within `limit`; the payload is complete all the same.
pub async fn finish_receiving(stream: &mut TlsStream<DataStream>, limit: Duration) -> io::Result<()> {
    timeout(limit, stream.shutdown()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let mut chunk = [0; CHUNK_BYTES];
    let mut discarded = 0_usize;
    while discarded < DISCARDED_BYTES_MAX {
        match stream.get_ref().0.tcp().try_read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(read) => discarded = discarded.saturating_add(read),
        }
    }
    Ok(())
}

/// Closes a connection whose handshake failed, after its alert: within bounds, but no faster.
pub(super) async fn part<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) {
    let _ = timeout(FAREWELL, async {
        io.shutdown().await?;
        discard(&mut io).await
    })
    .await;
}

/// Closes a data connection whose handshake failed, in the background.
pub(super) fn linger(places: &Arc<Semaphore>, mut tcp: TcpStream) {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else { return };
    tokio::spawn(async move {
        let _ = timeout(LINGER, async {
            tcp.shutdown().await?;
            discard(&mut tcp).await
        })
        .await;
        drop(place);
    });
}

/// Closes a data connection that completed its handshake and was refused: says `close_notify`
/// now, and leaves the rest to the background.
pub(super) async fn refuse(places: &Arc<Semaphore>, mut stream: TlsStream<DataStream>) {
    if timeout(FAREWELL, stream.shutdown()).await.is_ok() {
        linger(places, stream.into_inner().0.into_tcp());
    }
}

/// Reads until the peer's end, within the bound on bytes.
async fn discard<IO: AsyncRead + Unpin>(io: &mut IO) -> io::Result<Parting> {
    let mut chunk = [0; CHUNK_BYTES];
    let mut discarded = 0_usize;
    while discarded < DISCARDED_BYTES_MAX {
        match io.read(&mut chunk).await? {
            0 => return Ok(Parting::Closed),
            read => discarded = discarded.saturating_add(read),
        }
    }
    Ok(Parting::Lingering)
}
