//! Groups without members, folders without mounts, and names of networks that no line uses.

use std::collections::BTreeSet;

use super::super::findings::{Findings, shown};
use super::super::tree::{Node, Table, Value};
use super::Matter;
use crate::policy::Policy;

/// Warns of what is defined and used nowhere.
pub(super) fn advise(matter: &Matter<'_>, findings: &mut Findings) {
    let policy = &matter.read.policy;
    let members = groups_with_members(policy);
    for (name, group) in policy.groups.iter().filter(|(name, _)| !members.contains(name.as_str())) {
        let message = format!("no user is in group {}", shown(name));
        let help = "write groups = [\"…\"] into the table of a user, or remove the group";
        findings.warning(findings.place_of_rule(&group.source), message, help);
    }
    let of_users = policy.users.values().flat_map(|account| &account.terms.mounts);
    let of_groups = policy.groups.values().flat_map(|group| &group.terms.mounts);
    let mounted: BTreeSet<&str> = of_users.chain(of_groups).map(|mount| mount.folder.name.as_str()).collect();
    for (name, folder) in policy.folders.iter().filter(|(name, _)| !mounted.contains(name.as_str())) {
        let message = format!("folder {} is in nobody's tree", shown(name));
        let help = "write a [[user.NAME.mount]] or [[group.NAME.mount]] with it, or remove the folder";
        findings.warning(findings.place_of_rule(&folder.source), message, help);
    }
    let Some(Value::Table(networks)) = matter.server.get("networks").map(|entry| &entry.node.value) else { return };
    let Some(Value::Table(named)) = networks.get("named").map(|entry| &entry.node.value) else { return };
    let mut words = BTreeSet::new();
    // Members of a name are no names.
    words_of(matter.server, &["named"], &mut words);
    words_of(matter.users, &[], &mut words);
    for entry in named.entries.iter().filter(|entry| !words.contains(entry.key.as_str())) {
        let message = format!("the network {} is named, and no line uses the name", shown(&entry.key));
        findings.warning(entry.place, message, "use it in `allow`, `deny`, `allow-from` and the like, or remove it");
    }
}

/// The groups that a user is in, itself or through another group.
fn groups_with_members(policy: &Policy) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut ahead: Vec<&str> = policy.users.values().flat_map(|user| &user.groups).map(String::as_str).collect();
    while let Some(name) = ahead.pop() {
        if found.insert(name) {
            ahead.extend(policy.groups.get(name).into_iter().flat_map(|group| &group.groups).map(String::as_str));
        }
    }
    found
}

/// Every text below a table, but for what stands under some keys.
fn words_of<'a>(table: &'a Table, but: &[&str], words: &mut BTreeSet<&'a str>) {
    let mut ahead: Vec<&Node> = Vec::new();
    let mut tables = vec![table];
    while let Some(table) = tables.pop() {
        ahead.extend(table.entries.iter().filter(|entry| !but.contains(&entry.key.as_str())).map(|entry| &entry.node));
        while let Some(node) = ahead.pop() {
            match &node.value {
                Value::Text(text) => {
                    words.insert(text);
                }
                Value::List(nodes) => ahead.extend(nodes),
                Value::Table(table) => tables.push(table),
                _ => {}
            }
        }
    }
}
