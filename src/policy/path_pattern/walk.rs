//! What a pattern of paths is made of, for whoever looks for the paths that several patterns tell
//! apart.

use super::{Part, PathPattern};
use crate::proto::path::VirtualPath;
use crate::proto::pattern::Pattern;

impl PathPattern {
    /// What tells names apart in it: names written out, and patterns of names.
    pub fn names(&self) -> impl Iterator<Item = Pattern> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(Pattern::literal(name)),
            Part::Names(pattern, _) => Some(pattern.clone()),
            Part::Tree => None,
        })
    }

    /// How far a path leads in it: for each number of parts, whether the path is meant by so many
    /// of the first ones. Two paths with the same are the same to it, and so is all below them.
    pub fn led_to(&self, path: &VirtualPath) -> Vec<bool> {
        self.states_after(path)
    }
}
