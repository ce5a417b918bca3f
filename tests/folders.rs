//! Folders: directories that are mounted into the trees of several users.

use std::fs;
use std::path::PathBuf;

use crate::clients::{curl, lftp, python, run, run_with, url};
use crate::support::{PATIENCE, Server, Wire};

/// Alice has everything in the folder at `/shared`, bob may read it at `/in/out`. In the folder is
/// `f` of seven bytes.
fn with_folder(more: &str) -> Server {
    let mut server = prepared(more);
    server.start();
    server
}

fn prepared(more: &str) -> Server {
    let server = Server::builder().user("bob", &[]).prepare();
    let folder = folder(&server);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("f"), "content").unwrap();
    fs::create_dir(server.home("bob").join("in")).unwrap();
    server.add_to_users(&format!(
        "[folder.shared]\ndirectory = \"{}\"\n{more}\n\
         [[user.alice.mount]]\npath = \"/shared\"\nfolder = \"shared\"\npermissions = \"full\"\n\
         [[user.bob.mount]]\npath = \"/in/out\"\nfolder = \"shared\"\npermissions = \"read-only\"\n",
        folder.display()
    ));
    server
}

fn folder(server: &Server) -> PathBuf {
    server.home("the-folder")
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_folder_is_a_directory_in_every_kind_of_listing_and_hides_what_the_home_has_there() {
    let server = with_folder("");
    server.put("shared/of the home", b"");
    server.put("other", b"");
    let mut wire = Wire::login(&server, "alice");
    let long = wire.list("LIST");
    assert_eq!(long.lines().filter(|line| line.ends_with(" shared")).count(), 1, "{long}");
    assert!(long.lines().any(|line| line.starts_with('d') && line.ends_with(" shared")), "{long}");
    assert_eq!(lines(&wire.list("NLST")), ["other", "shared"]);
    assert_eq!(lines(&wire.list("NLST sh*")), ["shared"]);
    let facts = wire.list("MLSD");
    let shared: Vec<&str> = facts.lines().filter(|line| line.ends_with("; shared")).collect();
    assert!(matches!(shared[..], [line] if line.starts_with("type=dir;") && line.contains("perm=ecl")), "{facts}");
    let status = wire.ask("STAT /", 213);
    assert_eq!(status.lines.iter().filter(|line| line.ends_with(" shared")).count(), 1, "{status:?}");
    assert_eq!(lines(&wire.list("NLST shared")), ["shared/f"]);

    let mut bob = Wire::login(&server, "bob");
    assert_eq!(lines(&bob.list("NLST")), ["in"]);
    assert_eq!(lines(&bob.list("NLST in")), ["in/out"]);
    assert_eq!(lines(&bob.list("NLST in/out")), ["in/out/f"]);
}

#[test]
fn a_folder_is_entered_looked_at_and_left_like_a_directory() {
    let server = with_folder("");
    let mut bob = Wire::login(&server, "bob");
    bob.ask("CWD in/out", 250);
    assert!(bob.ask("PWD", 257).text().starts_with("\"/in/out\""));
    assert_eq!(bob.ask("SIZE f", 213).text(), "7");
    bob.ask("MDTM /in/out/f", 213);
    let facts = bob.ask("MLST", 250);
    assert!(facts.lines[1].contains("type=dir;") && facts.lines[1].ends_with("; /in/out"), "{facts:?}");
    assert!(bob.ask("HASH f", 213).text().ends_with(" f"));
    bob.ask("CDUP", 250);
    assert!(bob.ask("PWD", 257).text().starts_with("\"/in\""));
    assert_eq!(bob.fetch("RETR out/../out/./f"), b"content");
}

#[test]
fn a_folder_and_what_leads_to_it_stay_where_they_are() {
    let server = with_folder("");
    let mut bob = Wire::login(&server, "bob");
    for refused in ["RMD /in/out", "RMD /in", "RNFR /in/out", "RNFR /in", "DELE /in/out", "MKD /in/out"] {
        bob.ask(refused, 550);
    }
    bob.refuse("STOR /in/out", 550);
    assert_eq!(server.wait_for_failure("authz.denied", "mount_point").path(), "/in");
    let mut alice = Wire::login(&server, "alice");
    for refused in ["RMD /shared", "RNFR /shared", "DELE /shared", "MKD /shared", "SITE CHMOD 700 /shared"] {
        alice.ask(refused, 550);
    }
    alice.ask("RNFR /shared/f", 350);
    alice.ask("RNTO /shared", 550);
    assert!(folder(&server).join("f").is_file());
}

#[test]
fn each_user_has_the_rights_of_the_own_mount() {
    let server = with_folder("");
    let mut alice = Wire::login(&server, "alice");
    alice.store("STOR /shared/new", b"by alice");
    alice.ask("MKD /shared/d", 257);
    assert_eq!(fs::read(folder(&server).join("new")).unwrap(), b"by alice");
    assert!(!server.home("alice").join("shared").exists());
    let mut bob = Wire::login(&server, "bob");
    assert_eq!(bob.fetch("RETR /in/out/new"), b"by alice");
    bob.refuse("STOR /in/out/new", 550);
    for refused in ["DELE /in/out/new", "RMD /in/out/d", "RNFR /in/out/new", "MFMT 20200101000000 /in/out/new"] {
        bob.ask(refused, 550);
    }
    let stored = server.wait_for_record("file.upload", |_| true);
    assert_eq!(stored.path(), "/shared/new", "as the user sees it");
    let read = server.wait_for_record("file.download", |_| true);
    assert_eq!((read.user(), read.path()), ("bob", "/in/out/new"));
}

#[test]
fn nothing_is_renamed_from_a_home_to_a_folder() {
    let server = with_folder("");
    server.put("mine", b"mine");
    let mut wire = Wire::login(&server, "alice");
    for (from, to) in [("/mine", "/shared/mine"), ("/shared/f", "/f")] {
        wire.ask(&format!("RNFR {from}"), 350);
        wire.ask(&format!("RNTO {to}"), 550);
    }
    assert_eq!(server.content("mine").as_deref(), Some(&b"mine"[..]));
    assert_eq!(server.wait_for_failure("file.change_failed", "cross_device").path(), "/mine");
    wire.ask("RNFR /shared/f", 350);
    wire.ask("RNTO /shared/g", 250);
    assert!(folder(&server).join("g").is_file());
}

#[test]
fn a_folders_quota_counts_whoever_uploads_and_the_users_own_does_not() {
    let server = with_folder("quota-bytes = 20\nquota-files = 3");
    server.change_user("user.alice.quota-bytes", "5");
    let mut server = server;
    server.stop();
    server.start();
    let mut wire = Wire::login(&server, "alice");
    wire.refuse("AVBL /shared/missing", 550);
    assert_eq!(wire.ask("AVBL /shared", 213).text(), "13");
    assert_eq!(wire.ask("AVBL /", 213).text(), "5");
    wire.store("STOR /shared/ten", b"0123456789");
    assert!(wire.ask("SITE QUOTA", 200).lines[1].contains("0 of 5"));
    wire.ask("CWD /shared", 250);
    let quota = wire.ask("SITE QUOTA", 200);
    assert!(quota.lines[0].contains("folder") && quota.lines[1].contains("17 of 20"), "{quota:?}");
    wire.ask("ALLO 4", 200);
    wire.refuse("STOR more", 552);
    wire.ask("CWD /", 250);
    wire.ask("ALLO 6", 200);
    wire.refuse("STOR mine", 552);
}

#[test]
fn a_folder_that_is_not_there_concerns_the_paths_in_it_alone() {
    let mut server = prepared("");
    fs::remove_dir_all(folder(&server)).unwrap();
    server.start();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR mine", b"mine");
    assert_eq!(lines(&wire.list("NLST")), ["mine"]);
    wire.ask("CWD /shared", 451);
    wire.refuse("RETR /shared/f", 451);
    wire.refuse("STOR /shared/new", 451);
    wire.refuse("MLSD /shared", 451);
    wire.ask("HASH /shared/f", 451);
    assert_eq!(wire.fetch("RETR mine"), b"mine");
    assert!(server.log_text().contains("a folder cannot be opened"));
}

#[test]
fn an_upload_into_a_folder_that_broke_off_goes_on() {
    let server = with_folder("");
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR /shared/long");
    data.send(b"first ");
    data.cut();
    wire.expect(426);
    assert_eq!(wire.ask("SIZE /shared/long", 213).text(), "6");
    assert!(wire.list("NLST shared").contains("shared/long"));
    wire.ask("REST 6", 350);
    wire.store("STOR /shared/long", b"second");
    assert_eq!(fs::read(folder(&server).join("long")).unwrap(), b"first second");
    let unique = wire.store("STOU", b"elsewhere");
    wire.ask("CWD /shared", 250);
    let reply = wire.store("STOU", b"unique");
    let name = reply.text().split("FILE: ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert_ne!(unique.text(), reply.text());
    assert_eq!(fs::read(folder(&server).join(&name)).unwrap(), b"unique");
    server.wait_for_record("file.upload", |record| record.path() == format!("/shared/{name}"));
}

#[test]
fn folders_are_judged_with_the_homes() {
    let server = prepared("");
    let check = || {
        let checked = run(server.command().args(["policy", "check"]));
        checked.text() + &checked.err
    };
    assert!(!check().contains("the folder"), "{}", check());
    fs::remove_dir_all(folder(&server)).unwrap();
    let said = check();
    assert!(
        said.contains("the folder") && said.contains("does not exist") && said.contains("make it: install"),
        "{said}"
    );
    for (wrong, words) in [
        ("/etc", "is the system's"),
        (server.policy().to_str().unwrap(), "reaches the policy files"),
        (server.home("alice").to_str().unwrap(), ""),
        (server.home("alice").join("below").to_str().unwrap(), "lies in the home of alice"),
    ] {
        server.change_user("folder.shared.directory", wrong);
        let said = check();
        assert!(said.contains(&format!("the folder shared {words}")) || words.is_empty(), "{wrong}: {said}");
    }
}

#[test]
fn clients_work_through_a_mount() {
    let server = with_folder("");
    let (tree, back) = (server.scratch().join("tree"), server.scratch().join("back"));
    fs::create_dir_all(tree.join("a/b")).unwrap();
    for name in ["one", "a/two", "a/b/three"] {
        fs::write(tree.join(name), name).unwrap();
    }
    let commands = format!("mirror -R {} /shared/tree; mirror /shared/tree {}", tree.display(), back.display());
    run(&mut lftp(&server, "alice", &commands)).done();
    for name in ["one", "a/two", "a/b/three"] {
        assert_eq!(fs::read_to_string(folder(&server).join("tree").join(name)).unwrap(), name);
        assert_eq!(fs::read_to_string(back.join(name)).unwrap(), name);
    }
    let address = url(&server, "shared/made/by%20curl");
    let options = ["--ftp-create-dirs", "--upload-file", "-", &address];
    run_with(curl(&server, "alice").args(options), b"curl", PATIENCE).done();
    assert_eq!(run(curl(&server, "bob").arg(url(&server, "in/out/made/by%20curl"))).done().text(), "curl");
    run(python(&server, "alice", "folder.py").arg("/shared")).done();
}
