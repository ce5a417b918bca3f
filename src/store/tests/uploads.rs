//! Uploads: atomic, exclusive, resumable by their uploader alone.

use std::os::unix::fs::PermissionsExt;

use Permission::{Append, Create, Overwrite, Read};
use UploadMode::{Append as AtEnd, Replace, ResumeAt, ResumeInText, Unique};

use super::*;

#[test]
fn the_old_content_stands_until_commit() {
    let home = Home::new();
    assert_eq!(home.store("/f", b"old"), Ok(Stored { size: 3, replaced: false }));
    let mut upload = home.begin("/f", "alice", UploadMode::Replace).unwrap();
    upload.write(b"new ").unwrap();
    upload.write(b"content").unwrap();
    assert_eq!(home.read("f").unwrap(), b"old");
    assert_eq!(upload.bytes(), 11);
    assert_eq!(home.names("/", "bob"), ["f"]);
    assert_eq!(upload.commit(), Ok(Stored { size: 11, replaced: true }));
    assert_eq!(home.read("f").unwrap(), b"new content");
    assert!(home.staged().is_empty());
}

#[test]
fn a_dropped_upload_leaves_nothing() {
    let home = Home::new();
    home.store("/f", b"old").unwrap();
    let mut upload = home.begin("/f", "alice", UploadMode::Replace).unwrap();
    upload.write(b"new").unwrap();
    assert_eq!(home.staged().len(), 1);
    drop(upload);
    assert!(home.staged().is_empty());
    assert_eq!(home.read("f").unwrap(), b"old");
    assert_eq!(home.store("/f", b""), Ok(Stored { size: 0, replaced: true }));
}

#[test]
fn a_claim_creates_nothing_and_a_second_upload_waits() {
    let home = Home::new();
    let claim = home.root.claim_upload(all("/f"), &uploader("alice"), UploadMode::Replace, None).unwrap();
    assert_eq!(claim.path().as_str(), "/f");
    assert_eq!(contents(home.directory.path()), 0);
    for user in ["alice", "bob"] {
        assert_eq!(home.begin("/f", user, UploadMode::Replace).err(), Some(Fault::Busy));
    }
    assert!(home.begin("/g", "bob", UploadMode::Replace).is_ok());
    drop(claim);
    let upload = home.begin("/f", "bob", UploadMode::Replace).unwrap();
    assert_eq!(home.root.remove_file(&all("/f"), &name("alice")), Err(Fault::Busy));
    assert_eq!(home.root.make_directory(&all("/f"), &uploader("alice")), Err(Fault::Busy));
    upload.finish(b"bob's").unwrap();
    assert!(home.begin("/f", "alice", UploadMode::Append).is_ok());
}

#[test]
fn modes_are_those_of_the_files_replaced() {
    let home = Home::new();
    home.store("/f", b"x").unwrap();
    let mode = |name: &str| fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("f") & !0o640, 0, "{:o}", mode("f"));
    fs::set_permissions(home.path("f"), fs::Permissions::from_mode(0o4604)).unwrap();
    home.store("/f", b"y").unwrap();
    assert_eq!(mode("f"), 0o604);
    assert_eq!(mode(".portcullis-staging"), 0o700);
}

