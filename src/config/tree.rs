//! A TOML text as a tree of values, each with its place: what the sections are read from, so that
//! a file and a `--set` look the same to them.

use jiff::civil::Date;
use toml_edit::{Datetime, Item, TableLike};

use super::findings::{Findings, Place, shown};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A TOML value, as far as policy files use them.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    Date(Date),
    /// A date with a time of day, with or without its distance from UTC.
    Moment(Datetime),
    List(Vec<Node>),
    Table(Table),
    /// A float, a time of day alone or a date that does not exist; no key takes one.
    Other(&'static str),
}

/// Keys and values, in the order of the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

/// A key with its place, and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Value {
    /// What to call it in a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Date(_) => "a date",
            Self::Moment(_) => "a date with a time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

impl Table {
    /// The entry with this key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The place of a value deep in the table; a list on the way stands for its first element.
    pub(super) fn place_at(&self, path: &[&str]) -> Option<Place> {
        let (first, rest) = path.split_first()?;
        let mut node = &self.get(first)?.node;
        if let (Value::List(nodes), false) = (&node.value, rest.is_empty()) {
            node = nodes.first()?;
        }
        match &node.value {
            _ if rest.is_empty() => Some(node.place),
            Value::Table(table) => table.place_at(rest),
            _ => None,
        }
    }

    /// Puts a value in, over one that is there.
    pub(super) fn set(&mut self, key: &str, place: Place, node: Node) {
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.node = node,
            None => self.entries.push(Entry { key: key.to_owned(), place, node }),
        }
    }
}

/// Reads a TOML text; what is no TOML is an error and no tree.
pub(super) fn parse(text: &str, file: Place, findings: &mut Findings) -> Option<Table> {
    match toml_edit::Document::parse(text) {
        Ok(document) => Some(table(document.as_table(), file)),
        Err(error) => {
            let place = file.at(error.span());
            if let Some(word) = error.span().and_then(|span| bare_word(text, span.start)) {
                let message = format!("this is no TOML: `{}` stands without quotes", shown(word));
                findings.error(place, message, format!("texts stand in quotes: \"{}\"", shown(word)));
                return None;
            }
            let message = format!("this is no TOML: {}", shown(error.message()));
            findings.error(place, message, "texts and dates, lists and tables: see https://toml.io");
            None
        }
    }
}

/// The word behind a `=` in the line of a byte, where it is one that TOML wants in quotes.
fn bare_word(text: &str, at: usize) -> Option<&str> {
    let begin = text.get(..at)?.rfind('\n').map_or(0, |end| end.saturating_add(1));
    let (_, value) = text.get(begin..)?.lines().next()?.split_once('=')?;
    let word = value.split('#').next()?.trim();
    let known = ["true", "false", "inf", "nan"];
    let bare = word.starts_with(|c: char| c.is_alphabetic() || c == '/' || c == '.') && !word.contains(['"', '\'']);
    (bare && !known.contains(&word)).then_some(word)
}

/// The value of a `--set`, all of it at one place.
pub(super) fn from_value(value: &toml_edit::Value, place: Place) -> Node {
    let mut node = self::value(value, place);
    settle(&mut node, place);
    node
}

fn settle(node: &mut Node, place: Place) {
    node.place = place;
    match &mut node.value {
        Value::List(nodes) => nodes.iter_mut().for_each(|node| settle(node, place)),
        Value::Table(table) => {
            for entry in &mut table.entries {
                entry.place = place;
                settle(&mut entry.node, place);
            }
        }
        _ => {}
    }
}

fn table(table: &dyn TableLike, file: Place) -> Table {
    let entry = |(key, item): (&str, &Item)| {
        let span = table.get_key_value(key).and_then(|(key, _)| key.span()).or_else(|| item.span());
        let place = file.at(span);
        Entry { key: key.to_owned(), place, node: self::item(item, place) }
    };
    Table { entries: table.iter().map(entry).collect() }
}

/// A table's place is its key: its span would cover everything in it.
fn item(item: &Item, key: Place) -> Node {
    match item {
        Item::None => Node { place: key, value: Value::Other("nothing") },
        Item::Value(value) => self::value(value, key),
        Item::Table(table) => Node { place: key, value: Value::Table(self::table(table, key)) },
        Item::ArrayOfTables(tables) => {
            let each = |table: &toml_edit::Table| Node {
                place: table.span().map_or(key, |span| key.at(Some(span))),
                value: Value::Table(self::table(table, key)),
            };
            Node { place: key, value: Value::List(tables.iter().map(each).collect()) }
        }
    }
}

fn value(value: &toml_edit::Value, key: Place) -> Node {
    use toml_edit::Value as Toml;
    let place = value.span().map_or(key, |span| key.at(Some(span)));
    let value = match value {
        Toml::String(text) => Value::Text(text.value().clone()),
        Toml::Integer(number) => Value::Integer(*number.value()),
        Toml::Boolean(flag) => Value::Boolean(*flag.value()),
        Toml::Float(_) => Value::Other("a number with a fraction"),
        Toml::Datetime(when) => date(when.value()),
        Toml::Array(values) => Value::List(values.iter().map(|value| self::value(value, place)).collect()),
        Toml::InlineTable(table) => Value::Table(self::table(table, place)),
    };
    Node { place, value }
}

fn date(when: &Datetime) -> Value {
    if when.date.is_some() && when.time.is_some() {
        return Value::Moment(*when);
    }
    let day = when.date.and_then(|day| {
        let (year, month) = (i16::try_from(day.year).ok()?, i8::try_from(day.month).ok()?);
        Date::new(year, month, i8::try_from(day.day).ok()?).ok()
    });
    day.map_or(Value::Other("a time without a date, or no date at all"), Value::Date)
}
