//! Listings: facts of `MLSD` and `MLST` (RFC 3659 §7) and lines of `LIST` as every parser of the
//! last decades reads them.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::tz::Offset;

/// A fact of RFC 3659 §7.5 that this server tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `file`, `dir`, `cdir`.
    Type,
    /// Size in bytes.
    Size,
    /// Last modification, UTC.
    Modify,
    /// What the user may do with it.
    Perm,
    /// The same for two names of one file.
    Unique,
    /// When it was made, UTC, where the file system knows.
    Create,
    /// Permission bits.
    UnixMode,
    /// The owner's number.
    UnixOwner,
    /// The group's number.
    UnixGroup,
}

impl Fact {
    /// Every fact, in the order in which they are written.
    pub const ALL: [Self; 9] = [
        Self::Type,
        Self::Size,
        Self::Modify,
        Self::Create,
        Self::Perm,
        Self::Unique,
        Self::UnixMode,
        Self::UnixOwner,
        Self::UnixGroup,
    ];

    /// Whether it is told to a client that did not choose: who owns a file on the server is for
    /// those who ask.
    const fn is_told_unasked(self) -> bool {
        !matches!(self, Self::Create | Self::UnixOwner | Self::UnixGroup)
    }

    /// Its name as `FEAT` tells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "Type",
            Self::Size => "Size",
            Self::Modify => "Modify",
            Self::Perm => "Perm",
            Self::Unique => "Unique",
            Self::Create => "Create",
            Self::UnixMode => "UNIX.mode",
            Self::UnixOwner => "UNIX.owner",
            Self::UnixGroup => "UNIX.group",
        }
    }
}

/// Which facts a session wants (`OPTS MLST`, RFC 3659 §7.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactSet([bool; Fact::ALL.len()]);

impl Default for FactSet {
    fn default() -> Self {
        Self(Fact::ALL.map(Fact::is_told_unasked))
    }
}

impl FactSet {
    /// The facts named in the argument of `OPTS MLST`; names not known are passed over.
    pub fn select(argument: &str) -> Self {
        let wanted = |fact: Fact| argument.split(';').any(|name| name.trim().eq_ignore_ascii_case(fact.name()));
        Self(Fact::ALL.map(wanted))
    }

    /// Whether the fact is wanted.
    pub fn contains(self, fact: Fact) -> bool {
        Fact::ALL.iter().zip(self.0).any(|(known, wanted)| *known == fact && wanted)
    }

    /// `Type*;Size*;…` for `FEAT`: every fact, those wanted marked.
    pub fn feature(self) -> String {
        Fact::ALL.iter().zip(self.0).flat_map(|(fact, on)| [fact.name(), if on { "*;" } else { ";" }]).collect()
    }

    /// `Type;Size;…`: the facts wanted.
    pub fn names(self) -> String {
        Fact::ALL.iter().filter(|fact| self.contains(**fact)).flat_map(|fact| [fact.name(), ";"]).collect()
    }
}

/// Whether an entry is a file, a directory, or the directory listed itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// The directory whose entries follow.
    Current,
}

/// What is told of one entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its name, or its path for `MLST`.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Size in bytes.
    pub size: u64,
    /// Last modification in seconds since the Unix epoch.
    pub modified_seconds: i64,
    /// Permission bits.
    pub mode: u32,
    /// Device and inode.
    pub unique: (u64, u64),
    /// When it was made, in seconds since the Unix epoch, where that is known.
    pub created_seconds: Option<i64>,
    /// The owner's and the group's number.
    pub owner: (u32, u32),
    /// The letters of RFC 3659 §7.5.5 for what the user may do with it.
    pub perm: &'a str,
}

/// Writes entries in the form of one listing.
#[derive(Clone, Debug, Default)]
pub struct Form {
    facts: FactSet,
    now_seconds: i64,
}

/// Half a year: older `LIST` lines show the year instead of the time of day.
const RECENT_SECONDS: i64 = 180 * 24 * 3600;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Form {
    /// The form for a session that wants these facts, at this moment.
    pub fn new(facts: FactSet, now: Timestamp) -> Self {
        Self { facts, now_seconds: now.as_second() }
    }

    /// One entry of `MLSD` or `MLST`, without line end.
    pub fn facts(&self, out: &mut Vec<u8>, entry: &Entry<'_>) {
        for fact in Fact::ALL {
            if !self.facts.contains(fact) {
                continue;
            }
            match fact {
                Fact::Type => out.extend_from_slice(match entry.kind {
                    Kind::File => b"type=file;",
                    Kind::Directory => b"type=dir;",
                    Kind::Current => b"type=cdir;",
                }),
                Fact::Size if entry.kind == Kind::File => put(out, format_args!("size={};", entry.size)),
                Fact::Size => {}
                Fact::Modify => time_fact(out, b"modify=", entry.modified_seconds),
                Fact::Create => {
                    if let Some(created) = entry.created_seconds {
                        time_fact(out, b"create=", created);
                    }
                }
                Fact::Perm => {
                    out.extend_from_slice(b"perm=");
                    out.extend_from_slice(entry.perm.as_bytes());
                    out.push(b';');
                }
                Fact::Unique => put(out, format_args!("unique={:x}g{:x};", entry.unique.0, entry.unique.1)),
                Fact::UnixMode => put(out, format_args!("UNIX.mode={:04o};", entry.mode)),
                Fact::UnixOwner => put(out, format_args!("UNIX.owner={};", entry.owner.0)),
                Fact::UnixGroup => put(out, format_args!("UNIX.group={};", entry.owner.1)),
            }
        }
        out.push(b' ');
        out.extend_from_slice(entry.name.as_bytes());
    }

    /// One line of `LIST`, without line end: the nine columns of `ls -l`, times in UTC.
    pub fn long(&self, out: &mut Vec<u8>, entry: &Entry<'_>) {
        let bits = [
            (0o400, b'r'),
            (0o200, b'w'),
            (0o100, b'x'),
            (0o40, b'r'),
            (0o20, b'w'),
            (0o10, b'x'),
            (4, b'r'),
            (2, b'w'),
            (1, b'x'),
        ];
        out.push(if entry.kind == Kind::File { b'-' } else { b'd' });
        out.extend(bits.map(|(bit, letter)| if entry.mode & bit == 0 { b'-' } else { letter }));
        put(out, format_args!("   1 ftp      ftp      {:>12} ", entry.size));
        let moment = civil(entry.modified_seconds);
        let month = MONTHS.get(usize::from(moment.month().unsigned_abs()).saturating_sub(1)).unwrap_or(&"Jan");
        let age = self.now_seconds.saturating_sub(entry.modified_seconds);
        if (0..RECENT_SECONDS).contains(&age) {
            put(out, format_args!("{month} {:02} {:02}:{:02} ", moment.day(), moment.hour(), moment.minute()));
        } else {
            put(out, format_args!("{month} {:02}  {:04} ", moment.day(), moment.year()));
        }
        out.extend_from_slice(entry.name.as_bytes());
    }
}

