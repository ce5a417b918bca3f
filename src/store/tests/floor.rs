//! What stays free in a file system, on one so small that it matters.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::places::{home_of_this_namespace, run_with_a_mount};
use super::*;

const FLOOR: Floor = Floor { bytes: 16 << 20, inodes: 50 };
const CHUNK: usize = 100_000;
/// A file takes whole pages, and each upload writes one chunk at a time.
const ROUNDING_BYTES: u64 = 2 * 4096;

#[test]
fn uploads_at_once_stay_above_the_floor_together() {
    let home = TempDir::new().unwrap();
    run_with_a_mount("store::tests::floor::on_a_small_disk", home.path(), "", "size=64m,nr_inodes=200");
}

#[test]
#[ignore = "run by the test above, inside a mount namespace"]
fn on_a_small_disk() {
    let directory = home_of_this_namespace();
    let root = Homes::new(StoreSettings { floor: FLOOR, ..SETTINGS }).root(&directory).unwrap();
    let begin = |path: &str, mode| root.claim_upload(all(path), &uploader("alice"), mode, None)?.begin();
    begin("/kept", UploadMode::Replace).unwrap().finish(&vec![7; CHUNK]).unwrap();
    let mut half = begin("/half", UploadMode::Replace).unwrap();
    half.write(&vec![8; CHUNK]).unwrap();
    half.interrupt().unwrap();

    let (over, all_begun) = (AtomicBool::new(false), Barrier::new(8));
    let (least, ends) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut least = u64::MAX;
            loop {
                // The last look comes when all has been written, however busy the machine is.
                let all_written = over.load(Ordering::Acquire);
                least = least.min(root.free().unwrap().1.bytes);
                if all_written {
                    break least;
                }
            }
        });
        let uploads: Vec<_> = (0..8)
            .map(|number| {
                let (begin, all_begun) = (&begin, &all_begun);
                scope.spawn(move || {
                    let (path, mode) = match number {
                        0 => ("/kept".to_owned(), UploadMode::Replace),
                        1 => ("/half".to_owned(), UploadMode::Append),
                        number => (format!("/{number}"), UploadMode::Replace),
                    };
                    let mut upload = begin(&path, mode).unwrap();
                    upload.write(&vec![1; CHUNK]).unwrap();
                    // Nobody finds the disk full already, and each has written something.
                    all_begun.wait();
                    loop {
                        if let Err(fault) = upload.write(&vec![1; CHUNK]) {
                            return (fault, upload);
                        }
                    }
                })
            })
            .collect();
        let ends: Vec<_> = uploads.into_iter().map(|upload| upload.join().unwrap()).collect();
        over.store(true, Ordering::Release);
        (watcher.join().unwrap(), ends)
    });
    assert!(ends.iter().all(|(fault, _)| *fault == Fault::NoSpace));
    assert!(least >= FLOOR.bytes - 8 * ROUNDING_BYTES, "{least} bytes were free");
    assert!(least < FLOOR.bytes + 8 * (CHUNK as u64) + (4 << 20), "and what was there above it was used: {least}");
    for (fault, upload) in ends {
        upload.give_up(fault);
    }
    assert_eq!(fs::read(directory.join("kept")).unwrap(), vec![7; CHUNK], "what was there stays");
    let half = root.facts(&all("/half"), &name("alice"), Lookup::Full).unwrap();
    assert!(half.partial && half.size > CHUNK as u64, "and so does what came of an upload that was resumed");

    let made = (0..200).take_while(|number| {
        let made = root.make_directory(&all(&format!("/d{number}")), &uploader("alice"));
        assert!(made.is_ok() || made == Err(Fault::NoSpace), "{made:?}");
        made.is_ok()
    });
    assert!(made.count() > 100);
    assert_eq!(root.free().unwrap().1.inodes, Some(FLOOR.inodes));
    assert_eq!(begin("/new", UploadMode::Replace).err(), Some(Fault::NoSpace));
    assert_eq!(begin("/half", UploadMode::ResumeAt(1)).unwrap().finish(b"!").unwrap().size, 2, "it has its inode");
}
