//! A JSON Schema of each policy file, for editors: made of the table of keys, with what
//! `docs/policy.md` says of each key beside it.
//!
//! It is draft 7, the newest that TOML editors understand. Tables are written out where they stand,
//! because those editors do not show what is said beside a reference.

use serde_json::{Map, Value, json};

use super::keys::{self, FILES, Key, NONE};
use super::kind::{Kind, Shape};
use crate::policy::permission::Permission;

/// The explanation of every key.
const DOCUMENT: &str = include_str!("../../docs/policy.md");

/// A day, or a day and a time of it, as editors show them to a schema.
const MOMENT: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}.*)?$";

/// The names of the files that have a schema, such as `users` for `users.toml`.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, ..)| *name)
}

/// The schema of the file of this name; none where there is no such file.
pub fn of(name: &str) -> Option<Value> {
    let (name, file, purpose) = FILES.iter().find(|(known, ..)| *known == name)?;
    let mut schema = table(name, name);
    let head = [
        ("$schema", json!("http://json-schema.org/draft-07/schema#")),
        ("title", json!(format!("{file} of Portcullis"))),
        ("description", json!(purpose)),
    ];
    schema.extend(head.map(|(key, value)| (key.to_owned(), value)));
    Some(Value::Object(schema))
}

/// A table with its keys; `file` is the one that it stands in.
fn table(name: &str, file: &str) -> Map<String, Value> {
    let property = |key: Key| {
        let mut schema = value(key.kind, file);
        let description = meaning(name, key.name);
        schema.insert("description".to_owned(), Value::String(description));
        (key.name.to_owned(), Value::Object(schema))
    };
    let properties: Map<String, Value> = keys::keys_of(name).map(property).collect();
    let required: Vec<&str> = keys::keys_of(name).filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = object(json!({ "type": "object", "additionalProperties": false, "properties": properties }));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema.extend(together(name, file));
    schema
}

/// What no key says by itself: which of them need each other, or go without each other.
fn together(table: &str, file: &str) -> Map<String, Value> {
    let any_of = |keys: &[&[&str]]| keys.iter().map(|keys| json!({ "required": keys })).collect::<Vec<_>>();
    object(match (table, file) {
        ("listen", _) => json!({ "anyOf": any_of(&[&["explicit"], &["implicit"]]) }),
        ("advertise", _) => json!({ "oneOf": any_of(&[&["address"], &["name"]]) }),
        ("exception", "server") => json!({
            "required": ["clients", "reason", "until"],
            "anyOf": any_of(&[&["data-binding"], &["tls-maximum"]]),
            "not": { "anyOf": any_of(&[&["path"], &["allow"]]) },
        }),
        ("exception", _) => json!({
            "anyOf": any_of(&[&["data-binding"], &["path", "allow"]]),
            "dependencies": { "path": ["allow"], "allow": ["path"] },
            "not": { "required": ["tls-maximum"] },
        }),
        ("rule", _) => json!({ "minProperties": 2 }),
        _ => Value::Null,
    })
}

fn value(kind: Kind, file: &str) -> Map<String, Value> {
    let named = |names: Shape, each: Value| {
        let names = names.pattern().map_or_else(|| json!({}), |pattern| json!({ "pattern": pattern }));
        object(json!({ "type": "object", "propertyNames": names, "additionalProperties": each }))
    };
    match kind {
        Kind::Text(shape) => text(shape),
        Kind::Word(words) => object(json!({ "type": "string", "enum": words })),
        Kind::Words(words) => list(object(json!({ "type": "string", "enum": words }))),
        Kind::List(shape) => list(text(shape)),
        Kind::OneOrMore(shape) => {
            let mut several = list(text(shape));
            several.insert("minItems".to_owned(), json!(1));
            object(json!({ "anyOf": [text(shape), several] }))
        }
        Kind::Lists(shape) => named(Shape::NetworkName, Value::Object(list(text(shape)))),
        Kind::Permissions => permissions(),
        Kind::Flag => object(json!({ "type": "boolean" })),
        // TOML's own dates, which editors show to a schema as texts.
        Kind::Date => object(json!({ "type": "string", "format": "date" })),
        Kind::Moment => object(json!({ "type": "string", "pattern": MOMENT })),
        Kind::Count(number) => {
            let mut schema = object(json!({ "type": "integer", "minimum": number.least, "maximum": number.most }));
            if number.default != NONE {
                schema.insert("default".to_owned(), json!(number.default));
            }
            schema
        }
        Kind::Table(name) => table(name, file),
        Kind::Tables(name) => list(table(name, file)),
        Kind::Named(name) => named(Shape::Name, Value::Object(table(name, file))),
    }
}

fn text(shape: Shape) -> Map<String, Value> {
    let mut schema = object(json!({ "type": "string" }));
    if let Some(pattern) = shape.pattern() {
        schema.insert("pattern".to_owned(), json!(pattern));
    }
    if let Some(example) = shape.example() {
        schema.insert("examples".to_owned(), json!([example]));
    }
    schema
}

fn list(each: impl Into<Value>) -> Map<String, Value> {
    object(json!({ "type": "array", "items": each.into() }))
}

/// A list of permissions, or one of them or a word for several as a text.
fn permissions() -> Map<String, Value> {
    let words: Vec<&str> = Permission::ALL.into_iter().map(Permission::word).chain(["read-only", "full"]).collect();
    let one = json!({ "type": "string", "enum": words });
    object(json!({ "anyOf": [one, { "type": "array", "items": one }] }))
}

/// The members of a JSON object; none of anything else.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// What the document says of a key in the row of its table; of tables and files, where to read on.
fn meaning(table: &str, key: &str) -> String {
    let heading = format!("`[{table}]`");
    let section = DOCUMENT.split("\n## ").find(|part| part.starts_with(&heading)).unwrap_or_default();
    let start = format!("| `{key}` |");
    let cells = section.lines().find_map(|line| line.strip_prefix(start.as_str()));
    let mut cells = cells.into_iter().flat_map(|line| line.split(" | ")).map(str::trim);
    match (cells.next(), cells.next(), cells.next()) {
        (Some(meaning), Some(default), _) if !matches!(default, "none" | "required") => {
            format!("{meaning}. Default: {default}.")
        }
        (Some(meaning), ..) => format!("{meaning}."),
        _ => format!("docs/policy.md explains it under [{}].", keys::named_by(key).unwrap_or(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_its_schema_with_its_explanation() {
        let users = of("users").unwrap();
        let user = &users["properties"]["user"]["additionalProperties"];
        for key in keys::keys_of("user.NAME") {
            let description = user["properties"][key.name]["description"].as_str().unwrap();
            assert!(description.len() > 20, "{}: {description}", key.name);
        }
        assert_eq!(user["required"], json!(["home", "password", "password-set"]));
        assert_eq!(user["additionalProperties"], json!(false));
        let quota = &user["properties"]["quota-files"];
        assert_eq!(quota["description"], "most files that the home may hold.");
        assert_eq!((&quota["minimum"], &quota["maximum"]), (&json!(1), &json!(i64::MAX)));
    }

    #[test]
    fn an_exception_is_another_one_in_either_file() {
        let (server, users) = (of("server").unwrap(), of("users").unwrap());
        let required = |schema: &Value| schema["properties"]["exception"]["items"]["required"].clone();
        assert_eq!(required(&server), json!(["clients", "reason", "until"]));
        let group = &users["properties"]["group"]["additionalProperties"];
        assert_eq!(required(group), json!(["reason", "until"]));
        assert_eq!(of("passwords"), None, "nobody writes that by hand");
    }
}
