//! Homes with something wrong about them.

use std::os::unix::fs::PermissionsExt;

use rustix::process::geteuid;
use rustix::thread::{Uid, set_thread_res_uid};

use super::*;

/// Runs something as an account that file modes bind.
fn bound_by_modes<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if geteuid().is_root() {
                let nobody = Uid::from_raw(65_534);
                set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            run()
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_place_that_the_server_cannot_write_refuses_before_the_first_byte() {
    let home = Home::new();
    let mode = |name: &str, mode| fs::set_permissions(home.path(name), fs::Permissions::from_mode(mode)).unwrap();
    let claim = |path: &str| {
        bound_by_modes(|| {
            home.root.claim_upload(all(path), &uploader("alice"), UploadMode::Replace, None).map(drop).err()
        })
    };
    fs::create_dir(home.path("closed")).unwrap();
    fs::create_dir(home.path("open")).unwrap();
    mode("closed", 0o555);
    mode("open", 0o777);
    mode(".", 0o777);
    assert_eq!(claim("/closed/f"), Some(Fault::Denied));
    assert_eq!(claim("/open/f"), None);
    mode(".", 0o555);
    assert_eq!(claim("/f"), Some(Fault::Denied));
    assert_eq!(claim("/open/f"), Some(Fault::Denied), "there is no place to stage it");
    mode(".", 0o755);
}

#[test]
fn a_blocked_staging_directory_refuses_uploads_alone() {
    let directory = TempDir::new().unwrap();
    let staging = directory.path().join(".portcullis-staging");
    fs::write(&staging, "in the way").unwrap();
    fs::write(directory.path().join("f"), "readable").unwrap();
    let root = Homes::new(SETTINGS).root(directory.path()).unwrap();
    assert_eq!(root.open_read(&all("/f"), &name("alice"), Lookup::Full).unwrap().size(), 8);
    let claim = || root.claim_upload(all("/g"), &uploader("alice"), UploadMode::Replace, None);
    assert_eq!(claim().err(), Some(Fault::Denied));
    let warnings = root.warnings();
    assert!(warnings[0].contains(staging.to_str().unwrap()), "{warnings:?}");
    fs::remove_file(&staging).unwrap();
    claim().unwrap().begin().unwrap().finish(b"no longer").unwrap();
    assert!(root.warnings().is_empty());
}

#[test]
fn interrupted_uploads_whose_time_is_over_go_without_a_further_upload() {
    let directory = TempDir::new().unwrap();
    let homes = Homes::new(StoreSettings { partial_uploads: Duration::ZERO, ..SETTINGS });
    let home = Home { root: homes.root(directory.path()).unwrap(), directory };
    home.interrupted("/f", "alice", b"half");
    assert_eq!(home.staged().len(), 2);
    homes.expire();
    assert!(home.staged().is_empty());
}

#[test]
fn other_settings_hold_in_homes_that_are_open() {
    let directory = TempDir::new().unwrap();
    let homes = Homes::new(SETTINGS);
    let home = Home { root: homes.root(directory.path()).unwrap(), directory };
    home.interrupted("/f", "alice", b"half");
    homes.expire();
    assert_eq!(home.staged().len(), 2);
    homes.change(StoreSettings { partial_uploads: Duration::ZERO, ..SETTINGS });
    homes.expire();
    assert!(home.staged().is_empty());
}

#[test]
fn a_home_inside_another_is_warned_of() {
    let directory = TempDir::new().unwrap();
    let (outer, inner, other) =
        (directory.path().join("a"), directory.path().join("a/b/c"), directory.path().join("o"));
    fs::create_dir_all(&inner).unwrap();
    fs::create_dir(&other).unwrap();
    for (first, second) in [(&outer, &inner), (&inner, &outer)] {
        let homes = Homes::new(SETTINGS);
        assert!(homes.root(first).unwrap().warnings().is_empty());
        assert!(homes.root(&other).unwrap().warnings().is_empty());
        let warnings = homes.root(second).unwrap().warnings();
        assert!(warnings.iter().any(|warning| warning.contains(first.to_str().unwrap())), "{warnings:?}");
    }
}
