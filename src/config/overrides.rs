//! `--set KEY=VALUE`: one key of `server.toml` changed for one run.

use std::str::FromStr;

use super::findings::{Findings, OVERRIDE, Place, shown};
use super::tree::{self, Node, Table, Value};

/// One `--set`. A value that is no TOML is a text, so quotes may be left out where the shell
/// would eat them, and a text alone is a list of one where a list is needed.
#[derive(Clone, Debug)]
pub struct Override {
    keys: Vec<String>,
    value: toml_edit::Value,
    text: String,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE, such as limits.idle-seconds=60")?;
        let keys = toml_edit::Key::parse(key.trim()).map_err(|_| format!("`{}` is no key", shown(key)))?;
        let keys = keys.iter().map(|key| key.get().to_owned()).collect();
        let value = value.trim();
        let value = value.parse().unwrap_or_else(|_| toml_edit::Value::from(value));
        Ok(Self { keys, value, text: text.to_owned() })
    }
}

impl Override {
    /// The argument as it was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Changes the tree of `server.toml`.
    pub(super) fn apply(&self, root: &mut Table, findings: &mut Findings) {
        let place = findings.source(OVERRIDE, &self.text).at(Some(0..self.text.len()));
        let Some((last, parents)) = self.keys.split_last() else { return };
        let mut table = root;
        for key in parents {
            if table.get(key).is_none() {
                table.set(key, place, Node { place, value: Value::Table(Table::default()) });
            }
            let entry = table.entries.iter_mut().find(|entry| entry.key == *key);
            match entry.map(|entry| &mut entry.node.value) {
                Some(Value::Table(inner)) => table = inner,
                _ => return refuse(key, place, findings),
            }
        }
        if let Some(entry) = table.entries.iter_mut().find(|entry| entry.key == *last) {
            entry.place = place;
        }
        table.set(last, place, tree::from_value(&self.value, place));
    }
}

fn refuse(key: &str, place: Place, findings: &mut Findings) {
    let help = "to change a list, give the whole of it: --set 'listen.explicit=[\"127.0.0.1:2121\"]'";
    findings.error(place, format!("`{}` is not a table with keys", shown(key)), help);
}
