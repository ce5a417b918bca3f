//! What others do to the log while the server runs.

use std::fs;

use super::*;
use crate::audit::file::FILE_NAME;
use crate::audit::trial::{records, sequence, start, upload};

#[test]
fn a_log_renamed_or_removed_meanwhile_is_followed_by_a_new_one_that_says_so() {
    for sync in [AuditSync::Each, AuditSync::Group] {
        for renamed in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let (path, old) = (directory.path().join(FILE_NAME), directory.path().join("old"));
            let (log, writer) = start(directory.path(), sync);
            log.record_blocking(upload()).unwrap();
            log.record_blocking(upload()).unwrap();
            if renamed {
                fs::rename(&path, &old).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
            log.record_blocking(upload()).unwrap();
            let found = records(&path);
            assert_eq!(sequence(&found), [5, 6]);
            assert_eq!(found[0]["metadata"]["event_code"], "audit.gap");
            assert_eq!(found[0]["status_detail"], "log_replaced");
            assert_eq!(found[0]["unmapped"]["last_seq"], 4);
            assert!(!renamed || sequence(&records(&old)) == [1, 2, 3, 4]);
            assert!(log.is_healthy());
            writer.finish().unwrap();
        }
    }
}

#[test]
fn a_log_that_is_put_in_place_by_others_is_continued_behind_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let (log, writer) = start(directory.path(), AuditSync::Each);
    log.record_blocking(upload()).unwrap();
    fs::write(directory.path().join("other"), "half a line").unwrap();
    fs::rename(directory.path().join("other"), &path).unwrap();
    log.record_blocking(upload()).unwrap();
    writer.finish().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0], "half a line");
    assert!(lines[1].starts_with("{\"seq\":4,") && lines[2].starts_with("{\"seq\":5,"), "{text}");
}

#[test]
fn a_log_that_was_cut_says_so_and_gets_no_hole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let (log, writer) = start(directory.path(), AuditSync::Each);
    for _ in 0..3 {
        log.record_blocking(upload()).unwrap();
    }
    let before = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    log.record_blocking(upload()).unwrap();
    let found = records(&path);
    assert_eq!(sequence(&found), [6, 7]);
    assert_eq!(found[0]["status_detail"], "log_truncated");
    assert_eq!(found[0]["unmapped"]["bytes_before"], before);
    assert_eq!(found[0]["unmapped"]["bytes_found"], 0);
    writer.finish().unwrap();
}

#[test]
fn a_log_that_cannot_be_begun_anew_is_an_outage() {
    let base = tempfile::tempdir().unwrap();
    let (directory, away) = (base.path().join("audit"), base.path().join("away"));
    let (log, writer) = start(&directory, AuditSync::Each);
    log.record_blocking(upload()).unwrap();
    fs::rename(&directory, &away).unwrap();
    assert!(matches!(log.record_blocking(upload()), Err(AuditFault::Unwritable(_))));
    assert!(!log.is_healthy());
    fs::create_dir(&directory).unwrap();
    log.record_blocking(upload()).unwrap();
    assert!(log.is_healthy());
    writer.finish().unwrap();
    let found = records(&directory.join(FILE_NAME));
    assert_eq!(sequence(&found), [4, 5, 6, 7, 8]);
    assert_eq!(found[0]["status_detail"], "log_replaced");
    assert_eq!(found[1]["metadata"]["event_code"], "audit.degraded");
}
