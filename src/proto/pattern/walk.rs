//! A pattern followed character by character, for whoever looks for the names that several patterns
//! tell apart.

use super::{Part, Pattern};

/// The places in a pattern that a name has led to; none where no longer name is matched either.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Walk(Vec<usize>);

impl Walk {
    /// Whether nothing that begins so is matched.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

impl Pattern {
    /// The pattern of one name.
    #[must_use]
    pub fn literal(name: &str) -> Self {
        Self(name.chars().map(Part::Literal).collect())
    }

    /// The places before the first character.
    pub fn start(&self) -> Walk {
        self.reached(std::iter::once(0))
    }

    /// The places behind one character more.
    pub fn step(&self, walk: &Walk, character: char) -> Walk {
        let next = walk.0.iter().filter_map(|at| match self.0.get(*at)? {
            Part::Any => Some(*at),
            part => part.takes(character).then(|| at.saturating_add(1)),
        });
        self.reached(next)
    }

    /// Whether the name that led here is matched.
    pub fn accepts(&self, walk: &Walk) -> bool {
        walk.0.last() == Some(&self.0.len())
    }

    /// The characters at which the pattern begins or ceases to take another view: between two of
    /// them that follow each other, all are the same to it.
    pub fn boundaries(&self) -> Vec<char> {
        let after = |c: char| char::from_u32(u32::from(c).saturating_add(1));
        let ranges = self.0.iter().flat_map(|part| match part {
            Part::Literal(literal) => vec![(*literal, *literal)],
            Part::Set { ranges, .. } => ranges.clone(),
            Part::Any | Part::One => Vec::new(),
        });
        ranges.flat_map(|(first, last)| [Some(first), after(last)]).flatten().collect()
    }

    /// These places, and those behind a star, which takes nothing, too.
    fn reached(&self, places: impl Iterator<Item = usize>) -> Walk {
        let mut all: Vec<usize> = Vec::new();
        for mut place in places {
            all.push(place);
            while self.0.get(place) == Some(&Part::Any) {
                place = place.saturating_add(1);
                all.push(place);
            }
        }
        all.sort_unstable();
        all.dedup();
        Walk(all)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_walk_ends_as_the_match_does(text in "[ab*?\\[\\]!-]{1,8}", name in "[abc-]{0,6}") {
            let Some(pattern) = Pattern::parse(&text) else { return Ok(()) };
            let walk = name.chars().fold(pattern.start(), |walk, c| pattern.step(&walk, c));
            prop_assert_eq!(pattern.accepts(&walk), pattern.matches(&name));
        }
    }
}
