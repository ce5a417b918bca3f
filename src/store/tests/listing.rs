//! Directories read in steps.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use super::*;

#[test]
fn ten_thousand_entries_come_once_each_in_steps_of_any_size() {
    let home = Home::new();
    for number in 0..10_000 {
        fs::write(home.path(&format!("a file with number {number:05}")), "x").unwrap();
    }
    for step in [1, 7, 1000, 100_000] {
        let mut names = BTreeSet::new();
        let mut visited = 0;
        let begun = Instant::now();
        let mut listing = home.root.list(&all("/"), &name("alice")).unwrap();
        loop {
            let mut now = 0;
            let more = listing
                .visit(step, &mut |entry| {
                    now += 1;
                    assert_eq!((entry.size, entry.kind, entry.partial), (1, EntryKind::File, false));
                    names.insert(entry.name.to_owned());
                })
                .unwrap();
            assert!(now <= step);
            visited += now;
            if !more {
                break;
            }
        }
        assert_eq!((visited, names.len()), (10_000, 10_000), "in steps of {step}");
        if step > 100 {
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        }
    }
}

#[test]
fn what_cannot_be_shown_is_passed_over() {
    let home = Home::new();
    for bad in [&b"new\nline"[..], b"\x1b[2J", b"not utf-8 \xff", b".portcullis-x", "\u{202e}".as_bytes()] {
        fs::write(home.path("").join(OsStr::from_bytes(bad)), "").unwrap();
    }
    fs::write(home.path(".hidden"), "").unwrap();
    fs::create_dir(home.path("d")).unwrap();
    assert_eq!(home.names("/", "alice"), [".hidden", "d"]);
    let d = home.entries("/", "alice").into_iter().find(|entry| entry.name == "d").unwrap();
    assert_eq!(d.kind, EntryKind::Directory);
    assert_eq!(home.facts("/d", "alice").unwrap(), d);
    assert_eq!(home.facts("/", "alice").unwrap().name, "/");
}

#[test]
fn only_directories_are_listed() {
    let home = Home::new();
    home.store("/f", b"").unwrap();
    assert_eq!(home.root.list(&all("/f"), &name("alice")).err(), Some(Fault::NotADirectory));
    assert_eq!(home.root.list(&all("/no"), &name("alice")).err(), Some(Fault::NotFound));
    fs::create_dir(home.path("d")).unwrap();
    let mut listing = home.root.list(&all("/d"), &name("alice")).unwrap();
    fs::remove_dir(home.path("d")).unwrap();
    assert_eq!(listing.visit(10, &mut |_| panic!("nothing is there")), Ok(false));
}

#[test]
fn interrupted_uploads_are_listed_in_steps_too() {
    let home = Home::new();
    for number in 0..5 {
        home.interrupted(&format!("/p{number}"), "alice", b"x");
        home.store(&format!("/f{number}"), b"x").unwrap();
    }
    let mut listing = home.root.list(&all("/"), &name("alice")).unwrap();
    let mut names = Vec::new();
    while listing.visit(3, &mut |entry| names.push(entry.name.to_owned())).unwrap() {}
    names.sort();
    assert_eq!(names, ["f0", "f1", "f2", "f3", "f4", "p0", "p1", "p2", "p3", "p4"]);
}
