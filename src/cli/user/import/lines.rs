//! Files of users of other servers, line by line: what of each is taken, and why some are not.

use ipnet::IpNet;

use crate::auth::hash::{self, Kind};
use crate::identity::Username;
use crate::policy::hours::Window;

/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: usize = 8192;
/// Least and greatest bytes a second that a limit may have here.
const BYTES_PER_SECOND: std::ops::RangeInclusive<u64> = 1_024..=1_099_511_627_776;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// `name:hash:uid:gid:gecos:home:shell`, or `name:hash` as htpasswd writes it.
    Passwd,
    /// The text file of Pure-FTPd's virtual users.
    PureFtpd,
    /// An `AuthUserFile` of ProFTPD.
    Proftpd,
}

/// A user as a line has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Imported {
    pub(super) name: Username,
    pub(super) hash: String,
    pub(super) kind: Kind,
    /// The home that the line names, if it does; or why it will not do.
    pub(super) home: Result<Option<String>, Refused>,
    pub(super) limits: Limits,
    /// What the line says that has no counterpart here.
    pub(super) dropped: Vec<&'static str>,
}

/// What a line of Pure-FTPd says besides.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) upload_bytes_per_second: Option<u64>,
    pub(super) download_bytes_per_second: Option<u64>,
    pub(super) sessions: Option<u64>,
    pub(super) quota_files: Option<u64>,
    pub(super) quota_bytes: Option<u64>,
    pub(super) allow_from: Vec<IpNet>,
    pub(super) deny_from: Vec<IpNet>,
    pub(super) hours: Option<String>,
}

/// Why a line is not taken.
pub(super) type Refused = String;

/// Whether a line says nothing.
pub(super) fn is_empty(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

/// Reads a line.
pub(super) fn read(line: &str, format: Format) -> Result<Imported, Refused> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("the line has more than {LINE_BYTES_MAX} bytes"));
    }
    let fields: Vec<&str> = line.trim_end_matches('\r').split(':').collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let right = match format {
        Format::Passwd => matches!(fields.len(), 2 | 7),
        Format::Proftpd => fields.len() == 7,
        // Later fields were added over the years; those that are not there say nothing.
        Format::PureFtpd => (6..=18).contains(&fields.len()),
    };
    if !right {
        let wanted = match format {
            Format::Passwd => "7, or 2",
            Format::Proftpd => "7",
            Format::PureFtpd => "6 to 18",
        };
        return Err(format!("the line has {} fields, and {wanted} are expected", fields.len()));
    }
    let name = Username::parse(field(0)).map_err(|error| error.to_string())?;
    let hash = field(1);
    let kind = kind_of(hash)?;
    let (limits, mut dropped) =
        if format == Format::PureFtpd { limits(field)? } else { (Limits::default(), Vec::new()) };
    let home = home(field(5));
    if home.as_ref().is_ok_and(|(_, begins_below)| *begins_below) {
        dropped.push("the directory below the home in which sessions began");
    }
    let home = home.map(|(home, _)| home);
    Ok(Imported { name, hash: hash.to_owned(), kind, home, limits, dropped })
}

fn kind_of(hash: &str) -> Result<Kind, Refused> {
    match hash {
        "" => Err("there is no password".to_owned()),
        "x" => Err("the password stands in another file (shadow)".to_owned()),
        _ if hash.starts_with(['!', '*']) => Err("the account is locked".to_owned()),
        // The text itself is not repeated: it may be a password.
        _ => hash::kind(hash).map_err(|error| match error {
            hash::HashError::Malformed => "the password is no hash that is known here (plain text?)".to_owned(),
            error => error.to_string(),
        }),
    }
}

/// The home, without the mark with which Pure-FTPd and wu-ftpd say where its root is; and whether
/// sessions began below it.
fn home(text: &str) -> Result<(Option<String>, bool), Refused> {
    if text.is_empty() {
        return Ok((None, false));
    }
    let (root, below) = text.split_once("/./").unwrap_or((text.strip_suffix("/.").unwrap_or(text), ""));
    let trimmed = root.trim_end_matches('/');
    if !text.starts_with('/') {
        return Err(format!("the home {} does not begin at /", text.escape_debug()));
    }
    if trimmed.is_empty() {
        return Err("the home is the root of the file system".to_owned());
    }
    if trimmed.split('/').any(|part| part == "..") || trimmed.chars().any(char::is_control) {
        return Err(format!("the home {} is no plain path", text.escape_debug()));
    }
    Ok((Some(trimmed.to_owned()), !below.is_empty()))
}

