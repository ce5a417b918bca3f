//! What moved, and what users did.

use super::{Seen, Summary, bounded};
use crate::report::series::Series;
use crate::report::top::Figures;
use crate::trail::entry::Entry;

/// A user, or a name that was claimed.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// Logins.
    pub logins: u64,
    /// Logins that failed, also those that were not checked.
    pub failures: u64,
    /// Files that arrived whole.
    pub uploads: u64,
    /// Bytes of content received, also of files that did not arrive whole.
    pub bytes_in: u64,
    /// Files that were sent whole.
    pub downloads: u64,
    /// Bytes of content sent.
    pub bytes_out: u64,
    /// Files and directories removed.
    pub removed: u64,
    /// Files and directories renamed.
    pub renamed: u64,
    /// Actions that the policy refused.
    pub denied: u64,
    /// When.
    pub seen: Seen,
    /// Over time: uploads, bytes received, downloads, bytes sent.
    pub over_time: Series<4>,
}

impl User {
    /// Bytes in both directions.
    pub fn bytes(&self) -> u64 {
        self.bytes_in.saturating_add(self.bytes_out)
    }

    /// Whether somebody was logged in under the name.
    pub fn is_known(&self) -> bool {
        self.logins > 0 || self.transfers() > 0 || self.removed > 0 || self.renamed > 0
    }

    fn transfers(&self) -> u64 {
        self.uploads.saturating_add(self.downloads)
    }
}

impl Figures for User {
    fn absorb(&mut self, other: Self) {
        for (mine, more) in [
            (&mut self.logins, other.logins),
            (&mut self.failures, other.failures),
            (&mut self.uploads, other.uploads),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.downloads, other.downloads),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.removed, other.removed),
            (&mut self.renamed, other.renamed),
            (&mut self.denied, other.denied),
        ] {
            *mine = mine.saturating_add(more);
        }
        self.seen.absorb(other.seen);
    }

    /// Whoever guesses makes names up: they never displace those of users.
    fn weight(&self) -> u64 {
        let done = self.logins.saturating_add(self.transfers()).saturating_add(self.removed);
        if self.is_known() { done.saturating_add(1 << 40) } else { self.failures.min(1 << 39) }
    }
}

impl Summary {
    pub(super) fn take_transfer(&mut self, entry: &Entry<'_>, hour: i64) {
        let traffic = entry.traffic.unwrap_or_default();
        let figures = match entry.event() {
            "file.upload" => Some([1, traffic.bytes_in, 0, 0]),
            "file.upload_incomplete" => Some([0, traffic.bytes_in, 0, 0]),
            "file.download" => Some([0, 0, 1, traffic.bytes_out]),
            "file.download_incomplete" => Some([0, 0, 0, traffic.bytes_out]),
            _ => None,
        };
        match entry.event() {
            "file.upload_incomplete" => self.incomplete.0 = self.incomplete.0.saturating_add(1),
            "file.download_incomplete" => self.incomplete.1 = self.incomplete.1.saturating_add(1),
            "file.delete" | "file.rmdir" => self.removed = self.removed.saturating_add(1),
            _ => {}
        }
        if let Some(figures) = figures {
            self.transfers.add(&self.calendar, hour, figures);
        }
        let Some(name) = entry.user() else { return };
        let user = self.users.of(bounded(name));
        user.seen.at(entry.time);
        let counter = match entry.event() {
            "auth.success" => &mut user.logins,
            "auth.failure" | "auth.throttled" => &mut user.failures,
            "authz.denied" => &mut user.denied,
            "file.delete" | "file.rmdir" => &mut user.removed,
            "file.rename" => &mut user.renamed,
            _ => {
                let Some(figures) = figures else { return };
                for (counter, more) in [&mut user.uploads, &mut user.bytes_in, &mut user.downloads, &mut user.bytes_out]
                    .into_iter()
                    .zip(figures)
                {
                    *counter = counter.saturating_add(more);
                }
                user.over_time.add(&self.calendar, hour, figures);
                return;
            }
        };
        *counter = counter.saturating_add(1);
    }
}
