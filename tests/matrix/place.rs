//! Where a client works: a server of its own, files to send and to fetch, and the looks at what
//! came of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::action::{Action, Binding, Client, Finding, Outcome, Report, Tls, Way};
use crate::clients::content;
use crate::support::{Server, day};

/// How long a client may take for everything.
pub const TIME: Duration = Duration::from_mins(2);
/// Bytes that are already there where a transfer is to be resumed.
const PART: usize = 300_000;
const WHOLE: usize = 700_001;
const MANY: usize = 200;
const NAMES: [&str; 3] = ["two words.txt", "käse & brot.txt", "文件 😀.txt"];

/// A server with alice, and the files around her.
#[derive(Debug)]
pub struct Place {
    /// The server.
    pub server: Server,
    way: Way,
}

fn many() -> impl Iterator<Item = String> {
    (0..MANY).map(|number| format!("file-{number:03}"))
}

fn write(directory: &Path, name: &str, content: &[u8]) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

impl Place {
    /// Starts the server and lays out the files.
    pub fn new(way: &Way) -> Self {
        let mut builder = Server::builder().implicit();
        if let Binding::Exception(level) = way.binding {
            builder = builder.users_toml(&format!(
                "[[user.alice.exception]]\ndata-binding = \"{level}\"\nreason = \"the client matrix\"\nuntil = {}\n",
                day(30)
            ));
        }
        if way.tls == Tls::ByServer {
            builder = builder.policy(
                "exception",
                &format!(
                    "[{{ clients = \"127.0.0.1\", tls-maximum = \"1.2\", reason = \"the client matrix\", until = {} }}]",
                    day(30)
                ),
            );
        }
        let place = Self { server: builder.start(), way: *way };
        let (home, here) = (place.server.home("alice"), place.local());
        write(&home, "listed/one.txt", b"1");
        write(&home, "listed/two words.txt", b"2");
        write(&home, "down", &content("down", WHOLE));
        write(&home, "part-up", &content("part-up", WHOLE)[..PART]);
        write(&home, "part-down", &content("part-down", WHOLE));
        write(&home, "old", b"old");
        write(&home, "gone", b"gone");
        write(&here, "up", &content("up", WHOLE));
        write(&here, "empty", b"");
        write(&here, "part-up", &content("part-up", WHOLE));
        write(&here, "part-down", &content("part-down", WHOLE)[..PART]);
        for name in NAMES {
            write(&here, &format!("names/{name}"), name.as_bytes());
        }
        for name in many() {
            write(&here, &format!("many/{name}"), name.as_bytes());
            write(&home, &format!("store/{name}"), name.as_bytes());
        }
        for directory in [home.join("names"), home.join("many"), here.join("back-names"), here.join("back-many")] {
            fs::create_dir_all(directory).unwrap();
        }
        place
    }

    /// The directory in which the client runs.
    pub fn local(&self) -> PathBuf {
        self.server.scratch().join("local")
    }

