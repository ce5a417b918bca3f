//! Quotas and the free-space floor.

use std::sync::atomic::AtomicBool;

use super::super::scan;
use super::*;

fn limited(bytes: Option<u64>, files: Option<u64>) -> Uploader {
    Uploader { name: name("alice"), quota_bytes: bytes, quota_files: files }
}

fn begin(home: &Home, path: &str, uploader: &Uploader, mode: UploadMode) -> Result<Upload, Fault> {
    home.root.claim_upload(all(path), uploader, mode, None)?.begin()
}

fn used(home: &Home) -> (u64, u64) {
    let used = home.root.ledger.used().unwrap();
    (used.bytes, used.files)
}

/// What a fresh count finds.
fn counted(home: &Home) -> (u64, u64) {
    let books = super::super::ledger::Ledger::default();
    let kept = || home.root.partials.amount();
    let found = scan::run(&books, home.root.as_ref(), scan::Pace::Hurried, &AtomicBool::new(false), kept).unwrap();
    (found.now.bytes, found.now.files)
}

#[test]
fn what_is_there_counts() {
    let home = Home::new();
    fs::create_dir_all(home.path("a/b/c")).unwrap();
    fs::create_dir(home.path("d")).unwrap();
    for file in ["f", "a/f", "a/b/c/f", "d/f"] {
        fs::write(home.path(file), [0; 100]).unwrap();
    }
    std::os::unix::fs::symlink("/etc", home.path("link")).unwrap();
    let upload = begin(&home, "/new", &limited(Some(1000), None), UploadMode::Replace).unwrap();
    assert_eq!(used(&home), (400, 10), "four files, four directories, a link, and the new one");
    drop(upload);
    assert_eq!(used(&home), (400, 9));
}

#[test]
fn a_full_home_refuses_and_loses_nothing() {
    let home = Home::new();
    let alice = limited(Some(10), None);
    let mut upload = begin(&home, "/f", &alice, UploadMode::Replace).unwrap();
    upload.write(b"12345678").unwrap();
    assert_eq!(upload.write(b"9ab"), Err(Fault::QuotaExceeded));
    assert_eq!(upload.bytes(), 8);
    upload.write(b"9a").unwrap();
    assert_eq!(upload.commit().unwrap().size, 10);
    assert_eq!(home.read("f").unwrap(), b"123456789a");
    assert_eq!(begin(&home, "/g", &alice, UploadMode::Replace).err(), Some(Fault::QuotaExceeded));
    let claim = |bytes| home.root.claim_upload(all("/g"), &limited(Some(20), None), UploadMode::Replace, Some(bytes));
    assert_eq!(claim(11).err(), Some(Fault::QuotaExceeded));
    assert!(claim(10).is_ok());
    home.root.remove_file(&all("/f"), &name("alice")).unwrap();
    assert_eq!(used(&home), (0, 0));
}

#[test]
fn files_and_directories_are_limited_in_number() {
    let home = Home::new();
    let alice = limited(None, Some(2));
    begin(&home, "/f", &alice, UploadMode::Replace).unwrap().finish(b"").unwrap();
    home.root.make_directory(&all("/d"), &alice).unwrap();
    assert_eq!(home.root.make_directory(&all("/e"), &alice), Err(Fault::QuotaExceeded));
    assert_eq!(begin(&home, "/g", &alice, UploadMode::Replace).err(), Some(Fault::QuotaExceeded));
    begin(&home, "/f", &alice, UploadMode::Replace).unwrap().finish(b"again").unwrap();
    home.root.remove_directory(&all("/d")).unwrap();
    begin(&home, "/g", &alice, UploadMode::Replace).unwrap().finish(b"").unwrap();
}

