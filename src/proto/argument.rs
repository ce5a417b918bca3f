//! The arguments of commands, each read into its own type (RFC 959 §5.3.2, 2428, 3659, 4217).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use jiff::civil::DateTime;

/// The argument cannot be read as what the verb takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// A representation type (RFC 959 §3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Representation {
    /// Lines end with CRLF on the wire and with LF in the store.
    Ascii,
    /// The bytes as they are.
    Image,
}

/// What `TYPE` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeArgument {
    /// A type that is served.
    Served(Representation),
    /// A type of RFC 959 that is not: EBCDIC, other byte sizes, print formats.
    NotServed,
}

impl Representation {
    /// The letter that stands for it.
    pub const fn letter(self) -> char {
        match self {
            Self::Ascii => 'A',
            Self::Image => 'I',
        }
    }
}

/// Reads the argument of `TYPE`.
///
/// # Errors
/// Anything that is no type of RFC 959.
pub fn representation(argument: &[u8]) -> Result<TypeArgument, Unreadable> {
    let text = ascii(argument)?.to_ascii_uppercase();
    let mut words = text.split_ascii_whitespace();
    let kind = words.next().ok_or(Unreadable)?;
    let second = words.next();
    if words.next().is_some() {
        return Err(Unreadable);
    }
    match (kind, second) {
        ("I" | "L8", None) | ("L", Some("8")) => Ok(TypeArgument::Served(Representation::Image)),
        ("A", None | Some("N")) => Ok(TypeArgument::Served(Representation::Ascii)),
        ("A" | "E" | "L" | "I", _) => Ok(TypeArgument::NotServed),
        _ => Err(Unreadable),
    }
}

/// A protection level (RFC 2228 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionLevel {
    /// In the clear.
    Clear,
    /// Integrity alone.
    Safe,
    /// Confidentiality alone.
    Confidential,
    /// Both: TLS (RFC 4217 §9).
    Private,
}

/// Reads the argument of `PROT`.
///
/// # Errors
/// Anything that is no protection level of RFC 2228.
pub fn protection(argument: &[u8]) -> Result<ProtectionLevel, Unreadable> {
    match argument {
        b"C" | b"c" => Ok(ProtectionLevel::Clear),
        b"S" | b"s" => Ok(ProtectionLevel::Safe),
        b"E" | b"e" => Ok(ProtectionLevel::Confidential),
        b"P" | b"p" => Ok(ProtectionLevel::Private),
        _ => Err(Unreadable),
    }
}

/// Reads a decimal number without a sign, as `REST`, `ALLO` and `PBSZ` take it.
///
/// # Errors
/// Anything but 1 to 19 digits, or a number above `i64::MAX`, beyond which no file reaches.
pub fn number(argument: &[u8]) -> Result<u64, Unreadable> {
    if argument.is_empty() || argument.len() > 19 || !argument.iter().all(u8::is_ascii_digit) {
        return Err(Unreadable);
    }
    let value: u64 = ascii(argument)?.parse().map_err(|_| Unreadable)?;
    if i64::try_from(value).is_ok() { Ok(value) } else { Err(Unreadable) }
}

/// Reads the argument of `ALLO`: a size, and perhaps `R` and a record size, which is ignored.
///
/// # Errors
/// Anything else.
pub fn allocation(argument: &[u8]) -> Result<u64, Unreadable> {
    let text = ascii(argument)?;
    let mut words = text.split_ascii_whitespace();
    let size = number(words.next().ok_or(Unreadable)?.as_bytes())?;
    match (words.next(), words.next(), words.next()) {
        (None, None, None) => Ok(size),
        (Some("R" | "r"), Some(record), None) => number(record.as_bytes()).map(|_| size),
        _ => Err(Unreadable),
    }
}

/// What `EPSV` asks for (RFC 2428 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpsvArgument {
    /// A port, of the protocol of the control connection.
    Same,
    /// A port of IPv4 (`1`) or IPv6 (`2`).
    Protocol(Family),
    /// No other way of opening data connections from here on.
    All,
    /// A protocol number that is neither.
    Unknown,
}

/// A network protocol by its number of RFC 2428.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 1.
    V4,
    /// 2.
    V6,
}

/// Reads the argument of `EPSV`.
///
/// # Errors
/// Anything that is neither empty, a number nor `ALL`.
pub fn epsv(argument: &[u8]) -> Result<EpsvArgument, Unreadable> {
    match argument {
        b"" => Ok(EpsvArgument::Same),
        b"1" => Ok(EpsvArgument::Protocol(Family::V4)),
        b"2" => Ok(EpsvArgument::Protocol(Family::V6)),
        all if all.eq_ignore_ascii_case(b"ALL") => Ok(EpsvArgument::All),
        other => number(other).map(|_| EpsvArgument::Unknown),
    }
}

/// Reads the argument of `PORT`: six numbers of a byte each (RFC 959 §5.3.2).
///
/// # Errors
/// Anything else.
pub fn port(argument: &[u8]) -> Result<SocketAddr, Unreadable> {
    let text = ascii(argument)?;
    let mut numbers = [0_u8; 6];
    let mut words = text.split(',');
    for slot in &mut numbers {
        let word = words.next().filter(|word| word.bytes().all(|b| b.is_ascii_digit())).ok_or(Unreadable)?;
        *slot = word.parse().map_err(|_| Unreadable)?;
    }
    if words.next().is_some() {
        return Err(Unreadable);
    }
    let [a, b, c, d, high, low] = numbers;
    Ok(SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))))
}

/// What `EPRT` names (RFC 2428 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EprtArgument {
    /// An address and a port.
    Address(SocketAddr),
    /// A network protocol that is neither IPv4 nor IPv6.
    UnknownFamily,
}

