//! Directories as programs and people read them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::support::{Server, Wire};

fn lines(text: &str) -> Vec<&str> {
    assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
    text.split_terminator("\r\n").collect()
}

/// `f` of seven bytes and the directory `d` with `g` in it.
fn furnished() -> Server {
    let server = Server::running();
    server.put("f", b"content");
    server.put("d/g", b"x");
    server
}

#[test]
fn mlsd_tells_the_facts_of_every_entry() {
    let server = furnished();
    let mut wire = Wire::login(&server, "alice");
    let text = wire.list("MLSD");
    let entries = lines(&text);
    let of = |name: &str| {
        let end = format!("; {name}");
        let found = entries.iter().find(|line| line.ends_with(&end));
        found.unwrap_or_else(|| panic!("{name}: {text}")).to_ascii_lowercase()
    };
    assert!(of("f").contains("type=file;") && of("f").contains("size=7;") && of("f").contains("modify=20"), "{text}");
    assert!(of("d").contains("type=dir;"), "{text}");
    assert!(of(".").contains("type=cdir;"), "{text}");
    for line in &entries {
        let (facts, _) = line.split_once("; ").unwrap();
        assert!(
            facts.split(';').all(|fact| fact.split_once('=').is_some_and(|(_, value)| !value.is_empty())),
            "{line}"
        );
    }
    assert!(lines(&wire.list("MLSD d")).iter().any(|line| line.ends_with("; g")));
}

#[test]
fn mlsd_is_for_directories() {
    let server = furnished();
    let mut wire = Wire::login(&server, "alice");
    wire.refuse("MLSD f", 501);
    wire.refuse("MLSD missing", 550);
}

#[test]
fn mlst_tells_the_facts_of_one_path() {
    let server = furnished();
    let mut wire = Wire::login(&server, "alice");
    let reply = wire.ask("MLST f", 250);
    assert_eq!(reply.lines.len(), 3);
    assert!(reply.lines[1].starts_with(' ') && reply.lines[1].ends_with("; /f"), "{reply:?}");
    assert!(reply.lines[1].contains("size=7;"), "{reply:?}");
    assert!(wire.ask("MLST", 250).lines[1].ends_with("; /"));
    wire.ask("MLST missing", 550);
}

#[test]
fn opts_mlst_chooses_the_facts() {
    let server = furnished();
    let mut wire = Wire::login(&server, "alice");
    let reply = wire.ask("OPTS MLST size;type;unknown;", 200);
    let names = reply.text().to_ascii_lowercase();
    assert!(names.starts_with("mlst opts ") && names.contains("size;") && names.contains("type;"), "{reply:?}");
    assert!(!names.contains("modify") && !names.contains("unknown"), "{reply:?}");
    let reply = wire.ask("MLST f", 250);
    assert!(!reply.lines[1].contains("modify="), "{reply:?}");
    assert_eq!(wire.ask("OPTS MLST", 200).text(), "MLST OPTS");
    wire.ask("OPTS MLST size;type;", 200);
    let feat = wire.ask("FEAT", 211).lines.join("\n").to_ascii_lowercase();
    assert!(feat.contains("size*;") && feat.contains("modify;"), "{feat}");
    wire.ask("OPTS UTF8 ON", 200);
    wire.ask("OPTS UTF8 OFF", 504);
    wire.ask("OPTS NOSUCH", 501);
}

#[test]
fn list_is_what_clients_parse() {
    let server = furnished();
    let mut wire = Wire::login(&server, "alice");
    let text = wire.list("LIST");
    let entries = lines(&text);
    assert_eq!(entries.len(), 2, "{text}");
    for line in &entries {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        assert_eq!(words.len(), 9, "{line}");
        assert!(words[0].len() == 10 && (words[0].starts_with('d') || words[0].starts_with('-')), "{line}");
        assert!(words[4].bytes().all(|b| b.is_ascii_digit()), "{line}");
        assert!(["d", "f"].contains(&words[8]), "{line}");
    }
    assert!(entries.iter().any(|line| line.starts_with('-') && line.contains(" 7 ")), "{text}");
}

