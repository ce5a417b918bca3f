//! Virtual folders: the `folder` tables of users.toml, and the `mount` tables that put them into
//! the trees of users and groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::findings::{Findings, shown};
use super::keys;
use super::section::Section;
use super::server::{absolute, did_you_mean};
use super::terms::permission_set;
use crate::identity::Username;
use crate::policy::account::Permissions;
use crate::policy::folder::{Folder, Mount};
use crate::proto::path::VirtualPath;

/// The folders of the file.
pub(super) fn folders(root: &Section<'_>, findings: &mut Findings) -> BTreeMap<String, Arc<Folder>> {
    let mut folders = BTreeMap::new();
    for entry in root.open("folder", findings).entries() {
        if Username::parse(&entry.key).is_err() {
            let message = format!("`{}` cannot name a folder", shown(&entry.key));
            findings.error(entry.place, message, "letters, digits and . _ - @ +, beginning with a letter or digit");
        }
        let section = Section::of(&entry.node, format!("folder.{}", entry.key), entry.place, "folder.NAME", findings);
        if section.get("directory").is_none() {
            section.missing("directory", "directory = \"/srv/files/shared\"", findings);
        }
        let directory = section.text("directory", findings).and_then(|text| match absolute(text.text) {
            Ok(path) => Some(path),
            Err(message) => {
                findings.error(text.place, message, "write the whole path of the directory, from / on");
                None
            }
        });
        let folder = Folder {
            name: entry.key.clone(),
            directory: directory.unwrap_or_default(),
            quota_bytes: section.number_given(&keys::QUOTA_BYTES, findings),
            quota_files: section.number_given(&keys::QUOTA_FILES, findings),
            source: findings.rule_source(entry.place),
        };
        folders.insert(entry.key.clone(), Arc::new(folder));
    }
    folders
}

/// Reads the `mount` tables of a section.
pub(super) fn mounts(
    section: &Section<'_>,
    holder: &str,
    folders: &BTreeMap<String, Arc<Folder>>,
    findings: &mut Findings,
) -> Vec<Mount> {
    let holder: Arc<str> = holder.into();
    let tables = section.tables("mount", "mount", findings).unwrap_or_default();
    tables.iter().filter_map(|table| mount(table, &holder, folders, findings)).collect()
}

fn mount(
    table: &Section<'_>,
    holder: &Arc<str>,
    folders: &BTreeMap<String, Arc<Folder>>,
    findings: &mut Findings,
) -> Option<Mount> {
    for (key, example) in [
        ("path", "path = \"/shared\", where the user sees it"),
        ("folder", "folder = \"shared\", defined as [folder.shared]"),
        ("permissions", "permissions = \"read-only\""),
    ] {
        if table.get(key).is_none() {
            findings.error(table.place(), format!("a mount needs `{key}`"), format!("for example: {example}"));
        }
    }
    let path = table.text("path", findings).and_then(|text| {
        let path = place(text.text);
        if path.is_none() {
            let help = "write a path below /, without `.`, `..` and wildcards, such as \"/shared\"";
            findings.error(text.place, format!("nothing can be mounted at `{}`", shown(text.text)), help);
        }
        path
    });
    let folder = table.text("folder", findings).and_then(|text| {
        let found = folders.get(text.text).cloned();
        if found.is_none() {
            let otherwise = format!("define it: [folder.{}]", shown(text.text));
            let help = did_you_mean(text.text, folders.keys().map(String::as_str), &otherwise);
            findings.error(text.place, format!("there is no folder `{}`", shown(text.text)), help);
        }
        found
    });
    let stated = table.place_of("permissions");
    let set = permission_set(table, "permissions", findings);
    let permissions = set.map(|set| Permissions { set, source: findings.rule_source(stated) });
    let source = findings.rule_source(table.place());
    Some(Mount { path: path?, folder: folder?, permissions: permissions?, holder: Arc::clone(holder), source })
}

/// A place for a mount: a path in its one form, and not the root.
fn place(text: &str) -> Option<VirtualPath> {
    let path = VirtualPath::root().join(text.as_bytes()).ok()?;
    (path.as_str() == text && !path.is_root()).then_some(path)
}
