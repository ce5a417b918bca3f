//! What commands say to the running server through its control socket.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Failure, say};
use crate::audit::text::push_escaped;
use crate::config::running;
use crate::daemon::calls::{ANSWER_BYTES_MAX, Answer, Call};

/// How long an answer may take: a large policy has to be read and tested for it.
const ANSWER_TIME: Duration = Duration::from_mins(2);
/// How long the server may take to hear the request.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Where the server is.
#[derive(Debug, clap::Args)]
pub(super) struct Socket {
    /// The control socket, where it is not the one that server.toml names.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Asks the running server.
pub(super) fn ask(call: &Call, socket: &Socket, policy: &Path) -> Result<Answer, Failure> {
    Conversation::begin(socket, policy)?.ask(call)
}

/// A connection to the running server, for one question after the other.
#[derive(Debug)]
pub(super) struct Conversation {
    path: PathBuf,
    stream: UnixStream,
}

impl Conversation {
    /// Connects.
    pub(super) fn begin(socket: &Socket, policy: &Path) -> Result<Self, Failure> {
        let path = path_of(socket, policy)?;
        let connected = UnixStream::connect(&path).and_then(|stream| {
            stream.set_write_timeout(Some(REQUEST_TIME))?;
            stream.set_read_timeout(Some(ANSWER_TIME))?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => Ok(Self { path, stream }),
            Err(error) => Err(Failure::Failed(explained(&path, &error))),
        }
    }

    /// Asks one question.
    pub(super) fn ask(&mut self, call: &Call) -> Result<Answer, Failure> {
        let path = &self.path;
        let line = exchange(&mut self.stream, call).map_err(|error| Failure::Failed(explained(path, &error)))?;
        match serde_json::from_slice(&line) {
            Ok(Answer::Refused { reason }) => Err(Failure::Failed(format!("the server refuses: {}", escaped(&reason)))),
            Ok(answer) => Ok(answer),
            Err(_) => Err(Failure::Failed(format!(
                "{}: the answer cannot be read: is the server of another version? Restart it",
                path.display()
            ))),
        }
    }
}

/// What an answer is that belongs to another question.
pub(super) fn other_answer() -> Failure {
    Failure::Failed("the server answered something else".to_owned())
}

/// An answer as one JSON object.
pub(super) fn json(answer: &impl serde::Serialize) -> Result<(), Failure> {
    say(serde_json::to_string(answer).map_err(|error| Failure::Failed(error.to_string()))?)
}

/// A text that came from outside, so that it cannot drive a terminal.
pub(super) fn escaped(text: &str) -> String {
    let mut line = String::new();
    push_escaped(&mut line, text);
    line
}

fn path_of(socket: &Socket, policy: &Path) -> Result<PathBuf, Failure> {
    Ok(match &socket.socket {
        Some(path) => path.clone(),
        None => running::control_socket(policy)?.ok_or_else(|| {
            Failure::Failed(format!(
                "{}/server.toml names no [control] socket: write socket = \"../run/control.sock\" there and restart the \
                 server, or send it SIGHUP to have the policy read again",
                policy.display()
            ))
        })?,
    })
}

/// The server says nothing but one line to each, so nothing is read beyond it.
fn exchange(stream: &mut UnixStream, call: &Call) -> io::Result<Vec<u8>> {
    let mut request = serde_json::to_vec(call)?;
    request.push(b'\n');
    stream.write_all(&request)?;
    let mut line = Vec::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') { Ok(line) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn explained(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            format!("no server runs with this policy: nobody answers at {path}")
        }
        ErrorKind::PermissionDenied => {
            format!("{path}: {error}: ask as root, or as the account that the server runs as")
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("{path}: the server does not answer in time"),
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => format!(
            "{path}: the server ended the connection without an answer: it stops, or serves as many callers as it \
             does at a time; try again"
        ),
        _ => format!("{path}: {error}"),
    }
}