#[test]
fn list_and_nlst_take_paths_and_the_options_of_old_clients() {
    let server = furnished();
    let mut wire = Wire::login(&server, "alice");
    let mut names = |command: &str| {
        let text = wire.list(command);
        let mut names: Vec<String> = lines(&text).iter().map(|line| (*line).to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names("NLST"), ["d", "f"]);
    assert_eq!(names("NLST -la"), ["d", "f"]);
    // Each name can be used as it comes (RFC 1123 §4.1.2.7).
    assert_eq!(names("NLST d"), ["d/g"]);
    assert_eq!(names("NLST -1 d/"), ["d/g"]);
    assert_eq!(names("NLST -a -F /d"), ["/d/g"]);
    assert_eq!(names("NLST d/g"), ["d/g"]);
    assert_eq!(names("NLST ."), ["d", "f"]);
    assert_eq!(names("NLST d/.."), ["d/../d", "d/../f"]);
    server.put("d/-l", b"x");
    assert_eq!(names("NLST d/-*"), ["d/-l"]);
    assert_eq!(names("LIST -a ./d/-l").len(), 1);
    // No recursion, whatever the option.
    assert_eq!(names("NLST -R"), ["d", "f"]);
    assert_eq!(names("LIST -lR").len(), 2);
    assert_eq!(names("LIST -la d").len(), 2);
    assert_eq!(names("LIST f").len(), 1);
    wire.refuse("LIST {d,f}{d,f}", 550);
    wire.refuse("LIST missing", 550);
    wire.refuse("NLST missing", 550);
}

#[test]
fn patterns_choose_among_the_names_of_one_directory() {
    let server = furnished();
    for name in ["a.csv", "b.csv", "b.txt", "d/c.csv", "x[1]/inside", "x1"] {
        server.put(name, b"x");
    }
    let mut wire = Wire::login(&server, "alice");
    let mut names = |command: &str| {
        let text = wire.list(command);
        let last = |line: &&str| line.split(' ').next_back().unwrap().to_owned();
        let mut names: Vec<String> = lines(&text).iter().map(last).collect();
        names.sort();
        names
    };
    assert_eq!(names("NLST *.csv"), ["a.csv", "b.csv"]);
    assert_eq!(names("NLST d/*.csv"), ["d/c.csv"]);
    assert_eq!(names("NLST -l /d/?.c[rs]v"), ["/d/c.csv"]);
    assert_eq!(names("LIST -la b.*"), ["b.csv", "b.txt"]);
    assert_eq!(names("LIST d/*"), ["c.csv", "g"]);
    assert_eq!(names("NLST [!b]*.csv"), ["a.csv"]);
    // A name that is there is no pattern.
    assert_eq!(names("NLST x[1]"), ["x[1]/inside"]);
    assert_eq!(names("NLST *.none"), Vec::<String>::new());
    assert_eq!(names("NLST ****************a"), Vec::<String>::new());
    // One directory's entries, never a tree's.
    wire.refuse("NLST */*.csv", 550);
    wire.refuse("NLST missing/*", 550);
    wire.refuse("NLST f/*", 550);
    let record = server.wait_for_record("file.list", |record| record.path() == "/d/*.csv");
    assert_eq!(record.codes(), [150, 226]);
}

#[test]
fn what_nlst_tells_can_be_fetched_as_it_is() {
    let server = furnished();
    let mut wire = Wire::login(&server, "alice");
    wire.ask("CWD d", 250);
    for listing in ["NLST", "NLST .", "NLST ../d", "NLST /d/*", "NLST g"] {
        let text = wire.list(listing);
        let [name] = lines(&text)[..] else { panic!("{listing}: {text}") };
        assert_eq!(wire.fetch(&format!("RETR {name}")), b"x", "{listing}");
    }
}

#[test]
fn further_facts_are_told_to_those_who_ask() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let server = furnished();
    let path = server.home("alice").join("f");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut wire = Wire::login(&server, "alice");
    let feature = "MLST Type*;Size*;Modify*;Create;Perm*;Unique*;UNIX.mode*;UNIX.owner;UNIX.group;";
    assert!(wire.ask("FEAT", 211).lines.iter().any(|line| line.trim() == feature));
    let line = wire.ask("MLST f", 250).lines[1].clone();
    assert!(line.contains(";UNIX.mode=0640;") && !line.contains("UNIX.owner"), "{line}");
    wire.ask("OPTS MLST create;UNIX.owner;unix.group;", 200);
    let found = fs::metadata(&path).unwrap();
    let line = wire.ask("MLST f", 250).lines[1].to_ascii_lowercase();
    assert!(line.contains(&format!("unix.owner={};unix.group={}; /f", found.uid(), found.gid())), "{line}");
    assert_eq!(line.contains("create=20"), found.created().is_ok(), "{line}");
    let entries = wire.list("MLSD").to_ascii_lowercase();
    assert!(lines(&entries).iter().all(|line| line.contains("unix.group=")), "{entries}");
}

