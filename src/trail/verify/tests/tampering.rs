use std::fs;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::audit::chain::{ChainHash, Sealed, seal};
use crate::trail::verify::verdict::Finding;

/// Hashes a line anew behind `prev`, as somebody without the key can.
fn reseal(line: &str, change: impl Fn(&str) -> String, prev: Option<ChainHash>) -> (String, ChainHash) {
    let sealed = Sealed::parse(line.as_bytes()).unwrap();
    let mut object = change(std::str::from_utf8(sealed.body).unwrap()).into_bytes();
    object.push(b'}');
    let hash = seal(&mut object, 0, prev.unwrap_or(sealed.prev));
    (String::from_utf8(object).unwrap(), hash)
}

fn newlines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

/// The number of the record in a line of the open file.
fn seq_of(log: &Log, line: usize) -> u64 {
    log.made.seq - log.lines() as u64 + line as u64
}

impl Log {
    fn lines(&self) -> usize {
        newlines(&self.made.open)
    }
}

#[test]
fn a_changed_record_is_named() {
    let log = Log::ordinary();
    log.change_lines(|lines| lines[5] = lines[5].replace("alice", "mallory"));
    let verdict = log.verdict();
    let finding = finds(&verdict, Kind::Edited, 6);
    assert_eq!((finding.first_seq, verdict.findings_total), (Some(seq_of(&log, 6)), 1), "{verdict:#?}");
}

#[test]
fn a_record_changed_and_hashed_anew_is_named() {
    let log = Log::ordinary();
    log.change_lines(|lines| lines[5] = reseal(&lines[5], |text| text.replace("alice", "mallory"), None).0);
    let verdict = log.verdict();
    assert_eq!(finds(&verdict, Kind::Rehashed, 6).first_seq, Some(seq_of(&log, 6)));
    assert_eq!(verdict.findings_total, 1, "{verdict:#?}");
}

#[test]
fn records_hashed_anew_up_to_the_end_are_found_by_the_next_checkpoint() {
    let log = Log::ordinary();
    log.change_lines(|lines| {
        let mut prev = None;
        for line in lines.iter_mut().skip(5) {
            let (changed, hash) = reseal(line, |text| text.replace("alice", "mallory"), prev);
            (*line, prev) = (changed, Some(hash));
        }
    });
    let verdict = log.verdict();
    let finding = finds(&verdict, Kind::NotAsSigned, 22);
    let expected = (Some(seq_of(&log, 1) - 1), Some(seq_of(&log, 22)));
    assert_eq!((finding.first_seq, finding.last_seq), expected, "{finding:?}");
    assert_eq!((verdict.state, verdict.state.exit_code()), (State::Tampered, 4));
}

#[test]
fn a_checkpoint_that_was_made_to_fit_has_a_wrong_signature() {
    let log = Log::ordinary();
    log.change_lines(|lines| {
        let mut prev: Option<ChainHash> = None;
        for line in lines.iter_mut().skip(5) {
            let old = Sealed::parse(line.as_bytes()).unwrap().prev.to_string();
            let new = prev.map_or(old.clone(), |prev| prev.to_string());
            let (changed, hash) = reseal(line, |text| text.replace("alice", "mallory").replace(&old, &new), prev);
            (*line, prev) = (changed, Some(hash));
        }
    });
    let verdict = log.verdict();
    finds(&verdict, Kind::BadSignature, 22);
    assert_eq!((verdict.state, verdict.state.exit_code()), (State::BadSignature, 5));
}

#[test]
fn a_removed_record_is_told_from_one_that_stands_elsewhere() {
    let log = Log::ordinary();
    log.change_lines(|lines| drop(lines.remove(5)));
    let verdict = log.verdict();
    let finding = finds(&verdict, Kind::Deleted, 6);
    assert_eq!((finding.first_seq, finding.last_seq), (Some(seq_of(&log, 6)), Some(seq_of(&log, 6))));
    let log = Log::ordinary();
    log.change_lines(|lines| {
        let moved = lines.remove(5);
        lines.insert(15, moved);
    });
    let verdict = log.verdict();
    assert_eq!(finds(&verdict, Kind::Reordered, 6).first_seq, Some(seq_of(&log, 7)));
    assert!(verdict.findings.iter().all(|finding| finding.kind == Kind::Reordered), "{verdict:#?}");
}

