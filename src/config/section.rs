//! One table of a policy file, read key by key: types, bounds, and keys that nobody knows.

use jiff::civil::Date;

use super::findings::{Findings, Place, nearest, shown};
use super::keys::{self, Number};
use super::tree::{Entry, Node, Table, Value};

/// A text and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    pub(super) place: Place,
}

/// One table, with the name by which messages call it.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    name: String,
    place: Place,
    table: Option<&'a Table>,
}

impl<'a> Section<'a> {
    /// Opens a whole file as a section; `kind` is its row in [`keys::TABLES`].
    pub(super) fn root(table: &'a Table, file: Place, kind: &str, findings: &mut Findings) -> Self {
        let section = Self { name: String::new(), place: file, table: Some(table) };
        section.refuse_unknown(kind, findings);
        section
    }

    /// Opens a table of this one under its own name. A missing one is empty.
    pub(super) fn open(&self, key: &str, findings: &mut Findings) -> Self {
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        match self.get(key) {
            Some(entry) => Self::of(&entry.node, name, entry.place, key, findings),
            None => Self { name, place: self.place, table: None },
        }
    }

    /// Opens a value as a section; `kind` is its row in [`keys::TABLES`].
    pub(super) fn of(node: &'a Node, name: String, place: Place, kind: &str, findings: &mut Findings) -> Self {
        let table = match &node.value {
            Value::Table(table) => Some(table),
            other => {
                let message = format!("`{}` is a table of keys, not {}", shown(&name), other.kind());
                let help = match (other, keys::named_by(&name)) {
                    (Value::List(_), Some(table)) => format!("write [{table}], with the name in place of NAME"),
                    _ => format!("write [{}] on a line of its own", shown(&name)),
                };
                findings.error(node.place, message, help);
                None
            }
        };
        let section = Self { name, place, table };
        section.refuse_unknown(kind, findings);
        section
    }

