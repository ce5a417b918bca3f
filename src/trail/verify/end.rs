//! What can be said once all lines are read: about the end of the log, and about what stands outside of it.

use super::findings::{Draft, Drafts, name};
use super::keys::Worth;
use super::mark::Place;
use super::story::{Role, Standing, Story};
use super::verdict::{FileSpan, Kind, Position, Range, State, Tail, Trust, Verdict, Witnesses, leading};
use super::{Options, rfc3339, safe};
use crate::audit::head::HEAD_NAME;
use crate::audit::rotation::Kind as FileKind;
use crate::trail::files::LogFile;

/// Puts it all together.
pub(super) fn verdict(files: &[LogFile], mut story: Story, mut found: Drafts, options: &Options) -> Verdict {
    let pruned = missing(&mut story, &mut found, options);
    let witnesses = compare(files, &story, &mut found, options);
    signatures(&story, &mut found);
    if let Some(why) = &options.no_head {
        let message =
            format!("{HEAD_NAME} beside the log is no head, so it cannot tell whether the end is there: {why}");
        found.add(Draft { kind: Kind::NoHead, place: None, seqs: None, message });
    }
    let closed = story.last.is_some_and(|last| last.role == Role::Stops);
    if options.alone {
        end_of_closed(files, &story, &mut found);
    } else {
        end(files, &story, closed, &mut found, options);
    }
    let tail = tail(&story, options);
    unsigned_tail(&story, &tail, &mut found, options);
    let total = found.total();
    let findings = found.shown(files);
    let spans = files.iter().zip(&story.spans).map(|(file, span)| FileSpan {
        file: safe(&file.path.display().to_string()),
        first_seq: span.map(|span| span.first_seq),
        last_seq: span.map(|span| span.last_seq),
    });
    Verdict {
        state: leading(&findings).map_or(State::Proven, |finding| finding.kind.state()),
        findings_total: total,
        log: story.log.as_deref().map(safe),
        in_use: options.in_use,
        closed,
        files: spans.collect(),
        records: story.records,
        first: story.first.map(position),
        last: story.last.map(position),
        checkpoints: story.checkpoints,
        signed: story.signed.clone(),
        tail,
        keys: story.keys.shown(),
        witnesses,
        pruned,
        gaps: story.gaps,
        outages: story.outages,
        clock_back: story.clock_back,
        findings,
    }
}

fn position(standing: Standing) -> Position {
    Position {
        seq: standing.seq,
        time: rfc3339(standing.time),
        prev: standing.prev.to_string(),
        hash: standing.hash.to_string(),
    }
}

/// Missing records that nothing explains are findings; the others were removed by retention.
fn missing(story: &mut Story, found: &mut Drafts, options: &Options) -> Vec<Range> {
    let signed = story.signed.as_ref().map_or(0, |signed| signed.head_seq);
    let mut pruned = Vec::new();
    for absent in std::mem::take(&mut story.absent) {
        let seqs = Some((absent.first, absent.last));
        match absent.pruned_by {
            None => {
                found.add_always(Draft { kind: absent.kind, place: Some(absent.place), seqs, message: absent.message });
            }
            Some(by) => {
                pruned.push(Range { first_seq: absent.first, last_seq: absent.last });
                if by > signed && signed > 0 && !options.in_use {
                    let message = format!(
                        "record {by} tells that retention removed the records {} to {}, and is not signed itself",
                        absent.first, absent.last
                    );
                    found.add_always(Draft { kind: Kind::UnsignedTail, place: Some(absent.place), seqs, message });
                }
            }
        }
    }
    pruned
}

/// Holds the heads from elsewhere against the chain.
fn compare(files: &[LogFile], story: &Story, found: &mut Drafts, options: &Options) -> Witnesses {
    let mut witnesses = Witnesses::default();
    let last = story.last.map(|last| last.seq);
    // Behind a closed file that is looked at alone there are others.
    let ends_log = !options.alone || files.last().is_some_and(|file| file.kind == FileKind::Open);
    let mut cut = None;
    for compared in story.witnesses.values().flatten() {
        witnesses.given = witnesses.given.saturating_add(1);
        let (head, source) = (&compared.witness.head, &compared.witness.source);
        let seqs = Some((head.seq, head.seq));
        let mut add = |kind, place, message| {
            found.add(Draft { kind, place, seqs, message });
        };
        let other_log = story.log.as_ref().is_some_and(|log| *log != head.log);
        match (story.keys.judge(head), compared.found) {
            _ if other_log => {
                let message = format!("the head of record {} from {source} is one of another log", head.seq);
                add(Kind::OtherLog, None, message);
            }
            (Worth::Wrong, _) => {
                let message = format!("the signature of the head of record {} from {source} is wrong", head.seq);
                add(Kind::BadSignature, None, message);
            }
            (_, Some((true, _))) => witnesses.agree = witnesses.agree.saturating_add(1),
            (Worth::Untrusted, _) if !story.keys.is_empty() => {
                let (seq, key) = (head.seq, safe(&head.key));
                let message =
                    format!("the head of record {seq} from {source} is signed by {key}, which is not trusted");
                add(Kind::UnknownKey, None, message);
            }
            (Worth::Good, Some((false, place))) => {
                let message = format!(
                    "record {} is not the one that stood here when {source} was signed: it or one before it was \
                     changed and hashed anew",
                    head.seq
                );
                add(Kind::NotAsSigned, Some(place), message);
            }
            // The last in the order of their numbers knows most.
            (Worth::Good, None) if ends_log && last.is_none_or(|last| head.seq > last) => {
                cut = Some((head.seq, source));
            }
            (Worth::Untrusted, _) | (Worth::Good, None) => {}
        }
    }
    if let Some((seq, source)) = cut {
        let first = last.map_or(1, |last| last.saturating_add(1));
        let message =
            format!("the log ends before its time: {source} knows of record {seq}, so {first} to {seq} are missing");
        found.add_always(Draft {
            kind: Kind::Truncated,
            place: end_place(files, story),
            seqs: Some((first, seq)),
            message,
        });
    }
    witnesses
}

