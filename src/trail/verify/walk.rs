//! The chain, followed line by line. Where it breaks, what stands around the place tells what somebody
//! did there, and the walk goes on so that the rest is verified too.

use std::collections::VecDeque;
use std::io;

use super::Options;
use super::findings::{Draft, Drafts, name};
use super::keys::Keyring;
use super::mark::{AHEAD_MAX, Content, Event, Link, Mark, Marks, Place};
use super::story::{Absent, Role, Story};
use super::verdict::Kind;
use crate::audit::chain::ChainHash;
use crate::audit::rotation::Kind as FileKind;
use crate::audit::signing::PublicKey;
use crate::trail::files::LogFile;
use crate::trail::lines::{End, Lines};

/// Records that are remembered behind the walk.
const HISTORY_MAX: usize = 1024;

/// What the next record has to follow.
#[derive(Clone, Copy, Debug)]
struct Head {
    next: u64,
    hash: ChainHash,
    /// What the last record's hash would be by its content, where it was changed.
    other: ChainHash,
}

/// A record that the walk went over.
#[derive(Clone, Copy, Debug)]
struct Past {
    seq: u64,
    hash: ChainHash,
    place: Place,
    /// Whether something is wrong with it, which is told already.
    suspect: bool,
}

/// A record that stands where it does not belong.
#[derive(Debug)]
struct Stray {
    place: Place,
    link: Link,
    finding: Option<usize>,
}

/// What is known of the record behind the one that is looked at.
#[derive(Clone, Copy)]
struct Behind {
    seq: u64,
    prev: ChainHash,
    hash: ChainHash,
}

