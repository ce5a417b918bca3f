//! Replies of the control connection (RFC 959 §4.2). The only place that knows reply codes.

use std::borrow::Cow;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// A reply code by what it means.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Code {
            $($(#[$doc])* $name = $number,)*
        }

        impl Code {
            /// The three digits.
            pub const fn digits(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($number),)*
                }
            }
        }
    };
}

codes! {
    /// About to open the data connection.
    Opening = 150,
    /// Done.
    Okay = 200,
    /// Superfluous at this site.
    Superfluous = 202,
    /// System status, or the list of features (RFC 2389).
    SystemStatus = 211,
    /// Status of a file or directory.
    FileStatus = 213,
    /// A help text.
    HelpText = 214,
    /// The system's type.
    SystemType = 215,
    /// Ready for a new user.
    Ready = 220,
    /// Closing the control connection.
    Closing = 221,
    /// The data connection is idle.
    DataIdle = 225,
    /// The transfer ended, the data connection closes.
    TransferDone = 226,
    /// Entering passive mode.
    PassiveMode = 227,
    /// Entering extended passive mode (RFC 2428).
    ExtendedPassiveMode = 229,
    /// Logged in.
    LoggedIn = 230,
    /// Logged in by what the security exchange showed (RFC 2228, RFC 4217).
    LoggedInSecurely = 232,
    /// Security mechanism accepted (RFC 4217).
    SecurityAccepted = 234,
    /// File action done.
    ActionDone = 250,
    /// A path name.
    PathName = 257,
    /// Password needed.
    PasswordNeeded = 331,
    /// Waiting for the command that goes with this one.
    Pending = 350,
    /// Closing the control connection out of turn.
    Unavailable = 421,
    /// No data connection.
    NoDataConnection = 425,
    /// The data connection ended too soon.
    TransferAborted = 426,
    /// The file is busy for now.
    FileBusy = 450,
    /// An error of the server's own.
    LocalError = 451,
    /// No room.
    NoSpace = 452,
    /// No such command.
    UnknownCommand = 500,
    /// The argument cannot be read.
    BadArgument = 501,
    /// A known command that this server does not offer.
    NotImplemented = 502,
    /// Not in this order.
    BadSequence = 503,
    /// Not with this argument.
    NotThisArgument = 504,
    /// The data connection cannot be opened at this protection level (RFC 4217 §10.2).
    ProtectionNeeded = 521,
    /// The data connection's TLS was refused (RFC 4217 §10.2); of `EPRT` and `EPSV`: no such
    /// network protocol (RFC 2428).
    DataRefused = 522,
    /// Not logged in, or not to be.
    NotLoggedIn = 530,
    /// Refused by policy (RFC 2228).
    RefusedByPolicy = 534,
    /// No such protection level (RFC 2228).
    NoSuchProtection = 536,
    /// Not possible: missing, not permitted, not of that kind.
    NotPossible = 550,
    /// The quota does not permit it.
    QuotaExceeded = 552,
    /// The name is not permitted.
    NameRefused = 553,
    /// The restart marker is beyond the file.
    BadRestart = 554,
    /// The server's policy does not permit to hash that much (draft-bryan-ftpext-hash §3.5).
    NotHashable = 556,
}

impl Code {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Whether it takes a command up: a preliminary, completion or intermediate reply
    /// (RFC 959 §4.2.1).
    pub const fn is_positive(self) -> bool {
        self.number() < 400
    }

    /// Whether it faults the command itself (`500` to `504`), not what the command is about.
    pub const fn is_syntax_error(self) -> bool {
        matches!(self.number(), 500..=504)
    }
}

/// A reply: a code and one or more lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: Code,
    text: Text,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Line(Cow<'static, str>),
    /// First line, indented lines, last line.
    Lines(Cow<'static, str>, Vec<String>, Cow<'static, str>),
}

impl Reply {
    /// A reply of one line.
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: Text::Line(text.into()) }
    }

    /// A reply of several lines: `first`, each of `middle` after a space (RFC 2389 §3.2), `last`.
    pub fn lines(
        code: Code,
        first: impl Into<Cow<'static, str>>,
        middle: Vec<String>,
        last: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { code, text: Text::Lines(first.into(), middle, last.into()) }
    }

    /// `257` with a path, its quotes doubled (RFC 959 appendix II).
    pub fn path(path: &str, rest: &str) -> Self {
        Self::new(Code::PathName, format!("\"{}\" {rest}", path.replace('"', "\"\"")))
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Appends the reply as it goes over the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        let number = self.code.number();
        match &self.text {
            Text::Line(text) => line(out, &format!("{number} "), text),
            Text::Lines(first, middle, last) => {
                line(out, &format!("{number}-"), first);
                for text in middle {
                    line(out, " ", text);
                }
                line(out, &format!("{number} "), last);
            }
        }
    }
}

/// One line, whatever the text holds: control characters become `?`.
fn line(out: &mut Vec<u8>, prefix: &str, text: &str) {
    out.extend_from_slice(prefix.as_bytes());
    if text.chars().any(char::is_control) {
        let clean: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        out.extend_from_slice(clean.as_bytes());
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn replies_are_framed_as_clients_parse_them() {
        assert_eq!(wire(&Reply::new(Code::Okay, "Done.")), "200 Done.\r\n");
        let features = Reply::lines(Code::SystemStatus, "Features:", vec!["UTF8".into()], "End");
        assert_eq!(wire(&features), "211-Features:\r\n UTF8\r\n211 End\r\n");
        assert_eq!(wire(&Reply::path("/a\"b", "is here.")), "257 \"/a\"\"b\" is here.\r\n");
    }

    #[test]
    fn no_text_breaks_its_line() {
        assert_eq!(wire(&Reply::new(Code::NotPossible, "a\r\n226 b\u{1b}")), "550 a??226 b?\r\n");
    }
}
