//! How much may still be stored.

use super::*;

fn limited(bytes: u64) -> Uploader {
    Uploader { quota_bytes: Some(bytes), ..uploader("alice") }
}

#[test]
fn the_quota_leaves_what_is_not_used() {
    let home = Home::new();
    home.store("/f", &[0; 300]).unwrap();
    fs::create_dir(home.path("d")).unwrap();
    for path in ["/", "/d", "/f"] {
        assert_eq!(home.root.room(&all(path), &limited(1000)), Ok(700), "{path}");
    }
    assert_eq!(home.root.room(&all("/"), &limited(200)), Ok(0), "over the quota, there is nothing left");
    home.interrupted("/g", "alice", &[0; 100]);
    assert_eq!(home.root.room(&all("/g"), &limited(1000)), Ok(600), "what is kept of an upload counts");
    assert_eq!(home.root.room(&all("/no"), &limited(1000)), Err(Fault::NotFound));
    let full = Uploader { quota_files: Some(3), ..limited(1000) };
    assert_eq!(home.root.room(&all("/"), &full), Ok(0), "no file can be added");
    for path in ["/f", "/g"] {
        assert_eq!(home.root.room(&all(path), &full), Ok(600), "{path} is there already");
    }
    assert_eq!(home.root.usage(&limited(1000)), Ok(Some(Usage { bytes: 400, files: 3 })));
}

#[test]
fn without_a_quota_nothing_is_counted_and_the_disk_decides() {
    let home = Home::new();
    home.store("/f", &[0; 300]).unwrap();
    let alice = uploader("alice");
    assert_eq!(home.root.usage(&alice), Ok(None));
    let free = home.root.room(&all("/"), &alice).unwrap();
    assert!(free > 0);
    let home = home.restarted(floor(u64::MAX));
    assert_eq!(home.root.room(&all("/"), &alice), Ok(0));
    assert_eq!(home.root.room(&all("/"), &limited(1000)), Ok(0), "the floor holds for who has a quota too");
}
