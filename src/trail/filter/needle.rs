//! What the bytes of a line must have for its record to be meant, so that most lines need not be
//! understood. Nothing that is meant is passed over: where a line has an escape, its texts may stand
//! there in another form, and it is read.

use memchr::memchr;
use memchr::memmem::Finder;

use super::Filter;

/// Texts, of each group of which one stands in every line that is meant.
#[derive(Debug, Default)]
pub struct Needles(Vec<Vec<Finder<'static>>>);

impl Needles {
    /// What the lines must have that a filter means.
    pub fn of(filter: &Filter) -> Self {
        let mut needles = Self::default();
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
            self.0.push(group);
        }
    }

    /// Whether the record of a line may be meant.
    pub fn may_admit(&self, line: &[u8]) -> bool {
        let stands = |group: &Vec<Finder<'static>>| group.iter().any(|finder| finder.find(line).is_some());
        self.0.iter().all(stands) || memchr(b'\\', line).is_some()
    }
}

/// How every path begins that a pattern means: its names up to the first with a wildcard.
fn written_out(pattern: &str) -> &str {
    let wild = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let names = pattern.get(..wild).unwrap_or_default();
    // `/in/**` means `/in`, too.
    if wild == pattern.len() { pattern } else { names.rsplit_once('/').map_or("", |(before, _)| before) }
}