fn time_fact(out: &mut Vec<u8>, name: &[u8], seconds: i64) {
    out.extend_from_slice(name);
    time_value(out, seconds);
    out.push(b';');
}

/// Appends a time-val of RFC 3659 §2.3: `YYYYMMDDHHMMSS`, UTC.
pub fn time_value(out: &mut Vec<u8>, seconds: i64) {
    let moment = civil(seconds);
    let year = moment.year().unsigned_abs();
    let of_day = [moment.month(), moment.day(), moment.hour(), moment.minute(), moment.second()];
    // Digit by digit, without the general formatting: each entry of a listing has one.
    for pair in [year / 100, year % 100].into_iter().chain(of_day.map(|part| part.unsigned_abs().into())) {
        out.extend([pair / 10, pair % 10].map(|digit| b'0'.saturating_add(u8::try_from(digit).unwrap_or(0))));
    }
}

fn civil(seconds: i64) -> jiff::civil::DateTime {
    // Years before 0 cannot be written as a time-val.
    let stamp = Timestamp::from_second(seconds.max(-62_000_000_000)).unwrap_or(Timestamp::UNIX_EPOCH);
    Offset::UTC.to_datetime(stamp)
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_328_102; // 2026-11-22 06:15:02 UTC

    fn entry(name: &str, modified_seconds: i64) -> Entry<'_> {
        Entry {
            name,
            kind: Kind::File,
            size: 1234,
            modified_seconds,
            mode: 0o640,
            unique: (0xfd01, 0x2a),
            created_seconds: Some(NOW - 1),
            owner: (1000, 100),
            perm: "adfrw",
        }
    }

    fn form() -> Form {
        Form::new(FactSet::default(), Timestamp::from_second(NOW).unwrap())
    }

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn facts_of_files_and_directories() {
        let form = form();
        assert_eq!(
            text(|out| form.facts(out, &entry("r.csv", NOW))),
            "type=file;size=1234;modify=20261122061502;perm=adfrw;unique=fd01g2a;UNIX.mode=0640; r.csv"
        );
        let directory = Entry { kind: Kind::Directory, perm: "cdflmpe", ..entry("in", 0) };
        assert_eq!(
            text(|out| form.facts(out, &directory)),
            "type=dir;modify=19700101000000;perm=cdflmpe;unique=fd01g2a;UNIX.mode=0640; in"
        );
    }

    #[test]
    fn only_the_facts_wanted_are_told() {
        let form = Form::new(FactSet::select("perm;"), Timestamp::UNIX_EPOCH);
        assert_eq!(text(|out| form.facts(out, &entry("a", 0))), "perm=adfrw; a");
    }

    #[test]
    fn who_owns_a_file_and_when_it_was_made_is_told_to_those_who_ask() {
        let set = FactSet::select("create;unix.owner;UNIX.GROUP;");
        let form = Form::new(set, Timestamp::UNIX_EPOCH);
        let made = "create=20261122061501;UNIX.owner=1000;UNIX.group=100; a";
        assert_eq!(text(|out| form.facts(out, &entry("a", 0))), made);
        let unknown = Entry { created_seconds: None, ..entry("a", 0) };
        assert_eq!(text(|out| form.facts(out, &unknown)), "UNIX.owner=1000;UNIX.group=100; a");
    }

    #[test]
    fn lines_of_list_tell_time_or_year() {
        let form = form();
        let line = |at: i64| text(|out| form.long(out, &entry("a b", at)));
        assert_eq!(line(NOW), "-rw-r-----   1 ftp      ftp              1234 Nov 22 06:15 a b");
        assert_eq!(line(NOW - 200 * 86400), "-rw-r-----   1 ftp      ftp              1234 May 06  2026 a b");
        assert_eq!(line(NOW + 86400), "-rw-r-----   1 ftp      ftp              1234 Nov 23  2026 a b");
        assert!(line(i64::MIN).ends_with("a b") && line(i64::MAX).ends_with("a b"));
    }

    #[test]
    fn opts_mlst_selects() {
        let set = FactSet::select("size;MODIFY;bogus;");
        assert_eq!(set.names(), "Size;Modify;");
        assert_eq!(set.feature(), "Type;Size*;Modify*;Create;Perm;Unique;UNIX.mode;UNIX.owner;UNIX.group;");
        assert_eq!(FactSet::select("").names(), "");
    }
}
