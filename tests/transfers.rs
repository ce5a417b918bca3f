//! Moving files: whole or not at all, resumed, stopped, bounded.

use std::fs;

use crate::support::tls::Version;
use crate::support::{Data, Dial, Server, Wire, eventually};

/// Uploads what is to be refused, before or while it moves, and wants this code.
fn refused_upload(wire: &mut Wire, command: &str, content: &[u8], code: u16) {
    let mut data = wire.data();
    wire.send(command);
    let mut reply = wire.reply();
    if reply.code == 150 {
        // The server may stop reading at any point.
        let _ = data.try_send(content);
        let _ = data.try_finish();
        reply = wire.reply();
    }
    assert_eq!(reply.code, code, "{command}: {reply:?}");
}

/// An upload that is cut off behind these bytes; says how the server took it.
fn cut_upload(wire: &mut Wire, command: &str, content: &[u8]) -> String {
    let mut data = wire.begin(command);
    data.send(content);
    data.cut();
    wire.expect(426).text().to_owned()
}

/// A server with `bob`, who lives where alice does.
fn shared_home() -> Server {
    let mut server = Server::builder().user("bob", &[]).prepare();
    server.change_user("user.bob.home", server.home("alice").to_str().unwrap());
    server.start();
    server
}

#[test]
fn files_go_both_ways_bit_for_bit() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let content: Vec<u8> = (0..3_000_001_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    for (name, content) in [("large", &content[..]), ("one", b"x"), ("empty", b"")] {
        wire.store(&format!("STOR {name}"), content);
        assert_eq!(server.content(name).unwrap(), content);
        assert_eq!(wire.fetch(&format!("RETR {name}")), content);
    }
}

#[test]
fn the_digest_of_a_whole_file_is_told_and_recorded() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let expected = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
    let reply = wire.store("STOR f", b"abc");
    assert!(reply.text().contains(expected), "{reply:?}");
    wire.fetch("RETR f");
    for code in ["file.upload", "file.download"] {
        let record = server.wait_for_record(code, |_| true);
        assert_eq!(record.text("/file/hashes/0/value"), Some(expected));
        assert_eq!(record.number("/file/size"), Some(3));
    }
    // A part of a file has none.
    wire.ask("REST 1", 350);
    assert_eq!(wire.fetch("RETR f"), b"bc");
    let part = server.wait_for_record("file.download", |record| record.number("/traffic/bytes_out") == Some(2));
    assert_eq!(part.text("/file/hashes/0/value"), None);
}

#[test]
fn the_digest_is_what_the_policy_says() {
    let server = Server::builder().set("storage.digest", "sha256").start();
    let mut wire = Wire::login(&server, "alice");
    let reply = wire.store("STOR f", b"abc");
    assert!(reply.text().contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), "{reply:?}");
    let server = Server::builder().set("storage.digest", "off").start();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR f", b"abc");
    assert_eq!(server.wait_for_record("file.upload", |_| true).text("/file/hashes/0/value"), None);
}

#[test]
fn the_old_content_stays_until_the_new_is_whole() {
    let server = shared_home();
    server.put("f", b"old content");
    let mut wire = Wire::login(&server, "alice");
    let mut other = Wire::login(&server, "bob");
    let mut data = wire.begin("STOR f");
    data.send(b"new");
    eventually("bytes arrive", || wire.ask("STAT", 213).text().contains(": 3 bytes").then_some(()));
    assert_eq!(server.content("f").unwrap(), b"old content");
    assert_eq!(other.fetch("RETR f"), b"old content");
    assert_eq!(other.list("NLST"), "f\r\n");
    data.finish();
    wire.expect(226);
    assert_eq!(server.content("f").unwrap(), b"new");
    assert_eq!(other.fetch("RETR f"), b"new");
    assert!(server.wait_for_record("file.upload", |_| true).line().contains("\"replaced\":true"));
}

#[test]
fn an_end_without_close_notify_is_a_truncation() {
    let server = Server::running();
    server.put("f", b"old content");
    let mut wire = Wire::login(&server, "alice");
    cut_upload(&mut wire, "STOR f", b"new cont");
    assert_eq!(server.content("f").unwrap(), b"old content");
    let record = server.wait_for_record("file.upload_incomplete", |record| record.path() == "/f");
    assert_eq!(record.detail(), "truncated");
    assert_eq!(record.codes(), [150, 426]);
}

