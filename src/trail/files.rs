//! Which files a log consists of, in the order of their records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{error, fmt, io};

use crate::audit::rotation::Kind;

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is, by its name.
    pub kind: Kind,
}

/// Why the files of a log cannot be told.
#[derive(Debug)]
pub enum FilesError {
    /// The directory cannot be read.
    Io(PathBuf, io::Error),
    /// There is no file of a log in the directory.
    NoLog(PathBuf),
    /// The name of a file says nothing about its place in a log.
    NoPart(PathBuf),
}

impl fmt::Display for FilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NoLog(path) => write!(f, "there is no audit log in {}", path.display()),
            Self::NoPart(path) => write!(
                f,
                "{} is not named as a file of an audit log: audit.jsonl, audit-NUMBER.jsonl or audit-NUMBER.jsonl.gz, \
                 with the number of its first record in 20 digits",
                path.display()
            ),
        }
    }
}

impl error::Error for FilesError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::NoLog(_) | Self::NoPart(_) => None,
        }
    }
}

/// The files of the log in a directory, or that one file, in the order of their records. Of a file that
/// is there as it was and compressed, it is the one as it was.
///
/// # Errors
/// [`FilesError`].
pub fn find(place: &Path) -> Result<Vec<LogFile>, FilesError> {
    let failed = |error| FilesError::Io(place.to_owned(), error);
    if !place.metadata().map_err(failed)?.is_dir() {
        let kind = place.file_name().and_then(|name| Kind::of(name.to_str()?));
        let kind = kind.ok_or_else(|| FilesError::NoPart(place.to_owned()))?;
        return Ok(vec![LogFile { path: place.to_owned(), kind }]);
    }
    let mut closed = BTreeMap::new();
    let mut open = None;
    for entry in place.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(kind) = entry.file_name().to_str().and_then(Kind::of) else { continue };
        let file = LogFile { path: entry.path(), kind };
        match kind {
            Kind::Open => open = Some(file),
            Kind::Closed { first_seq, compressed } => {
                if !compressed || !closed.contains_key(&first_seq) {
                    closed.insert(first_seq, file);
                }
            }
        }
    }
    let files: Vec<LogFile> = closed.into_values().chain(open).collect();
    if files.is_empty() { Err(FilesError::NoLog(place.to_owned())) } else { Ok(files) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::rotation::closed_name;

    #[test]
    fn files_come_in_the_order_of_their_records_and_once() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(find(directory.path()), Err(FilesError::NoLog(_))));
        let (first, second) = (closed_name(1), closed_name(1000));
        let zipped = |name: &str| format!("{name}.gz");
        for name in ["audit.jsonl", "audit.jsonl.torn", &zipped(&second), &second, &zipped(&first), "notes"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let names: Vec<String> = find(directory.path())
            .unwrap()
            .into_iter()
            .map(|file| file.path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, [zipped(&first), second, "audit.jsonl".to_owned()]);
        assert_eq!(find(&directory.path().join("audit.jsonl")).unwrap().len(), 1);
        assert!(matches!(find(&directory.path().join("notes")), Err(FilesError::NoPart(_))));
        assert!(matches!(find(&directory.path().join("none")), Err(FilesError::Io(..))));
    }
}
