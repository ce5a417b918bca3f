//! What the policy can be asked about: the commands that name a path, each permission by itself,
//! and the login. What each needs comes from the table of verbs.

use std::fmt;

use super::{Needs, Service, rule};
use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::path::VirtualPath;
use crate::proto::verb::Verb;

/// What the names begin with that the server chooses for `STOU`; hexadecimal digits follow.
pub const CHOSEN_NAME_START: &str = "upload-";
/// How many digits follow.
pub const CHOSEN_NAME_DIGITS: usize = 16;

/// Something that a user may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To log in, and nothing more.
    Login,
    /// To send a command that names a path.
    Verb(Verb),
    /// To send `SITE CHMOD`.
    SiteChmod,
    /// To send `SITE UTIME`.
    SiteUtime,
    /// To use one permission.
    Permission(Permission),
}

/// Why a text is no [`Action`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionError {
    /// Neither a command nor a permission.
    Unknown,
    /// A command that names no path, so that no rule decides about it.
    NoPath(Verb),
    /// A command that is refused to everybody, and why.
    NeverServed(Verb, &'static str),
}

/// Which file is meant, where a command needs one permission or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The permission that it takes then.
    pub permission: Permission,
    /// When that is.
    pub when: &'static str,
}

const fn case(permission: Permission, when: &'static str) -> Case {
    Case { permission, when }
}

const SEEING: [Case; 2] = [case(Permission::List, "whoever may list"), case(Permission::Read, "whoever may read")];
const HASHING: [Case; 2] =
    [case(Permission::Hash, "a whole file"), case(Permission::Read, "a whole file, or a part of it")];

impl Action {
    /// Reads a command, in any case and also in its X-form, `SITE CHMOD` or `SITE UTIME`, the word
    /// of a permission, or `login`.
    ///
    /// # Errors
    /// [`ActionError`] says why no rule could decide about it.
    pub fn parse(text: &str) -> Result<Self, ActionError> {
        let words: Vec<String> = text.split_whitespace().map(str::to_ascii_uppercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["LOGIN"] => return Ok(Self::Login),
            ["SITE", "CHMOD"] => return Ok(Self::SiteChmod),
            ["SITE", "UTIME"] => return Ok(Self::SiteUtime),
            _ => {}
        }
        let [word] = words.as_slice() else { return Err(ActionError::Unknown) };
        // `hash` is the permission, as policy files have it; `HASH` is the command.
        if let Some(permission) = Permission::from_word(text.trim()) {
            return Ok(Self::Permission(permission));
        }
        let verb = Verb::parse(word.as_bytes()).ok_or(ActionError::Unknown)?;
        let row = rule(verb);
        match (row.service, row.needs) {
            (Service::Refused(_, reason), _) => Err(ActionError::NeverServed(verb, reason)),
            (Service::Served(_), Needs::Nothing) => Err(ActionError::NoPath(verb)),
            (Service::Served(_), Needs::AnyOf(_)) => Ok(Self::Verb(verb)),
        }
    }

    /// What is asked of the policy at once; any of it suffices for the command to be served.
    pub fn wanted(self) -> PermissionSet {
        match self {
            Self::Login => PermissionSet::NONE,
            Self::Verb(verb) => match rule(verb).needs {
                Needs::AnyOf(wanted) => wanted,
                Needs::Nothing => PermissionSet::NONE,
            },
            Self::SiteChmod => PermissionSet::of(&[Permission::SetMode]),
            Self::SiteUtime => PermissionSet::of(&[Permission::SetTime]),
            Self::Permission(permission) => PermissionSet::of(&[permission]),
        }
    }

