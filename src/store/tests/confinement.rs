//! Nothing outside the home is reached, and nothing but regular files is opened.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::*;

/// Every operation on a path; true where it did anything.
fn try_everything(home: &Home, path: &str) -> Vec<&'static str> {
    let alice = name("alice");
    let root = &home.root;
    let upload = |mode| root.claim_upload(all(path), &uploader("alice"), mode, None).is_ok();
    let tried = [
        ("facts", root.facts(&all(path), &alice, Lookup::Full).is_ok()),
        ("cached facts", root.facts(&all(path), &alice, Lookup::Cached).is_ok()),
        ("open", root.open_read(&all(path), &alice, Lookup::Full).is_ok()),
        ("cached open", root.open_read(&all(path), &alice, Lookup::Cached).is_ok()),
        ("list", root.list(&all(path), &alice).is_ok()),
        ("store", upload(UploadMode::Replace)),
        ("append", upload(UploadMode::Append)),
        ("resume", upload(UploadMode::ResumeAt(1))),
        ("make directory", root.make_directory(&all(path), &uploader("alice")).is_ok()),
        ("set time", root.set_attributes(&all(path), &alice, Some(0), None).is_ok()),
        ("set mode", root.set_attributes(&all(path), &alice, None, Some(0o600)).is_ok()),
        ("rename from", root.rename(&all(path), &all("/moved"), &alice).is_ok()),
        ("rename to", root.rename(&all("/plain"), &all(path), &alice).is_ok()),
        ("remove", root.remove_file(&all(path), &alice).is_ok()),
        ("remove directory", root.remove_directory(&all(path)).is_ok()),
    ];
    tried.into_iter().filter(|(_, done)| *done).map(|(what, _)| what).collect()
}

