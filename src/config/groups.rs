//! The groups of users.toml, each with what it takes over from its own groups.

use std::collections::BTreeMap;

use super::findings::{Findings, Place, shown};
use super::section::Section;
use super::server::did_you_mean;
use super::terms;
use super::users::Context;
use crate::identity::Username;
use crate::policy::account::{Group, Terms};

/// A group as its table has it.
struct Stated {
    group: Group,
    place: Place,
}

/// The groups of the file.
pub(super) fn groups(root: &Section<'_>, context: &Context<'_>, findings: &mut Findings) -> BTreeMap<String, Group> {
    let section = root.open("group", findings);
    let names: Vec<&str> = section.entries().map(|entry| entry.key.as_str()).collect();
    let mut stated = BTreeMap::new();
    for entry in section.entries() {
        if Username::parse(&entry.key).is_err() {
            let message = format!("`{}` cannot name a group", shown(&entry.key));
            findings.error(entry.place, message, "letters, digits and . _ - @ +, beginning with a letter or digit");
        }
        let name = format!("group.{}", entry.key);
        let section = Section::of(&entry.node, name, entry.place, "group.NAME", findings);
        let group = Group {
            groups: member_of(&section, &names, findings),
            terms: terms::read(&section, &format!("group {}", entry.key), context, findings),
            source: findings.rule_source(entry.place),
        };
        stated.insert(entry.key.clone(), Stated { group, place: section.place_of("groups") });
    }
    let mut groups = BTreeMap::new();
    for name in stated.keys() {
        let mut way = Vec::new();
        settle(name, &stated, &mut groups, &mut way, findings);
    }
    groups
}

/// Completes a group once the groups that it names are complete. `way` is how it was come to.
fn settle<'a>(
    name: &'a str,
    stated: &'a BTreeMap<String, Stated>,
    settled: &mut BTreeMap<String, Group>,
    way: &mut Vec<&'a str>,
    findings: &mut Findings,
) {
    let Some(Stated { group, place }) = stated.get(name).filter(|_| !settled.contains_key(name)) else { return };
    if let Some(begin) = way.iter().position(|seen| *seen == name) {
        let round: Vec<&str> = way.iter().skip(begin).copied().chain([name]).collect();
        let message = format!("group `{}` belongs to itself: {}", shown(name), shown(&round.join(" → ")));
        findings.error(*place, message, "take one of these groups out of the list of the one before it");
        return;
    }
    way.push(name);
    for parent in &group.groups {
        settle(parent, stated, settled, way, findings);
    }
    way.pop();
    let parents: Vec<&Terms> = group.groups.iter().filter_map(|parent| Some(&settled.get(parent)?.terms)).collect();
    let terms = group.terms.clone().over(&parents);
    settled.insert(name.to_owned(), Group { terms, ..group.clone() });
}

/// The groups that a table names, each once.
pub(super) fn member_of(section: &Section<'_>, known: &[&str], findings: &mut Findings) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for text in section.texts("groups", findings).unwrap_or_default() {
        if !known.contains(&text.text) {
            let otherwise = format!("define it: [group.{}]", shown(text.text));
            let help = did_you_mean(text.text, known.iter().copied(), &otherwise);
            findings.error(text.place, format!("there is no group `{}`", shown(text.text)), help);
        } else if !names.iter().any(|name| name == text.text) {
            names.push(text.text.to_owned());
        }
    }
    names
}
