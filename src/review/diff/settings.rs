//! `server.toml` key by key: what one text sets that another does not, or sets otherwise.

use std::collections::BTreeMap;

use serde::Serialize;
use toml_edit::{Document, Item, TableLike, Value};

/// One key with two values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The key, such as `limits.idle-seconds` or `exception[0].until`.
    pub key: String,
    /// What it was; none where it was not there.
    pub old: Option<String>,
    /// What it is; none where it is not there any more.
    pub new: Option<String>,
}

/// Every key whose value differs. The texts are ones that could be read as policies.
pub(super) fn compare(old: &str, new: &str) -> Vec<Change> {
    changes(&flat(old), &flat(new))
}

/// Every key that is in one of two maps alone or has another value there.
pub(super) fn changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let pairs = keys.into_iter().map(|key| (key, old.get(key), new.get(key)));
    let changed = pairs.filter(|(_, old, new)| old != new);
    changed.map(|(key, old, new)| Change { key: key.clone(), old: old.cloned(), new: new.cloned() }).collect()
}

fn flat(text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Ok(document) = Document::parse(text) {
        table("", document.as_table(), &mut all);
    }
    all
}

fn table(name: &str, table: &dyn TableLike, all: &mut BTreeMap<String, String>) {
    for (key, item) in table.iter() {
        let key = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match item {
            Item::None => {}
            Item::Table(inner) => self::table(&key, inner, all),
            Item::ArrayOfTables(tables) => {
                for (index, inner) in tables.iter().enumerate() {
                    self::table(&format!("{key}[{index}]"), inner, all);
                }
            }
            Item::Value(inner) => value(&key, inner, all),
        }
    }
}

fn value(key: &str, value: &Value, all: &mut BTreeMap<String, String>) {
    match value {
        Value::InlineTable(inner) => table(key, inner, all),
        Value::Array(values) if values.iter().any(|one| matches!(one, Value::InlineTable(_))) => {
            for (index, one) in values.iter().enumerate() {
                self::value(&format!("{key}[{index}]"), one, all);
            }
        }
        plain => {
            all.insert(key.to_owned(), written(plain));
        }
    }
}

/// A value without the spaces and comments around it.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", text.value().escape_debug()),
        Value::Integer(number) => number.value().to_string(),
        Value::Float(number) => number.value().to_string(),
        Value::Boolean(flag) => flag.value().to_string(),
        Value::Datetime(when) => when.value().to_string(),
        Value::Array(values) => format!("[{}]", values.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::InlineTable(inner) => inner.to_string().trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_by_value_and_not_by_how_they_are_written() {
        let old = "[limits]\nidle-seconds = 1_000 # long\n[tls]\nidentities = [{ names = [\"a\"] }]\n";
        let new =
            "limits = { idle-seconds = 1000 }\n[tls]\nidentities = [\n { names = [ \"b\" ] } ]\nminimum = \"1.3\"\n";
        let changes = compare(old, new);
        let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
        assert_eq!(keys, ["tls.identities[0].names", "tls.minimum"]);
        assert_eq!(changes[0].old.as_deref(), Some("[\"a\"]"));
        assert_eq!((&changes[1].old, changes[1].new.as_deref()), (&None, Some("\"1.3\"")));
    }
}