#[test]
fn an_interrupted_upload_is_resumed_by_its_uploader_and_unseen_by_others() {
    let server = shared_home();
    server.put("f", b"old");
    let mut wire = Wire::login(&server, "alice");
    let mut other = Wire::login(&server, "bob");
    let told = cut_upload(&mut wire, "STOR f", b"new con");
    assert!(told.contains("7 bytes are kept"), "{told}");

    // To its uploader it is the partial file it is, on every connection.
    let mut again = Wire::login(&server, "alice");
    for wire in [&mut wire, &mut again] {
        assert_eq!(wire.ask("SIZE f", 213).text(), "7");
        assert!(wire.list("MLSD").contains("size=7;"));
    }
    again.refuse("RETR f", 450);
    // To others it is not there.
    assert_eq!(other.ask("SIZE f", 213).text(), "3");
    assert_eq!(other.fetch("RETR f"), b"old");
    assert!(other.list("MLSD").contains("size=3;"));

    again.ask("REST 7", 350);
    again.store("STOR f", b"tent");
    assert_eq!(server.content("f").unwrap(), b"new content");
    assert_eq!(other.fetch("RETR f"), b"new content");
    assert_eq!(again.ask("SIZE f", 213).text(), "11");
}

#[test]
fn an_interrupted_upload_of_a_new_file_goes_on_with_appe() {
    let server = shared_home();
    let mut wire = Wire::login(&server, "alice");
    cut_upload(&mut wire, "STOR f", b"new con");
    assert!(server.names().is_empty());
    Wire::login(&server, "bob").ask("SIZE f", 550);
    wire.store("APPE f", b"tent");
    assert_eq!(server.content("f").unwrap(), b"new content");
}

#[test]
fn a_new_upload_forgets_the_interrupted_one() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    cut_upload(&mut wire, "STOR f", b"first attempt");
    wire.store("STOR f", b"second");
    assert_eq!(server.content("f").unwrap(), b"second");
    cut_upload(&mut wire, "STOR f", b"third");
    wire.ask("DELE f", 250);
    wire.ask("SIZE f", 550);
}

#[test]
fn two_uploads_to_one_name_never_mix() {
    let server = Server::running();
    let mut one = Wire::login(&server, "alice");
    let mut two = Wire::login(&server, "alice");
    let mut data = one.begin("STOR f");
    data.send(b"one");
    eventually("the upload runs", || one.ask("STAT", 213).text().contains(": 3 bytes").then_some(()));
    two.refuse("STOR f", 450);
    two.refuse("APPE f", 450);
    data.finish();
    one.expect(226);
    assert_eq!(server.content("f").unwrap(), b"one");
    two.store("STOR f", b"two");
    assert_eq!(server.content("f").unwrap(), b"two");
}

#[test]
fn a_control_connection_that_breaks_takes_its_upload_along() {
    let server = Server::running();
    server.put("f", b"old");
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"new");
    wire.tcp().shutdown(std::net::Shutdown::Both).unwrap();
    drop(wire);
    let record = server.wait_for_record("file.upload_incomplete", |_| true);
    assert_eq!(record.detail(), "control_gone");
    drop(data);
    assert_eq!(server.content("f").unwrap(), b"old");
    server.wait_for_record("session.closed", |_| true);
}

#[test]
fn downloads_start_where_rest_says() {
    let server = Server::running();
    server.put("f", b"0123456789");
    let mut wire = Wire::login(&server, "alice");
    wire.ask("REST 4", 350);
    assert_eq!(wire.fetch("RETR f"), b"456789");
    // Once only.
    assert_eq!(wire.fetch("RETR f"), b"0123456789");
    wire.ask("REST 10", 350);
    assert_eq!(wire.fetch("RETR f"), b"");
    wire.ask("REST 11", 350);
    wire.refuse("RETR f", 554);
    assert_eq!(wire.fetch("RETR f"), b"0123456789");
}

#[test]
fn rest_takes_numbers_of_bytes() {
    let server = Server::running();
    server.put("f", b"0123456789");
    let mut wire = Wire::login(&server, "alice");
    for bad in ["-1", "+5", "0x10", "1e9", "18446744073709551616", "9223372036854775808", "x", &"9".repeat(3000)] {
        wire.ask(&format!("REST {bad}"), 501);
    }
    wire.ask("REST 9223372036854775807", 350);
    wire.refuse("RETR f", 554);
    wire.ask("REST 10737418240", 350);
    wire.refuse("STOR sparse", 554);
    assert_eq!(server.names(), ["f"]);
}

#[test]
fn a_marker_in_text_counts_what_is_sent() {
    let server = Server::running();
    server.put("f", b"one\ntwo\r\nthree\n");
    let mut wire = Wire::login(&server, "alice");
    wire.ask("TYPE A", 200);
    let sent = b"one\r\ntwo\r\nthree\r\n";
    assert_eq!(wire.fetch("RETR f"), sent);
    for marker in 0..=sent.len() {
        wire.ask(&format!("REST {marker}"), 350);
        assert_eq!(wire.fetch("RETR f"), &sent[marker..], "from {marker}");
    }
    wire.ask(&format!("REST {}", sent.len() + 1), 350);
    wire.refuse("RETR f", 554);
    // Further than the server is willing to read ahead.
    wire.ask("REST 67108865", 350);
    let reply = wire.refuse("RETR f", 554);
    assert!(reply.text().contains("TYPE I"), "{reply:?}");
}

