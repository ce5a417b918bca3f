//! The table of verbs, walked: every row, in every stage, with and without a transfer running.
//! What is expected is derived from the row.

use std::time::Duration;

use portcullis::proto::verb::Verb;
use portcullis::rules::{Data as NeedsData, During, RULES, Rule, Service, Stage, Takes};

use crate::support::server::Builder;
use crate::support::{Data, PASSWORD, Server, Wire};

/// Bytes of a file whose transfer cannot end before the client has read most of it.
const LARGE: u64 = 24 << 20;

/// The code with which a row refuses in a stage; none where it serves.
fn refusal(rule: &Rule, stage: Stage) -> Option<u16> {
    if !rule.stages.contain(stage) {
        return Some(match (stage, rule.verb) {
            (Stage::Cleartext, Verb::Pbsz | Verb::Prot) => 503,
            (Stage::Cleartext | Stage::Login, verb) if verb != Verb::Auth => 530,
            (Stage::Change, _) if rule.stages.contain(Stage::Files) => 530,
            _ => 503,
        });
    }
    match rule.service {
        Service::Refused(code, _) => Some(code.number()),
        Service::Served(_) => None,
    }
}

/// How a verb is said rightly to a [`prepared`] server: what comes before, its argument, the first
/// code it gets.
fn said(verb: Verb, server: &Server) -> (&'static str, String, u16) {
    let port = server.ports().client();
    let [high, low] = port.to_be_bytes();
    let (before, argument, code) = match verb {
        Verb::Abor => ("", String::new(), 225),
        Verb::Allo => ("", "10".into(), 200),
        Verb::Appe | Verb::Stor => ("EPSV", "new".into(), 150),
        Verb::Auth => ("", "TLS".into(), 234),
        Verb::Avbl => ("", String::new(), 213),
        Verb::Clnt => ("", "a client".into(), 200),
        Verb::Csid => ("", "Name=a client;".into(), 200),
        Verb::Cdup => ("", String::new(), 250),
        Verb::Cwd => ("", "/".into(), 250),
        Verb::Dele | Verb::Mlst | Verb::Xcrc | Verb::Xsha256 | Verb::Xsha512 => ("", "small".into(), 250),
        Verb::Eprt => ("", format!("|1|127.0.0.1|{port}|"), 200),
        Verb::Epsv => ("", String::new(), 229),
        Verb::Feat | Verb::Stat => ("", String::new(), 211),
        Verb::Help => ("", String::new(), 214),
        Verb::Host => ("", "localhost".into(), 220),
        Verb::Lang => ("", "EN".into(), 200),
        Verb::List | Verb::Mlsd | Verb::Nlst | Verb::Stou => ("EPSV", String::new(), 150),
        Verb::Hash | Verb::Mdtm | Verb::Size => ("", "small".into(), 213),
        Verb::Mff => ("", "Modify=20200101000000; small".into(), 213),
        Verb::Mfmt => ("", "20200101000000 small".into(), 213),
        Verb::Mkd => ("", "made".into(), 257),
        Verb::Mode => ("", "S".into(), 200),
        Verb::Noop => ("", String::new(), 200),
        Verb::Opts => ("", "UTF8 ON".into(), 200),
        Verb::Pass => ("USER alice", PASSWORD.into(), 230),
        Verb::Pasv => ("", String::new(), 227),
        Verb::Pbsz => ("", "0".into(), 200),
        Verb::Port => ("", format!("127,0,0,1,{high},{low}"), 200),
        Verb::Prot => ("PBSZ 0", "P".into(), 200),
        Verb::Pwd => ("", String::new(), 257),
        Verb::Quit => ("", String::new(), 221),
        Verb::Rang => ("", "1 0".into(), 350),
        Verb::Rest => ("", "3".into(), 350),
        Verb::Retr => ("EPSV", "small".into(), 150),
        Verb::Rmd => ("", "directory".into(), 250),
        Verb::Rnfr => ("", "small".into(), 350),
        Verb::Rnto => ("RNFR small", "renamed".into(), 250),
        Verb::Site => ("", "HELP".into(), 214),
        Verb::Stru => ("", "F".into(), 200),
        Verb::Syst => ("", String::new(), 215),
        Verb::Type => ("", "I".into(), 200),
        Verb::User => ("", "alice".into(), 331),
        Verb::Xmd5 | Verb::Xsha1 => ("", "small".into(), 504),
        // Never served: any argument will do.
        Verb::Acct
        | Verb::Adat
        | Verb::Ccc
        | Verb::Conf
        | Verb::Cpsv
        | Verb::Enc
        | Verb::Esta
        | Verb::Estp
        | Verb::Mfct
        | Verb::Mic
        | Verb::Pret
        | Verb::Rein
        | Verb::Smnt
        | Verb::Sscn => ("", "x".into(), 0),
    };
    (before, argument, code)
}

