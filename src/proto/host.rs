//! Names of the server: what clients say in `HOST` (RFC 7151 §3.1) and in the TLS server name
//! (RFC 6066 §3), and the names it is known by, which those are compared with.

use std::fmt;
use std::net::IpAddr;

use super::argument::Unreadable;

/// Longest host name, in characters without the final dot (RFC 1035 §2.3.4).
const NAME_CHARACTERS_MAX: usize = 253;
/// Longest part between two dots.
const LABEL_CHARACTERS_MAX: usize = 63;

/// A host, as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A DNS name in lower case, without the final dot.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Reads the argument of `HOST`: a DNS name in any case, with or without a final dot, an IPv4
/// address, or an address in brackets. There is no port in it.
///
/// # Errors
/// Anything else.
pub fn host(argument: &[u8]) -> Result<Host, Unreadable> {
    let text = std::str::from_utf8(argument).map_err(|_| Unreadable)?;
    if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return literal.parse().map(|address: IpAddr| Host::Address(address.to_canonical())).map_err(|_| Unreadable);
    }
    // An IPv6 address without brackets could as well be a port behind something.
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => Ok(Host::Address(address.into())),
        Ok(IpAddr::V6(_)) => Err(Unreadable),
        Err(_) => domain(text).map(Host::Name).ok_or(Unreadable),
    }
}

/// A DNS name in the one form in which it is compared.
fn domain(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=LABEL_CHARACTERS_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What ends in a number is an address that somebody mistyped.
    let numeric = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    let good =
        name.len() <= NAME_CHARACTERS_MAX && name.split('.').all(label) && !name.rsplit('.').take(1).all(numeric);
    good.then(|| name.to_ascii_lowercase())
}

/// A name by which clients know the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// This DNS name, in lower case.
    Exact(String),
    /// Every name of one label in front of this one (`*.example.org`).
    Wildcard(String),
    /// This address.
    Address(IpAddr),
}

impl ServerName {
    /// Reads a name, one that begins with `*.`, or an address.
    ///
    /// # Errors
    /// Anything else, and a `*` above a name of one label alone.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        match text.strip_prefix("*.") {
            Some(rest) => domain(rest).filter(|rest| rest.contains('.')).map(Self::Wildcard),
            None => domain(text).map(Self::Exact),
        }
        .ok_or(Unreadable)
    }

    /// Whether a client that names this host means the server.
    pub fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(own), Host::Name(name)) => own == name,
            (Self::Wildcard(rest), Host::Name(name)) => name.split_once('.').is_some_and(|(_, tail)| tail == rest),
            (Self::Address(own), Host::Address(address)) => own == address,
            _ => false,
        }
    }

    /// A host that it covers, to ask others whether they cover it too.
    pub fn example(&self) -> Host {
        match self {
            Self::Exact(name) => Host::Name(name.clone()),
            Self::Wildcard(rest) => Host::Name(format!("any.{rest}")),
            Self::Address(address) => Host::Address(*address),
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(rest) => write!(f, "*.{rest}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Which of several lists of names a host belongs to: an exact name counts before a wildcard.
pub fn belongs_to<'a, T>(lists: &'a [T], names: impl Fn(&'a T) -> &'a [ServerName], host: &Host) -> Option<&'a T> {
    let find = |wildcards: bool| {
        lists.iter().find(|list| {
            let mut meant = names(list).iter().filter(|name| matches!(name, ServerName::Wildcard(_)) == wildcards);
            meant.any(|name| name.covers(host))
        })
    };
    find(false).or_else(|| find(true))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Host {
        Host::Name(text.to_owned())
    }

    #[test]
    fn hosts_have_one_form() {
        for text in ["files.example.org", "FILES.example.ORG", "files.example.org."] {
            assert_eq!(host(text.as_bytes()), Ok(name("files.example.org")), "{text}");
        }
        assert_eq!(host(b"localhost"), Ok(name("localhost")));
        for text in ["192.0.2.1", "[192.0.2.1]", "[::ffff:192.0.2.1]"] {
            assert_eq!(host(text.as_bytes()), Ok(Host::Address("192.0.2.1".parse().unwrap())), "{text}");
        }
        assert_eq!(host(b"[2001:DB8::1]"), Ok(Host::Address("2001:db8::1".parse().unwrap())));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = format!("{}.org", "a.".repeat(130));
        for text in [
            "",
            ".",
            "a..b",
            "-a.org",
            "a-.org",
            "a b",
            "files.example.org:21",
            "192.0.2.1:21",
            "[::1]:21",
            "::1",
            "[::1",
            "[]",
            "[files]",
            "192.0.2",
            "192.0.2.256",
            "../../etc",
            "*.example.org",
            "k\u{e4}se.org",
            "a\\b",
            &long,
        ] {
            assert_eq!(host(text.as_bytes()), Err(Unreadable), "{text:?}");
        }
        assert_eq!(host(&[b'a', 0xff]), Err(Unreadable));
        assert!(host(format!("{}.org", "a".repeat(63)).as_bytes()).is_ok());
        assert!(host(format!("{}.org", "a".repeat(64)).as_bytes()).is_err());
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let wildcard = ServerName::parse("*.Example.org").unwrap();
        assert_eq!(wildcard.to_string(), "*.example.org");
        assert!(wildcard.covers(&name("files.example.org")) && wildcard.covers(&wildcard.example()));
        for other in ["example.org", "a.files.example.org", "example.com"] {
            assert!(!wildcard.covers(&name(other)), "{other}");
        }
        for bad in ["*", "*.", "*.org", "f*.example.org", "*.*.org", "files.*"] {
            assert_eq!(ServerName::parse(bad), Err(Unreadable), "{bad}");
        }
    }

    #[test]
    fn an_exact_name_counts_before_a_wildcard() {
        let lists =
            [["*.example.org"], ["a.example.org"]].map(|names| names.map(|name| ServerName::parse(name).unwrap()));
        let found =
            |host: &str| belongs_to(&lists, |names| names.as_slice(), &name(host)).map(|names| names[0].to_string());
        assert_eq!(found("a.example.org").as_deref(), Some("a.example.org"));
        assert_eq!(found("b.example.org").as_deref(), Some("*.example.org"));
        assert_eq!(found("example.org"), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_bounded_and_reads_the_same_again(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Host::Name(name)) = host(&bytes) {
                prop_assert!(name.len() <= NAME_CHARACTERS_MAX && name.bytes().all(|b| b.is_ascii_graphic()));
                prop_assert_eq!(host(name.as_bytes()), Ok(Host::Name(name)));
            }
        }
    }
}