#[test]
fn uploads_of_text_go_on_at_a_marker_and_appe_adds() {
    let server = Server::running();
    // A ticket of TLS 1.3 is used once here, and there are many uploads in a row.
    let mut wire = Dial::to(&server).tls(Version::Tls12).login("alice");
    wire.ask("TYPE A", 200);
    let sent = b"one\r\ntwo\r\nthree\r\n";
    for verb in ["STOR", "APPE"] {
        for marker in 0..=sent.len() {
            server.put("f", b"one\ntwo\nthree\n");
            if verb == "STOR" || marker > 0 {
                wire.ask(&format!("REST {marker}"), 350);
                wire.store(&format!("{verb} f"), &sent[marker..]);
                assert_eq!(server.content("f").unwrap(), b"one\ntwo\nthree\n", "{verb} from {marker}");
            }
        }
    }
    wire.ask("REST 5", 350);
    wire.store("STOR f", b"2\r\n");
    assert_eq!(server.content("f").unwrap(), b"one\n2\n");
    wire.store("APPE f", b"3\r\n");
    assert_eq!(server.content("f").unwrap(), b"one\n2\n3\n");
    for (marker, name) in [(12, "f"), (1, "new")] {
        wire.ask(&format!("REST {marker}"), 350);
        wire.refuse(&format!("STOR {name}"), 554);
    }
    assert_eq!(server.content("f").unwrap(), b"one\n2\n3\n");
}

#[test]
fn an_interrupted_upload_is_not_continued_as_text() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR f");
    data.send(b"line\nline\n");
    data.cut();
    wire.expect(426);
    assert_eq!(wire.ask("SIZE f", 213).text(), "10");
    wire.ask("TYPE A", 200);
    wire.ask("REST 6", 350);
    wire.refuse("STOR f", 450);
    // As it was begun, it is.
    wire.ask("TYPE I", 200);
    wire.ask("REST 10", 350);
    wire.store("STOR f", b"end\n");
    assert_eq!(server.content("f").unwrap(), b"line\nline\nend\n");
}

#[test]
fn uploads_start_where_rest_says_and_appe_adds() {
    let server = Server::running();
    server.put("f", b"0123456789");
    let mut wire = Wire::login(&server, "alice");
    wire.ask("REST 4", 350);
    wire.store("STOR f", b"xyz");
    assert_eq!(server.content("f").unwrap(), b"0123xyz");
    wire.store("APPE f", b"89");
    assert_eq!(server.content("f").unwrap(), b"0123xyz89");
    wire.store("APPE g", b"new");
    assert_eq!(server.content("g").unwrap(), b"new");
}

#[test]
fn an_append_that_breaks_leaves_the_file_as_it_was() {
    let server = shared_home();
    server.put("f", b"0123");
    let mut wire = Wire::login(&server, "alice");
    cut_upload(&mut wire, "APPE f", b"45");
    assert_eq!(server.content("f").unwrap(), b"0123");
    assert_eq!(Wire::login(&server, "bob").fetch("RETR f"), b"0123");
}

#[test]
fn stou_chooses_a_name_that_is_free_and_tells_it() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    for content in [&b"one"[..], b"two"] {
        let mut data = wire.data();
        let reply = wire.ask("STOU", 150);
        let name = reply.text().strip_prefix("FILE: ").unwrap().to_owned();
        assert!(!server.names().contains(&name));
        data.send(content);
        data.finish();
        assert!(wire.expect(226).text().contains(&name));
        assert_eq!(server.content(&name).unwrap(), content);
    }
    assert_eq!(server.names().len(), 2);
}

#[test]
fn ascii_files_have_the_line_ends_of_their_side() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    wire.ask("TYPE A", 200);
    wire.store("STOR f", b"one\r\ntwo\r\n\rthree");
    assert_eq!(server.content("f").unwrap(), b"one\ntwo\n\rthree");
    assert_eq!(wire.fetch("RETR f"), b"one\r\ntwo\r\n\rthree");
    wire.ask("SIZE f", 550);
    wire.ask("TYPE I", 200);
    assert_eq!(wire.fetch("RETR f"), b"one\ntwo\n\rthree");
    assert_eq!(wire.ask("SIZE f", 213).text(), "14");
}

#[test]
fn only_what_the_internet_uses_is_a_type_mode_or_structure() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    for line in ["TYPE I", "TYPE A", "TYPE A N", "TYPE L 8", "type i", "MODE S", "STRU F"] {
        wire.ask(line, 200);
    }
    for line in ["TYPE E", "TYPE A T", "TYPE L 36", "MODE Z", "MODE B", "MODE C", "STRU R", "STRU P"] {
        let reply = {
            wire.send(line);
            wire.reply()
        };
        assert!(matches!(reply.code, 501 | 504), "{line}: {reply:?}");
    }
}