/// Reads the argument of `EPRT`.
///
/// # Errors
/// Anything that has not the form of RFC 2428 §2.
pub fn eprt(argument: &[u8]) -> Result<EprtArgument, Unreadable> {
    let text = ascii(argument)?;
    let delimiter = text.chars().next().filter(|c| ('!'..='~').contains(c)).ok_or(Unreadable)?;
    let mut parts = text.split(delimiter).skip(1);
    let (family, address, port) = (parts.next(), parts.next(), parts.next());
    if parts.next() != Some("") || parts.next().is_some() {
        return Err(Unreadable);
    }
    let (family, address, port) = (family.ok_or(Unreadable)?, address.ok_or(Unreadable)?, port.ok_or(Unreadable)?);
    let port = u16::try_from(number(port.as_bytes())?).map_err(|_| Unreadable)?;
    let address: IpAddr = match family {
        "1" => IpAddr::V4(address.parse::<Ipv4Addr>().map_err(|_| Unreadable)?),
        "2" => IpAddr::V6(address.parse::<Ipv6Addr>().map_err(|_| Unreadable)?),
        other => return number(other.as_bytes()).map(|_| EprtArgument::UnknownFamily),
    };
    Ok(EprtArgument::Address(SocketAddr::from((address, port))))
}

/// Reads a time-val (RFC 3659 §2.3) into seconds since the Unix epoch; fractions are dropped.
///
/// # Errors
/// Anything but 14 digits that name a moment from 1970 to the last day but one of 9999, and perhaps a fraction.
pub fn time(argument: &[u8]) -> Result<i64, Unreadable> {
    let text = ascii(argument)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.len() <= 14 && part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) {
        return Err(Unreadable);
    }
    let field = |from: usize, to: usize| -> Result<i16, Unreadable> {
        whole.get(from..to).and_then(|part| part.parse().ok()).ok_or(Unreadable)
    };
    let small = |from: usize, to: usize| i8::try_from(field(from, to)?).map_err(|_| Unreadable);
    // A leap second is the last second of its minute here.
    let second = small(12, 14)?.min(if field(12, 14)? == 60 { 59 } else { i8::MAX });
    let moment = DateTime::new(field(0, 4)?, small(4, 6)?, small(6, 8)?, small(8, 10)?, small(10, 12)?, second, 0)
        .map_err(|_| Unreadable)?;
    let stamp = jiff::tz::Offset::UTC.to_timestamp(moment).map_err(|_| Unreadable)?;
    if stamp.as_second() >= 0 { Ok(stamp.as_second()) } else { Err(Unreadable) }
}

/// Permission bits, as `SITE CHMOD` and the fact `UNIX.mode` give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeArgument {
    /// For owner, group and others.
    Plain(u32),
    /// With setuid, setgid or sticky among them.
    Special,
}

/// Reads permission bits: three octal digits, or four.
///
/// # Errors
/// Anything else, symbolic forms such as `u+x` too.
pub fn mode(argument: &[u8]) -> Result<ModeArgument, Unreadable> {
    if !(3..=4).contains(&argument.len()) || !argument.iter().all(u8::is_ascii_digit) {
        return Err(Unreadable);
    }
    let bits = u32::from_str_radix(ascii(argument)?, 8).map_err(|_| Unreadable)?;
    Ok(if bits > 0o777 { ModeArgument::Special } else { ModeArgument::Plain(bits) })
}

/// What `SITE UTIME` names: when the content last changed, in seconds since the Unix epoch, and the
/// path. Clients have two forms, both in UTC:
/// - the time, `YYYYMMDDHHMM` with seconds or without, and the path;
/// - the path, the times of last access, of last modification and of creation, and the word `UTC`.
///
/// # Errors
/// Anything else. No path is empty.
pub fn utime(argument: &[u8]) -> Result<(i64, &[u8]), Unreadable> {
    let (seconds, path) = utime_behind_path(argument).map_or_else(
        || {
            let (time, path) = super::verb::split(argument);
            minute_or_second(time).map(|seconds| (seconds, path))
        },
        Ok,
    )?;
    if path.is_empty() { Err(Unreadable) } else { Ok((seconds, path)) }
}

/// The second form of [`utime`], which is told by its end.
fn utime_behind_path(argument: &[u8]) -> Option<(i64, &[u8])> {
    let mut words = argument.rsplitn(5, |byte| *byte == b' ');
    words.next().filter(|zone| zone.eq_ignore_ascii_case(b"UTC"))?;
    let created = words.next()?;
    let modified = words.next()?;
    let accessed = words.next()?;
    let path = words.next()?;
    minute_or_second(created).and(minute_or_second(accessed)).ok()?;
    Some((minute_or_second(modified).ok()?, path))
}

/// A [`time`] whose seconds may be missing.
fn minute_or_second(argument: &[u8]) -> Result<i64, Unreadable> {
    if argument.len() == 12 { time(&[argument, b"00"].concat()) } else { time(argument) }
}

/// The path behind the option words (`-la` and the like, perhaps ended by `--`) that clients send to
/// `LIST` and `NLST`.
pub fn without_options(argument: &[u8]) -> &[u8] {
    let mut rest = argument;
    while let Some(stripped) = rest.strip_prefix(b"-") {
        let word = stripped.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        match (word, stripped.get(word..)) {
            (0, Some([b'-', b' ', tail @ ..])) => return tail,
            (0, Some(b"-")) | (1.., Some([])) => return &[],
            (1.., Some([b' ', tail @ ..])) => rest = tail,
            _ => break,
        }
    }
    rest
}

fn ascii(argument: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(argument).ok().filter(|text| text.is_ascii()).ok_or(Unreadable)
}

#[cfg(test)]
mod tests;
