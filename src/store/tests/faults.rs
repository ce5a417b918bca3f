//! What a fault of the store leaves of an upload, and of what was kept before it.

use super::*;

fn limited(bytes: u64) -> Uploader {
    Uploader { name: name("alice"), quota_bytes: Some(bytes), quota_files: None }
}

fn resume(home: &Home, uploader: &Uploader, mode: UploadMode) -> Upload {
    home.root.claim_upload(all("/f"), uploader, mode, None).unwrap().begin().unwrap()
}

fn kept_size(home: &Home) -> u64 {
    let entry = home.facts("/f", "alice").unwrap();
    assert!(entry.partial);
    entry.size
}

#[test]
fn a_resume_that_meets_the_quota_keeps_what_was_kept_and_what_came() {
    for mode in [UploadMode::ResumeAt(6), UploadMode::Append] {
        let home = Home::new();
        home.interrupted("/f", "alice", b"sixsix");
        let mut upload = resume(&home, &limited(10), mode);
        upload.write(b"!").unwrap();
        assert_eq!(upload.write(b"too much"), Err(Fault::QuotaExceeded));
        assert_eq!(upload.give_up(Fault::QuotaExceeded), Kept { size: 7 });
        assert_eq!(kept_size(&home), 7);
        assert_eq!(home.root.ledger.used().unwrap().bytes, 7);
        let home = home.restarted(SETTINGS);
        assert_eq!(kept_size(&home), 7, "over a restart, too");
        resume(&home, &limited(10), UploadMode::Append).finish(b"end").unwrap();
        assert_eq!(home.read("f").unwrap(), b"sixsix!end");
        assert!(home.staged().is_empty());
    }
}

#[test]
fn a_resume_that_is_dropped_leaves_what_was_kept() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"sixsix");
    let mut upload = resume(&home, &limited(100), UploadMode::Append);
    upload.write(b"more").unwrap();
    drop(upload);
    assert_eq!(kept_size(&home), 6);
    assert_eq!(home.root.ledger.used().unwrap().bytes, 6);
}

#[test]
fn a_resume_under_way_when_the_server_dies_is_still_there_after_the_restart() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"sixsix");
    let upload = resume(&home, &limited(100), UploadMode::Append);
    let staging = home.path(".portcullis-staging");
    let crashed = TempDir::new().unwrap();
    fs::create_dir(crashed.path().join(".portcullis-staging")).unwrap();
    for name in home.staged() {
        fs::copy(staging.join(&name), crashed.path().join(".portcullis-staging").join(&name)).unwrap();
    }
    drop(upload);
    let root = Homes::new(SETTINGS).root(crashed.path()).unwrap();
    assert_eq!(root.swept(), Swept { kept: 1, ..Swept::default() });
    assert_eq!(root.facts(&all("/f"), &name("alice"), Lookup::Full).unwrap().size, 6);
}

#[test]
fn a_commit_that_fails_keeps_a_resumed_upload() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"half");
    let grant = only("/f", &[Permission::Create]);
    let claim = home.root.claim_upload(grant, &uploader("alice"), UploadMode::Append, None).unwrap();
    let mut upload = claim.begin().unwrap();
    upload.write(b" and half").unwrap();
    fs::write(home.path("f"), "theirs").unwrap();
    assert_eq!(upload.commit(), Err(Unstored { fault: Fault::Exists, kept: Kept { size: 13 } }));
    assert_eq!(home.read("f").unwrap(), b"theirs");
    assert_eq!(kept_size(&home), 13);
}

#[test]
fn a_fresh_upload_is_kept_where_a_later_attempt_may_succeed() {
    let home = Home::new();
    fs::create_dir(home.path("d")).unwrap();
    let mut upload = home.begin("/d/f", "alice", UploadMode::Replace).unwrap();
    upload.write(b"whole").unwrap();
    fs::rename(home.path("d"), home.path("away")).unwrap();
    assert_eq!(upload.commit(), Err(Unstored { fault: Fault::NotFound, kept: Kept { size: 5 } }));
    fs::rename(home.path("away"), home.path("d")).unwrap();
    home.begin("/d/f", "alice", UploadMode::ResumeAt(5)).unwrap().commit().unwrap();
    assert_eq!(home.read("d/f").unwrap(), b"whole");

    let mut upload =
        home.root.claim_upload(all("/f"), &limited(8), UploadMode::Replace, None).unwrap().begin().unwrap();
    upload.write(b"ok").unwrap();
    let fault = upload.write(b"too much").unwrap_err();
    assert_eq!(upload.give_up(fault), Kept { size: 0 }, "a full home is not filled with halves");
    assert!(home.staged().is_empty());
}
