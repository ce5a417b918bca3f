//! The PROXY protocol, versions 1 and 2 (haproxy.org, `proxy-protocol.txt`): who connects through a
//! proxy, told by the proxy in front of everything else.
//!
//! The parser says how many bytes it surely needs, so that not one is taken from what follows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// How long a proxy may take for its header: it sends it before it does anything else, and a lost
/// segment is sent again within this time.
pub const HEADER_TIME: Duration = Duration::from_secs(5);
/// Headers of control connections, and of data connections, that are waited for at the same time.
pub const HEADERS_MAX: usize = 256;

/// How a header of version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// How one of version 1 begins. The shortest, `PROXY UNKNOWN` with its end, is longer than the
/// signature of version 2.
const WORD: &[u8] = b"PROXY ";
/// The longest header of version 1, with its end.
const LINE_BYTES_MAX: usize = 107;
/// Signature, command, family and length of version 2.
const FIXED_BYTES: usize = 16;
/// Bytes that may stand behind them: addresses and what else the proxy has to say, which is skipped.
const REST_BYTES_MAX: usize = 1024;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The proxy connects for a client. IPv4 addresses are in their own form.
    Client {
        /// The client.
        source: SocketAddr,
        /// What the client connected to.
        destination: SocketAddr,
    },
    /// The proxy connects for itself, to see whether somebody is there.
    Itself,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// The connection ended before its first byte, as plain checks of health do.
    Nothing,
    /// It began with something else.
    Missing,
    /// It cannot be read, or ended within.
    Malformed,
    /// It is longer than any honest one.
    TooLong,
    /// It tells of something that is no TCP connection.
    Unsupported,
    /// It did not come in time.
    Late,
}

impl HeaderFault {
    /// The word for the audit log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Nothing => "proxy_header_none",
            Self::Missing => "proxy_header_missing",
            Self::Malformed => "proxy_header_malformed",
            Self::TooLong => "proxy_header_too_long",
            Self::Unsupported => "proxy_header_unsupported",
            Self::Late => "proxy_header_late",
        }
    }
}

/// How far the bytes go that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// At least this many more belong to the header.
    More(usize),
    /// They are a whole header.
    Whole(Header),
}

/// Reads the header at the beginning of a connection, and nothing of what follows it.
///
/// # Errors
/// [`HeaderFault`]; the connection is of no use then.
pub async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Header, HeaderFault> {
    let reading = async {
        let mut read = Vec::new();
        loop {
            let more = match progress(&read)? {
                Progress::Whole(header) => return Ok(header),
                Progress::More(more) => u64::try_from(more).unwrap_or(0),
            };
            match (&mut *stream).take(more).read_buf(&mut read).await {
                Ok(0) | Err(_) if read.is_empty() => return Err(HeaderFault::Nothing),
                Ok(0) | Err(_) => return Err(HeaderFault::Malformed),
                Ok(_) => {}
            }
        }
    };
    timeout(HEADER_TIME, reading).await.unwrap_or(Err(HeaderFault::Late))
}

/// Judges what was read so far.
///
/// # Errors
/// [`HeaderFault`], as early as it is certain.
pub fn progress(read: &[u8]) -> Result<Progress, HeaderFault> {
    if read.starts_with(&SIGNATURE) {
        return binary(read);
    }
    if read.starts_with(WORD) && read.len() >= SIGNATURE.len() {
        return line(read);
    }
    if begins(read, &SIGNATURE) || begins(read, WORD) {
        return Ok(Progress::More(SIGNATURE.len().saturating_sub(read.len())));
    }
    Err(HeaderFault::Missing)
}

/// Whether what was read may yet become this, as far as both go.
fn begins(read: &[u8], whole: &[u8]) -> bool {
    read.iter().zip(whole).all(|(read, expected)| read == expected)
}

/// Version 1: one line of text.
fn line(read: &[u8]) -> Result<Progress, HeaderFault> {
    let (text, more) = match read {
        [text @ .., b'\r', b'\n'] => (text, 0),
        [text @ .., b'\r'] => (text, 1),
        text => (text, 2),
    };
    if text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Err(HeaderFault::Malformed);
    }
    if more == 0 {
        let text = text.get(WORD.len()..).and_then(|text| std::str::from_utf8(text).ok());
        return text.and_then(addresses_in_text).map(Progress::Whole).ok_or(HeaderFault::Malformed);
    }
    if read.len().saturating_add(more) > LINE_BYTES_MAX { Err(HeaderFault::TooLong) } else { Ok(Progress::More(more)) }
}

fn addresses_in_text(text: &str) -> Option<Header> {
    let mut words = text.split(' ');
    match words.next()? {
        // What else stands there is to be ignored.
        "UNKNOWN" => Some(Header::Itself),
        "TCP4" => client(words.next()?.parse::<Ipv4Addr>().ok()?, words.next()?.parse::<Ipv4Addr>().ok()?, &mut words),
        "TCP6" => client(words.next()?.parse::<Ipv6Addr>().ok()?, words.next()?.parse::<Ipv6Addr>().ok()?, &mut words),
        _ => None,
    }
}

fn client<'a>(
    source: impl Into<IpAddr>,
    destination: impl Into<IpAddr>,
    words: &mut impl Iterator<Item = &'a str>,
) -> Option<Header> {
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    Some(connection((source.into(), from), (destination.into(), to)))
}

/// A port as version 1 writes it: digits alone, without zeros in front.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { u16::from_str(text).ok() } else { None }
}

fn connection(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Header {
    let address = |(ip, port): (IpAddr, u16)| SocketAddr::new(ip.to_canonical(), port);
    Header::Client { source: address(source), destination: address(destination) }
}

/// Version 2: sixteen bytes, of which the last two are the length of the rest.
fn binary(read: &[u8]) -> Result<Progress, HeaderFault> {
    let Some(&[command, family, high, low]) = read.get(SIGNATURE.len()..FIXED_BYTES) else {
        return Ok(Progress::More(FIXED_BYTES.saturating_sub(read.len())));
    };
    let itself = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderFault::Malformed),
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > REST_BYTES_MAX {
        return Err(HeaderFault::TooLong);
    }
    let rest = read.get(FIXED_BYTES..).unwrap_or_default();
    match length.checked_sub(rest.len()) {
        Some(0) => {}
        Some(more) => return Ok(Progress::More(more)),
        None => return Err(HeaderFault::Malformed),
    }
    let header = match family {
        _ if itself => Some(Header::Itself),
        // Not specified.
        0x00 => Some(Header::Itself),
        0x11 => addresses_in_bytes::<4>(rest),
        0x21 => addresses_in_bytes::<16>(rest),
        _ => return Err(HeaderFault::Unsupported),
    };
    header.map(Progress::Whole).ok_or(HeaderFault::Malformed)
}

/// Both addresses, then both ports. What follows are facts that nobody here asks for.
fn addresses_in_bytes<const BYTES: usize>(rest: &[u8]) -> Option<Header>
where
    IpAddr: From<[u8; BYTES]>,
{
    let (source, rest) = rest.split_first_chunk::<BYTES>()?;
    let (destination, rest) = rest.split_first_chunk::<BYTES>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, _) = rest.split_first_chunk::<2>()?;
    let (from, to) = (u16::from_be_bytes(*from), u16::from_be_bytes(*to));
    Some(connection((IpAddr::from(*source), from), (IpAddr::from(*destination), to)))
}

#[cfg(test)]
mod tests;