#[test]
fn the_books_agree_with_the_disk() {
    let home = Home::new();
    let alice = limited(Some(1 << 20), Some(1000));
    let bob = Uploader { name: name("bob"), quota_bytes: None, quota_files: None };
    begin(&home, "/f", &bob, UploadMode::Replace).unwrap().finish(&[0; 300]).unwrap();
    let mut early = begin(&home, "/early", &bob, UploadMode::Replace).unwrap();
    early.write(&[0; 50]).unwrap();
    assert!(home.root.ledger.used().is_none());
    begin(&home, "/g", &alice, UploadMode::Replace).unwrap().finish(&[0; 100]).unwrap();
    early.write(&[0; 25]).unwrap();
    early.commit().unwrap();
    assert_eq!(used(&home), (475, 3));
    assert_eq!(used(&home), counted(&home));

    begin(&home, "/g", &alice, UploadMode::Append).unwrap().finish(&[0; 11]).unwrap();
    assert_eq!(used(&home), (486, 3));
    begin(&home, "/f", &alice, UploadMode::ResumeAt(100)).unwrap().finish(&[0; 1]).unwrap();
    assert_eq!(used(&home), (287, 3));
    let mut upload = begin(&home, "/g", &alice, UploadMode::Append).unwrap();
    upload.write(&[0; 9]).unwrap();
    upload.interrupt().unwrap();
    assert_eq!(used(&home), (407, 4), "with what was copied");
    assert_eq!(used(&home), counted(&home));
    let mut upload = begin(&home, "/g", &alice, UploadMode::ResumeAt(115)).unwrap();
    assert_eq!(used(&home), (291, 4));
    upload.write(&[0; 1]).unwrap();
    upload.commit().unwrap();
    assert_eq!(used(&home), (292, 3));
    assert_eq!(used(&home), counted(&home));
    home.root.rename(&all("/f"), &all("/g"), &name("alice")).unwrap();
    assert_eq!(used(&home), counted(&home));
    drop(begin(&home, "/x", &alice, UploadMode::Replace).unwrap());
    home.interrupted("/x", "alice", &[0; 5]);
    home.root.remove_file(&all("/x"), &name("alice")).unwrap();
    assert_eq!(used(&home), counted(&home));
}

#[test]
fn parallel_uploads_never_overshoot() {
    let home = Home::new();
    let quota = 100_000;
    let alice = limited(Some(quota), None);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (home, alice) = (&home, &alice);
            scope.spawn(move || {
                let Ok(mut upload) = begin(home, &format!("/{number}"), alice, UploadMode::Replace) else { return };
                while upload.write(&[1; 997]).is_ok() {
                    let used = home.root.ledger.used().unwrap();
                    assert!(used.bytes <= quota);
                }
                if number % 2 == 0 {
                    upload.commit().unwrap();
                } else {
                    upload.interrupt().unwrap();
                }
            });
        }
    });
    assert_eq!(used(&home), counted(&home));
    assert!(used(&home).0 > quota - 8 * 997 && used(&home).0 <= quota, "{:?}", used(&home));
}

#[test]
fn the_floor_is_left_free() {
    let free = Home::new().root.free().unwrap().1.bytes;
    let home = Home::with(floor(free.saturating_mul(2)));
    assert_eq!(home.store("/f", b"x"), Err(Fault::NoSpace));
    assert_eq!(home.root.make_directory(&all("/d"), &uploader("alice")), Err(Fault::NoSpace));
    let home = Home::with(floor(free / 2));
    let announced = home.root.claim_upload(all("/f"), &uploader("alice"), UploadMode::Replace, Some(free));
    assert_eq!(announced.err(), Some(Fault::NoSpace));
    assert_eq!(
        home.root.claim_upload(all("/f"), &uploader("alice"), UploadMode::Replace, Some(u64::MAX)).err(),
        Some(Fault::NoSpace)
    );
    home.store("/f", b"x").unwrap();
}

#[test]
fn a_floor_of_inodes_is_left_too() {
    let home = Home::with(StoreSettings { floor: Floor { bytes: 0, inodes: u64::MAX }, ..SETTINGS });
    let held = home.root.free().unwrap().1.inodes.is_some();
    let refused = |result: Result<(), Fault>| assert_eq!(result.err(), held.then_some(Fault::NoSpace));
    refused(home.store("/f", b"x").map(|_| ()));
    refused(home.root.make_directory(&all("/d"), &uploader("alice")));
    assert_eq!(home.root.room(&all("/"), &uploader("alice")).unwrap() == 0, held);
}

#[test]
fn what_one_upload_announced_is_not_there_for_another() {
    let free = Home::new().root.free().unwrap().1.bytes;
    let home = Home::with(floor(free / 2));
    let claim = |path, bytes| home.root.claim_upload(all(path), &uploader("alice"), UploadMode::Replace, Some(bytes));
    let first = claim("/f", free / 3).unwrap();
    assert_eq!(claim("/g", free / 3).err(), Some(Fault::NoSpace));
    let room = home.root.room(&all("/"), &uploader("alice")).unwrap();
    assert!(room < free / 4, "{room} of {free}");
    drop(first);
    drop(claim("/g", free / 3).unwrap());
}

