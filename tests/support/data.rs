//! A data connection, good or bad.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind, StreamOwned};

use super::tls;
use super::wire::Tls;

/// A data connection whose handshake takes place with the first byte.
pub struct Data {
    stream: Tls,
}

impl Data {
    /// TLS over a connection that is there; the client of FTP is the client of TLS also where the
    /// server connects (RFC 4217 §7).
    pub fn new(stream: TcpStream, config: &Arc<ClientConfig>) -> Self {
        Self { stream: StreamOwned::new(tls::begin(config), stream) }
    }

    /// Does the handshake and says whether it resumed a session.
    pub fn handshake(&mut self) -> io::Result<HandshakeKind> {
        while self.stream.conn.is_handshaking() {
            self.stream.conn.complete_io(&mut self.stream.sock)?;
        }
        Ok(self.stream.conn.handshake_kind().unwrap())
    }

    /// Sends content.
    pub fn send(&mut self, content: &[u8]) {
        self.try_send(content).unwrap();
    }

    /// The same, where the server may refuse it.
    pub fn try_send(&mut self, content: &[u8]) -> io::Result<()> {
        self.stream.write_all(content)?;
        self.stream.flush()
    }

    /// Reads that many bytes of content.
    pub fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut content = vec![0; bytes];
        self.stream.read_exact(&mut content).unwrap();
        content
    }

    /// Ends it as TLS wants it: `close_notify`, then FIN.
    pub fn finish(mut self) {
        self.handshake().unwrap();
        self.stream.conn.send_close_notify();
        self.stream.conn.complete_io(&mut self.stream.sock).unwrap();
        self.stream.sock.shutdown(Shutdown::Write).unwrap();
        // What the server still says is read, so that nothing is reset.
        let _ = io::copy(&mut self.stream.sock, &mut io::sink());
    }

    /// Ends it by FIN alone, as a cut connection looks.
    pub fn cut(self) {
        self.stream.sock.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads to the end, which has to be a `close_notify`, and ends its own side.
    pub fn receive(mut self) -> Vec<u8> {
        let mut content = Vec::new();
        self.stream.read_to_end(&mut content).unwrap_or_else(|error| panic!("the download was cut: {error}"));
        self.finish();
        content
    }

    /// Reads to the end, however it comes: the content, and whether TLS ended it.
    pub fn drain(mut self) -> (Vec<u8>, bool) {
        let mut content = Vec::new();
        let whole = self.stream.read_to_end(&mut content).is_ok();
        (content, whole)
    }

    /// The TCP connection.
    pub fn tcp(&self) -> &TcpStream {
        &self.stream.sock
    }
}
