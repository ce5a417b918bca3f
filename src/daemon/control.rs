//! The control connection's stream: first in clear, then TLS, and never back.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// How long a client may refuse to take replies.
const WRITE_TIME: Duration = Duration::from_secs(20);
/// How long the server reads on after its farewell, so that a reset does not destroy it on its way.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// How much it reads meanwhile.
const LINGER_BYTES: usize = 64 * 1024;

/// The stream, by its protection.
#[derive(Debug)]
pub(super) enum Control {
    /// Before `AUTH TLS`.
    Clear(TcpStream),
    /// Behind it.
    Tls(Box<TlsStream<TcpStream>>),
    /// Ended.
    Gone,
}

impl Control {
    /// Reads what has come; 0 at the end. Losing the future loses no byte.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer).await,
            Self::Tls(stream) => stream.read(buffer).await,
            Self::Gone => Ok(0),
        }
    }

    /// Sends everything.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = async {
            match self {
                Self::Clear(stream) => stream.write_all(bytes).await,
                Self::Tls(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
                Self::Gone => Err(io::ErrorKind::NotConnected.into()),
            }
        };
        timeout(WRITE_TIME, sent).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Takes the stream in clear out, for the handshake; none where TLS is up already.
    pub(super) fn take_clear(&mut self) -> Option<TcpStream> {
        match std::mem::replace(self, Self::Gone) {
            Self::Clear(stream) => Some(stream),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Ends the connection: `close_notify` where TLS is up, then FIN, then a short wait for the
    /// client's end.
    pub(super) async fn close(&mut self) {
        let ended = async {
            let mut scratch = [0; 512];
            let mut left = LINGER_BYTES;
            match std::mem::replace(self, Self::Gone) {
                Self::Clear(mut stream) => {
                    stream.shutdown().await?;
                    while let Ok(1..) = stream.read(&mut scratch).await
                        && left > 0
                    {
                        left = left.saturating_sub(scratch.len());
                    }
                }
                Self::Tls(mut stream) => {
                    stream.shutdown().await?;
                    let (tcp, _) = stream.get_mut();
                    while let Ok(1..) = tcp.read(&mut scratch).await
                        && left > 0
                    {
                        left = left.saturating_sub(scratch.len());
                    }
                }
                Self::Gone => {}
            }
            io::Result::Ok(())
        };
        // A client that is gone already needs no farewell.
        let _ = timeout(LINGER_TIME, ended).await;
    }
}