    /// Whether it goes through a directory, which needs less than doing something in it.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Verb(Verb::Cwd | Verb::Cdup))
    }

    /// The path that is judged where a path is given: of `STOU`, which goes to a directory, a name
    /// such as the server chooses in it.
    pub fn judged_path(self, path: &VirtualPath) -> VirtualPath {
        let name = || format!("{CHOSEN_NAME_START}{}", "0".repeat(CHOSEN_NAME_DIGITS));
        let chosen = if self == Self::Verb(Verb::Stou) { path.join(name().as_bytes()).ok() } else { None };
        chosen.unwrap_or_else(|| path.clone())
    }

    /// Whether it may have a second path: the new name of a rename.
    pub fn is_rename(self) -> bool {
        matches!(self, Self::Verb(Verb::Rnfr | Verb::Rnto))
    }

    /// The cases in which it needs one permission or another; none where it is one permission, or
    /// where any will do.
    pub fn cases(self) -> &'static [Case] {
        use Permission::{Append, Create, Overwrite, Rename, SetMode, SetTime};
        match self {
            Self::Verb(Verb::Stor) => {
                const {
                    &[
                        case(Create, "a new name"),
                        case(Overwrite, "a file that is there"),
                        case(Append, "the rest of a file that is there (REST)"),
                    ]
                }
            }
            Self::Verb(Verb::Appe) => {
                const {
                    &[
                        case(Create, "a new name"),
                        case(Append, "a file that is there"),
                        case(Overwrite, "a file that is there"),
                    ]
                }
            }
            Self::Verb(Verb::Rnto) => {
                const { &[case(Rename, "a new name"), case(Overwrite, "in place of a file that is there, besides")] }
            }
            Self::Verb(Verb::Mff) => const { &[case(SetTime, "the fact Modify"), case(SetMode, "the fact UNIX.mode")] },
            Self::Verb(Verb::Size | Verb::Mdtm) => &SEEING,
            Self::Verb(Verb::Hash | Verb::Xcrc | Verb::Xmd5 | Verb::Xsha1 | Verb::Xsha256 | Verb::Xsha512) => &HASHING,
            _ => &[],
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login => f.write_str("login"),
            Self::Verb(verb) => verb.fmt(f),
            Self::SiteChmod => f.write_str("SITE CHMOD"),
            Self::SiteUtime => f.write_str("SITE UTIME"),
            Self::Permission(permission) => permission.fmt(f),
        }
    }
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "write a command such as RETR, STOR, LIST, CWD or SITE CHMOD, a permission such as overwrite, or login",
            ),
            Self::NoPath(verb) => {
                write!(f, "{verb} names no path, so no rule decides about it: whoever has logged in may send it")
            }
            Self::NeverServed(verb, reason) => write!(f, "{verb} is refused to everybody: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RULES;

    #[test]
    fn commands_and_permissions_are_read_by_the_names_that_people_use() {
        assert_eq!(Action::parse("retr"), Ok(Action::Verb(Verb::Retr)));
        assert_eq!(Action::parse("site  chmod"), Ok(Action::SiteChmod));
        assert_eq!(Action::parse("overwrite"), Ok(Action::Permission(Permission::Overwrite)));
        assert_eq!(Action::parse("hash"), Ok(Action::Permission(Permission::Hash)));
        assert_eq!(Action::parse("HASH"), Ok(Action::Verb(Verb::Hash)));
        assert_eq!(Action::parse("XMKD"), Ok(Action::Verb(Verb::Mkd)));
        assert_eq!(Action::parse("Login"), Ok(Action::Login));
        assert_eq!(Action::parse("NOOP"), Err(ActionError::NoPath(Verb::Noop)));
        assert!(matches!(Action::parse("CCC"), Err(ActionError::NeverServed(Verb::Ccc, _))));
        assert_eq!(Action::parse("fly"), Err(ActionError::Unknown));
    }

    #[test]
    fn the_cases_of_a_command_are_all_that_it_may_need() {
        for row in &RULES {
            let Ok(action) = Action::parse(row.verb.name()) else { continue };
            let cases: PermissionSet = action.cases().iter().map(|case| case.permission).collect();
            let several = action.wanted().iter().count() > 1 && action.wanted() != PermissionSet::ALL;
            assert_eq!(cases, if several { action.wanted() } else { PermissionSet::NONE }, "{}", row.verb);
        }
    }
}