fn line(verb: Verb, argument: &str) -> String {
    if argument.is_empty() { verb.name().to_owned() } else { format!("{} {argument}", verb.name()) }
}

/// A server with a user besides alice who has to change the password first.
fn with_temporary() -> Builder {
    Server::builder().user("alice", &[]).user("temporary", &["--temporary"])
}

fn prepared() -> Server {
    let server = with_temporary()
        .set("active.enabled", "true")
        .set("login.failures-per-address", "1000")
        .set("limits.data-connect-seconds", "2")
        .start();
    furnish(&server);
    server
}

/// What the examples of [`said`] need.
fn furnish(server: &Server) {
    server.put("small", b"content");
    let _ = std::fs::remove_dir(server.home("alice").join("made"));
    std::fs::create_dir_all(server.home("alice").join("directory")).unwrap();
}

fn at_stage(server: &Server, stage: Stage) -> Wire {
    match stage {
        Stage::Cleartext => Wire::greeted(server),
        Stage::Login => Wire::secure(server),
        Stage::Change => Wire::login(server, "temporary"),
        Stage::Files => Wire::login(server, "alice"),
    }
}

/// The forms of the argument that a row does not take, and so refuses with `501`.
fn wrong_forms(rule: &Rule, argument: &str) -> Option<String> {
    match rule.takes {
        Takes::Nothing => Some(line(rule.verb, "argument")),
        Takes::One => Some(line(rule.verb, "")),
        Takes::Maybe => None,
    }
    .filter(|wrong| *wrong != line(rule.verb, argument))
}

#[test]
fn every_row_is_refused_where_it_says_so_and_served_elsewhere() {
    let server = prepared();
    for rule in &RULES {
        for stage in Stage::ALL {
            let (before, argument, code) = said(rule.verb, &server);
            let spoken = line(rule.verb, &argument);
            let mut wire = at_stage(&server, stage);
            if let Some(refused) = refusal(rule, stage) {
                let reply = wire.ask(&spoken, refused);
                assert_eq!(reply.lines.len(), 1);
                // In lower case, it is the same verb.
                wire.ask(&spoken.to_ascii_lowercase(), refused);
                // Nothing came of it, and the session is where it was.
                wire.ask("NOOP", 200);
                continue;
            }
            if let Some(wrong) = wrong_forms(rule, &argument) {
                wire.ask(&wrong, 501);
            }
            furnish(&server);
            if rule.data == NeedsData::Needed {
                wire.ask(&spoken, 425);
                let data = wire.data();
                wire.ask(&spoken, code);
                match rule.verb {
                    Verb::Stor | Verb::Appe | Verb::Stou => data.finish(),
                    _ => drop(data.receive()),
                }
                wire.expect(226);
            } else {
                if !before.is_empty() {
                    wire.send(before);
                    wire.reply();
                }
                wire.ask(&spoken, code);
            }
            if rule.verb == Verb::Quit {
                wire.ended();
            }
        }
    }
}

#[test]
fn every_x_form_is_the_verb_it_stands_for() {
    let server = prepared();
    for rule in &RULES {
        let Some(alias) = rule.verb.alias() else { continue };
        furnish(&server);
        let (_, argument, code) = said(rule.verb, &server);
        let mut wire = Wire::login(&server, "alice");
        wire.ask(format!("{alias} {argument}").trim_end(), code);
    }
}

/// A transfer that runs until its data is read.
fn transfer(wire: &mut Wire) -> Data {
    wire.ask("REST 0", 350);
    let mut data = wire.begin("RETR large");
    data.read(1);
    data
}

