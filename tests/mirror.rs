//! Thousands of real files, there and back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::clients::{digest, lftp, run, run_with};
use crate::support::Server;

const FILES: usize = 5_200;
const BYTES_MAX: u64 = 96 << 20;
/// Larger ones are left out, so that the number is reached within the bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
const TIME: Duration = Duration::from_mins(5);

/// Where there are many real files: the documentation of the toolchain, or else the sources of what
/// this crate depends on.
fn sources() -> Vec<PathBuf> {
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"])).done().text();
    let documentation = Path::new(sysroot.trim()).join("share/doc");
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::home_dir().map(|home| home.join(".cargo"));
    let registries = cargo.or(home).map(|cargo| cargo.join("registry/src"));
    [Some(documentation), registries].into_iter().flatten().filter(|path| path.is_dir()).collect()
}

/// Copies files with their directories until there are enough; returns how many that were.
fn copy(from: &Path, to: &Path, files: &mut usize, bytes: &mut u64) {
    let mut entries: Vec<_> = fs::read_dir(from).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() && *files < FILES {
            copy(&entry.path(), &target, files, bytes);
        } else if kind.is_file() && *files < FILES {
            let size = entry.metadata().unwrap().len();
            if size <= FILE_BYTES_MAX && *bytes + size <= BYTES_MAX {
                fs::create_dir_all(to).unwrap();
                fs::copy(entry.path(), &target).unwrap();
                *files += 1;
                *bytes += size;
            }
        }
    }
}

/// The digest of every file below a directory, by its path; what the server keeps there for itself
/// is left out.
fn digests(directory: &Path) -> BTreeMap<PathBuf, blake3::Hash> {
    fn collect(root: &Path, directory: &Path, found: &mut BTreeMap<PathBuf, blake3::Hash>) {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let own = entry.file_name().as_encoded_bytes().starts_with(b".portcullis-");
            if own {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                collect(root, &path, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), digest(&path));
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(directory, directory, &mut found);
    found
}

fn assert_same(one: &BTreeMap<PathBuf, blake3::Hash>, other: &BTreeMap<PathBuf, blake3::Hash>, way: &str) {
    let differing: Vec<_> = one.iter().filter(|(path, digest)| other.get(*path) != Some(digest)).take(10).collect();
    assert!(differing.is_empty(), "{way}: {differing:?}");
    assert_eq!(one.len(), other.len(), "{way}: files that nobody sent");
}

#[test]
fn five_thousand_files_are_mirrored_up_and_down() {
    let server = Server::running();
    let (tree, back) = (server.scratch().join("tree"), server.scratch().join("back"));
    let sources = sources();
    let (mut files, mut bytes) = (0, 0);
    for source in &sources {
        copy(source, &tree.join(source.file_name().unwrap()), &mut files, &mut bytes);
    }
    assert!(files >= 5_000, "too few files to mirror: {files} in {sources:?}");
    let sent = digests(&tree);

    let began = Instant::now();
    let up = format!("mirror -R --parallel=4 {} /tree", tree.display());
    run_with(&mut lftp(&server, "alice", &up), b"", TIME).done();
    let up_time = began.elapsed();
    assert_same(&sent, &digests(&server.home("alice").join("tree")), "up");

    let began = Instant::now();
    let down = format!("mirror --parallel=4 /tree {}", back.display());
    run_with(&mut lftp(&server, "alice", &down), b"", TIME).done();
    let down_time = began.elapsed();
    assert_same(&sent, &digests(&back), "down");

    println!("{files} files with {bytes} bytes: up in {up_time:.1?}, down in {down_time:.1?}");
    assert_eq!(server.records_of("file.upload").len(), files);
    // lftp does not ask for files that are listed as empty.
    let empty = sent.values().filter(|digest| **digest == blake3::hash(b"")).count();
    assert!(server.records_of("file.download").len() >= files - empty);
    assert_eq!(server.records_of("data.binding_failed").len(), 0);
}
