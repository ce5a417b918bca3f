//! Directories, removals, renames.

use super::*;

#[test]
fn directories_are_made_and_removed() {
    let home = Home::new();
    let make = |path: &str| home.root.make_directory(&all(path), &uploader("alice"));
    assert_eq!(make("/d"), Ok(()));
    assert_eq!(make("/d/e"), Ok(()));
    assert_eq!(make("/d"), Err(Fault::Exists));
    assert_eq!(make("/"), Err(Fault::Exists));
    assert_eq!(make("/no/e"), Err(Fault::NotFound));
    assert_eq!(make("/a\\b"), Err(Fault::NameRefused));
    let remove = |path: &str| home.root.remove_directory(&all(path));
    assert_eq!(remove("/d"), Err(Fault::NotEmpty));
    assert_eq!(remove("/d/e"), Ok(()));
    assert_eq!(remove("/d"), Ok(()));
    assert_eq!(remove("/d"), Err(Fault::NotFound));
    assert_eq!(remove("/"), Err(Fault::Denied));
    home.store("/f", b"").unwrap();
    assert_eq!(remove("/f"), Err(Fault::NotADirectory));
    assert_eq!(make("/f"), Err(Fault::Exists));
    assert_eq!(make("/f/g"), Err(Fault::NotADirectory));
}

#[test]
fn every_operation_asks_for_its_permission() {
    let home = Home::new();
    home.store("/f", b"x").unwrap();
    fs::create_dir(home.path("d")).unwrap();
    let alice = name("alice");
    let without = |path: &str, permission: Permission| {
        let others: Vec<Permission> = Permission::ALL.into_iter().filter(|p| *p != permission).collect();
        only(path, &others)
    };
    let (f, d) = (|p| without("/f", p), |p| without("/d", p));
    let denied = Some(Fault::Denied);
    assert_eq!(home.root.open_read(&f(Permission::Read), &alice, Lookup::Full).err(), denied);
    let to_hash = |allowed: &[Permission]| home.root.open_to_hash(&only("/f", allowed), &alice, Lookup::Full).err();
    assert_eq!(to_hash(&[Permission::List, Permission::Overwrite]), denied);
    assert_eq!((to_hash(&[Permission::Hash]), to_hash(&[Permission::Read])), (None, None));
    assert_eq!(home.root.list(&d(Permission::List), &alice).err(), denied);
    assert_eq!(home.root.remove_file(&f(Permission::Delete), &alice).err(), denied);
    assert_eq!(home.root.remove_directory(&d(Permission::RemoveDirectory)).err(), denied);
    let set = |grant: Grant, time, mode| home.root.set_attributes(&grant, &alice, time, mode).err();
    assert_eq!(set(f(Permission::SetTime), Some(0), None), denied);
    assert_eq!(set(f(Permission::SetMode), None, Some(0o600)), denied);
    assert_eq!(set(f(Permission::SetMode), Some(0), Some(0o600)), denied);
    assert_ne!(home.facts("/f", "alice").unwrap().modified_seconds, 0, "all of it or nothing");
    assert_eq!(home.root.rename(&f(Permission::Rename), &all("/g"), &alice).err(), denied);
    assert_eq!(home.root.rename(&all("/f"), &only("/g", &[Permission::Overwrite]), &alice).err(), denied);
    let make = without("/e", Permission::MakeDirectory);
    assert_eq!(home.root.make_directory(&make, &uploader("alice")).err(), denied);
    assert_eq!(home.names("/", "alice"), ["d", "f"]);
}

#[test]
fn files_and_directories_are_renamed() {
    let home = Home::new();
    let alice = name("alice");
    home.store("/f", b"f").unwrap();
    home.store("/g", b"gg").unwrap();
    for directory in ["d", "d/e", "h"] {
        fs::create_dir(home.path(directory)).unwrap();
    }
    let rename = |from: &str, to: &str| home.root.rename(&all(from), &all(to), &alice);
    let careful = |from: &str, to: &str| home.root.rename(&all(from), &only(to, &[Permission::Create]), &alice);
    assert_eq!(careful("/f", "/g"), Err(Fault::Exists));
    assert_eq!(careful("/f", "/d/f"), Ok(()));
    assert_eq!(home.read("d/f").unwrap(), b"f");
    assert_eq!(rename("/d/f", "/g"), Ok(()));
    assert_eq!(home.read("g").unwrap(), b"f");
    assert_eq!(rename("/g", "/g"), Ok(()));
    assert_eq!(rename("/g", "/d"), Err(Fault::Exists));
    assert_eq!(rename("/d", "/g"), Err(Fault::Exists));
    assert_eq!(rename("/d", "/h"), Err(Fault::Exists), "not even an empty directory is replaced");
    assert_eq!(rename("/d/e", "/d"), Err(Fault::Exists));
    assert_eq!(rename("/d", "/d/e/x"), Err(Fault::IntoItself));
    assert_eq!(rename("/g", "/g/x"), Err(Fault::NotADirectory));
    assert_eq!(rename("/", "/x"), Err(Fault::Denied));
    assert_eq!(rename("/g", "/"), Err(Fault::Exists));
    assert_eq!(rename("/no", "/x"), Err(Fault::NotFound));
    assert_eq!(rename("/g", "/no/x"), Err(Fault::NotFound));
    assert_eq!(rename("/g", "/a\\b"), Err(Fault::NameRefused));
    assert_eq!(rename("/d", "/i"), Ok(()));
    assert_eq!(home.names("/", "alice"), ["g", "h", "i"]);
    fs::hard_link(home.path("g"), home.path("g2")).unwrap();
    assert_eq!(rename("/g", "/g2"), Err(Fault::Exists), "the kernel would do nothing and say yes");
}

