//! What a file was called before: a rename leads back from the name it has to the one it had, and a rename
//! of a directory to where the file lay. The log is read once for the names that a file has now, and again
//! for each generation of former names; only these are remembered.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::Entry;
use super::filter::{Needles, virtual_path};
use crate::audit::event::Event;
use crate::policy::path_pattern::PathPattern;

/// Most former names that are followed.
const NAMES_MAX: usize = 10_000;
/// How often the log is read for former names at most.
const ROUNDS_MAX: usize = 20;

/// The names of files over time.
#[derive(Debug)]
pub struct Names {
    patterns: Vec<PathPattern>,
    former: Vec<Former>,
    /// Which of them have a path.
    by_path: BTreeMap<String, Vec<usize>>,
    /// The numbers of the records of these renames.
    renames: BTreeSet<u64>,
    /// Of those before here it is known what they were before.
    known: usize,
    /// Of those from there up to here it is found out in this round.
    generation_end: usize,
    rounds: usize,
    complete: bool,
}

/// A name up to a rename.
#[derive(Debug)]
struct Former {
    from: String,
    to: String,
    /// The number of the record behind which the name means this file.
    since: u64,
    /// The number of the rename.
    until: u64,
    /// What it was called before `since`, where a rename began that.
    before: Option<String>,
    /// The former name that this one became; none where it became a name that is asked for.
    became: Option<usize>,
}

impl Names {
    /// The names that are asked for, and no former ones yet.
    pub fn of(patterns: Vec<PathPattern>) -> Self {
        Self {
            patterns,
            former: Vec::new(),
            by_path: BTreeMap::new(),
            renames: BTreeSet::new(),
            known: 0,
            generation_end: 0,
            rounds: 0,
            complete: true,
        }
    }

    /// What the lines have from which something is learned.
    pub fn needles() -> Needles {
        let mut needles = Needles::default();
        let events = [Event::FileRename, Event::FileDelete, Event::DirectoryRemove];
        needles.require(events.into_iter().map(|event| format!("\"{}\"", event.description().code)));
        needles
    }

    /// Learns from a record. All records come in their order, and again after each [`Names::goes_on`].
    pub fn learn(&mut self, entry: &Entry<'_>) {
        let Some(path) = entry.path().filter(|_| entry.succeeded()) else { return };
        let is = |event: Event| entry.event() == event.description().code;
        if let Some(to) = entry.file_result.as_ref().map(|file| &*file.path) {
            if self.rounds == 0 {
                if path != to && self.is_asked_for(to) && !self.is_asked_for(path) {
                    self.add(path.to_owned(), to.to_owned(), entry.seq, None);
                }
                return;
            }
            self.follow_within(path, to, entry.seq);
            self.begin(path, entry.seq, None);
            self.begin(to, entry.seq, Some(path));
        } else if is(Event::FileDelete) || is(Event::DirectoryRemove) {
            self.begin(path, entry.seq, None);
        }
    }

    /// A rename within a directory that was a former name, of what has a name now that is asked for.
    fn follow_within(&mut self, path: &str, to: &str, seq: u64) {
        let looked_for = self.known..self.generation_end;
        let leading = itself_and_above(to).filter(|above| *above != to).find_map(|above| {
            let indexes = self.by_path.get(above)?.iter().copied();
            indexes.into_iter().find(|index| looked_for.contains(index) && self.leads(*index, to, seq))
        });
        if let Some(index) = leading
            && path != to
            && !self.leads(index, path, seq)
        {
            self.add(path.to_owned(), to.to_owned(), seq, Some(index));
        }
    }

    /// Whether the log has to be read once more, since names were learned whose own past is not known.
    pub fn goes_on(&mut self) -> bool {
        for index in self.known..self.generation_end {
            let Some(former) = self.former.get(index) else { continue };
            if let Some(before) = former.before.clone() {
                self.add(before, former.from.clone(), former.since, Some(index));
            }
        }
        self.known = self.generation_end;
        self.generation_end = self.former.len();
        self.rounds = self.rounds.saturating_add(1);
        let more = self.known < self.generation_end;
        self.complete &= !more || self.rounds <= ROUNDS_MAX;
        more && self.rounds <= ROUNDS_MAX
    }

    /// Whether every former name was followed.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether a record is about one of the files.
    pub fn mean(&self, entry: &Entry<'_>) -> bool {
        let paths = [entry.path(), entry.file_result.as_ref().map(|file| &*file.path)];
        let mut paths = paths.into_iter().flatten();
        paths.any(|path| {
            self.matches(path)
                || (!self.former.is_empty()
                    && itself_and_above(path).any(|above| {
                        self.by_path.get(above).into_iter().flatten().any(|&index| self.leads(index, path, entry.seq))
                    }))
        }) || self.renames.contains(&entry.seq)
    }

    /// Whether the path was, at this record, a former name that leads to a name that is asked for.
    fn leads(&self, index: usize, path: &str, seq: u64) -> bool {
        let (mut path, mut seq) = (path.to_owned(), seq);
        let mut next = self.former.get(index);
        while let Some(former) = next {
            if seq <= former.since || seq > former.until {
                return false;
            }
            let Some(rest) = path.strip_prefix(&former.from) else { return false };
            path = format!("{}{rest}", former.to);
            // What a rename leads to has to be so named right behind it.
            seq = former.until.saturating_add(1);
            next = former.became.and_then(|index| self.former.get(index));
        }
        self.matches(&path)
    }