#[test]
fn a_record_moved_far_is_told_at_both_places() {
    let log = Log::of(|made| {
        made.work(4000);
        made.checkpoint("stop");
    });
    log.change_lines(|lines| lines.swap(9, 3500));
    let verdict = log.verdict();
    assert_eq!(finds(&verdict, Kind::Reordered, 10).first_seq, Some(3501));
    assert_eq!(verdict.findings_total, 2, "{verdict:#?}");
    assert!(verdict.findings.iter().all(|finding| finding.kind == Kind::Reordered), "{verdict:#?}");
}

#[test]
fn a_forged_record_beside_a_real_one_is_named() {
    let log = Log::ordinary();
    log.change_lines(|lines| {
        let forged = reseal(&lines[5], |text| text.replace("alice", "mallory"), None).0;
        lines.insert(5, forged);
    });
    let verdict = log.verdict();
    finds(&verdict, Kind::Inserted, 6);
    assert_eq!(verdict.findings_total, 1, "{verdict:#?}");
}

#[test]
fn two_ends_of_a_log_are_a_fork() {
    let log = Log::of(|made| made.work(5));
    log.change_lines(|lines| {
        let forged = reseal(lines.last().unwrap(), |text| text.replace("alice", "mallory"), None).0;
        lines.push(forged);
    });
    finds(&log.verdict(), Kind::Forked, 8);
}

#[test]
fn another_log_in_the_place_of_the_rest_is_named() {
    let log = Log::ordinary();
    let other = Made::begun(key());
    let begun = String::from_utf8(other.open).unwrap();
    log.change_lines(|lines| {
        lines.truncate(10);
        lines.extend(begun.lines().map(str::to_owned));
    });
    let verdict = log.verdict();
    finds(&verdict, Kind::Restarted, 11);
}

/// What somebody may do to the open file, and the line where it is seen.
#[derive(Clone, Debug)]
enum Deed {
    /// One byte becomes another.
    Byte(Index, u8),
    Remove(Index),
    Swap(Index, Index),
    /// A line that is a copy of another.
    Copy(Index, Index),
    /// A line of this text.
    Insert(Index, String),
    Rehash(Index),
    /// The rest is gone; by so many bytes.
    Cut(Index),
}

fn deed() -> impl Strategy<Value = Deed> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Deed::Byte(at, byte)),
        1 => at().prop_map(Deed::Remove),
        1 => (at(), at()).prop_map(|(at, other)| Deed::Swap(at, other)),
        1 => (at(), at()).prop_map(|(at, other)| Deed::Copy(at, other)),
        1 => (at(), "[ -~]{0,40}").prop_map(|(at, text)| Deed::Insert(at, text)),
        1 => at().prop_map(Deed::Rehash),
        1 => at().prop_map(Deed::Cut),
    ]
}

/// Does it to the lines; gives the first line where it can be seen, from 1, and what it may be called;
/// none where nothing was changed.
fn perpetrate(deed: &Deed, text: &mut Vec<u8>) -> Option<(usize, Vec<Kind>)> {
    let mut lines: Vec<String> = String::from_utf8(text.clone()).unwrap().lines().map(str::to_owned).collect();
    let count = lines.len();
    let seen = match deed {
        Deed::Byte(at, byte) => {
            let at = at.index(text.len());
            if text[at] == *byte {
                return None;
            }
            let line = newlines(&text[..at]);
            text[at] = *byte;
            // At the very end it is the end of the line that is missing.
            return Some((line + 1, vec![Kind::Edited, Kind::NoRecord, Kind::Truncated]));
        }
        Deed::Remove(at) => {
            let at = at.index(count);
            lines.remove(at);
            if at + 1 == count { (at, vec![Kind::Truncated]) } else { (at + 1, vec![Kind::Deleted]) }
        }
        Deed::Swap(at, other) => {
            let (at, other) = (at.index(count), other.index(count));
            if at == other {
                return None;
            }
            lines.swap(at, other);
            (at.min(other) + 1, vec![Kind::Reordered])
        }
        Deed::Copy(at, other) => {
            let (at, other) = (at.index(count), other.index(count + 1));
            let copy = lines[at].clone();
            lines.insert(other, copy);
            // Which of two equal lines in a row is the copy cannot be told.
            let at = if other == at { at + 1 } else { other };
            (at + 1, vec![Kind::Duplicated])
        }
        Deed::Insert(at, text) => {
            let at = at.index(count + 1);
            lines.insert(at, text.clone());
            (at + 1, vec![Kind::NoRecord])
        }
        Deed::Rehash(at) => {
            let at = at.index(count);
            lines[at] = reseal(&lines[at], |text| text.replace("\"status_id\":1", "\"status_id\":2"), None).0;
            let kinds = if at + 1 == count { vec![Kind::NotAsSigned, Kind::Rehashed] } else { vec![Kind::Rehashed] };
            (at + 1, kinds)
        }
        Deed::Cut(at) => {
            let at = at.index(text.len());
            text.truncate(at);
            return Some((newlines(text), vec![Kind::Truncated]));
        }
    };
    *text = lines.into_iter().flat_map(|line| line.into_bytes().into_iter().chain([b'\n'])).collect();
    Some(seen)
}