pub(super) struct Walk<'a> {
    files: &'a [LogFile],
    marks: Marks<'a>,
    alone: bool,
    story: Story,
    found: Drafts,
    head: Option<Head>,
    history: VecDeque<Past>,
    strays: Vec<Stray>,
    /// Whether something unreadable stands before the next record, which is told already.
    hole: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(files: &'a [LogFile], lines: Lines<'a>, keys: &[PublicKey], options: &Options) -> Self {
        Self {
            files,
            marks: Marks::of(lines),
            alone: options.alone,
            story: Story::new(files.len(), Keyring::new(keys), options),
            found: Drafts::default(),
            head: None,
            history: VecDeque::new(),
            strays: Vec::new(),
            hole: false,
        }
    }

    pub(super) fn run(mut self) -> (Story, Drafts) {
        while let Some(Mark { place, content }) = self.marks.take() {
            match content {
                Content::Link(link) => self.link(place, link),
                Content::NoRecord(bytes, end) => self.no_record(place, bytes, end),
                Content::Broken(error) => self.broken(place, &error),
                Content::GivenUp => {
                    let message = "so many lines are no records that the rest of this file was left alone";
                    self.add(Kind::NoRecord, place, None, message.to_owned());
                    self.hole = true;
                }
            }
        }
        (self.story, self.found)
    }

    fn add(&mut self, kind: Kind, place: Place, seqs: Option<(u64, u64)>, message: String) -> Option<usize> {
        self.found.add(Draft { kind, place: Some(place), seqs, message })
    }

    /// What the next record has to follow; the beginning of a log where there was none yet.
    fn head(&self) -> Head {
        self.head.unwrap_or(Head { next: 1, hash: ChainHash::NONE, other: ChainHash::NONE })
    }

    fn follows(&self, prev: ChainHash) -> bool {
        let head = self.head();
        prev == head.hash || prev == head.other
    }

    fn behind(&mut self) -> Option<Behind> {
        self.marks.peek_link().map(|link| Behind { seq: link.seq, prev: link.prev, hash: link.hash })
    }

    fn broken(&mut self, place: Place, error: &io::Error) {
        let next = self.head().next;
        let (kind, message) = match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                (Kind::Damaged, format!("the content is damaged from record {next} on: {error}"))
            }
            _ => (Kind::Unreadable, format!("the file cannot be read from record {next} on: {error}")),
        };
        self.add(kind, place, Some((next, next)), message);
        self.hole = true;
    }

    fn no_record(&mut self, place: Place, bytes: usize, end: End) {
        let of_file = end == End::OfFile;
        let last = place.file.checked_add(1) == Some(self.files.len());
        if of_file && last && self.files.get(place.file).is_some_and(|file| file.kind == FileKind::Open) {
            self.story.torn_bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            return;
        }
        if self.hole {
            // The first of them says which records are not here.
            return;
        }
        let next = self.head().next;
        let behind = self.marks.peek_link().map(|link| (link.seq, link.prev));
        let message = match (end, behind) {
            (_, Some((seq, prev))) if seq == next && self.follows(prev) => {
                "this line is no record; those around it follow each other, so it was put in".to_owned()
            }
            (End::TooLong, _) => "this line is longer than any record".to_owned(),
            (End::OfFile, _) => "the file ends within this line".to_owned(),
            (End::Whole, _) => "this line is no record".to_owned(),
        };
        let stands_for = match behind {
            Some((seq, prev)) if seq == next && self.follows(prev) => None,
            Some((seq, ..)) if seq > next && self.head.is_some() => Some((next, seq.saturating_sub(1))),
            Some((seq, ..)) if seq > 1 && self.head.is_none() => Some((seq.saturating_sub(1), seq.saturating_sub(1))),
            Some(_) => None,
            None => Some((next, next)),
        };
        let message = match stands_for {
            Some((first, last)) if first == last => format!("{message}, where record {first} should be"),
            Some((first, last)) => format!("{message}, where the records {first} to {last} should be"),
            None => message,
        };
        self.add(Kind::NoRecord, place, stands_for, message);
        self.hole |= stands_for.is_some();
    }

    fn link(&mut self, place: Place, link: Link) {
        if self.head.is_none() && self.alone {
            self.begin_anywhere(&link);
        }
        while !(link.seq == self.head().next && self.follows(link.prev)) {
            if !self.take_stray() {
                break;
            }
        }
        let next = self.head().next;
        if link.seq == next && self.follows(link.prev) {
            if !link.is_whole() {
                self.add(Kind::Edited, place, Some((next, next)), edited(next));
            }
            return self.adopt(place, &link, next, false);
        }
        if self.hole && link.seq >= next {
            if !link.is_whole() {
                self.add(Kind::Edited, place, Some((link.seq, link.seq)), edited(link.seq));
            }
            return self.adopt(place, &link, link.seq, true);
        }
        let head = self.head();
        let belongs = |ahead: &Link| ahead.seq == next && (ahead.prev == head.hash || ahead.prev == head.other);
        if self.marks.look_ahead().any(belongs) {
            return self.stray(place, link);
        }
        if link.is_whole() { self.misfit(place, link) } else { self.edited_misfit(place, &link) }
    }

    /// Where only some files are looked at, the chain begins with what is there.
    fn begin_anywhere(&mut self, link: &Link) {
        let behind = self.behind();
        let turned = behind.filter(|behind| link.prev == behind.hash && behind.seq.checked_add(1) == Some(link.seq));
        let (next, prev) = turned.map_or((link.seq, link.prev), |behind| (behind.seq, behind.prev));
        self.head = Some(Head { next, hash: prev, other: prev });
    }

    /// A record in its place, as the one of this number.
    fn adopt(&mut self, place: Place, link: &Link, seq: u64, behind_gap: bool) {
        self.hole = false;
        if let Some(index) = self.strays.iter().position(|stray| stray.link.hash == link.hash) {
            let stray = self.strays.swap_remove(index);
            let message = format!("this is a copy of record {seq}, which stands at {} too", self.at(place));
            self.found.change(stray.finding, Kind::Duplicated, message);
        }
        self.head = Some(Head { next: seq.saturating_add(1), hash: link.hash, other: link.computed });
        if self.history.len() >= HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(Past { seq, hash: link.hash, place, suspect: !link.is_whole() });
        self.story.hear(place, link, seq, behind_gap, &mut self.found);
    }

    /// Takes a record that stood elsewhere into its place in the chain, if there is one.
    fn take_stray(&mut self) -> bool {
        let head = self.head();
        let fits = |stray: &Stray| {
            stray.link.seq == head.next && (stray.link.prev == head.hash || stray.link.prev == head.other)
        };
        let Some(index) = self.strays.iter().position(fits) else { return false };
        let stray = self.strays.swap_remove(index);
        let seq = stray.link.seq;
        let message = format!("record {seq} stands here, and not in its order");
        self.found.change(stray.finding, Kind::Reordered, message);
        self.adopt(stray.place, &stray.link, seq, false);
        true
    }

    /// A record that is in the way of the one that belongs here.
    fn stray(&mut self, place: Place, link: Link) {
        if self.is_copy_or_missed(place, &link) {
            return;
        }
        let seq = link.seq;
        let in_order = self.strays.iter().any(|stray| stray.link.hash == link.prev)
            || (!self.strays.is_empty() && self.marks.look_ahead().any(|ahead| ahead.hash == link.prev));
        let linked = self.marks.look_ahead().any(|ahead| ahead.hash == link.prev || ahead.prev == link.hash);
        let finding = if linked && in_order {
            // It only stands behind one that is told of already.
            None
        } else if linked {
            let message = format!("record {seq} stands here, and not in its order");
            self.add(Kind::Reordered, place, Some((seq, seq)), message)
        } else {
            let message = format!("a record {seq} stands here that no other follows: it was put in");
            self.add(Kind::Inserted, place, Some((seq, seq)), message)
        };
        if link.is_whole() && self.strays.len() < AHEAD_MAX {
            self.strays.push(Stray { place, link, finding });
        }
    }

    /// Whether a record is a copy of one before it, or one that was missing there; tells so.
    fn is_copy_or_missed(&mut self, place: Place, link: &Link) -> bool {
        let seq = link.seq;
        if let Some(copy) = self.history.iter().find(|past| past.hash == link.hash).map(|past| past.place) {
            let message = format!("this is a copy of record {seq}, which stands at {} too", self.at(copy));
            self.add(Kind::Duplicated, place, Some((seq, seq)), message);
            return true;
        }
        let Some(absent) = self.story.find_again(link) else { return false };
        let message = format!("record {seq} is missing here, and stands at {}", self.at(place));
        self.add(Kind::Reordered, absent.place, Some((seq, seq)), message);
        true
    }

    /// A record that was changed, and stands behind another one than it should by its own word.
    fn edited_misfit(&mut self, place: Place, link: &Link) {
        let head = self.head();
        let behind = self.behind();
        // The one behind it knows it still.
        let known = behind.filter(|behind| behind.prev == link.hash || behind.prev == link.computed);
        let seq = if self.follows(link.prev) || link.seq == head.next {
            head.next
        } else if let Some(known) = known {
            known.seq.saturating_sub(1)
        } else if link.seq > head.next && behind.is_none_or(|behind| behind.seq.checked_sub(1) == Some(link.seq)) {
            link.seq
        } else if link.seq < head.next {
            let message = format!("a record {} stands here that was changed and that no other follows", link.seq);
            self.add(Kind::Inserted, place, Some((link.seq, link.seq)), message);
            return;
        } else {
            head.next
        };
        self.add(Kind::Edited, place, Some((seq, seq)), edited(seq));
        let missing = seq > head.next;
        if missing {
            self.miss(place, seq, link);
        }
        self.adopt(place, link, seq, missing);
    }

    /// A record that is whole and does not follow the one before.
    fn misfit(&mut self, place: Place, link: Link) {
        let next = self.head().next;
        let behind = self.behind();
        let followed = behind.is_some_and(|behind| behind.prev == link.hash);
        if self.follows(link.prev) {
            return self.renumbered(place, &link, behind);
        }
        if link.seq == next {
            return self.broken_link(place, &link, behind, followed);
        }
        if link.seq < next {
            return self.earlier(place, &link, behind, followed);
        }
        let goes_back = behind.is_some_and(|behind| !followed && behind.seq >= next && behind.seq <= link.seq);
        if goes_back {
            return self.stray(place, link);
        }
        self.miss(place, link.seq, &link);
        self.adopt(place, &link, link.seq, true);
    }

    /// A record that follows the one before and has another number.
    fn renumbered(&mut self, place: Place, link: &Link, behind: Option<Behind>) {
        let next = self.head().next;
        let event = link.about.as_deref().map(|about| about.event);
        if matches!(event, Some(Event::Gap | Event::Rotated)) && link.seq > next {
            // The server knew of more than it found, and does not use the numbers again.
            let last = link.seq.saturating_sub(1);
            let message = format!("the records {next} to {last} were cut off, as the server found when it started");
            self.add(Kind::Truncated, place, Some((next, last)), message);
            return self.adopt(place, link, link.seq, true);
        }
        let message = format!("record {next} was changed and hashed anew: it calls itself {}", link.seq);
        self.add(Kind::Rehashed, place, Some((next, next)), message);
        let renumbered = behind.is_some_and(|behind| behind.seq.checked_sub(1) == Some(link.seq));
        self.adopt(place, link, if renumbered { link.seq } else { next }, false);
    }

    /// A record that has the right number and follows another record than the one before.
    fn broken_link(&mut self, place: Place, link: &Link, behind: Option<Behind>, followed: bool) {
        let next = self.head().next;
        let before = self.history.back().copied();
        match before {
            Some(before) if before.suspect => {}
            Some(before) if followed || (behind.is_none() && !self.story.last.is_some_and(|last| last.signed)) => {
                let seq = before.seq;
                let message = if followed {
                    format!("record {seq} was changed and hashed anew: record {next} follows another one")
                } else {
                    format!("record {seq} was changed and hashed anew, or record {next} was put in behind it")
                };
                self.add(Kind::Rehashed, before.place, Some((seq, seq)), message);
            }
            Some(_) if behind.is_none() => {
                let message = format!("record {next} was put in: it follows no record of this log");
                self.add(Kind::Inserted, place, Some((next, next)), message);
            }
            _ => {
                let message = format!("record {next} was changed and hashed anew: it follows another one than is here");
                self.add(Kind::Rehashed, place, Some((next, next)), message);
            }
        }
        self.adopt(place, link, next, false);
        if let (Some(behind), Some(head)) = (behind, &mut self.head)
            && !followed
            && behind.seq == head.next
        {
            head.other = behind.prev;
        }
    }

    /// A record whose number was passed already.
    fn earlier(&mut self, place: Place, link: &Link, behind: Option<Behind>, followed: bool) {
        let seq = link.seq;
        let seqs = Some((seq, seq));
        if self.is_copy_or_missed(place, link) {
            return;
        }
        if seq == 1 && link.prev == ChainHash::NONE {
            let last = self.head().next.saturating_sub(1);
            let message = format!("another log begins here, behind record {last}");
            self.add(Kind::Restarted, place, seqs, message);
            self.history.clear();
            self.strays.clear();
            self.story.restart();
            return self.adopt(place, link, 1, true);
        }
        let parent =
            self.history.iter().position(|past| past.seq.checked_add(1) == Some(seq) && past.hash == link.prev);
        let Some(parent) = parent else {
            let last = self.head().next.saturating_sub(1);
            let message = format!("a record {seq} stands here, behind record {last}");
            self.add(Kind::Reordered, place, seqs, message);
            return;
        };
        let rival = parent.saturating_add(1);
        let Some(first) = self.history.get(rival).copied() else { return };
        let last = self.history.back().map_or(seq, |past| past.seq);
        if followed && !behind.is_some_and(|behind| self.follows(behind.prev)) {
            let message = format!("the record {} here was put in: no other follows it", first.seq);
            self.add(Kind::Inserted, first.place, Some((first.seq, last)), message);
            let taken_back = self.history.len().saturating_sub(rival);
            self.story.records = self.story.records.saturating_sub(u64::try_from(taken_back).unwrap_or(0));
            self.history.truncate(rival);
            return self.adopt(place, link, seq, false);
        }
        let rival = self.at(first.place);
        if behind.is_some() {
            let message = format!("a second record {seq} was put in beside that at {rival}: no other follows it");
            self.add(Kind::Inserted, place, seqs, message);
        } else {
            let message = format!("here and at {rival} stand two records {seq} that follow the same one");
            self.add(Kind::Forked, place, seqs, message);
        }
    }

    /// The records from the next on to the one before `seq` are missing.
    fn miss(&mut self, place: Place, seq: u64, link: &Link) {
        let head = self.head();
        let (first, last) = (head.next, seq.saturating_sub(1));
        let before = self.history.back().copied();
        let elsewhere = before.is_none_or(|past| past.place.file != place.file);
        // Only where both files are whole, others are missing between them.
        let ended = self.story.last.is_none_or(|last| last.role == Role::ClosesFile);
        let begins = place.line == 1 && self.begins_file(place, link);
        let records =
            if first == last { format!("record {first} is") } else { format!("the records {first} to {last} are") };
        let (kind, message) = match before {
            _ if elsewhere && ended && begins => (
                Kind::MissingFile,
                format!("{records} missing before this file, and the log does not say that retention removed them"),
            ),
            Some(before) if elsewhere => {
                (Kind::Deleted, format!("{records} missing between {} and here", self.at(before.place)))
            }
            _ => (Kind::Deleted, format!("{records} missing before this line")),
        };
        let absent = Absent { first, last, before: head.hash, hash: link.prev, place, kind, message, pruned_by: None };
        self.story.miss(absent, &mut self.found);
    }

    /// Whether this is the record that its file began with when it was made.
    fn begins_file(&self, place: Place, link: &Link) -> bool {
        match self.files.get(place.file).map(|file| file.kind) {
            Some(FileKind::Closed { first_seq, .. }) => first_seq == link.seq,
            _ => link.about.as_deref().is_some_and(|about| matches!(about.event, Event::Rotated | Event::Begun)),
        }
    }

    /// A place in words.
    fn at(&self, place: Place) -> String {
        format!("{}:{}", name(self.files, place), place.line)
    }
}

fn edited(seq: u64) -> String {
    format!("record {seq} was changed: its hash is not that of its content")
}
