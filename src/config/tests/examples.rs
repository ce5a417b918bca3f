use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::civil::Date;
use toml_edit::{DocumentMut, Item, Table, value};

use super::*;
use crate::identity::Username;
use crate::policy::grant::Judgement;
use crate::policy::permission::Permission;
use crate::policy::{Check, Policy, Principal};
use crate::proto::path::VirtualPath;
use crate::proto::verb::Verb;
use crate::rules::{self, Needs};

/// The shipped settings, for networks as the documentation of networks has them (RFC 5737).
fn server() -> String {
    let shipped = include_str!("../../../policy/server.toml");
    shipped.replace("allow = [\"127.0.0.0/8\", \"::1\"]", "allow = [\"192.0.2.0/24\", \"198.51.100.0/24\"]")
}

/// One line of an example that says what comes of it: `# alice from 192.0.2.9 at 2026-11-23 STOR
/// /in/a.csv of 10 bytes: allowed`. A word in small letters is a permission.
struct Claim<'a> {
    user: &'a str,
    from: IpAddr,
    at: Timestamp,
    action: &'a str,
    path: Option<&'a str>,
    bytes: u64,
    allowed: bool,
}

impl<'a> Claim<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (claim, verdict) = line.strip_prefix("# ")?.rsplit_once(": ")?;
        let allowed = match verdict.split(' ').next()? {
            "allowed" => true,
            "denied" => false,
            _ => return None,
        };
        let mut words = claim.split(' ').peekable();
        let user = words.next()?;
        let mut given = |word: &str| words.next_if_eq(&word).map(|_| words.next().unwrap());
        let from = given("from").map_or("192.0.2.9", |address| address).parse().unwrap();
        let at = given("at").map_or("2026-11-23T10:00:00Z".to_owned(), |at| match at.parse::<Date>() {
            Ok(day) if !at.contains('T') => format!("{day}T12:00:00Z"),
            _ => at.to_owned(),
        });
        let (action, path) = (words.next()?, words.next());
        let bytes = words.next_if_eq(&"of").map_or(0, |_| words.next().unwrap().parse().unwrap());
        Some(Self { user, from, at: at.parse().unwrap(), action, path, bytes, allowed })
    }

    fn holds(&self, policy: &Policy) -> bool {
        let account = &policy.users[&Username::parse(self.user).unwrap()];
        let Some(path) = self.path else {
            assert_eq!(self.action, "LOGIN");
            let admitted = |check| policy.check(check, account, self.from, self.at).is_ok();
            return Check::ALL.into_iter().all(admitted) == self.allowed;
        };
        let principal = Principal::for_test(self.user, &self.from.to_string());
        let path = VirtualPath::root().join(path.as_bytes()).unwrap();
        let wanted = match (Permission::from_word(self.action), self.action) {
            (Some(permission), _) => PermissionSet::of(&[permission]),
            // Of a file that is not there yet.
            (None, "STOR") => PermissionSet::of(&[Permission::Create]),
            (None, verb) => match rules::rule(Verb::parse(verb.as_bytes()).unwrap()).needs {
                Needs::AnyOf(permissions) => permissions,
                Needs::Nothing => panic!("{verb} touches no path"),
            },
        };
        let judged = match self.action {
            "CWD" => policy.pass(&principal, &path, self.at),
            _ => policy.judge(&principal, wanted, &path, self.at),
        };
        let allowed = match judged {
            Judgement::Allow(grant) => grant.file_bytes_max().is_none_or(|most| self.bytes <= most),
            Judgement::Deny(_) => false,
        };
        allowed == self.allowed
    }
}

/// Checks what the comments of a text claim, and says how many do.
#[track_caller]
fn claims_hold(text: &str, policy: &Policy) -> usize {
    let claims: Vec<_> = text.lines().filter_map(|line| Some((line, Claim::read(line)?))).collect();
    for (line, claim) in &claims {
        assert!(claim.holds(policy), "{line}");
    }
    claims.len()
}

#[test]
fn every_shipped_example_is_sound_and_does_what_its_comments_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy/examples");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let judged = judge(&server(), &text, &[]);
        assert!(judged.problems.is_empty(), "{}: {}", path.display(), said(&judged));
        let claims = claims_hold(&text, &judged.config.unwrap().policy);
        assert!(claims >= 10, "{}: {claims}", path.display());
        names.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
    }
    let expected = ["department-shares", "partner-drop-box", "read-only-distribution", "scanner-upload-only"];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
}