/// Makes a log from the sizes of its parts: a checkpoint behind each, and a new file behind every third.
fn random(parts: &[u64]) -> Log {
    Log::of(|made| {
        for (index, records) in parts.iter().enumerate() {
            made.work(*records);
            if index % 3 == 2 {
                made.rotate();
            } else {
                made.checkpoint("interval");
            }
        }
        made.work(3);
        made.checkpoint("stop");
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_done_to_a_log_is_found_where_it_was_done(
        parts in proptest::collection::vec(0_u64..15, 1..6), file in any::<Index>(), deed in deed(),
    ) {
        let log = random(&parts);
        // The newest head stands for all but the last record; here a witness knows that, too.
        let last = crate::audit::head::Head {
            log: log.made.log.clone(), seq: log.made.seq, hash: log.made.hash, time: log.made.time,
        };
        let witness = Witness { head: last.signed(&log.made.key), source: "elsewhere".to_owned() };
        let options = Options { witnesses: vec![witness], ..log.options() };
        prop_assert_eq!(log.verdict_with(&options).state, State::Proven);
        let mut parts: Vec<Vec<u8>> = log.made.closed.iter().map(|(_, lines)| lines.clone()).collect();
        parts.push(log.made.open.clone());
        let index = file.index(parts.len());
        let is_last = index + 1 == parts.len();
        let Some((line, kinds)) = perpetrate(&deed, &mut parts[index]) else { return Ok(()) };
        for (file, content) in find(log.directory.path()).unwrap().iter().zip(&parts) {
            fs::remove_file(&file.path).unwrap();
            let name = file.path.file_name().unwrap().to_str().unwrap();
            fs::write(log.path(name.strip_suffix(".gz").unwrap_or(name)), content).unwrap();
        }
        let verdict = log.verdict_with(&options);
        let finding = verdict.first_finding();
        prop_assert!(finding.is_some(), "{verdict:#?}");
        let Finding { kind, file, line: found, .. } = finding.unwrap();
        let files = find(log.directory.path()).unwrap();
        let place = |index: usize| files.get(index).map(|file| file.path.display().to_string());
        // What is missing at the end of a file is seen at the beginning of the next.
        let at_the_end = !is_last && matches!(deed, Deed::Remove(_) | Deed::Cut(_));
        if at_the_end && (*file == place(index + 1)) {
            prop_assert!(matches!(kind, Kind::Deleted | Kind::MissingFile) && *found == Some(1), "{verdict:#?}");
            return Ok(());
        }
        // Where nothing is left of the last file, the log ends with the one before.
        if line == 0 {
            prop_assert!(matches!(kind, Kind::Truncated | Kind::NoRecord) && (*file == place(index) || index.checked_sub(1).is_some_and(|index| *file == place(index))), "{verdict:#?}");
            return Ok(());
        }
        prop_assert_eq!(file, &place(index), "{:#?}", verdict);
        match deed {
            Deed::Cut(_) if !is_last => prop_assert!(matches!(kind, Kind::NoRecord), "{verdict:#?}"),
            Deed::Byte(..) if *kind == Kind::Truncated => prop_assert_eq!(*found, Some(line as u64 - 1)),
            _ => {
                prop_assert!(kinds.contains(kind), "{kind:?} is none of {kinds:?}: {verdict:#?}");
                prop_assert_eq!(*found, Some(line as u64), "{:#?}", verdict);
            }
        }
    }

    #[test]
    fn no_file_is_too_odd_to_be_verified(content in any::<Vec<u8>>(), compressed in any::<bool>()) {
        let directory = tempfile::tempdir().unwrap();
        let name = crate::audit::rotation::closed_name(1) + if compressed { ".gz" } else { "" };
        fs::write(directory.path().join(name), &content).unwrap();
        let verdict = verify(&find(directory.path()).unwrap(), &[], &Options::at(Timestamp::UNIX_EPOCH));
        prop_assert!(verdict.state != State::Proven);
    }
}