    fn refuse_unknown(&self, kind: &str, findings: &mut Findings) {
        let known = keys::of_table(kind);
        if known.is_empty() {
            return;
        }
        for entry in self.entries() {
            let key = entry.key.as_str();
            if known.contains(&key) {
                continue;
            }
            let help = match (nearest(key, known.iter().copied()), keys::home_of(key)) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some(table)) => format!("`{key}` belongs in {table}"),
                (None, None) => format!("known here: {}", known.join(", ")),
            };
            let place = if self.name.is_empty() { String::new() } else { format!(" in [{}]", shown(&self.name)) };
            findings.error(entry.place, format!("unknown key `{}`{place}", shown(key)), help);
        }
    }

    /// The keys that are there.
    pub(super) fn entries(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.table.into_iter().flat_map(|table| &table.entries)
    }

    /// The name by which messages call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where the section begins.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Entry> {
        self.table.and_then(|table| table.get(key))
    }

    /// The place of a key's value, or of the section.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.get(key).map_or(self.place, |entry| entry.node.place)
    }

    /// Says that a key has to be there.
    pub(super) fn missing(&self, key: &str, example: &str, findings: &mut Findings) {
        let (message, place) = if self.table.is_none() && !self.name.contains('.') {
            (format!("[{}] with `{key}` is missing", shown(&self.name)), self.place.whole())
        } else {
            (format!("[{}] has no `{key}`", shown(&self.name)), self.place)
        };
        findings.error(place, message, format!("nothing that grants access has a default; for example: {example}"));
    }

    /// A text, where the key is there.
    pub(super) fn text(&self, key: &str, findings: &mut Findings) -> Option<Text<'a>> {
        let entry = self.get(key)?;
        let text = as_text(&entry.node);
        if text.is_none() {
            wrong_type(entry, "a text in quotes", findings);
        }
        text
    }

    /// One of a few words, or the first of them where the key is not there.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], default: T, findings: &mut Findings) -> T {
        let Some(text) = self.text(key, findings) else { return default };
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == text.text) {
            return *meant;
        }
        let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let message = format!("`{key}` cannot be \"{}\"", shown(text.text));
        findings.error(text.place, message, format!("it is one of {}", known.join(", ")));
        default
    }

    /// A list of texts, where the key is there. A `--set` may give the only one without brackets.
    pub(super) fn texts(&self, key: &str, findings: &mut Findings) -> Option<Vec<Text<'a>>> {
        let entry = self.get(key)?;
        if let Some(text) = as_text(&entry.node).filter(|text| findings.is_override(text.place)) {
            return Some(vec![text]);
        }
        let Value::List(nodes) = &entry.node.value else {
            if let Some(text) = as_text(&entry.node) {
                let message = format!("`{key}` takes a list of texts, not a text alone");
                findings.error(text.place, message, format!("write {key} = [{}]", as_list(text.text)));
            } else {
                wrong_type(entry, "a list of texts, such as [\"a\", \"b\"]", findings);
            }
            return None;
        };
        let mut texts = Vec::new();
        for node in nodes {
            match as_text(node) {
                Some(text) => texts.push(text),
                None => findings.error(
                    node.place,
                    format!("`{key}` lists texts, and this is {}", node.value.kind()),
                    "put it in quotes",
                ),
            }
        }
        Some(texts)
    }

    /// The tables of a list, each opened as a section; `kind` is their row in [`keys::TABLES`].
    pub(super) fn tables(&self, key: &str, kind: &str, findings: &mut Findings) -> Option<Vec<Section<'a>>> {
        let entry = self.get(key)?;
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        let Value::List(nodes) = &entry.node.value else {
            match &entry.node.value {
                Value::Table(_) => {
                    let message =
                        format!("there can be several of `{}`, so each of them needs two brackets", shown(&name));
                    findings.error(entry.place, message, format!("write [[{}]]", shown(&name)));
                }
                _ => wrong_type(entry, &format!("tables: write [[{}]] above the keys of each", shown(&name)), findings),
            }
            return None;
        };
        let mut tables = Vec::new();
        for node in nodes {
            if matches!(node.value, Value::Table(_)) {
                tables.push(Section::of(node, name.clone(), node.place, kind, findings));
            } else {
                let message = format!("each of `{}` is a table, not {}", shown(&name), node.value.kind());
                let help = format!("write it in braces, with keys out of: {}", keys::of_table(kind).join(", "));
                findings.error(node.place, message, help);
            }
        }
        Some(tables)
    }

    /// True or false, or the default where the key is not there.
    pub(super) fn boolean(&self, key: &str, default: bool, findings: &mut Findings) -> bool {
        match self.get(key) {
            None => default,
            Some(Entry { node: Node { value: Value::Boolean(flag), .. }, .. }) => *flag,
            Some(entry) => {
                wrong_type(entry, "true or false, without quotes", findings);
                default
            }
        }
    }

    /// A date, where the key is there.
    pub(super) fn date(&self, key: &str, findings: &mut Findings) -> Option<Date> {
        match self.get(key)? {
            Entry { node: Node { value: Value::Date(date), .. }, .. } => Some(*date),
            entry => {
                wrong_type(entry, "a date without quotes, such as 2027-06-30", findings);
                None
            }
        }
    }

    /// A number within its bounds, or its default.
    pub(super) fn number(&self, number: &Number, findings: &mut Findings) -> u64 {
        self.number_given(number, findings).unwrap_or(number.default)
    }

    /// A number within its bounds, where the key is there and right.
    pub(super) fn number_given(&self, number: &Number, findings: &mut Findings) -> Option<u64> {
        let entry = self.get(number.key)?;
        let Value::Integer(given) = entry.node.value else {
            match as_text(&entry.node).and_then(|text| in_units(text.text)) {
                Some(amount) => {
                    let message = format!("`{}` takes a whole number of {}, without quotes", number.key, number.unit);
                    findings.error(entry.node.place, message, format!("write {} = {amount}", number.key));
                }
                None => wrong_type(entry, "a whole number without quotes, such as 10_000", findings),
            }
            return None;
        };
        let value = u64::try_from(given).ok().filter(|value| (number.least..=number.most).contains(value));
        if value.is_none() {
            let message = format!("`{}` cannot be {given}", number.key);
            let help = format!("from {} to {} {}", number.least, number.most, number.unit);
            findings.error(entry.node.place, message, help.trim_end());
        }
        value
    }
}

/// The words of a text, as the texts of a list.
pub(super) fn as_list(text: &str) -> String {
    let words = text.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty());
    // A window of the week has a space in it.
    let words: Vec<&str> = if text.contains(',') && !text.contains(':') { words.collect() } else { vec![text] };
    words.iter().map(|word| format!("\"{}\"", shown(word))).collect::<Vec<_>>().join(", ")
}

/// `10 GB` or `10GiB` as a number.
fn in_units(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim().to_ascii_lowercase();
    let (unit, base) = match unit.trim_end_matches('b').strip_suffix('i') {
        Some(unit) => (unit.to_owned(), 1024_u64),
        None => (unit.trim_end_matches('b').to_owned(), 1000),
    };
    let power = ["", "k", "m", "g", "t"].iter().position(|known| *known == unit)?;
    number.parse::<u64>().ok()?.checked_mul(base.checked_pow(u32::try_from(power).ok()?)?)
}

fn as_text(node: &Node) -> Option<Text<'_>> {
    match &node.value {
        Value::Text(text) => Some(Text { text, place: node.place }),
        _ => None,
    }
}

fn wrong_type(entry: &Entry, wanted: &str, findings: &mut Findings) {
    let message = format!("`{}` takes {wanted}", shown(&entry.key));
    findings.error(entry.node.place, message, format!("this is {}", entry.node.value.kind()));
}