#[test]
fn every_row_waits_for_a_transfer_or_answers_during_it_as_it_says() {
    let server = prepared();
    server.put_large("large", LARGE);
    let mut wire = Wire::login(&server, "alice");
    for rule in &RULES {
        furnish(&server);
        let (_, argument, mut code) = said(rule.verb, &server);
        if let Some(refused) = refusal(rule, Stage::Files) {
            code = refused;
        } else if rule.data == NeedsData::Needed {
            // The data connection is spent on the transfer that it waits for.
            code = 425;
        } else if rule.verb == Verb::Rnto {
            code = 503;
        }
        let data = transfer(&mut wire);
        wire.send(&line(rule.verb, &argument));
        match (rule.during, rule.verb) {
            (During::Wait, _) => {
                assert!(wire.is_silent(Duration::from_millis(20)), "{} did not wait", rule.verb);
                assert_eq!(u64::try_from(data.receive().len()).unwrap(), LARGE - 1);
                wire.expect(226);
                let reply = wire.reply();
                assert_eq!(reply.code, code, "{}: {reply:?}", rule.verb);
            }
            (During::Answer, Verb::Abor) => {
                wire.expect(426);
                wire.expect(226);
                let (_, whole) = data.drain();
                assert!(!whole, "a download that was stopped looked whole");
            }
            (During::Answer, verb) => {
                wire.expect(if verb == Verb::Stat { 213 } else { 200 });
                assert_eq!(u64::try_from(data.receive().len()).unwrap(), LARGE - 1);
                wire.expect(226);
            }
        }
        if rule.verb == Verb::Quit {
            wire.ended();
            wire = Wire::login(&server, "alice");
        }
    }
}

#[test]
fn feat_and_help_tell_what_the_table_serves() {
    let server = Server::running();
    let mut wire = Wire::greeted(&server);
    let help = wire.ask("HELP", 214).lines.join(" ");
    for rule in &RULES {
        let named = help.split(' ').any(|word| word == rule.verb.name());
        let reply = {
            wire.send(&format!("HELP {}", rule.verb));
            wire.reply()
        };
        assert_eq!(named, matches!(rule.service, Service::Served(_)), "{}", rule.verb);
        assert!(reply.code == 214 || reply.code == 421, "{reply:?}");
        if reply.code == 421 {
            // The bound on commands before the login; the rest goes on another connection.
            wire = Wire::greeted(&server);
        }
    }
    let server = with_temporary().start();
    for stage in Stage::ALL {
        let mut wire = at_stage(&server, stage);
        let feat = wire.ask("FEAT", 211).lines;
        for feature in [
            "AUTH TLS",
            "AVBL",
            "MFF Modify;UNIX.mode;",
            "CSID",
            "HOST",
            "LANG EN*",
            "PBSZ",
            "PROT",
            "EPSV",
            "MDTM",
            "MFMT",
            "REST STREAM",
            "SIZE",
            "TVFS",
            "UTF8",
        ] {
            assert!(feat.contains(&format!(" {feature}")), "{feature}: {feat:?}");
        }
        assert!(feat.iter().any(|line| line.starts_with(" MLST ") && line.contains("Size*;")), "{feat:?}");
    }
}

#[test]
fn pipelined_commands_are_served_one_by_one_in_their_order() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    wire.send_raw(b"MKD a\r\nCWD a\r\nPWD\r\nMKD b\r\nCWD b\r\nPWD\r\nCDUP\r\nRMD b\r\nPWD\r\nSYST\r\n");
    for code in [257, 250, 257, 257, 250] {
        wire.expect(code);
    }
    assert!(wire.expect(257).text().starts_with("\"/a/b\""));
    wire.expect(250);
    wire.expect(250);
    assert!(wire.expect(257).text().starts_with("\"/a\""));
    wire.expect(215);
}

#[test]
fn commands_sent_during_a_transfer_follow_it_in_their_order() {
    let server = Server::running();
    server.put_large("large", LARGE);
    let mut wire = Wire::login(&server, "alice");
    let data = transfer(&mut wire);
    wire.send_raw(b"PWD\r\nSIZE large\r\nMKD d\r\nNOOP\r\nQUIT\r\n");
    assert!(wire.is_silent(Duration::from_millis(50)));
    data.receive();
    for code in [226, 257, 213, 257, 200, 221] {
        wire.expect(code);
    }
    wire.ended();
}

#[test]
fn lines_end_with_lf_and_verbs_come_in_any_case() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    wire.send_raw(b"noop\nNoOp\r\npwd\r\n\r\n");
    for code in [200, 200, 257, 500] {
        wire.expect(code);
    }
}

#[test]
fn a_command_in_pieces_is_one_command() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    for piece in [&b"MK"[..], b"D pie", b"ces", b"\r", b"\n"] {
        wire.send_raw(piece);
    }
    wire.expect(257);
    assert_eq!(server.names(), ["pieces"]);
}
