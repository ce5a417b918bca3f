//! Hashes on request: their names, which part of a file is meant, and the arguments of `HASH`,
//! `OPTS HASH`, `RANG` (draft-bryan-ftpext-hash, draft-bryan-ftp-range) and of the X-forms.

use std::fmt;
use std::ops::Range;

use super::argument::{Unreadable, number};
use super::verb::{Verb, split};

/// A hash function that clients may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4). The default.
    Sha256 = 1,
    /// SHA-512 (FIPS 180-4).
    Sha512 = 2,
    /// CRC-32 as in Ethernet and ZIP: it finds accidents, not forgeries, and does not look like more.
    Crc32 = 4,
    /// SHA-1 (FIPS 180-4), which can be forged.
    Sha1 = 8,
    /// MD5 (RFC 1321), which can be forged.
    Md5 = 16,
}

impl Algorithm {
    /// Every function, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Sha256, Self::Sha512, Self::Crc32, Self::Sha1, Self::Md5];
    /// Those that can be forged though they were made not to be: offered only where the policy says so.
    pub const WEAK: [Self; 2] = [Self::Sha1, Self::Md5];

    /// Its name on the wire and in the policy (IANA registry of hash function textual names).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
            Self::Crc32 => "CRC32",
            Self::Sha1 => "SHA-1",
            Self::Md5 => "MD5",
        }
    }

    /// Reads a name, whatever its case.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The function that an X-form stands for; none for other verbs.
    pub const fn of_verb(verb: Verb) -> Option<Self> {
        match verb {
            Verb::Xcrc => Some(Self::Crc32),
            Verb::Xmd5 => Some(Self::Md5),
            Verb::Xsha1 => Some(Self::Sha1),
            Verb::Xsha256 => Some(Self::Sha256),
            Verb::Xsha512 => Some(Self::Sha512),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The hash functions that a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered(u8);

impl Default for Offered {
    /// All but the weak ones.
    fn default() -> Self {
        Self(Algorithm::Sha256 as u8 | Algorithm::Sha512 as u8 | Algorithm::Crc32 as u8)
    }
}

impl Offered {
    /// The same with one more.
    #[must_use]
    pub const fn with(self, algorithm: Algorithm) -> Self {
        Self(self.0 | algorithm as u8)
    }

    /// Whether a function is offered.
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & algorithm as u8 != 0
    }

    /// What is offered, in the order in which it is told.
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |algorithm| self.contains(*algorithm))
    }

    /// The list for `FEAT`, an asterisk at the one in force (draft-bryan-ftpext-hash §3.1).
    pub fn feature(self, current: Algorithm) -> String {
        let mark = |algorithm: Algorithm| if algorithm == current { "*" } else { "" };
        let names: Vec<String> = self.iter().map(|algorithm| format!("{algorithm}{}", mark(algorithm))).collect();
        names.join(";")
    }

    /// The list for people.
    pub fn names(self) -> String {
        self.iter().map(Algorithm::name).collect::<Vec<_>>().join(", ")
    }
}

/// Which bytes of a file are meant, before its size is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Octets {
    /// All of them.
    #[default]
    All,
    /// From the first to the last, both included; a file that ends before the last is taken to its
    /// end (`RANG`).
    Within {
        /// The first byte, counted from 0.
        first: u64,
        /// The last byte; not before the first.
        last: u64,
    },
    /// From the start to before the end; the file has to reach that far (X-forms, whose reply does
    /// not tell what was hashed).
    Exactly {
        /// The first byte, counted from 0.
        start: u64,
        /// The byte behind the last; behind the start.
        end: u64,
    },
}

impl Octets {
    /// The bytes of a file of this size; none where they do not lie in it.
    pub fn of(self, size: u64) -> Option<Range<u64>> {
        match self {
            Self::All => Some(0..size),
            Self::Within { first, .. } if first >= size && first > 0 => None,
            Self::Within { first, last } => Some(first..last.saturating_add(1).min(size)),
            Self::Exactly { start, end } => (start <= end && end <= size).then_some(start..end),
        }
    }
}

