//! firewalld: one file, a policy object that judges what comes to this machine before the zones do,
//! and leaves to them what it has no rule for.

use std::fmt::Write as _;

use ipnet::IpNet;

use super::rules::{Opening, Rules};

/// Where rules stand among themselves: the lower comes first.
const PRIORITY_PROXIES: i8 = -4;
const PRIORITY_DENIED: i8 = -3;
const PRIORITY_ALLOWED: i8 = -2;
const PRIORITY_OTHERS: i8 = -1;

/// Writes the file.
pub(super) fn write(rules: &Rules) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n".to_owned();
    let usage = [
        "",
        "Install as /etc/firewalld/policies/portcullis.xml.",
        "firewall-offline-cmd checks it (its option check-config), systemctl reload firewalld applies it.",
        "firewalld accepts established connections before it asks for any of this.",
    ];
    text.push_str("<!--\n");
    for line in rules.origin().into_iter().chain(usage.map(str::to_owned)).chain(rules.advice()) {
        let _ = writeln!(text, "{}", format!("  {}", comment(&line)).trim_end());
    }
    text.push_str("-->\n<policy priority=\"-10\" target=\"CONTINUE\">\n  <short>Portcullis</short>\n");
    text.push_str("  <description>FTPS from the networks of the policy, and from nowhere else.</description>\n");
    text.push_str("  <ingress-zone name=\"ANY\"/>\n  <egress-zone name=\"HOST\"/>\n");
    for family in &rules.families {
        let mut add = |priority: i8, verdict: &str, network: Option<IpNet>| {
            for Opening { address, ports } in &family.openings {
                let from = network.map_or(String::new(), |network| format!("<source address=\"{network}\"/>"));
                let to = address.map_or(String::new(), |address| format!("<destination address=\"{address}\"/>"));
                for ports in ports {
                    let _ = writeln!(
                        text,
                        "  <rule family=\"{}\" priority=\"{priority}\">{from}{to}<port port=\"{}\" protocol=\"tcp\"/>\
                         <{verdict}/></rule>",
                        family.family.word(),
                        ports.text('-'),
                    );
                }
            }
        };
        for network in &family.proxies {
            add(PRIORITY_PROXIES, "accept", Some(*network));
        }
        for network in &family.denied {
            add(PRIORITY_DENIED, "drop", Some(*network));
        }
        for network in family.allowed_networks() {
            add(PRIORITY_ALLOWED, "accept", (network.prefix_len() > 0).then_some(network));
        }
        add(PRIORITY_OTHERS, "drop", None);
    }
    text.push_str("</policy>\n");
    text
}

/// A text that ends no comment of XML: two hyphens in a row may not stand in one.
fn comment(text: &str) -> String {
    text.replace("--", "- -").replace("--", "- -")
}
