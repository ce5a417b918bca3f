//! Paths, one for each way in which the rules of two accounts can tell paths apart: where both
//! policies decide alike on these, they decide alike on every path.

use std::collections::{HashSet, VecDeque};

use super::names::{self, Teller};
use crate::policy::account::Account;
use crate::policy::path_pattern::PathPattern;
use crate::policy::rule::NamePattern;
use crate::proto::path::VirtualPath;
use crate::proto::pattern::Pattern;

/// Most paths that are compared of one user.
const PATHS_MAX: usize = 20_000;

/// The paths and what tells them apart.
pub(super) struct Witnesses {
    /// The paths, the shorter ones first.
    pub(super) paths: Vec<VirtualPath>,
    /// Every pattern of either account, mounts among them.
    pub(super) patterns: Vec<PathPattern>,
}

/// The paths for two accounts; none where there would be too many.
pub(super) fn of(accounts: &[&Account]) -> Option<Witnesses> {
    let mut patterns: Vec<PathPattern> = Vec::new();
    let mut uploads: Vec<&NamePattern> = Vec::new();
    for terms in accounts.iter().map(|account| &account.terms) {
        let rules = terms.rules.iter().map(|rule| rule.pattern.clone());
        let exceptions = terms.path_exceptions.iter().map(|exception| exception.granted.pattern.clone());
        let mounts = terms.mounts.iter().map(|mount| PathPattern::tree(&mount.path));
        for pattern in rules.chain(exceptions).chain(mounts) {
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        for upload in terms.rules.iter().map(|rule| &rule.upload) {
            uploads.extend(upload.names_allowed.iter().chain(&upload.names_forbidden));
        }
    }
    let mut tellers: Vec<Teller> = Vec::new();
    let of_paths = patterns.iter().flat_map(PathPattern::names).map(|pattern| Teller { pattern, folds_case: false });
    let of_names = uploads.iter().map(|name| {
        let lower = name.as_str().to_lowercase();
        let pattern = Pattern::parse(&lower).unwrap_or_else(|| Pattern::literal(&lower));
        Teller { pattern, folds_case: true }
    });
    for teller in of_paths.chain(of_names) {
        if !tellers.contains(&teller) {
            tellers.push(teller);
        }
    }
    let names = names::representatives(tellers)?;
    let paths = walk(&patterns, &uploads, &names)?;
    Some(Witnesses { paths, patterns })
}

/// From the root on, every path that leads somewhere in the patterns where no other one has led.
fn walk(patterns: &[PathPattern], uploads: &[&NamePattern], names: &[String]) -> Option<Vec<VirtualPath>> {
    let classed: Vec<(&String, Vec<bool>)> =
        names.iter().map(|name| (name, uploads.iter().map(|upload| upload.matches(name)).collect())).collect();
    let led_to = |path: &VirtualPath| -> Vec<Vec<bool>> { patterns.iter().map(|one| one.led_to(path)).collect() };
    let root = VirtualPath::root();
    let mut seen: HashSet<(Vec<Vec<bool>>, Vec<bool>)> = HashSet::new();
    let mut below: HashSet<Vec<Vec<bool>>> = HashSet::from([led_to(&root)]);
    let mut paths = vec![root.clone()];
    let mut queue = VecDeque::from([root]);
    while let Some(path) = queue.pop_front() {
        for (name, taken) in &classed {
            // Deeper or longer than any path can be.
            let Ok(child) = path.join(name.as_bytes()) else { continue };
            let places = led_to(&child);
            if seen.insert((places.clone(), taken.clone())) {
                paths.push(child.clone());
                if paths.len() > PATHS_MAX {
                    return None;
                }
            }
            if below.insert(places) {
                queue.push_back(child);
            }
        }
    }
    Some(paths)
}
