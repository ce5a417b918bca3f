//! What survives a restart, and what does not.

use super::*;

/// Ends an upload as a killed server does: nothing cleans up behind it.
fn crash(upload: Upload) {
    std::mem::forget(upload);
}

#[test]
fn interrupted_uploads_survive_and_others_do_not() {
    let home = Home::new();
    home.store("/g", b"old").unwrap();
    home.interrupted("/f", "alice", b"half");
    let path = home.directory.path().to_owned();
    let mut upload = home.begin("/g", "alice", UploadMode::Replace).unwrap();
    upload.write(b"new").unwrap();
    // As if the process had ended: the lock goes with its descriptor, the file stays.
    let staged = path.join(".portcullis-staging");
    let left: Vec<_> = home.staged().into_iter().filter(|name| name.contains(".up")).collect();
    fs::copy(staged.join(&left[0]), staged.join("00.up")).unwrap();
    drop(upload);
    fs::write(staged.join("11.part"), "no record").unwrap();
    fs::write(staged.join("22.json"), "{\"no\": \"sense\"}").unwrap();
    fs::write(staged.join("33.tmp"), "").unwrap();
    let home = home.restarted(SETTINGS);
    let swept = home.root.swept();
    assert_eq!(swept, Swept { kept: 1, expired: 0, abandoned: 2, orphaned: 1, shared: false });
    assert_eq!(home.staged().len(), 2);
    assert_eq!(home.read("g").unwrap(), b"old");
    assert_eq!(home.facts("/f", "alice").unwrap().size, 4);
    home.begin("/f", "alice", UploadMode::ResumeAt(4)).unwrap().finish(b" and half").unwrap();
    assert_eq!(home.read("f").unwrap(), b"half and half");
}

#[test]
fn interrupted_uploads_expire() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"half");
    let soon = StoreSettings { partial_uploads: Duration::ZERO, ..SETTINGS };
    let home = home.restarted(soon);
    assert_eq!(home.root.swept(), Swept { expired: 1, ..Swept::default() });
    assert!(home.staged().is_empty());
    assert_eq!(home.facts("/f", "alice"), Err(Fault::NotFound));
    home.interrupted("/f", "alice", b"half");
    assert_eq!(home.facts("/f", "alice"), Err(Fault::NotFound));
    assert!(home.names("/", "alice").is_empty());
    home.store("/other", b"").unwrap();
    assert!(home.staged().is_empty(), "removed by the next upload");
}

#[test]
fn a_second_server_sweeps_nothing_of_the_first() {
    let home = Home::new();
    let mut upload = home.begin("/f", "alice", UploadMode::Replace).unwrap();
    upload.write(b"first").unwrap();
    let second = Homes::new(SETTINGS).root(home.directory.path()).unwrap();
    assert!(second.swept().shared);
    assert_eq!(home.staged().len(), 1);
    upload.commit().unwrap();
    assert_eq!(home.read("f").unwrap(), b"first");
}

#[test]
fn only_one_server_takes_an_interrupted_upload_up() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"half");
    let second = Homes::new(SETTINGS).root(home.directory.path()).unwrap();
    let resume =
        |root: &Arc<Root>| root.claim_upload(all("/f"), &uploader("alice"), UploadMode::Append, None).unwrap().begin();
    let first = resume(&second).unwrap();
    assert_eq!(resume(&home.root).err(), Some(Fault::NotFound));
    first.finish(b"!").unwrap();
    assert_eq!(home.read("f").unwrap(), b"half!");
}

#[test]
fn two_users_share_one_root_and_a_crash_frees_no_name_of_the_living() {
    let directory = TempDir::new().unwrap();
    let homes = Homes::new(SETTINGS);
    let first = homes.root(directory.path()).unwrap();
    let second = homes.root(&directory.path().join(".")).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let upload = first.claim_upload(all("/f"), &uploader("alice"), UploadMode::Replace, None).unwrap().begin();
    crash(upload.unwrap());
    assert_eq!(second.claim_upload(all("/f"), &uploader("bob"), UploadMode::Replace, None).err(), Some(Fault::Busy));
    assert_eq!(homes.root(&directory.path().join("missing")).err(), Some(Fault::NotFound));
}

#[test]
fn a_planted_staging_link_is_not_followed() {
    let directory = TempDir::new().unwrap();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("00.up"), "precious").unwrap();
    std::os::unix::fs::symlink(outside.path(), directory.path().join(".portcullis-staging")).unwrap();
    let root = Homes::new(SETTINGS).root(directory.path()).unwrap();
    let claim = root.claim_upload(all("/f"), &uploader("alice"), UploadMode::Replace, None);
    assert_eq!(claim.err(), Some(Fault::Denied));
    assert_eq!(contents(outside.path()), 1);
}
