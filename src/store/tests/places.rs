//! Uploads into another file system mounted in the home.

use std::process::Command;

use super::*;

/// Names the home for the test that runs inside its own mount namespace.
const HOME_VARIABLE: &str = "STORE_TEST_HOME";

/// Runs the test below where `mnt` in the home is a file system of its own.
#[test]
fn uploads_reach_other_file_systems() {
    let home = TempDir::new().unwrap();
    fs::create_dir_all(home.path().join("d/mnt")).unwrap();
    run_with_a_mount("store::tests::places::inside_a_mount_namespace", home.path(), "d/mnt", "size=64m");
}

/// Runs an ignored test in a mount namespace of its own, with a file system in memory in that
/// directory of the home, which it finds by [`home_of_this_namespace`].
pub(super) fn run_with_a_mount(test: &str, home: &Path, directory: &str, options: &str) {
    let script =
        format!("mount -t tmpfs -o {options} tmpfs \"${HOME_VARIABLE}/{directory}\" || exit 77; exec \"$0\" \"$@\"");
    let run = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .env(HOME_VARIABLE, home)
        .output();
    match run {
        Ok(run) if run.status.success() => {
            let said = String::from_utf8_lossy(&run.stdout);
            assert!(said.contains("1 passed"), "{said}");
        }
        Ok(run) if run.status.code() == Some(101) => panic!("{}", String::from_utf8_lossy(&run.stdout)),
        other => panic!(
            "`unshare --user --mount` and a mount are needed; run this as root or permit user namespaces: {other:?}"
        ),
    }
}

/// The home of the test that runs in a mount namespace.
pub(super) fn home_of_this_namespace() -> PathBuf {
    PathBuf::from(std::env::var_os(HOME_VARIABLE).unwrap())
}

#[test]
#[ignore = "run by the test above, inside a mount namespace"]
fn inside_a_mount_namespace() {
    let path = home_of_this_namespace();
    let open = || Homes::new(SETTINGS).root(&path).unwrap();
    let root = open();
    let begin = |root: &Arc<Root>, path: &str, mode| {
        root.claim_upload(all(path), &uploader("alice"), mode, None).unwrap().begin().unwrap()
    };
    fs::create_dir(path.join("d/mnt/sub")).unwrap();
    begin(&root, "/d/mnt/sub/f", UploadMode::Replace).finish(b"over there").unwrap();
    begin(&root, "/d/mnt/sub/f", UploadMode::Append).finish(b", too").unwrap();
    begin(&root, "/here", UploadMode::Replace).finish(b"here").unwrap();
    assert_eq!(fs::read(path.join("d/mnt/sub/f")).unwrap(), b"over there, too");
    assert!(path.join("d/mnt/.portcullis-staging").is_dir(), "the topmost directory of that file system");
    assert!(!path.join("d/mnt/sub/.portcullis-staging").exists());
    assert_eq!(root.rename(&all("/here"), &all("/d/mnt/here"), &name("alice")), Err(Fault::CrossDevice));

    let mut upload = begin(&root, "/d/mnt/half", UploadMode::Replace);
    upload.write(b"half").unwrap();
    upload.interrupt().unwrap();
    fs::write(path.join("d/mnt/.portcullis-staging/00.up"), "left by a crash").unwrap();
    root.rename(&all("/d"), &all("/e"), &name("alice")).unwrap();
    drop(root);
    let root = open();
    assert_eq!(root.swept(), Swept { kept: 1, abandoned: 1, ..Swept::default() });
    fs::create_dir(path.join("e/mnt/empty")).unwrap();
    assert_eq!(root.remove_directory(&all("/e/mnt")), Err(Fault::Denied), "a mount point stays");
    begin(&root, "/e/mnt/half", UploadMode::Append).finish(b" and half").unwrap();
    assert_eq!(fs::read(path.join("e/mnt/half")).unwrap(), b"half and half");
}
