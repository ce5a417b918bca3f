//! nftables: sets of networks, a chain that looks where a connection goes, and one that looks where
//! it comes from.

use std::fmt::Write as _;
use std::str::FromStr;

use ipnet::IpNet;

use super::rules::{Family, FamilyRules, Opening, Rules, Sources};

/// The table that is all ours.
const OWN_TABLE: &str = "portcullis";

/// The name of a table: letters, digits and `_`, a letter first, so that it is one word of `nft`.
#[derive(Clone, Debug)]
pub(super) struct Table(String);

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.len() <= 64
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match text {
            OWN_TABLE => Err(format!("`{OWN_TABLE}` is the table without --table; name one of yours, such as filter")),
            _ if is_word => Ok(Self(text.to_owned())),
            _ => Err("a table's name has letters, digits and _, and a letter first, such as filter".to_owned()),
        }
    }
}

/// Writes a file for `nft -f`. Loading it again, or one of a later policy, replaces all it made.
pub(super) fn write(rules: &Rules, table: Option<&Table>) -> String {
    let mut text = "#!/usr/sbin/nft -f\n".to_owned();
    for line in header(rules, table) {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
    let name = table.map_or(OWN_TABLE, |table| &table.0);
    text.push('\n');
    match table {
        Some(_) => empty_chains(&mut text, name),
        None => text.push_str("add table inet portcullis\ndelete table inet portcullis\n"),
    }
    let _ = writeln!(text, "\ntable inet {name} {{");
    for family in &rules.families {
        set(&mut text, "proxies", family.family, &family.proxies);
        set(&mut text, "allowed", family.family, &allowed(family));
        set(&mut text, "denied", family.family, &family.denied);
    }
    clients(&mut text, rules);
    destinations(&mut text, rules);
    if table.is_none() {
        text.push_str(
            "\n    chain input {\n        type filter hook input priority filter - 10; policy accept;\n        \
             jump portcullis\n    }\n",
        );
    }
    text.push_str("}\n");
    text
}

fn header(rules: &Rules, table: Option<&Table>) -> Vec<String> {
    let mut lines = rules.origin();
    lines.push(String::new());
    let option = table.map_or(String::new(), |table| format!(" --table {}", table.0));
    lines.push(format!("Check:  portcullis firewall nftables{option} | nft -c -f -"));
    lines.push(format!("Apply:  portcullis firewall nftables{option} | nft -f -"));
    lines.push(String::new());
    match table {
        Some(Table(name)) => lines.extend([
            format!("These chains judge nothing until the input chain of table inet {name} has this line,"),
            "once, behind the one that accepts established connections:".to_owned(),
            "    jump portcullis".to_owned(),
            "Connections to the ports below end there; all others go on in your chain.".to_owned(),
        ]),
        None => lines.extend([
            "The table judges new connections to the ports below, and nothing else. Another table".to_owned(),
            "that drops by default drops them all the same; for such a one there is --table.".to_owned(),
            "Remove it with: nft delete table inet portcullis".to_owned(),
        ]),
    }
    lines.extend(rules.advice());
    lines
}

/// Makes what is to be filled where it is not there, and empties it where it is; a jump to it stays.
fn empty_chains(text: &mut String, table: &str) {
    let _ = writeln!(text, "add table inet {table}");
    for chain in ["portcullis", "portcullis_clients"] {
        let _ = writeln!(text, "add chain inet {table} {chain}\nflush chain inet {table} {chain}");
    }
    for family in [Family::V4, Family::V6] {
        for set in ["proxies", "allowed", "denied"].map(|list| set_name(list, family)) {
            let word = family.word();
            let _ = writeln!(text, "add set inet {table} {set} {{ type {word}_addr; flags interval; }}");
            let _ = writeln!(text, "flush set inet {table} {set}");
        }
    }
}

fn set_name(list: &str, family: Family) -> String {
    format!("portcullis_{list}_{}", family.word())
}

/// Everybody needs no set.
fn allowed(family: &FamilyRules) -> Vec<IpNet> {
    match &family.allowed {
        Sources::Everyone => Vec::new(),
        Sources::Networks(networks) => networks.clone(),
    }
}

fn set(text: &mut String, list: &str, family: Family, networks: &[IpNet]) {
    let name = set_name(list, family);
    let _ = write!(text, "    set {name} {{\n        type {}_addr\n        flags interval\n", family.word());
    if !networks.is_empty() {
        let elements: Vec<String> = networks.iter().map(|network| format!("            {network}")).collect();
        let _ = write!(text, "        elements = {{\n{}\n        }}\n", elements.join(",\n"));
    }
    text.push_str("    }\n");
}

fn clients(text: &mut String, rules: &Rules) {
    text.push_str("\n    chain portcullis_clients {\n");
    let header = |family: Family| if family == Family::V4 { "ip" } else { "ip6" };
    for family in rules.families.iter().filter(|family| !family.proxies.is_empty()) {
        let (ip, name) = (header(family.family), set_name("proxies", family.family));
        let _ = writeln!(text, "        {ip} saddr @{name} counter accept");
    }
    for family in &rules.families {
        let (ip, name) = (header(family.family), set_name("denied", family.family));
        let _ = writeln!(text, "        {ip} saddr @{name} counter drop");
    }
    for family in &rules.families {
        let (ip, name) = (header(family.family), set_name("allowed", family.family));
        let _ = match family.allowed {
            Sources::Everyone => writeln!(text, "        meta nfproto {} counter accept", family.family.word()),
            Sources::Networks(_) => writeln!(text, "        {ip} saddr @{name} counter accept"),
        };
    }
    text.push_str("        counter drop\n    }\n");
}

fn destinations(text: &mut String, rules: &Rules) {
    text.push_str("\n    chain portcullis {\n");
    // Established connections are not ours to judge: other programs' outgoing ones may use a port
    // of the passive range.
    text.push_str("        tcp flags & (fin | syn | rst | ack) != syn return\n");
    for family in &rules.families {
        for Opening { address, ports } in &family.openings {
            let to = match (address, family.family) {
                (None, family) => format!("meta nfproto {}", family.word()),
                (Some(address), Family::V4) => format!("ip daddr {address}"),
                (Some(address), Family::V6) => format!("ip6 daddr {address}"),
            };
            let ports: Vec<String> = ports.iter().map(|ports| ports.text('-')).collect();
            let _ = writeln!(text, "        {to} tcp dport {{ {} }} goto portcullis_clients", ports.join(", "));
        }
    }
    text.push_str("    }\n");
}