/// What the fields of Pure-FTPd behind the home say. What would keep somebody out and has no
/// counterpart refuses the line: without it, more would be permitted than before.
fn limits<'a>(field: impl Fn(usize) -> &'a str) -> Result<(Limits, Vec<&'static str>), Refused> {
    let number = |at: usize, what: &str| match field(at) {
        "" | "0" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("the {what} is no number")),
    };
    let rate = |at: usize, what: &str| {
        let rate = number(at, what)?;
        Ok::<_, Refused>(rate.map(|bytes: u64| bytes.clamp(*BYTES_PER_SECOND.start(), *BYTES_PER_SECOND.end())))
    };
    let mut dropped = Vec::new();
    if number(8, "upload ratio")?.is_some() || number(9, "download ratio")?.is_some() {
        dropped.push("ratio");
    }
    for at in [13, 14] {
        if !field(at).is_empty() {
            return Err("it is bound to addresses of the server, which has no counterpart here".to_owned());
        }
    }
    let limits = Limits {
        upload_bytes_per_second: rate(6, "upload bandwidth")?,
        download_bytes_per_second: rate(7, "download bandwidth")?,
        sessions: number(10, "number of connections")?,
        quota_files: number(11, "quota of files")?,
        quota_bytes: number(12, "quota of bytes")?,
        allow_from: networks(field(15))?,
        deny_from: networks(field(16))?,
        hours: hours(field(17))?,
    };
    Ok((limits, dropped))
}

fn networks(text: &str) -> Result<Vec<IpNet>, Refused> {
    let one = |text: &str| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        let network = network.map(|network| network.trunc());
        network.map_err(|_| format!("the client address {} is no address or network", text.escape_debug()))
    };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(one).collect()
}

/// `0800-1800` as a window of every day; one that begins later than it ends spans midnight.
fn hours(text: &str) -> Result<Option<String>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let clock = |text: &str| {
        let (hours, minutes) = (text.get(..2)?, text.get(2..)?);
        (text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("{hours}:{minutes}"))
    };
    let window = text.split_once('-').and_then(|(from, to)| Some(format!("mon-sun {}-{}", clock(from)?, clock(to)?)));
    let window = window.filter(|window| Window::parse(window).is_ok());
    window.map(Some).ok_or_else(|| format!("the hours {} are none such as 0800-1800", text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str =
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";

    #[test]
    fn a_line_of_pure_ftpd_brings_its_limits_along() {
        let line = format!(
            "alice:{SHA}:1000:1000:Alice:/srv/ftp/alice/./:10240:512:0:0:3:1000:5000000:::192.0.2.0/24,198.51.100.7:203.0.113.9:0800-1800"
        );
        let read = read(&line, Format::PureFtpd).unwrap();
        assert_eq!(read.home, Ok(Some("/srv/ftp/alice".to_owned())));
        let networks = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        assert_eq!(
            read.limits,
            Limits {
                upload_bytes_per_second: Some(10_240),
                download_bytes_per_second: Some(1_024),
                sessions: Some(3),
                quota_files: Some(1000),
                quota_bytes: Some(5_000_000),
                allow_from: networks(&["192.0.2.0/24", "198.51.100.7/32"]),
                deny_from: networks(&["203.0.113.9/32"]),
                hours: Some("mon-sun 08:00-18:00".into()),
            }
        );
        assert!(read.dropped.is_empty());
    }

    #[test]
    fn what_cannot_be_taken_says_why_and_never_repeats_a_password() {
        let pure = |rest: &str| format!("a:{SHA}:1:1::{rest}");
        for (line, format, why) in [
            ("alice:hunter2".to_owned(), Format::Passwd, "no hash"),
            ("alice:$1$salt$3nGGyVDVxwsOOkBt3RaSR.".into(), Format::Passwd, "MD5-crypt"),
            ("alice:rqXexS6ZhobKA".into(), Format::Passwd, "DES"),
            ("alice:x:1:1::/a:/bin/sh".into(), Format::Passwd, "another file"),
            ("alice:!$6$x:1:1::/a:/bin/sh".into(), Format::Proftpd, "locked"),
            ("alice::1:1::/a:/bin/sh".into(), Format::Proftpd, "no password"),
            (format!("../a:{SHA}"), Format::Passwd, "letters, digits"),
            (format!("ftp:{SHA}"), Format::Passwd, "anonymous"),
            (format!("alice:{SHA}:1"), Format::Passwd, "3 fields"),
            (format!("alice:{SHA}"), Format::Proftpd, "2 fields"),
            (pure("srv/a"), Format::PureFtpd, "does not begin at /"),
            (pure("/"), Format::PureFtpd, "root of the file system"),
            (pure("/srv/a/../b"), Format::PureFtpd, "no plain path"),
            (pure("/srv/a:x"), Format::PureFtpd, "no number"),
            (pure("/srv/a::::::::192.0.2.1"), Format::PureFtpd, "addresses of the server"),
            (pure("/srv/a::::::::::example.org"), Format::PureFtpd, "no address"),
            (pure("/srv/a::::::::::::8-18"), Format::PureFtpd, "hours"),
        ] {
            let refused = read(&line, format).and_then(|user| user.home).unwrap_err();
            assert!(refused.contains(why) && !refused.contains("hunter2"), "{line}: {refused}");
        }
        let begins_below = read(&pure("/srv/a/./in"), Format::PureFtpd).unwrap();
        assert_eq!((begins_below.home, begins_below.dropped.len()), (Ok(Some("/srv/a".to_owned())), 1));
        assert_eq!(read(&pure("/srv/a:::1:5"), Format::PureFtpd).unwrap().dropped, ["ratio"]);
    }

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        assert!(is_empty("") && is_empty("  # users") && !is_empty("a:b"));
    }
}
