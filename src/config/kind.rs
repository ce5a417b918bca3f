//! What kinds of values the keys of the policy files take.

use super::keys::Number;

/// The value that a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A text.
    Text(Shape),
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A list of some of a few words.
    Words(&'static [&'static str]),
    /// A list of texts.
    List(Shape),
    /// A text, or a list of texts.
    OneOrMore(Shape),
    /// Names of the administrator's choice, each with a list of texts.
    Lists(Shape),
    /// A list of permissions, or the word for one or for all of them.
    Permissions,
    /// True or false.
    Flag,
    /// A day.
    Date,
    /// A day, or a moment of one.
    Moment,
    /// A whole number.
    Count(&'static Number),
    /// A table, by its name in the list of tables.
    Table(&'static str),
    /// A list of tables.
    Tables(&'static str),
    /// Names of the administrator's choice, each with a table.
    Named(&'static str),
}

/// What a text looks like, as far as a pattern can say it: editors point at what cannot be right,
/// and `policy check` has the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// A path, relative to the files or absolute.
    Path,
    /// A path from `/` on.
    AbsolutePath,
    /// An address with a port.
    Socket,
    /// First and last port.
    Ports,
    /// An IPv4 address.
    Ipv4,
    /// An address.
    Address,
    /// A network, an address, or the name of one.
    Network,
    /// The name of a network.
    NetworkName,
    /// The name of a user, group or folder.
    Name,
    /// A path of a user's tree.
    TreePath,
    /// Paths of a user's tree, with wildcards.
    PathPattern,
    /// A path below the root of a user's tree.
    MountPoint,
    /// Names of files, with wildcards.
    FileNames,
    /// A window of the week.
    Window,
    /// A client certificate.
    Certificate,
    /// The hash of a password.
    Hash,
    /// Why an exception is granted.
    Reason,
    /// A word that no password may contain.
    Banned,
}

impl Shape {
    /// The pattern that fits every such text (ECMA 262, as JSON Schema has it); none for any text.
    pub(super) fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::Path => Some(r"^.+$"),
            Self::AbsolutePath => Some(r"^/.*$"),
            Self::Socket => Some(r"^([0-9.]+|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}$"),
            Self::Ports => Some(r"^ *[0-9]{1,5} *(- *[0-9]{1,5} *)?$"),
            Self::Ipv4 => Some(r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$"),
            Self::Address => Some(r"^([0-9.]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$"),
            Self::Network => {
                Some(r"^([0-9.]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)(/[0-9]{1,3})?$|^[A-Za-z][A-Za-z0-9_-]{0,63}$")
            }
            Self::NetworkName => Some(r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"),
            Self::Name => Some(r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"),
            Self::TreePath => Some(r"^/"),
            Self::PathPattern => Some(r"^/$|^(/[^/]+)+$"),
            Self::MountPoint => Some(r"^(/[^/]+)+$"),
            Self::FileNames => Some(r"^[^/]+$"),
            Self::Window => {
                Some(r"^\s*([A-Za-z]{3}([,-][A-Za-z]{3})*\s+)?[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]\s*$")
            }
            Self::Certificate => Some(r"^(sha256:([0-9A-Fa-f]:?){64}|(email|dns|uri|subject):.+)$"),
            Self::Hash => Some(r"^\$(argon2i|argon2id|2a|2b|2y|5|6)\$"),
            Self::Reason => Some(r"^.{1,200}$"),
            Self::Banned => Some(r"^.{3,}$"),
        }
    }

    /// What such a text is, for people.
    pub(super) fn example(self) -> Option<&'static str> {
        match self {
            Self::Any | Self::Path | Self::Reason | Self::Banned | Self::Hash => None,
            Self::AbsolutePath => Some("/srv/files/alice"),
            Self::Socket => Some("0.0.0.0:21"),
            Self::Ports => Some("50000-50099"),
            Self::Ipv4 => Some("203.0.113.7"),
            Self::Address => Some("192.0.2.7"),
            Self::Network => Some("192.0.2.0/24"),
            Self::NetworkName => Some("office"),
            Self::Name => Some("partners"),
            Self::TreePath => Some("/in/a.csv"),
            Self::PathPattern => Some("/in/**"),
            Self::MountPoint => Some("/shared"),
            Self::FileNames => Some("*.csv"),
            Self::Window => Some("mon-fri 08:00-18:00"),
            Self::Certificate => Some("email:alice@example.org"),
        }
    }
}
