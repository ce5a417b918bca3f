//! Policies and requests made by chance: nested patterns, groups, folders, hours, networks and dated
//! exceptions, close enough to each other to meet.

use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::config::load::{Reach, Texts, judge};
use crate::policy::Policy;
use crate::policy::permission::Permission;
use crate::proto::path::VirtualPath;
use crate::proto::verb::Verb;
use crate::rules::action::Action;

/// The least `server.toml`, with networks that all of the random ones lie in.
pub(crate) const SERVER: &str = "[listen]\nexplicit = [\"127.0.0.1:2121\"]\n[passive]\nports = \"50000-50099\"\n\
    [audit]\ndirectory = \"../audit\"\n[tls]\nidentities = [{ names = [\"localhost\"], certificate = \"c\", key = \
    \"k\" }]\n[networks]\nallow = [\"192.0.2.0/24\", \"10.0.0.0/8\", \"2001:db8::/32\"]\n";

/// The first four lines of a user.
pub(crate) fn account(name: &str) -> String {
    let hash = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$5pv1TTFHP6Pdi4e2pN8nhQ2lJSk4a7bpYBFmCzL3Wr0";
    format!("[user.{name}]\nhome = \"/srv/{name}\"\npassword = \"{hash}\"\npassword-set = 2026-01-01\n")
}

fn judged(server: &str, users: &str) -> Result<Arc<Policy>, String> {
    let texts = Texts { server: server.to_owned(), users: users.to_owned(), metadata: None };
    let judged = judge(Path::new(""), &texts, &[], Reach::Text);
    let problems = || judged.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    judged.config.as_ref().map(|config| Arc::clone(&config.policy)).ok_or_else(problems)
}

/// The policy of two texts that are right.
pub(crate) fn policy(server: &str, users: &str) -> Policy {
    let policy = judged(server, users).unwrap_or_else(|problems| panic!("{problems}\n{users}"));
    Policy::clone(&policy)
}

/// A policy in pieces: what stands in `server.toml`, and the tables of `users.toml`.
pub(crate) type Pieces = Vec<String>;

/// The policy of some pieces; none where two of them mount folders at one place.
pub(crate) fn read(pieces: &Pieces) -> Option<Arc<Policy>> {
    let [server, users @ ..] = pieces.as_slice() else { return None };
    match judged(&format!("{SERVER}{server}"), &users.concat()) {
        Ok(policy) => Some(policy),
        Err(problems) => {
            assert!(problems.contains("has a folder at"), "{problems}");
            None
        }
    }
}

fn list(words: &[&str]) -> String {
    format!("[{}]", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
}

/// A key with some of these words, or nothing.
fn some(key: &'static str, words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let chosen = subsequence(words, 1..=words.len());
    option::of(chosen).prop_map(move |words| words.map_or(String::new(), |words| format!("{key} = {}\n", list(&words))))
}

fn permissions(key: &'static str) -> impl Strategy<Value = String> {
    let words: Vec<&str> = Permission::ALL.into_iter().map(Permission::word).collect();
    subsequence(words, 0..=12).prop_map(move |words| format!("{key} = {}\n", list(&words)))
}

fn pattern() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "/",
            "/**",
            "/*",
            "/in/**",
            "/in/*",
            "/in/a.csv",
            "/in/dir/**",
            "/**/*.csv",
            "/*/a.csv",
            "/dir",
            "/dir/**",
            "/[a-d]*",
            "/in/**/b",
            "/**/dir/*",
            "/m/**",
        ][..],
    )
}

fn rule(holder: &'static str) -> impl Strategy<Value = String> {
    let names = (
        option::weighted(0.2, select(&["names-allowed", "names-forbidden"][..])),
        select(&["*.csv", "A*", "b", "[a-d]?csv"][..]),
        option::weighted(0.2, 1u64..3),
    );
    (pattern(), permissions("allow"), permissions("deny"), names).prop_map(
        move |(path, allow, deny, (key, name, bytes))| {
            let key = key.map_or(String::new(), |key| format!("{key} = [\"{name}\"]\n"));
            let bytes = bytes.map_or(String::new(), |bytes| format!("file-bytes-max = {bytes}\n"));
            format!("[[{holder}.rule]]\npath = \"{path}\"\n{allow}{deny}{key}{bytes}")
        },
    )
}

fn exception(holder: &'static str) -> impl Strategy<Value = String> {
    let until = select(&["2026-11-21", "2026-11-22", "2026-12-31", "2027-02-28"][..]);
    let clients = option::of(select(&["192.0.2.0/24", "192.0.2.0/28", "10.0.0.0/8"][..]));
    (pattern(), permissions("allow"), clients, until).prop_map(move |(path, allow, clients, until)| {
        let clients = clients.map_or(String::new(), |clients| format!("clients = \"{clients}\"\n"));
        format!("[[{holder}.exception]]\npath = \"{path}\"\n{allow}{clients}reason = \"r\"\nuntil = {until}\n")
    })
}