/// Reads the argument of `RANG`: the first and the last byte, or `1 0` for the whole file again
/// (draft-bryan-ftp-range §3).
///
/// # Errors
/// Anything but two numbers, the second not below the first.
pub fn range(argument: &[u8]) -> Result<Octets, Unreadable> {
    let (first, last) = split(argument);
    match (number(first)?, number(last)?) {
        (1, 0) => Ok(Octets::All),
        (first, last) if first <= last => Ok(Octets::Within { first, last }),
        _ => Err(Unreadable),
    }
}

/// One way to understand the argument of an X-form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The file's name.
    pub name: Vec<u8>,
    /// The part of it.
    pub octets: Octets,
}

/// The ways to understand the argument of an X-form, in the order in which they are tried. It is a
/// name, taken as it stands; and where nothing has that name, a name, perhaps in quotes, and perhaps
/// the first byte and the one behind the last: `a file`, `"a file"`, `a file 0 100`, `"a file" 0 100`.
/// A quote in a quoted name is doubled; a comma may stand before each number.
///
/// One number alone is never a part: servers differ over which one it would be.
///
/// # Errors
/// A quoted name with something else behind it than two such numbers.
pub fn readings(argument: &[u8]) -> Result<Vec<Reading>, Unreadable> {
    let whole = Reading { name: argument.to_vec(), octets: Octets::All };
    let other = match quoted(argument) {
        Some((name, rest)) => Some(Reading { name, octets: part(rest)? }),
        None => with_numbers(argument),
    };
    Ok(std::iter::once(whole).chain(other).collect())
}

/// A name in quotes and what stands behind it.
fn quoted(argument: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = argument.strip_prefix(b"\"")?;
    let mut name = Vec::new();
    loop {
        match rest {
            [b'"', b'"', tail @ ..] => {
                name.push(b'"');
                rest = tail;
            }
            [b'"', tail @ ..] => return (!name.is_empty()).then_some((name, tail)),
            [byte, tail @ ..] => {
                name.push(*byte);
                rest = tail;
            }
            [] => return None,
        }
    }
}

/// The part that stands behind a quoted name.
fn part(rest: &[u8]) -> Result<Octets, Unreadable> {
    let separates = |byte: &u8| matches!(byte, b' ' | b',');
    if !rest.first().is_none_or(separates) {
        return Err(Unreadable);
    }
    let mut words = rest.split(separates).filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (None, ..) => Ok(Octets::All),
        (Some(start), Some(end), None) => exactly(start, end),
        _ => Err(Unreadable),
    }
}

/// A name without quotes and two numbers behind it.
fn with_numbers(argument: &[u8]) -> Option<Reading> {
    let mut words = argument.rsplitn(3, |byte| *byte == b' ');
    let (end, start, name) = (words.next()?, words.next()?, words.next()?);
    let octets = exactly(start, end).ok()?;
    (!name.is_empty()).then(|| Reading { name: name.to_vec(), octets })
}