#[test]
fn what_can_be_refused_is_refused_before_the_first_byte() {
    let home = Home::new();
    home.store("/f", b"12345").unwrap();
    fs::create_dir(home.path("d")).unwrap();
    let claim = |grant: Grant, mode| home.root.claim_upload(grant, &uploader("alice"), mode, None).err();
    assert_eq!(claim(all("/"), Replace), Some(Fault::IsADirectory));
    assert_eq!(claim(all("/d"), Replace), Some(Fault::IsADirectory));
    assert_eq!(claim(all("/f/x"), Replace), Some(Fault::NotADirectory));
    assert_eq!(claim(all("/no/x"), Replace), Some(Fault::NotFound));
    assert_eq!(claim(all("/a\\b"), Replace), Some(Fault::NameRefused));
    assert_eq!(claim(all("/f"), ResumeAt(6)), Some(Fault::OffsetBeyondEnd));
    assert_eq!(claim(all("/new"), ResumeAt(1)), Some(Fault::OffsetBeyondEnd));
    assert_eq!(claim(all("/f"), ResumeInText(6)), Some(Fault::OffsetBeyondEnd));
    assert_eq!(claim(all("/new"), ResumeInText(1)), Some(Fault::OffsetBeyondEnd));
    for mode in [Replace, ResumeAt(2), ResumeInText(2), ResumeInText(6), AtEnd, Unique] {
        assert_eq!(claim(only("/f", &[Read]), mode), Some(Fault::Denied));
    }
    assert_eq!(claim(only("/new", &[Overwrite, Append]), Replace), Some(Fault::Denied));
    assert_eq!(claim(only("/f", &[Create]), Replace), Some(Fault::Exists));
    assert_eq!(claim(only("/f", &[Create]), AtEnd), Some(Fault::Exists));
    assert_eq!(claim(only("/f", &[Create, Append]), Replace), Some(Fault::Exists));
    assert_eq!(claim(only("/f", &[Create, Append]), ResumeAt(4)), Some(Fault::Exists), "byte 5 would be replaced");
    assert_eq!(claim(only("/f", &[Create]), ResumeInText(6)), Some(Fault::Exists), "its size is nobody's affair");
    assert_eq!(claim(only("/f", &[Append]), ResumeAt(5)), None);
    assert_eq!(claim(only("/f", &[Append]), ResumeInText(5)), None);
    assert_eq!(claim(only("/f", &[Append]), AtEnd), None);
    assert_eq!(claim(only("/f", &[Overwrite]), ResumeAt(4)), None);
    assert_eq!(claim(only("/d/u", &[Append]), Unique), Some(Fault::Denied));
    assert_eq!(claim(only("/d/u", &[Create]), Unique), None);
    assert_eq!(claim(all("/f"), Unique), Some(Fault::Busy));
    assert!(home.staged().is_empty());
}

#[test]
fn a_file_that_appears_meanwhile_is_not_replaced_without_leave() {
    let home = Home::new();
    let grant = only("/f", &[Permission::Create]);
    let mut upload =
        home.root.claim_upload(grant, &uploader("alice"), UploadMode::Replace, None).unwrap().begin().unwrap();
    upload.write(b"mine").unwrap();
    fs::write(home.path("f"), "theirs").unwrap();
    assert_eq!(upload.commit(), Err(Unstored { fault: Fault::Exists, kept: Kept { size: 0 } }));
    assert_eq!(home.read("f").unwrap(), b"theirs");
    assert!(home.staged().is_empty());
}

#[test]
fn appending_keeps_the_old_content_until_commit_and_notices_changes() {
    let home = Home::new();
    home.store("/log", b"one").unwrap();
    let append = || {
        let grant = only("/log", &[Permission::Append]);
        home.root.claim_upload(grant, &uploader("alice"), UploadMode::Append, None).unwrap().begin().unwrap()
    };
    let mut upload = append();
    assert_eq!((upload.offset(), upload.bytes()), (3, 3));
    upload.write(b",two").unwrap();
    assert_eq!(home.read("log").unwrap(), b"one");
    assert_eq!(upload.commit(), Ok(Stored { size: 7, replaced: true }));
    assert_eq!(home.read("log").unwrap(), b"one,two");

    let mut upload = append();
    upload.write(b",three").unwrap();
    fs::write(home.path("log"), "changed").unwrap();
    assert_eq!(upload.commit(), Err(Unstored { fault: Fault::Busy, kept: Kept { size: 0 } }));
    assert_eq!(home.read("log").unwrap(), b"changed");

    let upload = home.begin("/log", "alice", UploadMode::ResumeAt(3)).unwrap();
    assert_eq!(upload.finish(b"!"), Ok(Stored { size: 4, replaced: true }));
    assert_eq!(home.read("log").unwrap(), b"cha!");
    assert_eq!(home.begin("/new", "alice", UploadMode::Append).unwrap().finish(b"x").unwrap().size, 1);
}

