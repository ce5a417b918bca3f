//! A data connection, good or bad.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind, StreamOwned};

use super::tls;
use super::wire::Tls;

/// A data connection whose handshake takes place with the first byte, so that one which is never
/// used spends no ticket.
pub struct Data {
    stream: Stream,
}

enum Stream {
    Connected(TcpStream, Arc<ClientConfig>, &'static str),
    Tls(Box<Tls>),
    Changing,
}

impl Data {
    /// TLS over a connection that is there; the client of FTP is the client of TLS also where the
    /// server connects (RFC 4217 §7).
    pub fn new(stream: TcpStream, config: &Arc<ClientConfig>) -> Self {
        Self::named(stream, config, tls::NAME)
    }

    /// The same, to a server of another name.
    pub fn named(stream: TcpStream, config: &Arc<ClientConfig>, name: &'static str) -> Self {
        Self { stream: Stream::Connected(stream, Arc::clone(config), name) }
    }

    fn tls(&mut self) -> &mut Tls {
        self.stream = match std::mem::replace(&mut self.stream, Stream::Changing) {
            Stream::Connected(stream, config, name) => {
                Stream::Tls(Box::new(StreamOwned::new(tls::begin(&config, name), stream)))
            }
            other => other,
        };
        let Stream::Tls(stream) = &mut self.stream else { panic!("it was made above") };
        stream
    }

    /// Does the handshake and says whether it resumed a session.
    pub fn handshake(&mut self) -> io::Result<HandshakeKind> {
        let stream = self.tls();
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream.conn.handshake_kind().unwrap())
    }

    /// Sends content.
    pub fn send(&mut self, content: &[u8]) {
        self.try_send(content).unwrap();
    }

    /// The same, where the server may refuse it.
    pub fn try_send(&mut self, content: &[u8]) -> io::Result<()> {
        let stream = self.tls();
        stream.write_all(content)?;
        stream.flush()
    }

    /// Reads that many bytes of content.
    pub fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut content = vec![0; bytes];
        self.tls().read_exact(&mut content).unwrap();
        content
    }

    /// Ends it as TLS wants it: `close_notify`, then FIN.
    pub fn finish(self) {
        self.try_finish().unwrap();
    }

    /// The same, where the server may have ended it already.
    pub fn try_finish(mut self) -> io::Result<()> {
        self.handshake()?;
        let stream = self.tls();
        stream.conn.send_close_notify();
        stream.conn.complete_io(&mut stream.sock)?;
        stream.sock.shutdown(Shutdown::Write)?;
        // What the server still says is read, so that nothing is reset.
        let _ = io::copy(&mut stream.sock, &mut io::sink());
        Ok(())
    }

    /// Says the end of TLS and listens until the server has said its own.
    pub fn finish_listening(mut self) {
        self.end_of_tls().unwrap();
        self.tls().read_to_end(&mut Vec::new()).unwrap();
    }

    /// Says the end of TLS and leaves the socket open.
    pub fn end_of_tls(&mut self) -> io::Result<()> {
        let stream = self.tls();
        stream.conn.send_close_notify();
        stream.conn.complete_io(&mut stream.sock).map(drop)
    }

    /// Sends `close_notify` and closes the socket, whatever the server may still say.
    pub fn close_without_reading(mut self) {
        let stream = self.tls();
        stream.conn.send_close_notify();
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }

    /// Ends it by FIN alone, as a cut connection looks.
    pub fn cut(mut self) {
        self.tls().sock.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads to the end, which has to be a `close_notify`, and ends its own side.
    pub fn receive(mut self) -> Vec<u8> {
        let mut content = Vec::new();
        self.tls().read_to_end(&mut content).unwrap_or_else(|error| panic!("the download was cut: {error}"));
        self.finish();
        content
    }

    /// Reads to the end, however it comes: the content, and whether TLS ended it.
    pub fn drain(mut self) -> (Vec<u8>, bool) {
        let mut content = Vec::new();
        let whole = self.tls().read_to_end(&mut content).is_ok();
        (content, whole)
    }
}
