//! The proof of a decision: a value that only [`Policy::judge`](super::Policy::judge) makes and
//! that every operation of the store asks for.

use std::fmt;
use std::sync::Arc;

use super::permission::{Permission, PermissionSet};
use crate::proto::path::VirtualPath;

/// Where a rule stands, so that a decision can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSource {
    /// The file, as the operator named it.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: u32,
}

impl fmt::Display for RuleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Leave to act on one path. It cannot be copied or made anywhere else, and says for which path
/// and which actions it was given.
#[derive(Debug)]
#[must_use = "a grant that is not used was asked for in vain"]
pub struct Grant {
    path: VirtualPath,
    permissions: PermissionSet,
}

impl Grant {
    pub(super) fn new(path: VirtualPath, permissions: PermissionSet) -> Self {
        Self { path, permissions }
    }

    /// The path it was given for.
    pub fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// Whether it covers this action.
    pub fn allows(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// A grant for tests of the code that consumes grants.
    #[cfg(test)]
    pub(crate) fn for_test(path: &str, permissions: PermissionSet) -> Self {
        Self { path: VirtualPath::root().join(path.as_bytes()).unwrap(), permissions }
    }
}

/// A decision of the policy, with the rule that decided.
#[derive(Debug)]
#[must_use]
pub enum Judgement {
    /// Allowed, as far as the grant goes.
    Allow(Grant),
    /// Refused.
    Deny(Denial),
}

/// Why the policy refused an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The rule that decided; none where silence did.
    pub rule: Option<RuleSource>,
}
