//! The `rule` tables of users and groups: what holds on some paths.

use std::sync::Arc;

use super::findings::{Findings, shown};
use super::keys;
use super::section::{Section, Text};
use super::terms::permission_set;
use crate::policy::path_pattern::PathPattern;
use crate::policy::permission::PermissionSet;
use crate::policy::rule::{NamePattern, PathRule, UploadTerms};

/// Reads the `rule` tables of a section.
pub(super) fn read(section: &Section<'_>, holder: &str, findings: &mut Findings) -> Vec<PathRule> {
    let holder: Arc<str> = holder.into();
    let tables = section.tables("rule", "rule", findings).unwrap_or_default();
    tables.iter().filter_map(|table| rule(table, &holder, findings)).collect()
}

fn rule(table: &Section<'_>, holder: &Arc<str>, findings: &mut Findings) -> Option<PathRule> {
    if table.get("path").is_none() {
        let example = "for example: path = \"/in/**\", which means /in and everything below it";
        findings.error(table.place(), "a rule needs `path`", example);
    }
    let pattern = table.text("path", findings).and_then(|text| path_pattern(text, findings));
    let set = |key, findings: &mut Findings| permission_set(table, key, findings).unwrap_or(PermissionSet::NONE);
    let (allow, deny) = (set("allow", findings), set("deny", findings));
    let upload = UploadTerms {
        file_bytes_max: table.number_given(&keys::FILE_BYTES_MAX, findings),
        names_allowed: names(table, "names-allowed", findings),
        names_forbidden: names(table, "names-forbidden", findings),
    };
    if table.entries().all(|entry| entry.key == "path") {
        let help = "give it `allow`, `deny`, `file-bytes-max`, `names-allowed` or `names-forbidden`";
        findings.error(table.place(), "this rule says nothing", help);
    }
    let both = allow.intersection(deny);
    if !both.is_empty() {
        let message = format!("this rule both allows and denies {both}, so it denies that");
        findings.warning(table.place_of("allow"), message, "take it out of one of the two lists");
    }
    let source = findings.rule_source(table.place());
    Some(PathRule { pattern: pattern?, allow, deny, upload, holder: Arc::clone(holder), source })
}

/// Reads a pattern of paths.
pub(super) fn path_pattern(text: Text<'_>, findings: &mut Findings) -> Option<PathPattern> {
    match PathPattern::parse(text.text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let help = "write it as the user sees it, such as \"/in/**\" for /in and all below it, or \"/in/*.csv\"";
            findings.error(text.place, error.to_string(), help);
            None
        }
    }
}

fn names(table: &Section<'_>, key: &str, findings: &mut Findings) -> Vec<NamePattern> {
    let mut patterns = Vec::new();
    for text in table.texts(key, findings).unwrap_or_default() {
        match NamePattern::parse(text.text) {
            Some(pattern) => patterns.push(pattern),
            None => findings.error(
                text.place,
                format!("no file is named `{}`", shown(text.text)),
                "write a pattern of names, without /, such as \"*.csv\"",
            ),
        }
    }
    if table
        .get(key)
        .is_some_and(|entry| matches!(&entry.node.value, super::tree::Value::List(list) if list.is_empty()))
    {
        findings.error(table.place_of(key), format!("`{key}` is empty"), "name a pattern, or leave the key out");
    }
    patterns
}
