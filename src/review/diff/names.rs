//! Names, one for each way in which patterns can tell names apart.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::proto::path::{NAME_BYTES_MAX, RESERVED_PREFIX, is_presentable};
use crate::proto::pattern::Pattern;
use crate::proto::pattern::walk::Walk;

/// Most beginnings of names that are followed.
const BEGINNINGS_MAX: usize = 20_000;
/// Characters that are taken where any of several would do.
const PREFERRED: &str = "xyzabcdefghijklmnopqrstuvwABCXYZ0123456789_-. ";
/// Most characters that are looked at for one that a name may have.
const LOOKED_AT_MAX: usize = 4_096;

/// A pattern of names, and whether upper and lower case are the same to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Teller {
    pub(super) pattern: Pattern,
    pub(super) folds_case: bool,
}

/// Where a beginning has led in each pattern that it can still match.
type Places = Vec<(usize, Walk)>;

impl Teller {
    fn step(&self, walk: &Walk, character: char) -> Walk {
        if self.folds_case {
            character.to_lowercase().fold(walk.clone(), |walk, lower| self.pattern.step(&walk, lower))
        } else {
            self.pattern.step(walk, character)
        }
    }
}

/// The names; none where there would be too many to follow.
pub(super) fn representatives(mut tellers: Vec<Teller>) -> Option<Vec<String>> {
    // Names that no client can give are told apart from all others, too.
    let not_names = [Pattern::literal("."), Pattern::literal(".."), Pattern::parse(&format!("{RESERVED_PREFIX}*"))?];
    tellers.extend(not_names.map(|pattern| Teller { pattern, folds_case: false }));
    let alphabet = alphabet(&tellers);
    let start: Places = tellers.iter().enumerate().map(|(index, teller)| (index, teller.pattern.start())).collect();
    let mut seen = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([(String::new(), start)]);
    let mut found: HashMap<Vec<usize>, String> = HashMap::new();
    let mut names = Vec::new();
    while let Some((name, places)) = queue.pop_front() {
        for character in &alphabet {
            let longer = format!("{name}{character}");
            if longer.len() > NAME_BYTES_MAX {
                continue;
            }
            let step = |(index, walk): &(usize, Walk)| Some((*index, tellers.get(*index)?.step(walk, *character)));
            let next: Places = places.iter().filter_map(step).filter(|(_, walk)| !walk.is_over()).collect();
            if !seen.insert(next.clone()) {
                continue;
            }
            if seen.len() > BEGINNINGS_MAX {
                return None;
            }
            let accepts =
                |(index, walk): &(usize, Walk)| tellers.get(*index).filter(|t| t.pattern.accepts(walk)).map(|_| *index);
            let matched: Vec<usize> = next.iter().filter_map(accepts).collect();
            if is_name(&longer) && !found.contains_key(&matched) {
                found.insert(matched, longer.clone());
                names.push(longer.clone());
            }
            queue.push_back((longer, next));
        }
    }
    Some(names)
}

fn is_name(text: &str) -> bool {
    is_presentable(text) && text != "." && text != ".."
}

/// One character for each view that the patterns can take of characters.
fn alphabet(tellers: &[Teller]) -> Vec<char> {
    let mut boundaries = vec!['\0'];
    for teller in tellers {
        for boundary in teller.pattern.boundaries() {
            boundaries.push(boundary);
            if teller.folds_case {
                boundaries.extend(boundary.to_uppercase());
            }
        }
    }
    boundaries.sort_unstable();
    boundaries.dedup();
    let ends = boundaries.iter().skip(1).map(|end| Some(*end)).chain([None]);
    let mut alphabet: Vec<char> = boundaries.iter().zip(ends).filter_map(|(first, end)| pick(*first, end)).collect();
    let liked = |c: &char| PREFERRED.chars().position(|other| other == *c).unwrap_or(usize::MAX);
    alphabet.sort_by_key(liked);
    alphabet
}

/// A character that a name may have, from the first one on and before the end.
fn pick(first: char, end: Option<char>) -> Option<char> {
    let within = |c: &char| *c >= first && end.is_none_or(|end| *c < end);
    let usable = |c: &char| *c != '/' && is_presentable(&c.to_string());
    let preferred = PREFERRED.chars().find(|c| within(c) && usable(c));
    preferred.or_else(|| (first..=char::MAX).take(LOOKED_AT_MAX).take_while(within).find(usable))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tellers(texts: &[String]) -> Vec<Teller> {
        let pattern = |text: &String| Pattern::parse(text).unwrap_or_else(|| Pattern::literal(text));
        texts.iter().map(|text| Teller { pattern: pattern(text), folds_case: false }).collect()
    }

    #[test]
    fn there_is_a_name_for_every_combination() {
        let texts = ["*.csv", "a*", "a.csv"].map(str::to_owned);
        let mut names = representatives(tellers(&texts)).unwrap();
        names.sort();
        assert_eq!(names, [".csv", "a", "a.csv", "ax.csv", "x"]);
    }

    proptest! {
        #[test]
        fn every_name_has_its_like(
            texts in prop::collection::vec("[ab*?.]{1,4}|\\[a-b\\]\\*", 0..5),
            name in "[abc.]{1,5}",
        ) {
            prop_assume!(is_name(&name));
            let tellers = tellers(&texts);
            let matched = |name: &str| -> Vec<bool> {
                let ends = |teller: &Teller| {
                    let walk = name.chars().fold(teller.pattern.start(), |walk, c| teller.step(&walk, c));
                    teller.pattern.accepts(&walk)
                };
                tellers.iter().map(ends).collect()
            };
            let names = representatives(tellers.clone()).unwrap();
            prop_assert!(names.iter().any(|other| matched(other) == matched(&name)), "{name} is like none of {names:?}");
        }
    }
}
