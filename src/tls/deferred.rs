//! A data connection's TCP stream that can hold the server's TLS 1.3 tickets back until the
//! connection ends.
//!
//! A client that sends a file may never read before it closes; a ticket that lies unread in its
//! receive buffer by then turns its close into a reset, and the reset destroys the end of the
//! upload on its way. A client that uses each ticket only once (RFC 8446 appendix C.4) needs a new
//! one from every connection all the same. So unless the payload is known to go to the client, a
//! ticket waits for what the server says next. On an upload that is its answer to the client's
//! `close_notify`: by then everything the client sent is here, and no reset can harm it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes held back; what is beyond goes out at once.
const HELD_BYTES_MAX: usize = 8 * 1024;
/// Content type of a protected record (RFC 8446 §5.2).
const PROTECTED: u8 = 23;

/// The stream.
#[derive(Debug)]
pub struct DataStream {
    tcp: TcpStream,
    hold: Hold,
    held: Vec<u8>,
    records: Records,
    greeting: bool,
}

/// How far the handshake has come, where its last words are to be held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Nothing is held back.
    Never,
    /// The server has yet to say its part of the handshake.
    Speaking,
    /// It has; the client's answer is to come.
    Listening,
    /// The handshake is over: what the server says from here on waits.
    Holding,
}

impl DataStream {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, hold: Hold::Never, held: Vec::new(), records: Records::default(), greeting: true }
    }

    /// Says that the handshake is over.
    pub(super) fn greeted(&mut self) {
        self.greeting = false;
    }

    /// Holds back what follows the handshake. To be called before the server's first word.
    pub(super) fn hold_tickets(&mut self) {
        self.hold = Hold::Speaking;
    }

    /// The stream itself. What is held back is lost.
    pub fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    /// The stream, to be asked about or read from.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    fn wrote(&mut self, bytes: &[u8]) {
        if self.hold == Hold::Speaking && self.records.pass(bytes) {
            self.hold = Hold::Listening;
        }
    }

    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.hold = Hold::Never;
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..written.min(self.held.len()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for DataStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        if self.greeting && read.is_pending() {
            // Some clients end their side of the handshake in two segments, and their kernel keeps
            // the second until the first is acknowledged: 40 ms for each file, were it not done here.
            // Where it is not possible, all that is lost is time.
            let _ = self.tcp.set_quickack(true);
        }
        ready!(read)?;
        if self.hold == Hold::Listening && buffer.filled().len() > before {
            self.hold = Hold::Holding;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for DataStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.hold == Hold::Holding {
            if self.held.len().saturating_add(bytes.len()) <= HELD_BYTES_MAX {
                self.held.extend_from_slice(bytes);
                return Poll::Ready(Ok(bytes.len()));
            }
            ready!(self.poll_release(cx))?;
        }
        let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, bytes))?;
        self.wrote(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.hold != Hold::Never {
            // The handshake is short; its pieces may go one by one.
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            return self.poll_write(cx, first);
        }
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// Follows the records that go by, in whatever pieces.
#[derive(Debug, Default)]
struct Records {
    header: Vec<u8>,
    left: usize,
}

impl Records {
    const HEADER_BYTES: usize = 5;

    /// Whether a protected record begins in this piece. With it the server's part of the handshake
    /// is under way; a request to try again (`HelloRetryRequest`) comes without one.
    fn pass(&mut self, mut piece: &[u8]) -> bool {
        let mut seen = false;
        while !piece.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(piece.len());
                self.left = self.left.saturating_sub(skipped);
                piece = piece.get(skipped..).unwrap_or_default();
                continue;
            }
            let missing = Self::HEADER_BYTES.saturating_sub(self.header.len()).min(piece.len());
            let (head, rest) = piece.split_at(missing);
            self.header.extend_from_slice(head);
            piece = rest;
            if let [kind, _, _, high, low] = *self.header.as_slice() {
                seen |= kind == PROTECTED;
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.header.clear();
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn records_are_followed_in_any_pieces() {
        let hello = [22, 3, 3, 0, 2, 1, 2];
        let change = [20, 3, 3, 0, 1, 1];
        let protected = [23, 3, 3, 0, 3, 7, 7, 7];
        let all = [&hello[..], &change, &protected].concat();
        assert!(!Records::default().pass(&[&hello[..], &change].concat()));
        assert!(Records::default().pass(&all));
        let mut one_by_one = Records::default();
        let seen: Vec<bool> = all.chunks(1).map(|byte| one_by_one.pass(byte)).collect();
        assert_eq!(seen.iter().filter(|seen| **seen).count(), 1);
        assert_eq!(seen.iter().position(|seen| *seen), Some(hello.len() + change.len() + 4));
    }

    #[tokio::test]
    async fn what_follows_the_handshake_waits_for_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), async {
            listener.accept().await.unwrap().0
        });
        let (mut client, mut server) = (client.unwrap(), DataStream::new(server));
        server.hold_tickets();
        server.write_all(&[23, 3, 3, 0, 1, b'f']).await.unwrap();
        client.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        server.read_exact(&mut answer).await.unwrap();
        server.write_all(b"ticket").await.unwrap();
        server.flush().await.unwrap();
        let mut flight = [0; 6];
        client.read_exact(&mut flight).await.unwrap();
        assert!(client.try_read(&mut flight).is_err(), "the ticket waits");
        server.write_all(b"bye").await.unwrap();
        server.shutdown().await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"ticketbye");
    }
}