fn exactly(start: &[u8], end: &[u8]) -> Result<Octets, Unreadable> {
    let (start, end) = (number(start)?, number(end)?);
    if start < end { Ok(Octets::Exactly { start, end }) } else { Err(Unreadable) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(argument: &str) -> Vec<(String, Octets)> {
        let readings = readings(argument.as_bytes()).unwrap();
        readings.into_iter().map(|reading| (String::from_utf8(reading.name).unwrap(), reading.octets)).collect()
    }

    #[test]
    fn names_are_read_in_any_case_and_the_list_marks_the_one_in_force() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.name().to_lowercase().as_bytes()), Some(algorithm));
        }
        assert_eq!(Algorithm::parse(b"SHA-3"), None);
        let offered = Offered::default();
        assert_eq!(offered.feature(Algorithm::Sha256), "SHA-256*;SHA-512;CRC32");
        assert_eq!(offered.with(Algorithm::Md5).feature(Algorithm::Md5), "SHA-256;SHA-512;CRC32;MD5*");
        assert!(Algorithm::WEAK.into_iter().all(|weak| !offered.contains(weak)));
    }

    #[test]
    fn rang_names_the_first_and_the_last_byte() {
        assert_eq!(range(b"0 49"), Ok(Octets::Within { first: 0, last: 49 }));
        assert_eq!(range(b"7 7"), Ok(Octets::Within { first: 7, last: 7 }));
        assert_eq!(range(b"1 0"), Ok(Octets::All));
        for wrong in ["", "1", "2 1", "3 0", "-1 3", "1 2 3", "a b", "1  2", "0 99999999999999999999"] {
            assert_eq!(range(wrong.as_bytes()), Err(Unreadable), "{wrong}");
        }
    }

    #[test]
    fn a_part_is_cut_at_the_end_of_the_file_or_refused() {
        let within = |first, last, size| Octets::Within { first, last }.of(size);
        assert_eq!(within(0, 49, 100), Some(0..50));
        assert_eq!(within(90, 200, 100), Some(90..100));
        assert_eq!(within(0, 49, 0), Some(0..0));
        assert_eq!(within(100, 200, 100), None);
        assert_eq!(within(0, u64::MAX, 3), Some(0..3));
        let exactly = |start, end, size| Octets::Exactly { start, end }.of(size);
        assert_eq!(exactly(0, 100, 100), Some(0..100));
        assert_eq!(exactly(0, 101, 100), None);
        assert_eq!(Octets::All.of(0), Some(0..0));
    }

    #[test]
    fn what_stands_there_is_a_name_first_and_then_a_name_and_a_part() {
        let whole = |name: &str| (name.to_owned(), Octets::All);
        let part = |name: &str, start, end| (name.to_owned(), Octets::Exactly { start, end });
        assert_eq!(read("my file"), [whole("my file")]);
        assert_eq!(read("my file 0 100"), [whole("my file 0 100"), part("my file", 0, 100)]);
        assert_eq!(read("file 100"), [whole("file 100")]);
        assert_eq!(read("file 100 0"), [whole("file 100 0")]);
        assert_eq!(read("0 100"), [whole("0 100")]);
        assert_eq!(read("\"my file\""), [whole("\"my file\""), whole("my file")]);
        assert_eq!(read("\"f\" 0 100"), [whole("\"f\" 0 100"), part("f", 0, 100)]);
        assert_eq!(read("\"f\", 2, 9"), [whole("\"f\", 2, 9"), part("f", 2, 9)]);
        assert_eq!(read("\"a\"\"b\""), [whole("\"a\"\"b\""), whole("a\"b")]);
        assert_eq!(read("\"open"), [whole("\"open")]);
        assert_eq!(read("\"\""), [whole("\"\"")]);
        for wrong in ["\"f\" 100", "\"f\" 100 0", "\"f\"x", "\"f\" a b", "\"f\" 1 2 3"] {
            assert_eq!(readings(wrong.as_bytes()), Err(Unreadable), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_argument_panics_and_the_first_reading_is_the_argument(argument in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(readings) = readings(&argument) {
                prop_assert_eq!(&readings[0].name, &argument);
                prop_assert!(readings.len() <= 2);
            }
            if let Ok(Octets::Within { first, last }) = range(&argument) {
                prop_assert!(first <= last);
            }
        }

        #[test]
        fn a_quoted_name_is_read_back(name in "[^\\x00\r\n]{1,40}", start in 0..1000_u64, more in 1..1000_u64) {
            let quoted = format!("\"{}\"", name.replace('"', "\"\""));
            let octets = Octets::Exactly { start, end: start + more };
            let last = |argument: String| readings(argument.as_bytes()).unwrap().pop().unwrap();
            prop_assert_eq!(last(quoted.clone()), Reading { name: name.clone().into_bytes(), octets: Octets::All });
            let part = last(format!("{quoted} {start} {}", start + more));
            prop_assert_eq!(part, Reading { name: name.into_bytes(), octets });
        }

        #[test]
        fn a_part_lies_in_its_file(first in any::<u64>(), last in any::<u64>(), size in any::<u64>()) {
            for octets in [Octets::All, Octets::Within { first, last }, Octets::Exactly { start: first, end: last }] {
                if let Some(range) = octets.of(size) {
                    prop_assert!(range.end <= size && (range.start <= range.end || last < first));
                }
            }
        }
    }
}
