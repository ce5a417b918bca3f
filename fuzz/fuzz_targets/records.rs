//! Records of a hostile log: whatever a line says, what looks at its bytes alone hides no record that a
//! filter means, nothing that a finding says drives a terminal, and memory is bounded. The
//! first line has what is asked for, divided by spaces; the others are the log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::findings::Finder;
use portcullis::findings::context::Context;
use portcullis::settings::Thresholds;
use portcullis::trail::entry::Entry;
use portcullis::trail::filter::{Filter, Needles, TimeSpan, network, numbers, path_pattern};

fuzz_target!(|bytes: &[u8]| {
    let (asked, log) = bytes.split_at(bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len()));
    let asked = String::from_utf8_lossy(asked);
    let words: Vec<&str> = asked.split(' ').filter(|word| !word.is_empty()).collect();
    let texts = || words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let filters = [
        Filter { users: texts(), ..Filter::default() },
        Filter { reasons: texts(), ..Filter::default() },
        Filter { commands: texts(), ..Filter::default() },
        Filter { sessions: texts(), ..Filter::default() },
        Filter { events: words.iter().filter_map(|word| word.parse().ok()).collect(), ..Filter::default() },
        Filter { networks: words.iter().filter_map(|word| network(word).ok()).collect(), ..Filter::default() },
        Filter { paths: words.iter().filter_map(|word| path_pattern(word).ok()).collect(), ..Filter::default() },
        Filter { records: words.iter().filter_map(|word| numbers(word).ok()).collect(), ..Filter::default() },
    ];
    let mut finder =
        Finder::new(&Thresholds::default(), Context::at(jiff::Timestamp::UNIX_EPOCH), TimeSpan::default());
    for line in log.split(|&byte| byte == b'\n') {
        let Ok(entry) = Entry::parse(line) else {
            finder.note_unreadable();
            continue;
        };
        finder.observe(&entry);
        for filter in &filters {
            assert!(!filter.admits(&entry) || Needles::of(filter).may_admit(line), "{filter:?}");
        }
    }
    for finding in finder.finish().findings {
        for text in [finding.title, finding.seen, finding.command, finding.advice] {
            assert!(!text.chars().any(portcullis::audit::text::is_harmful), "{text:?}");
        }
    }
});
