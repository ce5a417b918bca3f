//! iptables: one file for `iptables-restore` and `ip6tables-restore`, each of which skips the lines
//! of the other family.

use std::fmt::Write as _;

use super::rules::{Family, Rules, Sources, multiports};

/// Writes a file for both. Loading it again, or one of a later policy, replaces all it made.
pub(super) fn write(rules: &Rules) -> String {
    let mut text = String::new();
    let usage = [
        "",
        "Check:  iptables-restore --test --noflush FILE  and  ip6tables-restore --test --noflush FILE",
        "Apply:  iptables-restore --noflush FILE  and  ip6tables-restore --noflush FILE",
        "(--noflush leaves your other rules as they are). The chains judge nothing until INPUT jumps",
        "to them, once, behind the rule that accepts established connections:",
        "    iptables -A INPUT -p tcp --syn -j PORTCULLIS",
        "    ip6tables -A INPUT -p tcp --syn -j PORTCULLIS",
        "(-I INPUT NUMBER where a rule at the end drops or rejects the rest: ahead of that one).",
        "Connections to the ports below end there; all others go on in INPUT.",
    ];
    for line in rules.origin().into_iter().chain(usage.map(str::to_owned)).chain(rules.advice()) {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
    text.push_str("*filter\n:PORTCULLIS - [0:0]\n:PORTCULLIS_CLIENTS - [0:0]\n");
    for family in &rules.families {
        let only = if family.family == Family::V4 { "-4" } else { "-6" };
        for network in &family.proxies {
            let _ = writeln!(text, "{only} -A PORTCULLIS_CLIENTS -s {network} -j ACCEPT");
        }
        for network in &family.denied {
            let _ = writeln!(text, "{only} -A PORTCULLIS_CLIENTS -s {network} -j DROP");
        }
        match &family.allowed {
            Sources::Everyone => {
                let _ = writeln!(text, "{only} -A PORTCULLIS_CLIENTS -j ACCEPT");
            }
            Sources::Networks(networks) => {
                for network in networks {
                    let _ = writeln!(text, "{only} -A PORTCULLIS_CLIENTS -s {network} -j ACCEPT");
                }
            }
        }
    }
    text.push_str("-A PORTCULLIS_CLIENTS -j DROP\n");
    for family in &rules.families {
        let only = if family.family == Family::V4 { "-4" } else { "-6" };
        for opening in &family.openings {
            let to = opening.address.map_or(String::new(), |address| format!(" -d {address}"));
            for ports in multiports(&opening.ports) {
                let _ = writeln!(
                    text,
                    "{only} -A PORTCULLIS{to} -p tcp --syn -m multiport --dports {ports} -g PORTCULLIS_CLIENTS"
                );
            }
        }
    }
    text.push_str("COMMIT\n");
    text
}