#[test]
fn a_large_file_can_be_overwritten_in_a_full_home() {
    let home = Home::new();
    let alice = limited(Some(1000), None);
    begin(&home, "/f", &alice, UploadMode::Replace).unwrap().finish(&[0; 900]).unwrap();
    for announced in [None, Some(1000)] {
        let claim = home.root.claim_upload(all("/f"), &alice, UploadMode::Replace, announced).unwrap();
        claim.begin().unwrap().finish(&[1; 1000]).unwrap();
        assert_eq!(used(&home), (1000, 1));
    }
    let announced = home.root.claim_upload(all("/f"), &alice, UploadMode::Replace, Some(1001));
    assert_eq!(announced.err(), Some(Fault::QuotaExceeded));
    let mut upload = begin(&home, "/f", &alice, UploadMode::Replace).unwrap();
    upload.write(&[2; 1000]).unwrap();
    assert_eq!(upload.write(&[2]), Err(Fault::QuotaExceeded));
    drop(upload);
    assert_eq!((used(&home), used(&home)), ((1000, 1), counted(&home)));
    begin(&home, "/f", &alice, UploadMode::ResumeAt(500)).unwrap().finish(&[3; 500]).unwrap();
    assert_eq!(used(&home), (1000, 1));
}

#[test]
fn an_interrupted_overwrite_is_counted_and_can_be_finished() {
    let home = Home::new();
    let alice = limited(Some(1000), None);
    begin(&home, "/f", &alice, UploadMode::Replace).unwrap().finish(&[0; 900]).unwrap();
    let mut upload = begin(&home, "/f", &alice, UploadMode::Replace).unwrap();
    upload.write(&[1; 800]).unwrap();
    upload.interrupt().unwrap();
    assert_eq!((used(&home), used(&home)), ((1700, 2), counted(&home)));
    for other in ["/g", "/h"] {
        assert_eq!(begin(&home, other, &alice, UploadMode::Replace).err(), Some(Fault::QuotaExceeded));
    }
    let bob = Uploader { name: name("bob"), ..limited(Some(1000), None) };
    assert_eq!(begin(&home, "/f", &bob, UploadMode::Replace).err(), Some(Fault::QuotaExceeded), "not once per user");
    drop(begin(&home, "/f", &alice, UploadMode::Append).unwrap());
    assert_eq!(used(&home), (1700, 2));
    begin(&home, "/f", &alice, UploadMode::Append).unwrap().finish(&[1; 200]).unwrap();
    assert_eq!((used(&home), used(&home)), ((1000, 1), counted(&home)));
}

#[test]
fn overwriting_in_parallel_never_overshoots() {
    let home = Home::new();
    let alice = limited(Some(1000), None);
    for file in ["/0", "/1", "/2", "/3"] {
        begin(&home, file, &alice, UploadMode::Replace).unwrap().finish(&[0; 200]).unwrap();
    }
    let mut uploads: Vec<Upload> =
        (0..4).map(|file| begin(&home, &format!("/{file}"), &alice, UploadMode::Replace).unwrap()).collect();
    for upload in &mut uploads {
        while upload.write(&[1; 7]).is_ok() {}
        assert!(upload.bytes() >= 196);
    }
    let dropped = uploads.remove(1);
    drop(dropped);
    for upload in uploads {
        upload.commit().unwrap();
        assert!(counted(&home).0 <= 1000);
    }
    assert_eq!(used(&home), counted(&home));
}

#[test]
fn appending_to_a_file_in_a_full_home_is_refused_before_anything_is_copied() {
    let home = Home::new();
    let alice = limited(Some(1000), None);
    begin(&home, "/f", &alice, UploadMode::Replace).unwrap().finish(&[0; 1000]).unwrap();
    let claim = |mode| home.root.claim_upload(all("/f"), &alice, mode, None).err();
    assert_eq!(claim(UploadMode::Append), Some(Fault::QuotaExceeded));
    assert_eq!(claim(UploadMode::ResumeAt(1000)), Some(Fault::QuotaExceeded));
    assert_eq!(claim(UploadMode::ResumeAt(999)), None);
}