/// Whether anybody who is trusted signed.
fn signatures(story: &Story, found: &mut Drafts) {
    if story.keys.is_empty() {
        let message = "without a public key nothing is proven about who wrote these records".to_owned();
        found.add(Draft { kind: Kind::Unsigned, place: None, seqs: None, message });
    } else if let Some((place, seq, key)) = &story.untrusted {
        let message = format!(
            "from here on checkpoints are signed by {}, which is not one of the keys given and was not named by one",
            safe(key)
        );
        found.add(Draft { kind: Kind::UnknownKey, place: Some(*place), seqs: Some((*seq, *seq)), message });
    } else if story.signed.is_none() && !found.any(|kind| kind.state() == State::BadSignature) {
        let message = "no checkpoint is signed by a trusted key".to_owned();
        found.add(Draft { kind: Kind::Unsigned, place: None, seqs: None, message });
    }
}

/// Where the last record stands.
fn end_place(files: &[LogFile], story: &Story) -> Option<Place> {
    story.last.map(|last| last.place).or_else(|| Some(Place { file: files.len().checked_sub(1)?, line: 0 }))
}

/// A file that was closed ends with a checkpoint.
fn end_of_closed(files: &[LogFile], story: &Story, found: &mut Drafts) {
    let is_closed = files.last().is_some_and(|file| matches!(file.kind, FileKind::Closed { .. }));
    let ends = story.last.is_some_and(|last| matches!(last.role, Role::ClosesFile | Role::Stops));
    if is_closed && !ends && !found.any(|kind| matches!(kind, Kind::Damaged | Kind::Unreadable)) {
        let next = story.last.map_or(1, |last| last.seq.saturating_add(1));
        let message = "this file does not end with the checkpoint that closes a file: its end is missing".to_owned();
        let place = end_place(files, story);
        found.add(Draft { kind: Kind::Truncated, place, seqs: Some((next, next)), message });
    }
}

/// The end of a log that nobody has to be asked about.
fn end(files: &[LogFile], story: &Story, closed: bool, found: &mut Drafts, options: &Options) {
    let last = story.last.map_or(0, |last| last.seq);
    let next = last.saturating_add(1);
    if let Some(file) = files.last()
        && matches!(file.kind, FileKind::Closed { .. })
        // The server may stop before the file is renamed that it asked to be.
        && !closed
    {
        let index = files.len().saturating_sub(1);
        let file = name(files, Place { file: index, line: 0 });
        let message = format!("the file behind {file} is missing: the log went on in it with record {next}");
        let place = end_place(files, story);
        found.add(Draft { kind: Kind::MissingFile, place, seqs: Some((next, next)), message });
    } else if !options.in_use && !closed && !found.any(|kind| kind == Kind::Truncated) {
        let message = format!(
            "nobody writes the log, and record {last} is not one of a server that stopped in order: it crashed (its \
             next start will say so), or this is a copy of a log in use, or the end was cut off; a witness that \
             knows of a later record would tell"
        );
        let place = end_place(files, story);
        found.add(Draft { kind: Kind::NotClosed, place, seqs: Some((last, last)), message });
    }
}

fn tail(story: &Story, options: &Options) -> Tail {
    let (records, since) = story.tail;
    let age = since.map(|since| options.now.as_millisecond().saturating_sub(since).div_euclid(1000));
    Tail {
        records,
        since: since.map(rfc3339),
        seconds: age.map(|age| u64::try_from(age).unwrap_or(0)),
        torn_bytes: story.torn_bytes,
    }
}

/// While a server writes, what it wrote is signed before long.
fn unsigned_tail(story: &Story, tail: &Tail, found: &mut Drafts, options: &Options) {
    let signs = story.keys.shown().iter().any(|key| key.trust != Trust::None);
    let seconds = tail.seconds.unwrap_or(0);
    if signs && options.in_use && seconds > options.unsigned_seconds_max {
        let message = format!(
            "{} records at the end are not signed, the first of them for {seconds} s, though a server writes the log",
            tail.records
        );
        let place = story.last.map(|last| last.place);
        found.add(Draft { kind: Kind::UnsignedTail, place, seqs: None, message });
    }
}