#[test]
fn a_name_taken_at_the_last_moment_is_not_replaced() {
    let home = Home::new();
    home.store("/f", b"f").unwrap();
    home.store("/g", b"g").unwrap();
    let renamed = super::super::change::rename_to_free_name(home.root.as_ref(), "f", home.root.as_ref(), "g");
    assert_eq!(renamed, Err(Fault::Exists));
    assert_eq!(home.read("g").unwrap(), b"g");
}

#[test]
fn names_in_use_are_not_renamed_or_removed() {
    let home = Home::new();
    let alice = name("alice");
    fs::create_dir(home.path("d")).unwrap();
    home.store("/d/f", b"old").unwrap();
    let upload = home.begin("/d/f", "bob", UploadMode::Replace).unwrap();
    assert_eq!(home.root.rename(&all("/d/f"), &all("/g"), &alice), Err(Fault::Busy));
    assert_eq!(home.root.rename(&all("/d"), &all("/e"), &alice), Err(Fault::Busy));
    drop(upload);
    assert_eq!(home.root.rename(&all("/d"), &all("/e"), &alice), Ok(()));
}

#[test]
fn interrupted_uploads_follow_their_directory() {
    let home = Home::new();
    let alice = name("alice");
    fs::create_dir(home.path("d")).unwrap();
    home.interrupted("/d/f", "alice", b"half");
    assert_eq!(home.root.rename(&all("/d/f"), &all("/g"), &alice), Err(Fault::NotFound));
    home.root.rename(&all("/d"), &all("/e"), &alice).unwrap();
    assert_eq!(home.facts("/e/f", "alice").unwrap().size, 4);
    assert_eq!(home.facts("/d/f", "alice"), Err(Fault::NotFound));
    let home = home.restarted(SETTINGS);
    assert_eq!(home.facts("/e/f", "alice").unwrap().size, 4);
    home.root.remove_directory(&all("/e")).unwrap();
    assert!(home.staged().is_empty());
}

#[test]
fn renaming_and_interrupted_uploads_of_ones_own() {
    let home = Home::new();
    let alice = name("alice");
    home.store("/f", b"whole").unwrap();
    home.interrupted("/f", "alice", b"ha");
    assert_eq!(home.root.rename(&all("/f"), &all("/g"), &alice), Err(Fault::Busy));
    assert_eq!(home.root.rename(&all("/f"), &all("/g"), &name("bob")), Ok(()));
    let to = only("/f", &[Permission::Create]);
    assert_eq!(home.root.rename(&all("/g"), &to, &alice), Err(Fault::Exists));
    assert_eq!(home.root.rename(&all("/g"), &all("/f"), &alice), Ok(()));
    assert_eq!(home.facts("/f", "alice").unwrap().size, 5);
    assert!(home.staged().is_empty());
}

#[test]
fn a_directory_keeps_its_name_while_other_rules_hold_below_the_old_or_the_new_one() {
    let home = Home::new();
    fs::create_dir(home.path("d")).unwrap();
    home.store("/f", b"x").unwrap();
    let rename = |from, to| home.root.rename(&from, &to, &name("alice"));
    assert_eq!(rename(Grant::for_test_of_itself("/d"), all("/e")), Err(Fault::OtherRules));
    assert_eq!(rename(all("/d"), Grant::for_test_of_itself("/e")), Err(Fault::OtherRules));
    assert_eq!(rename(Grant::for_test_of_itself("/f"), Grant::for_test_of_itself("/g")), Ok(()), "a file may go");
    assert_eq!(rename(all("/d"), all("/e")), Ok(()));
}

#[test]
fn a_directory_is_not_renamed_below_rules_that_ask_something_else_of_files() {
    let home = Home::new();
    fs::create_dir(home.path("d")).unwrap();
    let rename = |from, to| home.root.rename(&from, &to, &name("alice"));
    let (asked, otherwise) =
        (|path| Grant::for_test_asking_below(path, 1), |path| Grant::for_test_asking_below(path, 2));
    assert_eq!(rename(all("/d"), asked("/e")), Err(Fault::OtherRules));
    assert_eq!(rename(otherwise("/d"), asked("/e")), Err(Fault::OtherRules));
    assert_eq!(rename(asked("/d"), asked("/e")), Ok(()));
    assert_eq!(rename(asked("/e"), all("/f")), Ok(()), "nothing is asked there");
}

#[test]
fn a_file_is_not_renamed_to_where_it_is_too_large() {
    let home = Home::new();
    home.store("/f", b"more than ten").unwrap();
    let rename = |from, to| home.root.rename(&from, &to, &name("alice"));
    let (ten, less) = (|path| Grant::for_test_of_files_up_to(path, 10), |path| Grant::for_test_of_files_up_to(path, 5));
    assert_eq!(rename(all("/f"), ten("/in")), Err(Fault::TooLarge(10)));
    assert_eq!(rename(ten("/f"), less("/in")), Err(Fault::TooLarge(5)));
    assert_eq!(rename(ten("/f"), ten("/g")), Ok(()), "it was there before");
    assert_eq!(rename(ten("/g"), all("/h")), Ok(()));
}
