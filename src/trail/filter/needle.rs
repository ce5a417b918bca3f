//! What the bytes of a line must have for its record to be meant, so that most lines need not be
//! understood. Nothing that is meant is passed over: where a line has an escape, its texts may stand
//! there in another form, and it is read.

use std::ops::RangeInclusive;

use memchr::memchr;
use memchr::memmem::Finder;

use super::Filter;

/// Texts, of each group of which one stands in every line that is meant.
#[derive(Debug, Default)]
pub struct Needles {
    texts: Vec<Vec<Finder<'static>>>,
    /// The number of the record lies in one of these, where there are any.
    numbers: Vec<RangeInclusive<u64>>,
}

impl Needles {
    /// What the lines must have that a filter means.
    pub fn of(filter: &Filter) -> Self {
        let mut needles = Self { texts: Vec::new(), numbers: filter.records.clone() };
        // What stands in a line as a whole text stands there between quotes.
        let quoted = |text: &String| format!("\"{text}\"");
        needles.require(filter.users.iter().map(quoted));
        needles.require(filter.reasons.iter().map(quoted));
        needles.require(filter.commands.iter().map(quoted));
        needles.require(filter.sessions.iter().map(|start| format!("\"{start}")));
        needles.require(filter.events.iter().map(|event| format!("\"{}", event.text)));
        needles.require(filter.paths.iter().map(|pattern| format!("\"{}", written_out(pattern.as_str()))));
        // An IPv4 address is written in one way only, one of IPv6 in many.
        if filter.networks.iter().all(|network| network.addr().is_ipv4() && network.prefix_len() == 32) {
            needles.require(filter.networks.iter().map(|network| format!("\"{}\"", network.addr())));
        }
        needles
    }

    /// Requires that a line has one of these texts, where there are any.
    pub fn require(&mut self, texts: impl Iterator<Item = String>) {
        let group: Vec<Finder<'static>> = texts.map(|text| Finder::new(text.as_bytes()).into_owned()).collect();
        if !group.is_empty() {
            self.texts.push(group);
        }
    }

    /// Whether the record of a line may be meant.
    pub fn may_admit(&self, line: &[u8]) -> bool {
        let stands = |group: &Vec<Finder<'static>>| group.iter().any(|finder| finder.find(line).is_some());
        let other = number(line).is_some_and(|number| !self.numbers.iter().any(|range| range.contains(&number)));
        if other && !self.numbers.is_empty() {
            return false;
        }
        self.texts.iter().all(stands) || memchr(b'\\', line).is_some()
    }
}

/// The number of a line's record where the line begins with it; a record has no second one.
fn number(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"{\"seq\":")?;
    let digits = rest.get(..memchr(b',', rest.get(..21).unwrap_or(rest))?)?;
    str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?.parse().ok()
}

/// How every path begins that a pattern means: its names up to the first with a wildcard.
fn written_out(pattern: &str) -> &str {
    let wild = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let names = pattern.get(..wild).unwrap_or_default();
    // `/in/**` means `/in`, too.
    if wild == pattern.len() { pattern } else { names.rsplit_once('/').map_or("", |(before, _)| before) }
}
