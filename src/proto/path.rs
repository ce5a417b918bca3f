//! The one form of a path: absolute, normalised, bounded. The policy judges it and the store
//! opens it, so the two can never mean different files (RFC 3659 §6, TVFS).

use std::fmt;

/// Longest path accepted, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;
/// Longest single name accepted, in bytes: the limit of Linux file systems.
pub const NAME_BYTES_MAX: usize = 255;
/// Deepest path accepted, in names.
pub const DEPTH_MAX: usize = 128;
/// Names that begin so belong to the server (staged uploads) and do not exist for clients.
pub const RESERVED_PREFIX: &str = ".portcullis-";

/// A path in the tree that a user sees: `/`, or `/` and names joined by `/`, without `.`, `..`,
/// empty names, control characters or a name of the server's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VirtualPath(String);

/// Why a text is no path here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// Not valid UTF-8 (RFC 2640 §2).
    Encoding,
    /// A control character, a line or paragraph separator, or a bidirectional override.
    Character,
    /// Longer than [`PATH_BYTES_MAX`], a name longer than [`NAME_BYTES_MAX`], or deeper than
    /// [`DEPTH_MAX`].
    Length,
    /// A name of the server's own ([`RESERVED_PREFIX`]); to clients it does not exist.
    Reserved,
}

impl VirtualPath {
    /// The root, `/`.
    pub fn root() -> Self {
        Self(String::from("/"))
    }

    /// Resolves what a client typed against this directory: an absolute path starts at the root,
    /// `..` above the root stays there, an empty argument is this directory.
    ///
    /// # Errors
    /// [`PathError`] where the result could not be named or opened.
    pub fn join(&self, argument: &[u8]) -> Result<Self, PathError> {
        if argument.len() > PATH_BYTES_MAX {
            return Err(PathError::Length);
        }
        let argument = std::str::from_utf8(argument).map_err(|_| PathError::Encoding)?;
        if argument.chars().any(is_refused) {
            return Err(PathError::Character);
        }
        let mut names: Vec<&str> = if argument.starts_with('/') { Vec::new() } else { self.names().collect() };
        for name in argument.split('/') {
            match name {
                "" | "." => {}
                ".." => {
                    names.pop();
                }
                name if name.len() > NAME_BYTES_MAX => return Err(PathError::Length),
                name if name.starts_with(RESERVED_PREFIX) => return Err(PathError::Reserved),
                name => names.push(name),
            }
        }
        let joined = format!("/{}", names.join("/"));
        if names.len() > DEPTH_MAX || joined.len() > PATH_BYTES_MAX {
            return Err(PathError::Length);
        }
        Ok(Self(joined))
    }

    /// The directory that holds this path; the root's is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        match self.0.rsplit_once('/') {
            None | Some(("", _)) => Self::root(),
            Some((parent, _)) => Self(parent.to_owned()),
        }
    }

    /// The last name; none for the root.
    pub fn name(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(_, name)| name).filter(|name| !name.is_empty())
    }

    /// The names from the root down; none for the root.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// Whether this path is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        other.is_root()
            || self.0.strip_prefix(other.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The path as text, beginning with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a name found on disk can be shown to clients: what [`VirtualPath::join`] would take.
pub fn is_presentable(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.chars().any(is_refused)
        && !name.starts_with(RESERVED_PREFIX)
}

/// Characters that could break a line of a listing or a log, or disguise a name on a screen.
fn is_refused(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for VirtualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoding => "names are UTF-8",
            Self::Character => "control characters are not permitted in names",
            Self::Length => "the name is too long",
            Self::Reserved => "no such file or directory",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(base: &str, argument: &str) -> String {
        let base = VirtualPath::root().join(base.as_bytes()).unwrap();
        base.join(argument.as_bytes()).unwrap().to_string()
    }

    #[test]
    fn arguments_resolve_as_a_client_expects() {
        assert_eq!(at("/a", "b"), "/a/b");
        assert_eq!(at("/a", "/b/"), "/b");
        assert_eq!(at("/a", ""), "/a");
        assert_eq!(at("/a/b", "../c/./d//e"), "/a/c/d/e");
        assert_eq!(at("/", "../../etc/passwd"), "/etc/passwd");
        assert_eq!(at("/a", " b "), "/a/ b ");
    }

    #[test]
    fn what_cannot_be_named_is_refused() {
        let root = VirtualPath::root();
        for bad in ["a\rb", "a\nb", "a\0", "\u{1b}[2J", "\u{7f}", "\u{85}", "\u{2028}", "\u{202e}x"] {
            assert_eq!(root.join(bad.as_bytes()), Err(PathError::Character), "{bad:?}");
        }
        assert_eq!(root.join(b"a\xff"), Err(PathError::Encoding));
        assert_eq!(root.join("x".repeat(256).as_bytes()), Err(PathError::Length));
        assert_eq!(root.join("a/".repeat(129).as_bytes()), Err(PathError::Length));
        assert_eq!(root.join(".portcullis-staging/x".as_bytes()), Err(PathError::Reserved));
    }

    #[test]
    fn parents_names_and_descent() {
        let path = VirtualPath::root().join(b"/a/b").unwrap();
        assert_eq!(path.parent().as_str(), "/a");
        assert_eq!(path.parent().parent().as_str(), "/");
        assert_eq!(path.name(), Some("b"));
        assert_eq!(VirtualPath::root().name(), None);
        assert!(path.is_within(&path.parent()));
        assert!(!VirtualPath::root().join(b"/ab").unwrap().is_within(&path.parent()));
    }

    proptest! {
        #[test]
        fn every_result_is_canonical(base in ".{0,40}", argument in prop::collection::vec(any::<u8>(), 0..80)) {
            let base = VirtualPath::root().join(base.as_bytes()).unwrap_or_else(|_| VirtualPath::root());
            if let Ok(path) = base.join(&argument) {
                prop_assert!(path.as_str().starts_with('/'));
                prop_assert!(path.is_root() || !path.as_str().ends_with('/'));
                prop_assert!(path.names().all(|n| n != "." && n != ".." && is_presentable(n)));
                prop_assert_eq!(VirtualPath::root().join(path.as_str().as_bytes()), Ok(path.clone()));
                prop_assert!(path.is_within(&path.parent()));
            }
        }
    }
}
