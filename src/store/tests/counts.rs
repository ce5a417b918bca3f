//! Counts over restarts: trusted where the last run ended well, and otherwise made anew.

use super::*;

const USED: Usage = Usage { bytes: 10, files: 1 };

fn limited() -> Uploader {
    Uploader { quota_bytes: Some(1000), ..uploader("alice") }
}

/// A home that holds [`USED`] and has been counted, and its server.
fn counted() -> (TempDir, Homes) {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("f"), [0; 10]).unwrap();
    let homes = Homes::new(SETTINGS);
    assert_eq!(homes.root(directory.path()).unwrap().usage(&limited()), Ok(Some(USED)));
    (directory, homes)
}

/// What a server knows that starts now, without a scan.
fn known_after_restart(directory: &TempDir) -> Option<Usage> {
    Homes::new(SETTINGS).root(directory.path()).unwrap().used()
}

fn store(homes: &Homes, directory: &TempDir, path: &str) {
    let root = homes.root(directory.path()).unwrap();
    let claim = root.claim_upload(all(path), &limited(), UploadMode::Replace, None).unwrap();
    claim.begin().unwrap().finish(b"12345").unwrap();
}

#[test]
fn a_count_survives_an_orderly_restart() {
    let (directory, homes) = counted();
    homes.save_counts(true);
    drop(homes);
    assert_eq!(known_after_restart(&directory), Some(USED));
    assert_eq!(known_after_restart(&directory), Some(USED), "it holds until something changes");
}

#[test]
fn after_a_crash_the_home_is_counted_anew() {
    let (directory, homes) = counted();
    homes.save_counts(true);
    store(&homes, &directory, "/g");
    drop(homes);
    assert_eq!(known_after_restart(&directory), None);
    let root = Homes::new(SETTINGS).root(directory.path()).unwrap();
    assert_eq!(root.usage(&limited()), Ok(Some(Usage { bytes: 15, files: 2 })));
}

#[test]
fn a_crash_costs_a_home_nothing_that_was_quiet() {
    let (directory, homes) = counted();
    store(&homes, &directory, "/g");
    homes.save_counts(false);
    assert!(!directory.path().join(".portcullis-staging/count.json").exists(), "it was in use until now");
    homes.save_counts(false);
    drop(homes);
    assert_eq!(known_after_restart(&directory), Some(Usage { bytes: 15, files: 2 }));
}

#[test]
fn interrupted_uploads_are_counted_as_they_are_found() {
    let (directory, homes) = counted();
    let root = homes.root(directory.path()).unwrap();
    let mut upload = root.claim_upload(all("/g"), &limited(), UploadMode::Replace, None).unwrap().begin().unwrap();
    upload.write(&[1; 7]).unwrap();
    upload.interrupt().unwrap();
    assert_eq!(root.used(), Some(Usage { bytes: 17, files: 2 }));
    drop(root);
    homes.save_counts(true);
    drop(homes);
    assert_eq!(known_after_restart(&directory), Some(Usage { bytes: 17, files: 2 }));
    let expired = Homes::new(StoreSettings { partial_uploads: Duration::ZERO, ..SETTINGS });
    assert_eq!(expired.root(directory.path()).unwrap().used(), Some(USED));
}

#[test]
fn a_count_of_another_directory_or_without_sense_is_not_believed() {
    let (directory, homes) = counted();
    homes.save_counts(true);
    drop(homes);
    let copy = TempDir::new().unwrap();
    let staging = copy.path().join(".portcullis-staging");
    fs::create_dir(&staging).unwrap();
    fs::copy(directory.path().join(".portcullis-staging/count.json"), staging.join("count.json")).unwrap();
    assert_eq!(known_after_restart(&copy), None);
    for text in ["", "{}", "[1, 2]", "{\"inode\": -1}", "{\"inode\": 1, \"in_place\": {\"bytes\": 1e99, \"files\": 1}}"]
    {
        fs::write(staging.join("count.json"), text).unwrap();
        assert_eq!(known_after_restart(&copy), None, "{text}");
    }
}

#[test]
fn where_two_servers_had_a_home_neither_is_believed() {
    let (directory, homes) = counted();
    homes.save_counts(true);
    let second = Homes::new(SETTINGS);
    assert_eq!(second.root(directory.path()).unwrap().used(), None);
    store(&second, &directory, "/g");
    drop(second);
    homes.root(directory.path()).unwrap().make_directory(&all("/d"), &limited()).unwrap();
    homes.save_counts(true);
    drop(homes);
    assert_eq!(known_after_restart(&directory), None);
    let (third, root) = (Homes::new(SETTINGS), |homes: &Homes| homes.root(directory.path()).unwrap());
    assert_eq!(root(&third).usage(&limited()), Ok(Some(Usage { bytes: 15, files: 3 })));
    third.save_counts(true);
    drop(third);
    assert_eq!(known_after_restart(&directory), Some(Usage { bytes: 15, files: 3 }), "from then on it is");
}

#[test]
fn a_home_over_its_quota_takes_nothing_and_lets_go() {
    let (directory, homes) = counted();
    let root = homes.root(directory.path()).unwrap();
    let small = Uploader { quota_bytes: Some(5), quota_files: Some(1), ..uploader("alice") };
    for path in ["/f", "/g"] {
        let claim = root.claim_upload(all(path), &small, UploadMode::Append, None);
        assert_eq!(claim.err(), Some(Fault::QuotaExceeded), "{path}");
    }
    assert_eq!(root.make_directory(&all("/d"), &small), Err(Fault::QuotaExceeded));
    root.remove_file(&all("/f"), &small.name).unwrap();
    assert_eq!(root.used(), Some(Usage { bytes: 0, files: 0 }));
    root.claim_upload(all("/f"), &small, UploadMode::Replace, None).unwrap().begin().unwrap().finish(b"12345").unwrap();
    assert_eq!(root.make_directory(&all("/d"), &small), Err(Fault::QuotaExceeded), "a quota of one file");
    drop(directory);
}
