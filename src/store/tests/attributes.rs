//! Times and permission bits.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn set(home: &Home, path: &str, time: Option<i64>, mode: Option<u32>) -> Result<Entry, Fault> {
    home.root.set_attributes(&all(path), &name("alice"), time, mode)
}

fn mode(home: &Home, path: &str) -> u32 {
    fs::symlink_metadata(home.path(path)).unwrap().permissions().mode() & 0o7777
}

/// What the operator does.
fn make(home: &Home, path: &str, mode: u32) {
    fs::set_permissions(home.path(path), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn dates_are_set() {
    let home = Home::new();
    home.store("/f", b"x").unwrap();
    fs::create_dir(home.path("d")).unwrap();
    for seconds in [0, 1_700_000_000, 4_102_444_800] {
        for path in ["/f", "/d"] {
            assert_eq!(set(&home, path, Some(seconds), None).unwrap().modified_seconds, seconds);
            assert_eq!(home.facts(path, "alice").unwrap().modified_seconds, seconds);
        }
    }
    assert_eq!(set(&home, "/no", Some(0), None), Err(Fault::NotFound));
    assert_eq!(set(&home, "/", Some(0), None), Err(Fault::Denied));
}

#[test]
fn bits_are_set_but_for_those_that_the_server_needs() {
    let home = Home::new();
    home.store("/f", b"x").unwrap();
    fs::create_dir(home.path("d")).unwrap();
    for (asked, file, directory) in [
        (0o640, 0o640, 0o740),
        (0o755, 0o755, 0o755),
        (0o777, 0o777, 0o777),
        (0o444, 0o444, 0o744),
        (0o000, 0o400, 0o700),
        (0o007, 0o407, 0o707),
    ] {
        assert_eq!(set(&home, "/f", None, Some(asked)).unwrap().mode, file, "{asked:o}");
        assert_eq!(set(&home, "/d", None, Some(asked)).unwrap().mode, directory, "{asked:o}");
        assert_eq!((mode(&home, "f"), mode(&home, "d")), (file, directory), "{asked:o}");
    }
    assert_eq!(home.read("f").unwrap(), b"x");
    assert_eq!(set(&home, "/", None, Some(0o700)), Err(Fault::Denied));
}

#[test]
fn special_bits_are_never_added_and_only_a_directory_keeps_them() {
    let home = Home::new();
    home.store("/f", b"x").unwrap();
    fs::create_dir(home.path("d")).unwrap();
    for special in [0o1000, 0o2000, 0o4000, 0o7000] {
        assert_eq!(set(&home, "/f", None, Some(special | 0o755)).unwrap().mode, 0o755);
        assert_eq!(set(&home, "/d", None, Some(special | 0o755)).unwrap().mode, 0o755);
        make(&home, "f", special | 0o640);
        assert_eq!(set(&home, "/f", None, Some(0o600)).unwrap().mode, 0o600);
    }
    make(&home, "d", 0o3770);
    assert_eq!(set(&home, "/d", None, Some(0o750)).unwrap().mode, 0o3750);
}

#[test]
fn what_the_server_cannot_read_can_be_made_readable_again() {
    let home = Home::new();
    home.store("/f", b"x").unwrap();
    fs::create_dir(home.path("d")).unwrap();
    for path in ["f", "d"] {
        make(&home, path, 0);
        let set = set(&home, &format!("/{path}"), Some(7), Some(0o640)).unwrap();
        assert_eq!((set.modified_seconds, set.mode & 0o777), (7, if path == "f" { 0o640 } else { 0o740 }));
    }
}

#[test]
fn a_link_is_not_followed_and_stays_as_it_is() {
    let home = Home::new();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    symlink(outside.path().join("secret"), home.path("link")).unwrap();
    let before = fs::metadata(outside.path().join("secret")).unwrap();
    assert_eq!(set(&home, "/link", Some(0), Some(0o777)), Err(Fault::NotFound));
    let after = fs::metadata(outside.path().join("secret")).unwrap();
    assert_eq!(after.permissions(), before.permissions());
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
}
