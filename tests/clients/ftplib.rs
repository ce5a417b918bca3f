//! Python's ftplib: as it is it opens a new TLS session for each data connection, which the server
//! takes only from a user with an exception; a subclass of six lines resumes.

use super::{Ran, python, run};
use crate::support::Server;

const VERSIONS: [&str; 2] = ["1.2", "1.3"];

fn script(server: &Server, user: &str, script: &str, arguments: &[&str]) -> Ran {
    run(python(server, user, script).args(arguments)).done()
}

#[test]
fn the_resuming_subclass_does_everything() {
    let server = Server::running();
    for version in VERSIONS {
        for passive in ["PASV", "EPSV"] {
            script(&server, "alice", "everything.py", &["resuming", version, passive]);
        }
    }
    for record in server.records_of("file.upload") {
        assert_eq!(record.text("/unmapped/data_binding"), Some("session"), "{record:?}");
    }
}

#[test]
fn stock_ftplib_does_everything_for_a_user_with_an_exception() {
    let server = Server::builder()
        .user("legacy", &[])
        .users_toml(
            "[[user.legacy.exception]]\n\
             data-binding = \"address\"\n\
             reason = \"a script with stock ftplib\"\n\
             until = 2199-12-31\n",
        )
        .start();
    for version in VERSIONS {
        for passive in ["PASV", "EPSV"] {
            script(&server, "legacy", "everything.py", &["stock", version, passive]);
        }
    }
    for record in server.records_of("file.upload") {
        assert_eq!(record.text("/unmapped/data_binding"), Some("address"), "{record:?}");
        assert!(record.line().contains("a script with stock ftplib"), "{record:?}");
    }
}

#[test]
fn stock_ftplib_without_an_exception_hears_what_to_change_and_may_stay() {
    let server = Server::running();
    server.put("there", b"12345");
    for version in VERSIONS {
        let heard = script(&server, "alice", "unbound.py", &[version]).text();
        assert!(heard.contains("resume") && heard.contains("exception"), "{heard}");
    }
    assert_eq!(server.names(), ["there"]);
    assert_eq!(server.records_of("data.binding_failed").len(), 2 * 9);
}

#[test]
fn an_exception_that_is_over_excepts_nothing() {
    let server = Server::builder()
        .users_toml(
            "[[user.alice.exception]]\n\
             data-binding = \"address\"\n\
             reason = \"a script with stock ftplib\"\n\
             until = 2020-12-31\n",
        )
        .start();
    server.put("there", b"12345");
    script(&server, "alice", "unbound.py", &["1.3"]);
}

#[test]
fn an_upload_that_was_cut_is_continued_at_the_listed_size() {
    let server = Server::running();
    for version in VERSIONS {
        script(&server, "alice", "filezilla.py", &[version]);
        std::fs::remove_file(server.home("alice").join("file")).unwrap();
    }
}
