//! Patterns of paths, as rules name them: `/in/**`, `/reports/*.csv`.

mod relations;
mod walk;

use std::cmp::Ordering;
use std::fmt;

use crate::proto::path::{DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX, VirtualPath};
use crate::proto::pattern::Pattern;

/// A pattern of whole paths. Each name in it stands for itself, for the names that its `*`, `?` and
/// `[a-z]` mean, or, where it is `**`, for any number of names, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Name(String),
    /// A pattern, and how it is written.
    Names(Pattern, String),
    Tree,
}

/// How exactly a pattern says which paths it means; the greater decides. More names written out
/// come first, then more names with wildcards, then a pattern without `**`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    written_out: usize,
    with_wildcards: usize,
    without_tree: bool,
}

impl Specificity {
    /// That of a path and everything below it.
    pub(super) fn of_tree(path: &VirtualPath) -> Self {
        Self { written_out: path.names().count(), with_wildcards: 0, without_tree: false }
    }
}

/// Why a text is no pattern of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathPatternError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// It has an empty name, `.` or `..`, or ends with `/`.
    NotCanonical,
    /// `**` stands in a name with other characters.
    TreeInName,
    /// It has a character that no path has, or a name of the server's own.
    Character,
    /// Longer or deeper than any path.
    Length,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PathPatternError`] says what no path could ever match.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        let rest = text.strip_prefix('/').ok_or(PathPatternError::NotAbsolute)?;
        if text.len() > PATH_BYTES_MAX {
            return Err(PathPatternError::Length);
        }
        let mut parts: Vec<Part> = Vec::new();
        for name in rest.split('/').filter(|_| !rest.is_empty()) {
            let part = part(name)?;
            // Several `**` in a row mean what one means.
            if part != Part::Tree || parts.last() != Some(&Part::Tree) {
                parts.push(part);
            }
        }
        if parts.len() > DEPTH_MAX {
            return Err(PathPatternError::Length);
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The pattern of a path and everything below it.
    #[must_use]
    pub fn tree(path: &VirtualPath) -> Self {
        let mut parts: Vec<Part> = path.names().map(|name| Part::Name(name.to_owned())).collect();
        parts.push(Part::Tree);
        let text = if path.is_root() { "/**".to_owned() } else { format!("{path}/**") };
        Self { text, parts }
    }

    /// Whether it means the path.
    pub fn matches(&self, path: &VirtualPath) -> bool {
        self.states_after(path).last().copied().unwrap_or(false)
    }

    /// Whether it means the path and everything below it.
    pub fn covers(&self, path: &VirtualPath) -> bool {
        // A `**` at the end that is reached stays reached, however deep a path goes on.
        let states = self.states_after(path);
        self.parts.last() == Some(&Part::Tree) && states.get(self.parts.len().saturating_sub(1)) == Some(&true)
    }

    /// Whether it means something below the path.
    pub fn reaches_below(&self, path: &VirtualPath) -> bool {
        let states = self.states_after(path);
        states.iter().take(self.parts.len()).any(|reached| *reached)
    }

    /// How exactly it says what it means.
    pub fn specificity(&self) -> Specificity {
        let count = |wanted: fn(&Part) -> bool| self.parts.iter().filter(|part| wanted(part)).count();
        Specificity {
            written_out: count(|part| matches!(part, Part::Name(_))),
            with_wildcards: count(|part| matches!(part, Part::Names(..))),
            without_tree: count(|part| matches!(part, Part::Tree)) == 0,
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// For each number of parts, whether the path is meant by so many of the first ones. The work
    /// is bounded by the names of the path multiplied by the parts.
    fn states_after(&self, path: &VirtualPath) -> Vec<bool> {
        let mut states = vec![false; self.parts.len().saturating_add(1)];
        if let Some(first) = states.first_mut() {
            *first = true;
        }
        skip_trees(&self.parts, &mut states);
        for name in path.names() {
            let mut next = vec![false; states.len()];
            for (index, part) in self.parts.iter().enumerate().filter(|(index, _)| states.get(*index) == Some(&true)) {
                let (reached, takes) = match part {
                    Part::Tree => (index, true),
                    Part::Name(own) => (index.saturating_add(1), own == name),
                    Part::Names(pattern, _) => (index.saturating_add(1), pattern.matches(name)),
                };
                if let Some(state) = next.get_mut(reached).filter(|_| takes) {
                    *state = true;
                }
            }
            skip_trees(&self.parts, &mut next);
            states = next;
        }
        states
    }
}

/// A `**` means no name at all, too.
fn skip_trees(parts: &[Part], states: &mut [bool]) {
    for (index, part) in parts.iter().enumerate() {
        if *part == Part::Tree
            && states.get(index) == Some(&true)
            && let Some(behind) = states.get_mut(index.saturating_add(1))
        {
            *behind = true;
        }
    }
}

fn part(name: &str) -> Result<Part, PathPatternError> {
    if name == "**" {
        return Ok(Part::Tree);
    }
    if name.contains("**") {
        return Err(PathPatternError::TreeInName);
    }
    if matches!(name, "" | "." | "..") {
        return Err(PathPatternError::NotCanonical);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(PathPatternError::Length);
    }
    if VirtualPath::root().join(name.as_bytes()).is_err() {
        return Err(PathPatternError::Character);
    }
    Ok(match Pattern::parse(name) {
        Some(pattern) => Part::Names(pattern, name.to_owned()),
        None => Part::Name(name.to_owned()),
    })
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PathPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "a path of a rule begins with /",
            Self::NotCanonical => "a path of a rule has no empty names, no `.` or `..`, and no / at its end",
            Self::TreeInName => "`**` stands for whole names; in a name, write `*`",
            Self::Character => "no path has a name like this",
            Self::Length => "this is longer than any path",
        })
    }
}

/// The more specific of two, or equal.
pub fn compare(one: &PathPattern, other: &PathPattern) -> Ordering {
    one.specificity().cmp(&other.specificity())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> VirtualPath {
        VirtualPath::root().join(text.as_bytes()).unwrap()
    }

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn each_name_is_matched_on_its_own_and_two_stars_take_any_number() {
        for (text, matched) in [
            ("/", "/"),
            ("/in", "/in"),
            ("/in/*", "/in/a"),
            ("/in/**", "/in"),
            ("/in/**", "/in/a/b"),
            ("/**", "/"),
            ("/**/x", "/x"),
            ("/**/x", "/a/b/x"),
            ("/a/**/b/*.csv", "/a/1/2/b/r.csv"),
        ] {
            assert!(pattern(text).matches(&path(matched)), "{text} {matched}");
        }
        for (text, other) in [
            ("/", "/a"),
            ("/in", "/in/a"),
            ("/in/*", "/in"),
            ("/in/*", "/in/a/b"),
            ("/in/**", "/inn"),
            ("/**/x", "/x/y"),
        ] {
            assert!(!pattern(text).matches(&path(other)), "{text} {other}");
        }
    }

    #[test]
    fn what_lies_below_is_covered_reached_or_neither() {
        let (tree, deep) = (pattern("/in/**"), pattern("/in/*/done"));
        assert!(tree.covers(&path("/in/a")) && tree.covers(&path("/in")) && !tree.covers(&path("/")));
        assert!(
            tree.reaches_below(&path("/")) && tree.reaches_below(&path("/in/a")) && !tree.reaches_below(&path("/b"))
        );
        assert!(deep.reaches_below(&path("/in")) && deep.reaches_below(&path("/in/x")) && !deep.covers(&path("/in")));
        assert!(!deep.reaches_below(&path("/in/x/done")));
        assert!(PathPattern::tree(&path("/")).covers(&path("/")) && PathPattern::tree(&path("/a")) == pattern("/a/**"));
    }

    #[test]
    fn the_more_is_written_out_the_more_specific_it_is() {
        let order = ["/**", "/**/*", "/*", "/in/**", "/in/*.csv", "/in/a/**", "/in/a"];
        for pair in order.windows(2) {
            assert_eq!(compare(&pattern(pair[0]), &pattern(pair[1])), Ordering::Less, "{pair:?}");
        }
    }

    #[test]
    fn what_no_path_could_match_is_refused() {
        for (text, error) in [
            ("in", PathPatternError::NotAbsolute),
            ("/in/", PathPatternError::NotCanonical),
            ("/a//b", PathPatternError::NotCanonical),
            ("/../x", PathPatternError::NotCanonical),
            ("/a**", PathPatternError::TreeInName),
            ("/.portcullis-staging", PathPatternError::Character),
            ("/a\u{202e}", PathPatternError::Character),
        ] {
            assert_eq!(PathPattern::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn below_what_is_covered_everything_matches(
            text in "(/(a|b|\\*|\\*\\*|a\\*)){0,4}",
            at in "(/(a|b|ab)){0,3}",
            below in "(/(a|b|ab)){1,3}",
        ) {
            let pattern = pattern(if text.is_empty() { "/" } else { &text });
            let (at, deeper) = (path(&at), path(&format!("{at}{below}")));
            if pattern.covers(&at) {
                prop_assert!(pattern.matches(&at) && pattern.matches(&deeper));
            }
            if pattern.matches(&deeper) {
                prop_assert!(pattern.reaches_below(&at));
            }
        }
    }
}