    /// The names of the files with odd names.
    pub fn names() -> &'static [&'static str] {
        &NAMES
    }

    /// The names of the many files.
    pub fn many() -> Vec<String> {
        many().collect()
    }

    /// The version of TLS, and who sees to it.
    pub fn tls(&self) -> Tls {
        self.way.tls
    }

    /// Compares what the client reports, and what came of it, with what is to be found.
    pub fn compare(&self, client: &Client, reports: &[Report]) {
        let way = format!("{}, TLS {:?}, {:?}", client.name, self.way.tls, self.way.binding);
        let mut differences = Vec::new();
        for action in Action::ALL {
            let outcome = reports.iter().find(|report| report.action == action).map(|report| &report.outcome);
            let expected = self.way.but.iter().find(|(but, _)| *but == action).map(|(_, finding)| finding);
            let fits = match (outcome, expected) {
                (Some(Outcome::Done(names)), None) => self.effect(action, names),
                (Some(Outcome::Failed(said)), Some(Finding::Fails(words))) if said.contains(words) => Ok(()),
                (Some(Outcome::Lacking), Some(Finding::Lacks)) => Ok(()),
                (None, _) => Err("no report".to_owned()),
                (Some(outcome), expected) => Err(format!("{outcome:?}, not {expected:?}")),
            };
            if let Err(difference) = fits {
                differences.push(format!("{}: {difference}", action.word()));
            }
        }
        assert!(differences.is_empty(), "{way}:\n{}", differences.join("\n"));
        self.compare_records(client, &way);
        for record in self.server.records_of("tls.handshake_ok") {
            assert_eq!(record.text("/tls/version"), Some(self.way.tls.spoken()), "{way}");
            assert_eq!(record.text("/unmapped/exception").is_some(), self.way.tls == Tls::ByServer, "{way}");
        }
    }

    /// Each transfer is recorded under the level that the user has, and nothing was refused on the
    /// way to where everything works.
    fn compare_records(&self, client: &Client, way: &str) {
        let level = match self.way.binding {
            Binding::Session => "session",
            Binding::Exception(level) => level,
        };
        let transfers = self.server.audit();
        let levels: Vec<&str> = transfers
            .iter()
            .filter(|record| record.code().starts_with("file."))
            .filter_map(|record| record.text("/unmapped/data_binding"))
            .collect();
        // What may be less need not be: the exception does not forbid what is better.
        assert!(levels.iter().all(|found| *found == level || *found == "session"), "{way}: {levels:?}");
        let works = !self.way.but.iter().any(|(_, finding)| matches!(finding, Finding::Fails(_)));
        if works {
            assert!(level == "session" || levels.contains(&level), "{way} needs no exception: {levels:?}");
            let refused = self.server.records_of("data.binding_failed").len();
            assert!(refused == 0 || client.patient, "{way}: {refused} data connections refused");
        }
    }

    /// Whether that which the client calls done is done.
    fn effect(&self, action: Action, names: &[String]) -> Result<(), String> {
        let (home, here) = (self.server.home("alice"), self.local());
        let same = |path: PathBuf, expected: &[u8]| match fs::read(&path) {
            Ok(found) if found == expected => Ok(()),
            Ok(found) => Err(format!("{} has {} other bytes", path.display(), found.len())),
            Err(error) => Err(format!("{}: {error}", path.display())),
        };
        let absent = |path: PathBuf| if path.exists() { Err(format!("{} is there", path.display())) } else { Ok(()) };
        match action {
            Action::List => {
                // Some clients give names, some paths.
                let mut found: Vec<&str> = names.iter().filter_map(|name| name.rsplit('/').next()).collect();
                found.sort_unstable();
                if found == ["one.txt", "two words.txt"] { Ok(()) } else { Err(format!("listed {names:?}")) }
            }
            Action::Upload => same(home.join("up"), &content("up", WHOLE)),
            Action::UploadEmpty => same(home.join("empty"), b""),
            Action::Download => same(here.join("down"), &content("down", WHOLE)),
            Action::ResumeUpload => {
                self.moved("file.upload", "/part-up", "/traffic/bytes_in")?;
                same(home.join("part-up"), &content("part-up", WHOLE))
            }
            Action::ResumeDownload => {
                self.moved("file.download", "/part-down", "/traffic/bytes_out")?;
                same(here.join("part-down"), &content("part-down", WHOLE))
            }
            Action::Rename => same(home.join("new"), b"old").and_then(|()| absent(home.join("old"))),
            Action::Delete => absent(home.join("gone")),
            Action::Names => NAMES.iter().try_for_each(|name| {
                same(home.join("names").join(name), name.as_bytes())?;
                same(here.join("back-names").join(name), name.as_bytes())
            }),
            Action::Upload200 => many().try_for_each(|name| same(home.join("many").join(&name), name.as_bytes())),
            Action::Download200 => {
                many().try_for_each(|name| same(here.join("back-many").join(&name), name.as_bytes()))
            }
        }
    }

    /// Whether a resumed transfer moved what was missing, and no more.
    fn moved(&self, code: &str, path: &str, bytes: &str) -> Result<(), String> {
        let records = self.server.records_of(code);
        let moved: Vec<_> =
            records.iter().filter(|record| record.path() == path).map(|record| record.number(bytes)).collect();
        let rest = u64::try_from(WHOLE - PART).unwrap();
        if moved == [Some(rest)] { Ok(()) } else { Err(format!("moved {moved:?} bytes, not {rest}")) }
    }
}