#[test]
fn a_large_file_is_continued_whole() {
    let home = Home::new();
    let content: Vec<u8> = (0..20_000_000_u32).map(|i| (i % 251) as u8).collect();
    home.store("/big", &content).unwrap();
    home.begin("/big", "alice", UploadMode::Append).unwrap().finish(b"end").unwrap();
    let stored = home.read("big").unwrap();
    assert_eq!(stored.len(), content.len() + 3);
    assert!(stored.starts_with(&content) && stored.ends_with(b"end"));
}

#[test]
fn an_interrupted_upload_shows_to_its_uploader_alone() {
    let home = Home::new();
    home.store("/f", b"the old one").unwrap();
    assert_eq!(home.interrupted("/f", "alice", b"half"), Kept { size: 4 });
    assert_eq!(home.interrupted("/new", "alice", b"other half"), Kept { size: 10 });

    let seen = home.facts("/f", "alice").unwrap();
    assert_eq!((seen.size, seen.partial, seen.kind), (4, true, EntryKind::File));
    assert_eq!(home.facts("/f", "bob").unwrap().size, 11);
    assert_eq!(home.facts("/new", "alice").unwrap().size, 10);
    assert_eq!(home.facts("/new", "bob"), Err(Fault::NotFound));
    assert_eq!(home.names("/", "alice"), ["f", "new"]);
    assert_eq!(home.names("/", "bob"), ["f"]);
    let listed = home.entries("/", "alice").into_iter().map(|e| (e.size, e.partial)).collect::<Vec<_>>();
    assert!(listed.contains(&(4, true)) && listed.contains(&(10, true)), "{listed:?}");

    let open = |user: &str| home.root.open_read(&all("/f"), &name(user), Lookup::Full);
    assert_eq!(open("alice").err(), Some(Fault::Busy));
    assert_eq!(open("bob").unwrap().size(), 11);
    assert_eq!(home.root.set_attributes(&all("/f"), &name("alice"), Some(0), Some(0o600)), Err(Fault::Busy));
}

#[test]
fn an_interrupted_upload_is_resumed_cut_or_continued() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"abcdef");
    assert_eq!(home.begin("/f", "alice", UploadMode::ResumeAt(7)).err(), Some(Fault::OffsetBeyondEnd));
    let mut upload = home.begin("/f", "alice", UploadMode::ResumeAt(3)).unwrap();
    upload.write(b"X").unwrap();
    assert_eq!(upload.interrupt(), Ok(Kept { size: 4 }));
    assert_eq!(home.staged().len(), 2, "one part and its record");
    let upload = home.begin("/f", "alice", UploadMode::Append).unwrap();
    assert_eq!(upload.offset(), 4);
    assert_eq!(upload.finish(b"YZ"), Ok(Stored { size: 6, replaced: false }));
    assert_eq!(home.read("f").unwrap(), b"abcXYZ");
    assert!(home.staged().is_empty());
    assert!(!home.facts("/f", "alice").unwrap().partial);
}

#[test]
fn interrupted_uploads_of_two_users_never_mix() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"alice");
    home.interrupted("/f", "bob", b"bob");
    assert_eq!(home.facts("/f", "alice").unwrap().size, 5);
    assert_eq!(home.facts("/f", "bob").unwrap().size, 3);
    assert_eq!(home.begin("/f", "carol", UploadMode::ResumeAt(1)).err(), Some(Fault::OffsetBeyondEnd));
    home.begin("/f", "bob", UploadMode::Append).unwrap().finish(b"!").unwrap();
    assert_eq!(home.read("f").unwrap(), b"bob!");
    assert_eq!(home.facts("/f", "alice").unwrap().size, 5);
    home.begin("/f", "alice", UploadMode::Append).unwrap().finish(b"?").unwrap();
    assert_eq!(home.read("f").unwrap(), b"alice?");
}