#[test]
fn an_empty_directory_has_an_empty_listing() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(wire.list("LIST"), "");
    assert_eq!(wire.list("NLST"), "");
    assert_eq!(lines(&wire.list("MLSD")).len(), 1);
}

#[test]
fn stat_lists_over_the_control_connection() {
    let server = furnished();
    let mut wire = Wire::login(&server, "alice");
    let reply = wire.ask("STAT", 211);
    assert!(reply.lines.iter().any(|line| line.contains("alice")), "{reply:?}");
    assert!(reply.lines.iter().all(|line| !line.contains("0.1")), "no version is told: {reply:?}");
    let reply = wire.ask("STAT d", 213);
    assert!(reply.lines.iter().any(|line| line.ends_with(" g")), "{reply:?}");
    let reply = wire.ask("STAT f", 213);
    assert!(reply.lines.iter().any(|line| line.ends_with(" f")), "{reply:?}");
    wire.ask("STAT missing", 550);
    wire.ask("STAT *", 550);
}

#[test]
fn a_long_directory_is_cut_over_the_control_connection_only() {
    let server = Server::running();
    fs::create_dir(server.home("alice").join("many")).unwrap();
    for i in 0..1500 {
        server.put(&format!("many/file-{i:04}"), b"");
    }
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(lines(&wire.list("LIST many")).len(), 1500);
    assert_eq!(lines(&wire.list("NLST many")).len(), 1500);
    assert_eq!(lines(&wire.list("MLSD many")).len(), 1501);
    let reply = wire.ask("STAT many", 213);
    assert!(reply.lines.len() <= 1002, "{}", reply.lines.len());
}

#[test]
fn names_on_the_disk_never_break_a_line() {
    let server = Server::running();
    let home = server.home("alice");
    for name in [
        &b"two\nlines"[..],
        b"two\r\nlines",
        b"escape\x1b[2J",
        b"not utf8 \xff",
        b"tab\there",
        "separator\u{2028}".as_bytes(),
    ] {
        fs::write(home.join(OsStr::from_bytes(name)), b"x").unwrap();
    }
    fs::write(home.join("good"), b"x").unwrap();
    let mut wire = Wire::login(&server, "alice");
    for command in ["LIST", "NLST", "MLSD"] {
        let content = wire.fetch(command);
        let text = String::from_utf8(content).unwrap();
        for line in lines(&text) {
            assert!(!line.contains(char::is_control), "{command}: {line:?}");
            assert!(line.ends_with("good") || line.ends_with("; ."), "{command}: {line:?}");
        }
        assert!(text.contains("good"), "{command}: {text}");
    }
    let reply = wire.ask("STAT /", 213);
    assert!(reply.lines.iter().any(|line| line.ends_with("good")), "{reply:?}");
}

#[test]
fn listings_are_recorded() {
    let server = furnished();
    let mut wire = Wire::login(&server, "alice");
    wire.list("MLSD d");
    let record = server.wait_for_record("file.list", |_| true);
    assert_eq!((record.path(), record.codes()), ("/d", vec![150, 226]));
}