    fn matches(&self, path: &str) -> bool {
        virtual_path(path).is_some_and(|path| self.patterns.iter().any(|pattern| pattern.matches(&path)))
    }

    /// Whether a file or directory of this name is asked for, or holds what is.
    fn is_asked_for(&self, path: &str) -> bool {
        let holds = |pattern: &PathPattern| {
            let text = pattern.as_str();
            let written_out = text.get(..text.find(['*', '?', '[']).unwrap_or(text.len())).unwrap_or_default();
            written_out.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        };
        self.matches(path) || self.patterns.iter().any(holds)
    }

    /// From this record on, the path and what lies below it is another file, called `before` until then.
    fn begin(&mut self, path: &str, seq: u64, before: Option<&str>) {
        // Of what stands below a directory, the names begin with its own and a slash.
        let below = format!("{path}/")..format!("{path}0");
        let exact = self.by_path.get_key_value(path).into_iter();
        for (name, indexes) in exact.chain(self.by_path.range(below)) {
            for &index in indexes.iter().filter(|index| (self.known..self.generation_end).contains(index)) {
                if let Some(former) = self.former.get_mut(index).filter(|former| seq < former.until) {
                    let rest = name.strip_prefix(path).unwrap_or_default();
                    former.since = seq;
                    former.before = before.map(|before| format!("{before}{rest}"));
                }
            }
        }
    }

    fn add(&mut self, from: String, to: String, until: u64, became: Option<usize>) {
        if self.former.len() >= NAMES_MAX {
            self.complete = false;
            return;
        }
        self.by_path.entry(from.clone()).or_default().push(self.former.len());
        self.renames.insert(until);
        self.former.push(Former { from, to, since: 0, until, before: None, became });
    }
}

/// A path and the directories above it.
fn itself_and_above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above))
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Done {
        Put(&'static str),
        Rename(&'static str, &'static str),
        Delete(&'static str),
    }
    use Done::{Delete, Put, Rename};

    fn line(seq: usize, done: &Done) -> String {
        let (event, path, to) = match done {
            Put(path) => ("file.upload", path, None),
            Delete(path) => ("file.delete", path, None),
            Rename(path, to) => ("file.rename", path, Some(to)),
        };
        let to = to.map_or_else(String::new, |to| format!(",\"file_result\":{{\"path\":\"{to}\"}}"));
        format!(
            "{{\"seq\":{seq},\"time\":0,\"time_dt\":\"t\",\"severity_id\":1,\"status_id\":1,\
             \"metadata\":{{\"event_code\":\"{event}\",\"uid\":\"x\"}},\"file\":{{\"path\":\"{path}\"}}{to}}}"
        )
    }

    /// The records, by their place from 1, that are about files of this name.
    fn about(pattern: &str, story: &[Done]) -> Vec<usize> {
        let lines: Vec<String> = story.iter().enumerate().map(|(index, done)| line(index + 1, done)).collect();
        let entries: Vec<Entry<'_>> = lines.iter().map(|line| Entry::parse(line.as_bytes()).unwrap()).collect();
        let mut names = Names::of(vec![PathPattern::parse(pattern).unwrap()]);
        loop {
            for entry in &entries {
                names.learn(entry);
            }
            if !names.goes_on() {
                break;
            }
        }
        assert!(names.is_complete());
        entries.iter().filter(|entry| names.mean(entry)).map(|entry| usize::try_from(entry.seq).unwrap()).collect()
    }

    #[test]
    fn a_name_leads_back_over_every_rename() {
        let story = [Put("/a"), Put("/x"), Rename("/a", "/b"), Put("/a"), Rename("/b", "/c"), Put("/b"), Put("/c")];
        assert_eq!(about("/c", &story), [1, 3, 5, 7]);
        assert_eq!(about("/b", &story), [1, 3, 5, 6]);
        assert_eq!(about("/a", &story), [1, 3, 4]);
    }

    #[test]
    fn a_former_name_counts_from_when_another_file_had_it() {
        let story = [Put("/t"), Rename("/t", "/one"), Put("/t"), Delete("/t"), Put("/t"), Rename("/t", "/two")];
        assert_eq!(about("/one", &story), [1, 2]);
        assert_eq!(about("/two", &story), [5, 6]);
    }

    #[test]
    fn a_directory_takes_what_lies_in_it_along() {
        let story = [
            Put("/in/a"),
            Put("/in/b"),
            Rename("/in", "/out"),
            Put("/in/a"),
            Rename("/out/a", "/out/c"),
            Rename("/out", "/done"),
            Put("/done/c"),
        ];
        assert_eq!(about("/done/c", &story), [1, 3, 5, 6, 7]);
        assert_eq!(about("/done/*", &story), [1, 2, 3, 5, 6, 7]);
    }

    #[test]
    fn names_that_go_round_in_a_circle_come_to_an_end() {
        let story: Vec<Done> =
            (0..12).map(|index| if index % 2 == 0 { Rename("/a", "/b") } else { Rename("/b", "/a") }).collect();
        assert_eq!(about("/a", &story).len(), 12);
    }
}