#[test]
fn continuing_needs_what_the_final_name_needs() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"half");
    let claim = |permissions: &[Permission]| {
        home.root.claim_upload(only("/f", permissions), &uploader("alice"), UploadMode::Append, None).err()
    };
    assert_eq!(claim(&[Permission::Append]), Some(Fault::Denied));
    assert_eq!(claim(&[Permission::Create]), None);
    fs::write(home.path("f"), "there now").unwrap();
    assert_eq!(claim(&[Permission::Create, Permission::Append]), Some(Fault::Exists));
    assert_eq!(claim(&[Permission::Overwrite]), None);
}

#[test]
fn an_interrupted_append_is_continued_with_leave_to_append() {
    let home = Home::new();
    home.store("/log", b"one").unwrap();
    let append = || {
        let grant = only("/log", &[Permission::Append]);
        home.root.claim_upload(grant, &uploader("alice"), UploadMode::Append, None)
    };
    assert_eq!(append().unwrap().begin().unwrap().interrupt(), Ok(Kept { size: 0 }), "nothing new came");
    let mut upload = append().unwrap().begin().unwrap();
    upload.write(b",tw").unwrap();
    assert_eq!(upload.interrupt(), Ok(Kept { size: 6 }));
    append().unwrap().begin().unwrap().finish(b"o").unwrap();
    assert_eq!(home.read("log").unwrap(), b"one,two");

    let mut upload = append().unwrap().begin().unwrap();
    upload.write(b",thr").unwrap();
    upload.interrupt().unwrap();
    fs::write(home.path("log"), "changed since").unwrap();
    assert_eq!(append().err(), Some(Fault::Exists), "what was appended to is no longer there");
}

#[test]
fn a_new_upload_replaces_the_interrupted_one_when_it_has_something() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"first");
    assert_eq!(home.interrupted("/f", "alice", b""), Kept { size: 0 });
    assert_eq!(home.facts("/f", "alice").unwrap().size, 5);
    home.interrupted("/f", "alice", b"second try");
    assert_eq!(home.facts("/f", "alice").unwrap().size, 10);
    assert_eq!(home.staged().len(), 2);
    home.store("/f", b"done").unwrap();
    assert_eq!(home.facts("/f", "alice").unwrap().size, 4);
    assert!(home.staged().is_empty());
}

#[test]
fn deleting_removes_the_interrupted_upload_and_the_file() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"half");
    assert_eq!(home.root.remove_file(&all("/f"), &name("bob")), Err(Fault::NotFound));
    assert_eq!(home.root.remove_file(&all("/f"), &name("alice")), Ok(()));
    assert_eq!(home.facts("/f", "alice"), Err(Fault::NotFound));
    assert!(home.staged().is_empty());
    home.store("/g", b"whole").unwrap();
    home.interrupted("/g", "alice", b"half");
    home.root.remove_file(&all("/g"), &name("alice")).unwrap();
    assert!(home.staged().is_empty() && home.read("g").is_none());
}

#[test]
fn an_upload_to_a_unique_name_never_replaces() {
    let home = Home::new();
    fs::create_dir(home.path("d")).unwrap();
    let upload = home.begin("/d/u", "alice", Unique).unwrap();
    fs::write(home.path("d/u"), "taken").unwrap();
    assert_eq!(upload.finish(b"x"), Err(Fault::Exists));
    home.begin("/d/v", "alice", Unique).unwrap().finish(b"unique").unwrap();
    assert_eq!(home.read("d/v").unwrap(), b"unique");
}

#[test]
fn a_hard_link_outside_keeps_its_content() {
    let home = Home::new();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    fs::hard_link(outside.path().join("secret"), home.path("link")).unwrap();
    home.store("/link", b"overwritten").unwrap();
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
    assert_eq!(home.read("link").unwrap(), b"overwritten");
}