#[test]
fn symbolic_links_lead_nowhere_and_are_not_shown() {
    let home = Home::new();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    home.store("/plain", b"plain").unwrap();
    symlink("/etc", home.path("etc")).unwrap();
    symlink(outside.path(), home.path("out")).unwrap();
    symlink("plain", home.path("inner")).unwrap();
    symlink("../..", home.path("up")).unwrap();
    symlink("/proc/self/root", home.path("magic")).unwrap();
    symlink("/nowhere", home.path("dangling")).unwrap();
    for path in ["/etc", "/etc/passwd", "/out", "/out/secret", "/out/new", "/inner", "/up", "/up/etc/passwd"]
        .into_iter()
        .chain(["/magic", "/magic/etc/passwd", "/dangling"])
    {
        assert_eq!(try_everything(&home, path), Vec::<&str>::new(), "{path}");
    }
    assert_eq!(home.names("/", "alice"), ["plain"]);
    assert_eq!(contents(outside.path()), 1);
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn a_home_over_proc_opens_no_magic_link() {
    let root = Homes::new(SETTINGS).root(Path::new("/proc/self")).unwrap();
    for path in ["/fd/0", "/exe", "/root/etc/passwd", "/cwd"] {
        assert!(root.facts(&all(path), &name("alice"), Lookup::Full).is_err(), "{path}");
        assert!(root.open_read(&all(path), &name("alice"), Lookup::Full).is_err(), "{path}");
    }
}

#[test]
fn fifos_sockets_and_devices_hang_nobody() {
    let home = Home::new();
    home.store("/plain", b"plain").unwrap();
    mkfifoat(CWD, home.path("fifo"), Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(home.path("socket")).unwrap();
    let begun = Instant::now();
    for path in ["/fifo", "/socket"] {
        assert_eq!(try_everything(&home, path), Vec::<&str>::new(), "{path}");
        assert_eq!(
            home.root.open_read(&all(path), &name("alice"), Lookup::Full).err(),
            Some(Fault::NotAFile),
            "{path}"
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(home.names("/", "alice"), ["plain"]);
    let devices = Homes::new(SETTINGS).root(Path::new("/dev")).unwrap();
    assert_eq!(devices.open_read(&all("/null"), &name("alice"), Lookup::Full).err(), Some(Fault::NotAFile));
}

#[test]
fn dots_and_the_servers_own_names_cannot_even_be_said() {
    let home = Home::new();
    home.interrupted("/f", "alice", b"half");
    let staged = home.staged().into_iter().next().unwrap();
    let root = crate::proto::path::VirtualPath::root();
    assert_eq!(root.join(b"../../etc/passwd").unwrap().as_str(), "/etc/passwd");
    assert!(home.facts("/../../etc/passwd", "alice").is_err());
    assert!(root.join(format!("/.portcullis-staging/{staged}").as_bytes()).is_err());
    assert_eq!(home.names("/", "alice"), ["f"]);
    assert!(home.names("/", "bob").is_empty());
}

#[test]
fn a_name_with_a_backslash_is_read_but_not_made() {
    let home = Home::new();
    fs::write(home.path("a\\b"), "there").unwrap();
    assert_eq!(home.facts("/a\\b", "alice").unwrap().size, 5);
    assert_eq!(home.names("/", "alice"), ["a\\b"]);
    assert_eq!(home.store("/a\\c", b""), Err(Fault::NameRefused));
}

#[test]
fn swapping_a_directory_for_a_link_never_leads_outside() {
    let home = Home::new();
    let outside = TempDir::new().unwrap();
    fs::create_dir(home.path("real")).unwrap();
    fs::write(home.path("real/f"), "inside").unwrap();
    fs::write(outside.path().join("f"), "outside").unwrap();
    symlink(outside.path(), home.path("link")).unwrap();
    let stop = AtomicBool::new(false);
    let mut opened = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            let (real, link) = (home.path("real"), home.path("link"));
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &real, CWD, &link, exchange).unwrap();
            }
        });
        let until = Instant::now() + Duration::from_millis(800);
        let alice = name("alice");
        while Instant::now() < until {
            if let Ok(file) = home.root.open_read(&all("/real/f"), &alice, Lookup::Full) {
                let mut buffer = [0; 16];
                let count = file.read(&mut buffer, 0).unwrap();
                assert_ne!(&buffer[..count], b"outside");
                opened += 1;
            }
            let _ = home.store("/real/new", b"mine");
            let _ = home.root.make_directory(&all("/real/d"), &uploader("alice"));
            let _ = home.root.remove_directory(&all("/real/d"));
            let _ = home.root.remove_file(&all("/real/f2"), &alice);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(opened > 0, "the test saw the directory now and then");
    assert_eq!(contents(outside.path()), 1, "nothing was written outside");
    assert_eq!(fs::read(outside.path().join("f")).unwrap(), b"outside");
}

#[test]
fn a_cached_look_up_finds_what_a_full_one_found() {
    let home = Home::new();
    home.store("/f", b"content").unwrap();
    let full = home.facts("/f", "alice").unwrap();
    assert_eq!(home.root.facts(&all("/f"), &name("alice"), Lookup::Cached), Ok(full));
    let missing = home.root.facts(&all("/never-looked-up"), &name("alice"), Lookup::Cached);
    assert!(matches!(missing, Err(Fault::WouldBlock | Fault::NotFound)), "{missing:?}");
    let file = home.root.open_read(&all("/f"), &name("alice"), Lookup::Cached).unwrap();
    let mut buffer = [0; 64];
    match file.read_cached(&mut buffer, 3).unwrap() {
        Some(count) => assert_eq!(&buffer[..count], b"tent"),
        None => assert_eq!(file.read(&mut buffer, 3), Ok(4)),
    }
    assert_eq!(file.read(&mut buffer, 7), Ok(0));
    assert_eq!(file.read(&mut buffer, u64::MAX), Ok(0));
}

#[test]
fn a_growing_file_ends_where_it_ended_when_opened() {
    let home = Home::new();
    home.store("/f", b"12345").unwrap();
    let file = home.root.open_read(&all("/f"), &name("alice"), Lookup::Full).unwrap();
    fs::write(home.path("f"), "1234567890").unwrap();
    let mut buffer = [0; 64];
    assert_eq!(file.read(&mut buffer, 0), Ok(5));
    assert_eq!(file.size(), 5);
}
