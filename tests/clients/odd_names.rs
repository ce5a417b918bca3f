//! Names with quotes, spaces at their ends, and characters that mean something elsewhere are names
//! like any other, also through programs that quote and unquote them.

use std::fs;

use super::{lftp, python, run};
use crate::support::{Server, Wire};

const NAMES: [&str; 15] = [
    "it's",
    "a \"quoted\" name",
    "\"",
    "\"\"",
    " leading space",
    "trailing space ",
    "two  spaces",
    "100%",
    "%41",
    "-l",
    "--",
    "a*b?[c]",
    "~alice",
    "#hash",
    "$(x) `y` ; & |",
];

#[test]
fn ftplib_makes_enters_lists_renames_and_removes_them() {
    let server = Server::running();
    for version in ["1.2", "1.3"] {
        run(python(&server, "alice", "odd_names.py").arg(version).args(NAMES)).done();
    }
}

#[test]
fn lftp_makes_enters_lists_renames_and_removes_them() {
    let server = Server::running();
    let source = server.scratch().join("source");
    for name in NAMES {
        fs::write(&source, name).unwrap();
        let quoted = name.replace('"', "\\\"");
        let inside = format!("cd \"./{quoted}\"; put {} -o \"./{quoted}\"; cat \"./{quoted}\"", source.display());
        let commands = format!("mkdir \"./{quoted}\"; {inside}; mv \"./{quoted}\" \"../other {quoted}\"");
        let got = run(&mut lftp(&server, "alice", &commands)).done().text();
        assert_eq!(got, name);
        let mut expected = [name.to_owned(), format!("other {name}")];
        expected.sort();
        assert_eq!(server.names(), expected, "{name:?}");
        run(&mut lftp(&server, "alice", &format!("rmdir \"./{quoted}\"; rm \"./other {quoted}\""))).done();
        assert_eq!(server.names(), Vec::<String>::new(), "{name:?}");
    }
}

#[test]
fn every_quote_in_a_257_is_doubled() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    for name in NAMES {
        let told = format!("\"/{}\"", name.replace('"', "\"\""));
        assert!(wire.ask(&format!("MKD {name}"), 257).text().starts_with(&told), "{name:?}");
        wire.ask(&format!("CWD {name}"), 250);
        assert!(wire.ask("PWD", 257).text().starts_with(&told), "{name:?}");
        wire.ask("CDUP", 250);
    }
}

#[test]
fn names_with_a_backslash_are_read_but_not_made() {
    // Some clients take it for a separator, and would write elsewhere.
    let server = Server::running();
    server.put("back\\slash", b"content");
    assert_eq!(run(&mut lftp(&server, "alice", "cat \"back\\\\slash\"")).done().text(), "content");
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(wire.fetch("RETR back\\slash"), b"content");
    wire.ask("MKD other\\slash", 553);
    wire.ask("RNFR back\\slash", 350);
    wire.ask("RNTO slash", 250);
}
