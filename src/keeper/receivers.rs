//! Where records are handed over: standard output, and sockets of this machine.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::message::Item;

/// How long a receiver may take nothing before it counts as unreachable.
pub(super) const STALL_TIME: Duration = Duration::from_secs(20);

/// Takes records, as long as it is there.
pub(super) trait Receiver: Send {
    /// Hands records over, each of them or an error.
    fn hand_over(&mut self, items: &[Item]) -> io::Result<()>;
    /// Whether what it took is there for certain, or only unless an error is found later.
    fn is_certain(&self) -> bool;
    /// Looks whether it is still there.
    fn look(&mut self) -> io::Result<()>;
    /// Takes leave, so that what was handed over arrives.
    fn leave(&mut self) -> io::Result<()>;
}

/// Makes a receiver anew after each failure.
pub(super) trait Connect: Send {
    /// Reaches it.
    fn connect(&mut self) -> io::Result<Box<dyn Receiver>>;
}

/// Standard output: one line a record.
pub(super) struct Stdout;

impl Connect for Stdout {
    fn connect(&mut self) -> io::Result<Box<dyn Receiver>> {
        Ok(Box::new(Self))
    }
}

impl Receiver for Stdout {
    fn hand_over(&mut self, items: &[Item]) -> io::Result<()> {
        let mut lines = Vec::new();
        for item in items {
            lines.extend_from_slice(&item.line);
            lines.push(b'\n');
        }
        let mut out = io::stdout().lock();
        out.write_all(&lines)?;
        out.flush()
    }

    fn is_certain(&self) -> bool {
        true
    }

    fn look(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn leave(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The journal.
pub(super) struct Journal {
    pub(super) socket: PathBuf,
}

impl Connect for Journal {
    fn connect(&mut self) -> io::Result<Box<dyn Receiver>> {
        Ok(Box::new(Datagrams { socket: datagram(&self.socket)?, form: Form::Journal }))
    }
}

/// A syslog server of this machine.
pub(super) struct Local {
    pub(super) socket: PathBuf,
    pub(super) facility: u8,
    pub(super) host: String,
}

impl Connect for Local {
    fn connect(&mut self) -> io::Result<Box<dyn Receiver>> {
        let form = Form::Syslog { facility: self.facility, host: self.host.clone() };
        match datagram(&self.socket) {
            Ok(socket) => Ok(Box::new(Datagrams { socket, form })),
            // It takes streams instead.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
                let socket = UnixStream::connect(&self.socket)?;
                socket.set_write_timeout(Some(STALL_TIME))?;
                Ok(Box::new(Stream { socket, form }))
            }
            Err(error) => Err(error),
        }
    }
}

fn datagram(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(STALL_TIME))?;
    Ok(socket)
}

enum Form {
    Journal,
    Syslog { facility: u8, host: String },
}

impl Form {
    fn of(&self, item: &Item) -> Vec<u8> {
        match self {
            Self::Journal => item.journal(),
            Self::Syslog { facility, host } => item.syslog(*facility, host),
        }
    }
}

/// A socket that takes each record by itself, and has it once it took it.
struct Datagrams {
    socket: UnixDatagram,
    form: Form,
}

impl Receiver for Datagrams {
    fn hand_over(&mut self, items: &[Item]) -> io::Result<()> {
        for item in items {
            match self.socket.send(&self.form.of(item)) {
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                    self.socket.send(&self.form.of(&item.shortened()))?;
                }
                sent => drop(sent?),
            }
        }
        Ok(())
    }

    fn is_certain(&self) -> bool {
        true
    }

    fn look(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn leave(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket that takes records one line after the other.
struct Stream {
    socket: UnixStream,
    form: Form,
}

impl Receiver for Stream {
    fn hand_over(&mut self, items: &[Item]) -> io::Result<()> {
        let mut lines = Vec::new();
        for item in items {
            lines.extend_from_slice(&self.form.of(item));
            lines.push(b'\n');
        }
        self.socket.write_all(&lines)
    }

    fn is_certain(&self) -> bool {
        false
    }

    fn look(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(true)?;
        let ended = ended(&mut self.socket);
        self.socket.set_nonblocking(false)?;
        ended
    }

    fn leave(&mut self) -> io::Result<()> {
        self.socket.shutdown(std::net::Shutdown::Write)
    }
}

/// An error where the other side has ended; what it says is not listened to.
pub(super) fn ended(from: &mut impl io::Read) -> io::Result<()> {
    let mut buffer = [0; 512];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Err(io::Error::new(ErrorKind::ConnectionReset, "the receiver closed the connection")),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