/// The examples of the document: for which file, and what they say.
fn documented() -> Vec<(&'static str, &'static str)> {
    let blocks = include_str!("../../../docs/policy.md").split("```toml\n").skip(1);
    let block = |block: &'static str| {
        let text = block.split("```").next().unwrap();
        let file = text.lines().next().unwrap().trim_start_matches("# ");
        assert!(["server.toml", "users.toml"].contains(&file), "an example begins with the name of its file: {text}");
        (file, text)
    };
    blocks.map(block).collect()
}

/// The example of a table of `server.toml` with the shipped tables around it.
fn with_other_tables(text: &str) -> String {
    let mut whole: DocumentMut = server().parse().unwrap();
    let example: DocumentMut = text.replace("\"portcullis\"", "\"daemon\"").parse().unwrap();
    for (key, item) in example.iter() {
        whole[key] = item.clone();
    }
    for (table, key) in [("networks", "allow"), ("listen", "explicit")] {
        let shipped: DocumentMut = server().parse().unwrap();
        whole[table].as_table_mut().unwrap().entry(key).or_insert(shipped[table][key].clone());
    }
    whole.to_string()
}

/// The example of tables of `users.toml` with what they leave out: homes and passwords, and for
/// groups a user who is in them.
fn with_homes(text: &str) -> String {
    let mut whole: DocumentMut = text.replace("$argon2id$…", HASH).parse().unwrap();
    let groups: Vec<String> =
        whole.get("group").and_then(Item::as_table).into_iter().flatten().map(|(name, _)| name.to_owned()).collect();
    let users = whole.entry("user").or_insert_with(|| {
        let mut users = Table::new();
        users["alice"] = Item::Table(Table::new());
        users["alice"]["groups"] = value(groups.into_iter().collect::<toml_edit::Array>());
        Item::Table(users)
    });
    for (name, user) in users.as_table_mut().unwrap().iter_mut() {
        let user = user.as_table_mut().unwrap();
        let password_set: toml_edit::Datetime = "2026-11-01".parse().unwrap();
        user.entry("home").or_insert_with(|| value(format!("/srv/files/{name}")));
        user.entry("password").or_insert_with(|| value(HASH));
        user.entry("password-set").or_insert_with(|| value(password_set));
    }
    whole.to_string()
}

#[test]
fn every_example_of_the_document_is_sound_and_does_what_it_says() {
    let mut claims = 0;
    for (file, text) in documented() {
        let judged = match file {
            "server.toml" => judge(&with_other_tables(text), "", &[]),
            _ => judge(&server(), &with_homes(text), &[]),
        };
        let unused = |problem: &Problem| problem.message.contains("no line uses the name");
        let problems: Vec<&Problem> = judged.problems.iter().filter(|problem| !unused(problem)).collect();
        assert!(problems.is_empty(), "{text}\n{}", said(&judged));
        claims += claims_hold(text, &judged.config.unwrap().policy);
    }
    assert!(claims >= 30, "{claims}");
}

#[test]
fn every_key_has_an_example_in_the_document() {
    // A table that stands in several places, such as a rule, is shown in one of them.
    let (mut known, mut shown) = (BTreeSet::new(), BTreeSet::new());
    for file in ["server", "users"] {
        let examples = documented().into_iter().filter(|(name, _)| name.starts_with(file));
        let examples: Vec<DocumentMut> = examples.map(|(_, text)| text.parse().unwrap()).collect();
        for (header, table) in std::iter::once((String::new(), file)).chain(headers(file)) {
            let way: Vec<&str> = header.trim_matches(['[', ']']).split('.').filter(|name| !name.is_empty()).collect();
            for key in keys::keys_of(table) {
                known.insert((table, key.name));
                if examples.iter().any(|example| holds(example.as_item(), &way, key.name)) {
                    shown.insert((table, key.name));
                }
            }
        }
    }
    let missing: Vec<_> = known.difference(&shown).collect();
    assert!(missing.is_empty(), "write an example into docs/policy.md for {missing:?}");
}

/// Whether a key stands below a way of tables; `name` is any name, and of lists every table counts.
fn holds(item: &Item, way: &[&str], key: &str) -> bool {
    let tables: Vec<&dyn toml_edit::TableLike> = match item {
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table as &dyn toml_edit::TableLike).collect(),
        Item::Value(toml_edit::Value::Array(values)) => values
            .iter()
            .filter_map(toml_edit::Value::as_inline_table)
            .map(|table| table as &dyn toml_edit::TableLike)
            .collect(),
        other => other.as_table_like().into_iter().collect(),
    };
    tables.into_iter().any(|table| match way {
        [] => table.contains_key(key),
        ["name", rest @ ..] => table.iter().any(|(_, item)| holds(item, rest, key)),
        [next, rest @ ..] => table.get(next).is_some_and(|item| holds(item, rest, key)),
    })
}