fn mount(holder: &'static str) -> impl Strategy<Value = String> {
    let at = select(&["/m", "/dir", "/in/dir"][..]);
    (at, select(&["one", "two"][..]), permissions("permissions")).prop_map(move |(path, folder, permissions)| {
        format!("[[{holder}.mount]]\npath = \"{path}\"\nfolder = \"{folder}\"\n{permissions}")
    })
}

/// The keys that users and groups share, and then their tables.
fn terms(holder: &'static str) -> impl Strategy<Value = String> {
    let keys = (
        some("allow-from", &["192.0.2.0/24", "192.0.2.7", "10.0.0.0/8", "2001:db8::/48"]),
        option::weighted(0.2, select(&["192.0.2.0/28", "192.0.2.128/25", "10.0.0.0/24"][..])),
        option::weighted(
            0.3,
            select(&["sun 06:00-07:00", "mon-fri 08:00-18:00", "06:15-06:16", "sat 22:00-06:30", "07:00-08:00"][..]),
        ),
    );
    let tables = (vec(rule(holder), 0..4), vec(exception(holder), 0..2), option::weighted(0.3, mount(holder)));
    (keys, tables).prop_map(|((allow_from, deny_from, hours), (rules, exceptions, mount))| {
        let deny_from = deny_from.map_or(String::new(), |network| format!("deny-from = [\"{network}\"]\n"));
        let hours = hours.map_or(String::new(), |hours| format!("hours = [\"{hours}\"]\n"));
        let tables = [rules.concat(), exceptions.concat(), mount.unwrap_or_default()].concat();
        format!("{allow_from}{deny_from}{hours}{tables}")
    })
}

fn group(name: &'static str, holder: &'static str) -> impl Strategy<Value = String> {
    (option::of(permissions("permissions")), terms(holder))
        .prop_map(move |(permissions, terms)| format!("[group.{name}]\n{}{terms}", permissions.unwrap_or_default()))
}

/// The pieces of a policy with the user alice, two groups and two folders.
pub(crate) fn pieces() -> impl Strategy<Value = Pieces> {
    let server = (
        option::weighted(0.1, select(&["192.0.2.0/28", "10.0.0.0/24"][..])),
        select(&["UTC", "Europe/Berlin"][..]),
        option::weighted(0.1, Just("[passwords]\nage-days-max = 200\n")),
    )
        .prop_map(|(deny, zone, age)| {
            let deny = deny.map_or(String::new(), |network| format!("deny = [\"{network}\"]\n"));
            let age = age.unwrap_or("[passwords]\nage-days-max = 3000\n");
            format!("{deny}[time]\nzone = \"{zone}\"\n{age}")
        });
    let user = (
        some("groups", &["staff", "guests"]),
        option::weighted(0.1, Just("enabled = false\n")),
        option::weighted(0.2, select(&["2026-11-21", "2026-11-22", "2026-12-24"][..])),
        permissions("permissions"),
        terms("user.alice"),
    )
        .prop_map(|(groups, enabled, expires, permissions, terms)| {
            let expires = expires.map_or(String::new(), |date| format!("expires = {date}\n"));
            let enabled = enabled.unwrap_or_default();
            format!("{}{groups}{enabled}{expires}{permissions}{terms}", account("alice"))
        });
    let folders = "[folder.one]\ndirectory = \"/srv/one\"\n[folder.two]\ndirectory = \"/srv/two\"\n";
    (server, user, group("staff", "group.staff"), group("guests", "group.guests"))
        .prop_map(move |(server, user, staff, guests)| vec![server, user, staff, guests, folders.to_owned()])
}

/// Two policies that differ in one piece.
pub(crate) fn pair() -> impl Strategy<Value = (Pieces, Pieces)> {
    (pieces(), pieces(), 0usize..4).prop_map(|(old, other, index)| {
        let mut new = old.clone();
        new[index].clone_from(&other[index]);
        (old, new)
    })
}

/// Something that a client asks for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) action: Action,
    pub(crate) path: VirtualPath,
    /// Of `RNFR`: the new name.
    pub(crate) renamed_to: Option<VirtualPath>,
}

fn some_path() -> impl Strategy<Value = VirtualPath> {
    vec(select(&["in", "dir", "a.csv", "b", "m", "x"][..]), 0..4)
        .prop_map(|names| VirtualPath::root().join(names.join("/").as_bytes()).unwrap())
}

/// A request of a client.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    use Verb::{
        Appe, Cwd, Dele, Hash, List, Mdtm, Mfmt, Mkd, Mlsd, Mlst, Nlst, Retr, Rmd, Rnfr, Size, Stat, Stor, Stou, Xcrc,
    };
    let verbs = [
        Appe, Cwd, Dele, Hash, List, Mdtm, Mfmt, Mkd, Mlsd, Mlst, Nlst, Retr, Rmd, Rnfr, Rnfr, Size, Stat, Stor, Stor,
        Stou, Stou, Xcrc,
    ];
    let actions: Vec<Action> =
        verbs.into_iter().map(Action::Verb).chain([Action::SiteChmod, Action::SiteUtime]).collect();
    (select(actions), some_path(), some_path()).prop_map(|(action, path, other)| {
        let renamed_to = (action == Action::Verb(Rnfr)).then_some(other);
        Request { action, path, renamed_to }
    })
}
