//! The table of docs/clients.md, made from the rows that the tests of the clients compare with what
//! they find.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::action::{Action, Binding, Client, Finding, Tls, Way};

const BEGIN: &str = "<!-- from here on written by the tests -->\n";
const END: &str = "<!-- to here -->\n";

fn fails(way: &Way) -> Vec<Action> {
    way.but.iter().filter(|(_, finding)| matches!(finding, Finding::Fails(_))).map(|(action, _)| *action).collect()
}

/// What a way comes to, in words.
fn words(way: &Way) -> String {
    let failing = fails(way);
    let mut text = match way.binding {
        Binding::Session => "as it is".to_owned(),
        Binding::Exception(level) => format!("exception `{level}`"),
    };
    if [Action::List, Action::Upload, Action::Download].iter().all(|action| failing.contains(action)) {
        return "no".to_owned();
    }
    if failing.contains(&Action::Download) {
        return "up to its first upload".to_owned();
    }
    if failing.contains(&Action::Names) {
        return "for a few uploads".to_owned();
    }
    if !failing.is_empty() {
        let list: Vec<&str> = failing.iter().map(|action| action.prose()).collect();
        let _ = write!(text, ", but not {}", list.join(", "));
    }
    text
}

/// The cell of one version: of the ways tried, the one in which most works, and of those alike the
/// one that needs least.
fn cell(client: &Client, tls: Tls) -> String {
    let ways = client.ways.iter().filter(|way| way.tls == tls);
    ways.min_by_key(|way| fails(way).len()).map_or_else(|| "not tried".to_owned(), words)
}

fn lacking(client: &Client) -> String {
    let ways = client.ways.iter().min_by_key(|way| fails(way).len());
    let but = ways.iter().flat_map(|way| way.but.iter());
    let lacks = but.filter(|(_, finding)| matches!(finding, Finding::Lacks)).map(|(action, _)| action.prose());
    lacks.collect::<Vec<_>>().join(", ")
}

/// What the policy has to grant so that the client, of which nothing is changed, does all that it
/// can do.
fn to_grant(client: &Client) -> String {
    let works = |tls: Tls, binding: Option<Binding>| {
        let mut ways = client.ways.iter().filter(|way| way.tls == tls && fails(way).is_empty());
        ways.find(|way| binding.is_none_or(|binding| way.binding == binding)).map(|way| way.binding)
    };
    if works(Tls::V13, Some(Binding::Session)).is_some() {
        return "nothing".to_owned();
    }
    if works(Tls::ByServer, Some(Binding::Session)).is_some() {
        let or = if works(Tls::V12, Some(Binding::Session)).is_some() { ", or set it to TLS 1.2" } else { "" };
        return format!("`tls-maximum`{or}");
    }
    match works(Tls::V13, None) {
        Some(Binding::Exception(level)) => format!("`data-binding` `{level}`"),
        _ => "nothing helps".to_owned(),
    }
}

fn table() -> String {
    let mut text = "| client | to grant | under TLS 1.3 | under TLS 1.2 | to set, to know | cannot do |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    for client in super::ALL {
        let (grant, new, old) = (to_grant(client), cell(client, Tls::V13), cell(client, Tls::V12));
        let (name, setting) = (client.name, client.setting);
        let _ = writeln!(text, "| {name} | {grant} | {new} | {old} | {setting} | {} |", lacking(client));
    }
    text
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md")
}

#[test]
fn the_document_says_what_was_found() {
    let text = fs::read_to_string(path()).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark at which the table begins");
    let (found, after) = rest.split_once(END).expect("the mark at which the table ends");
    if std::env::var_os("PORTCULLIS_WRITE_DOCS").is_some() {
        fs::write(path(), format!("{before}{BEGIN}\n{}\n{END}{after}", table())).unwrap();
        return;
    }
    assert_eq!(
        found.trim(),
        table().trim(),
        "write it with PORTCULLIS_WRITE_DOCS=1 cargo test --test capabilities the_document_says_what_was_found"
    );
}

#[test]
fn every_action_is_of_one_kind_in_one_way() {
    for client in super::ALL {
        for way in client.ways {
            for action in Action::ALL {
                let rows = way.but.iter().filter(|(but, _)| *but == action).count();
                assert!(rows <= 1, "{}: {action:?} twice", client.name);
            }
        }
    }
}
