use super::*;
use crate::audit::record::Detail;

/// What the last record of this kind says under a name.
fn detail(dialogue: &Dialogue, event: Event, name: &str) -> Option<String> {
    let record = dialogue.records.iter().rev().find(|record| record.event == event)?;
    record.details.iter().find_map(|(known, detail)| match detail {
        Detail::Text(text) if *known == name => Some(text.clone()),
        _ => None,
    })
}

#[test]
fn host_and_the_name_in_the_handshake_agree() {
    let mut dialogue = Dialogue::new();
    dialogue.server_name = Some("a.example.net");
    let mut dialogue = dialogue.at(Stage::Login);
    assert_eq!(dialogue.say("HOST files.example.org"), [504], "of the same certificate, but not the name");
    assert_eq!(dialogue.say("HOST 192.0.2.1"), [504]);
    assert_eq!(dialogue.say("HOST nowhere.example.org"), [504]);
    assert_eq!(dialogue.recorded(Event::CommandRefused), 2, "names of the server's own are recorded");
    assert_eq!(dialogue.say("HOST A.Example.NET."), [220]);
    dialogue.say("USER alice");
    dialogue.say("PASS right");
    assert_eq!(detail(&dialogue, Event::LoginSuccess, "host").as_deref(), Some("a.example.net"));
    assert_eq!(detail(&dialogue, Event::TlsEstablished, "identity").as_deref(), Some("files.example.org"));
}

#[test]
fn without_a_name_in_the_handshake_host_is_of_the_certificate_shown() {
    let mut dialogue = Dialogue::new().at(Stage::Login);
    for host in ["files.example.org", "any.example.net", "192.0.2.1", "[192.0.2.1]"] {
        assert_eq!(dialogue.say(&format!("HOST {host}")), [220], "{host}");
    }
    assert_eq!(dialogue.say("HOST other.example.org"), [504], "its certificate was not shown");
    assert_eq!(dialogue.say("HOST 192.0.2.2"), [504]);
}

#[test]
fn host_in_clear_is_answered_and_forgotten() {
    let mut dialogue = Dialogue::new();
    assert_eq!(dialogue.say("HOST other.example.org"), [220]);
    assert_eq!(dialogue.say("HOST nowhere.example.org"), [504]);
    assert_eq!(dialogue.say("CLNT mallory"), [200]);
    let mut dialogue = dialogue.at(Stage::Files);
    assert_eq!(detail(&dialogue, Event::LoginSuccess, "host"), None);
    assert_eq!(detail(&dialogue, Event::LoginSuccess, "client"), None);
    assert_eq!(dialogue.say("HOST files.example.org"), [503]);
}

#[test]
fn host_comes_before_user_and_has_no_port() {
    let mut dialogue = Dialogue::new().at(Stage::Login);
    for wrong in ["files.example.org:21", "::1", "../../etc", "a b"] {
        assert_eq!(dialogue.say(&format!("HOST {wrong}")), [501], "{wrong}");
    }
    assert_eq!(dialogue.say("USER alice"), [331]);
    assert_eq!(dialogue.say("HOST files.example.org"), [503]);
}

#[test]
fn the_program_is_recorded_bounded() {
    let mut dialogue = Dialogue::new().at(Stage::Login);
    assert_eq!(dialogue.say("CSID Name=Old Client; Version=3;"), [200]);
    dialogue.say("USER alice");
    dialogue.say("PASS right");
    assert_eq!(detail(&dialogue, Event::LoginSuccess, "client").as_deref(), Some("Old Client"));
    assert_eq!(dialogue.say(&format!("CLNT {}", "ä".repeat(500))), [200]);
    assert_eq!(dialogue.say("QUIT"), [221]);
    assert_eq!(detail(&dialogue, Event::SessionClosed, "client"), Some("ä".repeat(64)));
}

#[test]
fn csid_takes_facts() {
    let mut dialogue = Dialogue::new().at(Stage::Login);
    for good in ["Name=a;", "Name=a", "name = a ; Version = 1.0 ;", "Version=1;Name=a;X=;"] {
        assert_eq!(dialogue.say(&format!("CSID {good}")), [200], "{good}");
    }
    for bad in [";", "a", "Version=1;", "Name=;", "=a;", "Name=a;b", "Na me=a;"] {
        assert_eq!(dialogue.say(&format!("CSID {bad}")), [501], "{bad}");
    }
}

#[test]
fn lang_is_english() {
    let mut dialogue = Dialogue::new().at(Stage::Login);
    for good in ["LANG", "LANG EN", "LANG en-US", "LANG en-GB-oed"] {
        assert_eq!(dialogue.say(good), [200], "{good}");
    }
    for other in ["LANG de", "LANG fr-CA", "LANG x-klingon"] {
        assert_eq!(dialogue.say(other), [504], "{other}");
    }
    for bad in ["LANG EN*", "LANG e n", "LANG 1", "LANG en-", "LANG abcdefghi"] {
        assert_eq!(dialogue.say(bad), [501], "{bad}");
    }
}
