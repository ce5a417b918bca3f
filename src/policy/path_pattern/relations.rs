//! What two patterns have to do with each other, and an example of what one means.

use super::{Part, PathPattern, skip_trees};
use crate::proto::path::VirtualPath;

/// A name for samples; that a policy means it in particular is unlikely, and would do no harm.
const SAMPLE: &str = "x";

impl PathPattern {
    /// Whether it means every path that the other one means. Where two patterns of names are not
    /// written alike, the answer may be no although it would be yes.
    pub fn includes(&self, other: &Self) -> bool {
        let mut states = vec![false; self.parts.len().saturating_add(1)];
        if let Some(first) = states.first_mut() {
            *first = true;
        }
        skip_trees(&self.parts, &mut states);
        for wanted in &other.parts {
            let mut next = vec![false; states.len()];
            for (index, part) in self.parts.iter().enumerate().filter(|(index, _)| states.get(*index) == Some(&true)) {
                let reached = match (part, wanted) {
                    // It takes whatever the other one takes, and stays where it is.
                    (Part::Tree, _) => Some(index),
                    (_, Part::Tree) => None,
                    (part, wanted) => part.includes(wanted).then(|| index.saturating_add(1)),
                };
                if let Some(state) = reached.and_then(|index| next.get_mut(index)) {
                    *state = true;
                }
            }
            skip_trees(&self.parts, &mut next);
            states = next;
        }
        states.last().copied().unwrap_or(false)
    }

    /// Whether some path may be meant by both. Where two patterns of names are concerned, the answer
    /// may be yes although it would be no.
    pub fn may_meet(&self, other: &Self) -> bool {
        let width = other.parts.len().saturating_add(1);
        let mut reached = vec![false; width];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        skip_trees(&other.parts, &mut reached);
        for part in &self.parts {
            let mut next = if *part == Part::Tree { reached.clone() } else { vec![false; width] };
            for (index, theirs) in other.parts.iter().enumerate() {
                if reached.get(index) != Some(&true) && !(*part == Part::Tree && next.get(index) == Some(&true)) {
                    continue;
                }
                let to = match (part, theirs) {
                    (Part::Tree, _) => Some(index.saturating_add(1)),
                    (_, Part::Tree) => Some(index),
                    (ours, theirs) => ours.may_meet(theirs).then(|| index.saturating_add(1)),
                };
                if let Some(state) = to.and_then(|index| next.get_mut(index)) {
                    *state = true;
                }
            }
            skip_trees(&other.parts, &mut next);
            reached = next;
        }
        reached.last().copied().unwrap_or(false)
    }

    /// A path that it means, below the root where it can be; none where no simple one is found.
    pub fn sample(&self) -> Option<VirtualPath> {
        let name = |part: &Part| match part {
            Part::Name(name) => name.clone(),
            Part::Names(_, text) => sample_name(text),
            Part::Tree => SAMPLE.to_owned(),
        };
        let names: Vec<String> = self.parts.iter().map(name).collect();
        let path = VirtualPath::root().join(format!("/{}", names.join("/")).as_bytes()).ok()?;
        self.matches(&path).then_some(path)
    }

    /// The path that all paths meant by it have in common at their beginning.
    pub fn stem(&self) -> VirtualPath {
        let written = self.parts.iter().map_while(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Names(..) | Part::Tree => None,
        });
        let path = written.fold(String::from("/"), |path, name| path + name + "/");
        VirtualPath::root().join(path.trim_end_matches('/').as_bytes()).unwrap_or_else(|_| VirtualPath::root())
    }
}

impl Part {
    /// Whether it means every name that the other one means; neither stands for a tree.
    fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Names(_, text), _) if text == "*" => true,
            (Self::Names(pattern, _), Self::Name(name)) => pattern.matches(name),
            (one, other) => one == other,
        }
    }

    /// Whether some name may be meant by both; neither stands for a tree.
    fn may_meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => one == other,
            (Self::Names(pattern, _), Self::Name(name)) | (Self::Name(name), Self::Names(pattern, _)) => {
                pattern.matches(name)
            }
            _ => true,
        }
    }
}

/// A name that a pattern of names may mean: its wildcards replaced by letters.
fn sample_name(text: &str) -> String {
    let mut name = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '*' | '?' => name.push_str(SAMPLE),
            '[' => {
                name.extend(rest.next());
                rest = rest.as_str().split_once(']').map_or("", |(_, behind)| behind).chars();
            }
            plain => name.push(plain),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(if text.is_empty() { "/" } else { text }).unwrap()
    }

    #[test]
    fn a_wider_pattern_includes_a_narrower_one_and_not_the_other_way_round() {
        for (wide, narrow) in [
            ("/**", "/in/*.csv"),
            ("/in/**", "/in"),
            ("/in/**", "/in/**/x"),
            ("/**/x", "/a/**/x"),
            ("/in/*", "/in/*.csv"),
            ("/in/*.csv", "/in/a.csv"),
            ("/*/**", "/in/**"),
        ] {
            assert!(pattern(wide).includes(&pattern(narrow)), "{wide} {narrow}");
            assert!(!pattern(narrow).includes(&pattern(wide)), "{narrow} {wide}");
            assert!(pattern(narrow).may_meet(&pattern(wide)) && pattern(wide).may_meet(&pattern(narrow)));
        }
        assert!(!pattern("/in/**").may_meet(&pattern("/out/**")) && !pattern("/*").may_meet(&pattern("/a/b")));
    }

    #[test]
    fn a_sample_is_meant_and_a_stem_leads_there() {
        for (text, sample, stem) in [
            ("/", "/", "/"),
            ("/in/**", "/in/x", "/in"),
            ("/in/*.[ct]sv", "/in/x.csv", "/in"),
            ("/**/done", "/x/done", "/"),
            ("/a/b", "/a/b", "/a/b"),
        ] {
            assert_eq!(pattern(text).sample().unwrap().as_str(), sample);
            assert_eq!(pattern(text).stem().as_str(), stem);
        }
    }

    proptest! {
        #[test]
        fn what_is_said_of_two_patterns_holds_for_every_path(
            one in "(/(a|b|\\*|\\*\\*|a\\*|[ab])){0,4}",
            other in "(/(a|b|\\*|\\*\\*|a\\*)){0,4}",
            paths in prop::collection::vec("(/(a|b|ab)){0,4}", 12),
        ) {
            let (one, other) = (pattern(&one), pattern(&other));
            for path in paths {
                let path = VirtualPath::root().join(path.as_bytes()).unwrap();
                if one.includes(&other) && other.matches(&path) {
                    prop_assert!(one.matches(&path), "{one} {other} {path}");
                }
                if one.matches(&path) && other.matches(&path) {
                    prop_assert!(one.may_meet(&other) && other.may_meet(&one), "{one} {other} {path}");
                }
            }
            prop_assert!(one.includes(&one));
            if let Some(sample) = one.sample() {
                prop_assert!(one.matches(&sample) && sample.is_within(&one.stem()));
            }
        }
    }
}
