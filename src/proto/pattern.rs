//! Patterns of names, as people give them to `LIST` and `NLST`: `*`, `?`, `[a-z]`, `[!a-z]`.

pub mod walk;

/// A pattern of one name. Matching needs at most as many steps as the name and the pattern have
/// characters, multiplied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Any characters, or none.
    Any,
    /// Any one character.
    One,
    /// This character.
    Literal(char),
    /// One character that lies in one of the ranges, or in none of them.
    Set { ranges: Vec<(char, char)>, inside: bool },
}

impl Pattern {
    /// Reads a pattern; none where the text has no wildcard, and so is just a name. A `[` without
    /// its `]` is a character like any other, and so is a backslash.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text.chars();
        while let Some(next) = rest.next() {
            let part = match next {
                '*' => Part::Any,
                '?' => Part::One,
                '[' => match set(rest.as_str()) {
                    Some((set, behind)) => {
                        rest = behind.chars();
                        set
                    }
                    None => Part::Literal('['),
                },
                literal => Part::Literal(literal),
            };
            // Several stars in a row mean what one means.
            if part != Part::Any || parts.last() != Some(&Part::Any) {
                parts.push(part);
            }
        }
        let wild = parts.iter().any(|part| !matches!(part, Part::Literal(_)));
        wild.then_some(Self(parts))
    }

    /// Whether the whole name is as the pattern says; upper and lower case differ.
    pub fn matches(&self, name: &str) -> bool {
        let (mut parts, mut rest) = (self.0.as_slice(), name.chars());
        // Where the last star stands, and the name behind what it has taken so far.
        let mut star = None;
        loop {
            match parts {
                [Part::Any, behind @ ..] => {
                    star = Some((behind, rest.clone()));
                    parts = behind;
                    continue;
                }
                [part, behind @ ..] => {
                    let mut ahead = rest.clone();
                    let Some(next) = ahead.next() else { return false };
                    if part.takes(next) {
                        (parts, rest) = (behind, ahead);
                        continue;
                    }
                }
                [] if rest.as_str().is_empty() => return true,
                [] => {}
            }
            // What stands here does not fit: the last star takes one character more.
            let Some((behind, taken)) = &mut star else { return false };
            if taken.next().is_none() {
                return false;
            }
            (parts, rest) = (behind, taken.clone());
        }
    }
}

impl Part {
    fn takes(&self, character: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Literal(literal) => *literal == character,
            Self::Set { ranges, inside } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) == *inside
            }
        }
    }
}

/// The set that begins behind a `[`, and what stands behind its `]`. A `]` at its beginning is one
/// of its characters.
fn set(text: &str) -> Option<(Part, &str)> {
    let inside = !text.starts_with(['!', '^']);
    let mut rest = if inside { text.chars() } else { text.get(1..)?.chars() };
    let mut ranges = Vec::new();
    loop {
        let first = rest.next()?;
        if first == ']' && !ranges.is_empty() {
            return Some((Part::Set { ranges, inside }, rest.as_str()));
        }
        let mut ahead = rest.clone();
        let last = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) if last != ']' => {
                rest = ahead;
                last
            }
            _ => first,
        };
        ranges.push((first, last));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap_or_else(|| panic!("{pattern} is a pattern")).matches(name)
    }

    #[test]
    fn wildcards_stand_for_what_they_do_in_a_shell() {
        for (pattern, name) in [
            ("*", "report.csv"),
            ("*.csv", ".csv"),
            ("r*t.c?v", "report.csv"),
            ("*o*o*", "foo"),
            ("[a-cx]1", "b1"),
            ("[!a-c]1", "d1"),
            ("[^a-c]1", "d1"),
            ("[]]1", "]1"),
            ("[a-]1", "-1"),
            ("?ber", "über"),
            ("[x*", "[xyz"),
            ("\\*", "\\a"),
        ] {
            assert!(matches(pattern, name), "{pattern} takes {name}");
        }
        for (pattern, name) in [
            ("*.csv", "report.txt"),
            ("*.csv", "report.csv.bak"),
            ("?", ""),
            ("?", "ab"),
            ("[a-c]1", "d1"),
            ("[!a-c]1", "a1"),
            ("*.CSV", "report.csv"),
        ] {
            assert!(!matches(pattern, name), "{pattern} does not take {name}");
        }
    }

    #[test]
    fn a_name_is_no_pattern() {
        for name in ["", "report.csv", "[", "[]", "[!]", "a[b", "back\\slash"] {
            assert_eq!(Pattern::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_worst_pattern_ends_soon() {
        let name = "a".repeat(255);
        let pattern = format!("{}b", "*a".repeat(127));
        // Trying every way to share the name among the stars would never end.
        assert!(!matches(&pattern, &name));
    }

    proptest! {
        #[test]
        fn stars_take_whatever_was_cut_out(name in "[a-c]{0,12}", cuts in prop::collection::vec(0usize..13, 1..4)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(name.len())).collect();
            cuts.sort_unstable();
            let mut pattern = String::new();
            let mut from = 0;
            for pair in cuts.chunks(2) {
                pattern.push_str(&name[from..pair[0]]);
                pattern.push('*');
                from = *pair.last().unwrap();
            }
            pattern.push_str(&name[from..]);
            prop_assert!(matches(&pattern, &name), "{} {}", pattern, name);
        }

        #[test]
        fn no_text_is_too_odd(pattern in ".{0,40}", name in ".{0,40}") {
            if let Some(pattern) = Pattern::parse(&pattern) {
                pattern.matches(&name);
            }
        }
    }
}
