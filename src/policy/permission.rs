//! What can be permitted: one name for each kind of action on a path.

use std::fmt;

/// One kind of action on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Permission {
    /// See a directory's entries and a file's facts.
    List = 1,
    /// Read a file's content.
    Read = 2,
    /// Make a file that is not there yet.
    Create = 4,
    /// Replace the content of a file that is there.
    Overwrite = 8,
    /// Add to the end of a file that is there.
    Append = 16,
    /// Remove a file.
    Delete = 32,
    /// Give a file or directory another name.
    Rename = 64,
    /// Make a directory.
    MakeDirectory = 128,
    /// Remove an empty directory.
    RemoveDirectory = 256,
    /// Set a file's modification time.
    SetTime = 512,
    /// Have a whole file's content hashed; whoever may read it may that, too.
    Hash = 1024,
    /// Set the permission bits of a file or directory.
    SetMode = 2048,
}

impl Permission {
    /// Every permission, in the order in which they are listed.
    pub const ALL: [Self; 12] = [
        Self::List,
        Self::Read,
        Self::Create,
        Self::Overwrite,
        Self::Append,
        Self::Delete,
        Self::Rename,
        Self::MakeDirectory,
        Self::RemoveDirectory,
        Self::SetTime,
        Self::Hash,
        Self::SetMode,
    ];

    /// The word for it in policy files and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Create => "create",
            Self::Overwrite => "overwrite",
            Self::Append => "append",
            Self::Delete => "delete",
            Self::Rename => "rename",
            Self::MakeDirectory => "mkdir",
            Self::RemoveDirectory => "rmdir",
            Self::SetTime => "set-time",
            Self::Hash => "hash",
            Self::SetMode => "set-mode",
        }
    }

    /// The permission that a policy file's word means.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.word() == word)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(u16);

impl PermissionSet {
    /// No permission at all.
    pub const NONE: Self = Self(0);
    /// Look and fetch, change nothing.
    pub const READ_ONLY: Self = Self(Permission::List as u16 | Permission::Read as u16);
    /// Every permission.
    pub const ALL: Self = Self(0xfff);

    /// The set of these permissions.
    pub const fn of(permissions: &[Permission]) -> Self {
        let mut bits = 0;
        let mut rest = permissions;
        while let [first, tail @ ..] = rest {
            bits |= *first as u16;
            rest = tail;
        }
        Self(bits)
    }

    /// Whether the permission is in the set.
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission as u16 != 0
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The permissions in the set, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::NONE, |set, permission| set.union(Self::of(&[permission])))
    }
}

impl fmt::Display for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Permission::word).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_sets_agree() {
        assert_eq!(PermissionSet::of(&Permission::ALL), PermissionSet::ALL);
        for permission in Permission::ALL {
            assert_eq!(Permission::from_word(permission.word()), Some(permission));
            assert!(!PermissionSet::NONE.contains(permission));
        }
        assert_eq!(PermissionSet::READ_ONLY.to_string(), "list, read");
    }
}
