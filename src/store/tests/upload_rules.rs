//! The largest size that rules let a file have.

use super::*;

const TOO_LARGE: Fault = Fault::TooLarge(10);

fn claim(home: &Home, path: &str, mode: UploadMode, announced_bytes: Option<u64>) -> Result<UploadClaim, Fault> {
    let grant = Grant::for_test_of_files_up_to(path, 10);
    home.root.claim_upload(grant, &uploader("alice"), mode, announced_bytes)
}

#[test]
fn an_announced_size_above_the_largest_is_refused_before_anything_is_made() {
    let home = Home::new();
    assert_eq!(claim(&home, "/f", UploadMode::Replace, Some(11)).err(), Some(TOO_LARGE));
    assert!(claim(&home, "/f", UploadMode::Replace, Some(10)).is_ok());
    assert!(home.staged().is_empty());
}

#[test]
fn an_upload_that_grows_beyond_it_leaves_what_was_there() {
    let home = Home::new();
    home.store("/f", b"before").unwrap();
    let mut upload = claim(&home, "/f", UploadMode::Replace, None).unwrap().begin().unwrap();
    upload.write(b"1234567890").unwrap();
    assert_eq!(upload.write(b"1"), Err(TOO_LARGE));
    assert_eq!(upload.give_up(TOO_LARGE), Kept { size: 0 });
    assert_eq!(home.read("f").unwrap(), b"before");
    assert!(home.staged().is_empty());
}

#[test]
fn the_whole_file_counts_where_one_is_continued() {
    let home = Home::new();
    home.store("/f", b"12345678").unwrap();
    let left = |mode| claim(&home, "/f", mode, None).unwrap().size_limit().unwrap().bytes_left;
    assert_eq!((left(UploadMode::Append), left(UploadMode::ResumeAt(5))), (2, 5));
    assert_eq!(left(UploadMode::Replace), 10);
    claim(&home, "/f", UploadMode::Append, None).unwrap().begin().unwrap().finish(b"90").unwrap();
    assert_eq!(claim(&home, "/f", UploadMode::Append, None).err(), Some(TOO_LARGE), "another byte has no place");
}

#[test]
fn a_part_that_can_never_become_whole_is_not_kept() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"12345678");
    let mut upload = claim(&home, "/f", UploadMode::Append, None).unwrap().begin().unwrap();
    assert_eq!(upload.write(b"901"), Err(TOO_LARGE));
    assert_eq!(upload.give_up(TOO_LARGE), Kept { size: 0 });
    assert!(home.staged().is_empty() && home.facts("/f", "alice").is_err());

    home.interrupted("/g", "alice", b"12345678");
    claim(&home, "/g", UploadMode::Append, None).unwrap().discard();
    assert!(home.staged().is_empty() && home.facts("/g", "alice").is_err());
}
