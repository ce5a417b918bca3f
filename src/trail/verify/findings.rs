//! What is wrong, as it is gathered: bounded, and in the order of the log in the end.

use super::mark::Place;
use super::verdict::{FINDINGS_MAX, Finding, Kind};
use crate::trail::files::LogFile;

/// One thing that is wrong.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) place: Option<Place>,
    pub(super) seqs: Option<(u64, u64)>,
    pub(super) message: String,
}

/// All that is wrong.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    kept: Vec<Draft>,
    total: u64,
}

impl Drafts {
    /// Adds one, and says where it is kept.
    pub(super) fn add(&mut self, draft: Draft) -> Option<usize> {
        self.total = self.total.saturating_add(1);
        if self.kept.len() >= FINDINGS_MAX {
            return None;
        }
        self.kept.push(draft);
        Some(self.kept.len().saturating_sub(1))
    }

    /// Adds one however many there are: there is a bounded number of these.
    pub(super) fn add_always(&mut self, draft: Draft) {
        self.total = self.total.saturating_add(1);
        self.kept.push(draft);
    }

    /// What became of it was understood later.
    pub(super) fn change(&mut self, index: Option<usize>, kind: Kind, message: String) {
        if let Some(draft) = index.and_then(|index| self.kept.get_mut(index)) {
            (draft.kind, draft.message) = (kind, message);
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whether one of this kind is kept.
    pub(super) fn any(&self, is: impl Fn(Kind) -> bool) -> bool {
        self.kept.iter().any(|draft| is(draft.kind))
    }

    /// In the order of the log; what stands nowhere in it comes last.
    pub(super) fn shown(mut self, files: &[LogFile]) -> Vec<Finding> {
        self.kept.sort_by_key(|draft| draft.place.map_or((usize::MAX, u64::MAX), |place| (place.file, place.line)));
        let shown = self.kept.into_iter().map(|draft| Finding {
            kind: draft.kind,
            file: draft.place.map(|place| name(files, place)),
            line: draft.place.map(|place| place.line).filter(|line| *line > 0),
            first_seq: draft.seqs.map(|(first, _)| first),
            last_seq: draft.seqs.map(|(_, last)| last),
            message: draft.message,
        });
        shown.collect()
    }
}

/// The file of a place, harmless on a screen.
pub(super) fn name(files: &[LogFile], place: Place) -> String {
    files.get(place.file).map(|file| super::safe(&file.path.display().to_string())).unwrap_or_default()
}
