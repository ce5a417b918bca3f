//! Counting a home while it is in use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::super::{progress::Progress, scan};
use super::*;

/// Entries in each directory that is there from the beginning; more than a scan takes in at once.
const ENTRIES: usize = 700;

fn counted(home: &Home) -> Usage {
    let (books, stop) = (super::super::ledger::Ledger::default(), AtomicBool::new(false));
    scan::run(&books, home.root.as_ref(), scan::Pace::Hurried, &stop, || home.root.partials.amount())
        .unwrap()
        .now
        .into()
}

/// Draws one of so many.
fn draw(many: usize) -> usize {
    usize::try_from(rand::random::<u32>()).unwrap() % many
}

/// One random change by a client; most of them find nothing to change, which is as well.
fn change_something(home: &Home, user: &str, directories: &[&str]) {
    let directory = |which: usize| directories[which % directories.len()];
    let file = || format!("{}/{}", directory(draw(8)), draw(ENTRIES));
    let sub = || format!("{}/sub{}", directory(draw(8)), draw(4));
    let root = &home.root;
    match draw(10) {
        0..=2 => {
            let _ = home.begin(&file(), user, UploadMode::Replace).and_then(|up| up.finish(&vec![1; draw(3000)]));
        }
        3 => drop(home.begin(&file(), user, UploadMode::Append).and_then(|up| up.finish(&vec![1; draw(100)]))),
        4 => {
            if let Ok(mut upload) = home.begin(&file(), user, UploadMode::Replace) {
                upload.write(&vec![1; draw(2000)]).unwrap();
                let _ = upload.interrupt();
            }
        }
        5 => drop(root.remove_file(&all(&file()), &name(user))),
        6 => drop(root.rename(&all(&file()), &all(&file()), &name(user))),
        7 => drop(root.make_directory(&all(&sub()), &uploader(user))),
        8 => drop(root.remove_directory(&all(&sub()))),
        _ => drop(root.rename(&all(&sub()), &all(&sub()), &name(user))),
    }
}

#[test]
fn a_scan_misses_nothing_and_counts_nothing_twice_while_everything_changes() {
    let home = Home::new();
    let directories = ["", "/a", "/a/b", "/c", "/a/sub0", "/c/sub1", "/sub2", "/a/b/sub3"];
    for directory in directories {
        fs::create_dir_all(home.path(directory.trim_start_matches('/'))).unwrap();
        for entry in (0..ENTRIES).step_by(2) {
            fs::write(home.path(directory.trim_start_matches('/')).join(entry.to_string()), vec![0; entry]).unwrap();
        }
    }
    home.root.recount().unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for user in ["alice", "bob", "carol"] {
            let (home, over) = (&home, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Acquire) {
                    change_something(home, user, &directories);
                }
            });
        }
        for scan in 0..25 {
            let before = home.root.ledger.changes();
            let repaired = home.root.recount();
            over.fetch_or(repaired != Ok(None), Ordering::AcqRel);
            assert_eq!(repaired, Ok(None), "nobody else changes anything, so there is nothing to repair: {scan}");
            assert!(home.root.ledger.changes() > before, "changes go on meanwhile");
        }
        over.store(true, Ordering::Release);
    });
    assert_eq!(home.root.used(), Some(counted(&home)));
}

#[test]
fn what_other_programs_change_is_put_right_and_told() {
    let home = Home::new();
    fs::write(home.path("f"), [0; 10]).unwrap();
    assert_eq!(home.root.recount(), Ok(None), "the first count repairs nothing");
    fs::write(home.path("g"), [0; 90]).unwrap();
    let (before, after) = (Usage { bytes: 10, files: 1 }, Usage { bytes: 100, files: 2 });
    assert_eq!(home.root.recount(), Ok(Some(Repaired { before, after })));
    assert_eq!(home.root.recount(), Ok(None));
    fs::remove_file(home.path("f")).unwrap();
    fs::write(home.path("g"), b"").unwrap();
    home.root.remove_file(&all("/g"), &name("alice")).unwrap();
    assert_eq!(home.root.used(), Some(Usage { bytes: 100, files: 1 }));
    home.root.recount().unwrap();
    assert_eq!(home.root.used(), Some(Usage { bytes: 0, files: 0 }));
}

#[test]
fn a_scan_in_the_middle_counts_each_name_once() {
    let home = Home::new();
    for directory in ["done", "at", "ahead"] {
        fs::create_dir(home.path(directory)).unwrap();
    }
    let unique = |name: &str| super::super::entry::Status::at(home.root.as_ref(), name).unwrap().unique;
    let of = |name: &str| fs::File::open(home.path(name)).unwrap();
    let one = |bytes| super::super::ledger::Amount { bytes, files: 1 };
    let none = super::super::ledger::Amount::default();
    let mut progress = Progress::default();
    assert!(progress.enter(unique("done")));
    progress.count(b"f", one(5));
    progress.leave();
    assert!(!progress.enter(unique("done")), "once is enough");
    assert!(progress.enter(unique("at")));
    progress.count(b"f", one(5));

    progress.note(of("done"), "new", none, one(1));
    progress.note(of("ahead"), "new", none, one(1));
    progress.note(of("at"), "new", none, one(1));
    // Looked at before the change, and taken in after it.
    progress.count(b"new", one(100));
    progress.note(of("at"), "f", one(5), one(7));
    progress.note(of("at"), "gone", one(50), none);
    progress.count(b"gone", one(50));
    progress.leave();
    assert_eq!(progress.total().unwrap(), super::super::ledger::Amount { bytes: 5 + 1 + 7 + 1, files: 4 });
    progress.note_moved(home.root.as_ref(), "at");
    assert!(progress.take_moved().is_none(), "what is done need not be done again");
    progress.note_moved(home.root.as_ref(), "ahead");
    assert!(progress.take_moved().is_some());
    progress.note_removed(unique("at"));
    assert!(progress.enter(unique("at")), "another directory may have its inode");
}

#[test]
fn uploads_go_on_while_a_large_home_is_scanned() {
    let home = Home::new();
    for entry in 0..5000 {
        fs::write(home.path(&entry.to_string()), b"").unwrap();
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            home.root.recount().unwrap();
            over.store(true, Ordering::Release);
        });
        let mut stored = 0;
        while !over.load(Ordering::Acquire) {
            home.store(&format!("/new{stored}"), b"x").unwrap();
            stored += 1;
        }
        assert!(stored > 3, "{stored}");
    });
    assert_eq!(home.root.used(), Some(counted(&home)));
}

#[test]
fn a_scan_ends_when_the_server_stops() {
    let directory = TempDir::new().unwrap();
    let homes = Homes::new(SETTINGS);
    let root = homes.root(directory.path()).unwrap();
    homes.end_scans();
    assert_eq!(root.recount(), Err(Fault::Busy));
    let limited = Uploader { quota_files: Some(1), ..uploader("alice") };
    assert_eq!(root.usage(&limited), Err(Fault::Busy));
    assert_eq!(root.used(), None);
}
