//! What single clients do that others do not.

use std::fs;

use super::action::{Action, Binding, Outcome, Tls, Way};
use super::place::Place;
use super::programs;
use crate::clients::{curl, python, run, url};
use crate::support::Server;

/// An address from a documentation network, where nobody answers.
const ELSEWHERE: &str = "[{ clients = \"any\", address = \"192.0.2.77\" }]";

#[test]
fn clients_that_ignore_the_address_of_pasv_do_not_need_the_right_one() {
    let server = Server::builder().policy("passive.advertise", ELSEWHERE).start();
    run(python(&server, "alice", "everything.py").args(["resuming", "1.3", "PASV"])).done();
    server.put("file", b"content");
    let fetched = run(curl(&server, "alice").args(["--disable-epsv", &url(&server, "file")])).done();
    assert_eq!(fetched.text(), "content");
}

#[test]
fn rclone_in_parallel_hears_which_exception_it_needs() {
    let place = Place::new(&Way { tls: Tls::V13, binding: Binding::Session, but: &[] });
    let reports = programs::rclone_parallel(&place);
    let report = reports.iter().find(|report| report.action == Action::Upload200).unwrap();
    let Outcome::Failed(said) = &report.outcome else { panic!("{report:?}") };
    assert!(said.contains("522") && said.contains("ask the administrator for data-binding \"principal\""), "{said}");
}

#[test]
fn a_client_without_extended_master_secret_works_where_the_policy_permits_it() {
    let server = Server::builder().policy("tls.require-extended-master-secret", "false").start();
    let local = server.scratch().join("local");
    fs::create_dir_all(&local).unwrap();
    fs::write(local.join("file"), b"content").unwrap();
    programs::rclone_call(&server, Tls::V12, &["--transfers", "1", "copyto", "file", ":ftp:file"]).done();
    assert_eq!(server.content("file").as_deref(), Some(&b"content"[..]));
    let record = server.records_of("file.upload").pop().unwrap();
    assert_eq!(record.text("/unmapped/data_binding"), Some("session"), "{record:?}");
}
