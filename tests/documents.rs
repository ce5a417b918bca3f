//! Documents say what the code does: the parts of them that are made from the code are compared
//! with it. `PORTCULLIS_WRITE_DOCS=1` writes them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use portcullis::rules::{During, Needs, RULES, Rule, Service, Stage, Takes};

/// What stands in front of the part that is made.
const MARK: &str = "<!-- verbs -->\n";

/// The table of verbs as a document has it.
fn verbs() -> String {
    let mut text =
        "| verb | in clear | before login | to change the password | logged in | argument | in a transfer | permission | what it does |\n\
                    |---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for rule in &RULES {
        let Service::Served(meaning) = rule.service else { continue };
        let stages = Stage::ALL.map(|stage| if rule.stages.contain(stage) { "yes" } else { "" });
        let argument = match rule.takes {
            Takes::Nothing => "none",
            Takes::Maybe => "optional",
            Takes::One => "required",
        };
        let during = if rule.during == During::Answer { "answers" } else { "waits" };
        let cells =
            [&name(rule), stages[0], stages[1], stages[2], stages[3], argument, during, &permission(rule), meaning];
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
    }
    text += "\nNever served; in clear they get `530`, as what is served later does:\n\n| verb | reply | reason |\n|---|---|---|\n";
    for rule in &RULES {
        if let Service::Refused(code, reason) = rule.service {
            writeln!(text, "| {} | `{}` | {reason} |", name(rule), code.number()).unwrap();
        }
    }
    text
}

fn name(rule: &Rule) -> String {
    rule.verb.alias().map_or_else(|| format!("`{}`", rule.verb), |alias| format!("`{}`, `{alias}`", rule.verb))
}

fn permission(rule: &Rule) -> String {
    match rule.needs {
        Needs::Nothing => String::new(),
        Needs::AnyOf(set) if set == portcullis::policy::permission::PermissionSet::ALL => "any".to_owned(),
        Needs::AnyOf(set) => set.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(" or "),
    }
}

#[test]
fn the_verbs_of_the_document_are_those_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let text = fs::read_to_string(&path).unwrap();
    let (kept, made) = text.split_once(MARK).unwrap();
    if std::env::var_os("PORTCULLIS_WRITE_DOCS").is_some() {
        fs::write(path, format!("{kept}{MARK}{}", verbs())).unwrap();
    } else {
        assert!(made == verbs(), "docs/protocol.md is not what the table says; PORTCULLIS_WRITE_DOCS=1 writes it anew");
    }
}
