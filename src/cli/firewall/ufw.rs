//! ufw: a script of its commands. ufw takes the first rule that matches, in the order in which they
//! were added, so the script removes what an earlier one added before it adds its own.

use std::fmt::Write as _;

use ipnet::IpNet;

use super::rules::{Opening, Rules, Sources, multiports};

/// The comment by which the rules are known again.
const COMMENT: &str = "portcullis";

/// Writes the script.
pub(super) fn write(rules: &Rules) -> String {
    let mut text = "#!/bin/sh -e\n".to_owned();
    let usage = [
        "",
        "Check:  sh -n FILE, and read it        Apply:  sh FILE",
        "Connections that are established go on. `ufw status` shows the rules by their comment;",
        "rules of yours for the same ports come before them: remove those (ufw status numbered).",
        "`ufw enable` is yours to say: let your own access in first (ufw allow ssh).",
    ];
    for line in rules.origin().into_iter().chain(usage.map(str::to_owned)).chain(rules.advice()) {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
    let _ = write!(
        text,
        "\n# What an earlier one of these scripts added goes first.\n\
         ufw show added | sed -n \"s/^ufw \\(.* comment '{COMMENT}'\\)\\$/ufw --force delete \\1/p\" | sh -e\n\n"
    );
    for family in &rules.families {
        let mut add = |verdict: &str, network: IpNet| {
            for Opening { address, ports } in &family.openings {
                let to = address.map_or("any".to_owned(), |address| address.to_string());
                for ports in multiports(ports) {
                    let _ = writeln!(
                        text,
                        "ufw {verdict} proto tcp from {network} to {to} port {ports} comment '{COMMENT}'"
                    );
                }
            }
        };
        for network in &family.proxies {
            add("allow", *network);
        }
        for network in &family.denied {
            add("deny", *network);
        }
        for network in family.allowed_networks() {
            add("allow", network);
        }
        // Where everybody is allowed, this would be the same rule with another verdict, which ufw takes
        // for a change of it.
        if family.allowed != Sources::Everyone {
            add("deny", family.family.everyone());
        }
    }
    text
}