#[test]
fn a_quota_is_kept_before_anything_is_lost() {
    let server = Server::builder().user("alice", &["--quota-bytes", "1000"]).prepare();
    let mut server = server;
    server.put("f", &[b'o'; 600]);
    server.start();
    let mut wire = Dial::to(&server).tls(Version::Tls12).login("alice");
    refused_upload(&mut wire, "STOR g", &vec![b'x'; 100_000], 552);
    refused_upload(&mut wire, "STOR f", &vec![b'x'; 100_000], 552);
    refused_upload(&mut wire, "APPE f", &[b'x'; 500], 552);
    assert_eq!(server.content("f").unwrap(), [b'o'; 600]);
    assert_eq!(server.names(), ["f"]);
    let record = server.wait_for_record("quota.exceeded", |record| record.path() == "/g");
    assert_eq!(record.user(), "alice");
    // What fits is stored, and what was deleted is free again.
    wire.store("STOR g", &[b'x'; 300]);
    wire.ask("DELE f", 250);
    wire.store("STOR h", &[b'x'; 600]);
    // Nor does it help to have several uploads at once.
    let mut other = Wire::login(&server, "alice");
    let mut first = wire.begin("STOR i");
    let mut second = other.begin("STOR j");
    let _ = first.try_send(&[b'x'; 90]);
    let _ = second.try_send(&[b'x'; 90]);
    let _ = first.try_finish();
    let _ = second.try_finish();
    let codes = [wire.reply().code, other.reply().code];
    assert!(codes.contains(&226) && codes.contains(&552), "{codes:?}");
}

#[test]
fn a_quota_of_files_is_kept() {
    let server = Server::builder().user("alice", &["--quota-files", "2"]).start();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR a", b"a");
    wire.store("STOR b", b"b");
    refused_upload(&mut wire, "STOR c", b"c", 552);
    wire.store("STOR a", b"again");
    assert_eq!(server.names(), ["a", "b"]);
}

#[test]
fn allo_is_judged_before_the_first_byte() {
    let server = Server::builder().user("alice", &["--quota-bytes", "1000"]).start();
    let mut wire = Wire::login(&server, "alice");
    wire.ask("ALLO 2000", 200);
    wire.refuse("STOR f", 552);
    assert!(server.names().is_empty());
    wire.ask("ALLO 500 R 10", 200);
    wire.store("STOR f", &[b'x'; 500]);
    for bad in ["ALLO -1", "ALLO x", "ALLO 99999999999999999999999"] {
        wire.ask(bad, 501);
    }
}

#[test]
fn a_disk_that_is_nearly_full_takes_no_upload() {
    let server = Server::builder().set("storage.free-space-floor-bytes", "9000000000000000000").prepare();
    let mut server = server;
    server.put("f", b"old");
    server.start();
    let mut wire = Wire::login(&server, "alice");
    refused_upload(&mut wire, "STOR f", b"new", 452);
    refused_upload(&mut wire, "STOR g", b"new", 452);
    refused_upload(&mut wire, "STOU", b"new", 452);
    assert_eq!(server.content("f").unwrap(), b"old");
    assert_eq!(server.names(), ["f"]);
    server.wait_for_record("quota.exceeded", |record| record.detail() == "no_space");
    assert_eq!(wire.fetch("RETR f"), b"old");
}

#[test]
fn a_file_that_is_deleted_or_replaced_meanwhile_is_sent_as_it_was() {
    let server = Server::running();
    server.put_large("large", 24 << 20);
    let mut wire = Wire::login(&server, "alice");
    let mut other = Wire::login(&server, "alice");
    let mut data = wire.begin("RETR large");
    data.read(1);
    other.ask("DELE large", 250);
    other.store("STOR large", b"small");
    assert_eq!(data.receive().len(), (24 << 20) - 1);
    wire.expect(226);
    assert_eq!(server.content("large").unwrap(), b"small");
}

#[test]
fn uploads_are_as_private_as_the_server_makes_them() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    wire.store("STOR f", b"content");
    let mode = fs::metadata(server.home("alice").join("f")).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn unread_tickets_do_not_cut_an_upload_short() {
    // A client that never reads from the data connection and closes it at once.
    let server = Server::running();
    for round in 0..4_u8 {
        let mut wire = Wire::login(&server, "alice");
        let content = vec![round; 700_000];
        let mut data: Data = wire.begin("STOR f");
        data.send(&content);
        data.close_without_reading();
        wire.expect(226);
        assert_eq!(server.content("f").unwrap(), content);
    }
}
