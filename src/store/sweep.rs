//! What an earlier run left behind in a staging directory: interrupted uploads are taken up again,
//! the rest is removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustix::fs::Dir;

use super::entry::Status;
use super::fault::Fault;
use super::partial::{Partial, Partials, Record};
use super::staging::{Staging, part_name, record_name};
use super::usage::{COUNT_NAME, SHARED_NAME};
use crate::proto::path::VirtualPath;

/// Name of the record of the directories that have staging directories of their own.
const ELSEWHERE_NAME: &str = "elsewhere.json";

/// What was found in a home when it was first opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Interrupted uploads that are kept for their uploaders.
    pub kept: u64,
    /// Interrupted uploads removed because their time was over, or a newer one took their place.
    pub expired: u64,
    /// Uploads removed that were under way when the server ended.
    pub abandoned: u64,
    /// Records removed whose upload is gone.
    pub orphaned: u64,
    /// Whether another running server uses the home; then nothing was removed.
    pub shared: bool,
}

/// Goes through a staging directory that was just opened, and lets other servers in. `alone` says
/// whether none was there.
pub(super) fn sweep(staging: &Arc<Staging>, alone: bool, partials: &Partials, swept: &mut Swept) -> Result<(), Fault> {
    swept.shared |= !alone;
    let mut count = |counter: fn(&mut Swept) -> &mut u64| {
        let counter = counter(swept);
        *counter = counter.saturating_add(1);
    };
    for entry in Dir::read_from(staging.directory())? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        let of_the_home = [ELSEWHERE_NAME, COUNT_NAME, SHARED_NAME].contains(&name);
        let Some((id, kind)) = name.rsplit_once('.').filter(|_| !of_the_home) else { continue };
        match kind {
            // One with a record was an interrupted upload that somebody went on with, and is one again.
            "up" if alone && !has_record(staging, id)? && staging.remove(name) => count(|swept| &mut swept.abandoned),
            "tmp" if alone => drop(staging.remove(name)),
            // Where its record was just found to be over, it is listed still but gone.
            "part" if alone && !has_record(staging, id)? && staging.remove(name) => {
                count(|swept| &mut swept.abandoned);
            }
            "json" => match load(staging, id, alone) {
                Some(partial) if !partials.expired(partial.origin.kept_at) => {
                    // A crash between keeping a newer one and removing the older leaves both.
                    match partials.put_newer(partial) {
                        None => count(|swept| &mut swept.kept),
                        Some(former) => {
                            former.staging.discard_part(&former.id);
                            count(|swept| &mut swept.expired);
                        }
                    }
                }
                loaded if alone => {
                    staging.discard_part(id);
                    count(if loaded.is_some() { |swept| &mut swept.expired } else { |swept| &mut swept.orphaned });
                }
                _ => {}
            },
            _ => {}
        }
    }
    if alone { staging.share() } else { Ok(()) }
}

/// Whether an interrupted upload has a record.
fn has_record(staging: &Staging, id: &str) -> Result<bool, Fault> {
    Ok(Status::find(staging.directory(), &record_name(id))?.is_some())
}

/// Reads an interrupted upload's record and looks at its file.
fn load(staging: &Arc<Staging>, id: &str, alone: bool) -> Option<Partial> {
    if alone {
        staging.restore(id);
    }
    let record: Record = staging.read_record(&record_name(id))?;
    let (owner, origin) = record.parse()?;
    let status = Status::at(staging.directory(), part_name(id)).ok()?;
    status.replaceable().ok().filter(|()| status.size > 0)?;
    Some(Partial { staging: Arc::clone(staging), id: id.to_owned(), status, owner, origin })
}

/// The directories on other file systems that have staging directories of their own.
pub(super) fn read_elsewhere(home: &Staging) -> BTreeSet<VirtualPath> {
    let paths: Vec<String> = home.read_record(ELSEWHERE_NAME).unwrap_or_default();
    paths.iter().filter_map(|path| VirtualPath::root().join(path.as_bytes()).ok()).collect()
}

/// Remembers them.
pub(super) fn write_elsewhere(home: &Staging, places: &BTreeSet<VirtualPath>) -> Result<(), Fault> {
    let paths: Vec<&str> = places.iter().map(VirtualPath::as_str).collect();
    home.write_record(ELSEWHERE_NAME, &paths)
}
