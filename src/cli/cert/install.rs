//! Putting a certificate, or a certificate and its key, into the place of others: written beside,
//! through to the disk, and renamed; what was there is kept under a dated name.
//!
//! No file system renames two files at once. The key goes first: cut short between the two, the
//! server would refuse to start with a pair that does not match, and the file that is left beside
//! the certificate tells what happened.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::pasted;

/// Most sets of old files that may be kept under one second's name.
const KEPT_PER_SECOND: u32 = 100;

/// A file that is to have new content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    pub(super) path: &'a Path,
    pub(super) bytes: &'a [u8],
    pub(super) mode: u32,
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// Each old file under its new name, and the name it had.
    pub(super) kept: Vec<(PathBuf, PathBuf)>,
}

/// Why nothing was installed.
#[derive(Debug)]
pub(super) struct Failed {
    /// What was being done to which file.
    pub(super) what: String,
    /// Why that failed.
    pub(super) error: io::Error,
    /// What stands there now.
    pub(super) now: String,
}

/// Replaces the files, in their order.
///
/// # Errors
/// Where something fails the old files are in their places; where even that could not be had,
/// `now` says so.
pub(super) fn install(files: &[Content<'_>], at: Timestamp) -> Result<Done, Failed> {
    let unchanged = |what: String| move |error| Failed { what, error, now: "nothing was changed".to_owned() };
    let mut written = Vec::new();
    for file in files {
        written.push(write_beside(file).map_err(unchanged(format!("writing beside {}", file.path.display())))?);
    }
    let suffix = free_suffix(files, at);
    let mut kept = Vec::new();
    for file in files {
        let name = with_suffix(file.path, &suffix);
        if keep(file.path, &name).map_err(unchanged(format!("keeping {}", file.path.display())))? {
            kept.push((name, file.path.to_owned()));
        }
    }
    sync_directories(files).map_err(unchanged("writing the directory to the disk".to_owned()))?;
    swap(files, &written, &kept)?;
    Ok(Done { kept })
}

/// Renames what was written into its places; on failure brings back what was kept.
fn swap(files: &[Content<'_>], written: &[Beside], kept: &[(PathBuf, PathBuf)]) -> Result<(), Failed> {
    for (place, (file, beside)) in files.iter().zip(written).enumerate() {
        // One after the other on the disk, too: what is left beside tells how far it came.
        let before = files.get(..place).unwrap_or_default();
        if let Err(error) = sync_directories(before).and_then(|()| std::fs::rename(&beside.0, file.path)) {
            let what = format!("replacing {}", file.path.display());
            let undone = files.iter().take(place).try_for_each(|file| put_back(file, kept));
            let now = match undone.and_then(|()| sync_directories(files)) {
                Ok(()) => "the old files are in their places".to_owned(),
                Err(undoing) => format!("going back failed too ({undoing}); to go back: {}", going_back(kept)),
            };
            return Err(Failed { what, error, now });
        }
    }
    sync_directories(files).map_err(|error| Failed {
        what: "writing the directory to the disk".to_owned(),
        error,
        now: format!("the new files are in their places; to go back: {}", going_back(kept)),
    })
}

/// The commands that bring the old files back.
pub(super) fn going_back(kept: &[(PathBuf, PathBuf)]) -> String {
    let one = |(kept, was): &(PathBuf, PathBuf)| format!("mv {} {}", pasted(kept), pasted(was));
    kept.iter().map(one).collect::<Vec<_>>().join(" && ")
}

/// A file that is removed unless it was renamed.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The name under which new content is written: always the same, so that what was cut short is
/// found, and written anew by the next.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".importing");
    path.with_file_name(name)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Writes the new content, with the owner of the old.
fn write_beside(file: &Content<'_>) -> io::Result<Beside> {
    let beside = Beside(beside(file.path));
    match std::fs::remove_file(&beside.0) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside.0)?;
    match file.path.symlink_metadata() {
        Ok(old) => {
            let own = new.metadata()?;
            if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
                fchown(&new, Some(old.uid()), Some(old.gid()))?;
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    new.set_permissions(Permissions::from_mode(file.mode))?;
    new.write_all(file.bytes)?;
    new.sync_all()?;
    Ok(beside)
}

/// A suffix by the time with which none of the files is there.
fn free_suffix(files: &[Content<'_>], at: Timestamp) -> String {
    let second = at.strftime("%Y-%m-%dT%H%M%SZ").to_string();
    let numbered = |number: u32| if number == 0 { format!(".{second}") } else { format!(".{second}-{number}") };
    let free = |suffix: &String| files.iter().all(|file| with_suffix(file.path, suffix).symlink_metadata().is_err());
    (0..KEPT_PER_SECOND).map(numbered).find(free).unwrap_or_else(|| numbered(KEPT_PER_SECOND))
}

/// Gives the old file a second name, or copies it where the file system has no such thing; false
/// where there is no old file.
fn keep(path: &Path, name: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(metadata) if !metadata.is_file() => return Err(io::Error::other("not a regular file")),
        _ => {}
    }
    match std::fs::hard_link(path, name) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        Err(_) => {
            let mut source = File::open(path)?;
            let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(name)?;
            io::copy(&mut source, &mut copy)?;
            copy.set_permissions(Permissions::from_mode(source.metadata()?.mode() & 0o7777))?;
            copy.sync_all()?;
            Ok(true)
        }
    }
}

/// Puts the old file back, and leaves it kept under its other name, too.
fn put_back(file: &Content<'_>, kept: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    match kept.iter().find(|(_, was)| was == file.path) {
        Some((name, _)) => {
            let again = Beside(beside(file.path));
            keep(name, &again.0)?;
            std::fs::rename(&again.0, file.path)
        }
        None => std::fs::remove_file(file.path),
    }
}

fn sync_directories(files: &[Content<'_>]) -> io::Result<()> {
    for file in files {
        let parent = file.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// What an import left behind that was cut short, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CutShort {
    pub(super) found: String,
    pub(super) help: String,
}

/// Removes what is left of an import that was cut short, once another is done.
pub(super) fn clear(certificate: &Path, key: &Path) {
    for path in [certificate, key] {
        drop(Beside(beside(path)));
    }
}

/// Looks for what is left of an import that was cut short.
pub(super) fn cut_short(certificate: &Path, key: &Path) -> Option<CutShort> {
    let (new_certificate, new_key) = (beside(certificate), beside(key));
    let there = |path: &Path| path.symlink_metadata().is_ok();
    let found = |path: &Path| format!("{} is left of an import that was cut short", path.display());
    if there(&new_key) {
        let help = format!(
            "nothing was replaced by it yet: import again, or remove what is left: rm -f {} {}",
            pasted(&new_key),
            pasted(&new_certificate)
        );
        return Some(CutShort { found: found(&new_key), help });
    }
    there(&new_certificate).then(|| CutShort {
        found: found(&new_certificate),
        help: format!(
            "its key may be in place already: import again, or go back to the pair that is kept under the dated names \
             beside {}, and remove it",
            pasted(certificate)
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn at() -> Timestamp {
        "2026-11-22T12:40:05Z".parse().unwrap()
    }

    /// A directory with an old pair, and the paths of key and certificate.
    fn old_pair() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let (key, certificate) = (directory.path().join("server.key"), directory.path().join("server.pem"));
        fs::write(&key, "old key").unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        fs::write(&certificate, "old certificate").unwrap();
        (directory, key, certificate)
    }

    fn pair<'a>(key: &'a Path, certificate: &'a Path) -> [Content<'a>; 2] {
        [
            Content { path: key, bytes: b"new key", mode: 0o600 },
            Content { path: certificate, bytes: b"new certificate", mode: 0o644 },
        ]
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_pair_is_kept_under_one_date_and_nothing_else_is_left() {
        let (directory, key, certificate) = old_pair();
        let done = install(&pair(&key, &certificate), at()).unwrap();
        assert_eq!(fs::read(&key).unwrap(), b"new key");
        assert_eq!(fs::read(&certificate).unwrap(), b"new certificate");
        assert_eq!(key.metadata().unwrap().mode() & 0o777, 0o600);
        let dated = [".2026-11-22T124005Z", ""]
            .map(|suffix| ["server.key", "server.pem"].map(|name| format!("{name}{suffix}")));
        let mut expected = dated.concat();
        expected.sort();
        assert_eq!(names(directory.path()), expected);
        assert_eq!(fs::read(&done.kept[0].0).unwrap(), b"old key");

        let again = install(&pair(&key, &certificate), at()).unwrap();
        assert!(again.kept[1].0.to_str().unwrap().ends_with("server.pem.2026-11-22T124005Z-1"), "{again:?}");
    }

    #[test]
    fn what_fails_half_way_is_taken_back() {
        let (directory, key, certificate) = old_pair();
        let files = pair(&key, &certificate);
        let kept_key = with_suffix(&key, ".old");
        keep(&key, &kept_key).unwrap();
        let written = files.each_ref().map(|file| write_beside(file).unwrap());
        fs::remove_file(&written[1].0).unwrap();
        let failed = swap(&files, &written, &[(kept_key.clone(), key.clone())]).unwrap_err();
        assert_eq!(failed.now, "the old files are in their places");
        assert_eq!(fs::read(&key).unwrap(), b"old key");
        assert!(kept_key.exists());
        drop(written);
        assert_eq!(names(directory.path()), ["server.key", "server.key.old", "server.pem"]);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let (_directory, key, certificate) = old_pair();
        fs::remove_file(&certificate).unwrap();
        fs::create_dir(&certificate).unwrap();
        let failed = install(&pair(&key, &certificate), at()).unwrap_err();
        assert_eq!(failed.now, "nothing was changed");
        assert_eq!(fs::read(&key).unwrap(), b"old key");
        assert!(certificate.is_dir());
    }

    #[test]
    fn what_was_cut_short_is_seen_and_does_not_hinder_the_next() {
        let (directory, key, certificate) = old_pair();
        assert_eq!(cut_short(&certificate, &key), None);
        fs::write(beside(&certificate), "half").unwrap();
        assert!(cut_short(&certificate, &key).unwrap().help.contains("may be in place already"));
        fs::write(beside(&key), "half").unwrap();
        assert!(cut_short(&certificate, &key).unwrap().help.contains("nothing was replaced"));
        install(&pair(&key, &certificate), at()).unwrap();
        assert_eq!(cut_short(&certificate, &key), None);
        assert_eq!(names(directory.path()).len(), 4);
    }
}
