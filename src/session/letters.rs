//! The `perm` fact (RFC 3659 §7.5.5): a letter for each thing that the user may do.

use crate::policy::permission::{Permission, PermissionSet};

/// The letters of files and the permission each needs.
const FILE: [(char, Permission); 5] = [
    ('a', Permission::Append),
    ('d', Permission::Delete),
    ('f', Permission::Rename),
    ('r', Permission::Read),
    ('w', Permission::Overwrite),
];
/// Those of directories, besides `e`: one that is shown can be entered.
const DIRECTORY: [(char, Permission); 6] = [
    ('c', Permission::Create),
    ('d', Permission::RemoveDirectory),
    ('f', Permission::Rename),
    ('l', Permission::List),
    ('m', Permission::MakeDirectory),
    ('p', Permission::Delete),
];

/// Writes the letters, and keeps them while the permissions stay the same, as they mostly do from
/// one entry of a listing to the next.
#[derive(Clone, Debug)]
pub struct Letters {
    of: PermissionSet,
    file: String,
    directory: String,
}

impl Default for Letters {
    fn default() -> Self {
        Self::new(PermissionSet::NONE)
    }
}

impl Letters {
    fn new(of: PermissionSet) -> Self {
        let letters = |table: &[(char, Permission)]| -> String {
            table.iter().filter(|(_, needed)| of.contains(*needed)).map(|(letter, _)| *letter).collect()
        };
        Self { of, file: letters(&FILE), directory: format!("e{}", letters(&DIRECTORY)) }
    }

    /// The letters for a file or a directory.
    pub fn of(&mut self, permissions: PermissionSet, directory: bool) -> &str {
        if self.of != permissions {
            *self = Self::new(permissions);
        }
        if directory { &self.directory } else { &self.file }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_follow_the_permissions() {
        let mut letters = Letters::default();
        assert_eq!(letters.of(PermissionSet::NONE, true), "e");
        assert_eq!(letters.of(PermissionSet::READ_ONLY, false), "r");
        assert_eq!(letters.of(PermissionSet::ALL, true), "ecdflmp");
        assert_eq!(letters.of(PermissionSet::ALL, false), "adfrw");
    }
}
